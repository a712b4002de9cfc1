/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/device-internal.h"
#include "daemon/fingerprint.h"
#include "daemon/list.h"
#include "daemon/shared.h"
#include "daemon/text.h"

static void partition_free(Partition *p) {
        for (size_t i = 0; i < 3; i++)
                shared_unref(p->fs[i]);

        shared_unref(p->name);
        shared_unref(p->links);
        free(p);
}

static void disk_free(Disk *d) {
        for (size_t i = 0; i < d->n_partitions; i++)
                partition_free(d->partitions[i]);
        for (size_t i = 0; i < _MATCH_KEY_MAX; i++)
                shared_unref(d->values[i]);
        while (d->n_old_fs > 0)
                disk_forget_fs(d, d->old_fs[0].partno);

        free(d->old_fs);
        shared_unref(d->name);
        shared_unref(d->pt_uuid);
        shared_unref(d->links);
        disk_print_unref(d->print);
        free(d->partitions);
        disk_free_entries(d);
        free(d->claims);
        free(d);
}

/**
 * device_set_deinit() - release all disks and partitions of a set
 * @s: the set; empty and usable again afterwards
 */
void device_set_deinit(DeviceSet *s) {
        for (size_t i = 0; i < s->n_changed; i++)
                if (s->changed[i]->gone)
                        disk_free(s->changed[i]);
        for (size_t i = 0; i < s->n_disks; i++)
                disk_free(s->disks[i]);

        index_deinit(&s->claims);
        index_deinit(&s->by_uid);
        free(s->changed);
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
 * device_set_get_disk() - look a whole device up by its kernel name
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
 * device_set_get() - look a device up by its kernel name
 * @s: the set
 * @name: NUL-terminated
 *
 * Return: the device, borrowed until the next event; its disk is NULL if it is not there.
 */
Device device_set_get(const DeviceSet *s, const char *name) {
        Device found = { .disk = device_set_get_disk(s, name) };

        for (size_t i = 0; !found.disk && i < s->n_disks; i++)
                for (size_t j = 0; j < s->disks[i]->n_partitions; j++)
                        if (str_equal(s->disks[i]->partitions[j]->name, name))
                                return (Device) { s->disks[i], s->disks[i]->partitions[j] };

        return found;
}

/* Of the disk that a uid is of, or the disk of the partition. */
static uint64_t hash_disk_uid(uint64_t uid) {
        return index_hash_u64(0, uid >> 32);
}

/**
 * device_set_get_by_uid() - look a device up by its uid
 * @s: the set
 * @uid: as in Disk and Partition; 0 is nobody's
 *
 * Return: the device, borrowed until the next event; its disk is NULL if that very object is gone.
 */
Device device_set_get_by_uid(const DeviceSet *s, uint64_t uid) {
        const IndexItem *i = index_first(&s->by_uid, hash_disk_uid(uid));

        for (; i; i = index_next(i)) {
                Disk *d = i->owner;

                if (d->uid == uid)
                        return (Device) { d, NULL };

                for (size_t k = 0; k < d->n_partitions; k++)
                        if (d->partitions[k]->uid == uid)
                                return (Device) { d, d->partitions[k] };
        }

        return (Device) { 0 };
}

/**
 * device_set_get_by_object() - look a device up by the kernel's object
 * @s: the set
 * @object: as in Disk and Partition; 0 is nobody's
 *
 * Return: the device, borrowed until the next event; its disk is NULL if that very object is gone.
 */
Device device_set_get_by_object(const DeviceSet *s, uint64_t object) {
        for (size_t i = 0; object && i < s->n_disks; i++) {
                Disk *d = s->disks[i];

                if (d->object == object)
                        return (Device) { d, NULL };

                for (size_t j = 0; j < d->n_partitions; j++)
                        if (d->partitions[j]->object == object)
                                return (Device) { d, d->partitions[j] };
        }

        return (Device) { 0 };
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
 * device_name() - the kernel name of a device
 * @d: a device that is there
 *
 * Return: may be kept by shared_set().
 */
const char *device_name(Device d) {
        return d.partition ? d.partition->name : d.disk->name;
}

/**
 * device_uid() - the uid of a device
 * @d: a device, or none
 *
 * Return: 0 if it is none.
 */
uint64_t device_uid(Device d) {
        return d.partition ? d.partition->uid : d.disk ? d.disk->uid : 0;
}

/**
 * device_object() - the kernel's object of a device
 * @d: a device, or none
 *
 * Return: 0 if it is none, or not known.
 */
uint64_t device_object(Device d) {
        return d.partition ? d.partition->object : d.disk ? d.disk->object : 0;
}

/**
 * number_of() - the number of a device as one value
 * @major: its first part
 * @minor: and its second
 *
 * Return: 0 only for 0:0, which no block device has.
 */
uint64_t number_of(uint32_t major, uint32_t minor) {
        return (uint64_t) major << 32 | minor;
}

/**
 * device_number() - the number of a device as one value
 * @d: a device, or none
 *
 * Return: as number_of(); 0 if it is none.
 */
uint64_t device_number(Device d) {
        return d.partition ? number_of(d.partition->major, d.partition->minor) :
               d.disk ? number_of(d.disk->major, d.disk->minor) : 0;
}

/**
 * device_ignored() - why nobody may touch a device
 * @d: a device that is there
 *
 * Return: a few words, static; NULL if one may.
 */
const char *device_ignored(Device d) {
        return d.partition && d.partition->ignored ? d.partition->ignored : d.disk->ignored;
}

static void set_disk_facts(const Disk *d, Facts *f) {
        *f = (Facts) { 0 };
        memcpy(f->values, d->values, sizeof(f->values));
        f->values[MATCH_PT_UUID] = d->pt_uuid;

        /* these the whole device has on itself, and its partitions have not */
        f->values[MATCH_FS_UUID] = f->values[MATCH_FS_LABEL] = f->values[MATCH_FS_TYPE] = NULL;
}

static void set_fs_facts(const char *const *fs, const char *name, Facts *f) {
        f->values[MATCH_FS_UUID] = fs[0];
        f->values[MATCH_FS_LABEL] = fs[1];
        f->values[MATCH_FS_TYPE] = fs[2];
        f->values[MATCH_KERNEL_NAME] = name;
}

/**
 * disk_entry_facts() - what is known of an entry of a disk's table, and of its partition
 * @d: the disk
 * @e: the entry, one of @d's; the kernel may have no partition for it
 * @ret: written whole; borrowed strings
 */
void disk_entry_facts(const Disk *d, const KeptEntry *e, Facts *ret) {
        const Partition *p = disk_get_partition(d, e->partno);

        set_disk_facts(d, ret);
        facts_set_kept_entry(ret, e);
        if (p)
                set_fs_facts(p->fs, p->name, ret);

        for (size_t i = 0; !p && i < d->n_old_fs; i++)
                if (d->old_fs[i].partno == e->partno)
                        set_fs_facts(d->old_fs[i].fs, NULL, ret);
}

/**
 * device_facts() - what is known of a device
 * @d: a device that is there
 * @ret: written whole; borrowed strings
 */
void device_facts(Device d, Facts *ret) {
        const KeptEntry *e = device_entry(d);

        if (e) {
                disk_entry_facts(d.disk, e, ret);
                return;
        }

        set_disk_facts(d.disk, ret);
        ret->is_partition = d.partition != NULL;
        set_fs_facts(d.partition ? d.partition->fs : d.disk->values + MATCH_FS_UUID, device_name(d), ret);
}

/**
 * device_set_touch() - something happened to a disk: the plan has to look at it
 * @s: the set
 * @d: a disk of it
 *
 * The list has room for every disk: see device_set_add_disk().
 */
void device_set_touch(DeviceSet *s, Disk *d) {
        d->freed = false;
        if (d->changed)
                return;

        d->changed = true;
        s->changed[s->n_changed++] = d;
}

/**
 * device_set_touch_freed() - a job has ended on a disk, of which nothing else is known anew
 * @s: the set
 * @d: a disk of it
 */
void device_set_touch_freed(DeviceSet *s, Disk *d) {
        if (d->changed)
                return;

        device_set_touch(s, d);
        d->freed = true;
}

/**
 * device_set_take_changed() - take a disk off the list of those that changed
 * @s: the set
 *
 * Return: the disk; if it is gone, to be released by device_set_forget(). NULL if there is none left.
 */
Disk *device_set_take_changed(DeviceSet *s) {
        Disk *d;

        if (s->n_changed == 0)
                return NULL;

        d = s->changed[--s->n_changed];
        d->changed = false;
        return d;
}

/**
 * device_set_forget() - release a disk that is gone
 * @s: the set
 * @d: from device_set_take_changed(), with d->gone set; consumed
 */
void device_set_forget(DeviceSet *s, Disk *d) {
        disk_drop_claims(s, d);
        disk_free(d);
        s->n_gone--;
}

/**
 * disk_make_dirty() - something happened that the entries do not tell: they are to be read again
 * @s: the set
 * @d: a disk of it
 */
void disk_make_dirty(DeviceSet *s, Disk *d) {
        d->dirty = true;
        d->n_events++;
        d->scan_retry_at_usec = 0;
        d->n_scan_failures = 0;
        device_set_touch(s, d);
}

/**
 * device_set_count() - the values of a key are claims from now on
 * @s: the set
 * @key: one that identifies
 *
 * There are many devices, and as a rule one key or two that anybody asks for. The weakest of all, the kernel's name,
 * comes and goes with each re-read.
 */
void device_set_count(DeviceSet *s, MatchKey key) {
        if (s->counted & 1U << key)
                return;

        s->counted |= 1U << key;
        for (size_t i = 0; i < s->n_disks; i++) {
                s->disks[i]->reclaim = true;
                device_set_touch(s, s->disks[i]);
        }
}

/* Whether something that has to be counted comes or goes with a partition. */
static bool partition_counts(const DeviceSet *s, const Partition *p) {
        return p->fs[0] || p->fs[1] || s->counted & 1U << MATCH_KERNEL_NAME;
}

/**
 * device_set_remove_disk() - a disk is gone
 * @s: the set
 * @d: a disk of it; the list of those that changed owns it from now on: see device_set_take_changed()
 */
void device_set_remove_disk(DeviceSet *s, Disk *d) {
        size_t i = device_set_find(s, d->name);

        index_remove(&s->by_uid, hash_disk_uid(d->uid), d, 0);

        memmove(s->disks + i, s->disks + i + 1, (s->n_disks - i - 1) * sizeof(*s->disks));
        s->n_disks--;
        d->gone = true;
        s->n_gone++;
        device_set_touch(s, d);
}

/**
 * device_set_add_disk() - a disk has come
 * @s: the set; it has no disk of that name
 * @e: its event
 *
 * Return: the disk, of which nothing is known but what it is called and numbered; the set's. NULL: there is no memory.
 */
Disk *device_set_add_disk(DeviceSet *s, const DeviceEvent *e) {
        size_t i = device_set_find(s, e->name);
        Disk **disks, *d;

        disks = list_grow(s->disks, s->n_disks);
        if (!disks)
                return NULL;
        s->disks = disks;

        /* room in the list of changes for all of them, and for those that are gone and still in it */
        disks = list_grow(s->changed, s->n_disks + s->n_gone);
        if (!disks)
                return NULL;
        s->changed = disks;

        d = calloc(1, sizeof(*d));
        if (!d)
                return NULL;

        d->uid = s->last_uid += UINT64_C(1) << 32;
        d->name = shared_new(e->name);
        d->pt_uuid = shared_empty;
        if (!d->name || index_add(&s->by_uid, hash_disk_uid(d->uid), d, 0) < 0) {
                disk_free(d);
                return NULL;
        }

        d->major = e->major;
        d->minor = e->minor;
        d->diskseq = e->diskseq;
        d->object = e->object;
        d->is_virtual = e->is_virtual;
        d->dirty = d->reclaim = true;
        memmove(s->disks + i + 1, s->disks + i, (s->n_disks - i) * sizeof(*s->disks));
        s->disks[i] = d;
        s->n_disks++;
        device_set_touch(s, d);
        return d;
}

/**
 * disk_drop_partition() - a partition is gone
 * @s: the set
 * @d: its disk, which keeps what udev has found on the partition
 * @i: its place in d->partitions; released
 */
void disk_drop_partition(DeviceSet *s, Disk *d, size_t i) {
        Partition *p = d->partitions[i];

        d->reclaim |= partition_counts(s, p);
        disk_keep_fs(d, p);
        partition_free(p);
        memmove(d->partitions + i, d->partitions + i + 1, (d->n_partitions - i - 1) * sizeof(*d->partitions));
        d->n_partitions--;
        disk_make_dirty(s, d);
}

/**
 * disk_add_partition() - a partition has come
 * @s: the set
 * @d: its disk, which has none of that number
 * @e: its event
 *
 * Return: the partition; the disk's. NULL: there is no memory.
 */
Partition *disk_add_partition(DeviceSet *s, Disk *d, const DeviceEvent *e) {
        size_t i = disk_find_partition(d, e->partno);
        Partition **partitions = list_grow(d->partitions, d->n_partitions), *p;

        if (!partitions)
                return NULL;

        d->partitions = partitions;
        p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;

        p->uid = d->uid + ++d->n_uids;
        p->name = shared_new(e->name);
        if (!p->name) {
                partition_free(p);
                return NULL;
        }

        p->disk = d;
        p->partno = e->partno;
        p->major = e->major;
        p->minor = e->minor;
        p->object = e->object;
        disk_take_fs(d, p);
        memmove(partitions + i + 1, partitions + i, (d->n_partitions - i) * sizeof(*partitions));
        partitions[i] = p;
        d->n_partitions++;
        d->reclaim |= partition_counts(s, p);
        disk_make_dirty(s, d);
        return p;
}
