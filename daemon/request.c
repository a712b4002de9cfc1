/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What callers on the bus ask for. ATTACH states a wish and waits for what the plan makes of it; DETACH and CTL are
 * jobs of their own, begun when their disk is free; FORGET is done at once, and waits for others to see it. Each is
 * answered once.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/reason.h"
#include "daemon/request.h"
#include "daemon/resolve.h"
#include "daemon/text.h"

#define REQUESTS_MAX 256

/* D-Bus clients give up after 25 s as a rule; ours is the better answer. */
#define REQUEST_WAIT_USEC UINT64_C(20000000)

/**
 * request_free() - forget a request
 * @m: the manager
 * @r: the request; consumed. Nobody is answered
 */
void request_free(Manager *m, Request *r) {
        for (Request **p = &m->requests; *p; p = &(*p)->next)
                if (*p == r) {
                        *p = r->next;
                        m->n_requests--;
                        break;
                }

        if (r->memfd >= 0)
                close(r->memfd);
        free(r->buffers);
        free(r->offsets);
        free(r->message);
        free(r);
}

/**
 * request_answer() - answer a request, unless it has been
 * @r: the request; it lives on until its job has ended
 * @error: how it ended
 * @message: a sentence; NULL if REQUEST_OK
 */
void request_answer(Request *r, RequestError error, const char *message) {
        const RequestAnswer a = { .error = error, .message = message };

        if (!r->answered)
                r->done(&a, r->userdata);
        r->answered = true;
}

/**
 * request_end() - note how a request ended; the answer is given when the plan has run
 * @r: the request
 * @error: how it ended
 * @message: a sentence, copied; NULL if REQUEST_OK
 */
void request_end(Request *r, RequestError error, const char *message) {
        r->ended = true;
        r->error = error;
        r->message = message ? strdup(message) : NULL;
}

static void refuse(RequestDone done, void *userdata, RequestError error, const char *message) {
        const RequestAnswer a = { .error = error, .message = message };

        done(&a, userdata);
}

/**
 * request_finish() - answer a request and forget it
 * @m: the manager
 * @r: the request; consumed
 * @error: how it ended
 * @message: a sentence; NULL if REQUEST_OK
 */
void request_finish(Manager *m, Request *r, RequestError error, const char *message) {
        request_answer(r, error, message);
        request_free(m, r);
}

/**
 * request_new() - take a request in
 * @m: the manager
 * @kind: JOB_ATTACH, JOB_DETACH or JOB_CTL
 * @subject: copied
 * @filter: any content; checked here
 * @done: called once
 * @userdata: for @done
 *
 * Return: the request, owned by the manager's list; NULL if it was refused: @done was called.
 */
Request *request_new(Manager *m, JobKind kind, const Subject *subject, const char *filter, RequestDone done,
                            void *userdata) {
        Request *r, **p;

        if (!filter_name_is_valid(filter)) {
                refuse(done, userdata, REQUEST_E_INVALID,
                       "a filter's name has 1 to 31 letters, digits, \"_\" and \"-\"");
                return NULL;
        }

        if (m->n_requests >= REQUESTS_MAX) {
                refuse(done, userdata, REQUEST_E_LIMIT, "too many requests are under way; try again later");
                return NULL;
        }

        r = calloc(1, sizeof(*r));
        if (!r) {
                refuse(done, userdata, REQUEST_E_FAILED, "there is no memory for the request");
                return NULL;
        }

        r->kind = kind;
        r->subject = *subject;
        r->done = done;
        r->userdata = userdata;
        r->memfd = -EBADF;
        r->give_up_at_usec = manager_now(m).monotonic_usec + REQUEST_WAIT_USEC;
        (void) str_copy(r->filter, sizeof(r->filter), filter);

        for (p = &m->requests; *p; p = &(*p)->next)
                ;
        *p = r;
        m->n_requests++;
        return r;
}

