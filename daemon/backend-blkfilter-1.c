/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* blkfilter-1: the patch series v3 to v7, Linux 6.3 to 6.9. Its ioctls are the block device's own. */

#include "blkfilter-abi.h"

#include "daemon/backend-interfaces.h"

_Static_assert(BLKFILTER1_ATTACH == 0xC020128C, "number of ATTACH");
_Static_assert(BLKFILTER1_DETACH == 0xC020128D, "number of DETACH");
_Static_assert(BLKFILTER1_CTL == 0xC030128E, "number of CTL");

static int call_name(const BackendTarget *t, unsigned long number, const char *filter) {
        struct blkfilter_abi_name arg = {};

        backend_set_name(arg.name, filter);
        return backend_call(t->fd, number, &arg);
}

static BackendResult attach(const BackendTarget *t, const char *filter, const void *options, uint32_t size) {
        (void) options;

        if (size > 0)
                return (BackendResult) { JOB_UNSUPPORTED, 0 };

        return backend_attach_result(call_name(t, BLKFILTER1_ATTACH, filter));
}

static BackendResult detach(const BackendTarget *t, const char *filter) {
        return backend_detach_result(call_name(t, BLKFILTER1_DETACH, filter));
}

static BackendResult ctl(const BackendTarget *t, const char *filter, uint32_t cmd, void *payload, uint32_t size) {
        struct blkfilter_abi_ctl arg = {
                .cmd = cmd,
                .optlen = size,
                .opt = (uintptr_t) payload,
        };

        backend_set_name(arg.name, filter);
        return backend_ctl_result(backend_call(t->fd, BLKFILTER1_CTL, &arg));
}

/* DETACH with an empty name: the one that is on has another one. */
static BackendResult ask(const BackendTarget *t) {
        return backend_detach_result(call_name(t, BLKFILTER1_DETACH, ""));
}

/* ATTACH with an empty name, which no filter can have: freezes nothing, and what is on the device does not matter. */
static int probe(const BackendTarget *t) {
        return call_name(t, BLKFILTER1_ATTACH, "");
}

const Backend backend_blkfilter_1 = {
        .attach = attach,
        .detach = detach,
        .ctl = ctl,
        .ask = ask,
        .probe = probe,
        .ctl_request = BLKFILTER1_CTL,
};
