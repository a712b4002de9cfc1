/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkfilter-abi.h"

#include "daemon/backend.h"
#include "daemon/confine.h"
#include "daemon/hold.h"
#include "daemon/identify.h"
#include "daemon/known-table.h"
#include "daemon/owner.h"
#include "daemon/presence.h"
#include "daemon/prove.h"
#include "daemon/question.h"
#include "daemon/text.h"
#include "daemon/worker.h"

static JobOutcome open_node(const Backend *backend, Hold *h, JobReply *reply) {
        int r = backend->by_path ? hold_open_bdevfilter(h) : 0;

        if (r >= 0)
                return JOB_OK;

        reply->error = -r;
        if (r == -ENOENT) {
                (void) snprintf(reply->message, sizeof(reply->message),
                                "the module bdevfilter is not loaded any more; load it (modprobe bdevfilter)");
                return JOB_UNSUPPORTED;
        }

        (void) snprintf(reply->message, sizeof(reply->message), "opening " BDEVFILTER_NODE ": %s", strerror(-r));
        return JOB_FAILED;
}

/* Opens what the job is about, and fills in by what it is reached. */
static JobOutcome open_subject(const JobRequest *request, const Backend *backend, Hold *h, BackendTarget *t,
                               JobReply *reply) {
        JobOutcome outcome = hold_open_disk(h, &request->disk, reply);

        if (outcome == JOB_OK && request->partition.name[0])
                outcome = hold_open_partition(h, &request->partition, reply);
        if (outcome == JOB_OK)
                outcome = open_node(backend, h, reply);

        t->fd = hold_fd(h);
        t->node_fd = h->node_fd;
        return outcome;
}

/* Whether a job's device has gone, or another one has its name: a call by its path would reach that one. */
static bool is_astray(const JobRequest *request, const Backend *backend) {
        return backend->by_path && !device_is_in_sysfs(job_subject(request), &request->disk);
}

/*
 * The module opens what a call is about for writing, too, and if it cannot, as a device is read-only, says so, or
 * ENOENT, depending on its version: whatever is on it.
 */
static bool is_out_of_reach(const JobRequest *request, const Backend *backend) {
        uint64_t read_only;

        return backend->by_path && device_read_sysfs_u64(job_subject(request), "ro", &read_only) >= 0 && read_only;
}

static JobOutcome fail_out_of_reach(JobReply *reply) {
        reply->error = EROFS;
        (void) snprintf(reply->message, sizeof(reply->message),
                        "it is read-only, and bdevfilter takes calls only for what it can open for writing, too; make"
                        " it writable (blockdev --setrw), or leave it as it is: nothing is written to it");
        return JOB_FAILED;
}

/* Whether an answer may be about the path, which could not be opened. */
static bool may_be_of_path(JobOutcome outcome, int error) {
        return outcome == JOB_NOT_ATTACHED || outcome == JOB_NOT_REGISTERED || error == EACCES || error == EROFS;
}

/* What an answer that may be about the path comes to. */
static JobOutcome doubt_path(const JobRequest *request, const Backend *backend, JobOutcome outcome, JobReply *reply) {
        if (is_astray(request, backend))
                return JOB_GONE;

        if (may_be_of_path(outcome, reply->error) && is_out_of_reach(request, backend))
                return fail_out_of_reach(reply);

        return outcome;
}

static JobOutcome take_result(BackendResult result, JobReply *reply) {
        reply->error = result.error;

        if (result.outcome == JOB_FAILED)
                (void) snprintf(reply->message, sizeof(reply->message), "%s", strerror(result.error));

        return result.outcome;
}

