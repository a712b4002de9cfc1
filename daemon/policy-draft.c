/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-draft.h"
#include "daemon/policy-keys.h"
#include "daemon/shared.h"
#include "daemon/text.h"

/* One assignment, copied out of its file. */
typedef struct Line {
        char *value; /* without quotes; NULL: there is no such assignment */
        char quote;
        char *path;  /* of its file */
        unsigned line;
} Line;

struct PolicyDraft {
        char *name, *path;
        Line of_file[POLICY_KEYS_MAX];    /* what the policy's own file says of each key */
        Line of_dropins[POLICY_KEYS_MAX]; /* what the last drop-in says that says anything of it */
        unsigned match_line, filter_line; /* of the file's sections; 0 if it has none */
};

static void line_deinit(Line *l) {
        free(l->value);
        free(l->path);
        *l = (Line) { 0 };
}

static int line_set(Line *l, const PolicyItem *item, const char *path) {
        Line copy = { .quote = item->quote, .line = item->line };

        copy.value = strdup(item->value);
        copy.path = strdup(path);

        if (!copy.value || !copy.path) {
                line_deinit(&copy);
                return -ENOMEM;
        }

        line_deinit(l);
        *l = copy;
        return 0;
}

/* What counts for a key; NULL if nothing was said of it. */
static const Line *effective(const PolicyDraft *d, size_t key) {
        if (d->of_dropins[key].value)
                return &d->of_dropins[key];

        return d->of_file[key].value ? &d->of_file[key] : NULL;
}

/* Only what a parser looks at: the section is known by the key. */
static PolicyItem item_of(const Line *l, size_t key) {
        return (PolicyItem) { .key = policy_key_name(key), .value = l->value, .quote = l->quote, .line = l->line };
}

/* A fault in the line of whichever file it stands in. */
static int blame(int r, const Line *l, PolicyFault *f) {
        if (r != -EINVAL)
                return r;

        f->path = strdup(l->path);
        if (f->path)
                return r;

        policy_fault_deinit(f);
        return -ENOMEM;
}

/**
 * policy_draft_new() - begin a policy
 * @name: its file's name without folder; copied
 * @path: its file's full path; copied
 * @ret: owned by the caller, policy_draft_free()
 *
 * Return: 0, or -ENOMEM.
 */
int policy_draft_new(const char *name, const char *path, PolicyDraft **ret) {
        PolicyDraft *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;

        d->name = strdup(name);
        d->path = strdup(path);

        if (!d->name || !d->path) {
                policy_draft_free(d);
                return -ENOMEM;
        }

        *ret = d;
        return 0;
}

/**
 * policy_draft_free() - release a draft
 * @d: the draft, half-built or NULL; consumed
 *
 * Return: NULL.
 */
PolicyDraft *policy_draft_free(PolicyDraft *d) {
        if (!d)
                return NULL;

        for (size_t i = 0; i < POLICY_KEYS_MAX; i++) {
                line_deinit(&d->of_file[i]);
                line_deinit(&d->of_dropins[i]);
        }

        free(d->name);
        free(d->path);
        free(d);
        return NULL;
}

/* Whether a value is acceptable, alone. */
static int check_item(size_t key, const PolicyItem *item, PolicyFault *ret_fault) {
        PolicyValues v;
        int r;

        r = policy_values_init(&v);
        if (r == 0)
                r = policy_key_parse(key, item, &v, ret_fault);

        policy_values_deinit(&v);
        return r;
}

/**
 * policy_draft_add() - take over what a file says
 * @d: the draft; after a failure it is good for nothing but policy_draft_free()
 * @scan: what the file says; borrowed
 * @dropin: the file's path if it is a drop-in; NULL: it is the policy's own file
 * @ret_fault: set on -EINVAL: the first section that is unknown or key that is wrong; owned by the caller,
 *             policy_fault_deinit()
 *
 * The policy's own file comes first, then the drop-ins in their order. What a drop-in says of a key stands
 * in the place of all that was said of it before; "Key=" with nothing behind it takes the file's own value
 * back.
 *
 * Return: 0, -EINVAL for an unknown section or key or a value that is not valid, or -ENOMEM.
 */
int policy_draft_add(PolicyDraft *d, const PolicyScan *scan, const char *dropin, PolicyFault *ret_fault) {
        int r;

        for (size_t i = 0; i < scan->n_items; i++) {
                const PolicyItem *item = &scan->items[i];
                size_t key;

                r = policy_key_find(item, &key, ret_fault);
                if (r < 0)
                        return r;

                if (dropin && !item->value[0]) {
                        line_deinit(&d->of_dropins[key]);
                        continue;
                }

                r = check_item(key, item, ret_fault);
                if (r < 0)
                        return r;

                r = line_set(dropin ? &d->of_dropins[key] : &d->of_file[key], item, dropin ? dropin : d->path);
                if (r < 0)
                        return r;
        }

        /* a section without a key in it has not come by above */
        for (size_t i = 0; i < scan->n_sections; i++) {
                r = policy_section_check(&scan->sections[i], ret_fault);
                if (r < 0)
                        return r;
        }

        if (!dropin) {
                const PolicySection *match = policy_scan_section(scan, "Match");
                const PolicySection *filter = policy_scan_section(scan, "Filter");

                d->match_line = match ? match->line : 0;
                d->filter_line = filter ? filter->line : 0;
        }

        return 0;
}

