/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A simulated world: the real manager and core, and everything outside of them made up and driven by a seed. The same
 * seed gives the same run. What is true is kept here (kernel.c, tables.c) and changed at random (others.c); what the
 * daemon is told of it comes late, twice, out of order or not at all (udev.c), and check.c compares what it does and
 * claims with what is true.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/manager-internal.h"

#define SLOTS 3      /* names of disks: sda, sdb, sdc */
#define MEDIA 4      /* disks that may be in them */
#define PARTS 3      /* partitions of a disk, numbered from 1 */
#define QUEUE 256
#define JOBS 64
#define CALLS 128
#define FILES 4      /* of policies */
#define RECORDS 32
#define STALE 256
#define SECOND UINT64_C(1000000)

/* A disk as a thing with a table on it, wherever it is plugged in. */
typedef struct Medium {
        Entry table[PARTS + 1]; /* [partno]; partno 0 in it: no such entry */
        char serial[8];         /* of the disk that it is in, as a rule; two may have the same */
        char pt_uuid[PART_UUID_SIZE];
        bool ignored;           /* udev says that nobody may touch it */
} Medium;

/* A device as the kernel has it: a partition, or at place 0 the whole disk, which stays when its medium goes. */
typedef struct KPart {
        bool exists;
        uint64_t object;        /* never used again */
        uint64_t start, size;
        Entry made_from;
        bool renamed;           /* the table was changed under a filter, or under a worker that was putting one on */
        unsigned openers;
        uint64_t off_usec;      /* realtime: when a filter of ours went last */
        char filter[FILTER_NAME_SIZE];
        uint64_t filter_since;  /* realtime */
        uint64_t generation;    /* of the filter that is on; never used again */
        bool ours;              /* the daemon has noted that its filter is on */
        bool foreign_off;       /* others took a filter off, or a worker whose daemon is gone: it is found in time */
        bool swapped;           /* others put a filter without a generation back on: nobody can know */
        bool put;               /* the filter was put on by a daemon that lived to hear of it, or by its last wish */
        bool carried;           /* the filter is on since the number was another device's */
} KPart;

typedef struct Slot {
        bool present;
        Medium *medium;         /* NULL: a drive without a medium */
        uint64_t diskseq;
        KPart parts[PARTS + 1];
        bool rereading;         /* the partitions are gone and not back yet */
        bool locked;            /* a partitioner holds LOCK_EX */
        unsigned n_shared;      /* workers that hold LOCK_SH */
        bool written;           /* the table was, and nobody has told yet */
        bool untold;            /* nor will anybody: udev did not see the close */
        bool touched;           /* something was done to it, or to the medium, since all was quiet */
        uint64_t n_writes;      /* as the kernel counts them */
} Slot;

typedef struct RawEvent {
        EventAction action;
        bool synthetic;
        uint64_t seqnum;
        unsigned slot, partno;
        uint64_t diskseq;
} RawEvent;

typedef struct Message { /* of the udev group, and udev's database */
        RawEvent raw;
        bool exists;
        bool has_entry;
        Entry entry;
        bool ignored;
        char serial[8];
        char pt_uuid[PART_UUID_SIZE];
} Message;

typedef enum JobStage { STAGE_DISK, STAGE_PARTITION, STAGE_PROVE, STAGE_CALL, STAGE_CHECK, STAGE_REPLY } JobStage;

typedef struct Job { /* one worker process at its work */
        bool used;
        JobRequest request;
        unsigned life;          /* of the daemon that asked */
        JobStage stage;
        bool hung, timed_out, shared, open;
        uint64_t began_usec;
        unsigned slot;
        uint64_t diskseq, object; /* of what it holds open */
        bool proof_is_true;     /* by the truth, not by the worker's word */
        bool has_table, unowned;
        uint64_t as_of;        /* the newest event before it was read */
        Entry table[PARTS + 1];
        char pt_uuid[PART_UUID_SIZE];
        JobOutcome outcome;
        bool by_plan;           /* not for an administrator */
        bool module_gone, unclear; /* PROBE: what was found */
        uint64_t generation;
} Job;

typedef struct Told { /* the table that a worker has told last of a disk */
        uint64_t job;
        unsigned life;
        Entry table[PARTS + 1];
        char pt_uuid[PART_UUID_SIZE];
} Told;

typedef struct Call { /* of an administrator */
        bool used, forgotten, carried_out;
        unsigned life, n_answers;
        RequestError error;
        JobKind kind;
        char device[JOB_NODE_SIZE], filter[FILTER_NAME_SIZE];
        uint64_t object;        /* of the partition that was meant; 0 not known */
} Call;

typedef struct File { /* a policy's */
        bool exists, broken;
        bool in_force;          /* what it says was, before it broke */
        char filter[FILTER_NAME_SIZE];
        Match *match;
        unsigned on;
        bool refuse_change;
} File;

typedef enum Mistake {
        MISTAKE_NONE,
        MISTAKE_SKIP_PROOF,
        MISTAKE_COUNT_LATE,       /* up to which event a table is known is said when it was read long ago */
        MISTAKE_SKIP_PLACE,
        MISTAKE_SKIP_DUPLICATE,
        MISTAKE_TRUST_DEVNUM,
        MISTAKE_SAY_ATTACHED,
        MISTAKE_CALL_GAP_INTACT,
        MISTAKE_FORGET_HOLDS,
        MISTAKE_SAVE_LATE,
        MISTAKE_DROP_LOST,
        MISTAKE_DROP_REMOVES,
        MISTAKE_DETACH_ANY,
        MISTAKE_DROP_LATE_REPLY,
        MISTAKE_BELIEVE_UDEV,
        MISTAKE_FORGET_INTENT,
        MISTAKE_NO_CHECK,
        MISTAKE_COUNT_NO_WRITES,
        MISTAKE_CALL_ALL_UNOWNED,
        _MISTAKE_MAX,
} Mistake;

