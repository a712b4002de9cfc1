/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an administrator takes back: attachments made at run time, and holds. */

#undef NDEBUG

#include "tests/fake-outside.h"

static void forget(Fake *f, const char *id, Answer *a) {
        char copy[ATTACHMENT_ID_SIZE];

        CHECK(str_copy(copy, sizeof(copy), id)); /* the attachment may go */
        *a = (Answer) { .fake = f };
        f->trace[0] = 0;
        manager_forget(f->manager, copy, on_answer, a);
        fake_run(f);
}

/* The device goes as the kernel tells it, and does not come back. */
static void unplug_unsettled(Fake *f, const char *name) {
        for (size_t i = 0; i < f->n_devices; i++) {
                DeviceEvent e = f->devices[i];

                if (!str_equal(e.name, name))
                        continue;

                e.source = EVENT_KERNEL;
                e.action = EVENT_REMOVE;
                e.has_entry = false;
                e.seqnum = ++f->last_seq;
                manager_device(f->manager, &e);
                f->devices[i] = f->devices[--f->n_devices];
                break;
        }

        manager_told(f->manager);
        fake_run(f);
}

static void unplug(Fake *f, const char *name) {
        unplug_unsettled(f, name);
        fake_settle(f);
}

static void unplug_disk(Fake *f) {
        unplug(f, "sda2");
        unplug(f, "sda1");
        unplug(f, "sda");
}

static void plug(Fake *f) {
        for (int i = 0; i < 2; i++)
                manager_device(f->manager, fake_device(f, i ? "sdb1" : "sdb", i ? UUID_X : "", i ? "data" : ""));
        manager_told(f->manager);
        fake_settle(f);
}

/* What was attached by hand waits for a disk that will not come back: it goes, with its record. */
static void test_runtime(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device);

        /* not while it is on */
        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_ATTACHED && x->on_device && f.n_jobs == 0);
        CHECK_HAS(a.message, "/dev/sda1");

        unplug_disk(&f);
        CHECK(get(&f, "bftrack", UUID_X, "") == x && x->state == ATTACHMENT_WAITING);
        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && !get(&f, "bftrack", UUID_X, ""));
        CHECK(in_order(&f, "forget bftrack_0fc63daf", "told removed bftrack_0fc63daf"));
        CHECK(in_order(&f, "told removed bftrack_0fc63daf", "answer"));

        /* neither its device nor another daemon brings it back */
        plug(&f);
        CHECK(!get(&f, "bftrack", UUID_X, "") && f.n_jobs == 0);
        fake_end_manager(&f);
        fake_start(&f);
        CHECK(!get(&f, "bftrack", UUID_X, ""));

        forget(&f, "bftrack_none", &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_NO_ATTACHMENT);
        fake_deinit(&f);
}

/* A loss that has not been told when the attachment is forgotten is told. */
static void test_untold_loss(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");

        attachment_lost(x, "removed", 0, &f.now);
        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && !get(&f, "bftrack", UUID_X, ""));
        CHECK(in_order(&f, "told lost bftrack_0fc63daf", "told removed bftrack_0fc63daf"));
        fake_deinit(&f);
}

/* A policy that was held off is in force again: at once if its device is there, else when it comes. */
static void test_hold(bool present) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        CHECK(x->held && x->state == ATTACHMENT_DETACHED);
        if (!present)
                unplug_disk(&f);

        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && get(&f, "bftrack", UUID_X, "") == x && !x->held);
        CHECK(in_order(&f, "save bftrack_0fc63daf", "answer") && in_order(&f, "told bftrack_0fc63daf", "answer"));
        CHECK(x->state == (present ? ATTACHMENT_ATTACHING : ATTACHMENT_WAITING));
        CHECK(present ? f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH : f.n_jobs == 0);

        /* not while it may be on */
        if (present) {
                forget(&f, x->id, &a);
                CHECK(a.n == 1 && a.error == REQUEST_E_ATTACHED);
        } else
                plug(&f);

        fake_settle(&f);
        CHECK(x->on_device && x->source == ATTACHMENT_SOURCE_POLICY);
        fake_end_manager(&f);
        fake_start(&f);
        CHECK(!get(&f, "bftrack", UUID_X, "")->held);
        fake_deinit(&f);
}

