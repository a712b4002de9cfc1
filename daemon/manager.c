/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"
#include "daemon/reason.h"
#include "daemon/text.h"

/**
 * manager_now() - the time for the core
 * @m: the manager
 */
Now manager_now(Manager *m) {
        return m->ops.now(m->ops.outside);
}

/**
 * manager_schedule() - run when the events that are at hand have been taken in
 * @m: the manager
 */
void manager_schedule(Manager *m) {
        m->ops.schedule(m->ops.outside);
}

/**
 * manager_wake() - run at a time at the latest
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be. 0: not before something is told
 * @at_usec: monotonic; 0: at no time
 */
void manager_wake(uint64_t *wake_at_usec, uint64_t at_usec) {
        if (at_usec && (!*wake_at_usec || at_usec < *wake_at_usec))
                *wake_at_usec = at_usec;
}

/**
 * manager_save() - write the record of an attachment, and say so if that fails
 * @m: the manager
 * @a: the attachment
 */
void manager_save(Manager *m, const Attachment *a) {
        int r = m->ops.save_record(a, manager_now(m).realtime_usec, m->ops.outside);

        if (r < 0)
                log_line(LOG_ERR, "%s: writing its record failed: %s; a restart of the daemon will not know of it, so"
                         " make room in /run", a->id, strerror(-r));
}

/**
 * manager_remove_attachment() - forget an attachment that is on no device
 * @m: the manager
 * @a: an attachment of the world; consumed
 */
void manager_remove_attachment(Manager *m, Attachment *a) {
        int r = m->ops.remove_record(a->id, m->ops.outside);

        if (r < 0)
                log_line(LOG_ERR, "%s: removing its record failed: %s; remove it by hand", a->id, strerror(-r));

        if (m->listener.attachment_removed && !(a->changed & ATTACHMENT_CHANGED_ADDED))
                m->listener.attachment_removed(a, m->listener.userdata);

        m->counts_changed = true;
        world_remove_attachment(&m->world, a);
        manager_schedule(m);
}

/**
 * manager_submit() - give a job to a worker
 * @m: the manager
 * @request: copied
 * @memfd: of JOB_CTL, consumed; else -EBADF
 */
void manager_submit(Manager *m, const JobRequest *request, int memfd) {
        JobReply reply = { .protocol = JOB_PROTOCOL, .id = request->id, .outcome = JOB_DIED };

        tell_job(request, NULL);
        if (m->ops.submit(request, memfd, m->ops.outside) >= 0)
                return;

        (void) str_copy(reply.message, sizeof(reply.message), "there is no memory for the job");
        manager_job_done(m, request, &reply, -EBADF);
}

/**
 * manager_job_done() - a worker has replied
 * @m: the manager
 * @request: what was asked; borrowed
 * @reply: what came back; borrowed. JOB_TIMED_OUT may be followed by another reply
 * @memfd: of JOB_CTL, borrowed; else -EBADF
 */
void manager_job_done(Manager *m, const JobRequest *request, const JobReply *reply, int memfd) {
        const Attachment *a = request->kind == JOB_CHECK ? world_find_by_job(&m->world, request) : NULL;
        bool noted = a && a->noted_object;
        Now now = manager_now(m);

        tell_job(request, reply);
        if (request->kind == JOB_DETACH)
                tell_take_off(m, request, reply);
        if (request->kind == JOB_PROBE)
                probe_done(m, request, reply);

        /* the disk is free again, or stuck, whoever asked */
        world_job_done(&m->world, request, reply, &now);
        if (noted && reply->outcome == JOB_OK && !a->on_device && !a->noted_object)
                tell_unclaimed(m, a, request);
        requests_job_done(m, request, reply, memfd);
        manager_told(m);
}

/**
 * manager_device() - something is told of a device
 * @m: the manager
 * @e: the event, or the finding; borrowed. manager_told() follows when no more is at hand
 */
void manager_device(Manager *m, const DeviceEvent *e) {
        if (device_set_apply(&m->world.devices, e) < 0)
                m->look = true;
}

/**
 * manager_module() - a module was loaded: it may bring what an attachment waits for
 * @m: the manager
 * @gone: it was removed: where nothing holds a filter's module it has taken its filter off all devices
 */
void manager_module(Manager *m, bool gone) {
        if (!gone)
                world_retry_registered(&m->world);
        else if (kernel_interface_is_bdevfilter(m->world.interface))
                world_check_all(&m->world);
}

/**
 * manager_told() - that was all for the moment
 * @m: the manager
 */
void manager_told(Manager *m) {
        if (m->world.devices.incomplete)
                m->look = true;
        manager_schedule(m);
}

/**
 * manager_wants_anything() - whether any filter is wanted anywhere, or may come to be as a device comes
 * @m: the manager
 */
bool manager_wants_anything(const Manager *m) {
        return m->world.attachments.n_items + m->world.n_patterns > 0;
}

