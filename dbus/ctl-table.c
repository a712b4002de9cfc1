/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/text.h"
#include "dbus/ctl-table.h"

#define BLKSNAP_RANGE_SIZE 16U           /* bytes */
#define SECTORS_MAX (UINT64_MAX / 512)   /* of 512 bytes: no device is larger */

typedef struct CtlCommand {
        const char *filter;
        uint32_t command;
        const char *name;
        size_t payload_size; /* bytes, exactly */
        bool is_reply;       /* the payload only carries the reply: the caller may leave it out */
        size_t n_buffers;    /* exactly; 0 or 1 */
        uint32_t pointer_at; /* offset of the one buffer's address in the payload */
        bool reads_buffer;   /* what the caller put into it matters */
        bool (*check)(const RequestCommand *call, char message[static CTL_MESSAGE_SIZE]); /* NULL: nothing more */
} CtlCommand;

static uint32_t read_u32(const void *payload, size_t at) {
        uint32_t v;

        memcpy(&v, (const char *) payload + at, sizeof(v));
        return v;
}

/* struct { u32 first_block; u32 n_blocks; u64 buffer; }, a bit per block, whole bytes. */
static bool check_bftrack_map(const RequestCommand *call, char message[static CTL_MESSAGE_SIZE]) {
        uint32_t first_block = read_u32(call->payload, 0), n_blocks = read_u32(call->payload, 4);
        uint64_t need = ((uint64_t) n_blocks + 7) / 8;

        if (first_block % 8 != 0) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "first_block (bytes 0 to 3 of the payload) is %u; it must be a multiple of 8",
                                first_block);
                return false;
        }

        if (n_blocks == 0) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "n_blocks (bytes 4 to 7 of the payload) is 0; ask for at least one block");
                return false;
        }

        if (call->buffers[0].size < need) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "the buffer has %u bytes; n_blocks (bytes 4 to 7 of the payload) is %u and needs at"
                                " least %llu", call->buffers[0].size, n_blocks, (unsigned long long) need);
                return false;
        }

        return true;
}

/* struct { u32 offset; u32 length; u64 buffer; }, a byte per block. */
static bool check_blksnap_map(const RequestCommand *call, char message[static CTL_MESSAGE_SIZE]) {
        uint32_t length = read_u32(call->payload, 4);

        if (length == 0) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "length (bytes 4 to 7 of the payload) is 0; ask for at least one block");
                return false;
        }

        if (call->buffers[0].size < length) {
                (void) snprintf(
                        message, CTL_MESSAGE_SIZE,
                        "the buffer has %u bytes; length (bytes 4 to 7 of the payload) is %u, a byte for each block",
                        call->buffers[0].size, length);
                return false;
        }

        return true;
}

/* struct { u32 count; u64 ranges; }, each struct { u64 offset; u64 count; } in sectors. */
static bool check_blksnap_dirty(const RequestCommand *call, char message[static CTL_MESSAGE_SIZE]) {
        uint32_t count = read_u32(call->payload, 0);
        const RequestBuffer *b = &call->buffers[0];

        if (count == 0 || b->size != (uint64_t) count * BLKSNAP_RANGE_SIZE) {
                (void) snprintf(
                        message, CTL_MESSAGE_SIZE,
                        "count (bytes 0 to 3 of the payload) is %u, and the buffer has %u bytes; it must have %u for"
                        " each of one or more ranges",
                        count, b->size, BLKSNAP_RANGE_SIZE);
                return false;
        }

        for (uint32_t i = 0; i < count; i++) {
                uint64_t range[2]; /* sectors */

                memcpy(range, (const char *) b->data + (size_t) i * BLKSNAP_RANGE_SIZE, sizeof(range));
                if (range[1] == 0 || range[0] > SECTORS_MAX || range[1] > SECTORS_MAX - range[0]) {
                        (void) snprintf(
                                message, CTL_MESSAGE_SIZE,
                                "range %u is of %llu sectors from sector %llu on; it must have at least one, and end on"
                                " a device",
                                i, (unsigned long long) range[1], (unsigned long long) range[0]);
                        return false;
                }
        }

        return true;
}

static const CtlCommand commands[] = {
        { .filter = "bfcount", .command = 0, .name = "read", .payload_size = 48, .is_reply = true },
        { .filter = "bfcount", .command = 1, .name = "reset" },
        { .filter = "bftrack", .command = 0, .name = "info", .payload_size = 48, .is_reply = true },
        {
                .filter = "bftrack", .command = 1, .name = "map", .payload_size = 16, .n_buffers = 1, .pointer_at = 8,
                .check = check_bftrack_map,
        },
        { .filter = "bftrack", .command = 2, .name = "clear" },
        { .filter = "bffault", .command = 0, .name = "echo" },

        /* the kernel's uapi/linux/blksnap.h, as of the patch series; structures are naturally aligned */
        { .filter = "blksnap", .command = 0, .name = "info", .payload_size = 40, .is_reply = true },
        {
                .filter = "blksnap", .command = 1, .name = "map", .payload_size = 16, .n_buffers = 1, .pointer_at = 8,
                .check = check_blksnap_map,
        },
        {
                .filter = "blksnap", .command = 2, .name = "dirty", .payload_size = 16, .n_buffers = 1, .pointer_at = 8,
                .reads_buffer = true, .check = check_blksnap_dirty,
        },
        { .filter = "blksnap", .command = 3, .name = "add", .payload_size = 16 },
        { .filter = "blksnap", .command = 4, .name = "image", .payload_size = 36, .is_reply = true },
};

