/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Run by udev for each event of a block device, before it tells anybody of the event: asks the daemon whether the
 * device may be let go, and ends when it may, or when that takes too long. It decides nothing and opens no device: who
 * may have a filter, and on what, only the daemon knows.
 *
 * It fails open: whatever is wrong, udev goes on, and the journal says so.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/wait-message.h"

#include "config.h"

/* The daemon's own limit, before it has told it. */
#define LIMIT_USEC UINT64_C(2000000)

/* It is given so much longer than it says to answer: then it hangs. */
#define GRACE_USEC UINT64_C(1000000)

/* Between two attempts to reach a daemon that is started again. */
#define AGAIN_USEC 20000

/* How long a daemon that failed may take to listen again: RestartSec= of its unit, and some. */
#define COMES_BACK_USEC UINT64_C(5000000)

#define MESSAGE_ID "c1a35b0e6f2f4e0f9e55a36b9d2f7a0c" /* LOG_ID_NOT_WAITED */

#define CONSEQUENCE "; a filter that belongs on it may not be on. See \"systemctl status blkfilterd\""

/* How an attempt to be answered ended. */
typedef enum Attempt {
        ATTEMPT_DONE,
        ATTEMPT_TIMED_OUT, /* the daemon says so, and has logged it */
        ATTEMPT_NO_DAEMON, /* there is no socket: it was stopped */
        ATTEMPT_BROKEN,    /* it went, or was not reached: another one may come */
        ATTEMPT_SILENT,    /* the limit is over */
} Attempt;

static uint64_t now_usec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static bool send_to(const char *path, const char *text, size_t size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool sent;

        if (fd < 0)
                return false;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        sent = sendto(fd, text, size, MSG_NOSIGNAL, (struct sockaddr *) &address, sizeof(address)) >= 0;
        close(fd);
        return sent;
}

/* To the journal, in its own form; if that is not there, to the kernel's log. */
static void log_warning(const char *device, const char *message) {
        char text[4096];
        int n, fd;

        n = snprintf(text, sizeof(text), "PRIORITY=4\nSYSLOG_IDENTIFIER=blkfilter-wait\nMESSAGE_ID=" MESSAGE_ID "\n"
                     "BLKFILTER_DEVICE=%s\nMESSAGE=%s\n", device, message);
        if (n < (int) sizeof(text) && send_to("/run/systemd/journal/socket", text, (size_t) n))
                return;

        fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return;
        n = snprintf(text, sizeof(text), "<4>blkfilter-wait: %.900s\n", message);
        (void) !write(fd, text, (size_t) n);
        close(fd);
}

/* A connection to the daemon; or a negative errno. Does not wait. */
static int reach(void) {
        const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = WAIT_SOCKET };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

        if (fd < 0)
                return -errno;

        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
                r = -errno;
                close(fd);
                return r;
        }

        return fd;
}

/* Reads what the daemon says until it is an answer. *deadline_usec is moved once it is known how long that may take. */
static Attempt listen_for_answer(int fd, uint64_t began_usec, uint64_t *deadline_usec) {
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                uint64_t now;
                WaitAnswer a;
                ssize_t n;

                /* before the clock is looked at: a machine that stood still has its answer all the same */
                n = recv(fd, &a, sizeof(a), MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                        now = now_usec();
                        if (now >= *deadline_usec)
                                return ATTEMPT_SILENT;
                        if (poll(&p, 1, (int) ((*deadline_usec - now) / 1000) + 1) < 0 && errno != EINTR)
                                return ATTEMPT_BROKEN;
                        continue;
                }
                if (n != (ssize_t) sizeof(a) || a.protocol != WAIT_PROTOCOL)
                        return ATTEMPT_BROKEN;

                switch (a.outcome) {
                case WAIT_DONE:
                        return ATTEMPT_DONE;
                case WAIT_TIMED_OUT:
                        return ATTEMPT_TIMED_OUT;
                default:
                        *deadline_usec = began_usec + a.limit_usec + GRACE_USEC;
                }
        }
}

static Attempt attempt(const WaitQuestion *q, uint64_t began_usec, uint64_t *deadline_usec) {
        int fd = reach();
        Attempt r;

        if (fd < 0)
                return fd == -ENOENT ? ATTEMPT_NO_DAEMON : ATTEMPT_BROKEN;

        if (send(fd, q, sizeof(*q), MSG_NOSIGNAL) < 0)
                r = ATTEMPT_BROKEN;
        else
                r = listen_for_answer(fd, began_usec, deadline_usec);
        close(fd);
        return r;
}

/* Asks until there is an answer, or no time left. */
static Attempt ask(const WaitQuestion *q) {
        uint64_t began_usec = now_usec(), deadline_usec = began_usec + (q->limit_usec ?: LIMIT_USEC) + GRACE_USEC;
        const struct timespec pause = { .tv_nsec = AGAIN_USEC * 1000 };
        Attempt r, first = attempt(q, began_usec, &deadline_usec);

        for (r = first; r == ATTEMPT_BROKEN || (r == ATTEMPT_NO_DAEMON && first != ATTEMPT_NO_DAEMON);
             r = attempt(q, began_usec, &deadline_usec)) {
                if (now_usec() >= deadline_usec)
                        return r;
                (void) nanosleep(&pause, NULL);
        }

        return r;
}

static uint64_t variable_u64(const char *name) {
        const char *s = getenv(name);

        return s ? strtoull(s, NULL, 10) : 0;
}

