/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The manager and what an administrator, a policy or the time want besides: one of several clones, an
 * attachment that lasts, whole devices, modules, questions at an interval, the last boot.
 */

#undef NDEBUG

#include "tests/fake-outside.h"

#define WWN "0x5000c500a1b2c3d4"

/* sdb1 is a clone of sda1. */
static void begin_clone(Fake *f) {
        fake_begin(f);
        fake_device(f, "sdb", "", "");
        fake_device(f, "sdb1", UUID_X, "data");
}

/* An administrator says which of two it is; after a re-read of it he has to say so again. */
static void test_choose(void) {
        Attachment *x;
        Answer a;
        Fake f;

        begin_clone(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sdb1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_AMBIGUOUS && f.n_jobs == 0);

        f.options.choose = true;
        ask(&f, JOB_ATTACH, "/dev/sdb1", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        CHECK_STR(f.jobs[0].partition.name, "sdb1");
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(a.n == 1 && a.error == REQUEST_OK && x->on_device);
        CHECK_STR(x->device, "sdb1");
        CHECK_HAS(x->reason, "a clone gets none: /dev/sda1");

        /* the other one is not to be had while this has it */
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_AMBIGUOUS && f.n_jobs == 0 && x->on_device);
        CHECK_STR(x->device, "sdb1");

        fake_reread(&f, "sdb1");
        fake_settle(&f);
        CHECK(!x->on_device && x->state == ATTACHMENT_AMBIGUOUS && x->n_gaps == 1);
        fake_deinit(&f);
}

/* One of more than are named one by one. */
static void test_choose_of_many(void) {
        Attachment *x;
        char name[8];
        Answer a;
        Fake f;

        fake_init(&f);
        for (char c = 'a'; c < 'a' + HOLDERS_MAX + 2; c++) {
                (void) snprintf(name, sizeof(name), "sd%c", c);
                fake_device(&f, name, "", "");
                (void) snprintf(name, sizeof(name), "sd%c1", c);
                fake_device(&f, name, UUID_X, "data");
        }
        fake_start(&f);
        f.options.choose = true;
        ask(&f, JOB_ATTACH, "/dev/sdj1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(a.n == 1 && a.error == REQUEST_OK && x && x->on_device);
        CHECK_STR(x->device, "sdj1");
        fake_deinit(&f);
}

/* What failed was chosen for that call only. */
static void test_choose_fails(void) {
        Answer a;
        Fake f;

        begin_clone(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        f.options.choose = true;
        ask(&f, JOB_ATTACH, "/dev/sdb1", "bftrack", &a);
        fake_answer(&f, JOB_CONFLICT);
        CHECK(a.n == 1 && a.error == REQUEST_E_CONFLICT);
        fake_pass(&f, 100 * SECOND);
        CHECK(f.n_jobs == 0 && get(&f, "bftrack", UUID_X, "")->state == ATTACHMENT_AMBIGUOUS);
        fake_deinit(&f);
}

/* A wish that lasts is written as a policy, which has the attachment from then on. */
static void test_persistent(void) {
        uint64_t since;
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        f.options.persistent = true;
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(a.n == 1 && a.error == REQUEST_OK && x->on_device && x->source == ATTACHMENT_SOURCE_POLICY);
        CHECK(in_order(&f, "save policy 50-bftrack_0fc63daf", "answer"));
        CHECK_STR(x->policy_path, "/etc/blkfilter.d/50-bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4.conf");
        CHECK(f.policies->n_policies == 1 && x->n_attached == 1);
        since = x->intact_since_usec;

        /* asked for again it is there already, and nothing is written */
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && !strstr(f.trace, "save policy") && f.policies->n_policies == 1);

        /* another daemon finds it as any policy's */
        fake_end_manager(&f);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device && x->source == ATTACHMENT_SOURCE_POLICY && x->intact_since_usec == since);
        fake_deinit(&f);
}

