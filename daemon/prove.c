/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/identify.h"
#include "daemon/known-table.h"
#include "daemon/prove.h"
#include "daemon/text.h"

#define KEY(key) (UINT32_C(1) << (key))
#define KEYS_OF_ENTRY (KEY(MATCH_PART_UUID) | KEY(MATCH_PART_LABEL) | KEY(MATCH_PART_TYPE))
#define KEYS_OF_FS (KEY(MATCH_FS_UUID) | KEY(MATCH_FS_LABEL) | KEY(MATCH_FS_TYPE))

#define SHOWN_SIZE 88 /* of a value in a message: two and the words around them fit */

/* What was read of a device, and the facts that point to it. */
typedef struct Found {
        Facts facts;
        Superblock superblock;
        char dm_name[FACT_SIZE], dm_uuid[FACT_SIZE];
} Found;

/* A value as it can stand in a sentence: whoever writes disks writes no journals. */
static void show(const char *value, char ret[static SHOWN_SIZE]) {
        size_t n = 0;

        if (!value || !value[0]) {
                (void) str_copy(ret, SHOWN_SIZE, "none");
                return;
        }

        ret[n++] = '"';
        while (*value) {
                size_t length = utf8_char_length(value);
                bool odd = length == 0 || (unsigned char) *value < 0x20 || *value == 0x7f || *value == '\\';

                /* the dots, the quote, the NUL */
                if (n + (odd ? 4 : length) + 5 > SHOWN_SIZE) {
                        memcpy(ret + n, "...", 3);
                        n += 3;
                        break;
                }

                if (odd) {
                        (void) snprintf(ret + n, 5, "\\x%02x", (unsigned char) *value++);
                        n += 4;
                } else {
                        memcpy(ret + n, value, length);
                        n += length;
                        value += length;
                }
        }

        ret[n++] = '"';
        ret[n] = 0;
}

static JobOutcome mismatch(JobReply *reply, const char *why) {
        (void) str_copy(reply->message, sizeof(reply->message), why);
        return JOB_MISMATCH;
}

static JobOutcome mismatch_key(JobReply *reply, MatchKey key, const char *expected, const char *found) {
        char a[SHOWN_SIZE], b[SHOWN_SIZE];

        show(found, a);
        show(expected, b);
        (void) snprintf(reply->message, sizeof(reply->message), "its %s is %s, expected is %s",
                        match_key_to_string(key), a, b);
        return JOB_MISMATCH;
}

/**
 * prove_read_table() - read the table of the disk that is held
 * @request: the job: which disk that is
 * @h: a hold whose disk is open
 * @reply: table, its pt_uuid and as_of are written on success, error and message on failure
 *
 * Return: JOB_OK, or JOB_UNREADABLE.
 */
JobOutcome prove_read_table(const JobRequest *request, const Hold *h, JobReply *reply) {
        uint64_t as_of = kernel_read_seqnum(); /* before: what is told later may be of a later table */
        int r = known_table_read(h->disk_fd, &request->disk, reply);

        reply->as_of = as_of;
        if (r < 0) {
                reply->error = -r;
                return JOB_UNREADABLE;
        }

        return JOB_OK;
}

static void set_fact(Found *f, MatchKey key, const char *value) {
        f->facts.values[key] = value[0] ? value : NULL;
}

/* What the kernel says of a device-mapper device; others have none of it. */
static void read_dm(const JobDevice *disk, Found *f) {
        char value[FACT_SIZE];

        if (device_read_sysfs(disk, "dm/name", value, sizeof(value)) >= 0 &&
            fact_normalize(MATCH_DM_NAME, value, f->dm_name))
                set_fact(f, MATCH_DM_NAME, f->dm_name);

        if (device_read_sysfs(disk, "dm/uuid", value, sizeof(value)) >= 0 &&
            fact_normalize(MATCH_DM_UUID, value, f->dm_uuid))
                set_fact(f, MATCH_DM_UUID, f->dm_uuid);
}

static int read_fs(int fd, uint64_t offset_bytes, uint64_t size_bytes, Found *f,
                   char message[static JOB_MESSAGE_SIZE]) {
        int r = identify_fs(fd, offset_bytes, size_bytes, &f->superblock, message);

        if (r < 0)
                return r;

        set_fact(f, MATCH_FS_UUID, f->superblock.uuid);
        set_fact(f, MATCH_FS_LABEL, f->superblock.label);
        set_fact(f, MATCH_FS_TYPE, f->superblock.type);
        return 0;
}

/*
 * Whether another entry of the table is as well what is expected. Of a file system on it only the disk's
 * own view is to be had; if it cannot be read it may be the expected one.
 */
