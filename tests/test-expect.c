/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a worker has to find: the device's own values, of what it can read. */

#undef NDEBUG

#include "tests/test.h"

static void test_values(void) {
        const Facts f = { .is_partition = true, .values = {
                [MATCH_PART_UUID] = "1234abcd-01", [MATCH_PART_LABEL] = "data", [MATCH_FS_TYPE] = "ext4",
                [MATCH_DISK_WWN] = "0x5", [MATCH_DISK_SERIAL] = "s", [MATCH_KERNEL_NAME] = "sda1",
        } };
        Match *m = match_parse("PartLabel=d*|FSType=!swap|DiskWWN=0x5|DiskSerial=s|KernelName=sda*|FSLabel=!x");
        MatchKey key = _MATCH_KEY_MAX;
        Facts found;
        Expect e;

        memset(&e, 0xff, sizeof(e));
        expect_from_facts(m, &f, &e);
        CHECK(e.keys == (1U << MATCH_PART_LABEL | 1U << MATCH_FS_TYPE | 1U << MATCH_FS_LABEL));
        CHECK_STR(e.values[MATCH_PART_LABEL], "data");
        CHECK_STR(e.values[MATCH_FS_TYPE], "ext4");
        CHECK_STR(e.values[MATCH_FS_LABEL], "");
        CHECK(!e.place && e.start_sectors == 0);

        CHECK(expect_facts(&e, &f, &key) && key == _MATCH_KEY_MAX);

        /* another value that the match would take is another device */
        found = f;
        found.values[MATCH_PART_LABEL] = "disk";
        CHECK(!expect_facts(&e, &found, &key) && key == MATCH_PART_LABEL);

        /* nothing where there was nothing, something where there was something */
        found = f;
        found.values[MATCH_FS_LABEL] = "y";
        CHECK(!expect_facts(&e, &found, &key) && key == MATCH_FS_LABEL);
        found = f;
        found.values[MATCH_FS_TYPE] = NULL;
        CHECK(!expect_facts(&e, &found, &key) && key == MATCH_FS_TYPE);

        /* what is not demanded may be anything */
        found = f;
        found.values[MATCH_PART_UUID] = NULL;
        CHECK(expect_facts(&e, &found, &key));
        match_unref(m);
}

/* What cannot be read from a device is not looked for on it: the object has to be the one that was meant. */
static void test_bound(void) {
        static const struct {
                const char *match;
                bool bound;
        } cases[] = {
                { "PartUUID=1234abcd-01", false },
                { "PartUUID=1234abcd-01|DiskSerial=s", true },
                { "DiskWWN=0x5", true },
                { "DMName=vg-lv", false },
                { "KernelName=sd*", true },
                { "PTUUID=1234abcd", false },
        };
        const Facts f = { .values = {
                [MATCH_PART_UUID] = "1234abcd-01", [MATCH_DISK_WWN] = "0x5", [MATCH_DISK_SERIAL] = "s",
                [MATCH_KERNEL_NAME] = "sda1", [MATCH_DM_NAME] = "vg-lv", [MATCH_PT_UUID] = "1234abcd",
        } };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                Match *m = match_parse(cases[i].match);
                Expect e;

                expect_from_facts(m, &f, &e);
                CHECK(!!e.bound == cases[i].bound);
                match_unref(m);
        }
}

int main(void) {
        test_values();
        test_bound();
        return EXIT_SUCCESS;
}
