/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"
#include "daemon/policy-load.h"
#include "daemon/privilege.h"
#include "daemon/text.h"

/* A job on a healthy disk takes milliseconds. After this its disk counts as stuck. */
#define JOB_TIMEOUT_USEC   UINT64_C(20000000)
#define PROBE_RETRY_USEC   UINT64_C(500000)
#define WORKERS_WARM       2
#define WORKERS_MAX        16

static uint64_t clock_usec(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/**
 * manager_now() - the time for the core
 */
Now manager_now(void) {
        return (Now) {
                .monotonic_usec = clock_usec(CLOCK_MONOTONIC),
                .realtime_usec = clock_usec(CLOCK_REALTIME),
        };
}

/**
 * manager_schedule() - run the plan when the events that are at hand have been taken in
 * @m: the manager
 */
void manager_schedule(Manager *m) {
        (void) sd_event_source_set_enabled(m->run_source, SD_EVENT_ONESHOT);
}

/**
 * manager_save() - write the record of an attachment, and say so if that fails
 * @m: the manager
 * @a: the attachment
 */
void manager_save(Manager *m, const Attachment *a) {
        int r = state_save(&m->state, a, manager_now().realtime_usec);

        if (r < 0)
                log_line(LOG_ERR, "%s: writing its record to %s failed: %s; a restart of the daemon will not know of it,"
                         " so make room there", a->id, m->config.state_folder, strerror(-r));
}

/**
 * manager_remove_attachment() - forget an attachment that is on no device
 * @m: the manager
 * @a: an attachment of the world; consumed
 */
void manager_remove_attachment(Manager *m, Attachment *a) {
        int r = state_remove(&m->state, a->id);

        if (r < 0)
                log_line(LOG_ERR, "%s: removing its record in %s failed: %s", a->id, m->config.state_folder, strerror(-r));

        if (m->listener.attachment_removed && !(a->changed & ATTACHMENT_CHANGED_ADDED))
                m->listener.attachment_removed(a, m->listener.userdata);

        m->counts_changed = true;
        attachment_set_remove(&m->world.attachments, a);
}

/**
 * manager_submit() - give a job to a worker
 * @m: the manager
 * @request: copied
 * @memfd: as of worker_pool_submit(); consumed
 */
void manager_submit(Manager *m, const JobRequest *request, int memfd) {
        JobReply reply = { .protocol = JOB_PROTOCOL, .id = request->id, .outcome = JOB_DIED };
        Now now = manager_now();

        if (worker_pool_submit(m->pool, request, memfd) >= 0)
                return;

        (void) str_copy(reply.message, sizeof(reply.message), "there is no memory for the job");

        if (request->id == m->probe_job)
                m->probe_job = 0;

        world_job_done(&m->world, request, &reply, &now);
        requests_job_done(m, request, &reply, -EBADF);
        manager_schedule(m);
}

/* Asks the kernel which interface it has, on any disk that may be opened. */
static void probe(Manager *m, const Now *now, uint64_t *wake_at_usec) {
        const DeviceSet *s = &m->world.devices;
        JobRequest request;
        Disk *d = NULL;

        if (m->world.interface != KERNEL_INTERFACE_UNKNOWN || m->probe_job)
                return;

        if (m->probe_again_at_usec > now->monotonic_usec) {
                if (!*wake_at_usec || m->probe_again_at_usec < *wake_at_usec)
                        *wake_at_usec = m->probe_again_at_usec;
                return;
        }

        /* after a disk that gave no answer the next one */
        for (int round = 0; round < 2 && !d; round++)
                for (size_t i = 0; i < s->n_disks && !d; i++)
                        if (s->disks[i]->known && !s->disks[i]->ignored[0] && !s->disks[i]->job && !s->disks[i]->stuck &&
                            (round > 0 || s->disks[i]->uid > m->probe_disk))
                                d = s->disks[i];

        if (!d)
                return;

        world_fill_request(&m->world, d, NULL, JOB_PROBE, &request);
        m->probe_job = d->job = request.id;
        d->job_began_at = d->n_events;
        m->probe_disk = d->uid;
        manager_submit(m, &request, -EBADF);
}

static void probe_done(Manager *m, const JobReply *reply) {
        if (reply->outcome == JOB_TIMED_OUT) {
                m->probe_job = 0;
                return;
        }

        if (reply->outcome != JOB_OK) {
                m->n_probe_failures++;
                m->probe_again_at_usec = manager_now().monotonic_usec +
                        retry_delay_usec(PROBE_RETRY_USEC, m->n_probe_failures);
                return;
        }

        m->world.interface = reply->interface;
        m->counts_changed = true;

        if (reply->interface == KERNEL_INTERFACE_NONE)
                log_line(LOG_WARNING, "this kernel has no block device filters: nothing can be attached; boot a kernel that"
                         " has them");
        else
                log_line(LOG_INFO, "the kernel's interface for filters is %s",
                         kernel_interface_to_string(reply->interface));
}

static void on_done(void *userdata) {
        Manager *m = userdata;

        if (m->world.devices.incomplete)
                m->look = true;
        manager_schedule(m);
}

static void on_job_done(const JobRequest *request, const JobReply *reply, int memfd, void *userdata) {
        Manager *m = userdata;
        Now now = manager_now();

        if (request->kind == JOB_PROBE) {
                probe_done(m, reply);
                if (reply->outcome != JOB_TIMED_OUT)
                        m->probe_job = 0;
        }

        /* the disk is free again, or stuck, whoever asked */
        world_job_done(&m->world, request, reply, &now);
        requests_job_done(m, request, reply, memfd);
        on_done(m);
}

static void on_device(const DeviceEvent *e, void *userdata) {
        Manager *m = userdata;

        if (device_set_apply(&m->world.devices, e) < 0)
                m->look = true;
}

static void on_module(const char *name, void *userdata) {
        Manager *m = userdata;

        (void) name;

        /* it may bring what an attachment waits for */
        world_retry_now(&m->world);
}

static void on_lost(void *userdata) {
        Manager *m = userdata;

        if (!m->look)
                log_line(LOG_NOTICE, "events of devices were lost: looking at all of them again");
        m->look = true;
}

static void look(Manager *m) {
        int r;

        m->look = false;
        device_set_look_begin(&m->world.devices);
        r = uevent_look(m->uevent);
        if (r < 0) {
                /* An incomplete look must not make devices disappear: what was told has been taken in. */
                log_line(LOG_ERR, "looking at all devices failed: %s; it is done again at the next event", strerror(-r));
                m->look = true;
                return;
        }

        device_set_look_end(&m->world.devices, !m->looked);
        m->looked = true;
}

static bool manager_is_settled(const Manager *m) {
        if (m->probe_job || m->look)
                return false;

        for (size_t i = 0; i < m->world.attachments.n_items; i++)
                if (m->world.attachments.items[i]->job && m->world.attachments.items[i]->state != ATTACHMENT_STUCK)
                        return false;

        return true;
}

static int on_wake(sd_event_source *s, uint64_t usec, void *userdata) {
        (void) s;
        (void) usec;

        manager_schedule(userdata);
        return 0;
}

static void set_wake(Manager *m, uint64_t at_usec) {
        int r;

        if (!at_usec) {
                if (m->wake_source)
                        (void) sd_event_source_set_enabled(m->wake_source, SD_EVENT_OFF);
                return;
        }

        if (!m->wake_source)
                r = sd_event_add_time(m->event, &m->wake_source, CLOCK_MONOTONIC, at_usec, 0, on_wake, m);
        else {
                r = sd_event_source_set_time(m->wake_source, at_usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(m->wake_source, SD_EVENT_ONESHOT);
        }

        if (r < 0)
                log_line(LOG_ERR, "no timer for the next attempt: %s; it is made at the next event", strerror(-r));
}

/* One pass: look if need be, decide, act, tell. */
static int on_run(sd_event_source *s, void *userdata) {
        Manager *m = userdata;
        Now now = manager_now();
        Plan plan = { 0 };

        (void) s;

        if (m->look)
                look(m);

        requests_begin_jobs(m);

        if (plan_run(&m->world, &now, &plan) < 0) {
                log_line(LOG_ERR, "there is no memory to decide what to do; tried again in a second");
                plan.wake_at_usec = now.monotonic_usec + 1000000;
        }

        probe(m, &now, &plan.wake_at_usec);

        for (size_t i = 0; i < plan.n_requests; i++)
                manager_submit(m, &plan.requests[i], -EBADF);

        set_wake(m, plan.wake_at_usec);
        plan_deinit(&plan);

        tell_attachments(m);
        requests_check(m);

        if (m->counts_changed || (!m->ready && manager_is_settled(m))) {
                if (m->ready || manager_is_settled(m))
                        tell_systemd(m);
                if (m->counts_changed && m->listener.manager_changed)
                        m->listener.manager_changed(m->listener.userdata);
                m->counts_changed = false;
        }

        return 0;
}

/**
 * manager_reload() - read the policies again and put them in force
 * @m: the manager
 *
 * A file that is wrong leaves its last good version in force; manager_get_policies() has the
 * errors then.
 *
 * Return: 0, or -ENOMEM: everything is as before.
 */
int manager_reload(Manager *m) {
        PolicySet *policies = NULL;
        int r;

        r = policy_load(m->config.policy_folders, m->policies, &policies);
        if (r < 0)
                return r;

        r = world_set_policies(&m->world, policies);
        if (r < 0) {
                policy_set_free(policies);
                return r;
        }

        policy_set_free(m->policies);
        m->policies = policies;
        m->counts_changed = true;

        tell_policies(policies);
        manager_schedule(m);
        return 0;
}

static void on_record(Attachment *a, void *userdata) {
        Manager *m = userdata;

        if (attachment_set_add(&m->world.attachments, a) < 0)
                attachment_free(a);
}

/**
 * manager_new() - a manager that does nothing yet
 * @event: the loop
 * @config: copied; what it points to is borrowed for the manager's life
 * @ret: owned by the caller
 *
 * Return: 0, or a negative errno.
 */
int manager_new(sd_event *event, const ManagerConfig *config, Manager **ret) {
        Manager *m;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;

        m->config = *config;
        m->event = sd_event_ref(event);
        m->state.fd = -EBADF;

        m->policies = policy_set_new();
        r = m->policies ? 0 : -ENOMEM;

        if (r >= 0)
                r = sd_event_add_defer(event, &m->run_source, on_run, m);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->run_source, SD_EVENT_OFF);
        /* after the events of devices and the workers' replies, before the bus */
        if (r >= 0)
                r = sd_event_source_set_priority(m->run_source, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                manager_free(m);
                return r;
        }

        *ret = m;
        return 0;
}

/**
 * manager_start() - take up the work
 * @m: a new manager
 *
 * First it listens, then it looks: nothing can happen between the two unseen. systemd is told
 * when the first pass over all that is there is done.
 *
 * Return: 0, or a negative errno: what the daemon cannot do without is not to be had; logged.
 */
int manager_start(Manager *m) {
        const UEventHandler handler = {
                .device = on_device,
                .module = on_module,
                .lost = on_lost,
                .done = on_done,
                .userdata = m,
        };
        const WorkerPoolConfig pool = {
                .executable = m->config.worker,
                .timeout_usec = JOB_TIMEOUT_USEC,
                .n_warm = WORKERS_WARM,
                .n_max = WORKERS_MAX,
        };
        int r;

        r = uevent_new(m->event, &handler, &m->uevent);
        if (r < 0) {
                log_line(LOG_ERR, "the kernel's device events cannot be listened to: %s; netlink sockets must be allowed",
                         strerror(-r));
                return r;
        }

        r = privilege_drop();
        if (r < 0)
                log_line(LOG_WARNING, "the capabilities cannot be given up, going on with them: %s", strerror(-r));

        r = state_open(m->config.state_folder, &m->state);
        if (r < 0) {
                log_line(LOG_ERR, "%s cannot be used for records: %s; make the folder, owned by root", m->config.state_folder,
                         strerror(-r));
                return r;
        }

        r = worker_pool_new(m->event, &pool, on_job_done, m, &m->pool);
        if (r < 0) {
                log_line(LOG_ERR, "%s cannot be started: %s; is the installation whole?", m->config.worker, strerror(-r));
                return r;
        }

        r = state_load(&m->state, on_record, m);
        if (r < 0)
                log_line(LOG_ERR, "the records in %s cannot be read, going on without: %s", m->config.state_folder,
                         strerror(-r));

        r = manager_reload(m);
        if (r < 0) {
                log_line(LOG_ERR, "the policies cannot be loaded: %s", strerror(-r));
                return r;
        }

        m->look = true;
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
        for (size_t i = 0; i < m->world.attachments.n_items; i++)
                if (m->state.fd >= 0 && m->world.attachments.items[i]->on_device)
                        manager_save(m, m->world.attachments.items[i]);

        requests_free(m);
        uevent_free(m->uevent);
        worker_pool_free(m->pool);
        world_deinit(&m->world);
        policy_set_free(m->policies);
        state_close(&m->state);
        sd_event_source_disable_unref(m->run_source);
        sd_event_source_disable_unref(m->wake_source);
        sd_event_unref(m->event);
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
 * manager_set_listener() - who is told of changes
 * @m: the manager
 * @listener: copied; NULL: nobody
 */
void manager_set_listener(Manager *m, const ManagerListener *listener) {
        m->listener = listener ? *listener : (ManagerListener) { 0 };
}
