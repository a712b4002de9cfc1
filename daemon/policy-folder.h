/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One folder of policies or of drop-ins: what is in it, and whether it can be trusted.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/policy-scan.h"

typedef struct PolicyFolderItem {
        char *name;      /* "20-data.conf", or "20-data.conf.d" if it is a folder of drop-ins */
        bool is_dropins; /* by its name */
        bool masked;     /* a link to /dev/null */
} PolicyFolderItem;

typedef struct PolicyFolder {
        const char *path; /* borrowed */
        int fd;           /* -EBADF: it is not there, or bad */
        char *why;        /* the middle of a sentence: why it is bad, what to do; NULL: it is not. Then it
                           * is not known what is in it */
        PolicyFolderItem *items; /* sorted by name */
        size_t n_items;
} PolicyFolder;

#define POLICY_FOLDER_INIT ((PolicyFolder) { .fd = -EBADF })

int policy_folder_read(int dir_fd, const char *name, const char *path, bool may_be_link, PolicyFolder *ret);
void policy_folder_deinit(PolicyFolder *f);
const PolicyFolderItem *policy_folder_get(const PolicyFolder *f, const char *name);

bool policy_file_name_is_valid(const char *name);
int policy_path_printable(const char *folder, const char *name, char **ret);
