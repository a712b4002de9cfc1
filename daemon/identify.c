/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <blkid/blkid.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/identify.h"
#include "daemon/text.h"

/* Whose values are taken: what udev asks for too, without what it only shows. */
#define SUPERBLOCK_FLAGS (BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE)

static void free_probe(blkid_probe *pr) {
        blkid_free_probe(*pr);
}

static void read_entry(blkid_partition par, Entry *ret) {
        const char *uuid = blkid_partition_get_uuid(par), *name = blkid_partition_get_name(par);
        const char *type = blkid_partition_get_type_string(par);

        *ret = (Entry) {
                .partno = (unsigned) blkid_partition_get_partno(par),
                .start_sectors = (uint64_t) blkid_partition_get_start(par),
                .size_sectors = (uint64_t) blkid_partition_get_size(par),
        };

        if (uuid)
                (void) part_uuid_normalize(uuid, ret->uuid);

        /* A name with control bytes or half a character could not be told on the bus: not a name for us. */
        if (name && utf8_is_printable(name))
                (void) str_copy(ret->label, sizeof(ret->label), name);

        if (type) {
                char value[FACT_SIZE];

                if (fact_normalize(MATCH_PART_TYPE, type, value))
                        (void) str_copy(ret->type, sizeof(ret->type), value);
        } else
                (void) snprintf(ret->type, sizeof(ret->type), "0x%x", (unsigned) blkid_partition_get_type(par));
}

static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return x->partno < y->partno ? -1 : x->partno > y->partno;
}

/**
 * identify_table() - read the partition table of a disk
 * @disk_fd: the whole disk, open for reading; its position is not kept
 * @reply: has_table, n_entries, entries (sorted by partno) and pt_uuid are written on success,
 *         message on failure
 * @ret_gpt: where the header of the GPT that it is begins, in bytes from the beginning of the disk; 0: it is none.
 *         Written on success
 *
 * Only GPT and MBR are looked for. A disk without a table has no entries; that is a success. So is any
 * other whole device, as of the device-mapper, whatever else it contains.
 *
 * Return: 0, -EIO if the disk cannot be read or has two tables that contradict each other,
 * -E2BIG if the table has more entries than a reply takes, or -ENOMEM.
 */
int identify_table(int disk_fd, JobReply *reply, uint64_t *ret_gpt) {
        __attribute__((cleanup(free_probe))) blkid_probe pr = blkid_new_probe();
        char *types[] = { (char *) "gpt", (char *) "dos", NULL };
        blkid_partlist list;
        blkid_parttable table;
        int n, r;

        if (!pr)
                return -ENOMEM;

        if (blkid_probe_set_device(pr, disk_fd, 0, 0) < 0) {
                (void) snprintf(reply->message, sizeof(reply->message), "its size cannot be read");
                return -EIO;
        }

        blkid_probe_enable_superblocks(pr, 0);
        blkid_probe_enable_partitions(pr, 1);
        blkid_probe_set_partitions_flags(pr, BLKID_PARTS_ENTRY_DETAILS);
        blkid_probe_filter_partitions_type(pr, BLKID_FLTR_ONLYIN, types);

        /* 0: found; 1: nothing there; -2: more than one; -1: error, errno set */
        errno = 0;
        r = blkid_do_safeprobe(pr);
        if (r < 0) {
                (void) snprintf(reply->message, sizeof(reply->message), "%s",
                                r == -2 ? "it has signatures of two partition tables; wipefs shows them" :
                                errno ? strerror(errno) : "reading the table failed");
                return -EIO;
        }

        *ret_gpt = 0;
        reply->n_entries = 0;
        reply->has_table = true;
        if (r == 1)
                return 0;

        errno = 0;
        list = blkid_probe_get_partitions(pr);
        if (!list) {
                reply->has_table = errno == 0;
                if (errno)
                        (void) snprintf(reply->message, sizeof(reply->message), "%s", strerror(errno));
                return errno ? -EIO : 0;
        }

        table = blkid_partlist_get_table(list);
        if (table && str_equal(blkid_parttable_get_type(table), "gpt"))
                *ret_gpt = (uint64_t) blkid_parttable_get_offset(table);
        if (table && blkid_parttable_get_id(table)) {
                char value[FACT_SIZE];

                if (fact_normalize(MATCH_PT_UUID, blkid_parttable_get_id(table), value))
                        (void) str_copy(reply->pt_uuid, sizeof(reply->pt_uuid), value);
        }

        n = blkid_partlist_numof_partitions(list);
        if (n > JOB_ENTRIES_MAX) {
                reply->has_table = false;
                (void) snprintf(reply->message, sizeof(reply->message), "its table has %d entries, more than the %d"
                                " that are looked at", n, JOB_ENTRIES_MAX);
                return -E2BIG;
        }

        for (int i = 0; i < n; i++)
                read_entry(blkid_partlist_get_partition(list, i), &reply->entries[reply->n_entries++]);

        qsort(reply->entries, reply->n_entries, sizeof(reply->entries[0]), compare_entries);
        return 0;
}

