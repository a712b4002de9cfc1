/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands to filters: ctl, by number; count, bfcount's. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"

/** verb_ctl() - DEVICE FILTER COMMAND: send a command by number, --payload= in hexadecimal digits; so is the answer */
int verb_ctl(Ctl *c, int argc, char *argv[]) {
        static uint8_t payload[PAYLOAD_MAX];
        char *end, *hex;
        size_t size = 0;
        unsigned long command;
        Answer a = { 0 };
        int status;

        (void) argc;

        command = strtoul(argv[2], &end, 0);
        if (*end || !*argv[2] || command > UINT32_MAX)
                return complain(STATUS_USAGE,
                                "%s is no command: a number is expected, the filter's documentation has them", argv[2]);
        if (c->payload && !hex_parse(c->payload, payload, &size))
                return complain(STATUS_USAGE, "--payload= takes pairs of hexadecimal digits, at most %u", PAYLOAD_MAX);

        status = command_send(c, argv[0], argv[1], (uint32_t) command, payload, size, 0, NULL, 0, &a);
        if (status == STATUS_OK) {
                hex = hex_of(a.payload, a.payload_size);
                if (!hex)
                        status = client_fault(-ENOMEM);
                else if (c->output != OUTPUT_TEXT) {
                        json_object *o = json_object_new_object();

                        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                        (void) json_object_object_add(o, "payload", json_object_new_string(hex));
                        (void) json_print(c, o);
                } else if (a.payload_size > 0)
                        (void) printf("%s\n", hex);
                free(hex);
        }

        answer_deinit(&a);
        return status;
}

/** verb_count() - read|reset DEVICE: what bfcount has counted */
int verb_count(Ctl *c, int argc, char *argv[]) {
        static const Layout counters[] = {
                { "reads", 0, 8 },        { "writes", 8, 8 },    { "read_bytes", 16, 8 },
                { "write_bytes", 24, 8 }, { "discards", 32, 8 }, { "flushes", 40, 8 },
        };
        bool read = strcmp(argv[0], "read") == 0;
        Answer a = { 0 };
        int status;

        (void) argc;

        if (!read && strcmp(argv[0], "reset") != 0)
                return complain(STATUS_USAGE, "count %s is not known; read and reset are", argv[0]);

        status = command_send(c, argv[1], "bfcount", read ? 0 : 1, NULL, 0, 0, NULL, 0, &a);
        if (status == STATUS_OK && read)
                status = command_print_layout(c, &a, counters, sizeof(counters) / sizeof(counters[0]), 48);

        answer_deinit(&a);
        return status;
}
