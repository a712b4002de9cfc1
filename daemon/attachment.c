/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/attachment.h"
#include "daemon/text.h"

/* Between two questions whether a lock is still held: at first, and at last. */
#define LOCK_DELAY_USEC_MIN UINT64_C(2000)
#define LOCK_DELAY_USEC_MAX UINT64_C(2000000)

static const char *const state_names[_ATTACHMENT_STATE_MAX] = {
        [ATTACHMENT_WAITING] = "waiting",
        [ATTACHMENT_ATTACHING] = "attaching",
        [ATTACHMENT_ATTACHED] = "attached",
        [ATTACHMENT_DETACHED] = "detached",
        [ATTACHMENT_CONFLICT] = "conflict",
        [ATTACHMENT_AMBIGUOUS] = "ambiguous",
        [ATTACHMENT_REFUSED] = "refused",
        [ATTACHMENT_FAILED] = "failed",
        [ATTACHMENT_STUCK] = "stuck",
        [ATTACHMENT_ORPHANED] = "orphaned",
        [ATTACHMENT_UNSUPPORTED] = "unsupported",
};

static const char *const source_names[_ATTACHMENT_SOURCE_MAX] = {
        [ATTACHMENT_SOURCE_POLICY] = "policy",
        [ATTACHMENT_SOURCE_RUNTIME] = "runtime",
};

/**
 * attachment_state_to_string() - a state as the bus, the journal and the manual name it
 * @s: a valid state
 *
 * Return: a static string.
 */
const char *attachment_state_to_string(AttachmentState s) {
        return state_names[s];
}

/**
 * attachment_source_to_string() - where an attachment comes from, as the bus names it
 * @s: a valid source
 *
 * Return: a static string.
 */
const char *attachment_source_to_string(AttachmentSource s) {
        return source_names[s];
}

/**
 * attachment_get_reason() - how an attachment stands, in words
 * @a: the attachment
 * @buffer: may be written to
 *
 * Return: borrowed from @a, or @buffer; "" if there are none.
 */
const char *attachment_get_reason(const Attachment *a, char buffer[static ATTACHMENT_REASON_SIZE]) {
        if (a->reason)
                return a->reason;

        if (a->state != ATTACHMENT_ATTACHED)
                return "";

        (void) stpcpy(stpcpy(stpcpy(stpcpy(buffer, "filter "), a->filter), " is on /dev/"), a->device);
        return buffer;
}

/**
 * attachment_set_state() - say how an attachment stands
 * @a: the attachment
 * @state: the state
 * @reason: the state in words, with the next step; consumed. NULL: there is no more to say than
 *          attachment_get_reason() does (or no memory for it)
 */
void attachment_set_state(Attachment *a, AttachmentState state, char *reason) {
        bool is_said = a->reason && reason ? str_equal(a->reason, reason) :
                       !reason && (!a->reason || state != ATTACHMENT_ATTACHED);

        if (a->state == state && is_said) {
                free(reason);
                return;
        }

        free(a->reason);
        a->reason = reason;

        if (a->set) {
                a->set->n_in_state[a->state]--;
                a->set->n_in_state[state]++;
        }

        a->state = state;
        attachment_changed(a, ATTACHMENT_CHANGED_STATE);
}

/*
 * A gap that begins. If there is no memory for it the last one is taken: a gap told with a begin that is too
 * early is better than none.
 */
static void attachment_begin_gap(Attachment *a, const char *why, uint64_t begin_usec, uint64_t latest_usec) {
        Gap *gaps, *g;

        a->n_gaps++;

        if (a->n_gaps_kept == ATTACHMENT_GAPS_MAX) {
                memmove(a->gaps, a->gaps + 1, (ATTACHMENT_GAPS_MAX - 1) * sizeof(*a->gaps));
                a->n_gaps_kept--;
        } else {
                gaps = realloc(a->gaps, (a->n_gaps_kept + 1) * sizeof(*gaps));
                if (gaps)
                        a->gaps = gaps;
                else if (a->n_gaps_kept > 0) {
                        a->gaps[a->n_gaps_kept - 1].end_usec = 0;
                        return;
                } else
                        return;
        }

        if (a->n_gaps_kept > 0 && begin_usec < a->gaps[a->n_gaps_kept - 1].end_usec)
                begin_usec = a->gaps[a->n_gaps_kept - 1].end_usec;

        g = &a->gaps[a->n_gaps_kept++];
        *g = (Gap) { .begin_usec = begin_usec, .latest_usec = latest_usec > begin_usec ? latest_usec : begin_usec };
        (void) str_copy(g->reason, sizeof(g->reason), why);
}

