/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "dbus/bus-args.h"
#include "dbus/bus-call.h"
#include "dbus/bus-change.h"
#include "dbus/bus-error.h"

static const BusOption no_options[] = { {} };

static int read_options(Call *c, sd_bus_error *error) {
        return bus_read_options(c->message, no_options, c, error);
}

static int take_filter(Call *c, const char *filter, sd_bus_error *error) {
        if (!filter_name_is_valid(filter))
                return bus_error_set_request(error, REQUEST_E_INVALID, "the argument filter is no filter's name: it"
                                             " has 1 to 31 letters, digits, \"_\" and \"-\"");

        (void) str_copy(c->filter, sizeof(c->filter), filter);
        return 0;
}

/* Device and filter, as the manager's methods begin. */
static int read_named(Call *c, sd_bus_error *error) {
        const char *filter;
        int r;

        r = sd_bus_message_read(c->message, "ss", &c->device, &filter);
        return r < 0 ? r : take_filter(c, filter, error);
}

static int read_named_plain(Call *c, sd_bus_error *error) {
        int r = read_named(c, error);

        return r < 0 ? r : read_options(c, error);
}

/* The object says which attachment, and so which filter. */
static int read_attachment(Call *c, sd_bus_error *error) {
        const Attachment *a = bus_get_attachment(c->bus, sd_bus_message_get_path(c->message));

        if (!a)
                return bus_error_set_request(error, REQUEST_E_NO_ATTACHMENT, "there is no such attachment any more");

        (void) str_copy(c->attachment, sizeof(c->attachment), a->id);
        (void) str_copy(c->filter, sizeof(c->filter), a->filter);
        return 0;
}

static int read_bool(sd_bus_message *m, bool *ret) {
        int v, r = sd_bus_message_read(m, "b", &v);

        *ret = r > 0 && v;
        return r;
}

static int read_choose(sd_bus_message *m, void *userdata) {
        Call *c = userdata;

        return read_bool(m, &c->attach.choose);
}

static int read_persistent(sd_bus_message *m, void *userdata) {
        Call *c = userdata;

        return read_bool(m, &c->attach.persistent);
}

static int read_named_attach(Call *c, sd_bus_error *error) {
        static const BusOption options[] = {
                { "choose", "b", read_choose },
                { "persistent", "b", read_persistent },
                {},
        };
        int r = read_named(c, error);

        return r < 0 ? r : bus_read_options(c->message, options, c, error);
}

static int read_attachment_plain(Call *c, sd_bus_error *error) {
        int r = read_attachment(c, error);

        return r < 0 ? r : read_options(c, error);
}

/* The end of what a command's methods read: it is judged before anybody is asked for anything. */
static int judge_command(Call *c, sd_bus_error *error) {
        char message[CTL_MESSAGE_SIZE];
        size_t payload_size;

        switch (ctl_judge(c->filter, &c->command, &payload_size, message)) {

        case CTL_WRONG:
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, message);

        case CTL_TYPED:
                if (payload_size > c->command.payload_size) {
                        c->room = calloc(1, payload_size);
                        if (!c->room)
                                return -ENOMEM;

                        if (c->command.payload_size > 0)
                                memcpy(c->room, c->command.payload, c->command.payload_size);
                        c->command.payload = c->room;
                        c->command.payload_size = payload_size;
                }
                break;

        case CTL_RAW:
                if (!manager_get_raw_commands(c->bus->manager))
                        return bus_error_set_request(error, REQUEST_E_RAW_COMMAND, NULL);

                c->action = BLKFILTER_ACTION_CTL_RAW;
                c->prompt = "Authentication is required to send the unchecked command $(command) to the filter"
                            " $(filter) on $(device).";
                break;
        }

        return 0;
}

/* Command, payload, buffers and options. */
static int read_command(Call *c, bool as_memfd, sd_bus_error *error) {
        int r;

        c->command.as_memfd = as_memfd;
        c->command.buffers = c->buffers;

        r = sd_bus_message_read(c->message, "u", &c->command.command);
        if (r >= 0)
                r = sd_bus_message_read_array(c->message, 'y', &c->command.payload, &c->command.payload_size);
        if (r >= 0)
                r = (as_memfd ? bus_read_buffer_sizes : bus_read_buffers)(c->message, c->buffers, CTL_BUFFERS_MAX,
                                                                         &c->command.n_buffers);
        if (r == -E2BIG)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "there are more than %u buffers; at most so many are possible",
                                         CTL_BUFFERS_MAX);
        if (r >= 0)
                r = read_options(c, error);

        return r < 0 ? r : judge_command(c, error);
}

