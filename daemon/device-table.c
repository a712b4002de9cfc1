/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table of a disk: the last that is known of its entries, from udev, which tells of one partition after the
 * other, and from workers, which read all of it. Which of the two is to be believed, and until when.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/device-internal.h"
#include "daemon/list.h"
#include "daemon/shared.h"
#include "daemon/text.h"

/**
 * disk_get_entry() - what is known of an entry of a disk's table
 * @d: the disk
 * @partno: from 1
 *
 * Return: the entry, borrowed until the next event; NULL if nothing is known.
 */
const KeptEntry *disk_get_entry(const Disk *d, unsigned partno) {
        for (size_t i = 0; i < d->n_entries; i++)
                if (d->entries[i]->partno == partno)
                        return d->entries[i];

        return NULL;
}

/**
 * device_entry() - what is known of a partition's entry
 * @d: a device that is there
 *
 * Return: borrowed until the next event; NULL if nothing is known, or it is a whole device.
 */
const KeptEntry *device_entry(Device d) {
        return d.partition ? disk_get_entry(d.disk, d.partition->partno) : NULL;
}

/* Releases a list of entries, half-built too. */
static void free_entries(const KeptEntry **entries, size_t n_entries) {
        for (size_t i = 0; i < n_entries; i++)
                kept_entry_unref(entries[i]);

        free(entries);
}

/* Releases what a disk has of its table. */
void disk_free_entries(Disk *d) {
        free_entries(d->entries, d->n_entries);
        d->entries = NULL;
        d->n_entries = 0;
}

/* One entry that udev told, in its place; what the rest of the table was stays. 0, or -ENOMEM: nothing changed. */
int disk_put_entry(DeviceSet *s, Disk *d, const Entry *e) {
        const KeptEntry **entries, *k;
        size_t i = 0;
        bool is_new;
        int r;

        while (i < d->n_entries && d->entries[i]->partno < e->partno)
                i++;

        is_new = i == d->n_entries || d->entries[i]->partno != e->partno;
        if (!is_new && kept_entry_equal(d->entries[i], e))
                return 0;

        r = kept_entry_new(e, i > 0 ? d->entries[i - 1] : NULL, &k);
        if (r < 0)
                return r;

        if (is_new) {
                entries = list_grow(d->entries, d->n_entries);
                if (!entries) {
                        kept_entry_unref(k);
                        return -ENOMEM;
                }

                memmove(entries + i + 1, entries + i, (d->n_entries - i) * sizeof(*entries));
                d->entries = entries;
                d->n_entries++;
        } else
                kept_entry_unref(d->entries[i]);

        d->entries[i] = k;
        d->table_job = 0;
        d->reclaim = true;
        device_set_touch(s, d);
        return 0;
}

/* The entries of a table, to be kept: those that are as they were are the same. */
static int keep_entries(const Disk *d, const Entry *entries, size_t n_entries, const KeptEntry ***ret) {
        const KeptEntry **kept = calloc(list_room(n_entries), sizeof(*kept));
        size_t k = 0;
        int r = 0;

        if (n_entries > 0 && !kept)
                return -ENOMEM;

        for (size_t i = 0; i < n_entries && r >= 0; i++) {
                while (k < d->n_entries && d->entries[k]->partno < entries[i].partno)
                        k++;

                if (k < d->n_entries && kept_entry_equal(d->entries[k], &entries[i]))
                        kept[i] = kept_entry_ref(d->entries[k]);
                else
                        r = kept_entry_new(&entries[i], i > 0 ? kept[i - 1] : NULL, &kept[i]);
        }

        if (r < 0) {
                free_entries(kept, n_entries);
                return r;
        }

        *ret = kept;
        return 0;
}

/* Whether an entry is where it was: else what was on it says nothing of what is there. */
static bool is_in_place(const Disk *d, unsigned partno, const Entry *entries, size_t n_entries) {
        const KeptEntry *old = disk_get_entry(d, partno);

        for (size_t i = 0; old && i < n_entries; i++)
                if (entries[i].partno == partno)
                        return entries[i].start_sectors == old->start_sectors &&
                                entries[i].size_sectors == old->size_sectors;

        return false;
}

/**
 * disk_begin_job() - a worker is given something to do on a disk
 * @d: the disk; no job is under way on it
 * @job: its id
 */
void disk_begin_job(Disk *d, uint64_t job) {
        d->job = job;
        d->job_began_at = d->n_events;
        d->job_told_at = d->n_told;
        d->job_n_writes = d->n_writes;
}

/**
 * disk_job_as_of() - up to which event the table is known that the job under way has read
 * @d: the disk
 * @seqnum: the kernel's newest event before the worker read it; 0: not known
 *
 * A job that is begun in the middle of a re-read waits in its open until the kernel is done. What was told meanwhile,
 * and that a worker read the table after all of it had happened, comes out afterwards: by the kernel's own count.
 *
 * Return: for disk_set_table().
 */
