/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/bus/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SEC 120 /* of one case, on a slow machine */
#define SKIPPED 77    /* as meson knows it */

/* What the system bus says by default, our own file, and what polkit's would say. */
static const char config[] =
        "<busconfig>\n"
        "<type>system</type>\n"
        "<auth>EXTERNAL</auth>\n"
        "<listen>%s</listen>\n"
        "<policy context=\"default\">\n"
        "<allow user=\"*\"/>\n"
        "<deny own=\"*\"/>\n"
        "<deny send_type=\"method_call\"/>\n"
        "<allow send_type=\"signal\"/>\n"
        "<allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
        "<allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
        "<allow receive_type=\"method_call\"/>\n"
        "<allow receive_type=\"method_return\"/>\n"
        "<allow receive_type=\"error\"/>\n"
        "<allow receive_type=\"signal\"/>\n"
        "<allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus\"/>\n"
        "</policy>\n"
        "<policy user=\"root\">\n"
        "<allow own=\"org.freedesktop.PolicyKit1\"/>\n"
        "<allow send_destination=\"org.freedesktop.PolicyKit1\"/>\n"
        "</policy>\n"
        "<include>%s/dbus/org.blkfilter1.conf</include>\n"
        "</busconfig>\n";

/**
 * fixture_main() - run the cases of a test program, or the one that is named
 * @argc: of main()
 * @argv: of main()
 * @names: @n elements
 * @cases: @n elements
 * @n: how many
 *
 * Return: the program's exit status; 77 where the caller is not root.
 */
int fixture_main(int argc, char *argv[], const char *const *names, void (*const *cases)(void), size_t n) {
        size_t n_run = 0;

        if (getuid() != 0) {
                (void) fprintf(stderr, "this test changes users: run it as root\n");
                return SKIPPED;
        }

        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        (void) umask(0022);

        for (size_t i = 0; i < n; i++)
                if (argc < 2 || strcmp(argv[1], names[i]) == 0) {
                        (void) printf("%s\n", names[i]);
                        (void) alarm(LIMIT_SEC);
                        cases[i]();
                        n_run++;
                }

        return n_run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void answer_polkit(sd_bus_message *m, bool authorized, bool challenge) {
        assert(sd_bus_reply_method_return(m, "(bba{ss})", authorized, challenge, 1, "polkit.made-up", "1") >= 0);
}

static void read_details(Fixture *f, sd_bus_message *m) {
        const char *key, *value;

        f->details[0] = 0;
        assert(sd_bus_message_enter_container(m, 'a', "{ss}") >= 0);
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0) {
                strcat(strcat(f->details, key), "=");
                strcat(strcat(f->details, value), ";");
        }
        assert(sd_bus_message_exit_container(m) >= 0);
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *kind, *name, *subject, *action, *cancellation;
        Fixture *f = userdata;

        f->n_questions++;
        assert(sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &name, "s", &subject, &action) >= 0);
        assert(strcmp(kind, "system-bus-name") == 0 && strcmp(name, "name") == 0);
        read_details(f, m);
        assert(sd_bus_message_read(m, "us", &f->flags, &cancellation) >= 0);

        assert(strcmp(cancellation, f->cancellation) != 0 && cancellation[0]);
        strcpy(f->subject, subject);
        strcpy(f->action, action);
        strcpy(f->cancellation, cancellation);

        if (f->on_question)
                f->on_question(f);

        switch (f->polkit) {
        case MOCK_POLKIT_ERROR:
                return sd_bus_error_set(error, "org.freedesktop.PolicyKit1.Error.Failed", "made up");
        case MOCK_POLKIT_NONSENSE:
                assert(sd_bus_reply_method_return(m, "s", "yes") >= 0);
                break;
        case MOCK_POLKIT_HOLD:
                assert(f->n_held < sizeof(f->held) / sizeof(f->held[0]));
                f->held[f->n_held++] = sd_bus_message_ref(m);
                break;
        default:
                answer_polkit(m, f->polkit == MOCK_POLKIT_YES, f->polkit == MOCK_POLKIT_CHALLENGE);
        }

        return 1;
}

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *cancellation;
        Fixture *f = userdata;

        (void) error;

        assert(sd_bus_message_read(m, "s", &cancellation) >= 0);
        if (strcmp(cancellation, f->cancellation) == 0)
                f->n_cancelled++;
        return sd_bus_reply_method_return(m, NULL);
}

/* No vtable: that would not let a wrong answer out. */
static int on_authority(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization"))
                return method_check(m, userdata, error);
        if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CancelCheckAuthorization"))
                return method_cancel(m, userdata, error);

        return 0;
}

/**
 * fixture_polkit_release() - answer all questions that are held
 * @f: the fixture
 * @authorized: the answer
 */
void fixture_polkit_release(Fixture *f, bool authorized) {
        for (size_t i = 0; i < f->n_held; i++) {
                answer_polkit(f->held[i], authorized, false);
                sd_bus_message_unref(f->held[i]);
        }
        f->n_held = 0;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;

        (void) error;

        assert(f->n_signals < sizeof(f->signals) / sizeof(f->signals[0]));
        f->signals[f->n_signals++] = sd_bus_message_ref(m);
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old, *new;
        Fixture *f = userdata;

        (void) error;

        assert(sd_bus_message_read(m, "sss", &name, &old, &new) >= 0);
        f->has_name = new[0] != 0;
        return 0;
}

