/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The journal. Edges and core return what happened; the manager logs it, once.
 */

#include <syslog.h>

#include "daemon/attachment.h"

/* Where to: the names are those of org.freedesktop.LogControl1. */
typedef enum LogTarget {
        LOG_TARGET_AUTO,    /* the journal under systemd, else standard error */
        LOG_TARGET_JOURNAL, /* the journal; if it cannot be reached, standard error */
        LOG_TARGET_CONSOLE, /* standard error, lines only */
        LOG_TARGET_NULL,    /* nowhere */
        _LOG_TARGET_MAX,
} LogTarget;

int log_level_from_string(const char *s);
int log_target_from_string(const char *s);
const char *log_get_level(void);
const char *log_get_target(void);
void log_set_level(int level);
void log_set_target(LogTarget target);

void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_event(int priority, const char *message_id, const char *message);
void log_policy(int priority, const char *path, unsigned line, const char *message);
void log_attachment(int priority, const char *message_id, const Attachment *a, const char *message);
const char *log_id_of_state(AttachmentState state);
const char *log_id_of_loss(const char *reason);

/*
 * Message ids of what administrators look for; an interface, like all names. Each has its entry in
 * conf/blkfilterd.catalog, which says what to do.
 */
#define LOG_ID_LOST        "c1a35b0e6f2f4e0f9e55a36b9d2f7a01" /* the filter is off its device */
#define LOG_ID_RESTORED    "c1a35b0e6f2f4e0f9e55a36b9d2f7a02" /* it is back */
#define LOG_ID_STATE       "c1a35b0e6f2f4e0f9e55a36b9d2f7a03" /* another state, none of the following */
#define LOG_ID_AMBIGUOUS   "c1a35b0e6f2f4e0f9e55a36b9d2f7a04" /* two devices have one identity */
#define LOG_ID_CONFLICT    "c1a35b0e6f2f4e0f9e55a36b9d2f7a05" /* another filter is on the device */
#define LOG_ID_STUCK       "c1a35b0e6f2f4e0f9e55a36b9d2f7a06" /* the device does not answer */
#define LOG_ID_POLICY      "c1a35b0e6f2f4e0f9e55a36b9d2f7a07" /* a policy file is wrong */
#define LOG_ID_EVENTS_LOST "c1a35b0e6f2f4e0f9e55a36b9d2f7a08" /* the kernel told more than could be kept */
#define LOG_ID_FOREIGN     "c1a35b0e6f2f4e0f9e55a36b9d2f7a09" /* somebody else took the filter off */
#define LOG_ID_UNSUPPORTED "c1a35b0e6f2f4e0f9e55a36b9d2f7a0a" /* the kernel has no filters */
#define LOG_ID_IMAGE       "c1a35b0e6f2f4e0f9e55a36b9d2f7a0b" /* the initramfs has other policies */
#define LOG_ID_NOT_WAITED  "c1a35b0e6f2f4e0f9e55a36b9d2f7a0c" /* a device was let go before its filter was on */