static int read_named_ctl(Call *c, sd_bus_error *error) {
        int r = read_named(c, error);

        return r < 0 ? r : read_command(c, false, error);
}

static int read_named_ctl_memfd(Call *c, sd_bus_error *error) {
        int r = read_named(c, error);

        return r < 0 ? r : read_command(c, true, error);
}

static int read_attachment_ctl(Call *c, sd_bus_error *error) {
        int r = read_attachment(c, error);

        return r < 0 ? r : read_command(c, false, error);
}

static int read_attachment_ctl_memfd(Call *c, sd_bus_error *error) {
        int r = read_attachment(c, error);

        return r < 0 ? r : read_command(c, true, error);
}

static int resolve_device_argument(Call *c, const char *device, Subject *ret, sd_bus_error *error) {
        _cleanup_(freep) char *message = NULL;
        RequestError e;

        e = manager_resolve(c->bus->manager, device, ret, &message);
        return e == REQUEST_OK ? 0 : bus_error_set_request(error, e, message);
}

static int resolve_named(Call *c, Subject *ret, sd_bus_error *error) {
        return resolve_device_argument(c, c->device, ret, error);
}

/* The device that the attachment's filter is on right now. */
static int resolve_attachment(Call *c, Subject *ret, sd_bus_error *error) {
        const Attachment *a = attachment_set_get(manager_get_attachments(c->bus->manager), c->attachment);
        char device[JOB_NODE_SIZE + sizeof("/dev/")];
        uint64_t uid;
        int r;

        if (!a)
                return bus_error_set_request(error, REQUEST_E_STALE, "the attachment is gone since it was named");

        if (!a->on_device || !a->device[0])
                return bus_error_set_request(error, REQUEST_E_NOT_ATTACHED,
                                             "the filter is on no device at the moment; the"
                                             " attachment's State and StateReason say why");

        uid = a->device_uid;
        (void) snprintf(device, sizeof(device), "/dev/%s", a->device);

        r = resolve_device_argument(c, device, ret, error);
        if (r < 0)
                return r;

        return ret->uid == uid ? 0 : bus_error_set_request(error, REQUEST_E_STALE, NULL);
}

/* What is on no device: the attachment itself is what may change until somebody has said yes. */
static int resolve_identity(Call *c, Subject *ret, sd_bus_error *error) {
        const Attachment *a = attachment_set_get(manager_get_attachments(c->bus->manager), c->attachment);
        _cleanup_(freep) char *identity = NULL;
        int r;

        if (!a)
                return bus_error_set_request(error, REQUEST_E_STALE, "the attachment is gone since it was named");

        r = match_to_string(a->match, &identity);
        if (r < 0)
                return r;

        *ret = (Subject) { 0 };
        (void) snprintf(ret->identity, sizeof(ret->identity), "%s", identity);
        return 0;
}

static void act_attach(Call *c) {
        manager_attach(c->bus->manager, &c->subject, c->filter, &c->attach, call_done, c);
}

static void act_detach(Call *c) {
        manager_detach(c->bus->manager, &c->subject, c->filter, call_done, c);
}

static void act_forget(Call *c) {
        manager_forget(c->bus->manager, c->attachment, call_done, c);
}

static void act_ctl(Call *c) {
        manager_ctl(c->bus->manager, &c->subject, c->filter, &c->command, call_done, c);
}

static void act_reload(Call *c) {
        RequestAnswer answer = { .error = REQUEST_OK };

        if (manager_reload(c->bus->manager) < 0) {
                answer.error = REQUEST_E_FAILED;
                answer.message = "the policies could not be read again; those in force stay";
        }

        call_done(&answer, c);
}

static int append_attachment(const Call *c, const RequestAnswer *answer, sd_bus_message *reply) {
        char path[BUS_PATH_SIZE];

        (void) c;

        if (!answer->attachment)
                return -ENOENT;

        bus_attachment_path(answer->attachment, path);
        return sd_bus_message_append(reply, "o", path);
}

/* Result and payload, as both methods answer a command. */
static int append_result(const Call *c, const RequestAnswer *answer, sd_bus_message *reply) {
        _cleanup_(freep) uint8_t *payload = NULL;
        int r;

        payload = malloc(answer->payload_size + 1);
        if (!payload)
                return -ENOMEM;

        if (answer->payload_size > 0)
                memcpy(payload, answer->payload, answer->payload_size);

        /* where in a worker's memory a buffer was is nobody's business */
        for (size_t i = 0; i < c->command.n_buffers; i++)
                if ((uint64_t) c->buffers[i].payload_offset + CTL_POINTER_SIZE <= answer->payload_size)
                        memset(payload + c->buffers[i].payload_offset, 0, CTL_POINTER_SIZE);

        r = sd_bus_message_append(reply, "i", answer->result);
        return r < 0 ? r : sd_bus_message_append_array(reply, 'y', payload, answer->payload_size);
}

