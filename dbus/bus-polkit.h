/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Questions to polkit, by direct D-Bus call, never waiting. No answer is kept: each act is asked
 * for anew.
 */

#include <stdbool.h>

#include <systemd/sd-bus.h>

typedef struct PolkitQuery PolkitQuery;

typedef enum PolkitAnswer {
        POLKIT_YES,
        POLKIT_NO,
        POLKIT_CHALLENGE, /* would be yes if somebody authenticated */
        POLKIT_SILENT,    /* polkit is not there, erred, or did not answer in time */
} PolkitAnswer;

/* Called exactly once; the query is free'd by its owner, also from within. */
typedef void (*PolkitDone)(PolkitAnswer answer, const char *why_silent, void *userdata);

int polkit_query_new(sd_bus *bus, const char *sender, const char *action, const char *const *details,
                     bool interactive, PolkitDone done, void *userdata, PolkitQuery **ret);
PolkitQuery *polkit_query_free(PolkitQuery *q);
