/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan after re-reads: a filter comes back to the partition it was on, wherever that is now,
 * and to nothing else; gaps say when it was away; disks that are locked, unreadable or stuck.
 */

#undef NDEBUG

#include "tests/script-run.h"

static void check_gap(const Attachment *a, uint64_t n, const char *reason, uint64_t begin_usec, uint64_t end_usec) {
        const Gap *g = &a->gaps[a->n_gaps_kept - 1];

        CHECK(a->n_gaps == n);
        CHECK_STR(g->reason, reason);
        CHECK(g->begin_usec == begin_usec && g->end_usec == end_usec);
}

/* The order of things in plan.h: back before udev has said a word. */
static void test_reread(void) {
        Script s;
        Attachment *a = script_begin(&s);

        for (uint64_t i = 1; i <= 20; i++) {
                uint64_t begin;

                script_pass(&s, SECOND);
                begin = s.now.realtime_usec;
                script_reread(&s, "sda");
                a->changed = 0;
                script_expect(&s, JOB_SCAN, "sda");
                CHECK(a->state == ATTACHMENT_WAITING && !a->on_device && a->intact_since_usec == 0 && a->n_gaps == i);
                CHECK(a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_RECORD);
                CHECK(a->gaps[a->n_gaps_kept - 1].end_usec == 0);

                script_pass(&s, 20000);
                script_answer(&s);
                script_expect(&s, JOB_ATTACH, "sda1");
                script_answer(&s);
                CHECK(script_run(&s) == 0);
                CHECK(a->state == ATTACHMENT_ATTACHED && a->n_attached == i + 1);
                CHECK(a->changed & ATTACHMENT_CHANGED_BACK);
                CHECK(a->intact_since_usec == s.now.realtime_usec);
                check_gap(a, i, "rescan", begin, s.now.realtime_usec);

                /* udev's words are no news */
                a->changed = 0;
                while (s.n_udev > 0) {
                        script_udev_next(&s);
                        CHECK(script_run(&s) == 0);
                }
                CHECK(a->changed == 0 && a->n_gaps == i);
        }
        script_deinit(&s);
}

/* Run between any two events, answered or not: the same end. */
static void test_reread_in_steps(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_HAS(a->reason, "entry 1 of /dev/sda has the identity, but the kernel has no such partition");

        script_kernel(&s, EVENT_CHANGE, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        CHECK_STR(a->reason, "the partition table of /dev/sda is being read");

        /* the scan began before the partition came: it is not the last word */
        script_kernel(&s, EVENT_ADD, "sda1");
        script_answer(&s);
        CHECK(device_set_get_disk(&s.world.devices, "sda")->dirty);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1);
        script_deinit(&s);
}

/*
 * A scan that is begun at the first event waits until the kernel is done. That it read the table behind all of the
 * events is known by their number; then nothing has to be read once more. What else has come to be known has no number.
 */
static void test_reread_in_one_scan(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_expect(&s, JOB_SCAN, "sda");
        script_kernel(&s, EVENT_CHANGE, "sda");
        s.as_of = script_kernel(&s, EVENT_ADD, "sda1");
        script_answer(&s);
        CHECK(!device_set_get_disk(&s.world.devices, "sda")->dirty);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1);

        /* read before the last event */
        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_expect(&s, JOB_SCAN, "sda");
        s.as_of = script_kernel(&s, EVENT_CHANGE, "sda");
        script_kernel(&s, EVENT_ADD, "sda1");
        script_answer(&s);
        CHECK(device_set_get_disk(&s.world.devices, "sda")->dirty);
        script_expect(&s, JOB_SCAN, "sda");
        s.as_of = s.seqnum;
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_ATTACHED && a->n_gaps == 2);

        /* a look has found what no event told of, with a number that is high enough */
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_expect(&s, JOB_SCAN, "sda");
        script_silent_add(&s, "sda1");
        script_look(&s);
        s.as_of = s.seqnum;
        script_answer(&s);
        CHECK(device_set_get_disk(&s.world.devices, "sda")->dirty);
        script_deinit(&s);
}

