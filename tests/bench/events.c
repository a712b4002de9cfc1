/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-events [--answer] N DEVICE…: has the kernel tell N times that one of the devices (sda1) has changed, as fast
 * as it can. Prints how long that took, in ms; with --answer also how long it took until the daemon had answered a Ping
 * that was sent behind the last of them. It answers when there is no event left that it has not read and drawn its
 * conclusions from.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "tests/bench/figures.h"

#define ANSWER_USEC UINT64_C(300000000)
#define DEVICES_MAX 256

static void fail(const char *what, const char *why) {
        (void) fprintf(stderr, "bench-events: %s: %s\n", what, why);
        exit(EXIT_FAILURE);
}

static void ping(sd_bus *bus) {
        sd_bus_message *m = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, "org.blkfilter1", "/org/blkfilter1", "org.freedesktop.DBus.Peer",
                                           "Ping");
        if (r >= 0)
                r = sd_bus_call(bus, m, ANSWER_USEC, &error, NULL);
        if (r < 0)
                fail("Ping", error.message ?: strerror(-r));
        sd_bus_message_unref(m);
}

int main(int argc, char *argv[]) {
        bool answer = argc > 1 && strcmp(argv[1], "--answer") == 0;
        int fds[DEVICES_MAX], n_devices = 0, first = answer ? 2 : 1, r;
        double began, told;
        unsigned long n;
        sd_bus *bus = NULL;

        if (argc < first + 2) {
                (void) fprintf(stderr, "usage: bench-events [--answer] N DEVICE...\n");
                return EXIT_FAILURE;
        }

        n = strtoul(argv[first], NULL, 10);
        for (int i = first + 1; i < argc && n_devices < DEVICES_MAX; i++) {
                char path[128];

                (void) snprintf(path, sizeof(path), "/sys/class/block/%s/uevent", argv[i]);
                fds[n_devices] = open(path, O_WRONLY | O_CLOEXEC);
                if (fds[n_devices++] < 0) {
                        perror(path);
                        return EXIT_FAILURE;
                }
        }

        if (answer) {
                r = sd_bus_open_system(&bus);
                if (r < 0)
                        fail("the system bus", strerror(-r));
                ping(bus);
        }

        began = now_ms();
        for (unsigned long i = 0; i < n; i++)
                if (pwrite(fds[i % (unsigned long) n_devices], "change", 6, 0) != 6) {
                        perror("uevent");
                        return EXIT_FAILURE;
                }
        told = now_ms();

        (void) printf("%.3f", told - began);
        if (answer) {
                ping(bus);
                (void) printf(" %.3f", now_ms() - began);
                sd_bus_flush_close_unref(bus);
        }
        (void) printf("\n");
        return EXIT_SUCCESS;
}