/* There is a file of that name, for something else: the filter is on, and the caller is told what is missing. */
static void test_persistent_fails(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "50-bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4.conf", "bfcount", UUID_Z, "");
        fake_start(&f);
        f.options.persistent = true;
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(a.n == 1 && a.error == REQUEST_E_FAILED && x->on_device && x->source == ATTACHMENT_SOURCE_RUNTIME);
        CHECK_HAS(a.message, "the filter is on, but no policy could be written");
        CHECK_HAS(a.message, "50-bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4.conf in /etc/blkfilter.d; remove it");
        fake_deinit(&f);

        /* one is written, and is not in force, as a drop-in for it is wrong */
        fake_begin(&f);
        fake_start(&f);
        f.options.persistent = f.ignores_saved = true;
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(a.n == 1 && a.error == REQUEST_E_FAILED && x->on_device && x->source == ATTACHMENT_SOURCE_RUNTIME);
        CHECK_HAS(a.message, "not in force: see ConfigErrors");
        fake_deinit(&f);
}

/* A whole device is attached, detached and found again by what it is recognised by. */
static void test_whole(void) {
        const Attachment *x;
        DeviceEvent *e;
        Subject s;
        Answer a;
        Fake f;

        fake_begin(&f);
        e = fake_device(&f, "sdb", "", "");
        e->values[MATCH_DISK_WWN] = WWN;
        fake_start(&f);

        ask(&f, JOB_ATTACH, "/dev/sda", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_NO_IDENTITY);

        s = subject_of(&f, "/dev/sdb");
        CHECK_STR(s.identity, "DiskWWN=" WWN);
        ask(&f, JOB_ATTACH, "/dev/sdb", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].partno == 0 && f.jobs[0].disk.object == e->object);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        x = manager_find_attachment(f.manager, &s);
        CHECK(x && x->on_device);
        CHECK_STR(x->device, "sdb");

        fake_end_manager(&f);
        fake_start(&f);
        s = subject_of(&f, "/dev/sdb");
        x = manager_find_attachment(f.manager, &s);
        CHECK(x && x->on_device && x->n_gaps == 0);

        ask(&f, JOB_DETACH, "/dev/sdb", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_DETACH && f.jobs[0].partno == 0);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK && manager_get_attachments(f.manager)->n_items == 0);
        fake_deinit(&f);
}

/* A hold is of the device, not of the words: a policy that comes later and names it otherwise is held off too. */
static void test_hold_covers(void) {
        Attachment *later;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);

        fake_policy(&f, "05.conf", "bftrack", "", "data");
        fake_policy(&f, "06.conf", "bfcount", "", "data");
        CHECK(manager_reload(f.manager) == 0);
        fake_settle(&f);
        later = get(&f, "bftrack", "", "data");
        CHECK(later->state == ATTACHMENT_DETACHED && !later->held && !later->on_device);
        CHECK_HAS(later->reason, "an administrator detached the filter from this device (PARTUUID=" UUID_X ")");

        /* attached by hand it is off no more, by no name, and after a re-read neither */
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK && later->on_device && !get(&f, "bftrack", UUID_X, "")->held);
        CHECK(in_order(&f, "save bftrack_0fc63daf", "answer"));
        fake_reread(&f, "sda1");
        fake_settle(&f);
        CHECK(later->on_device && later->n_attached == 2);
        fake_end_manager(&f);
        fake_start(&f);
        CHECK(!get(&f, "bftrack", UUID_X, "")->held && get(&f, "bftrack", "", "data")->on_device);
        fake_deinit(&f);
}

static void test_module(void) {
        Settings *settings;
        Attachment *x;
        Fake f;

        fake_begin(&f);
        CHECK(settings_new(&settings) == 0 && str_copy(settings->module, sizeof(settings->module), "bftrack_mod"));
        CHECK(policy_set_add(f.policies, policy_new_of("10.conf", "bftrack", match_of(UUID_X, ""), settings)) == 0);
        fake_policy(&f, "20.conf", "bfcount", UUID_Y, "");
        fake_begin_manager(&f);
        fake_run(&f);
        fake_answer(&f, JOB_OK);
        while (f.n_jobs > 0)
                fake_answer(&f, JOB_NOT_REGISTERED);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->state == ATTACHMENT_FAILED && in_order(&f, "attach sda1", "module bftrack_mod") && !x->module_due);
        CHECK(!in_order(&f, "module bftrack_mod", "module")); /* the other has none */

        /* it has come: both are tried at once */
        manager_module(f.manager, false);
        manager_told(f.manager);
        fake_settle(&f);
        CHECK(x->on_device && get(&f, "bfcount", UUID_Y, "")->on_device);
        fake_deinit(&f);
}

