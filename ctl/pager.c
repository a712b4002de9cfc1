/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/pager.h"
#include "ctl/terminal.h"

#define WORDS_MAX 16 /* of a pager's command */

static pid_t pager_pid;

/* As systemd's tools: words between blanks, no quotes. It returns if there is no such program. */
static void run_command(const char *command) {
        char *words[WORDS_MAX + 1], *copy = strdup(command), *rest = NULL;
        size_t n = 0;

        if (!copy)
                return;

        for (char *word = strtok_r(copy, " ", &rest); word && n < WORDS_MAX; word = strtok_r(NULL, " ", &rest))
                words[n++] = word;
        words[n] = NULL;
        if (n > 0)
                (void) execvp(words[0], words);
        free(copy);
}

/* The pager's process: the first program that there is. A small system has none: then it is shown without. */
static void __attribute__((noreturn)) run_pager(const char *command) {
        char buf[4096];
        ssize_t n;

        /* of blkfilterctl alone: a pager that ends tells whoever writes to it */
        (void) signal(SIGPIPE, SIG_DFL);
        if (command)
                run_command(command);
        run_command("less");
        run_command("more");

        while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
                for (ssize_t at = 0, w; at < n; at += w) {
                        w = write(STDOUT_FILENO, buf + at, (size_t) (n - at));
                        if (w <= 0)
                                _exit(EXIT_FAILURE);
                }
        _exit(EXIT_SUCCESS);
}

/**
 * pager_open() - what is printed from now on goes through a pager, if standard output is a terminal
 * @c: without_pager
 *
 * $SYSTEMD_PAGER, $PAGER, less or more; $SYSTEMD_LESS, or options that leave short texts alone, keep colours, and cut
 * no line off.
 */
void pager_open(const Ctl *c) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");
        const char *less = getenv("SYSTEMD_LESS") ?: "FRXMK";
        int fds[2];

        /* how wide the terminal is, and whether it has colours, is known before it is out of sight */
        (void) terminal_columns(stdout);
        (void) colour_on(COLOUR_NONE);
        if (c->without_pager || pager_pid > 0 || !isatty(STDOUT_FILENO) ||
            (pager && (!*pager || strcmp(pager, "cat") == 0)))
                return;
        /* on such a terminal less asks for a key before it shows anything */
        if (strcmp(getenv("TERM") ?: "dumb", "dumb") == 0)
                return;
        if (pipe(fds) < 0)
                return;

        (void) fflush(stdout);
        pager_pid = fork();
        if (pager_pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                (void) dup2(fds[0], STDIN_FILENO);
                (void) close(fds[0]);
                (void) close(fds[1]);
                (void) setenv("LESS", less, true);
                (void) setenv("LESSSECURE", "1", false);
                run_pager(pager);
        }

        (void) close(fds[0]);
        if (pager_pid > 0)
                (void) dup2(fds[1], STDOUT_FILENO);
        (void) close(fds[1]);
}

/** pager_close() - all has been printed: wait until it has been read, or nobody wants to read on */
void pager_close(void) {
        (void) fflush(stdout);
        if (pager_pid <= 0)
                return;

        (void) close(STDOUT_FILENO);
        (void) waitpid(pager_pid, NULL, 0);
        pager_pid = 0;
        /* who leaves a pager before the end has seen enough: nothing has failed */
        clearerr(stdout);
}
