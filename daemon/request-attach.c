/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ATTACH: a wish, kept as an attachment; the plan makes it true, and the caller waits for that. */

#include <stdlib.h>
#include <string.h>

#include "daemon/reason.h"
#include "daemon/request.h"
#include "daemon/text.h"

/* The attachment that a caller wishes for: one that is there, or a new one. */
static RequestError wish(Manager *m, Request *r, const Partition *p, Attachment **ret) {
        Attachment *a = world_find_attachment(&m->world, r->filter, p);
        const Entry *e = disk_get_entry(p->disk, p->partno);
        Match match = { 0 };

        if (a) {
                *ret = a;
                return REQUEST_OK;
        }

        if (!e || !e->uuid[0])
                return REQUEST_E_NO_IDENTITY;

        memcpy(match.part_uuid, e->uuid, sizeof(match.part_uuid));
        if (attachment_new(r->filter, &match, ATTACHMENT_SOURCE_RUNTIME, &a) < 0)
                return REQUEST_E_FAILED;

        if (attachment_set_add(&m->world.attachments, a) < 0) {
                attachment_free(a);
                return REQUEST_E_FAILED;
        }

        r->created = true;
        *ret = a;
        return REQUEST_OK;
}

/**
 * manager_attach() - an administrator wants a filter on a partition, from now on
 * @m: the manager
 * @subject: from manager_resolve()
 * @filter: its name, any content
 * @done: called once: when it is attached, or why it is not
 * @userdata: for @done
 *
 * A hold on it is dropped. If the filter cannot be attached, what was not wanted before is not
 * wanted afterwards either.
 */
void manager_attach(Manager *m, const Subject *subject, const char *filter, RequestDone done, void *userdata) {
        Attachment *a = NULL;
        RequestError error;
        Partition *p;
        Request *r;

        r = request_new(m, JOB_ATTACH, subject, filter, done, userdata);
        if (!r)
                return;

        p = request_partition(m, r);
        if (!p)
                return;

        error = wish(m, r, p, &a);
        if (error == REQUEST_E_NO_IDENTITY) {
                request_finish(m, r, error, "the partition has no UUID, so it could not be recognised when it comes back; give it"
                       " a partition table with UUIDs (GPT, or MBR with a disk id)");
                return;
        }
        if (error != REQUEST_OK) {
                request_finish(m, r, error, "there is no memory for another attachment");
                return;
        }

        if (a->on_device && a->device_uid != p->uid) {
                request_finish(m, r, REQUEST_E_AMBIGUOUS, "another partition with the same identity has the filter; give this one"
                       " another UUID first (sfdisk --part-uuid)");
                return;
        }

        r->was_held = a->held;
        if (a->held || a->orphaned) {
                a->held = false;
                a->changed |= ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_STATE;
        }

        if (a->orphaned)
                attachment_leave_policy(a);

        /* an old failure is no answer to a new wish */
        if (!a->on_device && !a->job)
                attachment_set_state(a, ATTACHMENT_WAITING, reason_plain("an administrator asked for it"));

        a->retry_at_usec = 0;
        (void) str_copy(r->attachment, sizeof(r->attachment), a->id);

        manager_schedule(m);
}

/* What the state of an attachment means to somebody who waits for it; REQUEST_OK: keep waiting. */
static RequestError state_to_error(const Attachment *a) {
        switch (a->state) {
        case ATTACHMENT_CONFLICT:
                return REQUEST_E_CONFLICT;
        case ATTACHMENT_AMBIGUOUS:
                return REQUEST_E_AMBIGUOUS;
        case ATTACHMENT_FAILED:
                return a->last_outcome == JOB_NOT_REGISTERED ? REQUEST_E_NOT_REGISTERED : REQUEST_E_FAILED;
        case ATTACHMENT_STUCK:
                return REQUEST_E_STUCK;
        case ATTACHMENT_UNSUPPORTED:
                return REQUEST_E_UNSUPPORTED;
        case ATTACHMENT_REFUSED:
                return REQUEST_E_FAILED;
        default:
                return REQUEST_OK;
        }
}

/**
 * attach_check() - answer a request whose wish has come true or cannot
 * @m: the manager; the plan has run
 * @r: the request; consumed if it was answered
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be
 */
void attach_check(Manager *m, Request *r, uint64_t *wake_at_usec) {
        Attachment *a = attachment_set_get(&m->world.attachments, r->attachment);
        RequestError error;

        if (!a) {
                request_finish(m, r, REQUEST_E_STALE, "the attachment was taken back before it was made");
                return;
        }

        if (a->on_device) {
                const RequestAnswer ok = { .attachment = a };

                if (a->device_uid == r->subject.uid)
                        r->done(&ok, r->userdata);
                else
                        request_answer(r, REQUEST_E_STALE, "the device changed while it was attached; look at the attachment");
                request_free(m, r);
                return;
        }

        error = a->job && a->state != ATTACHMENT_STUCK ? REQUEST_OK : state_to_error(a);

        if (error == REQUEST_OK && manager_now(m).monotonic_usec < r->give_up_at_usec) {
                if (!*wake_at_usec || r->give_up_at_usec < *wake_at_usec)
                        *wake_at_usec = r->give_up_at_usec;
                return;
        }

        if (error == REQUEST_OK) {
                if (a->job) {
                        request_finish(m, r, REQUEST_E_TIMED_OUT, "the device has not answered yet: whether it is attached"
                                       " will be seen in the attachment's state");
                        return;
                }
                error = a->last_outcome == JOB_LOCKED ? REQUEST_E_LOCKED : REQUEST_E_TIMED_OUT;
        }

        /* who is told that it failed relies on the hold: it is there again before, on disk too */
        if (r->was_held) {
                a->held = true;
                manager_save(m, a);
                manager_schedule(m);
        }

        request_answer(r, error, a->reason);

        /* nobody wanted it before, and it was never on: what a detach that went wrong left is not forgotten */
        if (r->created && a->source == ATTACHMENT_SOURCE_RUNTIME && !a->job && !a->has_fingerprint)
                manager_remove_attachment(m, a);
        request_free(m, r);
}
