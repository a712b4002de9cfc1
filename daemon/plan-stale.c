/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Stale filters. On bdevfilter the kernel keeps filters by the number of a device, and nothing promises that a filter
 * goes with its device: what comes with the number next, perhaps another partition, may have it. So of each filter
 * whose device went it is remembered that it may be on still, and where:
 *
 *      remove sda1 (8:1)     the attachment lost its filter, which may be on 8:1
 *      add sda1              one that is to have the filter: ATTACH; it was not there, and is now
 *                            the same, and it was there: DETACH, and ATTACH again, so that it starts from nothing
 *                            any other: DETACH, which asks first
 *
 * until a worker has said how it is. What programs of others put on devices is none of it.
 */

#include <errno.h>
#include <stdlib.h>

#include "daemon/plan-internal.h"
#include "daemon/text.h"

#define STALE_RETRY_USEC UINT64_C(500000)

/* How long a device may keep the filter until it is known whether it is to have it. */
#define STALE_WAIT_USEC UINT64_C(5000000)

static uint64_t stale_hash(uint64_t number) {
        return index_hash_u64(0, number);
}

/**
 * world_find_stale() - whether a filter may be on a device's number from before
 * @w: the world
 * @number: device_number() of the device
 * @filter: its name
 *
 * Return: borrowed; NULL if not.
 */
Stale *world_find_stale(const World *w, uint64_t number, const char *filter) {
        const IndexItem *i = w->n_stale > 0 ? index_first(&w->stale_by_number, stale_hash(number)) : NULL;

        for (; i; i = index_next(i)) {
                Stale *s = i->owner;

                if (s->number == number && str_equal(s->filter, filter))
                        return s;
        }

        return NULL;
}

/**
 * world_find_stale_on() - whether a filter may be on a device from before, where it is not to stay
 * @w: the world
 * @d: a device, or none
 * @filter: its name
 *
 * Return: borrowed; NULL if not.
 */
Stale *world_find_stale_on(const World *w, Device d, const char *filter) {
        Stale *s = d.disk ? world_find_stale(w, device_number(d), filter) : NULL;

        return s && ((s->spared && s->spared == device_object(d)) || plan_is_on(w, d, filter)) ? NULL : s;
}

/* The device that has a number now; its disk is NULL if none has. */
static Device find_number(const World *w, uint64_t number) {
        for (size_t i = 0; i < w->devices.n_disks; i++) {
                Disk *d = w->devices.disks[i];

                if (device_number((Device) { d, NULL }) == number)
                        return (Device) { d, NULL };
                for (size_t k = 0; k < d->n_partitions; k++)
                        if (device_number((Device) { d, d->partitions[k] }) == number)
                                return (Device) { d, d->partitions[k] };
        }

        return (Device) { 0 };
}

/**
 * world_add_stale() - a device went with a filter on it
 * @w: the world; who has the number now is looked at when the plan runs. Nothing happens if the interface is known to
 *     keep no filter by number
 * @number: of the device; 0: not known, nothing happens
 * @filter: that the daemon put on it
 * @spared: a device that keeps it for as long as it is there, as device_object(); 0: none
 *
 * Return: 0, or -ENOMEM.
 */
int world_add_stale(World *w, uint64_t number, const char *filter, uint64_t spared) {
        Stale **items, *s = world_find_stale(w, number, filter);
        Device d;

        if (s && !spared)
                s->spared = 0;

        if (!number || s || (w->interface != KERNEL_INTERFACE_UNKNOWN && !kernel_interface_is_bdevfilter(w->interface)))
                return 0;

        items = realloc(w->stale, (w->n_stale + 1) * sizeof(*items));
        if (!items)
                return -ENOMEM;
        w->stale = items;

        s = calloc(1, sizeof(*s));
        if (!s || index_add(&w->stale_by_number, stale_hash(number), s, 0) < 0) {
                free(s);
                return -ENOMEM;
        }

        s->number = number;
        s->spared = spared;
        (void) str_copy(s->filter, sizeof(s->filter), filter);
        items[w->n_stale++] = s;
        w->stale_changed = true;

        d = find_number(w, number);
        if (d.disk)
                device_set_touch(&w->devices, d.disk);
        return 0;
}

/**
 * world_drop_stale() - a filter is not on a device's number any more, or is there rightly
 * @w: the world
 * @number: of the device
 * @filter: its name
 */
void world_drop_stale(World *w, uint64_t number, const char *filter) {
        Stale *s = world_find_stale(w, number, filter);

        for (size_t i = 0; s && i < w->n_stale; i++)
                if (w->stale[i] == s) {
                        index_remove(&w->stale_by_number, stale_hash(number), s, 0);
                        w->stale[i] = w->stale[--w->n_stale];
                        free(s);
                        w->stale_changed = true;
                        return;
                }
}

/**
 * world_forget_stale() - no filter is kept by number
 * @w: the world
 */
void world_forget_stale(World *w) {
        w->stale_changed |= w->n_stale > 0;
        for (size_t i = 0; i < w->n_stale; i++)
                free(w->stale[i]);
        free(w->stale);
        index_deinit(&w->stale_by_number);
        w->stale = NULL;
        w->n_stale = 0;
}

/**
 * world_find_stale_by_job() - what a job is to take off
 * @w: the world
 * @job: its id
 *
 * Return: borrowed; NULL if it is about none.
 */
