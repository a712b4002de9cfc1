/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a worker is told to find, made from what a match demands and what is known of the device that fits it. */

#include "daemon/match.h"

/* What a worker has to find on the device before it attaches: values, not patterns. Plain data. */
typedef struct Expect {
        uint32_t keys; /* 1 << MatchKey of each value that counts; an empty value must be found empty */
        uint32_t bound; /* something counts that cannot be read from the device: it must be the very object that was
                         * meant */
        uint32_t place; /* start_sectors and size_sectors count: they are those of the last time */
        uint64_t start_sectors, size_sectors;
        char values[MATCH_KERNEL_NAME][FACT_SIZE]; /* of what can be read from a device; else unused */
} Expect;

void expect_from_facts(const Match *m, const Facts *f, Expect *ret);
bool expect_facts(const Expect *e, const Facts *f, MatchKey *ret_key);
