/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The facts that are taken from udev's properties. The properties are those that the rules of systemd,
 * dmsetup, multipath-tools and mdadm give, the device is made up: libudev takes one from the environment.
 */

#undef NDEBUG

#include "daemon/text.h"
#include "daemon/uevent-facts.h"
#include "tests/check.h"

#define DISK "DEVPATH=/devices/virtual/block/sdx", "DEVNAME=sdx", "DEVTYPE=disk", "MAJOR=8", "MINOR=0"
#define PARTITION "DEVPATH=/devices/virtual/block/sdx/sdx2", "DEVNAME=sdx2", "DEVTYPE=partition", "MAJOR=8", \
                  "MINOR=2", "PARTN=2"
#define DM "DEVPATH=/devices/virtual/block/dm-7", "DEVNAME=dm-7", "DEVTYPE=disk", "MAJOR=254", "MINOR=7"

static struct udev *udev;
static UEventFacts facts;

/* The facts of an event that has these properties; NULL if there is no such device for the registry. */
static const DeviceEvent *facts_of(EventSource source, const char *const *properties) {
        struct udev_device *d;
        bool is_one;

        CHECK(clearenv() == 0);
        CHECK(setenv("SUBSYSTEM", "block", 1) == 0 && setenv("SEQNUM", "4711", 1) == 0);
        CHECK(setenv("ACTION", "change", 1) == 0);
        for (; *properties; properties++) {
                char *key = strdup(*properties), *value = key ? strchr(key, '=') : NULL;

                CHECK(value);
                *value++ = 0;
                CHECK(setenv(key, value, 1) == 0);
                free(key);
        }

        d = udev_device_new_from_environment(udev);
        CHECK(d);
        is_one = uevent_facts_read(d, source, &facts);
        udev_device_unref(d);
        facts.event.links = NULL; /* went with it */
        return is_one ? &facts.event : NULL;
}

#define FACTS(source, ...) facts_of(source, (const char *const[]) { __VA_ARGS__, NULL })

static void test_partition(void) {
        const DeviceEvent *e = FACTS(EVENT_UDEV, PARTITION, "ID_PART_ENTRY_NUMBER=2", "ID_PART_ENTRY_OFFSET=4096",
                                     "ID_PART_ENTRY_SIZE=2048",
                                     "ID_PART_ENTRY_UUID=0FC63DAF-8483-4772-8e79-3d69d8477de4",
                                     "ID_PART_ENTRY_NAME=my\\x20data\\xc3\\xa9", "ID_PART_ENTRY_TYPE=0X83",
                                     "ID_FS_UUID=1234-ABCD", "ID_FS_UUID_ENC=1234-ABCD", "ID_FS_LABEL=my_data",
                                     "ID_FS_LABEL_ENC=my\\x20data", "ID_FS_TYPE=vfat",
                                     /* its disk's, imported */
                                     "ID_PART_TABLE_UUID=1", "ID_WWN=0x5", "ID_SERIAL=S");

        CHECK(e && e->action == EVENT_CHANGE && e->seqnum == 4711 && e->processed && e->settled && !e->ignored);
        CHECK_STR(e->name, "sdx2");
        CHECK_STR(e->disk, "sdx");
        CHECK(e->partno == 2 && e->major == 8 && e->minor == 2 && e->has_entry && !e->in_doubt);
        CHECK(e->entry.partno == 2 && e->entry.start_sectors == 4096 && e->entry.size_sectors == 2048);
        CHECK_STR(e->entry.uuid, "0fc63daf-8483-4772-8e79-3d69d8477de4");
        CHECK_STR(e->entry.label, "my data\xc3\xa9");
        CHECK_STR(e->entry.type, "0x83");
        CHECK_STR(e->values[MATCH_FS_UUID], "1234-abcd");
        CHECK_STR(e->values[MATCH_FS_LABEL], "my data");
        CHECK_STR(e->values[MATCH_FS_TYPE], "vfat");
        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++)
                CHECK(match_key_is_of_fs(key) || !e->values[key]);
}

