/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a worker proves before it attaches: each key, the place, that there is no second one; what it says if not. */

#undef NDEBUG

#include "tests/worker-script.h"

static void test_keys(void) {
        static const struct {
                MatchKey key;
                const char *right, *wrong;
        } cases[] = {
                { MATCH_PART_UUID, UUID_X, UUID_Y },     { MATCH_PART_LABEL, "data", "other" },
                { MATCH_PART_NUMBER, "1", "2" },         { MATCH_FS_UUID, UUID_FS, UUID_FS_2 },
                { MATCH_FS_LABEL, "work", "play" },      { MATCH_FS_TYPE, "swap", "ext4" },
                { MATCH_PT_UUID, UUID_TABLE, UUID_X },   { MATCH_DM_NAME, "vg-lv", "vg-lw" },
                { MATCH_DM_UUID, "LVM-abc", "LVM-abd" }, { MATCH_PART_LABEL, "data", "" },
        };
        static const char *const fs[N_PARTS] = { UUID_FS };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (int n = 0; n < 2; n++) {
                        const char *value = n == 0 ? cases[i].right : cases[i].wrong;
                        char part[64];

                        make(two, fs);
                        real.dm_name = "vg-lv";
                        real.dm_uuid = "LVM-abc";
                        CHECK(attach(true, cases[i].key, value) == (n == 0 ? JOB_OK : JOB_MISMATCH));
                        if (n == 0) {
                                CHECK(real.fd == real.part && !reply.message[0]);
                                continue;
                        }

                        /* the key and both values */
                        (void) snprintf(part, sizeof(part), "its %s is ", match_key_to_string(cases[i].key));
                        CHECK(strstr(reply.message, part));
                        CHECK(strstr(reply.message, cases[i].right));
                        CHECK(strstr(reply.message, value[0] ? value : "none"));
                }
}

static void test_absent(void) {
        make(two, NULL);
        CHECK(attach(true, MATCH_FS_UUID, UUID_FS) == JOB_MISMATCH);
        CHECK_STR(reply.message, "its FSUUID is none, expected is \"" UUID_FS "\"");
        CHECK(attach(true, MATCH_DM_NAME, "vg-lv") == JOB_MISMATCH);

        /* what a pattern excludes is a value too: that of none */
        CHECK(attach(true, MATCH_FS_LABEL, "") == JOB_OK);
}

/* Whatever somebody has called a partition: a line, and valid, and both values in it. */
static void test_message(void) {
        JobRequest r = request_of(JOB_ATTACH, true);
        char label[FACT_SIZE];

        make(two, NULL);
        expect(&r, MATCH_PART_LABEL, "a\nb\x1b[31m\xff\\");
        CHECK(run(&r) == JOB_MISMATCH);
        CHECK_STR(reply.message, "its PartLabel is \"data\", expected is \"a\\x0ab\\x1b[31m\\xff\\x5c\"");

        for (size_t n = 1; n < sizeof(label); n++)
                for (size_t odd = 0; odd < 3; odd++) {
                        static const char *const units[] = { "x", "\xc3\xa9", "\x01" };

                        (void) str_copy(label, sizeof(label), units[odd]);
                        while (strlen(label) + strlen(units[odd]) < n)
                                strcat(label, units[odd]);

                        r = request_of(JOB_ATTACH, true);
                        expect(&r, MATCH_FS_LABEL, label);
                        expect(&r, MATCH_PART_LABEL, "data");
                        CHECK(run(&r) == JOB_MISMATCH);
                        CHECK(reply.message[strlen(reply.message) - 1] == '"');
                }
}

static void test_place(void) {
        JobRequest r = request_of(JOB_ATTACH, true);

        make(two, NULL);
        expect(&r, MATCH_PART_UUID, UUID_X);
        r.expect.place = true;
        r.expect.start_sectors = start_of(0);
        r.expect.size_sectors = PART_SECTORS;
        CHECK(run(&r) == JOB_OK);

        r.expect.size_sectors--;
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 1);
        r.expect.size_sectors++;
        r.expect.start_sectors++;
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 1);
        CHECK(strstr(reply.message, "2048") && strstr(reply.message, "2049"));

        /* the kernel's partition is not where the entry is */
        make(two, NULL);
        real.start++;
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_MISMATCH);
        make(two, NULL);
        real.size--;
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_MISMATCH);

        /* a partition that the table does not have */
        r = request_of(JOB_ATTACH, true);
        r.partno = 3;
        expect(&r, MATCH_PART_UUID, UUID_X);
        make(two, NULL);
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 0);

        /* no table at all: not known, not "none of it" */
        make(NULL, NULL);
        CHECK(attach(true, MATCH_FS_LABEL, "") == JOB_MISMATCH);
}

