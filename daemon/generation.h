/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Generations: some filters tell which of their attaches it is that is on a device, by an id that is
 * another one after each attach. It shows what no check of a name can: that a filter was taken off and put on
 * again in between. Used in worker processes only.
 */

#include <stdbool.h>

#include "daemon/backend.h"

bool generation_is_told_by(const char *filter);
JobOutcome generation_read(const Backend *backend, int fd, const char *filter, char ret[static GENERATION_SIZE]);
