/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The plan: wanted minus actual. All that the daemon knows is a World; plan_run() looks at it and
 * says which jobs to begin now. It is level-triggered: it may be run at any time, any number of
 * times, and asks only for what is missing. It looks at what was touched since it last ran, and by
 * indexes from there at what that may concern; world_touch_all() makes it look at everything. Pure:
 * facts, results and time come as arguments, actions leave as data.
 *
 * The order of things after a re-read of sda's table, for an attachment that was on sda1:
 *
 *      remove sda1 (kernel)    lost; sda is dirty: what its table says is not known
 *      change sda, add sda1    -
 *      plan                    sda is expected to bring it back: SCAN sda, before udev is done
 *      the scan's reply        sda1 has the identity, nobody else has: ATTACH
 *      the attach's reply      attached; the gap is closed
 *      udev's events           nothing to do
 *      a later kernel event    is the filter still on? CHECK, but not within 3 s of the last answer
 *
 * An attachment that has a key of the file system waits for udev's events. One that is not coming back to
 * where it was waits, for a while, until udev has told of every new disk, which may be a clone, or its table is read:
 * plan-clone.c. After a restart of the daemon a CHECK of what was recorded comes before all else. A filter that is
 * where it does not belong any more, as the medium was changed or a detach did not end, is taken off: DETACH. So is one
 * that a device that went may have left to who has its number now: plan-stale.c.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/attachment.h"
#include "daemon/device.h"
#include "daemon/job.h"
#include "daemon/policy.h"

/* A policy that stands for every device that it fits. */
typedef struct Pattern {
        const Policy *policy; /* borrowed */
        size_t rank;          /* its place among the policies, from 1 */
        size_t n_instances;
} Pattern;

#define PATTERN_INSTANCES_MAX 1024 /* of one policy, those whose device is away included */

/* A filter that the daemon put on a device that went, and that may be on its number still: see plan-stale.c. */
typedef struct Stale {
        uint64_t number;         /* device_number() */
        char filter[FILTER_NAME_SIZE];
        uint64_t spared;         /* a device that keeps it all the same, as device_object(): it may be another program's
                                  * there; 0 none */
        bool due;                /* it was found there where it is to be put anew: off at once */
        uint64_t uid;            /* of the device that has the number now; 0: none was seen yet */
        uint64_t since_usec;     /* monotonic: when that came */
        uint64_t job;            /* id of the job under way to take it off; 0 none */
        uint64_t retry_at_usec;  /* monotonic; 0: no delay */
        uint64_t at_usec;        /* monotonic: to be looked at then; 0: at the next event of its disk */
        uint64_t n_failures;     /* in a row */
        uint64_t n_locked;       /* how often in a row the disk's lock was found held since */
} Stale;

typedef struct World {
        DeviceSet devices;
        AttachmentSet attachments;
        Pattern *patterns;       /* of the policies in force */
        size_t n_patterns;
        bool past_is_due;        /* the records of the last boot cannot be read yet */
        uint64_t n_refused;      /* devices that fit a pattern, and were too many */
        KernelInterface interface;
        bool interface_unclear;  /* it was asked for in vain, and will be again */
        char interface_why[JOB_MESSAGE_SIZE]; /* by what it is known, or not, in words; "" nothing was asked yet */
        uint64_t interface_job;  /* id of the newest job when it changed last: what an older one found is of the past */
        Stale **stale;           /* n_stale elements, in no order; owned */
        size_t n_stale;
        Index stale_by_number;   /* of Stale */
        bool stale_changed;      /* they are to be written down */
        bool udev_is_busy;       /* it has events that it has not told yet */
        uint64_t last_job;       /* id of the newest job */
        uint64_t boot_diskseq;   /* disks with a higher one came after the boot; 0: not known (yet) */
        uint64_t wake_at_usec;   /* monotonic: something is delayed until then; 0: nothing */
} World;

