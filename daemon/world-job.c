/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a worker's reply means. */

#include <string.h>

#include "daemon/plan.h"
#include "daemon/reason.h"
#include "daemon/text.h"

#define SCAN_RETRY_USEC UINT64_C(500000)

static void scan_done(Disk *d, const JobReply *reply, const Now *now) {
        /* writes that were counted since it began may have been of another table */
        d->reread_due = d->reread_due && d->n_writes != d->job_n_writes;

        /* "done" without a table is no scan: it would be asked for again and again without a pause */
        if (reply->outcome == JOB_OK && reply->has_table)
                return;

        /* nobody waits for it: the next check tries again */
        d->n_writes = 0;
        if (!d->dirty)
                return;

        switch (reply->outcome) {

        case JOB_LOCKED:
                (void) str_copy(d->scan_error, sizeof(d->scan_error), "another program holds its lock");
                break;

        default:
                if (!str_copy(d->scan_error, sizeof(d->scan_error),
                              reply->message[0] ? reply->message : "the worker did not say why"))
                        (void) str_copy(d->scan_error, sizeof(d->scan_error), "the reason is too long to tell");
        }

        d->n_scan_failures++;
        d->scan_retry_at_usec = now->monotonic_usec +
                (reply->outcome == JOB_LOCKED ? lock_delay_usec(d->n_scan_failures) :
                                                retry_delay_usec(SCAN_RETRY_USEC, d->n_scan_failures));
}

static void take_history(Attachment *a, Attachment *b) {
        Gap *gaps = a->gaps;

        a->gaps = b->gaps;
        a->n_gaps_kept = b->n_gaps_kept;
        a->n_gaps = b->n_gaps;
        b->gaps = gaps;
        b->n_gaps_kept = 0;

        a->recorded_since_usec = b->intact_since_usec;
        a->recorded_at_usec = b->seen_usec;
        a->n_attached += b->n_attached;
        a->has_fingerprint = b->has_fingerprint;
        fingerprint_set(&a->fingerprint, &b->fingerprint);
}

/*
 * An attachment of the same filter that is on the device already, and is not needed there any more: its policy
 * was edited, or a policy now wants what was wished for at run time. What it knows goes over, unless there is a gap of
 * its own to be ended: that one was on another device, and has not seen what was seen here.
 */
static bool take_over(World *w, Attachment *a) {
        for (const IndexItem *i = attachment_set_first_at(&w->attachments, a->home); i; i = index_next(i)) {
                Attachment *b = i->owner;

                if (b == a || !attachment_gives_up(b, a->filter, a->device_uid))
                        continue;

                if (!attachment_get_open_gap(a))
                        take_history(a, b);
                a->asked |= b->asked;
                a->foreign = b->foreign;

                b->has_fingerprint = false;
                b->on_device = false;
                shared_set(&b->device, shared_empty);
                b->device_uid = 0;
                b->intact_since_usec = 0;
                b->asked = false;
                b->orphaned = true;
                attachment_touch(b);
                attachment_changed(b, ATTACHMENT_CHANGED_STATE);
                return true;
        }

        return false;
}

/* The filter was not on that device: nor was it for any other attachment that says so, or of which that was noted. */
static void lose_others(World *w, const Attachment *a, uint64_t object, const Now *now) {
        for (const IndexItem *i = attachment_set_first_at(&w->attachments, a->home); i; i = index_next(i)) {
                Attachment *b = i->owner;

                if (b == a || !str_equal(b->filter, a->filter))
                        continue;

                if (b->on_device && b->device_uid == a->device_uid)
                        attachment_lost(b, "foreign-detach", b->seen_usec, now);
                else if (b->noted_object && b->noted_object == object) {
                        attachment_lost_unseen(b, "daemon-not-running", now);
                        attachment_touch(b);
                        attachment_changed(b, ATTACHMENT_CHANGED_RECORD);
                }
        }
}

