/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is to be done for one attachment, and how it stands meanwhile. */

#include <stdlib.h>
#include <string.h>

#include "daemon/plan-internal.h"
#include "daemon/reason.h"
#include "daemon/text.h"

/* That udev is idle is told by no event: while somebody waits for that it is looked again. */
#define UNCLEAR_AGAIN_USEC UINT64_C(50000)

/*
 * Between two questions whether a filter is still on. After an event, or an attach, somebody may be at work on
 * the partition table, and a partition that is open keeps him from it.
 */
#define CHECK_PAUSE_USEC UINT64_C(3000000)

/* How long a filter stays where it may not belong any more, until that is known. */
#define LEFT_USEC UINT64_C(5000000)

_Static_assert(POLICY_OPTIONS_MAX <= JOB_OPTIONS_MAX, "a policy's options fit in a job");

/* Whether an attachment was on that disk last, and the disk has not left since. */
static bool was_there(const Attachment *a, const Disk *d) {
        const DiskPrint *was = a->fingerprint.disk;

        return a->has_fingerprint && str_equal(was->name, d->name) && was->diskseq == d->diskseq;
}

/* Which kind of return it is if a filter is attached there: POLICY_ON_*. */
static unsigned return_of(const World *w, const Attachment *a, const Disk *d) {
        if (was_there(a, d))
                return POLICY_ON_RESCAN;

        return w->boot_diskseq && d->diskseq > w->boot_diskseq ? POLICY_ON_HOTPLUG : POLICY_ON_BOOT;
}

/*
 * Whether the filter is on a device already, by an attachment that gives it up to another one: its policy was
 * edited, or is there again. Then nothing has to be attached, and neither On= nor OnChange= is asked.
 */
static bool is_left_for(const World *w, const Attachment *a, Device d) {
        for (const IndexItem *i = attachment_set_first_at(&w->attachments, d.disk->name); i; i = index_next(i)) {
                const Attachment *b = i->owner;

                if (b != a && attachment_gives_up(b, a->filter, device_uid(d)))
                        return true;
        }

        return false;
}

static int plan_job(Run *run, Attachment *a, Device d, JobRequest *request) {
        int r;

        request->timeout_usec = a->settings->timeout_usec;
        (void) str_copy(request->filter, sizeof(request->filter), a->filter);

        /* by it the reply finds the attachment */
        r = attachment_set_home(a, d.disk->name);
        if (r >= 0)
                r = run_add(run, request, d.disk);
        if (r < 0)
                return r;

        a->job = request->id;
        a->job_is_stuck = false;
        a->job_since_usec = run->now->realtime_usec;
        return 0;
}

static bool is_delayed(Run *run, const Attachment *a) {
        if (!a->retry_at_usec || a->retry_at_usec <= run->now->monotonic_usec)
                return false;

        if (a->retry_at_usec != UINT64_MAX)
                world_wake(run->world, a->retry_at_usec);
        return true;
}

/*
 * Says how an attachment stands for another reason than an attempt that failed. When that reason is
 * gone the attempt's state would be a thing of the past: it is made again at once, the delay is void.
 */
static void attachment_stands(Attachment *a, AttachmentState state, char *reason) {
        if (!a->left_object && !a->noted_object)
                a->retry_at_usec = 0;
        shared_set(&a->device, shared_empty);
        a->device_uid = 0;
        attachment_set_state(a, state, reason);
}

/* So often in a row, and it is not to be expected any more that the next attempt goes well. */
#define HOPE_MAX 3

/* Whether an attempt that failed is made again by itself, and may go well then: as its module is loaded. */
static bool may_yet_be_attached(const Attachment *a) {
        if (a->state == ATTACHMENT_FAILED)
                return a->retry_at_usec != UINT64_MAX && a->n_failures <= HOPE_MAX;

        return a->state == ATTACHMENT_WAITING;
}

