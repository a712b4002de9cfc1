/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The manager and what callers ask for: what is written down before the kernel is asked, and what they
 * are told, in which order.
 */

#undef NDEBUG

#include "tests/fake-outside.h"

/* Two policies want the filter on one partition, by UUID and by label: a detach holds off both. */
static void test_detach_holds_all(void) {
        Attachment *by_uuid, *by_label, *other;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_policy(&f, "20.conf", "bftrack", "", "data");
        fake_policy(&f, "30.conf", "bfcount", "", "other");
        fake_start(&f);
        by_uuid = get(&f, "bftrack", UUID_X, "");
        by_label = get(&f, "bftrack", "", "data");
        other = get(&f, "bfcount", "", "other");
        CHECK(by_uuid->on_device && !by_label->on_device && other->on_device);
        CHECK(by_label->state == ATTACHMENT_CONFLICT);

        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_DETACH && a.n == 0);
        CHECK(by_uuid->held && by_label->held && !other->held);
        CHECK(in_order(&f, "save held bftrack_0fc63daf", "detach sda1"));
        CHECK(in_order(&f, "save held bftrack_PartLabel_", "detach sda1"));

        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        CHECK(in_order(&f, "told lost bftrack_0fc63daf", "answer"));
        CHECK(f.n_jobs == 0 && !by_uuid->on_device && by_uuid->held && by_label->held);
        CHECK(by_uuid->state == ATTACHMENT_DETACHED && by_label->state == ATTACHMENT_DETACHED);
        CHECK(by_uuid->n_gaps == 1 && other->on_device);

        /* and for all that happens, it stays off: a re-read, another daemon */
        fake_reread(&f, "sda1");
        fake_settle(&f);
        CHECK(!by_uuid->on_device && !by_label->on_device);
        fake_end_manager(&f);
        fake_start(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->held && get(&f, "bftrack", "", "data")->held);
        CHECK(get(&f, "bftrack", UUID_X, "")->state == ATTACHMENT_DETACHED);

        /* until it is attached by hand: the first of the two gets it */
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK && get(&f, "bftrack", UUID_X, "")->on_device);
        CHECK(!get(&f, "bftrack", UUID_X, "")->held && !get(&f, "bftrack", "", "data")->held);
        fake_reread(&f, "sda1");
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device);
        fake_deinit(&f);
}

/* An orphan has the filter, a new policy with other words wants it too. */
static void test_detach_orphan_and_new(void) {
        Attachment *orphan, *new;
        char id[ATTACHMENT_ID_SIZE];
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        policy_set_free(f.policies);
        f.policies = policy_set_new();
        fake_policy(&f, "20.conf", "bftrack", "", "data");
        CHECK(manager_reload(f.manager) == 0);
        fake_run(&f);
        fake_answer(&f, JOB_FAILED); /* else the new one would take the filter over */
        orphan = get(&f, "bftrack", UUID_X, "");
        new = get(&f, "bftrack", "", "data");
        CHECK(orphan->orphaned && orphan->on_device);
        (void) str_copy(id, sizeof(id), orphan->id);

        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        CHECK(orphan->held && new->held);
        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        CHECK(!attachment_set_get(manager_get_attachments(f.manager), id) &&
              strstr(f.trace, "told removed bftrack_0fc63daf"));
        fake_settle(&f);
        CHECK(get(&f, "bftrack", "", "data")->held && !get(&f, "bftrack", "", "data")->on_device);
        fake_deinit(&f);
}

/* A run-time attachment is forgotten, the policy beside it held. */
static void test_detach_runtime_and_policy(void) {
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 0 && f.n_jobs == 1);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK && get(&f, "bftrack", UUID_X, "")->on_device);
        CHECK_STR(a.attachment, get(&f, "bftrack", UUID_X, "")->id);

        fake_policy(&f, "20.conf", "bftrack", "", "data");
        CHECK(manager_reload(f.manager) == 0);
        fake_settle(&f);

        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        CHECK(!get(&f, "bftrack", UUID_X, "") && get(&f, "bftrack", "", "data")->held);
        CHECK(f.n_jobs == 0);
        fake_deinit(&f);
}

