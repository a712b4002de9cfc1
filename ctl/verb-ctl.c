/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands to filters: ctl, and by name those of the filters that are known: count, track. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/output.h"

#define PAYLOAD_MAX 65536

typedef struct Answer {
        sd_bus_message *message;
        const uint8_t *payload, *buffer; /* payload_size and buffer_size bytes; borrowed from the message */
        size_t payload_size, buffer_size;
} Answer;

static int read_answer(Answer *a, int32_t *ret_result) {
        const void *p;
        int r;

        r = sd_bus_message_read(a->message, "i", ret_result);
        if (r >= 0)
                r = sd_bus_message_read_array(a->message, 'y', &p, &a->payload_size);
        if (r < 0)
                return r;
        a->payload = p;

        r = sd_bus_message_enter_container(a->message, 'a', "ay");
        if (r >= 0 && sd_bus_message_at_end(a->message, false) == 0) {
                r = sd_bus_message_read_array(a->message, 'y', &p, &a->buffer_size);
                a->buffer = p;
        }
        return r;
}

/* Sends a command with at most one buffer of zeros, whose address goes to @offset. */
static int send_command(Ctl *c, const char *device, const char *filter, uint32_t command, const void *payload, size_t size,
                        uint32_t offset, size_t buffer_size, Answer *ret) {
        sd_bus_message *call = NULL;
        uint8_t *zeros = NULL;
        int32_t result;
        int r, status;

        *ret = (Answer) { 0 };
        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Ctl", &call);
        if (status != STATUS_OK)
                return status;

        r = sd_bus_message_append(call, "ssu", device, filter, command);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', payload, size);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "(uay)");
        if (r >= 0 && buffer_size > 0) {
                zeros = calloc(1, buffer_size);
                r = zeros ? sd_bus_message_open_container(call, 'r', "uay") : -ENOMEM;
                if (r >= 0)
                        r = sd_bus_message_append(call, "u", offset);
                if (r >= 0)
                        r = sd_bus_message_append_array(call, 'y', zeros, buffer_size);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 0);
        status = r < 0 ? client_fault(r) : client_send(c, call, &ret->message);
        free(zeros);
        sd_bus_message_unref(call);

        if (status == STATUS_OK) {
                r = read_answer(ret, &result);
                if (r < 0)
                        status = client_fault(r);
                else if (result < 0)
                        status = complain(STATUS_FAILED, "filter %s on %s refused command %" PRIu32 ": %s", filter, device,
                                          command, strerror(-result));
        }

        return status;
}

static bool parse_hex(const char *text, uint8_t *ret, size_t *ret_size) {
        size_t n = 0;

        while (*text) {
                char two[3] = { text[0], text[1], 0 };
                char *end;

                if (*text == ' ' || *text == ':') {
                        text++;
                        continue;
                }
                if (n == PAYLOAD_MAX || !text[1])
                        return false;
                ret[n++] = (uint8_t) strtoul(two, &end, 16);
                if (*end)
                        return false;
                text += 2;
        }

        *ret_size = n;
        return true;
}

static char *to_hex(const uint8_t *bytes, size_t n) {
        char *hex = malloc(2 * n + 1);

        for (size_t i = 0; hex && i < n; i++)
                (void) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
        if (hex)
                hex[2 * n] = 0;
        return hex;
}

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
                return complain(STATUS_USAGE, "%s is no command: a number is expected, the filter's documentation has them", argv[2]);
        if (c->payload && !parse_hex(c->payload, payload, &size))
                return complain(STATUS_USAGE, "--payload= takes pairs of hexadecimal digits, at most %u", PAYLOAD_MAX);

        status = send_command(c, argv[0], argv[1], (uint32_t) command, payload, size, 0, 0, &a);
        if (status == STATUS_OK) {
                hex = to_hex(a.payload, a.payload_size);
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

        sd_bus_message_unref(a.message);
        return status;
}

/* One number of a filter's answer. */
typedef struct Number {
        const char *name;
        uint64_t value;
} Number;

