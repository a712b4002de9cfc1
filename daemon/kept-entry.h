/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * KeptEntry: an entry of a partition table as it is kept, by the registry and in the fingerprints of what is attached.
 * Thousands may be: it is of the size of its texts, immutable, and shared by counting.
 */

#include "daemon/identity.h"

typedef struct KeptEntry {
        unsigned n_refs;
        unsigned partno;        /* as in Entry, all of them */
        uint64_t start_sectors;
        uint64_t size_sectors;
        const char *label;      /* lies behind the UUID */
        const char *type;       /* shared_new() */
        char uuid[];
} KeptEntry;

/* That of a whole device: number 0, and nothing else. */
extern const KeptEntry kept_entry_none;

int kept_entry_new(const Entry *e, const KeptEntry *like, const KeptEntry **ret);
const KeptEntry *kept_entry_ref(const KeptEntry *k);
void kept_entry_unref(const KeptEntry *k);
void kept_entry_get(const KeptEntry *k, Entry *ret);
bool kept_entry_equal(const KeptEntry *k, const Entry *e);
void facts_set_kept_entry(Facts *f, const KeptEntry *k);