uint64_t disk_job_as_of(const Disk *d, uint64_t seqnum) {
        bool only_told = d->n_events - d->job_began_at == d->n_told - d->job_told_at;

        return only_told && d->told_seq <= seqnum ? d->n_events : d->job_began_at;
}

/**
 * disk_set_table() - take over a table that a worker has read
 * @s: the set
 * @d: the disk
 * @pt_uuid: the table's own id, "" if none
 * @entries: @n_entries entries, sorted by partno; borrowed
 * @n_entries: may be 0
 * @as_of: d->n_events when the worker began, or as disk_job_as_of() says; if more has happened since, the disk stays
 *         dirty
 *
 * The caller says by d->table_job which job that was.
 *
 * Return: 0, or -ENOMEM: the old table stays.
 */
int disk_set_table(DeviceSet *s, Disk *d, const char *pt_uuid, const Entry *entries, size_t n_entries, uint64_t as_of) {
        bool changed = n_entries != d->n_entries || !str_equal(pt_uuid, d->pt_uuid);
        const KeptEntry **kept;
        int r;

        r = keep_entries(d, entries, n_entries, &kept);
        if (r < 0)
                return r;

        r = shared_copy(&d->pt_uuid, pt_uuid);
        if (r < 0) {
                free_entries(kept, n_entries);
                return r;
        }

        for (size_t i = 0; i < n_entries && !changed; i++)
                changed = kept[i] != d->entries[i];
        d->reclaim |= changed;

        for (size_t i = d->n_old_fs; i-- > 0; )
                if (!is_in_place(d, d->old_fs[i].partno, entries, n_entries))
                        disk_forget_fs(d, d->old_fs[i].partno);

        d->table_job = 0;
        disk_free_entries(d);
        d->entries = kept;
        d->n_entries = n_entries;
        d->scan_error[0] = 0;
        d->n_scan_failures = 0;
        d->scan_retry_at_usec = 0;

        /* what udev told since may have settled it already, and is overwritten now */
        d->dirty = d->overtaken = d->n_events != as_of;

        device_set_touch(s, d);
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
 * disk_is_unprobed() - whether udev has told of a partition, and not of its entry in the table
 * @d: the disk
 *
 * Its rules probe only what has a name that they know (60-persistent-storage.rules), and what a site's own let them.
 */
bool disk_is_unprobed(const Disk *d) {
        for (size_t i = 0; i < d->n_partitions; i++)
                if (d->partitions[i]->settled && !d->partitions[i]->ignored &&
                    !disk_get_entry(d, d->partitions[i]->partno))
                        return true;

        return false;
}

/**
 * device_is_being_read() - whether it will be known better soon what is on a device
 * @d: a device that is there
 */
bool device_is_being_read(Device d) {
        if (d.disk->ignored)
                return false;

        return d.disk->doubted || (d.partition && d.partition->doubted) ||
                (d.disk->dirty && d.disk->known && !d.disk->scan_error[0]);
}

/**
 * disk_is_unclear() - whether a disk may have any identity, for all that is known
 * @d: the disk
 *
 * It, or a partition of it, is new, and neither udev nor a scan has said what it is.
 */
bool disk_is_unclear(const Disk *d) {
        if (d->ignored || !d->dirty)
                return false;

        if (!d->known)
                return !d->processed;

        for (size_t i = 0; i < d->n_partitions; i++)
                if (!d->partitions[i]->processed && !disk_get_entry(d, d->partitions[i]->partno))
                        return true;

        return false;
}

/**
 * disk_is_untold() - whether udev has said nothing of a disk yet, and may call it one to be left alone
 * @d: the disk
 *
 * Its table may be known all the same: see disk_is_unclear().
 */
bool disk_is_untold(const Disk *d) {
        return !d->known && !d->processed && !d->ignored;
}

/**
 * disk_may_be_early() - whether a disk may be found to be one to be used before udev has said so
 * @d: the disk
 *
 * What the kernel has made of something else may not: who made it says, by udev, when it is ready. Nor may one that
 * udev has told of before: that it is not ready, then.
 */
bool disk_may_be_early(const Disk *d) {
        return disk_is_untold(d) && !d->is_virtual && !d->told;
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
                if (disk_get_partition(d, d->entries[i]->partno))
                        d->entries[n++] = d->entries[i];
                else
                        kept_entry_unref(d->entries[i]);

        if (n != d->n_entries) {
                d->reclaim = true;
                d->table_job = 0;
        }

        while (d->n_old_fs > 0)
                disk_forget_fs(d, d->old_fs[0].partno);

        d->n_entries = n;
        d->dirty = false;
}
