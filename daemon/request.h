/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files request*.c share: a request of a caller from its beginning to its answer. */

#include "daemon/manager-internal.h"

struct Request {
        Request *next;
        JobKind kind;
        Subject subject;
        char filter[FILTER_NAME_SIZE];
        RequestDone done;
        void *userdata;

        char attachment[ATTACHMENT_ID_SIZE]; /* ATTACH: the one it is about */
        bool created;                        /* ATTACH: it was made for this request */
        uint64_t give_up_at_usec;            /* monotonic: DETACH and CTL only until they are begun */

        uint64_t job;                        /* DETACH, CTL: id of the job under way; 0 not begun */
        bool ended;                          /* DETACH: its job; the answer follows the plan */
        RequestError error;                  /* DETACH, once ended */
        char *message;                       /* DETACH, once ended; NULL if REQUEST_OK */
        bool answered;                       /* the caller has an answer; the job goes on */
        bool was_held;                       /* ATTACH: before it was asked for */
        bool persistent;                     /* ATTACH: it becomes a policy */
        uint32_t cmd;
        size_t payload_size;
        size_t n_buffers;
        RequestBuffer *buffers;              /* as asked; data unused */
        uint64_t *offsets;                   /* of each buffer in the memfd */
        size_t memfd_size;
        bool as_memfd;                       /* CTL: it is answered as it is, sealed */
        int memfd;                           /* CTL, until the job begins; -EBADF */
};

Request *request_new(Manager *m, JobKind kind, const Subject *subject, const char *filter, RequestDone done,
                     void *userdata);
void request_free(Manager *m, Request *r);
void request_answer(Request *r, RequestError error, const char *message);
void request_end(Request *r, RequestError error, const char *message);
void request_finish(Manager *m, Request *r, RequestError error, const char *message);
Device request_device(Manager *m, Request *r);

void attach_check(Manager *m, Request *r, uint64_t *wake_at_usec);
void attachment_take_back(Manager *m, Attachment *a);
void detach_begin(Manager *m, Request *r, Device d);
void detach_done(Manager *m, Request *r, const JobReply *reply);
void ctl_done(Manager *m, Request *r, const JobReply *reply, int memfd);
