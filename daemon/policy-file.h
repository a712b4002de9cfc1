/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One policy file: the only caller of iniparser.
 */

#include "daemon/policy-draft.h"
#include "daemon/policy-scan.h"
#include "daemon/policy.h"

int policy_file_add(PolicyDraft *draft, int dir_fd, const char *name, const char *dropin, PolicyFault *ret_fault);
int policy_file_finish(const PolicyDraft *draft, Policy **ret, PolicyFault *ret_fault);

int policy_file_parse(const char *data, size_t size, const char *name, const char *path, Policy **ret,
                      PolicyFault *ret_fault);
int policy_file_scan(const char *data, size_t size, PolicyScan **ret, PolicyFault *ret_fault);
int policy_file_compare(const PolicyScan *scan, const char *data, size_t size, PolicyFault *ret_fault);
