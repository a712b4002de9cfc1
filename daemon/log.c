/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>

#include "daemon/log.h"

/**
 * log_line() - one line for the administrator
 * @priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO or LOG_DEBUG
 * @format: as printf's, without a newline
 *
 * To standard error; under systemd with the prefix that tells the journal the priority.
 */
void log_line(int priority, const char *format, ...) {
        char buf[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(buf, sizeof(buf), format, ap);
        va_end(ap);

        if (getenv("JOURNAL_STREAM"))
                (void) fprintf(stderr, "<%d>%s\n", priority, buf);
        else
                (void) fprintf(stderr, "%s\n", buf);
}

/**
 * log_attachment() - what happened to an attachment, with fields to search by
 * @priority: as of log_line()
 * @message_id: one of LOG_ID_*
 * @a: the attachment
 * @message: the sentence
 */
void log_attachment(int priority, const char *message_id, const Attachment *a, const char *message) {
        if (getenv("JOURNAL_STREAM") &&
            sd_journal_send("MESSAGE=%s", message,
                            "MESSAGE_ID=%s", message_id,
                            "PRIORITY=%i", priority,
                            "BLKFILTER_ATTACHMENT=%s", a->id,
                            "BLKFILTER_FILTER=%s", a->filter,
                            "BLKFILTER_STATE=%s", attachment_state_to_string(a->state),
                            "BLKFILTER_DEVICE=%s", a->device,
                            "BLKFILTER_PARTUUID=%s", a->match.part_uuid,
                            NULL) >= 0)
                return;

        log_line(priority, "%s", message);
}
