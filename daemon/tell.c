/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is told: what happened, to whom it may concern. The one place that logs outcomes. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"
#include "daemon/text.h"

/* What is to end by itself and soon has by then, or an administrator has to know of it. */
#define SOON_USEC UINT64_C(10000000)

/* Between two times that the sums are told. */
#define SUMS_PAUSE_USEC UINT64_C(100000)

static void log_loss(const Attachment *a, const char *identity) {
        const Gap *g = attachment_get_lost_gap(a);
        char message[1024];

        (void) snprintf(message, sizeof(message),
                        "%s on %s: the filter is gone (%s); what is written until it is back is not"
                        " seen by it", a->filter, identity, g ? g->reason : "unknown");
        log_attachment(LOG_WARNING, log_id_of_loss(g ? g->reason : "unknown"), a, message);
}

static void log_return(const Attachment *a, const char *identity) {
        const Gap *g = attachment_get_back_gap(a);
        uint64_t usec = g ? g->end_usec - g->begin_usec : 0;
        char message[1024];

        (void) snprintf(message, sizeof(message), "%s on %s: the filter is back on /dev/%s after %" PRIu64 ".%03" PRIu64
                        " s (%s); it starts from nothing, an increment from before is not whole", a->filter, identity,
                        a->on_device ? a->device : a->lost_device, usec / 1000000, usec / 1000 % 1000,
                        g ? g->reason : "unknown");
        log_attachment(LOG_NOTICE, LOG_ID_RESTORED, a, message);
}

/* That the kernel has no filters, or that its answers do not tell, is said once, and not of each attachment. */
static bool is_said_once(const Manager *m, const Attachment *a) {
        const World *w = &m->world;

        return (a->state == ATTACHMENT_UNSUPPORTED && w->interface == KERNEL_INTERFACE_NONE) ||
                (a->state == ATTACHMENT_WAITING && w->interface == KERNEL_INTERFACE_UNKNOWN && w->interface_unclear);
}

static void log_state(const Attachment *a, const char *identity) {
        char message[1024], reason[ATTACHMENT_REASON_SIZE];
        int priority = a->state == ATTACHMENT_ATTACHED || a->state == ATTACHMENT_WAITING ||
                       a->state == ATTACHMENT_DETACHED ? LOG_INFO : LOG_WARNING;

        (void) snprintf(message, sizeof(message), "%s on %s: %s: %s", a->filter, identity,
                        attachment_state_to_string(a->state), attachment_get_reason(a, reason));
        log_attachment(priority, log_id_of_state(a->state), a, message);
}

/* Whether it waits for what comes by itself and soon: that is said only if it lasts, and once. */
static bool keep_quiet(Manager *m, Attachment *a, const Now *now) {
        uint64_t at_usec = now->monotonic_usec + SOON_USEC;

        if (a->state == ATTACHMENT_ATTACHING)
                return true;

        if (a->state != ATTACHMENT_WAITING || !a->pending) {
                a->quiet_usec = 0;
                return false;
        }

        /* for what the interface is all wait, and that it does not come out is said once */
        if (!a->quiet_usec && m->world.interface != KERNEL_INTERFACE_UNKNOWN) {
                a->quiet_usec = now->monotonic_usec;
                if (!m->say_at_usec || at_usec < m->say_at_usec)
                        m->say_at_usec = at_usec;
        }

        return true;
}

static void log_change(Manager *m, Attachment *a, const Now *now) {
        char *identity = NULL;

        if (match_to_string(a->match, &identity) < 0)
                identity = NULL;

        /* in the order in which they happened: back, and lost again; or lost and back */
        if (a->changed & ATTACHMENT_CHANGED_BACK && !a->on_device)
                log_return(a, identity ?: a->id);
        if (a->changed & ATTACHMENT_CHANGED_LOST)
                log_loss(a, identity ?: a->id);
        if (a->changed & ATTACHMENT_CHANGED_BACK && a->on_device)
                log_return(a, identity ?: a->id);

        /* while a filter is on its way back the two lines above say all */
        if (a->changed & ATTACHMENT_CHANGED_STATE && !keep_quiet(m, a, now) &&
            !(a->changed & ATTACHMENT_CHANGED_BACK) && !is_said_once(m, a) &&
            !(a->changed & ATTACHMENT_CHANGED_LOST && a->state == ATTACHMENT_WAITING))
                log_state(a, identity ?: a->id);

        free(identity);
}

