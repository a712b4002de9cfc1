/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which devices are held back: those that something will be done for by itself; and what udev tells of them early. */

#undef NDEBUG

#include "tests/script-run.h"

/* What udev is about to tell of the event of that number, and does not yet. */
static void early(Script *s, const char *name, uint64_t seqnum) {
        DeviceEvent e = script_event(s, EVENT_UDEV, EVENT_CHANGE, name, seqnum);

        e.early = true;
        CHECK(device_set_apply(&s->world.devices, &e) == 0);
}

static bool is_pending(Script *s, const char *name, const Attachment **ret) {
        *ret = NULL;
        return world_is_pending(&s->world, device_set_get(&s->world.devices, name), ret);
}

static bool is_decided(Script *s, const char *name) {
        const Attachment *a;

        return !is_pending(s, name, &a);
}

/* sda is there, with UUID_X on sda1, and udev is at its events: their numbers. */
static Attachment *begin(Script *s, uint64_t *ret_disk, uint64_t *ret_partition) {
        Attachment *a;

        script_init(s);
        a = script_policy(s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(s, "sda", 1, UUID_X, "data");
        script_look(s);
        *ret_disk = script_kernel(s, EVENT_ADD, "sda");
        *ret_partition = script_kernel(s, EVENT_ADD, "sda1");
        s->world.udev_is_busy = true;
        return a;
}

/* A disk comes: udev tells of it early, then of its partition, and that is held back until its filter is on. */
static void test_comes(void) {
        uint64_t disk, partition;
        const Attachment *of;
        Attachment *a;
        Script s;

        a = begin(&s, &disk, &partition);
        CHECK(script_run(&s) == 0 && is_pending(&s, "sda", &of) && !of && is_pending(&s, "sda1", &of) && !of);

        early(&s, "sda", disk);
        (void) script_run(&s);
        CHECK(is_decided(&s, "sda") && !is_decided(&s, "sda1"));
        script_settle(&s);
        CHECK(!a->on_device && !is_decided(&s, "sda1"));

        early(&s, "sda1", partition);
        CHECK(script_run(&s) == 1 && is_pending(&s, "sda1", &of) && of == a);
        script_settle(&s);
        CHECK(a->on_device && is_decided(&s, "sda1"));

        /* udev tells everybody: nothing to do */
        script_udev(&s);
        CHECK(script_run(&s) == 0 && is_decided(&s, "sda1") && a->on_device);
        script_deinit(&s);
}

/*
 * Two disks come, and the filters belong on the whole of each: udev tells of their partitions only after it has let the
 * disks go, so these are not waited for. Another disk that udev has not told of yet is.
 */
static void test_whole(void) {
        uint64_t sda, sdb;
        Attachment *a, *b;
        Script s;

        script_init(&s);
        a = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_DISK_SERIAL, "A"), NULL);
        b = script_policy_of(&s, "30.conf", "bftrack", match_one(MATCH_DISK_SERIAL, "B"), NULL);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_table_1(&s, "sdb", 1, UUID_Y, "log");
        script_look(&s);
        script_device(&s, "sda")->values[MATCH_DISK_SERIAL] = "A";
        script_device(&s, "sdb")->values[MATCH_DISK_SERIAL] = "B";
        sda = script_kernel(&s, EVENT_ADD, "sda");
        sdb = script_kernel(&s, EVENT_ADD, "sdb");
        (void) script_kernel(&s, EVENT_ADD, "sda1");
        (void) script_kernel(&s, EVENT_ADD, "sdb1");
        s.world.udev_is_busy = true;

        early(&s, "sda", sda);
        script_settle(&s);
        CHECK(!a->on_device && !is_decided(&s, "sda"));

        early(&s, "sdb", sdb);
        script_pass(&s, 50000); /* a is looked at again */
        script_settle(&s);
        CHECK(a->on_device && b->on_device && is_decided(&s, "sda") && is_decided(&s, "sdb"));
        script_deinit(&s);
}

