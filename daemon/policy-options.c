/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-options.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned hex_value(char c) {
        c = ascii_tolower(c);
        return (unsigned) (c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Two digits a byte. The number of bytes, or -EINVAL. */
static long parse_hex(const char *s, uint8_t *ret) {
        long n = 0;

        for (; *s; s += 2) {
                if (!ascii_is_hex(s[0]) || !ascii_is_hex(s[1]))
                        return -EINVAL;

                ret[n++] = (uint8_t) (hex_value(s[0]) << 4 | hex_value(s[1]));
        }

        return n;
}

/* As RFC 4648 has it, padded, no bit set that is not used. The number of bytes, or -EINVAL. */
static long parse_base64(const char *s, uint8_t *ret) {
        size_t length = strlen(s), n_pad = 0;
        long n = 0;

        if (length % 4 != 0)
                return -EINVAL;

        while (n_pad < 2 && n_pad < length && s[length - n_pad - 1] == '=')
                n_pad++;

        for (size_t i = 0; i < length; i += 4) {
                size_t n_digits = i + 4 == length ? 4 - n_pad : 4;
                uint32_t v = 0;

                for (size_t k = 0; k < 4; k++) {
                        const char *digit = k < n_digits ? strchr(base64_digits, s[i + k]) : base64_digits;

                        if (!digit)
                                return -EINVAL;

                        v = v << 6 | (uint32_t) (digit - base64_digits);
                }

                if (v & ((UINT32_C(1) << (8 * (4 - n_digits))) - 1))
                        return -EINVAL;

                for (size_t k = 0; k + 1 < n_digits; k++)
                        ret[n++] = (uint8_t) (v >> (16 - 8 * k));
        }

        return n;
}

/**
 * options_parse() - the bytes that a value stands for
 * @value: NUL-terminated, any content
 * @ret: owned by the caller, free(); NULL for no bytes
 * @ret_size: number of bytes, at most POLICY_OPTIONS_MAX
 *
 * Return: 0, -EINVAL if it is neither "hex:" nor "base64:" with digits of the kind, -E2BIG if there are too
 * many of them, or -ENOMEM.
 */
int options_parse(const char *value, uint8_t **ret, size_t *ret_size) {
        static const char hex[] = "hex:", base64[] = "base64:";
        bool is_hex = strncmp(value, hex, strlen(hex)) == 0;
        const char *digits;
        uint8_t *data;
        long n;

        if (!is_hex && strncmp(value, base64, strlen(base64)) != 0)
                return -EINVAL;

        digits = value + (is_hex ? strlen(hex) : strlen(base64));
        if (strlen(digits) > 2 * POLICY_OPTIONS_MAX)
                return -E2BIG;

        data = malloc(2 * POLICY_OPTIONS_MAX); /* no fewer digits than bytes */
        if (!data)
                return -ENOMEM;

        n = is_hex ? parse_hex(digits, data) : parse_base64(digits, data);

        if (n <= 0 || n > POLICY_OPTIONS_MAX) {
                free(data);
                if (n != 0)
                        return n < 0 ? -EINVAL : -E2BIG;

                data = NULL;
        }

        *ret = data;
        *ret_size = (size_t) n;
        return 0;
}

/**
 * options_write() - append options as options_parse() reads them
 * @t: the text
 * @data: @size bytes; borrowed
 * @size: number of bytes
 *
 * In base64, which is the shorter one.
 */
void options_write(Text *t, const uint8_t *data, size_t size) {
        text_add(t, "base64:");

        for (size_t i = 0; i < size; i += 3) {
                uint32_t v = (uint32_t) data[i] << 16;

                v |= i + 1 < size ? (uint32_t) data[i + 1] << 8 : 0;
                v |= i + 2 < size ? data[i + 2] : 0;
                text_add_n(t, &base64_digits[v >> 18 & 63], 1);
                text_add_n(t, &base64_digits[v >> 12 & 63], 1);
                text_add_n(t, i + 1 < size ? &base64_digits[v >> 6 & 63] : "=", 1);
                text_add_n(t, i + 2 < size ? &base64_digits[v & 63] : "=", 1);
        }
}
