/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text: a growing string for the sentences of the core, which may use memory and string
 * functions only (no stdio). An allocation that fails is remembered, not reported at each call:
 * text_steal() tells.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Text {
        char *data; /* NUL-terminated, or NULL while empty */
        size_t length;
        size_t size;
        bool failed; /* an allocation failed: the content is incomplete */
} Text;

#define TEXT_INIT ((Text){ 0 })

void text_deinit(Text *t);
void text_add(Text *t, const char *s);
void text_add_n(Text *t, const char *s, size_t n);
void text_add_u64(Text *t, uint64_t v);
void text_add_hex(Text *t, uint64_t v, unsigned digits);
int text_steal(Text *t, char **ret);

char *hex_put(char *to, uint64_t v, unsigned digits);

char ascii_tolower(char c);
bool ascii_is_hex(char c);
bool ascii_casecmp_equal(const char *a, const char *b);
bool str_equal(const char *a, const char *b);
bool str_copy(char *dst, size_t size, const char *src);
size_t ascii_length(const char *s);
size_t utf8_char_length(const char *s);
bool utf8_is_printable(const char *s);
