/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * List: an array of pointers that grows in steps, for those that come one by one. With a size of its own for each
 * number of elements the allocator would keep what each was moved from.
 */

#include <stddef.h>

#define LIST_STEP 32 /* elements */

size_t list_room(size_t n);
void *list_grow(void *list, size_t n);
