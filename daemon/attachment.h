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

#include "daemon/identity.h"
#include "daemon/job.h"

#define ATTACHMENT_ID_SIZE 96
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

/* A stretch of time in which the filter was not on its device, though it was wanted there. */
typedef struct Gap {
        uint64_t begin_usec; /* realtime; the filter was certainly gone from here on */
        uint64_t end_usec;   /* realtime; 0 while it lasts */
        char reason[32];     /* "removed", "detached", ...: a word of the journal and of the bus */
} Gap;

/* What was proven when the filter was attached. */
typedef struct Fingerprint {
        Entry entry;                  /* of the partition table */
        char pt_uuid[PART_UUID_SIZE]; /* of the table, "" if it has none */
        char disk[JOB_NODE_SIZE];     /* the disk's kernel name at that time */
        uint64_t diskseq;             /* 0: the driver has none */
        uint64_t object;              /* inode of the partition's folder in sysfs; 0: not known */
} Fingerprint;

typedef struct Attachment {
        char id[ATTACHMENT_ID_SIZE]; /* last part of its object path; stable, [A-Za-z0-9_] */
        char filter[FILTER_NAME_SIZE];
        Match match;
        AttachmentSource source;
        char *policy_path;   /* of its policy; NULL for a run-time attachment */
        size_t rank;         /* the lower one wins a partition that two want; 0 made at run time */
        uint64_t retry_usec; /* first delay after a failure */

        AttachmentState state;
        char *reason;        /* the state in words, with the next step; never NULL once in a set */

        char device[JOB_NODE_SIZE]; /* kernel name of the partition it is on or going to; "" none */
        uint64_t device_uid;        /* of that Partition; 0 none */
        char lost_device[JOB_NODE_SIZE]; /* kernel name of the partition that it was on last; "" none */
        bool on_device;             /* the filter is on the device, as far as is known */

        bool has_fingerprint;
        Fingerprint fingerprint;    /* of the last time it was attached */

        uint64_t intact_since_usec; /* realtime: has seen every write since; 0: it has not */
        Gap gaps[ATTACHMENT_GAPS_MAX]; /* oldest first */
        size_t n_gaps_kept;         /* elements of gaps */
        uint64_t n_gaps;            /* ever */
        uint64_t n_attached;        /* how often it was attached */
        uint64_t n_failures;        /* in a row */

        uint64_t recorded_since_usec; /* realtime: intact since, as an earlier daemon noted; 0 none */
        uint64_t recorded_at_usec;    /* realtime: when it noted that */

        JobOutcome last_outcome;      /* of the last attach that did not succeed */

        bool asked;    /* made at run time: stays wanted when a policy for it comes and goes */
        bool held;     /* an administrator detached it: stays so until attached by hand */
        bool was_held; /* before the detach that is under way */
        uint64_t hold_job; /* of that detach; 0 none */
        bool orphaned; /* its policy is gone; what it attached was left in place */
        uint64_t job;  /* id of the job under way for it; 0 none */
        uint64_t retry_at_usec; /* monotonic; 0: no delay */

        uint32_t changed; /* ATTACHMENT_CHANGED_*: what the manager has not told yet */
} Attachment;

enum {
        ATTACHMENT_CHANGED_STATE  = 1 << 0, /* State, StateReason, Device, ... */
        ATTACHMENT_CHANGED_LOST   = 1 << 1, /* the filter went: FilterLost */
        ATTACHMENT_CHANGED_BACK   = 1 << 2, /* the filter is back: FilterRestored */
        ATTACHMENT_CHANGED_ADDED  = 1 << 3,
        ATTACHMENT_CHANGED_RECORD = 1 << 4, /* something that the state files keep */
};

typedef struct AttachmentSet {
        Attachment **items; /* sorted by id */
        size_t n_items;
} AttachmentSet;

const char *attachment_state_to_string(AttachmentState s);
const char *attachment_source_to_string(AttachmentSource s);

int attachment_make_id(const char *filter, const Match *match, char ret[static ATTACHMENT_ID_SIZE]);
int attachment_new(const char *filter, const Match *match, AttachmentSource source, Attachment **ret);
Attachment *attachment_free(Attachment *a);

int attachment_set_add(AttachmentSet *s, Attachment *a);
Attachment *attachment_set_get(const AttachmentSet *s, const char *id);
void attachment_set_remove(AttachmentSet *s, Attachment *a);
void attachment_set_deinit(AttachmentSet *s);

void attachment_set_state(Attachment *a, AttachmentState state, char *reason);
void attachment_lost(Attachment *a, const char *why, const Now *now);
void attachment_lost_unseen(Attachment *a, const Now *now);
void attachment_attached(Attachment *a, const Fingerprint *f, bool already, const Now *now);
void attachment_set_delay(Attachment *a, const Now *now);
uint64_t retry_delay_usec(uint64_t first_usec, uint64_t n_failures);
