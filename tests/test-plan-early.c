/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Disks that udev takes long to tell of: workers read what is on them, and rule out that they are parts of others. */

#undef NDEBUG

#include "tests/script-run.h"

#define OVERDUE_USEC UINT64_C(300000)

/* sda comes, with these settings of the policy for UUID_X on it, and udev says nothing of it. The attachment. */
static Attachment *plug(Script *s, Match *m, Settings *settings, bool unowned) {
        const Entry entries[] = { entry_of(1, UUID_Y, ""), entry_of(2, UUID_X, "data") };
        Attachment *a;

        script_init(s);
        a = script_policy_of(s, "20-data.conf", "bftrack", m, settings);
        script_table(s, "sda", entries, 2);
        script_disk(s, "sda")->unowned = unowned;
        script_device(s, "sda")->values[MATCH_DISK_WWN] = "0x5000";
        script_device(s, "sda")->values[MATCH_DISK_SERIAL] = "S1";
        script_look(s);
        s->world.udev_is_busy = true;
        script_plug(s, "sda");
        return a;
}

/* It is asked for what it contains when udev is late, not before. */
static void expect_scan(Script *s) {
        CHECK(script_run(s) == 0 && s->wake_at_usec == s->now.monotonic_usec + OVERDUE_USEC);
        script_pass(s, OVERDUE_USEC - 1);
        CHECK(script_run(s) == 0);
        script_pass(s, 1);
        script_expect(s, JOB_SCAN, "sda");
        CHECK(s->jobs[0].ask_unowned);
}

static void test_early(void) {
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, "data"), NULL, true);

        expect_scan(&s);
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda2");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->device, "sda2");
        CHECK(!a->fingerprint.disk->wwn[0] && !a->fingerprint.disk->serial[0]);

        /* what udev says then of the disk is noted, and changes nothing */
        a->changed = 0;
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_attached == 1 && a->n_gaps == 0 && a->changed & ATTACHMENT_CHANGED_RECORD &&
              a->changed & ATTACHMENT_CHANGED_PRINT);
        CHECK_STR(a->fingerprint.disk->wwn, "0x5000");
        CHECK_STR(a->fingerprint.disk->serial, "S1");

        a->changed = 0;
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_udev(&s);
        script_settle(&s);
        CHECK(!(a->changed & ATTACHMENT_CHANGED_RECORD));
        script_deinit(&s);
}

/* The first of two that wait: its worker tells the table anew, and nothing of owners. The other is attached too. */
static void test_both(void) {
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, ""), NULL, true), *b;

        b = script_policy(&s, "30-more.conf", "bfcount", UUID_Y, "");
        expect_scan(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 1 && s.jobs[0].kind == JOB_ATTACH);
        script_disk(&s, "sda")->told_by = 0;
        script_answer(&s);
        script_settle(&s);
        CHECK(a->on_device && b->on_device);
        script_deinit(&s);
}

/* What may be a part of another device is left alone until udev has told; so is what udev has to tell more of. */
static void test_not_early_one(Match *m, Settings *settings, bool unowned) {
        Script s;
        Attachment *a = plug(&s, m, settings, unowned);

        if (settings) { /* it was on another disk before */
                fingerprint_deinit(&a->fingerprint);
                a->has_fingerprint = true;
                CHECK(fingerprint_set_disk(&a->fingerprint, &(DiskPrint) { .serial = "S1" }) == 0);
        }

        expect_scan(&s);
        script_answer(&s);
        for (unsigned i = 0; i < 20; i++) {
                CHECK(script_run(&s) == 0 && !a->on_device && a->state == ATTACHMENT_WAITING);
                script_pass(&s, SECOND);
        }
        CHECK(a->pending);
        CHECK_HAS(a->reason, "udev has not said yet what /dev/sda contains");

        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_attached == 1);
        CHECK_STR(a->device, "sda2");
        script_deinit(&s);
}

static void test_not_early(void) {
        const Term of_disk[] = { { .key = MATCH_PART_UUID, .value = UUID_X },
                                 { .key = MATCH_DISK_SERIAL, .value = "other", .negated = true } };
        Settings *settings;
        Match *m;

        test_not_early_one(match_of(UUID_X, ""), NULL, false);

        CHECK(match_new(of_disk, 2, &m) == 0);
        test_not_early_one(m, NULL, true);

        CHECK(settings_new(&settings) == 0);
        settings->refuse_change = true;
        test_not_early_one(match_of(UUID_X, ""), settings, true);
}