/* What nobody wants is not held back, without a policy not even before it is known. */
static void test_unwanted(void) {
        uint64_t disk, partition;
        const Attachment *of;
        Script s;

        (void) begin(&s, &disk, &partition);
        script_table_1(&s, "sda", 1, UUID_Y, "data");
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        script_settle(&s);
        CHECK(is_decided(&s, "sda1") && is_decided(&s, "sda"));
        script_deinit(&s);

        script_init(&s);
        script_look(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_plug(&s, "sda");
        CHECK(script_run(&s) == 0 && !is_pending(&s, "sda1", &of));
        script_deinit(&s);
}

/* The kernel has told more of a device while udev waits with an event of it: udev comes to that only afterwards. */
static void test_newer_event(void) {
        uint64_t disk, partition;
        Attachment *a;
        Script s;

        a = begin(&s, &disk, &partition);
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_kernel(&s, EVENT_CHANGE, "sda1");
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        script_settle(&s);
        CHECK(a->on_device && is_decided(&s, "sda1"));
        script_deinit(&s);

        /* but not of one that has come under its name since */
        a = begin(&s, &disk, &partition);
        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_kernel(&s, EVENT_ADD, "sda1");
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        CHECK(device_set_get(&s.world.devices, "sda1").partition->born_seq > partition);
        CHECK(!device_set_get(&s.world.devices, "sda1").partition->processed);
        script_deinit(&s);
}

/* Another new disk, which may be a clone, is waited for; it is heard of while udev waits with the first. */
static void test_unclear(void) {
        uint64_t disk, partition, other;
        const Attachment *of;
        Attachment *a;
        Script s;

        a = begin(&s, &disk, &partition);
        script_table(&s, "sdb", NULL, 0);
        other = script_kernel(&s, EVENT_ADD, "sdb");
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        script_settle(&s);
        CHECK(!a->on_device && is_pending(&s, "sda1", &of) && of == a);
        CHECK_HAS(a->reason, "sdb");

        early(&s, "sdb", other);
        script_pass(&s, 50000);
        script_settle(&s);
        CHECK(a->on_device && is_decided(&s, "sda1"));
        script_deinit(&s);
}

/* Doubt about what a look found ends when udev has told of each device, early. */
static void test_doubt(void) {
        uint64_t disk, partition;
        DeviceEvent e;
        Script s;

        (void) begin(&s, &disk, &partition);
        device_set_look_begin(&s.world.devices, false);
        for (int i = 0; i < 2; i++) {
                e = script_event(&s, EVENT_ENUMERATION, EVENT_ADD, i ? "sda1" : "sda", 0);
                e.in_doubt = true;
                CHECK(device_set_apply(&s.world.devices, &e) == 0);
        }
        device_set_look_end(&s.world.devices);
        CHECK(device_set_check_doubt(&s.world.devices));
        early(&s, "sda", disk);
        CHECK(device_set_check_doubt(&s.world.devices));
        early(&s, "sda1", partition);
        CHECK(!device_set_check_doubt(&s.world.devices) && !s.world.devices.in_doubt);
        script_deinit(&s);
}

/* What an attempt that failed leaves: one that is made again may go well, one that waits for somebody does not. */
static void test_outcomes(void) {
        static const struct {
                JobOutcome outcome;
                bool pending, all;
        } cases[] = {
                { JOB_OK, false, false },
                { JOB_NOT_REGISTERED, true, false },
                { JOB_FAILED, true, false },
                { JOB_LOCKED, true, true },
                { JOB_CONFLICT, false, false },
                { JOB_MISMATCH, false, false },
                { JOB_UNSUPPORTED, false, false },
                { JOB_TIMED_OUT, false, false },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t disk, partition;
                Script s;

                (void) begin(&s, &disk, &partition);
                early(&s, "sda", disk);
                early(&s, "sda1", partition);
                while (script_run(&s) > 0 && s.jobs[0].kind == JOB_SCAN)
                        script_answer(&s);
                CHECK(s.n_jobs == 1 && s.jobs[0].kind == JOB_ATTACH);
                if (cases[i].outcome == JOB_OK)
                        script_answer(&s);
                else
                        script_reply_outcome(&s, cases[i].outcome);
                (void) script_run(&s);
                if (is_decided(&s, "sda1") == cases[i].pending || world_has_pending(&s.world) != cases[i].all) {
                        fprintf(stderr, "case %zu\n", i);
                        CHECK(false);
                }
                script_deinit(&s);
        }
}

/* One that fails again and again is not hoped for for ever. */
static void test_hopeless(void) {
        uint64_t disk, partition;
        unsigned n = 0;
        Script s;

        (void) begin(&s, &disk, &partition);
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        do {
                (void) script_run(&s);
                while (s.n_jobs > 0 && s.jobs[0].kind == JOB_SCAN)
                        script_answer(&s);
                if (s.n_jobs > 0 && ++n)
                        script_reply_outcome(&s, JOB_NOT_REGISTERED);
                (void) script_run(&s);
                CHECK(is_decided(&s, "sda1") == (n > 3));
                script_pass(&s, 20 * SECOND);
        } while (n < 5);
        script_deinit(&s);
}

/* That a lock was held is no failure: the first that is one is waited for, and tried again as soon as any first. */
static void test_locked_is_no_failure(void) {
        uint64_t disk, partition;
        Attachment *a;
        Script s;

        a = begin(&s, &disk, &partition);
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        (void) script_run(&s);
        while (s.n_jobs > 0 && s.jobs[0].kind == JOB_SCAN)
                script_answer(&s);
        for (unsigned n = 1; n < 10; n++) {
                script_expect(&s, JOB_ATTACH, "sda1");
                script_reply_outcome(&s, JOB_LOCKED);
                CHECK(script_run(&s) == 0 && !is_decided(&s, "sda1"));
                CHECK(a->retry_at_usec == s.now.monotonic_usec + lock_delay_usec(n));
                script_pass(&s, lock_delay_usec(n));
        }
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_NOT_REGISTERED);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_FAILED && !is_decided(&s, "sda1"));
        CHECK(a->retry_at_usec == s.now.monotonic_usec + SECOND);

        /* nor is a lock that is held after failures asked about as rarely as those are tried again */
        a->n_failures = 100;
        script_pass(&s, SECOND);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_LOCKED);
        CHECK(a->retry_at_usec == s.now.monotonic_usec + lock_delay_usec(1));
        script_deinit(&s);
}

