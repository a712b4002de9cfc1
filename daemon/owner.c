/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glob.h>
#include <stdio.h>

#include "daemon/identify.h"
#include "daemon/owner.h"

/* For glob(): a folder that is not there has no rules; one that cannot be read may have any. */
static int is_trouble(const char *path, int error) {
        (void) path;
        return error != ENOENT;
}

/*
 * The rules of multipath-tools, which ask for each disk whether it is a path: by the names that it and the
 * distributions give them, in all folders that udev reads (udev(7)). Who has none of them has no paths either.
 */
static bool has_multipath_rules(const char *root) {
        glob_t found = { 0 };
        char pattern[512];
        int n, r;

        n = snprintf(pattern, sizeof(pattern), "%s/{etc,run,usr/local/lib,usr/lib,lib}/udev/rules.d/*m*path*.rules",
                     root);
        if (n < 0 || (size_t) n >= sizeof(pattern))
                return true;

        r = glob(pattern, GLOB_BRACE | GLOB_NOSORT, is_trouble, &found);
        globfree(&found);
        return r != GLOB_NOMATCH;
}

/**
 * owner_is_ruled_out() - whether a disk is certainly no part of a larger device
 * @disk_fd: the whole disk, open for reading; its position is not kept
 * @root: "", or a folder to be looked at in the place of the root directory; without a slash at its end
 *
 * Return: true if it has no superblock of an array, and this system no rules that would call it a path of a multipath
 * device. False if either is so, or cannot be read.
 */
bool owner_is_ruled_out(int disk_fd, const char *root) {
        return !has_multipath_rules(root) && !identify_is_member(disk_fd);
}
