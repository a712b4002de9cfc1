/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan with whole devices: what they are recognised by, clones, those that are left alone, and media
 * that change under a filter: proven again, or taken off.
 */

#undef NDEBUG

#include "tests/script-run.h"

#define PT_A "11111111-1111-4111-8111-111111111111"
#define PT_B "22222222-2222-4222-8222-222222222222"
#define WWN  "0x5000c500a1b2c3d4"

static void set(Script *s, const char *name, MatchKey key, const char *value) {
        script_device(s, name)->values[key] = value;
}

/* The filter is on sda, known by one value. */
static Attachment *begin(Script *s, MatchKey key, const char *value) {
        Attachment *a;

        script_init(s);
        if (key != MATCH_KERNEL_NAME)
                set(s, "sda", key, value);
        script_had(s, "sda");
        a = script_policy_of(s, "20.conf", "bftrack", match_one(key, value), NULL);
        script_look(s);
        script_settle(s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->on_device && a->n_attached == 1);
        CHECK_STR(a->device, "sda");
        CHECK(a->fingerprint.entry->partno == 0 && a->fingerprint.object == script_device(s, "sda")->object);
        CHECK_STR(script_device(s, "sda")->filter, "bftrack");
        a->changed = 0;
        return a;
}

static void test_request(void) {
        const JobRequest *r;
        Script s;

        script_init(&s);
        set(&s, "sda", MATCH_PT_UUID, PT_A);
        set(&s, "sda", MATCH_DISK_WWN, WWN);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        script_policy_of(&s, "20.conf", "bftrack", match_parse("PTUUID=" PT_A "|DiskWWN=" WWN), NULL);
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda");
        r = &s.jobs[0];
        CHECK(r->partno == 0 && !r->partition.name[0] && r->disk.object == script_device(&s, "sda")->object);
        CHECK(r->disk.diskseq == 1 && !r->expect.place);

        /* its WWN cannot be read from it: that is bound to the object and its sequence number */
        CHECK(r->expect.keys == 1U << MATCH_PT_UUID);
        CHECK_STR(r->expect.values[MATCH_PT_UUID], PT_A);
        script_answer(&s);
        CHECK(script_run(&s) == 0);
        CHECK_STR(s.world.attachments.items[0]->fingerprint.disk->wwn, WWN);
        CHECK_STR(s.world.attachments.items[0]->fingerprint.disk->pt_uuid, PT_A);
        CHECK_STR(reason_of(s.world.attachments.items[0]), "filter bftrack is on /dev/sda");
        script_deinit(&s);
}

/* By each key: attached, gone with the device, and back wherever it comes back. */
static void test_identity_one(MatchKey key, const char *value) {
        uint64_t begin_usec;
        Script s;
        Attachment *a = begin(&s, key, value);

        begin_usec = s.now.realtime_usec;
        script_unplug(&s, "sda");
        CHECK(script_run(&s) == 0 && !a->on_device && a->n_gaps == 1 && a->state == ATTACHMENT_WAITING &&
              !a->left_object);
        CHECK_STR(a->gaps[0].reason, "removed");
        script_udev(&s);
        script_pass(&s, 60 * SECOND);

        if (key == MATCH_KERNEL_NAME) {
                script_plug(&s, "sdb");
                script_udev(&s);
                script_settle(&s);
                CHECK(!a->on_device);
                script_plug(&s, "sda");
        } else {
                set(&s, "sda", key, NULL);
                set(&s, "sdc", key, value);
                script_plug(&s, "sdc");
        }

        /* not before udev has said what it is */
        CHECK(script_run(&s) == 0);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 1 && a->n_attached == 2);
        CHECK_STR(a->device, key == MATCH_KERNEL_NAME ? "sda" : "sdc");
        CHECK(a->gaps[0].begin_usec == begin_usec && a->gaps[0].end_usec == s.now.realtime_usec);
        script_deinit(&s);
}

static void test_identity(void) {
        test_identity_one(MATCH_DISK_WWN, WWN);
        test_identity_one(MATCH_DISK_SERIAL, "S3Z8NB0K");
        test_identity_one(MATCH_PT_UUID, PT_A);
        test_identity_one(MATCH_FS_UUID, "1111-1111");
        test_identity_one(MATCH_FS_LABEL, "root");
        test_identity_one(MATCH_DM_NAME, "vg-root");
        test_identity_one(MATCH_DM_UUID, "LVM-x");
        test_identity_one(MATCH_KERNEL_NAME, "sda");
}

