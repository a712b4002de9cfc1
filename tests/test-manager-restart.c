/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The manager over restarts and against what it knew before: records, orphans, looks and tables that were
 * overtaken.
 */

#undef NDEBUG

#include "tests/fake-outside.h"

#define WWN "0x5000c500a1b2c3d4"

/* A daemon that stops leaves a record of since when tracking is intact; the next one goes on from it. */
static void test_restart(void) {
        uint64_t since;
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sda2", "bfcount", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        since = x->intact_since_usec;
        CHECK(since);

        fake_pass(&f, 100 * SECOND);
        f.trace[0] = 0;
        fake_end_manager(&f);
        CHECK(strstr(f.trace, "save bftrack_0fc63daf") && strstr(f.trace, "save bfcount_b921b045"));

        fake_begin_manager(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->recorded_since_usec == since && x->recorded_at_usec == since); /* the kernel was asked then */
        f.trace[0] = 0;
        fake_settle(&f);
        CHECK(x->on_device && x->intact_since_usec == since && x->n_gaps == 0);
        CHECK(get(&f, "bfcount", UUID_Y, "")->on_device && get(&f, "bfcount", UUID_Y, "")->intact_since_usec == since);
        CHECK(strstr(f.trace, "check sda1") && strstr(f.trace, "check sda2") && !strstr(f.trace, "attach"));

        /* the partition was read again while no daemon was there: the gap begins when that was last known */
        since = f.now.realtime_usec;
        fake_pass(&f, 50 * SECOND);
        fake_end_manager(&f);
        for (size_t i = 0; i < f.n_devices; i++)
                if (f.devices[i].partno)
                        f.devices[i].object = ++f.last_object;
        fake_pass(&f, 10 * SECOND);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device && x->n_gaps == 1 && x->gaps[0].begin_usec == since &&
              x->gaps[0].end_usec == f.now.realtime_usec);
        CHECK(x->gaps[0].latest_usec == f.now.realtime_usec);
        CHECK_STR(x->gaps[0].reason, "daemon-not-running");
        fake_deinit(&f);
}

/*
 * The table was read again while no daemon was there, and udev is busy: of the other disk, which has been there
 * all the time, nothing is known yet. It has a clone.
 */
static void test_clone_in_doubt(void) {
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device);

        fake_end_manager(&f);
        for (size_t i = 0; i < f.n_devices; i++)
                if (f.devices[i].partno)
                        f.devices[i].object = ++f.last_object;
        fake_device(&f, "sdb", "", "")->in_doubt = true;
        fake_device(&f, "sdb1", UUID_X, "")->in_doubt = true;
        for (size_t i = f.n_devices - 2; i < f.n_devices; i++)
                f.devices[i].processed = f.devices[i].settled = false;
        f.busy = true;
        fake_begin_manager(&f);
        f.trace[0] = 0;
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(!x->on_device && !strstr(f.trace, "attach") && x->state == ATTACHMENT_WAITING);
        CHECK_HAS(x->reason, "/dev/sdb is new too");

        f.busy = false;
        for (size_t i = f.n_devices - 2; i < f.n_devices; i++) {
                f.devices[i].in_doubt = false;
                f.devices[i].processed = f.devices[i].settled = true;
        }
        f.now.monotonic_usec = f.wake_at_usec;
        f.scheduled = true;
        fake_settle(&f);
        CHECK(!x->on_device && !strstr(f.trace, "attach") && x->state == ATTACHMENT_AMBIGUOUS);
        fake_deinit(&f);
}

/* A look that fails in the middle has not told of a clone: until one succeeds nothing is attached. */
static void test_clone_not_looked_at(void) {
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        f.look_fails_at = f.n_devices;
        fake_device(&f, "sdb", "", "");
        fake_device(&f, "sdb1", UUID_X, "");
        f.devices[f.n_devices - 1].processed = f.devices[f.n_devices - 1].settled = true;
        fake_begin_manager(&f);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(!strstr(f.trace, "attach") && x->state == ATTACHMENT_WAITING);

        /* events do not make it look more often */
        CHECK(f.n_looks == 1);
        for (int i = 0; i < 5; i++) {
                manager_told(f.manager);
                fake_settle(&f);
        }
        CHECK(f.n_looks == 1);
        fake_pass(&f, SECOND);
        CHECK(f.n_looks == 2);

        f.look_fails_at = 0;
        fake_pass(&f, SECOND);
        fake_settle(&f);
        CHECK(!strstr(f.trace, "attach") && x->state == ATTACHMENT_AMBIGUOUS);
        fake_deinit(&f);
}

/* The device is detached before it was taken up again: there was a filter, so there is a gap. */
static void test_detach_of_recorded(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        fake_end_manager(&f);
        fake_begin_manager(&f);
        fake_run(&f);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_PROBE);
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(a.n == 1 && a.error == REQUEST_OK && x->held && !x->on_device);
        CHECK(x->n_gaps == 1 && x->gaps[0].end_usec == 0 && !x->recorded_since_usec);
        fake_deinit(&f);
}

