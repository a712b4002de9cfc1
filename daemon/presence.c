/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/hold.h"
#include "daemon/presence.h"
#include "daemon/question.h"
#include "daemon/text.h"

/**
 * presence_read() - what sysfs says of the filter of a job
 * @request: the job; its device need not be open
 * @reply: other_filter, error and message are written where the outcome wants them
 *
 * For interfaces that are not by_path.
 *
 * Return: JOB_OK: the filter is on; JOB_NOT_ATTACHED, JOB_CONFLICT, JOB_GONE; JOB_UNSUPPORTED: this kernel has no such
 * attribute; JOB_FAILED: it cannot be read.
 */
JobOutcome presence_read(const JobRequest *request, JobReply *reply) {
        const JobDevice *device = job_subject(request);
        char filter[FILTER_NAME_SIZE];
        int r;

        /* The attribute is found by the device's number, which another one may have by now, or after. */
        if (!device_is_in_sysfs(device, &request->disk))
                return JOB_GONE;

        r = device_read_filter(device, filter);

        if (!device_is_in_sysfs(device, &request->disk))
                return JOB_GONE;

        if (r == -ENOENT)
                return JOB_UNSUPPORTED;

        if (r < 0 && r != -EINVAL) {
                reply->error = -r;
                (void) snprintf(reply->message, sizeof(reply->message), "reading which filter is on it: %s",
                                strerror(-r));
                return JOB_FAILED;
        }

        /* a name that cannot be one is none of ours */
        if (r == -EINVAL || (filter[0] && !str_equal(filter, request->filter))) {
                (void) str_copy(reply->other_filter, sizeof(reply->other_filter), filter);
                return JOB_CONFLICT;
        }

        return filter[0] ? JOB_OK : JOB_NOT_ATTACHED;
}

/**
 * presence_ask() - what the calls of the interface say of the filter of a job
 * @request: the job
 * @backend: the kernel's interface
 * @t: its device
 * @reply: generation and other_filter are written where there is one, error and message if it is not known
 *
 * For kernels whose sysfs does not tell. Changes nothing; blocks for as long as the filter likes.
 *
 * Return: JOB_OK: the filter is on; JOB_NOT_ATTACHED: it is not, nor is another one that can be found; JOB_CONFLICT:
 * another one is; JOB_GONE; JOB_UNSUPPORTED: that cannot be known.
 */
JobOutcome presence_ask(const JobRequest *request, const Backend *backend, const BackendTarget *t, JobReply *reply) {
        BackendResult own, any = { JOB_UNSUPPORTED, 0 };
        const char *other;

        own = question_put(backend->ctl, t, request->filter, reply->generation);
        if (own.outcome == JOB_OK || own.outcome == JOB_GONE)
                return own.outcome;

        if (backend->ask) {
                any = backend->ask(t);
                if (any.outcome == JOB_NOT_ATTACHED || any.outcome == JOB_GONE)
                        return any.outcome;
        }

        other = question_find_other(backend->ctl, t, request->filter);
        if (other) {
                (void) str_copy(reply->other_filter, sizeof(reply->other_filter), other);
                return JOB_CONFLICT;
        }

        if (own.outcome == JOB_NOT_ATTACHED)
                return any.outcome == JOB_CONFLICT ? JOB_CONFLICT : JOB_NOT_ATTACHED;

        reply->error = own.error;
        (void) snprintf(reply->message, sizeof(reply->message),
                        own.outcome == JOB_UNSUPPORTED ?
                        "this kernel does not tell which filter is on a device, and no harmless command of %s is known"
                        " that would show it" :
                        "this kernel does not tell which filter is on a device, and %s answers no question",
                        request->filter);
        return JOB_UNSUPPORTED;
}

/**
 * presence_name_other() - the name of the filter that is on a device instead of that of a job
 * @request: the job
 * @backend: the kernel's interface
 * @t: its device
 * @reply: other_filter is written; "" if nothing tells it
 */
void presence_name_other(const JobRequest *request, const Backend *backend, const BackendTarget *t, JobReply *reply) {
        const char *other;

        if (!backend->by_path && device_read_filter(job_subject(request), reply->other_filter) != -ENOENT)
                return;

        other = question_find_other(backend->ctl, t, request->filter);
        if (other)
                (void) str_copy(reply->other_filter, sizeof(reply->other_filter), other);
}
