/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Attachments as a set: their ids, who has which identity, and which of them something happened to. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/attachment.h"
#include "daemon/device.h"
#include "daemon/list.h"
#include "daemon/text.h"

#define KIND_OF_HOMES 1 /* of hashes in by_home */

/* FILTER_UUID_HASH, each with the NUL or the "_" behind it; no key's name is as long as a UUID */
_Static_assert(FILTER_NAME_SIZE + PART_UUID_SIZE + 16 + 1 <= ATTACHMENT_ID_SIZE, "room for the longest id");

/**
 * attachment_make_id() - the id of the attachment of a filter on an identity
 * @filter: a valid filter name
 * @match: what the device must be; has a primary term
 * @ret: written only on success: [A-Za-z0-9_], fit for the last part of an object path
 *
 * The same filter and identity give the same id, on every machine and after every restart. A
 * partition's UUID is shown; of everything else, and of what is demanded besides, it has a hash
 * (64 bits) of the match, for labels hold any character. "-" becomes "_" in the filter's name too; the hash
 * tells "a-b" from "a_b".
 *
 * Nothing is allocated: thousands are made in a row, and would leave holes between what stays.
 *
 * Return: 0, or -EINVAL if @match has no primary term.
 */
int attachment_make_id(const char *filter, const Match *match, char ret[static ATTACHMENT_ID_SIZE]) {
        const Term *primary = match_get_primary(match);
        const char *shown;
        char *end;

        if (!primary)
                return -EINVAL;

        shown = primary->key == MATCH_PART_UUID ? primary->value : match_key_to_string(primary->key);
        end = stpcpy(stpcpy(stpcpy(ret, filter), "_"), shown);

        if (primary->key != MATCH_PART_UUID || match->n_terms > 1 || strchr(filter, '-')) {
                end = stpcpy(end, "_");
                end = hex_put(end, match_hash(match) ^ (strchr(filter, '-') ? index_hash(0, filter) : 0), 16);
                *end = 0;
        }

        for (char *p = ret; *p; p++)
                if (*p == '-')
                        *p = '_';

        return 0;
}

/**
 * attachment_new() - an attachment that waits for its device
 * @filter: a valid filter name; copied
 * @match: what the device must be; shared
 * @source: who wants it
 * @ret: the attachment, owned by the caller
 *
 * Return: 0, -EINVAL if @match has no primary term or @filter is no name, or -ENOMEM.
 */
int attachment_new(const char *filter, const Match *match, AttachmentSource source, Attachment **ret) {
        char id[ATTACHMENT_ID_SIZE], *behind;
        Attachment *a;
        int r;

        if (!filter_name_is_valid(filter))
                return -EINVAL;

        r = attachment_make_id(filter, match, id);
        if (r < 0)
                return r;

        a = calloc(1, sizeof(*a) + strlen(id) + 1 + strlen(filter) + 1);
        if (!a)
                return -ENOMEM;

        behind = (char *) (a + 1);
        a->id = strcpy(behind, id);
        a->filter = strcpy(behind + strlen(id) + 1, filter);
        a->device = a->lost_device = a->home = shared_empty;
        a->fingerprint = FINGERPRINT_INIT;
        a->settings = settings_default();
        a->match = match_ref(match);
        a->source = source;
        a->asked = source == ATTACHMENT_SOURCE_RUNTIME;
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

        match_unref(a->match);
        settings_unref(a->settings);
        fingerprint_deinit(&a->fingerprint);
        shared_unref(a->device);
        shared_unref(a->lost_device);
        shared_unref(a->home);
        shared_unref(a->policy_path);
        free(a->reason);
        free(a->gaps);
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
 * attachment_touch() - something happened to an attachment: the plan has to look at it
 * @a: the attachment; nothing happens if it is in no set
 *
 * The list has room for every attachment: see attachment_set_add().
 */
void attachment_touch(Attachment *a) {
        a->awaits_job = 0;
        if (!a->set || a->touched)
                return;

        a->touched = true;
        a->set->touched[a->set->n_touched++] = a;
}

/**
 * attachment_touch_queued() - a job on a disk has ended: the plan has to look at who waits for nothing else
 * @a: the attachment
 * @disk_uid: the disk's uid
 */
void attachment_touch_queued(Attachment *a, uint64_t disk_uid) {
        if (a->awaits_job != disk_uid)
                return;

        attachment_touch(a);
        a->awaits_job = disk_uid;
}

/**
 * attachment_changed() - note what is to be told of an attachment
 * @a: the attachment
 * @changed: ATTACHMENT_CHANGED_*
 */
void attachment_changed(Attachment *a, uint32_t changed) {
        a->changed = (uint8_t) (a->changed | changed);

        if (!a->set || a->untold)
                return;

        a->untold = true;
        a->set->untold[a->set->n_untold++] = a;
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
        const Term *primary = match_get_primary(a->match);
        Attachment ***lists[] = { &s->items, &s->touched, &s->untold };

        if (i < s->n_items && str_equal(s->items[i]->id, a->id))
                return -EEXIST;

        for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
                Attachment **list = list_grow(*lists[k], s->n_items);

                if (!list)
                        return -ENOMEM;

                *lists[k] = list;
        }

        if (index_add(&s->by_claim, claim_hash(primary->key, primary->value), a, 0) < 0)
                return -ENOMEM;

        memmove(s->items + i + 1, s->items + i, (s->n_items - i) * sizeof(*s->items));
        s->items[i] = a;
        s->n_items++;
        s->n_in_state[a->state]++;
        a->set = s;
        attachment_touch(a);
        attachment_changed(a, a->changed);
        return 0;
}

