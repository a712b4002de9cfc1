/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The manager finds out which interface the kernel has, again when that may have changed, and says why. */

#undef NDEBUG
#include "tests/fake-outside.h"

/* Answers the oldest job, a question which interface there is. */
static void answer(Fake *f, JobOutcome outcome, KernelInterface interface, bool proven, const char *why) {
        JobReply r = { .protocol = JOB_PROTOCOL, .id = f->jobs[0].id, .outcome = outcome, .interface = interface,
                       .proven = proven };
        JobRequest request = f->jobs[0];

        CHECK(f->n_jobs > 0 && request.kind == JOB_PROBE);
        (void) str_copy(r.message, sizeof(r.message), why);
        memmove(f->jobs, f->jobs + 1, --f->n_jobs * sizeof(f->jobs[0]));
        manager_job_done(f->manager, &request, &r, -EBADF);
        fake_run(f);
}

static void expect_asked(const Fake *f, const char *disk) {
        CHECK(f->n_jobs == 1 && f->jobs[0].kind == JOB_PROBE);
        CHECK_STR(f->jobs[0].disk.name, disk);
}

/* Two disks, and a policy for the first; the first question is put. */
static void begin(Fake *f) {
        fake_begin(f);
        fake_device(f, "sdb", "", "");
        fake_policy(f, "10.conf", "bftrack", UUID_X, "");
        fake_begin_manager(f);
        fake_run(f);
        expect_asked(f, "sda");
        CHECK_STR(manager_get_interface_reason(f->manager), "the kernel has not said yet which filters it takes; it is"
                  " asked as soon as there is a disk that may be opened");
}

static bool is_state(Fake *f, AttachmentState state, const char *reason) {
        const Attachment *a = get(f, "bftrack", UUID_X, "");

        return a->state == state && strstr(reason_of(a), reason);
}

static void come(Fake *f, const char *name) {
        DeviceEvent *e = fake_device(f, name, "", "");

        manager_device(f->manager, e);
        manager_told(f->manager);
        fake_run(f);
}

/* What an interface proves ends it, whatever was said before. */
static void test_found(void) {
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_UNKNOWN, false, "sda proves nothing");
        expect_asked(&f, "sdb");
        answer(&f, JOB_OK, KERNEL_INTERFACE_BLKFILTER_2, true, "/dev/sdb knows it");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_BLKFILTER_2);
        CHECK_STR(manager_get_interface_reason(f.manager), "/dev/sdb knows it");
        CHECK(f.n_jobs == 1 && f.jobs[0].kind != JOB_PROBE && f.jobs[0].interface == KERNEL_INTERFACE_BLKFILTER_2);
        fake_deinit(&f);
}

/* None is believed when all say so; another disk that comes is asked. */
static void test_none(void) {
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sda says so");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_UNKNOWN);
        expect_asked(&f, "sdb");
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sdb says so");
        fake_pass(&f, SECOND);
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_NONE && f.n_jobs == 0 && !f.wake_at_usec);
        CHECK_HAS(manager_get_interface_reason(f.manager), "modprobe bdevfilter");
        CHECK_HAS(manager_get_interface_reason(f.manager), "sdb says so");
        CHECK(is_state(&f, ATTACHMENT_UNSUPPORTED, "modprobe bdevfilter"));

        come(&f, "sdc");
        expect_asked(&f, "sdc");
        CHECK(is_state(&f, ATTACHMENT_UNSUPPORTED, ""));
        answer(&f, JOB_OK, KERNEL_INTERFACE_BLKFILTER_2, true, "sdc knows it");
        fake_settle(&f);
        CHECK(is_state(&f, ATTACHMENT_ATTACHED, "is on /dev/sda1"));
        fake_deinit(&f);
}

/* With nothing that wants a filter no more disks are opened for that than it takes to say it. */
static void test_none_wanted(void) {
        Fake f;

        fake_begin(&f);
        fake_begin_manager(&f);
        fake_run(&f);
        expect_asked(&f, "sda");
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sda says so");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_NONE && f.n_jobs == 0);
        come(&f, "sdb");
        CHECK(f.n_jobs == 0);

        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        CHECK(manager_reload(f.manager) == 0);
        fake_run(&f);
        expect_asked(&f, "sdb");
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sdb says so");
        CHECK(f.n_jobs == 0);
        fake_deinit(&f);

        /* but when something of the kernel comes */
        fake_begin(&f);
        fake_begin_manager(&f);
        fake_run(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sda says so");
        manager_interface(f.manager, false);
        fake_run(&f);
        expect_asked(&f, "sda");
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_56, true, "it is there");
        fake_deinit(&f);
}

