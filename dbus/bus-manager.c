/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * org.blkfilter1.Manager at /org/blkfilter1. The description of it all is org.blkfilter1.xml.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "daemon/text.h"
#include "dbus/bus-args.h"
#include "dbus/bus-change.h"
#include "dbus/bus-error.h"
#include "dbus/bus-internal.h"

static const BusOption list_options[] = { {} };

static int method_get_attachment(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(freep) char *message = NULL;
        char path[BUS_PATH_SIZE];
        const Attachment *a;
        const char *device;
        Bus *b = userdata;
        Subject subject;
        RequestError e;
        int r;

        r = sd_bus_message_read(m, "s", &device);
        if (r < 0)
                return r;

        e = manager_resolve(b->manager, device, &subject, &message);
        if (e != REQUEST_OK)
                return bus_error_set_request(error, e, message);

        a = manager_find_attachment(b->manager, &subject);
        if (!a)
                return bus_error_set_request(error, REQUEST_E_NO_ATTACHMENT, NULL);

        bus_attachment_path(a, path);
        return sd_bus_reply_method_return(m, "o", path);
}

/* One value at a time, without a signature to be parsed for each, in the memory of the last: there may be thousands. */
static int append_attachment(sd_bus_message *reply, const Attachment *a, Text *identity) {
        char path[BUS_PATH_SIZE], reason[ATTACHMENT_REASON_SIZE];
        int r;

        bus_attachment_path(a, path);
        identity->length = 0;
        match_write(a->match, identity);
        r = identity->failed ? -ENOMEM : sd_bus_message_open_container(reply, 'r', "ossssst");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'o', path);
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', a->filter);
        if (r >= 0)
                r = bus_append_text(reply, identity->data);
        if (r >= 0)
                r = bus_append_device(reply, a->device);
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', attachment_state_to_string(a->state));
        if (r >= 0)
                r = bus_append_text(reply, attachment_get_reason(a, reason));
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 't', &a->intact_since_usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_attachments(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(text_deinit) Text identity = TEXT_INIT;
        const AttachmentSet *set;
        Bus *b = userdata;
        int r;

        r = bus_read_options(m, list_options, NULL, error);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(reply, 'a', "(ossssst)");
        if (r < 0)
                return r;

        set = manager_get_attachments(b->manager);
        for (size_t i = 0; i < set->n_items; i++) {
                r = append_attachment(reply, set->items[i], &identity);
                if (r < 0)
                        return r;
        }

        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int property_get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;

        return sd_bus_message_append(reply, "s", VERSION);
}

static int property_get_interface(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;

        return sd_bus_message_append(reply, "s", kernel_interface_to_string(manager_get_interface(b->manager)));
}

static int property_get_interface_reason(sd_bus *bus, const char *path, const char *interface, const char *property,
                                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;

        return bus_append_text(reply, manager_get_interface_reason(b->manager));
}

static int property_get_filters(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;
        size_t n = 0;
        Need *needs;
        int r;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;

        r = manager_list_needs(b->manager, &needs, &n);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(reply, 'a', "(sss)");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "(sss)", needs[i].filter,
                                          need_registered_to_string(needs[i].registered), needs[i].reason);

        needs_free(needs, n);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_raw(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;

        return sd_bus_message_append(reply, "b", manager_get_raw_commands(b->manager));
}

static int property_get_errors(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;

        return bus_append_config_errors(reply, manager_get_policies(b->manager));
}

/* How many attachments are in each state. */
static void count_states(Bus *b, uint32_t ret[static _ATTACHMENT_STATE_MAX]) {
        const AttachmentSet *set = manager_get_attachments(b->manager);

        for (size_t i = 0; i < _ATTACHMENT_STATE_MAX; i++)
                ret[i] = (uint32_t) set->n_in_state[i];
}

