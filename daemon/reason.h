/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The core's sentences: why an attachment stands as it does, and what to do next. Each returns a
 * string owned by the caller, or NULL if there is no memory for it.
 */

#include "daemon/attachment.h"
#include "daemon/device.h"
#include "daemon/job.h"

/* One place where an identity is claimed to be. */
typedef struct Holder {
        Disk *disk;
        const Entry *entry;
        Partition *partition; /* NULL: in the table, but the kernel has no such partition */
} Holder;

char *reason_absent(const Attachment *a, const Holder *ignored);
char *reason_attached(const Attachment *a, const Holder *holders, size_t n_holders);
char *reason_ambiguous(const Attachment *a, const Holder *holders, size_t n_holders);
char *reason_reading(const Disk *d);
char *reason_unclear(const Disk *d);
char *reason_no_partition(const Holder *h);
char *reason_first_policy(const Attachment *first);
char *reason_outcome(const Attachment *a, const JobReply *reply);
char *reason_plain(const char *sentence);
