/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan and a policy's settings: which returns are followed, what may have changed, what is done about
 * another filter, options, the module, delays and limits of time.
 */

#undef NDEBUG

#include "tests/script-run.h"

#define PT_A "11111111-1111-4111-8111-111111111111"
#define PT_B "22222222-2222-4222-8222-222222222222"
#define TYPE_A "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define TYPE_B "a19d880f-05fc-4d3b-a006-743f0f84911e"

static Settings *settings_of(unsigned on, bool refuse_change) {
        Settings *s;

        CHECK(settings_new(&s) == 0);
        s->on = on;
        s->refuse_change = refuse_change;
        return s;
}

/* An administrator asks, as the manager does for Attach(). */
static void ask(Attachment *a) {
        a->asked_now = true;
        a->retry_at_usec = 0;
        attachment_touch(a);
}

static void check_not_followed(const Attachment *a, const char *word) {
        char part[64];

        (void) snprintf(part, sizeof(part), "On= of the policy does not name %s;", word);
        CHECK(a->state == ATTACHMENT_WAITING && !a->on_device && !a->job);
        CHECK_HAS(a->reason, part);
}

/* sda was there at the first look since the boot, which is the daemon's own. */
static void test_on_boot_one(unsigned on, bool followed) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings_of(on, false));
        script_look(&s);
        s.world.boot_diskseq = s.last_diskseq;
        script_settle(&s);
        if (followed)
                CHECK(a->on_device);
        else {
                check_not_followed(a, "boot");

                /* an administrator's word is followed always, once */
                ask(a);
                script_settle(&s);
                CHECK(a->on_device && !a->asked_now);
        }

        /* what it was on is read again */
        script_reread(&s, "sda");
        script_settle(&s);
        if (on & POLICY_ON_RESCAN)
                CHECK(a->on_device && a->n_gaps == 1 && a->n_attached == 2);
        else {
                check_not_followed(a, "rescan");
                CHECK(a->n_gaps == 1 && a->gaps[0].end_usec == 0);
        }

        /* the disk comes back, or another with the same in it */
        script_unplug(&s, "sda");
        script_table_1(&s, "sdb", 1, UUID_X, "");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        if (on & POLICY_ON_HOTPLUG)
                CHECK(a->on_device);
        else
                check_not_followed(a, "hotplug");
        script_deinit(&s);
}

static void test_on_boot(void) {
        for (unsigned on = 1; on <= POLICY_ON_ALL; on++)
                test_on_boot_one(on, on & POLICY_ON_BOOT);
}

/* A later daemon of the same boot: what came since is hotplugged, what was there is not, without a note all was. */
static void test_on_later_one(uint64_t boot_diskseq, const char *word) {
        Attachment *a;
        Script s;

        script_init(&s);
        s.world.boot_diskseq = boot_diskseq;
        s.last_diskseq = 9;
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings_of(POLICY_ON_RESCAN, false));
        script_look(&s);
        script_settle(&s);
        check_not_followed(a, word);
        script_deinit(&s);
}

/*
 * An edited policy's new attachment takes over a filter that is on, whatever returns it follows: nothing has to be
 * attached. Where the filter is not on, On= counts.
 */
static void test_on_edited(bool is_on) {
        Attachment *old, *new;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        old = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""),
                               settings_of(is_on ? POLICY_ON_ALL : POLICY_ON_RESCAN, false));
        script_look(&s);
        s.world.boot_diskseq = s.last_diskseq;
        script_settle(&s);
        CHECK(old->on_device == is_on);

        policy_set_free(s.policies);
        s.policies = policy_set_new();
        script_pass(&s, SECOND);
        new = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, "data"), settings_of(POLICY_ON_RESCAN, true));
        script_settle(&s);

        if (is_on) {
                CHECK(new->on_device && new->n_attached == 1 && new->n_gaps == 0);
                CHECK(new->intact_since_usec + SECOND == s.now.realtime_usec);
        } else
                check_not_followed(new, "boot");
        script_deinit(&s);
}

