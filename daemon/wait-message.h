/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What blkfilter-wait asks the daemon and is answered, over a socket of whole messages (SOCK_SEQPACKET): one question,
 * then WAIT_BEGUN if the answer is not at hand, then the answer. Of one version's programs among themselves.
 */

#include <stdint.h>

#define WAIT_PROTOCOL UINT32_C(1)
#define WAIT_SOCKET "/run/blkfilterd/wait"
#define WAIT_PATH_SIZE 2048

typedef enum WaitKind {
        WAIT_DEVICE = 1, /* until it is decided what belongs on a device, and done */
        WAIT_ALL = 2,    /* until that is so for all devices that are there */
} WaitKind;

typedef struct WaitQuestion {
        uint32_t protocol;           /* WAIT_PROTOCOL */
        uint32_t kind;               /* WaitKind */
        uint64_t limit_usec;         /* 0: as long as the daemon's settings say */
        uint64_t seqnum;             /* WAIT_DEVICE: of the event that udev is about to tell */
        uint64_t diskseq;            /* and of the disk; 0 not known */
        char devpath[WAIT_PATH_SIZE]; /* and the device in sysfs, without "/sys"; NUL-terminated */
} WaitQuestion;

typedef enum WaitOutcome {
        WAIT_BEGUN = 1,     /* another answer follows, within limit_usec */
        WAIT_DONE = 2,
        WAIT_TIMED_OUT = 3, /* logged */
} WaitOutcome;

typedef struct WaitAnswer {
        uint32_t protocol;
        uint32_t outcome;   /* WaitOutcome */
        uint64_t limit_usec;
} WaitAnswer;
