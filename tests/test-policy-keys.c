/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the keys of a policy mean: each value that is taken or refused, and how that is said. */

#undef NDEBUG

#include <fnmatch.h>

#include "daemon/policy-options.h"
#include "tests/policy-parse.h"

static void test_missing(void) {
        parse_bad(FILTER, 0, "[Match] names no device");
        parse_bad("\n[Match]\n" FILTER, 2, "[Match] names no device");
        parse_bad(MATCH, 0, "[Filter] Name= is missing: ");
        parse_bad(MATCH "[Filter]\n", 3, "[Filter] Name= is missing: ");
        parse_bad(MATCH "[Filter]\nOptions=\n", 3, "[Filter] Name= is missing: ");
        parse_bad("[Match]\n\nPartLabel=!swap*\nFSType=!swap\n" FILTER, 3, "says only what the device has not");
        parse_bad("[Match]\nPartLabel=* !swap\nFSLabel=?*\n" FILTER, 2, "fits whatever has a name at all");
        policy_free(parse_good("[Match]\nPartLabel=*\nDiskSerial=S1\n" FILTER));
        policy_free(parse_good("[Match]\nPartLabel=!swap\nFSType=ext4\n" FILTER));
}

static void test_names(void) {
        parse_bad("[Match]\nPartUID=a\n" FILTER, 2, "did you mean PartUUID=?");
        parse_bad("[Match]\nFSLable=a\n" FILTER, 2, "did you mean FSLabel=?");
        parse_bad("[Match]\nColour=a\n" FILTER, 2, "It knows PartUUID=, PartLabel=, PartType=, PartNumber=, FSUUID=, "
                  "FSLabel=, FSType=, PTUUID=, DiskWWN=, DiskSerial=, DMName=, DMUUID=, KernelName=.");
        parse_bad("[Match]\nName=a\n", 2, "it belongs to [Filter]");
        parse_bad(MATCH FILTER "[Attach]\nModule=a\n", 6, "it belongs to [Filter]");
        parse_bad("[Mach]\nPartLabel=a\n" FILTER, 1, "did you mean [Match]?");
        parse_bad(MATCH FILTER "[Attack]\n", 5, "did you mean [Attach]?");
        parse_bad(MATCH FILTER "[Attach]\nzq=1\n", 6, "zq= is not a key of [Attach]. It knows On=");
        parse_bad("[Unit]\nName=a\n", 1, "There are [Match], [Filter], [Attach].");
}

/* A value of [Match]: the terms that it stands for, in the order of match_new(); NULL: refused with message */
typedef struct MatchCase {
        const char *key, *value;
        const char *terms; /* "KEY=value" with "=!" if negated and "~" in front of a pattern, "|" between */
        const char *message;
} MatchCase;

