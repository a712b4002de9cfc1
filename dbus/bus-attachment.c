/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * org.blkfilter1.Attachment, one object per attachment. No object is registered: which there are
 * is asked of the manager at each call, so the two can never differ.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "dbus/bus-args.h"
#include "dbus/bus-change.h"
#include "dbus/bus-internal.h"

/**
 * bus_attachment_path() - the object path of an attachment
 * @a: the attachment
 * @ret: written, NUL-terminated
 */
void bus_attachment_path(const Attachment *a, char ret[static BUS_PATH_SIZE]) {
        (void) stpcpy(stpcpy(ret, BLKFILTER_OBJECT_ATTACHMENT "/"), a->id);
}

/**
 * bus_get_attachment() - the attachment of an object path
 * @b: the Bus
 * @path: any object path
 *
 * Return: the attachment, borrowed until the event loop goes on; NULL if there is none.
 */
const Attachment *bus_get_attachment(Bus *b, const char *path) {
        const size_t n = strlen(BLKFILTER_OBJECT_ATTACHMENT);

        if (strncmp(path, BLKFILTER_OBJECT_ATTACHMENT, n) != 0 || path[n] != '/')
                return NULL;

        if (b->leaving && str_equal(b->leaving->id, path + n + 1))
                return b->leaving;

        return attachment_set_get(manager_get_attachments(b->manager), path + n + 1);
}

/**
 * bus_append_device() - append a device as it is told everywhere
 * @m: the message
 * @name: its kernel name, or ""
 *
 * Return: 0 or positive, or a negative errno of sd-bus.
 */
int bus_append_device(sd_bus_message *m, const char *name) {
        char device[JOB_NODE_SIZE + sizeof("/dev/")];

        (void) snprintf(device, sizeof(device), "%s%s", name[0] ? "/dev/" : "", name);
        return bus_append_text(m, device);
}

static int append_gaps(sd_bus_message *reply, const Attachment *a) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ttts)");
        for (size_t i = 0; r >= 0 && i < a->n_gaps_kept; i++)
                r = sd_bus_message_append(reply, "(ttts)", a->gaps[i].begin_usec, a->gaps[i].latest_usec,
                                          a->gaps[i].end_usec, a->gaps[i].reason);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_text_field(sd_bus_message *reply, const char *key, const char *value) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "s");
        if (r >= 0)
                r = bus_append_text(reply, value);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_fingerprint(sd_bus_message *reply, const Attachment *a) {
        const Fingerprint *f = &a->fingerprint;
        const KeptEntry *e = f->entry;
        char generation[GENERATION_SIZE];
        int r;

        fingerprint_get_generation(f, generation);
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;

        if (a->has_fingerprint) {
                r = append_text_field(reply, "PartUUID", e->uuid);
                if (r >= 0)
                        r = append_text_field(reply, "PartLabel", e->label);
                if (r >= 0)
                        r = append_text_field(reply, "PartType", e->type);
                if (r >= 0)
                        r = append_text_field(reply, "PTUUID", f->disk->pt_uuid);
                if (r >= 0)
                        r = append_text_field(reply, "DiskWWN", f->disk->wwn);
                if (r >= 0)
                        r = append_text_field(reply, "DiskSerial", f->disk->serial);
                if (r >= 0)
                        r = append_text_field(reply, "Generation", generation);
                if (r >= 0)
                        r = append_text_field(reply, "Disk", f->disk->name);
                if (r >= 0)
                        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}",
                                                  "PartNumber", "u", (uint32_t) e->partno,
                                                  "StartSectors", "t", e->start_sectors,
                                                  "SizeSectors", "t", e->size_sectors,
                                                  "DiskSeq", "t", f->disk->diskseq);
                if (r < 0)
                        return r;
        }

        return sd_bus_message_close_container(reply);
}

static int append_identity(sd_bus_message *reply, const Attachment *a) {
        _cleanup_(freep) char *identity = NULL;
        int r;

        r = match_to_string(a->match, &identity);
        return r < 0 ? r : bus_append_text(reply, identity);
}

static int append_filter(sd_bus_message *reply, const Attachment *a) {
        return sd_bus_message_append(reply, "s", a->filter);
}

static int append_source(sd_bus_message *reply, const Attachment *a) {
        return sd_bus_message_append(reply, "s", attachment_source_to_string(a->source));
}

static int append_policy(sd_bus_message *reply, const Attachment *a) {
        return bus_append_text(reply, a->policy_path);
}

static int append_device(sd_bus_message *reply, const Attachment *a) {
        return bus_append_device(reply, a->device);
}

static int append_state(sd_bus_message *reply, const Attachment *a) {
        return sd_bus_message_append(reply, "s", attachment_state_to_string(a->state));
}

static int append_reason(sd_bus_message *reply, const Attachment *a) {
        char reason[ATTACHMENT_REASON_SIZE];

        return bus_append_text(reply, attachment_get_reason(a, reason));
}

static int append_intact_since(sd_bus_message *reply, const Attachment *a) {
        return sd_bus_message_append(reply, "t", a->intact_since_usec);
}

static int append_gap_count(sd_bus_message *reply, const Attachment *a) {
        return sd_bus_message_append(reply, "t", a->n_gaps);
}

static int append_attach_count(sd_bus_message *reply, const Attachment *a) {
        return sd_bus_message_append(reply, "t", a->n_attached);
}