/* What holds for every command, known or not. */
static bool check_limits(const RequestCommand *call, char message[static CTL_MESSAGE_SIZE]) {
        uint64_t sum = 0;

        if (call->payload_size > CTL_PAYLOAD_MAX) {
                (void) snprintf(message, CTL_MESSAGE_SIZE, "the payload has %zu bytes; at most %u are possible",
                                call->payload_size, CTL_PAYLOAD_MAX);
                return false;
        }

        if (call->n_buffers > CTL_BUFFERS_MAX) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "there are more than %u buffers; at most so many are possible", CTL_BUFFERS_MAX);
                return false;
        }

        for (size_t i = 0; i < call->n_buffers; i++) {
                const RequestBuffer *b = &call->buffers[i];

                if (b->size == 0) {
                        (void) snprintf(message, CTL_MESSAGE_SIZE,
                                        "buffer %zu is empty; its length must be what the filter fills", i);
                        return false;
                }

                sum += b->size;

                if ((uint64_t) b->payload_offset + CTL_POINTER_SIZE > call->payload_size) {
                        (void) snprintf(message, CTL_MESSAGE_SIZE,
                                        "buffer %zu is to be written at offset %u, but the payload has %zu bytes and a"
                                        " pointer takes %u", i, b->payload_offset, call->payload_size,
                                        CTL_POINTER_SIZE);
                        return false;
                }

                for (size_t j = 0; j < i; j++) {
                        uint32_t a = call->buffers[j].payload_offset, o = b->payload_offset;

                        if ((a > o ? a - o : o - a) < CTL_POINTER_SIZE) {
                                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                                "the pointers of buffers %zu and %zu, at offsets %u and %u, overlap;"
                                                " each takes %u bytes", j, i, a, o, CTL_POINTER_SIZE);
                                return false;
                        }
                }
        }

        if (call->as_memfd && call->n_buffers == 0) {
                (void) snprintf(message, CTL_MESSAGE_SIZE, "there is no buffer that could come as a memfd; use Ctl");
                return false;
        }

        if (sum > (call->as_memfd ? CTL_MEMFD_SIZE_MAX : CTL_BUFFERS_SIZE_MAX)) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "the buffers have %llu bytes together; at most %u are possible%s",
                                (unsigned long long) sum, call->as_memfd ? CTL_MEMFD_SIZE_MAX : CTL_BUFFERS_SIZE_MAX,
                                call->as_memfd ? "" : ", with CtlMemfd more");
                return false;
        }

        return true;
}

static bool check_command(const CtlCommand *c, const RequestCommand *call, char message[static CTL_MESSAGE_SIZE]) {
        if (call->payload_size != c->payload_size && !(c->is_reply && call->payload_size == 0)) {
                (void) snprintf(message, CTL_MESSAGE_SIZE, "%s's command %u (%s) takes a payload of %zu bytes%s; it was"
                                " given %zu", c->filter, c->command, c->name, c->payload_size,
                                c->is_reply ? ", or none" : "", call->payload_size);
                return false;
        }

        if (call->n_buffers != c->n_buffers) {
                (void) snprintf(message, CTL_MESSAGE_SIZE, "%s's command %u (%s) takes %zu buffers; it was given %zu",
                                c->filter, c->command, c->name, c->n_buffers, call->n_buffers);
                return false;
        }

        if (c->n_buffers > 0 && call->buffers[0].payload_offset != c->pointer_at) {
                (void) snprintf(message, CTL_MESSAGE_SIZE, "the pointer of %s's command %u (%s) is at offset %u of the"
                                " payload; %u was given", c->filter, c->command, c->name, c->pointer_at,
                                call->buffers[0].payload_offset);
                return false;
        }

        if (c->reads_buffer && call->as_memfd) {
                (void) snprintf(message, CTL_MESSAGE_SIZE,
                                "%s's command %u (%s) reads its buffer, and in a memfd it begins empty; use Ctl",
                                c->filter, c->command, c->name);
                return false;
        }

        return !c->check || c->check(call, message);
}

/**
 * ctl_judge() - what a command is, and whether it may go to the kernel
 * @filter: the filter's name, any content
 * @call: the command; its payload may be NULL if payload_size is 0, buffers likewise
 * @ret_payload_size: written unless the verdict is CTL_WRONG: bytes of payload to send. More
 *                    than the caller gave where the payload is only room for the reply: the
 *                    rest is zeros
 * @ret_message: written if the verdict is CTL_WRONG: a sentence
 *
 * Return: the verdict.
 */
CtlVerdict ctl_judge(const char *filter, const RequestCommand *call, size_t *ret_payload_size,
                     char ret_message[static CTL_MESSAGE_SIZE]) {
        if (!check_limits(call, ret_message))
                return CTL_WRONG;

        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                const CtlCommand *c = &commands[i];

                if (c->command != call->command || !str_equal(c->filter, filter))
                        continue;

                if (!check_command(c, call, ret_message))
                        return CTL_WRONG;

                *ret_payload_size = c->payload_size;
                return CTL_TYPED;
        }

        *ret_payload_size = call->payload_size;
        return CTL_RAW;
}
