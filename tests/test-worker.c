/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The worker's jobs from end to end, on disks that are files: what is proven, what is read, what is
 * told. The kernel is made up: hold.c's view of sysfs and the filters' calls are below.
 */

#undef NDEBUG

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/backend.h"
#include "daemon/confine.h"
#include "daemon/hold.h"
#include "daemon/text.h"
#include "daemon/worker.h"
#include "tests/check.h"

#define UUID_X "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define UUID_Y "b921b045-1df0-41c3-af44-4c6f280d3fae"
#define UUID_FS "11111111-2222-3333-4444-555555555555"
#define UUID_FS_2 "66666666-2222-3333-4444-555555555555"
#define UUID_TABLE "99999999-2222-3333-4444-555555555555"
#define TYPE_LINUX "0fc63daf-8483-4772-8e79-3d69d8477de4"

#define N_PARTS 3
#define PART_SECTORS 2048
#define DISK_SECTORS (PART_SECTORS * (N_PARTS + 2))
#define OBJECT_OF_DISK 40
#define OBJECT_OF_PART 41

static JobReply reply;

/* What is true. */
static struct {
        int disk;                  /* memfd */
        int part;                  /* memfd: partition 1 as the kernel has it */
        bool locked, gone;         /* hold_open_*() finds it so */
        int confine_error;         /* of confine_to_command() */
        unsigned n_opened;
        unsigned gone_after;       /* of so many looks into sysfs; 0 never */
        unsigned n_looks;
        uint64_t start, size;      /* of partition 1 in sysfs */
        const char *dm_name, *dm_uuid; /* NULL: no such attribute */
        const char *attribute;     /* "filter"; NULL: the kernel has none */
        int attribute_error;
        const char *on;            /* the filter that is on, by the ioctls; NULL none */
        int attach_error;
        int ctl_error;
        uint8_t id[16];            /* that the filter tells */
        uint32_t id_size;          /* it tells in a reply of at least so many bytes */
        unsigned n_attached, n_detached, n_ctl;
        int fd;                    /* of the last call */
} real;

/* The kernel: what hold.c and the backends see of it. */

void hold_close(Hold *h) {
        *h = HOLD_INIT; /* the files stay open for the next job */
}

int confine_to_command(int device_fd, unsigned long request) {
        (void) device_fd;
        (void) request;
        return real.confine_error;
}

int hold_fd(const Hold *h) {
        return h->partition_fd >= 0 ? h->partition_fd : h->disk_fd;
}

static JobOutcome open_fake(int fd, int *ret) {
        real.n_opened++;
        if (real.gone)
                return JOB_GONE;
        *ret = fd;
        return real.locked ? JOB_LOCKED : JOB_OK;
}

JobOutcome hold_open_disk(Hold *h, const JobDevice *disk, JobReply *r) {
        (void) disk;
        (void) r;
        return open_fake(real.disk, &h->disk_fd);
}

JobOutcome hold_open_partition(Hold *h, const JobDevice *partition, JobReply *r) {
        (void) r;
        CHECK(partition->name[0] && h->disk_fd >= 0);
        return open_fake(real.part, &h->partition_fd);
}

bool device_is_same_object(const JobDevice *device) {
        return device->object == 0 || device->object == OBJECT_OF_DISK || device->object == OBJECT_OF_PART;
}

bool device_is_in_sysfs(const JobDevice *device, const JobDevice *disk) {
        (void) disk;
        real.n_looks++;
        return device_is_same_object(device) && (real.gone_after == 0 || real.n_looks < real.gone_after);
}

int device_read_sysfs(const JobDevice *device, const char *attribute, char *ret, size_t size) {
        const char *value = str_equal(attribute, "dm/name") ? real.dm_name :
                            str_equal(attribute, "dm/uuid") ? real.dm_uuid : NULL;

        CHECK(str_equal(device->name, "disk"));
        if (!value)
                return -ENOENT;
        return str_copy(ret, size, value) ? 0 : -EINVAL;
}

int device_read_sysfs_u64(const JobDevice *device, const char *attribute, uint64_t *ret) {
        CHECK(str_equal(device->name, "disk1"));
        *ret = str_equal(attribute, "start") ? real.start : real.size;
        return 0;
}

int device_read_filter(const JobDevice *device, char ret[static FILTER_NAME_SIZE]) {
        (void) device;

        ret[0] = 0;
        if (real.attribute_error)
                return -real.attribute_error;
        if (!real.attribute)
                return -ENOENT;
        CHECK(str_copy(ret, FILTER_NAME_SIZE, real.attribute));
        return 0;
}

