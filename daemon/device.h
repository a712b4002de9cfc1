/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The registry of what is there: whole devices, their partitions, and the last that is known of
 * their partition tables. Pure: it is told by events and by what workers read. A "disk" is any whole
 * block device: a disk, a loop device, one of the device-mapper or of md.
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
 * An *early* event of udev is one that it is about to tell, and does not until something has been made of it: newer
 * events of the kernel do not make it old, as udev comes to them only then. It counts unless the device is another
 * one by now.
 *
 * That a device is there, or not, the kernel's events and looks decide; udev only adds what it knows of
 * it. What is known of a table are *claims*: good enough to decide who may want a device and whether
 * two devices have one identity. Nothing is attached on their word: the worker proves.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/identity.h"
#include "daemon/index.h"
#include "daemon/job.h"
#include "daemon/kept-entry.h"
#include "daemon/text.h"

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
        uint64_t object;           /* see Partition; 0 if not known */
        bool is_virtual;           /* the kernel has made it of something else: of a disk, a file */
        bool in_doubt;             /* enumeration, while udev was busy: what it says may be of a
                                    * predecessor */
        bool early;                /* of udev, which has not told it yet: it waits for what is made of it */
        bool processed;            /* udev is done with it */
        bool settled;              /* and calls it ready */
        const char *ignored;       /* why nobody may touch it, in a few words: static; NULL if one may */
        bool has_entry;            /* udev knows the table's entry of this partition */
        Entry entry;
        const char *links;         /* /dev/disk/by-... with spaces between; borrowed, may be NULL */
        const char *values[_MATCH_KEY_MAX]; /* what udev found, normalized: MATCH_FS_*; of a whole device
                                    * MATCH_PT_UUID, MATCH_DISK_*, MATCH_DM_* too; borrowed, NULL if none.
                                    * Those of the entry are in entry */
} DeviceEvent;

typedef struct Disk Disk;
typedef struct DiskPrint DiskPrint; /* fingerprint.h */

/* There may be thousands: what is small stands side by side. */
typedef struct Partition {
        uint64_t uid;              /* of this object; never used again. Its upper half is the disk's */
        Disk *disk;                /* borrowed: its parent */
        const char *name;          /* kernel name; shared, as all that is kept of it by others too */
        unsigned partno;
        uint32_t major, minor;
        bool doubted;              /* found by looking while udev was busy, and nothing is known of it since */
        bool processed;            /* udev is done with the newest event */
        bool settled;              /* and called it ready */
        bool seen;                 /* found again by the look that is going on */
        uint64_t object;           /* inode of its folder in sysfs, which no other device object of
                                    * this boot has (kernfs); 0 if not known */
        uint64_t kernel_seq;       /* newest kernel event about it; 0 if found by looking */
        uint64_t udev_seq;         /* and newest of udev; it may be read before the kernel's of that number */
        uint64_t born_seq;         /* the kernel event that it came with; 0 if found by looking */
        const char *ignored;       /* as in the event */
        const char *links;         /* as in the event, but those that follow: see device-link.c; shared, NULL if none */
        const char *fs[3];         /* MATCH_FS_UUID, MATCH_FS_LABEL, MATCH_FS_TYPE; shared, NULL if none */
        uint64_t probed;           /* in which round it was asked which interface the kernel has; 0 never */
} Partition;

/* What was on a partition that the kernel has no more, though the table may. */
typedef struct OldFs {
        unsigned partno;
        const char *ignored;       /* as a partition's */
        const char *fs[3];         /* as a partition's */
} OldFs;

/* One block device as it is there right now. */
typedef struct Device {
        Disk *disk;                /* NULL: none */
        Partition *partition;      /* NULL: the whole device */
} Device;

/* Where a device stands in the index of claims: see DeviceSet. */
typedef struct Claim {
        uint32_t hash;             /* what an index keeps of it */
        unsigned partno;           /* 0: the whole device; its partitions have the value too */
} Claim;

