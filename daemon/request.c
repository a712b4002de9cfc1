/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What callers on the bus ask for. ATTACH states a wish and waits for what the plan makes of it;
 * DETACH and CTL are jobs of their own, begun when their disk is free. Each is answered once.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"
#include "daemon/reason.h"
#include "daemon/resolve.h"
#include "daemon/text.h"

/* D-Bus clients give up after 25 s as a rule; ours is the better answer. */
#define ATTACH_WAIT_USEC UINT64_C(20000000)
#define REQUESTS_MAX 256

struct Request {
        Request *next;
        JobKind kind;
        Subject subject;
        char filter[FILTER_NAME_SIZE];
        RequestDone done;
        void *userdata;

        char attachment[ATTACHMENT_ID_SIZE]; /* ATTACH, DETACH: the one it is about; "" none */
        bool created;                        /* ATTACH: it was made for this request */
        uint64_t give_up_at_usec;            /* ATTACH: monotonic */
        sd_event_source *timer;              /* ATTACH */

        uint64_t job;                        /* DETACH, CTL: id of the job under way; 0 not begun */
        bool answered;                       /* the caller has an answer; the job goes on */
        bool was_held;                       /* DETACH: before it was asked for */
        uint32_t cmd;
        size_t payload_size;
        size_t n_buffers;
        RequestBuffer *buffers;              /* as asked; data unused */
        uint64_t *offsets;                   /* of each buffer in the memfd */
        size_t memfd_size;
        int memfd;                           /* CTL, until the job begins; -EBADF */
};

static void request_free(Manager *m, Request *r) {
        for (Request **p = &m->requests; *p; p = &(*p)->next)
                if (*p == r) {
                        *p = r->next;
                        m->n_requests--;
                        break;
                }

        sd_event_source_disable_unref(r->timer);
        if (r->memfd >= 0)
                close(r->memfd);
        free(r->buffers);
        free(r->offsets);
        free(r);
}

static void answer(Request *r, RequestError error, const char *message) {
        const RequestAnswer a = { .error = error, .message = message };

        if (!r->answered)
                r->done(&a, r->userdata);
        r->answered = true;
}

static void refuse(RequestDone done, void *userdata, RequestError error, const char *message) {
        const RequestAnswer a = { .error = error, .message = message };

        done(&a, userdata);
}

/* Answers and forgets a request that ended well or whose sentence is at hand. */
static void finish(Manager *m, Request *r, RequestError error, const char *message) {
        answer(r, error, message);
        request_free(m, r);
}

static Request *request_new(Manager *m, JobKind kind, const Subject *subject, const char *filter, RequestDone done,
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
        (void) str_copy(r->filter, sizeof(r->filter), filter);

        for (p = &m->requests; *p; p = &(*p)->next)
                ;
        *p = r;
        m->n_requests++;
        return r;
}

/* The partition that was meant, if it is still the same; else the request is answered and gone. */
static Partition *request_partition(Manager *m, Request *r) {
        Partition *p = device_set_get_partition_by_uid(&m->world.devices, r->subject.uid);

        if (!p) {
                finish(m, r, REQUEST_E_STALE, "the device went away, or was read again, since it was named; ask again");
                return NULL;
        }

        if (m->world.interface == KERNEL_INTERFACE_NONE) {
                finish(m, r, REQUEST_E_UNSUPPORTED, "this kernel has no block device filters; boot one that has");
                return NULL;
        }

        return p;
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
        const Entry *e;
        Partition *p;

        *ret_message = NULL;
        error = resolve_device(&m->world.devices, device, &p, ret_message);
        if (error != REQUEST_OK)
                return error;

        *ret = (Subject) { .uid = p->uid };
        (void) str_copy(ret->device, sizeof(ret->device), p->name);
        (void) str_copy(ret->disk, sizeof(ret->disk), p->disk->name);

        e = disk_get_entry(p->disk, p->partno);
        if (e) {
                memcpy(ret->identity.part_uuid, e->uuid, sizeof(e->uuid));
                memcpy(ret->identity.part_label, e->label, sizeof(e->label));
        }

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
        const Partition *p = device_set_get_partition_by_uid(&m->world.devices, subject->uid);

        return p ? world_find_attachment(&m->world, NULL, p) : NULL;
}

