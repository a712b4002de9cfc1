/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events of udev that wait at the daemon's socket: each is answered when its device is decided, or in time. */

#undef NDEBUG

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/wait-message.h"
#include "daemon/wait-socket.h"
#include "tests/fake-outside.h"

/* No machine stands still for so long: who waits is let go because of what happens, not because time goes by. */
#define LONG_USEC UINT64_C(600000000)

static sd_event *event;
static char path[64];
static unsigned n_tells;

/* udev's database: what is there, as the event of that number. */
static void on_early(const char *devpath, uint64_t seqnum, uint64_t diskseq, void *userdata) {
        Fake *f = userdata;

        (void) diskseq;

        n_tells++;
        for (size_t i = 0; i < f->n_devices; i++) {
                DeviceEvent e = f->devices[i];

                if (!str_equal(e.name, strrchr(devpath, '/') + 1))
                        continue;
                e.source = EVENT_UDEV;
                e.action = EVENT_CHANGE;
                e.early = true;
                e.seqnum = seqnum;
                manager_device(f->manager, &e);
        }
        manager_told(f->manager);
}

static int on_something(sd_event_source *s, void *userdata) {
        (void) s;
        (void) userdata;
        return 0;
}

/* All that is at hand. */
static void loop(void) {
        sd_event_source *s;
        int r;

        CHECK(sd_event_add_defer(event, &s, on_something, NULL) >= 0);
        while ((r = sd_event_run(event, 0)) > 0)
                ;
        CHECK(r == 0);
        sd_event_source_disable_unref(s);
}

static int reach(void) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        CHECK(fd >= 0 && str_copy(a.sun_path, sizeof(a.sun_path), path));
        CHECK(connect(fd, (struct sockaddr *) &a, sizeof(a)) == 0);
        return fd;
}

static WaitQuestion question_of(const char *devpath, uint64_t seqnum) {
        WaitQuestion q = { .protocol = WAIT_PROTOCOL, .kind = devpath ? WAIT_DEVICE : WAIT_ALL,
                           .limit_usec = LONG_USEC, .seqnum = seqnum };

        (void) str_copy(q.devpath, sizeof(q.devpath), devpath ?: "");
        return q;
}

static int ask_of(const WaitQuestion *q, size_t size) {
        int fd = reach();

        CHECK(send(fd, q, size, MSG_NOSIGNAL) == (ssize_t) size);
        loop();
        return fd;
}

/* What has been answered: an outcome; 0: nothing yet; -1: the connection is closed. */
static int answer_with(int fd, uint64_t *ret_limit_usec) {
        WaitAnswer a;
        ssize_t n = recv(fd, &a, sizeof(a), MSG_DONTWAIT);

        if (n <= 0)
                return n == 0 ? -1 : 0;
        CHECK(n == (ssize_t) sizeof(a) && a.protocol == WAIT_PROTOCOL);
        *ret_limit_usec = a.limit_usec;
        return (int) a.outcome;
}

static int answer_of(int fd) {
        uint64_t limit_usec;

        return answer_with(fd, &limit_usec);
}

/* The kernel tells something of a device: what udev said of it is of the past. */
static void tell_of_change(Fake *f, const char *name) {
        for (size_t i = 0; i < f->n_devices; i++) {
                DeviceEvent e = f->devices[i];

                if (!str_equal(e.name, name))
                        continue;
                e.source = EVENT_KERNEL;
                e.action = EVENT_CHANGE;
                e.has_entry = e.processed = e.settled = false;
                e.seqnum = ++f->last_seq;
                manager_device(f->manager, &e);
        }
        manager_told(f->manager);
        fake_run(f);
}

static void check_bad(const WaitQuestion *q, size_t size) {
        int fd = ask_of(q, size);

        CHECK(answer_of(fd) == -1);
        close(fd);
}

static void test_bad_questions(void) {
        WaitQuestion q = question_of("/devices/x/sda1", 1);

        check_bad(&q, sizeof(q) - 1);
        check_bad(&q, 1);
        q.protocol++;
        check_bad(&q, sizeof(q));
        q = question_of("/devices/x/sda1", 1);
        q.kind = 3;
        check_bad(&q, sizeof(q));
        q = question_of("/devices/x/sda1", 1);
        q.limit_usec = UINT64_MAX;
        check_bad(&q, sizeof(q));
        q = question_of("/class/block/sda1", 1);
        check_bad(&q, sizeof(q));
        q = question_of("/devices/../sda1", 1);
        check_bad(&q, sizeof(q));
        q = question_of("/devices/x/", 1);
        check_bad(&q, sizeof(q));
        q = question_of("/devices/x/a-name-that-is-longer-than-any-that-a-block-device-of-the-kernel-has-had-to-now",
                        1);
        check_bad(&q, sizeof(q));
        q = question_of("/devices/x/sda1", 1);
        memset(q.devpath, 'a', sizeof(q.devpath));
        memcpy(q.devpath, "/devices/", 9);
        check_bad(&q, sizeof(q));
}