static void test_disk(void) {
        const DeviceEvent *e = FACTS(EVENT_UDEV, DISK, "ID_PART_TABLE_UUID=ABCD1234", "DISKSEQ=9",
                                     "ID_WWN_WITH_EXTENSION=0x5000C500ABCDEF010000", "ID_WWN=0x5000C500ABCDEF01",
                                     "ID_SERIAL_SHORT=S3Z", "ID_SERIAL=Model_S3Z");

        CHECK(e && e->diskseq == 9 && e->settled && e->partno == 0);
        CHECK_STR(e->disk, "sdx");
        CHECK_STR(e->values[MATCH_PT_UUID], "abcd1234");
        CHECK_STR(e->values[MATCH_DISK_WWN], "0x5000c500abcdef010000");
        CHECK_STR(e->values[MATCH_DISK_SERIAL], "S3Z");
        CHECK(!e->values[MATCH_FS_UUID] && !e->values[MATCH_DM_NAME] && !e->has_entry);

        e = FACTS(EVENT_UDEV, DISK, "ID_WWN=0x5000C500ABCDEF01", "ID_SERIAL=Model_S3Z");
        CHECK_STR(e->values[MATCH_DISK_WWN], "0x5000c500abcdef01");
        CHECK_STR(e->values[MATCH_DISK_SERIAL], "Model_S3Z");

        /* whether the kernel has made it of something else */
        CHECK(e->is_virtual);
        e = FACTS(EVENT_KERNEL, "DEVPATH=/devices/pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block/sdx", "DEVNAME=sdx",
                  "DEVTYPE=disk", "MAJOR=8", "MINOR=0");
        CHECK(e && !e->is_virtual);

        /* the object that sysfs has under that path, for disks as for partitions */
        e = FACTS(EVENT_KERNEL, "DEVPATH=/devices/virtual", "DEVNAME=sdx", "DEVTYPE=disk", "MAJOR=8", "MINOR=0");
        CHECK(e && e->object != 0);
        e = FACTS(EVENT_KERNEL, "DEVPATH=/devices/virtual", "DEVNAME=sdx", "DEVTYPE=disk", "MAJOR=8", "MINOR=0",
                  "ACTION=remove");
        CHECK(e && e->object == 0 && e->action == EVENT_REMOVE);
}

/* What cannot be compared, or told, is not there. */
static void test_odd_values(void) {
        char longest[sizeof("ID_FS_LABEL_ENC=") + FACT_SIZE] = "ID_FS_LABEL_ENC=";
        const DeviceEvent *e;

        e = FACTS(EVENT_UDEV, PARTITION, "ID_FS_LABEL_ENC=a\\x0ab", "ID_FS_LABEL=ab", "ID_FS_UUID_ENC=\\xff",
                  "ID_PART_ENTRY_NUMBER=2", "ID_PART_ENTRY_NAME=\\x1b[31m", "ID_PART_ENTRY_UUID=nothing");
        CHECK(!e->values[MATCH_FS_LABEL] && !e->values[MATCH_FS_UUID] && !e->entry.label[0] && !e->entry.uuid[0]);

        e = FACTS(EVENT_UDEV, PARTITION, "ID_FS_LABEL_ENC=\\x5cx20\\x", "ID_FS_UUID=U", "ID_FS_TYPE=");
        CHECK_STR(e->values[MATCH_FS_LABEL], "\\x20\\x");
        CHECK_STR(e->values[MATCH_FS_UUID], "u");
        CHECK(!e->values[MATCH_FS_TYPE]);

        memset(longest + strlen(longest), 'x', FACT_SIZE - 1);
        e = FACTS(EVENT_UDEV, DISK, longest);
        CHECK(e->values[MATCH_FS_LABEL] && strlen(e->values[MATCH_FS_LABEL]) == FACT_SIZE - 1);
        longest[strlen(longest)] = 'x';
        e = FACTS(EVENT_UDEV, DISK, longest);
        CHECK(!e->values[MATCH_FS_LABEL]);

        /* an entry of another number is another's */
        e = FACTS(EVENT_UDEV, PARTITION, "ID_PART_ENTRY_NUMBER=3");
        CHECK(!e->has_entry);
}

static void test_kernel(void) {
        const DeviceEvent *e = FACTS(EVENT_KERNEL, DISK, "DISKSEQ=9", "ID_SERIAL=S", "ACTION=add");

        CHECK(e && e->action == EVENT_ADD && e->diskseq == 9 && !e->processed && !e->settled);
        CHECK(!e->values[MATCH_DISK_SERIAL]);

        /* found by looking, and udev has not seen it yet */
        e = FACTS(EVENT_ENUMERATION, DISK, "ID_SERIAL=S");
        CHECK(e && e->action == EVENT_ADD && e->seqnum == 0 && !e->processed && !e->settled);
        CHECK(!e->values[MATCH_DISK_SERIAL]);

        /* the path of a multipath of the kernel's own: there is no node of it */
        CHECK(!FACTS(EVENT_KERNEL, "DEVPATH=/devices/virtual/block/nvme0c0n1", "DEVTYPE=disk"));
        CHECK(!FACTS(EVENT_KERNEL, "DEVPATH=/devices/virtual/block/sdx/sdx2", "DEVNAME=sdx2", "DEVTYPE=partition",
                     "MAJOR=8", "MINOR=2"));

        e = FACTS(EVENT_KERNEL, DISK, "SYNTH_UUID=0");
        CHECK(e && e->synthetic);
}

