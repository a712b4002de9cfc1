/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/match.h"
#include "daemon/text.h"

/* The order in which a key is trusted to stand for one device. */
static const MatchKey by_strength[] = {
        MATCH_PART_UUID, MATCH_FS_UUID, MATCH_DM_UUID, MATCH_DISK_WWN, MATCH_DISK_SERIAL,
        MATCH_PT_UUID, MATCH_PART_LABEL, MATCH_FS_LABEL, MATCH_DM_NAME, MATCH_KERNEL_NAME,
};

#define N_BY_STRENGTH (sizeof(by_strength) / sizeof(by_strength[0]))

static int compare_terms(const void *x, const void *y) {
        const Term *a = x, *b = y;

        if (a->key != b->key)
                return a->key < b->key ? -1 : 1;
        if (a->negated != b->negated)
                return a->negated ? 1 : -1;
        if (a->glob != b->glob)
                return a->glob ? 1 : -1;
        return strcmp(a->value, b->value);
}

/* Few and nearly sorted as a rule; qsort() may ask the system for memory's size. */
static void sort_terms(Term *terms, size_t n) {
        for (size_t i = 1; i < n; i++)
                for (size_t k = i; k > 0 && compare_terms(&terms[k - 1], &terms[k]) > 0; k--) {
                        Term t = terms[k];

                        terms[k] = terms[k - 1];
                        terms[k - 1] = t;
                }
}

/* As match_new(); @base: what all values are of already, which is shared then; or NULL. */
static int match_build(const Term *terms, size_t n_terms, const Match *base, Match **ret) {
        size_t size = 0;
        unsigned n = 0;
        char *p;
        Match *m;

        if (n_terms == 0)
                return -EINVAL;
        if (n_terms > MATCH_TERMS_MAX + 1)
                return -E2BIG;

        for (size_t i = 0; i < n_terms && !base; i++)
                size += strlen(terms[i].value) + 1;

        m = malloc(sizeof(*m) + n_terms * sizeof(Term) + size);
        if (!m)
                return -ENOMEM;

        m->n_refs = 1;
        m->base = match_ref(base);
        memcpy(m->terms, terms, n_terms * sizeof(Term));
        sort_terms(m->terms, n_terms);

        p = (char *) (m->terms + n_terms);
        for (size_t i = 0; i < n_terms; i++) {
                Term t = m->terms[i];

                if (n > 0 && compare_terms(&m->terms[n - 1], &t) == 0)
                        continue;

                if (!base) {
                        size_t k = strlen(t.value) + 1;

                        t.value = memcpy(p, t.value, k);
                        p += k;
                }
                m->terms[n++] = t;
        }

        m->n_terms = n;
        *ret = m;
        return 0;
}

/**
 * match_new() - a match of given terms
 * @terms: @n_terms elements in any order; the values are normalized; copied
 * @n_terms: from 1 to MATCH_TERMS_MAX + 1, a policy's and the one of match_with(); two that are alike count once
 * @ret: owned by the caller, match_unref()
 *
 * Return: 0, -EINVAL if there is no term, -E2BIG if there are too many, or -ENOMEM.
 */
int match_new(const Term *terms, size_t n_terms, Match **ret) {
        return match_build(terms, n_terms, NULL, ret);
}

/**
 * match_new_one() - a match of one exact term
 * @key: what is demanded
 * @value: normalized, not empty; copied
 * @ret: owned by the caller, match_unref()
 *
 * Return: 0, or -ENOMEM.
 */
int match_new_one(MatchKey key, const char *value, Match **ret) {
        return match_new(&(Term) { .key = key, .value = value }, 1, ret);
}

/**
 * match_with() - a match that demands one value of a key
 * @m: the match
 * @key: the key
 * @value: normalized, not empty; copied, or shared if it is one of @m's. In the place of the values and patterns that
 *         @m has for @key; the negated ones stay
 * @ret: owned by the caller, match_unref()
 *
 * Return: 0, -E2BIG if there are too many terms, or -ENOMEM.
 */
int match_with(const Match *m, MatchKey key, const char *value, Match **ret) {
        Term terms[MATCH_TERMS_MAX + 2];
        bool is_own = false;
        size_t n = 0;

        for (size_t i = 0; i < m->n_terms; i++) {
                is_own |= m->terms[i].value == value;
                if (m->terms[i].key != key || m->terms[i].negated)
                        terms[n++] = m->terms[i];
        }

        terms[n++] = (Term) { .key = key, .value = value };
        return match_build(terms, n, is_own ? m->base ?: m : NULL, ret);
}

/**
 * match_ref() - share a match
 * @m: the match or NULL
 *
 * Return: @m.
 */
Match *match_ref(const Match *m) {
        Match *shared = (Match *) m;

        if (shared)
                shared->n_refs++;

        return shared;
}

/**
 * match_unref() - give up a share of a match
 * @m: the match or NULL; consumed
 *
 * Return: NULL.
 */