/* Says which waits were to end soon and did not. */
static void say_lasting(Manager *m, const Now *now) {
        const AttachmentSet *s = &m->world.attachments;

        if (!m->say_at_usec || now->monotonic_usec < m->say_at_usec)
                return;

        m->say_at_usec = 0;
        for (size_t i = 0; i < s->n_items; i++) {
                Attachment *a = s->items[i];
                uint64_t at_usec = a->quiet_usec + SOON_USEC;
                char *identity = NULL;

                if (!a->quiet_usec || a->quiet_usec == UINT64_MAX)
                        continue;

                /* what comes of that is seen then */
                if (a->state == ATTACHMENT_ATTACHING || m->world.interface == KERNEL_INTERFACE_UNKNOWN)
                        at_usec = now->monotonic_usec + SOON_USEC / 10;

                if (at_usec > now->monotonic_usec) {
                        if (!m->say_at_usec || at_usec < m->say_at_usec)
                                m->say_at_usec = at_usec;
                        continue;
                }

                a->quiet_usec = UINT64_MAX;
                if (match_to_string(a->match, &identity) < 0)
                        identity = NULL;
                log_state(a, identity ?: a->id);
                free(identity);
        }
}

/* @who: an attachment, or a policy's file */
static void load_module(Manager *m, const char *who, const char *module) {
        int r;

        log_line(LOG_INFO, "%s: asking systemd to load module %s", who, module);
        r = m->ops.load_module(module, m->ops.outside);
        if (r < 0)
                log_line(LOG_WARNING,
                         "%s: systemd cannot be asked to load module %s: %s; load it by hand (modprobe %s)", who,
                         module, strerror(-r), module);
}

/**
 * tell_no_filters() - the kernel has no filters: what policies name as the modules of theirs may bring them
 * @m: the manager
 *
 * A filter's module needs that of its interface, which is loaded with it. Each is asked for once.
 */
void tell_no_filters(Manager *m) {
        const PolicySet *s = m->policies;

        for (size_t i = 0; i < s->n_policies; i++) {
                const char *module = s->policies[i]->settings->module;
                size_t k = 0;

                while (k < i && !str_equal(s->policies[k]->settings->module, module))
                        k++;
                if (module[0] && k == i)
                        load_module(m, s->policies[i]->path, module);
        }
}

/**
 * tell_attachments() - tell what the plan has changed: to the journal, the records, the bus
 * @m: the manager; attachments that nobody wants and that are on nothing are removed
 * @now: the time
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if something may have to be told then
 */
void tell_attachments(Manager *m, const Now *now, uint64_t *wake_at_usec) {
        AttachmentSet *s = &m->world.attachments;

        while (s->n_untold > 0) {
                Attachment *a = s->untold[--s->n_untold];
                uint32_t changed = a->changed;

                a->untold = false;

                if (attachment_is_superfluous(a)) {
                        if (changed & ATTACHMENT_CHANGED_LOST) {
                                log_change(m, a, now);
                                if (m->listener.attachment_changed)
                                        m->listener.attachment_changed(a, changed, m->listener.userdata);
                        }
                        manager_remove_attachment(m, a);
                        continue;
                }

                if (a->module_due)
                        load_module(m, a->id, a->settings->module);
                a->module_due = false;
                if (!changed)
                        continue;

                log_change(m, a, now);
                if (changed & (ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_ADDED))
                        manager_save(m, a);

                a->changed = 0;
                if (changed == ATTACHMENT_CHANGED_RECORD)
                        continue;

                m->counts_changed = true;

                if (changed & ATTACHMENT_CHANGED_ADDED && m->listener.attachment_added)
                        m->listener.attachment_added(a, m->listener.userdata);
                if (m->listener.attachment_changed)
                        m->listener.attachment_changed(a, changed, m->listener.userdata);
        }

        say_lasting(m, now);
        manager_wake(wake_at_usec, m->say_at_usec);

        if (m->world.n_refused > m->n_refused_told) {
                if (!m->n_refused_told)
                        log_line(LOG_WARNING,
                                 "more than %u devices fit the pattern of one policy: those that came last are left"
                                 " alone; make the policy narrower", PATTERN_INSTANCES_MAX);
                m->n_refused_told = m->world.n_refused;
        }
}

/**
 * tell_take_off() - what came of a filter that the daemon takes off by itself
 * @m: the manager, before it has taken the answer in
 * @request: JOB_DETACH; nothing is told of what an administrator asked for
 * @reply: what came back
 */
void tell_take_off(Manager *m, const JobRequest *request, const JobReply *reply) {
        const JobDevice *d = request->partition.name[0] ? &request->partition : &request->disk;

        if (!world_find_stale_by_job(&m->world, request->id) && !world_find_by_job(&m->world, request))
                return;

        if (reply->outcome == JOB_OK)
                log_line(LOG_NOTICE, "%s: taken off /dev/%s, where it was left by what was there before",
                         request->filter, d->name);
        else if (reply->outcome == JOB_UNSUPPORTED)
                log_line(LOG_WARNING, "%s: it may be on /dev/%s still, where it was left by what was there before, and"
                         " cannot be asked safely whether it is%s%s; if it has no business there detach it with its own"
                         " tool, or reboot", request->filter, d->name, reply->message[0] ? ": " : "", reply->message);
}

