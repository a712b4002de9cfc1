/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sets of policies: order, doubles, errors, copies; and what a reload makes of attachments. */

#undef NDEBUG

#include <errno.h>

#include "tests/test.h"

static Policy *policy_of(const char *name, const char *filter, const char *uuid) {
        Policy *p = calloc(1, sizeof(*p));

        CHECK(p);
        p->name = strdup(name);
        p->path = strdup(name);
        p->match = match_of(uuid, "");
        p->retry_usec = POLICY_RETRY_USEC_DEFAULT;
        CHECK(p->name && p->path && str_copy(p->filter, sizeof(p->filter), filter));
        return p;
}

static void test_order(void) {
        static const char *const names[] = { "50-m.conf", "10-z.conf", "9-a.conf", "10-a.conf", "a.conf", "B.conf" };
        static const char *const sorted[] = { "10-a.conf", "10-z.conf", "50-m.conf", "9-a.conf", "B.conf", "a.conf" };
        PolicySet *s = policy_set_new();
        Policy *again;

        CHECK(s && s->n_policies == 0 && !policy_set_get(s, "a.conf"));

        for (size_t i = 0; i < 6; i++)
                CHECK(policy_set_add(s, policy_of(names[i], "bftrack", UUID_X)) == 0);
        for (size_t i = 0; i < 6; i++) {
                CHECK_STR(s->policies[i]->name, sorted[i]);
                CHECK(policy_set_get(s, sorted[i]) == s->policies[i]);
        }
        CHECK(!policy_set_get(s, "") && !policy_set_get(s, "10-a") && !policy_set_get(s, "zz"));

        /* one that is refused stays the caller's */
        again = policy_of("10-z.conf", "bfcount", UUID_Y);
        CHECK(policy_set_add(s, again) == -EEXIST && s->n_policies == 6);
        policy_free(again);
        CHECK_STR(policy_set_get(s, "10-z.conf")->filter, "bftrack");
        policy_set_free(s);
}

static void test_free_nothing(void) {
        CHECK(!policy_free(NULL));
        CHECK(!policy_free(calloc(1, sizeof(Policy))));
        CHECK(!policy_set_free(NULL));
}

static void test_copy(void) {
        Policy *p = policy_of("a.conf", "bftrack", UUID_X), *copy = NULL;

        CHECK(policy_copy(p, &copy) == 0);
        CHECK(copy->name != p->name && copy->path != p->path);
        p->name[0] = 'b';
        p->match = match_of(UUID_Y, "");
        CHECK_STR(copy->name, "a.conf");
        CHECK_STR(copy->match.part_uuid, UUID_X);
        CHECK_STR(copy->filter, "bftrack");
        CHECK(copy->retry_usec == POLICY_RETRY_USEC_DEFAULT);
        policy_free(p);
        policy_free(copy);
}

static void test_errors(void) {
        PolicySet *s = policy_set_new();
        char message[] = "expected a UUID.";

        CHECK(s && policy_set_add_error(s, "/etc/b.conf", 3, message, false) == 0);
        message[0] = 'X';
        CHECK(policy_set_add_error(s, "/etc/a.conf", 0, "is a directory.", true) == 0);
        CHECK(s->n_errors == 2 && s->n_policies == 0);
        CHECK_STR(s->errors[0].path, "/etc/b.conf");
        CHECK_STR(s->errors[0].message, "expected a UUID.");
        CHECK(s->errors[0].line == 3 && !s->errors[0].kept_last);
        CHECK(s->errors[1].line == 0 && s->errors[1].kept_last);
        policy_set_free(s);
}

/* A reload: what is new, what stays, what is gone, what changed its words only. */
static void test_reload(void) {
        PolicySet *one = policy_set_new(), *two = policy_set_new();
        Attachment *x, *y, *z;
        World w = { 0 };
        char id[ATTACHMENT_ID_SIZE];
        Policy *p;
        Match m;

        CHECK(one && two);
        CHECK(policy_set_add(one, policy_of("1.conf", "bftrack", UUID_X)) == 0);
        CHECK(policy_set_add(one, policy_of("2.conf", "bftrack", UUID_Y)) == 0);
        CHECK(world_set_policies(&w, one) == 0 && w.attachments.n_items == 2);

        m = match_of(UUID_X, "");
        CHECK(attachment_make_id("bftrack", &m, id) == 0);
        x = attachment_set_get(&w.attachments, id);
        m = match_of(UUID_Y, "");
        CHECK(attachment_make_id("bftrack", &m, id) == 0);
        y = attachment_set_get(&w.attachments, id);
        CHECK(x && y && x->rank == 1 && y->rank == 2);
        CHECK(x->changed & ATTACHMENT_CHANGED_ADDED && x->source == ATTACHMENT_SOURCE_POLICY);
        CHECK_STR(y->policy_path, "2.conf");

        /* the same again: no news */
        x->changed = y->changed = 0;
        CHECK(world_set_policies(&w, one) == 0 && w.attachments.n_items == 2);
        CHECK(x->changed == 0 && y->changed == 0);

        /* 1.conf is gone, 2.conf has a label and another delay, 3.conf is new; by name it comes first */
        p = policy_of("2.conf", "bftrack", UUID_Y);
        p->match = match_of(UUID_Y, "data");
        p->retry_usec = POLICY_RETRY_USEC_MAX;
        CHECK(policy_set_add(two, p) == 0);
        CHECK(policy_set_add(two, policy_of("0.conf", "bfcount", UUID_Z)) == 0);
        CHECK(world_set_policies(&w, two) == 0 && w.attachments.n_items == 3);
        CHECK(x->orphaned && x->changed & ATTACHMENT_CHANGED_STATE);
        CHECK(!y->orphaned && y->rank == 2 && y->retry_usec == POLICY_RETRY_USEC_MAX);
        CHECK_STR(y->match.part_label, "data");
        CHECK(y->changed & ATTACHMENT_CHANGED_RECORD);
        m = match_of(UUID_Z, "");
        CHECK(attachment_make_id("bfcount", &m, id) == 0);
        z = attachment_set_get(&w.attachments, id);
        CHECK(z && z->rank == 1);

        /* and back: the same attachment, not a second one */
        CHECK(world_set_policies(&w, one) == 0 && w.attachments.n_items == 3);
        CHECK(!x->orphaned && z->orphaned && x->rank == 1);
        CHECK_STR(y->match.part_label, "");

        policy_set_free(one);
        policy_set_free(two);
        world_deinit(&w);
}

int main(void) {
        test_order();
        test_free_nothing();
        test_copy();
        test_errors();
        test_reload();
        return EXIT_SUCCESS;
}
