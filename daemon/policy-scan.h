/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pre-scan of a policy file: what counts as one.
 *
 * iniparser is generous in silence: it joins lines, merges sections, lets the last of two equal
 * keys win, cuts values at a "#" and drops what stands after a quote. Here every line must have
 * one reading only, or the whole file is refused with the number of the line. What passes, both
 * read alike (policy-file.c compares them).
 *
 * Pure: memory and strings, no file, no clock.
 */

#include <stdbool.h>
#include <stddef.h>

#define POLICY_FILE_SIZE_MAX 65536 /* bytes of one file */
#define POLICY_LINE_MAX      1000  /* bytes of one line, its end not counted; iniparser fails from 1,023 on */
#define POLICY_SECTION_MAX   64    /* bytes of a section's name */
#define POLICY_KEY_MAX       32    /* bytes of a key's name */
#define POLICY_ITEMS_MAX     256   /* sections and keys of one file */

/* Why a file is refused. */
typedef struct PolicyFault {
        char *path;    /* of the file to blame; owned; NULL: of the one that was given */
        unsigned line; /* from 1; 0 if no one line is to blame */
        char *message; /* a sentence; owned; NULL if there is none */
} PolicyFault;

#define POLICY_FAULT_INIT ((PolicyFault){ 0 })

typedef struct PolicySection {
        const char *name; /* as written, no brackets; points into the scan's text */
        unsigned line;    /* from 1 */
} PolicySection;

typedef struct PolicyItem {
        const PolicySection *section; /* points into the scan */
        const char *key;              /* as written; points into the scan's text */
        const char *value;            /* without its quotes; points into the scan's text */
        char quote;                   /* the mark that the value stood in; 0 none */
        unsigned line;                /* from 1 */
} PolicyItem;

/* What a file says, in the order of its lines. No two sections and no two keys of a section are alike. */
typedef struct PolicyScan {
        char *text; /* a copy of the file in which the strings lie */
        PolicySection *sections; /* POLICY_ITEMS_MAX of them allocated, so that they do not move */
        size_t n_sections;
        PolicyItem *items;
        size_t n_items;
} PolicyScan;

int policy_scan(const char *data, size_t size, PolicyScan **ret, PolicyFault *ret_fault);
PolicyScan *policy_scan_free(PolicyScan *s);
const PolicySection *policy_scan_section(const PolicyScan *s, const char *name);

void policy_fault_deinit(PolicyFault *f);

bool policy_text_is_clean(const char *s, size_t n, size_t *ret_offset);
