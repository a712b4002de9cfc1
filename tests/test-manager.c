/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The real manager and core on a small made-up outside: what callers ask for, what is written
 * down before the kernel is asked, and what they are told, in which order.
 */

#undef NDEBUG

#include <errno.h>
#include <unistd.h>

#include "daemon/manager.h"
#include "daemon/state.h"
#include "tests/test.h"

#define JOBS 16
#define DEVICES 16

typedef struct Answer {
        unsigned n;
        RequestError error;
        int32_t result;
        char message[512];
        char attachment[ATTACHMENT_ID_SIZE];
        struct Fake *fake;
} Answer;

typedef struct Fake {
        Manager *manager;
        Now now;
        bool scheduled, busy, ready;
        uint64_t wake_at_usec;
        int submit_error;
        JobRequest jobs[JOBS];
        size_t n_jobs;
        DeviceEvent devices[DEVICES]; /* disks before their partitions */
        size_t n_devices;
        PolicySet *policies;          /* the files; each load gets a copy */
        char folder[32];
        StateDir records;
        uint64_t last_object, last_seq;
        char trace[16384];            /* what happened, in order */
} Fake;

static void trace(Fake *f, const char *what, const char *whom) {
        size_t n = strlen(f->trace);

        (void) snprintf(f->trace + n, sizeof(f->trace) - n, "%s %s\n", what, whom);
}

/* Whether the trace has @first and, after it, @second. */
static bool in_order(const Fake *f, const char *first, const char *second) {
        const char *p = strstr(f->trace, first);

        return p && strstr(p + strlen(first), second);
}

static Now op_now(void *outside) {
        return ((Fake *) outside)->now;
}

static void op_schedule(void *outside) {
        ((Fake *) outside)->scheduled = true;
}

static void op_wake(uint64_t at_usec, void *outside) {
        ((Fake *) outside)->wake_at_usec = at_usec;
}

static int op_submit(const JobRequest *request, int memfd, void *outside) {
        static const char *const kinds[] = { "scan", "attach", "detach", "ctl", "probe" };
        Fake *f = outside;

        if (memfd >= 0)
                close(memfd);
        if (f->submit_error)
                return f->submit_error;

        CHECK(f->n_jobs < JOBS);
        for (size_t i = 0; i < f->n_jobs; i++)
                CHECK(!str_equal(f->jobs[i].disk.name, request->disk.name));

        f->jobs[f->n_jobs++] = *request;
        trace(f, kinds[request->kind], request->partno ? request->partition.name : request->disk.name);
        return 0;
}

static int op_look(void *outside) {
        Fake *f = outside;

        for (size_t i = 0; i < f->n_devices; i++)
                manager_device(f->manager, &f->devices[i]);

        return 0;
}

static bool op_udev_is_busy(void *outside) {
        return ((Fake *) outside)->busy;
}

static int op_load_policies(const PolicySet *last, PolicySet **ret, void *outside) {
        Fake *f = outside;
        PolicySet *s = policy_set_new();

        (void) last;

        CHECK(s);
        for (size_t i = 0; i < f->policies->n_policies; i++) {
                Policy *p;

                CHECK(policy_copy(f->policies->policies[i], &p) == 0 && policy_set_add(s, p) == 0);
        }

        *ret = s;
        return 0;
}

static int op_load_records(StateFound found, void *userdata, void *outside) {
        return state_load(&((Fake *) outside)->records, found, userdata);
}

static int op_save_record(const Attachment *a, uint64_t now_realtime_usec, void *outside) {
        Fake *f = outside;

        trace(f, a->held ? "save held" : "save", a->id);
        return state_save(&f->records, a, now_realtime_usec);
}

static int op_remove_record(const char *id, void *outside) {
        Fake *f = outside;

        trace(f, "forget", id);
        return state_remove(&f->records, id);
}

static void op_status(bool ready, const char *line, void *outside) {
        (void) line;

        ((Fake *) outside)->ready |= ready;
}

static void on_changed(const Attachment *a, uint32_t changed, void *userdata) {
        trace(userdata, changed & ATTACHMENT_CHANGED_LOST ? "told lost" : "told", a->id);
}

static void on_removed(const Attachment *a, void *userdata) {
        trace(userdata, "told removed", a->id);
}

static void on_answer(const RequestAnswer *answer, void *userdata) {
        Answer *a = userdata;

        a->n++;
        a->error = answer->error;
        a->result = answer->result;
        CHECK((answer->message != NULL) == (answer->error != REQUEST_OK));
        (void) snprintf(a->message, sizeof(a->message), "%s", answer->message ?: "");
        (void) snprintf(a->attachment, sizeof(a->attachment), "%s", answer->attachment ? answer->attachment->id : "");
        trace(a->fake, "answer", a->message);
}