static void test_detach_outcome(JobOutcome outcome, RequestError error, bool held, bool on_device) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");

        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        CHECK(x->held && a.n == 0);
        fake_answer(&f, outcome);
        CHECK(a.n == 1 && a.error == error);
        CHECK(x->held == held);

        /* no more is claimed than is known */
        if (!on_device)
                CHECK(x->n_gaps == 1 && x->intact_since_usec == 0);
        else
                CHECK(x->on_device && x->intact_since_usec != 0 && x->n_gaps == 0);
        fake_settle(&f);
        fake_end_manager(&f);
        fake_begin_manager(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->held == held);
        fake_deinit(&f);
}

static void test_detach_timed_out_then_ok(void) {
        Attachment *x;
        Answer a, b;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_answer(&f, JOB_TIMED_OUT);
        CHECK(a.n == 1 && a.error == REQUEST_E_TIMED_OUT && x->held);

        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &b);
        CHECK(b.n == 1 && b.error == REQUEST_E_STUCK);

        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && x->held && !x->on_device && x->n_gaps == 1);
        fake_deinit(&f);
}

/* A clone's partition is another: what is done to it does not touch the original's attachment. */
static void test_detach_clone(void) {
        Attachment *x;
        DeviceEvent *e;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        for (int i = 0; i < 2; i++) {
                e = fake_device(&f, i ? "sdb1" : "sdb", UUID_X, "data");
                manager_device(f.manager, e);
        }
        manager_told(f.manager);
        fake_settle(&f);
        CHECK(x->on_device);

        ask(&f, JOB_DETACH, "/dev/sdb1", "bftrack", &a);
        CHECK(f.n_jobs == 1 && !x->held);
        fake_answer(&f, JOB_NOT_ATTACHED);
        CHECK(a.n == 1 && a.error == REQUEST_E_NOT_ATTACHED && x->on_device && !x->held && x->n_gaps == 0);
        fake_deinit(&f);
}

static void test_attach_conflict(void) {
        Answer a;
        Fake f;

        /* what was not wanted before is not wanted afterwards */
        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(get(&f, "bftrack", UUID_X, ""));
        fake_answer(&f, JOB_CONFLICT);
        CHECK(a.n == 1 && a.error == REQUEST_E_CONFLICT && !get(&f, "bftrack", UUID_X, ""));
        fake_pass(&f, 100 * SECOND);
        CHECK(f.n_jobs == 0);
        fake_deinit(&f);

        /* a hold that the attempt lifted is there again */
        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_answer(&f, JOB_CONFLICT);
        CHECK(a.n == 1 && a.error == REQUEST_E_CONFLICT && get(&f, "bftrack", UUID_X, "")->held);
        CHECK(in_order(&f, "save held bftrack_0fc63daf", "answer"));
        fake_pass(&f, 100 * SECOND);
        CHECK(f.n_jobs == 0);
        fake_end_manager(&f);
        fake_start(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->held && !get(&f, "bftrack", UUID_X, "")->on_device);
        fake_deinit(&f);
}

/* What was wanted for a call only is taken back: a policy that stood behind it goes on at once. */
static void test_attach_taken_back(void) {
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_device(&f, "sdb", "", "");
        fake_device(&f, "sdb1", UUID_X, "log");
        fake_start(&f);
        fake_policy(&f, "10.conf", "bftrack", "", "data");
        ask(&f, JOB_ATTACH, "/dev/sda1", "bfcount", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_AMBIGUOUS && f.n_jobs == 0);

        /* both in one pass */
        CHECK(manager_reload(f.manager) == 0);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bfcount", &a);
        fake_settle(&f);
        CHECK(a.n == 1 && get(&f, "bftrack", "", "data")->on_device);
        fake_deinit(&f);
}

/*
 * The policy was edited after the detach: the held attachment is another one than the one that is wanted now. An attach
 * by hand is about the latter, and ends the hold for good; one that fails leaves it.
 */
