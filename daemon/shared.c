/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/shared.h"
#include "daemon/text.h"

typedef struct Shared {
        unsigned n_refs;
        char s[];
} Shared;

const char shared_empty[1] = "";

static Shared *get_shared(const char *s) {
        return (Shared *) (void *) ((char *) s - offsetof(Shared, s));
}

/**
 * shared_new() - a string to be shared
 * @s: NUL-terminated; copied
 *
 * Return: owned by the caller, shared_unref(); shared_empty for "". NULL if there is no memory.
 */
const char *shared_new(const char *s) {
        size_t n = strlen(s);
        Shared *shared;

        if (n == 0)
                return shared_empty;

        shared = malloc(offsetof(Shared, s) + n + 1);
        if (!shared)
                return NULL;

        shared->n_refs = 1;
        memcpy(shared->s, s, n + 1);
        return shared->s;
}

/**
 * shared_ref() - share a string
 * @shared: the string or NULL
 *
 * Return: @shared.
 */
const char *shared_ref(const char *shared) {
        if (shared && shared != shared_empty)
                get_shared(shared)->n_refs++;

        return shared;
}

/**
 * shared_unref() - give up a share of a string
 * @shared: the string or NULL; consumed
 */
void shared_unref(const char *shared) {
        if (shared && shared != shared_empty && --get_shared(shared)->n_refs == 0)
                free(get_shared(shared));
}

/**
 * shared_set() - keep a string in the place of another one
 * @where: what is kept; a string or NULL
 * @shared: the string or NULL; shared
 */
void shared_set(const char **where, const char *shared) {
        const char *old = *where;

        *where = shared_ref(shared);
        shared_unref(old);
}

/**
 * shared_copy() - keep what is equal to a string
 * @where: what is kept; a string or NULL. It stays if it is equal
 * @s: NUL-terminated, any string; copied
 *
 * Return: 0, or -ENOMEM: @where is as before.
 */
int shared_copy(const char **where, const char *s) {
        const char *shared;

        if (*where && str_equal(*where, s))
                return 0;

        shared = shared_new(s);
        if (!shared)
                return -ENOMEM;

        shared_unref(*where);
        *where = shared;
        return 0;
}