static void attach_failed(Attachment *a, const JobReply *reply, bool by_number, const Now *now) {
        attachment_set_delay(a, reply->outcome, now);

        /*
         * A worker that died may have attached before: the kernel is asked. Else the filter is not on; but where it is
         * kept by number, one that was put on what went right then may be.
         */
        if (reply->outcome != JOB_DIED)
                a->noted_object = reply->outcome == JOB_GONE && by_number ? a->noted_object : 0;
        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);

        switch (reply->outcome) {

        case JOB_CONFLICT:
                attachment_leave(a, 0); /* if it was left there, it is not any more */
                if (a->settings->ignore_conflict)
                        a->retry_at_usec = UINT64_MAX;
                attachment_set_state(a, ATTACHMENT_CONFLICT, reason_outcome(a, reply));
                break;

        case JOB_DUPLICATE:
                attachment_set_state(a, ATTACHMENT_AMBIGUOUS, reason_outcome(a, reply));
                break;

        case JOB_MISMATCH:
                attachment_set_state(a, ATTACHMENT_REFUSED, reason_outcome(a, reply));
                break;

        case JOB_LOCKED:
                attachment_set_state(a, ATTACHMENT_WAITING, reason_outcome(a, reply));
                break;

        case JOB_GONE:
                attachment_set_state(a, ATTACHMENT_WAITING, reason_outcome(a, reply));
                break;

        case JOB_UNSUPPORTED:
                attachment_set_state(a, ATTACHMENT_UNSUPPORTED, reason_outcome(a, reply));
                break;

        case JOB_NOT_REGISTERED:
                a->module_due = a->settings->module[0] != 0;
                attachment_set_state(a, ATTACHMENT_FAILED, reason_outcome(a, reply));
                break;

        default:
                attachment_set_state(a, ATTACHMENT_FAILED, reason_outcome(a, reply));
        }
}

static void attach_done(World *w, Attachment *a, const JobRequest *request, const JobReply *reply, const Now *now) {
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = FINGERPRINT_INIT;
        Device d = device_set_get_by_uid(&w->devices, a->device_uid);
        Stale *stale;

        a->last_outcome = reply->outcome;

        /* what took it is gone since, and whatever was on with it */
        if ((reply->outcome == JOB_OK || reply->outcome == JOB_ALREADY) && request->id <= w->interface_job) {
                a->n_attached += reply->outcome == JOB_OK;
                attachment_set_state(a, ATTACHMENT_WAITING,
                                     reason_plain("the kernel's filters changed while it was attached"));
                return;
        }

        /* from a device that had the number before: what it has seen, and what not, nobody can say */
        stale = world_find_stale_on(w, d, a->filter);
        if (reply->outcome == JOB_ALREADY && stale) {
                stale->due = true;
                a->noted_object = 0;
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                attachment_set_state(a, ATTACHMENT_WAITING, reason_stale(a, d));
                return;
        }

        /* registered anew since, and still the same object of the kernel */
        if (!d.disk) {
                d = world_find_device(w, request);
                if (d.disk) {
                        shared_set(&a->device, device_name(d));
                        a->device_uid = device_uid(d);
                }
        }

        if (reply->outcome == JOB_OK || reply->outcome == JOB_ALREADY) {
                if (!d.disk) {
                        /*
                         * It went right after, and the filter with it; but of a whole device only the medium did. Or it
                         * is there, and what has been told is older: an event's device is looked at when the event is
                         * read, and may be a later one of that name. A look tells.
                         */
                        if (reply->outcome == JOB_OK)
                                a->n_attached++;
                        a->noted_object = 0;
                        if (!request->partno && device_set_get_by_object(&w->devices, request->disk.object).disk)
                                attachment_leave(a, request->disk.object);
                        else {
                                a->noted_object = request->partno ? request->partition.object : request->disk.object;
                                w->devices.incomplete = true;
                        }
                        a->device_uid = 0;
                        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                        attachment_set_state(a, ATTACHMENT_WAITING,
                                             reason_plain("the device went away while it was attached"));
                        return;
                }

                /* a reply without the entry that it proved is no proof */
                if (fingerprint_prove(&f, request, reply, d.disk)) {
                        /* noted by an earlier daemon, whose kernel could not be asked by another job than this */
                        bool ours = a->recorded_since_usec > 0;

                        if (reply->outcome == JOB_ALREADY)
                                ours |= take_over(w, a);
                        else
                                lose_others(w, a, f.object, now);
                        if (reply->outcome == JOB_ALREADY && !ours)
                                a->foreign = true;

                        /* not told this time: that is no other filter */
                        if (!fingerprint_has_generation(&f) && reply->outcome == JOB_ALREADY && f.object &&
                            a->fingerprint.object == f.object)
                                memcpy(f.generation, a->fingerprint.generation, sizeof(f.generation));

                        a->checked_usec = now->monotonic_usec;
                        a->check_due = false;
                        fingerprint_share_known(&f, d);
                        attachment_attached(a, &f, reply->outcome == JOB_ALREADY, now);
                        return;
                }
        }

        /* by what it was tried: what takes filters now may not be known, as the module has just gone and come */
        attach_failed(a, reply, kernel_interface_is_bdevfilter(request->interface), now);
}

