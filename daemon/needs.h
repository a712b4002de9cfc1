/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which filters are needed, and whether the kernel has them, as far as has been seen. Pure. */

#include "daemon/plan.h"

typedef enum NeedRegistered {
        NEED_UNKNOWN,
        NEED_YES,
        NEED_NO,
        _NEED_MAX,
} NeedRegistered;

typedef struct Need {
        char filter[FILTER_NAME_SIZE];
        NeedRegistered registered;
        char *reason; /* in words, with the next step; owned */
} Need;

const char *need_registered_to_string(NeedRegistered r);
int world_list_needs(const World *w, Need **ret, size_t *ret_n);
void needs_free(Need *needs, size_t n);