/* Now and then the kernel is asked about every filter that is on. */
static void test_interval(void) {
        uint64_t seen;
        Attachment *x;
        Fake f;

        fake_begin(&f);
        f.check_usec = 60 * SECOND;
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        seen = f.now.realtime_usec;

        for (int i = 0; i < 3; i++) {
                fake_pass(&f, 59 * SECOND);
                CHECK(f.n_jobs == 0);
                fake_pass(&f, SECOND);
                CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CHECK && x->seen_usec == seen);
                seen = f.now.realtime_usec;
                f.trace[0] = 0;
                fake_answer(&f, JOB_OK);
                CHECK(x->n_gaps == 0 && x->seen_usec == seen && strstr(f.trace, "save bftrack"));
        }

        fake_pass(&f, 60 * SECOND);
        CHECK(f.n_jobs == 1);
        fake_answer(&f, JOB_NOT_ATTACHED);
        CHECK(x->n_gaps == 1 && x->gaps[0].begin_usec == seen && x->gaps[0].latest_usec == f.now.realtime_usec);
        CHECK(strstr(f.trace, "told lost bftrack") && f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        fake_settle(&f);
        CHECK(x->on_device && x->n_attached == 2);

        /* none */
        f.check_usec = 0;
        CHECK(manager_reload(f.manager) == 0);
        fake_settle(&f);
        fake_pass(&f, 1000 * SECOND);
        CHECK(f.n_jobs == 0);
        fake_deinit(&f);
}

/* Where nothing is wanted no table is read, however much is written to the disks, and whatever happens to them. */
static void test_nothing_wanted(void) {
        Answer a;
        Fake f;

        fake_begin(&f);
        f.check_usec = 60 * SECOND;
        fake_start(&f);
        for (int i = 0; i < 3; i++) {
                f.n_writes++;
                fake_pass(&f, 61 * SECOND);
                manager_told(f.manager);
                fake_run(&f);
                CHECK(f.n_jobs == 0);
        }

        /* from now on there is something to look after */
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        fake_pass(&f, 61 * SECOND);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_SCAN);
        fake_settle(&f);
        fake_deinit(&f);
}

/* A table that was written without a word to anybody is found by the next check, and a disk that rests is let rest. */
static void test_untold_table(void) {
        Attachment *z;
        Fake f;

        fake_begin(&f);
        f.check_usec = 60 * SECOND;
        fake_policy(&f, "10.conf", "bftrack", UUID_Z, "");
        fake_start(&f);
        z = get(&f, "bftrack", UUID_Z, "");
        CHECK(z->state == ATTACHMENT_WAITING);
        fake_pass(&f, 60 * SECOND);
        CHECK(f.n_jobs == 0);

        f.devices[2].entry = entry_of(2, UUID_Z, "other");
        f.n_writes = 1;
        fake_pass(&f, 59 * SECOND);
        CHECK(f.n_jobs == 0);
        fake_pass(&f, SECOND);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_SCAN && z->state == ATTACHMENT_WAITING);

        /* one that does not succeed is tried again by the next check, and not before */
        fake_answer(&f, JOB_LOCKED);
        fake_pass(&f, 59 * SECOND);
        CHECK(f.n_jobs == 0 && !z->on_device);
        fake_pass(&f, SECOND);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_SCAN);
        fake_settle(&f);
        CHECK(z->on_device);
        CHECK_STR(z->device, "sda2");

        /* udev's database has it as it was: that is not believed */
        f.devices[2].entry = entry_of(2, UUID_Y, "other");
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_run(&f);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_SCAN);
        f.devices[2].entry = entry_of(2, UUID_Z, "other");
        fake_settle(&f);
        CHECK(z->on_device && z->n_gaps == 0);

        f.trace[0] = 0;
        fake_pass(&f, 60 * SECOND);
        CHECK(!strstr(f.trace, "scan"));
        fake_settle(&f);
        fake_deinit(&f);
}

