/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policies, their settings, and sets of them: order, doubles, errors, copies. */

#undef NDEBUG

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy.h"
#include "daemon/shared.h"
#include "daemon/text.h"

#define CHECK(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s(): %s\n", __FILE__, __LINE__, __func__, #condition); \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define CHECK_STR(got, wanted) CHECK(str_equal(got, wanted))

#define UUID_X "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define UUID_Y "b921b045-1df0-41c3-af44-4c6f280d3fae"

static Policy *policy_of(const char *name, const char *filter, const char *uuid) {
        Policy *p = calloc(1, sizeof(*p));

        CHECK(p);
        p->name = strdup(name);
        p->path = shared_new(name);
        CHECK(settings_new(&p->settings) == 0 && match_new_one(MATCH_PART_UUID, uuid, &p->match) == 0);
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

        p->lines = calloc(2, sizeof(*p->lines));
        CHECK(p->lines);
        for (unsigned i = 0; i < 2; i++) {
                p->lines[i] = (PolicyLine) { "Match", "PartUUID", strdup(UUID_X), shared_new("/a.conf"), i + 1 };
                p->n_lines++;
                CHECK(p->lines[i].value && p->lines[i].path);
        }

        CHECK(policy_copy(p, &copy) == 0);
        CHECK(copy->name != p->name);

        /* what cannot change is shared, the rest is not */
        CHECK(copy->path == p->path && copy->match == p->match && p->match->n_refs == 2);
        CHECK(copy->settings == p->settings && p->settings->n_refs == 2);
        p->name[0] = 'b';
        p->lines[1].value[0] = 'x';
        policy_free(p);
        CHECK(copy->match->n_refs == 1 && copy->settings->n_refs == 1);
        CHECK_STR(copy->name, "a.conf");
        CHECK_STR(match_get_value(copy->match, MATCH_PART_UUID), UUID_X);
        CHECK_STR(copy->filter, "bftrack");
        CHECK(copy->n_lines == 2 && copy->lines[1].line == 2);
        CHECK_STR(copy->lines[1].value, UUID_X);
        CHECK_STR(copy->lines[1].path, "/a.conf");
        policy_free(copy);
}

static Settings *settings_with(const uint8_t *options, size_t size) {
        Settings *s;

        CHECK(settings_new(&s) == 0);
        if (size > 0) {
                s->options = malloc(size);
                CHECK(s->options);
                memcpy(s->options, options, size);
                s->options_size = size;
        }

        return s;
}

static void test_settings(void) {
        static const uint8_t options[] = { 1, 0, 2 }, other[] = { 1, 0, 3 };
        Settings *a = settings_with(NULL, 0), *b = settings_with(NULL, 0), *shared;

        CHECK(a->n_refs == 1 && a->on == POLICY_ON_ALL && !a->refuse_change && !a->ignore_conflict);
        CHECK(a->retry_usec == POLICY_RETRY_USEC_DEFAULT && a->timeout_usec == POLICY_TIMEOUT_USEC_DEFAULT);
        CHECK(!a->module[0] && !a->options && a->options_size == 0);
        CHECK(settings_equal(a, a) && settings_equal(a, b));

        b->on = POLICY_ON_BOOT;
        CHECK(!settings_equal(a, b));
        b->on = a->on;
        b->refuse_change = true;
        CHECK(!settings_equal(a, b));
        b->refuse_change = false;
        b->ignore_conflict = true;
        CHECK(!settings_equal(a, b));
        b->ignore_conflict = false;
        b->retry_usec++;
        CHECK(!settings_equal(a, b));
        b->retry_usec--;
        b->timeout_usec++;
        CHECK(!settings_equal(a, b));
        b->timeout_usec--;
        b->module[0] = 'x';
        CHECK(!settings_equal(a, b));
        settings_unref(b);

        b = settings_with(options, sizeof(options));
        CHECK(!settings_equal(a, b));
        settings_unref(a);
        a = settings_with(options, sizeof(options));
        CHECK(settings_equal(a, b));
        settings_unref(a);
        a = settings_with(options, sizeof(options) - 1);
        CHECK(!settings_equal(a, b));
        settings_unref(a);
        a = settings_with(other, sizeof(other));
        CHECK(!settings_equal(a, b));
        settings_unref(a);

        shared = settings_ref(b);
        CHECK(shared == b && b->n_refs == 2);
        CHECK(!settings_unref(b) && shared->n_refs == 1 && shared->options[2] == 2);
        CHECK(!settings_unref(shared));
        CHECK(!settings_ref(NULL) && !settings_unref(NULL));
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
        CHECK_STR(s->errors[1].name, "a.conf");
        CHECK(!s->errors[0].is_warning);

        CHECK(policy_set_note(s, &(PolicyError) { .path = message, .message = message, .is_warning = true }) == 0);
        message[0] = 'Y';
        CHECK(!s->errors[2].name && s->errors[2].is_warning && s->errors[2].path[0] == 'X');
        policy_set_free(s);
}

int main(void) {
        test_order();
        test_free_nothing();
        test_copy();
        test_settings();
        test_errors();
        return EXIT_SUCCESS;
}
