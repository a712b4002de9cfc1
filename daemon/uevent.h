/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tells of block devices: the kernel's events, udev's, and a look at all that is there; and of modules and the one
 * device of theirs that brings filters. The one
 * place that knows libudev, with uevent-facts.c. Callbacks only take facts in; "done" ends a batch of them.
 */

#include <systemd/sd-event.h>

#include "daemon/device.h"

typedef struct UEvent UEvent;

typedef struct UEventHandler {
        void (*device)(const DeviceEvent *e, void *userdata);
        void (*module)(bool gone, void *userdata);        /* a kernel module was loaded, or removed */
        void (*interface)(bool gone, void *userdata);     /* /dev/bdevfilter came, or went */
        void (*lost)(void *userdata);  /* events were lost: look at everything again */
        void (*done)(void *userdata);  /* no more events for the moment */
        void *userdata;
} UEventHandler;

int uevent_new(sd_event *event, const UEventHandler *handler, UEvent **ret);
UEvent *uevent_free(UEvent *u);
int uevent_look(UEvent *u);
void uevent_tell(UEvent *u, const char *devpath, uint64_t seqnum, uint64_t diskseq);
bool uevent_is_busy(UEvent *u);
