/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy.h"
#include "daemon/text.h"

/**
 * policy_free() - release a policy
 * @p: the policy, half-built or NULL; consumed
 *
 * Return: NULL.
 */
Policy *policy_free(Policy *p) {
        if (!p)
                return NULL;

        free(p->name);
        free(p->path);
        free(p);
        return NULL;
}

/**
 * policy_copy() - a copy that shares nothing with its original
 * @p: the policy; borrowed
 * @ret: the copy; owned by the caller
 *
 * Return: 0, or -ENOMEM.
 */
int policy_copy(const Policy *p, Policy **ret) {
        Policy *c = malloc(sizeof(*c));

        if (!c)
                return -ENOMEM;

        *c = *p;
        c->name = strdup(p->name);
        c->path = strdup(p->path);

        if (!c->name || !c->path) {
                policy_free(c);
                return -ENOMEM;
        }

        *ret = c;
        return 0;
}

/**
 * policy_set_new() - an empty set
 *
 * Return: the set, owned by the caller; NULL if there is no memory.
 */
PolicySet *policy_set_new(void) {
        return calloc(1, sizeof(PolicySet));
}

/**
 * policy_set_free() - release a set and all policies and errors in it
 * @s: the set or NULL; consumed
 *
 * Return: NULL.
 */
PolicySet *policy_set_free(PolicySet *s) {
        if (!s)
                return NULL;

        for (size_t i = 0; i < s->n_policies; i++)
                policy_free(s->policies[i]);

        for (size_t i = 0; i < s->n_errors; i++) {
                free(s->errors[i].path);
                free(s->errors[i].message);
        }

        free(s->policies);
        free(s->errors);
        free(s);
        return NULL;
}

/* Index of the first policy whose name does not sort before @name. */
static size_t policy_set_find(const PolicySet *s, const char *name) {
        size_t low = 0, high = s->n_policies;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(s->policies[mid]->name, name) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }

        return low;
}

/**
 * policy_set_add() - put a policy into a set, sorted by name
 * @s: the set
 * @p: the policy; owned by the set on success, by the caller otherwise
 *
 * Return: 0, -EEXIST if there is one of that name, or -ENOMEM.
 */
int policy_set_add(PolicySet *s, Policy *p) {
        size_t i = policy_set_find(s, p->name);
        Policy **items;

        if (i < s->n_policies && str_equal(s->policies[i]->name, p->name))
                return -EEXIST;

        items = realloc(s->policies, (s->n_policies + 1) * sizeof(*items));
        if (!items)
                return -ENOMEM;

        memmove(items + i + 1, items + i, (s->n_policies - i) * sizeof(*items));
        items[i] = p;
        s->policies = items;
        s->n_policies++;
        return 0;
}

/**
 * policy_set_add_error() - note what is wrong with a file
 * @s: the set
 * @path: the file; copied
 * @line: from 1; 0 if no one line is to blame
 * @message: a sentence; copied
 * @kept_last: whether the file's last good version stays in force
 *
 * Return: 0, or -ENOMEM.
 */
int policy_set_add_error(PolicySet *s, const char *path, unsigned line, const char *message, bool kept_last) {
        PolicyError *errors, e = { .line = line, .kept_last = kept_last };

        e.path = strdup(path);
        e.message = strdup(message);
        errors = realloc(s->errors, (s->n_errors + 1) * sizeof(*errors));

        if (errors)
                s->errors = errors;

        if (!e.path || !e.message || !errors) {
                free(e.path);
                free(e.message);
                return -ENOMEM;
        }

        errors[s->n_errors++] = e;
        return 0;
}

/**
 * policy_set_get() - look a policy up by its name
 * @s: the set
 * @name: file name without folder
 *
 * Return: the policy, borrowed from the set; NULL if there is none.
 */
const Policy *policy_set_get(const PolicySet *s, const char *name) {
        size_t i = policy_set_find(s, name);

        return i < s->n_policies && str_equal(s->policies[i]->name, name) ? s->policies[i] : NULL;
}