static int plan_attach(Run *run, Attachment *a, const Holder *h) {
        Device d = holder_device(h);
        const Stale *stale;
        JobRequest request;
        Facts f;
        int r;

        if (a->device_uid == device_uid(d) && is_delayed(run, a)) {
                a->pending = may_yet_be_attached(a);
                return 0;
        }

        /*
         * It was gone when its event was read; what is known by that name now is another one. A job that waits for
         * long would act on that, and nobody could say on which the filter is.
         */
        if (!device_object(d)) {
                attachment_stands(a, ATTACHMENT_WAITING, reason_plain("the device is about to go; it is attached when"
                                                                      " it is back"));
                return 0;
        }

        if (h->disk->job) { /* its end is an event that runs the plan again */
                a->awaits_job = h->disk->uid;
                if (a->state == ATTACHMENT_ATTACHED)
                        attachment_stands(a, ATTACHMENT_WAITING, reason_plain("its disk is busy with another job"));
                return 0;
        }

        stale = world_find_stale_on(run->world, d, a->filter);
        if (stale && stale->due) {
                attachment_stands(a, ATTACHMENT_WAITING, reason_stale(a, d));
                return 0;
        }

        world_fill_request(run->world, d, JOB_ATTACH, &request);
        holder_facts(h, &f);
        expect_from_facts(a->match, &f, &request.expect);
        request.known_table = d.disk->dirty ? 0 : d.disk->table_job;
        /* udev would say that it is to be left alone; of what it was on before that is known */
        request.ask_unowned = d.partition && !d.partition->processed && !was_there(a, d.disk);

        if (a->settings->refuse_change && a->has_fingerprint && !a->asked_now && h->entry) {
                request.expect.place = true;
                request.expect.start_sectors = h->entry->start_sectors;
                request.expect.size_sectors = h->entry->size_sectors;
        }

        if (a->settings->options_size > 0) {
                memcpy(request.options, a->settings->options, a->settings->options_size);
                request.options_size = (uint32_t) a->settings->options_size;
        }

        r = plan_job(run, a, d, &request);
        if (r < 0)
                return r;

        shared_set(&a->device, device_name(d));
        a->device_uid = device_uid(d);

        /* if this daemon does not live to hear the answer, the next one asks the kernel */
        a->noted_object = device_object(d);
        a->number = device_number(d);
        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
        attachment_set_state(a, ATTACHMENT_ATTACHING, reason_plain("the identity is being proven"));
        return 0;
}

/* Asks the kernel whether the filter is on a device. */
static int plan_check(Run *run, Attachment *a, Device d) {
        JobRequest request;

        if (d.disk->stuck || !kernel_interface_has_filters(run->world->interface) || is_delayed(run, a))
                return 0;

        if (d.disk->job) {
                a->awaits_job = d.disk->uid;
                return 0;
        }

        world_fill_request(run->world, d, JOB_CHECK, &request);
        return plan_job(run, a, d, &request);
}

/* Asks again, now and then, about a filter that is on as far as is known. */
static int plan_check_again(Run *run, Attachment *a, Device d) {
        uint64_t at_usec = a->checked_usec + CHECK_PAUSE_USEC;

        if (!a->check_due)
                return 0;

        if (a->checked_usec && at_usec > run->now->monotonic_usec && (!a->retry_at_usec || a->retry_at_usec < at_usec))
                a->retry_at_usec = at_usec;

        return plan_check(run, a, d);
}

/*
 * The device on which an attachment's filter may be put now, or NULL: then how it stands has been said. What
 * has to be known for that and is not leaves *ret_unsure set. @left: where its filter was left, or none.
 */
