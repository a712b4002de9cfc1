/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Matches: terms against facts, what they stand for, how they are written. */

#undef NDEBUG

#include <errno.h>

#include "tests/test.h"

/* A device in a line: "KEY=VALUE" with "|" between; one with a partition's key, or "part", is a partition. */
static void facts_of(char *text, Facts *ret) {
        char *next = text;

        *ret = (Facts) { 0 };
        while (next && *next) {
                char *word = strsep(&next, "|"), *value = strchr(word, '=');
                MatchKey key = 0;

                if (str_equal(word, "part")) {
                        ret->is_partition = true;
                        continue;
                }

                CHECK(value);
                *value++ = 0;
                while (!str_equal(match_key_to_string(key), word))
                        CHECK(++key < _MATCH_KEY_MAX);
                ret->values[key] = value;
                ret->is_partition |= match_key_is_of_partition(key);
        }
}

static void check_facts(const char *match, const char *facts, bool fits) {
        Match *m = match_parse(match);
        char copy[1024];
        Facts f;

        CHECK(str_copy(copy, sizeof(copy), facts));
        facts_of(copy, &f);
        if (match_facts(m, &f) != fits)
                fprintf(stderr, "\"%s\" and \"%s\"\n", match, facts);
        CHECK(match_facts(m, &f) == fits);
        match_unref(m);
}

static void test_facts(void) {
        check_facts("PartUUID=1234abcd-01", "PartUUID=1234abcd-01", true);
        check_facts("PartUUID=1234abcd-01", "PartUUID=1234abcd-01|PartLabel=any", true);
        check_facts("PartUUID=1234abcd-01", "PartUUID=1234abcd-02|PartLabel=any", false);
        check_facts("PartUUID=1234abcd-01", "PartUUID=|PartLabel=any", false);
        check_facts("PartUUID=1234abcd-01", "PartLabel=any", false);
        check_facts("PartLabel=data", "PartLabel=data", true);
        check_facts("PartLabel=data", "PartLabel=Data", false);
        check_facts("PartLabel=data", "PartLabel=data ", false);

        /* one of each key, of every key */
        check_facts("PartUUID=1234abcd-01|PartLabel=data", "PartUUID=1234abcd-01|PartLabel=data", true);
        check_facts("PartUUID=1234abcd-01|PartLabel=data", "PartUUID=1234abcd-01|PartLabel=", false);
        check_facts("PartUUID=1234abcd-01|PartLabel=data", "PartUUID=1234abcd-02|PartLabel=data", false);
        check_facts("PartUUID=1234abcd-01|PartUUID=1234abcd-02", "PartUUID=1234abcd-01", true);
        check_facts("PartUUID=1234abcd-01|PartUUID=1234abcd-02", "PartUUID=1234abcd-02", true);
        check_facts("PartUUID=1234abcd-01|PartUUID=1234abcd-02", "PartUUID=1234abcd-03", false);
        check_facts("PartLabel=a|PartLabel=b|FSType=ext4|FSType=xfs", "PartLabel=b|FSType=ext4", true);
        check_facts("PartLabel=a|PartLabel=b|FSType=ext4|FSType=xfs", "PartLabel=b|FSType=btrfs", false);
        check_facts("PartLabel=a|FSType=ext4", "PartLabel=a", false);
}

static void test_glob(void) {
        check_facts("PartLabel=da*", "PartLabel=data", true);
        check_facts("PartLabel=da*", "PartLabel=da", true);
        check_facts("PartLabel=da*", "PartLabel=Data", false);
        check_facts("PartLabel=d?t?", "PartLabel=data", true);
        check_facts("PartLabel=d?t?", "PartLabel=dat", false);
        check_facts("PartLabel=[a-d]ata", "PartLabel=data", true);
        check_facts("PartLabel=[!a-d]ata", "PartLabel=data", false);
        check_facts("PartLabel=[*]ata", "PartLabel=*ata", true);
        check_facts("PartLabel=[*]ata", "PartLabel=data", false);

        /* no flags: a slash, a leading dot are bytes like others */
        check_facts("PartLabel=*a", "PartLabel=/.a", true);
        check_facts("DMName=vg-*", "DMName=vg-data", true);
        check_facts("DMName=vg-*|DMName=root", "DMName=root", true);
        check_facts("DMName=vg-*|DMName=root", "DMName=other", false);

        /* no value fits no pattern, an empty one is none */
        check_facts("PartLabel=*", "PartLabel=", false);
        check_facts("PartLabel=*", "part", false);

        /* a value with such a byte in it is compared, where it is not a pattern */
        {
                const Term t = { .key = MATCH_PART_LABEL, .value = "a*" };
                Facts f = { .is_partition = true, .values = { [MATCH_PART_LABEL] = "ab" } };
                Match *m;

                CHECK(match_new(&t, 1, &m) == 0);
                CHECK(!match_facts(m, &f));
                f.values[MATCH_PART_LABEL] = "a*";
                CHECK(match_facts(m, &f));
                match_unref(m);
        }
}

