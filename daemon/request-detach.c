/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* DETACH: an administrator's word, written down before the kernel is asked. */

#include <stdio.h>

#include "daemon/log.h"
#include "daemon/request.h"
#include "daemon/text.h"

/**
 * manager_detach() - an administrator wants a filter off a partition
 * @m: the manager
 * @subject: from manager_resolve()
 * @filter: its name, any content
 * @done: called once: when it is off, or why it is not
 * @userdata: for @done
 *
 * A filter that a policy wants there is held off until it is attached by hand; that is written
 * down before the kernel is asked. A run-time attachment is forgotten.
 */
void manager_detach(Manager *m, const Subject *subject, const char *filter, RequestDone done, void *userdata) {
        Request *r = request_new(m, JOB_DETACH, subject, filter, done, userdata);

        if (r && request_partition(m, r))
                manager_schedule(m);
}

/* Whether a detach on a partition is about an attachment: a clone of where it is, is not. */
static bool is_about(const Attachment *a, const Request *r, const Partition *p) {
        const Entry *e = disk_get_entry(p->disk, p->partno);

        if (!str_equal(a->filter, r->filter))
                return false;

        if (a->on_device)
                return a->device_uid == p->uid;

        /* on another partition, as an earlier daemon noted */
        if (a->recorded_since_usec && a->fingerprint.object && a->fingerprint.object != p->object)
                return false;

        return e && match_entry(&a->match, e);
}

/**
 * detach_begin() - before the kernel is asked: hold off all that want the filter there, on disk too
 * @m: the manager
 * @r: the request; its job is known
 * @p: its partition
 */
void detach_begin(Manager *m, Request *r, const Partition *p) {
        for (size_t i = 0; i < m->world.attachments.n_items; i++) {
                Attachment *a = m->world.attachments.items[i];

                if (!is_about(a, r, p))
                        continue;

                a->was_held = a->held;
                a->held = true;
                a->hold_job = r->job;
                manager_save(m, a);
        }
}

/* What the outcome means to one attachment that is held off for it. */
static void attachment_detach_done(Manager *m, Attachment *a, JobOutcome outcome) {
        Now now = manager_now(m);

        a->hold_job = 0;
        a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD;

        switch (outcome) {

        case JOB_OK:
        case JOB_NOT_ATTACHED:
                attachment_lost(a, outcome == JOB_OK ? "detached" : "foreign-detach", &now);
                attachment_lost_unseen(a, &now); /* on by an earlier daemon's word only */
                a->asked = false;
                if (a->orphaned)
                        a->held = false;
                if (a->source == ATTACHMENT_SOURCE_RUNTIME)
                        manager_remove_attachment(m, a);
                break;

        case JOB_DIED:
                /* it may be off or on: tracking is not known to be intact, and the hold stays */
                attachment_lost(a, "unknown", &now);
                attachment_lost_unseen(a, &now);
                break;

        case JOB_CONFLICT:
                attachment_lost(a, "foreign-detach", &now);
                attachment_lost_unseen(a, &now);
                a->held = a->was_held;
                break;

        default:
                a->held = a->was_held;
        }
}

/**
 * detach_done() - keep or take back the holds, and note the answer
 * @m: the manager
 * @r: the request; answered by requests_check(), when what others see is current
 * @reply: what the worker said
 */
void detach_done(Manager *m, Request *r, const JobReply *reply) {
        AttachmentSet *s = &m->world.attachments;
        char message[JOB_MESSAGE_SIZE + 128];
        bool any = false;

        for (size_t i = s->n_items; i-- > 0; )
                if (s->items[i]->hold_job == r->job) {
                        any = true;
                        attachment_detach_done(m, s->items[i], reply->outcome);
                }

        switch (reply->outcome) {

        case JOB_OK:
                log_line(LOG_NOTICE, "%s: detached from /dev/%s as an administrator asked", r->filter, r->subject.device);
                request_end(r, REQUEST_OK, NULL);
                break;

        case JOB_NOT_ATTACHED:
                (void) snprintf(message, sizeof(message), "filter %s is not on /dev/%s, and nothing wants it there",
                                r->filter, r->subject.device);
                request_end(r, any ? REQUEST_OK : REQUEST_E_NOT_ATTACHED, any ? NULL : message);
                break;

        case JOB_CONFLICT:
                (void) snprintf(message, sizeof(message), "/dev/%s has another filter on it%s%s; name that one",
                                r->subject.device, reply->other_filter[0] ? ": " : "", reply->other_filter);
                request_end(r, REQUEST_E_CONFLICT, message);
                break;

        case JOB_GONE:
                request_end(r, REQUEST_E_STALE, "the device went away; nothing is on it any more");
                break;

        case JOB_LOCKED:
                request_end(r, REQUEST_E_LOCKED, "another program holds the lock of the disk; try again when it is done");
                break;

        case JOB_DIED:
                request_end(r, REQUEST_E_TIMED_OUT, "the worker ended before it answered, so whether the filter is off is"
                            " unknown; detach it again");
                break;

        default:
                (void) snprintf(message, sizeof(message), "detaching failed: %s; see the kernel's log", reply->message);
                request_end(r, REQUEST_E_FAILED, message);
        }
}