/**
 * attachment_set_home() - on which disk an attachment is, is going to be, or was last
 * @a: the attachment, in a set
 * @disk: the disk's kernel name; "" for none; shared
 *
 * Whatever happens to that disk touches it.
 *
 * Return: 0, or -ENOMEM: it has no home.
 */
int attachment_set_home(Attachment *a, const char *disk) {
        if (str_equal(a->home, disk))
                return 0;

        if (a->home[0])
                index_remove(&a->set->by_home, index_key(KIND_OF_HOMES, a->home), a, 0);

        shared_set(&a->home, shared_empty);
        if (!disk[0])
                return 0;

        if (index_add(&a->set->by_home, index_key(KIND_OF_HOMES, disk), a, 0) < 0)
                return -ENOMEM;

        shared_set(&a->home, disk);
        return 0;
}

/**
 * attachment_set_first_at() - the attachments whose home is a disk
 * @s: the set
 * @disk: the disk's kernel name
 *
 * Return: the first item of an index; others may be among them. NULL if there is none.
 */
const IndexItem *attachment_set_first_at(const AttachmentSet *s, const char *disk) {
        return index_first(&s->by_home, index_key(KIND_OF_HOMES, disk));
}

static void take_off_list(Attachment **list, size_t *n, const Attachment *a) {
        for (size_t i = 0; i < *n; i++)
                if (list[i] == a) {
                        memmove(list + i, list + i + 1, (*n - i - 1) * sizeof(*list));
                        --*n;
                        return;
                }
}

/**
 * attachment_set_remove() - take an attachment out of its set and release it
 * @s: the set
 * @a: an attachment in it; consumed
 */
void attachment_set_remove(AttachmentSet *s, Attachment *a) {
        size_t i = attachment_set_find(s, a->id);
        const Term *primary = match_get_primary(a->match);

        if (a->touched)
                take_off_list(s->touched, &s->n_touched, a);
        if (a->untold)
                take_off_list(s->untold, &s->n_untold, a);

        (void) attachment_set_home(a, shared_empty);
        index_remove(&s->by_claim, claim_hash(primary->key, primary->value), a, 0);
        memmove(s->items + i, s->items + i + 1, (s->n_items - i - 1) * sizeof(*s->items));
        s->n_items--;
        s->n_in_state[a->state]--;
        attachment_free(a);
}

/**
 * attachment_set_deinit() - release a set and all in it
 * @s: the set; empty and usable again afterwards
 */
void attachment_set_deinit(AttachmentSet *s) {
        for (size_t i = 0; i < s->n_items; i++)
                attachment_free(s->items[i]);

        index_deinit(&s->by_claim);
        index_deinit(&s->by_home);
        free(s->touched);
        free(s->untold);
        free(s->items);
        *s = (AttachmentSet) { 0 };
}