static JobOutcome do_attach(const JobRequest *request, const Backend *backend, Hold *h, const BackendTarget *t,
                            JobReply *reply) {
        BackendResult result;
        JobOutcome outcome;

        outcome = prove(request, h, reply);
        if (outcome != JOB_OK)
                return outcome;

        if (request->ask_unowned && h->partition_fd >= 0 && identify_is_left_alone(h->partition_fd)) {
                (void) str_copy(reply->message, sizeof(reply->message),
                                "it has the superblock of a RAID array, or of a multipath device: if udev does not say"
                                " that it is a member of one, it is tried again");
                return JOB_MISMATCH;
        }

        if (is_astray(request, backend))
                return JOB_GONE;

        result = backend->attach(t, request->filter, request->options, request->options_size);
        outcome = take_result(result, reply);

        switch (outcome) {
        case JOB_OK:
        case JOB_ALREADY:
                break;
        case JOB_CONFLICT:
                presence_name_other(request, backend, t, reply);
                return outcome;
        case JOB_NOT_REGISTERED:
                return doubt_path(request, backend, outcome, reply);
        case JOB_UNSUPPORTED:
                if (!result.error)
                        (void) snprintf(reply->message, sizeof(reply->message),
                                        "this kernel's interface, %s, takes no options for a filter; remove Options="
                                        " from the policy", kernel_interface_to_string(request->interface));
                return outcome;
        case JOB_FAILED:
                if (result.error == EINVAL && request->options_size > 0)
                        (void) snprintf(reply->message, sizeof(reply->message),
                                        "%s; as a rule that is the filter's answer to options that it does not take:"
                                        " see Options= in the policy", strerror(result.error));
                return doubt_path(request, backend, outcome, reply);
        default:
                return outcome;
        }

        if (!device_is_in_sysfs(job_subject(request), &request->disk)) {
                /* It was removed under us: what was attached is on nothing. */
                if (outcome == JOB_OK)
                        (void) backend->detach(t, request->filter);
                return JOB_GONE;
        }

        if (question_tells_generation(request->filter))
                (void) question_put(backend->ctl, t, request->filter, reply->generation);

        return outcome;
}

/*
 * Whether the filter is on. No device is opened for that, but to ask a filter which of its attaches it is, and on
 * kernels whose sysfs does not tell.
 */
static JobOutcome do_check(const JobRequest *request, const Backend *backend, Hold *h, BackendTarget *t,
                           JobReply *reply) {
        JobOutcome told = backend->by_path ? JOB_UNSUPPORTED : presence_read(request, reply), outcome;

        if (told != JOB_UNSUPPORTED && (told != JOB_OK || !question_tells_generation(request->filter)))
                return told;

        outcome = open_subject(request, backend, h, t, reply);
        if (outcome != JOB_OK)
                return outcome;

        if (told == JOB_UNSUPPORTED) {
                if (is_astray(request, backend))
                        return JOB_GONE;
                outcome = presence_ask(request, backend, t, reply);
                return doubt_path(request, backend, outcome, reply);
        }

        /* it does not answer as it should: what is known without stays known */
        outcome = question_put(backend->ctl, t, request->filter, reply->generation).outcome;
        return outcome == JOB_FAILED ? told : outcome;
}

static JobOutcome do_detach(const JobRequest *request, const Backend *backend, const BackendTarget *t,
                            JobReply *reply) {
        BackendResult result;
        JobOutcome outcome;

        if (is_astray(request, backend))
                return JOB_GONE;

        result = backend->detach(t, request->filter);
        outcome = take_result(result, reply);

        if (backend->by_path)
                switch (outcome) {
                case JOB_NOT_ATTACHED:
                case JOB_FAILED:
                        outcome = doubt_path(request, backend, outcome, reply);
                        if (outcome != JOB_NOT_ATTACHED)
                                return outcome;
                        presence_name_other(request, backend, t, reply);
                        return reply->other_filter[0] ? JOB_CONFLICT : outcome;
                case JOB_UNSUPPORTED:
                        (void) snprintf(reply->message, sizeof(reply->message),
                                        "no harmless command of %s is known that shows whether it is on, and with"
                                        " bdevfilter a DETACH of a filter that is not on corrupts the kernel; take it"
                                        " off with its own program", request->filter);
                        return outcome;
                default:
                        return outcome;
                }

        if (outcome == JOB_CONFLICT)
                presence_name_other(request, backend, t, reply);
        return outcome;
}

/*
 * What a command came to. EINVAL is the filter's own, or says that another one is on: sysfs knows. Of a device that is
 * out of reach nothing is said.
 */
static JobOutcome take_command(BackendResult result, const JobRequest *request, int attribute_fd, bool out_of_reach,
                               JobReply *reply) {
        char other[FILTER_NAME_SIZE];

        if (out_of_reach && may_be_of_path(result.outcome, result.error)) {
                reply->sent = false;
                return fail_out_of_reach(reply);
        }

        if (result.outcome == JOB_FAILED && result.error == EINVAL && attribute_fd >= 0 &&
            filter_read(attribute_fd, other) >= 0 && other[0] && !str_equal(other, request->filter)) {
                (void) str_copy(reply->other_filter, sizeof(reply->other_filter), other);
                result.outcome = JOB_CONFLICT;
        }

        return take_result(result, reply);
}