/* Disks that rest are left to rest: their tables are as they were. */
static void check_tables(Manager *m) {
        DeviceSet *s = &m->world.devices;

        for (size_t i = 0; i < s->n_disks; i++) {
                Disk *d = s->disks[i];
                uint64_t n_writes;

                if (m->ops.count_writes(d->major, d->minor, &n_writes, m->ops.outside) >= 0)
                        device_set_written(s, d, n_writes);
        }
}

/*
 * Now and then the kernel is asked about every filter that is on: others may have taken it off. And the
 * tables of disks that were written to are read: not every new one is told of.
 */
static void check_all(Manager *m, const Now *now) {
        if (!m->check_usec || now->monotonic_usec < m->check_at_usec)
                return;

        m->check_at_usec = now->monotonic_usec + m->check_usec;
        if (!manager_wants_anything(m)) /* then no disk is opened either */
                return;

        world_check_all(&m->world);
        check_tables(m);
}

/* Before the records: these do not say any more what has been lost. */
static void save_stale(Manager *m) {
        int r = m->world.stale_changed ? m->ops.save_stale(&m->world, m->ops.outside) : 0;

        if (r < 0)
                log_line(LOG_ERR, "writing which filters may be left on device numbers failed: %s; a restart of the"
                         " daemon will not know of them, so make room in /run", strerror(-r));
        m->world.stale_changed = false;
}

static void begin_jobs(Manager *m, const Plan *plan) {
        for (size_t i = 0; i < plan->n_requests; i++) {
                const JobRequest *request = &plan->requests[i];
                const Attachment *a = request->kind == JOB_ATTACH ? world_find_by_job(&m->world, request) : NULL;

                /* what is about to be done is written down before: the daemon may not live to hear the answer */
                if (a)
                        manager_save(m, a);

                manager_submit(m, request, -EBADF);
        }
}

/**
 * manager_is_settled() - whether all that was told has been seen to
 * @m: the manager
 *
 * What waits for something to come, or for a delay to end, is seen to; so is what does not answer.
 *
 * Return: false while a look is to be made or a job is under way, a table's that is read included.
 */
bool manager_is_settled(const Manager *m) {
        if (m->probe_job || m->look || m->doubt_since_usec)
                return false;

        for (size_t i = 0; i < m->world.devices.n_disks; i++)
                if (m->world.devices.disks[i]->job && !m->world.devices.disks[i]->stuck)
                        return false;

        for (size_t i = 0; i < m->world.attachments.n_items; i++)
                if (m->world.attachments.items[i]->job && !m->world.attachments.items[i]->job_is_stuck)
                        return false;

        return true;
}

/**
 * manager_run() - one pass: look if need be, decide, act, tell
 * @m: the manager
 */
void manager_run(Manager *m) {
        Now now = manager_now(m);
        Plan plan = { 0 };

        look_check(m, &now);
        past_check(m, &now);
        check_all(m, &now);
        requests_begin_jobs(m);

        if (plan_run(&m->world, &now, &plan) < 0) {
                log_line(LOG_ERR, "there is no memory to decide what to do; tried again in a second");
                world_touch_all(&m->world);
                plan.wake_at_usec = now.monotonic_usec + 1000000;
        }

        probe_begin(m, &now, &plan.wake_at_usec);
        save_stale(m);
        begin_jobs(m, &plan);
        tell_attachments(m, &now, &plan.wake_at_usec);
        requests_check(m, &plan.wake_at_usec);

        look_wake(m, &now, &plan.wake_at_usec);
        manager_wake(&plan.wake_at_usec, m->past_again_at_usec);
        if (m->check_usec && manager_wants_anything(m))
                manager_wake(&plan.wake_at_usec, m->check_at_usec);

        tell_sums(m, &now, &plan.wake_at_usec);
        m->ops.wake(plan.wake_at_usec, m->ops.outside);
        plan_deinit(&plan);
}

static void set_check(Manager *m, uint64_t usec) {
        if (m->check_usec == usec)
                return;

        m->check_usec = usec;
        m->check_at_usec = manager_now(m).monotonic_usec + usec;
        manager_schedule(m);
}

/**
 * manager_reload() - read the policies again and put them in force
 * @m: the manager
 *
 * A file that is wrong leaves its last good version in force; manager_get_policies() has the
 * errors then. The daemon's own settings are read, too.
 *
 * Return: 0, or -ENOMEM: the policies are as before, but what was wanted newly may be; call again.
 */
int manager_reload(Manager *m) {
        Config config = { .check_usec = CONFIG_CHECK_USEC_DEFAULT, .wait_usec = CONFIG_WAIT_USEC_DEFAULT };
        PolicySet *policies = NULL;
        int r;

        m->ops.load_config(&config, m->ops.outside);
        set_check(m, config.check_usec);
        m->wait_usec = config.wait_usec;
        m->raw_commands = config.raw_commands;

        r = m->ops.load_policies(m->policies, &policies, m->ops.outside);
        if (r < 0)
                return r;

        r = world_find_shadowed(policies);
        if (r >= 0)
                r = world_set_policies(&m->world, policies);
        if (r < 0) {
                policy_set_free(policies);
                return r;
        }

        policy_set_free(m->policies);
        m->policies = policies;
        m->counts_changed = true;
        m->sums_at_usec = 0;

        tell_policies(policies);
        if (m->world.interface == KERNEL_INTERFACE_NONE)
                tell_no_filters(m);
        manager_schedule(m);
        return 0;
}

