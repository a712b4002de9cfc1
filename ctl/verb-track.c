/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bftrack's commands. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"

#define TRACK_BLOCKS_MAX (UINT32_C(8) << 20) /* of one command: a bit each, within the limit for buffers */
#define TRACK_MAP_BUFFER 8                   /* offset of the buffer's address in the command's payload */

#define INFO_SIZE 48                         /* bytes of what it says of itself */

/* What of that the map needs. */
typedef struct Track {
        uint32_t block_size, n_blocks; /* bytes; blocks */
        uint32_t clears;               /* how often the map was cleared */
        char generation[33];
} Track;

static int get_track(Ctl *c, const char *device, Answer *a, Track *ret) {
        int status = command_send(c, device, "bftrack", 0, NULL, 0, 0, NULL, 0, a);

        if (status != STATUS_OK)
                return status;
        if (a->payload_size != INFO_SIZE)
                return client_fault(-EBADMSG);

        memcpy(&ret->block_size, a->payload + 8, sizeof(ret->block_size));
        memcpy(&ret->n_blocks, a->payload + 12, sizeof(ret->n_blocks));
        memcpy(&ret->clears, a->payload + 40, sizeof(ret->clears));
        for (size_t i = 0; i < 16; i++)
                (void) snprintf(ret->generation + 2 * i, 3, "%02x", a->payload[16 + i]);
        return STATUS_OK;
}

static int track_info(Ctl *c, const char *device) {
        static const Layout info[] = {
                { "generation", 16, 16 },     { "device_size_bytes", 0, 8 }, { "block_size_bytes", 8, 4 },
                { "block_count", 12, 4 },     { "written_blocks", 32, 8 },   { "clears", 40, 4 },
        };
        Answer a;
        int status = command_send(c, device, "bftrack", 0, NULL, 0, 0, NULL, 0, &a);

        if (status == STATUS_OK)
                status = command_print_layout(c, &a, info, sizeof(info) / sizeof(info[0]), INFO_SIZE);

        answer_deinit(&a);
        return status;
}

/* Runs of blocks that were written. */
typedef struct Runs {
        json_object *array; /* of pairs: first byte, bytes */
        uint64_t first, n;  /* the run that goes on */
        uint32_t block_size;
} Runs;

static void end_run(Runs *r) {
        json_object *pair;

        if (r->n == 0)
                return;

        pair = json_object_new_array();
        (void) json_object_array_add(pair, json_object_new_uint64(r->first * r->block_size));
        (void) json_object_array_add(pair, json_object_new_uint64(r->n * r->block_size));
        (void) json_object_array_add(r->array, pair);
        r->n = 0;
}

static void add_block(Runs *r, uint64_t block) {
        if (r->n == 0)
                r->first = block;
        r->n++;
}

static int read_map(Ctl *c, const char *device, const Track *t, Runs *runs) {
        int status = STATUS_OK;

        for (uint64_t first = 0; status == STATUS_OK && first < t->n_blocks; first += TRACK_BLOCKS_MAX) {
                uint64_t left = t->n_blocks - first;
                uint32_t n = left < TRACK_BLOCKS_MAX ? (uint32_t) left : TRACK_BLOCKS_MAX;
                uint32_t payload[4] = { (uint32_t) first, n, 0, 0 };
                Answer a = { 0 };

                status = command_send(c, device, "bftrack", 1, payload, sizeof(payload), TRACK_MAP_BUFFER, NULL,
                                      (n + 7) / 8, &a);
                if (status == STATUS_OK && a.buffer_size != (n + 7) / 8)
                        status = client_fault(-EBADMSG);
                for (uint32_t i = 0; status == STATUS_OK && i < n; i++)
                        if (a.buffer[i / 8] >> i % 8 & 1)
                                add_block(runs, first + i);
                        else
                                end_run(runs);
                answer_deinit(&a);
        }

        end_run(runs);
        return status;
}

/* A re-read between two commands has the filter put on anew, with an empty map: none of the generation before. */
static int check_same(Ctl *c, const char *device, const Track *t) {
        Answer a = { 0 };
        Track now = { 0 };
        int status = get_track(c, device, &a, &now);

        answer_deinit(&a);
        if (status == STATUS_OK && (strcmp(now.generation, t->generation) != 0 || now.clears != t->clears ||
                                    now.block_size != t->block_size || now.n_blocks != t->n_blocks))
                return complain(STATUS_FAILED,
                                "bftrack on %s was put on again, or cleared, while its map was read: what was written"
                                " before is not known, so make a full copy", device);
        return status;
}

static void print_runs(const json_object *array) {
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                const json_object *pair = json_object_array_get_idx(array, i);

                (void) printf("%" PRIu64 " %" PRIu64 "\n", json_object_get_uint64(json_object_array_get_idx(pair, 0)),
                              json_object_get_uint64(json_object_array_get_idx(pair, 1)));
        }
}

/* Nothing is printed before all of it is known to be of one generation. */
static int track_map(Ctl *c, const char *device) {
        Runs runs = { .array = json_object_new_array() };
        json_object *o;
        Answer a = { 0 };
        Track t = { 0 };
        int status = get_track(c, device, &a, &t);

        answer_deinit(&a);
        runs.block_size = t.block_size;
        if (status == STATUS_OK)
                status = read_map(c, device, &t, &runs);
        if (status == STATUS_OK)
                status = check_same(c, device, &t);

        if (status != STATUS_OK || c->output == OUTPUT_TEXT) {
                if (status == STATUS_OK)
                        print_runs(runs.array);
                (void) json_object_put(runs.array);
                return status;
        }

        o = json_object_new_object();
        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
        (void) json_object_object_add(o, "generation", json_object_new_string(t.generation));
        (void) json_object_object_add(o, "written", runs.array);
        return json_print(c, o);
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

        status = command_send(c, argv[1], "bftrack", 2, NULL, 0, 0, NULL, 0, &a);
        answer_deinit(&a);
        return status;
}
