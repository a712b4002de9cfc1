/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a caller may call a device, and what is said to him if there is none, or several. */

#undef NDEBUG

#include "daemon/resolve.h"
#include "tests/test.h"

static void put(DeviceSet *s, const char *disk, const char *name, unsigned partno, const char *uuid, const char *label,
                const char *links) {
        DeviceEvent e = { .source = EVENT_ENUMERATION, .action = EVENT_ADD, .partno = partno, .settled = true,
                          .links = links };

        (void) str_copy(e.name, sizeof(e.name), name);
        (void) str_copy(e.disk, sizeof(e.disk), disk);
        if (partno > 0) {
                e.has_entry = true;
                e.entry = entry_of(partno, uuid, label);
        }
        CHECK(device_set_apply(s, &e) == 0);
}

/* sda1 and sdb1 have one label and one file system's UUID, sda2 is alone, sdb2 has no identity. */
static DeviceSet begin(void) {
        DeviceSet s = { 0 };

        put(&s, "sda", "sda", 0, "", "", "/dev/disk/by-id/x");
        put(&s, "sda", "sda1", 1, UUID_X, "data", "/dev/disk/by-partlabel/data /dev/disk/by-uuid/1111-1111");
        put(&s, "sda", "sda2", 2, "1234abcd-02", "two words",
            "/dev/disk/by-label/two\\x20w\\x2frds  /dev/disk/by-uuid/2222-2222 /dev/disk/by-id/x-part2");
        put(&s, "sdb", "sdb", 0, "", "", NULL);
        put(&s, "sdb", "sdb1", 1, UUID_Y, "data", "/dev/disk/by-partlabel/data /dev/disk/by-uuid/1111-1111");
        put(&s, "sdb", "sdb2", 2, "", "", NULL);
        put(&s, "cciss/c0d0", "cciss/c0d0", 0, "", "",
            "/dev/disk/by-uuid/3333-3333 /dev/disk/by-label/live /dev/disk/by-path/y");
        put(&s, "cciss/c0d0", "cciss/c0d0p1", 1, UUID_Z, "", "");
        put(&s, "sdc", "sdc", 0, "", "", "/dev/disk/by-label/live-part1");
        return s;
}

static void test_found_one(const char *name, const char *wanted) {
        DeviceSet s = begin();
        Device d = { 0 };
        char *message = NULL;

        CHECK(resolve_device(&s, name, &d, &message) == REQUEST_OK);
        CHECK(d.disk && !message);
        CHECK_STR(device_name(d), wanted);
        device_set_deinit(&s);
}

static void test_found(void) {
        test_found_one("/dev/sda1", "sda1");
        test_found_one("/dev/sdb2", "sdb2");
        test_found_one("/dev/sda", "sda");
        test_found_one("/dev/cciss/c0d0", "cciss/c0d0");
        test_found_one("/dev/disk/by-id/x", "sda");
        test_found_one("UUID=3333-3333", "cciss/c0d0");
        test_found_one("/dev/cciss/c0d0p1", "cciss/c0d0p1");
        test_found_one("/dev/disk/by-id/x-part2", "sda2");
        test_found_one("/dev/disk/by-uuid/2222-2222", "sda2");
        test_found_one("/dev/disk/by-partuuid/" UUID_X, "sda1");
        test_found_one("/dev/disk/by-partlabel/two\\x20words", "sda2");
        test_found_one("/dev/disk/by-path/y-part1", "cciss/c0d0p1");
        test_found_one("LABEL=live", "cciss/c0d0");
        test_found_one("LABEL=live-part1", "sdc");
        test_found_one("PARTUUID=" UUID_X, "sda1");
        test_found_one("PARTUUID=B921B045-1DF0-41C3-AF44-4C6F280D3FAE", "sdb1");
        test_found_one("PARTUUID=1234ABCD-02", "sda2");
        test_found_one("PARTLABEL=two words", "sda2");
        test_found_one("UUID=2222-2222", "sda2");
        test_found_one("LABEL=two w/rds", "sda2");
}

static void test_refused_one(const char *name, RequestError error, const char *words) {
        DeviceSet s = begin();
        Device d = { 0 };
        char *message = NULL;

        CHECK(resolve_device(&s, name, &d, &message) == error);
        CHECK(!d.disk && message);
        CHECK_HAS(message, words);
        free(message);
        device_set_deinit(&s);
}

static void test_refused(void) {
        char longest[FACT_SIZE + 16] = "PARTLABEL=";

        test_refused_one("", REQUEST_E_INVALID, "by its path below /dev");
        test_refused_one("sda1", REQUEST_E_INVALID, "by its path below /dev");
        test_refused_one("/dev/", REQUEST_E_INVALID, "by its path below /dev");
        test_refused_one("/dev/disk/by-uuid/3333-3333-part1", REQUEST_E_NO_SUCH_DEVICE, "no device that is present");
        test_refused_one("/tmp/sda1", REQUEST_E_INVALID, "by its path below /dev");
        test_refused_one("partuuid=" UUID_X, REQUEST_E_INVALID, "by its path below /dev");
        test_refused_one(" /dev/sda1", REQUEST_E_INVALID, "by its path below /dev");

        test_refused_one("PARTUUID=", REQUEST_E_INVALID, "one looks like");
        test_refused_one("PARTUUID=x", REQUEST_E_INVALID, "PARTUUID=x is no partition UUID");
        test_refused_one("PARTUUID=00000000-0000-0000-0000-000000000000", REQUEST_E_INVALID, "one looks like");
        test_refused_one("PARTLABEL=", REQUEST_E_INVALID, "1 to 36 characters");
        memset(longest + 10, 'x', sizeof(longest) - 11);
        test_refused_one(longest, REQUEST_E_INVALID, "1 to 36 characters");

        test_refused_one("/dev/sdz1", REQUEST_E_NO_SUCH_DEVICE, "answers to /dev/sdz1");
        test_refused_one("/dev//sda1", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/../dev/sda1", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-id/x-part3", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-id/x-part02", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-id/x-part", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-id/x-part18446744073709551618", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-partlabel/two words", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-uuid/2222-222", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("/dev/disk/by-uuid/2222-2222 /dev/disk/by-id/x-part2", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("PARTUUID=" "0fc63daf-8483-4772-8e79-3d69d8477de5", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("PARTLABEL=dat", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("UUID=", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("UUID=../by-id/x-part2", REQUEST_E_NO_SUCH_DEVICE, "lsblk");
        test_refused_one("LABEL=two", REQUEST_E_NO_SUCH_DEVICE, "lsblk");

        test_refused_one("PARTLABEL=data", REQUEST_E_AMBIGUOUS,
                         "/dev/sda1 and /dev/sdb1 both answer to PARTLABEL=data");
        test_refused_one("UUID=1111-1111", REQUEST_E_AMBIGUOUS, "name the one that is meant by its path");
        test_refused_one("/dev/disk/by-partlabel/data", REQUEST_E_AMBIGUOUS, "/dev/sda1 and /dev/sdb1");
}

int main(void) {
        test_found();
        test_refused();
        return EXIT_SUCCESS;
}
