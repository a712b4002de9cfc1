/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Loads kernel modules by asking systemd for them, as the daemon has no right to and needs none. The one place that
 * knows systemd's manager.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/policy.h"

#define MODULE_UNIT_SIZE (POLICY_MODULE_SIZE + sizeof("modprobe@.service"))

bool module_unit_name(const char *name, char ret[static MODULE_UNIT_SIZE]);
int module_connect(sd_event *event, sd_bus **ret);
int module_load(sd_bus *bus, const char *name);