static void fake_run(Fake *f) {
        for (int i = 0; f->scheduled; i++) {
                CHECK(i < 50);
                f->scheduled = false;
                manager_run(f->manager);
        }
}

/* Time passes; the manager is woken when it asked for it. */
static void fake_pass(Fake *f, uint64_t usec) {
        uint64_t until = f->now.monotonic_usec + usec;

        while (f->wake_at_usec && f->wake_at_usec <= until) {
                uint64_t step = f->wake_at_usec > f->now.monotonic_usec ? f->wake_at_usec - f->now.monotonic_usec : 0;

                f->now.monotonic_usec += step;
                f->now.realtime_usec += step;
                f->scheduled = true;
                fake_run(f);
                CHECK(f->wake_at_usec != f->now.monotonic_usec);
        }

        f->now.realtime_usec += until - f->now.monotonic_usec;
        f->now.monotonic_usec = until;
}

static void fake_begin_manager(Fake *f) {
        const ManagerOps ops = {
                .outside = f,
                .now = op_now,
                .schedule = op_schedule,
                .wake = op_wake,
                .submit = op_submit,
                .look = op_look,
                .udev_is_busy = op_udev_is_busy,
                .load_policies = op_load_policies,
                .load_records = op_load_records,
                .save_record = op_save_record,
                .remove_record = op_remove_record,
                .status = op_status,
        };
        const ManagerListener listener = { .attachment_changed = on_changed, .attachment_removed = on_removed, .userdata = f };

        f->n_jobs = 0;
        f->ready = false;
        CHECK(manager_new(&ops, &f->manager) == 0);
        manager_set_listener(f->manager, &listener);
        CHECK(manager_start(f->manager) == 0);
}

static void fake_init(Fake *f) {
        memset(f, 0, sizeof(*f));
        f->now = (Now) { .monotonic_usec = 1000 * SECOND, .realtime_usec = 1700000000 * SECOND };
        f->policies = policy_set_new();
        (void) snprintf(f->folder, sizeof(f->folder), "/tmp/test-manager-XXXXXX");
        CHECK(f->policies && mkdtemp(f->folder) && state_open(f->folder, &f->records) == 0);
}

static void fake_deinit(Fake *f) {
        char command[64];

        manager_free(f->manager);
        policy_set_free(f->policies);
        state_close(&f->records);
        (void) snprintf(command, sizeof(command), "rm -r %s", f->folder);
        CHECK(system(command) == 0);
}

/* A device that is there: found by a look, or told by told(). */
static DeviceEvent *fake_device(Fake *f, const char *name, const char *uuid, const char *label) {
        DeviceEvent *e = &f->devices[f->n_devices++];

        CHECK(f->n_devices <= DEVICES);
        *e = (DeviceEvent) {
                .source = EVENT_ENUMERATION,
                .partno = (unsigned) strtoul(name + 3, NULL, 10),
                .major = 8,
                .processed = true,
                .settled = true,
        };
        e->minor = (uint32_t) (name[2] - 'a') * 16 + e->partno;
        (void) str_copy(e->name, sizeof(e->name), name);
        memcpy(e->disk, name, 3);
        if (e->partno == 0) {
                e->diskseq = ++f->last_object;
                return e;
        }

        e->object = ++f->last_object;
        e->has_entry = true;
        e->entry = entry_of(e->partno, uuid, label);
        return e;
}

/* A re-read of the table: sda1 goes and comes back as another object. */
static void fake_reread(Fake *f, const char *name) {
        for (size_t i = 0; i < f->n_devices; i++) {
                DeviceEvent e = f->devices[i];

                if (!str_equal(e.name, name))
                        continue;

                f->devices[i].object = ++f->last_object;
                e.source = EVENT_KERNEL;
                e.has_entry = e.processed = e.settled = false;
                e.object = 0;
                e.action = EVENT_REMOVE;
                e.seqnum = ++f->last_seq;
                manager_device(f->manager, &e);
                e.object = f->devices[i].object;
                e.action = EVENT_ADD;
                e.seqnum = ++f->last_seq;
                manager_device(f->manager, &e);
        }
        manager_told(f->manager);
        fake_run(f);
}

