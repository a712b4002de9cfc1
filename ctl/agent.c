/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "ctl/agent.h"

#define AGENT_MSEC 10000 /* until it is registered; then the call is made without */

static pid_t agent_pid;

/**
 * agent_open() - have a password asked for on this terminal, once
 * @c: nothing is done for another machine, for root, or without a terminal
 *
 * pkttyagent(1) tells by closing a descriptor that it is registered. That it is not installed is no error: polkit
 * may allow the call all the same.
 */
void agent_open(const Ctl *c) {
        char notify[32], process[32];
        struct pollfd p;
        int fds[2];

        if (agent_pid > 0 || c->host || c->machine || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return;
        if (pipe(fds) < 0)
                return;

        agent_pid = fork();
        if (agent_pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                (void) close(fds[0]);
                (void) snprintf(notify, sizeof(notify), "%d", fds[1]);
                (void) snprintf(process, sizeof(process), "%d", (int) getppid());
                /* a dialogue of the session's comes first; polkit knows no fallback for who has no session */
                (void) execl("/usr/bin/pkttyagent", "pkttyagent", "--notify-fd", notify, "--process", process,
                             sd_pid_get_session(0, NULL) >= 0 ? "--fallback" : NULL, NULL);
                _exit(127);
        }

        (void) close(fds[1]);
        p = (struct pollfd) { .fd = fds[0], .events = POLLIN };
        if (agent_pid > 0)
                (void) poll(&p, 1, AGENT_MSEC);
        (void) close(fds[0]);
}

/** agent_close() - end it, if it runs: it leaves the terminal as it was */
void agent_close(void) {
        if (agent_pid <= 0)
                return;

        (void) kill(agent_pid, SIGTERM);
        (void) kill(agent_pid, SIGCONT);
        (void) waitpid(agent_pid, NULL, 0);
        agent_pid = 0;
}