/* The same place, number and size, another UUID: nothing is attached, before and after udev. */
static void test_other_uuid(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_table_1(&s, "sda", 1, UUID_Y, "data");
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_WAITING && !a->on_device);
        while (s.n_udev > 0) {
                script_udev_next(&s);
                CHECK(script_run(&s) == 0);
        }
        CHECK(a->state == ATTACHMENT_WAITING && a->gaps[0].end_usec == 0);

        /* and back: it is the same gap */
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1 && a->gaps[0].end_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* The label is part of the demand: a partition that was renamed is another one. */
static void test_other_label(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "data");
        script_look(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);

        script_table_1(&s, "sda", 1, UUID_X, "other");
        script_reread(&s, "sda");
        script_settle(&s);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_WAITING && !a->on_device);
        script_deinit(&s);
}

static void test_moved_number(void) {
        const Entry entries[] = { entry_of(1, UUID_Y, ""), entry_of(3, UUID_X, "data") };
        Script s;
        Attachment *a = script_begin(&s);

        script_table(&s, "sda", entries, 2);
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda3");
        script_answer(&s);
        CHECK(script_run(&s) == 0);
        CHECK_STR(a->device, "sda3");
        CHECK(a->fingerprint.entry->partno == 3);
        check_gap(a, 1, "rescan", s.now.realtime_usec, s.now.realtime_usec);
        script_deinit(&s);
}

/* Partitions of the disk come and go (partx, parted); what stays keeps its filter. */
static void test_others_change(void) {
        const Entry entries[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, "") };
        Script s;
        Attachment *a = script_begin(&s);

        script_table(&s, "sda", entries, 2);
        script_kernel(&s, EVENT_ADD, "sda2");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        script_kernel(&s, EVENT_REMOVE, "sda2");
        script_kernel(&s, EVENT_CHANGE, "sda");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        CHECK(a->on_device && a->n_gaps == 0 && a->n_attached == 1);
        script_deinit(&s);
}

/* Removed by number (partx -d): in the table it still is. Added again (partx -a): attached. */
static void test_only_kernel_forgets(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_settle(&s);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_HAS(a->reason, "blockdev --rereadpt");
        script_kernel(&s, EVENT_ADD, "sda1");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1);
        script_deinit(&s);
}

static void test_replug(void) {
        uint64_t begin;
        Script s;
        Attachment *a = script_begin(&s);

        begin = s.now.realtime_usec;
        script_unplug(&s, "sda");
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_WAITING && a->n_gaps == 1);
        script_udev(&s);
        script_pass(&s, 60 * SECOND);

        script_table_1(&s, "sdc", 1, UUID_X, "data");
        script_plug(&s, "sdc");
        CHECK(script_run(&s) == 0); /* nobody has said yet what it holds */
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->device, "sdc1");
        CHECK(a->fingerprint.disk->diskseq == 2);
        check_gap(a, 1, "removed", begin, s.now.realtime_usec);
        script_deinit(&s);
}

