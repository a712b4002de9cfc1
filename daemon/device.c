/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/device.h"
#include "daemon/text.h"

static void partition_free(Partition *p) {
        free(p->links);
        free(p);
}

static void disk_drop_partition(Disk *d, size_t i) {
        partition_free(d->partitions[i]);
        memmove(d->partitions + i, d->partitions + i + 1, (d->n_partitions - i - 1) * sizeof(*d->partitions));
        d->n_partitions--;
}

static void disk_free(Disk *d) {
        while (d->n_partitions > 0)
                disk_drop_partition(d, d->n_partitions - 1);

        free(d->partitions);
        free(d->entries);
        free(d);
}

/**
 * device_set_deinit() - release all disks and partitions of a set
 * @s: the set; empty and usable again afterwards
 */
void device_set_deinit(DeviceSet *s) {
        for (size_t i = 0; i < s->n_disks; i++)
                disk_free(s->disks[i]);

        free(s->disks);
        *s = (DeviceSet) { 0 };
}

/* Index of the first disk whose name does not sort before @name. */
static size_t device_set_find(const DeviceSet *s, const char *name) {
        size_t low = 0, high = s->n_disks;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(s->disks[mid]->name, name) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }

        return low;
}

/**
 * device_set_get_disk() - look a whole disk up by its kernel name
 * @s: the set
 * @name: NUL-terminated
 *
 * Return: the disk, borrowed until the next event; NULL if it is not there.
 */
Disk *device_set_get_disk(const DeviceSet *s, const char *name) {
        size_t i = device_set_find(s, name);

        return i < s->n_disks && str_equal(s->disks[i]->name, name) ? s->disks[i] : NULL;
}

/**
 * device_set_get_disk_by_job() - the disk that a job is under way on
 * @s: the set
 * @job: the job's id, not 0
 *
 * Return: the disk, borrowed until the next event; NULL if it went while the job ran.
 */
Disk *device_set_get_disk_by_job(const DeviceSet *s, uint64_t job) {
        for (size_t i = 0; i < s->n_disks; i++)
                if (s->disks[i]->job == job)
                        return s->disks[i];

        return NULL;
}

/* Calls for every partition until one fits; keeps the look-ups below alike. */
static Partition *device_set_search(const DeviceSet *s, bool (*fits)(const Partition *p, const void *key), const void *key) {
        for (size_t i = 0; i < s->n_disks; i++)
                for (size_t j = 0; j < s->disks[i]->n_partitions; j++)
                        if (fits(s->disks[i]->partitions[j], key))
                                return s->disks[i]->partitions[j];

        return NULL;
}

static bool partition_has_name(const Partition *p, const void *key) {
        return str_equal(p->name, key);
}

static bool partition_has_uid(const Partition *p, const void *key) {
        return p->uid == *(const uint64_t *) key;
}

/**
 * device_set_get_partition() - look a partition up by its kernel name
 * @s: the set
 * @name: NUL-terminated
 *
 * Return: the partition, borrowed until the next event; NULL if it is not there.
 */
Partition *device_set_get_partition(const DeviceSet *s, const char *name) {
        return device_set_search(s, partition_has_name, name);
}

/**
 * device_set_get_partition_by_uid() - look a partition up by its uid
 * @s: the set
 * @uid: as in Partition; 0 is nobody's
 *
 * Return: the partition, borrowed until the next event; NULL if that very object is gone.
 */
Partition *device_set_get_partition_by_uid(const DeviceSet *s, uint64_t uid) {
        return uid ? device_set_search(s, partition_has_uid, &uid) : NULL;
}

static bool partition_has_object(const Partition *p, const void *key) {
        return p->object == *(const uint64_t *) key;
}

/**
 * device_set_get_partition_by_object() - look a partition up by the kernel's object
 * @s: the set
 * @object: as in Partition; 0 is nobody's
 *
 * Return: the partition, borrowed until the next event; NULL if that very object is gone.
 */
Partition *device_set_get_partition_by_object(const DeviceSet *s, uint64_t object) {
        return object ? device_set_search(s, partition_has_object, &object) : NULL;
}

/* Index of the first partition with that number or a greater one. */
static size_t disk_find_partition(const Disk *d, unsigned partno) {
        size_t i = 0;

        while (i < d->n_partitions && d->partitions[i]->partno < partno)
                i++;

        return i;
}

