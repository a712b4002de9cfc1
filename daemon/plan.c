/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan-internal.h"
#include "daemon/reason.h"
#include "daemon/text.h"

/**
 * plan_deinit() - release what a plan holds
 * @p: the plan; empty and usable again afterwards
 */
void plan_deinit(Plan *p) {
        free(p->requests);
        *p = (Plan) { 0 };
}

/* Takes a job into the plan. */
int run_add(Run *run, const JobRequest *request, Disk *d) {
        JobRequest *requests = realloc(run->plan->requests, (run->plan->n_requests + 1) * sizeof(*requests));

        if (!requests)
                return -ENOMEM;

        requests[run->plan->n_requests++] = *request;
        run->plan->requests = requests;
        disk_begin_job(d, request->id);
        return 0;
}

/* Takes a disk to those that are looked at. */
int run_add_disk(Run *run, Disk *d) {
        Disk **disks;

        if (d->todo)
                return 0;

        if (run->n_disks == run->room) {
                size_t room = run->room ? run->room * 2 : 16;

                disks = realloc(run->disks, room * sizeof(*disks));
                if (!disks)
                        return -ENOMEM;

                run->disks = disks;
                run->room = room;
        }

        run->disks[run->n_disks++] = d;
        d->todo = true;
        return 0;
}

static void touch_items(const IndexItem *i) {
        for (; i; i = index_next(i))
                attachment_touch(i->owner);
}

/* All that have to do with a disk, as the index knows it. */
static void touch_interested(World *w, const Disk *d) {
        for (size_t i = 0; i < d->n_claims; i++)
                touch_items(index_first(&w->attachments.by_claim, d->claims[i].hash));

        touch_items(attachment_set_first_at(&w->attachments, d->name));
}

/* Those that wait for the end of a job on a disk, and have been looked at as to all else. */
static void touch_queued(World *w, const Disk *d) {
        const IndexItem *k;

        for (size_t i = 0; i < d->n_claims; i++)
                for (k = index_first(&w->attachments.by_claim, d->claims[i].hash); k; k = index_next(k))
                        attachment_touch_queued(k->owner, d->uid);

        for (k = attachment_set_first_at(&w->attachments, d->name); k; k = index_next(k))
                attachment_touch_queued(k->owner, d->uid);
}

/* Whether an attachment still waits for nothing but the end of a job: as another one was first. */
static bool is_queued(const World *w, const Attachment *a) {
        const Disk *d = a->awaits_job ? device_set_get_by_uid(&w->devices, a->awaits_job).disk : NULL;

        return d && d->job;
}

/* The kernel told of a disk: whether the filters on it still are is to be asked, soon. */
static void hear(World *w, Disk *d) {
        if (!d->heard)
                return;

        d->heard = false;
        for (const IndexItem *i = attachment_set_first_at(&w->attachments, d->name); i; i = index_next(i)) {
                Attachment *a = i->owner;

                a->check_due |= a->on_device;
        }
}

/* What happened to disks since the plan last ran: who has to do with it. */
static int take_changes(Run *run) {
        World *w = run->world;
        bool is_clear = false; /* a disk that others may have waited for */
        Disk *d;
        int r;

        while ((d = device_set_take_changed(&w->devices))) {
                if (d->freed)
                        touch_queued(w, d);
                else
                        touch_interested(w, d);

                if (d->gone) {
                        is_clear |= d->awaited_usec > 0;
                        device_set_forget(&w->devices, d);
                        continue;
                }

                hear(w, d);

                if (d->reclaim) {
                        r = device_set_reclaim(&w->devices, d);
                        if (r < 0) {
                                device_set_touch(&w->devices, d);
                                return r;
                        }
                        touch_interested(w, d);
                }

                is_clear |= d->awaited_usec && !disk_is_unclear(d);
                if (!disk_is_unclear(d) && !disk_is_untold(d))
                        d->awaited_usec = 0;
                else if (!d->awaited_usec)
                        d->awaited_usec = run->now->monotonic_usec;

                r = run_add_disk(run, d);
                if (r < 0) {
                        device_set_touch(&w->devices, d);
                        return r;
                }
        }

        if (is_clear)
                plan_touch_waiting(run);

        return 0;
}

/* What was delayed until now, and until when the rest is. */
static void take_delayed(Run *run) {
        World *w = run->world;
        uint64_t now_usec = run->now->monotonic_usec;

        if (!w->wake_at_usec || w->wake_at_usec > now_usec)
                return;

        w->wake_at_usec = 0;

        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                if (!a->retry_at_usec || a->retry_at_usec == UINT64_MAX)
                        continue;
                if (a->retry_at_usec <= now_usec)
                        attachment_touch(a);
                else
                        world_wake(w, a->retry_at_usec);
        }

        for (size_t i = 0; i < w->devices.n_disks; i++) {
                Disk *d = w->devices.disks[i];

                if (!d->scan_retry_at_usec)
                        continue;
                if (d->scan_retry_at_usec <= now_usec)
                        device_set_touch(&w->devices, d);
                else
                        world_wake(w, d->scan_retry_at_usec);
        }

        plan_take_delayed_early(run);
        plan_take_delayed_stale(run);
}