static void test_on_later(void) {
        test_on_later_one(0, "boot");
        test_on_later_one(10, "boot");
        test_on_later_one(9, "hotplug");
}

/* What an earlier daemon left on is followed whatever On= says: it is not a return. */
static void test_on_restart(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings_of(POLICY_ON_HOTPLUG, false));
        script_noted(&s, a, "sda1", SECOND, SECOND);
        script_look(&s);
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->n_gaps == 0);
        script_deinit(&s);
}

typedef struct Change {
        const char *what;   /* as the reason names it; NULL: nothing that counts */
        Entry entry;
        const char *pt_uuid, *wwn, *serial;
} Change;

static Entry entry_at(unsigned partno, const char *label, const char *type, uint64_t start, uint64_t size) {
        Entry e = entry_of(partno, UUID_X, label);

        e.start_sectors = start;
        e.size_sectors = size;
        CHECK(str_copy(e.type, sizeof(e.type), type));
        return e;
}

static void put(Script *s, const Change *c) {
        const char **values = script_device(s, "sda")->values;

        script_table(s, "sda", &c->entry, 1);
        values[MATCH_PT_UUID] = c->pt_uuid;
        values[MATCH_DISK_WWN] = c->wwn;
        values[MATCH_DISK_SERIAL] = c->serial;
}

static void test_change_one(const Change *before, const Change *after, bool refuse) {
        const JobRequest *r;
        Attachment *a;
        Script s;

        script_init(&s);
        put(&s, before);
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings_of(POLICY_ON_ALL, refuse));
        script_look(&s);
        script_settle(&s);
        CHECK(a->on_device);

        put(&s, after);
        script_reread(&s, "sda");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);

        if (refuse && after->what) {
                CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_REFUSED && !a->on_device && a->n_gaps == 1);
                CHECK_HAS(a->reason, after->what);
                CHECK_HAS(a->reason, "PARTUUID=" UUID_X " is back, but its ");
                CHECK_HAS(a->reason, "OnChange=refuse; attach it by hand");
                script_pass(&s, 100 * SECOND);
                CHECK(script_run(&s) == 0 && s.wake_at_usec == 0);

                /* by hand it is as it is from then on */
                ask(a);
        }

        CHECK(script_run(&s) == 1 && s.jobs[0].kind == JOB_ATTACH);
        r = &s.jobs[0];

        /* and a worker sees to it that what was looked at is what is there, unless an administrator has said so */
        CHECK(r->expect.place == (refuse && !after->what));
        if (r->expect.place)
                CHECK(r->expect.start_sectors == after->entry.start_sectors &&
                      r->expect.size_sectors == after->entry.size_sectors);
        script_answer(&s);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device);

        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->on_device && a->n_attached == 3);
        script_deinit(&s);
}

static void test_change(void) {
        const Change before = { NULL, entry_at(1, "data", TYPE_A, 2048, 4096), PT_A, "0x5", "S1" };
        const Change none = { NULL, entry_at(1, "", "", 0, 0), NULL, NULL, NULL };
        const Change changes[] = {
                before,
                { NULL, entry_at(2, "data", TYPE_A, 2048, 4096), PT_A, "0x5", "S1" }, /* its number is nothing */
                { "PTUUID was " PT_A " and is " PT_B, entry_at(1, "data", TYPE_A, 2048, 4096), PT_B, "0x5", "S1" },
                { "PartLabel was data and is log", entry_at(1, "log", TYPE_A, 2048, 4096), PT_A, "0x5", "S1" },
                { "PartLabel was data and is not known", entry_at(1, "", TYPE_A, 2048, 4096), PT_A, "0x5", "S1" },
                { "PartType was " TYPE_A " and is " TYPE_B, entry_at(1, "data", TYPE_B, 2048, 4096), PT_A, "0x5",
                  "S1" },
                { "first sector was 2048 and is 4096", entry_at(1, "data", TYPE_A, 4096, 4096), PT_A, "0x5", "S1" },
                { "size in sectors was 4096 and is 8192", entry_at(1, "data", TYPE_A, 2048, 8192), PT_A, "0x5", "S1" },
                { "DiskWWN was 0x5 and is 0x6", entry_at(1, "data", TYPE_A, 2048, 4096), PT_A, "0x6", "S1" },
                { "DiskSerial was S1 and is S2", entry_at(1, "data", TYPE_A, 2048, 4096), PT_A, "0x5", "S2" },
        };

        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                test_change_one(&before, &changes[i], true);
                test_change_one(&before, &changes[i], false);
        }

        /* what was not known before is no change */
        test_change_one(&none, &before, true);
}