static void test_negated(void) {
        check_facts("FSType=ext4|PartLabel=!swap*", "FSType=ext4|PartLabel=swap1", false);
        check_facts("FSType=ext4|PartLabel=!swap*", "FSType=ext4|PartLabel=data", true);
        check_facts("FSType=ext4|PartLabel=!swap*", "FSType=ext4|PartLabel=", true);
        check_facts("FSType=ext4|PartLabel=!swap*", "FSType=ext4|part", true);
        check_facts("FSType=ext4|PartLabel=!swap*|PartLabel=!tmp", "FSType=ext4|PartLabel=tmp", false);

        /* beside values: one of those, and none of these */
        check_facts("PartLabel=d*|PartLabel=!data", "PartLabel=disk", true);
        check_facts("PartLabel=d*|PartLabel=!data", "PartLabel=data", false);
        check_facts("PartLabel=d*|PartLabel=!data", "PartLabel=", false);
        check_facts("PartLabel=data|PartLabel=!data", "PartLabel=data", false);
}

/* Of partitions, of whole devices, or of either. */
static void test_kind(void) {
        check_facts("FSUUID=1111-1111", "FSUUID=1111-1111", true);
        check_facts("FSUUID=1111-1111", "FSUUID=1111-1111|part", true);
        check_facts("FSUUID=1111-1111|DiskWWN=0x5", "FSUUID=1111-1111|DiskWWN=0x5", true);
        check_facts("FSUUID=1111-1111|DiskWWN=0x5", "FSUUID=1111-1111|DiskWWN=0x5|part", true);
        check_facts("KernelName=sda*", "KernelName=sda", true);
        check_facts("KernelName=sda*", "KernelName=sda1|part", true);
        check_facts("DiskWWN=0x5", "DiskWWN=0x5", true);
        check_facts("DiskWWN=0x5", "DiskWWN=0x5|part", false);
        check_facts("DiskWWN=0x5|PartNumber=2", "DiskWWN=0x5|PartNumber=2", true);
        check_facts("DiskWWN=0x5|PartNumber=2", "DiskWWN=0x5", false);
        check_facts("DiskWWN=0x5|PartLabel=!x", "DiskWWN=0x5", false);
        check_facts("DiskWWN=0x5|PartLabel=!x", "DiskWWN=0x5|part", true);
        check_facts("DMName=root|PTUUID=1234abcd", "DMName=root|PTUUID=1234abcd", true);
        check_facts("DMName=root|PTUUID=1234abcd", "DMName=root|PTUUID=1234abcd|part", false);
}

static void check_but_fs(const char *match, const char *facts, bool fits) {
        Match *m = match_parse(match);
        char copy[1024];
        Facts f;

        CHECK(str_copy(copy, sizeof(copy), facts));
        facts_of(copy, &f);
        CHECK(match_facts_but_fs(m, &f) == fits);
        match_unref(m);
}

/* What is on it is not known: everything else has to fit. */
static void test_but_fs(void) {
        check_but_fs("PartLabel=data|FSType=ext4", "PartLabel=data", true);
        check_but_fs("PartLabel=data|FSType=ext4", "PartLabel=data|FSType=swap", true);
        check_but_fs("PartLabel=data|FSType=!swap", "PartLabel=data|FSType=swap", true);
        check_but_fs("PartLabel=data|FSType=ext4", "PartLabel=log|FSType=ext4", false);
        check_but_fs("FSUUID=1111-1111|FSLabel=x", "", true);
        check_but_fs("FSUUID=1111-1111|DMName=n", "DMName=m", false);
}

static void check_primary(const char *match, const char *wanted) {
        Match *m = match_parse(match);
        const Term *t = match_get_primary(m);
        char got[256] = "";

        if (t)
                (void) snprintf(got, sizeof(got), "%s=%s", match_key_to_string(t->key), t->value);
        CHECK_STR(got, wanted);
        CHECK(!t || (!t->glob && !t->negated));
        match_unref(m);
}