/* How much happened: a world in which nothing does would violate nothing. */
typedef struct Counts {
        uint64_t n_attached, n_detached, n_conflicts, n_gone, n_timed_out, n_died, n_calls, n_done, n_lost, n_killed;
        uint64_t n_left_out; /* tables that the daemon had already */
        uint64_t n_early;    /* disks that are nobody's, as a worker said before udev did */
} Counts;

typedef struct Sim {
        uint64_t random, seed;
        Mistake mistake;
        bool trace;
        unsigned step;
        unsigned quiet_every;   /* steps */
        unsigned lose_below, end_below; /* how often events are lost, and the daemon ends: see one_step() */
        bool calm;              /* nothing goes wrong any more */
        unsigned sick;          /* 1 + slot whose workers hang on while all else is quiet; 0 none */
        bool meddlers;          /* in this run others take filters off, too */
        Now now;

        KernelInterface interface; /* that the kernel has, by the seed */
        bool module_gone;       /* what brings it is not loaded */
        bool interface_events[8]; /* in the daemon's socket: whether it went */
        size_t n_interface_events;
        KPart kept[SLOTS][PARTS + 1]; /* filters that stayed on numbers whose devices are gone */

        Slot slots[SLOTS];
        Medium media[MEDIA];
        uint64_t last_object, last_diskseq, last_seqnum, last_generation;

        RawEvent kernel_queue[QUEUE]; /* in the daemon's socket */
        size_t n_kernel;
        RawEvent udevd_queue[QUEUE];  /* at udevd */
        size_t n_udevd;
        bool udevd_waits;             /* the first of them was told early, and waits for the daemon */
        Message udev_queue[QUEUE];    /* in the daemon's other socket */
        size_t n_udev;
        bool lost;                    /* a socket was full: the next read says so */
        Message db[SLOTS][PARTS + 1]; /* udev's database */
        unsigned looking;             /* depth: a look is under way */

        Manager *manager;             /* NULL: the daemon does not run */
        unsigned life;
        bool dead;                    /* it was killed: nothing of it comes out any more */
        bool dying;                   /* it was, in the middle of what it was doing */
        bool scheduled;
        uint64_t wake_at_usec;
        Job jobs[JOBS];
        Told told[SLOTS];
        Call calls[CALLS];
        Subject subject;              /* named some time ago, and not acted upon yet */
        bool has_subject;
        File files[FILES];
        Attachment *records[RECORDS];
        Stale stale[STALE];           /* as the daemon noted them */
        size_t n_stale;
        uint64_t boot_diskseq;        /* as the first daemon noted it */

        Counts counts;
        char violation[512];          /* the first of the run; "" none */
} Sim;

extern Sim sim; /* one at a time */
extern const char *const sim_filters[3];

/* main.c */
uint64_t sim_random(void);
bool sim_chance(unsigned percent);
unsigned sim_below(unsigned n);
void sim_pass(uint64_t usec);
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* kernel.c */
KPart *kernel_get_object(uint64_t object);
unsigned kernel_slot_of(const char *disk);
void kernel_device_name(unsigned slot, unsigned partno, char ret[static JOB_NODE_SIZE]);
bool kernel_fits_table(const Slot *s);
bool kernel_has_generation(const char *filter);
bool kernel_keeps_numbers(void);
void kernel_truth_facts(unsigned slot, unsigned partno, Facts *ret);
void kernel_module_remove(void);
void kernel_module_insert(void);
void kernel_reread_begin(unsigned slot);
void kernel_reread_end(unsigned slot);
void kernel_blkpg(unsigned slot);
void kernel_disk_insert(unsigned slot, Medium *medium);
void kernel_disk_remove(unsigned slot);
void kernel_medium_eject(unsigned slot);
void kernel_medium_insert(unsigned slot, Medium *medium);

/* tables.c */
void tables_init(void);
Match *table_random_match(void);
void table_rewrite(Slot *s);
void table_clone(unsigned slot, unsigned partno);

/* others.c */
void others_init(void);
void others_random_step(void);
void others_calm(void);

/* udev.c */
void udev_emit(unsigned slot, unsigned partno, EventAction action, bool synthetic);
void udev_tell_close(unsigned slot);
bool udev_process(void);
bool udev_deliver_kernel(void);
void udev_tell_interface(bool gone);
bool udev_deliver_udev(void);
void udev_deliver_lost(void);
void udev_lose(void);
int udev_look(void);

/* worker.c */
void worker_step(Job *j);

/* jobs.c */
int jobs_submit(const JobRequest *request);
bool jobs_step(void);
bool jobs_deliver(void);
void jobs_check_timeouts(void);
void jobs_wake_hung(void);
bool jobs_hang_on(unsigned slot);
bool jobs_find_attach(unsigned *ret_slot, unsigned *ret_partno);

/* daemon.c */
void daemon_start(void);
void daemon_kill(void);
void daemon_stop(void);
void daemon_run(void);
void daemon_deinit(void);

/* admin.c */
void admin_init(void);
void admin_random_step(void);
bool admin_wants_detach(const JobRequest *request, uint64_t object);
void admin_check_answers(bool all);

/* check.c */
bool check_is_wanted(const Attachment *a);
void check_submit(const JobRequest *request);
void check_attach(const Job *j, const KPart *p);
void check_loss(const Attachment *a);
void check_step(void);

/* check-quiet.c */
void check_quiet(void);
void check_full_plan(void);

extern bool sim_looks_for_late; /* what could be done in the middle of a run, and is not */
