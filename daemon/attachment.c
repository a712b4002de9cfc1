/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/attachment.h"
#include "daemon/text.h"

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
 * attachment_make_id() - the id of the attachment of a filter on an identity
 * @filter: a valid filter name
 * @match: what the partition must be; not empty
 * @ret: written only on success: [A-Za-z0-9_], fit for the last part of an object path
 *
 * The same filter and identity give the same id, on every machine and after every restart. Where
 * a UUID is demanded the id shows it; of a label it has a hash (FNV-1a, 64 bits), for labels
 * hold any character. "-" becomes "_" in the filter's name too, so "a-b" and "a_b" would meet:
 * modprobe takes the two for one name as well.
 *
 * Return: 0, or -EINVAL if @match demands nothing.
 */
int attachment_make_id(const char *filter, const Match *match, char ret[static ATTACHMENT_ID_SIZE]) {
        char *id = NULL;
        Text t = TEXT_INIT;
        int r;

        if (match_is_empty(match))
                return -EINVAL;

        text_add(&t, filter);

        if (match->part_uuid[0]) {
                text_add(&t, "_");
                text_add(&t, match->part_uuid);
        } else {
                uint64_t hash = UINT64_C(0xcbf29ce484222325);

                for (const char *p = match->part_label; *p; p++)
                        hash = (hash ^ (unsigned char) *p) * UINT64_C(0x100000001b3);

                text_add(&t, "_label_");
                text_add_hex(&t, hash, 16);
        }

        r = text_steal(&t, &id);
        if (r < 0)
                return r;

        for (char *p = id; *p; p++)
                if (*p == '-')
                        *p = '_';

        (void) str_copy(ret, ATTACHMENT_ID_SIZE, id);
        free(id);
        return 0;
}

/**
 * attachment_new() - an attachment that waits for its device
 * @filter: a valid filter name; copied
 * @match: what the partition must be; copied
 * @source: who wants it
 * @ret: the attachment, owned by the caller
 *
 * Return: 0, -EINVAL if @match demands nothing or @filter is no name, or -ENOMEM.
 */
int attachment_new(const char *filter, const Match *match, AttachmentSource source, Attachment **ret) {
        Attachment *a;
        int r;

        if (!filter_name_is_valid(filter))
                return -EINVAL;

        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;

        r = attachment_make_id(filter, match, a->id);
        if (r < 0) {
                attachment_free(a);
                return r;
        }

        a->reason = strdup("has not been looked for yet");
        if (!a->reason) {
                attachment_free(a);
                return -ENOMEM;
        }

        (void) str_copy(a->filter, sizeof(a->filter), filter);
        a->match = *match;
        a->source = source;
        a->asked = source == ATTACHMENT_SOURCE_RUNTIME;
        a->retry_usec = 1000000;
        a->changed = ATTACHMENT_CHANGED_ADDED;

        *ret = a;
        return 0;
}

/**
 * attachment_free() - release an attachment
 * @a: the attachment, in no set, or NULL; consumed
 *
 * Return: NULL.
 */
Attachment *attachment_free(Attachment *a) {
        if (!a)
                return NULL;

        free(a->policy_path);
        free(a->reason);
        free(a);
        return NULL;
}

static size_t attachment_set_find(const AttachmentSet *s, const char *id) {
        size_t low = 0, high = s->n_items;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(s->items[mid]->id, id) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }

        return low;
}

/**
 * attachment_set_get() - look an attachment up by its id
 * @s: the set
 * @id: as attachment_make_id() makes it
 *
 * Return: the attachment, borrowed from the set; NULL if there is none.
 */
Attachment *attachment_set_get(const AttachmentSet *s, const char *id) {
        size_t i = attachment_set_find(s, id);

        return i < s->n_items && str_equal(s->items[i]->id, id) ? s->items[i] : NULL;
}

/**
 * attachment_set_add() - put an attachment into a set
 * @s: the set
 * @a: the attachment; owned by the set on success, by the caller otherwise
 *
 * Return: 0, -EEXIST if there is one with that id, or -ENOMEM.
 */
int attachment_set_add(AttachmentSet *s, Attachment *a) {
        size_t i = attachment_set_find(s, a->id);
        Attachment **items;

        if (i < s->n_items && str_equal(s->items[i]->id, a->id))
                return -EEXIST;

        items = realloc(s->items, (s->n_items + 1) * sizeof(*items));
        if (!items)
                return -ENOMEM;

        memmove(items + i + 1, items + i, (s->n_items - i) * sizeof(*items));
        items[i] = a;
        s->items = items;
        s->n_items++;
        return 0;
}

/**
 * attachment_set_remove() - take an attachment out of its set and release it
 * @s: the set
 * @a: an attachment in it; consumed
 */
void attachment_set_remove(AttachmentSet *s, Attachment *a) {
        size_t i = attachment_set_find(s, a->id);

        memmove(s->items + i, s->items + i + 1, (s->n_items - i - 1) * sizeof(*s->items));
        s->n_items--;
        attachment_free(a);
}

/**
 * attachment_set_deinit() - release a set and all in it
 * @s: the set; empty and usable again afterwards
 */
void attachment_set_deinit(AttachmentSet *s) {
        for (size_t i = 0; i < s->n_items; i++)
                attachment_free(s->items[i]);

        free(s->items);
        *s = (AttachmentSet) { 0 };
}

