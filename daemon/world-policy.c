/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From policies to attachments. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan.h"
#include "daemon/text.h"

/*
 * The identity number @i that a policy names, from 0. A policy names as many as its strongest key has exact
 * values. 0; -ENOENT if it has no such, a policy with a pattern none at all; or -ENOMEM.
 */
static int policy_get_identity(const Policy *p, size_t i, Match **ret) {
        MatchKey key;

        if (!match_find_list(p->match, &key))
                return -ENOENT;

        for (size_t k = 0; k < p->match->n_terms; k++) {
                const Term *t = &p->match->terms[k];

                if (t->key == key && !t->negated && i-- == 0)
                        return match_with(p->match, key, t->value, ret);
        }

        return -ENOENT;
}

/* The id of its attachment on that. As policy_get_identity(). */
static int policy_make_id(const Policy *p, size_t i, char ret[static ATTACHMENT_ID_SIZE]) {
        Match *match;
        int r = policy_get_identity(p, i, &match);

        if (r < 0)
                return r;

        r = attachment_make_id(p->filter, match, ret);
        match_unref(match);
        return r;
}

/* Whether the file that an attachment came from is there, but wrong. */
static bool has_error(const PolicySet *policies, const char *path) {
        const char *slash = path ? strrchr(path, '/') : NULL;

        for (size_t i = 0; slash && i < policies->n_errors; i++) {
                const PolicyError *e = &policies->errors[i];

                /* the error may be in a drop-in, or be of a folder */
                if (!e->is_warning && (str_equal(e->path, path) || (e->name && str_equal(e->name, slash + 1))))
                        return true;
        }

        return false;
}

static void attachment_take_policy(Attachment *a, const Policy *p, size_t rank) {
        if (a->orphaned || a->source != ATTACHMENT_SOURCE_POLICY || !a->policy_path ||
            !str_equal(a->policy_path, p->path))
                attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);

        shared_set(&a->policy_path, p->path);
        settings_unref(a->settings);
        a->settings = settings_ref(p->settings);
        a->source = ATTACHMENT_SOURCE_POLICY;
        a->orphaned = false;
        a->wanted = true;
        a->rank = rank;
        a->retry_at_usec = 0;
        a->n_failures = a->n_locked = 0;
        attachment_touch(a);
}

/* What an attachment has to be is kept as the policy has it, and not as a record had. */
static void attachment_share_match(Attachment *a, const Match *match) {
        if (a->match == match || !match_equal(a->match, match))
                return;

        match_unref(a->match);
        a->match = match_ref(match);
}

/* The attachment of a policy on an identity, made if need be. */
static int world_want(World *w, const Policy *p, const Match *match, size_t rank, Attachment **ret) {
        char id[ATTACHMENT_ID_SIZE];
        Attachment *a;
        int r;

        r = attachment_make_id(p->filter, match, id);
        if (r < 0)
                return r;

        a = attachment_set_get(&w->attachments, id);
        if (!a) {
                r = attachment_new(p->filter, match, ATTACHMENT_SOURCE_POLICY, &a);
                if (r < 0)
                        return r;

                r = world_add_attachment(w, a);
                if (r < 0) {
                        attachment_free(a);
                        return r;
                }
        }

        if (!a->wanted) {
                attachment_share_match(a, match);
                attachment_take_policy(a, p, rank);
        }

        *ret = a;
        return 0;
}

/* Which of the policies that have been looked at wants the attachment with that id; NULL: none. */
static const Policy *find_seen(const Index *seen, const char *id) {
        char other[ATTACHMENT_ID_SIZE];

        for (const IndexItem *i = index_first(seen, index_key(0, id)); i; i = index_next(i))
                if (policy_make_id(i->owner, i->detail, other) == 0 && str_equal(other, id))
                        return i->owner;

        return NULL;
}

/**
 * world_find_shadowed() - say which policies can have no effect
 * @policies: the set; gets an error for each policy that wants only what earlier ones want already
 *
 * Return: 0, or -ENOMEM.
 */
