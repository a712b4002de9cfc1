/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/text.h"
#include "daemon/worker-pool.h"

typedef struct Work {
        struct Work *next;
        JobRequest request;
        int memfd; /* owned; -EBADF if none */
} Work;

typedef struct Worker {
        struct Worker *next;
        WorkerPool *pool;
        pid_t pid;
        int fd;
        sd_event_source *io;
        sd_event_source *timer;
        Work *work;  /* what it is doing; NULL: idle */
        bool stuck;  /* has not answered in time */
        char disk[JOB_NODE_SIZE]; /* of its last job: it may know the disk's table still; "" none yet */
        bool used;   /* has had a job, and may have parsed what is on a disk */
} Worker;

struct WorkerPool {
        sd_event *event;
        char *executable;
        WorkerPoolConfig config;
        WorkerDone done;
        void *userdata;
        Worker *workers;
        Work *queue;       /* first come, first served */
        Work **queue_tail;
        Work *failed;      /* could not be begun, and nobody has been told */
        JobReply *reply;   /* room for one, which is large, and used by one at a time; NULL: there is no job */
        sd_event_source *failed_source; /* deferred: tells */
        sd_event_source *rest;          /* there has been no job for a while */
};

static Work *work_free(Work *w) {
        if (!w)
                return NULL;

        if (w->memfd >= 0)
                close(w->memfd);
        free(w);
        return NULL;
}

static Worker *worker_free(Worker *w) {
        for (Worker **p = &w->pool->workers; *p; p = &(*p)->next)
                if (*p == w) {
                        *p = w->next;
                        break;
                }

        sd_event_source_disable_unref(w->io);
        sd_event_source_disable_unref(w->timer);
        work_free(w->work);
        if (w->fd >= 0)
                close(w->fd);
        free(w);
        return NULL;
}

static int on_reply(sd_event_source *s, int fd, uint32_t revents, void *userdata);
static void pool_dispatch(WorkerPool *p);

/* Starts a worker with its end of a socket pair as standard input and nothing else of ours. */
static int worker_spawn(WorkerPool *p, Worker **ret) {
        char *argv[] = { p->executable, NULL }, *envp[] = { NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int fds[2], r;
        sigset_t none;
        Worker *w;

        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;

        w->pool = p;
        w->fd = -EBADF;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
                r = -errno;
                free(w);
                return r;
        }

        w->fd = fds[0];
        w->next = p->workers;
        p->workers = w;

        sigemptyset(&none);
        r = posix_spawn_file_actions_init(&actions);
        if (r == 0) {
                r = posix_spawnattr_init(&attributes);
                if (r == 0) {
                        r = posix_spawn_file_actions_adddup2(&actions, fds[1], STDIN_FILENO);
                        if (r == 0)
                                r = posix_spawnattr_setsigmask(&attributes, &none);
                        if (r == 0)
                                r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
                        if (r == 0)
                                r = posix_spawn(&w->pid, p->executable, &actions, &attributes, argv, envp);
                        posix_spawnattr_destroy(&attributes);
                }
                posix_spawn_file_actions_destroy(&actions);
        }
        close(fds[1]);

        if (r != 0) {
                worker_free(w);
                return -r;
        }

        r = fcntl(w->fd, F_SETFL, O_NONBLOCK);
        if (r < 0)
                r = -errno;
        else
                r = sd_event_add_io(p->event, &w->io, w->fd, EPOLLIN, on_reply, w);
        if (r >= 0)
                r = sd_event_source_set_priority(w->io, SD_EVENT_PRIORITY_NORMAL - 5);
        if (r < 0) {
                worker_free(w);
                return r;
        }

        *ret = w;
        return 0;
}

static void answer(WorkerPool *p, Work *work, JobOutcome outcome, const char *message) {
        JobReply reply = { .protocol = JOB_PROTOCOL, .id = work->request.id, .outcome = outcome };

        strncpy(reply.message, message, sizeof(reply.message) - 1);
        p->done(&work->request, &reply, work->memfd, p->userdata);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        Worker *w = userdata;

        (void) s;
        (void) usec;

        w->stuck = true;
        answer(w->pool, w->work, JOB_TIMED_OUT, "the device does not answer");

        /* it no longer counts: another may be started for what is queued */
        pool_dispatch(w->pool);
        return 0;
}