/**
 * request_device() - the device that was meant, if it is still the same
 * @m: the manager
 * @r: the request; answered and consumed if not
 *
 * Return: borrowed until the next event; its disk is NULL if the request is gone.
 */
Device request_device(Manager *m, Request *r) {
        Device d = device_set_get_by_uid(&m->world.devices, r->subject.uid);

        if (!d.disk) {
                request_finish(m, r, REQUEST_E_STALE,
                               "the device went away, or was read again, since it was named; ask again");
                return (Device) { 0 };
        }

        if (m->world.interface == KERNEL_INTERFACE_NONE) {
                request_finish(m, r, REQUEST_E_UNSUPPORTED, REASON_NO_FILTERS);
                return (Device) { 0 };
        }

        if (device_ignored(d)) {
                char message[256];

                (void) snprintf(message, sizeof(message),
                                "/dev/%s is left alone: %s; name the device that it is a part of", device_name(d),
                                device_ignored(d));
                request_finish(m, r, REQUEST_E_INVALID, message);
                return (Device) { 0 };
        }

        return d;
}

/* What a device is recognised by, as a line. Too long a label is cut: it is shown and compared, not parsed. */
static void describe(const Facts *f, char *ret, size_t size) {
        Term terms[3];
        size_t n = 0;
        char *s = NULL;
        MatchKey pin;
        Match *m;

        ret[0] = 0;

        if (facts_find_pin(f, &pin))
                terms[n++] = (Term) { .key = pin, .value = f->values[pin] };
        if (f->values[MATCH_PART_LABEL] && f->values[MATCH_PART_LABEL][0])
                terms[n++] = (Term) { .key = MATCH_PART_LABEL, .value = f->values[MATCH_PART_LABEL] };

        if (match_new(terms, n, &m) < 0)
                return;

        if (match_to_string(m, &s) >= 0)
                (void) snprintf(ret, size, "%s", s);

        free(s);
        match_unref(m);
}

/**
 * manager_resolve() - what a caller's device argument stands for
 * @m: the manager
 * @device: as of resolve_device()
 * @ret: written only on success
 * @ret_message: on failure a sentence, owned by the caller; NULL if there is no memory for it
 *
 * Return: as of resolve_device().
 */
RequestError manager_resolve(Manager *m, const char *device, Subject *ret, char **ret_message) {
        RequestError error;
        Facts f;
        Device d;

        *ret_message = NULL;
        error = resolve_device(&m->world.devices, device, &d, ret_message);
        if (error != REQUEST_OK)
                return error;

        *ret = (Subject) { .uid = device_uid(d) };
        (void) str_copy(ret->device, sizeof(ret->device), device_name(d));
        (void) str_copy(ret->disk, sizeof(ret->disk), d.disk->name);
        device_facts(d, &f);
        describe(&f, ret->identity, sizeof(ret->identity));
        return REQUEST_OK;
}

/**
 * manager_find_attachment() - the attachment that a device has, or would have
 * @m: the manager
 * @subject: from manager_resolve()
 *
 * Return: borrowed until the event loop goes on; NULL if there is none.
 */
const Attachment *manager_find_attachment(Manager *m, const Subject *subject) {
        Device d = device_set_get_by_uid(&m->world.devices, subject->uid);

        return d.disk ? world_find_attachment(&m->world, NULL, d) : NULL;
}

/**
 * manager_explain() - what the policies make of a device
 * @m: the manager
 * @device: as of resolve_device()
 * @ret: written only on success; explanation_deinit() before the event loop goes on
 * @ret_message: on failure a sentence, owned by the caller; NULL if there is no memory for it
 *
 * Return: as of resolve_device(); or REQUEST_E_FAILED if there is no memory.
 */
RequestError manager_explain(Manager *m, const char *device, Explanation *ret, char **ret_message) {
        RequestError error;
        Device d;

        *ret_message = NULL;
        error = resolve_device(&m->world.devices, device, &d, ret_message);
        if (error == REQUEST_OK && world_explain(&m->world, m->policies, d, ret) < 0)
                error = REQUEST_E_FAILED;

        return error;
}

