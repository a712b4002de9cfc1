/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the core share: a check that says where it failed, and identities that are made up
 * in one line. The scripted world is script.h's.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan.h"
#include "daemon/text.h"

#define CHECK(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s(): %s\n", __FILE__, __LINE__, __func__, #condition); \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define CHECK_STR(got, wanted)                                                          \
        do {                                                                            \
                const char *got_ = (got), *wanted_ = (wanted);                          \
                if (!str_equal(got_, wanted_)) {                                        \
                        fprintf(stderr, "%s:%d: %s(): got \"%s\", wanted \"%s\"\n", __FILE__, __LINE__, __func__, \
                                got_, wanted_);                                         \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define CHECK_HAS(text, part)                                                           \
        do {                                                                            \
                const char *text_ = (text), *part_ = (part);                            \
                if (!strstr(text_, part_)) {                                            \
                        fprintf(stderr, "%s:%d: %s(): \"%s\" does not have \"%s\"\n", __FILE__, __LINE__, __func__, \
                                text_, part_);                                          \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define UUID_X "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define UUID_Y "b921b045-1df0-41c3-af44-4c6f280d3fae"
#define UUID_Z "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
#define UUID_W "21686148-6449-6e6f-744e-656564454649"

#define SECOND UINT64_C(1000000)

/* A match of an exact UUID and an exact name, each "" if it does not count; the caller's. */
__attribute__((unused)) static Match *match_of(const char *uuid, const char *label) {
        const Term terms[] = {
                { .key = uuid[0] ? MATCH_PART_UUID : MATCH_PART_LABEL, .value = uuid[0] ? uuid : label },
                { .key = MATCH_PART_LABEL, .value = label },
        };
        Match *m;

        CHECK(match_new(terms, uuid[0] && label[0] ? 2 : 1, &m) == 0);
        return m;
}

/* A match of one exact value; the caller's. */
__attribute__((unused)) static Match *match_one(MatchKey key, const char *value) {
        Match *m;

        CHECK(match_new_one(key, value, &m) == 0);
        return m;
}

/*
 * A match as policies write it, "KEY=VALUE" with "|" between the terms: "!" in front of the value negates it, and
 * "*", "?" and "[" make it a pattern. The caller's.
 */
__attribute__((unused)) static Match *match_parse(const char *text) {
        Term terms[MATCH_TERMS_MAX];
        char copy[4096], *next = copy;
        size_t n = 0;
        Match *m;

        CHECK(str_copy(copy, sizeof(copy), text));
        while (next) {
                char *key = strsep(&next, "|"), *value = strchr(key, '=');
                Term *t = &terms[n++];

                CHECK(value && n <= MATCH_TERMS_MAX);
                *value++ = 0;
                *t = (Term) { .key = 0, .negated = *value == '!' };
                while (!str_equal(match_key_to_string(t->key), key))
                        CHECK(++t->key < _MATCH_KEY_MAX);
                t->value = value + t->negated;
                t->glob = strpbrk(t->value, "*?[") != NULL;
        }

        CHECK(match_new(terms, n, &m) == 0);
        return m;
}

__attribute__((unused)) static Entry entry_of(unsigned partno, const char *uuid, const char *label) {
        Entry e = { .partno = partno, .start_sectors = 2048 * partno, .size_sectors = 2048 };

        CHECK(str_copy(e.uuid, sizeof(e.uuid), uuid));
        CHECK(str_copy(e.label, sizeof(e.label), label));
        return e;
}

/* How an attachment stands, in words; until the next call. */
__attribute__((unused)) static const char *reason_of(const Attachment *a) {
        static char buffer[ATTACHMENT_REASON_SIZE];

        return attachment_get_reason(a, buffer);
}

/* The entry of a fingerprint that has none yet. */
__attribute__((unused)) static void fingerprint_set_entry(Fingerprint *f, const Entry *e) {
        CHECK(f->entry == &kept_entry_none && kept_entry_new(e, NULL, &f->entry) == 0);
}

/* A policy of the match and the settings, both consumed; NULL: the default settings. */
__attribute__((unused)) static Policy *policy_new_of(const char *name, const char *filter, Match *m,
                                                     Settings *settings) {
        Policy *p = calloc(1, sizeof(*p));
        char path[128];

        CHECK(p);
        (void) snprintf(path, sizeof(path), "/etc/blkfilter.d/%s", name);
        p->name = strdup(name);
        p->path = shared_new(path);
        p->match = m;
        p->settings = settings;
        CHECK(p->name && p->path && str_copy(p->filter, sizeof(p->filter), filter));
        CHECK(settings || settings_new(&p->settings) == 0);
        return p;
}
