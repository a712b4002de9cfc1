/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan.h"
#include "daemon/reason.h"
#include "daemon/text.h"

/* A lock of the disk is held for a short time as a rule: ask again soon, then less often. */
#define LOCK_RETRY_USEC UINT64_C(50000)
#define SCAN_RETRY_USEC UINT64_C(500000)

static const char *const interface_names[_KERNEL_INTERFACE_MAX] = {
        [KERNEL_INTERFACE_UNKNOWN] = "unknown",
        [KERNEL_INTERFACE_NONE] = "none",
        [KERNEL_INTERFACE_BLKFILTER_1] = "blkfilter-1",
};

/**
 * kernel_interface_to_string() - an interface as the bus, the journal and the manual name it
 * @i: a valid interface
 *
 * Return: a static string.
 */
const char *kernel_interface_to_string(KernelInterface i) {
        return interface_names[i];
}

/**
 * world_deinit() - release all that a world holds
 * @w: the world; empty and usable again afterwards
 */
void world_deinit(World *w) {
        device_set_deinit(&w->devices);
        attachment_set_deinit(&w->attachments);
        *w = (World) { 0 };
}

/* The policy of the set that wants the attachment @id; its rank is its place, from 1. */
static const Policy *find_policy(const PolicySet *policies, const char *id, size_t *ret_rank) {
        for (size_t i = 0; i < policies->n_policies; i++) {
                char other[ATTACHMENT_ID_SIZE];

                if (attachment_make_id(policies->policies[i]->filter, &policies->policies[i]->match, other) == 0 &&
                    str_equal(id, other)) {
                        *ret_rank = i + 1;
                        return policies->policies[i];
                }
        }

        return NULL;
}

/* Whether the file that an attachment came from is there, but wrong. */
static bool has_error(const PolicySet *policies, const char *path) {
        for (size_t i = 0; path && i < policies->n_errors; i++)
                if (str_equal(policies->errors[i].path, path))
                        return true;

        return false;
}

/* An orphan that is on its device by an earlier daemon's word only is proven, now that it is wanted. */
static void attachment_adopt(Attachment *a) {
        if (a->orphaned && a->on_device && a->recorded_since_usec) {
                a->on_device = false;
                a->device[0] = 0;
                a->device_uid = 0;
        }

        a->orphaned = false;
}

static int attachment_take_policy(Attachment *a, const Policy *p, size_t rank) {
        char *path = strdup(p->path);

        if (!path)
                return -ENOMEM;

        if (a->orphaned || a->source != ATTACHMENT_SOURCE_POLICY || !a->policy_path ||
            !str_equal(a->policy_path, path) || !match_equal(&a->match, &p->match))
                a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD;

        free(a->policy_path);
        a->policy_path = path;
        a->match = p->match;
        a->retry_usec = p->retry_usec;
        a->source = ATTACHMENT_SOURCE_POLICY;
        attachment_adopt(a);
        a->rank = rank;
        a->retry_at_usec = 0;
        a->n_failures = 0;
        return 0;
}

/**
 * world_find_shadowed() - say which policies can have no effect
 * @policies: the set; gets an error for each policy that wants what an earlier one wants already
 *
 * Return: 0, or -ENOMEM.
 */
int world_find_shadowed(PolicySet *policies) {
        for (size_t i = 0; i < policies->n_policies; i++) {
                const Policy *p = policies->policies[i], *first;
                char id[ATTACHMENT_ID_SIZE], *message;
                Text t = TEXT_INIT;
                size_t rank;
                int r;

                r = attachment_make_id(p->filter, &p->match, id);
                if (r < 0)
                        return r;

                first = find_policy(policies, id, &rank);
                if (!first || first == p)
                        continue;

                text_add(&t, first->path);
                text_add(&t, " comes first and wants the same filter on the same partition, so this file has no effect;"
                             " remove one of the two.");
                r = text_steal(&t, &message);
                if (r < 0)
                        return r;

                r = policy_set_add_error(policies, p->path, 0, message, false);
                free(message);
                if (r < 0)
                        return r;
        }

        return 0;
}

/**
 * attachment_leave_policy() - wanted at run time, and by no policy
 * @a: the attachment
 */
void attachment_leave_policy(Attachment *a) {
        free(a->policy_path);
        a->policy_path = NULL;
        a->source = ATTACHMENT_SOURCE_RUNTIME;
        a->asked = true;
        attachment_adopt(a);
        a->rank = 0;
}

/**
 * world_set_policies() - bring the attachments in line with a set of policies
 * @w: the world
 * @policies: the set in force from now on; borrowed for the call
 *
 * A policy that is new gets its attachment; one that is gone leaves its attachment *orphaned*:
 * what it attached stays, for breaking a file must not cost a change map. One that was asked for
 * at run time too is what it was before. One whose file is wrong is kept: after a restart what was
 * recorded of it is its last good version. The caller removes orphans that are on no device (plan.h). Of two policies for the same filter and identity the first counts.
 *
 * Return: 0, or -ENOMEM: some attachments are as before; call again.
 */
