/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blkfilter-abi.h"

#include "daemon/hold.h"
#include "daemon/text.h"

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, __u64) /* Linux 5.15 */
#endif

/**
 * hold_close() - close all descriptors, and so give the lock back
 * @h: the hold; HOLD_INIT afterwards
 */
void hold_close(Hold *h) {
        if (h->node_fd >= 0)
                close(h->node_fd);
        if (h->partition_fd >= 0)
                close(h->partition_fd);
        if (h->disk_fd >= 0)
                close(h->disk_fd);

        *h = HOLD_INIT;
}

static JobOutcome fail(JobReply *reply, JobOutcome outcome, int error, const char *what) {
        reply->error = error;
        (void) snprintf(reply->message, sizeof(reply->message), "%s%s%s", what, error ? ": " : "",
                        error ? strerror(error) : "");
        return outcome;
}

/**
 * device_path() - where devtmpfs has the node of a device
 * @device: the device
 * @ret: its path, which is no link
 */
void device_path(const JobDevice *device, char ret[static DEVICE_PATH_SIZE]) {
        (void) snprintf(ret, DEVICE_PATH_SIZE, "/dev/%s", device->name);

        /* see is_name_in_sysfs() */
        for (char *p = ret; *p; p++)
                if (*p == '!')
                        *p = '/';
}

/* Opens a node of devtmpfs and checks that it is the device that was meant. */
static JobOutcome open_node(const JobDevice *device, int *ret_fd, JobReply *reply) {
        char path[DEVICE_PATH_SIZE];
        struct stat st;
        uint64_t diskseq;
        int fd;

        device_path(device, path);

        /* Never for writing: udev answers the close of a writable descriptor with a change event. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
        if (fd < 0) {
                if (errno == ENOENT || errno == ENXIO || errno == ENODEV || errno == ENOMEDIUM)
                        return fail(reply, JOB_GONE, errno, path);
                return fail(reply, JOB_FAILED, errno, path);
        }

        *ret_fd = fd;

        if (fstat(fd, &st) < 0)
                return fail(reply, JOB_FAILED, errno, path);

        if (!S_ISBLK(st.st_mode) || major(st.st_rdev) != device->major || minor(st.st_rdev) != device->minor)
                return fail(reply, JOB_GONE, 0, "another device has its name now");

        /* Drivers without a sequence number answer ENOTTY or EINVAL; the events had none either. */
        if (device->diskseq && ioctl(fd, BLKGETDISKSEQ, &diskseq) == 0 && diskseq != device->diskseq)
                return fail(reply, JOB_GONE, 0, "another medium is in it now");

        return JOB_OK;
}

/**
 * hold_fd() - the descriptor of the device that the job is about
 * @h: a hold with that device open
 *
 * Return: borrowed from @h: the partition's, or the disk's if no partition is open.
 */
int hold_fd(const Hold *h) {
        return h->partition_fd >= 0 ? h->partition_fd : h->disk_fd;
}

/*
 * Whether a device is the kernel's object that was meant; if it is open it stays what it is. A re-read makes another
 * object of the same name and number, on which nothing is attached yet.
 */
static bool is_same_object(const JobDevice *device) {
        char path[64];
        struct stat st;

        if (!device->object)
                return true;

        (void) snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32, device->major, device->minor);
        return stat(path, &st) >= 0 && st.st_ino == device->object;
}

/**
 * hold_open_disk() - open a whole disk and take a shared lock on it
 * @h: a hold with nothing open; to be closed by the caller, on failure too
 * @disk: the disk that is meant
 * @reply: error and message are written on failure
 *
 * The lock is systemd's block device locking protocol: a partitioner that holds LOCK_EX is not
 * disturbed. An open may run a rescan that is pending, and wait for one that is running.
 *
 * Return: JOB_OK, JOB_LOCKED, JOB_GONE (not there, or another one by now), or JOB_FAILED.
 */
