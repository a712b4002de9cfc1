/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policies: which partition gets which filter. One file is one policy. A PolicySet is immutable
 * once it is in force: a reload builds a new one and swaps it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/identity.h"

#define POLICY_RETRY_USEC_DEFAULT UINT64_C(1000000)
#define POLICY_RETRY_USEC_MIN     UINT64_C(100000)
#define POLICY_RETRY_USEC_MAX     UINT64_C(3600000000)

typedef struct Policy {
        char *name; /* file name without folder, the key of precedence: "20-data.conf" */
        char *path; /* full path of the file it was read from */
        Match match;
        char filter[FILTER_NAME_SIZE];
        uint64_t retry_usec; /* first delay after a failed attach; it grows up to 64 times this */
} Policy;

/* One thing wrong in one file. */
typedef struct PolicyError {
        char *path;      /* the file */
        unsigned line;   /* from 1; 0 if no one line is to blame */
        char *message;   /* a sentence: what is wrong, what was expected */
        bool kept_last;  /* the last good version of the file stays in force */
} PolicyError;

typedef struct PolicySet {
        Policy **policies; /* sorted by name, no two alike */
        size_t n_policies;
        PolicyError *errors; /* in the order of the files */
        size_t n_errors;
} PolicySet;

Policy *policy_free(Policy *p);
int policy_copy(const Policy *p, Policy **ret);

PolicySet *policy_set_new(void);
PolicySet *policy_set_free(PolicySet *s);
int policy_set_add(PolicySet *s, Policy *p);
int policy_set_add_error(PolicySet *s, const char *path, unsigned line, const char *message, bool kept_last);
const Policy *policy_set_get(const PolicySet *s, const char *name);
