/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ATTACH: a wish, kept as an attachment; the plan makes it true, and the caller waits for that. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/reason.h"
#include "daemon/request.h"
#include "daemon/text.h"

/* Of all kinds; a policy may still make more. */
#define ATTACHMENTS_MAX 4096

/* The attachment that a caller wishes for: one that is there, or a new one. */
static RequestError wish(Manager *m, Request *r, Device d, Attachment **ret) {
        Attachment *a = world_find_attachment(&m->world, r->filter, d);
        Match *match;
        MatchKey pin;
        Facts f;
        int error;

        if (a) {
                *ret = a;
                return REQUEST_OK;
        }

        device_facts(d, &f);
        if (!facts_find_pin(&f, &pin))
                return REQUEST_E_NO_IDENTITY;

        if (m->world.attachments.n_items >= ATTACHMENTS_MAX)
                return REQUEST_E_LIMIT;

        if (match_new_one(pin, f.values[pin], &match) < 0)
                return REQUEST_E_FAILED;

        error = attachment_new(r->filter, match, ATTACHMENT_SOURCE_RUNTIME, &a);
        match_unref(match);
        if (error < 0)
                return REQUEST_E_FAILED;

        if (world_add_attachment(&m->world, a) < 0) {
                attachment_free(a);
                return REQUEST_E_FAILED;
        }

        r->created = true;
        *ret = a;
        return REQUEST_OK;
}

static void refuse_wish(Manager *m, Request *r, RequestError error) {
        switch (error) {

        case REQUEST_E_NO_IDENTITY:
                request_finish(m, r, error, "the device has nothing to recognise it by when it comes back; give it a"
                               " partition table with UUIDs (GPT, or MBR with a disk id)");
                break;

        case REQUEST_E_LIMIT:
                request_finish(m, r, error, "there are too many attachments already; detach some that nobody needs");
                break;

        default:
                request_finish(m, r, error, "there is no memory for another attachment");
        }
}

/* An administrator's word: nothing of what held it off before counts any more. */
static void attachment_ask(Manager *m, Attachment *a, const AttachOptions *options, Device d) {
        if (a->held || a->orphaned)
                attachment_changed(a, ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_STATE);

        a->held = false;
        if (d.disk->job != a->hold_job) /* a detach that never ended, of a device that went */
                a->hold_job = 0;
        if (a->orphaned)
                attachment_leave_policy(a);

        /* an old failure is no answer to a new wish */
        if (!a->on_device && !a->job)
                attachment_set_state(a, ATTACHMENT_WAITING, reason_plain("an administrator asked for it"));

        a->asked_now = !a->on_device;
        a->chosen_uid = options->choose ? device_uid(d) : 0;
        a->retry_at_usec = 0;
        world_touch_rivals(&m->world, a);
}

/**
 * manager_attach() - an administrator wants a filter on a device, from now on
 * @m: the manager
 * @subject: from manager_resolve()
 * @filter: its name, any content
 * @options: what else is wanted; copied
 * @done: called once: when it is attached, or why it is not
 * @userdata: for @done
 *
 * A hold on it is dropped. If the filter cannot be attached, what was not wanted before is not
 * wanted afterwards either.
 */
void manager_attach(Manager *m, const Subject *subject, const char *filter, const AttachOptions *options,
                    RequestDone done, void *userdata) {
        Attachment *a = NULL;
        RequestError error;
        Request *r;
        Device d;

        r = request_new(m, JOB_ATTACH, subject, filter, done, userdata);
        if (!r)
                return;

        d = request_device(m, r);
        if (!d.disk)
                return;

        error = wish(m, r, d, &a);
        if (error != REQUEST_OK) {
                refuse_wish(m, r, error);
                return;
        }

        if (a->on_device && a->device_uid != device_uid(d)) {
                request_finish(m, r, REQUEST_E_AMBIGUOUS, "another device with the same identity has the filter; give"
                               " this one another UUID first (sfdisk --part-uuid)");
                return;
        }

        r->was_held = a->held;
        r->persistent = options->persistent;
        attachment_ask(m, a, options, d);
        (void) str_copy(r->attachment, sizeof(r->attachment), a->id);
        manager_schedule(m);
}

/* Writes the policy that wants the same, and puts it in force; the attachment is its then. */
static int make_persistent(Manager *m, const Attachment *a) {
        char name[ATTACHMENT_ID_SIZE + 8], *path = NULL;
        Policy policy = { .name = name, .match = a->match, .settings = a->settings };
        int r;

        (void) snprintf(name, sizeof(name), "50-%s.conf", a->id);
        (void) str_copy(policy.filter, sizeof(policy.filter), a->filter);

        r = m->ops.save_policy(&policy, &path, m->ops.outside);
        if (r < 0)
                return r;

        log_line(LOG_NOTICE, "%s: %s written, so that it is attached after the next boot too", a->id, path);
        free(path);
        r = manager_reload(m);
        return r < 0 ? r : a->source == ATTACHMENT_SOURCE_POLICY ? 0 : -ENOEXEC;
}