/* What was on before the boot begins afresh, with a gap from when it was last known to be on. */
static void test_last_boot(void) {
        uint64_t boot;
        Attachment *x;
        Match *m = match_of(UUID_X, "");
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        boot = f.boot_usec = f.now.realtime_usec - 30 * SECOND;
        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &f.last_boot) == 0);
        match_unref(m);
        f.last_boot->policy_path = shared_new("/etc/blkfilter.d/10.conf");
        f.last_boot->recorded_since_usec = boot - 1000 * SECOND;
        f.last_boot->recorded_at_usec = boot - 5 * SECOND;
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device && x->n_gaps == 1 && x->intact_since_usec == f.now.realtime_usec && x->n_attached == 1);
        CHECK_STR(x->gaps[0].reason, "reboot");
        CHECK(x->gaps[0].begin_usec == boot - 5 * SECOND && x->gaps[0].latest_usec == boot);
        CHECK(x->gaps[0].end_usec == f.now.realtime_usec);
        fake_deinit(&f);

        /* what no policy wants any more is no gap of anybody's */
        m = match_of(UUID_X, "");
        fake_begin(&f);
        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &f.last_boot) == 0);
        match_unref(m);
        f.last_boot->policy_path = shared_new("/etc/blkfilter.d/10.conf");
        f.last_boot->recorded_since_usec = 1;
        fake_start(&f);
        CHECK(manager_get_attachments(f.manager)->n_items == 0);
        fake_deinit(&f);
}

/* What was there when the first daemon found udev idle was there at boot, for the later ones too. */
static void test_boot_diskseq(void) {
        Settings *settings;
        Attachment *x;
        Fake f;

        fake_begin(&f);
        CHECK(settings_new(&settings) == 0);
        settings->on = POLICY_ON_BOOT;
        CHECK(policy_set_add(f.policies, policy_new_of("10.conf", "bftrack", match_of(UUID_Z, ""), settings)) == 0);
        fake_start(&f);
        CHECK(f.boot_diskseq == f.devices[0].diskseq);

        fake_device(&f, "sdb", "", "");
        fake_device(&f, "sdb1", UUID_Z, "");
        fake_end_manager(&f);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_Z, "");
        CHECK(f.boot_diskseq == f.devices[0].diskseq && !x->on_device && x->state == ATTACHMENT_WAITING);
        CHECK_HAS(x->reason, "does not name hotplug");
        fake_deinit(&f);
}

/* A disk that comes while udev has not been idle yet is one of the boot; the next one is not. */
static void test_boot_is_slow(void) {
        Settings *settings;
        Fake f;

        fake_begin(&f);
        f.busy = true;
        CHECK(settings_new(&settings) == 0);
        settings->on = POLICY_ON_BOOT;
        CHECK(policy_set_add(f.policies, policy_new_of("10.conf", "bftrack", match_of(UUID_Z, ""),
                                                       settings_ref(settings))) == 0);
        CHECK(policy_set_add(f.policies, policy_new_of("20.conf", "bftrack", match_of(UUID_W, ""), settings)) == 0);
        fake_start(&f);
        CHECK(!f.boot_diskseq && f.wake_at_usec);

        fake_device(&f, "sdb", "", "");
        fake_device(&f, "sdb1", UUID_Z, "");
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_settle(&f);
        CHECK(!f.boot_diskseq);
        f.busy = false;
        f.now.monotonic_usec = f.wake_at_usec;
        f.scheduled = true;
        fake_settle(&f);
        CHECK(f.boot_diskseq == f.devices[3].diskseq && get(&f, "bftrack", UUID_Z, "")->on_device);

        fake_device(&f, "sdc", "", "");
        fake_device(&f, "sdc1", UUID_W, "");
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_settle(&f);
        CHECK_HAS(get(&f, "bftrack", UUID_W, "")->reason, "does not name hotplug");
        fake_deinit(&f);
}

int main(void) {
        test_choose();
        test_choose_of_many();
        test_choose_fails();
        test_persistent();
        test_persistent_fails();
        test_whole();
        test_hold_covers();
        test_module();
        test_interval();
        test_nothing_wanted();
        test_untold_table();
        test_last_boot();
        test_boot_diskseq();
        test_boot_is_slow();
        return EXIT_SUCCESS;
}
