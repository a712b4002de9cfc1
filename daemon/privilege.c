/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/privilege.h"

/**
 * privilege_drop() - give up all capabilities, for this process and all that it starts
 *
 * What is left is the ownership of root's files: enough to open devices for reading, to write the
 * records, and to own the name on the bus. One capability is needed at the start, CAP_NET_ADMIN
 * for a large receive buffer. PR_SET_NO_NEW_PRIVS keeps a program that root starts from getting
 * them all again.
 *
 * Return: 0, or a negative errno: everything is as before, or only new privileges are barred.
 */
int privilege_drop(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;

        /* glibc has no wrapper; libcap would be a library for this one call */
        if (syscall(SYS_capset, &header, none) < 0)
                return -errno;

        return 0;
}
