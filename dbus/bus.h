/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus: the daemon as a D-Bus client meets it. It connects to the system bus when there is one,
 * and does without as long as there is none: the daemon may run before the bus does. All of it
 * happens in the event loop; nothing here waits for an answer of the bus.
 */

#include <stdbool.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/manager.h"

typedef struct Bus Bus;

typedef struct BusConfig {
        const char *address;  /* of the bus; NULL: the system bus */
        bool without_polkit;  /* do not ask polkit: root only */
} BusConfig;

int bus_new(sd_event *event, Manager *m, const BusConfig *config, Bus **ret);
Bus *bus_free(Bus *b);
sd_bus *bus_get_connection(Bus *b);
