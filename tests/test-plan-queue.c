/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Several attachments of one disk, which has one job at a time: those that wait for its end. */

#undef NDEBUG

#include "tests/script-run.h"

#define N 3

static const char *const uuids[N] = { UUID_X, UUID_Y, UUID_Z };

/*
 * A disk that comes with N partitions, each wanted by a policy of its own: its table has been read, and the first
 * filter is being put on.
 */
static void begin(Script *s, Attachment *ret[static N]) {
        Entry table[N];

        script_init(s);
        for (unsigned i = 0; i < N; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "%u0.conf", i + 1);
                table[i] = entry_of(i + 1, uuids[i], "");
                ret[i] = script_policy(s, name, "bftrack", uuids[i], "");
        }
        script_table(s, "sda", table, N);
        script_look(s);
        script_plug(s, "sda");
        script_udev(s);
        script_expect(s, JOB_SCAN, "sda");
        script_answer(s);
        script_expect(s, JOB_ATTACH, "sda1");
}

/* In the order of their numbers; the table is told once. */
static void test_order(void) {
        static const char *const names[N] = { "sda1", "sda2", "sda3" };
        Attachment *a[N];
        Script s;

        begin(&s, a);
        for (unsigned i = 0; i < N; i++) {
                if (i > 0)
                        script_expect(&s, JOB_ATTACH, names[i]);
                CHECK(s.jobs[0].known_table == device_set_get_disk(&s.world.devices, "sda")->table_job);
                CHECK(s.jobs[0].known_table);
                for (unsigned k = i + 1; k < N; k++)
                        CHECK(a[k]->awaits_job == device_set_get_disk(&s.world.devices, "sda")->uid && a[k]->pending);
                script_answer(&s);
        }

        CHECK(script_run(&s) == 0);
        for (unsigned i = 0; i < N; i++)
                CHECK(a[i]->on_device && !a[i]->awaits_job);
        script_deinit(&s);
}

/* Something happens to who waits: that counts when the job has ended. */
static void test_changed_meanwhile(void) {
        Attachment *a[N];
        Script s;

        begin(&s, a);

        a[1]->held = true;
        world_touch_rivals(&s.world, a[1]);
        CHECK(script_run(&s) == 0 && a[1]->state == ATTACHMENT_DETACHED && !a[1]->awaits_job);
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda3");

        /* a clone of who waits */
        a[1]->held = false;
        world_touch_rivals(&s.world, a[1]);
        CHECK(script_run(&s) == 0 && a[1]->awaits_job);
        script_table_1(&s, "sdb", 2, UUID_Y, "");
        script_plug(&s, "sdb");
        script_udev(&s);
        while (script_run(&s) > 0 || s.n_jobs > 0)
                script_answer(&s);
        CHECK(a[0]->on_device && a[2]->on_device);
        CHECK(!a[1]->on_device && a[1]->state == ATTACHMENT_AMBIGUOUS);
        script_deinit(&s);
}

/* The partition of who waits goes, or all of the disk. */
static void test_gone_meanwhile(void) {
        for (int i = 0; i < 2; i++) {
                Attachment *a[N];
                Script s;

                begin(&s, a);

                script_kernel(&s, EVENT_REMOVE, "sda2");
                if (i > 0) {
                        script_kernel(&s, EVENT_REMOVE, "sda1");
                        script_kernel(&s, EVENT_REMOVE, "sda3");
                        script_kernel(&s, EVENT_REMOVE, "sda");
                }
                while (script_run(&s) > 0 || s.n_jobs > 0)
                        script_answer(&s);
                CHECK(a[0]->on_device == (i == 0) && a[2]->on_device == (i == 0));
                CHECK(!a[1]->on_device && a[1]->state == ATTACHMENT_WAITING && !a[1]->awaits_job);
                script_deinit(&s);
        }
}

/* The worker does not answer: who waits says so, and is attached when it has. */
static void test_stuck(void) {
        Attachment *a[N];
        Script s;

        begin(&s, a);
        script_reply_outcome(&s, JOB_TIMED_OUT);
        CHECK(script_run(&s) == 0);
        for (unsigned i = 0; i < N; i++)
                CHECK(a[i]->state == ATTACHMENT_STUCK);
        script_settle(&s);
        for (unsigned i = 0; i < N; i++)
                CHECK(a[i]->on_device);
        script_deinit(&s);
}

/* What udev says of an entry since the table was told makes that another one. */
static void test_told_by_udev(void) {
        Attachment *a[N];
        Script s;

        begin(&s, a);
        script_settle(&s);
        CHECK(device_set_get_disk(&s.world.devices, "sda")->table_job);

        script_device(&s, "sda1")->filter[0] = 0;
        s.disks[0].entries[0] = entry_of(1, UUID_X, "new");
        script_kernel(&s, EVENT_CHANGE, "sda1");
        script_udev(&s);
        CHECK(!device_set_get_disk(&s.world.devices, "sda")->table_job);
        script_settle(&s);
        CHECK_STR(disk_get_entry(device_set_get_disk(&s.world.devices, "sda"), 1)->label, "new");
        script_deinit(&s);
}

/* So it is with what udev says of the table's own id. */
static void test_table_told_by_udev(void) {
        Attachment *a[N];
        Script s;

        begin(&s, a);
        script_settle(&s);
        CHECK(device_set_get_disk(&s.world.devices, "sda")->table_job);

        script_device(&s, "sda")->values[MATCH_PT_UUID] = UUID_X;
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_udev(&s);
        CHECK_STR(device_set_get_disk(&s.world.devices, "sda")->pt_uuid, UUID_X);
        CHECK(!device_set_get_disk(&s.world.devices, "sda")->table_job);
        script_deinit(&s);
}

int main(void) {
        test_order();
        test_changed_meanwhile();
        test_gone_meanwhile();
        test_stuck();
        test_told_by_udev();
        test_table_told_by_udev();
        return EXIT_SUCCESS;
}
