/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The sections and keys of a policy file and what their values mean: one table. Pure.
 */

#include "daemon/policy-scan.h"
#include "daemon/policy.h"

int policy_from_scan(const PolicyScan *scan, const char *name, const char *path, Policy **ret, PolicyFault *ret_fault);
