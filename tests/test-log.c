/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is logged, and where to. The journal is the test's own. */

#undef NDEBUG

#include <errno.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "daemon/log.h"
#include "tests/test.h"

static char journal[4096]; /* entries: their fields with "|" behind each, and a newline */
static int journal_error;
static char *captured;     /* what came on standard error */

/* In the place of libsystemd's. */
int sd_journal_sendv_with_location(const char *file, const char *line, const char *func, const struct iovec *iov,
                                  int n) {
        (void) file, (void) line, (void) func;

        if (journal_error)
                return journal_error;

        for (int i = 0; i < n; i++) {
                strncat(journal, iov[i].iov_base, iov[i].iov_len);
                strcat(journal, "|");
        }
        strcat(journal, "\n");
        return 0;
}

/* One entry of each kind, all of a priority; afterwards journal and captured have what came of it. */
static void log_all(int priority) {
        Attachment *a;
        Match *m = match_of(UUID_X, "");
        FILE *old = stderr, *memory;
        size_t size;

        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_RUNTIME, &a) == 0);
        match_unref(m);
        free(captured);
        captured = NULL;
        journal[0] = 0;
        memory = open_memstream(&captured, &size);
        CHECK(memory);
        stderr = memory;
        log_line(priority, "line %d", 1);
        log_event(priority, LOG_ID_EVENTS_LOST, "event 2");
        log_policy(priority, "/etc/a.conf", 7, "policy 3");
        log_attachment(priority, LOG_ID_STATE, a, "attachment 4");
        stderr = old;
        CHECK(fclose(memory) == 0);
        attachment_free(a);
}

static void test_names(void) {
        static const char *const levels[] = {
                "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
        };
        static const char *const targets[] = { "auto", "journal", "console", "null" };
        static const char *const wrong[] = { "", "Info", "error", "7", "kmsg", "syslog", "info " };

        CHECK_STR(log_get_level(), "info");
        CHECK_STR(log_get_target(), "auto");

        for (int i = 0; i < 8; i++) {
                CHECK(log_level_from_string(levels[i]) == i);
                log_set_level(i);
                CHECK_STR(log_get_level(), levels[i]);
        }
        for (int i = 0; i < 4; i++) {
                CHECK(log_target_from_string(targets[i]) == i);
                log_set_target((LogTarget) i);
                CHECK_STR(log_get_target(), targets[i]);
        }
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                CHECK(log_level_from_string(wrong[i]) < 0 && log_target_from_string(wrong[i]) < 0);

        log_set_level(LOG_INFO);
        log_set_target(LOG_TARGET_AUTO);
}

static void test_level(void) {
        for (int level = LOG_EMERG; level <= LOG_DEBUG; level++)
                for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++) {
                        log_set_level(level);
                        log_all(priority);
                        CHECK_STR(captured, priority <= level ? "line 1\nevent 2\npolicy 3\nattachment 4\n" : "");

                        log_set_target(LOG_TARGET_JOURNAL);
                        log_all(priority);
                        CHECK((journal[0] != 0) == (priority <= level));
                        log_set_target(LOG_TARGET_AUTO);
                }

        log_set_level(LOG_INFO);
}

#define EVENT "MESSAGE=event 2|MESSAGE_ID=" LOG_ID_EVENTS_LOST "|PRIORITY=4|\n"

static void test_targets(void) {
        static const char all[] = "<4>line 1\n<4>event 2\n<4>policy 3\n<4>attachment 4\n";

        /* no systemd */
        log_all(LOG_WARNING);
        CHECK_STR(captured, "line 1\nevent 2\npolicy 3\nattachment 4\n");
        CHECK_STR(journal, "");

        /* under systemd what has fields goes to the journal, and lines where they always go */
        CHECK(setenv("JOURNAL_STREAM", "8:1", true) == 0);
        log_all(LOG_WARNING);
        CHECK_STR(captured, "<4>line 1\n");
        CHECK_HAS(journal, EVENT);
        CHECK_HAS(journal, "BLKFILTER_POLICY_FILE=/etc/a.conf|BLKFILTER_POLICY_LINE=7|MESSAGE=policy 3|");
        CHECK_HAS(journal, "BLKFILTER_PARTUUID=" UUID_X "|MESSAGE=attachment 4|");

        journal_error = -ENOBUFS;
        log_all(LOG_WARNING);
        CHECK_STR(captured, all);
        journal_error = 0;

        log_set_target(LOG_TARGET_CONSOLE);
        log_all(LOG_WARNING);
        CHECK_STR(captured, all);
        CHECK_STR(journal, "");

        log_set_target(LOG_TARGET_NULL);
        log_all(LOG_EMERG);
        CHECK_STR(captured, "");
        CHECK_STR(journal, "");

        /* the journal, whoever started it */
        CHECK(unsetenv("JOURNAL_STREAM") == 0);
        log_set_target(LOG_TARGET_JOURNAL);
        log_all(LOG_WARNING);
        CHECK_STR(captured, "");
        CHECK_HAS(journal, "MESSAGE=line 1|PRIORITY=4|\n");
        CHECK_HAS(journal, EVENT);

        journal_error = -ENOBUFS;
        log_all(LOG_WARNING);
        CHECK_STR(captured, "line 1\nevent 2\npolicy 3\nattachment 4\n");
        journal_error = 0;
        log_set_target(LOG_TARGET_AUTO);
}

int main(void) {
        CHECK(unsetenv("JOURNAL_STREAM") == 0);
        test_names();
        test_level();
        test_targets();
        free(captured);
        return EXIT_SUCCESS;
}
