/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has an identity, and who wants a device: two questions to two indexes. */

#include <string.h>

#include "daemon/plan.h"
#include "daemon/text.h"

/**
 * holder_device() - the device that has the identity
 * @h: a holder
 *
 * Return: its disk is NULL if the kernel has no partition for the entry.
 */
Device holder_device(const Holder *h) {
        return h->entry && !h->partition ? (Device) { 0 } : (Device) { h->disk, h->partition };
}

/**
 * holder_is_device() - whether a holder is that very device
 * @h: a holder
 * @d: a device, or none
 */
bool holder_is_device(const Holder *h, Device d) {
        return d.disk && device_uid(holder_device(h)) == device_uid(d);
}

/**
 * holder_facts() - what is known of a holder
 * @h: a holder
 * @ret: written whole; borrowed strings
 */
void holder_facts(const Holder *h, Facts *ret) {
        if (h->entry)
                disk_entry_facts(h->disk, h->entry, ret);
        else
                device_facts((Device) { h->disk, NULL }, ret);
}

/* Whether a match asks for nothing but what a table says: of a partition of a disk, of which udev has told nothing. */
static bool is_told_by_table(const Match *m) {
        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++)
                if (match_has_key(m, key) && !match_key_is_of_partition(key) && key != MATCH_PT_UUID)
                        return false;

        return true;
}

/* Whether udev's word on a disk is not waited for: a worker has ruled out what it may say. */
static bool is_early(const Disk *d, const Match *m) {
        return disk_may_be_early(d) && d->unowned && is_told_by_table(m);
}

/* Whether what is known of a holder may be of the past, in what the match asks for. */
static bool is_unsure(const Holder *h, const Match *m) {
        if (!h->entry)
                return !h->disk->processed || (h->disk->dirty && match_has_key(m, MATCH_PT_UUID));

        return h->disk->dirty || (disk_is_untold(h->disk) && !is_early(h->disk, m)) ||
                (h->partition && !h->partition->settled && match_wants_fs(m));
}

/* By name and number, as they are told: the index has no order that stays. */
static bool comes_before(const Holder *a, const Holder *b) {
        int c = strcmp(a->disk->name, b->disk->name);

        return c < 0 || (c == 0 && (a->entry ? a->entry->partno : 0) < (b->entry ? b->entry->partno : 0));
}

/* Each counts once: one may stand under a hash twice, when another value of its own has that too. */
static void holders_add(Holders *holders, const Holder *h) {
        size_t n = holders->n_items < HOLDERS_MAX ? holders->n_items : HOLDERS_MAX, i = n;

        for (size_t k = 0; k < n; k++)
                if (holders->items[k].disk == h->disk && holders->items[k].entry == h->entry)
                        return;

        while (i > 0 && comes_before(h, &holders->items[i - 1]))
                i--;

        if (i < HOLDERS_MAX) {
                memmove(holders->items + i + 1, holders->items + i,
                        ((n < HOLDERS_MAX ? n : HOLDERS_MAX - 1) - i) * sizeof(*holders->items));
                holders->items[i] = *h;
        }

        holders->n_items++;
}

/* Whether a partition has the identity but for what is on it, and udev has not said that yet. */
static bool may_come_to_fit(const Holder *h, const Match *m, const Facts *f) {
        return h->entry && !(h->partition && h->partition->processed) && !h->disk->ignored && match_wants_fs(m) &&
                match_facts_but_fs(m, f);
}

static void be_unsure(Holders *holders, Disk *d) {
        if (!holders->unsure || strcmp(d->name, holders->unsure->name) < 0)
                holders->unsure = d;
}

static void consider(Holders *holders, const Match *m, const Holder *h) {
        Facts f;

        holder_facts(h, &f);
        if (!match_facts(m, &f)) {
                if (may_come_to_fit(h, m, &f))
                        be_unsure(holders, h->disk);
                return;
        }

        /* or one that udev is done with and does not call ready, as a drive without a medium */
        if (h->disk->ignored || (h->partition && h->partition->ignored) ||
            (h->disk->processed && !(h->entry ? h->disk->known : h->disk->settled))) {
                if (!holders->ignored.disk || comes_before(h, &holders->ignored))
                        holders->ignored = *h;
                return;
        }

        if (is_unsure(h, m))
                be_unsure(holders, h->disk);

        if (holders->wanted_uid && device_uid(holder_device(h)) == holders->wanted_uid)
                holders->wanted = *h;

        holders_add(holders, h);
}

static void consider_entry(Holders *holders, const Match *m, Disk *d, const KeptEntry *e) {
        const Holder h = { .disk = d, .entry = e, .partition = disk_get_partition(d, e->partno) };

        consider(holders, m, &h);
}

/* Whether a disk's claim to a value of that key stands for its partitions too. */
static bool is_shared(MatchKey key) {
        return key == MATCH_PT_UUID || key == MATCH_DISK_WWN || key == MATCH_DISK_SERIAL || key == MATCH_DM_NAME ||
                key == MATCH_DM_UUID;
}

