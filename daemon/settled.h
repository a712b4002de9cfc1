/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For scripts where there is no bus: whether all that was told has been seen to. Asked by a signal, answered by a
 * file.
 */

#include <systemd/sd-event.h>

#include "daemon/manager.h"

typedef struct Settled Settled;

int settled_new(sd_event *event, const Manager *m, const char *file, Settled **ret);
Settled *settled_free(Settled *s);
