/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan: who gets a filter at all, and who of several that want one. What comes of an attempt is
 * test-plan-outcome's, re-reads are test-plan-rescan's, clones test-plan-ambiguous's.
 */

#undef NDEBUG

#include "tests/script-run.h"

static void test_cold_start(void) {
        Script s;
        Attachment *a = script_begin(&s);

        CHECK(a->n_attached == 1 && a->n_gaps == 0 && a->has_fingerprint);
        CHECK(a->intact_since_usec == s.now.realtime_usec);
        CHECK_STR(a->fingerprint.disk->name, "sda");
        CHECK_STR(a->fingerprint.entry->uuid, UUID_X);
        CHECK(a->fingerprint.disk->diskseq == 1);
        CHECK_STR(reason_of(a), "filter bftrack is on /dev/sda1");

        /* level-triggered: nothing is missing, so nothing is done, however often it is asked */
        for (int i = 0; i < 3; i++) {
                script_look(&s);
                CHECK(script_run(&s) == 0 && s.wake_at_usec == 0);
        }
        script_deinit(&s);
}

/* The request names what the worker has to check. */
static void test_request(void) {
        const JobRequest *r;
        Script s;

        script_init(&s);
        script_table_1(&s, "sdb", 2, UUID_X, "data");
        script_had(&s, "sdb");
        script_policy(&s, "20-data.conf", "bftrack", UUID_X, "data");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sdb2");

        r = &s.jobs[0];
        CHECK(r->protocol == JOB_PROTOCOL && r->interface == KERNEL_INTERFACE_BLKFILTER_1 && r->partno == 2);
        CHECK(r->disk.major == 8 && r->disk.minor == 16 && r->disk.diskseq == 1);
        CHECK(r->partition.major == 8 && r->partition.minor == 18);
        CHECK_STR(r->disk.name, "sdb");
        CHECK_STR(r->filter, "bftrack");
        CHECK(r->disk.object == script_device(&s, "sdb")->object &&
              r->partition.object == script_device(&s, "sdb2")->object);
        CHECK(r->expect.keys == (1U << MATCH_PART_UUID | 1U << MATCH_PART_LABEL) && !r->expect.place);
        CHECK_STR(r->expect.values[MATCH_PART_UUID], UUID_X);
        CHECK_STR(r->expect.values[MATCH_PART_LABEL], "data");
        CHECK(r->timeout_usec == POLICY_TIMEOUT_USEC_DEFAULT);
        script_deinit(&s);
}

static void test_unwanted(void) {
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_had(&s, "sda");
        script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        CHECK(script_run(&s) == 0);

        /* nor is it opened for a re-read */
        script_reread(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        CHECK(s.world.attachments.items[0]->state == ATTACHMENT_WAITING);
        CHECK_STR(s.world.attachments.items[0]->reason, "not present; attached when it comes");
        script_deinit(&s);
}

static void test_match_one(const char *uuid, const char *label, bool wanted) {
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        script_policy(&s, "20-data.conf", "bftrack", uuid, label);
        script_look(&s);
        CHECK((script_run(&s) == 1) == wanted);
        script_deinit(&s);
}

static void test_match(void) {
        test_match_one(UUID_X, "", true);
        test_match_one("", "data", true);
        test_match_one(UUID_X, "data", true);
        test_match_one(UUID_X, "Data", false);
        test_match_one(UUID_Y, "data", false);
        test_match_one(UUID_X, "dat", false);
}

/* Udev has not called the disk ready: it may be one that nobody may touch. */
static void test_not_settled(void) {
        Script s;

        script_init(&s);
        script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_plug(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev_next(&s);
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_deinit(&s);
}

/* sda is there with UUID_X on sda1, and udev says of one of them that it is to be left alone. */
static Attachment *begin_ignored(Script *s, const char *name, const char *why) {
        DeviceEvent e;
        Attachment *a;

        script_init(s);
        a = script_policy(s, "20-data.conf", "bftrack", UUID_X, "");
        script_table_1(s, "sda", 1, UUID_X, "");
        script_plug(s, "sda");
        script_udev(s);
        e = script_event(s, EVENT_UDEV, EVENT_CHANGE, name, ++s->seqnum);
        e.ignored = why;
        CHECK(device_set_apply(&s->world.devices, &e) == 0);
        return a;
}

static void test_ignored_one(const char *name, size_t n_scans) {
        Script s;
        Attachment *a = begin_ignored(&s, name, "it is a path of a multipath device");

        CHECK(script_run(&s) == n_scans);
        if (n_scans > 0)
                script_answer(&s);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_STR(a->reason, "/dev/sda1 has PARTUUID=" UUID_X
                  ", but is left alone: it is a path of a multipath device");

        /* beside one that may be touched it is no clone */
        script_table_1(&s, "sdb", 1, UUID_X, "");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sdb");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sdb1");
        script_deinit(&s);
}

static void test_ignored(void) {
        test_ignored_one("sda", 0);
        test_ignored_one("sda1", 1);
}

/* A re-read removes a member of an array and adds it again: what it is udev says only afterwards. It is one still. */
static void test_ignored_reread(void) {
        Script s;
        Attachment *a = begin_ignored(&s, "sda1", "it is a member of a RAID array");

        script_settle(&s);
        CHECK(!a->on_device);

        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device);
        CHECK_HAS(a->reason, "is left alone: it is a member of a RAID array");

        /* it has been made another */
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device);
        script_deinit(&s);
}

