/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends: the only callers of the filter ioctls, one file per kernel interface, used in worker
 * processes only. Each call may sleep for as long as the device likes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/job.h"

/* What a call is made on: a device that is held, and how its interface reaches it. All of it is borrowed. */
typedef struct BackendTarget {
        int fd;           /* the device, open */
        int node_fd;      /* the module's node, for an interface that is by_path; else -EBADF */
        const char *path; /* of the device's own node, which is no link */
} BackendTarget;

/* The result of a call: an outcome, and the kernel's errno for what the outcome does not tell. */
typedef struct BackendResult {
        JobOutcome outcome;
        int error; /* positive errno; 0 if the call succeeded, or was not made */
} BackendResult;

typedef struct Backend {
        /* JOB_UNSUPPORTED, and nothing is sent, if there are options and the interface takes none */
        BackendResult (*attach)(const BackendTarget *t, const char *filter, const void *options, uint32_t size);

        /* JOB_UNSUPPORTED, and nothing is sent, if nobody can say that it is safe */
        BackendResult (*detach)(const BackendTarget *t, const char *filter);

        /* EINVAL is JOB_FAILED: the filter's own, or another filter is on the device (not if by_path) */
        BackendResult (*ctl)(const BackendTarget *t, const char *filter, uint32_t cmd, void *payload, uint32_t size);

        /* whether any filter is on the device: JOB_NOT_ATTACHED, JOB_CONFLICT: one is, or another outcome; changes
         * nothing. NULL: the interface cannot be asked that */
        BackendResult (*ask)(const BackendTarget *t);

        /* what backend_detect() asks: changes nothing, whatever the kernel. ENOENT proves the interface. Returns a
         * positive errno; 0, which no kernel answers, proves nothing */
        int (*probe)(const BackendTarget *t);

        unsigned long ctl_request; /* number of ctl's ioctl */
        bool by_path; /* the calls go to node_fd, and the kernel opens path. Filters are kept by the device's number,
                       * and its attribute in sysfs says nothing of them */
} Backend;

/* backend-detect.c */
const Backend *backend_get(KernelInterface interface);
JobOutcome backend_detect(const BackendTarget *t, int node_error, const JobDevice *device, JobReply *reply);

/* for backends: backend-call.c */
void backend_set_name(uint8_t *name, const char *filter);
int backend_call(int fd, unsigned long number, void *arg);
BackendResult backend_attach_result(int error);
BackendResult backend_detach_result(int error);
BackendResult backend_ctl_result(int error);
