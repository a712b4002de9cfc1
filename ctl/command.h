/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands to filters over the bus, and what comes back. */

#include <stddef.h>

#include "ctl/output.h"

#define PAYLOAD_MAX 65536 /* bytes; the daemon's limit */

typedef struct Answer {
        sd_bus_message *message;
        const uint8_t *payload, *buffer; /* payload_size and buffer_size bytes; borrowed from the message */
        size_t payload_size, buffer_size;
} Answer;

/* A field of an answer, as dbus/org.blkfilter1.xml has it, in the machine's byte order. */
typedef struct Layout {
        const char *name;
        size_t offset, size; /* bytes */
} Layout;

void answer_deinit(Answer *a);
int command_send(Ctl *c, const char *device, const char *filter, uint32_t command, const void *payload, size_t size,
                 uint32_t offset, const void *buffer, size_t buffer_size, Answer *ret);
int command_print_layout(Ctl *c, const Answer *a, const Layout *layout, size_t n, size_t size);
bool hex_parse(const char *text, uint8_t *ret, size_t *ret_size);
char *hex_of(const uint8_t *bytes, size_t n);
