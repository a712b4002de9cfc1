/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "daemon/question.h"
#include "daemon/text.h"

#define ID_SIZE 16

typedef struct Question {
        const char *filter;
        uint32_t command;
        uint32_t size;   /* bytes of its reply, padding included: less is refused */
        uint32_t offset; /* of the generation; 0: it tells none */
} Question;

/* None of them changes anything, and none of their replies has a pointer in it. As ctl-table.c has them for callers. */
static const Question questions[] = {
        { "bfcount", 0, 48, 0 },  /* six u64 */
        { "bffault", 0, 0, 0 },   /* does nothing */
        { "bftrack", 0, 48, 16 }, /* u64, u32, u32, id, u64, u32, u32 */
        { "blksnap", 0, 40, 16 }, /* u64, u32, u32, id, u8 */
};

#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))
#define REPLY_SIZE_MAX 64

static const Question *find(const char *filter) {
        for (size_t i = 0; i < N_QUESTIONS; i++)
                if (str_equal(questions[i].filter, filter))
                        return &questions[i];

        return NULL;
}

/**
 * question_tells_generation() - whether a filter tells its generation
 * @filter: its name
 */
bool question_tells_generation(const char *filter) {
        const Question *q = find(filter);

        return q && q->offset > 0;
}

/**
 * question_put() - ask a filter whether it is on a device, and which of its attaches it is
 * @ctl: of the kernel's interface
 * @t: the device
 * @filter: its name
 * @ret_generation: GENERATION_SIZE bytes: 32 hexadecimal digits, or "" if it does not tell; or NULL
 *
 * Blocks for as long as the filter likes.
 *
 * Return: JOB_OK: it is on, even if it tells no generation; JOB_NOT_ATTACHED or JOB_GONE; JOB_UNSUPPORTED: no
 * question is known for this filter, nothing was sent; JOB_FAILED: it is not known whether it is on.
 */
BackendResult question_put(BackendCtl ctl, const BackendTarget *t, const char *filter, char *ret_generation) {
        /* Some room more than any of them fills, so that an id is never cut from what is not a reply. */
        uint8_t reply[REPLY_SIZE_MAX] __attribute__((aligned(8))) = { 0 };
        static const uint8_t nothing[ID_SIZE];
        const Question *q = find(filter);
        BackendResult r;

        if (ret_generation)
                ret_generation[0] = 0;
        if (!q)
                return (BackendResult) { JOB_UNSUPPORTED, 0 };

        r = ctl(t, filter, q->command, q->size > 0 ? reply : NULL, q->size);
        if (r.outcome == JOB_NO_COMMAND)
                r.outcome = JOB_FAILED;
        if (r.outcome != JOB_OK || !ret_generation || !q->offset)
                return r;

        /* two that tell nothing would look like one and the same */
        if (memcmp(reply + q->offset, nothing, ID_SIZE) == 0)
                return r;

        for (size_t k = 0; k < ID_SIZE; k++)
                (void) snprintf(ret_generation + 2 * k, 3, "%02x", reply[q->offset + k]);

        return r;
}

/**
 * question_find_other() - which of the other known filters is on a device
 * @ctl: of the kernel's interface
 * @t: the device
 * @filter: the one that is not asked
 *
 * Return: static; NULL if none says that it is.
 */
const char *question_find_other(BackendCtl ctl, const BackendTarget *t, const char *filter) {
        for (size_t i = 0; i < N_QUESTIONS; i++)
                if (!str_equal(questions[i].filter, filter) &&
                    question_put(ctl, t, questions[i].filter, NULL).outcome == JOB_OK)
                        return questions[i].filter;

        return NULL;
}
