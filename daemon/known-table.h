/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The table that this worker has read last. The partitions of a disk are attached one by one, and each time all of the
 * disk's table has to be proven: as long as the same bytes are on the disk it says the same, and need not be parsed
 * again, nor told to the daemon again. Used in worker processes only.
 */

#include "daemon/job.h"

int known_table_read(int disk_fd, const JobDevice *disk, JobReply *reply);
void known_table_tell(const JobRequest *request, JobReply *reply);