static size_t count(const Fake *f, const char *what) {
        size_t n = 0;

        for (const char *s = f->trace; (s = strstr(s, what)); s++)
                n++;
        return n;
}

/* What may bring the filters is loaded, if policies say what; not again when somebody has removed it. */
static void test_modules(void) {
        static const char *const modules[] = { "snap_mod", "", "snap_mod", "other_mod" };
        Fake f;

        fake_begin(&f);
        for (int i = 0; i < 4; i++) {
                char name[] = { (char) ('1' + i), '0', '.', 'c', 'o', 'n', 'f', 0 };
                Settings *settings;

                CHECK(settings_new(&settings) == 0);
                CHECK(str_copy(settings->module, sizeof(settings->module), modules[i]));
                CHECK(policy_set_add(f.policies, policy_new_of(name, "bftrack", match_of(UUID_X, ""), settings)) == 0);
        }
        fake_begin_manager(&f);
        fake_run(&f);
        CHECK(count(&f, "module") == 0);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, true, "there is none");
        CHECK(count(&f, "module snap_mod") == 1 && count(&f, "module other_mod") == 1 && count(&f, "module") == 2);

        manager_interface(f.manager, false);
        fake_run(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_56, true, "it is there");
        fake_settle(&f);
        manager_interface(f.manager, true);
        fake_run(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, true, "there is none");
        CHECK(count(&f, "module") == 2);

        CHECK(manager_reload(f.manager) == 0);
        CHECK(count(&f, "module") == 4);
        fake_deinit(&f);
}

/* So many are asked, and no more. */
static void test_bound(void) {
        Fake f;

        begin(&f);
        for (char c = 'c'; c <= 's'; c++) {
                char name[] = { 's', 'd', c, 0 };

                come(&f, name);
        }

        for (int i = 0; i < 16; i++)
                answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "its driver may say so");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_NONE && f.n_jobs == 0);
        fake_deinit(&f);
}

/* None that is proven is not asked for again by a disk. */
static void test_none_proven(void) {
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, true, "there is none");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_NONE && f.n_jobs == 0);
        come(&f, "sdc");
        CHECK(f.n_jobs == 0);
        fake_deinit(&f);
}

/* What proves nothing is asked again, less and less often; and meanwhile that is said. */
static void test_unclear(void) {
        uint64_t delay = SECOND / 2;
        Fake f;

        begin(&f);
        for (int i = 0; i < 8; i++) {
                answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sda says so");
                expect_asked(&f, "sdb");
                answer(&f, JOB_OK, KERNEL_INTERFACE_UNKNOWN, false, "a filter is on sdb");
                fake_pass(&f, SECOND / 10); /* how many wait for that is told by then */
                CHECK(f.n_jobs == 0 && f.wake_at_usec == f.now.monotonic_usec + delay - SECOND / 10);
                CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_UNKNOWN);
                CHECK(is_state(&f, ATTACHMENT_WAITING, "(a filter is on sdb)") &&
                      !get(&f, "bftrack", UUID_X, "")->pending);
                fake_pass(&f, delay - SECOND / 10);
                expect_asked(&f, "sda");
                if (i < 6)
                        delay *= 2;
        }
        fake_deinit(&f);
}

/* Of a disk with a filter on it the partitions are asked, after the other disks: it may be the only one. */
static void test_partitions(void) {
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_UNKNOWN, false, "a filter is on sda");
        expect_asked(&f, "sdb");
        CHECK(!f.jobs[0].partno);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sdb says so");
        expect_asked(&f, "sda");
        CHECK_STR(f.jobs[0].partition.name, "sda1");
        answer(&f, JOB_OK, KERNEL_INTERFACE_UNKNOWN, false, "a filter is on sda1");
        CHECK_STR(f.jobs[0].partition.name, "sda2");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_UNKNOWN);
        answer(&f, JOB_OK, KERNEL_INTERFACE_BLKFILTER_2, true, "/dev/sda2 knows it");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_BLKFILTER_2);
        fake_settle(&f);
        CHECK(is_state(&f, ATTACHMENT_ATTACHED, "is on /dev/sda1"));
        fake_deinit(&f);
}

