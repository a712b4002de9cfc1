/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* That a worker does not tell a table twice, and attaches by none that is not on the disk any more. */

#undef NDEBUG

#include "tests/worker-script.h"

static uint64_t last_id = 100;

/* Attaches the first partition for a daemon that has the table of that job; the id of this one. */
static uint64_t attach_knowing(uint64_t table, const char *uuid, JobOutcome outcome) {
        JobRequest r = request_of(JOB_ATTACH, true);

        r.id = ++last_id;
        r.known_table = table;
        expect(&r, MATCH_PART_UUID, uuid);
        real.on[PART] = "";
        CHECK(run(&r) == outcome);
        return r.id;
}

static bool is_all(void) {
        return reply.has_table && reply.n_entries == 2;
}

static bool is_entry(const char *uuid) {
        return !reply.has_table && reply.n_entries == 1 && reply.entries[0].partno == 1 &&
               str_equal(reply.entries[0].uuid, uuid) && str_equal(reply.pt_uuid, UUID_TABLE);
}

static void test_told_once(void) {
        JobRequest scan = request_of(JOB_SCAN, false);
        uint64_t told;

        make(two, NULL);
        told = attach_knowing(0, UUID_X, JOB_OK);
        CHECK(is_all());
        (void) attach_knowing(told, UUID_X, JOB_OK);
        CHECK(is_entry(UUID_X));
        (void) attach_knowing(told, UUID_X, JOB_OK);
        CHECK(is_entry(UUID_X));

        /* a daemon that has another one, or none */
        (void) attach_knowing(told - 1, UUID_X, JOB_OK);
        CHECK(is_all());
        (void) attach_knowing(0, UUID_X, JOB_OK);
        CHECK(is_all());

        /* who asks for a table gets it, and then it is the one that was told last */
        scan.id = ++last_id;
        CHECK(run(&scan) == JOB_OK && is_all());
        (void) attach_knowing(scan.id, UUID_X, JOB_OK);
        CHECK(is_entry(UUID_X));

        /* nothing was attached: all is told */
        (void) attach_knowing(scan.id, UUID_Y, JOB_MISMATCH);
        CHECK(is_all());
}

/* The same disk, by all that is known of it, with another table. */
static void test_changed(void) {
        static const Part other[N_PARTS] = { { UUID_Y, "data" }, { UUID_X, "other" } };
        static const Part twice[N_PARTS] = { { UUID_X, "data" }, { UUID_X, "other" } };
        uint64_t told;

        make(two, NULL);
        told = attach_knowing(0, UUID_X, JOB_OK);
        make(other, NULL);
        (void) attach_knowing(told, UUID_X, JOB_MISMATCH);
        CHECK(is_all());

        make(two, NULL);
        told = attach_knowing(told, UUID_X, JOB_OK);
        CHECK(is_all());
        make(twice, NULL);
        (void) attach_knowing(told, UUID_X, JOB_DUPLICATE);
        CHECK(is_all());

        make(two, NULL);
        told = attach_knowing(told, UUID_X, JOB_OK);
        make(NULL, NULL);
        (void) attach_knowing(told, UUID_X, JOB_MISMATCH);
        CHECK(reply.has_table && reply.n_entries == 0);
}

/* The bytes are the same, and mean something else, or may. */
static void test_source(void) {
        uint64_t told;
        uint8_t *p;

        make(two, NULL);
        told = attach_knowing(0, UUID_X, JOB_OK);
        real.sector_bytes = 4096;
        (void) attach_knowing(told, UUID_X, JOB_OK);
        CHECK(is_all());

        make(two, NULL);
        told = attach_knowing(0, UUID_X, JOB_OK);
        CHECK(ftruncate(real.disk, (DISK_SECTORS + 8) * 512) == 0);
        (void) attach_knowing(told, UUID_X, JOB_OK);
        CHECK(is_all());

        /* what counts is the other header, at the end: that is not compared */
        make(two, NULL);
        p = map_of(real.disk, DISK_SECTORS * 512);
        p[512] = 'X';
        CHECK(munmap(p, DISK_SECTORS * 512) == 0);
        told = attach_knowing(0, UUID_X, JOB_OK);
        CHECK(is_all());
        (void) attach_knowing(told, UUID_X, JOB_OK);
        CHECK(is_all());
}

/* As put_header() has it at the beginning, with all else as it is. */
static void move_entries(uint8_t *p, uint64_t lba, uint32_t crc) {
        put(p + 512 + 72, lba, 8);
        put(p + 512 + 88, crc, 4);
        put(p + 512 + 16, 0, 4);
        put(p + 512 + 16, crc32_of(p + 512, 92), 4);
}

/*
 * Sets four bytes so that the checksum of all is what it was: that is a linear function of them, over bits. So what is
 * changed elsewhere does not show.
 */
static void forge(uint8_t *p, size_t n, size_t at, uint32_t crc) {
        uint32_t sums[32], bits[32], left, found = 0;

        put(p + at, 0, 4);
        left = crc32_of(p, n);
        for (unsigned k = 0; k < 32; k++) {
                bits[k] = UINT32_C(1) << k;
                put(p + at, bits[k], 4);
                sums[k] = crc32_of(p, n) ^ left;
        }

        left ^= crc;
        for (unsigned row = 0; row < 32; row++) {
                unsigned pivot = 0;
                uint32_t sum, bit;

                /* what was a pivot before has no bit of an earlier row to give */
                while (!(sums[pivot] >> row & 1))
                        CHECK(++pivot < 32);
                sum = sums[pivot];
                bit = bits[pivot];
                if (left >> row & 1) {
                        left ^= sum;
                        found ^= bit;
                }
                for (unsigned k = 0; k < 32; k++)
                        if (sums[k] >> row & 1) {
                                sums[k] ^= sum;
                                bits[k] ^= bit;
                        }
        }

        put(p + at, found, 4);
        CHECK(crc32_of(p, n) == crc);
}

/* The entries lie beyond the bytes that are compared, and are other ones with the same checksum. */
static void test_far_entries(void) {
        const size_t far = 128 * 512, size = 128 * 128;
        uint64_t told;
        uint32_t crc;
        uint8_t *p;

        make(two, NULL);
        p = map_of(real.disk, DISK_SECTORS * 512);
        memcpy(p + far, p + 1024, size);
        crc = crc32_of(p + far, size);
        move_entries(p, 128, crc);
        told = attach_knowing(0, UUID_X, JOB_OK);
        CHECK(is_all());

        put_uuid(p + far + 16, UUID_Y, true);
        put_uuid(p + far + 128 + 16, UUID_X, true);
        forge(p + far, size, size - 4, crc);
        (void) attach_knowing(told, UUID_X, JOB_MISMATCH);
        CHECK(is_all());
        CHECK(munmap(p, DISK_SECTORS * 512) == 0);
}

int main(void) {
        test_told_once();
        test_changed();
        test_source();
        test_far_entries();
        return EXIT_SUCCESS;
}
