/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A policy as the text of a file that says the same. Pure.
 */

#include "daemon/policy.h"

bool policy_equal(const Policy *a, const Policy *b);
int policy_to_text(const Policy *p, const char *options_file, char **ret);
