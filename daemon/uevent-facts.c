/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/text.h"
#include "daemon/uevent-facts.h"

static uint64_t property_u64(struct udev_device *d, const char *key) {
        const char *s = udev_device_get_property_value(d, key);
        char *end;
        uint64_t v;

        if (!s || !*s)
                return 0;

        errno = 0;
        v = strtoull(s, &end, 10);
        return errno || *end ? 0 : v;
}

static bool property_is(struct udev_device *d, const char *key, const char *value) {
        const char *s = udev_device_get_property_value(d, key);

        return s && str_equal(s, value);
}

static bool property_has(struct udev_device *d, const char *key, const char *pattern) {
        const char *s = udev_device_get_property_value(d, key);

        return s && fnmatch(pattern, s, 0) == 0;
}

/* udev writes unusual bytes of names as "\xHH"; back to what stands on the disk. Whole or not at all. */
static void decode(const char *s, char *ret, size_t size) {
        size_t n = 0;

        for (; *s && n + 1 < size; n++) {
                if (s[0] == '\\' && s[1] == 'x' && ascii_is_hex(s[2]) && ascii_is_hex(s[3])) {
                        char hex[3] = { s[2], s[3], 0 };

                        ret[n] = (char) strtoul(hex, NULL, 16);
                        s += 4;
                } else
                        ret[n] = *s++;
        }

        ret[n] = 0;

        /* Longer than any of ours, or nothing that could be told on the bus: as identify.c has it. */
        if (*s || !utf8_is_printable(ret))
                ret[0] = 0;
}

/*
 * The first of some properties that is there. encoded: the way udev writes names. "replaced" and "_ENC" of one
 * value differ: where there is an "_ENC" it comes first, for the other has lost what it replaced.
 */
static void fill_value(struct udev_device *d, UEventFacts *f, MatchKey key, const char *const *properties,
                       bool encoded) {
        char value[FACT_SIZE];

        for (; *properties; properties++) {
                const char *s = udev_device_get_property_value(d, *properties);

                if (!s || !*s)
                        continue;

                if (encoded)
                        decode(s, value, sizeof(value));
                else if (!str_copy(value, sizeof(value), s) || !utf8_is_printable(value))
                        value[0] = 0;

                if (fact_normalize(key, value, f->values[key]))
                        f->event.values[key] = f->values[key];
                return;
        }
}

static void fill_fs(struct udev_device *d, UEventFacts *f) {
        static const char *const uuid[] = { "ID_FS_UUID_ENC", "ID_FS_UUID", NULL };
        static const char *const label[] = { "ID_FS_LABEL_ENC", "ID_FS_LABEL", NULL };
        static const char *const type[] = { "ID_FS_TYPE", NULL };

        fill_value(d, f, MATCH_FS_UUID, uuid, true);
        fill_value(d, f, MATCH_FS_LABEL, label, true);
        fill_value(d, f, MATCH_FS_TYPE, type, false);
}

/* A partition's own ID_PART_TABLE_UUID is of a table within it, or its disk's; the rest is its disk's anyway. */
static void fill_disk_values(struct udev_device *d, UEventFacts *f) {
        static const char *const table[] = { "ID_PART_TABLE_UUID", NULL };
        static const char *const wwn[] = { "ID_WWN_WITH_EXTENSION", "ID_WWN", NULL };
        static const char *const serial[] = { "ID_SERIAL_SHORT", "ID_SERIAL", NULL };
        static const char *const dm_name[] = { "DM_NAME", NULL };
        static const char *const dm_uuid[] = { "DM_UUID", NULL };

        fill_value(d, f, MATCH_PT_UUID, table, false);
        fill_value(d, f, MATCH_DISK_WWN, wwn, false);
        fill_value(d, f, MATCH_DISK_SERIAL, serial, false);
        fill_value(d, f, MATCH_DM_NAME, dm_name, false);
        fill_value(d, f, MATCH_DM_UUID, dm_uuid, false);
}

static const char because_image[] = "it is a filter's snapshot image; name what it is an image of";
static const char because_path[] = "it is a path of a multipath device; name that device";
static const char because_member[] = "it is a member of a RAID array; name the array";
static const char because_dm[] = "device-mapper keeps it for itself; name what is made of it";