static void test_attach_after_edit(bool succeeds) {
        Attachment *b;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);

        policy_set_free(f.policies);
        f.policies = policy_set_new();
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "data");
        CHECK(manager_reload(f.manager) == 0);
        fake_settle(&f);
        b = get(&f, "bftrack", UUID_X, "data");
        CHECK(b->state == ATTACHMENT_DETACHED && get(&f, "bftrack", UUID_X, "")->held);

        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_answer(&f, succeeds ? JOB_OK : JOB_CONFLICT);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == (succeeds ? REQUEST_OK : REQUEST_E_CONFLICT));
        CHECK(!get(&f, "bftrack", UUID_X, "") == succeeds && b->on_device == succeeds && !b->held);
        CHECK(succeeds || b->state == ATTACHMENT_DETACHED);

        if (succeeds) {
                CHECK(b->source == ATTACHMENT_SOURCE_POLICY);
                fake_reread(&f, "sda1");
                fake_settle(&f);
                CHECK(b->on_device && b->n_attached == 2);
        }

        fake_deinit(&f);
}

static void test_attach_deadline(void) {
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_pass(&f, 19 * SECOND);
        CHECK(a.n == 0);
        fake_pass(&f, 2 * SECOND);
        CHECK(a.n == 1 && a.error == REQUEST_E_TIMED_OUT && f.n_jobs == 1);
        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && get(&f, "bftrack", UUID_X, "") && get(&f, "bftrack", UUID_X, "")->on_device);
        fake_deinit(&f);
}

static void test_attach_refused(void) {
        DeviceEvent *e = NULL;
        Answer a;
        Fake f;

        /* a clone is beside it */
        fake_begin(&f);
        fake_device(&f, "sdb", "", "");
        e = fake_device(&f, "sdb1", UUID_X, "data");
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_AMBIGUOUS && f.n_jobs == 0 && !get(&f, "bftrack", UUID_X, ""));

        /* one that must be left alone */
        e->ignored = "it is a path of a multipath device";
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_settle(&f);
        ask(&f, JOB_ATTACH, "/dev/sdb1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_INVALID && f.n_jobs == 0);
        CHECK_HAS(a.message, "multipath");

        ask(&f, JOB_ATTACH, "/dev/sda1", "no such/name", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_INVALID);
        fake_deinit(&f);
}

static void test_interface(void) {
        static JobReply r;
        Answer a, d;
        Fake f;

        /* not known: the answer comes in time, and nothing is left */
        fake_begin(&f);
        fake_begin_manager(&f);
        fake_run(&f);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_PROBE);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        ask(&f, JOB_DETACH, "/dev/sda2", "bftrack", &d);
        CHECK(a.n == 0 && d.n == 0 && f.n_jobs == 1);
        fake_pass(&f, 21 * SECOND);
        CHECK(a.n == 1 && a.error == REQUEST_E_TIMED_OUT && d.n == 1 && d.error == REQUEST_E_TIMED_OUT);
        CHECK(!get(&f, "bftrack", UUID_X, ""));

        /* there is none */
        r = (JobReply) { .protocol = JOB_PROTOCOL, .id = f.jobs[0].id, .outcome = JOB_OK,
                         .interface = KERNEL_INTERFACE_NONE };
        manager_job_done(f.manager, &f.jobs[0], &r, -EBADF);
        f.n_jobs = 0;
        fake_run(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_UNSUPPORTED && !get(&f, "bftrack", UUID_X, ""));
        fake_deinit(&f);
}

/* A policy comes for what a caller is asking for: the caller's failure does not take it away. */
static void test_attach_policy_takes_over(void) {
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        CHECK(manager_reload(f.manager) == 0);
        fake_answer(&f, JOB_CONFLICT);
        CHECK(a.n == 1 && a.error == REQUEST_E_CONFLICT);
        CHECK(get(&f, "bftrack", UUID_X, "") && get(&f, "bftrack", UUID_X, "")->source == ATTACHMENT_SOURCE_POLICY);
        fake_pass(&f, 2 * SECOND);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        fake_deinit(&f);
}

/* A command finds that somebody took the filter off: a gap, and it is put back. */
static void test_ctl_finds_foreign_detach(JobOutcome outcome, RequestError error) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_CTL, "/dev/sda1", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CTL);
        fake_answer(&f, outcome);
        CHECK(a.n == 1 && a.error == error && x->n_gaps == 0);

        /* the filter's own answer may have been ENOENT: the kernel is asked */
        fake_pass(&f, 3 * SECOND);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CHECK);
        fake_answer(&f, JOB_NOT_ATTACHED);
        CHECK(x->n_gaps == 1);
        CHECK_STR(x->gaps[0].reason, "foreign-detach");
        fake_settle(&f);
        CHECK(x->on_device && x->n_attached == 2 && x->gaps[0].end_usec);
        fake_deinit(&f);
}

