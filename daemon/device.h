/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The registry of what is there: whole disks, their partitions, and the last that is known of
 * their partition tables. Pure: it is told by events and by what workers read.
 *
 * Two streams of events come in. The kernel's own (fast, says that a device exists and little
 * more) are strictly ordered by their sequence number. Udev's carry the number of the kernel
 * event they belong to, come later, and say what the device contains. So a udev event that is
 * older than the newest kernel event of its device speaks of the past and is dropped:
 *
 *      kernel:  remove sda1 (100)   add sda1 (102)
 *      udev:                                          remove sda1 (100)   add sda1 (102)
 *                                                     ^ the new sda1 stays
 *
 * That a device is there, or not, the kernel's events and looks decide; udev only adds what it knows of
 * it. What is known of a table are *claims*: good enough to decide who may want a device and whether
 * two devices have one identity. Nothing is attached on their word: the worker proves.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/identity.h"
#include "daemon/job.h"

typedef enum EventSource {
        EVENT_KERNEL,
        EVENT_UDEV,
        EVENT_ENUMERATION, /* found by looking, not told; seqnum is 0 */
} EventSource;

typedef enum EventAction {
        EVENT_ADD,
        EVENT_CHANGE,
        EVENT_REMOVE,
} EventAction;

/* What one event, or one look, says of one block device. */
typedef struct DeviceEvent {
        EventSource source;
        EventAction action;
        bool synthetic;            /* asked for by somebody's write to "uevent": no new object */
        uint64_t seqnum;           /* the kernel's; 0 for enumeration */
        char name[JOB_NODE_SIZE];  /* kernel name */
        char disk[JOB_NODE_SIZE];  /* of the whole disk; the same as name for a whole disk */
        unsigned partno;           /* 0 for a whole disk */
        uint32_t major, minor;
        uint64_t diskseq;          /* 0 if not known */
        uint64_t object;           /* of a partition: see Partition; 0 if not known */
        bool processed;            /* udev is done with it */
        bool settled;              /* and calls it ready */
        char ignored[64];          /* why nobody may touch it, in a few words; "" if one may */
        bool has_entry;            /* udev knows the table's entry of this partition */
        Entry entry;
        const char *links;         /* /dev/disk/by-... with spaces between; borrowed, may be NULL */
} DeviceEvent;

typedef struct Disk Disk;

typedef struct Partition {
        uint64_t uid;              /* of this object; never used again, from 1 */
        Disk *disk;                /* borrowed: its parent */
        char name[JOB_NODE_SIZE];
        unsigned partno;
        uint32_t major, minor;
        uint64_t object;           /* inode of its folder in sysfs, which no other device object of
                                    * this boot has (kernfs); 0 if not known */
        uint64_t kernel_seq;       /* newest kernel event about it; 0 if found by looking */
        bool processed;            /* udev is done with the newest event */
        bool settled;              /* and called it ready */
        char ignored[64];
        char *links;               /* as in the event; NULL if none */
        bool seen;                 /* found again by the look that is going on */
} Partition;

struct Disk {
        uint64_t uid;              /* as a partition's, from the same counter */
        char name[JOB_NODE_SIZE];
        uint32_t major, minor;
        uint64_t diskseq;          /* 0 if the driver has none */
        uint64_t kernel_seq;       /* newest kernel event about the disk itself */
        uint64_t awaited_usec;     /* monotonic: since when udev has not said all of it; 0: it has */
        bool known;                /* udev called it ready at least once since it came */
        bool processed;            /* udev is done with the newest event */
        bool settled;              /* and called it ready */
        char ignored[64];
        bool seen;

        Entry *entries;            /* last known table, sorted by partno; may hold entries that
                                    * the kernel has no partition for */
        size_t n_entries;
        char pt_uuid[PART_UUID_SIZE]; /* of the table; "" unknown */
        bool dirty;                /* something happened that the entries do not tell yet */
        bool overtaken;            /* the entries were read by a job that events came after: they may
                                    * be older than what udev has told since */
        uint64_t n_events;         /* counts what makes it dirty: a scan that began before is old */

        uint64_t job;              /* id of the job under way on it; 0 none: one at a time */
        uint64_t job_began_at;     /* n_events when it began */
        bool stuck;                /* a job on it did not answer in time */
        uint64_t scan_retry_at_usec; /* monotonic; 0: no delay */
        uint64_t n_scan_failures;  /* in a row */
        char scan_error[JOB_MESSAGE_SIZE]; /* of the last failed scan; "" if it went well */

        Partition **partitions;    /* sorted by partno */
        size_t n_partitions;
};

typedef struct DeviceSet {
        Disk **disks; /* sorted by name */
        size_t n_disks;
        uint64_t kernel_seq; /* newest kernel event of all */
        uint64_t last_uid;
        bool looked;     /* at all that is there, at least once */
        bool incomplete; /* what is known does not fit what was met: look again */
} DeviceSet;

void device_set_deinit(DeviceSet *s);
int device_set_apply(DeviceSet *s, const DeviceEvent *e);
void device_set_look_begin(DeviceSet *s);
void device_set_look_end(DeviceSet *s);

Disk *device_set_get_disk(const DeviceSet *s, const char *name);
Disk *device_set_get_disk_by_job(const DeviceSet *s, uint64_t job);
Partition *device_set_get_partition(const DeviceSet *s, const char *name);
Partition *device_set_get_partition_by_uid(const DeviceSet *s, uint64_t uid);
Partition *device_set_get_partition_by_object(const DeviceSet *s, uint64_t object);

Partition *disk_get_partition(const Disk *d, unsigned partno);
const Entry *disk_get_entry(const Disk *d, unsigned partno);
int disk_set_table(Disk *d, const char *pt_uuid, const Entry *entries, size_t n_entries, uint64_t as_of);
bool disk_udev_caught_up(const Disk *d);
bool disk_is_unclear(const Disk *d);
void disk_settle_by_udev(Disk *d);