/* Filters' own devices, by the names that their modules give them. */
static bool is_image(const char *name) {
        static const char *const patterns[] = { "blksnap-image*", "blk-snap-image*", "veeamimage*" };

        for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
                if (fnmatch(patterns[i], name, 0) == 0)
                        return true;

        return false;
}

/*
 * Why a device is none of our business, whatever it contains; NULL if it may be.
 *
 * DM_UDEV_DISABLE_OTHER_RULES_FLAG alone is "never"; is_ready() knows where it means "not yet".
 */
static const char *find_ignored(struct udev_device *d) {
        if (property_is(d, "DM_UDEV_DISABLE_OTHER_RULES_FLAG", "1"))
                return because_dm;

        /* partitions of a path have their disk's; a member of an array can be either */
        if (property_is(d, "DM_MULTIPATH_DEVICE_PATH", "1") || property_is(d, "ID_FS_TYPE", "mpath_member"))
                return because_path;

        if (property_has(d, "ID_FS_TYPE", "*_raid_member"))
                return because_member;

        return NULL;
}

/*
 * Whether there is something in the device that can be used. Of the device-mapper's:
 *
 *      dm-0 is made          add                    55-dm.rules stop at once, and set ..._DISABLE_OTHER_RULES_FLAG;
 *                                                   no DM_UDEV_RULES_VSN
 *      it has its table      change, DM_COOKIE=...  DM_NAME, DM_UUID; no flag but what its maker says
 *      it is suspended       change                 DM_SUSPENDED=1, and the flag
 *      a volume to be wiped  change                 DM_NOSCAN=1 and the flag, until its maker says otherwise
 *      a multipath device    change                 MPATH_DEVICE_READY=0, DM_NOSCAN=1 and the flag, until
 *      without a path                               one is back
 *
 * What md, loop, crypt and nbd have of the kind 99-systemd.rules say by SYSTEMD_READY=0.
 */
static bool is_ready(struct udev_device *d, const char *name) {
        if (property_is(d, "SYSTEMD_READY", "0") || property_is(d, "DM_SUSPENDED", "1"))
                return false;

        if (!property_is(d, "DM_UDEV_DISABLE_OTHER_RULES_FLAG", "1"))
                return true;

        return !property_is(d, "DM_NOSCAN", "1") && !property_is(d, "MPATH_DEVICE_READY", "0") &&
               (strncmp(name, "dm-", 3) != 0 || udev_device_get_property_value(d, "DM_UDEV_RULES_VSN"));
}

static void fill_entry(struct udev_device *d, DeviceEvent *e) {
        const char *uuid = udev_device_get_property_value(d, "ID_PART_ENTRY_UUID");
        const char *name = udev_device_get_property_value(d, "ID_PART_ENTRY_NAME");
        const char *type = udev_device_get_property_value(d, "ID_PART_ENTRY_TYPE");
        char value[FACT_SIZE];

        if (property_u64(d, "ID_PART_ENTRY_NUMBER") != e->partno)
                return;

        e->has_entry = true;
        e->entry.partno = e->partno;
        e->entry.start_sectors = property_u64(d, "ID_PART_ENTRY_OFFSET");
        e->entry.size_sectors = property_u64(d, "ID_PART_ENTRY_SIZE");

        if (uuid)
                (void) part_uuid_normalize(uuid, e->entry.uuid);
        if (name)
                decode(name, e->entry.label, sizeof(e->entry.label));
        if (type && utf8_is_printable(type) && fact_normalize(MATCH_PART_TYPE, type, value))
                (void) str_copy(e->entry.type, sizeof(e->entry.type), value);
}

/* ".../block/sda/sda1": the disk is the folder above. Without a look into sysfs: it may be gone. */
static bool fill_disk(struct udev_device *d, DeviceEvent *e) {
        const char *path = udev_device_get_devpath(d), *end, *begin;

        if (!path)
                return false;

        end = strrchr(path, '/');
        if (!end)
                return false;

        for (begin = end; begin > path && begin[-1] != '/'; begin--)
                ;

        if ((size_t) (end - begin) >= sizeof(e->disk))
                return false;

        memcpy(e->disk, begin, (size_t) (end - begin));
        e->disk[end - begin] = 0;

        /* "cciss!c0d0" in sysfs is "cciss/c0d0" below /dev and in libudev's names */
        for (char *p = e->disk; *p; p++)
                if (*p == '!')
                        *p = '/';

        return true;
}

