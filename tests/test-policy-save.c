/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A policy that becomes a file: once, and for all to read, whatever the daemon's files are. */

#undef NDEBUG

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/policy-load.h"
#include "daemon/policy-save.h"
#include "tests/test.h"

int main(void) {
        char root[] = "/tmp/test-policy-save-XXXXXX", folder[64], *path = NULL, *message = NULL;
        Policy *p, *again = NULL;
        struct stat st;
        unsigned line;

        CHECK(mkdtemp(root));
        (void) snprintf(folder, sizeof(folder), "%s/blkfilter.d", root);
        (void) umask(0077);

        p = policy_new_of("50-x.conf", "bftrack", match_of(UUID_X, "two words"), NULL);
        CHECK(policy_save(folder, p, &path) == 0);
        CHECK(stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0644);
        CHECK(policy_load_file(path, &again, &line, &message) == 0);
        CHECK(match_equal(again->match, p->match) && str_equal(again->filter, "bftrack"));
        policy_free(again);

        /* what is there stays */
        CHECK(policy_save(folder, p, &message) == -EEXIST && !message);
        policy_free(p);
        CHECK(unlink(path) == 0 && rmdir(folder) == 0 && rmdir(root) == 0);
        free(path);
        return EXIT_SUCCESS;
}