/**
 * attachment_get_lost_gap() - the gap that ATTACHMENT_CHANGED_LOST is about
 * @a: the attachment
 *
 * Return: borrowed; NULL if there was no memory for it.
 */
const Gap *attachment_get_lost_gap(const Attachment *a) {
        return a->n_gaps_kept > 0 ? &a->gaps[a->n_gaps_kept - 1] : NULL;
}

/**
 * attachment_get_back_gap() - the gap that ATTACHMENT_CHANGED_BACK is about
 * @a: the attachment
 *
 * Return: borrowed: the last one that ended, which may be followed by one that began since; NULL if there
 * was no memory for it.
 */
const Gap *attachment_get_back_gap(const Attachment *a) {
        for (size_t i = a->n_gaps_kept; i > 0; i--)
                if (a->gaps[i - 1].end_usec)
                        return &a->gaps[i - 1];

        return NULL;
}

/**
 * attachment_get_open_gap() - the gap that lasts
 * @a: the attachment
 *
 * Return: borrowed; NULL if there is none.
 */
Gap *attachment_get_open_gap(const Attachment *a) {
        Gap *last = a->n_gaps_kept > 0 ? &a->gaps[a->n_gaps_kept - 1] : NULL;

        return last && last->end_usec == 0 ? last : NULL;
}

static uint64_t later(uint64_t a, uint64_t b) {
        return a > b ? a : b;
}

/**
 * attachment_lost() - the filter is not on its device any more
 * @a: the attachment; nothing happens if its filter was not on a device
 * @why: a word for the gap: "removed", "detached", "foreign-detach", "medium-changed", "interface-gone"
 * @begin_usec: realtime: when it was last known to be on; 0: it is known to have gone now
 * @now: the time. If the clock was set back, the gap is told to last until what was noted before is over: whoever took
 *       a backup by the clock of then must not take it for one since the gap
 */
void attachment_lost(Attachment *a, const char *why, uint64_t begin_usec, const Now *now) {
        if (!a->on_device)
                return;

        attachment_begin_gap(a, why, begin_usec && begin_usec < now->realtime_usec ? begin_usec : now->realtime_usec,
                             later(now->realtime_usec, later(begin_usec, later(a->seen_usec, a->intact_since_usec))));
        a->on_device = false;
        shared_set(&a->lost_device, a->device);
        shared_set(&a->device, shared_empty);
        a->device_uid = 0;
        a->intact_since_usec = 0;
        a->noted_object = 0;
        a->recorded_since_usec = 0;
        a->check_due = false;
        a->foreign = false;
        a->retry_at_usec = 0;
        attachment_touch(a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST | ATTACHMENT_CHANGED_RECORD);
}

/**
 * attachment_leave() - the filter is on a device still, or may be, and is not known to belong there
 * @a: the attachment; its number is that device's
 * @object: the device
 */
void attachment_leave(Attachment *a, uint64_t object) {
        a->left_object = object;
        a->left_number = object ? a->number : 0;
}

/**
 * attachment_lost_unseen() - the filter went while no daemon was there to see it
 * @a: the attachment; no gap is noted if no earlier daemon noted that it was on a device
 * @why: a word for the gap: "daemon-not-running", "interface-gone", "reboot", "unknown"
 * @now: the time; the gap begins when it was last noted, and if the clock is behind that, it lasts until then
 */
void attachment_lost_unseen(Attachment *a, const char *why, const Now *now) {
        uint64_t at_usec = a->recorded_at_usec < now->realtime_usec ? a->recorded_at_usec : now->realtime_usec;

        a->noted_object = 0;
        if (!a->recorded_since_usec)
                return;

        /* the one over the boot has not been told the end of: it lasts */
        if (attachment_get_open_gap(a)) {
                a->recorded_since_usec = 0;
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                return;
        }

        attachment_begin_gap(a, why, at_usec,
                             later(now->realtime_usec, later(a->recorded_at_usec, a->recorded_since_usec)));
        shared_set(&a->lost_device, a->device);
        a->recorded_since_usec = 0;
        attachment_touch(a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST | ATTACHMENT_CHANGED_RECORD);
}

