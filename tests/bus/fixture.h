/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A bus of its own, as strict as a system bus, with our policy file; on it the D-Bus side of the
 * daemon with a made-up manager, and a made-up polkit. Callers are processes of their own, each
 * of its own user: so what the bus says of them is true.
 */

#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "blkfilter-names.h"
#include "dbus/bus-internal.h"
#include "dbus/bus.h"
#include "tests/bus/mock-manager.h"

#define NOBODY 65534
#define UUID_A "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define PATH_A BLKFILTER_OBJECT_ATTACHMENT "/bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4"

typedef enum MockPolkit {
        MOCK_POLKIT_YES,
        MOCK_POLKIT_NO,
        MOCK_POLKIT_CHALLENGE,
        MOCK_POLKIT_ERROR,
        MOCK_POLKIT_NONSENSE,
        MOCK_POLKIT_HOLD, /* no answer until fixture_polkit_release() */
} MockPolkit;

typedef struct Fixture {
        char dir[32];
        char address[64];
        pid_t daemon;
        sd_event *event;
        Manager *manager;
        Bus *bus;
        sd_bus *watcher; /* polkit, and who sees signals */
        bool has_name;

        MockPolkit polkit;
        void (*on_question)(struct Fixture *f); /* before polkit answers; NULL: nothing */
        unsigned n_questions, n_cancelled;
        char subject[64], action[64], details[1024], cancellation[64];
        uint32_t flags;
        sd_bus_message *held[256];
        size_t n_held;

        sd_bus_message *signals[64];
        size_t n_signals;
} Fixture;

enum {
        FIXTURE_WITHOUT_POLKIT = 1 << 0,     /* none on the bus */
        FIXTURE_NEVER_ASK_POLKIT = 1 << 1,   /* BusConfig.without_polkit */
        FIXTURE_WITHOUT_BUS = 1 << 2,        /* fixture_start_bus() and fixture_watch() come later */
};

typedef void (*Client)(sd_bus *bus, void *arg);

int fixture_main(int argc, char *argv[], const char *const *names, void (*const *cases)(void), size_t n);

void fixture_init(Fixture *f, unsigned flags);
void fixture_deinit(Fixture *f);
void fixture_start_bus(Fixture *f);
void fixture_stop_bus(Fixture *f);
void fixture_watch(Fixture *f, bool with_polkit);
void fixture_unwatch(Fixture *f);
void fixture_turn(Fixture *f);
void fixture_polkit_release(Fixture *f, bool authorized);

pid_t fixture_spawn(Fixture *f, uid_t uid, Client client, void *arg);
void fixture_join(Fixture *f, pid_t pid);
void fixture_kill(pid_t pid);
void fixture_client(Fixture *f, uid_t uid, Client client, void *arg);

/* Turns the event loop until a state is reached; the alarm of the test ends what never comes. */
#define UNTIL(_f, _condition)                   \
        do {                                    \
                while (!(_condition))           \
                        fixture_turn(_f);       \
        } while (0)

sd_bus_message *client_call(sd_bus *bus, const char *path, const char *interface, const char *member);
void client_expect_error(sd_bus *bus, sd_bus_message *call, const char *name, const char *part);
sd_bus_message *client_expect_reply(sd_bus *bus, sd_bus_message *call, const char *signature);
