/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "daemon/job.h"
#include "daemon/text.h"

/* Text that can stand in a line of a record or of the journal, and be told on the bus. */
static bool is_line(const char *s, size_t size) {
        return memchr(s, 0, size) && utf8_is_printable(s);
}

/* "", or an id as question_put() writes it. */
static bool is_generation(const char *s) {
        size_t n;

        if (!memchr(s, 0, GENERATION_SIZE))
                return false;

        for (n = 0; s[n]; n++)
                if (!ascii_is_hex(s[n]) || ascii_tolower(s[n]) != s[n])
                        return false;

        return n == 0 || n == 32;
}

static bool entry_is_sane(const Entry *e) {
        char uuid[PART_UUID_SIZE];

        return e->partno > 0 && is_line(e->uuid, sizeof(e->uuid)) && is_line(e->label, sizeof(e->label)) &&
               is_line(e->type, sizeof(e->type)) &&
               (!e->uuid[0] || (part_uuid_normalize(e->uuid, uuid) && str_equal(e->uuid, uuid)));
}

/**
 * job_subject() - the device that a job is about
 * @r: the job
 *
 * Return: its partition, or its disk if it names none; borrowed from @r.
 */
const JobDevice *job_subject(const JobRequest *r) {
        return r->partition.name[0] ? &r->partition : &r->disk;
}

/**
 * job_request_size() - how many bytes of a request are sent
 * @r: the request
 */
size_t job_request_size(const JobRequest *r) {
        return offsetof(JobRequest, options) + r->options_size;
}

/**
 * job_request_is_whole() - whether a message is a request of a daemon of this version
 * @r: the message
 * @size: how many bytes of it came
 */
bool job_request_is_whole(const JobRequest *r, size_t size) {
        return size >= offsetof(JobRequest, options) && r->protocol == JOB_PROTOCOL &&
               r->options_size <= JOB_OPTIONS_MAX && size == job_request_size(r);
}

/**
 * job_reply_is_sane() - whether a message can be what a worker says
 * @r: the message
 * @size: how many bytes of it came
 *
 * A worker parses what a disk contains. One that was led astray by it may say anything; what it
 * says wrong must be a wrong answer about its own disk and nothing worse.
 */
bool job_reply_is_sane(const JobReply *r, size_t size) {
        if (size < offsetof(JobReply, entries) || r->protocol != JOB_PROTOCOL || r->outcome >= JOB_DIED ||
            r->interface >= _KERNEL_INTERFACE_MAX || r->proven > (r->interface != KERNEL_INTERFACE_UNKNOWN) ||
            r->unowned > 1 ||
            r->n_entries > JOB_ENTRIES_MAX ||
            size != offsetof(JobReply, entries) + r->n_entries * sizeof(Entry))
                return false;

        if (!is_line(r->other_filter, sizeof(r->other_filter)) || !is_line(r->message, sizeof(r->message)) ||
            !is_line(r->pt_uuid, sizeof(r->pt_uuid)) || !is_generation(r->generation))
                return false;

        for (uint32_t i = 0; i < r->n_entries; i++)
                if (!entry_is_sane(&r->entries[i]) || (i > 0 && r->entries[i].partno <= r->entries[i - 1].partno))
                        return false;

        return true;
}
