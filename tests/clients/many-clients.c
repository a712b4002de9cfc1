/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * many-clients CLIENTS CALLS DEVICE IDENTITY: that many processes, each with a connection of its own to the system bus,
 * make that many calls of the daemon each, a few at a time: questions, and changes that the caller, who is not root, is
 * refused. DEVICE may come and go meanwhile; IDENTITY is its "PARTUUID=...".
 *
 * Each reply is counted by the cookie of its call: exactly one, a return where one may come, else an error of a name
 * that belongs to the call. Says what came how often. Exit status 1 after a sentence if something else happened.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "blkfilter-names.h"

#define PENDING_MAX 4                     /* calls of a client that wait for their reply */
#define SILENCE_USEC UINT64_C(120000000)  /* a client that hears nothing for so long has not been answered */
#define CALLS_MAX 100000
#define NAMES_MAX 8
#define BFTRACK_CLEAR 2

#define ACCESS_DENIED SD_BUS_ERROR_ACCESS_DENIED
#define INTERACTIVE   SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
#define NO_DEVICE     BLKFILTER_ERROR_PREFIX "NoSuchDevice"
#define NO_ATTACHMENT BLKFILTER_ERROR_PREFIX "NoAttachment"
#define NO_IDENTITY   BLKFILTER_ERROR_PREFIX "NoIdentity"
#define AMBIGUOUS     BLKFILTER_ERROR_PREFIX "Ambiguous"
#define STALE         BLKFILTER_ERROR_PREFIX "Stale"
#define LIMIT         SD_BUS_ERROR_LIMITS_EXCEEDED
#define RAW_COMMAND   BLKFILTER_ERROR_PREFIX "RawCommand"

/* What is called, and what may come back. A device that is just away is no device, or one that nobody knows yet. */
static const struct {
        const char *what;
        const char *interface, *member;
        bool may_succeed;
        const char *errors[NAMES_MAX];
} calls[] = {
        { "GetAttachment of a device", BLKFILTER_INTERFACE_MANAGER, "GetAttachment", true,
          { NO_DEVICE, NO_ATTACHMENT } },
        { "GetAttachment of an identity", BLKFILTER_INTERFACE_MANAGER, "GetAttachment", true,
          { NO_DEVICE, NO_ATTACHMENT } },
        { "GetAttachment of nothing", BLKFILTER_INTERFACE_MANAGER, "GetAttachment", false, { NO_DEVICE } },
        { "ListAttachments", BLKFILTER_INTERFACE_MANAGER, "ListAttachments", true, { NULL } },
        { "ListAttachments with an option", BLKFILTER_INTERFACE_MANAGER, "ListAttachments", false,
          { SD_BUS_ERROR_INVALID_ARGS } },
        { "GetAll", "org.freedesktop.DBus.Properties", "GetAll", true, { NULL } },
        { "GetManagedObjects", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", true, { NULL } },
        { "Explain", BLKFILTER_INTERFACE_MANAGER, "Explain", true, { NO_DEVICE } },
        /* the daemon looks for the device before it asks whether the caller may, and again after it */
        { "Detach", BLKFILTER_INTERFACE_MANAGER, "Detach", false,
          { ACCESS_DENIED, INTERACTIVE, LIMIT, NO_DEVICE, NO_IDENTITY, STALE } },
        { "Ctl", BLKFILTER_INTERFACE_MANAGER, "Ctl", false,
          { ACCESS_DENIED, INTERACTIVE, LIMIT, NO_DEVICE, NO_IDENTITY, STALE } },
        /* not known, and so refused before anybody is asked */
        { "Ctl by a number", BLKFILTER_INTERFACE_MANAGER, "Ctl", false, { RAW_COMMAND } },
        { "Reload", BLKFILTER_INTERFACE_MANAGER, "Reload", false, { ACCESS_DENIED, INTERACTIVE, LIMIT } },
};

enum { GET_DEVICE, GET_IDENTITY, GET_NOTHING, LIST, LIST_OPTION, GET_ALL, OBJECTS, EXPLAIN, DETACH, CTL, CTL_NUMBER,
       RELOAD, N_CALLS };

static_assert(sizeof(calls) / sizeof(calls[0]) == N_CALLS, "a call is not described");

/* Of a hundred calls so many. What is refused asks polkit, which is slow and has its limits: it does not drown
 * the rest. */
static const unsigned char mix[N_CALLS] = {
        [GET_DEVICE] = 24, [GET_IDENTITY] = 12, [GET_NOTHING] = 6, [LIST] = 20, [LIST_OPTION] = 4, [GET_ALL] = 14,
        [OBJECTS] = 5, [EXPLAIN] = 8, [DETACH] = 2, [CTL] = 2, [CTL_NUMBER] = 1, [RELOAD] = 2,
};

/* What came, of all clients together; each client has its own, in memory that the parent sees. */
typedef struct Tally {
        uint64_t n_sent, n_answered;
        uint64_t n_returned[N_CALLS], n_errors[N_CALLS][NAMES_MAX];
} Tally;

typedef struct Client {
        sd_bus *bus;
        Tally *tally;
        unsigned number, n_calls;
        const char *device, *identity;
        unsigned n_pending;
        uint64_t first_cookie;           /* of the first call; 0: none yet */
        unsigned char sent[CALLS_MAX];   /* by cookie from the first one on: a call's kind + 1 */
        unsigned char got[CALLS_MAX];    /* likewise: replies */
} Client;

static void __attribute__((format(printf, 2, 3), noreturn)) fail(const Client *c, const char *format, ...) {
        va_list ap;

        (void) fprintf(stderr, "many-clients: client %u: ", c->number);
        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fprintf(stderr, "\n");
        _exit(EXIT_FAILURE);
}

static void check(const Client *c, int r, const char *what) {
        if (r < 0)
                fail(c, "%s: %s", what, strerror(-r));
}

static void take_reply(Client *c, sd_bus_message *m, size_t at) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        unsigned kind = c->sent[at] - 1U;
        size_t i = 0;

        if (c->got[at]++ > 0)
                fail(c, "call %zu, %s, has been answered twice", at, calls[kind].what);

        c->n_pending--;
        c->tally->n_answered++;

        if (!e) {
                if (!calls[kind].may_succeed)
                        fail(c, "%s has been done, but is not to be", calls[kind].what);
                c->tally->n_returned[kind]++;
                return;
        }

        while (i < NAMES_MAX && calls[kind].errors[i] && strcmp(calls[kind].errors[i], e->name) != 0)
                i++;
        if (i == NAMES_MAX || !calls[kind].errors[i])
                fail(c, "%s has been answered by %s, which does not belong to it: %s", calls[kind].what, e->name,
                     e->message ?: "");
        c->tally->n_errors[kind][i]++;
}

