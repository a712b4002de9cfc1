/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <libudev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/text.h"
#include "daemon/uevent.h"

/* A re-read of many disks is thousands of events within a moment; the default is 208 KiB. */
#define RECEIVE_BUFFER_BYTES (128 * 1024 * 1024)

/* What 61-blkfilter.rules puts on the devices that are watched. */
#define TAG "blkfilter"

struct UEvent {
        struct udev *udev;
        struct udev_monitor *kernel;
        struct udev_monitor *settled;
        sd_event_source *kernel_source;
        sd_event_source *settled_source;
        UEventHandler handler;
};

static void unref_device(struct udev_device **d) {
        udev_device_unref(*d);
}

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

/* udev writes unusual bytes of names as "\xHH"; back to what the table has. */
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
        if (*s)
                ret[0] = 0; /* longer than any name of a table: none of ours */
}

/* Why a device is none of our business, whatever it contains; NULL if it may be. */
static const char *find_ignored(struct udev_device *d) {
        if (property_is(d, "DM_UDEV_DISABLE_OTHER_RULES_FLAG", "1"))
                return "device-mapper keeps it for itself";

        if (property_is(d, "DM_MULTIPATH_DEVICE_PATH", "1") || property_is(d, "ID_FS_TYPE", "mpath_member"))
                return "it is a path of a multipath device";

        if (property_is(d, "DEVTYPE", "disk") && property_is(d, "ID_FS_TYPE", "linux_raid_member"))
                return "it is a member of a RAID array";

        return NULL;
}

static void fill_entry(struct udev_device *d, DeviceEvent *e) {
        const char *uuid = udev_device_get_property_value(d, "ID_PART_ENTRY_UUID");
        const char *name = udev_device_get_property_value(d, "ID_PART_ENTRY_NAME");
        const char *type = udev_device_get_property_value(d, "ID_PART_ENTRY_TYPE");

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
        if (type)
                (void) str_copy(e->entry.type, sizeof(e->entry.type), type);
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

/* The object that is there now under the device's path; 0 if there is none any more. */
static uint64_t read_object(struct udev_device *d) {
        const char *path = udev_device_get_syspath(d);
        struct stat st;

        return path && stat(path, &st) >= 0 ? st.st_ino : 0;
}

/* The facts of a device; false if it is none that the registry could hold. */
static bool fill_event(struct udev_device *d, EventSource source, DeviceEvent *ret) {
        const char *name = udev_device_get_sysname(d), *type = udev_device_get_devtype(d);
        const char *action = udev_device_get_action(d), *ignored;
        dev_t devnum = udev_device_get_devnum(d);

        *ret = (DeviceEvent) {
                .source = source,
                .action = !action || source == EVENT_ENUMERATION ? EVENT_ADD :
                          str_equal(action, "remove") ? EVENT_REMOVE :
                          str_equal(action, "add") ? EVENT_ADD : EVENT_CHANGE,
                .synthetic = udev_device_get_property_value(d, "SYNTH_UUID") != NULL,
                .seqnum = source == EVENT_ENUMERATION ? 0 : udev_device_get_seqnum(d),
                .major = major(devnum),
                .minor = minor(devnum),
                .diskseq = property_u64(d, "DISKSEQ"),
        };

        if (!name || !type || !str_copy(ret->name, sizeof(ret->name), name))
                return false;

        if (str_equal(type, "partition")) {
                ret->partno = (unsigned) property_u64(d, "PARTN");
                if (ret->partno == 0 || !fill_disk(d, ret))
                        return false;
                if (ret->action != EVENT_REMOVE)
                        ret->object = read_object(d);
        } else
                memcpy(ret->disk, ret->name, sizeof(ret->disk));

        if (source == EVENT_KERNEL || ret->action == EVENT_REMOVE)
                return true;

        ret->processed = udev_device_get_is_initialized(d) > 0;
        ret->settled = ret->processed && !property_is(d, "SYSTEMD_READY", "0");
        ret->links = udev_device_get_property_value(d, "DEVLINKS");

        ignored = find_ignored(d);
        if (ignored)
                (void) str_copy(ret->ignored, sizeof(ret->ignored), ignored);

        if (ret->partno > 0 && ret->settled)
                fill_entry(d, ret);

        return true;
}

static void handle(UEvent *u, struct udev_device *d, EventSource source) {
        const char *subsystem = udev_device_get_subsystem(d), *action = udev_device_get_action(d);
        DeviceEvent e;

        if (subsystem && str_equal(subsystem, "module")) {
                if (action && str_equal(action, "add"))
                        u->handler.module(udev_device_get_sysname(d), u->handler.userdata);
                return;
        }

        if (fill_event(d, source, &e))
                u->handler.device(&e, u->handler.userdata);
}

static int on_monitor(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        UEvent *u = userdata;
        struct udev_monitor *monitor = s == u->kernel_source ? u->kernel : u->settled;

        (void) fd;
        (void) revents;

        for (;;) {
                __attribute__((cleanup(unref_device))) struct udev_device *d = NULL;

                errno = 0;
                d = udev_monitor_receive_device(monitor);
                if (d) {
                        handle(u, d, monitor == u->kernel ? EVENT_KERNEL : EVENT_UDEV);
                        continue;
                }

                if (errno == EINTR)
                        continue;

                /* No more, or a message that did not hold what libudev expects. Anything that is
                 * not "no more" may have been an event of ours. */
                if (errno != EAGAIN) {
                        u->handler.lost(u->handler.userdata);
                        if (errno == ENOBUFS)
                                continue;
                }

                break;
        }

        u->handler.done(u->handler.userdata);
        return 0;
}

static int monitor_new(UEvent *u, sd_event *event, const char *group, int64_t priority, struct udev_monitor **ret_monitor,
                       sd_event_source **ret_source) {
        struct udev_monitor *m;
        int r;

        m = udev_monitor_new_from_netlink(u->udev, group);
        if (!m)
                return errno ? -errno : -ENOMEM;

        *ret_monitor = m;

        r = udev_monitor_filter_add_match_subsystem_devtype(m, "block", NULL);
        if (r >= 0 && str_equal(group, "kernel"))
                r = udev_monitor_filter_add_match_subsystem_devtype(m, "module", NULL);
        if (r >= 0 && str_equal(group, "udev"))
                r = udev_monitor_filter_add_match_tag(m, TAG);
        if (r < 0)
                return r;

        /* Needs CAP_NET_ADMIN. With the default size a storm of events ends in a look at everything,
         * which is slower and as right. */
        (void) udev_monitor_set_receive_buffer_size(m, RECEIVE_BUFFER_BYTES);

        r = udev_monitor_enable_receiving(m);
        if (r < 0)
                return r;

        r = sd_event_add_io(event, ret_source, udev_monitor_get_fd(m), EPOLLIN, on_monitor, u);
        if (r < 0)
                return r;

        return sd_event_source_set_priority(*ret_source, priority);
}

/**
 * uevent_new() - begin to listen
 * @event: the loop
 * @handler: copied; all of its functions are set
 * @ret: owned by the caller
 *
 * The kernel's events are read before udev's, and both before everything else: what happened
 * first is known first.
 *
 * Return: 0, or a negative errno: netlink or libudev is not to be had.
 */
int uevent_new(sd_event *event, const UEventHandler *handler, UEvent **ret) {
        UEvent *u;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u)
                return -ENOMEM;

        u->handler = *handler;
        u->udev = udev_new();
        if (!u->udev) {
                uevent_free(u);
                return -ENOMEM;
        }

        r = monitor_new(u, event, "kernel", SD_EVENT_PRIORITY_NORMAL - 20, &u->kernel, &u->kernel_source);
        if (r >= 0)
                r = monitor_new(u, event, "udev", SD_EVENT_PRIORITY_NORMAL - 10, &u->settled, &u->settled_source);
        if (r < 0) {
                uevent_free(u);
                return r;
        }

        *ret = u;
        return 0;
}

