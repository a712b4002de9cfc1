/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pool with real worker processes: how many are kept, and what becomes of the jobs of one that dies. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/worker-pool.h"

#include "tests/check.h"

#define LIMIT_USEC UINT64_C(20000000)
#define SLICE_USEC UINT64_C(10000)
#define CHILDREN_MAX 32
#define CHILDREN_SIZE 1024

typedef struct Fixture {
        sd_event *event;
        WorkerPool *pool;
        unsigned n_done;
        JobOutcome last;
} Fixture;

static uint64_t now_usec(void) {
        struct timespec t;

        CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void read_children(char ret[static CHILDREN_SIZE]) {
        char path[64];
        ssize_t size;
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int) getpid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        size = read(fd, ret, CHILDREN_SIZE - 1);
        CHECK(size >= 0);
        close(fd);
        ret[size] = 0;
}

/* The worker processes, as the kernel knows them. Where one ends while its list is read, the kernel leaves others out
 * that live (see proc(5)): it is read until it is the same twice. */
static unsigned children(pid_t ret[static CHILDREN_MAX]) {
        char text[CHILDREN_SIZE], again[CHILDREN_SIZE];
        unsigned n = 0;

        read_children(again);
        do {
                memcpy(text, again, sizeof(text));
                read_children(again);
        } while (strcmp(text, again) != 0);

        for (char *p = strtok(text, " "); p; p = strtok(NULL, " ")) {
                CHECK(n < CHILDREN_MAX);
                ret[n++] = (pid_t) strtol(p, NULL, 10);
        }

        return n;
}

static unsigned n_children(void) {
        pid_t pids[CHILDREN_MAX];

        return children(pids);
}

static void on_done(const JobRequest *request, const JobReply *reply, int memfd, void *userdata) {
        Fixture *f = userdata;

        CHECK(reply->id == request->id && memfd < 0);
        f->n_done++;
        f->last = reply->outcome;
}

static void submit_kind(Fixture *f, JobKind kind, uint64_t id) {
        const JobRequest request = {
                .protocol = JOB_PROTOCOL,
                .kind = kind,
                .id = id,
                .disk = { .name = "there-is-no-such-disk", .major = 1, .minor = 1 },
        };

        CHECK(worker_pool_submit(f->pool, &request, -EBADF) == 0);
}

static void submit(Fixture *f, uint64_t id) {
        submit_kind(f, JOB_SCAN, id);
}

static void wait_done(Fixture *f, unsigned n) {
        uint64_t until = now_usec() + LIMIT_USEC;

        while (f->n_done < n) {
                CHECK(now_usec() < until);
                CHECK(sd_event_run(f->event, SLICE_USEC) >= 0);
        }
}

static void wait_children(Fixture *f, unsigned n) {
        uint64_t until = now_usec() + LIMIT_USEC;

        while (n_children() != n) {
                CHECK(now_usec() < until);
                CHECK(sd_event_run(f->event, SLICE_USEC) >= 0);
        }
}

static void setup(Fixture *f, const WorkerPoolConfig *config) {
        *f = (Fixture) { 0 };
        CHECK(sd_event_new(&f->event) >= 0);
        CHECK(worker_pool_new(f->event, config, on_done, f, &f->pool) == 0);
}

static void teardown(Fixture *f) {
        f->pool = worker_pool_free(f->pool);
        wait_children(f, 0); /* they end when nobody is left to ask them */
        sd_event_unref(f->event);
}

/* All that are warm stay for a while, one when it is over, which has had no job; jobs go on meanwhile and after. */
static void test_rest(const char *worker) {
        const WorkerPoolConfig config = {
                .executable = worker, .timeout_usec = LIMIT_USEC, .n_warm = 3, .n_resting = 1, .rest_usec = 200000,
                .n_max = 4,
        };
        pid_t used[CHILDREN_MAX], last[CHILDREN_MAX];
        Fixture f;

        setup(&f, &config);
        CHECK(n_children() == 3);
        wait_children(&f, 1);

        for (unsigned i = 1; i <= 8; i++)
                submit(&f, i);
        CHECK(children(used) == 4);
        wait_done(&f, 8);
        CHECK(f.last == JOB_GONE);
        wait_children(&f, 1);
        CHECK(children(last) == 1);
        for (unsigned i = 0; i < 4; i++)
                CHECK(last[0] != used[i]);

        submit(&f, 9);
        CHECK(n_children() == 1);
        wait_done(&f, 9);
        teardown(&f);
}

/* No timer takes away what is wanted. */
static void test_no_rest(const char *worker) {
        const WorkerPoolConfig config = {
                .executable = worker, .timeout_usec = LIMIT_USEC, .n_warm = 2, .n_resting = 2, .rest_usec = 1000,
                .n_max = 4,
        };
        Fixture f;

        setup(&f, &config);
        for (unsigned i = 1; i <= 20; i++) {
                submit(&f, i);
                wait_done(&f, i);
                CHECK(sd_event_run(f.event, SLICE_USEC) >= 0);
                CHECK(n_children() >= 2);
                wait_children(&f, 2);
        }
        teardown(&f);
}

/* The job of a worker that dies is answered, and the next one has another worker. */
static void test_death(const char *worker) {
        const WorkerPoolConfig config = {
                .executable = worker, .timeout_usec = LIMIT_USEC, .n_warm = 1, .n_resting = 1, .rest_usec = 1000,
                .n_max = 1,
        };
        pid_t pids[CHILDREN_MAX];
        Fixture f;

        setup(&f, &config);
        CHECK(children(pids) == 1);
        CHECK(kill(pids[0], SIGSTOP) == 0);
        submit(&f, 1);
        submit(&f, 2);
        CHECK(kill(pids[0], SIGKILL) == 0);
        wait_done(&f, 1);
        CHECK(f.last == JOB_DIED);
        wait_done(&f, 2);
        CHECK(f.last == JOB_GONE);
        teardown(&f);
}

/* Which interface the kernel has is not asked by a worker that has read a disk. */
static void test_probe(const char *worker) {
        const WorkerPoolConfig config = {
                .executable = worker, .timeout_usec = LIMIT_USEC, .n_warm = 1, .n_resting = 1, .rest_usec = 1000,
                .n_max = 2,
        };
        pid_t before[CHILDREN_MAX], after[CHILDREN_MAX];
        Fixture f;

        setup(&f, &config);
        CHECK(children(before) == 1);
        submit_kind(&f, JOB_PROBE, 1);
        CHECK(children(after) == 1 && after[0] == before[0]);
        wait_done(&f, 1);

        submit_kind(&f, JOB_PROBE, 2);
        CHECK(children(after) == 2);
        wait_done(&f, 2);
        CHECK(f.last == JOB_GONE);
        wait_children(&f, 1);
        teardown(&f);
}

int main(int argc, char *argv[]) {
        const char *worker = argv[1];

        CHECK(argc == 2);
        CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR); /* as the daemon */

        test_rest(worker);
        test_no_rest(worker);
        test_death(worker);
        test_probe(worker);
        return EXIT_SUCCESS;
}
