/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The core's sentences: whole, with the names that matter, and with the next step. */

#undef NDEBUG

#include "daemon/reason.h"
#include "tests/test.h"

typedef struct Scene {
        Disk disk;
        Partition partition;
        const KeptEntry *entry;
        Attachment *a;
} Scene;

static void begin(Scene *s) {
        const Entry e = entry_of(1, UUID_X, "data");
        Match *m = match_of(UUID_X, "data");

        *s = (Scene) { .disk = { .name = "sda" }, .partition = { .name = "sda1", .uid = 7 } };
        CHECK(kept_entry_new(&e, NULL, &s->entry) == 0);
        s->partition.disk = &s->disk;
        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &s->a) == 0);
        match_unref(m);
        CHECK(shared_copy(&s->a->device, "sda1") == 0);
        s->a->device_uid = 7;
}

static void end(Scene *s) {
        kept_entry_unref(s->entry);
        attachment_free(s->a);
}

static void check(char *got, const char *wanted) {
        CHECK(got);
        CHECK_STR(got, wanted);
        free(got);
}

static void test_absent(void) {
        Holder h;
        Scene s;

        begin(&s);
        h = (Holder) { .disk = &s.disk, .entry = s.entry, .partition = &s.partition };
        check(reason_absent(s.a, NULL),
              "not present; attached when it comes");
        s.disk.ignored = "of the disk";
        check(reason_absent(s.a, &h),
              "/dev/sda1 has PARTUUID=" UUID_X " PARTLABEL=data, but is left alone: of the disk");
        s.partition.ignored = "of the partition";
        check(reason_absent(s.a, &h),
              "/dev/sda1 has PARTUUID=" UUID_X " PARTLABEL=data, but is left alone: of the partition");
        h.partition = NULL;
        check(reason_absent(s.a, &h),
              "entry 1 of /dev/sda has PARTUUID=" UUID_X " PARTLABEL=data, but is left alone: of the disk");
        end(&s);
}

static void check_attached(const Scene *s, const Holders *holders, size_t n, const char *wanted) {
        Holders some = *holders;

        some.n_items = n;
        attachment_set_state(s->a, ATTACHMENT_ATTACHED, reason_attached(s->a, &some));
        CHECK_STR(reason_of(s->a), wanted);
}

static void test_holders(void) {
        Partition other = { .name = "sdb2", .uid = 8 };
        Disk disk = { .name = "sdc", .uid = 9 };
        const Entry e = entry_of(12, UUID_X, "data");
        const KeptEntry *entry;
        Holders h = { .n_items = 3 };
        Scene s;

        begin(&s);
        CHECK(kept_entry_new(&e, NULL, &entry) == 0);
        h.items[0] = (Holder) { .disk = &s.disk, .entry = s.entry, .partition = &s.partition };
        h.items[1] = (Holder) { .disk = &disk, .entry = entry, .partition = &other };
        h.items[2] = (Holder) { .disk = &disk, .entry = entry };

        check_attached(&s, &h, 0, "filter bftrack is on /dev/sda1");
        check_attached(&s, &h, 1, "filter bftrack is on /dev/sda1");
        check_attached(&s, &h, 2, "filter bftrack is on /dev/sda1; a clone gets none: /dev/sdb2");
        check_attached(&s, &h, 3, "filter bftrack is on /dev/sda1; a clone gets none: /dev/sdb2, entry 12 of /dev/sdc");

        check(reason_ambiguous(s.a, &h), "/dev/sda1, /dev/sdb2 and entry 12 of /dev/sdc have PARTUUID=" UUID_X
              " PARTLABEL=data; none gets the filter until all but one are gone or have another identity"
              " (sfdisk --part-uuid gives one), or an administrator chooses one");
        check(reason_no_partition(&h.items[2]),
              "entry 12 of /dev/sdc has the identity, but the kernel has no such partition now;"
              " blockdev --rereadpt makes it");

        /* a whole device, and more than are named one by one */
        h.items[2] = (Holder) { .disk = &disk };
        for (size_t i = 3; i < HOLDERS_MAX; i++)
                h.items[i] = h.items[2];
        h.n_items = HOLDERS_MAX;
        check(reason_ambiguous(s.a, &h),
              "/dev/sda1, /dev/sdb2, /dev/sdc, /dev/sdc, /dev/sdc, /dev/sdc, /dev/sdc and /dev/sdc have"
              " PARTUUID=" UUID_X " PARTLABEL=data; none gets the filter until all but one are gone or have another"
              " identity (sfdisk --part-uuid gives one), or an administrator chooses one");
        h.n_items = 100;
        check(reason_ambiguous(s.a, &h),
              "/dev/sda1, /dev/sdb2, /dev/sdc, /dev/sdc, /dev/sdc, /dev/sdc, /dev/sdc, /dev/sdc and 92"
              " more have PARTUUID=" UUID_X " PARTLABEL=data; none gets the filter until all but one are gone or have"
              " another identity (sfdisk --part-uuid gives one), or an administrator chooses one");
        kept_entry_unref(entry);
        end(&s);
}

