/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is known of filters' commands. Pure: judges the bytes of a caller before anything is done
 * with them. A known command is checked field by field, its pointers are made by the daemon, and
 * its reply's length comes from here; anything else is raw and needs a right of its own.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/manager.h"

#define CTL_PAYLOAD_MAX (64U * 1024)         /* bytes */
#define CTL_BUFFERS_MAX 16U
#define CTL_BUFFERS_SIZE_MAX (1024U * 1024)    /* bytes, of all buffers together, in messages */
#define CTL_MEMFD_SIZE_MAX (64U * 1024 * 1024) /* bytes, of all buffers together, in a memfd */
#define CTL_POINTER_SIZE 8U                  /* bytes that a buffer's address takes in the payload */
#define CTL_MESSAGE_SIZE 256

typedef enum CtlVerdict {
        CTL_WRONG, /* refuse; the message says which field and which limit */
        CTL_TYPED, /* known, and its sizes and ranges are right */
        CTL_RAW,   /* not known; within the limits that hold for all */
} CtlVerdict;

CtlVerdict ctl_judge(const char *filter, const RequestCommand *command, size_t *ret_payload_size,
                     char ret_message[static CTL_MESSAGE_SIZE]);
