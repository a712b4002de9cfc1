/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "daemon/plan.h"
#include "daemon/text.h"

/**
 * world_deinit() - release all that a world holds
 * @w: the world; empty and usable again afterwards
 */
void world_deinit(World *w) {
        device_set_deinit(&w->devices);
        attachment_set_deinit(&w->attachments);
        world_forget_stale(w);
        free(w->patterns);
        *w = (World) { 0 };
}

/**
 * world_wake() - something is delayed
 * @w: the world
 * @at_usec: monotonic: the plan is to look at what is delayed then
 */
void world_wake(World *w, uint64_t at_usec) {
        if (!w->wake_at_usec || at_usec < w->wake_at_usec)
                w->wake_at_usec = at_usec;
}

/**
 * world_add_attachment() - take an attachment in
 * @w: the world
 * @a: the attachment; owned by the world on success, by the caller otherwise
 *
 * Return: as attachment_set_add().
 */
int world_add_attachment(World *w, Attachment *a) {
        int r = attachment_set_add(&w->attachments, a);

        a->past_due |= w->past_is_due;
        if (r >= 0)
                device_set_count(&w->devices, match_get_primary(a->match)->key);

        return r;
}

/**
 * world_touch_all() - the plan is to look at everything
 * @w: the world
 */
void world_touch_all(World *w) {
        for (size_t i = 0; i < w->attachments.n_items; i++)
                attachment_touch(w->attachments.items[i]);

        for (size_t i = 0; i < w->devices.n_disks; i++)
                device_set_touch(&w->devices, w->devices.disks[i]);
}

/**
 * world_touch_rivals() - what an attachment wants changed: so may what others on the same device may have
 * @w: the world
 * @a: the attachment
 */
void world_touch_rivals(World *w, Attachment *a) {
        const Term *primary = match_get_primary(a->match);
        const IndexItem *i;

        attachment_touch(a);
        for (i = attachment_set_first_at(&w->attachments, a->home); i; i = index_next(i))
                attachment_touch(i->owner);

        /* those that name the same device otherwise are found by its disk */
        for (i = index_first(&w->devices.claims, claim_hash(primary->key, primary->value)); i; i = index_next(i))
                if (!((Disk *) i->owner)->gone)
                        device_set_touch(&w->devices, i->owner);

        /* of a device that udev has not told of they are not known: see plan_may_come_second() */
        if (!match_wants_fs(a->match))
                return;
        for (size_t k = 0; k < w->attachments.n_items; k++)
                if (!w->attachments.items[k]->on_device)
                        attachment_touch(w->attachments.items[k]);
}

/**
 * world_retry_registered() - a module was loaded: try again at once what failed for the lack of a filter
 * @w: the world
 */
void world_retry_registered(World *w) {
        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                if (a->state != ATTACHMENT_FAILED || a->last_outcome != JOB_NOT_REGISTERED)
                        continue;

                a->retry_at_usec = 0;
                attachment_touch(a);
        }
}

/**
 * world_check_all() - ask the kernel about every filter that is on, as far as is known
 * @w: the world
 */
void world_check_all(World *w) {
        for (size_t i = 0; i < w->attachments.n_items; i++)
                if (w->attachments.items[i]->on_device)
                        w->attachments.items[i]->check_due = true;

        world_touch_all(w);
}

/**
 * world_lose_all() - the kernel's interface for filters went, and all filters with it
 * @w: the world; nothing is on any device, what may have been on one is not either
 * @seen: it was told of at once; else the filters may have gone at any time since they were last asked about
 * @now: the time
 */
void world_lose_all(World *w, bool seen, const Now *now) {
        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];
                uint64_t noted = a->job ? a->noted_object : 0; /* a job may put it on yet */

                attachment_lost(a, "interface-gone", seen ? 0 : a->seen_usec, now);
                attachment_lost_unseen(a, "interface-gone", now);
                attachment_leave(a, 0);
                a->noted_object = noted;
        }

        world_forget_stale(w);
        world_touch_all(w);
}

/**
 * world_fill_request() - the parts of a request that name the device
 * @w: the world; counts the jobs
 * @d: the device that the job is about
 * @kind: what is to be done
 * @ret: all of it is written
 */
void world_fill_request(World *w, Device d, JobKind kind, JobRequest *ret) {
        *ret = (JobRequest) {
                .protocol = JOB_PROTOCOL,
                .kind = kind,
                .id = ++w->last_job,
                .interface = w->interface,
                .disk = { .major = d.disk->major, .minor = d.disk->minor, .diskseq = d.disk->diskseq,
                          .object = d.disk->object },
        };

        (void) str_copy(ret->disk.name, sizeof(ret->disk.name), d.disk->name);
        ret->ask_unowned = kind == JOB_SCAN && disk_may_be_early(d.disk);

        if (!d.partition)
                return;

        ret->partno = d.partition->partno;
        ret->partition = (JobDevice) { .major = d.partition->major, .minor = d.partition->minor,
                                       .diskseq = d.disk->diskseq, .object = d.partition->object };
        (void) str_copy(ret->partition.name, sizeof(ret->partition.name), d.partition->name);
}

/**
 * world_find_device() - the device that a job was about
 * @w: the world
 * @request: the job
 *
 * Return: borrowed; its disk is NULL if that very object, or the medium in it, is not there any more.
 */
Device world_find_device(const World *w, const JobRequest *request) {
        uint64_t object = request->partno ? request->partition.object : request->disk.object;
        Device d = device_set_get_by_object(&w->devices, object);

        return d.disk && !d.partition && d.disk->diskseq != request->disk.diskseq ? (Device) { 0 } : d;
}

/**
 * world_find_by_job() - the attachment that the plan has begun a job for
 * @w: the world
 * @request: the job
 *
 * Return: borrowed; NULL if it was for none, or that is gone.
 */
Attachment *world_find_by_job(const World *w, const JobRequest *request) {
        const IndexItem *i = attachment_set_first_at(&w->attachments, request->disk.name);

        for (; i; i = index_next(i))
                if (((Attachment *) i->owner)->job == request->id)
                        return i->owner;

        return NULL;
}