static void test_reading(void) {
        Disk d = { .name = "sda", .dirty = true };

        check(reason_reading(&d), "the partition table of /dev/sda is being read");
        (void) str_copy(d.scan_error, sizeof(d.scan_error), "sector 0: I/O error");
        check(reason_reading(&d), "the partition table of /dev/sda cannot be read: sector 0: I/O error");
        d.stuck = true;
        check(reason_reading(&d),
              "the partition table of /dev/sda cannot be read: the disk does not answer; see the kernel's log");
        d.dirty = d.stuck = false;
        check(reason_reading(&d), "udev has not said yet what /dev/sda contains, or that it is ready");
        check(reason_unclear(&d),
              "/dev/sda is new too, and may have the same identity: waiting until it is known what is on it");
}

static void test_others(void) {
        Scene s;

        begin(&s);
        check(reason_first_policy(s.a), "an attachment made at run time comes first for this device and wants filter"
              " bftrack");
        s.a->policy_path = shared_new("/etc/blkfilter.d/10-a.conf");
        check(reason_first_policy(s.a), "policy /etc/blkfilter.d/10-a.conf comes first for this device and wants filter"
              " bftrack");
        check(reason_held(s.a),
              "an administrator detached the filter from this device (PARTUUID=" UUID_X " PARTLABEL=data); it"
              " stays so until it is attached by hand, or forgotten (blkfilterctl forget)");
        end(&s);
}

/* What an earlier daemon noted, and what it was only about to do. */
static void test_noted(void) {
        Scene s;
        Device d;

        begin(&s);
        d = (Device) { &s.disk, &s.partition };
        check(reason_noted(s.a, d), "whether filter bftrack is on /dev/sda1 is not known; the kernel is asked");
        s.a->recorded_since_usec = 1;
        check(reason_noted(s.a, d),
              "filter bftrack was on /dev/sda1 when the daemon was there last; the kernel is asked whether"
              " it still is");
        s.disk.stuck = true;
        check(reason_noted(s.a, d),
              "filter bftrack was on /dev/sda1 when the daemon was there last; the kernel is asked whether"
              " it still is, but the disk does not answer; see the kernel's log");
        check(reason_left(s.a, (Device) { &s.disk, NULL }),
              "filter bftrack is on /dev/sda, where it does not belong any more; it is taken off");
        end(&s);
}

static void test_settings(void) {
        static const struct {
                unsigned on;
                const char *word;
        } kinds[] = { { POLICY_ON_BOOT, "boot" }, { POLICY_ON_RESCAN, "rescan" }, { POLICY_ON_HOTPLUG, "hotplug" } };
        char wanted[256];
        Scene s;

        for (size_t i = 0; i < 3; i++) {
                (void) snprintf(wanted, sizeof(wanted),
                                "the device is there, but On= of the policy does not name %s; attach it by"
                                " hand, or add the word and reload", kinds[i].word);
                check(reason_not_followed(kinds[i].on), wanted);
        }

        begin(&s);
        check(reason_changed(s.a, "PTUUID", "a", "b"),
              "PARTUUID=" UUID_X " PARTLABEL=data is back, but its PTUUID was a and is b"
              " now, and OnChange=refuse; attach it by hand if that is right");
        check(reason_changed(s.a, "DiskWWN", "a", ""),
              "PARTUUID=" UUID_X " PARTLABEL=data is back, but its DiskWWN was a and is"
              " not known now, and OnChange=refuse; attach it by hand if that is right");
        end(&s);
}