/* A re-read makes other partitions, and leaves the whole device what it is. */
static void test_reread(void) {
        Script s;
        Attachment *a = begin(&s, MATCH_DISK_WWN, WWN);

        script_table_1(&s, "sda", 1, UUID_X, "");
        for (int i = 0; i < 3; i++) {
                script_reread(&s, "sda");
                CHECK(script_run(&s) == 0 && a->on_device); /* nor is its table read for it */
                script_udev(&s);
                CHECK(script_run(&s) == 0 && a->on_device && a->n_gaps == 0);
        }
        script_deinit(&s);
}

/* Its partitions are not it, though they share its values; and one of them can be meant by them. */
static void test_partition_of(void) {
        Attachment *whole, *part;
        Script s;

        script_init(&s);
        set(&s, "sda", MATCH_DISK_WWN, WWN);
        script_table(&s, "sda", (Entry[]) { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, "") }, 2);
        script_had(&s, "sda");
        whole = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_DISK_WWN, WWN), NULL);
        part = script_policy_of(&s, "30.conf", "bftrack", match_parse("DiskWWN=" WWN "|PartNumber=2"), NULL);
        script_look(&s);
        script_settle(&s);
        CHECK_STR(whole->device, "sda");
        CHECK_STR(part->device, "sda2");
        CHECK(!script_device(&s, "sda1")->filter[0]);

        /* after a re-read the partition's comes back, the disk's was never away */
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(whole->n_attached == 1 && part->n_attached == 2);
        script_deinit(&s);
}

static void test_clones(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        set(&s, "sda", MATCH_PT_UUID, PT_A);
        set(&s, "sdb", MATCH_PT_UUID, PT_A);
        script_had(&s, "sda");
        script_had(&s, "sdb");
        a = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_PT_UUID, PT_A), NULL);
        script_look(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda and /dev/sdb have PTUUID=" PT_A);

        /* one gets another table; then a clone beside the attached one takes nothing away */
        set(&s, "sdb", MATCH_PT_UUID, PT_B);
        script_kernel(&s, EVENT_CHANGE, "sdb");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device);
        CHECK_STR(a->device, "sda");
        set(&s, "sdc", MATCH_PT_UUID, PT_A);
        script_plug(&s, "sdc");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_attached == 1);
        CHECK_STR(a->reason, "filter bftrack is on /dev/sda; a clone gets none: /dev/sdc");
        script_deinit(&s);
}

/* Paths of a multipath device have the WWN too, and are left alone. */
static void test_ignored(void) {
        Attachment *a;
        DeviceEvent e;
        Script s;

        script_init(&s);
        for (char name[] = "sda"; name[2] <= 'b'; name[2]++) {
                set(&s, name, MATCH_DISK_WWN, WWN);
                script_plug(&s, name);
                script_udev(&s);
                e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, name, ++s.seqnum);
                e.ignored = "it is a path of a multipath device";
                CHECK(device_set_apply(&s.world.devices, &e) == 0);
        }
        a = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_DISK_WWN, WWN), NULL);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_WAITING);
        CHECK_STR(a->reason, "/dev/sda has DiskWWN=" WWN ", but is left alone: it is a path of a multipath device");

        set(&s, "sdc", MATCH_DISK_WWN, WWN);
        script_plug(&s, "sdc");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device);
        CHECK_STR(a->device, "sdc");
        script_deinit(&s);
}

/* Another medium in the same drive, and the drive is what was meant: proven again, and a gap all the same. */
static void test_medium_same_identity(void) {
        uint64_t begin_usec;
        Script s;
        Attachment *a = begin(&s, MATCH_DISK_WWN, WWN);

        script_pass(&s, SECOND);
        begin_usec = s.now.realtime_usec;
        script_medium(&s, "sda");
CHECK(script_run(&s) == 0 && !a->on_device && a->n_gaps == 1 && a->left_object == a->fingerprint.object);
        CHECK_STR(a->gaps[0].reason, "medium-changed");
        CHECK(a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_RECORD &&
              a->intact_since_usec == 0);

        script_pass(&s, SECOND);
        script_udev(&s);
        script_expect(&s, JOB_ATTACH, "sda");
        script_answer(&s);
        CHECK(a->last_outcome == JOB_ALREADY && script_run(&s) == 0 && a->on_device && !a->left_object &&
              a->n_attached == 1);
        CHECK(a->gaps[0].begin_usec == begin_usec && a->gaps[0].end_usec == s.now.realtime_usec);
        CHECK_STR(a->gaps[0].reason, "medium-changed");
        CHECK(a->intact_since_usec == s.now.realtime_usec && a->fingerprint.disk->diskseq == 2);
        script_deinit(&s);
}

