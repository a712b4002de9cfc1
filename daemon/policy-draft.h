/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A policy in the making: what its file says, changed by what its drop-ins say. Pure: who reads the
 * files is policy-file.c.
 */

#include "daemon/policy-scan.h"
#include "daemon/policy.h"

typedef struct PolicyDraft PolicyDraft;

/* The content of the file that Options= names. */
typedef struct PolicyOptions {
        const uint8_t *data; /* size bytes, at most POLICY_OPTIONS_MAX; borrowed */
        size_t size;
} PolicyOptions;

int policy_draft_new(const char *name, const char *path, PolicyDraft **ret);
PolicyDraft *policy_draft_free(PolicyDraft *d);
int policy_draft_add(PolicyDraft *d, const PolicyScan *scan, const char *dropin, PolicyFault *ret_fault);
bool policy_draft_get_options_file(const PolicyDraft *d, const char **ret, const char **ret_path, unsigned *ret_line);
int policy_draft_finish(const PolicyDraft *d, const PolicyOptions *options, Policy **ret, PolicyFault *ret_fault);
