/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks that say where they failed, for tests that need no scripted world (test.h). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s(): %s\n", __FILE__, __LINE__, __func__, #condition); \
                        abort();                                                        \
                }                                                                       \
        } while (0)

#define CHECK_STR(got, wanted)                                                          \
        do {                                                                            \
                const char *got_ = (got), *wanted_ = (wanted);                          \
                got_ = got_ ?: "(null)";                                                \
                if (strcmp(got_, wanted_) != 0) {                                       \
                        fprintf(stderr, "%s:%d: %s(): got \"%s\", wanted \"%s\"\n", __FILE__, __LINE__, __func__, \
                                got_, wanted_);                                         \
                        abort();                                                        \
                }                                                                       \
        } while (0)
