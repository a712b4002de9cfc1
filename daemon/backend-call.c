/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the backends share: the call itself, and what the errors mean that all interfaces have. */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "blkfilter-abi.h"

#include "daemon/backend.h"

/**
 * backend_set_name() - put a filter's name into an argument
 * @name: BLKFILTER_NAME_SIZE bytes, all zero
 * @filter: the name; what does not fit is cut off
 */
void backend_set_name(uint8_t *name, const char *filter) {
        memcpy(name, filter, strnlen(filter, BLKFILTER_NAME_SIZE - 1));
}

/**
 * backend_call() - make an ioctl
 * @fd: where
 * @number: of the ioctl
 * @arg: its argument
 *
 * Blocks for as long as the device likes.
 *
 * Return: 0, or a positive errno.
 */
int backend_call(int fd, unsigned long number, void *arg) {
        return ioctl(fd, number, arg) < 0 ? errno : 0;
}

/**
 * backend_attach_result() - what ATTACH has answered
 * @error: positive errno; 0: it is attached
 *
 * ENOENT not registered, EALREADY on it already, EBUSY another filter is, ENODEV dead disk, else the freeze's or the
 * filter's own.
 */
BackendResult backend_attach_result(int error) {
        switch (error) {
        case 0:
                return (BackendResult) { JOB_OK, 0 };
        case ENOENT:
                return (BackendResult) { JOB_NOT_REGISTERED, error };
        case EALREADY:
                return (BackendResult) { JOB_ALREADY, error };
        case EBUSY:
                return (BackendResult) { JOB_CONFLICT, error };
        case ENODEV:
        case ENXIO:
                return (BackendResult) { JOB_GONE, error };
        case ENOTTY:
                return (BackendResult) { JOB_UNSUPPORTED, error };
        default:
                return (BackendResult) { JOB_FAILED, error };
        }
}

/**
 * backend_detach_result() - what DETACH has answered
 * @error: positive errno; 0: it is detached
 *
 * ENOENT nothing is attached, EINVAL another filter is, ENODEV dead disk.
 */
BackendResult backend_detach_result(int error) {
        switch (error) {
        case 0:
                return (BackendResult) { JOB_OK, 0 };
        case ENOENT:
                return (BackendResult) { JOB_NOT_ATTACHED, error };
        case EINVAL:
                return (BackendResult) { JOB_CONFLICT, error };
        case ENODEV:
        case ENXIO:
                return (BackendResult) { JOB_GONE, error };
        case ENOTTY:
                return (BackendResult) { JOB_UNSUPPORTED, error };
        default:
                return (BackendResult) { JOB_FAILED, error };
        }
}

/**
 * backend_ctl_result() - what CTL has answered
 * @error: positive errno; 0: the filter has done it
 *
 * ENOENT not attached, ENOTTY the filter takes no commands, ENODEV dead disk, else the filter's own; EINVAL is that
 * too, or says that another filter is attached, depending on the kernel.
 */
BackendResult backend_ctl_result(int error) {
        switch (error) {
        case 0:
                return (BackendResult) { JOB_OK, 0 };
        case ENOENT:
                return (BackendResult) { JOB_NOT_ATTACHED, error };
        case ENOTTY:
                return (BackendResult) { JOB_NO_COMMAND, error };
        case ENODEV:
                return (BackendResult) { JOB_GONE, error };
        default:
                return (BackendResult) { JOB_FAILED, error };
        }
}