static bool is_duplicate(const JobRequest *request, const Hold *h, const Entry *e, const Found *found) {
        const Expect *expect = &request->expect;
        char message[JOB_MESSAGE_SIZE]; /* unused */
        MatchKey key;
        Found other;

        memset(&other, 0, sizeof(other));
        other.facts = found->facts; /* of the disk; of the file system, so that the rest is compared first */
        facts_set_entry(&other.facts, e);

        if (!expect_facts(expect, &other.facts, &key))
                return false;

        if (!(expect->keys & KEYS_OF_FS))
                return true;

        if (e->start_sectors == 0 || e->size_sectors == 0 ||
            read_fs(h->disk_fd, e->start_sectors * 512, e->size_sectors * 512, &other, message) < 0)
                return true;

        return expect_facts(expect, &other.facts, &key);
}

/* The entry that the partition that is open has in the table, and that it lies where the entry says. */
static JobOutcome find_entry(const JobRequest *request, JobReply *reply, const Entry **ret) {
        const Entry *entry = NULL;
        uint64_t start, size;

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (reply->entries[i].partno == request->partno)
                        entry = &reply->entries[i];

        if (!entry)
                return mismatch(reply, "the table has no entry of that number");

        if (device_read_sysfs_u64(&request->partition, "start", &start) < 0 ||
            device_read_sysfs_u64(&request->partition, "size", &size) < 0)
                return JOB_GONE;

        if (start != entry->start_sectors || size != entry->size_sectors)
                return mismatch(reply, "the kernel's partition begins or ends elsewhere than the entry says");

        *ret = entry;
        return JOB_OK;
}

static JobOutcome check_place(const Expect *expect, const Entry *e, JobReply *reply) {
        if (!expect->place || (e->start_sectors == expect->start_sectors && e->size_sectors == expect->size_sectors))
                return JOB_OK;

        (void) snprintf(reply->message, sizeof(reply->message), "it begins at sector %" PRIu64 " and has %" PRIu64
                        " of them; when it was attached last it was at %" PRIu64 " and had %" PRIu64, e->start_sectors,
                        e->size_sectors, expect->start_sectors, expect->size_sectors);
        return JOB_MISMATCH;
}

/**
 * prove() - whether the device that is open is the one that was meant
 * @request: the job: expect says what must be found
 * @h: a hold with the device open
 * @reply: table is written if it was read; error and message if it is not the device, or not known
 *
 * Of a partition: the table on the disk has an entry of its number that is as expected, no other
 * entry of the table is, and the kernel's partition begins and ends where the entry says. Of either: what
 * else is expected is found on the device itself (the file system) or said by the kernel (the device-mapper).
 * What is not expected is not looked at: a superblock is read only for one of its keys.
 *
 * Return: JOB_OK, JOB_MISMATCH, JOB_DUPLICATE, JOB_UNREADABLE (what is expected cannot be read, or what is
 * there contradicts itself), or JOB_GONE.
 */
JobOutcome prove(const JobRequest *request, const Hold *h, JobReply *reply) {
        const Expect *expect = &request->expect;
        bool is_partition = h->partition_fd >= 0;
        const Entry *entry = NULL;
        JobOutcome outcome;
        MatchKey key;
        Found found;

        memset(&found, 0, sizeof(found));

        /* It is known by what only the kernel and udev say of it, its name or a WWN: then it must be their object. */
        if ((!expect->keys || expect->bound) && !(is_partition ? &request->partition : &request->disk)->object)
                return mismatch(reply, "it cannot be told from another device that had its name");

        outcome = prove_read_table(request, h, reply);
        if (outcome != JOB_OK) {
                /* A whole device need not have a table that makes sense, unless it is known by it. */
                if (is_partition || expect->keys & KEY(MATCH_PT_UUID))
                        return outcome;

                reply->error = 0;
                reply->message[0] = 0;
        }

        if (reply->has_table)
                set_fact(&found, MATCH_PT_UUID, reply->pt_uuid);

        if (is_partition) {
                outcome = find_entry(request, reply, &entry);
                if (outcome != JOB_OK)
                        return outcome;

                facts_set_entry(&found.facts, entry);
        }

        read_dm(&request->disk, &found);

        if (expect->keys & KEYS_OF_FS) {
                int r = read_fs(hold_fd(h), 0, 0, &found, reply->message);

                if (r < 0) {
                        reply->error = -r;
                        return JOB_UNREADABLE;
                }
        }

        if (!expect_facts(expect, &found.facts, &key))
                return mismatch_key(reply, key, expect->values[key], found.facts.values[key]);

        if (!entry)
                return JOB_OK;

        outcome = check_place(expect, entry, reply);
        if (outcome != JOB_OK || !(expect->keys & KEYS_OF_ENTRY))
                return outcome;

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (&reply->entries[i] != entry && is_duplicate(request, h, &reply->entries[i], &found))
                        return JOB_DUPLICATE;

        return JOB_OK;
}
