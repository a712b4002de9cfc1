/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Questions: a command per known filter that changes nothing. That the filter answers shows that it is on the device.
 * Some tell by it which of their attaches they are, by an id that is another one after each (the generation): it shows
 * what no check of a name can, that a filter was taken off and put on again in between. Used in worker processes only.
 */

#include <stdbool.h>

#include "daemon/backend.h"

typedef BackendResult (*BackendCtl)(const BackendTarget *t, const char *filter, uint32_t cmd, void *payload,
                                    uint32_t size);

bool question_tells_generation(const char *filter);
BackendResult question_put(BackendCtl ctl, const BackendTarget *t, const char *filter, char *ret_generation);
const char *question_find_other(BackendCtl ctl, const BackendTarget *t, const char *filter);
