/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* DETACH: an administrator's word, written down before the kernel is asked. */

#include <stdio.h>

#include "daemon/log.h"
#include "daemon/request.h"
#include "daemon/text.h"

/**
 * manager_detach() - an administrator wants a filter off a device
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

        if (r && request_device(m, r).disk)
                manager_schedule(m);
}

/* Whether a detach on a device is about an attachment: a clone of where it is, is not. */
static bool is_about(const Attachment *a, const Request *r, Device d, const Facts *f) {
        if (!str_equal(a->filter, r->filter))
                return false;

        if (a->on_device)
                return a->device_uid == device_uid(d);

        /* on another device, as an earlier daemon noted */
        if (a->noted_object && a->noted_object != device_object(d))
                return false;

        return match_facts(a->match, f);
}

/**
 * detach_begin() - before the kernel is asked: hold off all that want the filter there, on disk too
 * @m: the manager
 * @r: the request; its job is known
 * @d: its device
 */
void detach_begin(Manager *m, Request *r, Device d) {
        Facts f;

        device_facts(d, &f);

        for (size_t i = 0; i < m->world.attachments.n_items; i++) {
                Attachment *a = m->world.attachments.items[i];

                if (!is_about(a, r, d, &f))
                        continue;

                a->was_held = a->held;
                a->held = true;
                a->hold_job = r->job;
                world_touch_rivals(&m->world, a);
                manager_save(m, a);
        }
}

/* What the outcome means to one attachment that is held off for it. */
static void attachment_detach_done(Manager *m, Attachment *a, JobOutcome outcome, uint64_t subject_uid, bool late) {
        Now now = manager_now(m);
        uint64_t object;

        a->hold_job = 0;

        /* it has come to be on another object since: whatever happened to the one of then is of the past */
        if (a->on_device && a->device_uid != subject_uid)
                return;

        world_touch_rivals(&m->world, a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);

        switch (outcome) {

        case JOB_OK:
        case JOB_NOT_ATTACHED:
                if (outcome == JOB_OK)
                        attachment_lost(a, "detached", late ? a->seen_usec : 0, &now);
                else
                        attachment_lost(a, "foreign-detach", a->seen_usec, &now);
                attachment_lost_unseen(a, "daemon-not-running", &now); /* on by an earlier daemon's word only */
                if (a->left_object == device_object(device_set_get_by_uid(&m->world.devices, subject_uid)))
                        attachment_leave(a, 0);
                a->asked = false;
                if (a->orphaned)
                        a->held = false;
                if (a->source == ATTACHMENT_SOURCE_RUNTIME) /* its filter may be on another device of that identity */
                        attachment_take_back(m, a);
                break;

        case JOB_DIED:
                /* It may be off or on: tracking is not known to be intact, the hold stays, and the plan takes the
                 * filter off if it is on still. */
                object = a->on_device ? a->fingerprint.object : a->noted_object;
                attachment_lost(a, "unknown", a->seen_usec, &now);
                attachment_lost_unseen(a, "unknown", &now);
                if (object) /* else it is left where it was before */
                        attachment_leave(a, object);
                break;

        case JOB_CONFLICT:
                attachment_lost(a, "foreign-detach", a->seen_usec, &now);
                attachment_lost_unseen(a, "daemon-not-running", &now);
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
                        attachment_detach_done(m, s->items[i], reply->outcome, r->subject.uid, r->answered);
                }

        switch (reply->outcome) {

        case JOB_OK:
                log_line(LOG_NOTICE, "%s: detached from /dev/%s as an administrator asked", r->filter,
                         r->subject.device);
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
                request_end(r, REQUEST_E_LOCKED,
                            "another program holds the lock of the disk; try again when it is done");
                break;

        case JOB_UNSUPPORTED:
                request_end(r, REQUEST_E_UNSUPPORTED,
                            reply->message[0] ? reply->message :
                            "this kernel has no block device filters; boot one that has");
                break;

        case JOB_DIED:
                request_end(r, REQUEST_E_TIMED_OUT, "the worker ended before it answered, so whether the filter is off"
                            " is unknown; it is tried again until it is");
                break;

        default:
                (void) snprintf(message, sizeof(message), "detaching failed: %s; see the kernel's log", reply->message);
                request_end(r, REQUEST_E_FAILED, message);
        }
}
