/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan.h"
#include "daemon/reason.h"
#include "daemon/text.h"

/*
 * How long a new disk that udev has not told all of keeps others from being attached for the first
 * time: it may be a clone. udev as a rule takes a fraction of it; one bad disk must not hold up all.
 */
#define UNCLEAR_USEC       UINT64_C(5000000)
#define UNCLEAR_AGAIN_USEC UINT64_C(50000) /* that udev is idle is told by no event */

/* Who has an identity, as far as is known. More than a few are not told one by one. */
#define HOLDERS_MAX 8

typedef struct Holders {
        Holder items[HOLDERS_MAX];
        size_t n_items;
        Holder ignored; /* one that has it but must be left alone; disk NULL if none */
        Disk *unsure;   /* a disk among the holders' whose table is not known for certain; or NULL */
} Holders;

/**
 * plan_deinit() - release what a plan holds
 * @p: the plan; empty and usable again afterwards
 */
void plan_deinit(Plan *p) {
        free(p->requests);
        *p = (Plan) { 0 };
}

static void plan_wake(Plan *p, uint64_t at_usec) {
        if (!p->wake_at_usec || at_usec < p->wake_at_usec)
                p->wake_at_usec = at_usec;
}

static int plan_add(Plan *p, const JobRequest *request) {
        JobRequest *requests = realloc(p->requests, (p->n_requests + 1) * sizeof(*requests));

        if (!requests)
                return -ENOMEM;

        requests[p->n_requests++] = *request;
        p->requests = requests;
        return 0;
}

static void find_holders(const World *w, const Match *m, Holders *ret) {
        *ret = (Holders) { 0 };

        for (size_t i = 0; i < w->devices.n_disks; i++) {
                Disk *d = w->devices.disks[i];

                for (size_t j = 0; j < d->n_entries; j++) {
                        Holder h = { .disk = d, .entry = &d->entries[j] };

                        if (!match_entry(m, h.entry))
                                continue;

                        h.partition = disk_get_partition(d, h.entry->partno);

                        if (d->ignored[0] || (h.partition && h.partition->ignored[0])) {
                                ret->ignored = h;
                                continue;
                        }

                        if (d->dirty)
                                ret->unsure = d;

                        if (ret->n_items < HOLDERS_MAX)
                                ret->items[ret->n_items++] = h;
                }
        }
}

/*
 * Whether a disk's table has to be known for an attachment. While that is on a device, only where
 * a clone's partition went: it may be coming back, and must not be forgotten in between.
 */
static bool disk_matters_to(const Disk *d, const Attachment *a) {
        const Fingerprint *f = &a->fingerprint;

        if (a->held || a->orphaned)
                return false;

        /* it was on this disk, and the disk has not left since */
        if (!a->on_device && a->has_fingerprint && str_equal(f->disk, d->name) && f->diskseq == d->diskseq)
                return true;

        for (size_t i = 0; i < d->n_entries; i++)
                if (match_entry(&a->match, &d->entries[i]) &&
                    (!a->on_device || !disk_get_partition(d, d->entries[i].partno)))
                        return true;

        return false;
}

static bool disk_matters(const World *w, const Disk *d) {
        for (size_t i = 0; i < w->attachments.n_items; i++)
                if (disk_matters_to(d, w->attachments.items[i]))
                        return true;

        return false;
}

static int plan_disk(World *w, Disk *d, const Now *now, Plan *p) {
        JobRequest request;
        int r;

        if (!d->dirty || !d->known || d->ignored[0])
                return 0;

        if (!d->overtaken && !disk_matters(w, d)) {
                if (disk_udev_caught_up(d))
                        disk_settle_by_udev(d);
                return 0;
        }

        if (d->job || d->stuck || w->interface <= KERNEL_INTERFACE_NONE)
                return 0;

        if (d->scan_retry_at_usec > now->monotonic_usec) {
                plan_wake(p, d->scan_retry_at_usec);
                return 0;
        }

        world_fill_request(w, d, NULL, JOB_SCAN, &request);
        r = plan_add(p, &request);
        if (r < 0)
                return r;

        d->job = request.id;
        d->job_began_at = d->n_events;
        return 0;
}