static BackendResult fake_attach(int fd, const char *filter) {
        real.n_attached++;
        real.fd = fd;
        if (real.attach_error == EBUSY)
                return (BackendResult) { JOB_CONFLICT, EBUSY };
        if (real.on && str_equal(real.on, filter))
                return (BackendResult) { JOB_ALREADY, EALREADY };
        real.on = filter;
        return (BackendResult) { JOB_OK, 0 };
}

static BackendResult fake_detach(int fd, const char *filter) {
        (void) filter;
        real.n_detached++;
        real.fd = fd;
        real.on = NULL;
        return (BackendResult) { JOB_OK, 0 };
}

static BackendResult fake_ctl(int fd, const char *filter, uint32_t cmd, void *payload, uint32_t size) {
        real.n_ctl++;
        real.fd = fd;
        if (!real.on || !str_equal(real.on, filter))
                return (BackendResult) { JOB_NOT_ATTACHED, ENOENT };
        if (real.ctl_error || cmd != 0 || size < real.id_size)
                return (BackendResult) { JOB_FAILED, real.ctl_error ?: EINVAL };
        memset(payload, 0xff, size);
        memcpy((uint8_t *) payload + 16, real.id, sizeof(real.id));
        return (BackendResult) { JOB_OK, 0 };
}

const Backend *backend_get(KernelInterface interface) {
        static const Backend fake = { fake_attach, fake_detach, fake_ctl, 0 };

        return interface == KERNEL_INTERFACE_BLKFILTER_1 ? &fake : NULL;
}

JobOutcome backend_probe(int fd, KernelInterface *ret, int *ret_error) {
        CHECK(fd == real.disk);
        *ret = KERNEL_INTERFACE_BLKFILTER_1;
        *ret_error = 0;
        return JOB_OK;
}

/* The disk: a GPT, written by hand. */

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
        real.attribute = "";
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

/* Jobs. */

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
        worker_do(r, -EBADF, &reply);
        CHECK(reply.id == r->id);
        CHECK(job_reply_is_sane(&reply, offsetof(JobReply, entries) + reply.n_entries * sizeof(Entry)));
        return (JobOutcome) reply.outcome;
}

static JobOutcome attach(bool partition, MatchKey key, const char *value) {
        JobRequest r = request_of(JOB_ATTACH, partition);
        JobOutcome outcome;

        expect(&r, key, value);
        outcome = run(&r);
        CHECK((real.n_attached > 0) == (outcome == JOB_OK));
        return outcome;
}

static void test_scan(void) {
        JobRequest r = request_of(JOB_SCAN, false);

        make(two, NULL);
        CHECK(run(&r) == JOB_OK);
        CHECK(reply.has_table && reply.n_entries == 2);
        CHECK_STR(reply.pt_uuid, UUID_TABLE);
        CHECK_STR(reply.entries[0].uuid, UUID_X);
        CHECK_STR(reply.entries[1].label, "other");
        CHECK_STR(reply.entries[0].type, TYPE_LINUX);
        CHECK(reply.entries[1].start_sectors == start_of(1) && reply.entries[1].size_sectors == PART_SECTORS);

        /* a whole device that is no disk */
        make(NULL, NULL);
        CHECK(run(&r) == JOB_OK);
        CHECK(reply.has_table && reply.n_entries == 0 && !reply.pt_uuid[0]);

        real.locked = true;
        CHECK(run(&r) == JOB_LOCKED);
}

static void test_keys(void) {
        static const struct {
                MatchKey key;
                const char *right, *wrong;
        } cases[] = {
                { MATCH_PART_UUID, UUID_X, UUID_Y },     { MATCH_PART_LABEL, "data", "other" },
                { MATCH_PART_NUMBER, "1", "2" },         { MATCH_FS_UUID, UUID_FS, UUID_FS_2 },
                { MATCH_FS_LABEL, "work", "play" },      { MATCH_FS_TYPE, "swap", "ext4" },
                { MATCH_PT_UUID, UUID_TABLE, UUID_X },   { MATCH_DM_NAME, "vg-lv", "vg-lw" },
                { MATCH_DM_UUID, "LVM-abc", "LVM-abd" }, { MATCH_PART_LABEL, "data", "" },
        };
        static const char *const fs[N_PARTS] = { UUID_FS };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (int n = 0; n < 2; n++) {
                        const char *value = n == 0 ? cases[i].right : cases[i].wrong;
                        char part[64];

                        make(two, fs);
                        real.dm_name = "vg-lv";
                        real.dm_uuid = "LVM-abc";
                        CHECK(attach(true, cases[i].key, value) == (n == 0 ? JOB_OK : JOB_MISMATCH));
                        if (n == 0) {
                                CHECK(real.fd == real.part && !reply.message[0]);
                                continue;
                        }

                        /* the key and both values */
                        (void) snprintf(part, sizeof(part), "its %s is ", match_key_to_string(cases[i].key));
                        CHECK(strstr(reply.message, part));
                        CHECK(strstr(reply.message, cases[i].right));
                        CHECK(strstr(reply.message, value[0] ? value : "none"));
                }
}

