/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Attachment: one filter on one identity, wanted by a policy or asked for at run time. It
 * outlives the device: it waits while the device is away. Pure: time comes as an argument, what
 * happened to the device as facts.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/fingerprint.h"
#include "daemon/index.h"
#include "daemon/job.h"
#include "daemon/match.h"
#include "daemon/policy.h"
#include "daemon/shared.h"

#define ATTACHMENT_ID_SIZE 96
#define ATTACHMENT_REASON_SIZE (32 + FILTER_NAME_SIZE + JOB_NODE_SIZE)
#define ATTACHMENT_GAPS_MAX 16 /* the most recent ones are kept; n_gaps counts all */

/* A point in time in both clocks that are needed; the core has none of its own. */
typedef struct Now {
        uint64_t monotonic_usec; /* for delays */
        uint64_t realtime_usec;  /* for what is told, since 1970 UTC */
} Now;

typedef enum AttachmentState {
        ATTACHMENT_WAITING,
        ATTACHMENT_ATTACHING,
        ATTACHMENT_ATTACHED,
        ATTACHMENT_DETACHED,
        ATTACHMENT_CONFLICT,
        ATTACHMENT_AMBIGUOUS,
        ATTACHMENT_REFUSED,
        ATTACHMENT_FAILED,
        ATTACHMENT_STUCK,
        ATTACHMENT_ORPHANED,
        ATTACHMENT_UNSUPPORTED,
        _ATTACHMENT_STATE_MAX,
} AttachmentState;

typedef enum AttachmentSource {
        ATTACHMENT_SOURCE_POLICY,
        ATTACHMENT_SOURCE_RUNTIME,
        _ATTACHMENT_SOURCE_MAX,
} AttachmentSource;

/* A stretch of time in which the filter was not on its device, after it had been there. */
typedef struct Gap {
        uint64_t begin_usec;  /* realtime; the filter was on until then for certain */
        uint64_t latest_usec; /* realtime; the filter was gone from then on for certain: it went not later.
                               * The same as begin_usec if it was seen to go */
        uint64_t end_usec;    /* realtime; 0 while it lasts */
        char reason[32];      /* a word of the journal and of the bus: "removed", "rescan", "detached",
                               * "foreign-detach", "medium-changed", "interface-gone", "daemon-not-running", "reboot",
                               * "unknown" */
} Gap;

/* There may be thousands: what is small stands side by side. */
typedef struct Attachment {
        const char *id;      /* last part of its object path; stable, [A-Za-z0-9_]; shorter than ATTACHMENT_ID_SIZE */
        const char *filter;  /* its name; both lie behind the structure */
        Match *match;        /* has a primary term */
        Settings *settings;
        const char *policy_path; /* of its policy; shared, NULL for a run-time attachment */
        unsigned rank;       /* the lower one wins a device that two want; 0 made at run time */
        AttachmentSource source : 8;
        MatchKey pin : 8;    /* is_instance: the key by which that device is meant, besides the policy's */
        bool is_instance;    /* made for one device that a policy's pattern fits */
        bool wanted;         /* while policies are put in force: one of them wants it */
        bool asked;          /* made at run time: stays wanted when a policy for it comes and goes */
        bool orphaned;       /* its policy is gone; what it attached was left in place */

        bool absent;         /* nothing present has its identity, for all that is known */
        bool pending;        /* something will be done for it, or be known of it, by itself and soon; of no value while
                              * a job is under way */
        bool awaits_disk;    /* it waits until it is known what is on a new disk, which may be a clone */
        bool past_due;       /* made before the records of the last boot could be read: what they say of it is taken
                              * over when they can */
        AttachmentState state : 8;
        JobOutcome last_outcome : 8; /* of the last attach */
        char *reason;        /* the state in words, with the next step; NULL: there is no more to say than
                              * attachment_get_reason() does, as of most that are attached */
        uint64_t awaits_job; /* uid of the disk on which another job is under way, the end of which is all that it waits
                              * for; 0 none */

        const char *device;         /* kernel name of the device it is on or going to; shared, "" none */
        uint64_t device_uid;        /* of that Device; 0 none */
        const char *lost_device;    /* kernel name of the device that it was on last; shared, "" none */
        const char *home;           /* kernel name of the disk that it is on, going to, or was on last; shared, ""
                                     * none */
        uint64_t seen_usec;         /* realtime: when on_device was last known for certain; 0: never */
        uint64_t checked_usec;      /* monotonic: when that was asked last, or it was attached; 0 never */
        bool on_device;             /* the filter is on the device, as far as is known */
        bool check_due;             /* somebody has to ask the kernel whether it still is */
        bool foreign;               /* the filter that is on was there already, and is none that the daemon put on as
                                     * far as is known */
        bool has_fingerprint;
        bool job_is_stuck;          /* the job under way was not answered in time */
        bool module_due;            /* its module is to be loaded */
        bool held;                  /* an administrator detached it: stays so until attached by hand */
        uint8_t n_gaps_kept;
        Fingerprint fingerprint;    /* of the last time it was attached */

        uint64_t intact_since_usec; /* realtime: has seen every write since; 0: it has not */
        Gap *gaps;                  /* n_gaps_kept elements, oldest first, at most ATTACHMENT_GAPS_MAX; owned */
        uint64_t n_gaps;            /* ever */
        uint64_t n_attached;        /* how often it was attached */

        uint64_t noted_object;        /* the filter is on that device, or may be, by an earlier daemon's or an
                                       * unfinished job's word: to be checked before anything else; 0 none */
        uint64_t recorded_since_usec; /* realtime: intact since, as an earlier daemon noted; 0: it noted only
                                       * that it was about to attach. A gap that is open beside it is that over the
                                       * boot, and ended then */
        uint64_t recorded_at_usec;    /* realtime: when it noted that */
        uint64_t left_object;         /* a device that the filter is on still, or may be, and is not known to belong
                                       * on: its medium changed, or a detach did not end. It has to be taken off
                                       * or proven again; 0 none */
        uint64_t left_usec;           /* monotonic: since when that is known; 0: not yet */
        uint64_t number;              /* device_number() of the device that on_device or noted_object is about */
        uint64_t left_number;         /* and of that which left_object is about */

        uint64_t job;  /* id of the job under way for it; 0 none */
        uint64_t job_since_usec; /* realtime: when it began */
        uint64_t retry_at_usec; /* monotonic; 0: no delay; UINT64_MAX: not until it is another device, or somebody
                                 * asks */
        uint64_t quiet_usec;    /* monotonic: since when it has waited for what comes by itself and soon, which the
                                 * journal does not say; 0: not; UINT64_MAX: it was said, as it lasted */

        uint16_t n_failures;    /* of the attach, in a row */
        uint16_t n_locked;      /* how often in a row the disk's lock was found held since */
        bool was_held;          /* before the detach that is under way */
        bool asked_now;         /* an administrator has just asked for it: neither On= nor OnChange= counts */
        bool touched : 1;       /* it is in AttachmentSet.touched */
        bool untold : 1;        /* it is in AttachmentSet.untold */
        uint8_t changed;        /* ATTACHMENT_CHANGED_*: what the manager has not told yet */
        uint64_t hold_job; /* of the detach that is under way; 0 none */
        uint64_t chosen_uid; /* of the device that an administrator chose among several; 0 none */

        struct AttachmentSet *set; /* borrowed: that it is in; NULL none */
} Attachment;

