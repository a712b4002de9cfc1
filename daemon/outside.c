/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon/boot.h"
#include "daemon/disk-stat.h"
#include "daemon/log.h"
#include "daemon/module.h"
#include "daemon/outside.h"
#include "daemon/policy-keep.h"
#include "daemon/policy-load.h"
#include "daemon/policy-save.h"
#include "daemon/privilege.h"
#include "daemon/state.h"
#include "daemon/uevent.h"
#include "daemon/wait-socket.h"
#include "daemon/worker-pool.h"

/* A job on a healthy disk takes milliseconds. After this its disk counts as stuck. */
#define JOB_TIMEOUT_USEC UINT64_C(20000000)
#define WORKERS_WARM      2
#define WORKERS_RESTING   1 /* each needs a megabyte and a half */
#define WORKERS_REST_USEC UINT64_C(10000000)
#define WORKERS_MAX       16

struct Outside {
        OutsideConfig config;
        Manager *manager;              /* borrowed; NULL until it is started */
        sd_event *event;
        sd_event_source *run_source;   /* deferred: runs the manager */
        sd_event_source *wake_source;  /* at a time */
        UEvent *uevent;
        WaitSocket *wait_socket;       /* NULL: nobody waits */
        WorkerPool *pool;
        StateDir state;
        Bus *bus;                      /* borrowed; NULL until outside_set_bus() */
        sd_bus *systemd;               /* a connection to it while there is no bus; NULL if it was not needed */
};

