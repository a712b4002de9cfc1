/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The text that is written of a policy: it is read as the same policy again, whatever names are in it. */

#undef NDEBUG

#include "tests/policy-parse.h"

static void test_text(void) {
        static const char wanted[] = "[Match]\n"
                                     "PartUUID=1234abcd-01 1234abcd-02 !1234abcd-03\n"
                                     "PartLabel=\"my data\"\n"
                                     "FSLabel=a\\x20b x* !\\x2a\n"
                                     "FSType=!swap\n"
                                     "\n"
                                     "[Filter]\n"
                                     "Name=bfcount\n"
                                     "Options=base64:Cgs=\n"
                                     "Module=m\n"
                                     "\n"
                                     "[Attach]\n"
                                     "On=rescan hotplug\n"
                                     "OnChange=refuse\n"
                                     "OnConflict=wait\n"
                                     "RetrySec=1500ms\n"
                                     "TimeoutSec=30\n";
        Policy *p;
        char *text;

        p = parse_good("[attach]\nTimeoutSec=30000ms\nretrysec=1500000us\nOnChange=refuse\n"
                       "On=hotplug rescan\n[FILTER]\nOptions=hex:0a0B\nModule=m\nName='bfcount'\n# comment\n[Match]\n"
                       "FSType='!swap'\nFSLabel=x* !\\x2A \\x61\\x20b\n"
                       "PartUUID=!1234abcd-03 1234ABCD-02 1234abcd-01 1234abcd-01\nPartLabel='my data'\n");
        CHECK(policy_to_text(p, NULL, &text) == 0);
        if (strcmp(text, wanted) != 0)
                fputs(text, stderr);
        CHECK(strcmp(text, wanted) == 0);
        free(text);
        round_trip(p);
        policy_free(p);
}

static void test_equal(void) {
        Policy *a = parse_good(MATCH FILTER), *b = parse_good(FILTER MATCH "[Attach]\nRetrySec=1\n");

        CHECK(policy_equal(a, b));
        policy_free(b);
        b = parse_good(MATCH FILTER "[Attach]\nRetrySec=2\n");
        CHECK(!policy_equal(a, b));
        policy_free(b);
        b = parse_good(MATCH "[Filter]\nName=bfcounT\n");
        CHECK(!policy_equal(a, b));
        policy_free(b);
        b = parse_good("[Match]\nPartLabel=Data\n" FILTER);
        CHECK(!policy_equal(a, b));
        policy_free(b);
        policy_free(a);
}

/* Any bytes that are UTF-8 can be a label, and be written. */
/* iniparser from 4.2 on takes backslashes away between quotes. */
static void check_quotes(const Policy *p) {
        char *text, *save = NULL;

        CHECK(policy_to_text(p, NULL, &text) == 0);
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                const char *value = strchr(line, '=');

                CHECK(!value || (value[1] != '"' && value[1] != '\'') || !strchr(value, '\\'));
        }
        free(text);
}

static void test_any_label(void) {
        for (unsigned c = 1; c < 128; c++) {
                const char forms[][8] = {
                        { (char) c, 0 }, { (char) c, 'a', 0 }, { 'a', (char) c, 'b', 0 }, { 'a', (char) c, 0 },
                        { (char) c, '"', '\'', (char) c, 0 }, { '!', (char) c, ' ', 0 },
                };

                for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
                        for (unsigned variant = 0; variant < 2; variant++) {
                                Term terms[] = {
                                        { .key = MATCH_FS_LABEL, .value = forms[i] },
                                        { .key = MATCH_FS_LABEL, .value = "other", .negated = true },
                                };
                                Policy p = { .filter = "bfcount" };

                                CHECK(settings_new(&p.settings) == 0);
                                CHECK(match_new(terms, variant + 1, &p.match) == 0);
                                round_trip(&p);
                                check_quotes(&p);
                                match_unref(p.match);
                                settings_unref(p.settings);
                        }
        }
}

/* What no file can say is refused and not written in another sense. */
static void test_unwritable(void) {
        static const Term terms[] = {
                { .key = MATCH_FS_LABEL, .value = "\xff" },
                { .key = MATCH_FS_LABEL, .value = "a\xc3" },
                { .key = MATCH_FS_LABEL, .value = "a", .negated = true },
                { .key = MATCH_FS_LABEL, .value = "[[:digit:]]", .glob = true },
                { .key = MATCH_PART_UUID, .value = "x" },
                { .key = MATCH_FS_TYPE, .value = "a b" },
        };
        uint8_t options[POLICY_OPTIONS_MAX] = { 0 };
        Policy p = { .filter = "bfcount" };
        char *text;

        current = "unwritable";

        for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
                CHECK(settings_new(&p.settings) == 0);
                CHECK(match_new(&terms[i], 1, &p.match) == 0);
                CHECK(policy_to_text(&p, NULL, &text) == -EINVAL);
                match_unref(p.match);
                settings_unref(p.settings);
        }

        /* large options go into a file of their own */
        CHECK(settings_new(&p.settings) == 0);
        CHECK(match_new_one(MATCH_FS_LABEL, "a", &p.match) == 0);
        p.settings->options = options;
        p.settings->options_size = 700;
        round_trip(&p);
        p.settings->options_size = sizeof(options);
        CHECK(policy_to_text(&p, NULL, &text) == -EINVAL);
        CHECK(policy_to_text(&p, "/run/my options", &text) == 0);
        CHECK(strstr(text, "\nOptions=\"/run/my options\"\n"));
        free(text);
        CHECK(policy_to_text(&p, "not/absolute", &text) == -EINVAL);
        CHECK(policy_to_text(&p, "/a\"b", &text) == -EINVAL);
        CHECK(policy_to_text(&p, "/a\nb", &text) == -EINVAL);
        p.settings->options = NULL;
        p.settings->options_size = 0;

        /* times that no file can have */
        p.settings->retry_usec = POLICY_RETRY_USEC_MIN - 1;
        CHECK(policy_to_text(&p, NULL, &text) == -EINVAL);
        match_unref(p.match);
        settings_unref(p.settings);
}

int main(void) {
        test_text();
        test_equal();
        test_any_label();
        test_unwritable();
        return EXIT_SUCCESS;
}
