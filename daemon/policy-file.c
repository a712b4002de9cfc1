/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <iniparser/iniparser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/policy-file.h"
#include "daemon/policy-load.h"
#include "daemon/policy-read.h"
#include "daemon/text.h"

/* What iniparser last complained of. Its callback is global to the process and has no pointer of ours. */
static char iniparser_complaint[256];

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static void scan_freep(PolicyScan **s) {
        policy_scan_free(*s);
}

static void dictionary_freep(dictionary **d) {
        if (*d)
                iniparser_freedict(*d);
}

/* Sets the fault and returns @error; without memory there is no fault, only -ENOMEM. */
__attribute__((format(printf, 4, 5)))
static int fault(PolicyFault *ret, int error, unsigned line, const char *format, ...) {
        va_list ap;
        char *message;
        int n;

        if (error == -ENOMEM)
                return error;

        va_start(ap, format);
        n = vasprintf(&message, format, ap);
        va_end(ap);

        if (n < 0)
                return -ENOMEM;

        *ret = (PolicyFault){ .line = line, .message = message };
        return error;
}

__attribute__((format(printf, 1, 2)))
static int on_iniparser_error(const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(iniparser_complaint, sizeof(iniparser_complaint), format, ap);
        va_end(ap);

        for (char *p = iniparser_complaint; *p; p++)
                if ((unsigned char) *p < 0x20)
                        *p = ' ';

        /* the text that it repeats may be cut in the middle of a character */
        if (!policy_text_is_clean(iniparser_complaint, strlen(iniparser_complaint), NULL))
                for (char *p = iniparser_complaint; *p; p++)
                        if ((unsigned char) *p >= 0x7f)
                                *p = '?';

        return n;
}

/* A descriptor from which @data can be read again and which nobody can change any more; or -errno. */
static int memfd_of(const char *data, size_t size) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        int taken;

        fd = memfd_create("blkfilter-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;

        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, data + done, size - done);

                if (n < 0)
                        return -errno;

                done += (size_t) n;
        }

        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -errno;

        taken = fd;
        fd = -EBADF;
        return taken;
}

static int parse_by_iniparser(const char *data, size_t size, dictionary **ret, PolicyFault *ret_fault) {
        __attribute__((cleanup(close_fd))) int fd = -EBADF;
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        dictionary *d;

        fd = memfd_of(data, size);
        if (fd < 0)
                return fault(ret_fault, fd, 0, "No memory file can be made to parse it from: %s; reload once that is "
                             "remedied.", strerror(-fd));

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        iniparser_complaint[0] = 0;

        iniparser_set_error_callback(on_iniparser_error);
        d = iniparser_load(path);
        iniparser_set_error_callback(NULL);

        if (!d) {
                unsigned line = 0;

                /* the only number in brackets that it ever says is the line */
                (void) sscanf(iniparser_complaint, "iniparser: %*[^(](%u)", &line);

                return fault(ret_fault, -EINVAL, line,
                             "The parser refused the file (%s): write the line in the plainest "
                             "form, Key=value; if nothing was parsed at all, see that /proc is mounted.",
                             iniparser_complaint[0] ? iniparser_complaint : "it gave no reason");
        }

        *ret = d;
        return 0;
}

/**
 * policy_file_compare() - whether iniparser reads a file as the pre-scan does
 * @scan: what the pre-scan read; borrowed
 * @data: the text that it was read from; borrowed
 * @size: bytes of it
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * The dictionary must hold the sections and keys of the scan, each value alike, and nothing else. A
 * dictionary that memory ran out on, which iniparser does not report, is caught by it too. The
 * typed getters are not used: they crash on a section's name.
 *
 * Not for two threads at once: iniparser keeps its state in the process.
 *
 * Return: 0; -EINVAL if the two differ or iniparser refuses the file; -ENOMEM; or the error of
 * making a memory file, for example -EMFILE.
 */
