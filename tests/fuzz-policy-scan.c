/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzzing of policy files: the pre-scan, its agreement with iniparser, the keys.
 *
 * What is held: nothing crashes; what the pre-scan accepts, iniparser reads alike, value by value;
 * every refusal has a sentence in valid UTF-8.
 *
 * Built with -fsanitize=fuzzer and -DFUZZ_BY_LIBFUZZER it is a libFuzzer target; else its main
 * replays the files and folders given on the command line, for example tests/corpus/policy.
 */

#undef NDEBUG

#include <assert.h>
#include <errno.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/identity.h"
#include "daemon/policy-file.h"
#include "daemon/policy-keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(int r, PolicyFault *f) {
        assert(r == -EINVAL);
        assert(f->message && f->message[0]);
        assert(policy_text_is_clean(f->message, strlen(f->message), NULL));
        policy_fault_deinit(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyScan *scan;
        Policy *p;
        int r;

        r = policy_scan((const char *) data, size, &scan, &f);
        if (r < 0) {
                check_refusal(r, &f);
                return 0;
        }

        r = policy_file_compare(scan, (const char *) data, size, &f);
        if (r < 0) {
                fprintf(stderr, "line %u: %s\n", f.line, f.message ? f.message : strerror(-r));
                abort();
        }

        r = policy_from_scan(scan, "fuzz.conf", "/fuzz.conf", &p, &f);
        policy_scan_free(scan);

        if (r < 0) {
                check_refusal(r, &f);
                return 0;
        }

        assert(!match_is_empty(&p->match));
        assert(filter_name_is_valid(p->filter));
        assert(p->retry_usec >= POLICY_RETRY_USEC_MIN && p->retry_usec <= POLICY_RETRY_USEC_MAX);
        policy_free(p);
        return 0;
}

#ifndef FUZZ_BY_LIBFUZZER
static void replay(const char *path) {
        static uint8_t data[POLICY_FILE_SIZE_MAX + 2];
        uint8_t *exact;
        FILE *f = fopen(path, "re");
        size_t n;

        assert(f);
        n = fread(data, 1, sizeof(data), f);
        assert(!ferror(f));
        fclose(f);

        /* of exactly that size, so that a sanitizer sees a read beyond it */
        exact = malloc(n ? n : 1);
        assert(exact);
        memcpy(exact, data, n);

        printf("%s: %zu bytes\n", path, n);
        fflush(stdout);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
}

int main(int argc, char **argv) {
        char *const none[] = { NULL };
        FTS *fts;
        size_t n = 0;

        fts = fts_open(argc > 1 ? argv + 1 : none, FTS_PHYSICAL, NULL);
        assert(fts);

        for (FTSENT *e; (e = fts_read(fts));)
                if (e->fts_info == FTS_F) {
                        replay(e->fts_accpath);
                        n++;
                }

        fts_close(fts);

        if (n == 0) {
                fprintf(stderr, "Nothing to replay: give files or folders that are there.\n");
                return EXIT_FAILURE;
        }

        return EXIT_SUCCESS;
}
#endif