/* A detach holds off all that want the filter there; whichever is named, the hold of all ends. */
static void test_holds_of_others(const char *uuid, const char *label) {
        Attachment *other;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_policy(&f, "20.conf", "bftrack", "", "data");
        fake_policy(&f, "30.conf", "bfcount", UUID_X, "");
        fake_policy(&f, "40.conf", "bftrack", "", "other");
        fake_policy(&f, "50.conf", "bftrack", UUID_X, "elsewhere");
        fake_start(&f);
        get(&f, "bftrack", UUID_X, "elsewhere")->held = get(&f, "bfcount", UUID_X, "")->held = true;
        other = get(&f, "bftrack", "", "other");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        ask(&f, JOB_DETACH, "/dev/sda2", "bftrack", &a);
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->held && get(&f, "bftrack", "", "data")->held && other->held);

        forget(&f, get(&f, "bftrack", uuid, label)->id, &a);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK && get(&f, "bftrack", UUID_X, "")->on_device);
        CHECK(!get(&f, "bftrack", UUID_X, "")->held && !get(&f, "bftrack", "", "data")->held && other->held);
        CHECK(get(&f, "bftrack", UUID_X, "elsewhere")->held && get(&f, "bfcount", UUID_X, "")->held);
        fake_deinit(&f);
}

/* The policy was edited after the detach: what is held off is another attachment than the one that is wanted. */
static void test_after_edit(void) {
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
        CHECK(b->state == ATTACHMENT_DETACHED && !b->held && get(&f, "bftrack", UUID_X, "")->held);

        forget(&f, b->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && !get(&f, "bftrack", UUID_X, ""));
        fake_settle(&f);
        CHECK(b->on_device);
        fake_deinit(&f);
}

/* The policy of what is held off is gone: so is the attachment. */
static void test_orphan(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        policy_set_free(f.policies);
        f.policies = policy_set_new();
        CHECK(manager_reload(f.manager) == 0);
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "") == x && x->orphaned && x->held);

        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && !get(&f, "bftrack", UUID_X, ""));
        CHECK(in_order(&f, "told removed bftrack_0fc63daf", "answer"));
        fake_deinit(&f);
}

/* Nothing but a policy wants it: that has to go. Asked for by hand too, it goes with its policy afterwards. */
static void test_policy(bool asked) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        if (asked)
                ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        CHECK(manager_reload(f.manager) == 0);
        fake_settle(&f);
        unplug_disk(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->asked == asked && x->source == ATTACHMENT_SOURCE_POLICY);

        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == (asked ? REQUEST_OK : REQUEST_E_WANTED));
        CHECK(get(&f, "bftrack", UUID_X, "") == x && x->source == ATTACHMENT_SOURCE_POLICY && !x->asked);
        if (!asked)
                CHECK_HAS(a.message, "/etc/blkfilter.d/10.conf");

        forget(&f, x->id, &a);
        CHECK(a.error == REQUEST_E_WANTED);

        fake_end_manager(&f);
        policy_set_free(f.policies);
        f.policies = policy_set_new();
        fake_begin_manager(&f);
        fake_run(&f);
        CHECK(!get(&f, "bftrack", UUID_X, ""));
        fake_deinit(&f);
}

