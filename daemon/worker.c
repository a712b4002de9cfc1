/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/backend.h"
#include "daemon/confine.h"
#include "daemon/generation.h"
#include "daemon/hold.h"
#include "daemon/prove.h"
#include "daemon/text.h"
#include "daemon/worker.h"

/* The device that the job is about. */
static const JobDevice *subject(const JobRequest *request) {
        return request->partition.name[0] ? &request->partition : &request->disk;
}

static JobOutcome open_subject(const JobRequest *request, Hold *h, JobReply *reply) {
        JobOutcome outcome = hold_open_disk(h, &request->disk, reply);

        if (outcome == JOB_OK && request->partition.name[0])
                outcome = hold_open_partition(h, &request->partition, reply);

        return outcome;
}

static JobOutcome take_result(BackendResult result, const JobRequest *request, JobReply *reply) {
        reply->error = result.error;

        if (result.outcome == JOB_FAILED)
                (void) snprintf(reply->message, sizeof(reply->message), "%s", strerror(result.error));

        if (result.outcome == JOB_CONFLICT)
                (void) device_read_filter(subject(request), reply->other_filter);

        return result.outcome;
}

static JobOutcome do_attach(const JobRequest *request, const Backend *backend, Hold *h, JobReply *reply) {
        JobOutcome outcome;

        outcome = prove(request, h, reply);
        if (outcome != JOB_OK)
                return outcome;

        outcome = take_result(backend->attach(hold_fd(h), request->filter), request, reply);
        if (outcome != JOB_OK && outcome != JOB_ALREADY)
                return outcome;

        if (!device_is_in_sysfs(subject(request), &request->disk)) {
                /* It was removed under us: what was attached is on nothing. */
                if (outcome == JOB_OK)
                        (void) backend->detach(hold_fd(h), request->filter);
                return JOB_GONE;
        }

        if (generation_is_told_by(request->filter))
                (void) generation_read(backend, hold_fd(h), request->filter, reply->generation);

        return outcome;
}

/*
 * What the kernel says in sysfs: JOB_OK (the filter is on), JOB_NOT_ATTACHED, JOB_CONFLICT, JOB_GONE, or
 * JOB_UNSUPPORTED if it does not tell.
 */