/* The one value that the device is looked up by. */
static void test_primary(void) {
        static const char *const by_strength[] = { "PartUUID=1234abcd-01", "FSUUID=1111-1111", "DMUUID=u",
                                                   "DiskWWN=0x5", "DiskSerial=s", "PTUUID=1234abcd", "PartLabel=l",
                                                   "FSLabel=f", "DMName=n", "KernelName=sda" };
        const size_t n = sizeof(by_strength) / sizeof(by_strength[0]);

        for (size_t i = 0; i < n; i++) {
                char match[512] = "FSType=ext4|PartNumber=1|PartType=0x83";

                for (size_t k = n; k-- > i; ) {
                        strcat(match, "|");
                        strcat(match, by_strength[k]);
                }
                check_primary(match, by_strength[i]);
        }

        check_primary("FSType=ext4|PartNumber=1|PartType=0x83", "");
        check_primary("PartLabel=da*", "");
        check_primary("PartLabel=!data", "");
        check_primary("PartLabel=!data|PartLabel=disk", "PartLabel=disk");
        check_primary("PartLabel=da*|PTUUID=1234abcd", "PTUUID=1234abcd");

        /* one of several is no one value; nor is one beside a pattern */
        check_primary("PartUUID=1234abcd-01|PartUUID=1234abcd-02", "");
        check_primary("PartUUID=1234abcd-01|PartUUID=1234abcd-02|PartLabel=data", "PartLabel=data");
        check_primary("PartLabel=data|PartLabel=x*", "");
}

static void check_list(const char *match, const char *wanted) {
        MatchKey key = _MATCH_KEY_MAX;
        Match *m = match_parse(match);

        CHECK(match_find_list(m, &key) == (wanted[0] != 0));
        CHECK_STR(key < _MATCH_KEY_MAX ? match_key_to_string(key) : "", wanted);
        match_unref(m);
}

/* Whether it stands for as many devices as it lists, or for all that it fits. */
static void test_list(void) {
        check_list("PartUUID=1234abcd-01", "PartUUID");
        check_list("PartUUID=1234abcd-01|PartUUID=1234abcd-02|PartLabel=data", "PartUUID");
        check_list("PartLabel=data|PartLabel=log|PTUUID=1234abcd", "PTUUID");
        check_list("PartLabel=data|FSType=ext4", "PartLabel");
        check_list("PartLabel=data|PartLabel=!x*", "PartLabel");
        check_list("PartLabel=data|FSLabel=x*", "");
        check_list("PartLabel=x*", "");
        check_list("FSType=ext4", "");
        check_list("FSType=ext4|PartLabel=!data", "");
}

static void test_questions(void) {
        Match *m = match_parse("PartLabel=a|PartLabel=b|PTUUID=1234abcd|FSType=!swap|DiskSerial=s*");

        CHECK(match_has_key(m, MATCH_PART_LABEL) && match_has_key(m, MATCH_FS_TYPE) &&
              !match_has_key(m, MATCH_PART_UUID));
        CHECK(match_wants_partition(m) && match_wants_fs(m));
        CHECK_STR(match_get_value(m, MATCH_PT_UUID), "1234abcd");
        CHECK_STR(match_get_value(m, MATCH_PART_LABEL), "");
        CHECK_STR(match_get_value(m, MATCH_FS_TYPE), "");
        CHECK_STR(match_get_value(m, MATCH_DISK_SERIAL), "");
        CHECK_STR(match_get_value(m, MATCH_PART_UUID), "");
        match_unref(m);

        m = match_parse("DiskWWN=0x5|PTUUID=1234abcd");
        CHECK(!match_wants_partition(m) && !match_wants_fs(m));
        match_unref(m);
}

/* The order in which terms are given, and twice the same, make no difference. */
static void test_equal(void) {
        Match *a = match_parse("PartLabel=b|PartUUID=1234abcd-01|PartLabel=a|PartLabel=!c|PartLabel=a*"),
              *b = match_parse("PartLabel=a*|PartLabel=!c|PartLabel=a|PartUUID=1234abcd-01|PartLabel=b|PartLabel=a"),
              *c;
        static const char *const others[] = {
                "PartLabel=b|PartUUID=1234abcd-01|PartLabel=a|PartLabel=!c",
                "PartLabel=b|PartUUID=1234abcd-01|PartLabel=a|PartLabel=!c|PartLabel=!a*",
                "PartLabel=b|PartUUID=1234abcd-01|PartLabel=a|PartLabel=c|PartLabel=a*",
                "FSLabel=b|PartUUID=1234abcd-01|PartLabel=a|PartLabel=!c|PartLabel=a*",
        };
        char *x, *y;

        CHECK(a->n_terms == 5 && match_equal(a, b) && match_equal(a, a));
        CHECK(match_to_string(a, &x) == 0 && match_to_string(b, &y) == 0);
        CHECK_STR(x, y);
        free(y);

        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                c = match_parse(others[i]);
                CHECK(!match_equal(a, c) && !match_equal(c, a));
                CHECK(match_to_string(c, &y) == 0);
                CHECK(!str_equal(x, y));
                free(y);
                match_unref(c);
        }

        free(x);
        match_unref(b);
        c = match_ref(a);
        CHECK(c == a && !match_unref(c) && a->n_terms == 5);
        match_unref(a);
        CHECK(!match_ref(NULL) && !match_unref(NULL));
}