/* The UUID is what is refused where the match is by something else; and it is back when the change is undone. */
static void test_change_of_uuid(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of("", "data"), settings_of(POLICY_ON_ALL, true));
        script_look(&s);
        script_settle(&s);

        script_table_1(&s, "sda", 1, UUID_Y, "data");
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_REFUSED);
        CHECK_HAS(a->reason, "PartUUID was " UUID_X " and is " UUID_Y " now");

        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 1 && a->n_attached == 2);
        script_deinit(&s);
}

/* It moves after it was looked at: the worker does not prove it, and what it has read is refused. */
static void test_change_meanwhile(void) {
        const Entry before = entry_at(1, "", "", 2048, 4096), after = entry_at(1, "", "", 2048, 8192);
        Attachment *a;
        Script s;

        script_init(&s);
        script_table(&s, "sda", &before, 1);
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings_of(POLICY_ON_ALL, true));
        script_look(&s);
        script_settle(&s);
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_table(&s, "sda", &after, 1);
        script_answer(&s);
        CHECK(a->last_outcome == JOB_MISMATCH);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_REFUSED && !a->on_device);
        CHECK_HAS(a->reason, "size in sectors was 4096 and is 8192");
        script_deinit(&s);
}

/* A whole device has no place, and can change all the same. */
static void test_change_of_whole(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_device(&s, "sda")->values[MATCH_DISK_SERIAL] = "S1";
        script_device(&s, "sda")->values[MATCH_FS_UUID] = "1111-1111";
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_FS_UUID, "1111-1111"),
                             settings_of(POLICY_ON_ALL, true));
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda");
        CHECK(!s.jobs[0].expect.place);
        script_answer(&s);
        script_unplug(&s, "sda");
        script_device(&s, "sdb")->values[MATCH_DISK_SERIAL] = "S2";
        script_device(&s, "sdb")->values[MATCH_FS_UUID] = "1111-1111";
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_REFUSED);
        CHECK_HAS(a->reason, "DiskSerial was S1 and is S2");
        script_deinit(&s);
}

/* OnConflict=: another filter is waited for, or let be until something happens to the device. */
static void test_conflict_one(bool ignore) {
        Settings *settings = settings_of(POLICY_ON_ALL, false);
        Attachment *a;
        Script s;

        settings->ignore_conflict = ignore;
        settings->retry_usec = 2 * SECOND;
        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        (void) str_copy(script_device(&s, "sda1")->filter, FILTER_NAME_SIZE, "other");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings);
        script_look(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_CONFLICT);
        CHECK(s.wake_at_usec == (ignore ? 0 : s.now.monotonic_usec + 2 * SECOND));

        script_device(&s, "sda1")->filter[0] = 0;
        script_pass(&s, 1000 * SECOND);
        CHECK(script_run(&s) == !ignore);
        script_settle(&s);
        CHECK(a->on_device == !ignore);

        if (ignore) {
                /* also what happens elsewhere on the disk is not about it */
                CHECK(a->state == ATTACHMENT_CONFLICT);
                script_reread(&s, "sda");
                script_settle(&s);
                CHECK(a->on_device);
        }
        script_deinit(&s);
}

static void test_conflict(void) {
        test_conflict_one(false);
        test_conflict_one(true);
}

