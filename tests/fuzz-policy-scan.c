/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fuzzing of policy files: the pre-scan, its agreement with iniparser, the keys, drop-ins, the text
 * that is written of a policy.
 *
 * An input is a policy's own file and its drop-ins, with a byte 0x1e (which no file may have) and a newline
 * between.
 *
 * What is held: nothing crashes; what the pre-scan accepts, iniparser reads alike, value by value;
 * every refusal has a sentence in valid UTF-8; a policy is within its limits and never means every
 * device; written and read again it means the same.
 *
 * Built with -fsanitize=fuzzer and -DFUZZ_BY_LIBFUZZER it is a libFuzzer target; else its main
 * replays the files and folders given on the command line, for example tests/corpus/policy.
 */

#undef NDEBUG

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/identity.h"
#include "daemon/policy-file.h"
#include "daemon/policy-text.h"
#include "daemon/policy-words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(int r, PolicyFault *f) {
        assert(r == -EINVAL);
        assert(f->message && f->message[0]);
        assert(policy_text_is_clean(f->message, strlen(f->message), NULL));
        policy_fault_deinit(f);
}

static void check_policy(const Policy *p) {
        bool positive = false;

        assert(p->match->n_terms > 0 && p->match->n_terms <= MATCH_TERMS_MAX);

        for (size_t i = 0; i < p->match->n_terms; i++) {
                const Term *t = &p->match->terms[i];

                assert(t->value[0] && strlen(t->value) < FACT_SIZE);
                assert(policy_word_is_utf8(t->value));
                assert(!t->glob || match_key_allows_glob(t->key));
                positive |= !t->negated;

                /* a pattern is one, whatever it fits */
                if (t->glob) {
                        int r = fnmatch(t->value, "data1", 0);

                        assert(r == 0 || r == FNM_NOMATCH);
                }
        }

        assert(positive);
        assert(filter_name_is_valid(p->filter));
        assert(p->settings->on && !(p->settings->on & ~(unsigned) POLICY_ON_ALL));
        assert(p->settings->retry_usec >= POLICY_RETRY_USEC_MIN && p->settings->retry_usec <= POLICY_RETRY_USEC_MAX);
        assert(p->settings->timeout_usec >= POLICY_TIMEOUT_USEC_MIN &&
               p->settings->timeout_usec <= POLICY_TIMEOUT_USEC_MAX);
        assert(p->settings->options_size <= POLICY_OPTIONS_MAX);
        assert(p->n_lines > 0);

        for (size_t i = 0; i < p->n_lines; i++)
                assert(p->lines[i].line > 0 && p->lines[i].path[0] == '/');
}

/* As policy_to_text() holds it against the pre-scan itself, iniparser is what is left. */
static void check_text(const Policy *p) {
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyDraft *draft;
        PolicyScan *scan;
        Policy *again;
        char *text;

        assert(policy_to_text(p, NULL, &text) == 0);
        assert(policy_scan(text, strlen(text), &scan, &f) == 0);
        assert(policy_file_compare(scan, text, strlen(text), &f) == 0);
        assert(policy_draft_new("fuzz.conf", "/fuzz.conf", &draft) == 0);
        assert(policy_draft_add(draft, scan, NULL, &f) == 0);
        assert(policy_draft_finish(draft, NULL, &again, &f) == 0);
        assert(policy_equal(p, again));
        policy_free(again);
        policy_draft_free(draft);
        policy_scan_free(scan);
        free(text);
}

/* One file of the input; whether it is acceptable. */
static bool add_file(PolicyDraft *draft, const char *data, size_t size, bool is_dropin) {
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyScan *scan;
        int r;

        r = policy_scan(data, size, &scan, &f);
        if (r < 0) {
                check_refusal(r, &f);
                return false;
        }

        r = policy_file_compare(scan, data, size, &f);
        if (r < 0) {
                fprintf(stderr, "line %u: %s\n", f.line, f.message ? f.message : strerror(-r));
                abort();
        }

        r = policy_draft_add(draft, scan, is_dropin ? "/drop-in.conf" : NULL, &f);
        policy_scan_free(scan);

        if (r < 0)
                check_refusal(r, &f);

        return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        PolicyFault f = POLICY_FAULT_INIT;
        const char *file, *path, *p = (const char *) data, *end = p + size;
        bool is_dropin = false, ok = true;
        PolicyDraft *draft;
        Policy *policy;
        unsigned line;
        int r;

        assert(policy_draft_new("fuzz.conf", "/fuzz.conf", &draft) == 0);

        do {
                const char *next = memmem(p, (size_t) (end - p), "\x1e\n", 2);

                ok = add_file(draft, p, (size_t) ((next ? next : end) - p), is_dropin);
                is_dropin = true;
                p = next ? next + 2 : end;
        } while (ok && p < end);

        if (ok) {
                r = policy_draft_finish(draft, NULL, &policy, &f);
                if (r < 0) {
                        assert(f.path);
                        check_refusal(r, &f);
                } else {
                        check_policy(policy);
                        if (!policy_draft_get_options_file(draft, &file, &path, &line))
                                check_text(policy);
                        policy_free(policy);
                }
        }

        policy_draft_free(draft);
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
