/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which interface for filters the kernel has. One disk after the other is asked, in rounds, until one proves it; of one
 * whose answer proves nothing its partitions are, too, for it may be a filter on it that makes it so:
 *
 *      an interface, or proven that there is none    known, until something of the kernel comes or goes
 *      none, but it may be the driver that says so   the next disk; none if all say so, until another disk comes
 *      nothing that tells, or no answer              the next disk; and all again later, less and less often
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"
#include "daemon/reason.h"
#include "daemon/text.h"

#define PROBE_RETRY_USEC UINT64_C(500000)

/* So many in a round, those that come later included: a driver that says one thing of one disk says it of the next. */
#define PROBE_DISKS_MAX 16

/* So many rounds are made for those that cannot be asked, when others have said that there are no filters. */
#define PROBE_SILENT_MAX 6

static void set_reason(Manager *m) {
        free(m->interface_reason);
        m->interface_reason = reason_interface(&m->world);
        m->counts_changed = true;
        m->sums_at_usec = 0;
}

static void begin_round(Manager *m) {
        m->probe_round++;
        m->probe_again_at_usec = 0;
        m->n_probe_asked = m->n_probe_none = m->n_probe_unclear = m->n_probe_silent = 0;
        m->probe_answered = false;
}

/**
 * probe_again() - what is known of the interface may be of the past
 * @m: the manager; asks anew when it runs next. What was asked before counts no more
 * @forget: the interface counts as unknown until then
 */
void probe_again(Manager *m, bool forget) {
        m->probe_since = m->world.last_job + 1;
        m->probe_proven = false;
        m->n_probe_failures = 0;
        begin_round(m);

        if (forget) {
                m->world.interface_job = m->world.last_job;
                m->world.interface = KERNEL_INTERFACE_UNKNOWN;
                m->world.interface_unclear = false;
                m->world.interface_why[0] = 0;
                set_reason(m);
                world_touch_all(&m->world);
        }

        manager_schedule(m);
}

/* Whether enough was answered in this round: with nothing that wants a filter none is opened to hear "none" again. */
static bool is_enough(const Manager *m) {
        return m->n_probe_asked >= PROBE_DISKS_MAX ||
                (m->world.interface == KERNEL_INTERFACE_NONE && m->n_probe_none > 0 && !manager_wants_anything(m));
}

/* Of a disk what may be opened and was not asked in this round; none if there is nothing. */
static Device find_of_disk(const Manager *m, Disk *d) {
        if (!d->known || d->ignored || d->stuck)
                return (Device) { 0 };
        if (d->probed != m->probe_round)
                return (Device) { d, NULL };

        for (size_t k = 0; d->unclear == m->probe_round && k < d->n_partitions; k++)
                if (!d->partitions[k]->ignored && d->partitions[k]->probed != m->probe_round)
                        return (Device) { d, d->partitions[k] };

        return (Device) { 0 };
}

/*
 * A device that may be asked now, disks first; its disk is NULL if there is none. *ret_busy: something is done on the
 * disk of one.
 */
static Device find_device(const Manager *m, bool *ret_busy) {
        const DeviceSet *s = &m->world.devices;
        Device found = { 0 };

        *ret_busy = false;
        for (size_t i = 0; i < s->n_disks; i++) {
                Device d = find_of_disk(m, s->disks[i]);

                if (!d.disk)
                        continue;
                if (d.disk->job)
                        *ret_busy = true;
                else if (!d.partition)
                        return d;
                else if (!found.disk)
                        found = d;
        }

        return found;
}

/* What all answers together say is so from now on. */
static void adopt(Manager *m, KernelInterface interface, bool proven, const char *why) {
        KernelInterface before = m->world.interface, told = m->told_interface;
        Now now = manager_now(m);

        m->probe_proven = proven;
        m->n_probe_failures = 0;
        m->probe_again_at_usec = 0;
        if (interface == KERNEL_INTERFACE_NONE && before == interface)
                return;

        if (kernel_interface_is_bdevfilter(before) && !kernel_interface_is_bdevfilter(interface))
                world_lose_all(&m->world, false, &now);
        if (!kernel_interface_is_bdevfilter(interface))
                world_forget_stale(&m->world);

        m->world.interface = interface;
        m->world.interface_unclear = false;
        (void) str_copy(m->world.interface_why, sizeof(m->world.interface_why), why);
        set_reason(m);
        manager_schedule(m);
        world_check_all(&m->world); /* what is on by another one's word, or a module's that was not the same */

        if (interface == told)
                return;

        m->told_interface = interface;
        if (interface == KERNEL_INTERFACE_NONE) {
                log_event(LOG_WARNING, LOG_ID_UNSUPPORTED, m->interface_reason ?: REASON_NO_FILTERS);
                if (told == KERNEL_INTERFACE_UNKNOWN) /* what was there and went an administrator has removed */
                        tell_no_filters(m);
        } else
                log_line(LOG_INFO, "the kernel's interface for filters is %s: %s",
                         kernel_interface_to_string(interface), m->interface_reason ?: "");
}

