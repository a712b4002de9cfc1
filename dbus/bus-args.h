/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Arguments: what goes into messages and what is read out of them.
 */

#include <stdlib.h>

#include <systemd/sd-bus.h>

#include "daemon/manager.h"

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *p) {
        free(*(void **) p);
}

/* An option of a method; tables of them end with a row without a name. */
typedef struct BusOption {
        const char *name;
        const char *type;                                /* D-Bus signature of its value */
        int (*read)(sd_bus_message *m, void *userdata);  /* takes in one value of that type */
} BusOption;

int bus_append_text(sd_bus_message *m, const char *s);
int bus_read_options(sd_bus_message *m, const BusOption *table, void *userdata, sd_bus_error *error);
int bus_read_buffers(sd_bus_message *m, RequestBuffer *buffers, size_t max, size_t *ret_n);
int bus_read_buffer_sizes(sd_bus_message *m, RequestBuffer *buffers, size_t max, size_t *ret_n);