/* The medium was what was meant: the filter is taken off the drive. */
static void test_medium_other(void) {
        Script s;
        Attachment *a = begin(&s, MATCH_PT_UUID, PT_A);
        uint64_t object = a->fingerprint.object;

        set(&s, "sda", MATCH_PT_UUID, PT_B);
        script_medium(&s, "sda");
        CHECK(script_run(&s) == 0 && a->left_object == object);
        script_udev(&s);
        script_expect(&s, JOB_DETACH, "sda");
        CHECK_STR(s.jobs[0].filter, "bftrack");
        CHECK(s.jobs[0].disk.diskseq == 2 && s.jobs[0].disk.object == object);
        CHECK_STR(a->reason, "filter bftrack is on /dev/sda, where it does not belong any more; it is taken off");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->left_object && !script_device(&s, "sda")->filter[0]);
        CHECK(a->state == ATTACHMENT_WAITING && a->n_gaps == 1 && !a->gaps[0].end_usec);
        CHECK_STR(a->reason, "not present; attached when it comes");

        /* and it is back with its medium, in another drive */
        set(&s, "sdb", MATCH_PT_UUID, PT_A);
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 1 && a->gaps[0].end_usec == s.now.realtime_usec && a->n_attached == 2);
        CHECK_STR(a->device, "sdb");
        script_deinit(&s);
}

/* It is in another drive before the filter is off the first: first off, then on. */
static void test_medium_moved(void) {
        Script s;
        Attachment *a = begin(&s, MATCH_PT_UUID, PT_A);

        set(&s, "sda", MATCH_PT_UUID, NULL);
        set(&s, "sdb", MATCH_PT_UUID, PT_A);
        script_medium(&s, "sda");
        script_plug(&s, "sdb");
        script_udev(&s);
        while (script_run(&s), s.n_jobs > 0) {
                CHECK(s.jobs[0].kind != JOB_ATTACH || !script_device(&s, "sda")->filter[0]);
                script_answer(&s);
        }
        CHECK(a->on_device && !script_device(&s, "sda")->filter[0]);
        CHECK_STR(a->device, "sdb");
        script_deinit(&s);
}

/* A drive without a medium is not ready: whatever is on it does not belong there. */
static void test_medium_ejected(void) {
        DeviceEvent e;
        Script s;
        Attachment *a = begin(&s, MATCH_DISK_WWN, WWN);

        script_medium(&s, "sda");
        CHECK(script_run(&s) == 0);
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda", s.seqnum);
        e.settled = false;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        script_expect(&s, JOB_DETACH, "sda");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_WAITING && !a->left_object);
        CHECK_HAS(a->reason, "/dev/sda has DiskWWN=" WWN ", but is left alone: udev does not call it ready");

        script_medium(&s, "sda");
        s.n_udev = 0;
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda", s.seqnum);
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 1 && a->n_attached == 2);
        script_deinit(&s);
}

/* Udev says nothing for seconds: the filter is not left on a medium that nobody knows. */
static void test_medium_unknown(void) {
        Script s;
        Attachment *a = begin(&s, MATCH_DISK_WWN, WWN);

        script_medium(&s, "sda");
        for (int i = 0; i < 9; i++) {
                CHECK(script_run(&s) == 0);
                script_pass(&s, SECOND / 2);
        }
        script_pass(&s, SECOND);
        (void) script_run(&s);
        while (s.n_jobs > 0 && s.jobs[0].kind != JOB_DETACH)
                script_answer(&s);
        script_settle(&s);
        CHECK(!script_device(&s, "sda")->filter[0] && !a->on_device && !a->left_object);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 1);
        script_deinit(&s);
}

/* Taking it off does not go at once. */
static void test_take_off_one(JobOutcome outcome, bool again) {
        Script s;
        Attachment *a = begin(&s, MATCH_PT_UUID, PT_A);

        set(&s, "sda", MATCH_PT_UUID, PT_B);
        script_medium(&s, "sda");
        script_udev(&s);
        script_expect(&s, JOB_DETACH, "sda");
        script_reply_outcome(&s, outcome);
        CHECK(script_run(&s) == 0 && (a->left_object != 0) == again);
        if (again) {
                uint64_t delay_usec = outcome == JOB_LOCKED ? lock_delay_usec(1) : SECOND;

                CHECK(s.wake_at_usec == s.now.monotonic_usec + delay_usec);
                script_pass(&s, delay_usec);
                script_expect(&s, JOB_DETACH, "sda");
                script_answer(&s);
                CHECK(script_run(&s) == 0 && !a->left_object);
        }
        script_deinit(&s);
}