int world_set_policies(World *w, const PolicySet *policies) {
        for (size_t i = 0; i < policies->n_policies; i++) {
                const Policy *p = policies->policies[i];
                char id[ATTACHMENT_ID_SIZE];
                Attachment *a;
                size_t rank;
                int r;

                r = attachment_make_id(p->filter, &p->match, id);
                if (r < 0)
                        return r;

                if (find_policy(policies, id, &rank) != p)
                        continue;

                a = attachment_set_get(&w->attachments, id);
                if (!a) {
                        r = attachment_new(p->filter, &p->match, ATTACHMENT_SOURCE_POLICY, &a);
                        if (r < 0)
                                return r;

                        r = attachment_set_add(&w->attachments, a);
                        if (r < 0) {
                                attachment_free(a);
                                return r;
                        }
                }

                r = attachment_take_policy(a, p, rank);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];
                size_t rank;

                if (a->source != ATTACHMENT_SOURCE_POLICY || a->orphaned || find_policy(policies, a->id, &rank))
                        continue;

                if (has_error(policies, a->policy_path)) {
                        a->rank = policies->n_policies + 1;
                        continue;
                }

                if (a->asked)
                        attachment_leave_policy(a);
                else
                        a->orphaned = true;
                a->changed |= ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD;
        }

        return 0;
}

/**
 * world_fill_request() - the parts of a request that name the device
 * @w: the world; counts the jobs
 * @d: the whole disk
 * @p: the partition, or NULL if the job is about the whole disk
 * @kind: what is to be done
 * @ret: all of it is written
 */
void world_fill_request(World *w, Disk *d, const Partition *p, JobKind kind, JobRequest *ret) {
        *ret = (JobRequest) {
                .protocol = JOB_PROTOCOL,
                .kind = kind,
                .id = ++w->last_job,
                .interface = w->interface,
                .disk = { .major = d->major, .minor = d->minor, .diskseq = d->diskseq },
        };

        (void) str_copy(ret->disk.name, sizeof(ret->disk.name), d->name);

        if (!p)
                return;

        ret->partno = p->partno;
        ret->partition = (JobDevice) { .major = p->major, .minor = p->minor, .diskseq = d->diskseq,
                                        .object = p->object };
        (void) str_copy(ret->partition.name, sizeof(ret->partition.name), p->name);
}

/**
 * world_find_attachment() - the attachment that a partition has, or would have
 * @w: the world
 * @filter: of this filter; NULL: of any, the one that is on it first
 * @p: the partition
 *
 * Return: the attachment, borrowed; NULL if none is on it and none matches it.
 */
Attachment *world_find_attachment(const World *w, const char *filter, const Partition *p) {
        const Entry *e = disk_get_entry(p->disk, p->partno);
        Attachment *found = NULL;

        for (size_t i = 0; i < w->attachments.n_items; i++) {
                Attachment *a = w->attachments.items[i];

                if (filter && !str_equal(a->filter, filter))
                        continue;

                if (a->on_device && a->device_uid == p->uid)
                        return a;

                if (!found && e && match_entry(&a->match, e))
                        found = a;
        }

        return found;
}

/**
 * world_retry_now() - try again at once whatever waits to be tried again
 * @w: the world
 *
 * For when something happened that may have mended it: a module came, an administrator asked.
 */
void world_retry_now(World *w) {
        for (size_t i = 0; i < w->attachments.n_items; i++)
                w->attachments.items[i]->retry_at_usec = 0;

        for (size_t i = 0; i < w->devices.n_disks; i++)
                w->devices.disks[i]->scan_retry_at_usec = 0;
}

static void scan_done(Disk *d, const JobReply *reply, const Now *now) {
        /* "done" without a table is no scan: it would be asked for again and again without a pause */
        if (reply->outcome == JOB_OK && reply->has_table)
                return;

        switch (reply->outcome) {

        case JOB_LOCKED:
                (void) str_copy(d->scan_error, sizeof(d->scan_error), "another program holds its lock");
                break;

        default:
                if (!str_copy(d->scan_error, sizeof(d->scan_error),
                              reply->message[0] ? reply->message : "the worker did not say why"))
                        (void) str_copy(d->scan_error, sizeof(d->scan_error), "the reason is too long to tell");
        }

        d->n_scan_failures++;
        d->scan_retry_at_usec = now->monotonic_usec +
                retry_delay_usec(reply->outcome == JOB_LOCKED ? LOCK_RETRY_USEC : SCAN_RETRY_USEC, d->n_scan_failures);
}