static int property_get_counts(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        uint32_t counts[_ATTACHMENT_STATE_MAX];
        int r;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;

        count_states(userdata, counts);

        r = sd_bus_message_open_container(reply, 'a', "{su}");
        for (int i = 0; r >= 0 && i < _ATTACHMENT_STATE_MAX; i++)
                r = sd_bus_message_append(reply, "{su}", attachment_state_to_string((AttachmentState) i), counts[i]);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Every method has the UNPRIVILEGED flag: sd-bus's own check would wait for the bus; ours does not. */
static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Attach",
                                SD_BUS_ARGS("s", device, "s", filter, "a{sv}", options),
                                SD_BUS_RESULT("o", attachment),
                                bus_method_manager_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Detach",
                                SD_BUS_ARGS("s", device, "s", filter, "a{sv}", options),
                                SD_BUS_NO_RESULT,
                                bus_method_manager_detach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Ctl",
                                SD_BUS_ARGS("s", device, "s", filter, "u", command, "ay", payload, "a(uay)", buffers,
                                            "a{sv}", options),
                                SD_BUS_RESULT("i", result, "ay", payload, "aay", buffers),
                                bus_method_manager_ctl, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CtlMemfd",
                                SD_BUS_ARGS("s", device, "s", filter, "u", command, "ay", payload, "a(uu)", buffers,
                                            "a{sv}", options),
                                SD_BUS_RESULT("i", result, "ay", payload, "h", memfd, "at", offsets),
                                bus_method_manager_ctl_memfd, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetAttachment",
                                SD_BUS_ARGS("s", device),
                                SD_BUS_RESULT("o", attachment),
                                method_get_attachment, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListAttachments",
                                SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(ossssst)", attachments),
                                method_list_attachments, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain",
                                SD_BUS_ARGS("s", device),
                                SD_BUS_RESULT("s", device, "a{ss}", facts, "s", summary, "o", attachment,
                                              "a(sssa(sussssb))", policies),
                                bus_method_explain, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload",
                                SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(sus)", errors),
                                bus_method_manager_reload, SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("FilterLost",
                                SD_BUS_ARGS("o", attachment, "s", device, "s", reason, "t", begin, "t", latest), 0),
        SD_BUS_SIGNAL_WITH_ARGS("FilterRestored",
                                SD_BUS_ARGS("o", attachment, "s", device, "t", begin, "t", end), 0),

        SD_BUS_PROPERTY("Version", "s", property_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("KernelInterface", "s", property_get_interface, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("KernelInterfaceReason", "s", property_get_interface_reason, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Filters", "a(sss)", property_get_filters, 0, 0),
        SD_BUS_PROPERTY("RawCommands", "b", property_get_raw, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ConfigErrors", "a(sus)", property_get_errors, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Counts", "a{su}", property_get_counts, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_VTABLE_END,
};

static void keep_interface(Bus *b) {
        const char *reason = manager_get_interface_reason(b->manager);

        b->interface = manager_get_interface(b->manager);
        if (b->interface_reason && strcmp(b->interface_reason, reason) == 0)
                return;

        free(b->interface_reason);
        b->interface_reason = strdup(reason); /* without memory for it, it is told once more */
}

/**
 * bus_add_manager() - put the manager's object on a new connection
 * @b: the Bus; its bus is set
 *
 * Return: 0 or positive, or a negative errno of sd-bus.
 */
int bus_add_manager(Bus *b) {
        keep_interface(b);
        b->raw_commands = manager_get_raw_commands(b->manager);
        b->policies = manager_get_policies(b->manager);
        count_states(b, b->counts);

        return sd_bus_add_object_vtable(b->bus, NULL, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER,
                                        manager_vtable, b);
}

/**
 * bus_append_config_errors() - append what is wrong in policy files, a(sus)
 * @m: the message
 * @policies: those in force, or NULL
 *
 * Return: 0 or positive, -ENOMEM, or a negative errno of sd-bus.
 */
int bus_append_config_errors(sd_bus_message *m, const PolicySet *policies) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sus)");

        for (size_t i = 0; r >= 0 && policies && i < policies->n_errors; i++) {
                const PolicyError *e = &policies->errors[i];

                r = sd_bus_message_open_container(m, 'r', "sus");
                if (r >= 0)
                        r = bus_append_text(m, e->path);
                if (r >= 0)
                        r = sd_bus_message_append(m, "u", (uint32_t) e->line);
                if (r >= 0)
                        r = bus_append_text(m, e->message);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/**
 * bus_tell_manager() - tell those of the manager's properties that are new
 * @b: the Bus; its bus is set
 */
void bus_tell_manager(Bus *b) {
        uint32_t counts[_ATTACHMENT_STATE_MAX];
        const char *reason = manager_get_interface_reason(b->manager);
        char *names[6] = { NULL };
        size_t n = 0;

        count_states(b, counts);

        if (memcmp(counts, b->counts, sizeof(counts)) != 0)
                names[n++] = (char *) "Counts";
        if (b->interface != manager_get_interface(b->manager))
                names[n++] = (char *) "KernelInterface";
        if (!b->interface_reason || strcmp(b->interface_reason, reason) != 0)
                names[n++] = (char *) "KernelInterfaceReason";
        if (b->raw_commands != manager_get_raw_commands(b->manager))
                names[n++] = (char *) "RawCommands";
        /* a set is never changed, and a new one is made while the old one is there */
        if (b->policies != manager_get_policies(b->manager))
                names[n++] = (char *) "ConfigErrors";

        memcpy(b->counts, counts, sizeof(counts));
        keep_interface(b);
        b->raw_commands = manager_get_raw_commands(b->manager);
        b->policies = manager_get_policies(b->manager);

        if (n > 0)
                (void) sd_bus_emit_properties_changed_strv(b->bus, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER,
                                                           names);
}

/**
 * bus_tell_loss() - FilterLost
 * @b: the Bus; its bus is set
 * @a: the attachment whose filter went; its last gap is the one
 */
void bus_tell_loss(Bus *b, const Attachment *a) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char path[BUS_PATH_SIZE];
        const Gap *g = attachment_get_lost_gap(a);

        bus_attachment_path(a, path);
        if (sd_bus_message_new_signal(b->bus, &m, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER,
                                      "FilterLost") < 0 ||
            sd_bus_message_append(m, "o", path) < 0 ||
            bus_append_device(m, a->lost_device) < 0 ||
            sd_bus_message_append(m, "stt", g ? g->reason : "", g ? g->begin_usec : UINT64_C(0),
                                  g ? g->latest_usec : UINT64_C(0)) < 0)
                return;

        (void) sd_bus_send(b->bus, m, NULL);
}

/**
 * bus_tell_return() - FilterRestored
 * @b: the Bus; its bus is set
 * @a: the attachment whose filter is back; its last gap is the one that ended
 */
void bus_tell_return(Bus *b, const Attachment *a) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char path[BUS_PATH_SIZE];
        const Gap *g = attachment_get_back_gap(a);

        bus_attachment_path(a, path);
        if (sd_bus_message_new_signal(b->bus, &m, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER,
                                      "FilterRestored") < 0 ||
            sd_bus_message_append(m, "o", path) < 0 ||
            bus_append_device(m, a->on_device ? a->device : a->lost_device) < 0 ||
            sd_bus_message_append(m, "tt", g ? g->begin_usec : UINT64_C(0), g ? g->end_usec : UINT64_C(0)) < 0)
                return;

        (void) sd_bus_send(b->bus, m, NULL);
}
