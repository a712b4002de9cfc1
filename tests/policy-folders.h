/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of policy folders share: three folders a, b, c in a temporary one, the first counting
 * most, and a folder "keep".
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy-load.h"
#include "daemon/policy-scan.h"

#define GOOD "[Match]\nPartUUID=0fc63daf-8483-4772-8e79-3d69d8477de4\nPartLabel=data\n\n[Filter]\nName=bfcount\n"
#define MATCH "[Match]\nPartLabel=data\n"
#define FILTER "[Filter]\nName=bfcount\n"

static char root[] = "/tmp/test-policy-XXXXXX";
static char dir_a[64], dir_b[64], dir_c[64], dir_keep[64];
static const char *const folders[] = { dir_a, dir_b, dir_c, NULL };

/* A case's name goes to stderr before it fails, so that an assertion can be told from the others. */
static const char *current = "";

#define CHECK(condition)                                                                        \
        do {                                                                                    \
                if (!(condition)) {                                                             \
                        fprintf(stderr, "%s:%d: \"%s\": %s\n", __FILE__, __LINE__, current, #condition); \
                        abort();                                                                \
                }                                                                               \
        } while (false)

__attribute__((unused)) static void write_bytes(const char *folder, const char *name, const char *data, size_t size) {
        char path[PATH_MAX];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert(fd >= 0);
        assert(write(fd, data, size) == (ssize_t) size);
        assert(close(fd) == 0);
}

__attribute__((unused)) static void write_text(const char *folder, const char *name, const char *text) {
        write_bytes(folder, name, text, strlen(text));
}

__attribute__((unused)) static const char *in(const char *folder, const char *name) {
        static char paths[4][PATH_MAX]; /* as many can be used at a time */
        static unsigned n;

        snprintf(paths[++n % 4], sizeof(paths[0]), "%s/%s", folder, name);
        return paths[n % 4];
}

__attribute__((unused)) static void clean(void) {
        char command[256];

        snprintf(command, sizeof(command), "rm -rf '%s'/*", root);
        assert(system(command) == 0);
        assert(mkdir(dir_a, 0755) == 0 && mkdir(dir_b, 0755) == 0 && mkdir(dir_c, 0755) == 0);
        assert(chmod(dir_a, 0755) == 0 && chmod(dir_b, 0755) == 0 && chmod(dir_c, 0755) == 0);
}

__attribute__((unused)) static PolicySet *load(const PolicySet *last) {
        PolicySet *s = NULL;

        assert(policy_load(folders, NULL, last, &s) == 0);
        assert(s);
        return s;
}

__attribute__((unused)) static const PolicyError *error_of(const PolicySet *s, const char *path) {
        for (size_t i = 0; i < s->n_errors; i++)
                if (strcmp(s->errors[i].path, path) == 0)
                        return &s->errors[i];

        return NULL;
}

/* With what was kept, as the daemon does. */
__attribute__((unused)) static PolicySet *load_kept(const PolicySet *last) {
        PolicySet *s = NULL;

        assert(policy_load(folders, dir_keep, last, &s) == 0);
        assert(s);
        return s;
}

/* The label that a policy wants; "" if there is no such policy. */
__attribute__((unused)) static const char *label_of(const PolicySet *s, const char *name) {
        const Policy *p = policy_set_get(s, name);

        return p ? match_get_value(p->match, MATCH_PART_LABEL) : "";
}

__attribute__((unused)) static void folders_init(void) {
        umask(0022);
        assert(mkdtemp(root));
        snprintf(dir_a, sizeof(dir_a), "%s/a", root);
        snprintf(dir_b, sizeof(dir_b), "%s/b", root);
        snprintf(dir_c, sizeof(dir_c), "%s/c", root);
        snprintf(dir_keep, sizeof(dir_keep), "%s/keep", root);
}

__attribute__((unused)) static void folders_deinit(void) {
        char command[64];

        snprintf(command, sizeof(command), "rm -rf '%s'", root);
        assert(system(command) == 0);
}