static JobOutcome read_filter(const JobRequest *request, JobReply *reply) {
        const JobDevice *device = subject(request);
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

/*
 * Whether the filter is on. No device is opened for that, but to ask a filter which of its attaches it is: that
 * also tells on kernels whose sysfs does not.
 */
static JobOutcome do_check(const JobRequest *request, const Backend *backend, Hold *h, JobReply *reply) {
        JobOutcome told = read_filter(request, reply), outcome;

        if ((told != JOB_OK && told != JOB_UNSUPPORTED) || !generation_is_told_by(request->filter))
                return told;

        outcome = open_subject(request, h, reply);
        if (outcome == JOB_OK)
                outcome = generation_read(backend, hold_fd(h), request->filter, reply->generation);

        /* it cannot be asked, or does not answer as it should: what is known without stays known */
        if (outcome == JOB_FAILED || outcome == JOB_UNSUPPORTED) {
                reply->error = 0;
                reply->message[0] = 0;
                return told;
        }

        return outcome;
}

static JobOutcome do_detach(const JobRequest *request, const Backend *backend, Hold *h, JobReply *reply) {
        return take_result(backend->detach(hold_fd(h), request->filter), request, reply);
}

/*
 * The command's payload and buffers lie in the memfd: payload, JobBuffer array, buffers. Addresses
 * are written into the payload here, where they mean something, and wiped before it goes back.
 */
static JobOutcome do_ctl(const JobRequest *request, const Backend *backend, Hold *h, int memfd, JobReply *reply) {
        size_t table = (request->payload_size + 7U) & ~(size_t) 7;
        JobOutcome outcome = JOB_FAILED;
        JobBuffer *buffers;
        struct stat st;
        uint8_t *map;
        int r;

        if (memfd < 0 || fstat(memfd, &st) < 0 ||
            (uint64_t) st.st_size < table + request->n_buffers * sizeof(JobBuffer)) {
                reply->error = EBADMSG;
                (void) snprintf(reply->message, sizeof(reply->message), "the command did not arrive whole");
                return JOB_FAILED;
        }

        map = st.st_size > 0 ? mmap(NULL, (size_t) st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0) : NULL;
        if (map == MAP_FAILED) {
                reply->error = errno;
                (void) snprintf(reply->message, sizeof(reply->message), "mapping the command: %s", strerror(errno));
                return JOB_FAILED;
        }

        r = confine_to_command(hold_fd(h), backend->ctl_request, memfd);
        if (r < 0) {
                reply->error = -r;
                (void) snprintf(reply->message, sizeof(reply->message), "confining the command: %s", strerror(-r));
                return JOB_FAILED;
        }

        reply->sent = true;
        if (!map)
                return take_result(backend->ctl(hold_fd(h), request->filter, request->cmd, NULL, 0), request, reply);

        buffers = (JobBuffer *) (map + table);

        for (uint32_t i = 0; i < request->n_buffers; i++) {
                uint64_t address = (uintptr_t) (map + buffers[i].memfd_offset);

                memcpy(map + buffers[i].payload_offset, &address, sizeof(address));
        }

        outcome = take_result(backend->ctl(hold_fd(h), request->filter, request->cmd, map, request->payload_size),
                              request, reply);

        for (uint32_t i = 0; i < request->n_buffers; i++)
                memset(map + buffers[i].payload_offset, 0, sizeof(uint64_t));

        (void) munmap(map, (size_t) st.st_size);

        /* What is given on must not change any more. Here and not in the daemon, for the kernel may wait with it for
         * whoever still uses the pages; the daemon looks whether it is done. */
        if (request->seal)
                (void) fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);

        return outcome;
}

static JobOutcome do_probe(const Hold *h, JobReply *reply) {
        KernelInterface interface = KERNEL_INTERFACE_UNKNOWN;
        JobOutcome outcome = backend_probe(h->disk_fd, &interface, &reply->error);

        reply->interface = interface;
        if (outcome == JOB_FAILED)
                (void) snprintf(reply->message, sizeof(reply->message), "%s", strerror(reply->error));

        return outcome;
}

static JobOutcome do_job(const JobRequest *request, int memfd, Hold *h, JobReply *reply) {
        const Backend *backend = backend_get(request->interface);
        JobOutcome outcome;

        if (request->kind == JOB_PROBE || request->kind == JOB_SCAN) {
                outcome = hold_open_disk(h, &request->disk, reply);
                if (outcome != JOB_OK)
                        return outcome;

                return request->kind == JOB_PROBE ? do_probe(h, reply) : prove_read_table(h, reply);
        }

        if (!backend)
                return JOB_UNSUPPORTED;

        if (request->kind == JOB_CHECK)
                return do_check(request, backend, h, reply);

        outcome = open_subject(request, h, reply);
        if (outcome != JOB_OK)
                return outcome;

        switch (request->kind) {
        case JOB_ATTACH:
                return do_attach(request, backend, h, reply);
        case JOB_DETACH:
                return do_detach(request, backend, h, reply);
        case JOB_CTL:
                return do_ctl(request, backend, h, memfd, reply);
        default:
                return JOB_UNSUPPORTED;
        }
}

/**
 * worker_do() - do one job from beginning to end
 * @request: the job; borrowed
 * @memfd: JOB_CTL: payload and buffers; else -EBADF; borrowed
 * @reply: written whole
 *
 * Blocks for as long as the device likes. Everything is closed again when it returns.
 */
void worker_do(const JobRequest *request, int memfd, JobReply *reply) {
        Hold h = HOLD_INIT;

        memset(reply, 0, sizeof(*reply));
        reply->protocol = JOB_PROTOCOL;
        reply->id = request->id;
        reply->outcome = do_job(request, memfd, &h, reply);
        hold_close(&h);
}