Match *match_unref(Match *m) {
        if (m && --m->n_refs == 0) {
                match_unref(m->base);
                free(m);
        }

        return NULL;
}

/**
 * match_equal() - whether two matches demand the same
 * @a: a match
 * @b: a match
 */
bool match_equal(const Match *a, const Match *b) {
        if (a == b)
                return true;

        if (a->n_terms != b->n_terms)
                return false;

        for (size_t i = 0; i < a->n_terms; i++)
                if (compare_terms(&a->terms[i], &b->terms[i]) != 0)
                        return false;

        return true;
}

/**
 * match_has_key() - whether a match says anything about a key
 * @m: the match
 * @key: the key
 */
bool match_has_key(const Match *m, MatchKey key) {
        for (size_t i = 0; i < m->n_terms; i++)
                if (m->terms[i].key == key)
                        return true;

        return false;
}

/**
 * match_wants_partition() - whether only a partition can be what is demanded
 * @m: the match
 */
bool match_wants_partition(const Match *m) {
        for (size_t i = 0; i < m->n_terms; i++)
                if (match_key_is_of_partition(m->terms[i].key))
                        return true;

        return false;
}

/**
 * match_wants_fs() - whether the file system counts
 * @m: the match
 */
bool match_wants_fs(const Match *m) {
        for (size_t i = 0; i < m->n_terms; i++)
                if (match_key_is_of_fs(m->terms[i].key))
                        return true;

        return false;
}

/* Whether only a whole device can be what is demanded. */
static bool wants_whole(const Match *m) {
        for (size_t i = 0; i < m->n_terms; i++) {
                MatchKey key = m->terms[i].key;

                if (match_key_is_of_partition(key) || match_key_is_of_fs(key) || key == MATCH_KERNEL_NAME)
                        return false;
        }

        return true;
}

static bool term_holds(const Term *t, const char *value) {
        if (!value || !value[0])
                return false;

        return t->glob ? fnmatch(t->value, value, 0) == 0 : str_equal(t->value, value);
}

/**
 * match_fits_kind() - whether a match can mean such a device at all
 * @m: the match
 * @is_partition: it is a partition; else a whole device
 */
bool match_fits_kind(const Match *m, bool is_partition) {
        return is_partition ? !wants_whole(m) : !match_wants_partition(m);
}

/* What the terms from @t to @end, all of one key, make of a value. */
static MatchVerdict judge(const Term *t, const Term *end, const char *value) {
        bool any = false, holds = false;

        for (; t < end; t++) {
                bool h = term_holds(t, value);

                if (t->negated && h)
                        return MATCH_VERDICT_FORBIDDEN;

                any |= !t->negated;
                holds |= !t->negated && h;
        }

        if (!any || holds)
                return MATCH_VERDICT_HOLDS;

        return value && value[0] ? MATCH_VERDICT_DIFFERS : MATCH_VERDICT_MISSING;
}

static const Term *end_of_key(const Match *m, const Term *t) {
        const Term *end = t;

        while (end < m->terms + m->n_terms && end->key == t->key)
                end++;

        return end;
}

/**
 * match_judge_key() - what a match makes of the value of one key
 * @m: the match
 * @key: the key; if @m says nothing of it, any value will do
 * @value: normalized; NULL or "": none, or not known
 */
MatchVerdict match_judge_key(const Match *m, MatchKey key, const char *value) {
        for (const Term *t = m->terms; t < m->terms + m->n_terms; t++)
                if (t->key == key)
                        return judge(t, end_of_key(m, t), value);

        return MATCH_VERDICT_HOLDS;
}

static bool fits(const Match *m, const Facts *f, bool but_fs) {
        const Term *end;

        if (!match_fits_kind(m, f->is_partition))
                return false;

        for (const Term *t = m->terms; t < m->terms + m->n_terms; t = end) {
                end = end_of_key(m, t);

                if (!(but_fs && match_key_is_of_fs(t->key)) && judge(t, end, f->values[t->key]) != MATCH_VERDICT_HOLDS)
                        return false;
        }

        return true;
}

/**
 * match_facts() - whether a device is what a match demands, for all that is known of it
 * @m: the match
 * @f: the facts; their values normalized
 *
 * What is not known does not match: a term wants a value, and a negated one is kept by none at all.
 */
bool match_facts(const Match *m, const Facts *f) {
        return fits(m, f, false);
}

/**
 * match_facts_but_fs() - whether a device may be what a match demands, whatever is on it
 * @m: the match
 * @f: the facts; as of match_facts(), but of the file system nothing counts
 */
bool match_facts_but_fs(const Match *m, const Facts *f) {
        return fits(m, f, true);
}

static bool has_glob(const Match *m) {
        for (size_t i = 0; i < m->n_terms; i++)
                if (m->terms[i].glob && !m->terms[i].negated)
                        return true;

        return false;
}

