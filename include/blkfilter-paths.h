/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where things are: what the daemon and blkfilterctl both have to know. */

#include <stddef.h>

#include "config.h"

/* Folders of policies, the one that counts most first; NULL-terminated. */
#define BLKFILTER_POLICY_FOLDERS { SYSCONFDIR "/blkfilter.d", "/run/blkfilter.d", PREFIX "/lib/blkfilter.d", NULL }