static void fake_policy(Fake *f, const char *name, const char *filter, const char *uuid, const char *label) {
        Policy *p = calloc(1, sizeof(*p));
        char path[128];

        CHECK(p);
        (void) snprintf(path, sizeof(path), "/etc/blkfilter.d/%s", name);
        p->name = strdup(name);
        p->path = strdup(path);
        p->match = match_of(uuid, label);
        p->retry_usec = POLICY_RETRY_USEC_DEFAULT;
        CHECK(p->name && p->path && str_copy(p->filter, sizeof(p->filter), filter) && policy_set_add(f->policies, p) == 0);
}

/* Answers the oldest job with an outcome, and with the table where there is one. */
static void fake_answer(Fake *f, JobOutcome outcome) {
        JobRequest request = f->jobs[0];
        static JobReply r;

        CHECK(f->n_jobs > 0);
        r = (JobReply) { .protocol = JOB_PROTOCOL, .id = request.id, .outcome = outcome, .interface = KERNEL_INTERFACE_BLKFILTER_1 };
        if (request.kind == JOB_SCAN || request.kind == JOB_ATTACH) {
                r.has_table = true;
                for (size_t i = 0; i < f->n_devices; i++)
                        if (f->devices[i].partno && str_equal(f->devices[i].disk, request.disk.name))
                                r.entries[r.n_entries++] = f->devices[i].entry;
        }
        if (outcome != JOB_TIMED_OUT)
                memmove(f->jobs, f->jobs + 1, --f->n_jobs * sizeof(f->jobs[0]));
        manager_job_done(f->manager, &request, &r, -EBADF);
        fake_run(f);
}

static void fake_settle(Fake *f) {
        for (int i = 0; fake_run(f), f->n_jobs > 0; i++) {
                CHECK(i < 50);
                fake_answer(f, JOB_OK);
        }
}

/* sda1 has UUID_X and label "data"; nothing is wanted yet. */
static void fake_begin(Fake *f) {
        fake_init(f);
        fake_device(f, "sda", "", "");
        fake_device(f, "sda1", UUID_X, "data");
        fake_device(f, "sda2", UUID_Y, "other");
}

static void fake_start(Fake *f) {
        fake_begin_manager(f);
        fake_settle(f);
        CHECK(manager_get_interface(f->manager) == KERNEL_INTERFACE_BLKFILTER_1 && f->ready);
}

static Subject subject_of(Fake *f, const char *device) {
        Subject s;
        char *message;

        CHECK(manager_resolve(f->manager, device, &s, &message) == REQUEST_OK);
        return s;
}

static void ask(Fake *f, JobKind kind, const char *device, const char *filter, Answer *a) {
        Subject s = subject_of(f, device);

        *a = (Answer) { .fake = f };
        f->trace[0] = 0;
        if (kind == JOB_ATTACH)
                manager_attach(f->manager, &s, filter, on_answer, a);
        else if (kind == JOB_DETACH)
                manager_detach(f->manager, &s, filter, on_answer, a);
        else
                manager_ctl(f->manager, &s, filter, 0, NULL, 0, NULL, 0, on_answer, a);
        fake_run(f);
}

static Attachment *get(Fake *f, const char *filter, const char *uuid, const char *label) {
        char id[ATTACHMENT_ID_SIZE];
        Match m = match_of(uuid, label);

        CHECK(attachment_make_id(filter, &m, id) == 0);
        return attachment_set_get(manager_get_attachments(f->manager), id);
}

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
        CHECK(in_order(&f, "save held bftrack_label_", "detach sda1"));

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
        manager_free(f.manager);
        fake_start(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->held && get(&f, "bftrack", "", "data")->held);
        CHECK(get(&f, "bftrack", UUID_X, "")->state == ATTACHMENT_DETACHED);

        /* until it is attached by hand: the first of the two gets it */
        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        fake_settle(&f);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
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
        fake_settle(&f);
        orphan = get(&f, "bftrack", UUID_X, "");
        new = get(&f, "bftrack", "", "data");
        CHECK(orphan->orphaned && orphan->on_device);
        memcpy(id, orphan->id, sizeof(id));

        ask(&f, JOB_DETACH, "/dev/sda1", "bftrack", &a);
        CHECK(orphan->held && new->held);
        fake_answer(&f, JOB_OK);
        CHECK(a.n == 1 && a.error == REQUEST_OK);
        CHECK(!attachment_set_get(manager_get_attachments(f.manager), id) && strstr(f.trace, "told removed bftrack_0fc63daf"));
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
        manager_free(f.manager);
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
        manager_free(f.manager);
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

