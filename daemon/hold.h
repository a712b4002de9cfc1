/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hold: the descriptors under which a device is proven and acted on. While a partition is open
 * the kernel refuses to drop it, so what is proven holds until the close; for the same reason it
 * is short. A whole device has no such protection: it is the same object for as long as it is open, but it
 * can be taken away, and its medium changed. Used in worker processes only.
 */

#include "daemon/job.h"

typedef struct Hold {
        int disk_fd;      /* the whole disk, with a shared lock; -EBADF if not open */
        int partition_fd; /* the partition; -EBADF if not open: the job is about the whole disk */
        int node_fd;      /* the kernel's BDEVFILTER_NODE; -EBADF if not open */
} Hold;

#define HOLD_INIT ((Hold) { -EBADF, -EBADF, -EBADF })
#define DEVICE_PATH_SIZE (sizeof("/dev/") + JOB_NODE_SIZE)

void hold_close(Hold *h);
JobOutcome hold_open_disk(Hold *h, const JobDevice *disk, JobReply *reply);
JobOutcome hold_open_partition(Hold *h, const JobDevice *partition, JobReply *reply);
int hold_open_bdevfilter(Hold *h);

int hold_fd(const Hold *h);

void device_path(const JobDevice *device, char ret[static DEVICE_PATH_SIZE]);
bool device_is_in_sysfs(const JobDevice *device, const JobDevice *disk);
int device_read_sysfs(const JobDevice *device, const char *attribute, char *ret, size_t size);
int device_read_sysfs_u64(const JobDevice *device, const char *attribute, uint64_t *ret);
uint64_t kernel_read_seqnum(void);
int device_open_filter(const JobDevice *device);
int filter_read(int fd, char ret[static FILTER_NAME_SIZE]);
int device_read_filter(const JobDevice *device, char ret[static FILTER_NAME_SIZE]);