/* No options on an interface that cannot give them to a filter: said, not left out. */
static void test_options(void) {
        Settings *settings = settings_of(POLICY_ON_ALL, false), *plain = settings_of(POLICY_ON_ALL, false);
        PolicySet *mended = policy_set_new();
        Attachment *a;
        Script s;

        settings->options = calloc(1, 3);
        CHECK(settings->options);
        settings->options[2] = 0x2a;
        settings->options_size = 3;
        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings);
        script_look(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_UNSUPPORTED);
        CHECK_STR(a->reason,
                  "this kernel's interface, blkfilter-1, takes no options for a filter; remove Options= from the"
                  " policy");
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_UNSUPPORTED);

        /* one that can is given them as they are */
        s.world.interface = KERNEL_INTERFACE_BLKFILTER_2;
        world_touch_all(&s.world);
        CHECK(script_run(&s) == 1 && s.jobs[0].kind == JOB_ATTACH && s.jobs[0].options_size == 3);
        CHECK(memcmp(s.jobs[0].options, "\0\0\x2a", 3) == 0);
        script_settle(&s);
        CHECK(a->on_device);
        s.world.interface = KERNEL_INTERFACE_BLKFILTER_1;
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_UNSUPPORTED);

        CHECK(mended && policy_set_add(mended, policy_new_of("20.conf", "bftrack", match_of(UUID_X, ""), plain)) == 0);
        CHECK(world_set_policies(&s.world, mended) == 0);
        script_settle(&s);
        CHECK(a->on_device);
        policy_set_free(mended);
        script_deinit(&s);
}

/* The filter is not registered: its module is to be loaded, at each attempt; then it is tried at once. */
static void test_module_one(const char *module) {
        Settings *settings = settings_of(POLICY_ON_ALL, false);
        Attachment *a;
        Script s;

        CHECK(str_copy(settings->module, sizeof(settings->module), module));
        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings);
        script_look(&s);

        for (int i = 0; i < 3; i++) {
                script_expect(&s, JOB_ATTACH, "sda1");
                script_reply_outcome(&s, JOB_NOT_REGISTERED);
                CHECK(a->module_due == (module[0] != 0) && a->state == ATTACHMENT_FAILED);
                a->module_due = false; /* the manager has seen to it */
                CHECK(script_run(&s) == 0);
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec);
        }

        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_NOT_REGISTERED);
        a->module_due = false;
        CHECK(script_run(&s) == 0);
        world_retry_registered(&s.world); /* the module has come */
        script_settle(&s);
        CHECK(a->on_device && !a->module_due);
        script_deinit(&s);
}

static void test_module(void) {
        test_module_one("bftrack");
        test_module_one("");
}

/* TimeoutSec= is in each request for the attachment, RetrySec= in each delay. */
static void test_times(void) {
        Settings *settings = settings_of(POLICY_ON_ALL, false);
        Attachment *a;
        Script s;

        settings->timeout_usec = 77 * SECOND;
        settings->retry_usec = 5 * SECOND;
        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings);
        script_look(&s);
        for (unsigned i = 0; i < 3; i++) {
                script_expect(&s, JOB_ATTACH, "sda1");
                CHECK(s.jobs[0].timeout_usec == 77 * SECOND);
                script_reply_outcome(&s, JOB_FAILED);
                CHECK(script_run(&s) == 0 && s.wake_at_usec == s.now.monotonic_usec + (5 * SECOND << i));
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec);
        }
        script_settle(&s);
        CHECK(a->on_device);

        script_pass(&s, 10 * SECOND);
        world_check_all(&s.world);
        script_expect(&s, JOB_CHECK, "sda1");
        CHECK(s.jobs[0].timeout_usec == 77 * SECOND);
        script_answer(&s);

        /* a scan is nobody's */
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        CHECK(s.jobs[0].timeout_usec == 0);
        script_deinit(&s);
}

int main(void) {
        test_on_boot();
        test_on_later();
        test_on_edited(true);
        test_on_edited(false);
        test_on_restart();
        test_change();
        test_change_of_uuid();
        test_change_meanwhile();
        test_change_of_whole();
        test_conflict();
        test_options();
        test_module();
        test_times();
        return EXIT_SUCCESS;
}
