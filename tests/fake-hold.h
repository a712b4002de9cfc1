/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The devices as the worker meets them, made up: in place of hold.c and confine.c. A test says in "real" what is true,
 * and reads there what was done. What the ioctls come to is in fake-kernel.h. For one file of a program.
 */

#include <errno.h>
#include <string.h>

#include "daemon/confine.h"
#include "daemon/hold.h"
#include "daemon/text.h"
#include "tests/check.h"

#define OBJECT_OF_DISK 40
#define OBJECT_OF_PART 41
#define ATTRIBUTE_FD 9001 /* of the partition's; one less: of the disk's */
#define NODE_FD 9002

enum { DISK, PART, N_DEVICES };

/* A kernel, by what differs between those of the field. */
typedef struct World {
        const char *name;
        unsigned own;         /* what block devices take themselves: blkfilter-1, blkfilter-2; 0: nothing */
        bool attribute;       /* sysfs tells of the filter that was attached so */
        int ctl_other;        /* errno of CTL when another filter is on */
        int unknown;          /* errno of a call that a block device does not know */
        unsigned node;        /* bytes that the ATTACH of /dev/bdevfilter takes; 0: no such module */
        KernelInterface interface; /* that the daemon should find */
} World;

/* What is true. */
static struct {
        const World *world;
        int disk;                  /* memfd */
        int part;                  /* memfd: partition 1 as the kernel has it */
        bool locked, gone;         /* hold_open_*() finds it so */
        int node_error;            /* of opening the node, positive */
        int confine_error;         /* of confine_to_command() */
        bool confined;             /* to this: */
        int confined_fd, confined_attribute;
        unsigned long confined_request;
        unsigned n_opened;
        bool is_open[N_DEVICES];
        unsigned gone_after;       /* of so many looks into sysfs; 0 never */
        unsigned n_looks;
        uint64_t start, size;      /* of partition 1 in sysfs */
        uint64_t sector_bytes;     /* of the disk; 0: 512 */
        const char *dm_name, *dm_uuid; /* NULL: no such attribute */
        int attribute_error;       /* of reading "filter", positive */
        const char *attribute;     /* what stands there; NULL: what is true */
        const char *on[N_DEVICES]; /* the filter that block devices have taken themselves; "" none */
        const char *on_node[N_DEVICES]; /* that the module has put on them */
        int path_fails;            /* of the module's opening the path, positive */
        bool read_only;            /* sysfs calls the device so */
        int attach_error, ctl_error; /* of the filter, positive */
        uint8_t id[16];            /* that the filter tells */
        uint32_t id_size;          /* it tells in a reply of at least so many bytes */
        uint32_t kind;             /* JobKind of the job under way */
        unsigned n_calls, n_attached, n_detached, n_ctl;
        uint32_t options_size;     /* that came with the last attach */
        uint8_t options[JOB_OPTIONS_MAX];
        int fd;                    /* of the last call's device */
} real;

void hold_close(Hold *h) {
        *h = HOLD_INIT; /* the files stay open for the next job */
        memset(real.is_open, 0, sizeof(real.is_open));
}

int confine_to_command(int fd, unsigned long request, int memfd, int attribute_fd) {
        (void) memfd;
        if (real.confine_error)
                return real.confine_error;
        real.confined = true;
        real.confined_fd = fd;
        real.confined_request = request;
        real.confined_attribute = attribute_fd;
        return 0;
}

int hold_fd(const Hold *h) {
        return h->partition_fd >= 0 ? h->partition_fd : h->disk_fd;
}

static JobOutcome open_fake(int which, int *ret) {
        CHECK(!real.confined);
        real.n_opened++;
        if (real.gone)
                return JOB_GONE;
        *ret = which == DISK ? real.disk : real.part;
        real.is_open[which] = !real.locked;
        return real.locked ? JOB_LOCKED : JOB_OK;
}

JobOutcome hold_open_disk(Hold *h, const JobDevice *disk, JobReply *r) {
        (void) disk;
        (void) r;
        return open_fake(DISK, &h->disk_fd);
}

JobOutcome hold_open_partition(Hold *h, const JobDevice *partition, JobReply *r) {
        (void) r;
        CHECK(partition->name[0] && h->disk_fd >= 0);
        return open_fake(PART, &h->partition_fd);
}

int hold_open_bdevfilter(Hold *h) {
        CHECK(h->disk_fd >= 0);
        if (!real.world->node)
                return -ENOENT;
        if (real.node_error)
                return -real.node_error;
        h->node_fd = NODE_FD;
        return 0;
}

void device_path(const JobDevice *device, char ret[static DEVICE_PATH_SIZE]) {
        (void) snprintf(ret, DEVICE_PATH_SIZE, "/dev/%s", device->name);
}

static bool is_same_object(const JobDevice *device) {
        return device->object == 0 || device->object == OBJECT_OF_DISK || device->object == OBJECT_OF_PART;
}

bool device_is_in_sysfs(const JobDevice *device, const JobDevice *disk) {
        (void) disk;
        CHECK(!real.confined);
        real.n_looks++;
        return is_same_object(device) && (real.gone_after == 0 || real.n_looks < real.gone_after);
}

int device_read_sysfs(const JobDevice *device, const char *attribute, char *ret, size_t size) {
        const char *value = str_equal(attribute, "dm/name") ? real.dm_name :
                            str_equal(attribute, "dm/uuid") ? real.dm_uuid : NULL;

        CHECK(str_equal(device->name, "disk"));
        if (!value)
                return -ENOENT;
        return str_copy(ret, size, value) ? 0 : -EINVAL;
}

uint64_t kernel_read_seqnum(void) {
        return real.n_opened > 0 ? 4711 : 0; /* not before the disk is open: an open waits */
}

int device_read_sysfs_u64(const JobDevice *device, const char *attribute, uint64_t *ret) {
        if (str_equal(attribute, "ro")) {
                CHECK(!real.confined);
                *ret = real.read_only;
                return 0;
        }

        if (str_equal(attribute, "queue/logical_block_size")) {
                CHECK(str_equal(device->name, "disk"));
                *ret = real.sector_bytes ?: 512;
                return 0;
        }

        CHECK(str_equal(device->name, "disk1"));
        *ret = str_equal(attribute, "start") ? real.start : real.size;
        return 0;
}

int device_open_filter(const JobDevice *device) {
        CHECK(!real.confined);
        if (!real.world->attribute)
                return -ENOENT;
        return str_equal(device->name, "disk1") ? ATTRIBUTE_FD : ATTRIBUTE_FD - 1;
}

int filter_read(int fd, char ret[static FILTER_NAME_SIZE]) {
        CHECK(fd == ATTRIBUTE_FD || fd == ATTRIBUTE_FD - 1);
        CHECK(!real.confined || real.confined_attribute == fd);
        ret[0] = 0;
        if (real.attribute_error)
                return -real.attribute_error;
        CHECK(str_copy(ret, FILTER_NAME_SIZE, real.attribute ?: real.on[fd == ATTRIBUTE_FD ? PART : DISK]));
        return 0;
}

int device_read_filter(const JobDevice *device, char ret[static FILTER_NAME_SIZE]) {
        int fd = device_open_filter(device);

        ret[0] = 0;
        return fd < 0 ? fd : filter_read(fd, ret);
}