int policy_file_compare(const PolicyScan *scan, const char *data, size_t size, PolicyFault *ret_fault) {
        static const char absent[] = ""; /* told from a value by its address */
        __attribute__((cleanup(dictionary_freep))) dictionary *d = NULL;
        int r;

        r = parse_by_iniparser(data, size, &d, ret_fault);
        if (r < 0)
                return r;

        for (size_t i = 0; i < scan->n_sections; i++)
                if (!iniparser_find_entry(d, scan->sections[i].name))
                        return fault(ret_fault, -EINVAL, scan->sections[i].line, "The parser does not see the section "
                                     "[%s]: write it plainly, alone on its line.", scan->sections[i].name);

        for (size_t i = 0; i < scan->n_items; i++) {
                const PolicyItem *item = &scan->items[i];
                char key[POLICY_SECTION_MAX + 1 + POLICY_KEY_MAX + 1];
                const char *value;

                snprintf(key, sizeof(key), "%s:%s", item->section->name, item->key);
                value = iniparser_getstring(d, key, absent);

                if (!value || value == absent || !str_equal(value, item->value))
                        return fault(ret_fault, -EINVAL, item->line, "The parser reads %s= as %s%s%s: write the value "
                                     "plainly, without quotes if it needs none.", item->key,
                                     value && value != absent ? "\"" : "", value == absent ? "missing" :
                                     value ? value : "a section", value && value != absent ? "\"" : "");
        }

        if ((size_t) d->n != scan->n_sections + scan->n_items)
                return fault(ret_fault, -EINVAL, 0, "The parser sees %d sections and keys where the file has %zu: look "
                             "for a line that can be read in two ways, and write it plainly.",
                             d->n, scan->n_sections + scan->n_items);

        return 0;
}

/**
 * policy_file_scan() - read the text of a policy or a drop-in
 * @data: the whole text, any content; need not be NUL-terminated; borrowed
 * @size: bytes of it
 * @ret: set on success; owned by the caller, policy_scan_free()
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * As policy_scan(), and iniparser agrees.
 *
 * Return: 0; -EINVAL if it cannot be one; -ENOMEM; or the error of making a memory file.
 */
int policy_file_scan(const char *data, size_t size, PolicyScan **ret, PolicyFault *ret_fault) {
        __attribute__((cleanup(scan_freep))) PolicyScan *scan = NULL;
        int r;

        r = policy_scan(data, size, &scan, ret_fault);
        if (r < 0)
                return r;

        r = policy_file_compare(scan, data, size, ret_fault);
        if (r < 0)
                return r;

        *ret = scan;
        scan = NULL;
        return 0;
}

/**
 * policy_file_add() - read a policy's file or a drop-in of it into a draft
 * @draft: the draft
 * @dir_fd: the folder, or AT_FDCWD
 * @name: the file's name in the folder, or a path if @dir_fd is AT_FDCWD
 * @dropin: the drop-in's full path; NULL: it is the policy's own file; copied
 * @ret_fault: set on any error but -ENOMEM: what is wrong with this file; owned by the caller,
 *             policy_fault_deinit()
 *
 * All checks are of what was read, and it is read once.
 *
 * Return: 0; -EINVAL if it is no regular file, is writable by others than root, is too large or has
 * something in it that is not valid; -ENOMEM; or the error of looking at it, opening it or reading it.
 */
int policy_file_add(PolicyDraft *draft, int dir_fd, const char *name, const char *dropin, PolicyFault *ret_fault) {
        __attribute__((cleanup(scan_freep))) PolicyScan *scan = NULL;
        char *data;
        size_t size;
        int r;

        r = policy_read(dir_fd, name, POLICY_FILE_SIZE_MAX, &data, &size, ret_fault);
        if (r < 0)
                return r;

        r = policy_file_scan(data, size, &scan, ret_fault);
        free(data);

        return r < 0 ? r : policy_draft_add(draft, scan, dropin, ret_fault);
}

static int read_options(const char *file, char **ret, size_t *ret_size, PolicyFault *ret_fault) {
        PolicyFault f = POLICY_FAULT_INIT;
        int r;

        r = policy_read(AT_FDCWD, file, POLICY_OPTIONS_MAX, ret, ret_size, &f);
        if (r == -ENOMEM)
                return r;

        if (r < 0) {
                r = fault(ret_fault, r, 0, "Options=%s names a file that cannot be used. %s", file, f.message);
                policy_fault_deinit(&f);
                return r;
        }

        if (*ret_size > 0 && *ret_size <= POLICY_OPTIONS_MAX)
                return 0;

        r = fault(ret_fault, -EINVAL, 0,
                  "Options=%s names a file that %s: a filter's options have 1 to %d bytes; for none, "
                  "leave Options= empty.", file, *ret_size == 0 ? "is empty" : "is too large", POLICY_OPTIONS_MAX);
        free(*ret);
        return r;
}