/* Of devices with a name that its rules do not know udev tells nothing of the table: it is read. */
static void test_unprobed_one(bool looked, const char *wanted) {
        Attachment *a;
        Script s;

        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", wanted, "");
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_disk(&s, "sda")->is_unprobed = true;
        if (looked)
                script_had(&s, "sda");
        script_look(&s);
        if (!looked)
                script_plug(&s, "sda");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        if (str_equal(wanted, UUID_X)) {
                script_expect(&s, JOB_ATTACH, "sda1");
                script_answer(&s);
        }

        /* once, whatever it is */
        CHECK(script_run(&s) == 0 && a->on_device == str_equal(wanted, UUID_X));
        script_pass(&s, 10 * SECOND);
        CHECK(script_run(&s) == 0);

        script_deinit(&s);
}

static void test_unprobed(void) {
        Script s;

        /* nobody wants anything */
        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_disk(&s, "sda")->is_unprobed = true;
        script_look(&s);
        script_plug(&s, "sda");
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        script_deinit(&s);

        for (int looked = 0; looked < 2; looked++) {
                test_unprobed_one(looked, UUID_X);
                test_unprobed_one(looked, UUID_Y);
        }
}

/* Whether a partition that nobody knows yet is one to be left alone the worker sees; where it is known it need not. */
static void test_ignored_new(void) {
        const Entry entries[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, "") };
        Script s;

        (void) script_begin(&s);
        (void) script_policy(&s, "30-more.conf", "bfcount", UUID_Y, "");
        script_table(&s, "sda", entries, 2);
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        CHECK(!s.jobs[0].ask_unowned);
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda2");
        CHECK(s.jobs[0].ask_unowned);
        script_answer(&s);
        script_udev(&s);
        script_settle(&s);
        script_deinit(&s);
}

static void test_interface_one(KernelInterface interface, AttachmentState state, const char *reason) {
        Attachment *a;
        Script s;

        script_init(&s);
        s.world.interface = interface;
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == state);
        CHECK_HAS(a->reason, reason);

        script_reread(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        CHECK(script_run(&s) == 0);

        /* the kernel has answered */
        s.world.interface = KERNEL_INTERFACE_BLKFILTER_1;
        world_touch_all(&s.world);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        script_deinit(&s);
}

static void test_interface(void) {
        test_interface_one(KERNEL_INTERFACE_NONE, ATTACHMENT_UNSUPPORTED, "boot one that has");
        test_interface_one(KERNEL_INTERFACE_UNKNOWN, ATTACHMENT_WAITING, "has not said yet");
}

static void test_held(void) {
        Script s;
        Attachment *a = script_begin(&s);

        /* as the manager does for Detach() */
        a->held = true;
        script_device(&s, "sda1")->filter[0] = 0;
        attachment_lost(a, "detached", 0, &s.now);
        attachment_touch(a);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_DETACHED && a->n_gaps == 1);
        CHECK_HAS(a->reason, "administrator");

        script_reread(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        CHECK(world_set_policies(&s.world, s.policies) == 0);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_DETACHED);

        a->held = false;
        attachment_touch(a);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1);
        CHECK_STR(a->gaps[0].reason, "detached");
        CHECK(a->gaps[0].end_usec == s.now.realtime_usec);
        script_deinit(&s);
}

static void test_orphaned(void) {
        PolicySet *none = policy_set_new();
        Script s;
        Attachment *a = script_begin(&s);

        CHECK(none && world_set_policies(&s.world, none) == 0);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_ORPHANED && a->on_device && a->intact_since_usec > 0);
        CHECK_HAS(a->reason, "left in place");

        /* back in force: as if nothing had been */
        CHECK(world_set_policies(&s.world, s.policies) == 0);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_attached == 1);

        /* what an orphan loses is not put back */
        CHECK(world_set_policies(&s.world, none) == 0);
        script_reread(&s, "sda");
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_ORPHANED && !a->on_device);
        policy_set_free(none);
        script_deinit(&s);
}

/* After a restart the record of an attachment is the last good version of a policy that is wrong now. */
static void test_wrong_file_is_kept(void) {
        PolicySet *wrong = policy_set_new(), *none = policy_set_new();
        Script s;
        Attachment *a = script_begin(&s);

        CHECK(wrong && none && policy_set_add_error(wrong, a->policy_path, 3, "unknown key", false) == 0);
        CHECK(world_set_policies(&s.world, wrong) == 0 && !a->orphaned);
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_attached == 2);

        CHECK(world_set_policies(&s.world, none) == 0 && a->orphaned);
        policy_set_free(wrong);
        policy_set_free(none);
        script_deinit(&s);
}

