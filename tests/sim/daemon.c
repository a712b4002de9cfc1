/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The manager's operations, its records and policy files, its journal; its beginnings and ends. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/text.h"
#include "tests/sim/sim.h"

#define CHECK_USEC (40 * SECOND)

bool sim_looks_for_late;

void log_line(int priority, const char *format, ...) {
        va_list ap;

        (void) priority;

        if (!sim.trace || sim.dead)
                return;

        printf("journal: ");
        va_start(ap, format);
        (void) vprintf(format, ap);
        va_end(ap);
        printf("\n");
}

void log_attachment(int priority, const char *message_id, const Attachment *a, const char *message) {
        if (!sim.dead && str_equal(message_id, LOG_ID_LOST))
                check_loss(a);

        log_line(priority, "%s", message);
}

void log_event(int priority, const char *message_id, const char *message) {
        (void) message_id;
        log_line(priority, "%s", message);
}

void log_policy(int priority, const char *path, unsigned line, const char *message) {
        log_line(priority, "%s:%u: %s", path, line, message);
}

const char *log_id_of_state(AttachmentState state) {
        (void) state;
        return LOG_ID_STATE;
}

const char *log_id_of_loss(const char *reason) {
        (void) reason;
        return LOG_ID_LOST;
}

static Now op_now(void *outside) {
        (void) outside;
        return sim.now;
}

static void op_schedule(void *outside) {
        (void) outside;
        sim.scheduled = true;
}

static void op_wake(uint64_t at_usec, void *outside) {
        (void) outside;
        sim.wake_at_usec = at_usec;
}

/* I10: what an administrator took off is taken off for the next daemon too. */
static size_t list_holds(char ids[][ATTACHMENT_ID_SIZE]) {
        const AttachmentSet *s = manager_get_attachments(sim.manager);
        size_t n = 0;

        for (size_t i = 0; i < s->n_items && n < RECORDS; i++)
                if (s->items[i]->held)
                        (void) str_copy(ids[n++], ATTACHMENT_ID_SIZE, s->items[i]->id);

        return n;
}

static char crash_holds[RECORDS][ATTACHMENT_ID_SIZE];
static size_t n_crash_holds;

static int op_submit(const JobRequest *request, int memfd, void *outside) {
        (void) outside;

        if (memfd >= 0)
                close(memfd);
        if (sim.dead)
                return 0;
        if (!sim.calm && sim_chance(1))
                return -12;

        if (jobs_submit(request) < 0)
                return -12;

        /* killed between one step and the next: what it does from here on is not done */
        if (!sim.calm && !sim.dead && sim_chance(2)) {
                n_crash_holds = list_holds(crash_holds);
                sim.dying = sim.dead = true;
        }
        return 0;
}

static int op_look(void *outside) {
        (void) outside;
        return udev_look();
}

static bool op_udev_is_busy(void *outside) {
        (void) outside;
        return sim.n_udevd > 0;
}

static Policy *make_policy(unsigned file) {
        Policy *p = calloc(1, sizeof(*p));
        char name[32], path[64];

        if (!p)
                abort();

        (void) snprintf(name, sizeof(name), "%u0.conf", file + 1);
        (void) snprintf(path, sizeof(path), "/etc/blkfilter.d/%s", name);
        p->name = strdup(name);
        p->path = shared_new(path);
        p->match = match_ref(sim.files[file].match);
        if (settings_new(&p->settings) < 0)
                abort();
        p->settings->on = sim.files[file].on;
        p->settings->refuse_change = sim.files[file].refuse_change;
        memcpy(p->filter, sim.files[file].filter, sizeof(p->filter));
        return p;
}

static void op_load_config(Config *config, void *outside) {
        (void) outside;
        config->check_usec = sim.mistake == MISTAKE_NO_CHECK ? 0 : CHECK_USEC;
}

static int op_load_policies(const PolicySet *last, PolicySet **ret, void *outside) {
        PolicySet *s = policy_set_new();

        (void) outside;

        for (unsigned i = 0; i < FILES; i++) {
                Policy *p = sim.files[i].exists ? make_policy(i) : NULL;

                if (sim.files[i].exists && sim.files[i].broken) {
                        const Policy *old = policy_set_get(last, p->name);

                        (void) policy_set_add_error(s, p->path, 1, "it is broken", old != NULL);
                        policy_free(p);
                        p = NULL;
                        if (old)
                                (void) policy_copy(old, &p);
                }

                if (p && !sim.files[i].broken)
                        sim.files[i].in_force = true;
                if (p && policy_set_add(s, p) < 0)
                        abort();
        }

        *ret = s;
        return 0;
}