/* The caller hears in time, the job goes on, and what it does counts. */
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
        (void) str_copy(e->ignored, sizeof(e->ignored), "it is a path of a multipath device");
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
        r = (JobReply) { .protocol = JOB_PROTOCOL, .id = f.jobs[0].id, .outcome = JOB_OK, .interface = KERNEL_INTERFACE_NONE };
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
static void test_ctl_finds_foreign_detach(void) {
        Attachment *x;
        Answer a;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        ask(&f, JOB_CTL, "/dev/sda1", "bftrack", &a);
        CHECK(f.n_jobs == 1 && f.jobs[0].kind == JOB_CTL);
        fake_answer(&f, JOB_NOT_ATTACHED);
        CHECK(a.n == 1 && a.error == REQUEST_E_NOT_ATTACHED && x->n_gaps == 1);
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
        manager_free(f.manager);
        CHECK(strstr(f.trace, "save bftrack_0fc63daf") && strstr(f.trace, "save bfcount_b921b045"));

        fake_begin_manager(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->recorded_since_usec == since && x->recorded_at_usec == f.now.realtime_usec);
        while (fake_run(&f), f.n_jobs > 0)
                fake_answer(&f, f.jobs[0].kind == JOB_ATTACH ? JOB_ALREADY : JOB_OK);
        CHECK(x->on_device && x->intact_since_usec == since && x->n_gaps == 0);
        CHECK(get(&f, "bfcount", UUID_Y, "")->on_device);

        /* the partition was read again while no daemon was there: the gap begins when that was last known */
        fake_pass(&f, 50 * SECOND);
        manager_free(f.manager);
        for (size_t i = 0; i < f.n_devices; i++)
                if (f.devices[i].partno)
                        f.devices[i].object = ++f.last_object;
        since = f.now.realtime_usec;
        fake_pass(&f, 10 * SECOND);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device && x->n_gaps == 1 && x->gaps[0].begin_usec == since && x->gaps[0].end_usec == f.now.realtime_usec);
        CHECK_STR(x->gaps[0].reason, "daemon-not-running");
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
        manager_free(f.manager);
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
        manager_free(f.manager);
        CHECK(a.n == 1 && a.error == REQUEST_E_FAILED);
        fake_pass(&f, 10 * SECOND);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->held && !x->on_device && x->n_gaps == 1);

        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        manager_free(f.manager);
        fake_begin_manager(&f);
        while (fake_run(&f), f.n_jobs > 0)
                fake_answer(&f, f.jobs[0].kind == JOB_ATTACH ? JOB_ALREADY : JOB_OK);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->on_device && x->intact_since_usec == f.now.realtime_usec && x->n_gaps == 1);
        fake_deinit(&f);
}

/* Another filter is where an earlier daemon noted ours: that is the end of what it noted. */
static void test_conflict_on_recorded(void) {
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_start(&f);
        manager_free(f.manager);
        fake_begin_manager(&f);
        fake_run(&f);
        fake_answer(&f, JOB_OK);
        fake_answer(&f, JOB_CONFLICT);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->state == ATTACHMENT_CONFLICT && x->n_gaps == 1 && !x->recorded_since_usec);
        fake_deinit(&f);
}

/* An orphan stays known over any number of daemons; who wants it again has it proven first. */
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
                manager_free(f.manager);
                fake_start(&f);
                x = get(&f, "bftrack", UUID_X, "");
                CHECK(x && x->orphaned && x->on_device && x->n_gaps == 0 && x->intact_since_usec == 0);
        }

        ask(&f, JOB_ATTACH, "/dev/sda1", "bftrack", &a);
        CHECK(a.n == 0 && f.n_jobs == 1 && f.jobs[0].kind == JOB_ATTACH && !x->orphaned);
        fake_answer(&f, JOB_ALREADY);
        CHECK(a.n == 1 && a.error == REQUEST_OK && x->on_device && x->n_gaps == 0);
        CHECK(x->intact_since_usec == 1700000000 * SECOND);
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
                f.devices[i].object += f.devices[i].partno ? 10 : 0;
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
        manager_free(f.manager);
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
        test_detach_timed_out_then_ok();
        test_detach_clone();
        test_attach_conflict();
        test_attach_taken_back();
        test_attach_deadline();
        test_attach_refused();
        test_interface();
        test_attach_policy_takes_over();
        test_ctl_finds_foreign_detach();
        test_submit_fails();
        test_restart();
        test_detach_of_recorded();
        test_detach_unended();
        test_conflict_on_recorded();
        test_orphan_over_restarts();
        test_told_after_look();
        test_table_overtaken();
        test_stop_and_forget();
        return EXIT_SUCCESS;
}
