/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/text.h"
#include "daemon/wait-message.h"
#include "daemon/wait-socket.h"

/* udev's workers are as a rule not more than a few per CPU; who is one too many tries again. */
#define WAITERS_MAX 512

/* How often udev's database is read again for one waiter, as events of the kernel made what it said old. */
#define TELLS_MAX 16

/* The longest that anybody may wait. */
#define LIMIT_USEC_MAX UINT64_C(600000000)

typedef struct Waiter {
        struct Waiter *next;
        WaitSocket *socket;
        int fd;
        sd_event_source *io;
        sd_event_source *timer;
        bool asked;            /* the question has come */
        unsigned n_tells;
        WaitQuestion question;
        uint64_t limit_usec;   /* after so long the answer is that it is not waited for any longer */
        char name[JOB_NODE_SIZE]; /* WAIT_DEVICE: kernel name */
} Waiter;

struct WaitSocket {
        WaitSocketConfig config;
        char *path;
        sd_event *event;
        int fd;
        sd_event_source *io;
        sd_event_source *post; /* after all else that was at hand */
        Waiter *waiters;
        size_t n_waiters;
        bool bound;
};

static void waiter_free(Waiter *w) {
        Waiter **p = &w->socket->waiters;

        while (*p != w)
                p = &(*p)->next;
        *p = w->next;
        w->socket->n_waiters--;

        sd_event_source_disable_unref(w->io);
        sd_event_source_disable_unref(w->timer);
        close(w->fd);
        free(w);
}

