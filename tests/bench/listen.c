/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bench-listen FILTER DISK: the limit. Listens to the kernel's events, and attaches the filter to each partition of
 * the disk as soon as the kernel tells of it: no identity, no daemon, no way to be faster from user space. Prints
 * "ready" when it listens; runs until it is ended.
 */

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tests/bench/filter.h"

#define KERNEL_GROUP         1
#define RECEIVE_BUFFER_BYTES (16 * 1024 * 1024)

static const char *value_of(const char *line, const char *key) {
        size_t n = strlen(key);

        return strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

/* "add@/devices/…", and then lines KEY=VALUE, each ended by a NUL. */
static void handle(const char *event, size_t size, const char *filter, const char *disk) {
        const char *name = NULL;
        bool is_partition = false;

        if (strncmp(event, "add@", 4) != 0)
                return;

        for (const char *line = event; line < event + size; line += strlen(line) + 1) {
                const char *type = value_of(line, "DEVTYPE");

                if (type)
                        is_partition = strcmp(type, "partition") == 0;
                name = value_of(line, "DEVNAME") ?: name;
        }

        if (is_partition && name && strncmp(name, disk, strlen(disk)) == 0 && filter_attach(name, filter) < 0)
                perror(name);
}

int main(int argc, char *argv[]) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
        int fd, bytes = RECEIVE_BUFFER_BYTES;
        static char event[8192 + 1];

        if (argc != 3) {
                (void) fprintf(stderr, "usage: bench-listen FILTER DISK\n");
                return EXIT_FAILURE;
        }

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                perror("netlink");
                return EXIT_FAILURE;
        }

        (void) puts("ready");
        (void) fflush(stdout);

        for (;;) {
                ssize_t n = recv(fd, event, sizeof(event) - 1, 0);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        perror("events");
                        return EXIT_FAILURE;
                }

                event[n] = 0;
                handle(event, (size_t) n, argv[1], argv[2]);
        }
}
