/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What manager.c and request.c share. Nobody else includes it. */

#include <systemd/sd-event.h>

#include "daemon/manager.h"
#include "daemon/plan.h"
#include "daemon/state.h"
#include "daemon/uevent.h"
#include "daemon/worker-pool.h"

typedef struct Request Request;

struct Manager {
        ManagerConfig config;
        sd_event *event;
        sd_event_source *run_source;   /* deferred: runs the plan once the events at hand are in */
        sd_event_source *wake_source;  /* when a delay is over */

        World world;
        PolicySet *policies;           /* in force */
        UEvent *uevent;
        WorkerPool *pool;
        StateDir state;

        Request *requests;             /* oldest first */
        size_t n_requests;

        ManagerListener listener;      /* all NULL until set */
        uint64_t probe_job;            /* id of the question which interface there is; 0 none */
        uint64_t probe_disk;           /* uid of the disk that was asked last */
        uint64_t probe_again_at_usec;  /* monotonic; 0: no delay */
        uint64_t n_probe_failures;     /* in a row */
        bool looked;                   /* at all devices, at least once */
        bool look;                     /* look at all devices again */
        bool ready;                    /* told systemd */
        bool counts_changed;
};

Now manager_now(void);
void manager_schedule(Manager *m);
void manager_submit(Manager *m, const JobRequest *request, int memfd);
void manager_save(Manager *m, const Attachment *a);
void manager_remove_attachment(Manager *m, Attachment *a);

void tell_attachments(Manager *m);
void tell_policies(const PolicySet *policies);
void tell_systemd(Manager *m);

void requests_begin_jobs(Manager *m);
void requests_job_done(Manager *m, const JobRequest *request, const JobReply *reply, int memfd);
void requests_check(Manager *m);
void requests_free(Manager *m);
