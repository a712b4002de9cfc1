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

/* What is wrong in a policy file; line 0: no one line. */
typedef struct ShownError {
        char *file;
        uint32_t line;
        char *message;
} ShownError;

typedef struct ShownErrors {
        ShownError *items; /* n_items elements, as they were told */
        size_t n_items;
} ShownErrors;

/* How many attachments are in a state. */
typedef struct ShownCount {
        char *state;
        uint32_t n;
} ShownCount;

/* A filter that is needed. */
typedef struct ShownFilter {
        char *name, *registered, *reason;
} ShownFilter;

/* The daemon as the bus tells it: the properties of org.blkfilter1.Manager. */
typedef struct ShownDaemon {
        char *version, *interface, *interface_reason; /* the last is "" of a daemon that does not tell it */
        ShownFilter *filters; /* n_filters elements, as they were told */
        size_t n_filters;
        ShownErrors errors;
        ShownCount *counts; /* n_counts elements, as they were told */
        size_t n_counts;
} ShownDaemon;

/* A property that is wanted of an object. */
typedef struct ClientProperty {
        const char *name, *type;                     /* type: D-Bus signature of the value */
        int (*read)(sd_bus_message *m, void *value); /* of one value of that type; a negative errno ends it */
        void *value;                                 /* borrowed */
} ClientProperty;

/* client.c: calls, and answers with properties */
int client_open(Ctl *c);
int client_new_call(Ctl *c, const char *path, const char *interface, const char *method, sd_bus_message **ret);
int client_send(Ctl *c, sd_bus_message *call, sd_bus_message **ret);
int client_fault(int r);
int client_get_path(Ctl *c, const char *device, char **ret);

int client_get_all(Ctl *c, const char *path, const char *interface, sd_bus_message **ret);
int client_read_properties(sd_bus_message *m, const ClientProperty *wanted, size_t n_wanted);
int client_read_string(sd_bus_message *m, void *value);
int client_read_u64(sd_bus_message *m, void *value);

/* client-attachment.c */
int client_get(Ctl *c, const char *path, Shown *ret);
int client_list(Ctl *c, Shown **ret, size_t *ret_n);
void shown_deinit(Shown *s);
void shown_free_all(Shown *s, size_t n);

/* client-daemon.c */
int client_get_daemon(Ctl *c, ShownDaemon *ret);
int client_read_errors(sd_bus_message *m, void *value);
void shown_errors_deinit(ShownErrors *e);
void shown_daemon_deinit(ShownDaemon *d);
