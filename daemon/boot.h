/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which run of the kernel this is, since when, and whether the system is up. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/record.h"

bool boot_get_id(char ret[static BOOT_ID_SIZE]);
uint64_t boot_get_time_usec(void);
bool boot_is_over(void);