/**
 * policy_file_finish() - make a policy of a draft
 * @draft: the draft
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_fault: set on any error but -ENOMEM; its path says in which file; owned by the caller,
 *             policy_fault_deinit()
 *
 * Reads the file of the options, if there is one; it must be as safe as a policy.
 *
 * Return: 0; -EINVAL if something is missing, does not go together, or that file is not acceptable;
 * -ENOMEM; or the error of reading that file.
 */
int policy_file_finish(const PolicyDraft *draft, Policy **ret, PolicyFault *ret_fault) {
        const char *file, *path;
        char *data = NULL;
        size_t size = 0;
        unsigned line;
        int r;

        if (!policy_draft_get_options_file(draft, &file, &path, &line))
                return policy_draft_finish(draft, NULL, ret, ret_fault);

        r = read_options(file, &data, &size, ret_fault);
        if (r == -ENOMEM)
                return r;

        if (r < 0) {
                ret_fault->line = line;
                ret_fault->path = strdup(path);
                if (ret_fault->path)
                        return r;

                policy_fault_deinit(ret_fault);
                return -ENOMEM;
        }

        r = policy_draft_finish(draft, &(PolicyOptions) { (uint8_t *) data, size }, ret, ret_fault);
        free(data);
        return r;
}

/**
 * policy_file_parse() - make a policy of a file's text
 * @data: the whole text, any content; need not be NUL-terminated; borrowed
 * @size: bytes of it
 * @name: the file's name without folder; copied into the policy
 * @path: the file's full path; copied into the policy
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_fault: set on any error but -ENOMEM; owned by the caller, policy_fault_deinit()
 *
 * Return: 0; -EINVAL if the text is not a policy; -ENOMEM; or the error of making a memory file or of
 * reading the file of the options.
 */
int policy_file_parse(const char *data, size_t size, const char *name, const char *path, Policy **ret,
                      PolicyFault *ret_fault) {
        __attribute__((cleanup(scan_freep))) PolicyScan *scan = NULL;
        PolicyDraft *draft;
        int r;

        r = policy_file_scan(data, size, &scan, ret_fault);
        if (r < 0)
                return r;

        r = policy_draft_new(name, path, &draft);
        if (r < 0)
                return r;

        r = policy_draft_add(draft, scan, NULL, ret_fault);
        if (r == 0)
                r = policy_file_finish(draft, ret, ret_fault);

        policy_draft_free(draft);
        return r;
}

/* Whether a file is a drop-in by its path: "NAME.conf.d/x". */
static bool is_dropin(const char *path) {
        const char *slash = strrchr(path, '/');
        size_t n = slash ? (size_t) (slash - path) : 0;

        return n > strlen(".conf.d") && strncmp(path + n - strlen(".conf.d"), ".conf.d", strlen(".conf.d")) == 0;
}

/**
 * policy_load_file() - check one file by its path
 * @path: the file of a policy, whatever its ending, or a drop-in in a folder NAME.conf.d
 * @ret: set on success: the policy without any drop-ins, named by the last part of @path; owned by the
 *       caller, policy_free(). NULL: it is a drop-in and nothing in it is wrong
 * @ret_line: set on error: the line to blame, from 1; 0 if no one line is
 * @ret_message: set on error: a sentence that says what is wrong and what was expected; owned by
 *               the caller, free(); NULL with -ENOMEM
 *
 * Return: 0; -EINVAL if it is no regular file, is writable by others than root, is too large or is
 * not a policy; -ENOMEM; or the error of looking at it, opening it or reading it.
 */
int policy_load_file(const char *path, Policy **ret, unsigned *ret_line, char **ret_message) {
        const char *slash = strrchr(path, '/');
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyDraft *draft;
        int r;

        r = policy_draft_new(slash ? slash + 1 : path, path, &draft);
        if (r < 0) {
                *ret_line = 0;
                *ret_message = NULL;
                return r;
        }

        r = policy_file_add(draft, AT_FDCWD, path, is_dropin(path) ? path : NULL, &f);
        if (r == 0 && is_dropin(path))
                *ret = NULL;
        else if (r == 0)
                r = policy_file_finish(draft, ret, &f);

        policy_draft_free(draft);

        if (r < 0) {
                free(f.path);
                *ret_line = f.line;
                *ret_message = f.message;
        }

        return r;
}