static int on_give_up(sd_event_source *s, uint64_t usec, void *userdata) {
        (void) s;
        (void) usec;

        manager_schedule(userdata);
        return 0;
}

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
                finish(m, r, error, "the partition has no UUID, so it could not be recognised when it comes back; give it"
                       " a partition table with UUIDs (GPT, or MBR with a disk id)");
                return;
        }
        if (error != REQUEST_OK) {
                finish(m, r, error, "there is no memory for another attachment");
                return;
        }

        if (a->on_device && a->device_uid != p->uid) {
                finish(m, r, REQUEST_E_AMBIGUOUS, "another partition with the same identity has the filter; give this one"
                       " another UUID first (sfdisk --part-uuid)");
                return;
        }

        if (a->held || a->orphaned) {
                a->held = false;
                a->changed |= ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_STATE;
        }

        if (a->orphaned) {
                a->orphaned = false;
                a->source = ATTACHMENT_SOURCE_RUNTIME;
                a->rank = 0;
                free(a->policy_path);
                a->policy_path = NULL;
        }

        /* an old failure is no answer to a new wish */
        if (!a->on_device && !a->job)
                attachment_set_state(a, ATTACHMENT_WAITING, reason_plain("an administrator asked for it"));

        a->retry_at_usec = 0;
        (void) str_copy(r->attachment, sizeof(r->attachment), a->id);

        r->give_up_at_usec = manager_now().monotonic_usec + ATTACH_WAIT_USEC;
        if (sd_event_add_time(m->event, &r->timer, CLOCK_MONOTONIC, r->give_up_at_usec, 0, on_give_up, m) < 0)
                log_line(LOG_ERR, "no timer for a request: it is answered at the next event");

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

static void attach_check(Manager *m, Request *r) {
        Attachment *a = attachment_set_get(&m->world.attachments, r->attachment);
        RequestError error;

        if (!a) {
                finish(m, r, REQUEST_E_STALE, "the attachment was taken back before it was made");
                return;
        }

        if (a->on_device) {
                const RequestAnswer ok = { .attachment = a };

                if (a->device_uid == r->subject.uid)
                        r->done(&ok, r->userdata);
                else
                        answer(r, REQUEST_E_STALE, "the device changed while it was attached; look at the attachment");
                request_free(m, r);
                return;
        }

        if (a->job && a->state != ATTACHMENT_STUCK)
                return;

        error = state_to_error(a);
        if (error == REQUEST_OK) {
                if (manager_now().monotonic_usec < r->give_up_at_usec)
                        return;
                error = a->last_outcome == JOB_LOCKED ? REQUEST_E_LOCKED : REQUEST_E_TIMED_OUT;
        }

        answer(r, error, a->reason);

        /* nobody wanted it before, and nobody has it now */
        if (r->created && !a->job)
                manager_remove_attachment(m, a);
        request_free(m, r);
}

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

static void detach_begin(Manager *m, Request *r, const Partition *p) {
        Attachment *a = world_find_attachment(&m->world, r->filter, p);

        if (!a)
                return;

        (void) str_copy(r->attachment, sizeof(r->attachment), a->id);
        r->was_held = a->held;
        a->held = true;
        a->changed |= ATTACHMENT_CHANGED_STATE;
        manager_save(m, a);
}

