/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The known word that a misspelt one was probably meant to be. Pure.
 */

#include <stddef.h>

typedef struct Nearest {
        const char *given; /* borrowed */
        size_t n;          /* bytes of it; only the first NEAREST_MAX count */
        const char *known; /* the nearest so far, borrowed; NULL none */
        size_t distance;
} Nearest;

#define NEAREST_MAX 64

void nearest_begin(Nearest *x, const char *given, size_t n);
void nearest_try(Nearest *x, const char *known);
const char *nearest_get(const Nearest *x);
