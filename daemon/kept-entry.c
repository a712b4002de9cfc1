/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kept-entry.h"
#include "daemon/shared.h"
#include "daemon/text.h"

const KeptEntry kept_entry_none = { .label = shared_empty, .type = shared_empty, .uuid = "" };

/**
 * kept_entry_new() - an entry to be kept
 * @e: the entry; copied
 * @like: one that is likely to be of the same type, as most of a disk are: that is shared then; or NULL
 * @ret: owned by the caller, kept_entry_unref()
 *
 * Return: 0, or -ENOMEM.
 */
int kept_entry_new(const Entry *e, const KeptEntry *like, const KeptEntry **ret) {
        size_t n_uuid = strlen(e->uuid) + 1, n_label = strlen(e->label) + 1;
        KeptEntry *k = malloc(sizeof(*k) + n_uuid + n_label);
        const char *type = like && str_equal(like->type, e->type) ? shared_ref(like->type) : shared_new(e->type);

        if (!k || !type) {
                shared_unref(type);
                free(k);
                return -ENOMEM;
        }

        *k = (KeptEntry) {
                .n_refs = 1,
                .partno = e->partno,
                .start_sectors = e->start_sectors,
                .size_sectors = e->size_sectors,
                .label = k->uuid + n_uuid,
                .type = type,
        };
        memcpy(k->uuid, e->uuid, n_uuid);
        memcpy(k->uuid + n_uuid, e->label, n_label);

        *ret = k;
        return 0;
}

/**
 * kept_entry_ref() - share an entry
 * @k: the entry
 *
 * Return: @k.
 */
const KeptEntry *kept_entry_ref(const KeptEntry *k) {
        if (k != &kept_entry_none)
                ((KeptEntry *) k)->n_refs++;

        return k;
}

/**
 * kept_entry_unref() - give up a share of an entry
 * @k: the entry or NULL; consumed
 */
void kept_entry_unref(const KeptEntry *k) {
        if (!k || k == &kept_entry_none || --((KeptEntry *) k)->n_refs > 0)
                return;

        shared_unref(k->type);
        free((KeptEntry *) k);
}

/**
 * kept_entry_get() - an entry as it was before it was kept
 * @k: the entry
 * @ret: written whole
 */
void kept_entry_get(const KeptEntry *k, Entry *ret) {
        *ret = (Entry) { .partno = k->partno, .start_sectors = k->start_sectors, .size_sectors = k->size_sectors };
        (void) str_copy(ret->uuid, sizeof(ret->uuid), k->uuid);
        (void) str_copy(ret->label, sizeof(ret->label), k->label);
        (void) str_copy(ret->type, sizeof(ret->type), k->type);
}

/**
 * kept_entry_equal() - whether an entry says the same as one that is kept
 * @k: that is kept
 * @e: the other
 */
bool kept_entry_equal(const KeptEntry *k, const Entry *e) {
        return k->partno == e->partno && k->start_sectors == e->start_sectors && k->size_sectors == e->size_sectors &&
                str_equal(k->uuid, e->uuid) && str_equal(k->label, e->label) && str_equal(k->type, e->type);
}

/**
 * facts_set_kept_entry() - take over what a table's entry says
 * @f: the facts; become those of a partition
 * @k: the entry; borrowed for as long as the facts are used
 */
void facts_set_kept_entry(Facts *f, const KeptEntry *k) {
        facts_set_partition(f, k->partno, k->uuid, k->label, k->type);
}