/* Sees every message: nobody else waits for replies, so none is taken out of sight. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Client *c = userdata;
        uint64_t cookie;

        (void) error;

        if (sd_bus_message_get_reply_cookie(m, &cookie) < 0)
                return 0;
        if (!c->first_cookie || cookie < c->first_cookie || cookie - c->first_cookie >= CALLS_MAX ||
            !c->sent[cookie - c->first_cookie])
                fail(c, "there came a reply to cookie %" PRIu64 ", which was not sent", cookie);

        take_reply(c, m, cookie - c->first_cookie);
        return 1;
}

static int append_arguments(const Client *c, unsigned kind, sd_bus_message *m) {
        switch (kind) {
        case GET_DEVICE:
        case EXPLAIN:
                return sd_bus_message_append(m, "s", c->device);
        case GET_IDENTITY:
                return sd_bus_message_append(m, "s", c->identity);
        case GET_NOTHING:
                return sd_bus_message_append(m, "s", "/dev/nonesuch");
        case LIST:
        case RELOAD:
                return sd_bus_message_append(m, "a{sv}", 0);
        case LIST_OPTION:
                return sd_bus_message_append(m, "a{sv}", 1, "nonsense", "b", 1);
        case GET_ALL:
                return sd_bus_message_append(m, "s", BLKFILTER_INTERFACE_MANAGER);
        case DETACH:
                return sd_bus_message_append(m, "ssa{sv}", c->device, "bftrack", 0);
        case CTL:
                return sd_bus_message_append(m, "ssuaya(uay)a{sv}", c->device, "bftrack", BFTRACK_CLEAR, 0, 0, 0);
        case CTL_NUMBER:
                return sd_bus_message_append(m, "ssuaya(uay)a{sv}", c->device, "bftrack", 77, 0, 0, 0);
        default:
                return 0;
        }
}

/* Spread over the run, and another order for each client. */
static unsigned kind_of(const Client *c, unsigned n) {
        unsigned at = (n * 37 + c->number * 11) % 100, kind = 0;

        while (at >= mix[kind])
                at -= mix[kind++];
        return kind;
}

static void send_one(Client *c, unsigned n) {
        unsigned kind = kind_of(c, n);
        sd_bus_message *m = NULL;
        uint64_t cookie = 0;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &m, BLKFILTER_BUS_NAME, BLKFILTER_OBJECT_ROOT, calls[kind].interface,
                                           calls[kind].member);
        if (r >= 0)
                r = append_arguments(c, kind, m);
        if (r >= 0)
                r = sd_bus_send(c->bus, m, &cookie);
        check(c, r, calls[kind].what);
        sd_bus_message_unref(m);

        if (!c->first_cookie)
                c->first_cookie = cookie;
        if (cookie - c->first_cookie >= CALLS_MAX || c->sent[cookie - c->first_cookie])
                fail(c, "cookie %" PRIu64 " is not a new one", cookie);
        c->sent[cookie - c->first_cookie] = (unsigned char) (kind + 1);
        c->tally->n_sent++;
        c->n_pending++;
}