static sd_bus *bus_open(const char *address) {
        sd_bus *bus;

        assert(sd_bus_new(&bus) >= 0);
        assert(sd_bus_set_address(bus, address) >= 0);
        assert(sd_bus_set_bus_client(bus, true) >= 0);
        assert(sd_bus_start(bus) >= 0);
        return bus;
}

/**
 * fixture_start_bus() - start the bus and wait until it listens
 * @f: the fixture
 */
void fixture_start_bus(Fixture *f) {
        char path[64], ready[1];
        int fds[2];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/bus.conf", f->dir);
        file = fopen(path, "we");
        assert(file);
        (void) fprintf(file, config, f->address, SOURCE_ROOT);
        assert(fclose(file) == 0);

        assert(pipe2(fds, O_CLOEXEC) == 0);
        f->daemon = fork();
        assert(f->daemon >= 0);
        if (f->daemon == 0) {
                char option[80], print[32];

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) snprintf(option, sizeof(option), "--config-file=%s", path);
                (void) snprintf(print, sizeof(print), "--print-address=%d", dup(fds[1]));
                execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", option, print, NULL);
                _exit(EXIT_FAILURE);
        }

        (void) close(fds[1]);
        assert(read(fds[0], ready, 1) == 1); /* fails where dbus-daemon is not installed */
        (void) close(fds[0]);
}

/**
 * fixture_stop_bus() - end the bus: all connections are lost
 * @f: the fixture
 */
void fixture_stop_bus(Fixture *f) {
        assert(kill(f->daemon, SIGKILL) == 0);
        assert(waitpid(f->daemon, NULL, 0) == f->daemon);
        f->daemon = 0;
        f->has_name = false;
}

/**
 * fixture_watch() - connect the watcher, as polkit if wanted, and wait for the daemon's name
 * @f: the fixture
 * @with_polkit: there is polkit on the bus
 */
void fixture_watch(Fixture *f, bool with_polkit) {
        int r;

        f->watcher = bus_open(f->address);
        assert(sd_bus_match_signal(f->watcher, NULL, BLKFILTER_BUS_NAME, NULL, NULL, NULL, on_signal, f) >= 0);
        assert(sd_bus_add_match(f->watcher, NULL, "type='signal',sender='org.freedesktop.DBus',"
                                "member='NameOwnerChanged',arg0='org.blkfilter1'", on_owner, f) >= 0);

        if (with_polkit) {
                assert(sd_bus_add_object(f->watcher, NULL, "/org/freedesktop/PolicyKit1/Authority", on_authority,
                                         f) >= 0);
                assert(sd_bus_request_name(f->watcher, "org.freedesktop.PolicyKit1", 0) >= 0);
        }

        r = sd_bus_get_name_creds(f->watcher, BLKFILTER_BUS_NAME, 0, NULL);
        assert(r >= 0 || r == -ENXIO);
        f->has_name = r >= 0;

        assert(sd_bus_attach_event(f->watcher, f->event, 0) >= 0);
        UNTIL(f, f->has_name);
}

/**
 * fixture_unwatch() - disconnect the watcher
 * @f: the fixture
 */
void fixture_unwatch(Fixture *f) {
        for (size_t i = 0; i < f->n_held; i++)
                sd_bus_message_unref(f->held[i]);
        for (size_t i = 0; i < f->n_signals; i++)
                sd_bus_message_unref(f->signals[i]);
        f->n_held = f->n_signals = 0;
        f->watcher = sd_bus_close_unref(f->watcher);
}

/**
 * fixture_init() - a bus with the daemon's D-Bus side on it
 * @f: the fixture, to be deinitialised
 * @flags: FIXTURE_*
 */
void fixture_init(Fixture *f, unsigned flags) {
        BusConfig bus_config = { .without_polkit = flags & FIXTURE_NEVER_ASK_POLKIT };

        *f = (Fixture) { .dir = "/tmp/blkfilter-bus-XXXXXX" };
        assert(mkdtemp(f->dir));
        assert(chmod(f->dir, 0755) == 0);
        (void) snprintf(f->address, sizeof(f->address), "unix:path=%s/bus", f->dir);

        assert(sd_event_new(&f->event) >= 0);
        f->manager = mock_manager_new();
        bus_config.address = f->address;
        assert(bus_new(f->event, f->manager, &bus_config, &f->bus) == 0);

        if (!(flags & FIXTURE_WITHOUT_BUS)) {
                fixture_start_bus(f);
                fixture_watch(f, !(flags & FIXTURE_WITHOUT_POLKIT));
        }
}

/**
 * fixture_deinit() - end all that fixture_init() began
 * @f: the fixture
 */