/**
 * disk_get_partition() - a partition that the kernel has on a disk
 * @d: the disk
 * @partno: from 1
 *
 * Return: the partition, borrowed until the next event; NULL if the kernel has none.
 */
Partition *disk_get_partition(const Disk *d, unsigned partno) {
        size_t i = disk_find_partition(d, partno);

        return i < d->n_partitions && d->partitions[i]->partno == partno ? d->partitions[i] : NULL;
}

/**
 * disk_get_entry() - what is known of an entry of a disk's table
 * @d: the disk
 * @partno: from 1
 *
 * Return: the entry, borrowed until the next event; NULL if nothing is known.
 */
const Entry *disk_get_entry(const Disk *d, unsigned partno) {
        for (size_t i = 0; i < d->n_entries; i++)
                if (d->entries[i].partno == partno)
                        return &d->entries[i];

        return NULL;
}

static void disk_touch(Disk *d) {
        d->dirty = true;
        d->n_events++;
        d->scan_retry_at_usec = 0;
        d->n_scan_failures = 0;
}

static int disk_put_entry(Disk *d, const Entry *e) {
        Entry *entries;
        size_t i = 0;

        while (i < d->n_entries && d->entries[i].partno < e->partno)
                i++;

        if (i < d->n_entries && d->entries[i].partno == e->partno) {
                d->entries[i] = *e;
                return 0;
        }

        entries = realloc(d->entries, (d->n_entries + 1) * sizeof(*entries));
        if (!entries)
                return -ENOMEM;

        memmove(entries + i + 1, entries + i, (d->n_entries - i) * sizeof(*entries));
        entries[i] = *e;
        d->entries = entries;
        d->n_entries++;
        return 0;
}

/**
 * disk_set_table() - take over a table that a worker has read
 * @d: the disk
 * @pt_uuid: the table's own id, "" if none
 * @entries: @n_entries entries, sorted by partno; borrowed
 * @n_entries: may be 0
 * @as_of: d->n_events when the worker began; if more has happened since, the disk stays dirty
 *
 * Return: 0, or -ENOMEM: the old table stays.
 */
int disk_set_table(Disk *d, const char *pt_uuid, const Entry *entries, size_t n_entries, uint64_t as_of) {
        Entry *copy = NULL;

        if (n_entries > 0) {
                copy = malloc(n_entries * sizeof(*copy));
                if (!copy)
                        return -ENOMEM;

                memcpy(copy, entries, n_entries * sizeof(*copy));
        }

        free(d->entries);
        d->entries = copy;
        d->n_entries = n_entries;
        (void) str_copy(d->pt_uuid, sizeof(d->pt_uuid), pt_uuid);
        d->scan_error[0] = 0;
        d->n_scan_failures = 0;
        d->scan_retry_at_usec = 0;

        /* what udev told since may have settled it already, and is overwritten now */
        d->dirty = d->overtaken = d->n_events != as_of;

        return 0;
}

/**
 * disk_udev_caught_up() - whether udev has told all it will of a disk as it is now
 * @d: the disk
 */
bool disk_udev_caught_up(const Disk *d) {
        if (!d->known || !d->settled)
                return false;

        for (size_t i = 0; i < d->n_partitions; i++)
                if (!d->partitions[i]->settled)
                        return false;

        return true;
}

/**
 * disk_is_unclear() - whether a disk may have any identity, for all that is known
 * @d: the disk
 *
 * It, or a partition of it, is new, and neither udev nor a scan has said what it is.
 */
bool disk_is_unclear(const Disk *d) {
        if (d->ignored[0] || !d->dirty)
                return false;

        if (!d->known)
                return !d->processed;

        for (size_t i = 0; i < d->n_partitions; i++)
                if (!d->partitions[i]->processed && !disk_get_entry(d, d->partitions[i]->partno))
                        return true;

        return false;
}

/**
 * disk_settle_by_udev() - call a disk's table known by what udev has told
 * @d: the disk; disk_udev_caught_up() holds
 *
 * Entries without a partition are dropped: udev tells of partitions, not of tables. In the middle
 * of a re-read, which removes before it adds, that would forget who has an identity and hand it to
 * a clone. So this is for disks only that no attachment waits for; the others are scanned.
 */
void disk_settle_by_udev(Disk *d) {
        size_t n = 0;

        for (size_t i = 0; i < d->n_entries; i++)
                if (disk_get_partition(d, d->entries[i].partno))
                        d->entries[n++] = d->entries[i];

        d->n_entries = n;
        d->dirty = false;
}

