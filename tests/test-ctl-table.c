/* SPDX-License-Identifier: LGPL-2.1-or-later */

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbus/ctl-table.h"

static const uint8_t zeros[CTL_BUFFERS_SIZE_MAX + 2];

typedef struct Case {
        const char *filter;
        uint32_t command;
        size_t payload_size;
        RequestBuffer buffers[18];
        size_t n_buffers;
        uint32_t words[2]; /* first bytes of the payload */
        CtlVerdict verdict;
        size_t sent;          /* bytes of payload, unless CTL_WRONG */
        const char *part[2];  /* words of the message, if CTL_WRONG */
        bool as_memfd;
} Case;

#define BUFFER(_offset, _size) { .payload_offset = (_offset), .size = (_size), .data = zeros }
#define ROOM(_offset, _size) { .payload_offset = (_offset), .size = (_size) }

/* sectors: offset and count, twice */
static const uint64_t good[4] = { 0, 1, UINT64_MAX / 512 - 1, 1 }, empty[4] = { 0, 8, 8, 0 },
        wraps[4] = { UINT64_MAX / 512, 1, 0, 1 };

#define RANGES(_ranges) { .payload_offset = 8, .size = sizeof(_ranges), .data = (_ranges) }

static const Case cases[] = {
        /* known: reply room, exact sizes */
        { "bfcount", 0, 0, .verdict = CTL_TYPED, .sent = 48 },
        { "bfcount", 0, 48, .verdict = CTL_TYPED, .sent = 48 },
        { "bfcount", 0, 47, .verdict = CTL_WRONG, .part = { "48 bytes, or none", "given 47" } },
        { "bfcount", 0, 49, .verdict = CTL_WRONG, .part = { "bfcount's command 0 (read)", "given 49" } },
        { "bfcount", 0, 48, { BUFFER(0, 8) }, 1, .verdict = CTL_WRONG, .part = { "takes 0 buffers" } },
        { "bfcount", 1, 0, .verdict = CTL_TYPED, .sent = 0 },
        { "bfcount", 1, 1, .verdict = CTL_WRONG, .part = { "(reset)", "0 bytes" } },
        { "bftrack", 0, 0, .verdict = CTL_TYPED, .sent = 48 },
        { "bftrack", 0, 8, .verdict = CTL_WRONG, .part = { "(info)" } },
        { "bftrack", 2, 0, .verdict = CTL_TYPED, .sent = 0 },
        { "bftrack", 2, 4, .verdict = CTL_WRONG, .part = { "(clear)" } },
        { "bffault", 0, 0, .verdict = CTL_TYPED, .sent = 0 },
        { "bffault", 0, 1, .verdict = CTL_WRONG, .part = { "(echo)" } },

        /* the map: its fields, its pointer, its buffer */
        { "bftrack", 1, 16, { BUFFER(8, 8) }, 1, { 0, 64 }, CTL_TYPED, .sent = 16 },
        { "bftrack", 1, 16, { BUFFER(8, 9) }, 1, { 8, 65 }, CTL_TYPED, .sent = 16 },
        { "bftrack", 1, 16, { BUFFER(8, 100) }, 1, { 0, 64 }, CTL_TYPED, .sent = 16 },
        { "bftrack", 1, 16, { BUFFER(8, 8) }, 1, { 0, 65 }, CTL_WRONG, .part = { "n_blocks", "at least 9" } },
        { "bftrack", 1, 16, { BUFFER(8, 1024) }, 1, { 0, UINT32_MAX }, CTL_WRONG, .part = { "n_blocks", "536870912" } },
        { "bftrack", 1, 16, { BUFFER(8, 8) }, 1, { 4, 8 }, CTL_WRONG, .part = { "first_block", "multiple of 8" } },
        { "bftrack", 1, 16, { BUFFER(8, 8) }, 1, { 0, 0 }, CTL_WRONG, .part = { "n_blocks", "at least one" } },
        { "bftrack", 1, 16, { BUFFER(0, 8) }, 1, { 0, 8 }, CTL_WRONG, .part = { "offset 8", "0 was given" } },
        { "bftrack", 1, 16, .words = { 0, 8 }, .verdict = CTL_WRONG, .part = { "takes 1 buffers", "given 0" } },
        { "bftrack", 1, 16, { BUFFER(0, 8), BUFFER(8, 8) }, 2, { 0, 8 }, CTL_WRONG, .part = { "given 2" } },
        { "bftrack", 1, 0, .verdict = CTL_WRONG, .part = { "16 bytes", "given 0" } },
        { "bftrack", 1, 24, { BUFFER(8, 8) }, 1, { 0, 8 }, CTL_WRONG, .part = { "16 bytes", "given 24" } },

        /* blksnap's five */
        { "blksnap", 0, 0, .verdict = CTL_TYPED, .sent = 40 },
        { "blksnap", 0, 40, .verdict = CTL_TYPED, .sent = 40 },
        { "blksnap", 0, 33, .verdict = CTL_WRONG, .part = { "blksnap's command 0 (info)", "40 bytes, or none" } },
        { "blksnap", 1, 16, { BUFFER(8, 64) }, 1, { 7, 64 }, CTL_TYPED, .sent = 16 },
        { "blksnap", 1, 16, { BUFFER(8, 64) }, 1, { 0, 65 }, CTL_WRONG, .part = { "length", "a byte for each block" } },
        { "blksnap", 1, 16, { BUFFER(8, 64) }, 1, { 0, 0 }, CTL_WRONG, .part = { "at least one block" } },
        { "blksnap", 1, 16, { BUFFER(0, 64) }, 1, { 0, 64 }, CTL_WRONG, .part = { "offset 8" } },
        { "blksnap", 1, 16, .words = { 0, 64 }, .verdict = CTL_WRONG, .part = { "takes 1 buffers" } },
        { "blksnap", 2, 16, { RANGES(good) }, 1, { 2, 0 }, CTL_TYPED, .sent = 16 },
        { "blksnap", 2, 16, { RANGES(good) }, 1, { 1, 0 }, CTL_WRONG, .part = { "count", "32 bytes" } },
        { "blksnap", 2, 16, { RANGES(good) }, 1, { 3, 0 }, CTL_WRONG, .part = { "count" } },
        { "blksnap", 2, 16, { RANGES(good) }, 1, { 0, 0 }, CTL_WRONG, .part = { "one or more" } },
        { "blksnap", 2, 16, { RANGES(good) }, 1, { 0x10000002, 0 }, CTL_WRONG, .part = { "count" } },
        { "blksnap", 2, 16, { RANGES(empty) }, 1, { 2, 0 }, CTL_WRONG, .part = { "range 1 is of 0 sectors" } },
        { "blksnap", 2, 16, { RANGES(wraps) }, 1, { 2, 0 }, CTL_WRONG, .part = { "range 0", "end on a device" } },
        { "blksnap", 3, 16, .verdict = CTL_TYPED, .sent = 16 },
        { "blksnap", 3, 0, .verdict = CTL_WRONG, .part = { "(add)", "16 bytes;" } },
        { "blksnap", 4, 0, .verdict = CTL_TYPED, .sent = 36 },
        { "blksnap", 4, 40, .verdict = CTL_WRONG, .part = { "(image)", "36 bytes, or none" } },

        /* not known: as it is */
        { "bfcount", 2, 0, .verdict = CTL_RAW, .sent = 0 },
        { "bftrack", 3, 5, .verdict = CTL_RAW, .sent = 5 },
        { "bffault", 1, 0, .verdict = CTL_RAW, .sent = 0 },
        { "BFCOUNT", 0, 7, .verdict = CTL_RAW, .sent = 7 },
        { "blksnap", 5, 16, .verdict = CTL_RAW, .sent = 16 },
        { "bftrac", 0, 16, .verdict = CTL_RAW, .sent = 16 },
        { "", UINT32_MAX, 0, .verdict = CTL_RAW, .sent = 0 },

        /* limits of all */
        { "x", 0, CTL_PAYLOAD_MAX, .verdict = CTL_RAW, .sent = CTL_PAYLOAD_MAX },
        { "x", 0, CTL_PAYLOAD_MAX + 1, .verdict = CTL_WRONG, .part = { "65537", "65536" } },
        { "bfcount", 0, CTL_PAYLOAD_MAX + 1, .verdict = CTL_WRONG, .part = { "65537", "65536" } },
        { "x", 0, 8, { BUFFER(0, CTL_BUFFERS_SIZE_MAX) }, 1, .verdict = CTL_RAW, .sent = 8 },
        { "x", 0, 8, { BUFFER(0, CTL_BUFFERS_SIZE_MAX + 1) }, 1, .verdict = CTL_WRONG,
          .part = { "1048577", "1048576 are possible, with CtlMemfd more" } },
        { "x", 0, 24, { BUFFER(0, CTL_BUFFERS_SIZE_MAX), BUFFER(16, 1) }, 2, .verdict = CTL_WRONG,
          .part = { "together" } },
        { "x", 0, 16, { BUFFER(8, UINT32_MAX), BUFFER(0, UINT32_MAX) }, 2, .verdict = CTL_WRONG,
          .part = { "together" } },
        { "x", 0, 8, { BUFFER(0, 0) }, 1, .verdict = CTL_WRONG, .part = { "buffer 0 is empty" } },
        { "x", 0, 8, { BUFFER(1, 1) }, 1, .verdict = CTL_WRONG, .part = { "offset 1", "8 bytes" } },
        { "x", 0, 7, { BUFFER(0, 1) }, 1, .verdict = CTL_WRONG, .part = { "buffer 0", "7 bytes" } },
        { "x", 0, 0, { BUFFER(0, 1) }, 1, .verdict = CTL_WRONG, .part = { "0 bytes" } },
        { "x", 0, 16, { BUFFER(UINT32_MAX, 1) }, 1, .verdict = CTL_WRONG, .part = { "4294967295" } },
        { "x", 0, 16, { BUFFER(UINT32_MAX - 6, 1) }, 1, .verdict = CTL_WRONG, .part = { "4294967289" } },
        { "x", 0, 16, { BUFFER(0, 1), BUFFER(8, 1) }, 2, .verdict = CTL_RAW, .sent = 16 },
        { "x", 0, 16, { BUFFER(8, 1), BUFFER(1, 1) }, 2, .verdict = CTL_WRONG, .part = { "0 and 1", "overlap" } },
        { "x", 0, 16, { BUFFER(3, 1), BUFFER(3, 1) }, 2, .verdict = CTL_WRONG, .part = { "offsets 3 and 3" } },
        {
                "x", 0, 128,
                { BUFFER(0, 1), BUFFER(8, 1), BUFFER(16, 1), BUFFER(24, 1), BUFFER(32, 1), BUFFER(40, 1), BUFFER(48, 1),
                  BUFFER(56, 1), BUFFER(64, 1), BUFFER(72, 1), BUFFER(80, 1), BUFFER(88, 1), BUFFER(96, 1),
                  BUFFER(104, 1), BUFFER(112, 1), BUFFER(120, 1) },
                16, .verdict = CTL_RAW, .sent = 128,
        },

        /* as a memfd: more room, and what the caller does not fill cannot be read */
        { "x", 0, 8, { ROOM(0, CTL_MEMFD_SIZE_MAX) }, 1, .verdict = CTL_RAW, .sent = 8, .as_memfd = true },
        { "x", 0, 8, { ROOM(0, CTL_MEMFD_SIZE_MAX + 1) }, 1, .verdict = CTL_WRONG, .as_memfd = true,
          .part = { "67108865", "67108864" } },
        { "x", 0, 16, { ROOM(0, CTL_MEMFD_SIZE_MAX), ROOM(8, 1) }, 2, .verdict = CTL_WRONG, .as_memfd = true,
          .part = { "together" } },
        { "x", 0, 8, .verdict = CTL_WRONG, .as_memfd = true,
          .part = { "no buffer", "use Ctl" } },
        { "bftrack", 1, 16, { ROOM(8, 1 << 21) }, 1, { 0, 1 << 24 }, CTL_TYPED, .sent = 16, .as_memfd = true },
        { "bftrack", 1, 16, { ROOM(8, 1 << 21) }, 1, { 0, (1 << 24) + 1 }, CTL_WRONG, .as_memfd = true,
          .part = { "at least 2097153" } },
        { "blksnap", 1, 16, { ROOM(8, 64) }, 1, { 0, 64 }, CTL_TYPED, .sent = 16, .as_memfd = true },
        { "blksnap", 2, 16, { ROOM(8, 32) }, 1, { 2, 0 }, CTL_WRONG, .as_memfd = true,
          .part = { "(dirty)", "use Ctl" } },

        { "x", 0, 8, { BUFFER(0, 1) }, 17, .verdict = CTL_WRONG, .part = { "more than 16" } },
};

