/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The sections and keys of a policy file and what their values mean: one table. Pure.
 */

#include "daemon/policy-scan.h"
#include "daemon/policy.h"
#include "daemon/text.h"

#define POLICY_KEYS_MAX 32 /* no fewer than the table has */

/* What assignments mean, gathered one by one. */
typedef struct PolicyValues {
        Term terms[MATCH_TERMS_MAX]; /* n_terms elements; the values are owned */
        size_t n_terms;
        char filter[FILTER_NAME_SIZE]; /* "" none so far */
        char *options_path;            /* of a file whose content is the options; owned; NULL none */
        Settings *settings;            /* owned; nobody else has it yet */
} PolicyValues;

int policy_values_init(PolicyValues *v);
void policy_values_deinit(PolicyValues *v);

size_t policy_key_count(void);
const char *policy_key_section(size_t key);
const char *policy_key_name(size_t key);
int policy_key_find(const PolicyItem *item, size_t *ret, PolicyFault *ret_fault);
int policy_key_parse(size_t key, const PolicyItem *item, PolicyValues *v, PolicyFault *ret_fault);
int policy_section_check(const PolicySection *s, PolicyFault *ret_fault);

int policy_fault_finish(Text *t, const char *path, unsigned line, PolicyFault *ret);