/* A waiter that does not listen is not waited for. */
static void answer(const Waiter *w, WaitOutcome outcome, uint64_t limit_usec) {
        const WaitAnswer a = { .protocol = WAIT_PROTOCOL, .outcome = outcome, .limit_usec = limit_usec };

        (void) send(w->fd, &a, sizeof(a), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Tells of its device what udev knows. */
static void tell(Waiter *w) {
        const WaitSocketConfig *c = &w->socket->config;

        if (w->n_tells++ < TELLS_MAX)
                c->tell(w->question.devpath, w->question.seqnum, w->question.diskseq, c->userdata);
}

/* Whether a waiter has its answer. */
static bool check(Waiter *w, const Attachment **ret) {
        const Manager *m = w->socket->config.manager;
        DeviceWait r;

        *ret = NULL;
        if (w->question.kind == WAIT_ALL)
                return manager_check_all(m);

        r = manager_check_device(m, w->name, w->question.seqnum, ret);
        if (r == DEVICE_UNTOLD)
                tell(w);
        return r == DEVICE_DECIDED;
}

static int on_post(sd_event_source *s, void *userdata) {
        WaitSocket *o = userdata;
        const Attachment *a;

        (void) s;

        for (Waiter *w = o->waiters, *next; w; w = next) {
                next = w->next;

                if (w->asked && check(w, &a)) {
                        answer(w, WAIT_DONE, 0);
                        waiter_free(w);
                }
        }

        return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Waiter *w = userdata;
        const Attachment *a = NULL;

        (void) s;
        (void) usec;

        if (w->asked && check(w, &a))
                answer(w, WAIT_DONE, 0);
        else if (w->asked) {
                if (w->question.kind == WAIT_DEVICE)
                        manager_tell_not_waited(w->name, a, w->limit_usec);
                answer(w, WAIT_TIMED_OUT, 0);
        }

        waiter_free(w);
        return 0;
}

static int set_timer(Waiter *w, uint64_t usec) {
        struct timespec t;
        uint64_t at_usec;
        int r;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        at_usec = (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000 + usec;
        if (!w->timer) {
                /* after what has come while the daemon was stopped: it may be the answer */
                r = sd_event_add_time(w->socket->event, &w->timer, CLOCK_MONOTONIC, at_usec, 1000, on_timer, w);
                return r < 0 ? r : sd_event_source_set_priority(w->timer, SD_EVENT_PRIORITY_NORMAL + 5);
        }

        r = sd_event_source_set_time(w->timer, at_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
        return r;
}

/* "/devices/.../block/sda/sda1": the kernel's name is the last part, with "!" for "/". */
static bool take_name(Waiter *w) {
        const char *path = w->question.devpath, *name;

        if (!memchr(path, 0, sizeof(w->question.devpath)) || strncmp(path, "/devices/", 9) != 0 || strstr(path, "/../"))
                return false;

        name = strrchr(path, '/') + 1;
        if (!name[0] || !str_copy(w->name, sizeof(w->name), name))
                return false;

        for (char *p = w->name; *p; p++)
                if (*p == '!')
                        *p = '/';
        return true;
}

static bool is_valid(Waiter *w, size_t size) {
        const WaitQuestion *q = &w->question;

        return size == sizeof(*q) && q->protocol == WAIT_PROTOCOL && q->limit_usec <= LIMIT_USEC_MAX &&
               (q->kind == WAIT_ALL || (q->kind == WAIT_DEVICE && take_name(w)));
}

static int on_question(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Waiter *w = userdata;
        ssize_t n;

        (void) s;
        (void) revents;

        n = recv(fd, &w->question, sizeof(w->question), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;

        /* it has gone, or speaks another version's language: then it goes on by itself */
        if (n <= 0 || w->asked || !is_valid(w, (size_t) n)) {
                waiter_free(w);
                return 0;
        }

        w->limit_usec = w->question.limit_usec;
        if (!w->limit_usec)
                w->limit_usec = manager_get_wait_usec(w->socket->config.manager);
        if (w->limit_usec == 0 || set_timer(w, w->limit_usec) < 0) {
                answer(w, WAIT_DONE, 0);
                waiter_free(w);
                return 0;
        }

        w->asked = true;
        answer(w, WAIT_BEGUN, w->limit_usec);
        if (w->question.kind == WAIT_DEVICE)
                tell(w);
        return 0; /* on_post() looks whether that was all */
}

static int add_waiter(WaitSocket *o, int fd) {
        Waiter *w;
        int r;

        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;

        w->fd = fd;
        w->socket = o;
        w->next = o->waiters;
        o->waiters = w;
        o->n_waiters++;

        /* after the events of devices, before the manager decides */
        r = sd_event_add_io(o->event, &w->io, fd, EPOLLIN, on_question, w);
        if (r >= 0)
                r = sd_event_source_set_priority(w->io, SD_EVENT_PRIORITY_NORMAL - 5);
        /* for the question, too */
        if (r >= 0)
                r = set_timer(w, 1000000);
        if (r < 0)
                waiter_free(w);
        return r;
}

static int on_connection(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        WaitSocket *o = userdata;

        (void) s;
        (void) revents;

        for (;;) {
                struct ucred peer;
                socklen_t size = sizeof(peer);
                int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (c < 0)
                        return 0; /* none left, or it has gone again */

                if (o->n_waiters >= WAITERS_MAX || getsockopt(c, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
                    peer.uid != getuid()) {
                        close(c);
                        continue;
                }

                if (add_waiter(o, c) < 0)
                        log_line(LOG_WARNING, "there is no memory for an event of udev's that waits: it goes on");
        }
}

static int bind_socket(WaitSocket *o) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        mode_t mask;
        int r;

        if (!str_copy(address.sun_path, sizeof(address.sun_path), o->path))
                return -ENAMETOOLONG;

        o->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (o->fd < 0)
                return -errno;

        /* one of a daemon that was killed: who waits at it comes here */
        (void) unlink(o->path);
        mask = umask(0177);
        r = bind(o->fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r < 0)
                return r;

        o->bound = true;
        return listen(o->fd, WAITERS_MAX) < 0 ? -errno : 0;
}

/**
 * wait_socket_new() - let udev's events wait
 * @event: the loop
 * @config: copied; the path, too. The manager is started before the loop runs
 * @ret: owned by the caller
 *
 * From the return on 61-blkfilter.rules finds the socket, and lets no event pass without a question.
 *
 * Return: 0, or a negative errno: the socket cannot be made.
 */
int wait_socket_new(sd_event *event, const WaitSocketConfig *config, WaitSocket **ret) {
        WaitSocket *o;
        int r;

        o = calloc(1, sizeof(*o));
        if (!o)
                return -ENOMEM;

        o->config = *config;
        o->event = sd_event_ref(event);
        o->fd = -EBADF;
        o->path = strdup(config->path);
        r = o->path ? bind_socket(o) : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_io(event, &o->io, o->fd, EPOLLIN, on_connection, o);
        if (r >= 0)
                r = sd_event_source_set_priority(o->io, SD_EVENT_PRIORITY_NORMAL - 5);
        if (r >= 0)
                r = sd_event_add_post(event, &o->post, on_post, o);
        if (r < 0) {
                wait_socket_free(o);
                return r;
        }

        *ret = o;
        return 0;
}

/**
 * wait_socket_free() - let nobody wait any more; who does goes on, or comes to the next daemon
 * @s: or NULL; consumed
 *
 * Return: NULL.
 */
WaitSocket *wait_socket_free(WaitSocket *s) {
        if (!s)
                return NULL;

        if (s->bound)
                (void) unlink(s->path);
        while (s->waiters)
                waiter_free(s->waiters);

        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->post);
        if (s->fd >= 0)
                close(s->fd);
        sd_event_unref(s->event);
        free(s->path);
        free(s);
        return NULL;
}
