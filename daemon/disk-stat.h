/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the kernel counts of a device's I/O. */

#include <stdint.h>

int disk_count_writes(uint32_t major, uint32_t minor, uint64_t *ret);
