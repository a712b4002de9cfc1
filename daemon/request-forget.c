/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* FORGET: what was asked for at run time counts no more. The kernel is not asked: the filter is on no device. */

#include <stdio.h>

#include "daemon/log.h"
#include "daemon/request.h"
#include "daemon/text.h"

/* The device that an attachment means, if there is just one. */
static Device find_meant(Manager *m, const Attachment *a) {
        Holders holders;

        world_find_holders(&m->world, a->match, a->chosen_uid, &holders);
        if (holders.wanted.disk)
                return holder_device(&holders.wanted);

        return holders.n_items == 1 ? holder_device(&holders.items[0]) : (Device) { 0 };
}

static bool drop_hold(Manager *m, Attachment *a) {
        if (!a->held || a->hold_job)
                return false;

        a->held = false;
        world_touch_rivals(&m->world, a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);
        return true;
}

/* A detach held off all that want the filter there, by whatever name: one word, which is taken back as one. */
static bool drop_holds(Manager *m, Attachment *a) {
        Device d = find_meant(m, a);
        bool any = drop_hold(m, a);
        Attachment *b;
        Claimants c;
        Facts f;

        if (!d.disk)
                return any;

        device_facts(d, &f);
        claimants_init(&c, &m->world, &f);
        while ((b = claimants_next(&c)))
                if (str_equal(b->filter, a->filter) && match_facts(b->match, &f))
                        any |= drop_hold(m, b);

        return any;
}

/* A detach that did not answer in time, on a disk that has gone since: nothing of it can matter any more. */
static void forget_stuck_detach(Manager *m, Attachment *a) {
        const DeviceSet *s = &m->world.devices;

        if (!a->hold_job)
                return;

        for (size_t i = 0; i < s->n_disks; i++)
                if (s->disks[i]->job == a->hold_job)
                        return;

        for (const Request *r = m->requests; r; r = r->next)
                if (r->job == a->hold_job && !r->answered)
                        return;

        a->hold_job = 0;
}

/* Why it cannot be forgotten now; REQUEST_OK if it can. */
static RequestError judge(const Attachment *a, char *ret_message, size_t size) {
        if (a->on_device) {
                (void) snprintf(ret_message, size, "the filter is on /dev/%s; detach it first", a->device);
                return REQUEST_E_ATTACHED;
        }

        if (a->job_is_stuck) {
                (void) snprintf(ret_message, size, "the device does not answer, so it is not known whether the filter"
                                " is on it; see the kernel's log");
                return REQUEST_E_STUCK;
        }

        if (a->job || a->hold_job || a->noted_object || a->left_object) {
                (void) snprintf(ret_message, size, "the filter may be on a device, which is being found out; look at"
                                " the attachment's state, and ask again");
                return REQUEST_E_ATTACHED;
        }

        return REQUEST_OK;
}

/**
 * manager_forget() - an administrator takes back what was asked for at run time
 * @m: the manager
 * @id: of the attachment; any content
 * @done: called once: when it is so, and what others see is current; or why it is not
 * @userdata: for @done
 *
 * The filter is on no device, and stays off. An attachment that was made at run time, or whose policy is gone,
 * is removed with its record. Of one that a policy wants the hold ends, and so do those of all others that hold
 * the filter off the same device, if that is there: the policy is in force again. That it was asked for
 * at run time too is forgotten: it goes with its policy.
 *
 * Errors: REQUEST_E_NO_ATTACHMENT; REQUEST_E_ATTACHED (the filter is on a device, or may be); REQUEST_E_STUCK;
 * REQUEST_E_WANTED (a policy wants it, and nothing was asked for at run time); those of request_new().
 */
void manager_forget(Manager *m, const char *id, RequestDone done, void *userdata) {
        Attachment *a = attachment_set_get(&m->world.attachments, id);
        const RequestAnswer none = {
                .error = REQUEST_E_NO_ATTACHMENT,
                .message = "there is no such attachment any more",
        };
        char message[512];
        RequestError error;
        bool any;
        Request *r;

        if (!a) {
                done(&none, userdata);
                return;
        }

        /* no job of its own: nothing but the answer is left to do, when the plan has run */
        r = request_new(m, JOB_DETACH, &(Subject) { 0 }, a->filter, done, userdata);
        if (!r)
                return;

        forget_stuck_detach(m, a);
        error = judge(a, message, sizeof(message));
        if (error != REQUEST_OK) {
                request_finish(m, r, error, message);
                return;
        }

        if (a->source == ATTACHMENT_SOURCE_RUNTIME || a->orphaned) {
                log_line(LOG_NOTICE, "%s: forgotten as an administrator asked", a->id);

                /* wanted by nobody and on nothing: it is removed when it is told */
                a->held = a->asked = a->asked_now = false;
                a->orphaned = true;
                world_touch_rivals(&m->world, a);
                attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);
        } else {
                any = drop_holds(m, a) || a->asked;

                if (!any) {
                        (void) snprintf(message, sizeof(message), "the policy %s wants it, and nothing else does; to"
                                        " be rid of it remove that file and reload", a->policy_path ?: "");
                        request_finish(m, r, REQUEST_E_WANTED, message);
                        return;
                }

                log_line(LOG_NOTICE, "%s: what was asked for at run time is forgotten as an administrator asked; its"
                         " policy is in force", a->id);
                if (a->asked)
                        attachment_changed(a, ATTACHMENT_CHANGED_RECORD);
                a->asked = false;
        }

        request_end(r, REQUEST_OK, NULL);
        manager_schedule(m);
}
