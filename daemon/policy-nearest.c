/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "daemon/policy-nearest.h"
#include "daemon/text.h"

static size_t min3(size_t a, size_t b, size_t c) {
        size_t m = a < b ? a : b;

        return m < c ? m : c;
}

/* Letters to insert, drop or change to make @b of @n bytes of @a; case does not count. */
static size_t edit_distance(const char *a, size_t n_a, const char *b) {
        size_t row[NEAREST_MAX + 1], n = strlen(b);

        for (size_t k = 0; k <= n; k++)
                row[k] = k;

        for (size_t i = 1; i <= n_a; i++) {
                size_t diagonal = row[0];

                row[0] = i;

                for (size_t k = 1; k <= n; k++) {
                        size_t above = row[k];

                        row[k] = min3(above + 1, row[k - 1] + 1,
                                      diagonal + (ascii_tolower(a[i - 1]) != ascii_tolower(b[k - 1])));
                        diagonal = above;
                }
        }

        return row[n];
}

/**
 * nearest_begin() - begin a search
 * @x: written whole
 * @given: the misspelt word; @n bytes; borrowed
 * @n: number of bytes
 */
void nearest_begin(Nearest *x, const char *given, size_t n) {
        *x = (Nearest) { .given = given, .n = n < NEAREST_MAX ? n : NEAREST_MAX, .distance = SIZE_MAX };
}

/**
 * nearest_try() - hold a known word against the misspelt one
 * @x: the search
 * @known: at most NEAREST_MAX bytes; borrowed
 */
void nearest_try(Nearest *x, const char *known) {
        size_t distance = edit_distance(x->given, x->n, known);

        if (distance < x->distance) {
                x->distance = distance;
                x->known = known;
        }
}

/**
 * nearest_get() - the word that was meant
 * @x: the search
 *
 * Return: one of those tried, if it is close enough to be a slip of the finger: at most a third of its
 * letters differ, or two of a short one; else NULL.
 */
const char *nearest_get(const Nearest *x) {
        size_t length = x->known ? strlen(x->known) : 0, limit = length / 3;

        return x->distance <= (limit > 2 ? limit : 2) && x->distance < length ? x->known : NULL;
}