static void on_record(Attachment *a, void *userdata) {
        Manager *m = userdata;
        Now now = manager_now(m);
        const IndexItem *neighbour = attachment_set_first_at(&m->world.attachments, a->fingerprint.disk->name);
        uint64_t noted = a->noted_object;

        if (neighbour)
                fingerprint_share(&a->fingerprint, &((const Attachment *) neighbour->owner)->fingerprint);

        if (world_add_attachment(&m->world, a) < 0 || attachment_set_home(a, a->fingerprint.disk->name) < 0) {
                if (!a->set)
                        attachment_free(a);
                return;
        }

        /* Held, and on by what was noted: a detach did not end before the daemon did. Nobody knows what it did;
         * it is done again. */
        if (a->held && noted) {
                attachment_lost_unseen(a, "unknown", &now);
                attachment_leave(a, noted);
        }
}

/**
 * manager_new() - a manager that does nothing yet
 * @ops: copied; all functions set
 * @ret: owned by the caller
 *
 * Return: 0, or -ENOMEM.
 */
int manager_new(const ManagerOps *ops, Manager **ret) {
        Manager *m;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;

        m->ops = *ops;
        m->policies = policy_set_new();
        if (!m->policies) {
                free(m);
                return -ENOMEM;
        }

        *ret = m;
        return 0;
}

/**
 * manager_start() - take up the work
 * @m: a new manager; events are being listened to already, so that nothing can happen unseen
 *       between the first look and the first event
 *
 * Return: 0, or a negative errno: what the daemon cannot do without is not to be had; logged.
 */
int manager_start(Manager *m) {
        int r;

        r = m->ops.load_records(on_record, m, m->ops.outside);
        if (r < 0)
                log_line(LOG_ERR, "the records of an earlier daemon cannot be read, going on without: %s",
                         strerror(-r));

        r = m->ops.load_stale(&m->world, m->ops.outside);
        if (r < 0)
                log_line(LOG_ERR, "which filters an earlier daemon left on device numbers cannot be read, going on"
                         " without: %s", strerror(-r));
        m->world.stale_changed = false;

        past_load(m);

        r = manager_reload(m);
        if (r < 0) {
                log_line(LOG_ERR, "the policies cannot be loaded: %s", strerror(-r));
                return r;
        }

        m->look = true;
        m->started = true;
        manager_schedule(m);
        return 0;
}

/**
 * manager_free() - stop, and leave everything attached
 * @m: or NULL; consumed
 *
 * Return: NULL.
 */
Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;

        /* when it was last known that tracking was intact */
        for (size_t i = 0; m->started && i < m->world.attachments.n_items; i++)
                if (m->world.attachments.items[i]->on_device)
                        manager_save(m, m->world.attachments.items[i]);

        requests_free(m);
        world_deinit(&m->world);
        free(m->interface_reason);
        policy_set_free(m->policies);
        free(m);
        return NULL;
}

/**
 * manager_get_attachments() - all attachments
 * @m: the manager
 *
 * Return: borrowed, sorted by id; valid until the event loop goes on.
 */
const AttachmentSet *manager_get_attachments(Manager *m) {
        return &m->world.attachments;
}

/**
 * manager_get_policies() - the policies in force and the errors of the last load
 * @m: the manager
 *
 * Return: borrowed, never NULL; valid until the next manager_reload().
 */
const PolicySet *manager_get_policies(Manager *m) {
        return m->policies;
}

/**
 * manager_get_interface() - which interface for filters the kernel has
 * @m: the manager
 */
KernelInterface manager_get_interface(Manager *m) {
        return m->world.interface;
}

/**
 * manager_get_interface_reason() - by what that is known, or why it is not, in words, with the next step
 * @m: the manager
 *
 * Return: borrowed, never NULL; valid until the event loop goes on.
 */
const char *manager_get_interface_reason(Manager *m) {
        return m->interface_reason ?: REASON_NOT_ASKED;
}

/**
 * manager_list_needs() - the filters that are wanted on devices, or are on some
 * @m: the manager
 * @ret: as of world_list_needs()
 * @ret_n: elements
 *
 * Return: as of world_list_needs().
 */
int manager_list_needs(Manager *m, Need **ret, size_t *ret_n) {
        return world_list_needs(&m->world, ret, ret_n);
}

/**
 * manager_get_raw_commands() - whether commands that are not known may be sent to filters
 * @m: the manager
 */
bool manager_get_raw_commands(Manager *m) {
        return m->raw_commands;
}

/**
 * manager_set_listener() - who is told of changes
 * @m: the manager
 * @listener: copied; NULL: nobody
 */
void manager_set_listener(Manager *m, const ManagerListener *listener) {
        m->listener = listener ? *listener : (ManagerListener) { 0 };
}
