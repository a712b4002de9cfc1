/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/explain.h"
#include "daemon/plan.h"
#include "daemon/policy-words.h"
#include "daemon/text.h"

static const char *const verdict_names[_EXPLAIN_VERDICT_MAX] = {
        [EXPLAIN_NO_MATCH] = "no-match",
        [EXPLAIN_MATCH] = "match",
        [EXPLAIN_SHADOWED] = "shadowed",
        [EXPLAIN_LATER] = "later",
};

/**
 * explain_verdict_to_string() - what a policy comes to, as the bus names it
 * @v: a valid verdict
 */
const char *explain_verdict_to_string(ExplainVerdict v) {
        return verdict_names[v];
}

/**
 * explanation_deinit() - release what an explanation owns
 * @e: an explanation, half-built or zeroed; zeroed afterwards
 */
void explanation_deinit(Explanation *e) {
        for (size_t i = 0; i < e->n_policies; i++) {
                for (size_t k = 0; k < e->policies[i].n_keys; k++)
                        free(e->policies[i].keys[k].wanted);
                free(e->policies[i].keys);
        }

        free(e->policies);
        free(e->summary);
        *e = (Explanation) { 0 };
}

/* Where a policy says something of a key; NULL if it was not read from a file. */
static const PolicyLine *find_line(const Policy *p, const char *key) {
        for (size_t i = 0; i < p->n_lines; i++)
                if (str_equal(p->lines[i].section, "Match") && str_equal(p->lines[i].key, key))
                        return &p->lines[i];

        return NULL;
}

/* The terms of one key as a file would have them. */
static int write_terms(const Term *terms, size_t n, char **ret) {
        Text t = TEXT_INIT;

        for (size_t i = 0; i < n; i++) {
                text_add(&t, i > 0 ? " " : "");
                policy_word_write(&t, &terms[i], 0);
        }

        return text_steal(&t, ret);
}

static const char *verdict_in_words(const Term *terms, size_t n, MatchVerdict v, const char *found) {
        bool glob = false;
        size_t n_wanted = 0;

        for (size_t i = 0; i < n; i++)
                if (!terms[i].negated) {
                        glob = terms[i].glob;
                        n_wanted++;
                }

        switch (v) {
        case MATCH_VERDICT_MISSING:
                return "the device has none, or it is not known yet";
        case MATCH_VERDICT_FORBIDDEN:
                return "this must not be";
        case MATCH_VERDICT_DIFFERS:
                return n_wanted > 1 ? "it is none of these" :
                       glob ? "it does not fit the pattern" : "it is another one";
        default:
                break;
        }

        if (n_wanted > 0)
                return n_wanted > 1 ? "it is one of these" : glob ? "it fits the pattern" : "it is this one";

        return found && found[0] ? "it is not what must not be" : "the device has none, and so not what must not be";
}

/* The terms from @i on that are of one key. */
static int explain_key(const Policy *p, size_t i, size_t n, const Facts *f, ExplainedKey *ret) {
        const Term *terms = &p->match->terms[i];
        const char *key = match_key_to_string(terms->key), *found = f->values[terms->key];
        const PolicyLine *line = find_line(p, key);
        MatchVerdict v = match_judge_key(p->match, terms->key, found);

        *ret = (ExplainedKey) {
                .path = line ? line->path : p->path,
                .line = line ? line->line : 0,
                .key = key,
                .found = found ?: "",
                .verdict = verdict_in_words(terms, n, v, found),
                .matches = v == MATCH_VERDICT_HOLDS,
        };

        if (!line)
                return write_terms(terms, n, &ret->wanted);

        ret->wanted = strdup(line->value);
        return ret->wanted ? 0 : -ENOMEM;
}

/* Each key may hold, and the policy mean another kind of device all the same: what it says together decides. */
static int explain_kind(const Policy *p, const Facts *f, ExplainedKey *ret) {
        *ret = (ExplainedKey) {
                .path = p->path,
                .key = "[Match]",
                .wanted = strdup(f->is_partition ? "a whole device" : "a partition"),
                .found = f->is_partition ? "a partition" : "a whole device",
                .verdict = f->is_partition ? "a policy that asks for nothing but the disk means the whole device"
                                           : "a policy that asks for something of a partition means partitions",
        };

        return ret->wanted ? 0 : -ENOMEM;
}

