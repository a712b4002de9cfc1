/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What udev and the kernel say of one block device, as the registry takes it. Part of the edge uevent.h. */

#include <libudev.h>

#include "daemon/device.h"

/* An event with the strings that it points to; not to be copied. */
typedef struct UEventFacts {
        DeviceEvent event; /* its links are borrowed from the device */
        char values[_MATCH_KEY_MAX][FACT_SIZE];
} UEventFacts;

bool uevent_facts_read(struct udev_device *d, EventSource source, UEventFacts *ret);
