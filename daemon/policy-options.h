/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A filter's options as a policy writes them: "hex:0a0b", "base64:Cgs=". Pure.
 */

#include "daemon/policy.h"
#include "daemon/text.h"

int options_parse(const char *value, uint8_t **ret, size_t *ret_size);
void options_write(Text *t, const uint8_t *data, size_t size);
