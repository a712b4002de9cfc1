/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * blkfilter-worker: started by blkfilterd with a socket as standard input. Answers one job after
 * the other until the daemon closes its end.
 */

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/worker.h"

static int receive(JobRequest *ret, int *ret_memfd) {
        union {
                struct cmsghdr header;
                char buf[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        struct cmsghdr *c;
        ssize_t n;

        do
                n = recvmsg(STDIN_FILENO, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);

        if (n < 0)
                return -errno;
        if (n == 0)
                return 0;

        *ret_memfd = -EBADF;
        c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                memcpy(ret_memfd, CMSG_DATA(c), sizeof(int));

        /* A daemon of another version: it was upgraded while this worker ran. */
        if (!job_request_is_whole(ret, (size_t) n))
                return -EPROTO;

        return 1;
}

int main(void) {
        static JobRequest request;
        static JobReply reply;
        int memfd = -EBADF, r;

        /* nobody but root's debugger looks into what parses disks */
        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) signal(SIGPIPE, SIG_IGN);

        /* without seccomp(2) in the kernel there are filters all the same */
        (void) confine_to_reading();

        while ((r = receive(&request, &memfd)) > 0) {
                worker_do(&request, memfd, &reply);

                if (memfd >= 0)
                        close(memfd);

                /* Only the entries that are there are worth a copy. */
                if (send(STDIN_FILENO, &reply, offsetof(JobReply, entries) + reply.n_entries * sizeof(Entry), 0) < 0)
                        return errno == EPIPE || errno == ECONNRESET ? 0 : 1;
        }

        if (r < 0) {
                (void) fprintf(stderr,
                               "blkfilter-worker is started by blkfilterd, with a socket as standard input: %s\n",
                               strerror(-r));
                return 1;
        }

        return 0;
}