static const MatchCase match_cases[] = {
        { "PartUUID", "1234ABCD-01", "PartUUID=1234abcd-01", NULL },
        { "PartUUID", UUID " 1234abcd-01 !1234abcd-02", "PartUUID=" UUID "|PartUUID=1234abcd-01|PartUUID=!1234abcd-02",
          NULL },
        { "PartUUID", "0fc63daf-8483", NULL, "PartUUID=0fc63daf-8483 is not valid: expected the partition's UUID" },
        { "PartUUID", "00000000-0000-0000-0000-000000000000", NULL, "not all zeros" },
        { "PartUUID", "1234abcd-0*", NULL, "this key takes none" },
        { "PartUUID", "\"1234abcd-01 1234abcd-02\"", NULL, "(Quotes make one value of all" },
        { "PartUUID", "", NULL, "PartUUID= is empty: expected" },
        { "PartLabel", "\"\"", NULL, "PartLabel= is empty" },
        { "PartLabel", "data", "PartLabel=data", NULL },
        { "PartLabel", "\"my data\"", "PartLabel=my data", NULL },
        { "PartLabel", "'say \"hi\"'", "PartLabel=say \"hi\"", NULL },
        { "PartLabel", "my data", "PartLabel=data|PartLabel=my", NULL },
        { "PartLabel", "data data data", "PartLabel=data", NULL },
        { "PartLabel", "my\\x20data other", "PartLabel=my data|PartLabel=other", NULL },
        { "PartLabel", "Data data", "PartLabel=Data|PartLabel=data", NULL },
        { "PartLabel", "!swap*", NULL, "says only what the device has not" },
        { "PartLabel", "a !b \t!c", "PartLabel=a|PartLabel=!b|PartLabel=!c", NULL },
        { "PartLabel", "a !a", NULL, "asked for and negated" },
        { "PartLabel", "\"!a\" b", NULL, "Nothing may follow" },
        { "PartLabel", "a !", NULL, "needs a value directly behind it" },
        { "PartLabel", "! a", NULL, "needs a value directly behind it" },
        { "PartLabel", "\"!\"", NULL, "needs a value directly behind it" },
        { "PartLabel", "!!a", NULL, "own \"!\" in first place is \\x21" },
        { "PartLabel", "\\x21a b!c", "PartLabel=!a|PartLabel=b!c", NULL },
        { "PartLabel", "data*", "PartLabel~data*", NULL },
        { "PartLabel", "\"my da?a\"", "PartLabel~my da?a", NULL },
        { "PartLabel", "a[!b-d]* x", "PartLabel=x|PartLabel~a[!b-d]*", NULL },
        { "PartLabel", "a[^b]", "PartLabel~a[!b]", NULL },
        { "PartLabel", "a[-b]c[d-]", "PartLabel~a[-b]c[d-]", NULL },
        { "PartLabel", "[!-a-c^!-]", "PartLabel~[!-a-c^!-]", NULL },
        { "PartLabel", "[\\x21^] [\\x5ea] [!\\x21]", "PartLabel~[!!]|PartLabel~[\\!^]|PartLabel~[\\^a]", NULL },
        { "PartLabel", "\\x2a", "PartLabel=*", NULL },
        { "PartLabel", "\\x2a*\\x5c", "PartLabel~\\**\\\\", NULL },
        { "PartLabel", "x[\\x5d\\x2d]", "PartLabel~x[\\]\\-]", NULL },
        { "PartLabel", "\\x41\\x6A", "PartLabel=Aj", NULL },
        { "PartLabel", "a\\x01\\x7f\\x09", "PartLabel=a\x01\x7f\t", NULL },
        { "PartLabel", "\\xc3\\xb6", "PartLabel=ö", NULL },
        { "PartLabel", "\\xc3", NULL, "valid UTF-8" },
        { "PartLabel", "\\x01\\xff", NULL, "valid UTF-8" },
        { "PartLabel", "a\\x00", NULL, "\\x00 ends a name" },
        { "PartLabel", "a\\b", NULL, "a \"\\\" itself is \\x5c" },
        { "PartLabel", "a\\x4", NULL, "two hexadecimal digits" },
        { "PartLabel", "a\\xg4", NULL, "two hexadecimal digits" },
        { "PartLabel", "\"a\\*\"", NULL, "two hexadecimal digits" },
        { "PartLabel", "a\\X41", NULL, "two hexadecimal digits" },
        { "PartLabel", "a[", NULL, "which needs its \"]\"" },
        { "PartLabel", "a[]", NULL, "which needs its \"]\"" },
        { "PartLabel", "a[b c]", NULL, "which needs its \"]\"" },
        { "PartLabel", "a[!]", NULL, "which needs its \"]\"" },
        { "PartLabel", "[[:digit:]]", NULL, "write [0-9]" },
        { "PartLabel", "[z-a]", NULL, "ends before it begins" },
        { "PartLabel", "[a-c-e]", NULL, "must come first or last" },
        { "PartLabel", "[ö]", NULL, "ASCII" },
        { "PartLabel", "]", "PartLabel=]", NULL },
        { "PartType", "0X0C", "PartType=0xc", NULL },
        { "PartType", "0x83 !0x82", "PartType=0x83|PartType=!0x82", NULL },
        { "PartType", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "PartType=" UUID, NULL },
        { "PartType", "0x0", NULL, "expected the partition's type" },
        { "PartType", "0x100", NULL, "expected the partition's type" },
        { "PartType", "83", NULL, "expected the partition's type" },
        { "PartType", "0x", NULL, "expected the partition's type" },
        { "PartType", "linux", NULL, "expected the partition's type" },
        { "PartNumber", "1 9999", "PartNumber=1|PartNumber=9999", NULL },
        { "PartNumber", "0", NULL, "from 1 to 9999" },
        { "PartNumber", "01", NULL, "from 1 to 9999" },
        { "PartNumber", "10000", NULL, "from 1 to 9999" },
        { "PartNumber", "+1", NULL, "from 1 to 9999" },
        { "PartNumber", "1-3", NULL, "from 1 to 9999" },
        { "FSUUID", "ABCD-1234", "FSUUID=abcd-1234", NULL },
        { "FSUUID", "qX3Z5i-a", "FSUUID=qx3z5i-a", NULL },
        { "FSUUID", "0000-0000", NULL, "not all zeros" },
        { "FSUUID", "a/b", NULL, "file system's UUID" },
        { "FSUUID", "a*", NULL, "this key takes none" },
        { "FSLabel", "root*", "FSLabel~root*", NULL },
        { "FSType", "crypto_LUKS ext4", "FSType=crypto_LUKS|FSType=ext4", NULL },
        { "FSType", "ext*", NULL, "this key takes none" },
        { "FSType", "ext4,xfs", NULL, "expected a type of file system" },
        { "PTUUID", UUID " 1234ABCD", "PTUUID=" UUID "|PTUUID=1234abcd", NULL },
        { "PTUUID", "00000000", NULL, "partition table's UUID" },
        { "PTUUID", "1234abcd-01", NULL, "partition table's UUID" },
        { "DiskWWN", "0x5000C500A1B2C3D4", "DiskWWN=0x5000c500a1b2c3d4", NULL },
        { "DiskWWN", "eui.0025385b71b00e4a", "DiskWWN=eui.0025385b71b00e4a", NULL },
        { "DiskWWN", "a/b", NULL, "World Wide Name" },
        { "DiskSerial", "S3Z* WD-1", "DiskSerial=WD-1|DiskSerial~S3Z*", NULL },
        { "DMName", "vg0-home", "DMName=vg0-home", NULL },
        { "DMUUID", "CRYPT-*-home", "DMUUID~CRYPT-*-home", NULL },
        { "KernelName", "loop[0-9]", "KernelName~loop[0-9]", NULL },
        { "KernelName", "cciss!c0d0", "KernelName=cciss!c0d0", NULL },
        { "KernelName", "/dev/sda", NULL, "without a folder" },
};

