/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "daemon/generation.h"
#include "daemon/text.h"

#define ID_SIZE 16

/*
 * The command that tells the id, by filter. None of them changes anything, and none of their replies has a
 * pointer in it. As ctl-table.c has them for callers.
 */
static const struct {
        const char *filter;
        uint32_t command;
        uint32_t size;   /* bytes of its reply, padding included: less is refused */
        uint32_t offset; /* of the id */
} tellers[] = {
        { "bftrack", 0, 48, 16 }, /* u64, u32, u32, id, u64, u32, u32 */
        { "blksnap", 0, 40, 16 }, /* u64, u32, u32, id, u8 */
};

#define N_TELLERS (sizeof(tellers) / sizeof(tellers[0]))
#define REPLY_SIZE_MAX 64

static size_t find(const char *filter) {
        size_t i;

        for (i = 0; i < N_TELLERS; i++)
                if (str_equal(tellers[i].filter, filter))
                        break;

        return i;
}

/**
 * generation_is_told_by() - whether a filter tells its generation
 * @filter: its name
 */
bool generation_is_told_by(const char *filter) {
        return find(filter) < N_TELLERS;
}

/**
 * generation_read() - ask a filter which of its attaches it is
 * @backend: the kernel's interface
 * @fd: the device, open; borrowed
 * @filter: its name; one that generation_is_told_by() knows
 * @ret: 32 hexadecimal digits, or "" if it does not tell
 *
 * Blocks for as long as the filter likes.
 *
 * Return: JOB_OK, even if it did not tell; JOB_NOT_ATTACHED, JOB_CONFLICT or JOB_GONE if that is the
 * reason; JOB_FAILED if it is not known whether the filter is on the device at all.
 */
JobOutcome generation_read(const Backend *backend, int fd, const char *filter, char ret[static GENERATION_SIZE]) {
        /* Some room more than any of them fills, so that an id is never cut from what is not a reply. */
        uint8_t reply[REPLY_SIZE_MAX] __attribute__((aligned(8))) = { 0 };
        static const uint8_t nothing[ID_SIZE];
        size_t i = find(filter);
        BackendResult r;

        ret[0] = 0;
        if (i == N_TELLERS)
                return JOB_FAILED;

        r = backend->ctl(fd, filter, tellers[i].command, reply, tellers[i].size);
        if (r.outcome != JOB_OK)
                return r.outcome == JOB_NO_COMMAND ? JOB_FAILED : r.outcome;

        /* two that tell nothing would look like one and the same */
        if (memcmp(reply + tellers[i].offset, nothing, ID_SIZE) == 0)
                return JOB_OK;

        for (size_t k = 0; k < ID_SIZE; k++)
                (void) snprintf(ret + 2 * k, 3, "%02x", reply[tellers[i].offset + k]);

        return JOB_OK;
}