static int append_command(const Call *c, const RequestAnswer *answer, sd_bus_message *reply) {
        int r = append_result(c, answer, reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "ay");

        for (size_t i = 0; r >= 0 && i < answer->n_buffers; i++)
                r = sd_bus_message_append_array(reply, 'y', answer->buffers[i].data, answer->buffers[i].size);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_command_memfd(const Call *c, const RequestAnswer *answer, sd_bus_message *reply) {
        int r = append_result(c, answer, reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "h", answer->memfd);
        return r < 0 ? r : sd_bus_message_append_array(reply, 't', answer->memfd_offsets,
                                                       answer->n_buffers * sizeof(uint64_t));
}

static int append_errors(const Call *c, const RequestAnswer *answer, sd_bus_message *reply) {
        (void) answer;
        return bus_append_config_errors(reply, manager_get_policies(c->bus->manager));
}

/*
 * The one dispatch table of what changes filters or policies: a row makes a handler, and what it does is
 * reached by no other way. A row without an action of ours is no row.
 */
#define CHANGES(ROW)                                                                                             \
        ROW(manager_attach, BLKFILTER_ACTION_ATTACH,                                                             \
            "Authentication is required to attach the filter $(filter) to $(device).",                           \
            read_named_attach, resolve_named, act_attach, append_attachment)                                      \
        ROW(manager_detach, BLKFILTER_ACTION_DETACH,                                                             \
            "Authentication is required to detach the filter $(filter) from $(device).",                         \
            read_named_plain, resolve_named, act_detach, NULL)                                                   \
        ROW(manager_ctl, BLKFILTER_ACTION_CTL,                                                                   \
            "Authentication is required to send command $(command) to the filter $(filter) on $(device).",       \
            read_named_ctl, resolve_named, act_ctl, append_command)                                              \
        ROW(manager_ctl_memfd, BLKFILTER_ACTION_CTL,                                                             \
            "Authentication is required to send command $(command) to the filter $(filter) on $(device).",       \
            read_named_ctl_memfd, resolve_named, act_ctl, append_command_memfd)                                  \
        ROW(manager_reload, BLKFILTER_ACTION_RELOAD, "",                                                         \
            read_options, NULL, act_reload, append_errors)                                                       \
        ROW(attachment_detach, BLKFILTER_ACTION_DETACH,                                                          \
            "Authentication is required to detach the filter $(filter) from $(device).",                         \
            read_attachment_plain, resolve_attachment, act_detach, NULL)                                         \
        ROW(attachment_forget, BLKFILTER_ACTION_DETACH,                                                          \
            "Authentication is required to forget what was asked for the filter $(filter) on $(identity).",      \
            read_attachment_plain, resolve_identity, act_forget, NULL)                                           \
        ROW(attachment_ctl, BLKFILTER_ACTION_CTL,                                                                \
            "Authentication is required to send command $(command) to the filter $(filter) on $(device).",       \
            read_attachment_ctl, resolve_attachment, act_ctl, append_command)                                    \
        ROW(attachment_ctl_memfd, BLKFILTER_ACTION_CTL,                                                          \
            "Authentication is required to send command $(command) to the filter $(filter) on $(device).",       \
            read_attachment_ctl_memfd, resolve_attachment, act_ctl, append_command_memfd)

#define ROW_TO_HANDLER(_method, _action, _prompt, _read, _resolve, _act, _append)                                \
        _Static_assert(sizeof("" _action) > sizeof(BLKFILTER_BUS_NAME "."), #_method " needs a polkit action");  \
        int bus_method_##_method(sd_bus_message *m, void *userdata, sd_bus_error *error) {                       \
                static const Change change = {                                                                   \
                        .action = "" _action,                                                                    \
                        .prompt = _prompt,                                                                       \
                        .read = _read,                                                                           \
                        .resolve = _resolve,                                                                     \
                        .act = _act,                                                                             \
                        .append = _append,                                                                       \
                };                                                                                               \
                                                                                                                 \
                return call_begin(userdata, m, &change, error);                                                  \
        }

CHANGES(ROW_TO_HANDLER)
