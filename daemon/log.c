/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/text.h"

#define FIELDS_MAX 12

static const char *const level_names[] = {
        [LOG_EMERG] = "emerg",
        [LOG_ALERT] = "alert",
        [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

static const char *const target_names[_LOG_TARGET_MAX] = {
        [LOG_TARGET_AUTO] = "auto",
        [LOG_TARGET_JOURNAL] = "journal",
        [LOG_TARGET_CONSOLE] = "console",
        [LOG_TARGET_NULL] = "null",
};

/* Of the whole program, as org.freedesktop.LogControl1 has it. */
static int log_level = LOG_INFO;
static LogTarget log_target = LOG_TARGET_AUTO;

static int find_name(const char *const *names, size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (str_equal(names[i], s))
                        return (int) i;

        return -EINVAL;
}

/**
 * log_level_from_string() - a priority by its name
 * @s: any content
 *
 * Return: LOG_EMERG to LOG_DEBUG, or -EINVAL.
 */
int log_level_from_string(const char *s) {
        return find_name(level_names, sizeof(level_names) / sizeof(level_names[0]), s);
}

/**
 * log_target_from_string() - a target by its name
 * @s: any content
 *
 * Return: a LogTarget, or -EINVAL.
 */
int log_target_from_string(const char *s) {
        return find_name(target_names, _LOG_TARGET_MAX, s);
}

/**
 * log_get_level() - up to which priority is logged
 *
 * Return: its name, static.
 */
const char *log_get_level(void) {
        return level_names[log_level];
}

/**
 * log_get_target() - where to
 *
 * Return: its name, static.
 */
const char *log_get_target(void) {
        return target_names[log_target];
}

/**
 * log_set_level() - what is less urgent than this is not logged from now on
 * @level: LOG_EMERG to LOG_DEBUG; LOG_INFO at the beginning
 */
void log_set_level(int level) {
        log_level = level;
}

/**
 * log_set_target() - log to somewhere else from now on
 * @target: LOG_TARGET_AUTO at the beginning
 */
void log_set_target(LogTarget target) {
        log_target = target;
}

static bool is_wanted(int priority) {
        return priority <= log_level && log_target != LOG_TARGET_NULL;
}

/* Whether standard error is /dev/kmsg, as in an initramfs. */
static bool is_kernel_log(void) {
        struct stat st;

        return fstat(STDERR_FILENO, &st) >= 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 11);
}

/*
 * To standard error; under systemd with the prefix that tells the journal the priority. The kernel's log takes it
 * too, does not know from whom a line is, and takes none of much more than these bytes.
 */
static void write_line(int priority, const char *line) {
        if (is_kernel_log())
                (void) fprintf(stderr, "<%d>blkfilterd: %.900s\n", priority, line);
        else if (getenv("JOURNAL_STREAM"))
                (void) fprintf(stderr, "<%d>%s\n", priority, line);
        else
                (void) fprintf(stderr, "%s\n", line);
}

/* Fields of an entry of the journal; each is owned. */
typedef struct Fields {
        struct iovec v[FIELDS_MAX];
        int n;
        bool failed;
} Fields;

static void fields_deinit(Fields *f) {
        for (int i = 0; i < f->n; i++)
                free(f->v[i].iov_base);
}

/* "NAME=value"; one that has no value is left out. */
static void fields_add(Fields *f, const char *name, const char *value) {
        char *s;
        int n;

        if (!value || !value[0])
                return;

        n = f->n < FIELDS_MAX ? asprintf(&s, "%s=%s", name, value) : -1;
        if (n < 0) {
                f->failed = true;
                return;
        }

        f->v[f->n++] = (struct iovec) { s, (size_t) n };
}

static void fields_add_u64(Fields *f, const char *name, uint64_t value) {
        char s[24];

        (void) snprintf(s, sizeof(s), "%llu", (unsigned long long) value);
        fields_add(f, name, s);
}

/* Whether an entry with fields is for the journal: under systemd, or if somebody says so. */
static bool is_for_journal(void) {
        return log_target == LOG_TARGET_JOURNAL || (log_target == LOG_TARGET_AUTO && getenv("JOURNAL_STREAM"));
}

/* To the journal with all fields; else, or if that fails, as a line. Frees the fields. */
static void fields_send(Fields *f, int priority, const char *message_id, const char *message) {
        fields_add(f, "MESSAGE", message);
        fields_add(f, "MESSAGE_ID", message_id);
        fields_add_u64(f, "PRIORITY", (uint64_t) priority);

        if (is_wanted(priority) && (!is_for_journal() || f->failed || sd_journal_sendv(f->v, f->n) < 0))
                write_line(priority, message);

        fields_deinit(f);
}

/**
 * log_line() - one line for the administrator
 * @priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO or LOG_DEBUG
 * @format: as printf's, without a newline
 */
void log_line(int priority, const char *format, ...) {
        Fields f = { .n = 0 };
        char buf[1024];
        va_list ap;

        if (!is_wanted(priority))
                return;

        va_start(ap, format);
        (void) vsnprintf(buf, sizeof(buf), format, ap);
        va_end(ap);

        /* without fields of its own standard error does as well, and has the lines in their order */
        if (log_target == LOG_TARGET_JOURNAL)
                fields_send(&f, priority, "", buf);
        else
                write_line(priority, buf);
}

/**
 * log_event() - something that has its entry in the catalogue, and no attachment
 * @priority: as of log_line()
 * @message_id: one of LOG_ID_*
 * @message: the sentence
 */
void log_event(int priority, const char *message_id, const char *message) {
        Fields f = { .n = 0 };

        fields_send(&f, priority, message_id, message);
}

/**
 * log_policy() - what is wrong with a policy file
 * @priority: as of log_line()
 * @path: full path of the file
 * @line: from 1; 0 if no one line is to blame
 * @message: the sentence, with path and line
 */
void log_policy(int priority, const char *path, unsigned line, const char *message) {
        Fields f = { .n = 0 };

        fields_add(&f, "BLKFILTER_POLICY_FILE", path);
        if (line > 0)
                fields_add_u64(&f, "BLKFILTER_POLICY_LINE", line);
        fields_send(&f, priority, LOG_ID_POLICY, message);
}

/**
 * log_attachment() - what happened to an attachment, with fields to search by
 * @priority: as of log_line()
 * @message_id: one of LOG_ID_*
 * @a: the attachment
 * @message: the sentence
 */
void log_attachment(int priority, const char *message_id, const Attachment *a, const char *message) {
        char reason[ATTACHMENT_REASON_SIZE], *identity = NULL;
        Fields f = { .n = 0 };

        if (match_to_string(a->match, &identity) < 0)
                identity = NULL;

        fields_add(&f, "BLKFILTER_ATTACHMENT", a->id);
        fields_add(&f, "BLKFILTER_FILTER", a->filter);
        fields_add(&f, "BLKFILTER_STATE", attachment_state_to_string(a->state));
        fields_add(&f, "BLKFILTER_REASON", attachment_get_reason(a, reason));
        /* where it is, or was last: what is lost is on none any more */
        fields_add(&f, "BLKFILTER_DEVICE", a->device[0] ? a->device : a->lost_device);
        fields_add(&f, "BLKFILTER_IDENTITY", identity);
        fields_add(&f, "BLKFILTER_PARTUUID", match_get_value(a->match, MATCH_PART_UUID));
        fields_add(&f, "BLKFILTER_POLICY_FILE", a->policy_path);
        fields_send(&f, priority, message_id, message);
        free(identity);
}

/**
 * log_id_of_state() - the message id of a change to a state
 * @state: the new one
 */
const char *log_id_of_state(AttachmentState state) {
        switch (state) {
        case ATTACHMENT_AMBIGUOUS:
                return LOG_ID_AMBIGUOUS;
        case ATTACHMENT_CONFLICT:
                return LOG_ID_CONFLICT;
        case ATTACHMENT_STUCK:
                return LOG_ID_STUCK;
        case ATTACHMENT_UNSUPPORTED:
                return LOG_ID_UNSUPPORTED;
        default:
                return LOG_ID_STATE;
        }
}

/**
 * log_id_of_loss() - the message id of a gap that begins
 * @reason: of the gap
 */
const char *log_id_of_loss(const char *reason) {
        return str_equal(reason, "foreign-detach") ? LOG_ID_FOREIGN : LOG_ID_LOST;
}
