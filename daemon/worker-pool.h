/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pool of worker processes: some wait warm, each does one job at a time, more are started when there are more disks
 * to serve. When nothing has happened for a while few are left, and new ones. A disk's next job goes to the worker that
 * had its last one, if that is idle. A worker that does not answer in time is left behind: a call into the kernel that
 * sleeps can be abandoned, not ended. A command (JOB_CTL) has a worker of its own, which ends with it. What is asked of
 * the kernel itself (JOB_PROBE) is asked by one that has had nothing of a disk in its hands.
 */

#include <systemd/sd-event.h>

#include "daemon/job.h"

typedef struct WorkerPool WorkerPool;

/*
 * Called once per job with its reply; JOB_TIMED_OUT may be followed by a second call when the
 * worker answers after all. All arguments are borrowed for the call; memfd is the one given to
 * worker_pool_submit(), or -EBADF.
 */
typedef void (*WorkerDone)(const JobRequest *request, const JobReply *reply, int memfd, void *userdata);

typedef struct WorkerPoolConfig {
        const char *executable;   /* full path of blkfilter-worker */
        uint64_t timeout_usec;    /* after this a job counts as stuck, if its request does not say */
        unsigned n_warm;          /* workers that are started at once: at least 1 */
        unsigned n_resting;       /* that have had none, when there has been no job for rest_usec: at least 1 */
        uint64_t rest_usec;
        unsigned n_max;           /* workers that work at once, the stuck ones not counted */
} WorkerPoolConfig;

int worker_pool_new(sd_event *event, const WorkerPoolConfig *config, WorkerDone done, void *userdata, WorkerPool **ret);
WorkerPool *worker_pool_free(WorkerPool *p);
int worker_pool_submit(WorkerPool *p, const JobRequest *request, int memfd);
