/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The proof that a device that is held open is the one that was meant. Nothing is attached without. Used in
 * worker processes only.
 */

#include "daemon/hold.h"

JobOutcome prove_read_table(const JobRequest *request, const Hold *h, JobReply *reply);
JobOutcome prove(const JobRequest *request, const Hold *h, JobReply *reply);
