/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the values of a policy's keys mean: the parsers of policy-keys.c's table. Pure.
 */

#include "daemon/policy-keys.h"

typedef struct PolicyKey PolicyKey;

/* A key of a policy. A new one needs a line in the table of policy-keys.c, its parser, and a field of PolicyValues. */
struct PolicyKey {
        const char *section;
        const char *key;
        int (*parse)(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
        MatchKey match_key;                       /* of a key of [Match] */
        bool (*check)(char value[static FACT_SIZE]); /* whether a value that is no pattern can be one; may bring
                                                      * it to another form; NULL all can */
        const char *const *words;                 /* those that a key takes; NULL-terminated; NULL it takes others */
        const char *expected;                     /* ends the sentence "PartUUID=x is not valid: " */
};

extern const char *const policy_words_on[], *const policy_words_on_change[], *const policy_words_on_conflict[];

/*
 * Parsers, each of one key or of those of [Match]: what an item says goes into v. 0; -EINVAL, with a fault that the
 * caller owns, if it is not valid; or -ENOMEM.
 */
int policy_parse_match(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_filter_name(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_options(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_module(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_on(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_on_change(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_on_conflict(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_retry(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);
int policy_parse_timeout(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret);

/* Checks, each of a key of [Match]: whether a value, normalized, can be one of it; it may get another form. */
bool policy_check_part_label(char value[static FACT_SIZE]);
bool policy_check_part_type(char value[static FACT_SIZE]);
bool policy_check_fs_uuid(char value[static FACT_SIZE]);
bool policy_check_fs_type(char value[static FACT_SIZE]);
bool policy_check_pt_uuid(char value[static FACT_SIZE]);
bool policy_check_wwn(char value[static FACT_SIZE]);
bool policy_check_kernel_name(char value[static FACT_SIZE]);

bool policy_parse_usec(const char *value, uint64_t min_usec, uint64_t max_usec, uint64_t *ret_usec);
