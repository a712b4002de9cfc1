/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that the manager needs of the outside: one small table, so that a simulated world can stand
 * in for the real one (outside.c). Nothing here calls back into the manager before it returns, but
 * look and load_records, which tell by the function that they are given or by manager_device().
 */

#include "daemon/attachment.h"
#include "daemon/daemon-config.h"
#include "daemon/device.h"
#include "daemon/job.h"
#include "daemon/plan.h"
#include "daemon/policy.h"
#include "daemon/state.h"

typedef struct ManagerOps {
        void *outside; /* handed to each; borrowed for the manager's life */

        Now (*now)(void *outside);

        /* manager_run() is to be called when the events at hand have been told */
        void (*schedule)(void *outside);

        /* manager_run() is to be called at that time, on the monotonic clock; 0: not at all. The last
         * call counts */
        void (*wake)(uint64_t at_usec, void *outside);

        /* A worker is to do a job: manager_job_done() follows, after this has returned. The request is
         * copied, memfd (-EBADF if none) is consumed. 0, or a negative errno: there will be no reply */
        int (*submit)(const JobRequest *request, int memfd, void *outside);

        /* All devices that are there are to be told by manager_device(), before this returns. 0, or a
         * negative errno: not all were told */
        int (*look)(void *outside);

        /* Whether udev has events that it has not told yet */
        bool (*udev_is_busy)(void *outside);

        /* The daemon's own settings are to be read: what is not set stays. As config_load() */
        void (*load_config)(Config *config, void *outside);

        /* The policies are to be read. As policy_load() */
        int (*load_policies)(const PolicySet *last, PolicySet **ret, void *outside);

        /* The records of the last boot are to be told by @found, which owns them. As state_load_last_boot();
         * what was on then went not later than at *ret_boot_usec, realtime, which is set before, and always */
        int (*load_last_boot)(uint64_t *ret_boot_usec, StateFound found, void *userdata, void *outside);

        /* As state_load(), state_save(), state_remove() */
        int (*load_records)(StateFound found, void *userdata, void *outside);
        int (*save_record)(const Attachment *a, uint64_t now_realtime_usec, void *outside);
        int (*remove_record)(const char *id, void *outside);

        /* World.stale is to be written down, and to be filled with what an earlier daemon of this boot wrote by
         * world_add_stale(). As state_save_stale(), state_load_stale() */
        int (*save_stale)(const World *w, void *outside);
        int (*load_stale)(World *w, void *outside);

        /* A policy is to be written where an administrator's are, under its name; *ret_path is owned by the
         * caller. 0, -EEXIST if there is one of that name, or a negative errno */
        int (*save_policy)(const Policy *p, char **ret_path, void *outside);

        /* A module is to be loaded; if that goes well, manager_module() follows. 0, or a negative errno */
        int (*load_module)(const char *name, void *outside);

        /* Whether disks that come from now on have not come with the boot */
        bool (*boot_is_over)(void *outside);

        /* The highest diskseq of the disks that came with the boot: @highest is it, unless an earlier daemon
         * has noted another. @highest 0: not known yet; what was noted, or 0 */
        uint64_t (*boot_diskseq)(uint64_t highest, void *outside);

        /* How many writes to a device the kernel has counted since it came, its partitions' included. 0, or a
         * negative errno: it is gone, or the kernel does not count */
        int (*count_writes)(uint32_t major, uint32_t minor, uint64_t *ret, void *outside);

        /* The daemon in a line; not before all that was there at its start has been seen to */
        void (*status)(const char *line, void *outside);
} ManagerOps;
