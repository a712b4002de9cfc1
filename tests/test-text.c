/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Growing strings, numbers in them, and comparisons that no locale changes. */

#undef NDEBUG

#include <errno.h>
#include <locale.h>

#include "tests/test.h"

static void test_empty(void) {
        Text t = TEXT_INIT;
        char *s = NULL;

        CHECK(text_steal(&t, &s) == 0);
        CHECK_STR(s, "");
        CHECK(!t.data && t.length == 0 && !t.failed);
        free(s);
        text_deinit(&t);
}

static void test_add(void) {
        Text t = TEXT_INIT;
        char *s = NULL;

        text_add(&t, "one");
        text_add(&t, "");
        text_add_n(&t, ", two and more", 5);
        CHECK_STR(t.data, "one, two");
        CHECK(t.length == 8);
        CHECK(text_steal(&t, &s) == 0);
        CHECK_STR(s, "one, two");
        free(s);

        /* usable again after it was stolen from, and after it was released */
        text_add(&t, "three");
        CHECK_STR(t.data, "three");
        text_deinit(&t);
        text_add(&t, "four");
        CHECK_STR(t.data, "four");
        text_deinit(&t);
}

static void test_long(void) {
        Text t = TEXT_INIT;

        for (size_t i = 0; i < 10000; i++)
                text_add(&t, i % 2 ? "ab" : "c");
        CHECK(t.length == 15000 && strlen(t.data) == 15000 && t.size > t.length);
        CHECK(memcmp(t.data + 14994, "cabcab", 6) == 0);
        text_deinit(&t);
}

/* What failed once stays failed and is told at the end; nothing is lost on the way. */
static void test_failed(void) {
        Text t = TEXT_INIT;
        char *s = NULL;

        text_add(&t, "begin");
        t.failed = true;
        text_add(&t, "more");
        CHECK(t.length == 5);
        CHECK(text_steal(&t, &s) == -ENOMEM && !s);
        CHECK(!t.data && !t.failed);
}

static void test_u64_one(uint64_t v, const char *wanted) {
        Text t = TEXT_INIT;

        text_add_u64(&t, v);
        CHECK_STR(t.data, wanted);
        text_deinit(&t);
}

static void test_u64(void) {
        test_u64_one(0, "0");
        test_u64_one(9, "9");
        test_u64_one(10, "10");
        test_u64_one(4294967296, "4294967296");
        test_u64_one(UINT64_MAX, "18446744073709551615");
}

static void test_hex_one(uint64_t v, unsigned digits, const char *wanted) {
        Text t = TEXT_INIT;

        text_add(&t, "=");
        text_add_hex(&t, v, digits);
        CHECK_STR(t.data + 1, wanted);
        text_deinit(&t);
}

static void test_hex(void) {
        test_hex_one(0, 2, "00");
        test_hex_one(0x7f, 2, "7f");
        test_hex_one(0xabc, 2, "bc");
        test_hex_one(1, 16, "0000000000000001");
        test_hex_one(UINT64_MAX, 16, "ffffffffffffffff");
        test_hex_one(5, 0, "");
}

static void test_ascii(void) {
        for (int c = -128; c < 128; c++) {
                bool upper = c >= 'A' && c <= 'Z';

                CHECK(ascii_tolower((char) c) == (char) (upper ? c + 32 : c));
                CHECK(ascii_is_hex((char) c) == (c > 0 && strchr("0123456789abcdefABCDEF", c) != NULL));
        }
}

static void test_casecmp_one(const char *a, const char *b, bool equal) {
        CHECK(ascii_casecmp_equal(a, b) == equal);
        CHECK(ascii_casecmp_equal(b, a) == equal);
}

static void test_casecmp(void) {
        test_casecmp_one("", "", true);
        test_casecmp_one("PartUUID", "partuuid", true);
        test_casecmp_one("Part", "PartUUID", false);
        test_casecmp_one("a", "", false);
        test_casecmp_one("@", "`", false); /* 0x20 apart, but no letters */
        test_casecmp_one("[", "{", false);
        test_casecmp_one("\xc3\x84", "\xc3\xa4", false); /* letters beyond ASCII have no case here */
}

static void test_copy_one(size_t size, const char *s, bool fits) {
        char dst[8] = "#######";

        CHECK(str_copy(dst, size, s) == fits);
        CHECK_STR(dst, fits ? s : "");

        /* not a byte behind */
        for (size_t i = size; i < sizeof(dst) - 1; i++)
                CHECK(dst[i] == '#');
}

static void test_copy(void) {
        test_copy_one(4, "", true);
        test_copy_one(4, "abc", true);
        test_copy_one(4, "abcd", false);
        test_copy_one(4, "abcdefghijkl", false);
        test_copy_one(1, "", true);
        test_copy_one(1, "a", false);
}

static void test_utf8(void) {
        static const struct {
                const char *s;
                bool printable;
                size_t first; /* bytes of its first character */
        } cases[] = {
                { "", true, 0 },                     { "data", true, 1 },
                { "\xc3\xa9t\xc3\xa9", true, 2 },    { "\xe2\x82\xac", true, 3 },
                { "\xf0\x9f\x92\xbe", true, 4 },     { "a\nb", false, 1 },
                { "a\x7f", false, 1 },               { "\x1b[0m", false, 1 },
                { "\x80", false, 0 },                { "\xc3", false, 0 },
                { "\xc3(", false, 0 },               { "\xe2\x82", false, 0 },
                { "\xc0\xaf", false, 0 },            { "\xc1\x81", false, 0 },
                { "\xe0\x80\xaf", false, 0 },        { "\xed\xa0\x80", false, 0 },
                { "\xf0\x80\x80\xaf", false, 0 },    { "\xf4\x90\x80\x80", false, 0 },
                { "\xf5\x80\x80\x80", false, 0 },    { "\xff", false, 0 },
                { "\xef\xbf\xbf", true, 3 },         { "\xf4\x8f\xbf\xbf", true, 4 },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                CHECK(utf8_is_printable(cases[i].s) == cases[i].printable);
                CHECK(utf8_char_length(cases[i].s) == cases[i].first);
        }
}

int main(void) {
        (void) setlocale(LC_ALL, "tr_TR.UTF-8");

        test_empty();
        test_add();
        test_long();
        test_failed();
        test_u64();
        test_hex();
        test_ascii();
        test_casecmp();
        test_copy();
        test_utf8();
        return EXIT_SUCCESS;
}