static int explain_policy(const Policy *p, const Facts *f, const Policy *first, ExplainedPolicy *ret) {
        const Match *m = p->match;
        int r = 0;

        ret->policy = p;
        ret->verdict = !match_facts(m, f) ? EXPLAIN_NO_MATCH :
                       p == first ? EXPLAIN_MATCH :
                       str_equal(p->filter, first->filter) ? EXPLAIN_SHADOWED : EXPLAIN_LATER;

        ret->keys = calloc(m->n_terms + 1, sizeof(*ret->keys));
        if (!ret->keys)
                return -ENOMEM;

        if (!match_fits_kind(m, f->is_partition))
                r = explain_kind(p, f, &ret->keys[ret->n_keys++]);

        for (size_t i = 0, n; i < m->n_terms && r == 0; i += n) {
                for (n = 1; i + n < m->n_terms && m->terms[i + n].key == m->terms[i].key; n++)
                        ;

                r = explain_key(p, i, n, f, &ret->keys[ret->n_keys++]);
        }

        return r;
}

static const Policy *find_first(const PolicySet *policies, const Facts *f) {
        for (size_t i = 0; i < policies->n_policies; i++)
                if (match_facts(policies->policies[i]->match, f))
                        return policies->policies[i];

        return NULL;
}

static void add_device(Text *t, const char *name) {
        text_add(t, "/dev/");
        text_add(t, name);
}

static void add_origin(Text *t, const Attachment *a) {
        text_add(t, a->filter);
        if (a->policy_path) {
                text_add(t, ", by the policy ");
                text_add(t, a->policy_path);
        } else
                text_add(t, ", as was asked for by hand");
}

static bool is_told(Device d) {
        return d.partition ? d.partition->settled : d.disk->settled;
}

/* Why there is no attachment, though a policy fits. */
static void add_why_none(Text *t, const Policy *first, Device d, const Facts *f) {
        MatchKey pin;

        text_add(t, "the policy ");
        text_add(t, first->path);
        text_add(t, " fits it, but ");
        text_add(t, !is_told(d) ? "udev has not told all of it yet, so it gets no filter so far" :
                    !facts_find_pin(f, &pin) ? "it has nothing to be recognised by when it comes back, so it gets no"
                                               " filter; give it a partition table with UUIDs" :
                    "its pattern fits more devices than are taken in, so it gets no filter; make the policy narrower");
}

static int summarize(const PolicySet *policies, const Policy *first, Explanation *e) {
        const Attachment *a = e->attachment;
        char reason[ATTACHMENT_REASON_SIZE];
        Text t = TEXT_INIT;

        if (a && a->on_device && a->device_uid == device_uid(e->device)) {
                text_add(&t, "it has the filter ");
                add_origin(&t, a);
                if (a->orphaned)
                        text_add(&t, ", which is gone");
        } else if (device_ignored(e->device)) {
                text_add(&t, "it is left alone, and gets no filter: ");
                text_add(&t, device_ignored(e->device));
        } else if (a && a->on_device) {
                text_add(&t, "it gets no filter: ");
                add_device(&t, a->device);
                text_add(&t, " has the same identity, and the filter ");
                add_origin(&t, a);
        } else if (a) {
                text_add(&t, a->orphaned ? "it gets no filter: it had " : "it is meant to get the filter ");
                add_origin(&t, a);
                text_add(&t, "; ");
                text_add(&t, attachment_state_to_string(a->state));
                text_add(&t, ": ");
                text_add(&t, attachment_get_reason(a, reason));
        } else if (first)
                add_why_none(&t, first, e->device, &e->facts);
        else {
                text_add(&t, policies->n_policies > 0 ? "no policy fits it, so it gets no filter" :
                             "there is no policy, so it gets no filter");
                if (!is_told(e->device))
                        text_add(&t, "; udev has not told all of it yet");
        }

        return text_steal(&t, &e->summary);
}

/**
 * world_explain() - what the policies make of a device
 * @w: the world
 * @policies: those in force; borrowed until @ret is released
 * @d: a device that is there; borrowed likewise
 * @ret: written whole on success, zeroed on failure; explanation_deinit()
 *
 * Return: 0, or -ENOMEM.
 */
int world_explain(const World *w, const PolicySet *policies, Device d, Explanation *ret) {
        const Policy *first;
        int r = 0;

        *ret = (Explanation) { .device = d, .attachment = world_find_attachment(w, NULL, d) };
        device_facts(d, &ret->facts);
        first = find_first(policies, &ret->facts);

        ret->policies = calloc(policies->n_policies + 1, sizeof(*ret->policies));
        if (!ret->policies)
                r = -ENOMEM;

        for (size_t i = 0; i < policies->n_policies && r == 0; i++) {
                r = explain_policy(policies->policies[i], &ret->facts, first, &ret->policies[i]);
                ret->n_policies++;
        }

        if (r == 0)
                r = summarize(policies, first, ret);
        if (r < 0)
                explanation_deinit(ret);

        return r;
}
