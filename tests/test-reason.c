/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The core's sentences: whole, with the names that matter, and with the next step. */

#undef NDEBUG

#include "daemon/reason.h"
#include "tests/test.h"

typedef struct Scene {
        Disk disk;
        Partition partition;
        Entry entry;
        Attachment *a;
} Scene;

static void begin(Scene *s) {
        Match m = match_of(UUID_X, "data");

        *s = (Scene) { .disk = { .name = "sda" }, .partition = { .name = "sda1", .uid = 7 }, .entry = entry_of(1, UUID_X, "data") };
        s->partition.disk = &s->disk;
        CHECK(attachment_new("bftrack", &m, ATTACHMENT_SOURCE_POLICY, &s->a) == 0);
        (void) str_copy(s->a->device, sizeof(s->a->device), "sda1");
        s->a->device_uid = 7;
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
        h = (Holder) { .disk = &s.disk, .entry = &s.entry, .partition = &s.partition };
        check(reason_absent(s.a, NULL), "no partition with PARTUUID=" UUID_X " PARTLABEL=data is present; it is attached when"
              " one comes");
        (void) str_copy(s.disk.ignored, sizeof(s.disk.ignored), "of the disk");
        check(reason_absent(s.a, &h), "/dev/sda1 has PARTUUID=" UUID_X " PARTLABEL=data, but is left alone: of the disk");
        (void) str_copy(s.partition.ignored, sizeof(s.partition.ignored), "of the partition");
        check(reason_absent(s.a, &h), "/dev/sda1 has PARTUUID=" UUID_X " PARTLABEL=data, but is left alone: of the partition");
        h.partition = NULL;
        check(reason_absent(s.a, &h), "entry 1 of /dev/sda has PARTUUID=" UUID_X " PARTLABEL=data, but is left alone: of the"
              " disk");
        attachment_free(s.a);
}

static void test_holders(void) {
        Partition other = { .name = "sdb2", .uid = 8 };
        Disk disk = { .name = "sdc" };
        Entry entry = entry_of(12, UUID_X, "data");
        Holder h[3];
        Scene s;

        begin(&s);
        h[0] = (Holder) { .disk = &s.disk, .entry = &s.entry, .partition = &s.partition };
        h[1] = (Holder) { .disk = &disk, .entry = &entry, .partition = &other };
        h[2] = (Holder) { .disk = &disk, .entry = &entry };

        check(reason_attached(s.a, NULL, 0), "filter bftrack is on /dev/sda1");
        check(reason_attached(s.a, h, 1), "filter bftrack is on /dev/sda1");
        check(reason_attached(s.a, h, 2), "filter bftrack is on /dev/sda1; a clone gets none: /dev/sdb2");
        check(reason_attached(s.a, h, 3), "filter bftrack is on /dev/sda1; a clone gets none: /dev/sdb2, entry 12 of /dev/sdc");

        check(reason_ambiguous(s.a, h, 3), "/dev/sda1, /dev/sdb2 and entry 12 of /dev/sdc have PARTUUID=" UUID_X
              " PARTLABEL=data; none gets the filter until all but one are gone or have another identity"
              " (sfdisk --part-uuid gives one)");
        check(reason_no_partition(&h[2]), "entry 12 of /dev/sdc has the identity, but the kernel has no such partition now;"
              " blockdev --rereadpt makes it");
        attachment_free(s.a);
}

static void test_reading(void) {
        Disk d = { .name = "sda" };

        check(reason_reading(&d), "the partition table of /dev/sda is being read");
        (void) str_copy(d.scan_error, sizeof(d.scan_error), "sector 0: I/O error");
        check(reason_reading(&d), "the partition table of /dev/sda cannot be read: sector 0: I/O error");
        d.stuck = true;
        check(reason_reading(&d), "the partition table of /dev/sda cannot be read: the disk does not answer; see the kernel's"
              " log");
}

static void test_first_policy(void) {
        Scene s;

        begin(&s);
        check(reason_first_policy(s.a), "an attachment made at run time comes first for this partition and wants filter"
              " bftrack");
        s.a->policy_path = strdup("/etc/blkfilter.d/10-a.conf");
        check(reason_first_policy(s.a), "policy /etc/blkfilter.d/10-a.conf comes first for this partition and wants filter"
              " bftrack");
        attachment_free(s.a);
}

static void test_outcome_one(JobOutcome outcome, const char *message, const char *other, const char *wanted) {
        JobReply reply = { .outcome = outcome };
        Scene s;

        begin(&s);
        (void) str_copy(reply.message, sizeof(reply.message), message);
        (void) str_copy(reply.other_filter, sizeof(reply.other_filter), other);
        check(reason_outcome(s.a, &reply), wanted);
        attachment_free(s.a);
}

static void test_outcome(void) {
        test_outcome_one(JOB_CONFLICT, "", "", "/dev/sda1 has another filter on it; it is left there, and this one waits until it"
                         " is gone");
        test_outcome_one(JOB_CONFLICT, "", "blksnap", "/dev/sda1 has another filter on it (blksnap); it is left there, and this"
                         " one waits until it is gone");
        test_outcome_one(JOB_NOT_REGISTERED, "", "", "/dev/sda1: the kernel has no filter bftrack; load its module (modprobe"
                         " bftrack), it is attached then");
        test_outcome_one(JOB_MISMATCH, "", "", "/dev/sda1 is not the partition that the table on the disk describes; blockdev"
                         " --rereadpt brings the two together");
        test_outcome_one(JOB_MISMATCH, "it begins elsewhere", "", "/dev/sda1 is not the partition that the table on the disk"
                         " describes (it begins elsewhere); blockdev --rereadpt brings the two together");
        test_outcome_one(JOB_DUPLICATE, "", "", "/dev/sda1 is not the only partition in its table with PARTUUID=" UUID_X
                         " PARTLABEL=data; none gets the filter until the others have another identity");
        test_outcome_one(JOB_LOCKED, "", "", "/dev/sda1: another program holds the lock of its disk; tried again soon");
        test_outcome_one(JOB_GONE, "", "", "/dev/sda1 went away before the filter was on");
        test_outcome_one(JOB_UNSUPPORTED, "", "", "/dev/sda1 does not take filters");
        test_outcome_one(JOB_TIMED_OUT, "", "", "/dev/sda1 does not answer; the outcome is unknown, the other disks go on; see"
                         " the kernel's log");
        test_outcome_one(JOB_FAILED, "", "", "/dev/sda1: attaching failed; tried again later");
        test_outcome_one(JOB_FAILED, "no memory", "", "/dev/sda1: attaching failed: no memory; tried again later");
        test_outcome_one(JOB_UNREADABLE, "sector 0", "", "/dev/sda1: attaching failed: sector 0; tried again later");
        test_outcome_one(JOB_DIED, "the worker ended", "", "/dev/sda1: attaching failed: the worker ended; tried again later");
}

int main(void) {
        check(reason_plain("as it stands"), "as it stands");
        test_absent();
        test_holders();
        test_reading();
        test_first_policy();
        test_outcome();
        return EXIT_SUCCESS;
}
