/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan with file systems: what udev finds on a partition is not known while that is read again, and what
 * is not known of one is no reason to take another for the only one.
 */

#undef NDEBUG

#include "tests/script-run.h"

#define FS_A "1111-1111"

static const char *const matches[] = {
        "FSUUID=" FS_A,
        "FSLabel=root",
        "PartUUID=" UUID_X "|FSType=ext4",
        "PartLabel=data|FSType=!swap|FSUUID=" FS_A,
        "PartUUID=" UUID_X "|FSType=!swap",
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void put(Script *s, const char *disk, unsigned partno) {
        char name[8];

        script_table_1(s, disk, partno, UUID_X, "data");
        (void) snprintf(name, sizeof(name), "%s%u", disk, partno);
        script_device(s, name)->values[MATCH_FS_UUID] = FS_A;
        script_device(s, name)->values[MATCH_FS_LABEL] = "root";
        script_device(s, name)->values[MATCH_FS_TYPE] = "ext4";
}

/* The filter is on sda1. */
static Attachment *begin(Script *s, const char *match) {
        Attachment *a;

        script_init(s);
        put(s, "sda", 1);
        script_had(s, "sda");
        a = script_policy_of(s, "20.conf", "bftrack", match_parse(match), NULL);
        script_look(s);
        script_settle(s);
        CHECK(a->on_device);
        CHECK_STR(a->device, "sda1");
        return a;
}

/* Then a clone comes as sdb2. */
static Attachment *begin_clone(Script *s, const char *match) {
        Attachment *a = begin(s, match);

        put(s, "sdb", 2);
        script_plug(s, "sdb");
        script_udev(s);
        script_settle(s);
        CHECK(a->on_device && a->n_attached == 1);
        CHECK_STR(a->reason, "filter bftrack is on /dev/sda1; a clone gets none: /dev/sdb2");
        return a;
}

/* A re-read brings it back, once udev has said what is on it. */
static void test_reread_one(const char *match) {
        Script s;
        Attachment *a = begin(&s, match);

        for (uint64_t i = 1; i <= 3; i++) {
                script_reread(&s, "sda");
                script_settle(&s);
                CHECK(!a->on_device && a->n_gaps == i && a->state == ATTACHMENT_WAITING);
                script_udev(&s);
                script_settle(&s);
                CHECK(a->on_device && a->n_attached == i + 1);
                CHECK_STR(a->gaps[i - 1].reason, "rescan");
        }
        script_deinit(&s);
}

/* It is another file system after the re-read, or none. */
static void test_other_fs(void) {
        for (int none = 0; none < 2; none++) {
                Script s;
                Attachment *a = begin(&s, "FSUUID=" FS_A "|PartUUID=" UUID_X);

                script_device(&s, "sda1")->values[MATCH_FS_UUID] = none ? NULL : "2222-2222";
                script_reread(&s, "sda");
                script_settle(&s);
                script_udev(&s);
                script_settle(&s);
                CHECK(!a->on_device && a->state == ATTACHMENT_WAITING && a->n_attached == 1);
                CHECK_HAS(a->reason, "not present; attached when it comes");
                script_deinit(&s);
        }
}

/* The kernel has no partition any more, the table has: what was on it is known. */
static void test_only_kernel_forgets(void) {
        Script s;
        Attachment *a = begin(&s, "FSUUID=" FS_A);

        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_HAS(a->reason, "entry 1 of /dev/sda has the identity, but the kernel has no such partition");

        /* until something else is in its place */
        script_table(&s, "sda", (Entry[]) { { .partno = 1, .uuid = UUID_X, .start_sectors = 9, .size_sectors = 9 } },
                     1);
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_udev(&s);
        script_settle(&s);
        CHECK_HAS(a->reason, "not present");
        script_deinit(&s);
}

/* In each step of the re-read of @disk, whatever udev has told by then, nobody gets a new ATTACH. */
static void test_steps_one(const char *match, const char *disk, const char *partition, unsigned udev_after) {
        static const EventAction actions[] = { EVENT_REMOVE, EVENT_CHANGE, EVENT_ADD };
        Script s;
        Attachment *a = begin_clone(&s, match);

        for (unsigned i = 0; i < 3; i++) {
                script_kernel(&s, actions[i], actions[i] == EVENT_CHANGE ? disk : partition);
                script_settle(&s);
                if (i >= udev_after)
                        script_udev(&s);
                script_settle(&s);
                CHECK(a->n_attached == 1);
        }
        script_udev(&s);
        script_settle(&s);
        CHECK(a->n_attached == 1);

        if (str_equal(disk, "sda")) {
                CHECK(a->state == ATTACHMENT_AMBIGUOUS && !a->on_device);
                CHECK_HAS(a->reason, "/dev/sda1 and /dev/sdb2 have ");
        } else
                CHECK(a->on_device && a->n_gaps == 0);
        script_deinit(&s);
}

/* The original has another number after the re-read, of which nothing is known but the table: the clone waits. */
static void test_moved_number_one(const char *match) {
        Script s;
        Attachment *a = begin_clone(&s, match);

        put(&s, "sda", 3);
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->n_attached == 1 && !a->on_device);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->n_attached == 1 && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda3 and /dev/sdb2 have ");
        script_deinit(&s);
}

static uint32_t draw(uint64_t *state, uint32_t n) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) (*state >> 33) % n;
}

/*
 * Both disks are re-read again and again, in any order: who has lost the filter does not get it while both are
 * there.
 */
static void test_any_order_one(const char *match, uint64_t seed) {
        static const char *const disks[] = { "sda", "sdb" }, *const partitions[] = { "sda1", "sdb2" };
        static const EventAction actions[] = { EVENT_REMOVE, EVENT_CHANGE, EVENT_ADD };
        unsigned at[2] = { 0 };
        Script s;
        Attachment *a = begin_clone(&s, match);

        for (int step = 0; step < 200; step++) {
                unsigned d = draw(&seed, 2);

                switch (draw(&seed, 4)) {
                case 0:
                        if (s.n_udev < 20) {
                                EventAction action = actions[at[d]++ % 3];

                                script_kernel(&s, action, action == EVENT_CHANGE ? disks[d] : partitions[d]);
                        }
                        break;
                case 1:
                        if (s.n_udev > 0)
                                script_udev_next(&s);
                        break;
                case 2:
                        (void) script_run(&s);
                        break;
                case 3:
                        if (s.n_jobs > 0)
                                script_answer(&s);
                        script_pass(&s, 10000);
                }
                CHECK(a->n_attached == 1);
        }
        script_deinit(&s);
}

int main(void) {
        for (size_t i = 0; i < COUNT(matches); i++) {
                test_reread_one(matches[i]);
                for (unsigned udev_after = 0; udev_after <= 3; udev_after++) {
                        test_steps_one(matches[i], "sda", "sda1", udev_after);
                        test_steps_one(matches[i], "sdb", "sdb2", udev_after);
                }
                for (uint64_t seed = 1; seed <= 500; seed++)
                        test_any_order_one(matches[i], seed * UINT64_C(0x9e3779b97f4a7c15));
        }
        test_moved_number_one("PartUUID=" UUID_X "|FSType=ext4");
        test_moved_number_one("PartLabel=data|FSType=!swap|FSType=ext4");
        test_other_fs();
        test_only_kernel_forgets();
        return EXIT_SUCCESS;
}