/*
 * The filter is on, as the kernel says: where an earlier daemon, or a job without an end, left it. False if what is on
 * the device cannot be read, so that nobody knows whether the filter belongs there.
 */
static bool check_found(World *w, Attachment *a, const JobRequest *request, const JobReply *reply, const Now *now) {
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = FINGERPRINT_INIT;
        Device d = world_find_device(w, request);
        Stale *stale;
        Facts facts;

        if (!d.disk) /* its event follows */
                return true;

        /* A job that ended without a word may have proved nothing: then the filter is somebody else's. */
        device_facts(d, &facts);
        if (!a->on_device && !a->recorded_since_usec && !match_facts(a->match, &facts)) {
                /* what is on the device is not known yet: asked again when it is */
                if (device_is_being_read(d))
                        return true;

                if (d.disk->dirty && !device_ignored(d))
                        return false;

                /* it stays, but not on the next one where it is kept by number */
                if (world_add_stale(w, device_number(d), a->filter, device_object(d)) < 0)
                        return true;

                a->noted_object = 0;
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                return true;
        }

        if (a->has_fingerprint && a->fingerprint.object == device_object(d) &&
            a->fingerprint.disk->diskseq == d.disk->diskseq)
                fingerprint_set(&f, &a->fingerprint);
        else
                fingerprint_find(&f, request, d);
        if (reply->generation[0]) /* else it was not to be had this time: that is no other filter */
                (void) fingerprint_set_generation(&f, reply->generation);

        /* a job that ended without a word found it there, or put it there: it cannot be told from one of before */
        stale = world_find_stale_on(w, d, a->filter);
        if (stale && !a->on_device && !a->recorded_since_usec) {
                stale->due = true;
                a->noted_object = 0;
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                return true;
        }
        if (stale)
                world_drop_stale(w, stale->number, stale->filter);

        /* somebody took it off and put it on again: what is on now is another one */
        if (a->on_device && memcmp(f.generation, a->fingerprint.generation, sizeof(f.generation)) != 0) {
                attachment_lost(a, "foreign-detach", a->seen_usec, now);
                a->foreign = true;
        }

        shared_set(&a->device, device_name(d));
        a->device_uid = device_uid(d);
        a->number = device_number(d);
        fingerprint_share_known(&f, d);
        attachment_attached(a, &f, true, now);
        return true;
}

static void check_done(World *w, Attachment *a, const JobRequest *request, const JobReply *reply, const Now *now) {
        if (request->id <= w->interface_job) /* it is asked again, by what takes filters now */
                return;

        a->checked_usec = now->monotonic_usec;

        switch (reply->outcome) {

        case JOB_OK:
                a->check_due = false;
                if (!check_found(w, a, request, reply, now)) {
                        attachment_set_delay(a, reply->outcome, now);
                        break;
                }
                a->retry_at_usec = 0;
                a->n_failures = a->n_locked = 0;
                break;

        case JOB_NOT_ATTACHED:
        case JOB_CONFLICT:
                a->check_due = false;
                a->retry_at_usec = 0;

                /* a worker that dies in each attach is not to be driven in a circle */
                if (a->last_outcome != JOB_DIED)
                        a->n_failures = a->n_locked = 0;
                if (a->on_device)
                        lose_others(w, a, a->fingerprint.object, now);
                attachment_lost(a, "foreign-detach", a->seen_usec, now);
                attachment_lost_unseen(a, "daemon-not-running", now);
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                break;

        case JOB_UNSUPPORTED:
                /* the kernel does not tell: an ATTACH says whether it is on */
                a->check_due = false;
                a->noted_object = 0;
                break;

        default:
                attachment_set_delay(a, reply->outcome, now);
        }
}