static int fault_at(const PolicyDraft *d, const Line *l, unsigned line, const char *what, PolicyFault *ret) {
        Text t = TEXT_INIT;

        text_add(&t, what);
        return policy_fault_finish(&t, l ? l->path : d->path, l ? l->line : line, ret);
}

/* Whether it fits any value. */
static bool is_wildcard(const Term *t) {
        return t->glob && t->value[strspn(t->value, "*?")] == 0;
}

static int check_match(const PolicyDraft *d, const PolicyValues *v, PolicyFault *ret) {
        bool wildcard = false;

        for (size_t i = 0; i < v->n_terms; i++) {
                if (!v->terms[i].negated && !is_wildcard(&v->terms[i]))
                        return 0;

                wildcard |= !v->terms[i].negated;
        }

        if (v->n_terms == 0)
                return fault_at(d, NULL, d->match_line,
                                "[Match] names no device: say what it has by at least one key, as in "
                                "PartUUID= or PartLabel=; a policy never means every device.", ret);

        return fault_at(d, effective(d, v->terms[0].key), 0, wildcard
                        ? "[Match] fits whatever has a name at all: say more of the device, as in PartLabel=data* or "
                          "FSType=ext4; a policy never means every device."
                        : "[Match] says only what the device has not: name at least one thing that it has, as in "
                          "PartLabel=data* or FSType=ext4; a policy never means every device.", ret);
}

static int add_line(Policy *p, size_t key, const Line *l) {
        PolicyLine *line = &p->lines[p->n_lines];
        Text t = TEXT_INIT;

        line->section = policy_key_section(key);
        line->key = policy_key_name(key);
        line->line = l->line;
        p->n_lines++;

        text_add_n(&t, &l->quote, l->quote ? 1 : 0);
        text_add(&t, l->value);
        text_add_n(&t, &l->quote, l->quote ? 1 : 0);

        line->path = str_equal(l->path, p->path) ? shared_ref(p->path) : shared_new(l->path);
        return text_steal(&t, &line->value) < 0 || !line->path ? -ENOMEM : 0;
}

/**
 * policy_draft_get_options_file() - whether a file has the options
 * @d: the draft
 * @ret: set if there is one: its full path; borrowed from the draft
 * @ret_path: set with it: the file in which that is said; borrowed from the draft
 * @ret_line: set with it: the line there
 *
 * Return: whether there is one.
 */
bool policy_draft_get_options_file(const PolicyDraft *d, const char **ret, const char **ret_path, unsigned *ret_line) {
        for (size_t key = 0; key < policy_key_count(); key++) {
                const Line *l = effective(d, key);

                if (!l || strcmp(policy_key_name(key), "Options") != 0 || l->value[0] != '/')
                        continue;

                *ret = l->value;
                *ret_path = l->path;
                *ret_line = l->line;
                return true;
        }

        return false;
}

static int take_options(PolicyValues *v, const PolicyOptions *options) {
        if (options->size == 0)
                return 0;

        v->settings->options = malloc(options->size);
        if (!v->settings->options)
                return -ENOMEM;

        memcpy(v->settings->options, options->data, options->size);
        v->settings->options_size = options->size;
        return 0;
}

/**
 * policy_draft_finish() - make a policy of it
 * @d: the draft
 * @options: if a file has them, its content, as policy_draft_get_options_file() asked for; may be NULL:
 *           they are left out, which is good for a check only; borrowed
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_fault: set on -EINVAL: what is missing, or does not go together; its path is set; owned by the
 *             caller, policy_fault_deinit()
 *
 * Return: 0, -EINVAL if the whole is not a policy, or -ENOMEM.
 */
int policy_draft_finish(const PolicyDraft *d, const PolicyOptions *options, Policy **ret, PolicyFault *ret_fault) {
        Policy *p = calloc(1, sizeof(*p));
        PolicyLine *lines;
        PolicyValues v;
        int r;

        r = policy_values_init(&v);
        if (r < 0 || !p) {
                r = -ENOMEM;
                goto finish;
        }

        p->name = strdup(d->name);
        p->path = shared_new(d->path);
        p->lines = calloc(policy_key_count(), sizeof(*p->lines));

        if (!p->name || !p->path || !p->lines) {
                r = -ENOMEM;
                goto finish;
        }

        for (size_t key = 0; key < policy_key_count(); key++) {
                const Line *l = effective(d, key);
                PolicyItem item;

                if (!l)
                        continue;

                item = item_of(l, key);
                r = blame(policy_key_parse(key, &item, &v, ret_fault), l, ret_fault);
                if (r == 0)
                        r = add_line(p, key, l);
                if (r < 0)
                        goto finish;
        }

        lines = realloc(p->lines, (p->n_lines ?: 1) * sizeof(*lines)); /* most keys are not set */
        p->lines = lines ?: p->lines;

        r = check_match(d, &v, ret_fault);
        if (r < 0)
                goto finish;

        if (!v.filter[0]) {
                r = fault_at(d, NULL, d->filter_line,
                             "[Filter] Name= is missing: name the filter that the device gets, as "
                             "in Name=blksnap.", ret_fault);
                goto finish;
        }

        r = match_new(v.terms, v.n_terms, &p->match);
        if (r == 0 && v.options_path && options)
                r = take_options(&v, options);
        if (r < 0)
                goto finish;

        memcpy(p->filter, v.filter, sizeof(p->filter));
        p->settings = v.settings;
        v.settings = NULL;
        *ret = p;
        p = NULL;

finish:
        policy_values_deinit(&v);
        policy_free(p);
        return r;
}