static void detach_done(Manager *m, Request *r, const JobReply *reply) {
        Attachment *a = r->attachment[0] ? attachment_set_get(&m->world.attachments, r->attachment) : NULL;
        Now now = manager_now();
        char message[JOB_MESSAGE_SIZE + 128];

        if (reply->outcome == JOB_OK || (reply->outcome == JOB_NOT_ATTACHED && a)) {
                if (a) {
                        attachment_lost(a, "detached", &now);
                        a->recorded_since_usec = 0;
                        a->changed |= ATTACHMENT_CHANGED_RECORD;
                        if (a->source == ATTACHMENT_SOURCE_RUNTIME)
                                manager_remove_attachment(m, a);
                }
                answer(r, REQUEST_OK, NULL);
                return;
        }

        if (a) {
                a->held = r->was_held;
                a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD;
        }

        switch (reply->outcome) {

        case JOB_NOT_ATTACHED:
                (void) snprintf(message, sizeof(message), "filter %s is not on /dev/%s", r->filter, r->subject.device);
                answer(r, REQUEST_E_NOT_ATTACHED, message);
                break;

        case JOB_CONFLICT:
                (void) snprintf(message, sizeof(message), "/dev/%s has another filter on it%s%s; name that one",
                                r->subject.device, reply->other_filter[0] ? ": " : "", reply->other_filter);
                answer(r, REQUEST_E_CONFLICT, message);
                break;

        case JOB_GONE:
                answer(r, REQUEST_E_STALE, "the device went away; nothing is on it any more");
                break;

        case JOB_LOCKED:
                answer(r, REQUEST_E_LOCKED, "another program holds the lock of the disk; try again when it is done");
                break;

        default:
                (void) snprintf(message, sizeof(message), "detaching failed: %s; see the kernel's log", reply->message);
                answer(r, REQUEST_E_FAILED, message);
        }
}

/* Lays payload, table and buffers out in a memfd, as job.h says. */
static int make_memfd(Request *r, const void *payload, const RequestBuffer *buffers) {
        size_t table = (r->payload_size + 7) & ~(size_t) 7;
        size_t at = table + r->n_buffers * sizeof(JobBuffer);

        r->memfd = memfd_create("blkfilter-ctl", MFD_CLOEXEC);
        if (r->memfd < 0)
                return -errno;

        if (r->payload_size > 0 && pwrite(r->memfd, payload, r->payload_size, 0) != (ssize_t) r->payload_size)
                return -EIO;

        for (size_t i = 0; i < r->n_buffers; i++) {
                const JobBuffer b = {
                        .payload_offset = buffers[i].payload_offset,
                        .size = buffers[i].size,
                        .memfd_offset = at,
                };

                if (pwrite(r->memfd, &b, sizeof(b), (off_t) (table + i * sizeof(b))) != (ssize_t) sizeof(b) ||
                    pwrite(r->memfd, buffers[i].data, b.size, (off_t) at) != (ssize_t) b.size)
                        return -EIO;

                r->buffers[i] = (RequestBuffer) { .payload_offset = b.payload_offset, .size = b.size };
                r->offsets[i] = at;
                at = (at + b.size + 7) & ~(size_t) 7;
        }

        r->memfd_size = at;
        return ftruncate(r->memfd, (off_t) at) < 0 ? -errno : 0;
}

/**
 * manager_ctl() - send one command to the filter on a partition
 * @m: the manager
 * @subject: from manager_resolve()
 * @filter: its name, any content
 * @cmd: the filter's command
 * @payload: @payload_size bytes; borrowed for the call
 * @payload_size: bytes; what the kernel leaves of them is the answer
 * @buffers: @n_buffers elements; each gets memory of its own, its address is written into the
 *           payload, 8 bytes at payload_offset, which lie within it
 * @n_buffers: may be 0
 * @done: called once, with what the kernel left, or why nothing was sent
 * @userdata: for @done
 */
void manager_ctl(Manager *m, const Subject *subject, const char *filter, uint32_t cmd, const void *payload,
                 size_t payload_size, const RequestBuffer *buffers, size_t n_buffers, RequestDone done, void *userdata) {
        Request *r = request_new(m, JOB_CTL, subject, filter, done, userdata);

        if (!r || !request_partition(m, r))
                return;

        r->cmd = cmd;
        r->payload_size = payload_size;
        r->n_buffers = n_buffers;
        r->buffers = calloc(n_buffers + 1, sizeof(*r->buffers));
        r->offsets = calloc(n_buffers + 1, sizeof(*r->offsets));

        if (!r->buffers || !r->offsets || make_memfd(r, payload, buffers) < 0) {
                finish(m, r, REQUEST_E_FAILED, "there is no memory for the command");
                return;
        }

        manager_schedule(m);
}

