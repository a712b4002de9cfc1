/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is told: what happened, to whom it may concern. The one place that logs outcomes. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"

static void log_change(const Attachment *a) {
        char message[1024], *identity = NULL;
        int priority;

        if (match_to_string(&a->match, &identity) < 0)
                identity = NULL;

        if (a->changed & ATTACHMENT_CHANGED_LOST) {
                const Gap *g = &a->gaps[a->n_gaps_kept - 1];

                (void) snprintf(message, sizeof(message), "%s on %s: the filter is gone (%s); what is written until it is"
                                " back is not seen by it", a->filter, identity ?: a->id, g->reason);
                log_attachment(LOG_WARNING, LOG_ID_LOST, a, message);
        }

        if (a->changed & ATTACHMENT_CHANGED_BACK) {
                const Gap *g = &a->gaps[a->n_gaps_kept - 1];

                (void) snprintf(message, sizeof(message), "%s on %s: the filter is back on /dev/%s after %" PRIu64
                                ".%03" PRIu64 " s (%s); it starts from nothing, an increment from before is not whole",
                                a->filter, identity ?: a->id, a->device, (g->end_usec - g->begin_usec) / 1000000,
                                (g->end_usec - g->begin_usec) / 1000 % 1000, g->reason);
                log_attachment(LOG_NOTICE, LOG_ID_RESTORED, a, message);
        }

        /* while a filter is on its way back the two lines above say all */
        if (a->changed & ATTACHMENT_CHANGED_STATE && a->state != ATTACHMENT_ATTACHING &&
            !(a->changed & ATTACHMENT_CHANGED_BACK) &&
            !(a->changed & ATTACHMENT_CHANGED_LOST && a->state == ATTACHMENT_WAITING)) {
                priority = a->state == ATTACHMENT_ATTACHED || a->state == ATTACHMENT_WAITING ||
                           a->state == ATTACHMENT_DETACHED ? LOG_INFO : LOG_WARNING;
                (void) snprintf(message, sizeof(message), "%s on %s: %s: %s", a->filter, identity ?: a->id,
                                attachment_state_to_string(a->state), a->reason);
                log_attachment(priority, LOG_ID_STATE, a, message);
        }

        free(identity);
}

/**
 * tell_attachments() - tell what the plan has changed: to the journal, the records, the bus
 * @m: the manager; orphans that are on no device are removed
 */
void tell_attachments(Manager *m) {
        AttachmentSet *s = &m->world.attachments;

        for (size_t i = s->n_items; i-- > 0; ) {
                Attachment *a = s->items[i];
                uint32_t changed = a->changed;

                /* a hold is an administrator's word: the policy may come back */
                if (a->orphaned && !a->on_device && !a->job && !a->held && !a->recorded_since_usec) {
                        manager_remove_attachment(m, a);
                        continue;
                }

                if (!changed)
                        continue;

                log_change(a);
                if (changed & (ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_ADDED))
                        manager_save(m, a);

                a->changed = 0;
                m->counts_changed = true;

                if (changed & ATTACHMENT_CHANGED_ADDED && m->listener.attachment_added)
                        m->listener.attachment_added(a, m->listener.userdata);
                if (m->listener.attachment_changed)
                        m->listener.attachment_changed(a, changed, m->listener.userdata);
        }
}

/**
 * tell_status() - the daemon's state in a line, and at first that it is ready
 * @m: the manager
 */
void tell_status(Manager *m) {
        char line[256];
        size_t n_attached = 0, n_bad = 0;

        for (size_t i = 0; i < m->world.attachments.n_items; i++) {
                AttachmentState state = m->world.attachments.items[i]->state;

                n_attached += state == ATTACHMENT_ATTACHED;
                n_bad += state == ATTACHMENT_CONFLICT || state == ATTACHMENT_AMBIGUOUS || state == ATTACHMENT_REFUSED ||
                         state == ATTACHMENT_FAILED || state == ATTACHMENT_STUCK || state == ATTACHMENT_UNSUPPORTED;
        }

        (void) snprintf(line, sizeof(line), "%zu attached of %zu, %zu in trouble, %zu errors in policies; interface %s",
                        n_attached, m->world.attachments.n_items, n_bad, m->policies->n_errors,
                        kernel_interface_to_string(m->world.interface));
        m->ops.status(!m->ready, line, m->ops.outside);
        m->ready = true;
}

/**
 * tell_policies() - what is wrong with the policy files
 * @policies: the set in force
 */
void tell_policies(const PolicySet *policies) {
        for (size_t i = 0; i < policies->n_errors; i++) {
                const PolicyError *e = &policies->errors[i];

                if (e->line > 0)
                        log_line(LOG_WARNING, "%s:%u: %s%s", e->path, e->line, e->message,
                                 e->kept_last ? " Its last good version stays in force." : "");
                else
                        log_line(LOG_WARNING, "%s: %s%s", e->path, e->message,
                                 e->kept_last ? " Its last good version stays in force." : "");
        }

        log_line(LOG_INFO, "%zu policies in force, %zu errors in policy files", policies->n_policies, policies->n_errors);
}