struct Disk {
        uint64_t uid;              /* of this object; never used again. Its lower half is 0 */
        uint32_t n_uids;           /* partitions that it has had */
        const char *name;          /* kernel name; shared */
        uint32_t major, minor;
        uint64_t diskseq;          /* 0 if the driver has none */
        uint64_t object;           /* as a partition's */
        uint64_t kernel_seq;       /* newest kernel event about the disk itself */
        uint64_t udev_seq, born_seq; /* as a partition's */
        bool doubted;              /* as a partition's */
        bool is_virtual;           /* as in the event */
        bool unowned;              /* the last scan says so, and the kernel has told nothing of the disk since: see
                                    * JobReply. Of value until udev has told */
        uint64_t awaited_usec;     /* monotonic: since when udev has not said all of it; 0: it has */
        bool known;                /* udev called it ready at least once since it came */
        bool told;                 /* udev was done with it at least once, or has its database from a predecessor; of
                                    * an event before the newest: if it left it alone, or called it not ready */
        bool processed;            /* udev is done with the newest event */
        bool settled;              /* and called it ready */
        const char *ignored;       /* as in the event */
        const char *links;         /* as in the event; shared, NULL if none */
        const DiskPrint *print;    /* as the newest fingerprint of something on it has it; shared, NULL: none yet */
        const char *values[_MATCH_KEY_MAX]; /* as in the event, but of the table; shared, NULL if none */
        bool seen;

        const KeptEntry **entries; /* last known table, sorted by partno; may hold entries that
                                    * the kernel has no partition for */
        size_t n_entries;
        const char *pt_uuid;       /* of the table; shared, "" unknown */
        uint64_t table_job;        /* id of the job that read the table; 0: none, or udev has told of another since */
        OldFs *old_fs;             /* of entries without a partition, in no order: in the middle of a re-read it is
                                    * not forgotten what was on them */
        size_t n_old_fs;
        bool dirty;                /* something happened that the entries do not tell yet */
        bool overtaken;            /* the entries were read by a job that events came after: they may
                                    * be older than what udev has told since */
        uint64_t n_events;         /* counts what makes it dirty: a scan that began before is old */
        uint64_t n_told;           /* those of them that were events of the kernel */
        uint64_t told_seq;         /* newest event of the kernel about it or a partition of it */
        uint64_t n_writes;         /* as device_set_written() was told last; 0: none yet */
        bool reread_due;           /* its table is to be read though nothing was told: see there */

        uint64_t probed;           /* in which round it was asked which interface the kernel has; 0 never */
        uint64_t unclear;          /* in which its answer proved nothing, as with a filter on it */

        uint64_t job;              /* id of the job under way on it; 0 none: one at a time */
        uint64_t job_began_at;     /* n_events when it began */
        uint64_t job_told_at;      /* n_told then */
        uint64_t job_n_writes;     /* n_writes then */
        bool stuck;                /* a job on it did not answer in time */
        uint64_t scan_retry_at_usec; /* monotonic; 0: no delay */
        uint64_t n_scan_failures;  /* in a row */
        char scan_error[JOB_MESSAGE_SIZE]; /* of the last failed scan; "" if it went well */

        Partition **partitions;    /* sorted by partno */
        size_t n_partitions;

        bool freed;                /* all that happened since the plan last ran is that the job on it ended: who waited
                                    * for that is concerned, nobody else */
        bool heard;                /* the kernel told of it, or of a partition of it, since the plan last ran */
        bool todo;                 /* the plan that is running is going to look at it */
        bool changed;              /* it is in DeviceSet.changed */
        bool reclaim;              /* its claims are to be made again */
        bool gone;                 /* it is not there any more, and has not been taken from changed yet */
        Claim *claims;             /* what the index of claims has of it */
        size_t n_claims;
};

/* An event of udev about a device that was not known yet. */
typedef struct Missed {
        char name[JOB_NODE_SIZE];
        uint64_t seqnum;
} Missed;

