/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/daemon-config.h"
#include "daemon/log.h"
#include "daemon/policy-file.h"
#include "daemon/policy-read.h"
#include "daemon/policy-values.h"
#include "daemon/text.h"

#define CHECK_USEC_MIN UINT64_C(1000000)
#define CHECK_USEC_MAX UINT64_C(86400000000)
#define WAIT_USEC_MIN  UINT64_C(1000)
#define WAIT_USEC_MAX  UINT64_C(60000000)

static void complain(const char *path, unsigned line, const char *message) {
        char text[1024], where[16] = "";

        if (line > 0)
                (void) snprintf(where, sizeof(where), ":%u", line);
        (void) snprintf(text, sizeof(text), "%s%s: %s", path, where, message);
        log_policy(LOG_WARNING, path, line, text);
}

/* As systemd has it. */
static bool parse_bool(const char *value, bool *ret) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" }, *const no[] = { "0",     "no", "n",
                                                                                                 "false", "f",  "off" };

        for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
                if (ascii_casecmp_equal(value, yes[i]) || ascii_casecmp_equal(value, no[i])) {
                        *ret = ascii_casecmp_equal(value, yes[i]);
                        return true;
                }

        return false;
}

static void apply(const char *path, const PolicyItem *item, Config *config) {
        bool is_daemon = ascii_casecmp_equal(item->section->name, "Daemon");

        if (is_daemon && ascii_casecmp_equal(item->key, "RawCommands")) {
                if (!parse_bool(item->value, &config->raw_commands))
                        complain(path, item->line,
                                 "RawCommands= is not valid: expected yes or no. The default counts.");
                return;
        }

        if (is_daemon && ascii_casecmp_equal(item->key, "WaitSec")) {
                if (str_equal(item->value, "0"))
                        config->wait_usec = 0;
                else if (!policy_parse_usec(item->value, WAIT_USEC_MIN, WAIT_USEC_MAX, &config->wait_usec))
                        complain(path, item->line,
                                 "WaitSec= is not valid: expected 0 for not at all, or a time up to 60s, a whole number"
                                 " of seconds or with one of the units ms, s directly behind it. The default counts.");
                return;
        }

        if (!is_daemon || !ascii_casecmp_equal(item->key, "CheckSec")) {
                complain(path, item->line, "There is nothing of that name: the file has [Daemon] with CheckSec=,"
                                           " WaitSec= and RawCommands=. It is ignored.");
                return;
        }

        if (str_equal(item->value, "0")) {
                config->check_usec = 0;
                return;
        }

        if (!policy_parse_usec(item->value, CHECK_USEC_MIN, CHECK_USEC_MAX, &config->check_usec))
                complain(path, item->line,
                         "CheckSec= is not valid: expected 0 for never, or a time from 1s to 1440min, a whole"
                         " number of seconds or with one of the units s, min directly behind it. The default counts.");
}

/**
 * config_load() - read the settings, if there are any
 * @path: full path of the file
 * @config: what the file does not say, or says wrong, stays as it is
 *
 * What is wrong is logged with file and line; it never keeps the daemon from its work.
 *
 * Return: 0, also without a file; -EINVAL if all of it was refused, -ENOMEM, or the error of reading it: logged.
 */
int config_load(const char *path, Config *config) {
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyScan *scan = NULL;
        char *data = NULL, text[900];
        struct stat st;
        size_t size;
        int r;

        if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                return 0;

        r = policy_read(AT_FDCWD, path, POLICY_FILE_SIZE_MAX, &data, &size, &f);
        if (r >= 0)
                r = policy_file_scan(data, size, &scan, &f);

        if (r < 0) {
                (void) snprintf(text, sizeof(text), "%s The defaults count.",
                                f.message ? f.message : "There is no memory to read it.");
                complain(path, f.line, text);
        }

        for (size_t i = 0; r >= 0 && i < scan->n_items; i++)
                apply(path, &scan->items[i], config);

        policy_fault_deinit(&f);
        policy_scan_free(scan);
        free(data);
        return r;
}
