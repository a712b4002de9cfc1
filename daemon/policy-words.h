/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The words of which the values of [Match] are made: "!" in front negates one, "\xHH" is the byte of
 * that code, and "*", "?" and "[a-z]" make a pattern of it. Pure.
 *
 * An escaped byte always stands for itself, so every name can be written: a "!" that it begins with as
 * "\x21", a star in it as "\x2a", a blank between the words of a list as "\x20".
 */

#include "daemon/match.h"
#include "daemon/text.h"

typedef struct PolicyWord {
        bool negated;
        bool glob;             /* value is a pattern as of fnmatch(3), no flags */
        char value[FACT_SIZE]; /* not empty; without the escapes */
} PolicyWord;

bool policy_word_next(const char **s, const char **ret, size_t *ret_n);
int policy_word_parse(const char *s, size_t n, PolicyWord *ret, const char **ret_why);
bool policy_word_is_utf8(const char *s);
void policy_word_write(Text *t, const Term *term, char quote);