/**
 * uevent_free() - stop listening
 * @u: or NULL; consumed
 *
 * Return: NULL.
 */
UEvent *uevent_free(UEvent *u) {
        if (!u)
                return NULL;

        sd_event_source_disable_unref(u->kernel_source);
        sd_event_source_disable_unref(u->settled_source);
        udev_monitor_unref(u->kernel);
        udev_monitor_unref(u->settled);
        udev_unref(u->udev);
        free(u);
        return NULL;
}

/**
 * uevent_is_busy() - whether udev has events that it has not told yet
 * @u: from uevent_new()
 */
bool uevent_is_busy(UEvent *u) {
        struct udev_queue *queue = udev_queue_new(u->udev);
        bool busy = queue && udev_queue_get_queue_is_empty(queue) == 0;

        udev_queue_unref(queue);
        return busy;
}

/**
 * uevent_look() - tell of all block devices that are there
 * @u: from uevent_new(): what happens during the look is told as events afterwards
 *
 * Disks come before their partitions. The caller brackets it with device_set_look_begin() and
 * device_set_look_end().
 *
 * Return: 0, or a negative errno: nothing, or not all, was told.
 */
int uevent_look(UEvent *u) {
        struct udev_enumerate *e;
        struct udev_list_entry *i;
        int r;

        e = udev_enumerate_new(u->udev);
        if (!e)
                return -ENOMEM;

        r = udev_enumerate_add_match_subsystem(e, "block");
        if (r >= 0)
                r = udev_enumerate_scan_devices(e);

        if (r >= 0)
                udev_list_entry_foreach(i, udev_enumerate_get_list_entry(e)) {
                        struct udev_device *d = udev_device_new_from_syspath(u->udev, udev_list_entry_get_name(i));

                        if (!d)
                                continue; /* gone since; its event follows */

                        handle(u, d, EVENT_ENUMERATION);
                        udev_device_unref(d);
                }

        udev_enumerate_unref(e);
        return r < 0 ? r : 0;
}
