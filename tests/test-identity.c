/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What counts as an identity, what matches it, how it is written. */

#undef NDEBUG

#include "tests/test.h"

static void test_uuid_one(const char *s, const char *wanted) {
        char uuid[PART_UUID_SIZE] = "untouched";

        CHECK(part_uuid_normalize(s, uuid) == (wanted != NULL));
        CHECK_STR(uuid, wanted ?: "untouched");
}

static void test_uuid(void) {
        test_uuid_one("0fc63daf-8483-4772-8e79-3d69d8477de4", "0fc63daf-8483-4772-8e79-3d69d8477de4");
        test_uuid_one("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "0fc63daf-8483-4772-8e79-3d69d8477de4");
        test_uuid_one("1234abcd-01", "1234abcd-01");
        test_uuid_one("1234ABCD-0F", "1234abcd-0f");
        test_uuid_one("00000001-01", "00000001-01");
        test_uuid_one("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001");

        /* what a table has that was never given an id */
        test_uuid_one("00000000-0000-0000-0000-000000000000", NULL);
        test_uuid_one("00000000-01", NULL);

        test_uuid_one("", NULL);
        test_uuid_one("0fc63daf-8483-4772-8e79-3d69d8477de", NULL);
        test_uuid_one("0fc63daf-8483-4772-8e79-3d69d8477de40", NULL);
        test_uuid_one("0fc63daf84834772-8e79-3d69d8477de4--", NULL);
        test_uuid_one("0fc63daf_8483_4772_8e79_3d69d8477de4", NULL);
        test_uuid_one("0fc63dag-8483-4772-8e79-3d69d8477de4", NULL);
        test_uuid_one(" fc63daf-8483-4772-8e79-3d69d8477de4", NULL);
        test_uuid_one("0fc63daf-8483-4772-8e79-3d69d8477de\n", NULL);
        test_uuid_one("{fc63daf-8483-4772-8e79-3d69d8477de}", NULL);
        test_uuid_one("1234abcd-1", NULL);
        test_uuid_one("1234abcd-001", NULL);
        test_uuid_one("1234abcd001", NULL);
        test_uuid_one("1234abcd-0-", NULL);
        test_uuid_one("0x34abcd-01", NULL);
}

static void test_filter_name_one(const char *s, bool valid) {
        CHECK(filter_name_is_valid(s) == valid);
}

static void test_filter_name(void) {
        test_filter_name_one("blksnap", true);
        test_filter_name_one("a", true);
        test_filter_name_one("Bf_count-2", true);
        test_filter_name_one("1234567890123456789012345678901", true);   /* 31 */
        test_filter_name_one("12345678901234567890123456789012", false); /* 32 */
        test_filter_name_one("", false);
        test_filter_name_one("bf count", false);
        test_filter_name_one("bf/count", false);
        test_filter_name_one("bf.count", false);
        test_filter_name_one("bfcount\n", false);
        test_filter_name_one("bf\xc3\xa4", false);
        test_filter_name_one("bf\x01", false);
        test_filter_name_one("%s", false);
}

static void test_match_one(const char *uuid, const char *label, const char *entry_uuid, const char *entry_label,
                           bool matches) {
        Match m = match_of(uuid, label);
        Entry e = entry_of(1, entry_uuid, entry_label);

        CHECK(match_entry(&m, &e) == matches);
}

static void test_match(void) {
        test_match_one(UUID_X, "", UUID_X, "", true);
        test_match_one(UUID_X, "", UUID_X, "any", true);
        test_match_one(UUID_X, "", UUID_Y, "any", false);
        test_match_one(UUID_X, "", "", "any", false);
        test_match_one("", "data", UUID_X, "data", true);
        test_match_one("", "data", "", "data", true);
        test_match_one("", "data", "", "Data", false);
        test_match_one("", "data", "", "data ", false);
        test_match_one("", "da*", "", "data", false);
        test_match_one(UUID_X, "data", UUID_X, "data", true);
        test_match_one(UUID_X, "data", UUID_X, "", false);
        test_match_one(UUID_X, "data", UUID_Y, "data", false);

        /* one that demands nothing matches nothing, an entry without an identity least of all */
        test_match_one("", "", "", "", false);
        test_match_one("", "", UUID_X, "data", false);
}

static void test_compare(void) {
        const Match nothing = { 0 }, x = match_of(UUID_X, ""), xd = match_of(UUID_X, "data"), d = match_of("", "data");

        CHECK(match_is_empty(&nothing) && !match_is_empty(&x) && !match_is_empty(&d));
        CHECK(match_equal(&x, &x) && match_equal(&nothing, &nothing));
        CHECK(!match_equal(&x, &xd) && !match_equal(&d, &xd) && !match_equal(&x, &d));
}

static void test_to_string_one(const char *uuid, const char *label, const char *wanted) {
        Match m = match_of(uuid, label);
        char *s = NULL;

        CHECK(match_to_string(&m, &s) == 0);
        CHECK_STR(s, wanted);
        free(s);
}

static void test_to_string(void) {
        char longest[PART_LABEL_SIZE], wanted[16 + 4 * PART_LABEL_SIZE] = "PARTLABEL=";

        test_to_string_one(UUID_X, "", "PARTUUID=" UUID_X);
        test_to_string_one("", "data", "PARTLABEL=data");
        test_to_string_one(UUID_X, "data", "PARTUUID=" UUID_X " PARTLABEL=data");
        test_to_string_one("", "", "");
        test_to_string_one("", "a b", "PARTLABEL=a b");
        test_to_string_one("", "\xc3\xa4", "PARTLABEL=\xc3\xa4");

        /* nothing on a disk can begin a new line of a log, or pretend to be an escape */
        test_to_string_one("", "a\nb", "PARTLABEL=a\\x0ab");
        test_to_string_one("", "\x1b[2J\x7f", "PARTLABEL=\\x1b[2J\\x7f");
        test_to_string_one("", "a\\x0ab", "PARTLABEL=a\\x5cx0ab");

        memset(longest, 1, sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = 0;
        for (size_t i = 0; i < sizeof(longest) - 1; i++)
                memcpy(wanted + 10 + 4 * i, "\\x01", 5);
        test_to_string_one("", longest, wanted);
}

int main(void) {
        test_uuid();
        test_filter_name();
        test_match();
        test_compare();
        test_to_string();
        return EXIT_SUCCESS;
}