/*
 * The command's payload and buffers lie in the memfd: payload, JobBuffer array, buffers. Addresses
 * are written into the payload here, where they mean something, and wiped before it goes back.
 */
static JobOutcome do_ctl(const JobRequest *request, const Backend *backend, const BackendTarget *t, int memfd,
                         JobReply *reply) {
        size_t table = (request->payload_size + 7U) & ~(size_t) 7;
        int attribute_fd = -EBADF;
        JobOutcome outcome = JOB_FAILED;
        bool out_of_reach;
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

        if (is_astray(request, backend))
                return JOB_GONE;

        if (!backend->by_path)
                attribute_fd = device_open_filter(job_subject(request));
        out_of_reach = is_out_of_reach(request, backend);

        r = confine_to_command(backend->by_path ? t->node_fd : t->fd, backend->ctl_request, memfd, attribute_fd);
        if (r < 0) {
                if (attribute_fd >= 0)
                        close(attribute_fd);
                reply->error = -r;
                (void) snprintf(reply->message, sizeof(reply->message), "confining the command: %s", strerror(-r));
                return JOB_FAILED;
        }

        reply->sent = true;
        if (!map)
                return take_command(backend->ctl(t, request->filter, request->cmd, NULL, 0), request, attribute_fd,
                                    out_of_reach, reply);

        buffers = (JobBuffer *) (map + table);

        for (uint32_t i = 0; i < request->n_buffers; i++) {
                uint64_t address = (uintptr_t) (map + buffers[i].memfd_offset);

                memcpy(map + buffers[i].payload_offset, &address, sizeof(address));
        }

        outcome = take_command(backend->ctl(t, request->filter, request->cmd, map, request->payload_size), request,
                               attribute_fd, out_of_reach, reply);

        for (uint32_t i = 0; i < request->n_buffers; i++)
                memset(map + buffers[i].payload_offset, 0, sizeof(uint64_t));

        (void) munmap(map, (size_t) st.st_size);

        /* What is given on must not change any more. Here and not in the daemon, for the kernel may wait with it for
         * whoever still uses the pages; the daemon looks whether it is done. */
        if (request->seal)
                (void) fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);

        return outcome;
}

static JobOutcome do_probe(const JobRequest *request, Hold *h, BackendTarget *t, JobReply *reply) {
        JobOutcome outcome = request->partition.name[0] ? hold_open_partition(h, &request->partition, reply) : JOB_OK;
        int node_error;

        if (outcome != JOB_OK)
                return outcome;

        node_error = hold_open_bdevfilter(h);
        t->fd = hold_fd(h);
        t->node_fd = h->node_fd;
        return backend_detect(t, node_error, job_subject(request), reply);
}

static JobOutcome do_scan(const JobRequest *request, const Hold *h, JobReply *reply) {
        JobOutcome outcome = prove_read_table(request, h, reply);

        reply->unowned = outcome == JOB_OK && request->ask_unowned && owner_is_ruled_out(h->disk_fd, "");
        return outcome;
}

static JobOutcome do_job(const JobRequest *request, int memfd, Hold *h, JobReply *reply) {
        const Backend *backend = backend_get(request->interface);
        char path[DEVICE_PATH_SIZE];
        BackendTarget t = { -EBADF, -EBADF, path };
        JobOutcome outcome;

        device_path(job_subject(request), path);

        if (request->kind == JOB_PROBE || request->kind == JOB_SCAN) {
                outcome = hold_open_disk(h, &request->disk, reply);
                if (outcome != JOB_OK)
                        return outcome;

                return request->kind == JOB_PROBE ? do_probe(request, h, &t, reply) : do_scan(request, h, reply);
        }

        if (!backend)
                return JOB_UNSUPPORTED;

        if (request->kind == JOB_CHECK)
                return do_check(request, backend, h, &t, reply);

        outcome = open_subject(request, backend, h, &t, reply);
        if (outcome != JOB_OK)
                return outcome;

        switch (request->kind) {
        case JOB_ATTACH:
                return do_attach(request, backend, h, &t, reply);
        case JOB_DETACH:
                return do_detach(request, backend, &t, reply);
        case JOB_CTL:
                return do_ctl(request, backend, &t, memfd, reply);
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
        known_table_tell(request, reply);
}