/* Why it is not for good, and the next step. */
static void say_not_persistent(const Attachment *a, int error, char ret[static 512]) {
        if (error == -ENOEXEC)
                (void) snprintf(ret, 512, "the filter is on, and a policy for it was written, 50-%s.conf, but is not in"
                                " force: see ConfigErrors, or blkfilterctl verify", a->id);
        else if (error == -EEXIST)
                (void) snprintf(ret, 512, "the filter is on, but no policy could be written for it: there is a file"
                                " 50-%s.conf in /etc/blkfilter.d; remove it and attach again, or write the policy with"
                                " another name; until the next boot it comes back by itself", a->id);
        else
                (void) snprintf(ret, 512, "the filter is on, but no policy could be written for it: %s; until the next"
                                " boot it comes back by itself", error == -EINVAL ?
                                "no file can say what it is recognised by" : strerror(-error));
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

/* A detach held off all that want the filter there, by whatever name; so an attach ends the hold of all. */
static void drop_holds(Manager *m, const Attachment *a) {
        Device d = device_set_get_by_uid(&m->world.devices, a->device_uid);
        Attachment *b;
        Claimants c;
        Facts f;

        if (!d.disk)
                return;

        device_facts(d, &f);
        claimants_init(&c, &m->world, &f);
        while ((b = claimants_next(&c))) {
                if (!b->held || b->hold_job || !str_equal(b->filter, a->filter) || !match_facts(b->match, &f))
                        continue;

                b->held = false;
                attachment_touch(b);
                attachment_changed(b, ATTACHMENT_CHANGED_STATE);
                manager_save(m, b);
                manager_schedule(m);
        }
}

static void attach_answer(Manager *m, Request *r, const Attachment *a) {
        const RequestAnswer ok = { .attachment = a };
        char message[512];
        int error = 0;

        if (a->device_uid != r->subject.uid) {
                request_finish(m, r, REQUEST_E_STALE,
                               "the device changed while it was attached; look at the attachment");
                return;
        }

        drop_holds(m, a);

        if (r->persistent && a->source == ATTACHMENT_SOURCE_RUNTIME)
                error = make_persistent(m, a);

        if (error < 0) {
                say_not_persistent(a, error, message);
                request_finish(m, r, REQUEST_E_FAILED, message);
                return;
        }

        r->done(&ok, r->userdata);
        request_free(m, r);
}

/**
 * attachment_take_back() - forget a wish of run time
 * @m: the manager
 * @a: the attachment, on no device as far as is known; consumed, unless its filter may be on one: then it is nobody's
 *     wish any more, the filter is taken off, and the attachment goes after that
 */
void attachment_take_back(Manager *m, Attachment *a) {
        if (!a->noted_object && !a->left_object) {
                manager_remove_attachment(m, a);
                return;
        }

        if (a->noted_object)
                attachment_leave(a, a->noted_object);
        a->noted_object = 0;
        a->asked = a->held = false;
        a->orphaned = true;
        world_touch_rivals(&m->world, a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD);
        manager_schedule(m);
}

/**
 * attach_check() - answer a request whose wish has come true or cannot
 * @m: the manager; the plan has run
 * @r: the request; consumed if it was answered
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be
 */
void attach_check(Manager *m, Request *r, uint64_t *wake_at_usec) {
        Attachment *a = attachment_set_get(&m->world.attachments, r->attachment);
        char reason[ATTACHMENT_REASON_SIZE];
        RequestError error;

        if (!a) {
                request_finish(m, r, REQUEST_E_STALE, "the attachment was taken back before it was made");
                return;
        }

        if (a->on_device) {
                attach_answer(m, r, a);
                return;
        }

        error = a->job && a->state != ATTACHMENT_STUCK ? REQUEST_OK : state_to_error(a);

        if (error == REQUEST_OK && manager_now(m).monotonic_usec < r->give_up_at_usec) {
                manager_wake(wake_at_usec, r->give_up_at_usec);
                return;
        }

        if (error == REQUEST_OK) {
                if (a->job) {
                        request_finish(m, r, REQUEST_E_TIMED_OUT, "the device has not answered yet: whether it is"
                                       " attached will be seen in the attachment's state");
                        return;
                }
                error = a->last_outcome == JOB_LOCKED ? REQUEST_E_LOCKED : REQUEST_E_TIMED_OUT;
        }

        /* who is told that it failed relies on the hold: it is there again before, on disk too */
        a->asked_now = false;
        a->chosen_uid = 0;
        world_touch_rivals(&m->world, a);
        manager_schedule(m);
        if (r->was_held) {
                a->held = true;
                manager_save(m, a);
        }

        request_answer(r, error, attachment_get_reason(a, reason));

        /* nobody wanted it before, and it was never on: what a detach that went wrong left is not forgotten */
        if (r->created && a->source == ATTACHMENT_SOURCE_RUNTIME && !a->job && !a->has_fingerprint)
                attachment_take_back(m, a); /* a worker that died may have attached before */
        request_free(m, r);
}
