/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which interface for filters the kernel has. */

#include <errno.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"

#define PROBE_RETRY_USEC UINT64_C(500000)

/**
 * probe_begin() - ask the kernel which interface it has, unless that is known
 * @m: the manager
 * @now: the time
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be
 *
 * Asks on any disk that may be opened, and after one that gave no answer on the next.
 */
void probe_begin(Manager *m, const Now *now, uint64_t *wake_at_usec) {
        const DeviceSet *s = &m->world.devices;
        JobRequest request;
        Disk *d = NULL;

        if (m->world.interface != KERNEL_INTERFACE_UNKNOWN || m->probe_job)
                return;

        if (m->probe_again_at_usec > now->monotonic_usec) {
                if (!*wake_at_usec || m->probe_again_at_usec < *wake_at_usec)
                        *wake_at_usec = m->probe_again_at_usec;
                return;
        }

        for (int round = 0; round < 2 && !d; round++)
                for (size_t i = 0; i < s->n_disks && !d; i++)
                        if (s->disks[i]->known && !s->disks[i]->ignored[0] && !s->disks[i]->job &&
                            !s->disks[i]->stuck && (round > 0 || s->disks[i]->uid > m->probe_disk))
                                d = s->disks[i];

        if (!d)
                return;

        world_fill_request(&m->world, (Device) { d, NULL }, JOB_PROBE, &request);
        m->probe_job = request.id;
        disk_begin_job(d, request.id);
        m->probe_disk = d->uid;
        manager_submit(m, &request, -EBADF);
}

/**
 * probe_done() - take in the answer
 * @m: the manager
 * @reply: what the worker said. JOB_TIMED_OUT: another disk is asked; a late answer counts too
 */
void probe_done(Manager *m, const JobReply *reply) {
        m->probe_job = 0;

        if (reply->outcome == JOB_TIMED_OUT)
                return;

        if (reply->outcome != JOB_OK || reply->interface == KERNEL_INTERFACE_UNKNOWN) {
                m->n_probe_failures++;
                m->probe_again_at_usec = manager_now(m).monotonic_usec +
                        retry_delay_usec(PROBE_RETRY_USEC, m->n_probe_failures);
                return;
        }

        m->world.interface = reply->interface;
        world_touch_all(&m->world);
        m->counts_changed = true;

        if (reply->interface == KERNEL_INTERFACE_NONE)
                log_line(LOG_WARNING,
                         "this kernel has no block device filters: nothing can be attached; boot a kernel that"
                         " has them");
        else
                log_line(LOG_INFO, "the kernel's interface for filters is %s",
                         kernel_interface_to_string(reply->interface));
}