/* The attachment that comes before @a on the same entry; NULL if there is none. */
static const Attachment *find_first(const World *w, const Attachment *a, const Entry *e) {
        for (size_t i = 0; i < w->attachments.n_items; i++) {
                const Attachment *b = w->attachments.items[i];

                if (b != a && b->rank < a->rank && !b->orphaned && match_entry(&b->match, e))
                        return b;
        }

        return NULL;
}

/*
 * A disk that may turn out to have the identity too; NULL if there is none, or nobody should wait for
 * it any longer. What comes back to where it was does not wait: a clone takes nothing away.
 */
static const Disk *find_unclear(const World *w, const Attachment *a, const Holder *h, const Now *now) {
        const Fingerprint *f = &a->fingerprint;

        if (!w->udev_is_busy)
                return NULL;

        if (a->has_fingerprint && str_equal(f->disk, h->disk->name) && f->diskseq == h->disk->diskseq)
                return NULL;

        for (size_t i = 0; i < w->devices.n_disks; i++) {
                const Disk *d = w->devices.disks[i];

                if (d->awaited_usec && now->monotonic_usec < d->awaited_usec + UNCLEAR_USEC)
                        return d;
        }

        return NULL;
}

static int plan_attach(World *w, Attachment *a, const Holder *h, const Now *now, Plan *p) {
        JobRequest request;
        int r;

        if (a->retry_at_usec && a->device_uid == h->partition->uid && a->retry_at_usec > now->monotonic_usec) {
                plan_wake(p, a->retry_at_usec);
                return 0;
        }

        if (h->disk->job) /* its end is an event that runs the plan again */
                return 0;

        world_fill_request(w, h->disk, h->partition, JOB_ATTACH, &request);
        request.expect = a->match;
        (void) str_copy(request.filter, sizeof(request.filter), a->filter);

        r = plan_add(p, &request);
        if (r < 0)
                return r;

        a->job = h->disk->job = request.id;
        h->disk->job_began_at = h->disk->n_events;
        (void) str_copy(a->device, sizeof(a->device), h->partition->name);
        a->device_uid = h->partition->uid;
        attachment_set_state(a, ATTACHMENT_ATTACHING, reason_plain("the identity is being proven"));
        return 0;
}

/*
 * Says how an attachment stands for another reason than an attempt that failed. When that reason is
 * gone the attempt's state would be a thing of the past: it is made again at once, the delay is void.
 */
static void attachment_stands(Attachment *a, AttachmentState state, char *reason) {
        a->retry_at_usec = 0;
        a->device[0] = 0;
        a->device_uid = 0;
        attachment_set_state(a, state, reason);
}

/*
 * After a restart of the daemon: where an earlier one noted that the filter is on, and the partition
 * is still the same object of the kernel, a clone beside it is nothing new and takes nothing away.
 */
static void keep_recorded(const Attachment *a, Holders *holders) {
        if (!a->recorded_since_usec || !a->fingerprint.object)
                return;

        for (size_t i = 0; i < holders->n_items; i++) {
                const Holder h = holders->items[i];

                if (h.partition && h.partition->object == a->fingerprint.object) {
                        holders->items[0] = h;
                        holders->n_items = 1;
                        return;
                }
        }
}

