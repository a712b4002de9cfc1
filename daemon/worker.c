/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/backend.h"
#include "daemon/hold.h"
#include "daemon/identify.h"
#include "daemon/text.h"
#include "daemon/worker.h"

static JobOutcome read_table(const Hold *h, JobReply *reply) {
        int r = identify_table(h->disk_fd, reply);

        if (r < 0) {
                reply->error = -r;
                return JOB_UNREADABLE;
        }

        return JOB_OK;
}

static JobOutcome mismatch(JobReply *reply, const char *why) {
        (void) snprintf(reply->message, sizeof(reply->message), "%s", why);
        return JOB_MISMATCH;
}

/*
 * Proves that the partition that is open is the one that was meant: the table on the disk has an
 * entry of that number that matches, no other entry matches too, and the kernel's partition
 * begins and ends where the entry says.
 */
static JobOutcome prove(const JobRequest *request, const Hold *h, JobReply *reply) {
        const Entry *entry = NULL;
        uint64_t start, size;
        JobOutcome outcome;

        outcome = read_table(h, reply);
        if (outcome != JOB_OK)
                return outcome;

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (reply->entries[i].partno == request->partno)
                        entry = &reply->entries[i];

        if (!entry)
                return mismatch(reply, "the table has no entry of that number");

        if (!match_entry(&request->expect, entry))
                return mismatch(reply, "the entry has another UUID or name");

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (&reply->entries[i] != entry && match_entry(&request->expect, &reply->entries[i]))
                        return JOB_DUPLICATE;

        if (device_read_sysfs_u64(&request->partition, "start", &start) < 0 ||
            device_read_sysfs_u64(&request->partition, "size", &size) < 0)
                return JOB_GONE;

        if (start != entry->start_sectors || size != entry->size_sectors)
                return mismatch(reply, "the kernel's partition begins or ends elsewhere than the entry says");

        return JOB_OK;
}

static JobOutcome take_result(BackendResult result, const JobRequest *request, JobReply *reply) {
        reply->error = result.error;

        if (result.outcome == JOB_FAILED)
                (void) snprintf(reply->message, sizeof(reply->message), "%s", strerror(result.error));

        if (result.outcome == JOB_CONFLICT)
                device_read_filter(&request->partition, reply->other_filter);

        return result.outcome;
}

static JobOutcome do_attach(const JobRequest *request, const Backend *backend, Hold *h, JobReply *reply) {
        JobOutcome outcome;

        outcome = prove(request, h, reply);
        if (outcome != JOB_OK)
                return outcome;

        outcome = take_result(backend->attach(h->partition_fd, request->filter), request, reply);
        if (outcome != JOB_OK && outcome != JOB_ALREADY)
                return outcome;

        if (!device_is_in_sysfs(&request->partition, &request->disk)) {
                /* It was removed under us: what was attached is on nothing. */
                if (outcome == JOB_OK)
                        (void) backend->detach(h->partition_fd, request->filter);
                return JOB_GONE;
        }

        return outcome;
}

static JobOutcome do_detach(const JobRequest *request, const Backend *backend, Hold *h, JobReply *reply) {
        return take_result(backend->detach(h->partition_fd, request->filter), request, reply);
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

        if (memfd < 0 || fstat(memfd, &st) < 0 ||
            (uint64_t) st.st_size < table + request->n_buffers * sizeof(JobBuffer)) {
                reply->error = EBADMSG;
                (void) snprintf(reply->message, sizeof(reply->message), "the command did not arrive whole");
                return JOB_FAILED;
        }

        reply->sent = true;
        if (st.st_size == 0)
                return take_result(backend->ctl(h->partition_fd, request->filter, request->cmd, NULL, 0), request, reply);

        map = mmap(NULL, (size_t) st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
        if (map == MAP_FAILED) {
                reply->sent = false;
                reply->error = errno;
                (void) snprintf(reply->message, sizeof(reply->message), "mapping the command: %s", strerror(errno));
                return JOB_FAILED;
        }

        buffers = (JobBuffer *) (map + table);

        for (uint32_t i = 0; i < request->n_buffers; i++) {
                uint64_t address = (uintptr_t) (map + buffers[i].memfd_offset);

                memcpy(map + buffers[i].payload_offset, &address, sizeof(address));
        }

        outcome = take_result(backend->ctl(h->partition_fd, request->filter, request->cmd, map, request->payload_size),
                              request, reply);

        for (uint32_t i = 0; i < request->n_buffers; i++)
                memset(map + buffers[i].payload_offset, 0, sizeof(uint64_t));

        (void) munmap(map, (size_t) st.st_size);
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

        outcome = hold_open_disk(h, &request->disk, reply);
        if (outcome != JOB_OK)
                return outcome;

        if (request->kind == JOB_PROBE)
                return do_probe(h, reply);

        if (request->kind == JOB_SCAN)
                return read_table(h, reply);

        if (!backend)
                return JOB_UNSUPPORTED;

        outcome = hold_open_partition(h, &request->partition, reply);
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