static int wait_for_device(WaitQuestion *q) {
        const char *path = getenv("DEVPATH");
        char message[WAIT_PATH_SIZE + 512];
        const char *name;

        q->kind = WAIT_DEVICE;
        q->seqnum = variable_u64("SEQNUM");
        q->diskseq = variable_u64("DISKSEQ");
        if (!path || !q->seqnum || strlen(path) >= sizeof(q->devpath)) {
                (void) fprintf(stderr, "blkfilter-wait is for udev: it takes DEVPATH and SEQNUM from its environment;"
                                       " see --help\n");
                return EXIT_FAILURE;
        }

        (void) strcpy(q->devpath, path);
        name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

        switch (ask(q)) {
        case ATTEMPT_SILENT:
                (void) snprintf(message, sizeof(message),
                                "/dev/%s is let go, as blkfilterd does not answer" CONSEQUENCE, name);
                log_warning(name, message);
                break;
        case ATTEMPT_BROKEN:
                (void) snprintf(message, sizeof(message),
                                "/dev/%s is let go, as blkfilterd has ended, and not come back" CONSEQUENCE, name);
                log_warning(name, message);
                break;
        default:
                break;
        }

        return EXIT_SUCCESS;
}

static int wait_for_all(WaitQuestion *q) {
        q->kind = WAIT_ALL;

        switch (ask(q)) {
        case ATTEMPT_DONE:
                return EXIT_SUCCESS;
        case ATTEMPT_TIMED_OUT:
                (void) fprintf(stderr, "not all filters are on that may be soon; see \"blkfilterctl list\"\n");
                return EXIT_FAILURE;
        case ATTEMPT_SILENT:
                (void) fprintf(stderr, "blkfilterd does not answer; see \"systemctl status blkfilterd\"\n");
                return EXIT_FAILURE;
        default:
                (void) fprintf(stderr, "blkfilterd does not run; start it: systemctl start blkfilterd\n");
                return EXIT_FAILURE;
        }
}

/* Whether a daemon listens, or does soon: systemd starts a failed one again after RestartSec=. */
static bool comes_back(void) {
        uint64_t deadline_usec = now_usec() + COMES_BACK_USEC;
        const struct timespec pause = { .tv_nsec = AGAIN_USEC * 1000 };

        for (;;) {
                int fd = reach();

                if (fd >= 0)
                        close(fd);
                if (fd >= 0 || fd == -EAGAIN)
                        return true;
                if (fd == -ENOENT || now_usec() >= deadline_usec)
                        return false;
                (void) nanosleep(&pause, NULL);
        }
}

/*
 * The daemon has failed for good, and its socket is there still: without it nobody waits for an answer. Newer versions
 * of systemd (255) start this at each failure, before they start the daemon again: then there is nothing to do.
 */
static int give_up(void) {
        if (comes_back())
                return EXIT_SUCCESS;

        if (unlink(WAIT_SOCKET) < 0) {
                if (errno == ENOENT)
                        return EXIT_SUCCESS;
                (void) fprintf(stderr, WAIT_SOCKET ": %s; remove it, or udev waits for blkfilterd at each event of a"
                                                   " block device\n", strerror(errno));
                return EXIT_FAILURE;
        }

        log_warning("", "blkfilterd has failed again and again, and is not started any more: from now on devices are"
                        " let go without their filters, and none is put back. See \"systemctl status blkfilterd\"; then:"
                        " systemctl reset-failed blkfilterd && systemctl start blkfilterd");
        return EXIT_SUCCESS;
}

static void help(void) {
        (void) printf("blkfilter-wait [OPTION]\n"
                      "\n"
                      "Holds an event of udev back until blkfilterd has put on the device what belongs on it, or for\n"
                      "as long as WaitSec= of /etc/blkfilterd.conf says. Started by udev (61-blkfilter.rules).\n"
                      "\n"
                      "  -h, --help          this text\n"
                      "      --give-up       wait for blkfilterd no more until it is started again; for systemd, when\n"
                      "                      it has failed for good\n"
                      "      --settled       wait until that is so for all devices that are there; exit status 1 if\n"
                      "                      it is not in time\n"
                      "      --timeout=SEC   for so many seconds, up to 600, instead of WaitSec=\n"
                      "      --version       the version\n");
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "give-up", no_argument, NULL, 'g' },
                { "help", no_argument, NULL, 'h' },
                { "settled", no_argument, NULL, 's' },
                { "timeout", required_argument, NULL, 't' },
                { "version", no_argument, NULL, 'v' },
                {},
        };
        static WaitQuestion q = { .protocol = WAIT_PROTOCOL };
        bool settled = false, gives_up = false;
        char *end;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'g':
                        gives_up = true;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                case 's':
                        settled = true;
                        break;
                case 't':
                        q.limit_usec = strtoull(optarg, &end, 10) * 1000000;
                        if (*end || optarg[0] == '-' || q.limit_usec == 0 || q.limit_usec > 600000000) {
                                (void) fprintf(stderr, "--timeout=%s is no number of seconds from 1 to 600\n", optarg);
                                return EXIT_FAILURE;
                        }
                        break;
                case 'v':
                        (void) printf("blkfilter-wait %s\n", VERSION);
                        return EXIT_SUCCESS;
                default:
                        return EXIT_FAILURE;
                }

        if (optind < argc) {
                (void) fprintf(stderr, "blkfilter-wait takes no arguments; see --help\n");
                return EXIT_FAILURE;
        }

        if (gives_up)
                return give_up();

        return settled ? wait_for_all(&q) : wait_for_device(&q);
}