/*
 * The device that an attachment was on is not registered any more. It may be so under another uid, if events
 * were lost; or be a whole device with another medium in it: its filter stays on it, and does not belong there.
 */
static int notice_loss(World *w, Attachment *a, const Now *now) {
        Device d = device_set_get_by_object(&w->devices, a->fingerprint.object);
        int r;

        if (!d.disk) {
                r = world_add_stale(w, a->number, a->filter, 0);
                if (r >= 0)
                        attachment_lost(a, "removed", w->devices.found_gone ? a->seen_usec : 0, now);
                return r;
        }

        if (d.partition || d.disk->diskseq == a->fingerprint.disk->diskseq) {
                shared_set(&a->device, device_name(d));
                a->device_uid = device_uid(d);
                attachment_changed(a, ATTACHMENT_CHANGED_STATE);
                return 0;
        }

        attachment_lost(a, "medium-changed", w->devices.found_gone ? a->seen_usec : 0, now);
        attachment_leave(a, device_object(d));
        a->left_usec = now->monotonic_usec;
        return 0;
}

/*
 * What an earlier daemon noted, against what is there. A whole device stays when its medium changes: only
 * what was proven with the medium that is in it counts, and anything else has to be proven, or taken off.
 */
static int notice_noted(World *w, Attachment *a, const Now *now) {
        Device d = device_set_get_by_object(&w->devices, a->noted_object);
        const Fingerprint *f = &a->fingerprint;
        int r;

        if (!d.disk) {
                r = world_add_stale(w, a->number, a->filter, 0);
                if (r >= 0)
                        attachment_lost_unseen(a, "daemon-not-running", now);
                return r;
        }

        /* whatever happens to the disk concerns it */
        (void) attachment_set_home(a, d.disk->name);

        if (d.partition || (a->has_fingerprint && f->object == a->noted_object && f->disk->diskseq == d.disk->diskseq))
                return 0;

        attachment_lost_unseen(a, "medium-changed", now);
        attachment_leave(a, device_object(d));
        a->left_usec = now->monotonic_usec;
        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
        return 0;
}

/* A filter that was left on a device is gone with it, unless the kernel keeps it by the number. */
static int notice_left(World *w, Attachment *a) {
        Device d = device_set_get_by_object(&w->devices, a->left_object);
        int r;

        if (d.disk) {
                (void) attachment_set_home(a, d.disk->name);
                return 0;
        }

        r = world_add_stale(w, a->left_number, a->filter, 0);
        if (r < 0)
                return r;

        attachment_leave(a, 0);
        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
        return 0;
}

/* A job that never ended was on a disk that is gone: nothing of it can matter any more. */
static void forget_stuck_job(const World *w, Attachment *a) {
        const Disk *d = device_set_get_disk(&w->devices, a->home);

        if (a->job && a->job_is_stuck && (!d || d->job != a->job))
                a->job = 0;
}

/* Before anything is decided: what is not there any more. */
static int notice(Run *run, Attachment *a) {
        World *w = run->world;
        int r = 0;

        forget_stuck_job(w, a);

        if (a->on_device && !device_set_get_by_uid(&w->devices, a->device_uid).disk)
                r = notice_loss(w, a, run->now);

        if (r >= 0 && a->noted_object && !a->job && w->devices.looked)
                r = notice_noted(w, a, run->now);

        if (r >= 0 && a->left_object && !a->job && w->devices.looked)
                r = notice_left(w, a);

        return r;
}

/* The disks that an attachment may be on, if their tables are not known: they may have to be read for it. */
static int add_candidates(Run *run, const Attachment *a) {
        const Term *primary = match_get_primary(a->match);
        const IndexItem *i = index_first(&run->world->devices.claims, claim_hash(primary->key, primary->value));
        Disk *home = a->home[0] ? device_set_get_disk(&run->world->devices, a->home) : NULL;
        int r = home && home->dirty ? run_add_disk(run, home) : 0;

        for (; i && r >= 0; i = index_next(i)) {
                Disk *d = i->owner;

                if (!d->gone && d->dirty)
                        r = run_add_disk(run, d);
        }

        return r < 0 ? r : plan_add_early(run, a);
}

/* Whether the table of a disk says anything about what an attachment is on. */
static bool wants_table(const Attachment *a) {
        return a->fingerprint.entry->partno > 0 || match_wants_partition(a->match) ||
               match_has_key(a->match, MATCH_PT_UUID);
}

static bool is_active(const Attachment *a) {
        return !a->held && !a->orphaned;
}

/*
 * Whether a disk's table has to be known for an attachment. While that is on a device, only where
 * a clone's partition went: it may be coming back, and must not be forgotten in between.
 */