#define MISSED_MAX 8

typedef struct DeviceSet {
        Disk **disks; /* sorted by name */
        size_t n_disks;
        Disk **changed; /* something happened to them since the plan last ran; those that are gone
                         * too, which are owned by this list then */
        size_t n_changed;
        size_t n_gone;
        Index claims;   /* of Disk, by value of the keys that are counted; as of device_set_reclaim() */
        Index by_uid;   /* of Disk */
        uint64_t kernel_seq; /* newest kernel event of all */
        Missed missed[MISSED_MAX]; /* the last ones: what a look finds of them is as new as these events */
        size_t n_missed; /* ever */
        uint64_t last_uid; /* of a disk */
        bool looking;    /* a look has begun and not come to its end: there may be more than is known */
        bool looked;     /* at all that is there, at least once */
        bool found_gone; /* something went that no event told of, since the plan last ran */
        bool incomplete; /* what is known does not fit what was met: look again */
        unsigned counted; /* 1 << MatchKey: of which keys values are in the index of claims */
        bool believing;  /* the look that is going on takes all that udev says */
        bool in_doubt;   /* what the last look found may be of predecessors: look again when udev is idle, if it has
                          * not told of each of them before; as of device_set_check_doubt() */
} DeviceSet;

/* device.c: what is there, and what is known of it */
void device_set_deinit(DeviceSet *s);
Disk *device_set_get_disk(const DeviceSet *s, const char *name);
Device device_set_get(const DeviceSet *s, const char *name);
Device device_set_get_by_uid(const DeviceSet *s, uint64_t uid);
Device device_set_get_by_object(const DeviceSet *s, uint64_t object);
Partition *disk_get_partition(const Disk *d, unsigned partno);
const char *device_name(Device d);
uint64_t device_uid(Device d);
uint64_t device_object(Device d);
uint64_t number_of(uint32_t major, uint32_t minor);
uint64_t device_number(Device d);
const char *device_ignored(Device d);
void device_facts(Device d, Facts *ret);
void disk_entry_facts(const Disk *d, const KeptEntry *e, Facts *ret);

void device_set_count(DeviceSet *s, MatchKey key);
void device_set_touch(DeviceSet *s, Disk *d);
void device_set_touch_freed(DeviceSet *s, Disk *d);
Disk *device_set_take_changed(DeviceSet *s);
void device_set_forget(DeviceSet *s, Disk *d);

/* device-table.c: what is known of the table of a disk */
const KeptEntry *disk_get_entry(const Disk *d, unsigned partno);
const KeptEntry *device_entry(Device d);
void disk_begin_job(Disk *d, uint64_t job);
uint64_t disk_job_as_of(const Disk *d, uint64_t seqnum);
int disk_set_table(DeviceSet *s, Disk *d, const char *pt_uuid, const Entry *entries, size_t n_entries, uint64_t as_of);
bool disk_udev_caught_up(const Disk *d);
bool disk_is_unprobed(const Disk *d);
bool device_is_being_read(Device d);
bool disk_is_unclear(const Disk *d);
bool disk_is_untold(const Disk *d);
bool disk_may_be_early(const Disk *d);
void disk_settle_by_udev(Disk *d);

/* device-event.c: how it comes to be known */
int device_set_apply(DeviceSet *s, const DeviceEvent *e);
void device_set_written(DeviceSet *s, Disk *d, uint64_t n_writes);
bool device_set_check_doubt(DeviceSet *s);
void device_set_look_begin(DeviceSet *s, bool believe);
void device_set_look_end(DeviceSet *s);

/* device-link.c: the links that udev makes to it */
bool device_has_link(Device d, const char *link);
void link_add_encoded(Text *t, const char *s);

/* device-claim.c: who has a value */
int device_set_reclaim(DeviceSet *s, Disk *d);
uint64_t claim_hash(MatchKey key, const char *value);
