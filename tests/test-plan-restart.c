/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan after a restart of the daemon: what an earlier one noted is asked about, believed if the
 * kernel says so, and a gap if not.
 */

#undef NDEBUG

#include "tests/script-run.h"

static void check_gap(const Attachment *a, uint64_t n, const char *reason, uint64_t begin_usec, uint64_t end_usec) {
        const Gap *g = &a->gaps[a->n_gaps_kept - 1];

        CHECK(a->n_gaps == n);
        CHECK_STR(g->reason, reason);
        CHECK(g->begin_usec == begin_usec && g->end_usec == end_usec);
}

/* After a restart: the kernel is asked, nothing is attached or detached, and nothing was lost. */
static void test_restart_one(bool still_on, uint64_t n_gaps) {
        uint64_t since = 1600000000 * SECOND, noted = 1650000000 * SECOND;
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_noted(&s, a, "sda1", since, noted);
        if (!still_on)
                script_device(&s, "sda1")->filter[0] = 0;

        script_look(&s);
        script_expect(&s, JOB_CHECK, "sda1");
        CHECK_STR(s.jobs[0].filter, "bftrack");
        CHECK(a->state == ATTACHMENT_WAITING && a->noted_object);
        CHECK_HAS(a->reason, "was on /dev/sda1 when the daemon was there last");
        script_answer(&s);
        if (!still_on) {
                script_expect(&s, JOB_ATTACH, "sda1");
                CHECK(a->n_gaps == 1 && a->gaps[0].end_usec == 0 && !a->recorded_since_usec);
                script_answer(&s);
        }
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_ATTACHED && a->n_gaps == n_gaps && !a->noted_object);
        CHECK(a->intact_since_usec == (n_gaps ? s.now.realtime_usec : since) && a->n_attached == n_gaps);
        if (n_gaps) {
                check_gap(a, 1, "daemon-not-running", noted, s.now.realtime_usec);
                CHECK(a->gaps[0].latest_usec == s.now.realtime_usec);
        }
        script_deinit(&s);
}

/* The disk left, or was read again, while no daemon was there: the gap is told at once, and lasts. */
static void test_restart_without_it(void) {
        uint64_t noted = 1650000000 * SECOND;
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_noted(&s, a, "sda1", noted, noted);
        script_silent_add(&s, "sda1");

        CHECK(script_run(&s) == 0 && a->n_gaps == 0); /* nothing has been looked at yet */
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        CHECK(a->n_gaps == 1 && a->changed & ATTACHMENT_CHANGED_LOST);
        check_gap(a, 1, "daemon-not-running", noted, 0);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device);
        check_gap(a, 1, "daemon-not-running", noted, s.now.realtime_usec);
        script_deinit(&s);
}

/* What an earlier daemon was only about to attach is no gap if it is not on. */
static void test_restart_unended(void) {
        Attachment *a;
        Script s;

        for (int on = 0; on < 2; on++) {
                script_init(&s);
                script_table_1(&s, "sda", 1, UUID_X, "");
                script_had(&s, "sda");
                a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
                script_noted(&s, a, "sda1", 0, 1650000000 * SECOND);
                if (!on)
                        script_device(&s, "sda1")->filter[0] = 0;
                script_look(&s);
                script_expect(&s, JOB_CHECK, "sda1");
                CHECK_HAS(a->reason, "whether filter bftrack is on /dev/sda1 is not known");
                script_settle(&s);
                CHECK(a->on_device && a->n_gaps == 0 && a->n_attached == !on);
                CHECK(a->intact_since_usec == s.now.realtime_usec);
                script_deinit(&s);
        }
}

/* What is on the device cannot be read for now: that says nothing of whether what is found there belongs there. */
static void test_restart_unreadable(void) {
        static const char *const names[] = { "sda", "sda1" };
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_noted(&s, a, "sda1", 0, 1650000000 * SECOND);

        device_set_look_begin(&s.world.devices, false);
        for (int i = 0; i < 2; i++) {
                DeviceEvent e = script_event(&s, EVENT_ENUMERATION, EVENT_ADD, names[i], 0);

                if (i == 1)
                        e.has_entry = e.processed = e.settled = false;
                CHECK(device_set_apply(&s.world.devices, &e) == 0);
        }
        device_set_look_end(&s.world.devices);

        script_expect(&s, JOB_SCAN, "sda");
        script_reply_outcome(&s, JOB_UNREADABLE);
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->noted_object && !a->on_device);
        CHECK_HAS(a->reason, "whether filter bftrack is on /dev/sda1 is not known");

        script_pass(&s, SECOND);
        script_settle(&s);
        CHECK(a->on_device && a->n_attached == 0 && a->intact_since_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/*
 * Others took the filter off while no daemon was there, and before that is asked about another attachment has it put
 * on: what is found then is not what was noted.
 */
static void test_restart_other_first(void) {
        uint64_t noted = 1650000000 * SECOND;
        Attachment *a, *b;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        a = script_wish(&s, "bftrack", UUID_X);
        script_noted(&s, a, "sda1", noted - SECOND, noted);
        script_device(&s, "sda1")->filter[0] = 0;
        script_look(&s);
        script_expect(&s, JOB_CHECK, "sda1");
        script_reply_outcome(&s, JOB_LOCKED);

        b = script_policy(&s, "20-data.conf", "bftrack", "", "data");
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(b->on_device && b->n_attached == 1);
        check_gap(a, 1, "daemon-not-running", noted, 0);
        script_settle(&s);
        CHECK(a->intact_since_usec == (a->on_device ? s.now.realtime_usec : 0));
        script_deinit(&s);
}

/* An orphan keeps what it was attached to over a restart, if the kernel says that it is still on. */
static void test_restart_orphan_one(bool same_object, bool still_on, bool on_device) {
        PolicySet *none = policy_set_new();
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        CHECK(none && world_set_policies(&s.world, none) == 0 && a->orphaned);
        script_noted(&s, a, "sda1", SECOND, SECOND);
        if (!still_on)
                script_device(&s, "sda1")->filter[0] = 0;
        if (!same_object)
                script_silent_add(&s, "sda1");
        script_look(&s);
        CHECK(script_run(&s) == same_object);
        script_settle(&s);
        CHECK(a->on_device == on_device && a->intact_since_usec == (on_device ? SECOND : 0) && a->n_attached == 0);
        CHECK(a->state == ATTACHMENT_ORPHANED && attachment_is_superfluous(a) == !on_device);
        policy_set_free(none);
        script_deinit(&s);
}

static void test_restart_orphan(void) {
        test_restart_orphan_one(true, true, true);
        test_restart_orphan_one(true, false, false);
        test_restart_orphan_one(false, true, false);
}

static void test_restart(void) {
        test_restart_one(true, 0);
        test_restart_one(false, 1);
}

int main(void) {
        test_restart();
        test_restart_without_it();
        test_restart_unended();
        test_restart_unreadable();
        test_restart_other_first();
        test_restart_orphan();
        return EXIT_SUCCESS;
}