int world_find_shadowed(PolicySet *policies) {
        Index seen = { 0 };
        int r = 0;

        for (size_t i = 0; i < policies->n_policies && r == 0; i++) {
                Policy *p = policies->policies[i];
                const Policy *first = NULL;
                bool shadowed = true;
                size_t n = 0;

                for (;; n++) {
                        char id[ATTACHMENT_ID_SIZE];
                        const Policy *other;

                        r = policy_make_id(p, n, id);
                        if (r < 0)
                                break;

                        other = find_seen(&seen, id);
                        if (other)
                                first = other;
                        else {
                                shadowed = false;
                                r = index_add(&seen, index_key(0, id), p, (unsigned) n);
                                if (r < 0)
                                        break;
                        }
                }

                if (r == -ENOENT)
                        r = 0;

                if (r == 0 && n > 0 && shadowed && first != p) {
                        Text t = TEXT_INIT;
                        char *message;

                        text_add(&t, first->path);
                        text_add(&t, " comes first and wants the same filter on the same device, so this file has no"
                                     " effect; remove one of the two.");
                        r = text_steal(&t, &message);
                        if (r == 0) {
                                r = policy_set_add_error(policies, p->path, 0, message, false);
                                free(message);
                        }
                }
        }

        index_deinit(&seen);
        return r;
}

/**
 * attachment_leave_policy() - wanted at run time, and by no policy
 * @a: the attachment
 */
void attachment_leave_policy(Attachment *a) {
        shared_set(&a->policy_path, NULL);
        a->source = ATTACHMENT_SOURCE_RUNTIME;
        a->asked = true;
        a->orphaned = false;
        a->is_instance = false;
        a->rank = 0;
        attachment_touch(a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);
}

/* Whether an instance is still one of a policy's. */
static int is_instance_of(const Attachment *a, const Policy *p) {
        Match *match;
        bool equal;
        int r;

        if (!str_equal(a->filter, p->filter))
                return false;

        r = match_with(p->match, a->pin, match_get_value(a->match, a->pin), &match);
        if (r < 0)
                return r;

        equal = match_equal(match, a->match);
        match_unref(match);
        return equal;
}

static int world_set_patterns(World *w, const PolicySet *policies) {
        Pattern *patterns = calloc(policies->n_policies + 1, sizeof(*patterns));
        size_t n = 0;
        MatchKey key;

        if (!patterns)
                return -ENOMEM;

        for (size_t i = 0; i < policies->n_policies; i++)
                if (!match_find_list(policies->policies[i]->match, &key))
                        patterns[n++] = (Pattern) { .policy = policies->policies[i], .rank = i + 1 };

        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                for (size_t k = 0; k < n && a->is_instance && !a->wanted; k++) {
                        int r = is_instance_of(a, patterns[k].policy);

                        if (r > 0) {
                                patterns[k].n_instances++;
                                attachment_take_policy(a, patterns[k].policy, patterns[k].rank);
                        }
                        if (r < 0) {
                                free(patterns);
                                return r;
                        }
                }
        }

        /* only now that nothing can fail any more: the old ones point into the policies that were in force */
        free(w->patterns);
        w->patterns = patterns;
        w->n_patterns = n;
        return 0;
}

static int world_want_all(World *w, const PolicySet *policies) {
        for (size_t i = 0; i < policies->n_policies; i++)
                for (size_t n = 0;; n++) {
                        Attachment *a;
                        Match *match;
                        int r;

                        r = policy_get_identity(policies->policies[i], n, &match);
                        if (r == -ENOENT)
                                break;
                        if (r < 0)
                                return r;

                        r = world_want(w, policies->policies[i], match, i + 1, &a);
                        match_unref(match);
                        if (r < 0)
                                return r;

                        /* named by a file it stays, whether its device is there or not */
                        a->is_instance = false;
                }

        return 0;
}

/**
 * world_set_policies() - bring the attachments in line with a set of policies
 * @w: the world
 * @policies: the set in force from now on; borrowed until the next call
 *
 * A policy that is new gets its attachments: one for each identity that it names, or one for each device
 * that its pattern fits, when that comes. One that is gone leaves its attachments *orphaned*:
 * what it attached stays, for breaking a file must not cost a change map. One that was asked for
 * at run time too is what it was before. One whose file is wrong is kept: after a restart what was
 * recorded of it is its last good version. The caller removes orphans that are on no device. Of two
 * policies for the same filter and identity the first counts.
 *
 * Return: 0, or -ENOMEM: some attachments are as before; call again.
 */
