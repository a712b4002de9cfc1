/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Disks that are new. They may turn out to be clones: who is attached for the first time waits until it is known what
 * is on them. Or they have what somebody waits for. udev tells, as a rule soon; where it does not, workers read.
 */

#include "daemon/plan-internal.h"

/*
 * How long a new disk that udev has not told all of keeps others from being attached for the first
 * time: it may be a clone. udev as a rule takes a fraction of it; one bad disk must not hold up all.
 */
#define UNCLEAR_USEC UINT64_C(5000000)

/* After so long its table is read by a worker. As a rule udev has told by then, and the disk need not be opened. */
#define UNCLEAR_READ_USEC UINT64_C(300000)

static Await await_of(const Match *m) {
        if (!match_fits_kind(m, true))
                return AWAIT_ITSELF;

        switch (match_get_primary(m)->key) {
        case MATCH_PART_UUID:
        case MATCH_PART_LABEL:
        case MATCH_PT_UUID:
                return AWAIT_TABLE;
        default:
                return AWAIT_ALL;
        }
}

/* Whether udev takes so long to tell of a disk that it has a lot to do, or waits for what waits for that. */
static bool is_overdue(const Run *run, const Disk *d) {
        return run->now->monotonic_usec >= d->awaited_usec + UNCLEAR_READ_USEC;
}

static bool is_awaited(const Run *run, const Disk *d, Await what) {
        if (!d->awaited_usec ||
            (!run->world->devices.in_doubt && run->now->monotonic_usec >= d->awaited_usec + UNCLEAR_USEC))
                return false;

        switch (what) {
        case AWAIT_ITSELF:
                return !d->processed;
        case AWAIT_TABLE:
                /* where the kernel has no partition there is none to be attached to by mistake */
                return disk_is_unclear(d) && (d->n_partitions > 0 || !is_overdue(run, d));
        default:
                return true;
        }
}

/* The first disk of which that is not known yet; NULL if there is none. */
static const Disk *find_awaited(const Run *run, Await what) {
        const DeviceSet *s = &run->world->devices;

        for (size_t i = 0; i < s->n_disks; i++)
                if (is_awaited(run, s->disks[i], what))
                        return s->disks[i];

        return NULL;
}

/*
 * A disk has turned out to be none that anybody has to wait for: those who wait for no other one are looked at.
 * Thousands may wait for hundreds of disks; who waits on says which one it is now when he is looked at anyway, soon.
 */
void plan_touch_waiting(Run *run) {
        const AttachmentSet *s = &run->world->attachments;
        bool is_over[_AWAIT_MAX], any = false;

        for (Await what = 0; what < _AWAIT_MAX; what++)
                any |= is_over[what] = !find_awaited(run, what);

        for (size_t i = 0; any && i < s->n_items; i++)
                if (s->items[i]->awaits_disk && is_over[await_of(s->items[i]->match)])
                        attachment_touch(s->items[i]);
}

/*
 * A disk that may turn out to have the identity of an attachment too; NULL if there is none, or nobody should wait for
 * it any longer. What comes back to where it was does not wait: a clone that comes takes nothing away. But after
 * a look of which it is in doubt what is on the other disks, a clone may have been there all the time; until the next
 * look, which believes what it finds if udev has been busy for long, everybody waits.
 */
const Disk *plan_find_unclear(Run *run, const Attachment *a, bool was_there) {
        const World *w = run->world;
        Await what = await_of(a->match);

        if (!w->devices.in_doubt && (!w->udev_is_busy || was_there))
                return NULL;

        /* udev may be holding a whole device back for this very filter; of its partitions it tells later */
        if (!run->awaited_is_known[what])
                run->awaited[what] = find_awaited(run, what);

        run->awaited_is_known[what] = true;
        return run->awaited[what];
}

/*
 * udev's workers may all be holding devices back for filters that wait for a disk whose event is queued behind
 * theirs. Then the tables of such disks are read, wanted or not: with them it is known whether one is a clone. For an
 * attachment that plan_find_unclear() keeps waiting. Returns 0, or -ENOMEM.
 */
int plan_read_overdue(Run *run, const Attachment *a) {
        World *w = run->world;
        JobRequest request;
        int r = 0;

        /* it is the same disks for whoever waits, and thousands may */
        if (await_of(a->match) != AWAIT_TABLE || run->overdue_is_read)
                return 0;

        run->overdue_is_read = true;
        for (size_t i = 0; i < w->devices.n_disks && r >= 0; i++) {
                Disk *d = w->devices.disks[i];

                if (!is_awaited(run, d, AWAIT_TABLE) || !is_overdue(run, d) || d->job || d->stuck ||
                    d->scan_retry_at_usec > run->now->monotonic_usec)
                        continue;

                world_fill_request(w, (Device) { d, NULL }, JOB_SCAN, &request);
                r = run_add(run, &request, d);
        }

        return r;
}

/* Has the table of a disk read, when that can be done. Returns 0, or -ENOMEM. */
int plan_scan(Run *run, Disk *d) {
        World *w = run->world;
        JobRequest request;

        if (d->job || d->stuck || !kernel_interface_has_filters(w->interface))
                return 0;

        if (d->scan_retry_at_usec > run->now->monotonic_usec) {
                world_wake(w, d->scan_retry_at_usec);
                return 0;
        }

        world_fill_request(w, (Device) { d, NULL }, JOB_SCAN, &request);
        return run_add(run, &request, d);
}

