/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Explanation: what the policies in force make of one device, key by key, and what gets attached to it
 * or why nothing does. Pure, and by the functions that the plan itself asks. Strings are borrowed
 * from the world and the policies unless it is said that they are owned.
 */

#include "daemon/attachment.h"
#include "daemon/device.h"
#include "daemon/policy.h"

struct World;

typedef enum ExplainVerdict {
        EXPLAIN_NO_MATCH, /* it does not fit the device */
        EXPLAIN_MATCH,    /* the first that fits it: what it says is done */
        EXPLAIN_SHADOWED, /* it fits too; the first wants the same filter */
        EXPLAIN_LATER,    /* it fits too; the first wants another filter */
        _EXPLAIN_VERDICT_MAX,
} ExplainVerdict;

/* What a policy wants of one key of [Match]. */
typedef struct ExplainedKey {
        const char *path;    /* of the file that says so: the policy's, or a drop-in */
        unsigned line;       /* from 1; 0 if it is not known */
        const char *key;     /* "PartUUID", ...; "[Match]" for all of it together */
        char *wanted;        /* as written; owned */
        const char *found;   /* "" if the device has none, or it is not known */
        const char *verdict; /* in words; static */
        bool matches;
} ExplainedKey;

typedef struct ExplainedPolicy {
        const Policy *policy;
        ExplainVerdict verdict;
        ExplainedKey *keys; /* n_keys elements; owned */
        size_t n_keys;
} ExplainedPolicy;

/* Not to be copied: facts may point into itself. */
typedef struct Explanation {
        Device device;
        Facts facts;
        const Attachment *attachment; /* that the device has, or would have; NULL none */
        char *summary;                /* a sentence without its full stop; owned */
        ExplainedPolicy *policies;    /* n_policies elements, in order of precedence; owned */
        size_t n_policies;
} Explanation;

const char *explain_verdict_to_string(ExplainVerdict v);
void explanation_deinit(Explanation *e);
int world_explain(const struct World *w, const PolicySet *policies, Device d, Explanation *ret);