static const Holder *find_target(Run *run, Attachment *a, Holders *holders, Device left, bool *ret_unsure) {
        World *w = run->world;
        const Attachment *other;
        const Holder *h;
        char *reason = NULL;
        unsigned on;

        *ret_unsure = false;

        if (a->held) {
                attachment_stands(a, ATTACHMENT_DETACHED,
                                  reason_plain("an administrator detached it; it stays so until it is attached by"
                                               " hand, or forgotten (blkfilterctl forget)"));
                return NULL;
        }

        if (a->orphaned) {
                attachment_stands(a, ATTACHMENT_ORPHANED, reason_plain("its policy is gone"));
                return NULL;
        }

        if (holders->unsure) {
                *ret_unsure = true;
                attachment_stands(a, holders->unsure->stuck ? ATTACHMENT_STUCK : ATTACHMENT_WAITING,
                                  reason_reading(holders->unsure));
                return NULL;
        }

        /* a medium that has just come into the device that the filter was left on: it may be the right one */
        if (holders->n_items == 0 && left.disk && !left.disk->processed && !left.disk->ignored) {
                *ret_unsure = true;
                attachment_stands(a, ATTACHMENT_WAITING, reason_reading(left.disk));
                return NULL;
        }

        if (holders->n_items == 0) {
                attachment_stands(a, ATTACHMENT_WAITING,
                                  reason_absent(a, holders->ignored.disk ? &holders->ignored : NULL));
                return NULL;
        }

        if (holders->wanted.disk) {
                holders->items[0] = holders->wanted;
                holders->n_items = 1;
        }

        if (holders->n_items > 1) {
                attachment_stands(a, ATTACHMENT_AMBIGUOUS, reason_ambiguous(a, holders));
                return NULL;
        }

        h = &holders->items[0];

        if (!holder_device(h).disk) {
                attachment_stands(a, ATTACHMENT_WAITING, reason_no_partition(h));
                return NULL;
        }

        if (h->disk->stuck) {
                *ret_unsure = true;
                attachment_stands(a, ATTACHMENT_STUCK, reason_reading(h->disk));
                return NULL;
        }

        if (disk_is_untold(h->disk) && plan_asks_of_disks(run)) {
                *ret_unsure = true;
                attachment_stands(a, ATTACHMENT_WAITING, reason_reading(h->disk));
                return NULL;
        }

        if (!a->asked_now && !was_there(a, h->disk) && plan_may_come_second(run, a, h)) {
                *ret_unsure = true;
                attachment_stands(a, ATTACHMENT_WAITING, reason_reading(h->disk));
                return NULL;
        }

        other = a->asked_now ? NULL : world_find_hold(w, a, h);
        if (other) {
                attachment_stands(a, ATTACHMENT_DETACHED, reason_held(other));
                return NULL;
        }

        other = world_find_first(w, a, h);
        if (other) {
                attachment_stands(a, ATTACHMENT_CONFLICT, reason_first_policy(other));
                return NULL;
        }

        if (a->settings->options_size > 0 && !kernel_interface_takes_options(w->interface)) {
                attachment_stands(a, ATTACHMENT_UNSUPPORTED, reason_no_options(w->interface));
                return NULL;
        }

        if (a->asked_now || is_left_for(w, a, holder_device(h)))
                return h;

        on = return_of(w, a, h->disk);
        if (!(a->settings->on & on)) {
                attachment_stands(a, ATTACHMENT_WAITING, reason_not_followed(on));
                return NULL;
        }

        if (a->settings->refuse_change && a->past_due && !a->has_fingerprint) {
                attachment_stands(a, ATTACHMENT_WAITING,
                                  reason_plain("whether it has changed since the last boot is not known before the"
                                               " records of that can be read; OnChange=refuse needs them"));
                return NULL;
        }

        if (a->settings->refuse_change && a->has_fingerprint && disk_is_untold(h->disk)) {
                *ret_unsure = true;
                attachment_stands(a, ATTACHMENT_WAITING, reason_reading(h->disk));
                return NULL;
        }

        if (a->settings->refuse_change && plan_find_change(a, h, &reason)) {
                attachment_stands(a, ATTACHMENT_REFUSED, reason);
                return NULL;
        }

        return h;
}

/* A filter that is where it does not belong any more is taken off, once it is known that it does not. */
static int plan_take_off(Run *run, Attachment *a, Device left) {
        JobRequest request;

        if (left.disk->stuck || !kernel_interface_has_filters(run->world->interface) || is_delayed(run, a))
                return 0;

        if (left.disk->job) {
                a->awaits_job = left.disk->uid;
                return 0;
        }

        world_fill_request(run->world, left, JOB_DETACH, &request);
        attachment_set_state(a, a->state, reason_left(a, left));
        return plan_job(run, a, left, &request);
}

/* Whether an attachment has its filter on a device, as far as is known, and this is it. */
bool plan_is_on(const World *w, Device d, const char *filter) {
        for (const IndexItem *i = attachment_set_first_at(&w->attachments, d.disk->name); i; i = index_next(i)) {
                const Attachment *a = i->owner;

                if (a->on_device && a->device_uid == device_uid(d) && str_equal(a->filter, filter))
                        return true;
        }

        return false;
}

