/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the bus side share. A Bus outlives its connections: what belongs to one of
 * them goes with it.
 */

#include <systemd/sd-bus.h>

#include "blkfilter-names.h"
#include "daemon/manager.h"
#include "dbus/bus.h"

#define BUS_PATH_SIZE (sizeof(BLKFILTER_OBJECT_ATTACHMENT "/") - 1 + ATTACHMENT_ID_SIZE)

typedef struct Call Call;

struct Bus {
        sd_event *event;
        Manager *manager;
        char *address; /* NULL: the system bus */
        bool without_polkit;

        sd_bus *bus;             /* NULL while there is no connection */
        sd_event_source *timer;  /* next attempt to connect, or the end of a lost connection */
        bool is_told;            /* that there is no bus; once is enough */

        Call *calls;             /* that change something and are not answered yet; newest first */
        size_t n_calls;

        const Attachment *leaving; /* during attachment_removed: no longer in the set; else NULL */

        /* what manager_changed() last told, to tell only what is new */
        KernelInterface interface;
        char *interface_reason; /* NULL: nothing yet */
        bool raw_commands;
        const PolicySet *policies; /* compared only, never followed */
        uint32_t counts[_ATTACHMENT_STATE_MAX];
};

int bus_add_manager(Bus *b);
void bus_tell_manager(Bus *b);
void bus_tell_loss(Bus *b, const Attachment *a);
void bus_tell_return(Bus *b, const Attachment *a);
int bus_append_config_errors(sd_bus_message *m, const PolicySet *policies);

int bus_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error);

int bus_add_log_control(Bus *b);

int bus_add_attachments(Bus *b);
const Attachment *bus_get_attachment(Bus *b, const char *path);
void bus_attachment_path(const Attachment *a, char ret[static BUS_PATH_SIZE]);
int bus_append_device(sd_bus_message *m, const char *name);
void bus_tell_attachment_added(Bus *b, const Attachment *a);
void bus_tell_attachment_changed(Bus *b, const Attachment *a);
void bus_tell_attachment_removed(Bus *b, const Attachment *a);