static void add_terms(Text *t, const Match *m) {
        for (size_t i = 0; i < m->n_terms; i++) {
                text_add(t, i > 0 ? "|" : "");
                text_add(t, match_key_to_string(m->terms[i].key));
                text_add(t, m->terms[i].glob ? "~" : "=");
                text_add(t, m->terms[i].negated ? "!" : "");
                text_add(t, m->terms[i].value);
        }
}

static void test_match(void) {
        for (size_t i = 0; i < sizeof(match_cases) / sizeof(match_cases[0]); i++) {
                const MatchCase *c = &match_cases[i];
                Text t = TEXT_INIT;
                char text[512], *terms;
                Policy *p;

                snprintf(text, sizeof(text), "[Match]\n%s=%s\n%s", c->key, c->value, FILTER);

                if (!c->terms) {
                        parse_bad(text, 2, c->message);
                        continue;
                }

                p = parse_good(text);
                add_terms(&t, p->match);
                CHECK(text_steal(&t, &terms) == 0);
                if (strcmp(terms, c->terms) != 0)
                        fprintf(stderr, "%s\n", terms);
                CHECK(strcmp(terms, c->terms) == 0);
                round_trip(p);
                policy_free(p);
                free(terms);
        }
}

/* Patterns go to fnmatch(3) as they are: what is escaped must not be a sign there. */
static void test_patterns(void) {
        static const struct {
                const char *value, *fits, *not;
        } cases[] = {
                { "a*z", "abcz", "abc" },
                { "\\x2a*", "*x", "x*" },
                { "\\x3f?", "?x", "xx" },
                { "\\x5ba\\x5d*", "[a]b", "ab" },
                { "[\\x5d]x*", "]xy", "xy" },
                { "[!a]?", "bb", "ab" },
                { "[a-c]1*", "b1", "d1" },
                { "[\\x2d\\x5c\\x21]*", "\\x", "ax" },
                { "[\\x5e]a*", "^ab", "ba" },
                { "*\\x5cx*", "a\\xb", "axb" },
                { "[a-c-]*", "-x", "dx" },
                { "[-a]*", "-x", "bx" },
                { "[!-a]*", "bx", "-x" },
                { "[!!x]*", "ab", "!b" },
                { "[\\x21a]*", "!b", "bb" },
                { "[a!]*", "!b", "bb" },
                { "[^^]*", "ab", "^b" },
                { "[+\\x2d0]*", "-b", "/b" },
                { "?\\xc3\\xb6*", "aöb", "ab" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[256];
                Policy *p;

                snprintf(text, sizeof(text), "[Match]\nFSLabel=%s\n%s", cases[i].value, FILTER);
                p = parse_good(text);
                CHECK(p->match->n_terms == 1 && p->match->terms[0].glob);
                CHECK(fnmatch(p->match->terms[0].value, cases[i].fits, 0) == 0);
                CHECK(fnmatch(p->match->terms[0].value, cases[i].not, 0) == FNM_NOMATCH);
                round_trip(p);
                policy_free(p);
        }
}

static void test_lengths(void) {
        char text[2048], value[512];
        Policy *p;

        for (size_t n = 126; n <= 257; n++) {
                memset(value, 'x', n);
                value[n] = 0;

                snprintf(text, sizeof(text), "[Match]\nPartLabel=%s\n%s", value, FILTER);
                if (n <= 127)
                        policy_free(parse_good(text));
                else
                        parse_bad(text, 2, "1 to 127 bytes");

                snprintf(text, sizeof(text), "[Match]\nFSLabel=%s\n%s", value, FILTER);
                if (n <= 255)
                        policy_free(parse_good(text));
                else
                        parse_bad(text, 2, "1 to 255 bytes");

                value[n - 1] = '*';
                snprintf(text, sizeof(text), "[Match]\nPartLabel=%s\n%s", value, FILTER);
                if (n <= 255)
                        policy_free(parse_good(text));
                else
                        parse_bad(text, 2, "a pattern of at most 255 bytes");
        }

        /* of the two kinds of quotation marks the rarer one is escaped, or the line got too long */
        memset(value, '"', 254);
        value[254] = 0;
        snprintf(text, sizeof(text), "[Match]\nFSLabel='%s\\x27'\n%s", value, FILTER);
        p = parse_good(text);
        CHECK(strlen(match_get_value(p->match, MATCH_FS_LABEL)) == 255);
        round_trip(p);
        policy_free(p);

        /* nor may a pattern grow when it is written */
        sprintf(text, "[Match]\nFSLabel=");
        for (unsigned i = 0; i < 47; i++)
                sprintf(text + strlen(text), "[%u^-] [-!%u]x*%s", i, i, i % 5 ? "" : " ");
        strcat(text, "\n" FILTER);
        p = parse_good(text);
        round_trip(p);
        policy_free(p);

        /* 64 values, and one more */
        strcpy(text, "[Match]\nPartNumber=");
        for (unsigned i = 1; i <= 32; i++)
                sprintf(text + strlen(text), "%u ", i);
        strcat(text, "\nKernelName=");
        for (unsigned i = 1; i <= 32; i++)
                sprintf(text + strlen(text), "loop%u ", i);
        sprintf(text + strlen(text), "\n%s", FILTER);
        p = parse_good(text);
        CHECK(p->match->n_terms == 64);
        round_trip(p);
        policy_free(p);
        *strstr(text, " \nKernel") = '0'; /* 320 ... */
        strcpy(strstr(text, "\nKernel") + 12,
               "a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G\n" FILTER);
        parse_bad(text, 3, "more than 64 values");
}

static void test_filter(void) {
        Policy *p;

        parse_bad(MATCH "[Filter]\nName=\n", 4, "Name= is empty");
        parse_bad(MATCH "[Filter]\nName=a/b\n", 4, "Name=a/b is not valid");
        parse_bad(MATCH "[Filter]\nName=a b\n", 4, "Name=a b is not valid");
        policy_free(parse_good(MATCH "[Filter]\nName=abcdefghijklmnopqrstuvwxyz01234\n"));
        parse_bad(MATCH "[Filter]\nName=abcdefghijklmnopqrstuvwxyz012345\n", 4, "is not valid");

        p = parse_good(MATCH FILTER "Module=dm-mod_2\n");
        CHECK(strcmp(p->settings->module, "dm-mod_2") == 0);
        round_trip(p);
        policy_free(p);
        policy_free(parse_good(MATCH FILTER "Module=0123456789012345678901234567890123456789012345678901234\n"));
        parse_bad(MATCH FILTER "Module=01234567890123456789012345678901234567890123456789012345\n", 5, "1 to 55");
        parse_bad(MATCH FILTER "Module=\n", 5, "Module= is empty");
        parse_bad(MATCH FILTER "Module=../x\n", 5, "Module=../x is not valid");
        parse_bad(MATCH FILTER "Module=a b\n", 5, "is not valid");
}

static void test_options(void) {
        static const struct {
                const char *value, *hex; /* hex NULL: refused */
        } cases[] = {
                { "", "" }, { "hex:", "" }, { "base64:", "" }, { "\"hex:0a\"", "0a" },
                { "hex:0a0B", "0a0b" }, { "hex:00", "00" }, { "hex:fF", "ff" },
                { "base64:AA==", "00" }, { "base64:Cgs=", "0a0b" }, { "base64:Cgsk", "0a0b24" },
                { "base64:+/+/", "fbffbf" }, { "base64:CgskCg==", "0a0b240a" },
                { "hex:0", NULL }, { "hex:0g", NULL }, { "hex: 0a", NULL }, { "HEX:0a", NULL }, { "0a", NULL },
                { "base64:Cg=", NULL }, { "base64:Cg", NULL }, { "base64:C===", NULL }, { "base64:====", NULL },
                { "base64:Ch==", NULL }, { "base64:Cgt=", NULL }, { "base64:Cg==Cg==", NULL }, { "base64:=gsk", NULL },
                { "base64:Cg-_", NULL }, { "base64:C gs", NULL }, { "etc/x", NULL }, { "file:/x", NULL },
        };
        uint8_t *data;
        size_t size;
        char *most;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                Text t = TEXT_INIT;
                char text[256], *hex;
                Policy *p;

                snprintf(text, sizeof(text), "%s%sOptions=%s\n", MATCH, FILTER, cases[i].value);

                if (!cases[i].hex) {
                        parse_bad(text, 5, "expected hex: and two hexadecimal digits");
                        continue;
                }

                p = parse_good(text);
                for (size_t k = 0; k < p->settings->options_size; k++)
                        text_add_hex(&t, p->settings->options[k], 2);
                CHECK(text_steal(&t, &hex) == 0);
                CHECK(strcmp(hex, cases[i].hex) == 0);
                CHECK(!p->settings->options == (p->settings->options_size == 0));
                round_trip(p);
                policy_free(p);
                free(hex);
        }

        current = "most";
        most = calloc(1, 3 * POLICY_OPTIONS_MAX);
        CHECK(most);
        memcpy(most, "hex:", 4);
        memset(most + 4, '5', 2 * POLICY_OPTIONS_MAX);
        CHECK(options_parse(most, &data, &size) == 0 && size == POLICY_OPTIONS_MAX);
        free(data);
        memset(most + 4, '5', 2 * POLICY_OPTIONS_MAX + 2);
        CHECK(options_parse(most, &data, &size) == -E2BIG);
        memset(most, 0, 3 * POLICY_OPTIONS_MAX);
        memcpy(most, "base64:", 7);
        memset(most + 7, 'A', POLICY_OPTIONS_MAX / 3 * 4);
        strcat(most, "AA==");
        CHECK(options_parse(most, &data, &size) == 0 && size == POLICY_OPTIONS_MAX);
        free(data);
        strcpy(strchr(most, '='), "A=");
        CHECK(options_parse(most, &data, &size) == -E2BIG);
        free(most);
}