static int plan_absent(Run *run, Attachment *a, Holders *holders) {
        World *w = run->world;
        const Disk *unclear;
        const Holder *h;
        Device left;
        bool unsure;

        /* no kernel without filters has one on a device */
        if (w->interface == KERNEL_INTERFACE_NONE && a->left_object) {
                attachment_leave(a, 0);
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
        }

        left = device_set_get_by_object(&w->devices, a->left_object);

        /* whoever tells what changed sees whether it is of any use still */
        if (a->orphaned || a->is_instance)
                attachment_changed(a, 0);

        if (w->interface == KERNEL_INTERFACE_NONE && !a->held && !a->orphaned) {
                attachment_stands(a, ATTACHMENT_UNSUPPORTED, reason_plain(REASON_NO_FILTERS));
                return 0;
        }

        if (w->interface == KERNEL_INTERFACE_UNKNOWN && !a->held && !a->orphaned) {
                a->pending = !w->interface_unclear;
                attachment_stands(a, ATTACHMENT_WAITING, reason_interface(w));
                return 0;
        }

        if (left.disk && plan_is_on(w, left, a->filter)) { /* it is another attachment's by now */
                attachment_leave(a, 0);
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                left = (Device) { 0 };
        }

        if (!left.disk)
                a->left_usec = 0;

        h = find_target(run, a, holders, left, &unsure);
        a->pending = h || (unsure && a->state != ATTACHMENT_STUCK);
        if (left.disk && !(h && holder_is_device(h, left))) {
                uint64_t until_usec;

                if (!a->left_usec)
                        a->left_usec = run->now->monotonic_usec;
                until_usec = a->left_usec + LEFT_USEC;

                if (!unsure || run->now->monotonic_usec >= until_usec) {
                        if (a->retry_at_usec == until_usec) /* it is known earlier than that */
                                a->retry_at_usec = 0;
                        return plan_take_off(run, a, left);
                }

                a->retry_at_usec = until_usec;
                world_wake(w, a->retry_at_usec);
        }

        if (!h)
                return 0;

        if (w->devices.looking && !left.disk) {
                attachment_stands(a, ATTACHMENT_WAITING,
                                  reason_plain("not all devices could be looked at, and another one may have the same"
                                               " identity; they are looked at again every second"));
                return 0;
        }

        unclear = left.disk ? NULL : plan_find_unclear(run, a, was_there(a, h->disk));
        if (unclear) {
                a->awaits_disk = true;
                attachment_stands(a, ATTACHMENT_WAITING, reason_unclear(unclear));
                a->retry_at_usec = run->now->monotonic_usec + UNCLEAR_AGAIN_USEC;
                world_wake(w, a->retry_at_usec);
                return plan_read_overdue(run, a);
        }

        return plan_attach(run, a, h);
}

/* Decides what is to be done for one attachment, and says how it stands. */
int plan_attachment(Run *run, Attachment *a) {
        World *w = run->world;
        Holders holders;
        Device noted;

        if (a->job)
                return 0;

        world_find_holders(w, a->match, a->chosen_uid, &holders);
        a->absent = holders.n_items == 0;
        a->pending = a->awaits_disk = false;
        a->awaits_job = 0;

        if (a->on_device) {
                Device d = device_set_get_by_uid(&w->devices, a->device_uid);

                attachment_set_state(a, a->orphaned ? ATTACHMENT_ORPHANED : ATTACHMENT_ATTACHED, a->orphaned ?
                                     reason_plain("its policy is gone; the filter was left in place, detach it if"
                                                  " nobody needs it") :
                                     reason_attached(a, &holders));
                if (!d.disk) /* its loss is noticed when the plan runs next */
                        return 0;

                plan_learn_disk(a, d.disk);
                return plan_check_again(run, a, d);
        }

        /* what brought the filters was taken out of the kernel while no daemon was there */
        if (a->noted_object && w->interface == KERNEL_INTERFACE_NONE) {
                attachment_lost_unseen(a, "interface-gone", run->now);
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
        }

        noted = device_set_get_by_object(&w->devices, a->noted_object);
        if (noted.disk) {
                a->pending = !noted.disk->stuck;
                attachment_stands(a, noted.disk->stuck ? ATTACHMENT_STUCK : ATTACHMENT_WAITING, reason_noted(a, noted));
                return w->devices.looked && (a->recorded_since_usec || !device_is_being_read(noted)) ?
                        plan_check(run, a, noted) : 0;
        }

        return plan_absent(run, a, &holders);
}
