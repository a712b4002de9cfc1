/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-draft.h"
#include "daemon/policy-options.h"
#include "daemon/policy-text.h"
#include "daemon/policy-values.h"
#include "daemon/policy-words.h"

/**
 * policy_equal() - whether two policies make the same of every device
 * @a: a policy
 * @b: a policy
 *
 * Names, paths and lines are not looked at.
 */
bool policy_equal(const Policy *a, const Policy *b) {
        return str_equal(a->filter, b->filter) && match_equal(a->match, b->match) &&
               settings_equal(a->settings, b->settings);
}

/* In bytes: so long a word fits in a line if each sign of it is written by its number. */
#define WORD_MAX ((POLICY_LINE_MAX - 40) / 4)

/* Whether a value has signs that need a backslash in these quotes too; without memory to find out it may. */
static bool needs_escape(const Term *t, char quote) {
        Text text = TEXT_INIT;
        char *s;
        bool r;

        policy_word_write(&text, t, quote);
        if (text_steal(&text, &s) < 0)
                return true;

        r = strchr(s, '\\');
        free(s);
        return r;
}

/*
 * Whether a value stands better in quotes, as a word could not have its signs; in which, or 0. Not what needs
 * a backslash there all the same: iniparser from 4.2 on takes those away between quotes.
 */
static char choose_quote(const Term *t) {
        char quote;

        if (!strpbrk(t->value, " #;\"'"))
                return 0;

        quote = strchr(t->value, '"') ? '\'' : '"';
        return needs_escape(t, quote) && strlen(t->value) <= WORD_MAX ? 0 : quote;
}

/* All terms of the key of @m->terms[i]; the number of them. */
static size_t write_key(Text *t, const Match *m, size_t i) {
        size_t n = 1;

        while (i + n < m->n_terms && m->terms[i + n].key == m->terms[i].key)
                n++;

        text_add(t, match_key_to_string(m->terms[i].key));
        text_add(t, "=");

        if (n == 1) {
                char quote = choose_quote(&m->terms[i]);

                text_add_n(t, &quote, quote ? 1 : 0);
                policy_word_write(t, &m->terms[i], quote);
                text_add_n(t, &quote, quote ? 1 : 0);
        } else
                for (size_t k = 0; k < n; k++) {
                        text_add(t, k > 0 ? " " : "");
                        policy_word_write(t, &m->terms[i + k], 0);
                }

        text_add(t, "\n");
        return n;
}

static void write_time(Text *t, const char *key, uint64_t usec) {
        bool is_ms = usec % 1000 == 0, is_s = usec % 1000000 == 0;

        text_add(t, key);
        text_add(t, "=");
        text_add_u64(t, is_s ? usec / 1000000 : is_ms ? usec / 1000 : usec);
        text_add(t, is_s ? "\n" : is_ms ? "ms\n" : "us\n");
}

static void write_policy(Text *t, const Policy *p, const char *options_file) {
        const Settings *s = p->settings;

        text_add(t, "[Match]\n");
        for (size_t i = 0; i < p->match->n_terms; )
                i += write_key(t, p->match, i);

        text_add(t, "\n[Filter]\nName=");
        text_add(t, p->filter);
        text_add(t, "\n");

        if (options_file) {
                text_add(t, "Options=\"");
                text_add(t, options_file);
                text_add(t, "\"\n");
        } else if (s->options_size > 0) {
                text_add(t, "Options=");
                options_write(t, s->options, s->options_size);
                text_add(t, "\n");
        }

        if (s->module[0]) {
                text_add(t, "Module=");
                text_add(t, s->module);
                text_add(t, "\n");
        }

        text_add(t, "\n[Attach]\nOn=");
        for (unsigned i = 0; policy_words_on[i]; i++)
                if (s->on & 1u << i) {
                        text_add(t, s->on & ((1u << i) - 1) ? " " : "");
                        text_add(t, policy_words_on[i]);
                }

        text_add(t, s->refuse_change ? "\nOnChange=refuse" : "\nOnChange=reattach");
        text_add(t, s->ignore_conflict ? "\nOnConflict=ignore\n" : "\nOnConflict=wait\n");
        write_time(t, "RetrySec", s->retry_usec);
        write_time(t, "TimeoutSec", s->timeout_usec);
}

/* Whether a text says what a policy does; -EINVAL if not. */
static int check_text(const char *text, const Policy *p, const char *options_file) {
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyScan *scan = NULL;
        PolicyDraft *d = NULL;
        Policy *again = NULL;
        PolicyOptions options = { p->settings->options, p->settings->options_size };
        const char *file, *path;
        unsigned line;
        int r;

        r = policy_scan(text, strlen(text), &scan, &f);
        if (r == 0)
                r = policy_draft_new("", "", &d);
        if (r == 0)
                r = policy_draft_add(d, scan, NULL, &f);
        if (r == 0)
                r = policy_draft_finish(d, &options, &again, &f);
        if (r == 0 && (!policy_equal(p, again) ||
                       (options_file && !(policy_draft_get_options_file(d, &file, &path, &line) &&
                                          str_equal(file, options_file)))))
                r = -EINVAL;

        policy_free(again);
        policy_draft_free(d);
        policy_scan_free(scan);
        policy_fault_deinit(&f);
        return r;
}

/**
 * policy_to_text() - the text of a policy file that says what a policy does
 * @p: the policy; borrowed. Its name, path and lines do not count
 * @options_file: full path of a file to be named as the one that has the options; NULL: they are in the text
 * @ret: set on success: valid UTF-8, lines with a newline each; owned by the caller, free()
 *
 * Every key is there that means something, so that a later default changes nothing. The text has been
 * read again and means the same.
 *
 * Return: 0; -EINVAL if no file can say it (a value that is no valid UTF-8, or that a policy may not
 * have, a line that gets too long: options of more than 700 bytes want @options_file); or -ENOMEM.
 */
int policy_to_text(const Policy *p, const char *options_file, char **ret) {
        Text t = TEXT_INIT;
        char *text;
        int r;

        for (size_t i = 0; i < p->match->n_terms; i++)
                if (!policy_word_is_utf8(p->match->terms[i].value))
                        return -EINVAL;

        write_policy(&t, p, options_file);

        r = text_steal(&t, &text);
        if (r < 0)
                return -ENOMEM;

        r = check_text(text, p, options_file);
        if (r < 0) {
                free(text);
                return r;
        }

        *ret = text;
        return 0;
}
