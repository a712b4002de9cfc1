/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* blkfilter-2: the series for Linux 6.15. Its ioctls are the block device's own. */

#include "blkfilter-abi.h"

#include "daemon/backend-interfaces.h"

_Static_assert(BLKFILTER2_ATTACH == 0xC030128E, "number of ATTACH, which is CTL's in blkfilter-1");
_Static_assert(BLKFILTER2_DETACH == 0xC020128F, "number of DETACH");
_Static_assert(BLKFILTER2_CTL == 0xC0301290, "number of CTL");

static int call_name(const BackendTarget *t, unsigned long number, const char *filter) {
        struct blkfilter_abi_name arg = {};

        backend_set_name(arg.name, filter);
        return backend_call(t->fd, number, &arg);
}

static BackendResult attach(const BackendTarget *t, const char *filter, const void *options, uint32_t size) {
        struct blkfilter_abi_attach arg = {
                .opt = size > 0 ? (uintptr_t) options : 0,
                .optlen = size,
        };

        backend_set_name(arg.name, filter);
        return backend_attach_result(backend_call(t->fd, BLKFILTER2_ATTACH, &arg));
}

static BackendResult detach(const BackendTarget *t, const char *filter) {
        return backend_detach_result(call_name(t, BLKFILTER2_DETACH, filter));
}

static BackendResult ctl(const BackendTarget *t, const char *filter, uint32_t cmd, void *payload, uint32_t size) {
        struct blkfilter_abi_ctl arg = {
                .cmd = cmd,
                .optlen = size,
                .opt = (uintptr_t) payload,
        };

        backend_set_name(arg.name, filter);
        return backend_ctl_result(backend_call(t->fd, BLKFILTER2_CTL, &arg));
}

/* DETACH with an empty name: the one that is on has another one. */
static BackendResult ask(const BackendTarget *t) {
        return backend_detach_result(call_name(t, BLKFILTER2_DETACH, ""));
}

/* DETACH with an empty name, which no filter can have. EINVAL: a filter is on this very device, or it is not known. */
static int probe(const BackendTarget *t) {
        return call_name(t, BLKFILTER2_DETACH, "");
}

const Backend backend_blkfilter_2 = {
        .attach = attach,
        .detach = detach,
        .ctl = ctl,
        .ask = ask,
        .probe = probe,
        .ctl_request = BLKFILTER2_CTL,
};