/**
 * attachment_set_state() - say how an attachment stands
 * @a: the attachment
 * @state: the state
 * @reason: the state in words, with the next step; consumed. NULL (no memory for it): the
 *          old words are kept only if they still belong to this state
 */
void attachment_set_state(Attachment *a, AttachmentState state, char *reason) {
        if (a->state == state && (!reason || str_equal(a->reason, reason))) {
                free(reason);
                return;
        }

        if (!reason)
                a->reason[0] = 0;
        else {
                free(a->reason);
                a->reason = reason;
        }

        a->state = state;
        a->changed |= ATTACHMENT_CHANGED_STATE;
}

static void attachment_begin_gap(Attachment *a, const char *why, uint64_t begin_usec) {
        Gap *g;

        if (a->n_gaps_kept == ATTACHMENT_GAPS_MAX) {
                memmove(a->gaps, a->gaps + 1, (ATTACHMENT_GAPS_MAX - 1) * sizeof(*a->gaps));
                a->n_gaps_kept--;
        }

        g = &a->gaps[a->n_gaps_kept++];
        *g = (Gap) { .begin_usec = begin_usec };
        (void) str_copy(g->reason, sizeof(g->reason), why);
        a->n_gaps++;
}

/**
 * attachment_lost() - the filter is not on its device any more
 * @a: the attachment; nothing happens if its filter was not on a device
 * @why: a word for the gap: "removed", "detached", "foreign-detach"
 * @now: the time
 */
void attachment_lost(Attachment *a, const char *why, const Now *now) {
        if (!a->on_device)
                return;

        attachment_begin_gap(a, why, now->realtime_usec);
        a->on_device = false;
        memcpy(a->lost_device, a->device, sizeof(a->lost_device));
        a->device[0] = 0;
        a->device_uid = 0;
        a->intact_since_usec = 0;
        a->recorded_since_usec = 0;
        a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST | ATTACHMENT_CHANGED_RECORD;
}

/**
 * attachment_lost_unseen() - the filter went while no daemon was there to see it
 * @a: the attachment; nothing happens if no earlier daemon noted that it was on a device
 * @now: the time; the gap begins when it was last noted
 */
void attachment_lost_unseen(Attachment *a, const Now *now) {
        uint64_t at_usec = a->recorded_at_usec < now->realtime_usec ? a->recorded_at_usec : now->realtime_usec;

        if (!a->recorded_since_usec)
                return;

        attachment_begin_gap(a, "daemon-not-running", at_usec);
        (void) str_copy(a->lost_device, sizeof(a->lost_device), a->device);
        a->recorded_since_usec = 0;
        a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST | ATTACHMENT_CHANGED_RECORD;
}

/* Whether a fingerprint speaks of the same medium in the same stay: its disk has not left since. */
static bool fingerprint_is_same_stay(const Fingerprint *a, const Fingerprint *b) {
        return str_equal(a->disk, b->disk) && a->diskseq == b->diskseq;
}

/**
 * attachment_attached() - the filter is on the device
 * @a: the attachment; device and device_uid are set already
 * @f: what was proven; copied
 * @already: the kernel said that it was on before
 * @now: the time
 *
 * Whoever relies on a filter relies on IntactSince, so it never claims more than was seen: a
 * filter found on a device counts from now, unless an earlier daemon noted since when it was
 * there, and the partition is still the same object of the kernel: it was not read again since.
 */
void attachment_attached(Attachment *a, const Fingerprint *f, bool already, const Now *now) {
        bool same_stay = a->has_fingerprint && fingerprint_is_same_stay(&a->fingerprint, f);
        Gap *last = a->n_gaps_kept > 0 ? &a->gaps[a->n_gaps_kept - 1] : NULL;
        bool lasting = last && last->end_usec == 0;

        if (already && a->on_device && same_stay)
                return; /* asked again, nothing new */

        if (already && a->recorded_since_usec && same_stay && !lasting && f->object &&
            a->fingerprint.object == f->object)
                a->intact_since_usec = a->recorded_since_usec;
        else {
                a->intact_since_usec = now->realtime_usec;

                if (!lasting && a->recorded_since_usec) {
                        attachment_lost_unseen(a, now);
                        last = &a->gaps[a->n_gaps_kept - 1];
                        lasting = true;
                }
        }

        if (lasting) {
                /* a clock that was set back makes no gap that ends before it begins */
                last->end_usec = now->realtime_usec > last->begin_usec ? now->realtime_usec : last->begin_usec;
                if (same_stay && str_equal(last->reason, "removed"))
                        (void) str_copy(last->reason, sizeof(last->reason), "rescan");
                a->changed |= ATTACHMENT_CHANGED_BACK;
        }

        if (!already)
                a->n_attached++;

        a->on_device = true;
        a->fingerprint = *f;
        a->has_fingerprint = true;
        a->recorded_since_usec = 0;
        a->n_failures = 0;
        a->retry_at_usec = 0;
        a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD;
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
 * attachment_set_delay() - after an attach that failed: when to try again
 * @a: the attachment
 * @now: the time
 */
void attachment_set_delay(Attachment *a, const Now *now) {
        a->n_failures++;
        a->retry_at_usec = now->monotonic_usec + retry_delay_usec(a->retry_usec, a->n_failures);
}
