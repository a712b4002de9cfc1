/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads a file that decides what gets a filter: a policy, a drop-in, a filter's options.
 */

#include <stddef.h>

#include "daemon/policy-scan.h"

int policy_read(int dir_fd, const char *name, size_t size_max, char **ret, size_t *ret_size, PolicyFault *ret_fault);
