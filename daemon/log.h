/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The journal. Edges and core return what happened; the manager logs it, once.
 */

#include <syslog.h>

#include "daemon/attachment.h"

void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_attachment(int priority, const char *message_id, const Attachment *a, const char *message);

/* Message ids of what administrators look for; an interface, like all names. */
#define LOG_ID_LOST     "c1a35b0e6f2f4e0f9e55a36b9d2f7a01"
#define LOG_ID_RESTORED "c1a35b0e6f2f4e0f9e55a36b9d2f7a02"
#define LOG_ID_STATE    "c1a35b0e6f2f4e0f9e55a36b9d2f7a03"