static void device_set_remove_disk(DeviceSet *s, Disk *d) {
        size_t i = device_set_find(s, d->name);

        disk_free(d);
        memmove(s->disks + i, s->disks + i + 1, (s->n_disks - i - 1) * sizeof(*s->disks));
        s->n_disks--;
}

static Disk *device_set_add_disk(DeviceSet *s, const DeviceEvent *e) {
        size_t i = device_set_find(s, e->name);
        Disk **disks = realloc(s->disks, (s->n_disks + 1) * sizeof(*disks)), *d;

        if (!disks)
                return NULL;

        s->disks = disks;
        d = calloc(1, sizeof(*d));
        if (!d)
                return NULL;

        d->uid = ++s->last_uid;
        memcpy(d->name, e->name, sizeof(d->name));
        d->major = e->major;
        d->minor = e->minor;
        d->diskseq = e->diskseq;
        d->dirty = true;
        memmove(disks + i + 1, disks + i, (s->n_disks - i) * sizeof(*disks));
        disks[i] = d;
        s->n_disks++;
        return d;
}

static Partition *disk_add_partition(DeviceSet *s, Disk *d, const DeviceEvent *e) {
        size_t i = disk_find_partition(d, e->partno);
        Partition **partitions = realloc(d->partitions, (d->n_partitions + 1) * sizeof(*partitions)), *p;

        if (!partitions)
                return NULL;

        d->partitions = partitions;
        p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;

        p->uid = ++s->last_uid;
        p->disk = d;
        memcpy(p->name, e->name, sizeof(p->name));
        p->partno = e->partno;
        p->major = e->major;
        p->minor = e->minor;
        p->object = e->object;
        memmove(partitions + i + 1, partitions + i, (d->n_partitions - i) * sizeof(*partitions));
        partitions[i] = p;
        d->n_partitions++;
        return p;
}

/* Whether an event speaks of another object than the one that is registered under its name. */
static bool event_is_of_another(const DeviceEvent *e, uint32_t major, uint32_t minor, uint64_t diskseq,
                                uint64_t object) {
        if (e->source == EVENT_KERNEL && e->action == EVENT_ADD && !e->synthetic)
                /* a look may have found it before its event was read */
                return !(e->diskseq && e->diskseq == diskseq) && !(e->object && e->object == object);

        /* A whole re-read may have been lost. An event, though, can be older than what sysfs shows by
         * the time it is read: what makes the difference follows then. */
        if (e->source == EVENT_ENUMERATION && e->object && object && e->object != object)
                return true;

        return e->major != major || e->minor != minor || (e->diskseq && diskseq && e->diskseq != diskseq);
}

/*
 * Whether an event may do what it says. What comes, what goes, and what takes another's place, the kernel and
 * looks decide: an event of udev can be older than the look that found the device, and a removal that
 * somebody wrote to "uevent" removes nothing. But where udev knows more than the kernel has told, a look
 * has to.
 */
static bool event_decides(DeviceSet *s, const DeviceEvent *e, bool known, bool of_another) {
        if (e->source == EVENT_UDEV && e->seqnum > s->kernel_seq &&
            (e->action == EVENT_REMOVE ? known : !known || of_another))
                s->incomplete = true;

        if (e->action == EVENT_REMOVE)
                return e->source == EVENT_KERNEL && !e->synthetic;

        return e->source != EVENT_UDEV || (known && !of_another);
}

/* An event of the kernel about a disk, or a medium, that a look has found another in the place of. */
static bool event_is_of_the_past(const DeviceEvent *e, const Disk *d) {
        return d && e->source == EVENT_KERNEL && e->diskseq && e->diskseq < d->diskseq;
}

static int apply_disk(DeviceSet *s, const DeviceEvent *e) {
        Disk *d = device_set_get_disk(s, e->name);

        if (event_is_of_the_past(e, d))
                return 0;

        /* udev speaks of the past: the kernel has told more since */
        if (e->source == EVENT_UDEV && e->seqnum && e->seqnum < (d ? d->kernel_seq : s->kernel_seq + 1))
                return 0;

        if (!event_decides(s, e, d != NULL, d && event_is_of_another(e, d->major, d->minor, d->diskseq, 0)))
                return 0;

        if (e->action == EVENT_REMOVE) {
                if (d)
                        device_set_remove_disk(s, d);
                return 0;
        }

        if (d && event_is_of_another(e, d->major, d->minor, d->diskseq, 0)) {
                device_set_remove_disk(s, d);
                d = NULL;
        }

        if (!d) {
                d = device_set_add_disk(s, e);
                if (!d)
                        return -ENOMEM;
        }

        if (!d->diskseq)
                d->diskseq = e->diskseq;

        d->seen = true;

        if (e->source == EVENT_KERNEL) {
                d->kernel_seq = e->seqnum;
                d->processed = d->settled = false;
                disk_touch(d);
                return 0;
        }

        d->processed = e->processed;
        d->settled = e->settled;
        if (e->settled)
                d->known = true;

        memcpy(d->ignored, e->ignored, sizeof(d->ignored));
        return 0;
}

