/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-bus ROUNDS LISTS DEVICE: what the daemon costs on top of the bus. On one connection,
 * org.freedesktop.DBus.Peer.Ping and GetAttachment of the device take turns, so that whatever slows the machine slows
 * both; then ListAttachments. A figure is the time from the call to the whole answer.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "tests/bench/figures.h"

#define SERVICE "org.blkfilter1"
#define ROOT    "/org/blkfilter1"
#define MANAGER "org.blkfilter1.Manager"

#define N_WARM 50

typedef enum Call {
        CALL_PING,
        CALL_GET,
        CALL_LIST,
} Call;

static void fail(const char *what, int r, const sd_bus_error *error) {
        (void) fprintf(stderr, "bench-bus: %s: %s\n", what,
                       error && sd_bus_error_is_set(error) ? error->message : strerror(-r));
        exit(EXIT_FAILURE);
}

/* One call; the answer, and how long it took. */
static sd_bus_message *call(sd_bus *bus, Call which, const char *device, double *ret_ms) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        const char *interface = which == CALL_PING ? "org.freedesktop.DBus.Peer" : MANAGER,
                   *method = which == CALL_PING ? "Ping" : which == CALL_GET ? "GetAttachment" : "ListAttachments";
        double began = now_ms();
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SERVICE, ROOT, interface, method);
        if (r >= 0 && which == CALL_GET)
                r = sd_bus_message_append(m, "s", device);
        if (r >= 0 && which == CALL_LIST)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        *ret_ms = now_ms() - began;

        if (r < 0)
                fail(method, r, &error);

        sd_bus_message_unref(m);
        return reply;
}

static void call_once(sd_bus *bus, Call which, const char *device, double *ret_ms) {
        sd_bus_message_unref(call(bus, which, device, ret_ms));
}

/* How many there are in ListAttachments' answer. */
static unsigned count(sd_bus_message *reply) {
        unsigned n = 0;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(ossssst)");
        while (r > 0) {
                r = sd_bus_message_skip(reply, "(ossssst)");
                if (r <= 0)
                        break;
                n++;
                r = sd_bus_message_at_end(reply, false);
                if (r > 0)
                        return n;
                r = r == 0 ? 1 : r;
        }

        if (r < 0)
                fail("reading ListAttachments' answer", r, NULL);
        return n;
}

int main(int argc, char *argv[]) {
        unsigned n_rounds, n_lists, n_attachments = 0;
        double *ping, *get, *list, warm;
        const char *device;
        sd_bus *bus;
        int r;

        if (argc != 4) {
                (void) fprintf(stderr, "usage: bench-bus ROUNDS LISTS DEVICE\n");
                return EXIT_FAILURE;
        }

        n_rounds = (unsigned) strtoul(argv[1], NULL, 10);
        n_lists = (unsigned) strtoul(argv[2], NULL, 10);
        device = argv[3];
        ping = figures_new(n_rounds);
        get = figures_new(n_rounds);
        list = figures_new(n_lists);

        r = sd_bus_open_system(&bus);
        if (r < 0)
                fail("the system bus", r, NULL);

        for (unsigned i = 0; i < N_WARM; i++) {
                call_once(bus, CALL_PING, device, &warm);
                call_once(bus, CALL_GET, device, &warm);
        }

        for (unsigned i = 0; i < n_rounds; i++) {
                /* neither is always the one that comes after the other */
                call_once(bus, i % 2 ? CALL_GET : CALL_PING, device, i % 2 ? &get[i] : &ping[i]);
                call_once(bus, i % 2 ? CALL_PING : CALL_GET, device, i % 2 ? &ping[i] : &get[i]);
        }

        for (unsigned i = 0; i < n_lists; i++) {
                sd_bus_message *reply = call(bus, CALL_LIST, device, &list[i]);

                n_attachments = count(reply);
                sd_bus_message_unref(reply);
        }

        (void) printf("{\"attachments\": %u, \"Ping\": ", n_attachments);
        figures_print(ping, n_rounds);
        (void) printf(", \"GetAttachment\": ");
        figures_print(get, n_rounds);
        (void) printf(", \"ListAttachments\": ");
        figures_print(list, n_lists);
        (void) printf("}\n");

        free(ping);
        free(get);
        free(list);
        sd_bus_flush_close_unref(bus);
        return EXIT_SUCCESS;
}