/* One place where an identity is claimed to be. */
typedef struct Holder {
        Disk *disk;
        const KeptEntry *entry; /* NULL: the whole device */
        Partition *partition; /* NULL: the whole device, or the kernel has no partition for the entry */
} Holder;

/* Who has an identity, as far as is known. More than a few are not told one by one. */
#define HOLDERS_MAX 8

typedef struct Holders {
        Holder items[HOLDERS_MAX];
        size_t n_items;  /* all of them; only the first HOLDERS_MAX are in items */
        Holder ignored;  /* one that has it but must be left alone; disk NULL if none */
        uint64_t wanted_uid; /* of a device that may be among them; 0: none */
        Holder wanted;   /* that device, if it is among them; else disk NULL */
        Disk *unsure;    /* a disk among the holders' of which not enough is known; or NULL */
} Holders;

/* The attachments whose primary term a device fits; from claimants_init(). */
typedef struct Claimants {
        const World *world;
        uint64_t hashes[_MATCH_KEY_MAX];
        size_t n_hashes;
        const IndexItem *next;
} Claimants;

typedef struct Plan {
        JobRequest *requests;  /* jobs to begin now; no two on one disk */
        size_t n_requests;
        uint64_t wake_at_usec; /* monotonic: run the plan again then; 0: at the next event */
} Plan;

/* plan.c */
void plan_deinit(Plan *p);
int plan_run(World *w, const Now *now, Plan *ret);

/* holder.c */
Device holder_device(const Holder *h);
bool holder_is_device(const Holder *h, Device d);
void holder_facts(const Holder *h, Facts *ret);
void world_find_holders(const World *w, const Match *m, uint64_t wanted_uid, Holders *ret);
void claimants_init(Claimants *c, const World *w, const Facts *f);
Attachment *claimants_next(Claimants *c);
const Attachment *world_find_first(const World *w, const Attachment *a, const Holder *h);
const Attachment *world_find_hold(const World *w, const Attachment *a, const Holder *h);
Attachment *world_find_attachment(const World *w, const char *filter, Device d);

/* world.c */
void world_deinit(World *w);
int world_add_attachment(World *w, Attachment *a);
void world_touch_all(World *w);
void world_touch_rivals(World *w, Attachment *a);
void world_retry_registered(World *w);
void world_check_all(World *w);
void world_lose_all(World *w, bool seen, const Now *now);
void world_wake(World *w, uint64_t at_usec);
void world_fill_request(World *w, Device d, JobKind kind, JobRequest *ret);
Device world_find_device(const World *w, const JobRequest *request);
Attachment *world_find_by_job(const World *w, const JobRequest *request);

/* world-policy.c */
void attachment_leave_policy(Attachment *a);
int world_find_shadowed(PolicySet *policies);
int world_set_policies(World *w, const PolicySet *policies);
int world_make_instances(World *w, Disk *d);
bool attachment_is_superfluous(const Attachment *a);
void world_remove_attachment(World *w, Attachment *a);

/* plan-stale.c */
int world_add_stale(World *w, uint64_t number, const char *filter, uint64_t spared);
void world_drop_stale(World *w, uint64_t number, const char *filter);
void world_forget_stale(World *w);
Stale *world_find_stale(const World *w, uint64_t number, const char *filter);
Stale *world_find_stale_on(const World *w, Device d, const char *filter);
Stale *world_find_stale_by_job(const World *w, uint64_t job);
void world_stale_done(World *w, const JobRequest *request, const JobReply *reply, bool is_taken, const Now *now);

/* pending.c */
bool world_is_pending(const World *w, Device d, const Attachment **ret_attachment);
bool world_has_pending(const World *w);

/* world-off.c */
void world_taken_off(World *w, const JobRequest *request, const JobReply *reply, bool misplaced, const Now *now);

/* world-job.c */
void world_job_done(World *w, const JobRequest *request, const JobReply *reply, const Now *now);
