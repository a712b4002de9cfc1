/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-nearest.h"
#include "daemon/policy-options.h"
#include "daemon/policy-values.h"
#include "daemon/policy-words.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

#define VALUE_IN_MESSAGE_MAX 160 /* bytes; a longer value is not repeated */

#define ALPHA  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/**
 * policy_values_init() - nothing said so far
 * @v: written whole; policy_values_deinit()
 *
 * Return: 0, or -ENOMEM.
 */
int policy_values_init(PolicyValues *v) {
        *v = (PolicyValues) { 0 };
        return settings_new(&v->settings);
}

/**
 * policy_values_deinit() - release what was gathered
 * @v: settings may have been taken out (NULL)
 */
void policy_values_deinit(PolicyValues *v) {
        for (size_t i = 0; i < v->n_terms; i++)
                free((char *) v->terms[i].value);

        free(v->options_path);
        settings_unref(v->settings);
        *v = (PolicyValues) { 0 };
}

static int fault_value(const PolicyKey *k, const PolicyItem *item, const char *expected, PolicyFault *ret) {
        Text t = TEXT_INIT;

        text_add(&t, k->key);
        text_add(&t, "=");

        if (strlen(item->value) <= VALUE_IN_MESSAGE_MAX)
                text_add(&t, item->value);

        text_add(&t, item->value[0] ? " is not valid: " : " is empty: ");
        text_add(&t, expected);

        if (item->quote && !match_key_allows_glob(k->match_key) && str_equal(k->section, "Match") &&
            strpbrk(item->value, " \t"))
                text_add(&t, " (Quotes make one value of all; several values stand without quotes.)");

        return policy_fault_finish(&t, NULL, item->line, ret);
}

static bool is_made_of(const char *s, const char *accept) {
        return s[strspn(s, accept)] == 0;
}

static bool is_uuid(const char *s) {
        static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        if (strlen(s) != strlen(form))
                return false;

        for (size_t i = 0; s[i]; i++)
                if (form[i] == '-' ? s[i] != '-' : !ascii_is_hex(s[i]))
                        return false;

        return !is_made_of(s, "0-");
}

bool policy_check_part_label(char value[static FACT_SIZE]) {
        return strlen(value) < PART_LABEL_SIZE;
}

/* A GPT's type, or an MBR's as libblkid writes it: without zeros in front. */
bool policy_check_part_type(char value[static FACT_SIZE]) {
        const char *digits = value + 2;
        size_t n;

        if (is_uuid(value))
                return true;

        if (strncmp(value, "0x", 2) != 0)
                return false;

        digits += strspn(digits, "0");
        n = strlen(digits);
        if (n < 1 || n > 2 || !is_made_of(digits, DIGITS "abcdef"))
                return false;

        memmove(value + 2, digits, n + 1);
        return true;
}

bool policy_check_fs_uuid(char value[static FACT_SIZE]) {
        return is_made_of(value, ALPHA DIGITS "-_:.") && !is_made_of(value, "0-");
}

bool policy_check_fs_type(char value[static FACT_SIZE]) {
        return is_made_of(value, ALPHA DIGITS "_-");
}

bool policy_check_pt_uuid(char value[static FACT_SIZE]) {
        return is_uuid(value) || (strlen(value) == 8 && is_made_of(value, DIGITS "abcdef") && !is_made_of(value, "0"));
}

bool policy_check_wwn(char value[static FACT_SIZE]) {
        return is_made_of(value, ALPHA DIGITS "._:+-");
}

bool policy_check_kernel_name(char value[static FACT_SIZE]) {
        return !strchr(value, '/');
}