JobOutcome hold_open_disk(Hold *h, const JobDevice *disk, JobReply *reply) {
        JobOutcome outcome = open_node(disk, &h->disk_fd, reply);

        if (outcome != JOB_OK)
                return outcome;

        if (!is_same_object(disk))
                return fail(reply, JOB_GONE, 0, "another device has its name and number now");

        if (flock(h->disk_fd, LOCK_SH | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? fail(reply, JOB_LOCKED, 0, "another program holds its lock") :
                                              fail(reply, JOB_FAILED, errno, "locking it");

        return JOB_OK;
}

/**
 * hold_open_partition() - open a partition and so keep it in place
 * @h: a hold whose disk is open
 * @partition: the partition that is meant
 * @reply: error and message are written on failure
 *
 * Return: JOB_OK, JOB_GONE (not there, or another one by now), or JOB_FAILED.
 */
JobOutcome hold_open_partition(Hold *h, const JobDevice *partition, JobReply *reply) {
        JobOutcome outcome = open_node(partition, &h->partition_fd, reply);

        if (outcome == JOB_OK && !is_same_object(partition))
                return fail(reply, JOB_GONE, 0, "its disk was read again since");

        return outcome;
}

static int read_line(int fd, char *ret, size_t size) {
        ssize_t n = pread(fd, ret, size - 1, 0);

        if (n < 0)
                return -errno;

        ret[n] = 0;
        ret[strcspn(ret, "\n")] = 0;
        return 0;
}

static int read_file(const char *path, char *ret, size_t size) {
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        r = read_line(fd, ret, size);
        close(fd);
        return r;
}

/**
 * hold_open_bdevfilter() - open the node that the module bdevfilter takes its calls on
 * @h: a hold; the node is closed with the rest
 *
 * What is called so and is not the module's is not opened.
 *
 * Return: 0; -ENOENT: there is no such module in the kernel now; -ENODEV: there is, but its node is missing, or
 * another one has its name; or a negative errno of opening it.
 */
int hold_open_bdevfilter(Hold *h) {
        char buf[32];
        unsigned ma, mi;
        struct stat st;
        int r;

        r = read_file("/sys/class/misc/bdevfilter/dev", buf, sizeof(buf));
        if (r < 0)
                return r;

        if (sscanf(buf, "%u:%u", &ma, &mi) != 2)
                return -ENODEV;

        h->node_fd = open(BDEVFILTER_NODE, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
        if (h->node_fd < 0)
                return errno == ENOENT ? -ENODEV : -errno;

        if (fstat(h->node_fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(ma, mi)) {
                close(h->node_fd);
                h->node_fd = -EBADF;
                return -ENODEV;
        }

        return 0;
}

/**
 * device_read_sysfs() - a line that the kernel tells of a device
 * @device: the device, by its number
 * @attribute: file name in its folder of sysfs
 * @ret: written only on success: NUL-terminated, without the newline
 * @size: bytes at @ret, at least 2; what does not fit is cut off
 *
 * Return: 0, or a negative errno of open or read.
 */
int device_read_sysfs(const JobDevice *device, const char *attribute, char *ret, size_t size) {
        char path[128];

        (void) snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32 "/%s", device->major, device->minor,
                        attribute);
        return read_file(path, ret, size);
}

/**
 * device_read_sysfs_u64() - a number that the kernel tells of a device
 * @device: the device, by its number
 * @attribute: file name in its folder of sysfs
 * @ret: written only on success
 *
 * Return: 0, -EINVAL if it is no number, or a negative errno of open or read.
 */
int device_read_sysfs_u64(const JobDevice *device, const char *attribute, uint64_t *ret) {
        char buf[32], *end;
        unsigned long long v;
        int r;

        r = device_read_sysfs(device, attribute, buf, sizeof(buf));
        if (r < 0)
                return r;

        errno = 0;
        v = strtoull(buf, &end, 10);
        if (errno || end == buf || *end)
                return -EINVAL;

        *ret = v;
        return 0;
}

/**
 * kernel_read_seqnum() - the number of the newest event that the kernel has told, of any device
 *
 * Return: as SEQNUM of events; 0 if it cannot be read.
 */
uint64_t kernel_read_seqnum(void) {
        char buf[32];

        return read_file("/sys/kernel/uevent_seqnum", buf, sizeof(buf)) < 0 ? 0 : strtoull(buf, NULL, 10);
}

/* In sysfs "!" stands for the "/" of names like cciss/c0d0. */
static bool is_name_in_sysfs(const char *folder, const char *name) {
        for (; *folder && *name; folder++, name++)
                if (*folder != *name && !(strchr("!/", *folder) && strchr("!/", *name)))
                        return false;

        return *folder == *name;
}

/**
 * device_is_in_sysfs() - whether a device is the one that the system has under its name and number
 * @device: the device
 * @disk: its whole disk; the same for a whole disk
 *
 * A descriptor outlives its device, and an ATTACH on it can succeed and mean nothing.
 */
bool device_is_in_sysfs(const JobDevice *device, const JobDevice *disk) {
        char path[64], target[512], *base;
        uint64_t diskseq;
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32, device->major, device->minor);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return false;

        target[n] = 0;
        base = strrchr(target, '/');
        if (!base || !is_name_in_sysfs(base + 1, device->name))
                return false;

        if (disk->diskseq && device_read_sysfs_u64(disk, "diskseq", &diskseq) >= 0 && diskseq != disk->diskseq)
                return false;

        return is_same_object(device) && is_same_object(disk);
}

/**
 * device_open_filter() - the attribute of sysfs that tells which filter is on a device
 * @device: the device
 *
 * Opening it does nothing to the device.
 *
 * Return: a descriptor for filter_read(), owned by the caller; or a negative errno: -ENOENT if there is no such
 * attribute, or no such device.
 */
int device_open_filter(const JobDevice *device) {
        char path[64];
        int fd;

        (void) snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32 "/filter", device->major,
                        device->minor);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

/**
 * filter_read() - the name of the filter that is on a device
 * @fd: of device_open_filter(); borrowed
 * @ret: "" if there is none, or the kernel does not tell
 *
 * Some kernels freeze the device's queue for this: it is read after an event, never in a loop. One pread(2), for a
 * process that may do little else.
 *
 * Return: 0, or a negative errno: -EINVAL if what stands there cannot be a filter's name; of pread: -ENODEV if the
 * device is gone.
 */
int filter_read(int fd, char ret[static FILTER_NAME_SIZE]) {
        char buf[64];
        int r;

        ret[0] = 0;
        r = read_line(fd, buf, sizeof(buf));
        if (r < 0)
                return r;

        if (buf[0] && !filter_name_is_valid(buf))
                return -EINVAL;

        return str_copy(ret, FILTER_NAME_SIZE, buf) ? 0 : -EINVAL;
}

/**
 * device_read_filter() - the name of the filter that is on a device
 * @device: the device
 * @ret: "" if there is none, or the kernel does not tell
 *
 * Return: as device_open_filter() and filter_read().
 */
int device_read_filter(const JobDevice *device, char ret[static FILTER_NAME_SIZE]) {
        int fd, r;

        ret[0] = 0;
        fd = device_open_filter(device);
        if (fd < 0)
                return fd;

        r = filter_read(fd, ret);
        close(fd);
        return r;
}