static void test_duplicate(void) {
        static const Part labels[N_PARTS] = { { UUID_X, "data" }, { UUID_FS, "other" }, { UUID_Y, "data" } };
        static const Part uuids[N_PARTS] = { { UUID_X, "data" }, { UUID_X, "other" } };
        static const char *const same[N_PARTS] = { UUID_FS, NULL, UUID_FS };
        static const char *const different[N_PARTS] = { UUID_FS, NULL, UUID_FS_2 };
        JobRequest r;

        make(labels, NULL);
        CHECK(attach(true, MATCH_PART_LABEL, "data") == JOB_DUPLICATE);
        CHECK(reply.n_entries == 3);
        CHECK(attach(true, MATCH_PART_TYPE, TYPE_LINUX) == JOB_DUPLICATE);
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_OK);

        make(uuids, NULL);
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_DUPLICATE);

        /* a second key tells them apart */
        r = request_of(JOB_ATTACH, true);
        expect(&r, MATCH_PART_UUID, UUID_X);
        expect(&r, MATCH_PART_LABEL, "data");
        CHECK(run(&r) == JOB_OK);

        make(uuids, NULL);
        r = request_of(JOB_ATTACH, true);
        expect(&r, MATCH_PART_UUID, UUID_X);
        expect(&r, MATCH_PART_NUMBER, "1");
        CHECK(run(&r) == JOB_OK);

        /* so does the file system, where it is asked for */
        r = request_of(JOB_ATTACH, true);
        expect(&r, MATCH_PART_LABEL, "data");
        expect(&r, MATCH_FS_UUID, UUID_FS);
        make(labels, same);
        CHECK(run(&r) == JOB_DUPLICATE && real.n_attached == 0);
        make(labels, different);
        CHECK(run(&r) == JOB_OK);
        make(labels, same);
        CHECK(attach(true, MATCH_FS_UUID, UUID_FS) == JOB_OK);
}

static void test_whole(void) {
        static const Part none[N_PARTS] = { { NULL, NULL } };
        JobRequest r;
        uint8_t *p;

        make(two, NULL);
        CHECK(attach(false, MATCH_PT_UUID, UUID_TABLE) == JOB_OK);
        CHECK(real.fd == real.disk && real.n_opened == 1 && reply.n_entries == 2);

        make(none, NULL);
        CHECK(attach(false, MATCH_PT_UUID, UUID_X) == JOB_MISMATCH);

        /* no table, a file system on it, a name */
        make(NULL, NULL);
        p = map_of(real.disk, DISK_SECTORS * 512);
        put_swap(p, UUID_FS, "work");
        CHECK(munmap(p, DISK_SECTORS * 512) == 0);
        real.dm_name = "vg-lv";
        r = request_of(JOB_ATTACH, false);
        r.expect.place = true; /* it has none: not looked at */
        expect(&r, MATCH_FS_UUID, UUID_FS);
        expect(&r, MATCH_DM_NAME, "vg-lv");
        CHECK(run(&r) == JOB_OK && reply.has_table && reply.n_entries == 0);
        expect(&r, MATCH_FS_UUID, UUID_FS_2);
        CHECK(run(&r) == JOB_MISMATCH);

        /* known by what only the kernel says: then the object counts */
        make(NULL, NULL);
        r = request_of(JOB_ATTACH, false);
        CHECK(run(&r) == JOB_OK);
        make(NULL, NULL);
        r.disk.object = 0;
        CHECK(run(&r) == JOB_MISMATCH && real.n_attached == 0);
}

/* A disk that cannot be read: not "without". */
static void test_unreadable(void) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        JobRequest r = request_of(JOB_SCAN, false);

        make(two, NULL);
        CHECK(null >= 0 && dup3(null, real.disk, O_CLOEXEC) >= 0 && dup3(null, real.part, O_CLOEXEC) >= 0);
        close(null);
        CHECK(run(&r) == JOB_UNREADABLE && reply.error == EIO && !reply.has_table && reply.message[0]);
        CHECK(attach(true, MATCH_PART_UUID, UUID_X) == JOB_UNREADABLE);
        CHECK(attach(false, MATCH_PT_UUID, UUID_TABLE) == JOB_UNREADABLE);
        CHECK(attach(false, MATCH_FS_UUID, UUID_FS) == JOB_UNREADABLE);

        /* the kernel's own word needs no table */
        real.dm_name = "vg-lv";
        CHECK(attach(false, MATCH_DM_NAME, "vg-lv") == JOB_OK);
        CHECK(!reply.has_table && reply.error == 0 && !reply.message[0]);
}

int main(void) {
        test_keys();
        test_absent();
        test_message();
        test_place();
        test_duplicate();
        test_whole();
        test_unreadable();
        return EXIT_SUCCESS;
}