/* Whether the kernel has made it of something else than a device of a bus: device-mapper's, md's, loop devices. */
static bool is_virtual(struct udev_device *d) {
        const char *path = udev_device_get_devpath(d);

        return !path || strncmp(path, "/devices/virtual/", strlen("/devices/virtual/")) == 0;
}

/* The object that is there now under the device's path; 0 if there is none any more. */
static uint64_t read_object(struct udev_device *d) {
        const char *path = udev_device_get_syspath(d);
        struct stat st;

        return path && stat(path, &st) >= 0 ? st.st_ino : 0;
}

/* Disks in memory, which 61-blkfilter.rules leaves out: nothing is heard of them from udev. */
static bool is_memory(const char *name) {
        return strncmp(name, "ram", 3) == 0 || strncmp(name, "zram", 4) == 0;
}

/* Whether udev's database speaks of a device that was there before, as far as 61-blkfilter.rules tells. */
static bool is_of_another(struct udev_device *d) {
        const char *noted = udev_device_get_property_value(d, "BLKFILTER_DISKSEQ");
        const char *now = udev_device_get_property_value(d, "DISKSEQ");

        return noted && now && !str_equal(noted, now);
}

/**
 * uevent_facts_read() - the facts of a device
 * @d: the device, as an event or a look gave it
 * @source: which of them
 * @ret: written whole on success, and borrows from @d
 *
 * The kernel's events say no more than that the device is there, or goes; so do all of a removal.
 *
 * Return: whether it is one that the registry could hold.
 */
bool uevent_facts_read(struct udev_device *d, EventSource source, UEventFacts *ret) {
        const char *name = udev_device_get_sysname(d), *type = udev_device_get_devtype(d);
        const char *action = udev_device_get_action(d);
        dev_t devnum = udev_device_get_devnum(d);
        DeviceEvent *e = &ret->event;

        memset(ret, 0, sizeof(*ret));
        *e = (DeviceEvent) {
                .source = source,
                .action = !action || source == EVENT_ENUMERATION ? EVENT_ADD :
                          str_equal(action, "remove") ? EVENT_REMOVE :
                          str_equal(action, "add") ? EVENT_ADD : EVENT_CHANGE,
                .synthetic = udev_device_get_property_value(d, "SYNTH_UUID") != NULL,
                .seqnum = source == EVENT_ENUMERATION ? 0 : udev_device_get_seqnum(d),
                .major = major(devnum),
                .minor = minor(devnum),
                .diskseq = property_u64(d, "DISKSEQ"),
                .is_virtual = is_virtual(d),
        };

        /* without a number: one that the kernel hides, as the paths of its own multipath of NVMe */
        if (!name || !type || !devnum || is_memory(name) || !str_copy(e->name, sizeof(e->name), name))
                return false;

        if (str_equal(type, "partition")) {
                e->partno = (unsigned) property_u64(d, "PARTN");
                if (e->partno == 0 || !fill_disk(d, e))
                        return false;
        } else
                memcpy(e->disk, e->name, sizeof(e->disk));

        if (e->action != EVENT_REMOVE)
                e->object = read_object(d);

        if (source == EVENT_KERNEL || e->action == EVENT_REMOVE)
                return true;

        e->processed = source == EVENT_UDEV || (udev_device_get_is_initialized(d) > 0 && !is_of_another(d));
        e->settled = e->processed && is_ready(d, e->name);
        e->links = udev_device_get_property_value(d, "DEVLINKS");

        e->ignored = is_image(e->disk) ? because_image : e->processed ? find_ignored(d) : NULL;
        if (e->ignored == because_dm && !is_ready(d, e->name))
                e->ignored = NULL; /* it may come to be ready */

        /* what is left alone is named by what it has, too */
        if (!e->settled && !e->ignored)
                return true;

        fill_fs(d, ret);
        if (e->partno > 0)
                fill_entry(d, e);
        else
                fill_disk_values(d, ret);

        return true;
}
