/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Worker: does one job at a time, whole: opening, proving, the ioctl, closing. It runs in a
 * process of its own (worker-main.c), for each of these may sleep for ever.
 */

#include "daemon/job.h"

void worker_do(const JobRequest *request, int memfd, JobReply *reply);