enum {
        ATTACHMENT_CHANGED_STATE  = 1 << 0, /* State, StateReason, Device, ... */
        ATTACHMENT_CHANGED_LOST   = 1 << 1, /* the filter went: FilterLost */
        ATTACHMENT_CHANGED_BACK   = 1 << 2, /* the filter is back: FilterRestored */
        ATTACHMENT_CHANGED_ADDED  = 1 << 3,
        ATTACHMENT_CHANGED_RECORD = 1 << 4, /* something that the state files keep */
        ATTACHMENT_CHANGED_PRINT  = 1 << 5, /* Fingerprint alone */
};

typedef struct AttachmentSet {
        Attachment **items; /* sorted by id */
        size_t n_items;
        Index by_claim;     /* by the value of their primary terms: claim_hash() */
        Index by_home;      /* by their home */
        Attachment **touched; /* the plan has to look at them */
        size_t n_touched;
        Attachment **untold;  /* something may have to be told of them */
        size_t n_untold;
        size_t n_in_state[_ATTACHMENT_STATE_MAX];
} AttachmentSet;

const char *attachment_state_to_string(AttachmentState s);
const char *attachment_source_to_string(AttachmentSource s);

/* attachment-set.c */
int attachment_make_id(const char *filter, const Match *match, char ret[static ATTACHMENT_ID_SIZE]);
int attachment_new(const char *filter, const Match *match, AttachmentSource source, Attachment **ret);
Attachment *attachment_free(Attachment *a);
int attachment_set_add(AttachmentSet *s, Attachment *a);
Attachment *attachment_set_get(const AttachmentSet *s, const char *id);
void attachment_set_remove(AttachmentSet *s, Attachment *a);
void attachment_set_deinit(AttachmentSet *s);
void attachment_touch(Attachment *a);
void attachment_touch_queued(Attachment *a, uint64_t disk_uid);
void attachment_changed(Attachment *a, uint32_t changed);
int attachment_set_home(Attachment *a, const char *disk);
const IndexItem *attachment_set_first_at(const AttachmentSet *s, const char *disk);

/* attachment.c */
const Gap *attachment_get_lost_gap(const Attachment *a);
const Gap *attachment_get_back_gap(const Attachment *a);
const char *attachment_get_reason(const Attachment *a, char buffer[static ATTACHMENT_REASON_SIZE]);
void attachment_set_state(Attachment *a, AttachmentState state, char *reason);
void attachment_lost(Attachment *a, const char *why, uint64_t begin_usec, const Now *now);
void attachment_lost_unseen(Attachment *a, const char *why, const Now *now);
void attachment_leave(Attachment *a, uint64_t object);
Gap *attachment_get_open_gap(const Attachment *a);
void attachment_take_past(Attachment *a, Attachment *past, uint64_t boot_usec, const Now *now);
bool attachment_gives_up(const Attachment *a, const char *filter, uint64_t uid);
void attachment_attached(Attachment *a, const Fingerprint *f, bool already, const Now *now);
void attachment_set_delay(Attachment *a, JobOutcome outcome, const Now *now);
uint64_t retry_delay_usec(uint64_t first_usec, uint64_t n_failures);
uint64_t lock_delay_usec(uint64_t n_failures);
