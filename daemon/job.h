/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Jobs: what the manager asks of a worker process and what comes back. Both ends are built from
 * one source tree and started from one package, so the messages are these structures as bytes;
 * JOB_PROTOCOL catches a daemon that was upgraded under a running worker.
 *
 * A request and a reply are one SOCK_SEQPACKET message each. CTL carries a memfd besides.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/expect.h"
#include "daemon/kernel-interface.h"

#define JOB_PROTOCOL 8U
#define JOB_NODE_SIZE 64      /* "sda1", kernel name; the kernel's own limit is 32 */
#define JOB_MESSAGE_SIZE 256
#define GENERATION_SIZE 40    /* 16 bytes in hexadecimal digits, NUL */
#define JOB_ENTRIES_MAX 256   /* entries of a table that are reported; a GPT has 128 as a rule */
#define JOB_OPTIONS_MAX 4096  /* bytes of a filter's options, as policy.h has it */

typedef enum JobKind {
        JOB_SCAN,   /* read the table of a whole disk; opens no partition */
        JOB_ATTACH, /* prove the identity, then attach */
        JOB_DETACH, /* check that it is the device, then detach this filter */
        JOB_CTL,    /* check that it is the device, then send one command */
        JOB_CHECK,  /* ask whether this filter is on it, and of which generation; changes nothing, and opens it only
                     * if sysfs does not tell all of that */
        JOB_PROBE,  /* which interface does the kernel have, as far as this device tells; changes nothing */
        _JOB_KIND_MAX,
} JobKind;

/* A device as it was when the job was made: the worker refuses if it is another one by now. */
typedef struct JobDevice {
        char name[JOB_NODE_SIZE]; /* kernel name */
        uint32_t major, minor;
        uint64_t diskseq;         /* 0: the driver has none */
        uint64_t object;          /* inode of its folder in sysfs; 0 if not known */
} JobDevice;

typedef struct JobRequest {
        uint32_t protocol; /* JOB_PROTOCOL */
        uint32_t kind;     /* JobKind */
        uint64_t id;       /* echoed in the reply */
        uint32_t interface; /* KernelInterface; JOB_PROBE ignores it */
        uint32_t cmd;       /* JOB_CTL: the filter's command */
        JobDevice disk;     /* the whole disk */
        JobDevice partition; /* that the job is about; name "" is the whole disk */
        Expect expect;      /* JOB_ATTACH: what must be found */
        uint64_t known_table; /* JOB_ATTACH: id of the job that told what is known of the disk's table; 0: tell it */
        uint64_t timeout_usec; /* how long the worker may take until the disk counts as stuck; 0: as the pool likes */
        uint32_t ask_unowned;  /* JOB_SCAN: say whether it is unowned; JOB_ATTACH, of a partition: no if it is not */
        uint32_t partno;    /* number of the partition; 0: whole disk */
        uint32_t payload_size; /* JOB_CTL: bytes of payload at the start of the memfd */
        uint32_t n_buffers;    /* JOB_CTL: JobBuffer array follows the payload, 8-aligned */
        uint32_t seal;         /* JOB_CTL: seal the memfd against writes when the kernel is done with it */
        char filter[FILTER_NAME_SIZE];
        uint32_t options_size; /* JOB_ATTACH: bytes of options; 0: none */
        uint8_t options[JOB_OPTIONS_MAX]; /* for the filter, as its ATTACH takes them; only options_size are sent */
} JobRequest;

/* A buffer that a command's payload points to; lives in the memfd behind the array. */
typedef struct JobBuffer {
        uint32_t payload_offset; /* where in the payload its address is written, 8 bytes */
        uint32_t size;           /* bytes */
        uint64_t memfd_offset;   /* where in the memfd it begins, 8-aligned */
} JobBuffer;

typedef enum JobOutcome {
        JOB_OK,             /* done; ATTACH: attached now */
        JOB_ALREADY,        /* ATTACH: this filter was on the device already */
        JOB_NOT_ATTACHED,   /* DETACH, CTL, CHECK: no such filter on the device, nor another one as far as is known */
        JOB_CONFLICT,       /* another filter is on the device; named in other_filter if known */
        JOB_NOT_REGISTERED, /* the kernel has no filter of that name */
        JOB_MISMATCH,       /* what is on the disk is not what was expected; table is set if it was read */
        JOB_DUPLICATE,      /* the table itself has the identity twice; table is set */
        JOB_LOCKED,         /* somebody holds the disk's lock; try again */
        JOB_GONE,           /* the device is not there any more, or is another one */
        JOB_UNREADABLE,     /* the table, or a superblock that is expected, could not be read or makes no sense */
        JOB_NO_COMMAND,     /* CTL: the filter takes no commands */
        JOB_UNSUPPORTED,    /* the kernel does not know the call; ATTACH: or takes no options; CHECK: it does not tell;
                             * DETACH: or it is not safe. Nothing was changed; message says why if there is more */
        JOB_FAILED,         /* error says what */
        JOB_DIED,           /* made by the pool: the worker ended without an answer */
        JOB_TIMED_OUT,      /* made by the pool: no answer in time, the outcome is unknown */
        _JOB_OUTCOME_MAX,
} JobOutcome;

typedef struct JobReply {
        uint32_t protocol;
        uint32_t outcome;    /* JobOutcome */
        uint64_t id;
        int32_t error;       /* errno, positive; 0 if none */
        uint32_t interface;  /* JOB_PROBE: KernelInterface; message says why. UNKNOWN: the answer proves
                              * nothing, ask another one, and this one later */
        uint32_t proven;     /* JOB_PROBE: the answer is one for the whole kernel. NONE unless proven: this disk knows
                              * no such call, but it may be its driver that says so: ask other disks, and believe it
                              * when none of them says otherwise */
        char other_filter[FILTER_NAME_SIZE]; /* JOB_CONFLICT */
        char generation[GENERATION_SIZE]; /* ATTACH, CHECK: of the filter that is on, if it tells one; else "" */
        char message[JOB_MESSAGE_SIZE]; /* what failed, in words; "" if the outcome says all */
        char pt_uuid[PART_UUID_SIZE];   /* the table's own id, "" if none or not read */
        uint32_t sent;       /* JOB_CTL: the command reached the kernel; error is its own */
        uint32_t has_table;  /* entries are all of the table (they may be none). ATTACH, that went well: not set if the
                              * request's known_table says the same still; then the entry that was proven is there */
        uint32_t unowned;    /* JOB_SCAN, if asked: no larger device is made of the disk, nor may be: see owner.h */
        uint64_t as_of;      /* of the table: the kernel's newest event (SEQNUM) before it was read; 0: not known */
        uint32_t n_entries;
        Entry entries[JOB_ENTRIES_MAX]; /* sorted by partno; only n_entries are sent */
} JobReply;

const JobDevice *job_subject(const JobRequest *r);
size_t job_request_size(const JobRequest *r);
bool job_request_is_whole(const JobRequest *r, size_t size);
bool job_reply_is_sane(const JobReply *r, size_t size);