/**
 * requests_begin_jobs() - begin what waited for its disk
 * @m: the manager
 */
void requests_begin_jobs(Manager *m) {
        for (Request *r = m->requests, *next; r; r = next) {
                JobRequest job;
                Device d;
                int memfd;

                next = r->next;
                if (r->kind == JOB_ATTACH || r->job || r->ended)
                        continue;

                d = request_device(m, r);
                if (!d.disk || (d.disk->job && !d.disk->stuck))
                        continue;

                if (d.disk->stuck) {
                        request_finish(m, r, REQUEST_E_STUCK,
                                       "the disk does not answer an earlier job; see the kernel's log");
                        continue;
                }

                if (m->world.interface == KERNEL_INTERFACE_UNKNOWN)
                        continue;

                world_fill_request(&m->world, d, r->kind, &job);
                job.cmd = r->cmd;
                job.payload_size = (uint32_t) r->payload_size;
                job.n_buffers = (uint32_t) r->n_buffers;
                job.seal = r->as_memfd;
                (void) str_copy(job.filter, sizeof(job.filter), r->filter);

                r->job = job.id;
                disk_begin_job(d.disk, job.id);
                if (r->kind == JOB_DETACH)
                        detach_begin(m, r, d);
                memfd = r->memfd;
                r->memfd = -EBADF;
                manager_submit(m, &job, memfd);
        }
}

/**
 * requests_job_done() - take in the reply to a job that a request began
 * @m: the manager
 * @request: the job
 * @reply: what came back
 * @memfd: of the job; borrowed
 */
void requests_job_done(Manager *m, const JobRequest *request, const JobReply *reply, int memfd) {
        for (Request *r = m->requests; r; r = r->next) {
                if (r->job != request->id)
                        continue;

                if (reply->outcome == JOB_TIMED_OUT) {
                        request_answer(r, REQUEST_E_TIMED_OUT,
                                       "the device does not answer: whether it was done is unknown; see the"
                                       " kernel's log");
                        return;
                }

                if (r->kind == JOB_DETACH)
                        detach_done(m, r, reply);
                else {
                        ctl_done(m, r, reply, memfd);
                        request_free(m, r);
                }
                return;
        }
}

/**
 * requests_check() - answer those whose wish has come true or cannot
 * @m: the manager; the plan has run
 * @wake_at_usec: when the manager runs again, monotonic; brought forward if need be
 */
void requests_check(Manager *m, uint64_t *wake_at_usec) {
        for (Request *r = m->requests, *next; r; r = next) {
                next = r->next;
                if (r->kind == JOB_ATTACH)
                        attach_check(m, r, wake_at_usec);
                else if (r->ended)
                        request_finish(m, r, r->error, r->message);
                else if (!r->job && manager_now(m).monotonic_usec >= r->give_up_at_usec)
                        request_finish(m, r, REQUEST_E_TIMED_OUT, "nothing was done: the disk was busy all the time, or"
                                       " the kernel has not said yet whether it has filters; try again");
                else if (!r->job)
                        manager_wake(wake_at_usec, r->give_up_at_usec);
        }
}

static void ignore_answer(const RequestAnswer *answer, void *userdata) {
        (void) answer;
        (void) userdata;
}

/**
 * manager_request_forget() - the caller is gone: nobody is to be answered any more
 * @m: the manager
 * @userdata: as given with the request
 *
 * What was asked for is carried out all the same.
 */
void manager_request_forget(Manager *m, void *userdata) {
        for (Request *r = m->requests; r; r = r->next)
                if (r->userdata == userdata) {
                        r->done = ignore_answer;
                        r->userdata = NULL;
                }
}

/**
 * requests_free() - the daemon stops: answer all that still wait
 * @m: the manager
 */
void requests_free(Manager *m) {
        while (m->requests)
                request_finish(m, m->requests, REQUEST_E_FAILED, "the daemon is stopping; ask again when it is back");
}