void fixture_deinit(Fixture *f) {
        char path[64];

        bus_free(f->bus);
        if (f->watcher)
                fixture_unwatch(f);
        if (f->daemon > 0)
                fixture_stop_bus(f);
        mock_manager_free(f->manager);
        sd_event_unref(f->event);

        (void) snprintf(path, sizeof(path), "%s/bus.conf", f->dir);
        (void) unlink(path);
        (void) snprintf(path, sizeof(path), "%s/bus", f->dir);
        (void) unlink(path);
        assert(rmdir(f->dir) == 0);
}

/**
 * fixture_turn() - let what waits happen, or wait a moment for more
 * @f: the fixture
 */
void fixture_turn(Fixture *f) {
        assert(sd_event_run(f->event, 10000) >= 0);
}

/**
 * fixture_spawn() - begin a caller
 * @f: the fixture
 * @uid: who the caller is
 * @client: what it does; has a connection of its own, may wait for answers
 * @arg: for @client
 *
 * Return: its process id.
 */
pid_t fixture_spawn(Fixture *f, uid_t uid, Client client, void *arg) {
        pid_t pid = fork();
        sd_bus *bus;

        assert(pid >= 0);
        if (pid > 0)
                return pid;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        assert(setgroups(0, NULL) == 0);
        assert(setresgid(uid, uid, uid) == 0);
        assert(setresuid(uid, uid, uid) == 0);
        (void) alarm(LIMIT_SEC);

        bus = bus_open(f->address);
        client(bus, arg);
        sd_bus_flush_close_unref(bus);
        _exit(EXIT_SUCCESS);
}

/* Only to wake the loop. */
static int on_exit_of_client(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        (void) s, (void) fd, (void) events, (void) userdata;
        return 0;
}

/**
 * fixture_join() - turn the event loop until a caller is done, and demand that it saw what it should
 * @f: the fixture
 * @pid: of fixture_spawn()
 */
void fixture_join(Fixture *f, pid_t pid) {
        sd_event_source *source;
        int fd, status;
        pid_t r;

        fd = (int) syscall(SYS_pidfd_open, pid, 0);
        assert(fd >= 0);
        assert(sd_event_add_io(f->event, &source, fd, EPOLLIN, on_exit_of_client, NULL) >= 0);

        while ((r = waitpid(pid, &status, WNOHANG)) == 0)
                fixture_turn(f);

        sd_event_source_disable_unref(source);
        (void) close(fd);
        assert(r == pid);
        assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

/**
 * fixture_kill() - end a caller in the middle of what it does
 * @pid: of fixture_spawn()
 */
void fixture_kill(pid_t pid) {
        assert(kill(pid, SIGKILL) == 0);
        assert(waitpid(pid, NULL, 0) == pid);
}

/**
 * fixture_client() - fixture_spawn() and fixture_join()
 * @f: the fixture
 * @uid: who the caller is
 * @client: what it does
 * @arg: for @client
 */
void fixture_client(Fixture *f, uid_t uid, Client client, void *arg) {
        fixture_join(f, fixture_spawn(f, uid, client, arg));
}

/**
 * client_call() - a call to the daemon, for arguments to be appended
 * @bus: the caller's connection
 * @path: the object
 * @interface: of @member
 * @member: the method
 *
 * Return: the message; consumed by client_expect_error() and client_expect_reply().
 */
sd_bus_message *client_call(sd_bus *bus, const char *path, const char *interface, const char *member) {
        sd_bus_message *m;

        assert(sd_bus_message_new_method_call(bus, &m, BLKFILTER_BUS_NAME, path, interface, member) >= 0);
        return m;
}

/**
 * client_expect_error() - demand that a call is refused
 * @bus: the caller's connection
 * @call: consumed
 * @name: of the error
 * @part: words in its message; NULL: any message but none
 */
void client_expect_error(sd_bus *bus, sd_bus_message *call, const char *name, const char *part) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call(bus, call, 0, &error, &reply);
        if (r >= 0 || strcmp(error.name, name) != 0 || !error.message || !error.message[0] ||
            (part && !strstr(error.message, part))) {
                (void) fprintf(stderr, "%s: expected %s (%s), got %s (%s)\n", sd_bus_message_get_member(call), name,
                               part ?: "", r >= 0 ? "a reply" : error.name, r >= 0 ? "" : error.message);
                _exit(EXIT_FAILURE);
        }

        sd_bus_error_free(&error);
        sd_bus_message_unref(call);
}

/**
 * client_expect_reply() - demand that a call succeeds
 * @bus: the caller's connection
 * @call: consumed
 * @signature: of the reply
 *
 * Return: the reply, owned by the caller.
 */
sd_bus_message *client_expect_reply(sd_bus *bus, sd_bus_message *call, const char *signature) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;

        if (sd_bus_call(bus, call, 0, &error, &reply) < 0 || !sd_bus_message_has_signature(reply, signature)) {
                (void) fprintf(stderr, "%s: expected a reply (%s), got %s (%s)\n", sd_bus_message_get_member(call),
                               signature, error.name ?: "a reply",
                               error.message ?: sd_bus_message_get_signature(reply, 1));
                _exit(EXIT_FAILURE);
        }

        sd_bus_message_unref(call);
        return reply;
}