static int print_numbers(Ctl *c, const Number *numbers, size_t n) {
        json_object *o;

        if (c->output == OUTPUT_TEXT) {
                for (size_t i = 0; i < n; i++)
                        (void) printf("%20s: %" PRIu64 "\n", numbers[i].name, numbers[i].value);
                return STATUS_OK;
        }

        o = json_object_new_object();
        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
        for (size_t i = 0; i < n; i++)
                (void) json_object_object_add(o, numbers[i].name, json_object_new_uint64(numbers[i].value));
        return json_print(c, o);
}

/* The numbers of an answer, as dbus/org.blkfilter1.xml has them: u64 or u32, in the machine's byte order, one behind the other. */
typedef struct Layout {
        const char *name;
        size_t offset, size; /* bytes */
} Layout;

static int print_layout(Ctl *c, const Answer *a, const Layout *layout, size_t n, size_t size) {
        Number numbers[8];

        if (a->payload_size != size)
                return client_fault(-EBADMSG);

        for (size_t i = 0; i < n; i++) {
                uint64_t t = 0;
                uint32_t u = 0;

                memcpy(layout[i].size == 8 ? (void *) &t : (void *) &u, a->payload + layout[i].offset, layout[i].size);
                numbers[i] = (Number) { layout[i].name, layout[i].size == 8 ? t : u };
        }

        return print_numbers(c, numbers, n);
}

/** verb_count() - read|reset DEVICE: what bfcount has counted */
int verb_count(Ctl *c, int argc, char *argv[]) {
        static const Layout counters[] = {
                { "reads", 0, 8 }, { "writes", 8, 8 }, { "read_bytes", 16, 8 }, { "write_bytes", 24, 8 }, { "discards", 32, 8 },
                { "flushes", 40, 8 },
        };
        bool read = strcmp(argv[0], "read") == 0;
        Answer a = { 0 };
        int status;

        (void) argc;

        if (!read && strcmp(argv[0], "reset") != 0)
                return complain(STATUS_USAGE, "count %s is not known; read and reset are", argv[0]);

        status = send_command(c, argv[1], "bfcount", read ? 0 : 1, NULL, 0, 0, 0, &a);
        if (status == STATUS_OK && read)
                status = print_layout(c, &a, counters, sizeof(counters) / sizeof(counters[0]), 48);

        sd_bus_message_unref(a.message);
        return status;
}

#define TRACK_BLOCKS_MAX (UINT32_C(8) << 20) /* of one command: a bit each, within the limit for buffers */
#define TRACK_MAP_BUFFER 8                   /* offset of the buffer's address in the command's payload */

/* What bftrack says of itself. */
typedef struct Track {
        uint32_t block_size, n_blocks; /* bytes; blocks */
        char generation[33];
} Track;

static int get_track(Ctl *c, const char *device, Answer *a, Track *ret) {
        int status = send_command(c, device, "bftrack", 0, NULL, 0, 0, 0, a);

        if (status != STATUS_OK)
                return status;
        if (a->payload_size != 48)
                return client_fault(-EBADMSG);

        memcpy(&ret->block_size, a->payload + 8, sizeof(ret->block_size));
        memcpy(&ret->n_blocks, a->payload + 12, sizeof(ret->n_blocks));
        for (size_t i = 0; i < 16; i++)
                (void) snprintf(ret->generation + 2 * i, 3, "%02x", a->payload[16 + i]);
        return STATUS_OK;
}