/* The same name again, but another disk (new diskseq), holding what was there before. */
static void test_replug_same_name(void) {
        uint64_t begin;
        Script s;
        Attachment *a = script_begin(&s);

        begin = s.now.realtime_usec;
        script_unplug(&s, "sda");
        script_plug(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        check_gap(a, 1, "removed", begin, s.now.realtime_usec);
        script_deinit(&s);
}

/* Even a disk that is expected is not opened before udev has called it ready. */
static void test_replug_unready(void) {
        Script s;
        Attachment *a = script_begin(&s);
        DiskPrint disk;

        script_unplug(&s, "sda");
        disk = *a->fingerprint.disk;
        disk.diskseq = s.last_diskseq + 1; /* as if it could not be told from the last one */
        CHECK(fingerprint_set_disk(&a->fingerprint, &disk) == 0);
        script_plug(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev_next(&s);
        script_udev_next(&s);
        CHECK(script_run(&s) == 0);
        script_udev_next(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_deinit(&s);
}

/* A medium changed under a name: the change of the disk tells by its new diskseq. */
static void test_medium_changed(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_disk(&s, "sda")->diskseq = ++s.last_diskseq;
        script_kernel(&s, EVENT_CHANGE, "sda");
        CHECK(script_run(&s) == 0 && !a->on_device && a->n_gaps == 1);
        CHECK(!device_set_get(&s.world.devices, "sda1").disk);
        script_deinit(&s);
}

/* Events were lost: everything is told again, what is gone is gone. */
static void test_lost_events(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_device(&s, "sda1")->present = false;
        script_look(&s);
        script_settle(&s);
        CHECK(!a->on_device && a->n_gaps == 1 && a->state == ATTACHMENT_WAITING);

        script_silent_add(&s, "sda1");
        script_look(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1 && a->n_attached == 2);

        /* a whole re-read between two looks: the same name and number, and yet another partition */
        script_silent_add(&s, "sda1");
        script_look(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 2 && a->n_attached == 3);

        /* and nothing happened between these */
        script_look(&s);
        script_settle(&s);
        CHECK(a->n_gaps == 2 && a->n_attached == 3);

        script_device(&s, "sda")->present = script_device(&s, "sda1")->present = false;
        script_look(&s);
        script_settle(&s);
        CHECK(!a->on_device && a->n_gaps == 3 && s.world.devices.n_disks == 0);
        script_deinit(&s);
}

/* Registered anew, and the same object of the kernel: the filter never was away. */
static void test_registered_anew(void) {
        Script s;
        Attachment *a = script_begin(&s);
        uint64_t uid = a->device_uid;
        DeviceEvent e = script_event(&s, EVENT_KERNEL, EVENT_ADD, "sda1", ++s.seqnum);

        e.object = 0; /* its folder could not be looked at */
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        script_look(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->n_gaps == 0 && a->device_uid != uid);
        CHECK(device_set_get_by_uid(&s.world.devices, a->device_uid).partition);
        CHECK_STR(a->device, "sda1");
        script_deinit(&s);
}

/* A scan that fails is made again, ever more rarely, and again at once when something happens. */
static void test_scan_fails_one(JobOutcome outcome, const char *message, uint64_t delay_usec, const char *reason) {
        JobReply reply = { .outcome = outcome };
        Script s;
        Attachment *a = script_begin(&s);

        (void) str_copy(reply.message, sizeof(reply.message), message);
        script_reread(&s, "sda");

        for (uint64_t i = 0; i < 14; i++) {
                script_expect(&s, JOB_SCAN, "sda");
                script_reply(&s, &reply);
                CHECK(script_run(&s) == 0);
                CHECK(a->state == ATTACHMENT_WAITING);
                CHECK_HAS(a->reason, reason);
                CHECK(s.wake_at_usec == s.now.monotonic_usec +
                      (outcome == JOB_LOCKED ? lock_delay_usec(i + 1) : retry_delay_usec(delay_usec, i + 1)));

                /* udev catching up does not make up for it */
                script_udev(&s);
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec - 1);
                CHECK(script_run(&s) == 0);
                script_pass(&s, 1);
        }

        script_expect(&s, JOB_SCAN, "sda");
        script_reply(&s, &reply);
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_reply(&s, &reply);
        CHECK(script_run(&s) == 0 && s.wake_at_usec == s.now.monotonic_usec + delay_usec);

        script_pass(&s, delay_usec);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1);
        script_deinit(&s);
}

static void test_scan_fails(void) {
        char longest[JOB_MESSAGE_SIZE];

        memset(longest, 'x', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = 0;
        test_scan_fails_one(JOB_LOCKED, "", 2000, "cannot be read: another program holds its lock");
        test_scan_fails_one(JOB_UNREADABLE, "sector 0: I/O error", 500000, "cannot be read: sector 0: I/O error");
        test_scan_fails_one(JOB_UNREADABLE, longest, 500000, longest);
        test_scan_fails_one(JOB_GONE, "", 500000, "did not say why");
        test_scan_fails_one(JOB_DIED, "the worker ended", 500000, "the worker ended");

        /* "done" and no table */
        test_scan_fails_one(JOB_OK, "", 500000, "did not say why");
}

/* A disk that does not answer holds up itself and nobody else. */
static void test_stuck_scan(void) {
        JobReply reply = { .outcome = JOB_OK };
        JobRequest stuck;
        Attachment *x, *y;
        Script s;

        x = script_begin(&s);
        y = script_policy(&s, "30-other.conf", "bftrack", UUID_Y, "");
        script_table_1(&s, "sdb", 1, UUID_Y, "");
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        stuck = s.jobs[0];
        script_reply_outcome(&s, JOB_TIMED_OUT);
        CHECK(script_run(&s) == 0 && x->state == ATTACHMENT_STUCK);
        CHECK_HAS(x->reason, "/dev/sda");

        /* nothing is begun on it, whatever happens; others go on */
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_plug(&s, "sdb");
        script_udev(&s);
        s.n_jobs = 0;
        script_settle(&s);
        CHECK(y->state == ATTACHMENT_ATTACHED && x->state == ATTACHMENT_STUCK);

        /* it answers after all */
        reply.id = stuck.id;
        reply_table(&s, &stuck, &reply);
        world_job_done(&s.world, &stuck, &reply, &s.now);
        script_settle(&s);
        CHECK(x->state == ATTACHMENT_ATTACHED && !device_set_get_disk(&s.world.devices, "sda")->stuck);
        script_deinit(&s);
}

static Attachment *begin_stuck_attach(Script *s) {
        Attachment *a = script_begin(s);

        script_reread(s, "sda");
        script_expect(s, JOB_SCAN, "sda");
        script_answer(s);
        script_expect(s, JOB_ATTACH, "sda1");
        script_reply_outcome(s, JOB_TIMED_OUT);
        CHECK(script_run(s) == 0 && a->state == ATTACHMENT_STUCK && a->job != 0);
        CHECK_HAS(a->reason, "/dev/sda1 does not answer");
        return a;
}

static void test_stuck_attach_late(void) {
        Script s;
        Attachment *a = begin_stuck_attach(&s);

        script_pass(&s, 100 * SECOND);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1);
        CHECK(a->gaps[0].end_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* The stuck disk is pulled; the partition is found on another one; then the old job ends. */
static void test_stuck_attach_unplugged(void) {
        JobReply reply = { .outcome = JOB_OK };
        JobRequest stuck;
        Script s;
        Attachment *a = begin_stuck_attach(&s);

        stuck = s.jobs[0];
        s.n_jobs = 0;
        script_unplug(&s, "sda");
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_WAITING && a->job == 0);

        script_table_1(&s, "sdb", 1, UUID_X, "data");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->device, "sdb1");

        reply.id = stuck.id;
        reply_table(&s, &stuck, &reply);
        world_job_done(&s.world, &stuck, &reply, &s.now);
        CHECK(script_run(&s) == 0 && a->on_device);
        CHECK_STR(a->device, "sdb1");
        CHECK_STR(a->fingerprint.disk->name, "sdb");
        script_deinit(&s);
}

int main(void) {
        test_reread();
        test_reread_in_steps();
        test_reread_in_one_scan();
        test_other_uuid();
        test_other_label();
        test_moved_number();
        test_others_change();
        test_only_kernel_forgets();
        test_replug();
        test_replug_same_name();
        test_replug_unready();
        test_medium_changed();
        test_lost_events();
        test_registered_anew();
        test_scan_fails();
        test_stuck_scan();
        test_stuck_attach_late();
        test_stuck_attach_unplugged();
        return EXIT_SUCCESS;
}
