/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The core's sentences: why an attachment stands as it does, and what to do next. Each returns a
 * string owned by the caller, or NULL if there is no memory for it.
 */

#include "daemon/plan.h"

/* A kernel without filters, for whoever wants one. */
#define REASON_NO_FILTERS                                                                                       \
        "this kernel has no block device filters; boot one that has, or load the module that brings them"       \
        " (modprobe bdevfilter)"

/* A kernel of which nothing is known. */
#define REASON_NOT_ASKED                                                                                          \
        "the kernel has not said yet which filters it takes; it is asked as soon as there is a disk that may be"  \
        " opened"

char *reason_absent(const Attachment *a, const Holder *ignored);
char *reason_attached(const Attachment *a, const Holders *holders);
char *reason_ambiguous(const Attachment *a, const Holders *holders);
char *reason_reading(const Disk *d);
char *reason_unclear(const Disk *d);
char *reason_no_partition(const Holder *h);
char *reason_no_options(KernelInterface i);
char *reason_first_policy(const Attachment *first);
char *reason_held(const Attachment *held);
char *reason_noted(const Attachment *a, Device d);
char *reason_left(const Attachment *a, Device d);
char *reason_stale(const Attachment *a, Device d);
char *reason_interface(const World *w);
char *reason_not_followed(unsigned on);
char *reason_changed(const Attachment *a, const char *what, const char *before, const char *now);
char *reason_outcome(const Attachment *a, const JobReply *reply);
char *reason_plain(const char *sentence);
