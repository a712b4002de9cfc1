/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Identity: what makes a device that device.
 *
 * Facts are what is known of one device, value by value; an Entry is one entry of a partition table as
 * read from the disk (or as udev read it). Values are compared as text, exactly; match.h says what is
 * demanded of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PART_UUID_SIZE 40   /* "8-4-4-4-12" hex digits or "8-2" (MBR), lower case, NUL; 36 + NUL at most */
#define PART_LABEL_SIZE 128 /* a GPT name: 36 UTF-16 units, at most 108 bytes of UTF-8, NUL */
#define PART_TYPE_SIZE 40   /* a GPT type UUID, or "0x83" */
#define FILTER_NAME_SIZE 32 /* the kernel's limit, NUL included */
#define FACT_SIZE 256       /* of any value; btrfs has the longest labels, 255 bytes and NUL */

/* What a device can be recognised by, in the order of their names in [Match]. */
typedef enum MatchKey {
        MATCH_PART_UUID,   /* lower case */
        MATCH_PART_LABEL,
        MATCH_PART_TYPE,   /* lower case */
        MATCH_PART_NUMBER, /* decimal, from 1 */
        MATCH_FS_UUID,     /* lower case */
        MATCH_FS_LABEL,
        MATCH_FS_TYPE,
        MATCH_PT_UUID,     /* of the table; lower case */
        MATCH_DISK_WWN,    /* lower case */
        MATCH_DISK_SERIAL,
        MATCH_DM_NAME,
        MATCH_DM_UUID,
        MATCH_KERNEL_NAME,
        _MATCH_KEY_MAX,
} MatchKey;

typedef struct Entry {
        unsigned partno;              /* number in the table, from 1 */
        char uuid[PART_UUID_SIZE];    /* "" if the table gives none */
        char label[PART_LABEL_SIZE];  /* "" if it has none */
        char type[PART_TYPE_SIZE];    /* "" if unknown */
        uint64_t start_sectors;       /* of 512 bytes, from the start of the disk; 0 if unknown */
        uint64_t size_sectors;        /* of 512 bytes; 0 if unknown */
} Entry;

/* All that is known of one device. Strings are borrowed from where they are kept. */
typedef struct Facts {
        bool is_partition;                  /* an entry of a table; else a whole device */
        const char *values[_MATCH_KEY_MAX]; /* normalized; NULL: none, or not known */
        char part_number[12];               /* what values[MATCH_PART_NUMBER] points to */
} Facts;

const char *match_key_to_string(MatchKey key);
bool match_key_is_of_partition(MatchKey key);
bool match_key_is_of_fs(MatchKey key);
bool match_key_identifies(MatchKey key);
bool match_key_allows_glob(MatchKey key);
bool fact_normalize(MatchKey key, const char *s, char ret[static FACT_SIZE]);
bool part_uuid_normalize(const char *s, char ret[static PART_UUID_SIZE]);
bool filter_name_is_valid(const char *s);

void facts_set_partition(Facts *f, unsigned partno, const char *uuid, const char *label, const char *type);
void facts_set_entry(Facts *f, const Entry *e);
bool facts_find_pin(const Facts *f, MatchKey *ret);
