/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The socket at which udev's events wait, each by a blkfilter-wait, until the daemon has decided what belongs on their
 * devices. The one place that accepts connections but the bus.
 */

#include <systemd/sd-event.h>

#include "daemon/manager.h"

typedef struct WaitSocket WaitSocket;

typedef struct WaitSocketConfig {
        const char *path; /* of the socket; its folder is there, and nobody else's */
        Manager *manager; /* borrowed, as the rest */

        /* manager_device() is to be told what udev's database says of a device, as an early event of that number */
        void (*tell)(const char *devpath, uint64_t seqnum, uint64_t diskseq, void *userdata);
        void *userdata;
} WaitSocketConfig;

int wait_socket_new(sd_event *event, const WaitSocketConfig *config, WaitSocket **ret);
WaitSocket *wait_socket_free(WaitSocket *s);
