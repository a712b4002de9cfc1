/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"

/**
 * text_deinit() - release what a text holds
 * @t: the text; may be TEXT_INIT or stolen from
 */
void text_deinit(Text *t) {
        free(t->data);
        *t = TEXT_INIT;
}

/**
 * text_add_n() - append bytes
 * @t: the text
 * @s: at least @n bytes without a NUL among them; borrowed
 * @n: number of bytes
 */
void text_add_n(Text *t, const char *s, size_t n) {
        if (t->failed)
                return;

        if (t->length + n + 1 > t->size) {
                size_t size = (t->length + n + 1) * 2;
                char *data = realloc(t->data, size);

                if (!data) {
                        t->failed = true;
                        return;
                }

                t->data = data;
                t->size = size;
        }

        memcpy(t->data + t->length, s, n);
        t->length += n;
        t->data[t->length] = 0;
}

/**
 * text_add() - append a string
 * @t: the text
 * @s: NUL-terminated; borrowed
 */
void text_add(Text *t, const char *s) {
        text_add_n(t, s, strlen(s));
}

/**
 * text_add_u64() - append a number in decimal
 * @t: the text
 * @v: the number
 */
void text_add_u64(Text *t, uint64_t v) {
        char buf[20];
        size_t i = sizeof(buf);

        do {
                buf[--i] = (char) ('0' + v % 10);
                v /= 10;
        } while (v > 0);

        text_add_n(t, buf + i, sizeof(buf) - i);
}

/**
 * text_add_hex() - append a number in lower-case hexadecimal
 * @t: the text
 * @v: the number
 * @digits: how many digits, leading zeros included, at most 16
 */
void text_add_hex(Text *t, uint64_t v, unsigned digits) {
        char buf[16];

        text_add_n(t, buf, (size_t) (hex_put(buf, v, digits) - buf));
}

/**
 * hex_put() - write a number in lower-case hexadecimal
 * @to: gets @digits bytes, and no NUL
 * @v: the number
 * @digits: how many digits, leading zeros included, at most 16
 *
 * Return: what is behind them.
 */
char *hex_put(char *to, uint64_t v, unsigned digits) {
        static const char table[] = "0123456789abcdef";

        while (digits-- > 0)
                *to++ = table[(v >> (digits * 4)) & 15];

        return to;
}

/**
 * text_steal() - take the finished string out of a text
 * @t: the text; it is TEXT_INIT afterwards
 * @ret: set to the NUL-terminated string, never NULL; owned by the caller, free()
 *
 * Return: 0, or -ENOMEM if any of the allocations failed.
 */
int text_steal(Text *t, char **ret) {
        char *data;

        text_add_n(t, "", 0);

        if (t->failed) {
                text_deinit(t);
                return -ENOMEM;
        }

        /* many are kept for long, and it has grown by doubling */
        data = realloc(t->data, t->length + 1);
        *ret = data ?: t->data;
        *t = TEXT_INIT;
        return 0;
}

/**
 * ascii_tolower() - lower-case one letter, whatever the locale
 * @c: any character
 *
 * Return: the lower-case letter for A to Z, else @c.
 */
char ascii_tolower(char c) {
        return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/**
 * ascii_is_hex() - whether a character is a hexadecimal digit, whatever the locale
 * @c: any character
 */
bool ascii_is_hex(char c) {
        c = ascii_tolower(c);
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/**
 * ascii_casecmp_equal() - whether two strings are equal but for the case of A to Z
 * @a: NUL-terminated
 * @b: NUL-terminated
 */
bool ascii_casecmp_equal(const char *a, const char *b) {
        for (; *a && *b; a++, b++)
                if (ascii_tolower(*a) != ascii_tolower(*b))
                        return false;

        return *a == *b;
}

/**
 * str_equal() - whether two strings are equal
 * @a: NUL-terminated
 * @b: NUL-terminated
 */
bool str_equal(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/**
 * str_copy() - copy a string into a buffer of fixed size, whole or not at all
 * @dst: at least @size bytes; "" if the string does not fit
 * @size: bytes in @dst, at least 1
 * @src: NUL-terminated; borrowed
 *
 * Return: whether it fitted.
 */
bool str_copy(char *dst, size_t size, const char *src) {
        size_t n = strlen(src);

        if (n >= size) {
                dst[0] = 0;
                return false;
        }

        memcpy(dst, src, n + 1);
        return true;
}

/**
 * ascii_length() - how much of a string is plain
 * @s: NUL-terminated, any content
 *
 * Most of what there is: whoever looks at characters one by one passes over it first.
 *
 * Return: bytes at the start that are printable ASCII, blanks included.
 */
size_t ascii_length(const char *s) {
        const unsigned char *p = (const unsigned char *) s;

        while (*p >= 0x20 && *p < 0x7f)
                p++;

        return (size_t) (p - (const unsigned char *) s);
}

/**
 * utf8_char_length() - how long the character at the start of a string is
 * @s: NUL-terminated, any content
 *
 * Return: 1 to 4 bytes; 0 if no valid character of UTF-8 stands there, or the end.
 */
size_t utf8_char_length(const char *s) {
        const unsigned char *p = (const unsigned char *) s;
        unsigned n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 :
                     *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
        unsigned c = n == 2 ? *p & 0x1f : n == 3 ? *p & 0x0f : *p & 0x07;

        if (n == 0 || *p == 0)
                return 0;

        for (unsigned i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }

        /* written longer than it need be, half of a pair of UTF-16, or beyond Unicode */
        if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
                return 0;

        return n;
}

/**
 * utf8_is_printable() - whether a string can stand in a line, and be told on the bus
 * @s: NUL-terminated, any content
 *
 * Return: false if it has control bytes, or is not valid UTF-8.
 */
bool utf8_is_printable(const char *s) {
        while (*s) {
                size_t n = utf8_char_length(s);

                if (n == 0 || (unsigned char) *s < 0x20 || *s == 0x7f)
                        return false;

                s += n;
        }

        return true;
}
