/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads what a disk contains: its partition table, and what kind of file system is on a device. The one
 * place that knows libblkid; used in worker processes only, for what it parses is whatever somebody has put
 * on a disk.
 */

#include "daemon/job.h"

/* What a superblock says; "" for what it does not say. Normalized. */
typedef struct Superblock {
        char uuid[FACT_SIZE], label[FACT_SIZE], type[FACT_SIZE];
} Superblock;

int identify_table(int disk_fd, JobReply *reply, uint64_t *ret_gpt);
int identify_fs(int fd, uint64_t offset_bytes, uint64_t size_bytes, Superblock *ret,
                char message[static JOB_MESSAGE_SIZE]);
bool identify_is_member(int fd);
bool identify_is_left_alone(int fd);
