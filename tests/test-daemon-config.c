/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /etc/blkfilterd.conf: what it sets, and that what is wrong in it leaves the rest as it was. */

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon-config.h"

#define SECOND UINT64_C(1000000)

static char path[] = "/tmp/test-daemon-config-XXXXXX";
static char *logged;

static Config load(const char *text) {
        Config c = { .check_usec = 7 * SECOND, .wait_usec = 9 * SECOND };
        FILE *f = fopen(path, "we"), *old = stderr;
        size_t size;

        assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
        free(logged);
        stderr = open_memstream(&logged, &size);
        assert(stderr);
        (void) config_load(path, &c);
        assert(fclose(stderr) == 0);
        stderr = old;
        return c;
}

static void expect(const char *text, uint64_t check_usec, bool raw_commands) {
        Config c = load(text);

        if (c.check_usec != check_usec || c.raw_commands != raw_commands) {
                (void) fprintf(stderr, "%s: CheckSec is %llu, RawCommands %d\n", text,
                               (unsigned long long) c.check_usec,
                               c.raw_commands);
                abort();
        }
}

/* What is wrong is told once, with the file and the line. */
static void expect_told(const char *text, unsigned line) {
        char where[64];

        (void) load(text);
        (void) snprintf(where, sizeof(where), line > 0 ? "%s:%u: " : "%s: ", path, line);
        if (strncmp(logged, where, strlen(where)) != 0 || strchr(logged, '\n') != logged + strlen(logged) - 1) {
                (void) fprintf(stderr, "%s: expected a line that begins with \"%s\", got: %s\n", text, where, logged);
                abort();
        }
}

static void expect_wait(const char *line, uint64_t wait_usec) {
        char text[64];

        (void) snprintf(text, sizeof(text), "[Daemon]\n%s\n", line);
        if (load(text).wait_usec != wait_usec) {
                (void) fprintf(stderr, "%s: WaitSec is %llu\n", text, (unsigned long long) load(text).wait_usec);
                abort();
        }
}

int main(void) {
        int fd = mkstemp(path);

        assert(fd >= 0 && close(fd) == 0);

        expect("", 7 * SECOND, false);
        expect("[Daemon]\n", 7 * SECOND, false);
        expect("[Daemon]\nCheckSec=0\n", 0, false);
        expect("[Daemon]\nCheckSec=2min\n", 120 * SECOND, false);
        expect("[daemon]\nchecksec=1s\nrawcommands=YES\n", SECOND, true);
        expect("[Daemon]\nRawCommands=yes\n", 7 * SECOND, true);
        expect("[Daemon]\nRawCommands=on\n", 7 * SECOND, true);
        expect("[Daemon]\nRawCommands=1\n", 7 * SECOND, true);
        expect("[Daemon]\nRawCommands=no\n", 7 * SECOND, false);
        expect("[Daemon]\nRawCommands=0\n", 7 * SECOND, false);

        /* wrong: as before, and the other is taken all the same */
        expect("[Daemon]\nRawCommands=maybe\nCheckSec=3s\n", 3 * SECOND, false);
        expect("[Daemon]\nRawCommands=\n", 7 * SECOND, false);
        expect("[Daemon]\nCheckSec=1us\nRawCommands=yes\n", 7 * SECOND, true);
        expect("[Daemon]\nCheckSec=soon\n", 7 * SECOND, false);
        expect("[Other]\nRawCommands=yes\n", 7 * SECOND, false);
        expect("[Daemon]\nRawCommand=yes\n", 7 * SECOND, false);
        expect("RawCommands=yes\n", 7 * SECOND, false);

        (void) load("[Daemon]\nCheckSec=3s\nRawCommands=no\n");
        assert(strcmp(logged, "") == 0);
        expect_told("[Daemon]\n\nChekSec=3s\n", 3);
        expect_told("[Daemon]\nRawCommands=maybe\n", 2);
        expect_told("# settings\n[Daemon]\nCheckSec=1us\nRawCommands=yes\n", 3);
        expect_told("RawCommands=yes\n", 1);

        /* how long devices are held back */
        expect_wait("WaitSec=0", 0);
        expect_wait("waitsec=5", 5 * SECOND);
        expect_wait("WaitSec=1500ms", 1500000);
        expect_wait("WaitSec=60s", 60 * SECOND);
        expect_wait("WaitSec=61s", 9 * SECOND);
        expect_wait("WaitSec=1us", 9 * SECOND);
        expect_wait("WaitSec=-1", 9 * SECOND);
        expect_wait("WaitSec=", 9 * SECOND);
        expect_wait("CheckSec=1min", 9 * SECOND);

        assert(unlink(path) == 0);
        assert(config_load(path, &(Config) { 0 }) == 0);
        free(logged);
        return EXIT_SUCCESS;
}