/* An administrator's word, another policy, another device: decided. */
static void test_decided(void) {
        uint64_t disk, partition;
        Attachment *a;
        Script s;

        a = begin(&s, &disk, &partition);
        a->held = true;
        early(&s, "sda", disk);
        early(&s, "sda1", partition);
        script_settle(&s);
        CHECK(is_decided(&s, "sda1") && !a->on_device);
        script_deinit(&s);

        /* a clone */
        a = begin(&s, &disk, &partition);
        script_table_1(&s, "sdb", 1, UUID_X, "data");
        early(&s, "sda", disk);
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_AMBIGUOUS && is_decided(&s, "sda1") && is_decided(&s, "sdb1"));
        script_deinit(&s);

        /* where an earlier daemon left it, it is asked about first */
        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_noted(&s, a, "sda1", SECOND, SECOND);
        script_look(&s);
        script_expect(&s, JOB_CHECK, "sda1");
        CHECK(!is_decided(&s, "sda1") && world_has_pending(&s.world));
        script_reply_outcome(&s, JOB_DIED);
        CHECK(script_run(&s) == 0 && !is_decided(&s, "sda1") && world_has_pending(&s.world));
        script_pass(&s, 2 * SECOND);
        script_settle(&s);
        CHECK(is_decided(&s, "sda1") && a->on_device && !world_has_pending(&s.world));
        script_deinit(&s);
}

int main(void) {
        test_comes();
        test_whole();
        test_unwanted();
        test_newer_event();
        test_unclear();
        test_doubt();
        test_outcomes();
        test_hopeless();
        test_locked_is_no_failure();
        test_decided();
        return EXIT_SUCCESS;
}