/* Disks that cannot be asked do not keep the others' word from being believed for ever. */
static void test_silent(void) {
        uint64_t delay = SECOND / 2;
        Fake f;

        begin(&f);
        for (int i = 0; i < 7; i++) {
                CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_UNKNOWN);
                answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sda says so");
                answer(&f, JOB_FAILED, KERNEL_INTERFACE_UNKNOWN, false, "sdb cannot be opened");
                if (i == 6)
                        break;
                fake_pass(&f, delay);
                delay *= 2;
        }
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_NONE && f.n_jobs == 0);
        fake_deinit(&f);
}

/* One that does not answer in time holds up nobody, and counts when it does. */
static void test_late(void) {
        JobRequest late;
        JobReply r;
        Fake f;

        begin(&f);
        late = f.jobs[0];
        fake_answer(&f, JOB_TIMED_OUT);
        memmove(f.jobs, f.jobs + 1, --f.n_jobs * sizeof(f.jobs[0]));
        expect_asked(&f, "sdb");
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, false, "sdb says so");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_UNKNOWN && f.n_jobs == 0);

        r = (JobReply) { .protocol = JOB_PROTOCOL, .id = late.id, .outcome = JOB_OK,
                         .interface = KERNEL_INTERFACE_BLKFILTER_2, .proven = true, .message = "sda knows it" };
        manager_job_done(f.manager, &late, &r, -EBADF);
        fake_run(&f);
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_BLKFILTER_2);
        fake_deinit(&f);
}

/* The module comes later, and the policies are in force; it goes, and that is a gap. */
static void test_module(void) {
        Attachment *a;
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, true, "there is none");
        a = get(&f, "bftrack", UUID_X, "");

        manager_interface(f.manager, false);
        fake_run(&f);
        CHECK(is_state(&f, ATTACHMENT_UNSUPPORTED, ""));
        expect_asked(&f, "sda");

        /* once more, before that is answered: the answer is of before */
        manager_interface(f.manager, false);
        fake_run(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, true, "there was none");
        expect_asked(&f, "sda");
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_40, true, "it is there");
        fake_settle(&f);
        CHECK(a->on_device && f.jobs[0].interface == KERNEL_INTERFACE_BDEVFILTER_40);

        manager_interface(f.manager, true);
        fake_run(&f);
        CHECK(!a->on_device && a->n_gaps == 1 && manager_get_interface(f.manager) == KERNEL_INTERFACE_UNKNOWN);
        CHECK_STR(a->gaps[0].reason, "interface-gone");
        answer(&f, JOB_OK, KERNEL_INTERFACE_NONE, true, "there is none");
        CHECK(is_state(&f, ATTACHMENT_UNSUPPORTED, "modprobe bdevfilter"));

        manager_interface(f.manager, false);
        fake_run(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_56, true, "it is there");
        fake_settle(&f);
        CHECK(a->on_device && a->n_gaps == 1 && a->gaps[0].end_usec);
        fake_deinit(&f);
}

/* Nothing holds the module of a filter there: when one is removed its filter may be off everywhere. */
static void test_filter_module(void) {
        static const KernelInterface interfaces[] = { KERNEL_INTERFACE_BDEVFILTER_56, KERNEL_INTERFACE_BLKFILTER_1 };

        for (int i = 0; i < 2; i++) {
                Fake f;

                begin(&f);
                answer(&f, JOB_OK, interfaces[i], true, "it is there");
                fake_settle(&f);
                fake_pass(&f, 10 * SECOND);
                CHECK(f.n_jobs == 0);

                manager_module(f.manager, true);
                manager_told(f.manager);
                fake_run(&f);
                CHECK(f.n_jobs == (i == 0));
                if (i == 0) {
                        CHECK(f.jobs[0].kind == JOB_CHECK);
                        fake_answer(&f, JOB_NOT_ATTACHED);
                        CHECK(get(&f, "bftrack", UUID_X, "")->n_gaps == 1);
                }
                fake_settle(&f);
                fake_deinit(&f);
        }
}

/* "udevadm trigger" has the kernel tell of all that is there as if it came: what is under way goes on, and counts. */
static void test_told_again(void) {
        Attachment *a;
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_56, true, "it is there");
        while (f.jobs[0].kind != JOB_ATTACH)
                fake_answer(&f, JOB_OK);
        manager_interface(f.manager, false);
        fake_run(&f);
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_BDEVFILTER_56);
        a = get(&f, "bftrack", UUID_X, "");
        fake_answer(&f, JOB_OK);
        CHECK(a->on_device && a->n_attached == 1);
        expect_asked(&f, "sdb");
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_40, true, "it is another one");
        CHECK(manager_get_interface(f.manager) == KERNEL_INTERFACE_BDEVFILTER_40 && a->on_device);
        fake_deinit(&f);
}