static uint64_t clock_usec(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static Now op_now(void *outside) {
        (void) outside;

        return (Now) {
                .monotonic_usec = clock_usec(CLOCK_MONOTONIC),
                .realtime_usec = clock_usec(CLOCK_REALTIME),
        };
}

static void op_schedule(void *outside) {
        Outside *o = outside;

        (void) sd_event_source_set_enabled(o->run_source, SD_EVENT_ONESHOT);
}

static int on_run(sd_event_source *s, void *userdata) {
        Outside *o = userdata;

        (void) s;

        manager_run(o->manager);
        return 0;
}

static int on_wake(sd_event_source *s, uint64_t usec, void *userdata) {
        (void) s;
        (void) usec;

        op_schedule(userdata);
        return 0;
}

static void op_wake(uint64_t at_usec, void *outside) {
        Outside *o = outside;
        int r;

        if (!at_usec) {
                if (o->wake_source)
                        (void) sd_event_source_set_enabled(o->wake_source, SD_EVENT_OFF);
                return;
        }

        if (!o->wake_source)
                r = sd_event_add_time(o->event, &o->wake_source, CLOCK_MONOTONIC, at_usec, 0, on_wake, o);
        else {
                r = sd_event_source_set_time(o->wake_source, at_usec);
                if (r >= 0)
                        r = sd_event_source_set_enabled(o->wake_source, SD_EVENT_ONESHOT);
        }

        if (r < 0)
                log_line(LOG_ERR, "no timer for the next attempt: %s; it is made at the next event", strerror(-r));
}

static int op_submit(const JobRequest *request, int memfd, void *outside) {
        Outside *o = outside;

        return worker_pool_submit(o->pool, request, memfd);
}

static int op_look(void *outside) {
        Outside *o = outside;

        return uevent_look(o->uevent);
}

static bool op_udev_is_busy(void *outside) {
        Outside *o = outside;

        return uevent_is_busy(o->uevent);
}

static void op_load_config(Config *config, void *outside) {
        Outside *o = outside;

        (void) config_load(o->config.config_file, config);
}

/* There if the machine was booted by an initramfs of those that can have policies in them. */
#define INITRAMFS_TRACE "/run/initramfs"

/* An initramfs that was made before the policies are what they are is told. */
static void check_image(const OutsideConfig *c) {
        bool has_policies = access(c->image_folder, F_OK) >= 0;
        char message[512], *name;

        if (c->in_initramfs || (!has_policies && access(INITRAMFS_TRACE, F_OK) < 0) ||
            policy_keep_compare(c->keep_folder, c->image_folder, "/run/", &name) < 0 || !name)
                return;

        if (has_policies)
                (void) snprintf(message, sizeof(message),
                                "policy %s is not the one that the initramfs of this boot had: that is older. Make it"
                                " again (update-initramfs -u, or dracut --force), if that was not done since, or the"
                                " root file system may be mounted without it", name);
        else
                (void) snprintf(message, sizeof(message),
                                "no policy was in force in the initramfs of this boot: it is older than policy %s, or"
                                " that was switched off. The root file system was mounted before any filter was on;"
                                " make it again (update-initramfs -u, or dracut --force)", name);

        log_event(LOG_WARNING, LOG_ID_IMAGE, message);
        free(name);
}

static int op_load_policies(const PolicySet *last, PolicySet **ret, void *outside) {
        Outside *o = outside;
        int r = policy_load(o->config.policy_folders, o->config.keep_folder, last, ret);

        if (r >= 0)
                check_image(&o->config);
        return r;
}

static int op_load_records(StateFound found, void *userdata, void *outside) {
        Outside *o = outside;

        return state_load(&o->state, found, userdata);
}

static int op_save_record(const Attachment *a, uint64_t now_realtime_usec, void *outside) {
        Outside *o = outside;

        return state_save(&o->state, a, now_realtime_usec);
}

static int op_remove_record(const char *id, void *outside) {
        Outside *o = outside;

        return state_remove(&o->state, id);
}

static int op_save_stale(const World *w, void *outside) {
        Outside *o = outside;

        return state_save_stale(&o->state, w);
}

static int op_load_stale(World *w, void *outside) {
        Outside *o = outside;

        return state_load_stale(&o->state, w);
}

static int op_load_last_boot(uint64_t *ret_boot_usec, StateFound found, void *userdata, void *outside) {
        Outside *o = outside;

        *ret_boot_usec = boot_get_time_usec();
        return state_load_last_boot(o->config.last_boot_folder, found, userdata);
}

static int op_save_policy(const Policy *p, char **ret_path, void *outside) {
        Outside *o = outside;

        return policy_save(o->config.policy_folders[0], p, ret_path);
}

/* Where systemd can be asked: on the bus, or, before that is there, at itself. NULL: nowhere. */
static sd_bus *get_systemd(Outside *o) {
        sd_bus *bus = o->bus ? bus_get_connection(o->bus) : NULL;

        if (o->systemd && (bus || sd_bus_is_open(o->systemd) <= 0))
                o->systemd = sd_bus_close_unref(o->systemd);
        if (!bus && !o->systemd)
                (void) module_connect(o->event, &o->systemd);

        return bus ?: o->systemd;
}

static int op_load_module(const char *name, void *outside) {
        Outside *o = outside;

        return module_load(get_systemd(o), name);
}

static bool op_boot_is_over(void *outside) {
        Outside *o = outside;

        /* disks whose drivers are not in the initramfs come after it, and with the boot all the same */
        return !o->config.in_initramfs && boot_is_over();
}

static uint64_t op_boot_diskseq(uint64_t highest, void *outside) {
        Outside *o = outside;

        return state_boot_diskseq(&o->state, highest);
}

static int op_count_writes(uint32_t major, uint32_t minor, uint64_t *ret, void *outside) {
        (void) outside;

        return disk_count_writes(major, minor, ret);
}

static void op_status(const char *line, void *outside) {
        (void) outside;

        (void) sd_notifyf(0, "STATUS=%s", line);
}

static void on_device(const DeviceEvent *e, void *userdata) {
        Outside *o = userdata;

        manager_device(o->manager, e);
}

static void on_module(bool gone, void *userdata) {
        Outside *o = userdata;

        manager_module(o->manager, gone);
}

static void on_interface(bool gone, void *userdata) {
        Outside *o = userdata;

        manager_interface(o->manager, gone);
}

static void on_lost(void *userdata) {
        Outside *o = userdata;

        manager_lost(o->manager);
}

static void on_done(void *userdata) {
        Outside *o = userdata;

        manager_told(o->manager);
}

static void on_early(const char *devpath, uint64_t seqnum, uint64_t diskseq, void *userdata) {
        Outside *o = userdata;

        uevent_tell(o->uevent, devpath, seqnum, diskseq);
}

static void on_job_done(const JobRequest *request, const JobReply *reply, int memfd, void *userdata) {
        Outside *o = userdata;

        manager_job_done(o->manager, request, reply, memfd);
}

/**
 * outside_new() - an outside that does nothing yet
 * @event: the loop
 * @config: copied; what it points to is borrowed for the outside's life
 * @ret: owned by the caller
 *
 * Return: 0, or a negative errno.
 */
int outside_new(sd_event *event, const OutsideConfig *config, Outside **ret) {
        Outside *o;
        int r;

        o = calloc(1, sizeof(*o));
        if (!o)
                return -ENOMEM;

        o->config = *config;
        o->event = sd_event_ref(event);
        o->state.fd = -EBADF;

        r = sd_event_add_defer(event, &o->run_source, on_run, o);
        if (r >= 0)
                r = sd_event_source_set_enabled(o->run_source, SD_EVENT_OFF);
        /* after the events of devices and the workers' replies, before the bus */
        if (r >= 0)
                r = sd_event_source_set_priority(o->run_source, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                outside_free(o);
                return r;
        }

        *ret = o;
        return 0;
}

/**
 * outside_free() - end it all; jobs under way run to their end, and nobody hears of it
 * @o: or NULL; consumed. The manager has been freed
 *
 * Return: NULL.
 */
Outside *outside_free(Outside *o) {
        if (!o)
                return NULL;

        wait_socket_free(o->wait_socket);
        sd_bus_close_unref(o->systemd);
        uevent_free(o->uevent);
        worker_pool_free(o->pool);
        state_close(&o->state);
        sd_event_source_disable_unref(o->run_source);
        sd_event_source_disable_unref(o->wake_source);
        sd_event_unref(o->event);
        free(o);
        return NULL;
}

/**
 * outside_get_ops() - the manager's operations
 * @o: the outside; must outlive the manager
 * @ret: all of it is written
 */
void outside_get_ops(Outside *o, ManagerOps *ret) {
        *ret = (ManagerOps) {
                .outside = o,
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
}

/**
 * outside_set_bus() - where systemd can be asked for something
 * @o: the outside
 * @bus: borrowed; NULL: there is none any more, and systemd is asked on a connection of its own
 */
void outside_set_bus(Outside *o, Bus *bus) {
        o->bus = bus;
}

/**
 * outside_start() - begin to listen, and to tell
 * @o: a new outside
 * @m: the manager that is told; not started yet: what happens from now on is kept for it
 *
 * Return: 0, or a negative errno: what the daemon cannot do without is not to be had; logged.
 */
int outside_start(Outside *o, Manager *m) {
        const UEventHandler handler = {
                .device = on_device,
                .module = on_module,
                .interface = on_interface,
                .lost = on_lost,
                .done = on_done,
                .userdata = o,
        };
        const WorkerPoolConfig pool = {
                .executable = o->config.worker,
                .timeout_usec = JOB_TIMEOUT_USEC,
                .n_warm = WORKERS_WARM,
                .n_resting = WORKERS_RESTING,
                .rest_usec = WORKERS_REST_USEC,
                .n_max = WORKERS_MAX,
        };
        const WaitSocketConfig wait = {
                .path = o->config.wait_socket,
                .manager = m,
                .tell = on_early,
                .userdata = o,
        };
        int r;

        o->manager = m;

        r = uevent_new(o->event, &handler, &o->uevent);
        if (r < 0) {
                log_line(LOG_ERR,
                         "the kernel's device events cannot be listened to: %s; netlink sockets must be allowed",
                         strerror(-r));
                return r;
        }

        /* from here on only less is needed, by the workers too */
        r = privilege_drop();
        if (r < 0)
                log_line(LOG_WARNING, "the capabilities cannot be given up, going on with them: %s", strerror(-r));

        r = state_open(o->config.state_folder, &o->state);
        if (r < 0) {
                log_line(LOG_ERR, "%s cannot be used for records: %s; make the folder, owned by root",
                         o->config.state_folder, strerror(-r));
                return r;
        }

        r = worker_pool_new(o->event, &pool, on_job_done, o, &o->pool);
        if (r < 0) {
                log_line(LOG_ERR, "%s cannot be started: %s; is the installation whole?", o->config.worker,
                         strerror(-r));
                return r;
        }

        r = wait_socket_new(o->event, &wait, &o->wait_socket);
        if (r < 0)
                log_line(LOG_ERR, "%s cannot be made: %s; devices may be mounted before their filters are on",
                         o->config.wait_socket, strerror(-r));

        return 0;
}