static bool disk_matters(const World *w, const Disk *d) {
        const IndexItem *i = attachment_set_first_at(&w->attachments, d->name);

        /* it was on this disk, and the disk has not left since */
        for (; i; i = index_next(i)) {
                const Attachment *a = i->owner;
                const Fingerprint *f = &a->fingerprint;

                if (is_active(a) && !a->on_device && a->has_fingerprint && wants_table(a) &&
                    str_equal(f->disk->name, d->name) && f->disk->diskseq == d->diskseq)
                        return true;
        }

        for (size_t k = 0; k <= d->n_entries; k++) {
                const KeptEntry *e = k > 0 ? d->entries[k - 1] : NULL;
                const Attachment *a;
                Claimants c;
                Facts f;

                if (e)
                        disk_entry_facts(d, e, &f);
                else
                        device_facts((Device) { (Disk *) d, NULL }, &f);

                claimants_init(&c, w, &f);
                while ((a = claimants_next(&c)))
                        if (is_active(a) && match_facts(a->match, &f) &&
                            (e || match_has_key(a->match, MATCH_PT_UUID)) &&
                            (!a->on_device || (e && !disk_get_partition(d, e->partno))))
                                return true;
        }

        return false;
}

/*
 * udev will not tell what it has not looked for. Not only while somebody misses something: that begins without an event
 * of the disk, and nobody would look at it again for that.
 */
static bool has_to_be_read(const World *w, const Disk *d) {
        return disk_is_unprobed(d) && (w->attachments.n_items > 0 || w->n_patterns > 0);
}

static int plan_disk(Run *run, Disk *d) {
        World *w = run->world;
        int r;

        if (disk_is_untold(d))
                return plan_read_early(run, d);

        if ((!d->dirty && !d->reread_due) || !d->known || d->ignored)
                return 0;

        if (!d->overtaken && !d->reread_due && !disk_matters(w, d)) {
                /* a job that is under way may bring the table */
                if (disk_udev_caught_up(d) && !d->job) {
                        disk_settle_by_udev(d);
                        d->reread_due = has_to_be_read(w, d);
                }

                if (d->reclaim) {
                        /* entries were dropped: who looked at them */
                        touch_interested(w, d);
                        r = device_set_reclaim(&w->devices, d);
                        if (r < 0)
                                return r;
                }

                if (!d->reread_due)
                        return 0;
        }

        return plan_scan(run, d);
}

/*
 * Those that were touched, in that order: of a disk's partitions the first is seen to first, as it is by udev, which
 * has only so many workers for all that it holds back until the filters are on.
 */
static int plan_touched(Run *run) {
        AttachmentSet *s = &run->world->attachments;
        size_t n = 0;
        int r = 0;

        while (n < s->n_touched) {
                Attachment *a = s->touched[n];

                r = is_queued(run->world, a) ? 0 : plan_attachment(run, a);
                if (r < 0)
                        break;

                a->touched = false;
                n++;
        }

        s->n_touched -= n;
        if (s->n_touched > 0)
                memmove(s->touched, s->touched + n, s->n_touched * sizeof(*s->touched));
        return r;
}

static int run_all(Run *run) {
        World *w = run->world;
        AttachmentSet *s = &w->attachments;
        int r;

        take_delayed(run);

        r = take_changes(run);
        if (r < 0)
                return r;

        for (size_t i = 0; i < run->n_disks; i++) {
                r = run->disks[i]->freed ? 0 : world_make_instances(w, run->disks[i]);
                if (r >= 0)
                        r = take_changes(run); /* a clone's, where others may have waited */
                if (r < 0)
                        return r;
        }

        /* attachments first notice what they lost: only then is it known which disks matter */
        for (size_t i = 0; i < s->n_touched; i++) {
                if (s->touched[i]->awaits_job)
                        continue;

                r = notice(run, s->touched[i]);
                if (r >= 0)
                        r = add_candidates(run, s->touched[i]);
                if (r >= 0 && w->devices.n_changed > 0)
                        r = take_changes(run); /* who has the number of what was lost */
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < run->n_disks; i++) {
                r = plan_disk(run, run->disks[i]);
                if (r < 0)
                        return r;
        }

        r = plan_touched(run);
        if (r < 0)
                return r;

        for (size_t i = 0; i < run->n_disks; i++) {
                r = plan_stale(run, run->disks[i]);
                if (r < 0)
                        return r;
        }

        return 0;
}

/**
 * plan_run() - what has to be done now
 * @w: the world; states, reasons and jobs under way are brought up to date
 * @now: the time
 * @ret: an empty plan; requests to be sent to workers, and when to run again. Released by
 *       plan_deinit(), on failure too
 *
 * Attachments that nobody wants any more and that are on no device are left for the caller to remove.
 *
 * Return: 0, or -ENOMEM: what is in @ret must be carried out all the same; run again later, after
 * world_touch_all().
 */
int plan_run(World *w, const Now *now, Plan *ret) {
        Run run = { .world = w, .now = now, .plan = ret };
        int r;

        r = run_all(&run);

        for (size_t i = 0; i < run.n_disks; i++)
                run.disks[i]->todo = run.disks[i]->freed = false;

        if (r >= 0)
                w->devices.found_gone = false;

        free(run.disks);
        ret->wake_at_usec = w->wake_at_usec;
        return r;
}
