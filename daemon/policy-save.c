/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy-save.h"
#include "daemon/policy-text.h"
#include "daemon/state.h"

/**
 * policy_save() - write a policy as a new file
 * @folder: full path; made if it is not there
 * @p: the policy; its name becomes the file's, its options must fit in a line
 * @ret_path: full path of the file; owned by the caller
 *
 * Return: 0; -EEXIST if there is a file of that name; -ENOMEM; or a negative errno of writing it.
 */
int policy_save(const char *folder, const Policy *p, char **ret_path) {
        char *text = NULL, *path = NULL;
        struct stat st;
        int fd, r;

        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return -errno;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        if (asprintf(&path, "%s/%s", folder, p->name) < 0) {
                close(fd);
                return -ENOMEM;
        }

        r = fstatat(fd, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST : 0;
        if (r == 0)
                r = policy_to_text(p, NULL, &text);
        if (r == 0)
                r = state_write_file(fd, p->name, text, strlen(text));

        /* blkfilterctl verify reads all policies as whoever calls it: one that it may not read it calls wrong */
        if (r == 0)
                (void) fchmodat(fd, p->name, 0644, 0);

        free(text);
        close(fd);
        if (r < 0) {
                free(path);
                return r;
        }

        *ret_path = path;
        return 0;
}