static void test_attach(void) {
        static const struct {
                const char *value;
                unsigned on; /* 0: refused */
                const char *message;
        } cases[] = {
                { "boot rescan hotplug", POLICY_ON_ALL, NULL },
                { "hotplug\tboot", POLICY_ON_HOTPLUG | POLICY_ON_BOOT, NULL },
                { "rescan rescan", POLICY_ON_RESCAN, NULL },
                { "\"boot rescan\"", POLICY_ON_BOOT | POLICY_ON_RESCAN, NULL },
                { "", 0, "On= is empty: expected one or more of boot, rescan, hotplug" },
                { "\" \"", 0, "expected one or more" },
                { "hotplgu", 0, "On=hotplgu is not valid, did you mean hotplug?" },
                { "boot Rescan", 0, "On=Rescan is not valid, did you mean rescan?" },
                { "boot,rescan", 0, "blanks between, not commas" },
                { "always", 0, "On=always is not valid: expected" },
                { "!boot", 0, "On=!boot is not valid" },
        };
        Policy *p;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[256];

                snprintf(text, sizeof(text), "%s%s[Attach]\nOn=%s\n", MATCH, FILTER, cases[i].value);
                if (!cases[i].on) {
                        parse_bad(text, 6, cases[i].message);
                        continue;
                }

                p = parse_good(text);
                CHECK(p->settings->on == cases[i].on);
                round_trip(p);
                policy_free(p);
        }

        p = parse_good(MATCH FILTER);
        CHECK(p->settings->on == POLICY_ON_ALL && !p->settings->refuse_change && !p->settings->ignore_conflict);
        CHECK(p->settings->retry_usec == POLICY_RETRY_USEC_DEFAULT);
        CHECK(p->settings->timeout_usec == POLICY_TIMEOUT_USEC_DEFAULT);
        CHECK(!p->settings->module[0] && !p->settings->options);
        round_trip(p);
        policy_free(p);

        p = parse_good(MATCH FILTER "[Attach]\nOnChange=refuse\nOnConflict=ignore\n");
        CHECK(p->settings->refuse_change && p->settings->ignore_conflict);
        round_trip(p);
        policy_free(p);
        p = parse_good(MATCH FILTER "[Attach]\nOnChange=reattach\nOnConflict=wait\n");
        CHECK(!p->settings->refuse_change && !p->settings->ignore_conflict);
        policy_free(p);
        parse_bad(MATCH FILTER "[Attach]\nOnChange=refsue\n", 6, "did you mean refuse? expected reattach or refuse.");
        parse_bad(MATCH FILTER "[Attach]\nOnChange=\n", 6, "OnChange= is empty");
        parse_bad(MATCH FILTER "[Attach]\nOnConflict=wait ignore\n", 6, "expected wait or ignore");
        parse_bad(MATCH FILTER "[Attach]\nOnConflcit=wait\n", 6, "did you mean OnConflict=?");
}

