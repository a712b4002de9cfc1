/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is remembered in /run/blkfilterd/attachments/, one file per attachment: run-time
 * attachments, holds, since when tracking is intact, and gaps. Written whole and renamed, so that
 * a crash leaves the old file or the new one. A reboot forgets it, as the kernel does its filters.
 */

#include "daemon/attachment.h"

typedef struct StateDir {
        int fd; /* -EBADF if not open */
} StateDir;

int state_open(const char *folder, StateDir *ret);
void state_close(StateDir *s);
int state_save(const StateDir *s, const Attachment *a, uint64_t now_realtime_usec);
int state_remove(const StateDir *s, const char *id);

/* Called for each record; takes the attachment over. */
typedef void (*StateFound)(Attachment *a, void *userdata);

int state_load(const StateDir *s, StateFound found, void *userdata);
