/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Administrators: they attach, detach, send commands, and edit policies. */

#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

static void on_answer(const RequestAnswer *answer, void *userdata) {
        Call *c = userdata;

        if (sim.dead)
                return;

        if (++c->n_answers > 1)
                sim_violation("I5: a request is answered twice");
        if ((answer->message == NULL) != (answer->error == REQUEST_OK))
                sim_violation("I5: an answer without a sentence, or one with a needless one");

        c->error = answer->error;
        sim.counts.n_done += answer->error == REQUEST_OK;
        sim_trace("admin: answer %u %s", answer->error, answer->message ?: "");
}

static Call *call_new(void) {
        for (unsigned i = 0; i < CALLS; i++)
                if (!sim.calls[i].used)
                        return &sim.calls[i];

        /* what was answered may be carried out later still */
        for (unsigned i = 0; i < CALLS; i++) {
                const Call *c = &sim.calls[i];

                if ((c->n_answers || c->life != sim.life) && (c->kind != JOB_DETACH || c->carried_out))
                        return &sim.calls[i];
        }

        return NULL;
}

/* Somebody names a device; what is to be done with it may come later, as after a password. */
static void name_device(void) {
        char name[sizeof("/dev/") + JOB_NODE_SIZE] = "/dev/", *message = NULL;
        unsigned slot = sim_below(SLOTS), partno = sim_below(8) ? 1 + sim_below(PARTS) : 0;

        kernel_device_name(slot, partno, name + 5);
        sim.has_subject = manager_resolve(sim.manager, name, &sim.subject, &message) == REQUEST_OK;
        free(message);
}

static void act(void) {
        Device d = device_set_get_by_uid(&sim.manager->world.devices, sim.subject.uid);
        static const JobKind kinds[] = { JOB_ATTACH, JOB_ATTACH, JOB_DETACH, JOB_CTL };
        const AttachOptions options = { .choose = sim_chance(10) };
        Call *c = call_new();

        if (!c || !sim.has_subject)
                return;

        sim.has_subject = false;
        sim.counts.n_calls++;
        *c = (Call) { .used = true, .life = sim.life, .kind = kinds[sim_below(4)], .object = device_object(d) };
        (void) str_copy(c->device, sizeof(c->device), sim.subject.device);
        (void) str_copy(c->filter, sizeof(c->filter), sim_filters[sim_below(2)]);
        sim_trace("admin: call kind %u %s %s", c->kind, c->filter, c->device);

        if (c->kind == JOB_ATTACH)
                manager_attach(sim.manager, &sim.subject, c->filter, &options, on_answer, c);
        else if (c->kind == JOB_DETACH)
                manager_detach(sim.manager, &sim.subject, c->filter, on_answer, c);
        else
                manager_ctl(sim.manager, &sim.subject, c->filter, &(RequestCommand) { .command = 0 }, on_answer, c);

        if (!c->n_answers && sim_chance(5)) {
                manager_request_forget(sim.manager, c);
                c->forgotten = true;
        }
}

static void random_file(File *f) {
        match_unref(f->match);
        *f = (File) { .exists = true, .match = table_random_match(),
                      .on = sim_chance(90) ? POLICY_ON_ALL : 1 + sim_below(POLICY_ON_ALL),
                      .refuse_change = sim_chance(10) };
        (void) str_copy(f->filter, sizeof(f->filter), sim_filters[sim_below(10) == 0]);
}

static void edit_policies(void) {
        File *f = &sim.files[sim_below(FILES)];

        switch (sim_below(4)) {
        case 0:
                f->exists = f->broken = false;
                break;
        case 1:
                f->broken = f->exists;
                break;
        case 2:
                f->broken = false;
                break;
        default:
                random_file(f);
        }

        sim_trace("admin: policies are edited");
        if (sim_chance(80) && manager_reload(sim.manager) < 0)
                abort();
}

/* One thing that an administrator does. */
void admin_random_step(void) {
        unsigned what = sim_below(100);

        if (what < 20)
                edit_policies();
        else if (what < 25)
                manager_module(sim.manager, false);
        else if (what < 60 || !sim.has_subject) {
                name_device();
                if (sim_chance(70))
                        act();
        } else
                act();
}

/* Whether somebody asked for just that, and for that very partition. */
bool admin_wants_detach(const JobRequest *request, uint64_t object) {
        for (size_t i = 0; i < CALLS; i++) {
                Call *c = &sim.calls[i];

                if (c->used && !c->carried_out && c->kind == JOB_DETACH && str_equal(c->filter, request->filter) &&
                    str_equal(c->device, request->partno ? request->partition.name : request->disk.name) &&
                    (!c->object || c->object == object)) {
                        c->carried_out = true;
                        return true;
                }
        }

        return false;
}

/* I5: nobody waits for ever. @all: the daemon stopped, or has had all the time it may need */
void admin_check_answers(bool all) {
        for (size_t i = 0; i < CALLS; i++) {
                const Call *c = &sim.calls[i];

                if (all && c->used && c->life == sim.life && !c->forgotten && c->n_answers != 1)
                        sim_violation("I5: %u answers to a call of kind %u on %s", c->n_answers, c->kind, c->device);
        }
}

void admin_init(void) {
        for (unsigned i = 0; i < FILES; i++)
                if (sim_chance(60))
                        random_file(&sim.files[i]);
}