static void test_absent(void) {
        make(two, NULL);
        CHECK(attach(true, MATCH_FS_UUID, UUID_FS) == JOB_MISMATCH);
        CHECK_STR(reply.message, "its FSUUID is none, expected is \"" UUID_FS "\"");
        CHECK(attach(true, MATCH_DM_NAME, "vg-lv") == JOB_MISMATCH);

        /* what a pattern excludes is a value too: that of none */
        CHECK(attach(true, MATCH_FS_LABEL, "") == JOB_OK);
}

/* Whatever somebody has called a partition: a line, and valid, and both values in it. */
static void test_message(void) {
        JobRequest r = request_of(JOB_ATTACH, true);
        char label[FACT_SIZE];

        make(two, NULL);
        expect(&r, MATCH_PART_LABEL, "a\nb\x1b[31m\xff\\");
        CHECK(run(&r) == JOB_MISMATCH);
        CHECK_STR(reply.message, "its PartLabel is \"data\", expected is \"a\\x0ab\\x1b[31m\\xff\\x5c\"");

        for (size_t n = 1; n < sizeof(label); n++)
                for (size_t odd = 0; odd < 3; odd++) {
                        static const char *const units[] = { "x", "\xc3\xa9", "\x01" };

                        (void) str_copy(label, sizeof(label), units[odd]);
                        while (strlen(label) + strlen(units[odd]) < n)
                                strcat(label, units[odd]);

                        r = request_of(JOB_ATTACH, true);
                        expect(&r, MATCH_FS_LABEL, label);
                        expect(&r, MATCH_PART_LABEL, "data");
                        CHECK(run(&r) == JOB_MISMATCH);
                        CHECK(reply.message[strlen(reply.message) - 1] == '"');
                }
}

static void test_place(void) {
        JobRequest r = request_of(JOB_ATTACH, true);

        make(two, NULL);
        expect(&r, MATCH_PART_UUID, UUID_X);
        r.expect.place = true;
        r.expect.start_sectors = start_of(0);
        r.expect.size_sectors = PART_SECTORS;
        CHECK(run(&r) == JOB_OK);

        r.expect.size_sectors--;
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 1);
        r.expect.size_sectors++;
        r.expect.start_sectors++;
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 1);
        CHECK(strstr(reply.message, "2048") && strstr(reply.message, "2049"));

        /* the kernel's partition is not where the entry is */
        make(two, NULL);
        real.start++;
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_MISMATCH);
        make(two, NULL);
        real.size--;
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_MISMATCH);

        /* a partition that the table does not have */
        r = request_of(JOB_ATTACH, true);
        r.partno = 3;
        expect(&r, MATCH_PART_UUID, UUID_X);
        make(two, NULL);
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 0);

        /* no table at all: not known, not "none of it" */
        make(NULL, NULL);
        CHECK(attach(true, MATCH_FS_LABEL, "") == JOB_MISMATCH);
}

