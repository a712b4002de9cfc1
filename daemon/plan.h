/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The plan: wanted minus actual. All that the daemon knows is a World; plan_run() looks at it and
 * says which jobs to begin now. It is level-triggered: it may be run at any time, any number of
 * times, and asks only for what is missing. Pure: facts, results and time come as arguments,
 * actions leave as data.
 *
 * The order of things after a re-read of sda's table, for an attachment that was on sda1:
 *
 *      remove sda1 (kernel)    lost; sda is dirty: what its table says is not known
 *      change sda, add sda1    -
 *      plan                    sda is expected to bring it back: SCAN sda, before udev is done
 *      the scan's reply        sda1 has the identity, nobody else has: ATTACH
 *      the attach's reply      attached; the gap is closed
 *      udev's events           nothing to do
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/attachment.h"
#include "daemon/device.h"
#include "daemon/job.h"
#include "daemon/policy.h"

typedef struct World {
        DeviceSet devices;
        AttachmentSet attachments;
        KernelInterface interface;
        bool udev_is_busy; /* it has events that it has not told yet */
        uint64_t last_job; /* id of the newest job */
} World;

typedef struct Plan {
        JobRequest *requests;  /* jobs to begin now; no two on one disk */
        size_t n_requests;
        uint64_t wake_at_usec; /* monotonic: run the plan again then; 0: at the next event */
} Plan;

void plan_deinit(Plan *p);
int plan_run(World *w, const Now *now, Plan *ret);

void world_deinit(World *w);
void attachment_leave_policy(Attachment *a);
int world_find_shadowed(PolicySet *policies);
int world_set_policies(World *w, const PolicySet *policies);
void world_job_done(World *w, const JobRequest *request, const JobReply *reply, const Now *now);
void world_retry_now(World *w);
void world_fill_request(World *w, Disk *d, const Partition *p, JobKind kind, JobRequest *ret);
Attachment *world_find_attachment(const World *w, const char *filter, const Partition *p);
