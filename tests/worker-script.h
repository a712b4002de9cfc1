/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The worker's jobs from end to end, on a disk that is a file: a GPT, written by hand, with swap areas on it. The
 * kernel is fake-kernel.h's. For one file of a program.
 */

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/worker.h"
#include "tests/fake-kernel.h"

#define UUID_X "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define UUID_Y "b921b045-1df0-41c3-af44-4c6f280d3fae"
#define UUID_FS "11111111-2222-3333-4444-555555555555"
#define UUID_FS_2 "66666666-2222-3333-4444-555555555555"
#define UUID_TABLE "99999999-2222-3333-4444-555555555555"
#define TYPE_LINUX "0fc63daf-8483-4772-8e79-3d69d8477de4"

#define N_PARTS 3
#define PART_SECTORS 2048
#define DISK_SECTORS (PART_SECTORS * (N_PARTS + 2))

static JobReply reply; /* of the last job */

typedef struct Part {
        const char *uuid, *label; /* NULL: no such entry */
} Part;

static void put(uint8_t *p, uint64_t v, size_t n) {
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t) (v >> (8 * i));
}

/* As GPT has it: the first three groups are little-endian. */
static void put_uuid(uint8_t *p, const char *s, bool mixed) {
        static const uint8_t order[] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

        for (size_t i = 0; i < 16; i++, s += 2) {
                char hex[3];

                s += *s == '-';
                hex[0] = s[0];
                hex[1] = s[1];
                hex[2] = 0;
                p[mixed ? order[i] : i] = (uint8_t) strtoul(hex, NULL, 16);
        }
}

static uint32_t crc32_of(const uint8_t *p, size_t n) {
        uint32_t crc = UINT32_MAX;

        while (n-- > 0) {
                crc ^= *p++;
                for (int k = 0; k < 8; k++)
                        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
        }

        return ~crc;
}

static void put_header(uint8_t *p, uint64_t at, uint64_t other, uint64_t table, uint32_t table_crc) {
        memcpy(p, "EFI PART", 8);
        put(p + 8, 0x10000, 4);
        put(p + 12, 92, 4);
        put(p + 24, at, 8);
        put(p + 32, other, 8);
        put(p + 40, 34, 8);
        put(p + 48, DISK_SECTORS - 34, 8);
        put_uuid(p + 56, UUID_TABLE, true);
        put(p + 72, table, 8);
        put(p + 80, 128, 4);
        put(p + 84, 128, 4);
        put(p + 88, table_crc, 4);
        put(p + 16, crc32_of(p, 92), 4);
}

static uint64_t start_of(unsigned i) {
        return (uint64_t) PART_SECTORS * (i + 1);
}

/* A swap area: the plainest superblock that has a UUID and a label. */
static void put_swap(uint8_t *p, const char *uuid, const char *label) {
        memcpy(p + 4086, "SWAPSPACE2", 10);
        put(p + 1024, 1, 4);
        put(p + 1028, 200, 4);
        put_uuid(p + 1036, uuid, false);
        memcpy(p + 1052, label, strlen(label));
}

static uint8_t *map_of(int fd, size_t size) {
        uint8_t *p;

        CHECK(ftruncate(fd, (off_t) size) == 0);
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(p != MAP_FAILED);
        return p;
}

/* The kernel of kernel/, as it is by default. */
static const World blkfilter_1 = {
        "blkfilter-1", 1, true, ENOENT, EINVAL, 0, KERNEL_INTERFACE_BLKFILTER_1,
};

/* A world with such a disk and nothing attached; fs[i] is on partition i, NULL: nothing. */
static void make(const Part parts[N_PARTS], const char *const fs[N_PARTS]) {
        uint8_t *p, *q;

        if (real.disk > 0) {
                close(real.disk);
                close(real.part);
        }

        memset(&real, 0, sizeof(real));
        real.disk = memfd_create("disk", MFD_CLOEXEC);
        real.part = memfd_create("part", MFD_CLOEXEC);
        CHECK(real.disk > 0 && real.part > 0);
        real.start = start_of(0);
        real.size = PART_SECTORS;
        real.world = &blkfilter_1;
        for (int i = 0; i < N_DEVICES; i++)
                real.on[i] = real.on_node[i] = "";
        real.id_size = 40;
        memset(real.id, 0xab, sizeof(real.id));

        p = map_of(real.disk, DISK_SECTORS * 512);
        q = map_of(real.part, PART_SECTORS * 512);

        if (parts) {
                uint8_t *table = p + 1024;

                for (unsigned i = 0; i < N_PARTS; i++) {
                        uint8_t *e = table + 128 * i;

                        if (!parts[i].uuid)
                                continue;

                        put_uuid(e, TYPE_LINUX, true);
                        put_uuid(e + 16, parts[i].uuid, true);
                        put(e + 32, start_of(i), 8);
                        put(e + 40, start_of(i) + PART_SECTORS - 1, 8);
                        for (size_t k = 0; parts[i].label[k]; k++)
                                e[56 + 2 * k] = (uint8_t) parts[i].label[k];
                }

                memcpy(p + (DISK_SECTORS - 33) * 512, table, 128 * 128);
                put_header(p + 512, 1, DISK_SECTORS - 1, 2, crc32_of(table, 128 * 128));
                put_header(p + (DISK_SECTORS - 1) * 512, DISK_SECTORS - 1, 1, DISK_SECTORS - 33,
                           crc32_of(table, 128 * 128));

                /* the protective MBR */
                p[446 + 4] = 0xee;
                put(p + 446 + 8, 1, 4);
                put(p + 446 + 12, DISK_SECTORS - 1, 4);
                p[510] = 0x55;
                p[511] = 0xaa;
        }

        for (unsigned i = 0; fs && i < N_PARTS; i++)
                if (fs[i])
                        put_swap(p + start_of(i) * 512, fs[i], "work");
        if (fs && fs[0])
                put_swap(q, fs[0], "work");

        CHECK(munmap(p, DISK_SECTORS * 512) == 0 && munmap(q, PART_SECTORS * 512) == 0);
}

static const Part two[N_PARTS] = { { UUID_X, "data" }, { UUID_Y, "other" } };

static JobRequest request_of(JobKind kind, bool partition) {
        JobRequest r = {
                .protocol = JOB_PROTOCOL,
                .kind = kind,
                .id = 7,
                .interface = KERNEL_INTERFACE_BLKFILTER_1,
                .disk = { .name = "disk", .object = OBJECT_OF_DISK },
                .filter = "bfcount",
        };

        if (partition) {
                r.partition = (JobDevice) { .name = "disk1", .object = OBJECT_OF_PART };
                r.partno = 1;
        }

        return r;
}

static void expect(JobRequest *r, MatchKey key, const char *value) {
        r->expect.keys |= UINT32_C(1) << key;
        CHECK(str_copy(r->expect.values[key], FACT_SIZE, value));
}

static JobOutcome run(const JobRequest *r) {
        real.kind = r->kind;
        worker_do(r, -EBADF, &reply);
        CHECK(reply.id == r->id);
        CHECK(job_reply_is_sane(&reply, offsetof(JobReply, entries) + reply.n_entries * sizeof(Entry)));
        return (JobOutcome) reply.outcome;
}

/* Carries out an attachment by one key: the filter is on where that is right, and only there. */
__attribute__((unused)) static JobOutcome attach(bool partition, MatchKey key, const char *value) {
        JobRequest r = request_of(JOB_ATTACH, partition);
        JobOutcome outcome;

        expect(&r, key, value);
        outcome = run(&r);
        CHECK((real.n_attached > 0) == (outcome == JOB_OK));
        return outcome;
}