static int add_term(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, const PolicyWord *word,
                    PolicyFault *ret) {
        char *value;

        for (size_t i = 0; i < v->n_terms; i++) {
                const Term *t = &v->terms[i];

                if (t->key != k->match_key || t->glob != word->glob || !str_equal(t->value, word->value))
                        continue;

                if (t->negated != word->negated)
                        return fault_value(k, item, "one value is asked for and negated, so nothing could ever match: "
                                           "remove one of the two.", ret);

                return 0;
        }

        if (v->n_terms >= MATCH_TERMS_MAX)
                return fault_value(k, item,
                                   "with it [Match] has more than 64 values: make several policies of it, or a "
                                   "pattern.", ret);

        value = strdup(word->value);
        if (!value)
                return -ENOMEM;

        v->terms[v->n_terms++] = (Term) {
                .key = k->match_key,
                .negated = word->negated,
                .glob = word->glob,
                .value = value,
        };
        return 0;
}

static int parse_match_word(const PolicyKey *k, const PolicyItem *item, const char *s, size_t n, PolicyValues *v,
                            PolicyFault *ret) {
        char value[FACT_SIZE];
        const char *why;
        PolicyWord word;

        if (policy_word_parse(s, n, &word, &why) < 0)
                return fault_value(k, item, why ? why : k->expected, ret);

        if (word.glob && !match_key_allows_glob(k->match_key))
                return fault_value(k, item,
                                   "\"*\", \"?\" and \"[\" make a pattern of it, and this key takes none: write the "
                                   "value out; patterns are for labels, names and serial numbers.", ret);

        if (!word.glob) {
                if (!fact_normalize(k->match_key, word.value, value) || (k->check && !k->check(value)))
                        return fault_value(k, item, k->expected, ret);

                (void) str_copy(word.value, sizeof(word.value), value);
        }

        return add_term(k, item, v, &word, ret);
}

int policy_parse_match(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        const char *rest = item->value, *word;
        bool any = false;
        size_t n;
        int r;

        if (item->quote && item->value[0])
                return parse_match_word(k, item, item->value, strlen(item->value), v, ret);

        while (policy_word_next(&rest, &word, &n)) {
                any = true;
                r = parse_match_word(k, item, word, n, v, ret);
                if (r < 0)
                        return r;
        }

        return any ? 0 : fault_value(k, item, k->expected, ret);
}

int policy_parse_filter_name(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        if (!filter_name_is_valid(item->value))
                return fault_value(k, item, k->expected, ret);

        (void) str_copy(v->filter, sizeof(v->filter), item->value);
        return 0;
}

/* A file's content is the loader's to read; nothing at all means no options. */
int policy_parse_options(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        uint8_t *data = NULL;
        size_t size = 0;
        int r;

        if (item->value[0] == '/') {
                free(v->options_path);
                v->options_path = strdup(item->value);
                return v->options_path ? 0 : -ENOMEM;
        }

        r = item->value[0] ? options_parse(item->value, &data, &size) : 0;
        if (r == -ENOMEM)
                return r;

        if (r == -E2BIG)
                return fault_value(k, item, "it has more than 4096 bytes.", ret);

        if (r < 0)
                return fault_value(k, item, k->expected, ret);

        free(v->settings->options);
        v->settings->options = data;
        v->settings->options_size = size;
        return 0;
}

int policy_parse_module(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        if (!item->value[0] || !is_made_of(item->value, ALPHA DIGITS "_-") ||
            !str_copy(v->settings->module, sizeof(v->settings->module), item->value))
                return fault_value(k, item, k->expected, ret);

        return 0;
}

/* Which of the key's words the one at @s is; -EINVAL with a fault if it is none of them. */
static int parse_word(const PolicyKey *k, const PolicyItem *item, const char *s, size_t n, size_t *ret_index,
                      PolicyFault *ret) {
        Text t = TEXT_INIT;
        Nearest nearest;

        nearest_begin(&nearest, s, n);

        for (size_t i = 0; k->words[i]; i++) {
                if (strlen(k->words[i]) == n && strncmp(k->words[i], s, n) == 0) {
                        *ret_index = i;
                        return 0;
                }

                nearest_try(&nearest, k->words[i]);
        }

        text_add(&t, k->key);
        text_add(&t, "=");

        if (n <= VALUE_IN_MESSAGE_MAX)
                text_add_n(&t, s, n);

        text_add(&t, " is not valid");

        if (memchr(s, ',', n))
                text_add(&t, ", words stand with blanks between, not commas: ");
        else if (nearest_get(&nearest)) {
                text_add(&t, ", did you mean ");
                text_add(&t, nearest_get(&nearest));
                text_add(&t, "? ");
        } else
                text_add(&t, ": ");

        text_add(&t, k->expected);
        return policy_fault_finish(&t, NULL, item->line, ret);
}

