/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends: the only callers of the filter ioctls, one file per kernel interface, used in worker
 * processes only. Each call may sleep for as long as the device likes.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/job.h"

/* The result of a call: an outcome, and the kernel's errno for what the outcome does not tell. */
typedef struct BackendResult {
        JobOutcome outcome;
        int error; /* positive errno; 0 if the call succeeded */
} BackendResult;

typedef struct Backend {
        BackendResult (*attach)(int fd, const char *filter);
        BackendResult (*detach)(int fd, const char *filter);
        BackendResult (*ctl)(int fd, const char *filter, uint32_t cmd, void *payload, uint32_t payload_size);
        unsigned long ctl_request; /* number of ctl's ioctl */
} Backend;

extern const Backend backend_blkfilter_1;

const Backend *backend_get(KernelInterface interface);
JobOutcome backend_probe(int fd, KernelInterface *ret, int *ret_error);
