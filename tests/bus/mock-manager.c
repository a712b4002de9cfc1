/* SPDX-License-Identifier: LGPL-2.1-or-later */

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/reason.h"
#include "tests/bus/mock-manager.h"

/**
 * mock_manager_new() - a manager with one device, /dev/sda1, and a kernel with filters
 *
 * Return: the manager, owned by the caller.
 */
Manager *mock_manager_new(void) {
        Manager *m = calloc(1, sizeof(*m));

        assert(m);
        m->interface = KERNEL_INTERFACE_BLKFILTER_1;
        m->policies = policy_set_new();
        assert(m->policies);
        m->subject = (Subject) { .device = "sda1", .disk = "sda", .uid = 7 };
        strcpy(m->subject.identity, "PARTUUID=0fc63daf-8483-4772-8e79-3d69d8477de4");
        return m;
}

/**
 * mock_manager_free() - release a manager
 * @m: the manager
 *
 * Return: NULL.
 */
Manager *mock_manager_free(Manager *m) {
        attachment_set_deinit(&m->attachments);
        policy_set_free(m->policies);
        free(m);
        return NULL;
}

/**
 * mock_manager_add() - add an attachment and tell it
 * @m: the manager
 * @filter: its filter
 * @uuid: partition UUID of its identity
 *
 * Return: the attachment, borrowed.
 */
Attachment *mock_manager_add(Manager *m, const char *filter, const char *uuid) {
        Attachment *a;
        Match *match;

        assert(match_new_one(MATCH_PART_UUID, uuid, &match) >= 0);
        assert(attachment_new(filter, match, ATTACHMENT_SOURCE_RUNTIME, &a) >= 0);
        match_unref(match);
        assert(attachment_set_add(&m->attachments, a) >= 0);
        a->changed = 0;

        if (m->listener.attachment_added)
                m->listener.attachment_added(a, m->listener.userdata);
        if (m->listener.attachment_changed)
                m->listener.attachment_changed(a, ATTACHMENT_CHANGED_ADDED, m->listener.userdata);
        if (m->listener.manager_changed)
                m->listener.manager_changed(m->listener.userdata);
        return a;
}

/**
 * mock_manager_remove() - tell that an attachment goes, and remove it
 * @m: the manager
 * @a: the attachment; consumed
 */
void mock_manager_remove(Manager *m, Attachment *a) {
        if (m->listener.attachment_removed)
                m->listener.attachment_removed(a, m->listener.userdata);
        attachment_set_remove(&m->attachments, a);
        if (m->listener.manager_changed)
                m->listener.manager_changed(m->listener.userdata);
}

/**
 * mock_manager_n_changes() - how often anything was done
 * @m: the manager
 */
unsigned mock_manager_n_changes(const Manager *m) {
        return m->n_attach + m->n_detach + m->n_ctl + m->n_reload + m->n_forgotten;
}

/**
 * mock_manager_answer() - answer the request that is held
 * @m: the manager
 */
void mock_manager_answer(Manager *m) {
        RequestBuffer buffers[16];
        uint8_t payload[256] = { 0 }, *content;
        uint64_t offsets[16];
        RequestAnswer answer = { .error = m->answer_error, .message = m->message };
        RequestDone done = m->done;
        size_t sum = 0;

        assert(done);
        m->done = NULL;

        for (size_t i = 0; i < m->n_buffers; i++)
                offsets[i] = sum, sum += m->buffers[i].size;
        content = malloc(sum + 1);
        assert(content);
        memset(content, 0xab, sum + 1);

        /* as a kernel would: bytes of the payload changed, addresses where buffers were */
        memcpy(payload, m->payload, m->payload_size);
        if (m->payload_size > 0)
                payload[0] ^= 0xff;
        if (m->command == 0 && m->payload_size > 16) {
                payload[16] = m->generation;
                m->generation = (uint8_t) (m->generation + m->generation_step);
        }
        for (size_t i = 0; i < m->n_buffers; i++) {
                buffers[i] = m->buffers[i];
                buffers[i].data = content;
                memset(payload + buffers[i].payload_offset, 0x7f, 8);
        }

        if (m->answer_error == REQUEST_OK) {
                answer.attachment = m->attachments.n_items > 0 ? m->attachments.items[0] : NULL;
                answer.result = m->ctl_result;
                answer.payload = payload;
                answer.payload_size = m->payload_size;
                answer.buffers = buffers;
                answer.n_buffers = m->n_buffers;
                if (m->as_memfd) {
                        answer.memfd = memfd_create("answer", MFD_CLOEXEC);
                        answer.memfd_offsets = offsets;
                        assert(answer.memfd >= 0 && write(answer.memfd, content, sum) == (ssize_t) sum);
                }
        }

        done(&answer, m->done_userdata);
        if (answer.memfd_offsets)
                close(answer.memfd);
        free(content);
}

