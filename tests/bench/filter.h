/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blkfilter-abi.h"

/*
 * Attaches the filter @filter to the device @name (sda1), whatever it is by now: nothing is proven. Returns 0, or -1
 * with errno set.
 */
static inline int filter_attach(const char *name, const char *filter) {
        struct blkfilter_abi_name arg = { 0 };
        char node[64];
        int fd, r;

        (void) snprintf(node, sizeof(node), "/dev/%s", name);
        strncpy((char *) arg.name, filter, sizeof(arg.name) - 1);

        fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -1;

        r = ioctl(fd, BLKFILTER1_ATTACH, &arg);
        (void) close(fd);
        return r;
}
