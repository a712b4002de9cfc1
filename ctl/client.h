/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon as a client of its bus API meets it: dbus/org.blkfilter1.xml. */

#include <stddef.h>

#include "ctl/ctl.h"

typedef struct ShownGap {
        uint64_t begin_usec, latest_usec, end_usec;
        char *reason;
} ShownGap;

typedef struct ShownFact {
        char *key;
        char *value;
        bool is_number;
} ShownFact;

/* An attachment as the bus tells it: the properties of org.blkfilter1.Attachment, times in microseconds. */
typedef struct Shown {
        char *path, *filter, *identity, *source, *policy, *device, *state, *reason;
        uint64_t intact_since_usec, gap_count, attach_count;
        ShownGap *gaps; /* n_gaps elements, oldest first */
        size_t n_gaps;
        ShownFact *facts; /* of the fingerprint, n_facts elements */
        size_t n_facts;
} Shown;

int client_open(Ctl *c);
int client_new_call(Ctl *c, const char *path, const char *interface, const char *method, sd_bus_message **ret);
int client_send(Ctl *c, sd_bus_message *call, sd_bus_message **ret);
int client_fault(int r);

int client_get_path(Ctl *c, const char *device, char **ret);
int client_get(Ctl *c, const char *path, Shown *ret);
int client_list(Ctl *c, Shown **ret, size_t *ret_n);
int client_read_errors(sd_bus_message *m, bool print, size_t *ret_n);

void shown_deinit(Shown *s);
void shown_free_all(Shown *s, size_t n);