int world_set_policies(World *w, const PolicySet *policies) {
        int r;

        for (size_t i = 0; i < w->attachments.n_items; i++)
                w->attachments.items[i]->wanted = false;

        r = world_want_all(w, policies);
        if (r >= 0)
                r = world_set_patterns(w, policies);
        if (r < 0)
                return r;

        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                if (a->source != ATTACHMENT_SOURCE_POLICY || a->orphaned || a->wanted)
                        continue;

                if (has_error(policies, a->policy_path)) {
                        a->rank = policies->n_policies + 1;
                        continue;
                }

                if (a->asked)
                        attachment_leave_policy(a);
                else {
                        a->orphaned = true;
                        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);
                }
        }

        world_touch_all(w);
        return 0;
}

/* Makes the attachments of a device that patterns fit and that has none yet. */
static int make_instances_of(World *w, Device d) {
        Facts f;

        device_facts(d, &f);

        for (size_t i = 0; i < w->n_patterns; i++) {
                Pattern *p = &w->patterns[i];
                size_t n = w->attachments.n_items;
                Attachment *a;
                MatchKey pin;
                Match *match;
                int r;

                if (!match_facts(p->policy->match, &f) || !facts_find_pin(&f, &pin))
                        continue;

                if (p->n_instances >= PATTERN_INSTANCES_MAX) {
                        w->n_refused++;
                        continue;
                }

                r = match_with(p->policy->match, pin, f.values[pin], &match);
                if (r < 0)
                        return r;

                r = world_want(w, p->policy, match, p->rank, &a);
                match_unref(match);
                if (r < 0)
                        return r;

                if (w->attachments.n_items > n) {
                        a->is_instance = true;
                        a->pin = pin;
                        p->n_instances++;
                        world_touch_rivals(w, a);
                }
        }

        return 0;
}

/**
 * world_make_instances() - see which devices of a disk a policy's pattern fits
 * @w: the world; gets an attachment for each that has none yet, and other disks that it may be on are touched
 * @d: the disk
 *
 * Only of devices that udev has told all of.
 *
 * Return: 0, or -ENOMEM: some may be missing.
 */
int world_make_instances(World *w, Disk *d) {
        int r = 0;

        if (w->n_patterns == 0 || !d->known || d->ignored)
                return 0;

        if (d->settled)
                r = make_instances_of(w, (Device) { d, NULL });

        for (size_t i = 0; i < d->n_partitions && r >= 0; i++)
                if (d->partitions[i]->settled && !d->partitions[i]->ignored)
                        r = make_instances_of(w, (Device) { d, d->partitions[i] });

        return r;
}

/**
 * attachment_is_superfluous() - whether nobody wants an attachment, and it is on nothing
 * @a: the attachment
 *
 * A hold is an administrator's word, and stays: the policy may come back. An instance of a pattern is
 * worth nothing before it was attached, if its device is not there.
 */
bool attachment_is_superfluous(const Attachment *a) {
        if (a->on_device || a->job || a->hold_job || a->held || a->noted_object || a->left_object)
                return false;

        return a->orphaned || (a->is_instance && a->absent && !a->has_fingerprint);
}

/**
 * world_remove_attachment() - forget an attachment
 * @w: the world
 * @a: an attachment of it; consumed. What may have waited for it to go is looked at again
 */
void world_remove_attachment(World *w, Attachment *a) {
        /* an orphan's policy has not counted it */
        for (size_t k = 0; k < w->n_patterns && a->is_instance && !a->orphaned; k++)
                if (w->patterns[k].n_instances > 0 && a->policy_path &&
                    str_equal(w->patterns[k].policy->path, a->policy_path))
                        w->patterns[k].n_instances--;

        world_touch_rivals(w, a);
        attachment_set_remove(&w->attachments, a);
}
