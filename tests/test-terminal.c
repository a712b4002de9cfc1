/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How wide text is, what is cut of it, and where lines are broken on a terminal of 40 columns. */

#undef NDEBUG

#include <locale.h>
#include <pty.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/terminal.h"

#define CHECK(condition)                                                                                       \
        do {                                                                                                   \
                if (!(condition)) {                                                                            \
                        (void) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
                        abort();                                                                               \
                }                                                                                              \
        } while (0)

static int master;

static void test_columns(void) {
        static const struct {
                const char *text;
                size_t columns;
        } cases[] = {
                { "", 0 },
                { "sda1", 4 },
                { "● sda1…", 7 },
                { "\033[0;32mattached\033[0m", 8 },
                { "日本", 4 },
                { "e\xcc\x81", 1 },  /* e and a combining accent */
                { "a\xff" "b", 3 },  /* no UTF-8 */
                { "a\xe2\x97", 2 },  /* cut off in a character */
                { "\033[", 0 },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                CHECK(text_columns(cases[i].text, strlen(cases[i].text)) == cases[i].columns);
}

static void test_cut(void) {
        static const struct {
                const char *text;
                size_t columns;
                const char *cut;
        } cases[] = {
                { "PARTUUID=0123", 13, "PARTUUID=0123" },
                { "PARTUUID=0123", 12, "PARTUUID=01…" },
                { "PARTUUID=0123", 1, "…" },
                { "日本", 4, "日本" },
                { "日本", 3, "日…" },
                { "日本", 2, "…" },
                { "", 1, "" },
                { "anything", SIZE_MAX, "anything" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char *cut = text_cut(cases[i].text, cases[i].columns);

                CHECK(cut && strcmp(cut, cases[i].cut) == 0);
                free(cut);
        }
}

/* What was printed since the last call is wanted. A mark follows it, as a terminal hands over line by line: what one
 * read gives may end after any of them. */
static void shown(const char *wanted) {
        static const char mark = '\x04';
        char buf[1024] = "";
        size_t size = 0;

        CHECK(fflush(stdout) == 0);
        CHECK(write(STDOUT_FILENO, &mark, sizeof(mark)) == sizeof(mark));
        do {
                ssize_t n = read(master, buf + size, sizeof(buf) - 1 - size);

                CHECK(n > 0);
                size += (size_t) n;
        } while (buf[size - 1] != mark);
        buf[size - 1] = '\0';

        if (strcmp(buf, wanted) != 0) {
                (void) fprintf(stderr, "shown:\n%swanted:\n%s", buf, wanted);
                abort();
        }
}

static void test_print(void) {
        CHECK(terminal_columns(stdout) == 40);

        CHECK(say("%s", "exactly as wide as the terminal is: 1234") == 0);
        shown("exactly as wide as the terminal is: 1234\n");
        CHECK(say("%s", "one wider than the terminal itself: 12345") == 0);
        shown("one wider than the terminal itself:\n12345\n");

        CHECK(text_print(stdout, 12, "%10s: %s", "State", "none gets the filter until all are gone") == 0);
        shown("     State: none gets the filter until\n            all are gone\n");
        /* what is too long behind a name comes below it */
        CHECK(text_print(stdout, 12, "%10s: %s", "Object", "/org/blkfilter1/attachment/bftrack_x") == 0);
        shown("    Object:\n    /org/blkfilter1/attachment/bftrack_x\n");
        CHECK(text_print(stdout, 12, "%10s: %s", "Object", "/org/blkfilter1/attachment/bftrack_0123") == 0);
        shown("    Object:\n /org/blkfilter1/attachment/bftrack_0123\n");
        /* what nobody can break stands alone */
        CHECK(text_print(stdout, 4, "it is /dev/disk/by-partuuid/0fc63daf-8483-4772-8e79-3d69d8477de4 now") == 0);
        shown("it is\n/dev/disk/by-partuuid/0fc63daf-8483-4772-8e79-3d69d8477de4\n    now\n");
        /* colours take no room, and blanks that stay stay */
        CHECK(text_print(stdout, 2, "\033[0;32m%-10s\033[0m %s", "attached", "filter bftrack is on sda1") == 0);
        shown("\033[0;32mattached  \033[0m filter bftrack is on sda1\n");
        CHECK(say("%s", "") == 0);
        shown("\n");
}

int main(void) {
        struct winsize size = { .ws_row = 24, .ws_col = 40 };
        struct termios raw;
        int slave;

        if (!setlocale(LC_ALL, "C.UTF-8"))
                return 77; /* no such locale, nothing to measure by */
        (void) unsetenv("COLUMNS");

        CHECK(openpty(&master, &slave, NULL, NULL, &size) == 0);
        CHECK(tcgetattr(slave, &raw) == 0);
        cfmakeraw(&raw);
        CHECK(tcsetattr(slave, TCSANOW, &raw) == 0);
        CHECK(dup2(slave, STDOUT_FILENO) == STDOUT_FILENO);

        test_columns();
        test_cut();
        test_print();
        return EXIT_SUCCESS;
}