static void read_value(blkid_probe pr, const char *name, MatchKey key, char ret[static FACT_SIZE]) {
        const char *value;

        if (blkid_probe_lookup_value(pr, name, &value, NULL) < 0 || !utf8_is_printable(value) ||
            !fact_normalize(key, value, ret))
                ret[0] = 0;
}

/**
 * identify_fs() - read what a superblock says
 * @fd: the device, open for reading; its position is not kept
 * @offset_bytes: where on it to begin; 0 as a rule
 * @size_bytes: how much of it is looked at; 0: to its end
 * @ret: written whole on success; all "" if there is no superblock that is known
 * @message: JOB_MESSAGE_SIZE bytes; written on failure
 *
 * Whatever libblkid calls a file system counts, as it does for udev: encrypted volumes and members of
 * arrays are among them.
 *
 * Return: 0, -EIO if the device cannot be read or has two superblocks that contradict each other, or -ENOMEM.
 */
int identify_fs(int fd, uint64_t offset_bytes, uint64_t size_bytes, Superblock *ret,
                char message[static JOB_MESSAGE_SIZE]) {
        __attribute__((cleanup(free_probe))) blkid_probe pr = blkid_new_probe();
        int r;

        if (!pr)
                return -ENOMEM;

        if (blkid_probe_set_device(pr, fd, (blkid_loff_t) offset_bytes, (blkid_loff_t) size_bytes) < 0) {
                (void) snprintf(message, JOB_MESSAGE_SIZE, "its size cannot be read");
                return -EIO;
        }

        blkid_probe_enable_partitions(pr, 0);
        blkid_probe_enable_superblocks(pr, 1);
        blkid_probe_set_superblocks_flags(pr, SUPERBLOCK_FLAGS);

        /* as in identify_table() */
        errno = 0;
        r = blkid_do_safeprobe(pr);
        if (r < 0) {
                (void) snprintf(message, JOB_MESSAGE_SIZE, "%s",
                                r == -2 ? "it has signatures of two file systems; wipefs shows them" :
                                errno ? strerror(errno) : "reading the superblock failed");
                return -EIO;
        }

        *ret = (Superblock) { 0 };
        if (r == 1)
                return 0;

        read_value(pr, "UUID", MATCH_FS_UUID, ret->uuid);
        read_value(pr, "LABEL", MATCH_FS_LABEL, ret->label);
        read_value(pr, "TYPE", MATCH_FS_TYPE, ret->type);
        return 0;
}

/* Looks for a superblock of those that libblkid counts among those of RAID. Returns as blkid_do_safeprobe(). */
static int probe_raid(blkid_probe pr, int fd) {
        if (!pr || blkid_probe_set_device(pr, fd, 0, 0) != 0)
                return -1;

        blkid_probe_enable_partitions(pr, 0);
        blkid_probe_enable_superblocks(pr, 1);
        if (blkid_probe_filter_superblocks_usage(pr, BLKID_FLTR_ONLYIN, BLKID_USAGE_RAID) < 0)
                return -1;

        return blkid_do_safeprobe(pr);
}

/**
 * identify_is_member() - whether a device is a part of an array
 * @fd: the device, open for reading; its position is not kept
 *
 * Return: true if it has a superblock that libblkid counts among those of RAID, whichever; or if it cannot be read, or
 * there is no memory.
 */
bool identify_is_member(int fd) {
        __attribute__((cleanup(free_probe))) blkid_probe pr = blkid_new_probe();

        return probe_raid(pr, fd) != 1;
}

/**
 * identify_is_left_alone() - whether a device is a member of a RAID array or of a multipath device
 * @fd: the device, open for reading; its position is not kept
 *
 * As udev's word on it has it left alone. Not so the physical volumes of LVM, which libblkid counts among them.
 *
 * Return: true also if it cannot be read, or there is no memory.
 */
bool identify_is_left_alone(int fd) {
        __attribute__((cleanup(free_probe))) blkid_probe pr = blkid_new_probe();
        const char *type;
        int r = probe_raid(pr, fd);

        if (r == 1)
                return false;
        if (r != 0 || blkid_probe_lookup_value(pr, "TYPE", &type, NULL) < 0)
                return true;

        return fnmatch("*_raid_member", type, 0) == 0 || str_equal(type, "mpath_member");
}
