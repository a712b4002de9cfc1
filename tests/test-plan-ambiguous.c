/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan with clones: two partitions with one identity. In doubt nobody gets the filter, both are
 * named, and an attached one keeps what it has.
 */

#undef NDEBUG

#include "tests/script-run.h"

/* Two disks with one identity from the start. */
static Attachment *begin_two(Script *s) {
        Attachment *a;

        script_init(s);
        script_table_1(s, "sda", 1, UUID_X, "data");
        script_table_1(s, "sdb", 2, UUID_X, "data");
        script_had(s, "sda");
        script_had(s, "sdb");
        a = script_policy(s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(s);
        CHECK(script_run(s) == 0);
        return a;
}

/* The filter is on sda1; then a clone comes as sdb2. */
static Attachment *begin_clone(Script *s) {
        Attachment *a = script_begin(s);

        script_table_1(s, "sdb", 2, UUID_X, "data");
        script_plug(s, "sdb");
        script_udev(s);
        script_settle(s);
        return a;
}

static void check_ambiguous(const Attachment *a) {
        CHECK(a->state == ATTACHMENT_AMBIGUOUS && !a->on_device && a->job == 0);
        CHECK_STR(a->reason, "/dev/sda1 and /dev/sdb2 have PARTUUID=" UUID_X "; none gets the filter until all but one"
                  " are gone or have another identity (sfdisk --part-uuid gives one), or an administrator chooses one");
}

static void test_two(void) {
        Script s;
        Attachment *a = begin_two(&s);

        check_ambiguous(a);
        CHECK(a->n_attached == 0 && s.wake_at_usec == 0);
        script_deinit(&s);
}

/*
 * Two values of one partition have what the index keeps of a hash in common, so that the partition stands under it
 * twice: it is one all the same. (Found by trying; the other byte order has other hashes.)
 */
static void test_one_hash(void) {
        uint64_t of_uuid = claim_hash(MATCH_PART_UUID, UUID_X), of_label = claim_hash(MATCH_PART_LABEL, "d530arf");
        const uint16_t one = 1;
        Attachment *a;
        Script s;

        CHECK((uint32_t) of_uuid == (uint32_t) of_label || *(const uint8_t *) &one != 1);

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "d530arf");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_policy(&s, "30-other.conf", "bftrack", "", "other"); /* somebody asks for labels */
        script_look(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        script_deinit(&s);
}

static void test_one_goes_one(const char *goes, const char *stays) {
        Script s;
        Attachment *a = begin_two(&s);

        script_unplug(&s, goes);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->device, stays);
        script_deinit(&s);
}

static void test_one_goes(void) {
        test_one_goes_one("sda", "sdb2");
        test_one_goes_one("sdb", "sda1");
}

/* One of them gets another UUID, as the reason advises. */
static void test_one_is_renamed(void) {
        Script s;
        Attachment *a = begin_two(&s);

        script_table_1(&s, "sdb", 2, UUID_Y, "data");
        script_reread(&s, "sdb");
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->device, "sda1");
        script_deinit(&s);
}

/* Twice in one table. */
static void test_same_table(void) {
        const Entry entries[] = { entry_of(1, UUID_X, "data"), entry_of(2, UUID_Y, "data") };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table(&s, "sda", entries, 2);
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", "", "data");
        script_look(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda1 and /dev/sda2 have PARTLABEL=data");
        script_deinit(&s);
}

/* More than are named one by one are still too many. */
static void test_many(void) {
        Entry entries[SCRIPT_PARTITIONS];
        Attachment *a;
        Script s;

        script_init(&s);
        for (unsigned i = 0; i < SCRIPT_PARTITIONS; i++)
                entries[i] = entry_of(i + 1, "", "data");
        for (char name[] = "sda"; name[2] <= 'd'; name[2]++) {
                script_table(&s, name, entries, SCRIPT_PARTITIONS);
                script_had(&s, name);
        }
        a = script_policy(&s, "20-data.conf", "bftrack", "", "data");
        script_look(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(a->reason, "/dev/sda1, /dev/sda2,");
        script_deinit(&s);
}

static void test_clone_appears(void) {
        Script s;
        Attachment *a = begin_clone(&s);

        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_attached == 1 && a->n_gaps == 0);
        CHECK_STR(a->reason, "filter bftrack is on /dev/sda1; a clone gets none: /dev/sdb2");

        script_unplug(&s, "sdb");
        CHECK(script_run(&s) == 0);
        CHECK_STR(reason_of(a), "filter bftrack is on /dev/sda1");
        script_deinit(&s);
}

/* The clone is re-read beside the attached one, which keeps its filter; the clone is not forgotten. */
static void test_clone_is_reread(void) {
        Script s;
        Attachment *a = begin_clone(&s);

        script_reread(&s, "sdb");
        script_settle(&s);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_attached == 1 && a->n_gaps == 0);
        CHECK_HAS(a->reason, "a clone gets none: /dev/sdb2");
        script_deinit(&s);
}