/* A detach whose worker died: the filter may be on still, so nothing is forgotten until that is known. */
static void test_left(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_ATTACHED);

        /* taking it off again does not begin to work at once */
        fake_answer(&f, JOB_DIED);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_DETACH);
        fake_answer(&f, JOB_LOCKED);
        CHECK(f.n_jobs == 0 && get(&f, "bftrack", UUID_X, "") == x && x->held && x->left_object && !x->on_device);
        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_E_ATTACHED && get(&f, "bftrack", UUID_X, "") == x);

        /* another detach whose worker dies tells no more than the first */
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_answer(&f, JOB_DIED);
        CHECK(a.n == 1 && a.error == REQUEST_E_TIMED_OUT && x->left_object);

        fake_pass(&f, 10 * SECOND);
        fake_settle(&f);
        CHECK(!x->left_object && x->held);
        forget(&f, x->id, &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && !get(&f, "bftrack", UUID_X, "") && f.n_jobs == 0);
        fake_deinit(&f);
}

/* Nor is a hold dropped that a detach under way is the reason for. */
static void test_detach_under_way(void) {
        Attachment *y;
        Answer a, b;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_policy(&f, "20.conf", "bftrack", "", "data");
        fake_start(&f);
        y = get(&f, "bftrack", "", "data");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        CHECK(!y->on_device && y->held && a.n == 0);
        forget(&f, y->id, &b);
        CHECK(b.n == 1 && b.error == REQUEST_E_ATTACHED && y->held);
        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && a.error == REQUEST_OK && y->held);
        fake_deinit(&f);
}

static void test_stuck(void) {
        Attachment *x;
        Answer a, b;
        Fake f;

        fake_begin(&f);
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_answer(&f, JOB_TIMED_OUT);
        x = get(&f, "bftrack", UUID_X, "");
        forget(&f, x->id, &b);
        CHECK(b.n == 1 && b.error == REQUEST_E_STUCK && get(&f, "bftrack", UUID_X, "") == x);
        fake_answer(&f, JOB_OK);
        CHECK(x->on_device);
        fake_deinit(&f);
}

/* A detach that never ends holds nothing up once its disk has gone: neither a wish nor a policy. */
static void test_stuck_detach(bool policy) {
        Attachment *x;
        Answer a, b;
        Fake f;

        fake_begin(&f);
        if (policy)
                fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        if (!policy) {
                ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
                fake_settle(&f);
        }
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_answer(&f, JOB_TIMED_OUT);
        CHECK(a.n == 1 && a.error == REQUEST_E_TIMED_OUT && x->held);
        forget(&f, x->id, &b);
        CHECK(b.n == 1 && b.error == REQUEST_E_ATTACHED);

        unplug_unsettled(&f, "sda2");
        unplug_unsettled(&f, "sda1");
        unplug_unsettled(&f, "sda");
        CHECK(!x->on_device && x->held && f.n_jobs == 1);
        forget(&f, x->id, &b);
        CHECK(b.n == 1 && b.error == REQUEST_OK);
        CHECK(policy ? !x->held && x->state == ATTACHMENT_WAITING : !get(&f, "bftrack", UUID_X, ""));

        /* its answer comes too late for anything */
        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && (!policy || !x->held));
        plug(&f);
        CHECK(!policy || x->on_device);
        fake_deinit(&f);
}

/* But one that is under way has the last word, though its disk has gone. */
static void test_detach_outlives_disk(void) {
        Attachment *x;
        Answer a, b;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        unplug_unsettled(&f, "sda1");
        unplug_unsettled(&f, "sda");
        forget(&f, x->id, &b);
        CHECK(b.n == 1 && b.error == REQUEST_E_ATTACHED && x->held);
        fake_answer(&f, JOB_GONE);
        CHECK(a.n == 1 && a.error == REQUEST_E_STALE && !x->held);
        fake_deinit(&f);
}

int main(void) {
        test_runtime();
        test_untold_loss();
        test_hold(true);
        test_hold(false);
        test_holds_of_others(UUID_X, "");
        test_holds_of_others("", "data");
        test_after_edit();
        test_orphan();
        test_policy(false);
        test_policy(true);
        test_left();
        test_detach_under_way();
        test_stuck();
        test_stuck_detach(false);
        test_stuck_detach(true);
        test_detach_outlives_disk();
        return EXIT_SUCCESS;
}