static int parse_one_word(const PolicyKey *k, const PolicyItem *item, size_t *ret_index, PolicyFault *ret) {
        if (!item->value[0])
                return fault_value(k, item, k->expected, ret);

        return parse_word(k, item, item->value, strlen(item->value), ret_index, ret);
}

const char *const policy_words_on[] = { "boot", "rescan", "hotplug", NULL };
const char *const policy_words_on_change[] = { "reattach", "refuse", NULL };
const char *const policy_words_on_conflict[] = { "wait", "ignore", NULL };

_Static_assert(POLICY_ON_BOOT == 1 << 0 && POLICY_ON_RESCAN == 1 << 1 && POLICY_ON_HOTPLUG == 1 << 2 &&
               POLICY_ON_ALL == 7, "in the order of policy_words_on");

int policy_parse_on(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        const char *rest = item->value, *word;
        unsigned on = 0;
        size_t n, i;
        int r;

        while (policy_word_next(&rest, &word, &n)) {
                r = parse_word(k, item, word, n, &i, ret);
                if (r < 0)
                        return r;

                on |= 1u << i;
        }

        if (on == 0)
                return fault_value(k, item, k->expected, ret);

        v->settings->on = on;
        return 0;
}

int policy_parse_on_change(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        size_t i;
        int r;

        r = parse_one_word(k, item, &i, ret);
        if (r == 0)
                v->settings->refuse_change = i == 1;

        return r;
}

int policy_parse_on_conflict(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        size_t i;
        int r;

        r = parse_one_word(k, item, &i, ret);
        if (r == 0)
                v->settings->ignore_conflict = i == 1;

        return r;
}

/**
 * policy_parse_usec() - a time as files write it
 * @value: a whole number, of seconds or with one of the units us, ms, s, min directly behind it
 * @min_usec: the shortest that is acceptable
 * @max_usec: the longest
 * @ret_usec: written only on success
 *
 * Return: whether it is one.
 */
bool policy_parse_usec(const char *value, uint64_t min_usec, uint64_t max_usec, uint64_t *ret_usec) {
        static const struct {
                const char *unit;
                uint64_t usec;
        } units[] = {
                { "", UINT64_C(1000000) },
                { "us", UINT64_C(1) },
                { "ms", UINT64_C(1000) },
                { "s", UINT64_C(1000000) },
                { "min", UINT64_C(60000000) },
        };
        uint64_t v = 0, usec;
        const char *c;

        for (c = value; *c >= '0' && *c <= '9'; c++) {
                v = v * 10 + (uint64_t) (*c - '0');

                /* beyond the limit in any unit, and the product below never overflows */
                if (v > max_usec)
                        return false;
        }

        if (c == value)
                return false;

        for (size_t i = 0; i < N_ELEMENTS(units); i++) {
                if (!str_equal(c, units[i].unit))
                        continue;

                usec = v * units[i].usec;
                if (usec < min_usec || usec > max_usec)
                        return false;

                *ret_usec = usec;
                return true;
        }

        return false;
}

int policy_parse_retry(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        if (!policy_parse_usec(item->value, POLICY_RETRY_USEC_MIN, POLICY_RETRY_USEC_MAX, &v->settings->retry_usec))
                return fault_value(k, item, k->expected, ret);

        return 0;
}

int policy_parse_timeout(const PolicyKey *k, const PolicyItem *item, PolicyValues *v, PolicyFault *ret) {
        if (!policy_parse_usec(item->value, POLICY_TIMEOUT_USEC_MIN, POLICY_TIMEOUT_USEC_MAX,
                               &v->settings->timeout_usec))
                return fault_value(k, item, k->expected, ret);

        return 0;
}
