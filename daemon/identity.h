/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Identity: what makes a partition that partition.
 *
 * An Entry is one entry of a partition table as read from the disk (or as udev read it); a Match
 * is what a policy or a caller demands of it. The core compares the two and never guesses:
 * a Match without a term matches nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PART_UUID_SIZE 40   /* "8-4-4-4-12" hex digits or "8-2" (MBR), lower case, NUL; 36 + NUL at most */
#define PART_LABEL_SIZE 128 /* a GPT name: 36 UTF-16 units, at most 108 bytes of UTF-8, NUL */
#define PART_TYPE_SIZE 40   /* a GPT type UUID, or "0x83" */
#define FILTER_NAME_SIZE 32 /* the kernel's limit, NUL included */

typedef struct Entry {
        unsigned partno;              /* number in the table, from 1 */
        char uuid[PART_UUID_SIZE];    /* "" if the table gives none */
        char label[PART_LABEL_SIZE];  /* "" if it has none */
        char type[PART_TYPE_SIZE];    /* "" if unknown */
        uint64_t start_sectors;       /* of 512 bytes, from the start of the disk; 0 if unknown */
        uint64_t size_sectors;        /* of 512 bytes; 0 if unknown */
} Entry;

/* What a partition must be: every value that is set has to hold. Plain data, copied by value. */
typedef struct Match {
        char part_uuid[PART_UUID_SIZE];   /* lower case; "" if not demanded */
        char part_label[PART_LABEL_SIZE]; /* exact; "" if not demanded */
} Match;

bool part_uuid_normalize(const char *s, char ret[static PART_UUID_SIZE]);
bool filter_name_is_valid(const char *s);

bool match_is_empty(const Match *m);
bool match_equal(const Match *a, const Match *b);
bool match_entry(const Match *m, const Entry *e);
int match_to_string(const Match *m, char **ret);
