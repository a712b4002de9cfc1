/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which interface the kernel has, by questions that change nothing in any of them. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkfilter-abi.h"

#include "daemon/backend-interfaces.h"
#include "daemon/hold.h"

/**
 * backend_get() - the calls of an interface
 * @interface: which one
 *
 * Return: static; NULL if the kernel has none or has not been asked.
 */
const Backend *backend_get(KernelInterface interface) {
        switch (interface) {
        case KERNEL_INTERFACE_BLKFILTER_1:
                return &backend_blkfilter_1;
        case KERNEL_INTERFACE_BLKFILTER_2:
                return &backend_blkfilter_2;
        case KERNEL_INTERFACE_BDEVFILTER_40:
                return &backend_bdevfilter_40;
        case KERNEL_INTERFACE_BDEVFILTER_56:
                return &backend_bdevfilter_56;
        default:
                return NULL;
        }
}

static void found(JobReply *reply, KernelInterface interface, bool proven) {
        reply->interface = interface;
        reply->proven = proven;
        reply->error = 0;
}

static void unclear(JobReply *reply, const char *who, const char *path, int error) {
        reply->error = error;
        (void) snprintf(reply->message, sizeof(reply->message), "%s answered \"%s\"%s%s, which proves nothing", who,
                        strerror(error), path ? " for " : "", path ?: "");
}

/*
 * The module's node: true if that settles it. Which of the sizes it takes is asked of each, so that one that takes
 * neither is not spoken to.
 */
static bool detect_bdevfilter(const BackendTarget *t, JobReply *reply) {
        int error = backend_bdevfilter_56.probe(t);

        if (error == ENOENT) {
                found(reply, KERNEL_INTERFACE_BDEVFILTER_56, true);
                (void) snprintf(reply->message, sizeof(reply->message), BDEVFILTER_NODE
                                " is there, and its ATTACH takes 56 bytes, with options");
                return true;
        }

        if (error == ENOTTY)
                error = backend_bdevfilter_40.probe(t);

        if (error == ENOENT) {
                found(reply, KERNEL_INTERFACE_BDEVFILTER_40, true);
                (void) snprintf(reply->message, sizeof(reply->message), BDEVFILTER_NODE
                                " is there, and its ATTACH takes 40 bytes, without options");
                return true;
        }

        if (error == ENOTTY)
                return false;

        unclear(reply, BDEVFILTER_NODE, t->path, error);
        return true;
}

/* No call is known, as far as this device's driver says. */
static void detect_none(const BackendTarget *t, const JobDevice *device, int error, JobReply *reply) {
        const char *node = t->node_fd >= 0 ? BDEVFILTER_NODE " takes ATTACH neither of 56 nor of 40 bytes" :
                                             "there is no " BDEVFILTER_NODE;
        char filter[FILTER_NAME_SIZE];
        int r;

        if (error == ENOTTY) {
                found(reply, KERNEL_INTERFACE_NONE, true);
                (void) snprintf(reply->message, sizeof(reply->message), "%s, and %s knows no call for filters", node,
                                t->path);
                return;
        }

        /* blkfilter-2 with a filter on this very device answers so, too */
        r = device_read_filter(device, filter);
        if (r == -EINVAL || (r >= 0 && filter[0])) { /* with a name that is none, it is still one */
                reply->error = error;
                (void) snprintf(reply->message, sizeof(reply->message),
                                "%s has %s%s on it, so that its answer proves nothing", t->path,
                                filter[0] ? "filter " : "a filter", filter);
                return;
        }

        found(reply, KERNEL_INTERFACE_NONE, false);
        (void) snprintf(reply->message, sizeof(reply->message),
                        "%s, and %s answered \"%s\", as some drivers do to every call that they do not know", node,
                        t->path, strerror(error));
}

/**
 * backend_detect() - find out which interface the kernel has
 * @t: any device, open for reading; node_fd is open if the module bdevfilter is there
 * @node_error: why it is not open; 0 or -ENOENT: there is no such module
 * @device: the same device
 * @reply: interface, proven, error and message are written, as job.h says
 *
 * Three questions, in this order, each with an empty name, which no filter can have: bdevfilter's ATTACH, on its node
 * only; blkfilter-1's ATTACH; blkfilter-2's DETACH. None changes anything, or freezes a file system, on a kernel of
 * another interface or of none. The number that is CTL in one interface and ATTACH in another is not among them.
 *
 * Only ENOENT proves that a kernel knows a call: for one that it does not, drivers answer ENOTTY or EINVAL. ENOTTY
 * proves that it does not: none of the three is answered so by who knows it.
 *
 * Return: JOB_OK; JOB_FAILED: this device has not answered, but failed, as one that is broken does.
 */
JobOutcome backend_detect(const BackendTarget *t, int node_error, const JobDevice *device, JobReply *reply) {
        int error;

        reply->interface = KERNEL_INTERFACE_UNKNOWN;
        reply->proven = false;

        if (t->node_fd < 0 && node_error < 0 && node_error != -ENOENT) {
                reply->error = -node_error;
                (void) snprintf(reply->message, sizeof(reply->message),
                                "the module bdevfilter is loaded, but " BDEVFILTER_NODE " cannot be opened: %s",
                                node_error == -ENODEV ? "it is missing, or another device" : strerror(-node_error));
                return JOB_OK;
        }

        if (t->node_fd >= 0 && detect_bdevfilter(t, reply))
                return JOB_OK;

        error = backend_blkfilter_1.probe(t);
        if (error == ENOENT) {
                found(reply, KERNEL_INTERFACE_BLKFILTER_1, true);
                (void) snprintf(reply->message, sizeof(reply->message), "%s knows the ATTACH of blkfilter-1", t->path);
                return JOB_OK;
        }
        if (error != ENOTTY && error != EINVAL) {
                unclear(reply, t->path, NULL, error);
                return JOB_FAILED;
        }

        error = backend_blkfilter_2.probe(t);
        if (error == ENOENT) {
                found(reply, KERNEL_INTERFACE_BLKFILTER_2, true);
                (void) snprintf(reply->message, sizeof(reply->message), "%s knows the DETACH of blkfilter-2", t->path);
                return JOB_OK;
        }
        if (error != ENOTTY && error != EINVAL) {
                unclear(reply, t->path, NULL, error);
                return JOB_FAILED;
        }

        detect_none(t, device, error, reply);
        return JOB_OK;
}
