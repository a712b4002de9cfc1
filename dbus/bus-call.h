/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Calls that change something, from the message to its reply: read and look up, learn who asks,
 * have it authorized, look up again, act, answer. The caller's word is judged before the act and
 * nothing can be asked for around it: an act is reached only from here, with its action.
 */

#include <systemd/sd-bus.h>

#include "dbus/bus-internal.h"
#include "dbus/bus-polkit.h"
#include "dbus/ctl-table.h"

#define CALLS_MAX 128         /* not answered yet, of everybody */
#define CALLS_MAX_OTHERS 112  /* of these not root's: root finds room once the bus has said whose they are */
#define CALLS_MAX_PER_USER 16 /* root excepted */

typedef struct Change {
        const char *action; /* of polkit; a call may raise it while it is read. root_only: what it is, for errors */
        bool root_only;     /* polkit is not asked */
        const char *prompt; /* what polkit says to whoever has to authenticate; "" none */
        int (*read)(Call *c, sd_bus_error *error);
        int (*resolve)(Call *c, Subject *ret, sd_bus_error *error); /* NULL: no device in it */
        void (*act)(Call *c); /* calls call_done() once, then or later */
        int (*append)(const Call *c, const RequestAnswer *answer, sd_bus_message *reply); /* NULL: empty reply */
} Change;

typedef enum CallPhase {
        CALL_READING,
        CALL_ASKING_BUS,    /* who the caller is */
        CALL_ASKING_POLKIT, /* whether they may */
        CALL_ACTING,
} CallPhase;

struct Call {
        Bus *bus;
        Call *next, *previous;
        const Change *change;
        const char *action; /* static */
        const char *prompt; /* static */
        sd_bus_message *message;
        CallPhase phase;

        uint32_t uid;
        bool has_uid;
        sd_bus_slot *watch;    /* tells when the caller leaves */
        sd_bus_slot *question; /* to the bus: the caller's uid */
        PolkitQuery *polkit;

        /* what is asked for; pointers lead into the message */
        const char *device;                  /* as given; NULL: that of an attachment */
        char attachment[ATTACHMENT_ID_SIZE]; /* "" if a device is given */
        char filter[FILTER_NAME_SIZE];
        Subject subject;                     /* the device as it was first looked up */
        AttachOptions attach;
        const char *value;                   /* of a property that is to be set */
        RequestCommand command;              /* its buffers are those below */
        void *room;                          /* owned; payload if the caller gave none */
        RequestBuffer buffers[CTL_BUFFERS_MAX];
};

int call_begin(Bus *b, sd_bus_message *m, const Change *change, sd_bus_error *error);
void call_done(const RequestAnswer *answer, void *userdata);
void calls_free(Bus *b);
