/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <unistd.h>

#include "daemon/hold.h"
#include "daemon/identify.h"
#include "daemon/known-table.h"

/* Of a GPT's header, in bytes from its beginning; UEFI Specification 2.10, table 5.5. All little-endian. */
#define GPT_ENTRIES_LBA 72 /* 8 bytes */
#define GPT_N_ENTRIES 80   /* 4 bytes */
#define GPT_ENTRY_SIZE 84  /* 4 bytes */
#define GPT_HEADER_SIZE 92

/* A GPT, with the header and the entries that a disk has as a rule, ends before: 4096 bytes a sector, 128 entries. */
#define HEAD_SIZE 32768

/* What a table was read from. Where all of it is the same, libblkid would find the same table. */
typedef struct Source {
        JobDevice disk;
        off_t size_bytes;
        uint64_t sector_bytes;
        uint8_t head[HEAD_SIZE];
} Source;

static struct {
        bool valid;
        bool current;  /* it is what the job that is going on has found */
        uint64_t told; /* id of the job whose reply told it last; 0: none has */
        Source source;
        char pt_uuid[PART_UUID_SIZE];
        uint32_t n_entries;
        Entry entries[JOB_ENTRIES_MAX];
} known;

static bool read_source(int disk_fd, const JobDevice *disk, Source *ret) {
        ret->disk = *disk;
        ret->size_bytes = lseek(disk_fd, 0, SEEK_END);
        return device_read_sysfs_u64(disk, "queue/logical_block_size", &ret->sector_bytes) >= 0 &&
               ret->size_bytes >= (off_t) sizeof(ret->head) &&
               pread(disk_fd, ret->head, sizeof(ret->head), 0) == (ssize_t) sizeof(ret->head);
}

static bool source_equal(const Source *a, const Source *b) {
        return memcmp(&a->disk, &b->disk, sizeof(a->disk)) == 0 && a->size_bytes == b->size_bytes &&
               a->sector_bytes == b->sector_bytes && memcmp(a->head, b->head, sizeof(a->head)) == 0;
}

static uint64_t number_at(const uint8_t *p, unsigned n_bytes) {
        uint64_t v = 0;

        while (n_bytes-- > 0)
                v = v << 8 | p[n_bytes];

        return v;
}

/*
 * Whether all entries of the GPT that begins at that byte are in the bytes that are compared. Its checksum of them does
 * not do: other entries can be made that have the same one.
 */
static bool is_whole(const Source *s, uint64_t header) {
        const uint8_t *h = s->head + header;
        uint64_t lba, size, room = sizeof(s->head);

        if (header > room - GPT_HEADER_SIZE || s->sector_bytes == 0)
                return false;

        lba = number_at(h + GPT_ENTRIES_LBA, 8);
        size = number_at(h + GPT_N_ENTRIES, 4) * number_at(h + GPT_ENTRY_SIZE, 4);
        return lba <= room / s->sector_bytes && size <= room - lba * s->sector_bytes;
}

/**
 * known_table_read() - read the table of a disk, or find that it is the one that was read last
 * @disk_fd: the whole disk, open for reading; its position is not kept
 * @disk: the disk
 * @reply: as of identify_table()
 *
 * Not parsed again is only what stands whole in the bytes that are compared: a GPT, from its first header to its last
 * entry.
 *
 * Return: as of identify_table().
 */
int known_table_read(int disk_fd, const JobDevice *disk, JobReply *reply) {
        static Source source; /* large, and used by one at a time */
        bool is_read = read_source(disk_fd, disk, &source);
        uint64_t gpt;
        int r;

        known.current = known.valid && is_read && source_equal(&known.source, &source);
        if (known.current) {
                memcpy(reply->pt_uuid, known.pt_uuid, sizeof(reply->pt_uuid));
                memcpy(reply->entries, known.entries, known.n_entries * sizeof(Entry));
                reply->n_entries = known.n_entries;
                reply->has_table = true;
                return 0;
        }

        r = identify_table(disk_fd, reply, &gpt);
        known.valid = r >= 0 && is_read && gpt && is_whole(&source, gpt);
        if (!known.valid)
                return r;

        /* it may have been written to between the two reads: then the bytes are not those of this table */
        known.source = source;
        known.valid = read_source(disk_fd, disk, &source) && source_equal(&known.source, &source);
        known.current = known.valid;
        known.told = 0;
        memcpy(known.pt_uuid, reply->pt_uuid, sizeof(known.pt_uuid));
        memcpy(known.entries, reply->entries, reply->n_entries * sizeof(Entry));
        known.n_entries = reply->n_entries;
        return 0;
}

/* Of the table, what the job was about. */
static void keep_entry(uint32_t partno, JobReply *reply) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (reply->entries[i].partno == partno)
                        reply->entries[n++] = reply->entries[i];

        reply->n_entries = n;
        reply->has_table = false;
}

/**
 * known_table_tell() - leave out of a reply the table that the daemon has
 * @request: the job: known_table says which that is
 * @reply: its reply, complete. Of a filter that is on, only the entry that was proven stays, and has_table is false
 */
void known_table_tell(const JobRequest *request, JobReply *reply) {
        if (!known.current || !reply->has_table)
                return;

        if (request->kind == JOB_ATTACH && (reply->outcome == JOB_OK || reply->outcome == JOB_ALREADY) &&
            request->known_table && request->known_table == known.told)
                keep_entry(request->partno, reply);
        else
                known.told = reply->id;
}