int main(void) {
        WaitSocketConfig config = { .path = path, .tell = on_early };
        WaitQuestion q;
        WaitSocket *s;
        struct stat st;
        int fd, all, outcome;
        uint64_t limit_usec;
        unsigned n;
        Fake f;

        CHECK(sd_event_new(&event) >= 0);
        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_begin_manager(&f);
        config.manager = f.manager;
        config.userdata = &f;

        /* one of a daemon that was killed is no hindrance; nobody else can reach it */
        (void) snprintf(path, sizeof(path), "%s/.wait", f.folder);
        CHECK(mknod(path, S_IFREG | 0600, 0) == 0);
        CHECK(wait_socket_new(event, &config, &s) == 0);
        CHECK(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0600);
        test_bad_questions();
        CHECK(n_tells == 0);

        /* the first look has not been made; then it is known what is wanted, then a job is under way */
        q = question_of("/devices/x/block/sda/sda1", 7);
        fd = ask_of(&q, sizeof(q));
        CHECK(answer_of(fd) == WAIT_BEGUN && answer_of(fd) == 0 && n_tells == 1);
        q = question_of(NULL, 0);
        all = ask_of(&q, sizeof(q));
        CHECK(answer_of(all) == WAIT_BEGUN && answer_of(all) == 0);
        fake_run(&f);
        loop();
        CHECK(f.n_jobs == 1 && answer_of(fd) == 0 && answer_of(all) == 0);

        /* who goes away is forgotten; who says more is wrong */
        close(reach());
        loop();
        q = question_of("/devices/x/block/sda/sda1", 7);
        close(ask_of(&q, sizeof(q)));
        loop();
        CHECK(send(all, &q, sizeof(q), MSG_NOSIGNAL) == (ssize_t) sizeof(q));
        loop();
        CHECK(answer_of(all) == -1);
        close(all);

        /* one that is nobody's is let go although others wait */
        q = question_of("/devices/x/block/sda/sda2", 8);
        all = ask_of(&q, sizeof(q));
        while (f.n_jobs > 0 && f.jobs[0].kind != JOB_ATTACH)
                fake_answer(&f, JOB_OK);
        loop();
        CHECK(answer_of(all) == WAIT_BEGUN && answer_of(all) == WAIT_DONE && answer_of(all) == -1);
        CHECK(answer_of(fd) == 0);
        close(all);

        /* its filter is on */
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device);
        loop();
        CHECK(answer_of(fd) == WAIT_DONE && answer_of(fd) == -1);
        close(fd);

        /* one that is not there, or came later, is not waited for; nor is anything that has been decided */
        q = question_of("/devices/x/block/sdx", 9);
        fd = ask_of(&q, sizeof(q));
        CHECK(answer_of(fd) == WAIT_BEGUN && answer_of(fd) == WAIT_DONE);
        close(fd);
        fake_reread(&f, "sda1");
        q = question_of("/devices/x/block/sda/sda1", 1);
        fd = ask_of(&q, sizeof(q));
        CHECK(answer_of(fd) == WAIT_BEGUN);
        fake_run(&f);

        /* nothing answers */
        q.seqnum = f.last_seq;
        all = ask_of(&q, sizeof(q));
        CHECK(answer_of(fd) == WAIT_DONE && answer_of(all) == WAIT_BEGUN && answer_of(all) == 0);
        n = n_tells;
        tell_of_change(&f, "sda1");
        loop();
        CHECK(n_tells == n + 1 && answer_of(all) == 0);
        close(fd);

        /* for one of two the limit is over */
        q.limit_usec = 50000;
        fd = ask_of(&q, sizeof(q));
        CHECK(answer_with(fd, &limit_usec) == WAIT_BEGUN && limit_usec == 50000);
        while ((outcome = answer_of(fd)) == 0)
                CHECK(sd_event_run(event, UINT64_MAX) >= 0);
        CHECK(outcome == WAIT_TIMED_OUT && answer_of(fd) == -1 && answer_of(all) == 0);
        close(fd);

        /* where none is given, the settings' */
        q.limit_usec = 0;
        fd = ask_of(&q, sizeof(q));
        CHECK(answer_with(fd, &limit_usec) == WAIT_BEGUN && limit_usec == manager_get_wait_usec(f.manager));
        close(fd);
        loop();

        /* a daemon that ends lets go */
        wait_socket_free(s);
        CHECK(answer_of(all) == -1 && access(path, F_OK) < 0);
        close(all);

        sd_event_unref(event);
        fake_deinit(&f);
        return EXIT_SUCCESS;
}
