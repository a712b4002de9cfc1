/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* New disks, of which udev has not told yet: they may be clones of what is to be attached for the first time. */

#undef NDEBUG

#include "tests/script-run.h"

/* At boot udev has told of one clone, and not yet of the other: nobody gets the filter by chance. */
static void test_unclear(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_table_1(&s, "sdb", 2, UUID_X, "");
        script_look(&s);
        s.world.udev_is_busy = true;
        script_plug(&s, "sda");
        script_udev(&s);
        script_plug(&s, "sdb");
        script_settle(&s);
        CHECK(!a->on_device && a->state == ATTACHMENT_WAITING && s.n_jobs == 0);
        CHECK_HAS(a->reason, "/dev/sdb is new too");
        CHECK(s.wake_at_usec > s.now.monotonic_usec && s.wake_at_usec < s.now.monotonic_usec + SECOND);

        script_udev(&s);
        script_settle(&s);
        CHECK(!a->on_device && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda1 and /dev/sdb2");
        script_deinit(&s);
}

/*
 * Two disks are unclear. When one is known the other is waited for, and when that is, or has gone, nobody waits for
 * time to pass.
 */
static void test_unclear_both_one(bool goes) {
        Attachment *a;
        Script s;

        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_table_1(&s, "sdb", 1, UUID_Y, "");
        script_table_1(&s, "sdc", 1, UUID_Z, "");
        script_look(&s);
        s.world.udev_is_busy = true;
        script_plug(&s, "sda");
        script_udev(&s);
        script_plug(&s, "sdb");
        script_plug(&s, "sdc");
        script_settle(&s);
        CHECK(!a->on_device && a->awaits_disk);

        script_udev_next(&s);
        script_udev_next(&s);
        CHECK(script_run(&s) == 0 && a->awaits_disk);
        if (goes)
                script_unplug(&s, "sdc");
        else
                script_udev(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_deinit(&s);
}

static void test_unclear_both(void) {
        test_unclear_both_one(false);
        test_unclear_both_one(true);
}

/* One disk that udev never gets done with holds up the others for some seconds, not for ever. */
static void test_unclear_for_long(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_look(&s);
        s.world.udev_is_busy = true;
        script_plug(&s, "sda");
        script_udev(&s);
        script_kernel(&s, EVENT_ADD, "sdd");
        script_settle(&s);
        CHECK(!a->on_device && a->state == ATTACHMENT_WAITING);
        script_pass(&s, 6 * SECOND);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);

        /* and where udev is idle nothing is to be waited for */
        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_look(&s);
        script_plug(&s, "sda");
        script_udev(&s);
        script_kernel(&s, EVENT_ADD, "sdd");
        script_settle(&s);
        CHECK(a->on_device);

        /* what comes back to where it was does not wait for anybody */
        s.world.udev_is_busy = true;
        script_kernel(&s, EVENT_ADD, "sdc");
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->on_device && a->n_attached == 2);
        script_deinit(&s);
}

/*
 * udev has told of sda, and holds sda1 back; the events of sdb, with these entries, are queued behind that. A moment
 * later. The attachment, which waits.
 */
static Attachment *held_up(Script *s, Match *m, const Entry *entries, size_t n_entries) {
        const Entry own[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Z, "") };
        Attachment *a;

        script_init(s);
        a = script_policy_of(s, "20-data.conf", "bftrack", m, NULL);
        script_table(s, "sda", own, 2);
        script_device(s, "sda1")->values[MATCH_FS_UUID] = "1111-1111";
        script_table(s, "sdb", entries, n_entries);
        script_look(s);
        s->world.udev_is_busy = true;
        script_plug(s, "sda");
        script_udev(s);
        script_plug(s, "sdb");
        script_settle(s);
        CHECK(!a->on_device && a->state == ATTACHMENT_WAITING && s->n_jobs == 0);
        CHECK_HAS(a->reason, "/dev/sdb is new too");
        script_pass(s, SECOND / 2);
        return a;
}

/* Its table is read, and there is no clone in it. */
static void test_read(void) {
        const Entry other = entry_of(1, UUID_Y, "");
        Script s;
        Attachment *a = held_up(&s, match_of(UUID_X, ""), &other, 1);

        script_expect(&s, JOB_SCAN, "sdb");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device);
        CHECK(!disk_is_unclear(device_set_get_disk(&s.world.devices, "sdb")));
        script_udev(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->n_attached == 1);
        script_deinit(&s);
}

