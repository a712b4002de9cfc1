/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CTL: one command for a filter, with its payload and buffers in a memfd. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/request.h"
#include "daemon/text.h"

/* A worker that was led astray must not make our reading of it a SIGBUS, nor that of whom it is given to. */
#define SEALS_SIZE (F_SEAL_SHRINK | F_SEAL_GROW)
#define SEALS_ALL (SEALS_SIZE | F_SEAL_WRITE | F_SEAL_SEAL)

/* Lays payload, table and buffers out in a memfd, as job.h says. */
static int make_memfd(Request *r, const RequestCommand *c) {
        size_t table = (r->payload_size + 7) & ~(size_t) 7;
        size_t at = table + r->n_buffers * sizeof(JobBuffer);

        r->memfd = memfd_create("blkfilter-ctl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (r->memfd < 0)
                return -errno;

        if (r->payload_size > 0 && pwrite(r->memfd, c->payload, r->payload_size, 0) != (ssize_t) r->payload_size)
                return -EIO;

        for (size_t i = 0; i < r->n_buffers; i++) {
                const JobBuffer b = {
                        .payload_offset = c->buffers[i].payload_offset,
                        .size = c->buffers[i].size,
                        .memfd_offset = at,
                };

                if (pwrite(r->memfd, &b, sizeof(b), (off_t) (table + i * sizeof(b))) != (ssize_t) sizeof(b))
                        return -EIO;
                if (c->buffers[i].data && pwrite(r->memfd, c->buffers[i].data, b.size, (off_t) at) != (ssize_t) b.size)
                        return -EIO;

                r->buffers[i] = (RequestBuffer) { .payload_offset = b.payload_offset, .size = b.size };
                r->offsets[i] = at;
                at = (at + b.size + 7) & ~(size_t) 7;
        }

        r->memfd_size = at;
        if (ftruncate(r->memfd, (off_t) at) < 0)
                return -errno;

        return fcntl(r->memfd, F_ADD_SEALS, SEALS_SIZE | (r->as_memfd ? 0 : F_SEAL_SEAL)) < 0 ? -errno : 0;
}

/**
 * manager_ctl() - send one command to the filter on a device
 * @m: the manager
 * @subject: from manager_resolve()
 * @filter: its name, any content
 * @command: borrowed for the call
 * @done: called once, with what the kernel left, or why nothing was sent
 * @userdata: for @done
 */
void manager_ctl(Manager *m, const Subject *subject, const char *filter, const RequestCommand *command,
                 RequestDone done, void *userdata) {
        Request *r = request_new(m, JOB_CTL, subject, filter, done, userdata);

        if (!r || !request_device(m, r).disk)
                return;

        r->cmd = command->command;
        r->payload_size = command->payload_size;
        r->n_buffers = command->n_buffers;
        r->as_memfd = command->as_memfd;
        r->buffers = calloc(r->n_buffers + 1, sizeof(*r->buffers));
        r->offsets = calloc(r->n_buffers + 1, sizeof(*r->offsets));

        if (!r->buffers || !r->offsets || make_memfd(r, command) < 0) {
                request_finish(m, r, REQUEST_E_FAILED, "there is no memory for the command");
                return;
        }

        manager_schedule(m);
}

/* The buffers stay where they are. Only the payload, which is small, is copied. */
static void answer_memfd(Request *r, RequestAnswer *a, int memfd) {
        uint8_t *payload = malloc(r->payload_size + 1);
        int seals = fcntl(memfd, F_GET_SEALS);

        if (!payload || pread(memfd, payload, r->payload_size, 0) != (ssize_t) r->payload_size || seals < 0 ||
            (seals & SEALS_ALL) != SEALS_ALL) {
                free(payload);
                request_answer(r, REQUEST_E_FAILED, "the command was carried out, but its answer is lost; send it again"
                                                    " if that does no harm");
                return;
        }

        a->payload = payload;
        a->memfd = memfd;
        a->memfd_offsets = r->offsets;
        r->done(a, r->userdata);
        r->answered = true;
        free(payload);
}

static void answer_copied(Request *r, RequestAnswer *a, int memfd) {
        uint8_t *map = NULL;

        if (r->memfd_size > 0) {
                map = mmap(NULL, r->memfd_size, PROT_READ, MAP_SHARED, memfd, 0);
                if (map == MAP_FAILED) {
                        request_answer(r, REQUEST_E_FAILED, "the command was carried out, but there is no memory for"
                                                            " its answer; send it again if that does no harm");
                        return;
                }
        }

        a->payload = map;
        for (size_t i = 0; i < r->n_buffers; i++)
                r->buffers[i].data = map + r->offsets[i];

        r->done(a, r->userdata);
        r->answered = true;

        if (map)
                (void) munmap(map, r->memfd_size);
}

static void ctl_answer(Request *r, const JobReply *reply, int memfd) {
        RequestAnswer a = {
                .result = reply->outcome == JOB_OK ? 0 : -reply->error,
                .payload_size = r->payload_size,
                .buffers = r->buffers,
                .n_buffers = r->n_buffers,
        };

        if (r->answered)
                return;

        if (r->as_memfd)
                answer_memfd(r, &a, memfd);
        else
                answer_copied(r, &a, memfd);
}

/* The filter may not be where it was, or the command itself answered so: the kernel is asked. */
static void doubt_filter(Manager *m, const Request *r) {
        for (size_t i = 0; i < m->world.attachments.n_items; i++) {
                Attachment *a = m->world.attachments.items[i];

                if (a->device_uid == r->subject.uid && str_equal(a->filter, r->filter)) {
                        a->check_due = true;
                        attachment_touch(a);
                }
        }
}

/**
 * ctl_done() - answer with what the kernel left
 * @m: the manager
 * @r: the request; stays with the caller
 * @reply: what the worker said
 * @memfd: payload and buffers, as job.h says; -EBADF if the job never reached a worker
 */
void ctl_done(Manager *m, Request *r, const JobReply *reply, int memfd) {
        char message[JOB_MESSAGE_SIZE + 128];

        switch (reply->outcome) {

        case JOB_OK:
                ctl_answer(r, reply, memfd);
                return;

        case JOB_FAILED:
                /* an errno that came from the filter itself is an answer, too */
                if (reply->sent && reply->error > 0) {
                        ctl_answer(r, reply, memfd);
                        return;
                }
                (void) snprintf(message, sizeof(message), "the command was not sent: %s; see the kernel's log",
                                reply->message);
                request_answer(r, REQUEST_E_FAILED, message);
                return;

        case JOB_NOT_ATTACHED:
                doubt_filter(m, r);
                (void) snprintf(message, sizeof(message), "filter %s is not on /dev/%s; attach it first", r->filter,
                                r->subject.device);
                request_answer(r, REQUEST_E_NOT_ATTACHED, message);
                return;

        case JOB_CONFLICT:
                doubt_filter(m, r);
                (void) snprintf(message, sizeof(message), "filter %s is not on /dev/%s, which has another one: %s",
                                r->filter, r->subject.device, reply->other_filter);
                request_answer(r, REQUEST_E_CONFLICT, message);
                return;

        case JOB_NO_COMMAND:
                (void) snprintf(message, sizeof(message),
                                "filter %s takes no commands; its documentation says what it can be asked", r->filter);
                request_answer(r, REQUEST_E_NO_COMMAND, message);
                return;

        case JOB_GONE:
                request_answer(r, REQUEST_E_STALE,
                               "the device went away before the command was sent; name it again when it is back");
                return;

        case JOB_LOCKED:
                request_answer(r, REQUEST_E_LOCKED,
                               "another program holds the lock of the disk; try again when it is done");
                return;

        case JOB_UNSUPPORTED:
                request_answer(r, REQUEST_E_UNSUPPORTED,
                               reply->message[0] ? reply->message :
                               "this kernel has no block device filters; boot one that has");
                return;

        default:
                (void) snprintf(message, sizeof(message), "the outcome of the command is unknown: %s", reply->message);
                request_answer(r, REQUEST_E_FAILED, message);
        }
}