/* Who comes first on a disk of that serial number, or holds the filter off it, does so before udev has told it, too. */
static void test_order(void) {
        const Term of_disk[] = { { .key = MATCH_PART_UUID, .value = UUID_X },
                                 { .key = MATCH_DISK_SERIAL, .value = "S1" } };
        Attachment *a, *b;
        Match *m;
        Script s;

        for (unsigned held = 0; held < 2; held++) {
                CHECK(match_new(of_disk, 2, &m) == 0);
                b = plug(&s, m, NULL, true);
                b->held = held;
                a = script_policy(&s, "30-more.conf", held ? "bftrack" : "bfcount", UUID_X, "");
                expect_scan(&s);
                script_answer(&s);
                CHECK(script_run(&s) == 0 && !a->on_device && a->state == ATTACHMENT_WAITING);
                script_udev(&s);
                script_settle(&s);
                CHECK(!a->on_device && a->state == (held ? ATTACHMENT_DETACHED : ATTACHMENT_CONFLICT));
                CHECK(b->on_device == !held);
                script_deinit(&s);
        }
}

/* One that is a part of another device, as udev says in the end. */
static void test_ignored(void) {
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, ""), NULL, false);

        script_disk(&s, "sda")->ignored = "it is a path of a multipath device";
        expect_scan(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        script_settle(&s);
        CHECK(!a->on_device);
        CHECK_HAS(a->reason, "multipath");
        script_deinit(&s);

        /* and says while a worker rules it out: udev has the last word */
        a = plug(&s, match_of(UUID_X, ""), NULL, true);
        script_disk(&s, "sda")->ignored = "it is a path of a multipath device";
        expect_scan(&s);
        script_udev(&s);
        script_answer(&s);
        script_settle(&s);
        CHECK(!a->on_device);
        script_deinit(&s);
}

/* One that udev has called not ready: what it says of it after the next event is waited for. */
static void test_unready(void) {
        DeviceEvent e;
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, ""), NULL, true);

        script_disk(&s, "sda")->unready = true;
        script_udev(&s);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_kernel(&s, EVENT_CHANGE, "sda");
        CHECK(script_run(&s) == 0);
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_disk(&s, "sda")->unready = false;
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);

        /* after a worker has ruled out that it is a part of another one, too */
        a = plug(&s, match_of(UUID_X, ""), NULL, true);
        script_disk(&s, "sda")->unready = true;
        expect_scan(&s);
        script_udev(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_deinit(&s);

        /* and where that is in its database only, which a look while it is busy does not believe */
        a = plug(&s, match_of(UUID_X, ""), NULL, true);
        script_disk(&s, "sda")->unready = true;
        e = script_event(&s, EVENT_ENUMERATION, EVENT_ADD, "sda", 0);
        e.in_doubt = true;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        CHECK(script_run(&s) == 0);
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_deinit(&s);
}

/* What udev says of an event before the newest, of which it has not told yet: it leaves the disk alone, or calls it not
 * ready. */
static void test_late_word_one(const char *ignored, bool unready) {
        Script s;
        Attachment *a;

        a = plug(&s, match_of(UUID_X, ""), NULL, true);
        script_disk(&s, "sda")->ignored = ignored;
        script_disk(&s, "sda")->unready = unready;
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_udev_next(&s);
        CHECK(script_run(&s) == 0);
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0 && !a->on_device);

        script_disk(&s, "sda")->ignored = NULL;
        script_disk(&s, "sda")->unready = false;
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

static void test_late_word(void) {
        Attachment *a;
        Script s;

        test_late_word_one("it is a path of a multipath device", false);
        test_late_word_one(NULL, true);

        /* nothing of the kind: it is read still, as udev may take long again */
        a = plug(&s, match_of(UUID_X, ""), NULL, true);
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_udev_next(&s);
        expect_scan(&s);
        script_answer(&s);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);

        /* nor is a word on what had the name before */
        a = plug(&s, match_of(UUID_X, ""), NULL, true);
        script_disk(&s, "sda")->unready = true;
        script_unplug(&s, "sda");
        script_plug(&s, "sda");
        script_udev_next(&s);
        script_disk(&s, "sda")->unready = false;
        expect_scan(&s);
        script_answer(&s);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

