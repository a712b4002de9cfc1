/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is remembered in /run/blkfilterd/attachments/, one file per attachment: run-time
 * attachments, holds, since when tracking is intact, and gaps; and in hidden files, which disks came
 * with the boot, and which filters may be left on device numbers. Written whole and renamed, so that
 * a crash leaves the old file or the new one. A reboot empties it, as the kernel forgets its filters.
 *
 * Another process (blkfilter-keep) copies it to /var/lib/blkfilterd/attachments/ now and then and at
 * shutdown, so that the daemon never waits for a disk to take them. After a reboot those records tell
 * until when tracking was intact, and no more.
 */

#include "daemon/attachment.h"
#include "daemon/plan.h"
#include "daemon/record.h"

typedef struct StateDir {
        int fd;                  /* -EBADF if not open */
        char boot[BOOT_ID_SIZE]; /* this boot; "" if it is not to be had */
} StateDir;

int state_open(const char *folder, StateDir *ret);
void state_close(StateDir *s);
int state_save(const StateDir *s, const Attachment *a, uint64_t now_realtime_usec);
int state_remove(const StateDir *s, const char *id);
int state_save_stale(const StateDir *s, const World *w);
int state_load_stale(const StateDir *s, World *w);
uint64_t state_boot_diskseq(const StateDir *s, uint64_t highest);

/* Called for each record; takes the attachment over. */
typedef void (*StateFound)(Attachment *a, void *userdata);

int state_load(const StateDir *s, StateFound found, void *userdata);
/* A condition of state_load_last_boot(). */
enum {
        _STATE_E_SUCCESS,
        STATE_E_NOT_THERE, /* the disk with the records is not to be seen */
};

int state_load_last_boot(const char *folder, StateFound found, void *userdata);

/* state-keep.c */
int state_keep(const char *from, const char *to, uint64_t max_age_usec);

/* state-file.c: what both are made of */
int state_read_file(int dir_fd, const char *name, char **ret, size_t *ret_size);
int state_write_file(int dir_fd, const char *name, const char *data, size_t size);
int state_parse_file(const char *name, const char *data, size_t size, Attachment **ret, RecordNote *ret_note);
