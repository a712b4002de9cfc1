/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes a policy where an administrator's are. */

#include "daemon/policy.h"

int policy_save(const char *folder, const Policy *p, char **ret_path);