/* There is no memory for a job: whoever asked is answered, and it is tried again. */
static void test_submit_fails(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");

        f.submit_error = -ENOMEM;
        ask(&f, JOB_CTL, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_FAILED);
        ask(&f, JOB_ATTACH, "/dev/sda2", "bftrack", &a);
        CHECK(a.n == 1 && a.error != REQUEST_OK);
        fake_reread(&f, "sda1");
        CHECK(!x->on_device);
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_TIMED_OUT && x->held);

        f.submit_error = 0;
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        for (int i = 0; i < 200 && a.n == 0; i++) {
                fake_settle(&f);
                fake_pass(&f, SECOND);
        }
        CHECK(a.n == 1 && a.error == REQUEST_OK && x->on_device);
        fake_deinit(&f);
}

/* By the policies that are in force, of the device that is meant. */
static void test_explain(void) {
        Explanation e;
        char *message;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        fake_policy(&f, "20.conf", "bftrack", "", "data"); /* not loaded */
        CHECK(manager_explain(f.manager, "PARTLABEL=data", &e, &message) == REQUEST_OK && !message);
        CHECK_STR(device_name(e.device), "sda1");
        CHECK(e.attachment == get(&f, "bftrack", UUID_X, "") && e.n_policies == 1);
        explanation_deinit(&e);

        CHECK(manager_reload(f.manager) == 0);
        CHECK(manager_explain(f.manager, "/dev/sda2", &e, &message) == REQUEST_OK && !message);
        CHECK(!e.attachment && e.n_policies == 2 && e.policies[1].verdict == EXPLAIN_NO_MATCH);
        explanation_deinit(&e);

        CHECK(manager_explain(f.manager, "/dev/sdx1", &e, &message) == REQUEST_E_NO_SUCH_DEVICE);
        CHECK_HAS(message, "/dev/sdx1");
        free(message);
        fake_deinit(&f);
}

/* A daemon that stops answers all that wait, and a caller that is gone is not called. */
static void test_stop_and_forget(void) {
        Answer a, b;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        ask(&f, JOB_DETACH, "/dev/sda2", "bftrack", &b);
        manager_request_forget(f.manager, &b);
        CHECK(a.n == 0 && b.n == 0);
        fake_end_manager(&f);
        CHECK(a.n == 1 && a.error == REQUEST_E_FAILED && b.n == 0);
        fake_begin_manager(&f);
        fake_deinit(&f);
}

int main(void) {
        test_detach_holds_all();
        test_detach_orphan_and_new();
        test_detach_runtime_and_policy();
        test_detach_outcome(JOB_OK, REQUEST_OK, true, false);
        test_detach_outcome(JOB_NOT_ATTACHED, REQUEST_OK, true, false);
        test_detach_outcome(JOB_CONFLICT, REQUEST_E_CONFLICT, false, false);
        test_detach_outcome(JOB_DIED, REQUEST_E_TIMED_OUT, true, false);
        test_detach_outcome(JOB_LOCKED, REQUEST_E_LOCKED, false, true);
        test_detach_outcome(JOB_GONE, REQUEST_E_STALE, false, true);
        test_detach_outcome(JOB_FAILED, REQUEST_E_FAILED, false, true);
        test_detach_outcome(JOB_UNSUPPORTED, REQUEST_E_UNSUPPORTED, false, true);
        test_detach_timed_out_then_ok();
        test_detach_clone();
        test_attach_conflict();
        test_attach_taken_back();
        test_attach_after_edit(true);
        test_attach_after_edit(false);
        test_attach_deadline();
        test_attach_refused();
        test_interface();
        test_attach_policy_takes_over();
        test_ctl_finds_foreign_detach(JOB_NOT_ATTACHED, REQUEST_E_NOT_ATTACHED);
        test_ctl_finds_foreign_detach(JOB_CONFLICT, REQUEST_E_CONFLICT);
        test_submit_fails();
        test_explain();
        test_stop_and_forget();
        return EXIT_SUCCESS;
}
