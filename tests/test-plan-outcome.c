/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The plan after an attempt: what each outcome leads to, delays, replies that come late or lie. */

#undef NDEBUG

#include "tests/script-run.h"

/* What an outcome leads to, and when it is tried again, microseconds after the reply. */
static void test_outcome_one(JobOutcome outcome, AttachmentState state, uint64_t delay_usec, const char *reason) {
        JobReply reply = { .outcome = outcome, .message = "the message", .other_filter = "other" };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);

        for (uint64_t i = 0; i < 14; i++) {
                script_expect(&s, JOB_ATTACH, "sda1");
                CHECK(a->state == ATTACHMENT_ATTACHING);
                script_reply(&s, &reply);
                CHECK(script_run(&s) == 0);
                CHECK(a->state == state && !a->on_device && a->last_outcome == outcome && a->n_gaps == 0);
                CHECK_HAS(a->reason, reason);
                CHECK_HAS(a->reason, "/dev/sda1");
                CHECK(s.wake_at_usec == s.now.monotonic_usec +
                      (outcome == JOB_LOCKED ? lock_delay_usec(i + 1) : retry_delay_usec(delay_usec, i + 1)));

                /* not a microsecond early */
                script_pass(&s, s.wake_at_usec - s.now.monotonic_usec - 1);
                CHECK(script_run(&s) == 0);
                script_pass(&s, 1);
        }

        /* success forgets the failures */
        script_settle(&s);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->n_failures == 0 && a->retry_at_usec == 0);
        script_deinit(&s);
}

static void test_outcome(void) {
        test_outcome_one(JOB_CONFLICT, ATTACHMENT_CONFLICT, SECOND, "(other)");
        test_outcome_one(JOB_NOT_REGISTERED, ATTACHMENT_FAILED, SECOND, "modprobe bftrack");
        test_outcome_one(JOB_MISMATCH, ATTACHMENT_REFUSED, SECOND, "(the message)");
        test_outcome_one(JOB_DUPLICATE, ATTACHMENT_AMBIGUOUS, SECOND, "PARTUUID=" UUID_X);
        test_outcome_one(JOB_LOCKED, ATTACHMENT_WAITING, 2000, "lock");
        test_outcome_one(JOB_GONE, ATTACHMENT_WAITING, SECOND, "went away");
        test_outcome_one(JOB_UNREADABLE, ATTACHMENT_FAILED, SECOND, "the message");
        test_outcome_one(JOB_UNSUPPORTED, ATTACHMENT_UNSUPPORTED, SECOND, "/dev/sda1: the message");
        test_outcome_one(JOB_FAILED, ATTACHMENT_FAILED, SECOND, "the message");
}

/* A filter that was there already is as good as one that was put there. */
static void test_already(void) {
        JobReply reply = { .outcome = JOB_ALREADY };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        reply_table(&s, &s.jobs[0], &reply);
        script_reply(&s, &reply);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_ATTACHED && a->on_device && a->n_attached == 0);
        CHECK(a->intact_since_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* A delay belongs to one device object: a new one is tried at once, and so is a retry by hand. */
static void test_delay_ends(void) {
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_FAILED);
        CHECK(script_run(&s) == 0);

        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_NOT_REGISTERED);
        CHECK(script_run(&s) == 0);

        world_retry_registered(&s.world);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_NOT_REGISTERED);
        CHECK(script_run(&s) == 0);

        CHECK(world_set_policies(&s.world, s.policies) == 0);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_deinit(&s);
}

/* What happened in between leaves no stale words behind while a delay lasts. */
static void test_delay_state(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_FAILED);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_FAILED);

        script_kernel(&s, EVENT_CHANGE, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_STR(a->reason, "the partition table of /dev/sda is being read");
        script_answer(&s);
        (void) script_run(&s);
        if (s.n_jobs > 0)
                script_reply_outcome(&s, JOB_FAILED);
        script_udev(&s);
        CHECK(script_run(&s) == 0);
        CHECK(a->state == ATTACHMENT_FAILED && s.wake_at_usec > s.now.monotonic_usec);
        script_deinit(&s);
}