static void test_duplicate(void) {
        static const Part labels[N_PARTS] = { { UUID_X, "data" }, { UUID_FS, "other" }, { UUID_Y, "data" } };
        static const Part uuids[N_PARTS] = { { UUID_X, "data" }, { UUID_X, "other" } };
        static const char *const same[N_PARTS] = { UUID_FS, NULL, UUID_FS };
        static const char *const different[N_PARTS] = { UUID_FS, NULL, UUID_FS_2 };
        JobRequest r;

        make(labels, NULL);
        CHECK(attach(true, MATCH_PART_LABEL, "data") == JOB_DUPLICATE);
        CHECK(reply.n_entries == 3);
        CHECK(attach(true, MATCH_PART_TYPE, TYPE_LINUX) == JOB_DUPLICATE);
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_OK);

        make(uuids, NULL);
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_DUPLICATE);

        /* a second key tells them apart */
        r = request_of(JOB_ATTACH, true);
        expect(&r, MATCH_PART_UUID, UUID_X);
        expect(&r, MATCH_PART_LABEL, "data");
        CHECK(run(&r) == JOB_OK);

        make(uuids, NULL);
        r = request_of(JOB_ATTACH, true);
        expect(&r, MATCH_PART_UUID, UUID_X);
        expect(&r, MATCH_PART_NUMBER, "1");
        CHECK(run(&r) == JOB_OK);

        /* so does the file system, where it is asked for */
        r = request_of(JOB_ATTACH, true);
        expect(&r, MATCH_PART_LABEL, "data");
        expect(&r, MATCH_FS_UUID, UUID_FS);
        make(labels, same);
        CHECK(run(&r) == JOB_DUPLICATE && real.n_attached == 0);
        make(labels, different);
        CHECK(run(&r) == JOB_OK);
        make(labels, same);
        CHECK(attach(true, MATCH_FS_UUID, UUID_FS) == JOB_OK);
}

static void test_whole(void) {
        static const Part none[N_PARTS] = { { NULL, NULL } };
        JobRequest r;
        uint8_t *p;

        make(two, NULL);
        CHECK(attach(false, MATCH_PT_UUID, UUID_TABLE) == JOB_OK);
        CHECK(real.fd == real.disk && real.n_opened == 1 && reply.n_entries == 2);

        make(none, NULL);
        CHECK(attach(false, MATCH_PT_UUID, UUID_X) == JOB_MISMATCH);

        /* no table, a file system on it, a name */
        make(NULL, NULL);
        p = map_of(real.disk, DISK_SECTORS * 512);
        put_swap(p, UUID_FS, "work");
        CHECK(munmap(p, DISK_SECTORS * 512) == 0);
        real.dm_name = "vg-lv";
        r = request_of(JOB_ATTACH, false);
        r.expect.place = true; /* it has none: not looked at */
        expect(&r, MATCH_FS_UUID, UUID_FS);
        expect(&r, MATCH_DM_NAME, "vg-lv");
        CHECK(run(&r) == JOB_OK && reply.has_table && reply.n_entries == 0);
        expect(&r, MATCH_FS_UUID, UUID_FS_2);
        CHECK(run(&r) == JOB_MISMATCH);

        /* known by what only the kernel says: then the object counts */
        make(NULL, NULL);
        r = request_of(JOB_ATTACH, false);
        CHECK(run(&r) == JOB_OK);
        make(NULL, NULL);
        r.disk.object = 0;
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 0);
}

/* A disk that cannot be read: not "without". */
static void test_unreadable(void) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        JobRequest r = request_of(JOB_SCAN, false);

        make(two, NULL);
        CHECK(null >= 0 && dup3(null, real.disk, O_CLOEXEC) >= 0 && dup3(null, real.part, O_CLOEXEC) >= 0);
        close(null);
        CHECK(run(&r) == JOB_UNREADABLE && reply.error == EIO && !reply.has_table && reply.message[0]);
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_UNREADABLE);
        CHECK(attach(false, MATCH_PT_UUID, UUID_TABLE) == JOB_UNREADABLE);
        CHECK(attach(false, MATCH_FS_UUID, UUID_FS) == JOB_UNREADABLE);

        /* the kernel's own word needs no table */
        real.dm_name = "vg-lv";
        CHECK(attach(false, MATCH_DM_NAME, "vg-lv") == JOB_OK);
        CHECK(!reply.has_table && reply.error == 0 && !reply.message[0]);
}

static void test_gone(void) {
        make(two, NULL);
        real.gone_after = 1;
        CHECK(run(&(JobRequest) { .kind = JOB_ATTACH }) == JOB_UNSUPPORTED);

        JobRequest r = request_of(JOB_ATTACH, true);

        expect(&r, MATCH_PART_UUID, UUID_X);
        CHECK(run(&r) == JOB_GONE);
        CHECK(real.n_attached == 1 && real.n_detached == 1 && real.fd == real.part);

        /* what was on it before this job is not taken off by it */
        make(two, NULL);
        real.gone_after = 1;
        real.on = "bfcount";
        CHECK(run(&r) == JOB_GONE);
        CHECK(real.n_detached == 0);

        real.gone = true;
        CHECK(run(&r) == JOB_GONE);
}