/* Its table has the clone. Until udev has told it may be a disk to be left alone; it is not attached to meanwhile. */
static void test_read_clone(void) {
        const Entry clone = entry_of(2, UUID_X, "");
        Script s;
        Attachment *a = held_up(&s, match_of(UUID_X, ""), &clone, 1);

        script_expect(&s, JOB_SCAN, "sdb");
        script_answer(&s);
        for (unsigned i = 0; i < 20; i++) {
                CHECK(script_run(&s) == 0 && !a->on_device && a->state == ATTACHMENT_WAITING);
                CHECK_HAS(a->reason, "/dev/sdb");
                script_pass(&s, SECOND);
        }

        script_udev(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda1 and /dev/sdb2");
        script_deinit(&s);
}

/* The one that is wanted is on it, and nobody else has it: before udev has told of the disk it is not touched. */
static void test_read_wanted(void) {
        const Entry wanted = entry_of(1, UUID_Y, "");
        Script s;
        Attachment *a, *b;

        (void) held_up(&s, match_of(UUID_X, ""), &wanted, 1);
        b = script_policy(&s, "30-other.conf", "bftrack", UUID_Y, "");
        script_settle(&s);
        a = s.world.attachments.items[0] == b ? s.world.attachments.items[1] : s.world.attachments.items[0];
        CHECK(a->on_device && !b->on_device && b->state == ATTACHMENT_WAITING);
        script_udev(&s);
        script_settle(&s);
        CHECK(b->on_device);
        CHECK_STR(b->device, "sdb1");
        script_deinit(&s);
}

/* What is in its file systems no table tells: for that udev is waited for, as long as for one that never comes. */
static void test_not_read_for_fs(void) {
        const Entry other = entry_of(1, UUID_Y, "");
        Script s;
        Attachment *a = held_up(&s, match_one(MATCH_FS_UUID, "1111-1111"), &other, 1);

        CHECK(script_run(&s) == 0 && !a->on_device);
        CHECK_HAS(a->reason, "/dev/sdb is new too");
        script_pass(&s, 6 * SECOND);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

/* A table that another one's attachment has had read says nothing of file systems either. */
static void test_read_for_another(void) {
        const Entry other = entry_of(1, UUID_Y, "");
        Script s;
        Attachment *a = held_up(&s, match_one(MATCH_FS_UUID, "1111-1111"), &other, 1), *b;

        script_device(&s, "sdb1")->values[MATCH_FS_UUID] = "1111-1111";
        b = script_wish(&s, "bfcount", UUID_Z);
        b->asked_now = true;
        script_expect(&s, JOB_SCAN, "sdb");
        script_answer(&s);
        script_settle(&s);
        CHECK(!a->on_device && a->state == ATTACHMENT_WAITING);
        script_udev(&s);
        script_settle(&s);
        CHECK(!a->on_device && a->state == ATTACHMENT_AMBIGUOUS);
        script_deinit(&s);
}

/* Where the kernel has no partition there is none to be attached to by mistake, and nothing is opened. */
static void test_no_partitions(void) {
        Script s;
        Attachment *a = held_up(&s, match_of(UUID_X, ""), NULL, 0);

        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

/* A table that cannot be read is not read again and again, and does not hold up the others for ever. */
static void test_unreadable(void) {
        const Entry other = entry_of(1, UUID_Y, "");
        Script s;
        Attachment *a = held_up(&s, match_of(UUID_X, ""), &other, 1);

        script_expect(&s, JOB_SCAN, "sdb");
        script_reply_outcome(&s, JOB_UNREADABLE);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_pass(&s, 6 * SECOND);
        CHECK(script_run(&s) == 2); /* it is tried again, and that keeps nobody from anything */
        script_reply_outcome(&s, s.jobs[0].kind == JOB_SCAN ? JOB_UNREADABLE : JOB_OK);
        script_answer(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

int main(void) {
        test_unclear();
        test_unclear_both();
        test_unclear_for_long();
        test_read();
        test_read_clone();
        test_read_wanted();
        test_not_read_for_fs();
        test_read_for_another();
        test_no_partitions();
        test_unreadable();
        return 0;
}
