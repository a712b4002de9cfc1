/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the manager share: manager.c, look.c, past.c, probe.c, request*.c, tell.c, wait.c. Nobody else in
 * the daemon has it.
 */

#include "daemon/manager.h"
#include "daemon/plan.h"

typedef struct Request Request;

struct Manager {
        ManagerOps ops;
        World world;
        PolicySet *policies;           /* in force */
        bool started;
        bool raw_commands;             /* commands that are not known may be sent to filters */
        uint64_t wait_usec;            /* for how long a device may be held back; 0: not at all */
        uint64_t check_usec;           /* pause between two checks of all that is on, and of tables; 0: none */
        uint64_t check_at_usec;        /* monotonic: of the next */

        /* request*.c */
        Request *requests;             /* oldest first */
        size_t n_requests;

        /* look.c */
        bool look;                     /* look at all devices again */
        bool lost;                     /* events were, and udev has been busy at each look since: what it told by them
                                        * is not known */
        uint64_t look_again_at_usec;   /* monotonic: but not before, for the last one failed; 0: at once */
        uint64_t doubt_since_usec;     /* monotonic: what was found by looking may be of predecessors; 0: no */
        bool boot_is_noted;            /* World.boot_diskseq is known */

        /* past.c */
        uint64_t past_again_at_usec;   /* monotonic: look for the records of the last boot again; 0: no */
        uint64_t past_pause_usec;

        /* probe.c */
        char *interface_reason;        /* of KernelInterface, in words; NULL: none yet, or no memory for it */
        KernelInterface told_interface; /* that was logged last */
        uint64_t probe_job;            /* id of the question which interface there is; 0 none */
        uint64_t probe_since;          /* id of the first question of which the answer counts */
        uint64_t probe_round;          /* from 1: in each all disks are asked once */
        size_t n_probe_asked;          /* disks in this round; and of them by their answers: */
        size_t n_probe_none, n_probe_unclear, n_probe_silent;
        bool probe_answered;           /* something was answered that nothing has been made of yet */
        bool probe_proven;             /* the interface is known for certain, be it none */
        char probe_why[JOB_MESSAGE_SIZE]; /* of the last answer */
        uint64_t probe_again_at_usec;  /* monotonic: the next round; 0: this one goes on */
        uint64_t n_probe_failures;     /* rounds in vain, in a row */

        /* tell.c */
        ManagerListener listener;      /* all NULL until set */
        uint64_t say_at_usec;          /* monotonic: whether waits have ended that were not said; 0: there are none */
        uint64_t n_refused_told;       /* of World.n_refused */
        bool status_told;              /* once, which is when all that was there at the start has been seen to */
        bool counts_changed;
        uint64_t sums_at_usec;         /* monotonic: when that may be told; 0: at once */
};

Now manager_now(Manager *m);
void manager_schedule(Manager *m);
void manager_wake(uint64_t *wake_at_usec, uint64_t at_usec);
bool manager_wants_anything(const Manager *m);
void manager_submit(Manager *m, const JobRequest *request, int memfd);
void manager_save(Manager *m, const Attachment *a);
void manager_remove_attachment(Manager *m, Attachment *a);

void look_check(Manager *m, const Now *now);
void look_wake(const Manager *m, const Now *now, uint64_t *wake_at_usec);

void past_load(Manager *m);
void past_check(Manager *m, const Now *now);

void probe_again(Manager *m, bool forget);
void probe_begin(Manager *m, const Now *now, uint64_t *wake_at_usec);
void probe_done(Manager *m, const JobRequest *request, const JobReply *reply);

void tell_attachments(Manager *m, const Now *now, uint64_t *wake_at_usec);
void tell_take_off(Manager *m, const JobRequest *request, const JobReply *reply);
void tell_unclaimed(Manager *m, const Attachment *a, const JobRequest *request);
void tell_job(const JobRequest *request, const JobReply *reply);
void tell_no_filters(Manager *m);
void tell_policies(const PolicySet *policies);
void tell_sums(Manager *m, const Now *now, uint64_t *wake_at_usec);

void requests_begin_jobs(Manager *m);
void requests_job_done(Manager *m, const JobRequest *request, const JobReply *reply, int memfd);
void requests_check(Manager *m, uint64_t *wake_at_usec);
void requests_free(Manager *m);
