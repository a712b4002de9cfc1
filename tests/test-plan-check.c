/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan asks the kernel whether a filter is on: of what an earlier daemon noted, after a worker that died
 * in an attach, after events, at an interval. What each answer leads to, and what it says of the gap.
 */

#undef NDEBUG

#include "tests/script-run.h"

#define PAUSE (3 * SECOND)

/* On since the last second, and an event of the disk since: the kernel is to be asked, but not at once. */
static Attachment *begin_event(Script *s) {
        Attachment *a = script_begin(s);

        script_pass(s, SECOND);
        script_kernel(s, EVENT_CHANGE, "sda");
        script_udev(s);
        CHECK(script_run(s) == 0 && a->check_due && a->on_device);
        CHECK(s->wake_at_usec == s->now.monotonic_usec + PAUSE - SECOND);
        a->changed = 0;
        return a;
}

/* And the question. */
static Attachment *begin_check(Script *s) {
        Attachment *a = begin_event(s);

        script_pass(s, PAUSE - SECOND - 1);
        CHECK(script_run(s) == 0);
        script_pass(s, 1);
        script_expect(s, JOB_CHECK, "sda1");
        CHECK_STR(s->jobs[0].filter, "bftrack");
        CHECK(s->jobs[0].partition.object == script_device(s, "sda1")->object &&
              s->jobs[0].interface == s->world.interface);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->job == s->jobs[0].id);
        return a;
}

static void test_still_on(void) {
        uint64_t since, asked;
        Script s;
        Attachment *a = begin_check(&s);

        since = a->intact_since_usec;
        asked = s.now.realtime_usec;
        script_pass(&s, 100000);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->check_due && a->retry_at_usec == 0);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->intact_since_usec == since && a->n_gaps == 0 && a->n_attached == 1);

        /* it was on when the question was put, more is not known; nobody is told but the record */
        CHECK(a->seen_usec == asked && a->changed == ATTACHMENT_CHANGED_RECORD);
        script_pass(&s, 100 * SECOND);
        CHECK(script_run(&s) == 0);
        script_deinit(&s);
}

/* Somebody took it off: since when is not known, but not before it was last seen. It is put on again. */
static void test_taken_off(void) {
        uint64_t seen, told;
        Script s;
        Attachment *a = begin_check(&s);

        seen = a->seen_usec;
        script_device(&s, "sda1")->filter[0] = 0;
        script_answer(&s);
        told = s.now.realtime_usec;
        CHECK(seen < told && a->n_gaps == 1 && !a->on_device && a->intact_since_usec == 0);
        CHECK(a->gaps[0].begin_usec == seen && a->gaps[0].latest_usec == told && a->gaps[0].end_usec == 0);
        CHECK_STR(a->gaps[0].reason, "foreign-detach");
        CHECK(a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_RECORD);

        script_pass(&s, 1000);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->n_attached == 2 && a->gaps[0].end_usec == s.now.realtime_usec);
        CHECK(a->gaps[0].latest_usec == told && a->intact_since_usec == s.now.realtime_usec);
        CHECK_STR(a->gaps[0].reason, "foreign-detach");
        script_deinit(&s);
}

/* And put another one there. */
static void test_replaced(void) {
        uint64_t seen;
        Script s;
        Attachment *a = begin_check(&s);

        seen = a->seen_usec;
        (void) str_copy(script_device(&s, "sda1")->filter, FILTER_NAME_SIZE, "blksnap");
        script_answer(&s);
        CHECK(a->n_gaps == 1 && a->gaps[0].begin_usec == seen && a->gaps[0].latest_usec == s.now.realtime_usec);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_CONFLICT && a->gaps[0].end_usec == 0);
        CHECK_HAS(a->reason, "(blksnap)");
        script_deinit(&s);
}

static void check_generation(const Attachment *a, const char *wanted) {
        char generation[GENERATION_SIZE];

        fingerprint_get_generation(&a->fingerprint, generation);
        CHECK_STR(generation, wanted);
}

/* Taken off and put on again between two questions: what is on is not what was. */
static void test_generation(void) {
        uint64_t seen;
        Attachment *a;
        Script s;

        script_init(&s);
        s.tells_generation = true;
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_settle(&s);
        check_generation(a, "00000000000000000000000000000001");

        /* the same again is nothing new */
        for (int i = 0; i < 2; i++) {
                script_pass(&s, 10 * SECOND);
                seen = s.now.realtime_usec;
                world_check_all(&s.world);
                script_expect(&s, JOB_CHECK, "sda1");
                script_answer(&s);
                CHECK(script_run(&s) == 0 && a->n_gaps == 0 && a->seen_usec == seen);
        }

        script_pass(&s, 10 * SECOND);
        script_device(&s, "sda1")->generation = 9;
        a->changed = 0;
        world_check_all(&s.world);
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->state == ATTACHMENT_ATTACHED && a->n_gaps == 1 &&
              a->n_attached == 1);
        CHECK_STR(a->gaps[0].reason, "foreign-detach");
        CHECK(a->gaps[0].begin_usec == seen && a->gaps[0].latest_usec == s.now.realtime_usec);
        CHECK(a->gaps[0].end_usec == s.now.realtime_usec && a->intact_since_usec == s.now.realtime_usec);
        CHECK(a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_BACK);
        check_generation(a, "00000000000000000000000000000009");
        CHECK_STR(a->device, "sda1");
        script_deinit(&s);
}

