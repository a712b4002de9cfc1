/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Looks at all devices that are there: at the start, and when events were lost. What udev says of a device while it has
 * events that it has not told may be of one that was there before: it is in doubt, and is looked at again when udev is
 * idle, or is believed when that takes too long. No event tells of any of this: the manager runs again by time.
 */

#include <string.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"

/* How long what udev says while it is busy is doubted. */
#define DOUBT_USEC UINT64_C(5000000)

/* After a look that failed: whatever happens meanwhile, it is not made again before. */
#define LOOK_PAUSE_USEC UINT64_C(1000000)

/* That udev is idle is told by no event. */
#define DOUBT_AGAIN_USEC UINT64_C(50000)

/* Nor that the boot is over. */
#define BOOT_AGAIN_USEC UINT64_C(1000000)

/**
 * manager_lost() - events were lost: what is known may be wrong
 * @m: the manager
 */
void manager_lost(Manager *m) {
        if (!m->look)
                log_event(LOG_NOTICE, LOG_ID_EVENTS_LOST, "events of devices were lost: looking at all of them again");
        m->look = m->lost = true;

        /* what is built in cannot have come or gone unseen */
        if (m->world.interface != KERNEL_INTERFACE_BLKFILTER_1 && m->world.interface != KERNEL_INTERFACE_BLKFILTER_2)
                probe_again(m, false);
}

/*
 * Which disks were there at boot: all that had come when a daemon first found udev idle after it. A disk whose driver
 * is slow comes after the daemon's first look, and is one of the boot all the same.
 */
static void note_boot_diskseq(Manager *m) {
        uint64_t highest = 0;
        bool over;

        if (m->boot_is_noted || !m->world.devices.looked)
                return;

        over = !m->world.udev_is_busy && m->ops.boot_is_over(m->ops.outside);
        for (size_t i = 0; over && i < m->world.devices.n_disks; i++)
                if (m->world.devices.disks[i]->diskseq > highest)
                        highest = m->world.devices.disks[i]->diskseq;

        m->world.boot_diskseq = m->ops.boot_diskseq(highest, m->ops.outside);
        m->boot_is_noted = m->world.boot_diskseq || over;
}

static void look(Manager *m, const Now *now) {
        bool believe = m->doubt_since_usec && now->monotonic_usec >= m->doubt_since_usec + DOUBT_USEC;
        int r;

        m->look = false;
        device_set_look_begin(&m->world.devices, believe);
        r = m->ops.look(m->ops.outside);
        if (r < 0) {
                /* An incomplete look must not make devices disappear: what was told has been taken in. */
                log_line(LOG_ERR, "looking at all devices failed: %s; it is done again in a second", strerror(-r));
                m->look = true;
                m->look_again_at_usec = now->monotonic_usec + LOOK_PAUSE_USEC;
                return;
        }

        m->look_again_at_usec = 0;
        device_set_look_end(&m->world.devices);
        world_touch_all(&m->world);
        m->lost &= m->world.udev_is_busy;

        if (!m->world.devices.in_doubt)
                m->doubt_since_usec = 0;
        else if (!m->doubt_since_usec)
                m->doubt_since_usec = now->monotonic_usec;
}

/* What a look found while udev was busy is looked at again when it is not, or what is new has waited for too long. */
static void check_doubt(Manager *m, const Now *now) {
        bool long_enough = now->monotonic_usec >= m->doubt_since_usec + DOUBT_USEC;

        m->look |= m->lost && !m->world.udev_is_busy;
        m->look |= m->doubt_since_usec && (!m->world.udev_is_busy || long_enough);
}

/**
 * look_check() - look at all devices, if that is due
 * @m: the manager; whether udev is busy is known then
 * @now: the time
 */
void look_check(Manager *m, const Now *now) {
        m->world.udev_is_busy = m->ops.udev_is_busy(m->ops.outside);
        check_doubt(m, now);
        if (m->look && now->monotonic_usec >= m->look_again_at_usec)
                look(m, now);

        note_boot_diskseq(m);
        if (!m->look && !device_set_check_doubt(&m->world.devices))
                m->doubt_since_usec = 0;
}

/**
 * look_wake() - when it may be due next
 * @m: the manager
 * @now: the time
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be
 */
void look_wake(const Manager *m, const Now *now, uint64_t *wake_at_usec) {
        if (m->look) /* it failed */
                manager_wake(wake_at_usec, m->look_again_at_usec);

        if (m->doubt_since_usec || m->lost || (!m->boot_is_noted && m->world.udev_is_busy))
                manager_wake(wake_at_usec, now->monotonic_usec + DOUBT_AGAIN_USEC);
        else if (!m->boot_is_noted)
                manager_wake(wake_at_usec, now->monotonic_usec + BOOT_AGAIN_USEC);
}