static void take_off_done(Attachment *a, const JobReply *reply, const Now *now) {
        switch (reply->outcome) {

        case JOB_OK:
        case JOB_NOT_ATTACHED:
        case JOB_CONFLICT:
        case JOB_UNSUPPORTED:
                attachment_leave(a, 0);
                a->retry_at_usec = 0;
                a->n_failures = a->n_locked = 0;
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                break;

        default:
                attachment_set_delay(a, reply->outcome, now);
        }
}

/* Whether nothing is known anew of a disk: its table is what it was, and nobody waits but for the end of this job. */
static bool tells_only_of_attachment(const Disk *d, const JobRequest *request, const JobReply *reply) {
        return request->kind == JOB_ATTACH && reply->outcome == JOB_OK && !reply->has_table && !d->dirty &&
                !d->reread_due && !d->stuck;
}

/* A filter was put on a device: who else may want to be on it. */
static void touch_others_on(World *w, Disk *d, const Attachment *a) {
        Device on = device_set_get_by_uid(&w->devices, a->device_uid);
        Attachment *b;
        Claimants c;
        Facts f;

        if (!a->on_device || !on.disk) {
                device_set_touch(&w->devices, d);
                return;
        }

        device_facts(on, &f);
        claimants_init(&c, w, &f);
        while ((b = claimants_next(&c)))
                attachment_touch(b);
}

/**
 * world_job_done() - take in what a worker has replied
 * @w: the world
 * @request: what was asked; borrowed
 * @reply: what came back; borrowed
 * @now: the time
 *
 * JOB_TIMED_OUT is not the end of the job: the disk counts as stuck, and the job as under way,
 * until the worker answers late or the disk goes. Run the plan afterwards.
 */
void world_job_done(World *w, const JobRequest *request, const JobReply *reply, const Now *now) {
        Disk *d = device_set_get_disk(&w->devices, request->disk.name);
        Attachment *a = world_find_by_job(w, request);

        if (d && d->job != request->id)
                d = NULL;

        if (d && tells_only_of_attachment(d, request, reply))
                device_set_touch_freed(&w->devices, d);
        else if (d)
                device_set_touch(&w->devices, d);
        if (a)
                attachment_touch(a);

        if (reply->outcome == JOB_TIMED_OUT) {
                if (d)
                        d->stuck = true;
                if (a)
                        a->job_is_stuck = true;
                if (a && !a->on_device)
                        attachment_set_state(a, ATTACHMENT_STUCK, reason_outcome(a, reply));
                return;
        }

        if (d) {
                d->job = 0;
                d->stuck = false;

                /* Out of memory leaves the old table and a dirty disk: it is read again. */
                if (reply->has_table &&
                    disk_set_table(&w->devices, d, reply->pt_uuid, reply->entries, reply->n_entries,
                                   disk_job_as_of(d, reply->as_of)) < 0) {
                        d->scan_retry_at_usec = now->monotonic_usec + SCAN_RETRY_USEC;
                        world_wake(w, d->scan_retry_at_usec);
                } else if (reply->has_table) {
                        d->table_job = request->id;
                        if (request->kind == JOB_SCAN)
                                d->unowned = request->ask_unowned && reply->unowned;
                }

                if (request->kind == JOB_SCAN)
                        scan_done(d, reply, now);
        }

        /*
         * A worker did not find what is registered. Not every change is told by an event: a loop device
         * that is detached gets its new sequence number after its last one.
         */
        if (d && reply->outcome == JOB_GONE &&
            (!request->partno || (a && device_set_get_by_uid(&w->devices, a->device_uid).disk)))
                w->devices.incomplete = true;

        /* what an administrator asked for tells of itself */
        world_taken_off(w, request, reply, a || world_find_stale_by_job(w, request->id), now);

        if (a)
                a->job = 0;
        if (a && request->kind == JOB_ATTACH)
                attach_done(w, a, request, reply, now);
        if (a && d && request->kind == JOB_ATTACH)
                touch_others_on(w, d, a);

        world_stale_done(w, request, reply, a && a->on_device, now);
        if (!a)
                return;

        if (request->kind == JOB_CHECK)
                check_done(w, a, request, reply, now);
        else if (request->kind == JOB_DETACH)
                take_off_done(a, reply, now);
}