/* Since when a filter that is on has seen every write: not before the last gap has ended, whatever the clock says. */
static void keep_behind_gaps(Attachment *a) {
        if (a->intact_since_usec && a->n_gaps_kept > 0)
                a->intact_since_usec = later(a->intact_since_usec, a->gaps[a->n_gaps_kept - 1].end_usec);
}

static bool take_gap(Attachment *a, const Gap *g) {
        Gap *gaps = realloc(a->gaps, (a->n_gaps_kept + 1) * sizeof(*gaps));

        if (!gaps)
                return false;

        a->gaps = gaps;
        memmove(gaps + 1, gaps, a->n_gaps_kept++ * sizeof(*gaps));
        gaps[0] = *g;
        return true;
}

/**
 * attachment_take_past() - take over what an attachment was in the last boot, and tell the gap since
 * @a: past_due. A daemon of this boot, this one or one before it, may have put its filter on already
 * @past: the same attachment as of the last boot, in no set; borrowed, its gaps change. NULL: it was not there
 * @boot_usec: realtime: when this boot began
 * @now: the time
 *
 * The earlier daemon had the clock that the machine started with, which may have been set since: what it noted lies
 * between the boot and now.
 */
void attachment_take_past(Attachment *a, Attachment *past, uint64_t boot_usec, const Now *now) {
        const Now boot = { .realtime_usec = boot_usec };
        Gap *open;

        a->past_due = false;
        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
        if (a->recorded_since_usec && a->recorded_since_usec < boot_usec)
                a->recorded_since_usec = boot_usec;
        if (a->recorded_since_usec > now->realtime_usec)
                a->recorded_since_usec = now->realtime_usec;
        if (!past)
                return;

        attachment_lost_unseen(past, "reboot", &boot);

        /* with gaps of this boot behind it, it has ended; where those begin is not too early */
        open = attachment_get_open_gap(past);
        if (open && (a->n_gaps_kept > 0 || a->on_device)) {
                uint64_t end_usec = a->n_gaps_kept > 0 ? a->gaps[0].begin_usec : a->intact_since_usec;

                open->end_usec = end_usec > open->latest_usec ? end_usec : open->latest_usec;
        } else if (past->changed & ATTACHMENT_CHANGED_LOST)
                attachment_changed(a, ATTACHMENT_CHANGED_LOST);

        a->n_attached += past->n_attached;
        a->n_gaps += past->n_gaps;
        for (size_t i = past->n_gaps_kept; i > 0 && a->n_gaps_kept < ATTACHMENT_GAPS_MAX; i--)
                if (!take_gap(a, &past->gaps[i - 1]))
                        break;

        keep_behind_gaps(a);

        if (!a->has_fingerprint) {
                fingerprint_set(&a->fingerprint, &past->fingerprint);
                a->has_fingerprint = past->has_fingerprint;
        }

        attachment_changed(a, ATTACHMENT_CHANGED_STATE);
}

/**
 * attachment_gives_up() - whether an attachment leaves a device, with the filter on it, to another one
 * @a: the attachment
 * @filter: of the other
 * @uid: of the device, as of device_uid()
 *
 * It does if it is not needed there: its policy was edited or is gone, or it was wished for at run time and a policy
 * wants the same now.
 */
bool attachment_gives_up(const Attachment *a, const char *filter, uint64_t uid) {
        return a->on_device && a->device_uid == uid && str_equal(a->filter, filter) &&
                (a->orphaned || a->source == ATTACHMENT_SOURCE_RUNTIME);
}

/* Whether a fingerprint speaks of the same medium in the same stay: its disk has not left since. */
static bool fingerprint_is_same_stay(const Fingerprint *a, const Fingerprint *b) {
        return str_equal(a->disk->name, b->disk->name) && a->disk->diskseq == b->disk->diskseq;
}

/* Whether it speaks of the same object of the kernel with the same filter on it: nothing came between. */
static bool fingerprint_is_same_filter(const Fingerprint *a, const Fingerprint *b) {
        return fingerprint_is_same_stay(a, b) && a->object && a->object == b->object &&
                memcmp(a->generation, b->generation, sizeof(a->generation)) == 0;
}

/**
 * attachment_attached() - the filter is on the device
 * @a: the attachment; device and device_uid are set already
 * @f: what was proven; shared
 * @already: the kernel said that it was on before
 * @now: the time
 *
 * Whoever relies on a filter relies on IntactSince, so it never claims more than was seen: a
 * filter found on a device counts from now, unless an earlier daemon noted since when it was
 * there, and it is still the same filter on the same object of the kernel.
 */