/* The daemon ends before the detach does: whether the filter was off in between, nobody can say. */
static void test_detach_unended(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        fake_end_manager(&f);
        CHECK(a.n == 1 && a.error == REQUEST_E_FAILED);
        fake_pass(&f, 10 * SECOND);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->held && !x->on_device && x->n_gaps == 1 && !x->left_object);
        CHECK(in_order(&f, "detach sda1", "detach sda1")); /* it was done again */

        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_end_manager(&f);
        fake_begin_manager(&f);
        f.trace[0] = 0;
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(strstr(f.trace, "check sda1") && !strstr(f.trace, "attach"));
        CHECK(x->on_device && x->intact_since_usec == f.now.realtime_usec && x->n_gaps == 1);
        fake_deinit(&f);
}

/*
 * The daemon ends before an attach does, and what it was to be put on gets a clone. An administrator takes the filter
 * off that, which is the end of the wish; but it may be on the other one, and is not forgotten before it is off there.
 */
static void test_detach_clone_of_unended(void) {
        DeviceEvent *e;
        Subject subject;
        Answer a;
        Fake f;

        fake_begin(&f);
        e = fake_device(&f, "sdb", "", "");
        e->values[MATCH_DISK_WWN] = WWN;
        fake_start(&f);
        ask(&f, JOB_ATTACH, "/dev/sdb", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        fake_end_manager(&f);

        e = fake_device(&f, "sdc", "", "");
        e->values[MATCH_DISK_WWN] = WWN;
        fake_begin_manager(&f);
        fake_run(&f);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_PROBE);
        ask(&f, JOB_DETACH, "/dev/sdc", "bftrack", &a);
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 2 && in_order(&f, "detach sdc", "detach sdb"));

        fake_answer(&f, JOB_NOT_ATTACHED);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        fake_answer(&f, JOB_LOCKED);
        subject = subject_of(&f, "/dev/sdb");
        CHECK(f.n_jobs == 0 && manager_find_attachment(f.manager, &subject));

        /* nor over another restart */
        fake_end_manager(&f);
        f.trace[0] = 0;
        fake_start(&f);
        CHECK(strstr(f.trace, "detach sdb") && !strstr(f.trace, "attach sd"));
        CHECK(manager_get_attachments(f.manager)->n_items == 0);
        fake_deinit(&f);
}

/*
 * The daemon ends before an attach does, and the partition has another identity when the next one comes. The filter may
 * be its own or another program's: it stays, the journal names it, and where it belongs it is put on all the same.
 */
static void test_unended_elsewhere(void) {
        char text[4096] = "";
        int saved = dup(STDERR_FILENO);
        FILE *journal = tmpfile();
        Fake f;

        CHECK(saved >= 0 && journal);
        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_begin_manager(&f);
        fake_run(&f);
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        fake_end_manager(&f);

        f.devices[1].entry = entry_of(1, UUID_Z, "data");
        f.devices[2].entry = entry_of(2, UUID_X, "other");
        fake_begin_manager(&f);
        fake_run(&f);
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CHECK && f.jobs[0].partno == 1);

        CHECK(fflush(stderr) == 0 && dup2(fileno(journal), STDERR_FILENO) >= 0);
        fake_answer(&f, JOB_OK);
        CHECK(fflush(stderr) == 0 && dup2(saved, STDERR_FILENO) >= 0 && fseek(journal, 0, SEEK_SET) == 0);
        CHECK(fread(text, 1, sizeof(text) - 1, journal) > 0);
        CHECK_HAS(text, "bftrack: it is on /dev/sda1, which is not PARTUUID=" UUID_X);
        CHECK_HAS(text, "if nobody needs it detach it (blkfilterctl detach /dev/sda1 bftrack)");

        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH && f.jobs[0].partno == 2);
        fake_settle(&f);
        CHECK_STR(get(&f, "bftrack", UUID_X, "")->device, "sda2");
        CHECK(!strstr(f.trace, "detach"));
        fclose(journal);
        close(saved);
        fake_deinit(&f);
}

/* Another filter is where an earlier daemon noted ours: that is the end of what it noted. */
static void test_conflict_on_recorded(void) {
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        fake_end_manager(&f);
        fake_begin_manager(&f);
        fake_run(&f);
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CHECK);
        fake_answer(&f, JOB_CONFLICT);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);
        fake_answer(&f, JOB_CONFLICT);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->state == ATTACHMENT_CONFLICT && x->n_gaps == 1 && !x->recorded_since_usec);
        fake_deinit(&f);
}