/* An answer that is none: asked again, ever more rarely; the filter is not called off for it. */
static void test_no_answer_one(JobOutcome outcome) {
        JobReply reply = { .outcome = outcome, .message = "the message" };
        Script s;
        Attachment *a = begin_check(&s);

        for (int i = 0; i < 9; i++) {
                script_reply(&s, &reply);
                CHECK(script_run(&s) == 0 && a->on_device && a->state == ATTACHMENT_ATTACHED && a->n_gaps == 0 &&
                      a->check_due);
                CHECK(s.wake_at_usec > s.now.monotonic_usec);
                CHECK(s.wake_at_usec <= s.now.monotonic_usec + (i < 2 ? PAUSE : 64 * SECOND));
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec - 1);
                CHECK(script_run(&s) == 0);
                script_pass(&s, 1);
                script_expect(&s, JOB_CHECK, "sda1");
        }

        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->n_gaps == 0 && !a->check_due && a->n_failures == 0);
        script_deinit(&s);
}

static void test_no_answer(void) {
        static const JobOutcome outcomes[] = { JOB_LOCKED, JOB_GONE, JOB_FAILED, JOB_DIED, JOB_UNREADABLE };

        for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
                test_no_answer_one(outcomes[i]);
}

/* This kernel does not tell: nobody can ask. */
static void test_unsupported(void) {
        Script s;
        Attachment *a = begin_check(&s);

        script_reply_outcome(&s, JOB_UNSUPPORTED);
        CHECK(script_run(&s) == 0 && a->on_device && a->n_gaps == 0 && !a->check_due);
        script_pass(&s, 100 * SECOND);
        CHECK(script_run(&s) == 0);
        script_deinit(&s);
}

/* The disk hangs under the question: the filter is on for all that is known, and nothing else is begun. */
static void test_stuck(void) {
        Script s;
        Attachment *a = begin_check(&s);

        script_reply_outcome(&s, JOB_TIMED_OUT);
        CHECK(script_run(&s) == 0 && a->on_device && a->state == ATTACHMENT_ATTACHED && a->job);
        world_check_all(&s.world);
        script_pass(&s, 100 * SECOND);
        CHECK(script_run(&s) == 0);
        script_answer(&s);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 0 && !a->job && !device_set_get_disk(&s.world.devices, "sda")->stuck);
        script_deinit(&s);
}

/* A flood of events: one question in three seconds, and none that is put off for ever. */
static void test_flood(void) {
        Script s;
        Attachment *a = script_begin(&s);
        size_t n = 0;

        for (int i = 0; i < 600; i++) {
                script_pass(&s, SECOND / 10);
                script_kernel(&s, EVENT_CHANGE, "sda");
                script_udev(&s);
                n += script_run(&s);
                while (s.n_jobs > 0) {
                        CHECK(s.jobs[0].kind == JOB_CHECK);
                        script_answer(&s);
                }
        }
        CHECK(n >= 18 && n <= 20 && a->n_gaps == 0);
        script_deinit(&s);
}

/* Events of another disk, what udev says, and looks ask nothing. */
static void test_not_concerned(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_table_1(&s, "sdb", 1, UUID_Y, "");
        script_plug(&s, "sdb");
        script_settle(&s);
        script_udev(&s);
        script_settle(&s);
        script_look(&s);
        CHECK(script_run(&s) == 0 && !a->check_due && s.wake_at_usec == 0);
        script_deinit(&s);
}

/* At an interval all are asked, at once if they have not been of late; disks in parallel. */
static void test_interval(void) {
        Attachment *a, *b, *c;
        Script s;

        a = script_begin(&s);
        b = script_policy(&s, "30.conf", "bftrack", UUID_Y, "");
        c = script_policy(&s, "40.conf", "bftrack", UUID_Z, ""); /* is on nothing */
        script_table_1(&s, "sdb", 1, UUID_Y, "");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && b->on_device && !c->on_device);

        script_pass(&s, 300 * SECOND);
        script_settle(&s); /* what the event of sdb's coming left to be asked */
        script_pass(&s, 300 * SECOND);
        CHECK(script_run(&s) == 0);
        world_check_all(&s.world);
        CHECK(script_run(&s) == 2 && s.jobs[0].kind == JOB_CHECK && s.jobs[1].kind == JOB_CHECK);
        script_answer(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !c->check_due);

        /* an orphan's too */
        b->orphaned = true;
        world_check_all(&s.world);
        script_pass(&s, PAUSE);
        CHECK(script_run(&s) == 2);
        script_device(&s, "sdb1")->filter[0] = 0;
        script_answer(&s);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !b->on_device && b->n_gaps == 1 && a->n_gaps == 0);
        CHECK(b->state == ATTACHMENT_ORPHANED && attachment_is_superfluous(b));
        script_deinit(&s);
}