/* A wish made at run time stays when a policy for the same comes and goes. */
static void test_asked_for(void) {
        PolicySet *none = policy_set_new();
        Attachment *a;
        Script s;

        script_init(&s);
        a = script_wish(&s, "bftrack", UUID_X);
        CHECK(script_policy(&s, "20-data.conf", "bftrack", UUID_X, "") == a);
        CHECK(a->source == ATTACHMENT_SOURCE_POLICY && a->policy_path && a->rank == 1);

        CHECK(none && world_set_policies(&s.world, none) == 0);
        CHECK(a->source == ATTACHMENT_SOURCE_RUNTIME && !a->policy_path && a->rank == 0 && !a->orphaned);
        policy_set_free(none);
        script_deinit(&s);
}

static void test_two_policies_one(const char *first_filter, const char *second_filter) {
        Attachment *first, *second;
        Script s;

        script_init(&s);
        second = script_policy(&s, "30-b.conf", second_filter, "", "data");
        first = script_policy(&s, "20-a.conf", first_filter, UUID_X, "");
        CHECK(first->rank < second->rank);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        script_look(&s);
        script_settle(&s);
        CHECK(first->state == ATTACHMENT_ATTACHED);
        CHECK(second->state == ATTACHMENT_CONFLICT && !second->on_device);
        CHECK_HAS(second->reason, "/etc/blkfilter.d/20-a.conf");
        script_deinit(&s);
}

/* The first by name wins, whichever sorts first as an attachment. */
static void test_two_policies(void) {
        test_two_policies_one("bfcount", "bftrack");
        test_two_policies_one("bftrack", "bfcount");
}

static void test_same_policy_twice(void) {
        Attachment *a, *b;
        Script s;

        script_init(&s);
        a = script_policy(&s, "30-b.conf", "bftrack", UUID_X, "");
        b = script_policy(&s, "20-a.conf", "bftrack", UUID_X, "");
        CHECK(a == b && s.world.attachments.n_items == 1);
        CHECK_STR(a->policy_path, "/etc/blkfilter.d/20-a.conf");
        script_deinit(&s);
}

static void test_runtime_first(void) {
        Attachment *policy, *runtime;
        Script s;

        script_init(&s);
        policy = script_policy(&s, "20-a.conf", "bftrack", UUID_X, "");
        runtime = script_wish(&s, "bfcount", UUID_X);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        script_look(&s);
        script_settle(&s);
        CHECK(runtime->state == ATTACHMENT_ATTACHED && policy->state == ATTACHMENT_CONFLICT);
        CHECK_HAS(policy->reason, "made at run time");

        /* no reload touches it */
        CHECK(world_set_policies(&s.world, s.policies) == 0);
        CHECK(script_run(&s) == 0 && runtime->state == ATTACHMENT_ATTACHED && !runtime->orphaned);
        script_deinit(&s);
}

/* Two that were asked for at run time: neither comes first, the kernel takes one. */
static void test_two_wishes(void) {
        Attachment *a, *b;
        Script s;

        script_init(&s);
        a = script_wish(&s, "bftrack", UUID_X);
        b = script_wish(&s, "bfcount", UUID_X);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        script_look(&s);
        script_settle(&s);
        CHECK(a->on_device != b->on_device);
        CHECK((a->on_device ? b : a)->state == ATTACHMENT_CONFLICT);
        CHECK_HAS((a->on_device ? b : a)->reason, "has another filter on it");
        script_deinit(&s);
}

/* Two partitions of one disk: one after the other. Two disks: at once. */
static void test_one_job_per_disk(void) {
        const Entry entries[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, "") };
        Attachment *x, *y, *z;
        Script s;

        script_init(&s);
        x = script_policy(&s, "1.conf", "bftrack", UUID_X, "");
        y = script_policy(&s, "2.conf", "bftrack", UUID_Y, "");
        z = script_policy(&s, "3.conf", "bftrack", UUID_Z, "");
        script_table(&s, "sda", entries, 2);
        script_table_1(&s, "sdb", 1, UUID_Z, "");
        script_had(&s, "sda");
        script_had(&s, "sdb");
        script_look(&s);
        CHECK(script_run(&s) == 2);
        CHECK(script_run(&s) == 0);
        script_answer(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 1);
        script_answer(&s);
        CHECK(script_run(&s) == 0);
        CHECK(x->state == ATTACHMENT_ATTACHED && y->state == ATTACHMENT_ATTACHED && z->state == ATTACHMENT_ATTACHED);
        CHECK_STR(y->device, "sda2");
        script_deinit(&s);
}

int main(void) {
        test_cold_start();
        test_request();
        test_unwanted();
        test_match();
        test_not_settled();
        test_ignored();
        test_ignored_reread();
        test_ignored_new();
        test_unprobed();
        test_interface();
        test_held();
        test_orphaned();
        test_wrong_file_is_kept();
        test_asked_for();
        test_two_policies();
        test_same_policy_twice();
        test_runtime_first();
        test_two_wishes();
        test_one_job_per_disk();
        return EXIT_SUCCESS;
}