/* False if the reply does not show the entry that was to be proven. */
static bool fill_fingerprint(const JobRequest *request, const JobReply *reply, Fingerprint *ret) {
        *ret = (Fingerprint) { .diskseq = request->disk.diskseq, .object = request->partition.object };
        (void) str_copy(ret->disk, sizeof(ret->disk), request->disk.name);
        (void) str_copy(ret->pt_uuid, sizeof(ret->pt_uuid), reply->pt_uuid);

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (reply->entries[i].partno == request->partno) {
                        ret->entry = reply->entries[i];
                        return match_entry(&request->expect, &ret->entry);
                }

        return false;
}

static void attach_done(World *w, Attachment *a, const JobRequest *request, const JobReply *reply, const Now *now) {
        Partition *p = device_set_get_partition_by_uid(&w->devices, a->device_uid);
        Fingerprint f;

        a->job = 0;
        a->last_outcome = reply->outcome;

        /* registered anew since, and still the same object of the kernel */
        if (!p) {
                p = device_set_get_partition_by_object(&w->devices, request->partition.object);
                if (p) {
                        (void) str_copy(a->device, sizeof(a->device), p->name);
                        a->device_uid = p->uid;
                }
        }

        if (reply->outcome == JOB_OK || reply->outcome == JOB_ALREADY) {
                if (!p) {
                        /* it went right after, and the filter with it */
                        if (reply->outcome == JOB_OK)
                                a->n_attached++;

                        attachment_set_state(a, ATTACHMENT_WAITING,
                                             reason_plain("the partition went away while it was attached"));
                        return;
                }

                /* a reply without the entry that it proved is no proof */
                if (fill_fingerprint(request, reply, &f)) {
                        attachment_attached(a, &f, reply->outcome == JOB_ALREADY, now);
                        return;
                }
        }

        attachment_set_delay(a, now);

        /* where another filter is, or none of that name, it is not, whatever an earlier daemon noted */
        if (reply->outcome == JOB_CONFLICT || reply->outcome == JOB_NOT_REGISTERED)
                attachment_lost_unseen(a, now);

        switch (reply->outcome) {

        case JOB_CONFLICT:
                attachment_set_state(a, ATTACHMENT_CONFLICT, reason_outcome(a, reply));
                break;

        case JOB_DUPLICATE:
                attachment_set_state(a, ATTACHMENT_AMBIGUOUS, reason_outcome(a, reply));
                break;

        case JOB_MISMATCH:
                attachment_set_state(a, ATTACHMENT_REFUSED, reason_outcome(a, reply));
                break;

        case JOB_LOCKED:
                a->retry_at_usec = now->monotonic_usec + retry_delay_usec(LOCK_RETRY_USEC, a->n_failures);
                attachment_set_state(a, ATTACHMENT_WAITING, reason_outcome(a, reply));
                break;

        case JOB_GONE:
                attachment_set_state(a, ATTACHMENT_WAITING, reason_outcome(a, reply));
                break;

        case JOB_UNSUPPORTED:
                attachment_set_state(a, ATTACHMENT_UNSUPPORTED, reason_outcome(a, reply));
                break;

        default:
                attachment_set_state(a, ATTACHMENT_FAILED, reason_outcome(a, reply));
        }
}

/**
 * world_job_done() - take in what a worker has replied
 * @w: the world
 * @request: what was asked; borrowed
 * @reply: what came back; borrowed
 * @now: the time
 *
 * JOB_TIMED_OUT is not the end of the job: the disk counts as stuck, and the job as under way,
 * until the worker answers late or the disk goes. Run the plan afterwards.
 */
void world_job_done(World *w, const JobRequest *request, const JobReply *reply, const Now *now) {
        Disk *d = device_set_get_disk_by_job(&w->devices, request->id);
        Attachment *a = NULL;

        for (size_t i = 0; i < w->attachments.n_items && !a; i++)
                if (w->attachments.items[i]->job == request->id)
                        a = w->attachments.items[i];

        if (reply->outcome == JOB_TIMED_OUT) {
                if (d)
                        d->stuck = true;
                if (a)
                        attachment_set_state(a, ATTACHMENT_STUCK, reason_outcome(a, reply));
                return;
        }

        if (d) {
                d->job = 0;
                d->stuck = false;

                /* Out of memory leaves the old table and a dirty disk: it is read again. */
                if (reply->has_table)
                        (void) disk_set_table(d, reply->pt_uuid, reply->entries, reply->n_entries, d->job_began_at);

                if (request->kind == JOB_SCAN)
                        scan_done(d, reply, now);
        }

        /*
         * A worker did not find what is registered. Not every change is told by an event: a loop device
         * that is detached gets its new sequence number after its last one.
         */
        if (d && reply->outcome == JOB_GONE &&
            (!request->partno || (a && device_set_get_partition_by_uid(&w->devices, a->device_uid))))
                w->devices.incomplete = true;

        if (a && request->kind == JOB_ATTACH)
                attach_done(w, a, request, reply, now);
}