/* Whether an attachment waits for a partition that a table alone can show. */
static bool misses_table(const Attachment *a) {
        return !a->on_device && !a->held && !a->orphaned && await_of(a->match) == AWAIT_TABLE;
}

static bool is_missed(const World *w) {
        for (size_t i = 0; i < w->attachments.n_items; i++)
                if (misses_table(w->attachments.items[i]))
                        return true;

        return false;
}

/* The disks that plan_read_early() may read for an attachment. Returns 0, or -ENOMEM. */
int plan_add_early(Run *run, const Attachment *a) {
        DeviceSet *s = &run->world->devices;
        int r = 0;

        /* it is the same disks for whoever waits, and thousands may */
        if (run->early_is_added || !misses_table(a))
                return 0;

        run->early_is_added = true;
        for (size_t i = 0; i < s->n_disks && r >= 0; i++)
                if (s->disks[i]->dirty && disk_may_be_early(s->disks[i]))
                        r = run_add_disk(run, s->disks[i]);

        return r;
}

/*
 * Where many devices come at once udev gets to a disk only after the partitions of those before, and that takes
 * seconds. The table is read then without its word: if what it contains is wanted, and the disk is no part of a larger
 * device, the filters are on before udev gets to the partitions, and need not be waited for. Returns 0, or -ENOMEM.
 */
int plan_read_early(Run *run, Disk *d) {
        World *w = run->world;

        if (!d->dirty || !disk_may_be_early(d) || d->n_partitions == 0 || d->job || d->stuck ||
            !kernel_interface_has_filters(w->interface) || !is_missed(w))
                return 0;

        if (!is_overdue(run, d)) {
                world_wake(w, d->awaited_usec + UNCLEAR_READ_USEC);
                return 0;
        }

        return plan_scan(run, d);
}

static bool asks_of_disk(const Match *m) {
        return match_has_key(m, MATCH_DISK_WWN) || match_has_key(m, MATCH_DISK_SERIAL);
}

/*
 * Whether anybody wants what is on a disk by what only udev says of that. As long as it has not he may come first on
 * any partition there, or hold a filter off it.
 */
bool plan_asks_of_disks(Run *run) {
        const World *w = run->world;

        /* it is asked for each that is attached early, and thousands may be */
        for (size_t i = 0; i < w->attachments.n_items && !run->asks_are_known; i++)
                run->asks_of_disks |= asks_of_disk(w->attachments.items[i]->match);
        for (size_t i = 0; i < w->n_patterns && !run->asks_are_known; i++)
                run->asks_of_disks |= asks_of_disk(w->patterns[i].policy->match);

        run->asks_are_known = true;
        return run->asks_of_disks;
}

/* As what an attachment counts that asks for what is on a device, a hold before all; behind all if it does not. */
static uint64_t rank_by_fs(const Attachment *a) {
        if (!match_wants_fs(a->match) || (a->orphaned && !a->held))
                return UINT64_MAX;

        return a->held ? 0 : UINT64_C(1) + a->rank;
}

/*
 * Whether a policy that comes before an attachment's, or one of the same filter that an administrator holds off, may
 * turn out to mean its partition, of which udev has not told yet: it asks for what is on it, or has a pattern, which is
 * asked when udev has told.
 */
bool plan_may_come_second(Run *run, const Attachment *a, const Holder *h) {
        const World *w = run->world;
        Facts f;

        if (!h->partition || h->partition->processed)
                return false;

        holder_facts(h, &f);
        for (size_t i = 0; i < w->n_patterns; i++)
                if (w->patterns[i].rank < a->rank && match_facts_but_fs(w->patterns[i].policy->match, &f))
                        return true;

        /* it is asked for each that is attached for the first time, and thousands may be */
        for (size_t i = 0; i < w->attachments.n_items && !run->first_by_fs_is_known; i++) {
                uint64_t rank = rank_by_fs(w->attachments.items[i]);

                if (i == 0 || rank < run->first_by_fs)
                        run->first_by_fs = rank;
        }

        run->first_by_fs_is_known = true;
        for (size_t i = 0; i < w->attachments.n_items && run->first_by_fs <= a->rank; i++) {
                const Attachment *b = w->attachments.items[i];

                if (b != a && rank_by_fs(b) <= a->rank && (!b->held || str_equal(b->filter, a->filter)) &&
                    match_facts_but_fs(b->match, &f))
                        return true;
        }

        return false;
}

/* Those that plan_read_early() has to look at, as their time has come, and until when the others wait. */
void plan_take_delayed_early(Run *run) {
        DeviceSet *s = &run->world->devices;

        for (size_t i = 0; i < s->n_disks; i++) {
                Disk *d = s->disks[i];

                if (!d->dirty || !d->awaited_usec || !disk_may_be_early(d))
                        continue;
                if (is_overdue(run, d))
                        device_set_touch(s, d);
                else
                        world_wake(run->world, d->awaited_usec + UNCLEAR_READ_USEC);
        }
}
