/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads policy files. The one place that knows iniparser and the policy folders.
 */

#include "daemon/policy.h"

int policy_load(const char *const *folders, const char *keep_folder, const PolicySet *last, PolicySet **ret);
int policy_load_file(const char *path, Policy **ret, unsigned *ret_line, char **ret_message);
