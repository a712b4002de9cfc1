/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From what a caller names to a device that is there. Pure: links are looked up in what udev
 * told, never in the file system, where they jump and may lead anywhere.
 */

#include "daemon/device.h"
#include "daemon/manager.h"

RequestError resolve_device(const DeviceSet *devices, const char *name, Device *ret, char **ret_message);
