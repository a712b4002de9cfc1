/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A small made-up outside for the real manager and core: what is written down, submitted and told is
 * traced in order.
 */

#include <errno.h>
#include <unistd.h>

#include "daemon/manager.h"
#include "daemon/state.h"
#include "tests/test.h"

#define JOBS 16
#define DEVICES 32

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
        bool scheduled, busy, has_status, booting;
        char status[256];              /* that was told last */
        unsigned n_statuses;
        uint64_t wake_at_usec;
        int submit_error;
        JobRequest jobs[JOBS];
        size_t n_jobs;
        DeviceEvent devices[DEVICES]; /* disks before their partitions */
        size_t n_devices;
        unsigned n_looks;
        size_t look_fails_at;         /* a look tells no more than so many of them; 0: it tells all */
        PolicySet *policies;          /* the files; each load gets a copy */
        uint64_t boot_diskseq;        /* as an earlier daemon noted; 0: none has */
        uint64_t check_usec;          /* pause between two checks of all filters; 0: none */
        uint64_t n_writes;            /* that the kernel has counted, of each disk */
        AttachOptions options;        /* of the next ask() */
        char folder[32];
        StateDir records;
        Attachment *last_boot;        /* what a daemon of the last boot has left; NULL: nothing. Owned */
        bool ignores_saved;           /* what is saved comes into force by no reload */
        bool last_boot_away;          /* nothing of the last boot can be seen */
        uint64_t boot_usec;           /* realtime: of this boot */
        uint64_t last_object, last_seq;
        char trace[16384];            /* what happened, in order */
} Fake;

__attribute__((unused)) static void trace(Fake *f, const char *what, const char *whom) {
        size_t n = strlen(f->trace);

        (void) snprintf(f->trace + n, sizeof(f->trace) - n, "%s %s\n", what, whom);
}

/* Whether the trace has @first and, after it, @second. */
__attribute__((unused)) static bool in_order(const Fake *f, const char *first, const char *second) {
        const char *p = strstr(f->trace, first);

        return p && strstr(p + strlen(first), second);
}

__attribute__((unused)) static Now op_now(void *outside) {
        return ((Fake *) outside)->now;
}

__attribute__((unused)) static void op_schedule(void *outside) {
        ((Fake *) outside)->scheduled = true;
}

__attribute__((unused)) static void op_wake(uint64_t at_usec, void *outside) {
        ((Fake *) outside)->wake_at_usec = at_usec;
}

