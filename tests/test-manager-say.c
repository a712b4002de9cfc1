/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the journal is told of those that wait, and systemd of all of them; what the bus alone is told. */

#undef NDEBUG

#include <stdarg.h>

#include "daemon/log.h"
#include "tests/fake-outside.h"


static char journal[16384];
static unsigned n_waits;

void log_line(int priority, const char *format, ...) {
        (void) priority;
        (void) format;
}

void log_attachment(int priority, const char *message_id, const Attachment *a, const char *message) {
        (void) priority;
        (void) message_id;
        n_waits += a->state == ATTACHMENT_WAITING;
        (void) str_copy(journal, sizeof(journal), message);
}

void log_event(int priority, const char *message_id, const char *message) {
        (void) priority;
        (void) message_id;
        (void) message;
}

void log_policy(int priority, const char *path, unsigned line, const char *message) {
        (void) priority;
        (void) path;
        (void) line;
        (void) message;
}

const char *log_id_of_state(AttachmentState state) {
        (void) state;
        return "state";
}

const char *log_id_of_loss(const char *reason) {
        return reason;
}

/* All attempts find the disk locked for so long; then it is not any more. */
static void run_locked(Fake *f, uint64_t usec) {
        uint64_t until = f->now.monotonic_usec + usec;

        while (f->now.monotonic_usec < until) {
                while (f->n_jobs > 0)
                        fake_answer(f, f->jobs[0].kind == JOB_ATTACH ? JOB_LOCKED : JOB_OK);
                fake_pass(f, SECOND / 10);
        }
}

static void begin(Fake *f) {
        n_waits = 0;
        fake_begin(f);
        fake_policy(f, "10.conf", "bftrack", UUID_X, "");
        fake_begin_manager(f);
        fake_run(f);
}

/* It ends soon: nobody has to know. */
static void test_short(void) {
        Fake f;

        begin(&f);
        run_locked(&f, 2 * SECOND);
        fake_settle(&f);
        fake_pass(&f, 10 * SECOND);
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device);
        fake_pass(&f, 60 * SECOND);
        CHECK(n_waits == 0);
        fake_deinit(&f);
}

/* It does not: that is said, once. */
static void test_long(void) {
        Fake f;

        begin(&f);
        run_locked(&f, 8 * SECOND);
        CHECK(n_waits == 0 && get(&f, "bftrack", UUID_X, "")->state == ATTACHMENT_WAITING);
        run_locked(&f, 6 * SECOND);
        CHECK(n_waits == 1 && strstr(journal, "lock"));
        run_locked(&f, 600 * SECOND);
        CHECK(n_waits == 1);
        fake_deinit(&f);
}

/* How many are attached is told at once, and while more of them come on, now and then. */
static void test_sums(void) {
        Fake f;

        begin(&f);
        fake_settle(&f);
        fake_pass(&f, SECOND);
        CHECK(strstr(f.status, "1 attached of 1"));

        f.n_statuses = 0;
        fake_reread(&f, "sda1");
        CHECK(f.n_statuses == 1 && strstr(f.status, "0 attached of 1"));
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device && f.n_statuses == 1);
        fake_pass(&f, SECOND / 10 - 1);
        CHECK(f.n_statuses == 1 && f.wake_at_usec == f.now.monotonic_usec + 1);
        fake_pass(&f, 1);
        CHECK(f.n_statuses == 2 && strstr(f.status, "1 attached of 1"));

        /* what is in force now is told at once */
        CHECK(manager_reload(f.manager) == 0);
        fake_run(&f);
        CHECK(f.n_statuses == 3);
        fake_deinit(&f);
}

/* What udev says of a disk later changes a property: the bus is told, not the journal. Nobody is of a record alone. */
static void test_print(void) {
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device);

        journal[0] = f.trace[0] = 0;
        attachment_changed(x, ATTACHMENT_CHANGED_RECORD);
        f.scheduled = true;
        fake_run(&f);
        CHECK(!x->changed && !strstr(f.trace, "told"));

        attachment_changed(x, ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_PRINT);
        f.scheduled = true;
        fake_run(&f);
        CHECK(strstr(f.trace, "told bftrack_0fc63daf") && !journal[0]);
        fake_deinit(&f);
}

int main(void) {
        test_sums();
        test_short();
        test_long();
        test_print();
        return EXIT_SUCCESS;
}