static int track_info(Ctl *c, const char *device) {
        static const Layout info[] = {
                { "device_size_bytes", 0, 8 }, { "block_size_bytes", 8, 4 }, { "block_count", 12, 4 }, { "written_blocks", 32, 8 },
                { "clears", 40, 4 },
        };
        Answer a = { 0 };
        Track t;
        int status = get_track(c, device, &a, &t);

        if (status == STATUS_OK && c->output != OUTPUT_TEXT) {
                json_object *o = json_object_new_object();

                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                (void) json_object_object_add(o, "generation", json_object_new_string(t.generation));
                for (size_t i = 0; i < sizeof(info) / sizeof(info[0]); i++) {
                        uint64_t v = 0;
                        uint32_t u = 0;

                        memcpy(info[i].size == 8 ? (void *) &v : (void *) &u, a.payload + info[i].offset, info[i].size);
                        (void) json_object_object_add(o, info[i].name, json_object_new_uint64(info[i].size == 8 ? v : u));
                }
                (void) json_print(c, o);
        } else if (status == STATUS_OK) {
                (void) printf("%20s: %s\n", "generation", t.generation);
                status = print_layout(c, &a, info, sizeof(info) / sizeof(info[0]), 48);
        }

        sd_bus_message_unref(a.message);
        return status;
}

/* Runs of blocks that were written, a line each, or as pairs in an array. */
typedef struct Runs {
        json_object *array; /* NULL: lines */
        uint64_t first, n;  /* the run that goes on */
        uint32_t block_size;
} Runs;

static void end_run(Runs *r) {
        if (r->n == 0)
                return;

        if (r->array) {
                json_object *pair = json_object_new_array();

                (void) json_object_array_add(pair, json_object_new_uint64(r->first * r->block_size));
                (void) json_object_array_add(pair, json_object_new_uint64(r->n * r->block_size));
                (void) json_object_array_add(r->array, pair);
        } else
                (void) printf("%" PRIu64 " %" PRIu64 "\n", r->first * r->block_size, r->n * r->block_size);
        r->n = 0;
}

static void add_block(Runs *r, uint64_t block) {
        if (r->n == 0)
                r->first = block;
        r->n++;
}

static int track_map(Ctl *c, const char *device) {
        Runs runs = { .array = c->output != OUTPUT_TEXT ? json_object_new_array() : NULL };
        Answer a = { 0 };
        Track t = { 0 };
        int status = get_track(c, device, &a, &t);

        sd_bus_message_unref(a.message);
        runs.block_size = t.block_size;
        for (uint64_t first = 0; status == STATUS_OK && first < t.n_blocks; first += TRACK_BLOCKS_MAX) {
                uint32_t n = t.n_blocks - first < TRACK_BLOCKS_MAX ? (uint32_t) (t.n_blocks - first) : TRACK_BLOCKS_MAX;
                uint32_t payload[4] = { (uint32_t) first, n, 0, 0 };

                status = send_command(c, device, "bftrack", 1, payload, sizeof(payload), TRACK_MAP_BUFFER, (n + 7) / 8, &a);
                if (status == STATUS_OK && a.buffer_size != (n + 7) / 8)
                        status = client_fault(-EBADMSG);
                for (uint32_t i = 0; status == STATUS_OK && i < n; i++)
                        if (a.buffer[i / 8] >> i % 8 & 1)
                                add_block(&runs, first + i);
                        else
                                end_run(&runs);
                sd_bus_message_unref(a.message);
        }
        end_run(&runs);

        if (runs.array && status == STATUS_OK) {
                json_object *o = json_object_new_object();

                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                (void) json_object_object_add(o, "generation", json_object_new_string(t.generation));
                (void) json_object_object_add(o, "written", runs.array);
                return json_print(c, o);
        }

        (void) json_object_put(runs.array);
        return status;
}

/** verb_track() - info|map|clear DEVICE: what bftrack knows: written ranges as "OFFSET LENGTH", in bytes */
int verb_track(Ctl *c, int argc, char *argv[]) {
        Answer a = { 0 };
        int status;

        (void) argc;

        if (strcmp(argv[0], "info") == 0)
                return track_info(c, argv[1]);
        if (strcmp(argv[0], "map") == 0)
                return track_map(c, argv[1]);
        if (strcmp(argv[0], "clear") != 0)
                return complain(STATUS_USAGE, "track %s is not known; info, map and clear are", argv[0]);

        status = send_command(c, argv[1], "bftrack", 2, NULL, 0, 0, 0, &a);
        sd_bus_message_unref(a.message);
        return status;
}