Stale *world_find_stale_by_job(const World *w, uint64_t job) {
        for (size_t i = 0; i < w->n_stale; i++)
                if (w->stale[i]->job == job)
                        return w->stale[i];

        return NULL;
}

/* Whether the device may be one that is to have the filter, for all that is known. */
static bool may_belong(const World *w, const Stale *s, Device d) {
        const Attachment *a;
        Claimants c;
        Facts f;

        if (!device_ignored(d) &&
            (device_is_being_read(d) || !(d.partition ? d.partition->processed : d.disk->processed)))
                return true;

        device_facts(d, &f);
        claimants_init(&c, w, &f);
        while ((a = claimants_next(&c)))
                if (str_equal(a->filter, s->filter) && match_facts(a->match, &f) && (a->job || a->pending))
                        return true;

        return false;
}

static int take_off(Run *run, Stale *s, Device d) {
        World *w = run->world;
        uint64_t now_usec = run->now->monotonic_usec;
        JobRequest request;

        if (s->spared && s->spared == device_object(d))
                return 0;

        /* an attachment has it there, put on since: that one went was told late */
        if (plan_is_on(w, d, s->filter)) {
                world_drop_stale(w, s->number, s->filter);
                return 0;
        }

        if (s->uid != device_uid(d)) {
                s->uid = device_uid(d);
                s->since_usec = now_usec;
                s->retry_at_usec = s->n_failures = s->n_locked = 0;
                s->job = 0;
        }

        if (s->job || d.disk->job || d.disk->stuck) /* the end of it is an event that runs the plan again */
                return 0;

        s->at_usec = s->retry_at_usec;
        if (!s->due && may_belong(w, s, d) && s->at_usec < s->since_usec + STALE_WAIT_USEC)
                s->at_usec = s->since_usec + STALE_WAIT_USEC;

        if (s->at_usec > now_usec) {
                world_wake(w, s->at_usec);
                return 0;
        }

        world_fill_request(w, d, JOB_DETACH, &request);
        (void) str_copy(request.filter, sizeof(request.filter), s->filter);
        s->at_usec = 0;
        s->job = request.id;
        return run_add(run, &request, d.disk);
}

/* Takes off a disk what was left on its numbers by devices that had them before. */
int plan_stale(Run *run, Disk *d) {
        World *w = run->world;

        if (w->n_stale == 0 || !kernel_interface_is_bdevfilter(w->interface))
                return 0;

        for (size_t k = 0; k <= d->n_partitions; k++) {
                Device device = { d, k > 0 ? d->partitions[k - 1] : NULL };
                uint64_t number = device_number(device);
                const IndexItem *next, *i = index_first(&w->stale_by_number, stale_hash(number));

                for (; i; i = next) {
                        Stale *s = i->owner;
                        int r;

                        next = index_next(i);
                        r = s->number == number ? take_off(run, s, device) : 0; /* which may be its end */
                        if (r < 0)
                                return r;
                }
        }

        return 0;
}

/* What was delayed until now is looked at, and for the rest the plan is to run again. */
void plan_take_delayed_stale(Run *run) {
        World *w = run->world;

        for (size_t i = 0; i < w->n_stale; i++) {
                Stale *s = w->stale[i];
                Device d = s->at_usec ? device_set_get_by_uid(&w->devices, s->uid) : (Device) { 0 };

                if (!d.disk)
                        continue;
                if (s->at_usec <= run->now->monotonic_usec)
                        device_set_touch(&w->devices, d.disk);
                else
                        world_wake(w, s->at_usec);
        }
}

/**
 * world_stale_done() - take in what a worker has said of a filter and a device, as far as it tells what is stale
 * @w: the world
 * @request: what was asked
 * @reply: what came back; not JOB_TIMED_OUT
 * @is_taken: an attachment is on that device now
 * @now: the time
 */
void world_stale_done(World *w, const JobRequest *request, const JobReply *reply, bool is_taken, const Now *now) {
        const JobDevice *device = request->partno ? &request->partition : &request->disk;
        uint64_t number = number_of(device->major, device->minor);
        Stale *s = world_find_stale_by_job(w, request->id);

        if (w->n_stale == 0)
                return;

        if (s)
                s->job = 0;

        switch (reply->outcome) {

        case JOB_OK:
                /* CHECK and CTL found it: that it is where it belongs they do not say; nor does an ATTACH on a device
                 * that is gone by now, or for nobody */
                if ((request->kind == JOB_ATTACH && is_taken) || request->kind == JOB_DETACH)
                        world_drop_stale(w, number, request->filter);
                break;

        case JOB_NOT_ATTACHED:
        case JOB_CONFLICT: /* whatever is on it, it is not this one; of a device that is gone that says nothing */
                if (s || device_set_get_by_object(&w->devices, device->object).disk)
                        world_drop_stale(w, number, request->filter);
                break;

        case JOB_UNSUPPORTED: /* it cannot be found out, ever */
                if (s)
                        world_drop_stale(w, number, request->filter);
                break;

        default:
                if (s && reply->outcome == JOB_LOCKED)
                        s->retry_at_usec = now->monotonic_usec + lock_delay_usec(++s->n_locked);
                else if (s) {
                        s->n_locked = 0;
                        s->n_failures++;
                        s->retry_at_usec = now->monotonic_usec + retry_delay_usec(STALE_RETRY_USEC, s->n_failures);
                }
        }
}