/* The kernel tells of the disk while a filter is put on: the worker has read the table since, and ruled out nothing. */
static void test_told_while_attaching(void) {
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, ""), NULL, true), *b;

        b = script_policy(&s, "30-more.conf", "bfcount", UUID_Y, "");
        expect_scan(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 1 && s.jobs[0].kind == JOB_ATTACH);
        s.as_of = script_kernel(&s, EVENT_CHANGE, "sda");
        script_disk(&s, "sda")->unowned = false;
        script_disk(&s, "sda")->told_by = 0;
        script_answer(&s);
        for (unsigned i = 0; i < 10; i++) {
                (void) script_run(&s);
                for (; s.n_jobs > 0; script_answer(&s))
                        CHECK(s.jobs[0].kind != JOB_ATTACH);
                script_pass(&s, SECOND);
        }
        CHECK(a->on_device != b->on_device);

        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && b->on_device);
        script_deinit(&s);
}

/* Nobody waits for anything, or for nothing that a table tells: nothing is opened, nor woken up for. */
static void test_nobody_waits(void) {
        const Entry other = entry_of(1, UUID_Y, "");
        Attachment *a;
        Script s;

        a = script_begin(&s);
        script_table(&s, "sdb", &other, 1);
        script_plug(&s, "sdb");
        CHECK(script_run(&s) == 0 && s.wake_at_usec == 0 && a->on_device);
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0);
        script_deinit(&s);

        (void) plug(&s, match_one(MATCH_FS_UUID, "1111-1111"), NULL, true);
        CHECK(script_run(&s) == 0 && s.wake_at_usec == 0);
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0);

        /* until somebody does */
        (void) script_policy(&s, "10-more.conf", "bfcount", UUID_Y, "");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_deinit(&s);
}

/* What the kernel has made of something else is ready when udev says so; what has no partitions yet has nothing. */
static void test_not_read(void) {
        const Entry wanted = entry_of(1, UUID_X, "");
        Attachment *a;
        Script s;

        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_table(&s, "sda", &wanted, 1);
        script_table(&s, "sdb", &wanted, 1);
        script_disk(&s, "sda")->is_virtual = script_disk(&s, "sda")->unowned = script_disk(&s, "sdb")->unowned = true;
        script_look(&s);
        script_plug(&s, "sda");
        script_kernel(&s, EVENT_ADD, "sdb");
        CHECK(script_run(&s) == 0);
        script_pass(&s, SECOND);
        CHECK(script_run(&s) == 0 && !a->on_device);
        script_deinit(&s);
}

/* What comes after it was read is read too; and what another disk has as well nobody gets. */
static void test_read_again(void) {
        const Entry clone = entry_of(1, UUID_X, "");
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, ""), NULL, true);

        expect_scan(&s);
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_answer(&s);
        script_expect(&s, JOB_SCAN, "sda");
        CHECK(s.jobs[0].ask_unowned);
        script_disk(&s, "sda")->unowned = false;
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device);

        script_disk(&s, "sda")->unowned = script_disk(&s, "sdb")->unowned = true;
        script_table(&s, "sdb", &clone, 1);
        script_plug(&s, "sdb");
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device);
        CHECK_HAS(a->reason, "/dev/sdb is new too");
        script_pass(&s, OVERDUE_USEC);
        script_expect(&s, JOB_SCAN, "sdb");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda2 and /dev/sdb1");
        script_deinit(&s);
}

/* A table that cannot be read is not read again and again. */
static void test_unreadable(void) {
        Script s;
        Attachment *a = plug(&s, match_of(UUID_X, ""), NULL, true);

        expect_scan(&s);
        script_reply_outcome(&s, JOB_UNREADABLE);
        CHECK(script_run(&s) == 0 && s.wake_at_usec == s.now.monotonic_usec + SECOND / 2);
        script_pass(&s, SECOND / 2);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

int main(void) {
        test_early();
        test_both();
        test_not_early();
        test_order();
        test_ignored();
        test_unready();
        test_late_word();
        test_told_while_attaching();
        test_nobody_waits();
        test_not_read();
        test_read_again();
        test_unreadable();
        return 0;
}
