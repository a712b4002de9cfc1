/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The last good version of each policy, kept in a folder so that it outlives the daemon: who breaks
 * a file and restarts the daemon has the same in force as who breaks it and reloads.
 *
 * Each is a policy file of the policy's name, drop-ins and options included, whose first line names the
 * file that it was read from. Options too long for a line are in a file beside it.
 */

#include "daemon/policy.h"

int policy_keep_load(const char *folder, PolicySet **ret);
int policy_keep_save(const char *folder, PolicySet *set);
int policy_keep_compare(const char *folder, const char *earlier, const char *except, char **ret);
