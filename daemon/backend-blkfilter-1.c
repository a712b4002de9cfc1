/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "blkfilter-abi.h"

#include "daemon/backend.h"

_Static_assert(BLKFILTER1_ATTACH == 0xC020128C, "number of ATTACH");
_Static_assert(BLKFILTER1_DETACH == 0xC020128D, "number of DETACH");
_Static_assert(BLKFILTER1_CTL == 0xC030128E, "number of CTL");

static BackendResult call_name(int fd, unsigned long number, const char *filter) {
        struct blkfilter_abi_name arg = {};

        strncpy((char *) arg.name, filter, sizeof(arg.name) - 1);
        if (ioctl(fd, number, &arg) < 0)
                return (BackendResult) { JOB_FAILED, errno };

        return (BackendResult) { JOB_OK, 0 };
}

/*
 * ENOENT not registered, EALREADY on it already, EBUSY another filter is, ENODEV dead disk, else the
 * freeze's or the filter's own.
 */
static BackendResult attach(int fd, const char *filter) {
        BackendResult r = call_name(fd, BLKFILTER1_ATTACH, filter);

        switch (r.error) {
        case ENOENT:
                r.outcome = JOB_NOT_REGISTERED;
                break;
        case EALREADY:
                r.outcome = JOB_ALREADY;
                break;
        case EBUSY:
                r.outcome = JOB_CONFLICT;
                break;
        case ENODEV:
        case ENXIO:
                r.outcome = JOB_GONE;
                break;
        case ENOTTY:
                r.outcome = JOB_UNSUPPORTED;
                break;
        }

        return r;
}

/* ENOENT nothing is attached, EINVAL another filter is. */
static BackendResult detach(int fd, const char *filter) {
        BackendResult r = call_name(fd, BLKFILTER1_DETACH, filter);

        switch (r.error) {
        case ENOENT:
                r.outcome = JOB_NOT_ATTACHED;
                break;
        case EINVAL:
                r.outcome = JOB_CONFLICT;
                break;
        case ENODEV:
        case ENXIO:
                r.outcome = JOB_GONE;
                break;
        case ENOTTY:
                r.outcome = JOB_UNSUPPORTED;
                break;
        }

        return r;
}

/* ENOENT not attached, ENOTTY the filter takes no commands, else the filter's own. */
static BackendResult ctl(int fd, const char *filter, uint32_t cmd, void *payload, uint32_t payload_size) {
        struct blkfilter_abi_ctl arg = {
                .cmd = cmd,
                .optlen = payload_size,
                .opt = (uintptr_t) payload,
        };

        strncpy((char *) arg.name, filter, sizeof(arg.name) - 1);
        if (ioctl(fd, BLKFILTER1_CTL, &arg) >= 0)
                return (BackendResult) { JOB_OK, 0 };

        switch (errno) {
        case ENOENT:
                return (BackendResult) { JOB_NOT_ATTACHED, errno };
        case ENOTTY:
                return (BackendResult) { JOB_NO_COMMAND, errno };
        case ENODEV:
                return (BackendResult) { JOB_GONE, errno };
        default:
                return (BackendResult) { JOB_FAILED, errno };
        }
}

const Backend backend_blkfilter_1 = {
        .attach = attach,
        .detach = detach,
        .ctl = ctl,
        .ctl_request = BLKFILTER1_CTL,
};

/**
 * backend_get() - the calls of an interface
 * @interface: which one
 *
 * Return: static; NULL if the kernel has none or has not been asked.
 */
const Backend *backend_get(KernelInterface interface) {
        return interface == KERNEL_INTERFACE_BLKFILTER_1 ? &backend_blkfilter_1 : NULL;
}

/**
 * backend_probe() - find out which interface the kernel has
 * @fd: any whole disk, open for reading
 * @ret: written on JOB_OK
 * @ret_error: errno of an answer that proves nothing
 *
 * ATTACH of blkfilter-1 with an empty name, which no filter can have: changes nothing and freezes
 * nothing. Only ENOENT proves that the kernel knows the call; for an unknown one drivers answer
 * ENOTTY or EINVAL.
 *
 * Return: JOB_OK, or JOB_FAILED if the answer was neither.
 */
JobOutcome backend_probe(int fd, KernelInterface *ret, int *ret_error) {
        BackendResult r = call_name(fd, BLKFILTER1_ATTACH, "");

        *ret_error = r.error;

        switch (r.error) {
        case ENOENT:
                *ret = KERNEL_INTERFACE_BLKFILTER_1;
                return JOB_OK;
        case ENOTTY:
        case EINVAL:
                *ret = KERNEL_INTERFACE_NONE;
                return JOB_OK;
        default:
                return JOB_FAILED;
        }
}