/* An orphan stays known over any number of daemons, and is there for who wants it again. */
static void test_orphan_over_restarts(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        policy_set_free(f.policies);
        f.policies = policy_set_new();
        for (int i = 0; i < 3; i++) {
                fake_pass(&f, 100 * SECOND);
                fake_end_manager(&f);
                fake_start(&f);
                x = get(&f, "bftrack", UUID_X, "");
                CHECK(x && x->orphaned && x->on_device && x->n_gaps == 0 &&
                      x->intact_since_usec == 1700000000 * SECOND);
                CHECK(x->state == ATTACHMENT_ORPHANED);
        }

        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 1 && a.error == REQUEST_OK && x->on_device && x->n_gaps == 0 && f.n_jobs == 0);
        CHECK(!x->orphaned && x->source == ATTACHMENT_SOURCE_RUNTIME && x->state == ATTACHMENT_ATTACHED);
        CHECK(x->intact_since_usec == 1700000000 * SECOND);
        fake_deinit(&f);
}

/*
 * What udev told was lost, and it is busy: by the look that follows nothing of it can be believed. It is looked again
 * when udev is idle, and not before.
 */
static void test_lost_while_busy(void) {
        Attachment *x;
        unsigned n;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        f.devices[1].ignored = "it is a path of a multipath device";
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->state == ATTACHMENT_WAITING);
        CHECK_HAS(x->reason, "left alone");

        f.devices[1].ignored = NULL;
        f.devices[1].in_doubt = f.busy = true;
        n = f.n_looks;
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_settle(&f);
        fake_pass(&f, 10 * SECOND);
        CHECK(f.n_looks == n + 1 && f.n_jobs == 0 && !x->on_device);

        f.devices[1].in_doubt = f.busy = false;
        fake_pass(&f, SECOND);
        fake_settle(&f);
        CHECK(f.n_looks == n + 2 && x->on_device);
        fake_deinit(&f);
}

/* A disk comes during the first look: what the kernel tells of it afterwards is no other disk. */
static void test_told_after_look(void) {
        DeviceEvent e;
        Fake f;

        fake_begin(&f);
        fake_begin_manager(&f);
        fake_run(&f);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_PROBE);
        for (size_t i = 0; i < f.n_devices; i++) {
                e = f.devices[i];
                e.source = EVENT_KERNEL;
                e.seqnum = ++f.last_seq;
                e.processed = e.settled = e.has_entry = false;
                manager_device(f.manager, &e);
        }
        manager_told(f.manager);
        fake_run(&f);
        CHECK(f.n_jobs == 1); /* and none beside it on the same disk: op_submit() looks */

        /* nor does the end of what was in its place before make it go */
        e = f.devices[0];
        e.source = EVENT_KERNEL;
        e.action = EVENT_REMOVE;
        e.seqnum = ++f.last_seq;
        e.diskseq = f.devices[0].diskseq;
        f.devices[0].diskseq += 10;
        for (size_t i = 0; i < f.n_devices; i++)
                f.devices[i].object += 10;
        manager_lost(f.manager);
        manager_told(f.manager);
        fake_run(&f);
        manager_device(f.manager, &e);
        manager_told(f.manager);
        fake_run(&f);
        (void) subject_of(&f, "/dev/sda1");
        fake_deinit(&f);
}

/* A worker read the table before it was written, and answers after udev has told of the new one. */
static void test_table_overtaken(void) {
        DeviceEvent e;
        Entry old;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_policy(&f, "20.conf", "bftrack", UUID_Z, "");
        fake_begin_manager(&f);
        fake_run(&f);
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH);

        old = f.devices[2].entry;
        f.devices[2].entry = entry_of(2, UUID_Z, "new");
        fake_reread(&f, "sda2");
        e = f.devices[2];
        e.source = EVENT_UDEV;
        e.seqnum = f.last_seq;
        manager_device(f.manager, &e);
        manager_told(f.manager);
        fake_run(&f);

        f.devices[2].entry = old;
        fake_answer(&f, JOB_OK);
        f.devices[2].entry = e.entry;
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device && get(&f, "bftrack", UUID_Z, "")->on_device);
        fake_deinit(&f);
}

/* Whether a table that matters has been read counts: before, nothing has been seen to. */
static void test_settled(void) {
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        CHECK(manager_is_settled(f.manager));

        fake_reread(&f, "sda1");
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_SCAN && !manager_is_settled(f.manager));
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH && !manager_is_settled(f.manager));
        fake_answer(&f, JOB_OK);
        CHECK(f.n_jobs == 0 && manager_is_settled(f.manager));

        /* nobody waits for what does not answer */
        fake_reread(&f, "sda1");
        fake_answer(&f, JOB_TIMED_OUT);
        CHECK(f.n_jobs == 1 && manager_is_settled(f.manager));
        fake_deinit(&f);
}

int main(void) {
        test_restart();
        test_clone_in_doubt();
        test_clone_not_looked_at();
        test_detach_of_recorded();
        test_detach_unended();
        test_detach_clone_of_unended();
        test_unended_elsewhere();
        test_conflict_on_recorded();
        test_orphan_over_restarts();
        test_lost_while_busy();
        test_told_after_look();
        test_table_overtaken();
        test_settled();
        return EXIT_SUCCESS;
}
