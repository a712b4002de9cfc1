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

/**
 * detach_begin() - before the kernel is asked: hold the attachment off, on disk too
 * @m: the manager
 * @r: the request
 * @p: its partition
 */
void detach_begin(Manager *m, Request *r, const Partition *p) {
        Attachment *a = world_find_attachment(&m->world, r->filter, p);

        /* a clone of the partition that has the filter is none of the attachment's business */
        if (!a || (a->on_device && a->device_uid != p->uid))
                return;

        (void) str_copy(r->attachment, sizeof(r->attachment), a->id);
        r->was_held = a->held;
        a->held = true;
        manager_save(m, a);
}

/**
 * detach_done() - keep or take back the hold, and note the answer
 * @m: the manager
 * @r: the request; answered by requests_check(), when what others see is current
 * @reply: what the worker said
 */
void detach_done(Manager *m, Request *r, const JobReply *reply) {
        Attachment *a = r->attachment[0] ? attachment_set_get(&m->world.attachments, r->attachment) : NULL;
        Now now = manager_now(m);
        char message[JOB_MESSAGE_SIZE + 128];

        if (reply->outcome == JOB_OK || (reply->outcome == JOB_NOT_ATTACHED && a)) {
                if (reply->outcome == JOB_OK)
                        log_line(LOG_NOTICE, "%s: detached from /dev/%s as an administrator asked", r->filter,
                                 r->subject.device);
                if (a) {
                        attachment_lost(a, "detached", &now);
                        a->recorded_since_usec = 0;
                        a->asked = false;
                        a->changed |= ATTACHMENT_CHANGED_RECORD;
                        if (a->source == ATTACHMENT_SOURCE_RUNTIME)
                                manager_remove_attachment(m, a);
                }
                request_end(r, REQUEST_OK, NULL);
                return;
        }

        if (a) {
                a->held = r->was_held;
                a->changed |= ATTACHMENT_CHANGED_RECORD;
        }

        switch (reply->outcome) {

        case JOB_NOT_ATTACHED:
                (void) snprintf(message, sizeof(message), "filter %s is not on /dev/%s", r->filter, r->subject.device);
                request_end(r, REQUEST_E_NOT_ATTACHED, message);
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

        default:
                (void) snprintf(message, sizeof(message), "detaching failed: %s; see the kernel's log", reply->message);
                request_end(r, REQUEST_E_FAILED, message);
        }
}
