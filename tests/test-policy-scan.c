/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The text of a policy file: what is accepted, what is refused at which line and how it is said, and
 * that iniparser and the pre-scan are held against each other.
 */

#undef NDEBUG

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-file.h"
#include "daemon/policy-text.h"

#define UUID "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define GOOD "[Match]\nPartUUID=" UUID "\nPartLabel=data\n\n[Filter]\nName=bfcount\n"
#define MATCH "[Match]\nPartLabel=data\n"
#define FILTER "[Filter]\nName=bfcount\n"

/* A case's name goes to stderr before it fails, so that an assertion can be told from the others. */
static const char *current = "";

#define CHECK(condition)                                                                        \
        do {                                                                                    \
                if (!(condition)) {                                                             \
                        fprintf(stderr, "%s:%d: \"%s\": %s\n", __FILE__, __LINE__, current, #condition); \
                        abort();                                                                \
                }                                                                               \
        } while (false)

/* text, its refusal's line, a part of the sentence; NULL: it is accepted */
typedef struct Case {
        const char *name;
        const char *text;
        unsigned line;
        const char *message;
} Case;

static int parse(const char *data, size_t size, Policy **p, PolicyFault *f) {
        *f = POLICY_FAULT_INIT;
        return policy_file_parse(data, size, "x.conf", "/x.conf", p, f);
}

static void case_one(const Case *c, size_t size) {
        PolicyFault f;
        Policy *p = NULL;
        int r;

        current = c->name;
        r = parse(c->text, size, &p, &f);

        if (!c->message) {
                if (r < 0)
                        fprintf(stderr, "line %u: %s\n", f.line, f.message);

                CHECK(r == 0 && p);
        } else {
                CHECK(r == -EINVAL && !p);

                if (f.line != c->line || !strstr(f.message, c->message))
                        fprintf(stderr, "line %u: %s\n", f.line, f.message);

                CHECK(f.line == c->line && strstr(f.message, c->message));
                CHECK(policy_text_is_clean(f.message, strlen(f.message), NULL));
                CHECK(strchr(".?", f.message[strlen(f.message) - 1]) || strstr(f.message, ": "));
        }

        policy_free(p);
        policy_fault_deinit(&f);
}

static void test_forms(void) {
        static const Case cases[] = {
                { "good", GOOD, 0, NULL },
                { "CRLF", "[Match]\r\nPartLabel=data\r\n[Filter]\r\nName=bfcount\r\n", 0, NULL },
                { "comments", "# a\n; b\n  # c = \"d\n" GOOD "#\n;", 11, "does not end in a newline" },
                { "comments whole", "# a\n; b\n  # c = \"d\n" GOOD "#\n;\n", 0, NULL },
                { "blanks", "\t[Match] \n  PartLabel \t= data  \n\n  \t\n" FILTER, 0, NULL },
                { "case", "[MATCH]\npartlabel=data\n[filter]\nNAME=bfcount\n", 0, NULL },
                { "quotes", "[Match]\nPartLabel=\"my data\"\n" FILTER, 0, NULL },
                { "single quotes", "[Match]\nPartLabel='say \"hi\"'\n" FILTER, 0, NULL },
                { "signs in quotes", "[Match]\nPartLabel=\"a;b#c=[d]'\"\n" FILTER, 0, NULL },
                { "UTF-8 in quotes", "[Match]\nPartLabel=\"Größe\"\n" FILTER, 0, NULL },
                { "filter first", FILTER MATCH, 0, NULL },

                { "empty", "", 0, "is empty" },
                { "blank", "\n\n", 0, "[Match] names no device" },
                { "comment only", "# nothing\n", 0, "[Match] names no device" },
                { "BOM", "\xef\xbb\xbf" GOOD, 1, "byte order mark" },
                { "0xff", MATCH "# \xff\n" FILTER, 3, "0xff is not valid UTF-8" },
                { "overlong", MATCH "# \xc0\xaf\n" FILTER, 3, "0xc0 is not valid UTF-8" },
                { "surrogate", MATCH "# \xed\xa0\x80\n" FILTER, 3, "0xed is not valid UTF-8" },
                { "cut character", MATCH "# \xe2\x82\n" FILTER, 3, "0xe2 is not valid UTF-8" },
                { "control", MATCH "# \x1b[1m\n" FILTER, 3, "0x1b is a control character" },
                { "DEL", MATCH "# \x7f\n" FILTER, 3, "0x7f is a control character" },
                { "CR within", "[Match]\rPartLabel=a\n" FILTER, 1, "carriage return" },
                { "CR twice", "[Match]\r\r\nPartLabel=a\n" FILTER, 1, "carriage return" },
                { "old Mac", "[Match]\rPartLabel=a\r[Filter]\rName=b\r", 1, "carriage return" },

                { "key first", "Name=a\n" GOOD, 1, "before the first section" },
                { "no equals", "[Match]\nPartLabel\n" FILTER, 2, "Expected \"Key=value\"" },
                { "no key", "[Match]\n=data\n" FILTER, 2, "is not a key" },
                { "colon in key", "[a]\nb:c=d\n", 2, "\"b:c\" is not a key" },
                { "digit first", "[Match]\n1a=b\n", 2, "is not a key" },
                { "key of 33", "[Match]\naaaaaaaaaabbbbbbbbbbccccccccccddd=b\n", 2, "is not a key" },
                { "key of 32", "[Match]\naaaaaaaaaabbbbbbbbbbccccccccccdd=b\n", 2, "is not a key of [Match]" },
                { "blank in key", "[Match]\nPart Label=b\n", 2, "\"Part Label\" is not a key" },
                { "bracket in section", "[a]b]\nc=d\n", 1, "is not a section" },
                { "colon in section", "[a:b]\nc=d\n", 1, "is not a section" },
                { "empty section", "[Match]\n[]\nPartLabel=a\n", 2, "is not a section" },
                { "blank in section", "[ Match ]\nPartLabel=a\n", 1, "is not a section" },
                { "open section", "[Match\nPartLabel=a\n", 1, "alone on its line" },
                { "one bracket", "[\n", 1, "alone on its line" },
                { "comment after section", "[Match] # c\nPartLabel=a\n", 1, "without a comment" },
                { "duplicate key", "[Match]\nPartLabel=a\n\npartlabel=b\n" FILTER, 4, "first in line 2" },
                { "duplicate section", MATCH FILTER "[match]\nPartUUID=" UUID "\n", 5, "in line 1" },
                { "key named as section", "[Match]\nMatch=a\n" FILTER, 2, "Match= is not a key of [Match]" },

                { "hash in value", "[Match]\nPartLabel=ab#cd\n" FILTER, 2, "must stand in quotes" },
                { "semicolon in value", "[Match]\nPartLabel=ab;cd\n" FILTER, 2, "must stand in quotes" },
                { "semicolon first", "[Match]\nPartLabel=;cd\n" FILTER, 2, "must stand in quotes" },
                { "apostrophe in value", "[Match]\nPartLabel=Bob's\n" FILTER, 2, "must stand in quotes" },
                { "quotes in a list", "[Match]\nPartLabel=a \"b c\"\n" FILTER, 2, "must stand in quotes as a whole" },
                { "list", "[Match]\nPartLabel=my \t data\n" FILTER, 0, NULL },
                { "signs in a list", "[Match]\nPartLabel=!a* =,%&()<>|~^{}[b]?c $d\n" FILTER, 0, NULL },
                { "UTF-8 in a list", "[Match]\nPartLabel=Größe Maß\n" FILTER, 0, NULL },
                { "two quoted", "[Match]\nPartLabel=\"a\" \"b\"\n" FILTER, 2, "Nothing may follow" },
                { "comment after value", "[Match]\nPartLabel=a # b\n" FILTER, 2, "a comment needs a line of its own" },
                { "quote in value", "[Match]\nPartLabel=a\"b\n" FILTER, 2, "must stand in quotes" },
                { "open quote", "[Match]\nPartLabel=\"data\n" FILTER, 2, "quote is not closed" },
                { "lone quote", "[Match]\nPartLabel=\"\n" FILTER, 2, "quote is not closed" },
                { "wrong quote", "[Match]\nPartLabel=\"data'\n" FILTER, 2, "quote is not closed" },
                { "text after quote", "[Match]\nPartLabel=\"data\"x\n" FILTER, 2, "Nothing may follow" },
                { "escaped quote", "[Match]\nPartLabel=\"a\\\"b\"\n" FILTER, 2, "Nothing may follow" },
                { "backslash", "[Match]\nPartLabel=a\\\n" FILTER, 2, "must not end in \"\\\"" },
                { "backslash and blank", "[Match]\nPartLabel=a\\ \t\n" FILTER, 2, "must not end in \"\\\"" },
                { "backslash in comment", "# note \\\n" GOOD, 1, "comments included" },
                { "backslash alone", "\\\r\n" GOOD, 1, "must not end in \"\\\"" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                case_one(&cases[i], strlen(cases[i].text));

        case_one(&(Case){ "NUL first", "[Match]\n\0PartLabel=a\n", 2, "0x00 is a control character" }, 21);
        case_one(&(Case){ "NUL within", "[Match]\nPartLabel=\0\n", 2, "0x00 is a control character" }, 20);
}

static void test_values(void) {
        static const char text[] = "[Match]\nPartUUID='0FC63DAF-8483-4772-8E79-3D69D8477DE4'\nPartLabel=\" my #1; \"\n"
                                   "[Filter]\nName=BfTrack\n";
        PolicyFault f;
        Policy *p;

        current = "values";
        CHECK(parse(text, strlen(text), &p, &f) == 0);
        CHECK(strcmp(match_get_value(p->match, MATCH_PART_UUID), UUID) == 0);
        CHECK(strcmp(match_get_value(p->match, MATCH_PART_LABEL), " my #1; ") == 0);
        CHECK(strcmp(p->filter, "BfTrack") == 0);
        CHECK(strcmp(p->name, "x.conf") == 0 && strcmp(p->path, "/x.conf") == 0);
        policy_free(p);
}

/* A comment or a label so long that the line has @n bytes. */
static void line_one(const char *before, size_t n, const char *after, const char *message) {
        char text[4096] = MATCH FILTER;
        size_t start = strlen(text);
        Case c = { "long line", text, 5, message };

        strcat(text, before);
        memset(text + start + strlen(before), 'x', n - strlen(before) - strlen(after));
        text[start + n - strlen(after)] = 0;
        strcat(text, after);
        assert(strlen(text) == start + n);
        strcat(text, "\n");
        case_one(&c, strlen(text));
}

static void test_limits(void) {
        char *text = malloc(POLICY_FILE_SIZE_MAX + 1), items[8192] = "[a]\n";
        size_t n = strlen(GOOD);

        line_one("#", 1000, "", NULL);
        line_one("#", 1001, "", "at most 1000 bytes");
        line_one("#", 1022, "", "at most 1000 bytes");
        line_one("#", 1023, "", "at most 1000 bytes");
        line_one("#", 2000, "", "at most 1000 bytes");
        line_one("Name=\"", 1000, "\"", "Name= is set twice");
        line_one("#", 1000, "\r", NULL);

        /* 64 KiB exactly, and a byte more */
        assert(text);
        memcpy(text, GOOD, n);

        for (size_t i = n; i <= POLICY_FILE_SIZE_MAX; i++)
                text[i] = i % 64 == 63 ? '\n' : '#';

        text[POLICY_FILE_SIZE_MAX - 1] = '\n';
        case_one(&(Case){ "64 KiB", text, 0, NULL }, POLICY_FILE_SIZE_MAX);
        case_one(&(Case){ "64 KiB + 1", text, 0, "at most 65536 bytes" }, POLICY_FILE_SIZE_MAX + 1);

        free(text);

        for (size_t i = 0; i < POLICY_ITEMS_MAX; i++)
                sprintf(items + strlen(items), "k%zu=v\n", i);

        case_one(&(Case){ "256 keys and a section", items, POLICY_ITEMS_MAX + 1, "at most 256 sections and keys" },
                 strlen(items));
}

/* A whole file is known by its last newline; what was cut there must lack something that is demanded. */
static void cut_one(const char *text) {
        Policy *whole, *p;
        PolicyFault f;

        current = text;
        CHECK(parse(text, strlen(text), &whole, &f) == 0);

        for (size_t n = 0; n < strlen(text); n++) {
                char *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read beyond it */
                int r;

                assert(exact);
                memcpy(exact, text, n);
                r = parse(exact, n, &p, &f);
                free(exact);

                if (r == 0) {
                        CHECK(policy_equal(p, whole));
                        policy_free(p);
                } else {
                        CHECK(r == -EINVAL && f.message);
                        policy_fault_deinit(&f);
                }
        }

        policy_free(whole);
}

static void test_cut(void) {
        cut_one(GOOD);
        cut_one(GOOD "# the end\n\n");
        cut_one("[Match]\r\nPartLabel=\"my data\"\r\n\r\n[Attach]\r\nRetrySec=2\r\n[Filter]\r\nName=bftrack\r\n");
        cut_one("[Filter]\nName='bftrack'\n[Match]\nPartLabel=data2\n");
        cut_one("[Filter]\nName=bftrack\n[Match]\nPartLabel=a\\x20b c*\n\n");
}

/* iniparser and the pre-scan are held against each other: any difference refuses the file. */
static void test_compare(void) {
        static const struct {
                const char *scanned, *parsed;
                unsigned line;
                const char *message;
        } cases[] = {
                { "[a]\nb=c\n", "[a]\nb=c\n", 0, NULL },
                { "[a]\nb=\"\"\n", "[A]\nB=\n", 0, NULL },
                { "[a]\nb=c d\n", "[a]\nb=c d # e\n", 0, NULL },
                { "[a]\nb=c d\n", "[a]\nb=c  d\n", 2, "reads b= as \"c  d\"" },
                { "[a]\nb=c\n", "[a]\nb=d\n", 2, "reads b= as \"d\"" },
                { "[a]\nb=c\n", "[a]\n", 2, "as missing" },
                { "[a]\nb=c\n", "[a]\n[a:b]\n", 2, "as a section" },
                { "[a]\nb=c\n", "[d]\nb=c\n", 1, "does not see the section [a]" },
                { "[a]\nb=c\n", "[a]\nb=c\nd=e\n", 0, "sees 3 sections and keys where the file has 2" },
                { "[a]\nb=c\n", "x=y\n[a]\nb=c\n", 0, "sees 3 sections and keys" },
                { "[a]\nb=c\n", "[a]\nb=c\n\nnonsense\n", 4, "refused the file (iniparser: syntax error" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                PolicyFault f = POLICY_FAULT_INIT;
                PolicyScan *scan;
                int r;

                current = cases[i].parsed;
                CHECK(policy_scan(cases[i].scanned, strlen(cases[i].scanned), &scan, &f) == 0);
                r = policy_file_compare(scan, cases[i].parsed, strlen(cases[i].parsed), &f);

                if (f.message && (!cases[i].message || !strstr(f.message, cases[i].message)))
                        fprintf(stderr, "line %u: %s\n", f.line, f.message);

                CHECK(r == (cases[i].message ? -EINVAL : 0));
                CHECK(!cases[i].message || (f.line == cases[i].line && strstr(f.message, cases[i].message)));
                policy_scan_free(scan);
                policy_fault_deinit(&f);
        }
}

int main(void) {
        test_forms();
        test_values();
        test_limits();
        test_cut();
        test_compare();
        return 0;
}