/* What a record keeps of an attachment: the same as state.c writes and reads. */
static Attachment *make_record(const Attachment *a) {
        Attachment *r;

        if (attachment_new(a->filter, a->match, a->source, &r) < 0)
                abort();

        r->policy_path = shared_ref(a->policy_path);
        r->asked = a->asked;
        r->held = a->held && sim.mistake != MISTAKE_FORGET_HOLDS;
        r->orphaned = a->orphaned;
        r->is_instance = a->is_instance;
        r->pin = a->pin;
        r->n_attached = a->n_attached;
        r->n_gaps = a->n_gaps;
        r->n_gaps_kept = a->n_gaps_kept;
        r->gaps = calloc(ATTACHMENT_GAPS_MAX, sizeof(*r->gaps));
        if (!r->gaps)
                abort();
        if (a->n_gaps_kept > 0)
                memcpy(r->gaps, a->gaps, a->n_gaps_kept * sizeof(*r->gaps));
        r->has_fingerprint = a->has_fingerprint;
        fingerprint_set(&r->fingerprint, &a->fingerprint);
        r->noted_object = a->on_device ? a->fingerprint.object :
                          sim.mistake == MISTAKE_FORGET_INTENT ? 0 : a->noted_object;
        r->left_object = a->left_object;
        r->number = a->number;
        r->left_number = a->left_number;
        r->foreign = a->foreign;

        if (a->intact_since_usec) {
                r->recorded_since_usec = a->intact_since_usec;
                r->recorded_at_usec = a->seen_usec;
        } else if (a->recorded_since_usec) {
                r->recorded_since_usec = a->recorded_since_usec;
                r->recorded_at_usec = a->recorded_at_usec;
        }

        return r;
}

static int op_load_records(StateFound found, void *userdata, void *outside) {
        (void) outside;

        for (size_t i = 0; i < RECORDS; i++)
                if (sim.records[i]) {
                        Attachment *a = make_record(sim.records[i]);

                        a->recorded_since_usec = sim.records[i]->recorded_since_usec;
                        a->recorded_at_usec = sim.records[i]->recorded_at_usec;
                        if (sim.mistake == MISTAKE_CALL_GAP_INTACT && a->has_fingerprint) {
                                const Slot *slot = &sim.slots[kernel_slot_of(a->fingerprint.disk->name)];
                                const KPart *p = &slot->parts[a->fingerprint.entry->partno];
                                char generation[GENERATION_SIZE];

                                a->fingerprint.object = a->noted_object = p->object;
                                (void) snprintf(generation, sizeof(generation), "%032llx",
                                                (unsigned long long) p->generation);
                                (void) fingerprint_set_generation(&a->fingerprint,
                                                                  kernel_has_generation(a->filter) ? generation : "");
                        }
                        found(a, userdata);
                }

        return 0;
}

static Attachment **find_record(const char *id) {
        Attachment **free_one = NULL;

        for (size_t i = 0; i < RECORDS; i++)
                if (!sim.records[i])
                        free_one = &sim.records[i];
                else if (str_equal(sim.records[i]->id, id))
                        return &sim.records[i];

        if (!free_one) {
                sim_violation("I7: more than %u records", RECORDS);
                free_one = &sim.records[0];
        }
        return free_one;
}

static int op_save_record(const Attachment *a, uint64_t now_realtime_usec, void *outside) {
        Attachment **r;
        KPart *p;

        (void) outside;
        (void) now_realtime_usec;

        if (sim.dead || (sim.mistake == MISTAKE_SAVE_LATE && a->hold_job))
                return 0;

        p = a->on_device ? kernel_get_object(a->fingerprint.object) : NULL;
        if (p && str_equal(p->filter, a->filter))
                p->ours = true;

        r = find_record(a->id);
        attachment_free(*r);
        *r = make_record(a);
        return 0;
}

static int op_remove_record(const char *id, void *outside) {
        (void) outside;

        if (!sim.dead) {
                Attachment **r = find_record(id);

                *r = attachment_free(*r);
        }
        return 0;
}

static int op_load_last_boot(uint64_t *ret_boot_usec, StateFound found, void *userdata, void *outside) {
        (void) found;
        (void) userdata;
        (void) outside;
        *ret_boot_usec = 0;
        return 0;
}

static int op_save_stale(const World *w, void *outside) {
        (void) outside;

        if (sim.dead)
                return 0;

        sim.n_stale = 0;
        for (size_t i = 0; i < w->n_stale && i < STALE; i++)
                sim.stale[sim.n_stale++] = *w->stale[i];
        return 0;
}

