/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the worker does with a device that is the right one, and what it tells: scan, attach, detach, check. */

#undef NDEBUG

#include "tests/worker-script.h"

static void test_scan(void) {
        JobRequest r = request_of(JOB_SCAN, false);

        make(two, NULL);
        CHECK(run(&r) == JOB_OK);
        CHECK(reply.has_table && reply.n_entries == 2);
        CHECK(reply.as_of == 4711);
        CHECK_STR(reply.pt_uuid, UUID_TABLE);
        CHECK_STR(reply.entries[0].uuid, UUID_X);
        CHECK_STR(reply.entries[1].label, "other");
        CHECK_STR(reply.entries[0].type, TYPE_LINUX);
        CHECK(reply.entries[1].start_sectors == start_of(1) && reply.entries[1].size_sectors == PART_SECTORS);

        /* a whole device that is no disk */
        make(NULL, NULL);
        CHECK(run(&r) == JOB_OK);
        CHECK(reply.has_table && reply.n_entries == 0 && !reply.pt_uuid[0]);

        real.locked = true;
        CHECK(run(&r) == JOB_LOCKED);
}

static void test_gone(void) {
        make(two, NULL);
        real.gone_after = 1;
        CHECK(run(&(JobRequest) { .kind = JOB_ATTACH }) == JOB_UNSUPPORTED);

        JobRequest r = request_of(JOB_ATTACH, true);

        expect(&r, MATCH_PART_UUID, UUID_X);
        CHECK(run(&r) == JOB_GONE);
        CHECK(real.n_attached == 1 && real.n_detached == 1 && real.fd == real.part);

        /* what was on it before this job is not taken off by it */
        make(two, NULL);
        real.gone_after = 1;
        real.on[PART] = "bfcount";
        CHECK(run(&r) == JOB_GONE);
        CHECK(real.n_detached == 0);

        real.gone = true;
        CHECK(run(&r) == JOB_GONE);
}

static void test_others(void) {
        JobRequest r = request_of(JOB_ATTACH, true);

        make(two, NULL);
        expect(&r, MATCH_PART_UUID, UUID_X);
        real.on[PART] = "bftrack";
        CHECK(run(&r) == JOB_CONFLICT);
        CHECK_STR(reply.other_filter, "bftrack");

        r = request_of(JOB_DETACH, false);
        CHECK(run(&r) == JOB_NOT_ATTACHED && real.fd == real.disk);
        real.on[DISK] = "bfcount";
        CHECK(run(&r) == JOB_OK && real.fd == real.disk);
        r = request_of(JOB_DETACH, true);
        CHECK(run(&r) == JOB_CONFLICT && real.fd == real.part);
        CHECK_STR(reply.other_filter, "bftrack");
}

static void test_generation(void) {
        JobRequest r = request_of(JOB_ATTACH, true);

        make(two, NULL);
        expect(&r, MATCH_PART_UUID, UUID_X);
        CHECK(run(&r) == JOB_OK && real.n_ctl == 0 && !reply.generation[0]);

        for (int i = 0; i < 2; i++) {
                make(two, NULL);
                CHECK(str_copy(r.filter, sizeof(r.filter), i == 0 ? "bftrack" : "blksnap"));
                real.id_size = i == 0 ? 48 : 40;
                real.id[15] = 0x07;
                CHECK(run(&r) == JOB_OK && real.n_ctl == 1 && real.fd == real.part);
                CHECK_STR(reply.generation, "ababababababababababababababab07");
                CHECK(run(&r) == JOB_ALREADY);
                CHECK_STR(reply.generation, "ababababababababababababababab07");
        }

        /* that it does not tell is no failure */
        real.ctl_error = EIO;
        CHECK(run(&r) == JOB_ALREADY && !reply.generation[0]);
        real.ctl_error = 0;
        memset(real.id, 0, sizeof(real.id));
        CHECK(run(&r) == JOB_ALREADY && !reply.generation[0]);
}

static void test_check(void) {
        for (int whole = 0; whole < 2; whole++) {
                JobRequest r = request_of(JOB_CHECK, !whole);

                make(two, NULL);
                CHECK(run(&r) == JOB_NOT_ATTACHED);
                real.on[whole ? DISK : PART] = "bfcount";
                CHECK(run(&r) == JOB_OK);
                real.on[whole ? DISK : PART] = "bftrack";
                CHECK(run(&r) == JOB_CONFLICT);
                CHECK_STR(reply.other_filter, "bftrack");
                real.attribute_error = EINVAL; /* a name that is none */
                CHECK(run(&r) == JOB_CONFLICT && !reply.other_filter[0]);
                real.attribute_error = EIO;
                CHECK(run(&r) == JOB_FAILED && reply.error == EIO && reply.message[0]);
                real.attribute_error = 0;

                /* not there before, not there afterwards */
                real.n_looks = 0;
                real.gone_after = 1;
                CHECK(run(&r) == JOB_GONE);
                real.n_looks = 0;
                real.gone_after = 2;
                CHECK(run(&r) == JOB_GONE);
                CHECK(real.n_opened == 0 && real.n_calls == 0);
        }
}

static void test_check_generation(void) {
        JobRequest r = request_of(JOB_CHECK, true);

        make(two, NULL);
        CHECK(str_copy(r.filter, sizeof(r.filter), "blksnap"));
        CHECK(run(&r) == JOB_NOT_ATTACHED && real.n_opened == 0);

        real.on[PART] = "blksnap";
        CHECK(run(&r) == JOB_OK && real.n_opened == 2);
        CHECK_STR(reply.generation, "abababababababababababababababab");

        real.locked = true;
        CHECK(run(&r) == JOB_LOCKED);
        real.locked = false;

        real.ctl_error = EIO;
        CHECK(run(&r) == JOB_OK && !reply.generation[0] && reply.error == 0);
        real.ctl_error = 0;

        /* it went between the two questions */
        real.attribute = "blksnap";
        real.on[PART] = "";
        CHECK(run(&r) == JOB_NOT_ATTACHED && !reply.generation[0]);
}

int main(void) {
        test_scan();
        test_gone();
        test_others();
        test_generation();
        test_check();
        test_check_generation();
        return EXIT_SUCCESS;
}