/* It may have come or gone unseen when events were lost: asked again, and so is what is on. */
static void test_lost(void) {
        Attachment *a;
        Fake f;

        begin(&f);
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_56, true, "it is there");
        fake_settle(&f);
        a = get(&f, "bftrack", UUID_X, "");
        CHECK(a->on_device);

        fake_pass(&f, 10 * SECOND);
        f.trace[0] = 0;
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_run(&f);
        expect_asked(&f, "sda");
        CHECK(a->on_device && manager_get_interface(f.manager) == KERNEL_INTERFACE_BDEVFILTER_56);
        answer(&f, JOB_OK, KERNEL_INTERFACE_BDEVFILTER_56, true, "it is there");
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CHECK);
        fake_answer(&f, JOB_NOT_ATTACHED);
        CHECK(!a->on_device && a->n_gaps == 1);
        fake_settle(&f);
        fake_deinit(&f);
}

static void test_needs(void) {
        Need *needs;
        size_t n;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_policy(&f, "20.conf", "bfcount", UUID_Y, "");
        fake_policy(&f, "30.conf", "aa", UUID_Z, "");
        fake_start(&f);
        CHECK(manager_list_needs(f.manager, &needs, &n) == 0 && n == 3);
        CHECK_STR(needs[0].filter, "aa");
        CHECK(needs[0].registered == NEED_UNKNOWN);
        CHECK_STR(needs[1].filter, "bfcount");
        CHECK(needs[1].registered == NEED_YES);
        CHECK_STR(needs[1].reason, "on 1 device");
        needs_free(needs, n);

        fake_reread(&f, "sda2");
        while (f.n_jobs > 0)
                fake_answer(&f, f.jobs[0].kind == JOB_ATTACH && f.jobs[0].partno == 2 ? JOB_NOT_REGISTERED : JOB_OK);
        CHECK(manager_list_needs(f.manager, &needs, &n) == 0 && n == 3);
        CHECK(needs[1].registered == NEED_NO && needs[2].registered == NEED_YES);
        CHECK_HAS(needs[1].reason, "modprobe bfcount");
        needs_free(needs, n);
        fake_deinit(&f);
}

/* Which filters may be left on which numbers outlives the daemon. */
static void test_numbers_are_kept(void) {
        World w = { .interface = KERNEL_INTERFACE_BDEVFILTER_56 }, v = { .interface = KERNEL_INTERFACE_UNKNOWN };
        Fake f;

        fake_init(&f);
        CHECK(world_add_stale(&w, number_of(8, 1), "bftrack", 0) == 0);
        CHECK(world_add_stale(&w, number_of(259, 77), "a-b", 5) == 0);
        CHECK(world_add_stale(&w, number_of(8, 1), "bftrack", 0) == 0 && w.n_stale == 2);
        CHECK(state_save_stale(&f.records, &w) == 0 && state_load_stale(&f.records, &v) == 0 && v.n_stale == 2);
        CHECK(world_find_stale(&v, number_of(8, 1), "bftrack") && world_find_stale(&v, number_of(259, 77), "a-b"));
        CHECK(world_find_stale(&v, number_of(259, 77), "a-b")->spared == 5);
        world_forget_stale(&v);

        /* another boot's are nobody's */
        f.records.boot[0] ^= 1;
        CHECK(state_load_stale(&f.records, &v) == 0 && v.n_stale == 0);
        f.records.boot[0] ^= 1;
        world_forget_stale(&w);
        CHECK(state_save_stale(&f.records, &w) == 0 && state_load_stale(&f.records, &v) == 0 && v.n_stale == 0);
        world_deinit(&w);
        world_deinit(&v);
        fake_deinit(&f);
}

int main(void) {
        test_found();
        test_none();
        test_none_wanted();
        test_modules();
        test_bound();
        test_none_proven();
        test_unclear();
        test_partitions();
        test_silent();
        test_late();
        test_module();
        test_filter_module();
        test_told_again();
        test_lost();
        test_needs();
        test_numbers_are_kept();
        return 0;
}