static int op_load_stale(World *w, void *outside) {
        (void) outside;

        for (size_t i = 0; i < sim.n_stale; i++)
                if (world_add_stale(w, sim.stale[i].number, sim.stale[i].filter, sim.stale[i].spared) < 0)
                        abort();
        return 0;
}

static int op_save_policy(const Policy *p, char **ret_path, void *outside) {
        (void) p;
        (void) ret_path;
        (void) outside;
        return -30;
}

static int op_load_module(const char *name, void *outside) {
        (void) name;
        (void) outside;
        return 0;
}

static bool op_boot_is_over(void *outside) {
        (void) outside;
        return true;
}

static uint64_t op_boot_diskseq(uint64_t highest, void *outside) {
        (void) outside;

        if (!sim.boot_diskseq)
                sim.boot_diskseq = highest;
        return sim.boot_diskseq;
}

static int op_count_writes(uint32_t major, uint32_t minor, uint64_t *ret, void *outside) {
        (void) major;
        (void) outside;

        if (sim.mistake == MISTAKE_COUNT_NO_WRITES)
                return -61;

        *ret = sim.slots[minor / 16].n_writes;
        return 0;
}

static void op_status(const char *line, void *outside) {
        (void) line;
        (void) outside;
}

static void forget_sockets(void) {
        sim.n_kernel = sim.n_udev = sim.n_interface_events = 0;
        sim.lost = sim.scheduled = sim.has_subject = false;
        sim.wake_at_usec = 0;
}

static void start(char holds[][ATTACHMENT_ID_SIZE], size_t n_holds) {
        const ManagerOps ops = {
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

        sim.life++;
        forget_sockets();
        if (manager_new(&ops, &sim.manager) < 0 || manager_start(sim.manager) < 0)
                abort();

        for (size_t i = 0; i < n_holds; i++) {
                const Attachment *a = attachment_set_get(manager_get_attachments(sim.manager), holds[i]);

                if (!a || !a->held)
                        sim_violation("I10: the hold on %s is forgotten over a restart", holds[i]);
        }
}

void daemon_start(void) {
        start(NULL, 0);
}

static void restart(bool killed) {
        static char holds[RECORDS][ATTACHMENT_ID_SIZE];
        size_t n_holds = list_holds(holds);
        unsigned slot, partno, percent = sim.dying ? 90 : 20;

        if (sim.dying) {
                n_holds = n_crash_holds;
                memcpy(holds, crash_holds, sizeof(holds));
                sim.dying = sim.dead = false;
        }

        sim_trace("daemon: %s", killed ? "killed" : "stopped");
        sim.dead = killed;
        sim.counts.n_killed += killed;
        sim.manager = manager_free(sim.manager);
        sim.dead = false;
        if (!killed)
                admin_check_answers(true);
        forget_sockets();

        /* workers go on, and what was about to get a filter has a clone when the next one comes */
        while (!sim.calm && sim_chance(percent))
                (void) jobs_step();
        if (!sim.calm && sim_chance(percent) && jobs_find_attach(&slot, &partno))
                table_clone(slot, partno);

        /* things happen while no daemon is there */
        while (!sim.calm && sim_chance(50)) {
                others_random_step();
                while (sim_chance(60))
                        (void) udev_process();
                (void) jobs_step();
                sim_pass(sim_below(1000000));
        }

        start(holds, n_holds);
}

void daemon_kill(void) {
        restart(true);
}

void daemon_stop(void) {
        restart(false);
}

/* Whether the plan has run since anything was told, and nothing falls due. */
static bool is_all_planned(void) {
        const World *w = &sim.manager->world;

        return w->attachments.n_touched == 0 && w->devices.n_changed == 0 &&
                (!sim.wake_at_usec || sim.wake_at_usec > sim.now.monotonic_usec);
}

/* The event loop has nothing else to do. */
void daemon_run(void) {
        if (sim.wake_at_usec && sim.wake_at_usec <= sim.now.monotonic_usec) {
                sim.wake_at_usec = 0;
                sim.scheduled = true;
        }

        if (!sim.scheduled)
                return;

        sim.scheduled = false;
        udev_deliver_lost();
        sim.scheduled = false;
        manager_run(sim.manager);
        if (sim.dying)
                daemon_kill();
        else if (sim_looks_for_late && sim_chance(2) && is_all_planned())
                check_full_plan();
}

void daemon_deinit(void) {
        sim.dead = true;
        if (sim.manager)
                sim.manager = manager_free(sim.manager);
        for (size_t i = 0; i < RECORDS; i++)
                sim.records[i] = attachment_free(sim.records[i]);
        for (size_t i = 0; i < FILES; i++)
                sim.files[i].match = match_unref(sim.files[i].match);
        sim.dead = false;
}
