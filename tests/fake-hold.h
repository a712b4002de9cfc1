/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel as the worker meets it, made up: in place of hold.c, confine.c and the backends. A test says in "real"
 * what is true, and reads there what was asked of the kernel. For one file of a program.
 */

#include <errno.h>
#include <string.h>

#include "daemon/backend.h"
#include "daemon/confine.h"
#include "daemon/hold.h"
#include "daemon/text.h"
#include "tests/check.h"

#define OBJECT_OF_DISK 40
#define OBJECT_OF_PART 41

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

void hold_close(Hold *h) {
        *h = HOLD_INIT; /* the files stay open for the next job */
}

int confine_to_command(int device_fd, unsigned long request, int memfd) {
        (void) memfd;
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

uint64_t kernel_read_seqnum(void) {
        return real.n_opened > 0 ? 4711 : 0; /* not before the disk is open: an open waits */
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