/* The partition goes while the question is under way: that is told, whatever the answer is. */
static void test_gone_meanwhile_one(JobOutcome outcome) {
        JobReply reply = { .outcome = outcome };
        Script s;
        Attachment *a = begin_check(&s);

        script_reread(&s, "sda");
        CHECK(script_run(&s) == 0 && !a->on_device && a->n_gaps == 1);
        CHECK(a->gaps[0].begin_usec == s.now.realtime_usec);
        script_reply(&s, &reply);
        CHECK(!a->on_device && a->n_gaps == 1);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == 1 && a->n_attached == 2);
        CHECK_STR(a->gaps[0].reason, "rescan");
        script_deinit(&s);
}

static void test_gone_meanwhile(void) {
        test_gone_meanwhile_one(JOB_OK);
        test_gone_meanwhile_one(JOB_NOT_ATTACHED);
        test_gone_meanwhile_one(JOB_GONE);
        test_gone_meanwhile_one(JOB_DIED);
}

/* A worker died in an attach: whether the filter is on only the kernel knows. */
static void test_died_one(bool on) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_DIED);
        if (on)
                (void) str_copy(script_device(&s, "sda1")->filter, FILTER_NAME_SIZE, "bftrack");
        CHECK(script_run(&s) == 0 && !a->on_device && a->noted_object == script_device(&s, "sda1")->object);
        CHECK(a->state == ATTACHMENT_WAITING && a->last_outcome == JOB_DIED);
        CHECK_HAS(a->reason, "is not known; the kernel is asked");

        CHECK(s.wake_at_usec == s.now.monotonic_usec + SECOND);
        script_pass(&s, SECOND);
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);
        if (!on) {
                script_expect(&s, JOB_ATTACH, "sda1");
                script_answer(&s);
        }
        CHECK(script_run(&s) == 0 && a->on_device && a->n_gaps == 0 && a->n_attached == !on && !a->noted_object);
        CHECK(a->intact_since_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* One that dies each time is not driven in a circle: each attempt is later than the last. */
static void test_dies_always(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);

        for (int i = 0; i < 10; i++) {
                script_expect(&s, JOB_ATTACH, "sda1");
                script_reply_outcome(&s, JOB_DIED);
                CHECK(script_run(&s) == 0 && s.wake_at_usec == s.now.monotonic_usec + (SECOND << (i < 6 ? i : 6)));
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec);
                script_expect(&s, JOB_CHECK, "sda1");
                script_answer(&s);
                CHECK(a->n_failures == (uint64_t) i + 1);
        }

        script_settle(&s);
        CHECK(a->on_device && a->n_failures == 0 && a->n_gaps == 0);
        script_deinit(&s);
}

/* What an earlier daemon noted, and the answer is none, or another's, or that the kernel does not tell. */
static void test_noted_one(JobOutcome outcome, JobKind next, uint64_t n_gaps) {
        JobReply reply = { .outcome = outcome };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_noted(&s, a, "sda1", SECOND, 2 * SECOND);
        script_look(&s);
        script_expect(&s, JOB_CHECK, "sda1");
        script_reply(&s, &reply);
        CHECK(script_run(&s) <= 1 && a->n_gaps == n_gaps && !a->on_device);
        if (s.n_jobs == 0) {
                CHECK(a->state == ATTACHMENT_WAITING && a->noted_object);
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec);
                CHECK(script_run(&s) == 1);
        }
        CHECK(s.jobs[0].kind == next);
        script_settle(&s);
        CHECK(a->on_device && a->n_gaps == n_gaps && a->n_attached == 0);
        CHECK(a->intact_since_usec == (n_gaps ? s.now.realtime_usec : SECOND));
        script_deinit(&s);
}

static void test_noted(void) {
        test_noted_one(JOB_LOCKED, JOB_CHECK, 0);
        test_noted_one(JOB_DIED, JOB_CHECK, 0);
        test_noted_one(JOB_FAILED, JOB_CHECK, 0);
        test_noted_one(JOB_GONE, JOB_CHECK, 0);
        test_noted_one(JOB_UNSUPPORTED, JOB_ATTACH, 0);

        /* what these answers contradict is not believed, though the script's kernel has the filter on */
        test_noted_one(JOB_NOT_ATTACHED, JOB_ATTACH, 1);
        test_noted_one(JOB_CONFLICT, JOB_ATTACH, 1);
}

int main(void) {
        test_still_on();
        test_taken_off();
        test_replaced();
        test_generation();
        test_no_answer();
        test_unsupported();
        test_stuck();
        test_flood();
        test_not_concerned();
        test_interval();
        test_gone_meanwhile();
        test_died_one(true);
        test_died_one(false);
        test_dies_always();
        test_noted();
        return EXIT_SUCCESS;
}
