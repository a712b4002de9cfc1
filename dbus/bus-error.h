/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The names of errors on the bus. One table; the only place where a RequestError becomes D-Bus.
 */

#include <systemd/sd-bus.h>

#include "daemon/manager.h"

int bus_error_set_request(sd_bus_error *error, RequestError e, const char *message);