/* All that may be asked have been: what comes of it. */
static void conclude(Manager *m, const Now *now) {
        if (!m->probe_answered)
                return;

        m->probe_answered = false;
        if (m->n_probe_none > 0 && !m->n_probe_unclear &&
            (!m->n_probe_silent || m->n_probe_failures >= PROBE_SILENT_MAX)) {
                adopt(m, KERNEL_INTERFACE_NONE, false, m->probe_why);
                return;
        }

        m->n_probe_failures++;
        m->probe_again_at_usec = now->monotonic_usec + retry_delay_usec(PROBE_RETRY_USEC, m->n_probe_failures);
        if (m->world.interface != KERNEL_INTERFACE_UNKNOWN)
                return;

        m->world.interface_unclear = true;
        (void) str_copy(m->world.interface_why, sizeof(m->world.interface_why), m->probe_why);
        set_reason(m);
        if (m->n_probe_failures == 1)
                log_line(LOG_WARNING, "%s", manager_get_interface_reason(m));
        world_touch_all(&m->world);
        manager_schedule(m);
}

/**
 * probe_begin() - ask the kernel which interface it has, unless that is known
 * @m: the manager
 * @now: the time
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be
 */
void probe_begin(Manager *m, const Now *now, uint64_t *wake_at_usec) {
        JobRequest request;
        bool busy = false;
        Device d = { 0 };

        if (m->probe_job || m->probe_proven)
                return;

        if (!m->probe_round || (m->probe_again_at_usec && m->probe_again_at_usec <= now->monotonic_usec))
                begin_round(m);

        if (!m->probe_again_at_usec && !is_enough(m))
                d = find_device(m, &busy);
        if (!d.disk && !busy && !m->probe_again_at_usec)
                conclude(m, now);

        manager_wake(wake_at_usec, m->probe_again_at_usec);
        if (!d.disk)
                return;

        world_fill_request(&m->world, d, JOB_PROBE, &request);
        m->probe_job = request.id;
        *(d.partition ? &d.partition->probed : &d.disk->probed) = m->probe_round;
        m->n_probe_asked++;
        disk_begin_job(d.disk, request.id);
        manager_submit(m, &request, -EBADF);
}

/**
 * probe_done() - take in the answer
 * @m: the manager
 * @request: what was asked, and of which device
 * @reply: what the worker said. JOB_TIMED_OUT: another disk is asked; a late answer counts too
 */
void probe_done(Manager *m, const JobRequest *request, const JobReply *reply) {
        Disk *d = device_set_get_disk(&m->world.devices, request->disk.name);
        bool late = m->probe_job != reply->id;

        if (!late)
                m->probe_job = 0;

        if (reply->id < m->probe_since || m->probe_proven)
                return;

        if (reply->message[0])
                (void) str_copy(m->probe_why, sizeof(m->probe_why), reply->message);

        if (reply->outcome == JOB_OK && (kernel_interface_has_filters(reply->interface) ||
                                         (reply->interface == KERNEL_INTERFACE_NONE && reply->proven))) {
                adopt(m, (KernelInterface) reply->interface, true, reply->message);
                return;
        }

        m->probe_answered = true;
        if (late && reply->outcome == JOB_OK && m->n_probe_silent > 0) /* it was counted when it was late */
                m->n_probe_silent--;

        if (reply->outcome != JOB_OK)
                m->n_probe_silent += !late;
        else if (reply->interface == KERNEL_INTERFACE_NONE)
                m->n_probe_none++;
        else {
                m->n_probe_unclear++;
                if (d && !request->partno)
                        d->unclear = d->probed;
        }
}

/**
 * manager_interface() - what brings the kernel's filters, and may go, came or went
 * @m: the manager
 * @gone: it went: with it all filters that were on by it
 */
void manager_interface(Manager *m, bool gone) {
        bool in_use = kernel_interface_is_bdevfilter(m->world.interface);
        Now now = manager_now(m);

        if (gone && in_use)
                world_lose_all(&m->world, true, &now);

        /* what is in use and comes had come before, and is told of once more, as by "udevadm trigger" at boot */
        probe_again(m, in_use ? gone : m->world.interface != KERNEL_INTERFACE_NONE);
}
