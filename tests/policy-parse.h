/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of a policy's text share: texts that are good, that are bad, and that are written again.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-file.h"
#include "daemon/policy-text.h"
#include "daemon/text.h"

#define UUID "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define MATCH "[Match]\nPartLabel=data\n"
#define FILTER "[Filter]\nName=bfcount\n"

static const char *current = "";

#define CHECK(condition)                                                                        \
        do {                                                                                    \
                if (!(condition)) {                                                             \
                        fprintf(stderr, "%s:%d: \"%s\": %s\n", __FILE__, __LINE__, current, #condition); \
                        abort();                                                                \
                }                                                                               \
        } while (false)

__attribute__((unused)) static int parse(const char *text, Policy **p, PolicyFault *f) {
        *f = POLICY_FAULT_INIT;
        *p = NULL;
        return policy_file_parse(text, strlen(text), "x.conf", "/x.conf", p, f);
}

__attribute__((unused)) static Policy *parse_good(const char *text) {
        PolicyFault f;
        Policy *p;

        current = text;
        if (parse(text, &p, &f) < 0)
                fprintf(stderr, "line %u: %s\n", f.line, f.message);
        CHECK(p);
        return p;
}

/* The text is refused at @line with a sentence that has @message. */
__attribute__((unused)) static void parse_bad(const char *text, unsigned line, const char *message) {
        PolicyFault f;
        Policy *p;

        current = text;
        CHECK(parse(text, &p, &f) == -EINVAL && !p);
        if (f.line != line || !strstr(f.message, message))
                fprintf(stderr, "line %u: %s\n", f.line, f.message);
        CHECK(f.line == line && strstr(f.message, message));
        CHECK(policy_text_is_clean(f.message, strlen(f.message), NULL));
        CHECK(strchr(".?)", f.message[strlen(f.message) - 1]) || strstr(f.message, ": "));
        policy_fault_deinit(&f);
}

/* What a policy becomes when it is written and read again is the policy. */
__attribute__((unused)) static void round_trip(const Policy *p) {
        Policy *again;
        char *text, *text_again;

        current = "a policy written";
        CHECK(policy_to_text(p, NULL, &text) == 0);
        again = parse_good(text);
        CHECK(policy_equal(p, again));
        CHECK(policy_to_text(again, NULL, &text_again) == 0);
        CHECK(strcmp(text, text_again) == 0);
        current = "";
        policy_free(again);
        free(text);
        free(text_again);
}