static void test_ignored(void) {
        const DeviceEvent *e;

        e = FACTS(EVENT_UDEV, DISK, "DM_MULTIPATH_DEVICE_PATH=1", "ID_FS_TYPE=mpath_member", "SYSTEMD_READY=0",
                  "ID_SERIAL=S");
        CHECK_STR(e->ignored, "it is a path of a multipath device; name that device");
        CHECK(!e->settled);
        CHECK_STR(e->values[MATCH_DISK_SERIAL], "S");

        e = FACTS(EVENT_UDEV, PARTITION, "DM_MULTIPATH_DEVICE_PATH=1", "SYSTEMD_READY=0", "ID_PART_ENTRY_NUMBER=2");
        CHECK_STR(e->ignored, "it is a path of a multipath device; name that device");
        CHECK(e->has_entry);
        e = FACTS(EVENT_UDEV, DISK, "DM_MULTIPATH_DEVICE_PATH=0");
        CHECK(!e->ignored && e->settled);

        e = FACTS(EVENT_UDEV, DISK, "ID_FS_TYPE=linux_raid_member");
        CHECK_STR(e->ignored, "it is a member of a RAID array; name the array");
        e = FACTS(EVENT_UDEV, PARTITION, "ID_FS_TYPE=linux_raid_member");
        CHECK_STR(e->ignored, "it is a member of a RAID array; name the array");
        e = FACTS(EVENT_UDEV, DISK, "ID_FS_TYPE=isw_raid_member");
        CHECK(e->ignored);
        e = FACTS(EVENT_UDEV, PARTITION, "ID_FS_TYPE=LVM2_member", "ID_FS_USAGE=raid");
        CHECK(!e->ignored);

        e = FACTS(EVENT_UDEV, DM, "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1", "DM_UDEV_RULES_VSN=2", "DM_NAME=vg-lv_rmeta_0",
                  "DM_SUSPENDED=0");
        CHECK_STR(e->ignored, "device-mapper keeps it for itself; name what is made of it");

        e = FACTS(EVENT_UDEV, "DEVPATH=/devices/virtual/block/blksnap-image_8:1", "DEVNAME=blksnap-image_8:1",
                  "DEVTYPE=disk", "MAJOR=252", "MINOR=1");
        CHECK_STR(e->ignored, "it is a filter's snapshot image; name what it is an image of");
        e = FACTS(EVENT_ENUMERATION, "DEVPATH=/devices/virtual/block/veeamimage0", "DEVNAME=veeamimage0",
                  "DEVTYPE=disk", "MAJOR=252", "MINOR=1");
        CHECK_STR(e->ignored, "it is a filter's snapshot image; name what it is an image of");
}

/* A device-mapper device on its way: not yet is not never. */
static void test_not_ready(void) {
        static const char *const cases[][6] = {
                { "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1" }, /* made, without a table */
                { "DM_SUSPENDED=1", "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1", "DM_UDEV_RULES_VSN=2", "DM_NAME=a" },
                { "DM_SUSPENDED=1", "DM_UDEV_RULES_VSN=2", "DM_NAME=a" },
                { "DM_NOSCAN=1", "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1", "DM_UDEV_RULES_VSN=2", "DM_NAME=a" },
                { "MPATH_DEVICE_READY=0", "DM_NOSCAN=1", "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1", "DM_UDEV_RULES_VSN=2",
                  "DM_NAME=a" },
                { "SYSTEMD_READY=0", "DM_UDEV_RULES_VSN=2", "DM_NAME=a" }, /* a volume of crypt, before its key */
        };
        const DeviceEvent *e;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const char *const *c = cases[i];

                e = FACTS(EVENT_UDEV, DM, c[0], c[1] ?: "A=", c[2] ?: "A=", c[3] ?: "A=", c[4] ?: "A=");
                CHECK(e && e->processed && !e->settled && !e->ignored && !e->values[MATCH_DM_NAME]);
        }

        e = FACTS(EVENT_UDEV, DM, "DM_SUSPENDED=0", "DM_UDEV_RULES_VSN=2", "DM_NAME=vg-Data", "DM_UUID=LVM-Ab",
                  "SYSTEMD_READY=1", "ID_FS_UUID_ENC=U");
        CHECK(e && e->settled && !e->ignored);
        CHECK_STR(e->values[MATCH_DM_NAME], "vg-Data");
        CHECK_STR(e->values[MATCH_DM_UUID], "LVM-Ab");
        CHECK_STR(e->values[MATCH_FS_UUID], "u");

        /* loop without a file, md that is not assembled */
        e = FACTS(EVENT_UDEV, "DEVPATH=/devices/virtual/block/loop0", "DEVNAME=loop0", "DEVTYPE=disk", "MAJOR=7",
                  "MINOR=0", "SYSTEMD_READY=0");
        CHECK(e && e->processed && !e->settled && !e->ignored);
}

static void test_names(void) {
        const DeviceEvent *e = FACTS(EVENT_KERNEL, "DEVPATH=/devices/pci/block/cciss!c0d0/cciss!c0d0p1",
                                     "DEVNAME=cciss/c0d0p1", "DEVTYPE=partition", "MAJOR=104", "MINOR=1", "PARTN=1");

        CHECK_STR(e->name, "cciss/c0d0p1");
        CHECK_STR(e->disk, "cciss/c0d0");
}

int main(void) {
        udev = udev_new();
        CHECK(udev);
        test_partition();
        test_disk();
        test_odd_values();
        test_kernel();
        test_ignored();
        test_not_ready();
        test_names();
        udev_unref(udev);
        return EXIT_SUCCESS;
}
