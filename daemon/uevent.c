/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/text.h"
#include "daemon/uevent-facts.h"
#include "daemon/uevent.h"

/* A re-read of many disks is thousands of events within a moment; the default is 208 KiB. */
#define RECEIVE_BUFFER_BYTES (128 * 1024 * 1024)

/* The kernel doubles it, and an event takes up more than a kilobyte: no more are in it. */
#define RECEIVE_BUFFER_EVENTS (RECEIVE_BUFFER_BYTES / 512)

/* What 61-blkfilter.rules puts on the devices that are watched. */
#define TAG "blkfilter"

/* All block devices by their names in sysfs, disks and partitions alike. */
#define SYSFS_FOLDER "/sys/class/block"

/* Of the subsystem "misc"; its node is there before the event. */
#define INTERFACE_DEVICE "bdevfilter"

struct UEvent {
        struct udev *udev;
        struct udev_queue *queue;
        struct udev_monitor *kernel;
        struct udev_monitor *settled;
        sd_event_source *kernel_source;
        sd_event_source *settled_source;
        UEventHandler handler;
};

static void unref_device(struct udev_device **d) {
        udev_device_unref(*d);
}

static void free_string(char **s) {
        free(*s);
}

static void handle(UEvent *u, struct udev_device *d, EventSource source) {
        const char *subsystem = udev_device_get_subsystem(d), *action = udev_device_get_action(d);
        UEventFacts f;

        if (subsystem && str_equal(subsystem, "module")) {
                if (action && (str_equal(action, "add") || str_equal(action, "remove")))
                        u->handler.module(str_equal(action, "remove"), u->handler.userdata);
                return;
        }

        if (subsystem && str_equal(subsystem, "misc")) {
                if (action && str_equal(udev_device_get_sysname(d) ?: "", INTERFACE_DEVICE) &&
                    !str_equal(action, "change"))
                        u->handler.interface(str_equal(action, "remove"), u->handler.userdata);
                return;
        }

        if (!uevent_facts_read(d, source, &f))
                return;

        /* Asked afterwards: what udev began before the database was read is seen, what it begins later it tells. */
        f.event.in_doubt = source == EVENT_ENUMERATION && uevent_is_busy(u);
        u->handler.device(&f.event, u->handler.userdata);
}

/*
 * What still waits in a buffer that was full is older than the look at everything that is due now: it is thrown away,
 * and not taken in one by one first. As much as a buffer holds: more may come for ever.
 */
static void discard(int fd) {
        char byte;

        for (unsigned i = 0; i < RECEIVE_BUFFER_EVENTS; i++)
                if (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) < 0 && errno != EINTR && errno != ENOBUFS)
                        break;
}

static int on_monitor(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        UEvent *u = userdata;
        struct udev_monitor *monitor = s == u->kernel_source ? u->kernel : u->settled;

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
                        if (errno == ENOBUFS)
                                discard(fd);
                        u->handler.lost(u->handler.userdata);
                }

                break;
        }

        u->handler.done(u->handler.userdata);
        return 0;
}

static int monitor_new(UEvent *u, sd_event *event, const char *group, int64_t priority,
                       struct udev_monitor **ret_monitor, sd_event_source **ret_source) {
        struct udev_monitor *m;
        int r;

        m = udev_monitor_new_from_netlink(u->udev, group);
        if (!m)
                return errno ? -errno : -ENOMEM;

        *ret_monitor = m;

        r = udev_monitor_filter_add_match_subsystem_devtype(m, "block", NULL);
        if (r >= 0 && str_equal(group, "kernel"))
                r = udev_monitor_filter_add_match_subsystem_devtype(m, "module", NULL);
        if (r >= 0 && str_equal(group, "kernel"))
                r = udev_monitor_filter_add_match_subsystem_devtype(m, "misc", NULL);
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
        u->queue = u->udev ? udev_queue_new(u->udev) : NULL;
        if (!u->queue) {
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
        udev_queue_unref(u->queue);
        udev_unref(u->udev);
        free(u);
        return NULL;
}

/**
 * uevent_is_busy() - whether udev has events that it has not told yet
 * @u: from uevent_new()
 */
bool uevent_is_busy(UEvent *u) {
        return udev_queue_get_queue_is_empty(u->queue) == 0;
}

/**
 * uevent_tell() - tell what udev's database says of a device, as the event that udev is about to tell
 * @u: from uevent_new()
 * @devpath: of the device, without "/sys"
 * @seqnum: of the event; udev has its database written, and waits
 * @diskseq: of the disk, as the event has it; 0 not known
 *
 * Nothing is told of a device that is not there, or not that one any more.
 */
void uevent_tell(UEvent *u, const char *devpath, uint64_t seqnum, uint64_t diskseq) {
        __attribute__((cleanup(unref_device))) struct udev_device *d = NULL;
        __attribute__((cleanup(free_string))) char *path = NULL;
        UEventFacts f;

        if (asprintf(&path, "/sys%s", devpath) < 0) {
                path = NULL;
                return;
        }

        d = udev_device_new_from_syspath(u->udev, path);
        if (!d || !uevent_facts_read(d, EVENT_UDEV, &f) || (diskseq && f.event.diskseq && f.event.diskseq != diskseq))
                return;

        f.event.early = true;
        f.event.action = EVENT_CHANGE;
        f.event.seqnum = seqnum;
        u->handler.device(&f.event, u->handler.userdata);
        u->handler.done(u->handler.userdata);
}

static int is_name(const struct dirent *e) {
        return e->d_name[0] != '.';
}

/* "sda" comes before "sda1". */
static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

/**
 * uevent_look() - tell of all block devices that are there
 * @u: from uevent_new(): what happens during the look is told as events afterwards
 *
 * Disks come before their partitions. The caller brackets it with device_set_look_begin() and
 * device_set_look_end(). One is taken from libudev at a time: its own enumeration holds all of them at once, each with
 * all its properties, and what the registry allocates in between would keep that memory with the daemon.
 *
 * Return: 0, or a negative errno: nothing, or not all, was told.
 */
int uevent_look(UEvent *u) {
        struct dirent **names;
        int n;

        n = scandir(SYSFS_FOLDER, &names, is_name, compare_names);
        if (n < 0)
                return -errno;

        for (int i = 0; i < n; i++) {
                struct udev_device *d;
                char path[sizeof(SYSFS_FOLDER "/") + sizeof(names[i]->d_name)];

                /* by its path: what libudev calls its name is another one if there is a "!" in it */
                (void) snprintf(path, sizeof(path), SYSFS_FOLDER "/%s", names[i]->d_name);
                d = udev_device_new_from_syspath(u->udev, path);

                free(names[i]);
                if (!d)
                        continue; /* gone since; its event follows */

                handle(u, d, EVENT_ENUMERATION);
                udev_device_unref(d);
        }

        free(names);
        return 0;
}
