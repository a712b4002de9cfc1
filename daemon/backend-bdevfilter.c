/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bdevfilter: a module for stock kernels. Its ioctls are made on its node, with the path of the device, which it
 * opens itself, for reading and writing.
 */

#include "blkfilter-abi.h"

#include "daemon/backend-interfaces.h"
#include "daemon/question.h"

_Static_assert(BDEVFILTER_ATTACH_40 == 0xC028468C, "number of the earlier ATTACH");
_Static_assert(BDEVFILTER_ATTACH_56 == 0xC038468C, "number of the later ATTACH");
_Static_assert(BDEVFILTER_DETACH == 0xC028468D, "number of DETACH");
_Static_assert(BDEVFILTER_CTL == 0xC038468E, "number of CTL");

static int call_name(const BackendTarget *t, unsigned long number, const char *filter) {
        struct bdevfilter_abi_name arg = { .devpath = (uintptr_t) t->path };

        backend_set_name(arg.name, filter);
        return backend_call(t->node_fd, number, &arg);
}

static int call_attach_56(const BackendTarget *t, const char *filter, const void *options, uint32_t size) {
        struct bdevfilter_abi_attach arg = {
                .devpath = (uintptr_t) t->path,
                .opt = size > 0 ? (uintptr_t) options : 0,
                .optlen = size,
        };

        backend_set_name(arg.name, filter);
        return backend_call(t->node_fd, BDEVFILTER_ATTACH_56, &arg);
}

static BackendResult attach_40(const BackendTarget *t, const char *filter, const void *options, uint32_t size) {
        (void) options;

        if (size > 0)
                return (BackendResult) { JOB_UNSUPPORTED, 0 };

        return backend_attach_result(call_name(t, BDEVFILTER_ATTACH_40, filter));
}

static BackendResult attach_56(const BackendTarget *t, const char *filter, const void *options, uint32_t size) {
        return backend_attach_result(call_attach_56(t, filter, options, size));
}

static BackendResult ctl(const BackendTarget *t, const char *filter, uint32_t cmd, void *payload, uint32_t size) {
        struct bdevfilter_abi_ctl arg = {
                .devpath = (uintptr_t) t->path,
                .cmd = cmd,
                .optlen = size,
                .opt = (uintptr_t) payload,
        };

        backend_set_name(arg.name, filter);
        return backend_ctl_result(backend_call(t->node_fd, BDEVFILTER_CTL, &arg));
}

/*
 * A DETACH that names another filter than the one that is on the device frees what is in use still: the kernel is
 * corrupted, and dead at one of the next calls. So the filter itself is asked first, each time, here, where no caller
 * can forget it; one that cannot be asked is not taken off.
 */
static BackendResult detach(const BackendTarget *t, const char *filter) {
        BackendResult r = question_put(ctl, t, filter, NULL);

        if (r.outcome != JOB_OK)
                return r;

        return backend_detach_result(call_name(t, BDEVFILTER_DETACH, filter));
}

/* With an empty name, which no filter can have. A path that cannot be opened is answered alike: the size is known. */
static int probe_40(const BackendTarget *t) {
        return call_name(t, BDEVFILTER_ATTACH_40, "");
}

static int probe_56(const BackendTarget *t) {
        return call_attach_56(t, "", NULL, 0);
}

const Backend backend_bdevfilter_40 = {
        .attach = attach_40,
        .detach = detach,
        .ctl = ctl,
        .probe = probe_40,
        .ctl_request = BDEVFILTER_CTL,
        .by_path = true,
};

const Backend backend_bdevfilter_56 = {
        .attach = attach_56,
        .detach = detach,
        .ctl = ctl,
        .probe = probe_56,
        .ctl_request = BDEVFILTER_CTL,
        .by_path = true,
};