void attachment_attached(Attachment *a, const Fingerprint *f, bool already, const Now *now) {
        bool same_filter = a->has_fingerprint && fingerprint_is_same_filter(&a->fingerprint, f);
        bool same_stay = a->has_fingerprint && fingerprint_is_same_stay(&a->fingerprint, f);
        Gap *open = attachment_get_open_gap(a);
        uint64_t back_usec = now->realtime_usec;

        /* it may have gone again between the question and the answer */
        a->seen_usec = a->job_since_usec < now->realtime_usec ? a->job_since_usec : now->realtime_usec;
        if (already && a->on_device && same_filter) {
                /* asked again: nothing new, but when */
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                return;
        }

        /* a gap that is open and ended before is that over a boot, which the daemon of the initramfs knew nothing of */
        if (already && a->recorded_since_usec && same_filter && (!open || a->recorded_since_usec >= open->latest_usec))
                a->intact_since_usec = back_usec = a->recorded_since_usec;
        else {
                a->intact_since_usec = now->realtime_usec;

                if (!open && a->recorded_since_usec) {
                        attachment_lost_unseen(a, "daemon-not-running", now);
                        open = attachment_get_open_gap(a);
                }
        }

        if (open) {
                /* a clock that was set back makes no gap that ends before it begins */
                open->end_usec = back_usec > open->latest_usec ? back_usec : open->latest_usec;
                if (same_stay && str_equal(open->reason, "removed"))
                        (void) str_copy(open->reason, sizeof(open->reason), "rescan");
                attachment_changed(a, ATTACHMENT_CHANGED_BACK);
        }
        keep_behind_gaps(a);

        if (!already) {
                a->n_attached++;
                a->foreign = false;
        }

        a->on_device = true;
        fingerprint_set(&a->fingerprint, f);
        a->has_fingerprint = true;
        a->noted_object = 0;
        a->recorded_since_usec = 0;
        a->left_object = 0;
        a->left_usec = 0;
        a->asked_now = false;
        a->n_failures = a->n_locked = 0;
        a->retry_at_usec = 0;
        attachment_touch(a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);
}

/**
 * retry_delay_usec() - how long to wait after a failure
 * @first_usec: the delay after the first
 * @n_failures: failures in a row, from 1
 *
 * Return: microseconds: doubled with each failure, up to 64 times the first.
 */
uint64_t retry_delay_usec(uint64_t first_usec, uint64_t n_failures) {
        uint64_t shift = n_failures > 0 ? n_failures - 1 : 0;

        return first_usec << (shift < 6 ? shift : 6);
}

/**
 * lock_delay_usec() - how long to wait as another program holds the lock of a disk
 * @n_failures: how often in a row it was found held, from 1
 *
 * Nothing is told when a lock is released. udev holds it while it reads a table again itself, after whoever had the
 * disk open for writing: for about 10 ms in the emulated test machine, and the partitions are there before it lets go.
 *
 * Whoever partitions a disk under its lock (udevadm lock) holds it for some 50 ms after the partitions have come.
 *
 * Return: microseconds: 2 ms at first, a quarter more each time, up to 2 s. So that a lock is free is noticed late by
 * a quarter of the time that it was held for, or 2 ms, at most; one that is held for hours costs a question in 2 s.
 */
uint64_t lock_delay_usec(uint64_t n_failures) {
        uint64_t usec = LOCK_DELAY_USEC_MIN;

        for (uint64_t i = 1; i < n_failures && usec < LOCK_DELAY_USEC_MAX; i++)
                usec += usec / 4;

        return usec < LOCK_DELAY_USEC_MAX ? usec : LOCK_DELAY_USEC_MAX;
}

/**
 * attachment_set_delay() - after a job that did not do its work: when to try again
 * @a: the attachment
 * @outcome: of the job. That another program held the disk's lock is no failure, and counted for itself
 * @now: the time
 */
void attachment_set_delay(Attachment *a, JobOutcome outcome, const Now *now) {
        if (outcome == JOB_LOCKED) {
                a->n_locked += a->n_locked < UINT16_MAX;
                a->retry_at_usec = now->monotonic_usec + lock_delay_usec(a->n_locked);
                return;
        }

        a->n_locked = 0;
        a->n_failures += a->n_failures < UINT16_MAX;
        a->retry_at_usec = now->monotonic_usec + retry_delay_usec(a->settings->retry_usec, a->n_failures);
}