/* Those that change are told all together: none is left behind because its cause was forgotten. */
static const struct {
        const char *name;
        int (*append)(sd_bus_message *reply, const Attachment *a);
        bool changes;
} properties[] = {
        { "Filter",      append_filter,       false },
        { "Identity",    append_identity,     true },
        { "Source",      append_source,       true },
        { "Policy",      append_policy,       true },
        { "Device",      append_device,       true },
        { "State",       append_state,        true },
        { "StateReason", append_reason,       true },
        { "IntactSince", append_intact_since, true },
        { "Gaps",        append_gaps,         true },
        { "GapCount",    append_gap_count,    true },
        { "AttachCount", append_attach_count, true },
        { "Fingerprint", append_fingerprint,  true },
};

#define N_PROPERTIES (sizeof(properties) / sizeof(properties[0]))

static int property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Attachment *a = bus_get_attachment(userdata, path);

        (void) bus, (void) interface, (void) error;

        if (!a)
                return -ENOENT;

        for (size_t i = 0; i < N_PROPERTIES; i++)
                if (str_equal(properties[i].name, property))
                        return properties[i].append(reply, a);

        return -ENOENT;
}

#define CONST_PROPERTY(_name, _type) SD_BUS_PROPERTY(_name, _type, property_get, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define LIVE_PROPERTY(_name, _type) SD_BUS_PROPERTY(_name, _type, property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)

static const sd_bus_vtable attachment_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Detach",
                                SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_NO_RESULT,
                                bus_method_attachment_detach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Forget",
                                SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_NO_RESULT,
                                bus_method_attachment_forget, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Ctl",
                                SD_BUS_ARGS("u", command, "ay", payload, "a(uay)", buffers, "a{sv}", options),
                                SD_BUS_RESULT("i", result, "ay", payload, "aay", buffers),
                                bus_method_attachment_ctl, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CtlMemfd",
                                SD_BUS_ARGS("u", command, "ay", payload, "a(uu)", buffers, "a{sv}", options),
                                SD_BUS_RESULT("i", result, "ay", payload, "h", memfd, "at", offsets),
                                bus_method_attachment_ctl_memfd, SD_BUS_VTABLE_UNPRIVILEGED),

        CONST_PROPERTY("Filter", "s"),
        LIVE_PROPERTY("Identity", "s"),
        LIVE_PROPERTY("Source", "s"),
        LIVE_PROPERTY("Policy", "s"),
        LIVE_PROPERTY("Device", "s"),
        LIVE_PROPERTY("State", "s"),
        LIVE_PROPERTY("StateReason", "s"),
        LIVE_PROPERTY("IntactSince", "t"),
        LIVE_PROPERTY("Gaps", "a(ttts)"),
        LIVE_PROPERTY("GapCount", "t"),
        LIVE_PROPERTY("AttachCount", "t"),
        LIVE_PROPERTY("Fingerprint", "a{sv}"),

        SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *error) {
        (void) bus, (void) interface, (void) error;

        if (!bus_get_attachment(userdata, path))
                return 0;

        *ret_found = userdata;
        return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        Bus *b = userdata;
        const AttachmentSet *set = manager_get_attachments(b->manager);
        char **paths;

        (void) bus, (void) prefix, (void) error;

        paths = calloc(set->n_items + 1, sizeof(*paths));
        if (!paths)
                return -ENOMEM;

        for (size_t i = 0; i < set->n_items; i++) {
                char path[BUS_PATH_SIZE];

                bus_attachment_path(set->items[i], path);
                paths[i] = strdup(path);
                if (!paths[i]) {
                        while (i > 0)
                                free(paths[--i]);
                        free(paths);
                        return -ENOMEM;
                }
        }

        *ret_nodes = paths;
        return 1;
}

/**
 * bus_add_attachments() - put the attachments' objects on a new connection
 * @b: the Bus; its bus is set
 *
 * Return: 0 or positive, or a negative errno of sd-bus.
 */
int bus_add_attachments(Bus *b) {
        int r;

        r = sd_bus_add_fallback_vtable(b->bus, NULL, BLKFILTER_OBJECT_ATTACHMENT, BLKFILTER_INTERFACE_ATTACHMENT,
                                       attachment_vtable, find, b);
        return r < 0 ? r : sd_bus_add_node_enumerator(b->bus, NULL, BLKFILTER_OBJECT_ATTACHMENT, enumerate, b);
}

/**
 * bus_tell_attachment_added() - InterfacesAdded, with all values
 * @b: the Bus; its bus is set
 * @a: the attachment
 */
void bus_tell_attachment_added(Bus *b, const Attachment *a) {
        char path[BUS_PATH_SIZE];

        bus_attachment_path(a, path);
        (void) sd_bus_emit_object_added(b->bus, path);
}

/**
 * bus_tell_attachment_changed() - PropertiesChanged, with all values that can change
 * @b: the Bus; its bus is set
 * @a: the attachment
 */
void bus_tell_attachment_changed(Bus *b, const Attachment *a) {
        char path[BUS_PATH_SIZE];
        char *names[N_PROPERTIES + 1] = { NULL };
        size_t n = 0;

        for (size_t i = 0; i < N_PROPERTIES; i++)
                if (properties[i].changes)
                        names[n++] = (char *) properties[i].name;

        bus_attachment_path(a, path);
        (void) sd_bus_emit_properties_changed_strv(b->bus, path, BLKFILTER_INTERFACE_ATTACHMENT, names);
}

/**
 * bus_tell_attachment_removed() - InterfacesRemoved
 * @b: the Bus; its bus is set, and leaving if @a is no longer in the manager's set
 * @a: the attachment
 */
void bus_tell_attachment_removed(Bus *b, const Attachment *a) {
        char path[BUS_PATH_SIZE];

        bus_attachment_path(a, path);
        (void) sd_bus_emit_object_removed(b->bus, path);
}