/**
 * tell_unclaimed() - a filter is where a job without an end was about to put it, and does not belong there
 * @m: the manager, after it has taken the answer in
 * @a: the attachment that the job was for, which knows no more of it
 * @request: JOB_CHECK, which found it
 *
 * It was attached, and the partition has another identity since; or the job proved nothing, and it is another
 * program's. So it stays, and who may need it has to say. What is to be taken off, as it was left on a number, is told
 * of then.
 */
void tell_unclaimed(Manager *m, const Attachment *a, const JobRequest *request) {
        const char *device = job_subject(request)->name;
        char *identity = NULL;

        if (world_find_stale_on(&m->world, world_find_device(&m->world, request), request->filter))
                return;

        if (match_to_string(a->match, &identity) < 0)
                identity = NULL;
        log_line(LOG_WARNING, "%s: it is on /dev/%s, which is not %s, but a job that did not end may have put it there"
                 " for that; it may as well be another program's, and stays: if nobody needs it detach it"
                 " (blkfilterctl detach /dev/%s %s)", request->filter, device, identity ?: a->id, device,
                 request->filter);
        free(identity);
}

/**
 * tell_job() - for whoever looks closely: what a worker is asked to do, and what came of it
 * @request: the job
 * @reply: what came back; NULL: it begins
 */
void tell_job(const JobRequest *request, const JobReply *reply) {
        static const char *const kinds[_JOB_KIND_MAX] = {
                [JOB_SCAN] = "scan", [JOB_ATTACH] = "attach", [JOB_DETACH] = "detach",
                [JOB_CTL] = "ctl", [JOB_CHECK] = "check", [JOB_PROBE] = "probe",
        };
        const char *device = request->partition.name[0] ? request->partition.name : request->disk.name;

        if (!reply)
                log_line(LOG_DEBUG, "job %" PRIu64 ": %s, /dev/%s, filter \"%s\"", request->id, kinds[request->kind],
                         device, request->filter);
        else
                log_line(LOG_DEBUG, "job %" PRIu64 ": %s, /dev/%s: outcome %" PRIu32 " %s", request->id,
                         kinds[request->kind], device, reply->outcome, reply->message);
}

/* The daemon's state in a line. */
static void tell_status(Manager *m) {
        char line[256];
        const size_t *n = m->world.attachments.n_in_state;
        size_t n_bad = n[ATTACHMENT_CONFLICT] + n[ATTACHMENT_AMBIGUOUS] + n[ATTACHMENT_REFUSED] + n[ATTACHMENT_FAILED] +
                n[ATTACHMENT_STUCK] + n[ATTACHMENT_UNSUPPORTED];

        (void) snprintf(line, sizeof(line), "%zu attached of %zu, %zu in trouble, %zu errors in policies; interface %s",
                        n[ATTACHMENT_ATTACHED], m->world.attachments.n_items, n_bad, m->policies->n_errors,
                        kernel_interface_to_string(m->world.interface));
        m->ops.status(line, m->ops.outside);
        m->status_told = true;
}

/**
 * tell_sums() - tell how many attachments are in which state, if that has changed: to systemd and the bus
 * @m: the manager
 * @now: the time
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if they are to be told then
 *
 * A change is told at once, and what comes right after it a moment later: when many filters come on one after the other
 * nobody reads each sum, and to tell them would take as long as to put the filters on.
 */
void tell_sums(Manager *m, const Now *now, uint64_t *wake_at_usec) {
        bool first = !m->status_told && manager_is_settled(m);

        if (!m->counts_changed && !first)
                return;

        if (!first && m->sums_at_usec > now->monotonic_usec) {
                manager_wake(wake_at_usec, m->sums_at_usec);
                return;
        }

        if (m->status_told || first)
                tell_status(m);
        if (m->counts_changed && m->listener.manager_changed)
                m->listener.manager_changed(m->listener.userdata);
        m->counts_changed = false;
        m->sums_at_usec = now->monotonic_usec + SUMS_PAUSE_USEC;
}

/**
 * tell_policies() - what is wrong with the policy files
 * @policies: the set in force
 */
void tell_policies(const PolicySet *policies) {
        for (size_t i = 0; i < policies->n_errors; i++) {
                const PolicyError *e = &policies->errors[i];
                char message[1024], line[16] = "";

                if (e->line > 0)
                        (void) snprintf(line, sizeof(line), ":%u", e->line);
                (void) snprintf(message, sizeof(message), "%s%s: %s%s", e->path, line, e->message,
                                e->kept_last ? " Its last good version stays in force." : "");
                log_policy(LOG_WARNING, e->path, e->line, message);
        }

        log_line(LOG_INFO, "%zu policies in force, %zu errors in policy files", policies->n_policies,
                 policies->n_errors);
}