static void test_case(size_t i) {
        const Case *c = &cases[i];
        char message[CTL_MESSAGE_SIZE] = "";
        size_t sent = SIZE_MAX;
        CtlVerdict verdict;
        uint8_t *payload = NULL;

        /* exactly as long as it says: a read beyond is seen by the sanitizers */
        if (c->payload_size > 0) {
                payload = calloc(1, c->payload_size);
                assert(payload);
                if (c->payload_size >= sizeof(c->words))
                        memcpy(payload, c->words, sizeof(c->words));
        }

        verdict = ctl_judge(c->filter, &(RequestCommand) {
                .command = c->command,
                .payload = payload,
                .payload_size = c->payload_size,
                .buffers = c->buffers,
                .n_buffers = c->n_buffers,
                .as_memfd = c->as_memfd,
        }, &sent, message);
        free(payload);

        if (verdict != c->verdict || (verdict != CTL_WRONG && sent != c->sent) ||
            (verdict == CTL_WRONG && sent != SIZE_MAX)) {
                (void) fprintf(stderr, "case %zu: %s %u: verdict %d, %zu bytes sent, \"%s\"\n", i, c->filter,
                               c->command, verdict, sent, message);
                abort();
        }

        for (size_t p = 0; p < 2; p++)
                if (c->part[p] && !strstr(message, c->part[p])) {
                        (void) fprintf(stderr, "case %zu: \"%s\" does not say \"%s\"\n", i, message, c->part[p]);
                        abort();
                }

        assert(verdict != CTL_WRONG || strlen(message) < CTL_MESSAGE_SIZE - 1); /* not cut */
}

int main(void) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                test_case(i);

        return EXIT_SUCCESS;
}
