/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A filter was taken off a device, or may have been: whom that concerns besides who had it done. */

#include "daemon/plan.h"
#include "daemon/text.h"

/*
 * A filter was taken off, or may have been. A worker that took long may have done so when it had been put on again: a
 * whole device stays when its medium changes, and a call by path reaches whatever has the name. Who is there now, as
 * far as is known, is asked about.
 */
static void doubt_filters(World *w, const JobRequest *request) {
        uint64_t object = request->partno ? request->partition.object : request->disk.object;
        bool by_path = kernel_interface_is_bdevfilter(request->interface);

        for (const IndexItem *i = attachment_set_first_at(&w->attachments, request->disk.name); i; i = index_next(i)) {
                Attachment *a = i->owner;

                if (a->on_device && str_equal(a->filter, request->filter) &&
                    ((object && a->fingerprint.object == object) ||
                     (by_path && str_equal(a->device, job_subject(request)->name)))) {
                        a->check_due = true;
                        attachment_touch(a);
                }
        }
}

/*
 * A filter was taken off, as it was left where it does not belong. Who an earlier daemon noted to have it there, and
 * was not asked about yet, has lost it, whatever is there by the time that he is.
 */
static void lose_noted(World *w, const JobRequest *request, const Now *now) {
        uint64_t object = request->partno ? request->partition.object : request->disk.object;

        for (size_t i = 0; object && i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                if (a->noted_object == object && str_equal(a->filter, request->filter)) {
                        attachment_lost_unseen(a, "daemon-not-running", now);
                        attachment_touch(a);
                }
        }
}

/*
 * A filter of the daemon's own is off a device where it did not belong: whoever found it in the way has not met another
 * party's, and comes now, even if it does not wait for those to go.
 */
static void retry_conflicts(World *w, const JobRequest *request) {
        Device d = world_find_device(w, request);

        for (const IndexItem *i = attachment_set_first_at(&w->attachments, request->disk.name); i; i = index_next(i)) {
                Attachment *a = i->owner;

                if (d.disk && a->state == ATTACHMENT_CONFLICT && a->device_uid == device_uid(d)) {
                        a->retry_at_usec = 0;
                        attachment_touch(a);
                }
        }
}

/* Also an ATTACH by path: one that finds that its device has gone undoes what it did, by that path. */
static bool may_have_taken_off(const JobRequest *request, const JobReply *reply) {
        if (request->kind == JOB_DETACH && reply->outcome == JOB_OK)
                return true;

        return kernel_interface_is_bdevfilter(request->interface) &&
                (request->kind == JOB_DETACH || request->kind == JOB_ATTACH) &&
                (reply->outcome == JOB_GONE || reply->outcome == JOB_DIED);
}

/**
 * world_taken_off() - a job may have taken a filter off
 * @w: the world
 * @request: the job
 * @reply: what came back; nothing happens if the filter cannot have been taken off
 * @misplaced: it was left where it does not belong; else an administrator has asked for it
 * @now: the time
 */
void world_taken_off(World *w, const JobRequest *request, const JobReply *reply, bool misplaced, const Now *now) {
        if (may_have_taken_off(request, reply))
                doubt_filters(w, request);

        if (misplaced && request->kind == JOB_DETACH && reply->outcome == JOB_OK) {
                lose_noted(w, request, now);
                retry_conflicts(w, request);
        }
}
