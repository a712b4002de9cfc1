/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "daemon/list.h"

/**
 * list_room() - how many elements a list has room for
 * @n: that it has
 */
size_t list_room(size_t n) {
        return (n + LIST_STEP - 1) / LIST_STEP * LIST_STEP;
}

/**
 * list_grow() - make room for one element more
 * @list: pointers, allocated by this function or for list_room() elements; NULL while there are none. Consumed on
 *        success
 * @n: that it has
 *
 * A list that becomes shorter keeps its room.
 *
 * Return: the list, owned by the caller; NULL if there is no memory: @list is as it was.
 */
void *list_grow(void *list, size_t n) {
        return list && n < list_room(n) ? list : realloc(list, list_room(n + 1) * sizeof(void *));
}
