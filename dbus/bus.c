/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/text.h"
#include "dbus/bus-args.h"
#include "dbus/bus-call.h"
#include "dbus/bus-internal.h"

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define CONNECT_AGAIN_USEC UINT64_C(3000000)

/* Devices come before callers: nobody on the bus can delay that a filter is put back. */
#define BUS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata);

static int bus_set_timer(Bus *b, uint64_t delay_usec) {
        int r;

        if (b->timer) {
                r = sd_event_source_set_time_relative(b->timer, delay_usec);
                if (r < 0)
                        return r;

                return sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
        }

        r = sd_event_add_time_relative(b->event, &b->timer, CLOCK_MONOTONIC, delay_usec, 0, on_timer, b);
        if (r < 0)
                return r;

        return sd_event_source_set_priority(b->timer, BUS_PRIORITY);
}

static void bus_disconnect(Bus *b) {
        calls_free(b);
        b->bus = sd_bus_close_unref(b->bus);
}

/* Not to be ended from within its own callback: the timer does it next. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        (void) m;
        (void) error;

        log_line(LOG_WARNING, "the connection to the bus is lost; filters are kept, and the bus is looked for again");
        b->is_told = true;
        return bus_set_timer(b, 0);
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        uint32_t result = 0;

        (void) error;

        if (e) {
                if (!b->is_told)
                        log_line(LOG_ERR,
                                 "the bus does not give the name %s: %s; its policy file org.blkfilter1.conf must be"
                                 " installed, and the bus reloaded", BLKFILTER_BUS_NAME, e->message ?: e->name);
                b->is_told = true;
                return bus_set_timer(b, 0);
        }

        if (sd_bus_message_read(m, "u", &result) < 0)
                return 1;

        if (result == 2) /* DBUS_REQUEST_NAME_REPLY_IN_QUEUE */
                log_line(LOG_WARNING, "another program has the bus name %s; waiting until it lets go of it",
                         BLKFILTER_BUS_NAME);
        else if (b->is_told)
                log_line(LOG_NOTICE, "the bus is there; reachable as %s", BLKFILTER_BUS_NAME);

        b->is_told = false;
        return 1;
}

static int bus_add_objects(Bus *b) {
        int r;

        r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, b);
        if (r >= 0)
                r = sd_bus_add_object_manager(b->bus, NULL, BLKFILTER_OBJECT_ROOT);
        if (r >= 0)
                r = bus_add_manager(b);
        if (r >= 0)
                r = bus_add_attachments(b);
        if (r >= 0)
                r = bus_add_log_control(b);
        if (r < 0)
                return r;

        /* last: whoever finds the name finds the objects; queued: an old daemon may still be leaving */
        return sd_bus_request_name_async(b->bus, NULL, BLKFILTER_BUS_NAME, SD_BUS_NAME_QUEUE, on_name, b);
}

static int bus_connect(Bus *b) {
        const char *address = b->address ?: getenv("DBUS_SYSTEM_BUS_ADDRESS") ?: SYSTEM_BUS_ADDRESS;
        int r;

        r = sd_bus_new(&b->bus);
        if (r >= 0)
                r = sd_bus_set_address(b->bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(b->bus, true);
        if (r >= 0)
                r = sd_bus_set_description(b->bus, "blkfilterd");
        if (r >= 0)
                r = sd_bus_start(b->bus);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, b->event, BUS_PRIORITY);
        if (r >= 0)
                r = bus_add_objects(b);
        if (r < 0)
                b->bus = sd_bus_close_unref(b->bus);

        return r;
}

/* A connection that is lost is ended; where none is, one is made. */
static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Bus *b = userdata;
        int r;

        (void) s;
        (void) usec;

        if (b->bus) {
                bus_disconnect(b);
                return bus_set_timer(b, CONNECT_AGAIN_USEC);
        }

        r = bus_connect(b);
        if (r >= 0)
                return 0;

        if (!b->is_told)
                log_line(LOG_NOTICE, "there is no bus yet (%s); going on without, and looking for it again",
                         strerror(-r));
        b->is_told = true;

        return bus_set_timer(b, CONNECT_AGAIN_USEC);
}

static void on_attachment_added(const Attachment *a, void *userdata) {
        Bus *b = userdata;

        if (b->bus)
                bus_tell_attachment_added(b, a);
}

static void on_attachment_removed(const Attachment *a, void *userdata) {
        Bus *b = userdata;

        if (b->bus) {
                b->leaving = a;
                bus_tell_attachment_removed(b, a);
                b->leaving = NULL;
        }
}

static void on_attachment_changed(const Attachment *a, uint32_t changed, void *userdata) {
        Bus *b = userdata;

        if (!b->bus)
                return;

        /* a new object was told with all its values already */
        if (!(changed & ATTACHMENT_CHANGED_ADDED))
                bus_tell_attachment_changed(b, a);

        /* in the order in which they happened: back, and lost again; or lost and back */
        if (changed & ATTACHMENT_CHANGED_BACK && !a->on_device)
                bus_tell_return(b, a);
        if (changed & ATTACHMENT_CHANGED_LOST)
                bus_tell_loss(b, a);
        if (changed & ATTACHMENT_CHANGED_BACK && a->on_device)
                bus_tell_return(b, a);
}

static void on_manager_changed(void *userdata) {
        Bus *b = userdata;

        if (b->bus)
                bus_tell_manager(b);
}

/**
 * bus_new() - be on the bus, from the next turn of the event loop on and whenever there is one
 * @event: the event loop; referenced
 * @m: the manager; borrowed, must outlive the Bus. Its listener is set
 * @config: copied
 * @ret: the Bus, owned by the caller
 *
 * A bus that cannot be reached is no error: it is looked for again every few seconds.
 *
 * Return: 0, -ENOMEM, or a negative errno of sd-event.
 */
int bus_new(sd_event *event, Manager *m, const BusConfig *config, Bus **ret) {
        Bus *b;
        int r;

        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;

        b->event = sd_event_ref(event);
        b->manager = m;
        b->without_polkit = config->without_polkit;

        if (config->address) {
                b->address = strdup(config->address);
                if (!b->address) {
                        bus_free(b);
                        return -ENOMEM;
                }
        }

        r = bus_set_timer(b, 0);
        if (r < 0) {
                bus_free(b);
                return r;
        }

        manager_set_listener(m, &(ManagerListener) {
                .attachment_added = on_attachment_added,
                .attachment_removed = on_attachment_removed,
                .attachment_changed = on_attachment_changed,
                .manager_changed = on_manager_changed,
                .userdata = b,
        });

        *ret = b;
        return 0;
}

/**
 * bus_free() - leave the bus; callers that wait get no answer but the end of the name
 * @b: the Bus, or NULL
 *
 * Return: NULL.
 */
Bus *bus_free(Bus *b) {
        if (!b)
                return NULL;

        manager_set_listener(b->manager, NULL);

        if (b->bus) {
                calls_free(b);
                b->bus = sd_bus_flush_close_unref(b->bus);
        }

        sd_event_source_disable_unref(b->timer);
        sd_event_unref(b->event);
        free(b->address);
        free(b->interface_reason);
        free(b);
        return NULL;
}

/**
 * bus_get_connection() - the connection itself, for other calls than ours
 * @b: the Bus
 *
 * Return: borrowed until the event loop goes on; NULL while there is none.
 */
sd_bus *bus_get_connection(Bus *b) {
        return b->bus && sd_bus_is_ready(b->bus) > 0 ? b->bus : NULL;
}