/* The worker says OK, but the partition has gone in the meantime, or it does not show its proof. */
static void test_late_ok(void) {
        JobReply reply = { .outcome = JOB_OK, .has_table = true };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_kernel(&s, EVENT_REMOVE, "sda1");
        reply_table(&s, &s.jobs[0], &reply);
        script_reply(&s, &reply);
        CHECK(!a->on_device && a->job == 0 && a->n_attached == 1 && a->intact_since_usec == 0 && a->n_gaps == 0);
        CHECK(a->state == ATTACHMENT_WAITING);
        CHECK_HAS(a->reason, "went away");

        /* if it was on the successor already, that one is found to have it, and counts from now only */
        script_kernel(&s, EVENT_ADD, "sda1");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_pass(&s, SECOND);
        script_expect(&s, JOB_ATTACH, "sda1");
        reply.outcome = JOB_ALREADY;
        script_reply(&s, &reply);
        CHECK(a->on_device && a->n_attached == 1 && a->intact_since_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* What is registered is not there, and no event says so: the manager is to look. */
static void test_gone_unseen_one(JobKind kind, bool told, bool look) {
        Script s;
        Attachment *a = script_begin(&s);

        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        if (kind == JOB_ATTACH) {
                script_answer(&s);
                script_expect(&s, JOB_ATTACH, "sda1");
        }
        if (told)
                script_kernel(&s, EVENT_REMOVE, kind == JOB_ATTACH ? "sda1" : "sda");
        script_reply_outcome(&s, JOB_GONE);
        CHECK(s.world.devices.incomplete == look && !a->on_device);
        script_deinit(&s);
}

static void test_gone_unseen(void) {
        test_gone_unseen_one(JOB_SCAN, false, true);
        test_gone_unseen_one(JOB_SCAN, true, false);
        test_gone_unseen_one(JOB_ATTACH, false, true);
        test_gone_unseen_one(JOB_ATTACH, true, false);
}

static void test_no_proof_one(const JobReply *reply) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply(&s, reply);
        CHECK(!a->on_device && !a->has_fingerprint && a->state == ATTACHMENT_FAILED && a->retry_at_usec > 0);
        script_deinit(&s);
}

static void test_no_proof(void) {
        JobReply reply = { .outcome = JOB_OK };

        test_no_proof_one(&reply);

        reply.n_entries = 1;
        reply.entries[0] = entry_of(2, UUID_X, "");
        test_no_proof_one(&reply);

        /* another entry at that number */
        reply.entries[0] = entry_of(1, UUID_Y, "");
        test_no_proof_one(&reply);
}

/* What a worker read on its way counts, whatever came of its job. */
static void test_table_in_reply(void) {
        JobReply reply = { .outcome = JOB_MISMATCH, .has_table = true, .n_entries = 1 };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        reply.entries[0] = entry_of(1, UUID_Y, "");
        script_reply(&s, &reply);
        CHECK_STR(disk_get_entry(device_set_get_disk(&s.world.devices, "sda"), 1)->uuid, UUID_Y);

        /* so nobody has it now, and it is not tried again when the delay is over */
        CHECK(script_run(&s) == 0 && s.wake_at_usec == 0);
        CHECK(a->state == ATTACHMENT_WAITING);
        script_pass(&s, 100 * SECOND);
        CHECK(script_run(&s) == 0);
        script_deinit(&s);
}

/* The table says that it is at another number: that one is tried at once, the delay was the other's. */
static void test_elsewhere_in_reply(void) {
        const Entry claims[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, "") };
        const Entry truth[] = { entry_of(1, UUID_Y, ""), entry_of(2, UUID_X, "") };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table(&s, "sda", claims, 2);
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_table(&s, "sda", truth, 2);
        script_answer(&s);
        CHECK(a->last_outcome == JOB_MISMATCH && a->retry_at_usec > s.now.monotonic_usec);
        script_expect(&s, JOB_ATTACH, "sda2");
        script_deinit(&s);
}

int main(void) {
        test_outcome();
        test_already();
        test_delay_ends();
        test_delay_state();
        test_late_ok();
        test_gone_unseen();
        test_no_proof();
        test_table_in_reply();
        test_elsewhere_in_reply();
        return EXIT_SUCCESS;
}