/**
 * world_find_holders() - who has an identity, for all that is known
 * @w: the world; its claims are up to date
 * @m: the identity; has a primary term
 * @wanted_uid: of a device that is told by itself if it is among them; 0: none
 * @ret: written whole; borrowed until the next event
 */
void world_find_holders(const World *w, const Match *m, uint64_t wanted_uid, Holders *ret) {
        const Term *primary = match_get_primary(m);
        const IndexItem *i = index_first(&w->devices.claims, claim_hash(primary->key, primary->value));

        *ret = (Holders) { .wanted_uid = wanted_uid };

        for (; i; i = index_next(i)) {
                Disk *d = i->owner;
                const KeptEntry *e = i->detail ? disk_get_entry(d, i->detail) : NULL;

                if (d->gone)
                        continue;

                if (e)
                        consider_entry(ret, m, d, e);
                else if (!i->detail)
                        consider(ret, m, &(Holder) { .disk = d });

                if (!i->detail && is_shared(primary->key))
                        for (size_t k = 0; k < d->n_entries; k++)
                                consider_entry(ret, m, d, d->entries[k]);
        }
}

/**
 * claimants_init() - begin to ask who may want a device
 * @c: the question
 * @w: the world; its attachments must not come or go until the last answer
 * @f: what is known of the device
 */
void claimants_init(Claimants *c, const World *w, const Facts *f) {
        *c = (Claimants) { .world = w };

        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++)
                if (match_key_identifies(key) && f->values[key] && f->values[key][0])
                        c->hashes[c->n_hashes++] = claim_hash(key, f->values[key]);
}

/**
 * claimants_next() - the next that may want it
 * @c: from claimants_init()
 *
 * Return: an attachment, as a rule each once; two values may have one hash. Whether its match fits is for the caller to
 * see. NULL if that was the last.
 */
Attachment *claimants_next(Claimants *c) {
        const IndexItem *i = c->next;

        while (!i && c->n_hashes > 0)
                i = index_first(&c->world->attachments.by_claim, c->hashes[--c->n_hashes]);

        c->next = i ? index_next(i) : NULL;
        return i ? i->owner : NULL;
}

/**
 * world_find_first() - the attachment that comes before another on the same device
 * @w: the world
 * @a: the other
 * @h: the device
 *
 * Return: borrowed; NULL if there is none.
 */
const Attachment *world_find_first(const World *w, const Attachment *a, const Holder *h) {
        const Attachment *b, *first = NULL;
        Claimants c;
        Facts f;

        holder_facts(h, &f);
        claimants_init(&c, w, &f);
        while ((b = claimants_next(&c))) {
                if (b == a || b->rank >= a->rank || b->orphaned || !match_facts(b->match, &f))
                        continue;

                /* the same wish, made at run time: it is taken over */
                if (b->source == ATTACHMENT_SOURCE_RUNTIME && str_equal(b->filter, a->filter))
                        continue;

                if (!first || b->rank < first->rank)
                        first = b;
        }

        return first;
}

/**
 * world_find_hold() - another attachment of the same filter that an administrator holds off a device
 * @w: the world
 * @a: the attachment
 * @h: the device
 *
 * Return: borrowed; NULL if there is none.
 */
const Attachment *world_find_hold(const World *w, const Attachment *a, const Holder *h) {
        const Attachment *b;
        Claimants c;
        Facts f;

        holder_facts(h, &f);
        claimants_init(&c, w, &f);
        while ((b = claimants_next(&c)))
                if (b != a && b->held && str_equal(b->filter, a->filter) && match_facts(b->match, &f))
                        return b;

        return NULL;
}

/* Which of two that are on nothing is meant first: who would get the device, then by id. */
static bool is_meant_first(const Attachment *a, const Attachment *b) {
        if (a->orphaned != b->orphaned)
                return b->orphaned;
        if (a->rank != b->rank)
                return a->rank < b->rank;
        return strcmp(a->id, b->id) < 0;
}

/**
 * world_find_attachment() - the attachment that a device has, or would have
 * @w: the world
 * @filter: of this filter; NULL: of any, the one that is on it first
 * @d: a device that is there
 *
 * Return: the attachment, borrowed; NULL if none is on it and none matches it. Of several that match it one that
 * somebody wants: an orphan that is held off is only remembered.
 */
Attachment *world_find_attachment(const World *w, const char *filter, Device d) {
        const IndexItem *i = attachment_set_first_at(&w->attachments, d.disk->name);
        Attachment *found = NULL, *a;
        Claimants c;
        Facts f;

        for (; i; i = index_next(i)) {
                a = i->owner;

                if (a->on_device && a->device_uid == device_uid(d) && (!filter || str_equal(a->filter, filter)) &&
                    (!found || strcmp(a->id, found->id) < 0))
                        found = a;
        }

        if (found)
                return found;

        device_facts(d, &f);
        claimants_init(&c, w, &f);
        while ((a = claimants_next(&c)))
                if ((!filter || str_equal(a->filter, filter)) && match_facts(a->match, &f) &&
                    (!found || is_meant_first(a, found)))
                        found = a;

        return found;
}
