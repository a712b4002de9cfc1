/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The backends there are. For them and backend-detect.c: others ask backend_get(). */

#include "daemon/backend.h"

extern const Backend backend_blkfilter_1;
extern const Backend backend_blkfilter_2;
extern const Backend backend_bdevfilter_40; /* ATTACH takes 40 bytes */
extern const Backend backend_bdevfilter_56;