__attribute__((unused)) static int op_submit(const JobRequest *request, int memfd, void *outside) {
        static const char *const kinds[] = { "scan", "attach", "detach", "ctl", "check", "probe" };
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

__attribute__((unused)) static int op_look(void *outside) {
        Fake *f = outside;

        f->n_looks++;
        for (size_t i = 0; i < f->n_devices; i++) {
                if (f->look_fails_at && i == f->look_fails_at)
                        return -EIO;
                manager_device(f->manager, &f->devices[i]);
        }

        return 0;
}

__attribute__((unused)) static bool op_udev_is_busy(void *outside) {
        return ((Fake *) outside)->busy;
}

__attribute__((unused)) static void op_load_config(Config *config, void *outside) {
        const Fake *f = outside;

        config->check_usec = f->check_usec;
}

__attribute__((unused)) static int op_load_policies(const PolicySet *last, PolicySet **ret, void *outside) {
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

__attribute__((unused)) static int op_load_last_boot(uint64_t *ret_boot_usec, StateFound found, void *userdata,
                                                     void *outside) {
        Fake *f = outside;
        Attachment *a = f->last_boot;

        if (f->last_boot_away)
                return STATE_E_NOT_THERE;

        f->last_boot = NULL;
        *ret_boot_usec = f->boot_usec;
        if (a)
                found(a, userdata);
        return 0;
}

__attribute__((unused)) static int op_load_records(StateFound found, void *userdata, void *outside) {
        return state_load(&((Fake *) outside)->records, found, userdata);
}

__attribute__((unused)) static int op_save_record(const Attachment *a, uint64_t now_realtime_usec, void *outside) {
        Fake *f = outside;

        trace(f, a->held ? "save held" : "save", a->id);
        return state_save(&f->records, a, now_realtime_usec);
}

__attribute__((unused)) static int op_remove_record(const char *id, void *outside) {
        Fake *f = outside;

        trace(f, "forget", id);
        return state_remove(&f->records, id);
}

__attribute__((unused)) static int op_save_stale(const World *w, void *outside) {
        return state_save_stale(&((Fake *) outside)->records, w);
}

__attribute__((unused)) static int op_load_stale(World *w, void *outside) {
        return state_load_stale(&((Fake *) outside)->records, w);
}

__attribute__((unused)) static int op_save_policy(const Policy *p, char **ret_path, void *outside) {
        Policy *copy = policy_new_of(p->name, p->filter, match_ref(p->match), settings_ref(p->settings));
        Fake *f = outside;
        int r = f->ignores_saved ? 0 : policy_set_add(f->policies, copy);

        trace(f, "save policy", p->name);
        if (r >= 0)
                *ret_path = strdup(copy->path);
        if (r < 0 || f->ignores_saved)
                policy_free(copy);
        return r;
}

__attribute__((unused)) static int op_load_module(const char *name, void *outside) {
        trace(outside, "module", name);
        return 0;
}

__attribute__((unused)) static bool op_boot_is_over(void *outside) {
        return !((Fake *) outside)->booting;
}

__attribute__((unused)) static uint64_t op_boot_diskseq(uint64_t highest, void *outside) {
        Fake *f = outside;

        if (!f->boot_diskseq)
                f->boot_diskseq = highest;
        return f->boot_diskseq;
}

__attribute__((unused)) static int op_count_writes(uint32_t major, uint32_t minor, uint64_t *ret, void *outside) {
        (void) major;
        (void) minor;

        *ret = ((Fake *) outside)->n_writes;
        return 0;
}

__attribute__((unused)) static void op_status(const char *line, void *outside) {
        Fake *f = outside;

        (void) str_copy(f->status, sizeof(f->status), line);
        f->n_statuses++;
        f->has_status = true;
}

__attribute__((unused)) static void on_changed(const Attachment *a, uint32_t changed, void *userdata) {
        trace(userdata, changed & ATTACHMENT_CHANGED_LOST ? "told lost" : "told", a->id);
}

__attribute__((unused)) static void on_removed(const Attachment *a, void *userdata) {
        trace(userdata, "told removed", a->id);
}

__attribute__((unused)) static void on_answer(const RequestAnswer *answer, void *userdata) {
        Answer *a = userdata;

        a->n++;
        a->error = answer->error;
        a->result = answer->result;
        CHECK((answer->message != NULL) == (answer->error != REQUEST_OK));
        (void) snprintf(a->message, sizeof(a->message), "%s", answer->message ?: "");
        (void) snprintf(a->attachment, sizeof(a->attachment), "%s", answer->attachment ? answer->attachment->id : "");
        trace(a->fake, "answer", a->message);
}

__attribute__((unused)) static void fake_run(Fake *f) {
        for (int i = 0; f->scheduled; i++) {
                CHECK(i < 50);
                f->scheduled = false;
                manager_run(f->manager);
        }
}

/* Time passes; the manager is woken when it asked for it. */
__attribute__((unused)) static void fake_pass(Fake *f, uint64_t usec) {
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

__attribute__((unused)) static void fake_begin_manager(Fake *f) {
        const ManagerOps ops = {
                .outside = f,
                .now = op_now,
                .schedule = op_schedule,
                .wake = op_wake,
                .submit = op_submit,
                .look = op_look,
                .udev_is_busy = op_udev_is_busy,
                .load_config = op_load_config,
                .load_policies = op_load_policies,
                .load_last_boot = op_load_last_boot,
                .load_records = op_load_records,
                .save_record = op_save_record,
                .remove_record = op_remove_record,
                .save_stale = op_save_stale,
                .load_stale = op_load_stale,
                .save_policy = op_save_policy,
                .load_module = op_load_module,
                .boot_is_over = op_boot_is_over,
                .boot_diskseq = op_boot_diskseq,
                .count_writes = op_count_writes,
                .status = op_status,
        };
        const ManagerListener listener = { .attachment_changed = on_changed, .attachment_removed = on_removed,
                                            .userdata = f };

        f->n_jobs = 0;
        f->has_status = false;
        CHECK(manager_new(&ops, &f->manager) == 0);
        manager_set_listener(f->manager, &listener);
        CHECK(manager_start(f->manager) == 0);
}

__attribute__((unused)) static void fake_init(Fake *f) {
        memset(f, 0, sizeof(*f));
        f->now = (Now) { .monotonic_usec = 1000 * SECOND, .realtime_usec = 1700000000 * SECOND };
        f->policies = policy_set_new();
        (void) snprintf(f->folder, sizeof(f->folder), "/tmp/test-manager-XXXXXX");
        CHECK(f->policies && mkdtemp(f->folder) && state_open(f->folder, &f->records) == 0);
}

__attribute__((unused)) static void fake_deinit(Fake *f) {
        char command[64];

        manager_free(f->manager);
        policy_set_free(f->policies);
        state_close(&f->records);
        (void) snprintf(command, sizeof(command), "rm -r %s", f->folder);
        CHECK(system(command) == 0);
}

/* A device that is there: found by a look, or told by told(). */
__attribute__((unused)) static DeviceEvent *fake_device(Fake *f, const char *name, const char *uuid,
                                                        const char *label) {
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
        e->object = ++f->last_object;
        if (e->partno == 0) {
                e->diskseq = ++f->last_object;
                return e;
        }

        e->has_entry = true;
        e->entry = entry_of(e->partno, uuid, label);
        return e;
}

/* The daemon ends, as if it were killed but for what manager_free() writes. */
__attribute__((unused)) static void fake_end_manager(Fake *f) {
        f->manager = manager_free(f->manager);
        f->wake_at_usec = 0;
        f->scheduled = false;
}

/* A re-read of the table: sda1 goes and comes back as another object. */
__attribute__((unused)) static void fake_reread(Fake *f, const char *name) {
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

__attribute__((unused)) static void fake_policy(Fake *f, const char *name, const char *filter, const char *uuid,
                                                const char *label) {
        CHECK(policy_set_add(f->policies, policy_new_of(name, filter, match_of(uuid, label), NULL)) == 0);
}

/* Answers the oldest job with an outcome, and with the table where there is one. */
__attribute__((unused)) static void fake_answer(Fake *f, JobOutcome outcome) {
        JobRequest request = f->jobs[0];
        static JobReply r;

        CHECK(f->n_jobs > 0);
        r = (JobReply) { .protocol = JOB_PROTOCOL, .id = request.id, .outcome = outcome,
                           .interface = KERNEL_INTERFACE_BLKFILTER_1 };
        if ((request.kind == JOB_SCAN && outcome == JOB_OK) || request.kind == JOB_ATTACH) {
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

/* Whether an attachment says that the filter that a job is to put on is on that device. */
__attribute__((unused)) static bool fake_is_on(Fake *f, const JobRequest *request) {
        const AttachmentSet *s = manager_get_attachments(f->manager);

        for (size_t i = 0; request->kind == JOB_ATTACH && i < s->n_items; i++)
                if (s->items[i]->on_device && str_equal(s->items[i]->filter, request->filter) &&
                    str_equal(s->items[i]->device, request->partno ? request->partition.name : request->disk.name))
                        return true;

        return false;
}

__attribute__((unused)) static void fake_settle(Fake *f) {
        for (int i = 0; fake_run(f), f->n_jobs > 0; i++) {
                CHECK(i < 50);
                fake_answer(f, fake_is_on(f, &f->jobs[0]) ? JOB_ALREADY : JOB_OK);
        }
}

/* sda1 has UUID_X and label "data"; nothing is wanted yet. */
__attribute__((unused)) static void fake_begin(Fake *f) {
        fake_init(f);
        fake_device(f, "sda", "", "");
        fake_device(f, "sda1", UUID_X, "data");
        fake_device(f, "sda2", UUID_Y, "other");
}

__attribute__((unused)) static void fake_start(Fake *f) {
        fake_begin_manager(f);
        fake_settle(f);
        CHECK(manager_get_interface(f->manager) == KERNEL_INTERFACE_BLKFILTER_1 && f->has_status);
}

__attribute__((unused)) static Subject subject_of(Fake *f, const char *device) {
        Subject s;
        char *message;

        CHECK(manager_resolve(f->manager, device, &s, &message) == REQUEST_OK);
        return s;
}

__attribute__((unused)) static void ask(Fake *f, JobKind kind, const char *device, const char *filter, Answer *a) {
        Subject s = subject_of(f, device);

        *a = (Answer) { .fake = f };
        f->trace[0] = 0;
        if (kind == JOB_ATTACH)
                manager_attach(f->manager, &s, filter, &f->options, on_answer, a);
        else if (kind == JOB_DETACH)
                manager_detach(f->manager, &s, filter, on_answer, a);
        else
                manager_ctl(f->manager, &s, filter, &(RequestCommand) { .command = 0 }, on_answer, a);
        fake_run(f);
}

__attribute__((unused)) static Attachment *get(Fake *f, const char *filter, const char *uuid, const char *label) {
        char id[ATTACHMENT_ID_SIZE];
        Match *m = match_of(uuid, label);

        CHECK(attachment_make_id(filter, m, id) == 0);
        match_unref(m);
        return attachment_set_get(manager_get_attachments(f->manager), id);
}
