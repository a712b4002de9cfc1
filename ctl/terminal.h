/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines that fit the terminal. */

#include <stddef.h>
#include <stdio.h>

size_t terminal_columns(FILE *f);
size_t text_columns(const char *s, size_t n);
char *text_cut(const char *s, size_t columns);
int text_print(FILE *f, size_t indent, const char *format, ...) __attribute__((format(printf, 3, 4)));
int say(const char *format, ...) __attribute__((format(printf, 1, 2)));