/* Of a whole device nothing is said of partitions. */
static void test_whole(void) {
        JobReply reply = { .outcome = JOB_MISMATCH, .message = "its PTUUID differs" };
        Match *m = match_one(MATCH_PT_UUID, "1234abcd");
        Disk disk = { .name = "sda" };
        Attachment *a;
        Holder h;

        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &a) == 0);
        CHECK(shared_copy(&a->device, "sda") == 0);
        check(reason_absent(a, NULL), "not present; attached when it comes");
        h = (Holder) { .disk = &disk };
        disk.ignored = "why";
        check(reason_absent(a, &h), "/dev/sda has PTUUID=1234abcd, but is left alone: why");
        check(reason_outcome(a, &reply),
              "/dev/sda is not the device that was meant (its PTUUID differs); blockdev --rereadpt brings"
              " the two together");
        attachment_free(a);
        match_unref(m);
}

static void test_outcome_one(JobOutcome outcome, const char *message, const char *other, const char *wanted) {
        JobReply reply = { .outcome = outcome };
        Scene s;

        begin(&s);
        (void) str_copy(reply.message, sizeof(reply.message), message);
        (void) str_copy(reply.other_filter, sizeof(reply.other_filter), other);
        check(reason_outcome(s.a, &reply), wanted);
        end(&s);
}

static void test_conflict_ignored(void) {
        JobReply reply = { .outcome = JOB_CONFLICT };
        Settings *settings;
        Scene s;

        CHECK(settings_new(&settings) == 0);
        settings->ignore_conflict = true;
        begin(&s);
        settings_unref(s.a->settings);
        s.a->settings = settings;
        check(reason_outcome(s.a, &reply), "/dev/sda1 has another filter on it; it is left there, and this one does not"
              " wait for it to go (OnConflict=ignore)");
        end(&s);
}

static void test_outcome(void) {
        test_outcome_one(JOB_CONFLICT, "", "",
                         "/dev/sda1 has another filter on it; it is left there, and this one waits until it is gone");
        test_outcome_one(JOB_CONFLICT, "", "blksnap",
                         "/dev/sda1 has another filter on it (blksnap); it is left there, and this"
                         " one waits until it is gone");
        test_outcome_one(JOB_NOT_REGISTERED, "", "",
                         "/dev/sda1: the kernel has no filter bftrack; load its module (modprobe"
                         " bftrack), it is attached then");
        test_outcome_one(JOB_MISMATCH, "", "",
                         "/dev/sda1 is not the partition that the table on the disk describes; blockdev"
                         " --rereadpt brings the two together");
        test_outcome_one(JOB_MISMATCH, "it begins elsewhere", "",
                         "/dev/sda1 is not the partition that the table on the disk"
                         " describes (it begins elsewhere); blockdev --rereadpt brings the two together");
        test_outcome_one(JOB_DUPLICATE, "", "", "/dev/sda1 is not the only partition in its table with PARTUUID=" UUID_X
                         " PARTLABEL=data; none gets the filter until the others have another identity");
        test_outcome_one(JOB_LOCKED, "", "", "/dev/sda1: another program holds the lock of its disk; tried again soon");
        test_outcome_one(JOB_GONE, "", "", "/dev/sda1 went away before the filter was on");
        test_outcome_one(JOB_UNSUPPORTED, "", "", "/dev/sda1 does not take filters");
        test_outcome_one(JOB_UNSUPPORTED, "no options", "", "/dev/sda1: no options");
        test_outcome_one(JOB_TIMED_OUT, "", "",
                         "/dev/sda1 does not answer; the outcome is unknown, the other disks go on; see"
                         " the kernel's log");
        test_outcome_one(JOB_FAILED, "", "", "/dev/sda1: attaching failed; tried again later");
        test_outcome_one(JOB_FAILED, "no memory", "", "/dev/sda1: attaching failed: no memory; tried again later");
        test_outcome_one(JOB_UNREADABLE, "sector 0", "", "/dev/sda1: attaching failed: sector 0; tried again later");
        test_outcome_one(JOB_DIED, "the worker ended", "",
                         "/dev/sda1: attaching failed: the worker ended; tried again later");
}

int main(void) {
        check(reason_plain("as it stands"), "as it stands");
        test_absent();
        test_holders();
        test_reading();
        test_others();
        test_noted();
        test_settings();
        test_whole();
        test_outcome();
        test_conflict_ignored();
        return EXIT_SUCCESS;
}