/* In each step of the re-read of @disk, whatever udev has told by then, nobody gets a new ATTACH. */
static void test_reread_in_steps_one(const char *disk, const char *partition, unsigned udev_after) {
        const EventAction actions[] = { EVENT_REMOVE, EVENT_CHANGE, EVENT_ADD };
        Script s;
        Attachment *a = begin_clone(&s);
        uint64_t n_attached = a->n_attached;

        for (unsigned i = 0; i < 3; i++) {
                script_kernel(&s, actions[i], actions[i] == EVENT_CHANGE ? disk : partition);
                script_settle(&s);
                if (i >= udev_after)
                        script_udev(&s);
                script_settle(&s);
                CHECK(a->n_attached == n_attached);
        }
        script_udev(&s);
        script_settle(&s);
        CHECK(a->n_attached == n_attached);

        if (str_equal(disk, "sda"))
                check_ambiguous(a);
        else
                CHECK(a->state == ATTACHMENT_ATTACHED && a->n_gaps == 0);
        script_deinit(&s);
}

static void test_reread_in_steps(void) {
        for (unsigned udev_after = 0; udev_after <= 3; udev_after++) {
                test_reread_in_steps_one("sda", "sda1", udev_after);
                test_reread_in_steps_one("sdb", "sdb2", udev_after);
        }
}

/* While the table of one that has the identity is not known, the other gets nothing. */
static void test_unsure(void) {
        Script s;
        Attachment *a = begin_clone(&s);

        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_expect(&s, JOB_SCAN, "sda");
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_STR(a->reason, "the partition table of /dev/sda is being read");
        script_reply_outcome(&s, JOB_LOCKED);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_WAITING);
        script_pass(&s, 2000);
        script_expect(&s, JOB_SCAN, "sda");
        script_reply_outcome(&s, JOB_TIMED_OUT);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_STUCK);
        script_deinit(&s);
}

/* The clone is re-read, and before udev has told of it the attached one is too. */
static void test_both_are_reread(void) {
        Script s;
        Attachment *a = begin_clone(&s);

        script_kernel(&s, EVENT_REMOVE, "sdb2");
        script_settle(&s);
        script_kernel(&s, EVENT_CHANGE, "sdb");
        script_kernel(&s, EVENT_ADD, "sdb2");
        script_settle(&s);
        script_reread(&s, "sda");
        script_settle(&s);
        CHECK(a->n_attached == 1);
        script_udev(&s);
        script_settle(&s);
        CHECK(a->n_attached == 1);
        check_ambiguous(a);
        script_deinit(&s);
}

static uint32_t draw(uint64_t *state, uint32_t n) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) (*state >> 33) % n;
}

/*
 * Both disks are re-read again and again; kernel, udev, plan and workers go on in an order drawn at
 * random. Once the attached one has lost its filter, nobody gets it again while both are there.
 */
static void test_any_order_one(uint64_t seed) {
        static const struct {
                const char *disk, *partition;
        } disks[] = { { "sda", "sda1" }, { "sdb", "sdb2" } };
        static const EventAction actions[] = { EVENT_REMOVE, EVENT_CHANGE, EVENT_ADD };
        unsigned at[2] = { 0 };
        Script s;
        Attachment *a = begin_clone(&s);

        for (int step = 0; step < 200; step++) {
                unsigned d = draw(&seed, 2);

                switch (draw(&seed, 4)) {
                case 0:
                        if (s.n_udev < 20) {
                                EventAction action = actions[at[d]++ % 3];

                                script_kernel(&s, action, action == EVENT_CHANGE ? disks[d].disk : disks[d].partition);
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

                for (size_t i = 0; i < s.n_jobs; i++)
                        CHECK(s.jobs[i].kind == JOB_SCAN);
                CHECK(a->n_attached == 1);
        }

        /* and once both are back and all is said, it stands as it should */
        for (unsigned d = 0; d < 2; d++)
                while (at[d] % 3 != 0) {
                        EventAction action = actions[at[d]++ % 3];

                        script_kernel(&s, action, action == EVENT_CHANGE ? disks[d].disk : disks[d].partition);
                }
        script_udev(&s);
        script_settle(&s);
        if (at[0] > 0)
                check_ambiguous(a);
        else
                CHECK(a->on_device);
        script_deinit(&s);
}

static void test_any_order(void) {
        for (uint64_t seed = 1; seed <= 2000; seed++)
                test_any_order_one(seed * UINT64_C(0x9e3779b97f4a7c15));
}

/*
 * The daemon is started again while a clone is beside the attached one: what was is not undone. If
 * the attached one was read again meanwhile, its filter is gone, and nobody gets one.
 */
static void test_restart_one(bool reread, AttachmentState state) {
        uint64_t since = 1600000000 * SECOND;
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_table_1(&s, "sdb", 2, UUID_X, "");
        script_had(&s, "sda");
        script_had(&s, "sdb");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_noted(&s, a, "sda1", since, since);
        if (reread)
                script_silent_add(&s, "sda1");

        script_look(&s);
        if (reread)
                CHECK(script_run(&s) == 0);
        else {
                script_expect(&s, JOB_CHECK, "sda1");
                script_answer(&s);
                CHECK(script_run(&s) == 0 && a->intact_since_usec == since && a->n_gaps == 0);
        }
        CHECK(a->state == state);
        CHECK_HAS(a->reason, "/dev/sdb2");
        script_deinit(&s);
}

static void test_restart(void) {
        test_restart_one(false, ATTACHMENT_ATTACHED);
        test_restart_one(true, ATTACHMENT_AMBIGUOUS);
}

int main(void) {
        test_two();
        test_one_hash();
        test_one_goes();
        test_one_is_renamed();
        test_same_table();
        test_many();
        test_clone_appears();
        test_clone_is_reread();
        test_reread_in_steps();
        test_unsure();
        test_both_are_reread();
        test_any_order();
        test_restart();
        return EXIT_SUCCESS;
}