static void request(Manager *m, const Subject *subject, const char *filter, RequestDone done, void *userdata) {
        assert(subject->uid == m->subject.uid);
        strcpy(m->filter, filter);
        m->payload_size = m->n_buffers = 0;
        m->done = done;
        m->done_userdata = userdata;
}

RequestError manager_resolve(Manager *m, const char *device, Subject *ret, char **ret_message) {
        m->n_resolve++;
        *ret_message = NULL;
        strncpy(m->device, device, sizeof(m->device) - 1);

        if (m->resolve_error != REQUEST_OK) {
                *ret_message = m->message ? strdup(m->message) : NULL;
                return m->resolve_error;
        }

        *ret = m->subject;
        return REQUEST_OK;
}

RequestError manager_explain(Manager *m, const char *device, Explanation *ret, char **ret_message) {
        static Disk disk = { .name = "sda1" };
        Subject subject;
        RequestError e;

        e = manager_resolve(m, device, &subject, ret_message);
        if (e != REQUEST_OK)
                return e;

        *ret = (Explanation) { .device = { .disk = &disk } };
        if (m->explain)
                m->explain(m, ret);
        return REQUEST_OK;
}

void manager_attach(Manager *m, const Subject *subject, const char *filter, const AttachOptions *options,
                    RequestDone done, void *userdata) {
        m->n_attach++;
        m->options = *options;
        request(m, subject, filter, done, userdata);
        if (!m->hold)
                mock_manager_answer(m);
}

void manager_detach(Manager *m, const Subject *subject, const char *filter, RequestDone done, void *userdata) {
        m->n_detach++;
        request(m, subject, filter, done, userdata);
        if (!m->hold)
                mock_manager_answer(m);
}

void manager_forget(Manager *m, const char *id, RequestDone done, void *userdata) {
        m->n_forgotten++;
        strcpy(m->attachment, id);
        request(m, &m->subject, "", done, userdata);
        if (!m->hold)
                mock_manager_answer(m);
}

void manager_ctl(Manager *m, const Subject *subject, const char *filter, const RequestCommand *command,
                 RequestDone done, void *userdata) {
        m->n_ctl++;
        request(m, subject, filter, done, userdata);
        m->command = command->command;
        m->as_memfd = command->as_memfd;
        assert(command->payload_size <= sizeof(m->payload));
        if (command->payload_size > 0)
                memcpy(m->payload, command->payload, command->payload_size);
        m->payload_size = command->payload_size;
        if (command->n_buffers > 0)
                memcpy(m->buffers, command->buffers, command->n_buffers * sizeof(*command->buffers));
        m->n_buffers = command->n_buffers;
        if (!m->hold)
                mock_manager_answer(m);
}

void manager_request_forget(Manager *m, void *userdata) {
        if (m->done_userdata == userdata)
                m->done = NULL;
        m->n_forget++;
}

int manager_reload(Manager *m) {
        m->n_reload++;
        return m->reload_error;
}

const AttachmentSet *manager_get_attachments(Manager *m) {
        return &m->attachments;
}

const PolicySet *manager_get_policies(Manager *m) {
        return m->policies;
}

KernelInterface manager_get_interface(Manager *m) {
        return m->interface;
}

const char *manager_get_interface_reason(Manager *m) {
        return m->interface == KERNEL_INTERFACE_NONE ? REASON_NO_FILTERS : "/dev/sda has said so";
}

int manager_list_needs(Manager *m, Need **ret, size_t *ret_n) {
        Need *needs = calloc(m->n_needs + 1, sizeof(*needs));

        assert(needs);
        for (size_t i = 0; i < m->n_needs; i++) {
                needs[i] = m->needs[i];
                needs[i].reason = strdup(m->needs[i].reason);
                assert(needs[i].reason);
        }

        *ret = needs;
        *ret_n = m->n_needs;
        return 0;
}

bool manager_get_raw_commands(Manager *m) {
        return m->raw_commands;
}

const Attachment *manager_find_attachment(Manager *m, const Subject *subject) {
        for (size_t i = 0; i < m->attachments.n_items; i++) {
                char *identity;
                bool equal;

                assert(match_to_string(m->attachments.items[i]->match, &identity) >= 0);
                equal = strcmp(identity, subject->identity) == 0;
                free(identity);
                if (equal)
                        return m->attachments.items[i];
        }

        return NULL;
}

void manager_set_listener(Manager *m, const ManagerListener *listener) {
        m->listener = listener ? *listener : (ManagerListener) { 0 };
}