static void test_limits(void) {
        Term terms[MATCH_TERMS_MAX + 2];
        char values[MATCH_TERMS_MAX + 2][8];
        Match *m = NULL, *more = NULL;

        for (size_t i = 0; i < MATCH_TERMS_MAX + 2; i++) {
                (void) snprintf(values[i], sizeof(values[i]), "%zu", i);
                terms[i] = (Term) { .key = MATCH_PART_LABEL, .value = values[i] };
        }

        CHECK(match_new(terms, 0, &m) == -EINVAL && match_new(terms, MATCH_TERMS_MAX + 2, &m) == -E2BIG && !m);
        CHECK(match_new(terms, MATCH_TERMS_MAX + 1, &m) == 0 && m->n_terms == MATCH_TERMS_MAX + 1);

        /* what is copied is the match's own */
        values[0][0] = 'x';
        CHECK_STR(m->terms[0].value, "0");

        CHECK(match_with(m, MATCH_PART_UUID, UUID_X, &more) == -E2BIG && !more);
        CHECK(match_with(m, MATCH_PART_LABEL, "7", &more) == 0 && more->n_terms == 1);
        match_unref(more);
        match_unref(m);
}

static void check_with(const char *match, MatchKey key, const char *value, const char *wanted) {
        Match *m = match_parse(match), *got, *w = match_parse(wanted);

        CHECK(match_with(m, key, value, &got) == 0);
        CHECK(match_equal(got, w));
        match_unref(m);
        match_unref(got);
        match_unref(w);
}

/* One device of those that a policy is for. */
static void test_with(void) {
        check_with("PartUUID=1234abcd-01|PartUUID=1234abcd-02|PartLabel=d*", MATCH_PART_UUID, "1234abcd-02",
                   "PartUUID=1234abcd-02|PartLabel=d*");
        check_with("PartLabel=d*|PartLabel=e*|PartLabel=!dx", MATCH_PART_UUID, UUID_X,
                   "PartUUID=" UUID_X "|PartLabel=d*|PartLabel=e*|PartLabel=!dx");
        check_with("PartLabel=d*|PartLabel=!dx", MATCH_PART_LABEL, "data", "PartLabel=data|PartLabel=!dx");
}

static void check_string(const char *match, const char *wanted) {
        Match *m = match_parse(match);
        char *s = NULL;

        CHECK(match_to_string(m, &s) == 0);
        CHECK_STR(s, wanted);
        free(s);
        match_unref(m);
}

static void test_to_string(void) {
        char longest[FACT_SIZE], wanted[16 + 4 * FACT_SIZE] = "PARTLABEL=", match[FACT_SIZE + 16] = "PartLabel=";

        check_string("PartUUID=" UUID_X, "PARTUUID=" UUID_X);
        check_string("PartLabel=data", "PARTLABEL=data");
        check_string("PartLabel=data|PartUUID=" UUID_X, "PARTUUID=" UUID_X " PARTLABEL=data");
        check_string("FSUUID=1111-1111|FSLabel=root", "UUID=1111-1111 LABEL=root");
        check_string("FSType=ext4|PartType=0x83|PartNumber=2", "PartType=0x83 PartNumber=2 FSType=ext4");
        check_string("PTUUID=1234abcd|DiskWWN=0x5|DiskSerial=s", "PTUUID=1234abcd DiskWWN=0x5 DiskSerial=s");
        check_string("DMName=n|DMUUID=u|KernelName=dm-0", "DMName=n DMUUID=u KernelName=dm-0");
        check_string("PartLabel=!swap*|PartLabel=d*", "PARTLABEL=d* PARTLABEL=!swap*");
        check_string("PartLabel=a b", "PARTLABEL=a b");
        check_string("PartLabel=\xc3\xa4", "PARTLABEL=\xc3\xa4");

        /* nothing on a disk can begin a new line of a log, or pretend to be an escape */
        check_string("PartLabel=a\nb", "PARTLABEL=a\\x0ab");
        check_string("PartLabel=\x1b]2J\x7f", "PARTLABEL=\\x1b]2J\\x7f");
        check_string("PartLabel=a\\x0ab", "PARTLABEL=a\\x5cx0ab");

        memset(longest, 1, sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = 0;
        for (size_t i = 0; i < sizeof(longest) - 1; i++)
                memcpy(wanted + 10 + 4 * i, "\\x01", 5);
        strcat(match, longest);
        check_string(match, wanted);
}

int main(void) {
        test_facts();
        test_glob();
        test_negated();
        test_kind();
        test_but_fs();
        test_primary();
        test_list();
        test_questions();
        test_equal();
        test_limits();
        test_with();
        test_to_string();
        return EXIT_SUCCESS;
}