static void run_client(Client *c) {
        int r;

        check(c, sd_bus_open_system(&c->bus), "the system bus");
        check(c, sd_bus_add_filter(c->bus, NULL, on_message, c), "filter");

        while (c->tally->n_sent < c->n_calls || c->n_pending > 0) {
                if (c->tally->n_sent < c->n_calls && c->n_pending < PENDING_MAX) {
                        send_one(c, (unsigned) c->tally->n_sent);
                        continue;
                }
                r = sd_bus_process(c->bus, NULL);
                check(c, r, "the bus");
                if (r > 0)
                        continue;
                r = sd_bus_wait(c->bus, SILENCE_USEC);
                check(c, r, "the bus");
                if (r == 0)
                        fail(c, "%u calls wait for a reply, and for a long time none has come", c->n_pending);
        }

        /* what was on its way when the last reply came: a call of the bus itself, behind which nothing is left */
        check(c, sd_bus_call_method(c->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                    "GetId", NULL, NULL, NULL), "the last call");
        while ((r = sd_bus_process(c->bus, NULL)) > 0)
                ;
        check(c, r, "the bus");
        sd_bus_flush_close_unref(c->bus);
}

static void say(const Tally *all) {
        for (unsigned kind = 0; kind < N_CALLS; kind++) {
                (void) printf("%s: %" PRIu64 " answered", calls[kind].what, all->n_returned[kind]);
                for (size_t i = 0; i < NAMES_MAX; i++)
                        if (all->n_errors[kind][i] > 0)
                                (void) printf(", %" PRIu64 " %s", all->n_errors[kind][i],
                                              strrchr(calls[kind].errors[i], '.') + 1);
                (void) printf("\n");
        }
}

int main(int argc, char *argv[]) {
        unsigned n_clients = argc == 5 ? (unsigned) strtoul(argv[1], NULL, 10) : 0, n_failed = 0;
        unsigned n_calls = argc == 5 ? (unsigned) strtoul(argv[2], NULL, 10) : 0;
        struct timespec begin, end;
        Tally *tallies, all = { 0 };
        double seconds;
        int status;

        if (n_clients == 0 || n_calls == 0 || n_calls > CALLS_MAX / 2) {
                (void) fprintf(stderr, "usage: many-clients CLIENTS CALLS DEVICE IDENTITY\n");
                return 2;
        }
        if (geteuid() == 0) {
                (void) fprintf(stderr, "many-clients: root is refused nothing; run this as another user.\n");
                return 2;
        }

        tallies = mmap(NULL, n_clients * sizeof(*tallies), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert(tallies != MAP_FAILED);
        (void) clock_gettime(CLOCK_MONOTONIC, &begin);

        for (unsigned i = 0; i < n_clients; i++) {
                pid_t pid = fork();

                assert(pid >= 0);
                if (pid == 0) {
                        Client *c = calloc(1, sizeof(*c));

                        assert(c);
                        *c = (Client) { .tally = &tallies[i], .number = i, .n_calls = n_calls,
                                        .device = argv[3], .identity = argv[4] };
                        run_client(c);
                        _exit(EXIT_SUCCESS);
                }
        }
        while (wait(&status) > 0)
                n_failed += status != 0;

        (void) clock_gettime(CLOCK_MONOTONIC, &end);
        seconds = (double) (end.tv_sec - begin.tv_sec) + (double) (end.tv_nsec - begin.tv_nsec) / 1e9;

        for (unsigned i = 0; i < n_clients; i++) {
                all.n_sent += tallies[i].n_sent;
                all.n_answered += tallies[i].n_answered;
                for (unsigned kind = 0; kind < N_CALLS; kind++) {
                        all.n_returned[kind] += tallies[i].n_returned[kind];
                        for (size_t k = 0; k < NAMES_MAX; k++)
                                all.n_errors[kind][k] += tallies[i].n_errors[kind][k];
                }
        }
        say(&all);
        (void) printf("%u clients: %" PRIu64 " calls, %" PRIu64 " answered, in %.1f s: %.0f a second\n", n_clients,
                      all.n_sent,
                      all.n_answered, seconds, (double) all.n_answered / seconds);

        if (n_failed == 0 && all.n_sent == (uint64_t) n_clients * n_calls && all.n_answered == all.n_sent)
                return 0;
        (void) fprintf(stderr, "many-clients: %u clients failed; %" PRIu64 " of %" PRIu64 " calls were answered.\n",
                               n_failed,
                       all.n_answered, (uint64_t) n_clients * n_calls);
        return 1;
}