static const Term *find_exact(const Match *m, MatchKey key, size_t *ret_n) {
        const Term *first = NULL;

        *ret_n = 0;
        for (size_t i = 0; i < m->n_terms; i++)
                if (m->terms[i].key == key && !m->terms[i].negated && !m->terms[i].glob) {
                        if (!first)
                                first = &m->terms[i];
                        ++*ret_n;
                }

        return first;
}

/**
 * match_get_primary() - the term by which the one device is looked up that a match stands for
 * @m: the match
 *
 * Return: its strongest identifying term: the key's only one, exact, not negated. Borrowed from @m; NULL
 * if there is none.
 */
const Term *match_get_primary(const Match *m) {
        for (size_t k = 0; k < N_BY_STRENGTH; k++) {
                size_t n, n_positive = 0;
                const Term *t = find_exact(m, by_strength[k], &n);

                for (size_t i = 0; i < m->n_terms; i++)
                        n_positive += m->terms[i].key == by_strength[k] && !m->terms[i].negated;

                if (n == 1 && n_positive == 1)
                        return t;
        }

        return NULL;
}

/**
 * match_find_list() - whether a match stands for as many devices as it lists values
 * @m: the match
 * @ret: written only on success: the strongest identifying key that has exact values, one or more. Each
 *       of them, with all other terms, is one identity
 *
 * Return: false if the match stands for every device that it fits: it has a pattern, or nothing
 * that identifies.
 */
bool match_find_list(const Match *m, MatchKey *ret) {
        if (has_glob(m))
                return false;

        for (size_t k = 0; k < N_BY_STRENGTH; k++) {
                size_t n;

                if (find_exact(m, by_strength[k], &n)) {
                        *ret = by_strength[k];
                        return true;
                }
        }

        return false;
}

/**
 * match_get_value() - the one value that a match demands for a key
 * @m: the match
 * @key: the key
 *
 * Return: borrowed from @m; "" if it demands none, or several, or a pattern.
 */
const char *match_get_value(const Match *m, MatchKey key) {
        size_t n;
        const Term *t = find_exact(m, key, &n);

        return n == 1 ? t->value : "";
}

/**
 * match_hash() - a number for what a match demands
 * @m: the match
 *
 * Return: the same on every machine; of two matches that demand something else another one, but for a
 * chance of 1 to 2^64. FNV-1a over each term's key, kind and value.
 */
uint64_t match_hash(const Match *m) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < m->n_terms; i++) {
                const Term *t = &m->terms[i];
                const unsigned char head[] = { (unsigned char) t->key, t->negated, t->glob };
                size_t n = strlen(t->value) + 1; /* its end is where the next begins */

                for (size_t k = 0; k < sizeof(head); k++)
                        hash = (hash ^ head[k]) * UINT64_C(0x100000001b3);
                for (size_t k = 0; k < n; k++)
                        hash = (hash ^ (unsigned char) t->value[k]) * UINT64_C(0x100000001b3);
        }

        return hash;
}

/* As fstab names it, where it does. */
static const char *key_name(MatchKey key) {
        switch (key) {
        case MATCH_PART_UUID:
                return "PARTUUID";
        case MATCH_PART_LABEL:
                return "PARTLABEL";
        case MATCH_FS_UUID:
                return "UUID";
        case MATCH_FS_LABEL:
                return "LABEL";
        default:
                return match_key_to_string(key);
        }
}

/**
 * match_write() - a match in a line
 * @m: the match
 * @t: "PARTUUID=... PARTLABEL=..." is added: terms with a space between, named as in fstab or else as in
 *     policies, with "=!" if negated
 *
 * Control bytes, and what is no UTF-8, are written as "\xHH", so that no name on a disk can break a line
 * of a log or a message of the bus. For people: match_hash() tells two matches apart.
 */
void match_write(const Match *m, Text *t) {
        for (size_t i = 0; i < m->n_terms; i++) {
                text_add(t, i > 0 ? " " : "");
                text_add(t, key_name(m->terms[i].key));
                text_add(t, m->terms[i].negated ? "=!" : "=");

                for (const char *p = m->terms[i].value; *p; ) {
                        unsigned char c = (unsigned char) *p;
                        size_t n = ascii_length(p);
                        const char *backslash = memchr(p, '\\', n);

                        if (backslash)
                                n = (size_t) (backslash - p);
                        else if (n == 0 && c >= 0x80)
                                n = utf8_char_length(p);

                        if (n == 0) {
                                text_add(t, "\\x");
                                text_add_hex(t, c, 2);
                        } else
                                text_add_n(t, p, n);

                        p += n > 0 ? n : 1;
                }
        }
}

/**
 * match_to_string() - as match_write()
 * @m: the match
 * @ret: owned by the caller
 *
 * Return: 0, or -ENOMEM.
 */
int match_to_string(const Match *m, char **ret) {
        Text t = TEXT_INIT;

        match_write(m, &t);
        return text_steal(&t, ret);
}
