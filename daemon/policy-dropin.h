/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The drop-ins of a policy: NAME.conf.d/ beside it or in any other of the policy folders.
 */

#include "daemon/policy-draft.h"
#include "daemon/policy-folder.h"

int policy_dropins_add(const PolicyFolder *folders, size_t n_folders, const char *name, PolicyDraft *draft,
                       PolicyFault *ret_fault);
int policy_dropins_count(const PolicyFolder *folder, const char *name, size_t *ret);
