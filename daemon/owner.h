/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Owner: the larger device that a disk is a part of, if it is one: an array (RAID), or a multipath device, whose paths
 * look like disks. A filter belongs on that device, not on its parts. As a rule udev says what is a part; where it
 * takes too long a worker finds out whether that can be ruled out. Used in worker processes only.
 */

#include <stdbool.h>

bool owner_is_ruled_out(int disk_fd, const char *root);