static void test_times(void) {
        static const struct {
                const char *value;
                uint64_t retry_usec, timeout_usec; /* 0: refused */
        } cases[] = {
                { "1", 1000000, 1000000 }, { "2s", 2000000, 2000000 }, { "500ms", 500000, 0 }, { "100ms", 100000, 0 },
                { "1min", 60000000, 60000000 }, { "60min", 3600000000, 0 }, { "10min", 600000000, 600000000 },
                { "600", 600000000, 600000000 }, { "601", 601000000, 0 }, { "3600", 3600000000, 0 },
                { "3600000ms", 3600000000, 0 }, { "010", 10000000, 10000000 }, { "\"5s\"", 5000000, 5000000 },
                { "1500001us", 1500001, 1500001 }, { "999999us", 999999, 0 }, { "1000ms", 1000000, 1000000 },
                { "99ms", 0, 0 }, { "0", 0, 0 }, { "3601", 0, 0 }, { "61min", 0, 0 }, { "3600001ms", 0, 0 },
                { "", 0, 0 }, { "s", 0, 0 }, { "-1", 0, 0 }, { "+1", 0, 0 }, { "1.5", 0, 0 }, { "1h", 0, 0 },
                { "12abc", 0, 0 }, { "0x10", 0, 0 }, { "\"1 s\"", 0, 0 }, { "1 s", 0, 0 }, { "1S", 0, 0 },
                { "99999999999", 0, 0 }, { "18446744073709551617", 0, 0 }, { "1e3", 0, 0 },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[256];
                Policy *p;

                snprintf(text, sizeof(text), MATCH FILTER "[Attach]\nRetrySec=%s\n", cases[i].value);
                if (cases[i].retry_usec) {
                        p = parse_good(text);
                        CHECK(p->settings->retry_usec == cases[i].retry_usec);
                        round_trip(p);
                        policy_free(p);
                } else
                        parse_bad(text, 6, "expected a time from 100ms to 60min");

                snprintf(text, sizeof(text), MATCH FILTER "[Attach]\nTimeoutSec=%s\n", cases[i].value);
                if (cases[i].timeout_usec) {
                        p = parse_good(text);
                        CHECK(p->settings->timeout_usec == cases[i].timeout_usec);
                        round_trip(p);
                        policy_free(p);
                } else
                        parse_bad(text, 6, "expected a time from 1s to 10min");
        }
}

int main(void) {
        test_missing();
        test_names();
        test_match();
        test_patterns();
        test_lengths();
        test_filter();
        test_options();
        test_attach();
        test_times();
        return EXIT_SUCCESS;
}
