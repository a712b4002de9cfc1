/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <unistd.h>

#include "daemon/confine.h"

/**
 * confine_to_reading() - from here on this process opens nothing for writing
 *
 * It parses what disks contain, and may be led astray by it. By its control group it may open disks for writing, as the
 * module bdevfilter opens for it the device that a call is about; it itself needs that for none. Nor can it write into
 * the daemon's memory, which is in the same group and not confined so: what else would do for that the unit forbids. It
 * cannot be undone.
 *
 * Return: 0, or a negative errno: the process is as it was.
 */
int confine_to_reading(void) {
        static const int others[] = { SCMP_SYS(creat), SCMP_SYS(openat2), SCMP_SYS(open_by_handle_at),
                                      SCMP_SYS(io_uring_setup), SCMP_SYS(process_vm_writev) };
        static const scmp_datum_t modes[] = { O_WRONLY, O_RDWR, O_ACCMODE };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        int r = filter ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < sizeof(others) / sizeof(others[0]); i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), others[i], 0);

        for (size_t i = 0; r >= 0 && i < sizeof(modes) / sizeof(modes[0]); i++) {
                const struct scmp_arg_cmp of_open = { .arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = O_ACCMODE,
                                                      .datum_b = modes[i] };
                const struct scmp_arg_cmp of_openat = { .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = O_ACCMODE,
                                                        .datum_b = modes[i] };

                r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(open), 1, &of_open);
                if (r >= 0)
                        r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1, &of_openat);
        }

        if (r >= 0)
                r = seccomp_load(filter);

        seccomp_release(filter);
        return r;
}

/**
 * confine_to_command() - from here on this process can send one command to one filter, and answer
 * @fd: what the ioctl is made on: the device, or the node that takes calls for it
 * @request: number of the ioctl
 * @memfd: what the command lies in
 * @attribute_fd: may be read with pread(2); -EBADF: nothing may be
 *
 * A command's payload may hold an address that was smuggled in, and the filter may write there: what this process would
 * do then is not known. By seccomp(2) it can make that ioctl on that descriptor, add seals to the memfd, read the
 * attribute, answer on its standard input, close what it has open, get memory by brk, and end; anything else ends it.
 * It cannot be undone, so the process does no other job afterwards.
 *
 * Return: 0, or a negative errno: the process is as it was, and must not send the command.
 */
int confine_to_command(int fd, unsigned long request, int memfd, int attribute_fd) {
        static const int harmless[] = {
                SCMP_SYS(brk), SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(exit), SCMP_SYS(exit_group),
                SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
        };
        static const int answering[] = { SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg) };
        const struct scmp_arg_cmp on_input = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = STDIN_FILENO };
        const struct scmp_arg_cmp command[] = {
                { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t) fd },
                /* the kernel takes 32 bits of it */
                { .arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX, .datum_b = (scmp_datum_t) request },
        };
        const struct scmp_arg_cmp sealing[] = {
                { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t) memfd },
                { .arg = 1, .op = SCMP_CMP_EQ, .datum_a = F_ADD_SEALS },
        };
        const struct scmp_arg_cmp reading = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t) attribute_fd };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r = filter ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < sizeof(harmless) / sizeof(harmless[0]); i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, harmless[i], 0);
        for (size_t i = 0; r >= 0 && i < sizeof(answering) / sizeof(answering[0]); i++)
                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, answering[i], 1, &on_input);
        if (r >= 0)
                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2, command);
        if (r >= 0)
                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 2, sealing);
        if (r >= 0 && attribute_fd >= 0)
                r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(pread64), 1, &reading);
        if (r >= 0)
                r = seccomp_load(filter);

        seccomp_release(filter);
        return r;
}