static int plan_attachment(World *w, Attachment *a, const Now *now, Plan *p) {
        const Attachment *first;
        const Disk *unclear;
        Holders holders;
        const Holder *h;

        /* A job that never ended was on a disk that is gone: nothing of it can matter any more. */
        if (a->job && a->state == ATTACHMENT_STUCK && !device_set_get_disk_by_job(&w->devices, a->job))
                a->job = 0;

        if (a->job)
                return 0;

        find_holders(w, &a->match, &holders);

        if (a->on_device) {
                attachment_set_state(a, a->orphaned ? ATTACHMENT_ORPHANED : ATTACHMENT_ATTACHED, a->orphaned ?
                                     reason_plain("its policy is gone; the filter was left in place, detach it if"
                                                  " nobody needs it") :
                                     reason_attached(a, holders.items, holders.n_items));
                return 0;
        }

        if (a->held) {
                attachment_stands(a, ATTACHMENT_DETACHED,
                                  reason_plain("an administrator detached it; it stays so until it is attached by"
                                               " hand"));
                return 0;
        }

        if (a->orphaned) {
                attachment_stands(a, ATTACHMENT_ORPHANED, reason_plain("its policy is gone"));
                return 0;
        }

        if (w->interface == KERNEL_INTERFACE_NONE) {
                attachment_stands(a, ATTACHMENT_UNSUPPORTED,
                                  reason_plain("this kernel has no block device filters; boot one that has"));
                return 0;
        }

        if (w->interface == KERNEL_INTERFACE_UNKNOWN) {
                attachment_stands(a, ATTACHMENT_WAITING,
                                  reason_plain("the kernel has not been asked yet which filters it takes"));
                return 0;
        }

        if (holders.unsure) {
                attachment_stands(a, holders.unsure->stuck ? ATTACHMENT_STUCK : ATTACHMENT_WAITING,
                                  reason_reading(holders.unsure));
                return 0;
        }

        if (holders.n_items == 0) {
                attachment_stands(a, ATTACHMENT_WAITING,
                                  reason_absent(a, holders.ignored.disk ? &holders.ignored : NULL));
                return 0;
        }

        keep_recorded(a, &holders);

        if (holders.n_items > 1) {
                attachment_stands(a, ATTACHMENT_AMBIGUOUS,
                                  reason_ambiguous(a, holders.items, holders.n_items));
                return 0;
        }

        h = &holders.items[0];

        if (!h->partition) {
                attachment_stands(a, ATTACHMENT_WAITING, reason_no_partition(h));
                return 0;
        }

        if (h->disk->stuck) {
                attachment_stands(a, ATTACHMENT_STUCK, reason_reading(h->disk));
                return 0;
        }

        /* where an earlier daemon noted that it is on, it is first proven that it still is */
        first = a->recorded_since_usec ? NULL : find_first(w, a, h->entry);
        if (first) {
                attachment_stands(a, ATTACHMENT_CONFLICT, reason_first_policy(first));
                return 0;
        }

        unclear = find_unclear(w, a, h, now);
        if (unclear) {
                attachment_stands(a, ATTACHMENT_WAITING, reason_unclear(unclear));
                plan_wake(p, now->monotonic_usec + UNCLEAR_AGAIN_USEC);
                return 0;
        }

        return plan_attach(w, a, h, now, p);
}

/*
 * What an earlier daemon noted of an attachment, against what is there. An orphan is not proven again
 * by an attach: its filter is on the device as far as is known, and the note stays, for the next daemon;
 * but not while a detach of it that did not end may have taken the filter off. Where the kernel's object
 * is gone, so is the filter.
 */
static void check_record(const World *w, Attachment *a, const Now *now) {
        const Partition *p = device_set_get_partition_by_object(&w->devices, a->fingerprint.object);

        if (!p) {
                attachment_lost_unseen(a, now);
                return;
        }

        if (a->orphaned && !a->held) {
                (void) str_copy(a->device, sizeof(a->device), p->name);
                a->device_uid = p->uid;
                a->on_device = true;
        }
}

/**
 * plan_run() - what has to be done now
 * @w: the world; states, reasons and jobs under way are brought up to date
 * @now: the time
 * @ret: an empty plan; requests to be sent to workers, and when to run again. Released by
 *       plan_deinit(), on failure too
 *
 * Attachments that nobody wants any more and that are on no device are left for
 * world_set_policies() and the caller to remove.
 *
 * Return: 0, or -ENOMEM: what is in @ret must be carried out all the same; run again later.
 */
int plan_run(World *w, const Now *now, Plan *ret) {
        int r;

        /* attachments first notice what they lost: only then is it known which disks matter */
        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                if (a->on_device && !device_set_get_partition_by_uid(&w->devices, a->device_uid))
                        attachment_lost(a, "removed", now);

                if (a->recorded_since_usec && !a->job && w->devices.looked)
                        check_record(w, a, now);
        }

        for (size_t i = 0; i < w->devices.n_disks; i++) {
                Disk *d = w->devices.disks[i];

                if (!disk_is_unclear(d))
                        d->awaited_usec = 0;
                else if (!d->awaited_usec)
                        d->awaited_usec = now->monotonic_usec;

                r = plan_disk(w, d, now, ret);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < w->attachments.n_items; i++) {
                r = plan_attachment(w, w->attachments.items[i], now, ret);
                if (r < 0)
                        return r;
        }

        return 0;
}
