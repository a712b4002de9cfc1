/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shared: a string that is kept in several places, immutable and shared by counting. It is read as any other; only
 * what one of these functions gave may be handed to one of them. The empty one needs no memory, and is there from the
 * beginning.
 */

extern const char shared_empty[1];

const char *shared_new(const char *s);
const char *shared_ref(const char *shared);
void shared_unref(const char *shared);
void shared_set(const char **where, const char *shared);
int shared_copy(const char **where, const char *s);
