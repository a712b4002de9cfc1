/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What counts as an identity: values, in the form in which they are compared. What matches them is test-match's. */

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

static void test_normalize_one(MatchKey key, const char *s, const char *wanted) {
        char value[FACT_SIZE] = "untouched";

        CHECK(fact_normalize(key, s, value) == (wanted != NULL));
        CHECK_STR(value, wanted ?: "untouched");
}

static void test_normalize(void) {
        char longest[FACT_SIZE + 1];

        memset(longest, 'A', sizeof(longest));
        longest[FACT_SIZE] = 0;

        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++) {
                test_normalize_one(key, "", NULL);
                test_normalize_one(key, longest, NULL);
        }

        test_normalize_one(MATCH_PART_UUID, "1234ABCD-0F", "1234abcd-0f");
        test_normalize_one(MATCH_PART_UUID, "1234", NULL);

        /* what is written in hexadecimal digits has no case, what somebody calls it has */
        test_normalize_one(MATCH_FS_UUID, "1A2B-3C4D", "1a2b-3c4d");
        test_normalize_one(MATCH_PT_UUID, "1234ABCD", "1234abcd");
        test_normalize_one(MATCH_PART_TYPE, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", UUID_X);
        test_normalize_one(MATCH_PART_TYPE, "0xEE", "0xee");
        test_normalize_one(MATCH_DISK_WWN, "0x5000C500A1B2C3D4", "0x5000c500a1b2c3d4");
        test_normalize_one(MATCH_PART_LABEL, "My Data", "My Data");
        test_normalize_one(MATCH_FS_LABEL, "ROOT", "ROOT");
        test_normalize_one(MATCH_DISK_SERIAL, "S3Z8NB0K", "S3Z8NB0K");
        test_normalize_one(MATCH_DM_NAME, "vg-LV", "vg-LV");
        test_normalize_one(MATCH_DM_UUID, "LVM-aBc", "LVM-aBc");

        test_normalize_one(MATCH_PART_NUMBER, "1", "1");
        test_normalize_one(MATCH_PART_NUMBER, "128", "128");
        test_normalize_one(MATCH_PART_NUMBER, "0", NULL);
        test_normalize_one(MATCH_PART_NUMBER, "01", NULL);
        test_normalize_one(MATCH_PART_NUMBER, "-1", NULL);
        test_normalize_one(MATCH_PART_NUMBER, "1 ", NULL);
        test_normalize_one(MATCH_PART_NUMBER, "99999", NULL);
}

/* The names that policies have, and what is said of each key. */
static void test_keys(void) {
        static const struct {
                const char *name;
                bool of_partition, of_fs, identifies, glob;
        } keys[] = {
                { "PartUUID", true, false, true, false },    { "PartLabel", true, false, true, true },
                { "PartType", true, false, false, false },   { "PartNumber", true, false, false, false },
                { "FSUUID", false, true, true, false },      { "FSLabel", false, true, true, true },
                { "FSType", false, true, false, false },     { "PTUUID", false, false, true, false },
                { "DiskWWN", false, false, true, false },    { "DiskSerial", false, false, true, true },
                { "DMName", false, false, true, true },      { "DMUUID", false, false, true, true },
                { "KernelName", false, false, true, true },
        };

        CHECK(sizeof(keys) / sizeof(keys[0]) == _MATCH_KEY_MAX);
        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++) {
                CHECK_STR(match_key_to_string(key), keys[key].name);
                CHECK(match_key_is_of_partition(key) == keys[key].of_partition);
                CHECK(match_key_is_of_fs(key) == keys[key].of_fs);
                CHECK(match_key_identifies(key) == keys[key].identifies);
                CHECK(match_key_allows_glob(key) == keys[key].glob);
        }
}

static void test_entry_one(unsigned partno, const char *wanted) {
        Entry e = entry_of(partno, UUID_X, "data");
        Facts f = { .values = { [MATCH_PT_UUID] = "pt" } };

        facts_set_entry(&f, &e);
        CHECK(f.is_partition);
        CHECK_STR(f.values[MATCH_PART_NUMBER], wanted);
        CHECK_STR(f.values[MATCH_PART_UUID], UUID_X);
        CHECK_STR(f.values[MATCH_PART_LABEL], "data");
        CHECK_STR(f.values[MATCH_PART_TYPE], "");
        CHECK_STR(f.values[MATCH_PT_UUID], "pt");
}

static void test_entry(void) {
        test_entry_one(0, "0");
        test_entry_one(1, "1");
        test_entry_one(10, "10");
        test_entry_one(4294967295U, "4294967295");
}

/* What a device is best recognised by: a partition by its own UUID or by nothing, a whole device by the strongest. */
static void test_pin(void) {
        static const MatchKey strongest_last[] = { MATCH_FS_UUID, MATCH_PT_UUID, MATCH_DISK_SERIAL, MATCH_DISK_WWN,
                                                   MATCH_DM_UUID };
        MatchKey pin = _MATCH_KEY_MAX;
        Facts f = { 0 };

        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++)
                f.values[key] = "";
        CHECK(!facts_find_pin(&f, &pin) && pin == _MATCH_KEY_MAX);

        f.values[MATCH_PART_LABEL] = f.values[MATCH_FS_LABEL] = "x";
        f.values[MATCH_DM_NAME] = f.values[MATCH_KERNEL_NAME] = "x";
        CHECK(!facts_find_pin(&f, &pin));

        for (size_t i = 0; i < sizeof(strongest_last) / sizeof(strongest_last[0]); i++) {
                f.values[strongest_last[i]] = "x";
                CHECK(facts_find_pin(&f, &pin) && pin == strongest_last[i]);
        }

        f.is_partition = true;
        pin = _MATCH_KEY_MAX;
        CHECK(!facts_find_pin(&f, &pin) && pin == _MATCH_KEY_MAX);
        f.values[MATCH_PART_UUID] = NULL;
        CHECK(!facts_find_pin(&f, &pin) && pin == _MATCH_KEY_MAX);
        f.values[MATCH_PART_UUID] = UUID_X;
        CHECK(facts_find_pin(&f, &pin) && pin == MATCH_PART_UUID);
}

int main(void) {
        test_uuid();
        test_filter_name();
        test_normalize();
        test_keys();
        test_entry();
        test_pin();
        return EXIT_SUCCESS;
}
