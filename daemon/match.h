/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Match: what a policy or a caller demands of a device, as a list of terms. The core compares and
 * never guesses: a Match without a term matches nothing.
 *
 * For each key that has terms: none of the negated ones may hold, and of the others, if there are
 * any, one must. A match with a term about partitions matches partitions only; one about nothing but
 * the disk or the device-mapper matches whole devices only; file systems are on both.
 */

#include "daemon/identity.h"
#include "daemon/text.h"

#define MATCH_TERMS_MAX 64 /* of a policy */

typedef struct Term {
        MatchKey key;
        bool negated;
        bool glob;         /* value is a pattern as of fnmatch(3), no flags */
        const char *value; /* normalized; not empty */
} Term;

/* Immutable, and shared by counting. */
typedef struct Match {
        unsigned n_refs;
        unsigned n_terms;
        struct Match *base; /* shared: the strings are those of this one; NULL: they lie behind the terms */
        Term terms[];       /* sorted by key, no two alike */
} Match;

/* What the terms of one key make of a value. */
typedef enum MatchVerdict {
        MATCH_VERDICT_HOLDS,
        MATCH_VERDICT_MISSING,   /* one is wanted, and there is none, or it is not known */
        MATCH_VERDICT_DIFFERS,   /* another one is wanted */
        MATCH_VERDICT_FORBIDDEN, /* it is what must not be */
} MatchVerdict;

int match_new(const Term *terms, size_t n_terms, Match **ret);
int match_new_one(MatchKey key, const char *value, Match **ret);
int match_with(const Match *m, MatchKey key, const char *value, Match **ret);
Match *match_ref(const Match *m);
Match *match_unref(Match *m);

bool match_equal(const Match *a, const Match *b);
bool match_has_key(const Match *m, MatchKey key);
bool match_wants_partition(const Match *m);
bool match_wants_fs(const Match *m);
bool match_fits_kind(const Match *m, bool is_partition);
MatchVerdict match_judge_key(const Match *m, MatchKey key, const char *value);
bool match_facts(const Match *m, const Facts *f);
bool match_facts_but_fs(const Match *m, const Facts *f);
const Term *match_get_primary(const Match *m);
bool match_find_list(const Match *m, MatchKey *ret);
const char *match_get_value(const Match *m, MatchKey key);
uint64_t match_hash(const Match *m);
void match_write(const Match *m, Text *t);
int match_to_string(const Match *m, char **ret);
