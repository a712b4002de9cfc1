/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* blksnap's commands: see dbus/org.blkfilter1.xml. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"

#define MAP_BLOCKS_MAX (UINT32_C(512) << 10) /* of one command: a byte each, within the limit for buffers */
#define BUFFER_AT 8                          /* offset of a buffer's address in a command's payload */

static const Layout info_layout[] = {
        { "generation_id", 16, 16 }, { "device_capacity", 0, 8 }, { "block_size", 8, 4 }, { "block_count", 12, 4 },
        { "changes_number", 32, 1 },
};

/* "0123…" with or without "-" between: 16 bytes. */
static bool parse_id(const char *text, uint8_t ret[static 16]) {
        char digits[33];
        size_t n = 0, size;
        uint8_t bytes[PAYLOAD_MAX];

        for (; *text && n < 32; text++)
                if (*text != '-')
                        digits[n++] = *text;
        digits[n] = 0;
        if (*text || n != 32 || !hex_parse(digits, bytes, &size) || size != 16)
                return false;

        memcpy(ret, bytes, 16);
        return true;
}

static int blksnap_info(Ctl *c, const char *device) {
        Answer a;
        int status = command_send(c, device, "blksnap", 0, NULL, 0, 0, NULL, 0, &a);

        if (status == STATUS_OK)
                status = command_print_layout(c, &a, info_layout, sizeof(info_layout) / sizeof(info_layout[0]), 40);

        answer_deinit(&a);
        return status;
}

/* What it says of itself: 40 bytes. */
static int get_info(Ctl *c, const char *device, uint8_t ret[static 40]) {
        Answer a = { 0 };
        int status = command_send(c, device, "blksnap", 0, NULL, 0, 0, NULL, 0, &a);

        if (status == STATUS_OK && a.payload_size != 40)
                status = client_fault(-EBADMSG);
        if (status == STATUS_OK)
                memcpy(ret, a.payload, 40);
        answer_deinit(&a);
        return status;
}

/*
 * The map as it is, to standard output: a byte for each block, the number of its last change. A re-read between two
 * commands has the filter put on anew, with an empty map: then what is out already is worth nothing.
 */
static int blksnap_map(Ctl *c, const char *device) {
        uint8_t before[40] = { 0 }, after[40];
        uint32_t n_blocks = 0;
        Answer a = { 0 };
        int status = get_info(c, device, before);

        memcpy(&n_blocks, before + 12, sizeof(n_blocks));

        for (uint64_t first = 0; status == STATUS_OK && first < n_blocks; first += MAP_BLOCKS_MAX) {
                uint32_t n = n_blocks - first < MAP_BLOCKS_MAX ? (uint32_t) (n_blocks - first) : MAP_BLOCKS_MAX;
                uint32_t payload[4] = { (uint32_t) first, n, 0, 0 };

                status = command_send(c, device, "blksnap", 1, payload, sizeof(payload), BUFFER_AT, NULL, n, &a);
                if (status == STATUS_OK && a.buffer_size != n)
                        status = client_fault(-EBADMSG);
                if (status == STATUS_OK && fwrite(a.buffer, 1, n, stdout) != n)
                        status = complain(STATUS_FAILED, "the map cannot be written: %s", strerror(errno));
                answer_deinit(&a);
        }

        if (status == STATUS_OK)
                status = get_info(c, device, after);
        if (status == STATUS_OK && memcmp(before, after, 33) != 0)
                return complain(STATUS_FAILED,
                                "blksnap on %s was put on again, or a snapshot was made, while its map was read: read"
                                " it again, and if its generation_id is not the one of the last backup make a full"
                                " copy", device);
        return status;
}

static int blksnap_dirty(Ctl *c, const char *device, int argc, char *argv[]) {
        uint32_t payload[4] = { (uint32_t) argc / 2, 0, 0, 0 };
        uint64_t *ranges;
        Answer a = { 0 };
        int status;

        if (argc == 0 || argc % 2 != 0)
                return complain(STATUS_USAGE, "blksnap dirty DEVICE takes pairs of SECTOR and COUNT, of 512 bytes");

        ranges = calloc((size_t) argc, sizeof(*ranges));
        if (!ranges)
                return client_fault(-ENOMEM);
        for (int i = 0; i < argc; i++) {
                char *end;

                errno = 0;
                ranges[i] = strtoull(argv[i], &end, 0);
                if (errno || *end || argv[i][0] < '0' || argv[i][0] > '9') {
                        free(ranges);
                        return complain(STATUS_USAGE, "%s is no number of sectors", argv[i]);
                }
        }

        status = command_send(c, device, "blksnap", 2, payload, sizeof(payload), BUFFER_AT, ranges,
                              (size_t) argc * sizeof(*ranges), &a);
        free(ranges);
        answer_deinit(&a);
        return status;
}

static int blksnap_image(Ctl *c, const char *device) {
        Answer a = { 0 };
        int32_t error;
        int status = command_send(c, device, "blksnap", 4, NULL, 0, 0, NULL, 0, &a);

        if (status == STATUS_OK && a.payload_size != 36)
                status = client_fault(-EBADMSG);
        if (status == STATUS_OK) {
                memcpy(&error, a.payload, sizeof(error));
                if (error)
                        status = complain(STATUS_NO, "the snapshot of %s is corrupted: %s", device,
                                          strerror(error < 0 ? -error : error));
                else
                        (void) printf("%.32s\n", (const char *) a.payload + 4);
        }

        answer_deinit(&a);
        return status;
}

/** verb_blksnap() - info|map|dirty|add|image DEVICE …: the commands of the filter blksnap */
int verb_blksnap(Ctl *c, int argc, char *argv[]) {
        uint8_t id[16];
        Answer a = { 0 };
        int status;

        if (strcmp(argv[0], "dirty") == 0)
                return blksnap_dirty(c, argv[1], argc - 2, argv + 2);
        if (strcmp(argv[0], "add") == 0) {
                if (argc != 3 || !parse_id(argv[2], id))
                        return complain(STATUS_USAGE,
                                        "blksnap add DEVICE takes the snapshot's id, 32 hexadecimal digits");
                status = command_send(c, argv[1], "blksnap", 3, id, sizeof(id), 0, NULL, 0, &a);
                answer_deinit(&a);
                return status;
        }
        if (argc > 2)
                return complain(STATUS_USAGE, "blksnap %s takes a DEVICE and nothing else", argv[0]);
        if (strcmp(argv[0], "info") == 0)
                return blksnap_info(c, argv[1]);
        if (strcmp(argv[0], "map") == 0)
                return blksnap_map(c, argv[1]);
        if (strcmp(argv[0], "image") == 0)
                return blksnap_image(c, argv[1]);

        return complain(STATUS_USAGE, "blksnap %s is not known; info, map, dirty, add and image are", argv[0]);
}