static void test_others(void) {
        JobRequest r = request_of(JOB_ATTACH, true);

        make(two, NULL);
        expect(&r, MATCH_PART_UUID, UUID_X);
        real.attach_error = EBUSY;
        real.attribute = "bftrack";
        CHECK(run(&r) == JOB_CONFLICT);
        CHECK_STR(reply.other_filter, "bftrack");

        r = request_of(JOB_DETACH, false);
        CHECK(run(&r) == JOB_OK && real.fd == real.disk);
        r = request_of(JOB_DETACH, true);
        CHECK(run(&r) == JOB_OK && real.fd == real.part);
}

static void test_generation(void) {
        JobRequest r = request_of(JOB_ATTACH, true);

        make(two, NULL);
        expect(&r, MATCH_PART_UUID, UUID_X);
        CHECK(run(&r) == JOB_OK && real.n_ctl == 0 && !reply.generation[0]);

        for (int i = 0; i < 2; i++) {
                make(two, NULL);
                CHECK(str_copy(r.filter, sizeof(r.filter), i == 0 ? "bftrack" : "blksnap"));
                real.id_size = i == 0 ? 48 : 40;
                real.id[15] = 0x07;
                CHECK(run(&r) == JOB_OK && real.n_ctl == 1 && real.fd == real.part);
                CHECK_STR(reply.generation, "ababababababababababababababab07");
                CHECK(run(&r) == JOB_ALREADY);
                CHECK_STR(reply.generation, "ababababababababababababababab07");
        }

        /* that it does not tell is no failure */
        real.ctl_error = EIO;
        CHECK(run(&r) == JOB_ALREADY && !reply.generation[0]);
        real.ctl_error = 0;
        memset(real.id, 0, sizeof(real.id));
        CHECK(run(&r) == JOB_ALREADY && !reply.generation[0]);
}

static void test_check(void) {
        for (int whole = 0; whole < 2; whole++) {
                JobRequest r = request_of(JOB_CHECK, !whole);

                make(two, NULL);
                CHECK(run(&r) == JOB_NOT_ATTACHED);
                real.attribute = "bfcount";
                CHECK(run(&r) == JOB_OK);
                real.attribute = "bftrack";
                CHECK(run(&r) == JOB_CONFLICT);
                CHECK_STR(reply.other_filter, "bftrack");
                real.attribute_error = EINVAL; /* a name that is none */
                CHECK(run(&r) == JOB_CONFLICT && !reply.other_filter[0]);
                real.attribute_error = EIO;
                CHECK(run(&r) == JOB_FAILED && reply.error == EIO && reply.message[0]);
                real.attribute_error = 0;
                real.attribute = NULL;
                CHECK(run(&r) == JOB_UNSUPPORTED);

                /* not there before, not there afterwards */
                real.attribute = "bfcount";
                real.n_looks = 0;
                real.gone_after = 1;
                CHECK(run(&r) == JOB_GONE);
                real.n_looks = 0;
                real.gone_after = 2;
                CHECK(run(&r) == JOB_GONE);
                CHECK(real.n_opened == 0 && real.n_ctl == 0);
        }
}

static void test_check_generation(void) {
        JobRequest r = request_of(JOB_CHECK, true);

        make(two, NULL);
        CHECK(str_copy(r.filter, sizeof(r.filter), "blksnap"));
        CHECK(run(&r) == JOB_NOT_ATTACHED && real.n_opened == 0);

        real.on = real.attribute = "blksnap";
        CHECK(run(&r) == JOB_OK && real.n_opened == 2);
        CHECK_STR(reply.generation, "abababababababababababababababab");

        real.locked = true;
        CHECK(run(&r) == JOB_LOCKED);
        real.locked = false;

        real.ctl_error = EIO;
        CHECK(run(&r) == JOB_OK && !reply.generation[0] && reply.error == 0);
        real.ctl_error = 0;

        /* it went between the two questions */
        real.on = NULL;
        CHECK(run(&r) == JOB_NOT_ATTACHED && !reply.generation[0]);

        /* a kernel whose sysfs does not tell */
        real.attribute = NULL;
        CHECK(run(&r) == JOB_NOT_ATTACHED);
        real.on = "blksnap";
        CHECK(run(&r) == JOB_OK && reply.generation[0]);
        real.ctl_error = EIO;
        CHECK(run(&r) == JOB_UNSUPPORTED);
}

int main(void) {
        test_scan();
        test_keys();
        test_absent();
        test_message();
        test_place();
        test_duplicate();
        test_whole();
        test_unreadable();
        test_gone();
        test_others();
        test_generation();
        test_check();
        test_check_generation();
        return EXIT_SUCCESS;
}