static int partition_take_facts(Partition *p, const DeviceEvent *e) {
        char *links = NULL;

        if (e->links) {
                links = strdup(e->links);
                if (!links)
                        return -ENOMEM;
        }

        free(p->links);
        p->links = links;
        p->processed = e->processed;
        p->settled = e->settled;
        memcpy(p->ignored, e->ignored, sizeof(p->ignored));

        return e->has_entry ? disk_put_entry(p->disk, &e->entry) : 0;
}

static int apply_partition(DeviceSet *s, const DeviceEvent *e) {
        Disk *d = device_set_get_disk(s, e->disk);
        Partition *p = d ? disk_get_partition(d, e->partno) : NULL;

        if (event_is_of_the_past(e, d))
                return 0;

        if (e->source == EVENT_UDEV && e->seqnum && e->seqnum < (p ? p->kernel_seq : s->kernel_seq + 1))
                return 0;

        if (!event_decides(s, e, p != NULL, p && event_is_of_another(e, p->major, p->minor, 0, p->object)))
                return 0;

        if (!d) {
                if (e->action != EVENT_REMOVE)
                        s->incomplete = true;
                return 0;
        }

        if (p && (e->action == EVENT_REMOVE || event_is_of_another(e, p->major, p->minor, 0, p->object))) {
                disk_drop_partition(d, disk_find_partition(d, e->partno));
                disk_touch(d);
                p = NULL;
        }

        if (e->action == EVENT_REMOVE)
                return 0;

        if (!p) {
                p = disk_add_partition(s, d, e);
                if (!p)
                        return -ENOMEM;

                disk_touch(d);
        }

        p->seen = true;
        if (!p->object)
                p->object = e->object;

        if (e->source == EVENT_KERNEL) {
                p->kernel_seq = e->seqnum;
                p->processed = p->settled = false;
                disk_touch(d);
                return 0;
        }

        return partition_take_facts(p, e);
}

/**
 * device_set_apply() - take in one event or one finding
 * @s: the set
 * @e: the event; borrowed
 *
 * The one door for the kernel's events, udev's and enumeration. Pointers to disks and partitions
 * taken before are invalid afterwards.
 *
 * Return: 0, or -ENOMEM: look at everything again.
 */
int device_set_apply(DeviceSet *s, const DeviceEvent *e) {
        if (e->source == EVENT_KERNEL && e->seqnum > s->kernel_seq)
                s->kernel_seq = e->seqnum;

        return e->partno == 0 ? apply_disk(s, e) : apply_partition(s, e);
}

/**
 * device_set_look_begin() - before all devices are told again, one by one
 * @s: the set
 */
void device_set_look_begin(DeviceSet *s) {
        s->incomplete = false;

        for (size_t i = 0; i < s->n_disks; i++) {
                s->disks[i]->seen = false;

                for (size_t j = 0; j < s->disks[i]->n_partitions; j++)
                        s->disks[i]->partitions[j]->seen = false;
        }
}

/**
 * device_set_look_end() - after all devices were told: what was not among them is gone
 * @s: the set
 *
 * At the first look what udev says is all there is to know. A later one may fall between the two
 * halves of a re-read, and what a table said must not be forgotten for it.
 */
void device_set_look_end(DeviceSet *s) {
        for (size_t i = s->n_disks; i-- > 0; ) {
                Disk *d = s->disks[i];

                if (!d->seen) {
                        device_set_remove_disk(s, d);
                        continue;
                }

                for (size_t j = d->n_partitions; j-- > 0; )
                        if (!d->partitions[j]->seen) {
                                disk_drop_partition(d, j);
                                disk_touch(d);
                        }

                if (!s->looked && disk_udev_caught_up(d))
                        disk_settle_by_udev(d);
        }

        s->looked = true;
}