static int worker_begin(Worker *w, Work *work) {
        union {
                struct cmsghdr header;
                char buf[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { .iov_base = &work->request, .iov_len = job_request_size(&work->request) };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        uint64_t timeout_usec = work->request.timeout_usec ?: w->pool->config.timeout_usec;
        int r;

        if (work->memfd >= 0) {
                struct cmsghdr *c;

                m.msg_control = &control;
                m.msg_controllen = sizeof(control);
                c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &work->memfd, sizeof(int));
        }

        if (sendmsg(w->fd, &m, MSG_NOSIGNAL) < 0)
                return -errno;

        if (w->timer) {
                r = sd_event_source_set_time_relative(w->timer, timeout_usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time_relative(w->pool->event, &w->timer, CLOCK_MONOTONIC, timeout_usec, 0,
                                               on_timeout, w);

        /* The job is under way now: without a timer it is only not bounded, and that is no reason
         * to say that it failed. */
        (void) r;
        w->work = work;
        w->used = true;
        (void) str_copy(w->disk, sizeof(w->disk), work->request.disk.name);
        return 0;
}

/* Not told by whom they were submitted: a caller need not stand an answer in the middle of a call. */
static int on_failed(sd_event_source *s, void *userdata) {
        WorkerPool *p = userdata;

        (void) s;

        while (p->failed) {
                Work *work = p->failed;

                p->failed = work->next;
                answer(p, work, JOB_DIED, "no worker process could be started");
                work_free(work);
        }

        return 0;
}

/* Hands out what is queued to workers that are idle or can be started. */
static void pool_dispatch(WorkerPool *p) {
        while (p->queue) {
                Worker *w = NULL;
                unsigned n_busy = 0;
                Work *work = p->queue;
                const char *disk = work->request.disk.name;
                bool throwaway = work->request.kind == JOB_CTL;
                bool unused = work->request.kind == JOB_PROBE; /* its answer is one for all disks, not for its own */
                int r;

                for (Worker *i = p->workers; i; i = i->next)
                        if (i->work)
                                n_busy += !i->stuck;
                        else if (!throwaway && !(unused && i->used) && !(w && str_equal(w->disk, disk)))
                                w = i;

                if (!w && n_busy >= p->config.n_max)
                        return;

                p->queue = work->next;
                if (!p->queue)
                        p->queue_tail = &p->queue;
                work->next = NULL;

                r = w ? 0 : worker_spawn(p, &w);
                if (r >= 0)
                        r = worker_begin(w, work);
                if (r < 0) {
                        if (w && !w->work)
                                worker_free(w);
                        work->next = p->failed;
                        p->failed = work;
                        (void) sd_event_source_set_enabled(p->failed_source, SD_EVENT_ONESHOT);
                }
        }
}

/* Lets idle workers go but so many that have had no job. Returns how many it keeps. */
static unsigned pool_trim(WorkerPool *p, unsigned n) {
        unsigned n_idle = 0;

        for (Worker *w = p->workers, *next; w; w = next) {
                next = w->next;
                if (w->work)
                        continue;
                if (n_idle < n && !w->used)
                        n_idle++;
                else
                        worker_free(w);
        }

        return n_idle;
}

static bool pool_is_working(const WorkerPool *p) {
        for (const Worker *w = p->workers; w; w = w->next)
                if (w->work)
                        return true;

        return p->queue != NULL;
}

/*
 * There has been no job for a while. What a worker has needed for its jobs it keeps, which is more than half as much
 * again as it began with. So those that rest are new ones: they wait until there is something to do, as those that were
 * there at the start. And what a burst of events needed in the daemon itself lies between what it has left, and is
 * given back page by page.
 */
static int on_rest(sd_event_source *s, uint64_t usec, void *userdata) {
        WorkerPool *p = userdata;
        Worker *w;

        (void) s;
        (void) usec;

        /* one that cannot be started now is when there is a job */
        for (unsigned n = pool_trim(p, p->config.n_resting); n < p->config.n_resting; n++)
                if (worker_spawn(p, &w) < 0)
                        break;

        if (!pool_is_working(p)) {
                free(p->reply);
                p->reply = NULL;
        }

        (void) malloc_trim(0);
        return 0;
}

/*
 * Between jobs all workers stay: where one was needed the next job is not far, and to start a process takes longer than
 * an attach. Without the timer too much stays for good, which does no harm.
 */
static void pool_settle(WorkerPool *p) {
        if (sd_event_source_set_time_relative(p->rest, p->config.rest_usec) >= 0)
                (void) sd_event_source_set_enabled(p->rest, SD_EVENT_ONESHOT);
}

static int on_reply(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Worker *w = userdata;
        WorkerPool *p = w->pool;
        JobReply *reply = p->reply;
        Work *work = w->work;
        ssize_t n;

        (void) s;
        (void) revents;

        n = recv(fd, reply, reply ? sizeof(*reply) : 0, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;

        w->work = NULL;
        if (w->timer)
                (void) sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);

        if (!work || n < (ssize_t) offsetof(JobReply, entries) || reply->protocol != JOB_PROTOCOL ||
            reply->id != work->request.id || !job_reply_is_sane(reply, (size_t) n)) {
                /* It died, or speaks nonsense: either way it is of no use any more. */
                worker_free(w);
                if (work)
                        answer(p, work, JOB_DIED, "its worker process ended without an answer");
        } else {
                w->stuck = false;

                /*
                 * A command may carry pointers that we know nothing of: the kernel wrote where they led. It
                 * was alone in its worker, and nothing is to be proven in there afterwards.
                 */
                if (work->request.kind == JOB_CTL)
                        worker_free(w);

                p->done(&work->request, reply, work->memfd, p->userdata);
        }

        work_free(work);
        pool_dispatch(p);
        pool_settle(p);
        return 0;
}

/**
 * worker_pool_new() - start the warm workers
 * @event: the loop that replies arrive in
 * @config: copied
 * @done: called for each job that was submitted
 * @userdata: for @done
 * @ret: the pool, owned by the caller; it reaps its children through SIGCHLD being ignored, which
 *       the caller sees to
 *
 * Return: 0, or a negative errno: no process can be started.
 */
int worker_pool_new(sd_event *event, const WorkerPoolConfig *config, WorkerDone done, void *userdata,
                    WorkerPool **ret) {
        WorkerPool *p;
        int r;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;

        p->event = sd_event_ref(event);
        p->config = *config;
        p->executable = strdup(config->executable);
        p->done = done;
        p->userdata = userdata;
        p->queue_tail = &p->queue;

        if (!p->executable) {
                worker_pool_free(p);
                return -ENOMEM;
        }

        r = sd_event_add_defer(event, &p->failed_source, on_failed, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->failed_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &p->rest, CLOCK_MONOTONIC, config->rest_usec, 0, on_rest, p);
        if (r < 0) {
                worker_pool_free(p);
                return r;
        }

        for (unsigned i = 0; i < config->n_warm; i++) {
                Worker *w;

                r = worker_spawn(p, &w);
                if (r < 0) {
                        worker_pool_free(p);
                        return r;
                }
        }

        *ret = p;
        return 0;
}

/**
 * worker_pool_free() - let all workers go
 * @p: the pool or NULL; consumed
 *
 * Jobs under way run to their end in their workers, which nobody hears then. Nothing is detached.
 *
 * Return: NULL.
 */
WorkerPool *worker_pool_free(WorkerPool *p) {
        if (!p)
                return NULL;

        while (p->workers)
                worker_free(p->workers);

        while (p->queue) {
                Work *next = p->queue->next;

                work_free(p->queue);
                p->queue = next;
        }

        while (p->failed) {
                Work *next = p->failed->next;

                work_free(p->failed);
                p->failed = next;
        }

        sd_event_source_disable_unref(p->failed_source);
        sd_event_source_disable_unref(p->rest);

        sd_event_unref(p->event);
        free(p->executable);
        free(p->reply);
        free(p);
        return NULL;
}

/**
 * worker_pool_submit() - have a job done
 * @p: the pool
 * @request: copied
 * @memfd: for JOB_CTL: consumed, on failure too; else -EBADF
 *
 * Jobs begin in the order in which they are submitted, and run beside each other: the caller
 * sees to it that there is one per disk.
 *
 * Return: 0: the callback will be called from the event loop; or -ENOMEM.
 */
int worker_pool_submit(WorkerPool *p, const JobRequest *request, int memfd) {
        Work *work = malloc(sizeof(*work));

        if (!p->reply)
                p->reply = malloc(sizeof(*p->reply));

        if (!work || !p->reply) {
                free(work);
                if (memfd >= 0)
                        close(memfd);
                return -ENOMEM;
        }

        *work = (Work) { .request = *request, .memfd = memfd };
        *p->queue_tail = work;
        p->queue_tail = &work->next;
        pool_dispatch(p);
        return 0;
}
