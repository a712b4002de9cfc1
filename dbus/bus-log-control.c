/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * org.freedesktop.LogControl1: how much is logged, and where to, while the daemon runs. It is what
 * "systemctl service-log-level" and "service-log-target" speak.
 *
 * Everybody may read; root may write. A property's set function of sd-bus has to answer at once, and
 * sd-bus's own check of the caller waits for the bus. So Set is taken in before sd-bus looks at it, as a
 * call like all that change something.
 */

#include <errno.h>

#include "daemon/log.h"
#include "daemon/text.h"
#include "dbus/bus-args.h"
#include "dbus/bus-call.h"
#include "dbus/bus-internal.h"

#define LOG_CONTROL_PATH      "/org/freedesktop/LogControl1"
#define LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"

static int property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *value = BLKFILTER_SYSLOG_IDENTIFIER;

        (void) bus, (void) path, (void) interface, (void) userdata, (void) error;

        if (str_equal(property, "LogLevel"))
                value = log_get_level();
        else if (str_equal(property, "LogTarget"))
                value = log_get_target();

        return sd_bus_message_append(reply, "s", value);
}

/* on_set() comes before it. */
static int property_set(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *value, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) value, (void) userdata, (void) error;

        return -EACCES;
}

/* Without the UNPRIVILEGED flag: it is said to be privileged, as the interface demands. */
static const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", property_get, property_set, 0, 0),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", property_get, property_set, 0, 0),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),

        SD_BUS_VTABLE_END,
};

/* Interface and property are known already. */
static int read_value(Call *c, sd_bus_error *error) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_rewind(c->message, true);
        if (r >= 0)
                r = sd_bus_message_skip(c->message, "ss");
        if (r >= 0)
                r = sd_bus_message_peek_type(c->message, &type, &contents);
        if (r < 0)
                return r;

        if (type != SD_BUS_TYPE_VARIANT || !str_equal(contents, "s"))
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "the value must be of type \"s\"");

        return sd_bus_message_read(c->message, "v", "s", &c->value);
}

static int read_level(Call *c, sd_bus_error *error) {
        int r = read_value(c, error);

        if (r >= 0 && log_level_from_string(c->value) < 0)
                r = sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                      "there is no log level \"%s\"; there are emerg, alert, crit, err, warning,"
                                      " notice, info and debug", c->value);

        return r;
}

static int read_target(Call *c, sd_bus_error *error) {
        int r = read_value(c, error);

        if (r >= 0 && log_target_from_string(c->value) < 0)
                r = sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                      "there is no log target \"%s\" here; there are auto, journal, console and null",
                                      c->value);

        return r;
}

static void act_level(Call *c) {
        log_set_level(log_level_from_string(c->value));
        call_done(&(RequestAnswer) { .error = REQUEST_OK }, c);
}

static void act_target(Call *c) {
        log_set_target((LogTarget) log_target_from_string(c->value));
        call_done(&(RequestAnswer) { .error = REQUEST_OK }, c);
}

static const struct {
        const char *property;
        Change change;
} changes[] = {
        { "LogLevel",
          { .action = "setting LogLevel", .root_only = true, .prompt = "", .read = read_level, .act = act_level } },
        { "LogTarget",
          { .action = "setting LogTarget", .root_only = true, .prompt = "", .read = read_target, .act = act_target } },
};

/* Every message to the object comes by here first; 0: sd-bus deals with it. */
static int on_set(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *interface, *property;

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Set") ||
            sd_bus_message_read(m, "ss", &interface, &property) < 0 || !str_equal(interface, LOG_CONTROL_INTERFACE))
                return 0;

        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
                if (str_equal(changes[i].property, property))
                        return call_begin(userdata, m, &changes[i].change, error);

        return 0;
}

/**
 * bus_add_log_control() - put the object that controls the log on a new connection
 * @b: the Bus; its bus is set
 *
 * Return: 0 or positive, or a negative errno of sd-bus.
 */
int bus_add_log_control(Bus *b) {
        int r;

        r = sd_bus_add_object(b->bus, NULL, LOG_CONTROL_PATH, on_set, b);
        return r < 0 ? r : sd_bus_add_object_vtable(b->bus, NULL, LOG_CONTROL_PATH, LOG_CONTROL_INTERFACE,
                                                    log_control_vtable, b);
}
