/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy.h"
#include "daemon/shared.h"
#include "daemon/text.h"

/* Those of a policy that says nothing of it. The first reference is never given up. */
static Settings defaults = {
        .n_refs = 1,
        .on = POLICY_ON_ALL,
        .retry_usec = POLICY_RETRY_USEC_DEFAULT,
        .timeout_usec = POLICY_TIMEOUT_USEC_DEFAULT,
};

/**
 * settings_default() - the defaults, which are the same for all
 *
 * Return: shared, settings_unref(); not to be changed.
 */
Settings *settings_default(void) {
        return settings_ref(&defaults);
}

/**
 * settings_new() - settings with the defaults: followed always, the delays of policy.h
 * @ret: owned by the caller, settings_unref(); may be changed until it is shared
 *
 * Return: 0, or -ENOMEM.
 */
int settings_new(Settings **ret) {
        Settings *s = malloc(sizeof(*s));

        if (!s)
                return -ENOMEM;

        *s = defaults;
        s->n_refs = 1;
        *ret = s;
        return 0;
}

/**
 * settings_ref() - share settings
 * @s: the settings or NULL
 *
 * Return: @s.
 */
Settings *settings_ref(const Settings *s) {
        Settings *shared = (Settings *) s;

        if (shared)
                shared->n_refs++;

        return shared;
}

/**
 * settings_unref() - give up a share of settings
 * @s: the settings or NULL; consumed
 *
 * Return: NULL.
 */
Settings *settings_unref(Settings *s) {
        if (s && --s->n_refs == 0) {
                free(s->options);
                free(s);
        }

        return NULL;
}

/**
 * settings_equal() - whether an attachment is made and kept alike by both
 * @a: settings
 * @b: settings
 */
bool settings_equal(const Settings *a, const Settings *b) {
        return a == b ||
               (a->on == b->on && a->refuse_change == b->refuse_change && a->ignore_conflict == b->ignore_conflict &&
                a->retry_usec == b->retry_usec && a->timeout_usec == b->timeout_usec &&
                str_equal(a->module, b->module) && a->options_size == b->options_size &&
                (a->options_size == 0 || memcmp(a->options, b->options, a->options_size) == 0));
}

/**
 * policy_free() - release a policy
 * @p: the policy, half-built or NULL; consumed
 *
 * Return: NULL.
 */
Policy *policy_free(Policy *p) {
        if (!p)
                return NULL;

        for (size_t i = 0; p->lines && i < p->n_lines; i++) {
                free(p->lines[i].value);
                shared_unref(p->lines[i].path);
        }

        match_unref(p->match);
        settings_unref(p->settings);
        free(p->lines);
        free(p->name);
        shared_unref(p->path);
        free(p);
        return NULL;
}

/**
 * policy_copy() - a policy like another one
 * @p: the policy; borrowed
 * @ret: the copy, which shares the match and the settings; owned by the caller
 *
 * Return: 0, or -ENOMEM.
 */
int policy_copy(const Policy *p, Policy **ret) {
        Policy *c = calloc(1, sizeof(*c));
        bool ok;

        if (!c)
                return -ENOMEM;

        memcpy(c->filter, p->filter, sizeof(c->filter));
        c->is_kept = p->is_kept;
        c->match = match_ref(p->match);
        c->settings = settings_ref(p->settings);
        c->name = strdup(p->name);
        c->path = shared_ref(p->path);
        c->lines = p->n_lines > 0 ? calloc(p->n_lines, sizeof(*c->lines)) : NULL;

        ok = c->name && (c->lines || p->n_lines == 0);

        for (size_t i = 0; ok && i < p->n_lines; i++) {
                c->lines[i] = p->lines[i];
                c->lines[i].value = strdup(p->lines[i].value);
                c->lines[i].path = shared_ref(p->lines[i].path);
                c->n_lines++;
                ok = c->lines[i].value;
        }

        if (!ok) {
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
                free(s->errors[i].name);
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
 * policy_set_note() - note what is wrong with a file
 * @s: the set
 * @e: what is wrong; its strings are copied
 *
 * Return: 0, or -ENOMEM.
 */
int policy_set_note(PolicySet *s, const PolicyError *e) {
        PolicyError *errors, copy = *e;

        copy.path = strdup(e->path);
        copy.name = e->name ? strdup(e->name) : NULL;
        copy.message = strdup(e->message);
        errors = realloc(s->errors, (s->n_errors + 1) * sizeof(*errors));

        if (errors)
                s->errors = errors;

        if (!copy.path || (e->name && !copy.name) || !copy.message || !errors) {
                free(copy.path);
                free(copy.name);
                free(copy.message);
                return -ENOMEM;
        }

        errors[s->n_errors++] = copy;
        return 0;
}

/**
 * policy_set_add_error() - note what is wrong with the file of a policy
 * @s: the set
 * @path: the file; its last part is the policy's name; copied
 * @line: from 1; 0 if no one line is to blame
 * @message: a sentence; copied
 * @kept_last: whether the file's last good version stays in force
 *
 * Return: 0, or -ENOMEM.
 */
int policy_set_add_error(PolicySet *s, const char *path, unsigned line, const char *message, bool kept_last) {
        const char *slash = strrchr(path, '/');

        return policy_set_note(s, &(PolicyError) {
                .path = (char *) path,
                .name = (char *) (slash ? slash + 1 : path),
                .line = line,
                .message = (char *) message,
                .kept_last = kept_last,
        });
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
