/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Presence: which filter is on a device, as far as the kernel can be brought to tell. Used in worker processes only. */

#include "daemon/backend.h"

JobOutcome presence_read(const JobRequest *request, JobReply *reply);
JobOutcome presence_ask(const JobRequest *request, const Backend *backend, const BackendTarget *t, JobReply *reply);
void presence_name_other(const JobRequest *request, const Backend *backend, const BackendTarget *t, JobReply *reply);
