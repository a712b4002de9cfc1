/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads the partition table of a disk. The one place that knows libblkid; used in worker
 * processes only, for what it parses is whatever somebody has put on a disk.
 */

#include "daemon/job.h"

int identify_table(int disk_fd, JobReply *reply);