static void test_take_off(void) {
        test_take_off_one(JOB_LOCKED, true);
        test_take_off_one(JOB_DIED, true);
        test_take_off_one(JOB_FAILED, true);
        test_take_off_one(JOB_GONE, true);
        test_take_off_one(JOB_NOT_ATTACHED, false);
        test_take_off_one(JOB_CONFLICT, false);
        test_take_off_one(JOB_UNSUPPORTED, false);
}

/* The drive goes with the filter that was left on it: nothing is left to be done. */
static void test_left_gone(void) {
        Script s;
        Attachment *a = begin(&s, MATCH_PT_UUID, PT_A);

        set(&s, "sda", MATCH_PT_UUID, PT_B);
        script_medium(&s, "sda");
        CHECK(script_run(&s) == 0 && a->left_object);
        script_unplug(&s, "sda");
        s.n_udev = 0;
        CHECK(script_run(&s) == 0 && !a->left_object && a->state == ATTACHMENT_WAITING && a->n_gaps == 1);
        script_deinit(&s);
}

/* The attach ends with success after the medium changed under it: it is on, where it may not belong. */
static void test_medium_during_attach(void) {
        JobReply reply = { .outcome = JOB_OK };
        Attachment *a;
        Script s;

        script_init(&s);
        set(&s, "sda", MATCH_PT_UUID, PT_A);
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_PT_UUID, PT_A), NULL);
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda");
        set(&s, "sda", MATCH_PT_UUID, PT_B);
        script_medium(&s, "sda");
        (void) str_copy(script_device(&s, "sda")->filter, FILTER_NAME_SIZE, "bftrack");
        script_reply(&s, &reply);
        CHECK(!a->on_device && a->left_object == script_device(&s, "sda")->object && a->n_gaps == 0);
        script_udev(&s);
        script_settle(&s);
        CHECK(!script_device(&s, "sda")->filter[0] && !a->left_object && !a->on_device);
        script_deinit(&s);
}

/* The medium was changed while no daemon was there. */
static void test_restart_one(const char *pt_uuid, bool changed) {
        Attachment *a;
        Script s;

        script_init(&s);
        set(&s, "sda", MATCH_PT_UUID, PT_A);
        script_had(&s, "sda");
        a = script_policy_of(&s, "20.conf", "bftrack", match_one(MATCH_PT_UUID, PT_A), NULL);
        script_noted(&s, a, "sda", SECOND, 2 * SECOND);
        set(&s, "sda", MATCH_PT_UUID, pt_uuid);
        if (changed)
                script_disk(&s, "sda")->diskseq = ++s.last_diskseq;
        script_look(&s);
        script_expect(&s, !changed ? JOB_CHECK : str_equal(pt_uuid, PT_A) ? JOB_ATTACH : JOB_DETACH, "sda");
        CHECK(a->n_gaps == changed);
        script_settle(&s);
        CHECK(a->on_device == str_equal(pt_uuid, PT_A) && a->n_attached == 0 && !a->left_object && !a->noted_object);
        CHECK_STR(script_device(&s, "sda")->filter, a->on_device ? "bftrack" : "");
        CHECK(a->intact_since_usec == (!a->on_device ? 0 : changed ? s.now.realtime_usec : SECOND));
        if (changed) {
                CHECK_STR(a->gaps[0].reason, "medium-changed");
                CHECK(a->gaps[0].begin_usec == 2 * SECOND && a->gaps[0].latest_usec == s.now.realtime_usec);
        }
        script_deinit(&s);
}

static void test_restart(void) {
        test_restart_one(PT_A, false);
        test_restart_one(PT_A, true);
        test_restart_one(PT_B, true);
}

int main(void) {
        test_request();
        test_identity();
        test_reread();
        test_partition_of();
        test_clones();
        test_ignored();
        test_medium_same_identity();
        test_medium_other();
        test_medium_moved();
        test_medium_ejected();
        test_medium_unknown();
        test_take_off();
        test_left_gone();
        test_medium_during_attach();
        test_restart();
        return EXIT_SUCCESS;
}
