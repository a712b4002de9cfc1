/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "blkfilter-paths.h"
#include "daemon/log.h"
#include "daemon/outside.h"
#include "daemon/wait-message.h"
#include "dbus/bus.h"

#include "config.h"

/*
 * What is larger is mapped by itself, and given back when it is freed. By default the C library takes to keeping as
 * much as the largest of them, and an answer on the bus about a thousand attachments has megabytes; and what is a
 * little smaller, as the jobs of a plan or the text of a record, leaves holes that are filled with what stays.
 */
#define LARGE_BYTES (16 * 1024)

static const char *const policy_folders[] = BLKFILTER_POLICY_FOLDERS;

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        (void) si;
        (void) userdata;

        (void) sd_notify(0, "STOPPING=1\nSTATUS=stopping; what is attached stays attached");
        return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int on_reload(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Manager *m = userdata;
        struct timespec t;

        (void) s;
        (void) si;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                          (unsigned long long) t.tv_sec * 1000000 + (unsigned long long) t.tv_nsec / 1000);

        if (manager_reload(m) < 0)
                log_line(LOG_ERR, "there is no memory to reload the policies; those in force stay");

        (void) sd_notify(0, "READY=1");
        return 0;
}

static int add_signals(sd_event *event, Manager *m) {
        sigset_t mask;
        int r;

        /* workers end by themselves and are not waited for */
        (void) signal(SIGCHLD, SIG_IGN);

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;

        r = sd_event_add_signal(event, NULL, SIGTERM, on_stop, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, on_stop, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, m);

        return r;
}

static int run(bool in_initramfs) {
        const OutsideConfig config = {
                .config_file = SYSCONFDIR "/blkfilterd.conf",
                .policy_folders = policy_folders,
                .keep_folder = "/run/blkfilterd/policies",
                .image_folder = "/run/blkfilterd/initramfs-policies",
                .state_folder = "/run/blkfilterd/attachments",
                .last_boot_folder = LOCALSTATEDIR "/lib/blkfilterd/attachments",
                .wait_socket = WAIT_SOCKET,
                .worker = LIBEXECDIR "/blkfilter-worker",
                .in_initramfs = in_initramfs,
        };
        const BusConfig bus_config = {};
        sd_event *event = NULL;
        Outside *outside = NULL;
        ManagerOps ops;
        Manager *m = NULL;
        Bus *bus = NULL;
        int r;

        (void) mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);

        r = sd_event_default(&event);
        if (r >= 0)
                r = outside_new(event, &config, &outside);
        if (r >= 0) {
                outside_get_ops(outside, &ops);
                r = manager_new(&ops, &m);
        }
        if (r >= 0)
                r = add_signals(event, m);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                log_line(LOG_ERR, "starting failed: %s", strerror(-r));

        /* First it listens, then it looks: nothing can happen between the two unseen. Both log. */
        if (r >= 0)
                r = outside_start(outside, m);
        if (r >= 0)
                r = manager_start(m);

        /* after the first look is planned, before it is made: nobody asks before it is */
        if (r >= 0 && !in_initramfs) {
                r = bus_new(event, m, &bus_config, &bus);
                if (r < 0)
                        log_line(LOG_ERR, "the D-Bus side cannot be set up: %s", strerror(-r));
                else
                        outside_set_bus(outside, bus);
        }

        /* It listens, and lets udev's events wait. What is there already is seen to behind this:
         * blkfilterd-settled.service is for who waits for that. */
        if (r >= 0) {
                (void) sd_notify(0, "READY=1\nSTATUS=looking at the devices that are there");
                r = sd_event_loop(event);
        }

        if (outside)
                outside_set_bus(outside, NULL);
        bus_free(bus);
        manager_free(m);
        outside_free(outside);
        sd_event_unref(event);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void help(const char *name) {
        (void) printf("%s [OPTION]\n"
                      "\n"
                      "Puts block device filters on the devices they belong to, and back when these come back.\n"
                      "Started by systemd (blkfilterd.service).\n"
                      "\n"
                      "  -h, --help       this text\n"
                      "      --initramfs  for a start in an initramfs, by its scripts: without a bus\n"
                      "      --version    the version\n", name);
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "initramfs", no_argument, NULL, 'i' },
                { "version", no_argument, NULL, 'v' },
                {},
        };
        bool in_initramfs = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help(argv[0]);
                        return EXIT_SUCCESS;
                case 'i':
                        in_initramfs = true;
                        break;
                case 'v':
                        (void) printf("blkfilterd %s\n", VERSION);
                        return EXIT_SUCCESS;
                default:
                        return EXIT_FAILURE;
                }

        if (optind < argc) {
                (void) fprintf(stderr, "blkfilterd takes no arguments; see --help\n");
                return EXIT_FAILURE;
        }

        if (getuid() != 0) {
                (void) fprintf(stderr, "blkfilterd must run as root; systemctl start blkfilterd.service does that\n");
                return EXIT_FAILURE;
        }

        return run(in_initramfs);
}