static void ctl_answer(Request *r, const JobReply *reply, int memfd) {
        RequestAnswer a = {
                .result = reply->outcome == JOB_OK ? 0 : -reply->error,
                .payload_size = r->payload_size,
                .buffers = r->buffers,
                .n_buffers = r->n_buffers,
        };
        uint8_t *map = NULL;

        if (r->answered)
                return;

        if (r->memfd_size > 0) {
                map = mmap(NULL, r->memfd_size, PROT_READ, MAP_SHARED, memfd, 0);
                if (map == MAP_FAILED) {
                        answer(r, REQUEST_E_FAILED, "there is no memory for the answer; the command was carried out");
                        return;
                }
        }

        a.payload = map;
        for (size_t i = 0; i < r->n_buffers; i++)
                r->buffers[i].data = map + r->offsets[i];

        r->done(&a, r->userdata);
        r->answered = true;

        if (map)
                (void) munmap(map, r->memfd_size);
}

static void ctl_done(Request *r, const JobReply *reply, int memfd) {
        char message[JOB_MESSAGE_SIZE + 128];

        switch (reply->outcome) {

        case JOB_OK:
                ctl_answer(r, reply, memfd);
                return;

        case JOB_FAILED:
                /* an errno that came from the filter itself is an answer, too */
                if (memfd >= 0 && reply->error > 0) {
                        ctl_answer(r, reply, memfd);
                        return;
                }
                (void) snprintf(message, sizeof(message), "the command was not sent: %s", reply->message);
                answer(r, REQUEST_E_FAILED, message);
                return;

        case JOB_NOT_ATTACHED:
                (void) snprintf(message, sizeof(message), "filter %s is not on /dev/%s; attach it first", r->filter,
                                r->subject.device);
                answer(r, REQUEST_E_NOT_ATTACHED, message);
                return;

        case JOB_NO_COMMAND:
                (void) snprintf(message, sizeof(message), "filter %s takes no commands", r->filter);
                answer(r, REQUEST_E_NO_COMMAND, message);
                return;

        case JOB_GONE:
                answer(r, REQUEST_E_STALE, "the device went away");
                return;

        case JOB_LOCKED:
                answer(r, REQUEST_E_LOCKED, "another program holds the lock of the disk; try again when it is done");
                return;

        case JOB_UNSUPPORTED:
                answer(r, REQUEST_E_UNSUPPORTED, "this kernel has no block device filters; boot one that has");
                return;

        default:
                (void) snprintf(message, sizeof(message), "the outcome of the command is unknown: %s", reply->message);
                answer(r, REQUEST_E_FAILED, message);
        }
}

/**
 * requests_begin_jobs() - begin what waited for its disk
 * @m: the manager
 */
void requests_begin_jobs(Manager *m) {
        for (Request *r = m->requests, *next; r; r = next) {
                JobRequest job;
                Partition *p;
                int memfd;

                next = r->next;
                if (r->kind == JOB_ATTACH || r->job)
                        continue;

                p = request_partition(m, r);
                if (!p || (p->disk->job && !p->disk->stuck))
                        continue;

                if (p->disk->stuck) {
                        finish(m, r, REQUEST_E_STUCK, "the disk does not answer an earlier job; see the kernel's log");
                        continue;
                }

                if (m->world.interface == KERNEL_INTERFACE_UNKNOWN)
                        continue;

                if (r->kind == JOB_DETACH)
                        detach_begin(m, r, p);

                world_fill_request(&m->world, p->disk, p, r->kind, &job);
                job.cmd = r->cmd;
                job.payload_size = (uint32_t) r->payload_size;
                job.n_buffers = (uint32_t) r->n_buffers;
                (void) str_copy(job.filter, sizeof(job.filter), r->filter);

                r->job = p->disk->job = job.id;
                p->disk->job_began_at = p->disk->n_events;
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
                        answer(r, REQUEST_E_TIMED_OUT, "the device does not answer: whether it was done is unknown; see the"
                               " kernel's log");
                        return;
                }

                if (r->kind == JOB_DETACH)
                        detach_done(m, r, reply);
                else
                        ctl_done(r, reply, memfd);

                request_free(m, r);
                return;
        }
}

/**
 * requests_check() - answer those whose wish has come true or cannot
 * @m: the manager; the plan has run
 */
void requests_check(Manager *m) {
        for (Request *r = m->requests, *next; r; r = next) {
                next = r->next;
                if (r->kind == JOB_ATTACH)
                        attach_check(m, r);
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
                finish(m, m->requests, REQUEST_E_FAILED, "the daemon is stopping; ask again when it is back");
}
