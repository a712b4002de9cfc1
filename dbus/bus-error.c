/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "blkfilter-names.h"
#include "dbus/bus-error.h"

/* Each name with the sentence for a caller to whom the manager had nothing more exact to say. */
static const struct {
        const char *name;
        const char *message;
} errors[_REQUEST_ERROR_MAX] = {
        [REQUEST_E_INVALID] = {
                SD_BUS_ERROR_INVALID_ARGS,
                "an argument makes no sense; the interface description says what is expected",
        },
        [REQUEST_E_NO_SUCH_DEVICE] = {
                BLKFILTER_ERROR_PREFIX "NoSuchDevice",
                "no block device answers to that name; lsblk shows those that are there",
        },
        [REQUEST_E_NO_IDENTITY] = {
                BLKFILTER_ERROR_PREFIX "NoIdentity",
                "the device has nothing to recognise it by; give it a partition table with UUIDs",
        },
        [REQUEST_E_AMBIGUOUS] = {
                BLKFILTER_ERROR_PREFIX "Ambiguous",
                "several devices have that identity; remove one, or give it another UUID",
        },
        [REQUEST_E_NOT_REGISTERED] = {
                BLKFILTER_ERROR_PREFIX "NotRegistered",
                "the kernel has no filter of that name; load its module first",
        },
        [REQUEST_E_CONFLICT] = {
                BLKFILTER_ERROR_PREFIX "Conflict",
                "another filter is on the device; whoever put it there has to take it off",
        },
        [REQUEST_E_NOT_ATTACHED] = {
                BLKFILTER_ERROR_PREFIX "NotAttached",
                "that filter is not on the device; attach it first",
        },
        [REQUEST_E_ATTACHED] = {
                BLKFILTER_ERROR_PREFIX "Attached",
                "the filter is on a device, or may be; detach it first",
        },
        [REQUEST_E_WANTED] = {
                BLKFILTER_ERROR_PREFIX "Wanted",
                "a policy wants it; remove the policy's file, and reload",
        },
        [REQUEST_E_NO_ATTACHMENT] = {
                BLKFILTER_ERROR_PREFIX "NoAttachment",
                "no attachment knows the device; ListAttachments, or blkfilterctl list, has those there are",
        },
        [REQUEST_E_NO_COMMAND] = {
                BLKFILTER_ERROR_PREFIX "NoCommand",
                "the filter takes no commands; its documentation says what it offers",
        },
        [REQUEST_E_RAW_COMMAND] = {
                BLKFILTER_ERROR_PREFIX "RawCommand",
                "blkfilterd does not know this command, and cannot check it; RawCommands=yes in /etc/blkfilterd.conf"
                " lets such commands through",
        },
        [REQUEST_E_UNSUPPORTED] = {
                BLKFILTER_ERROR_PREFIX "Unsupported",
                "this kernel has no block device filters; boot one that has",
        },
        [REQUEST_E_LOCKED] = {
                BLKFILTER_ERROR_PREFIX "Locked",
                "another program holds the lock of the disk; try again when it is done",
        },
        [REQUEST_E_STUCK] = {
                BLKFILTER_ERROR_PREFIX "Stuck",
                "the device does not answer; the kernel's log says more",
        },
        [REQUEST_E_TIMED_OUT] = {
                BLKFILTER_ERROR_PREFIX "TimedOut",
                "no answer came in time and the outcome is unknown; look at the attachment's state",
        },
        [REQUEST_E_STALE] = {
                BLKFILTER_ERROR_PREFIX "Stale",
                "the device changed since it was named; nothing was done, ask again",
        },
        [REQUEST_E_LIMIT] = {
                SD_BUS_ERROR_LIMITS_EXCEEDED,
                "too many requests are under way; try again when some are answered",
        },
        [REQUEST_E_FAILED] = {
                BLKFILTER_ERROR_PREFIX "Failed",
                "the request failed; the daemon's journal says more",
        },
};

/**
 * bus_error_set_request() - turn an error of the manager into one of D-Bus
 * @error: unset; the caller frees it
 * @e: any value but REQUEST_OK; one outside of the enum is told as Failed
 * @message: the sentence; NULL or "": the usual one of @e. Copied
 *
 * Return: a negative errno for a method handler to return, never 0 or positive.
 */
int bus_error_set_request(sd_bus_error *error, RequestError e, const char *message) {
        if (e <= REQUEST_OK || e >= _REQUEST_ERROR_MAX)
                e = REQUEST_E_FAILED;

        return sd_bus_error_set(error, errors[e].name, message && message[0] ? message : errors[e].message);
}
