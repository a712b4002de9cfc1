/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/module.h"
#include "daemon/text.h"

/**
 * module_unit_name() - the unit that loads a module
 * @name: of the module, any content
 * @ret: written only on success: "modprobe@NAME.service"
 *
 * The unit hands its instance's name to modprobe: as it stands in some versions of systemd, unescaped in
 * others. "_" reads the same to both, and to modprobe it is the same as "-"; so nothing has to be escaped.
 *
 * Return: false if no module can have that name: it is empty, too long for the kernel, or has anything but
 * letters, digits, "_" and "-".
 */
bool module_unit_name(const char *name, char ret[static MODULE_UNIT_SIZE]) {
        size_t n = strlen(name);
        char safe[POLICY_MODULE_SIZE];

        if (n == 0 || n >= sizeof(safe))
                return false;

        for (size_t i = 0; i <= n; i++) {
                char c = ascii_tolower(name[i]);

                if (c && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
                        return false;

                safe[i] = name[i] == '-' ? '_' : name[i];
        }

        (void) snprintf(ret, MODULE_UNIT_SIZE, "modprobe@%s.service", safe);
        return true;
}

/**
 * module_connect() - a connection to systemd itself, which is there before the bus
 * @event: the loop
 * @ret: owned by the caller
 *
 * Does not wait: what is sent goes out when the connection is made.
 *
 * Return: 0, or a negative errno: this is not systemd's machine, or it is not ours to speak to.
 */
int module_connect(sd_event *event, sd_bus **ret) {
        __attribute__((cleanup(sd_bus_unrefp))) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        *ret = bus;
        bus = NULL;
        return 0;
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *name = userdata;

        (void) error;

        if (e)
                log_line(LOG_WARNING,
                         "systemd does not load module %s: %s; load it by hand (modprobe %s), the filter is"
                         " attached then", name, e->message ?: e->name, name);

        return 1;
}

/**
 * module_load() - have a module loaded
 * @bus: the system bus, or a connection to systemd itself; NULL: there is none
 * @name: of the module
 *
 * Nothing waits for it: that systemd does not do it is logged, that the module is there the kernel tells by an event.
 * systemd calls a module that is not to be found a success, and so does this.
 *
 * Return: 0: systemd has been asked; -EINVAL if no module can have that name, -ENOTCONN if there is no bus, or another
 * negative errno.
 */
int module_load(sd_bus *bus, const char *name) {
        __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL;
        char unit[MODULE_UNIT_SIZE], *copy;
        int r;

        if (!module_unit_name(name, unit))
                return -EINVAL;

        if (!bus)
                return -ENOTCONN;

        copy = strdup(name);
        if (!copy)
                return -ENOMEM;

        r = sd_bus_call_method_async(bus, &slot, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", "StartUnit", on_started, copy, "ss", unit,
                                     "replace");
        if (r < 0) {
                free(copy);
                return r;
        }

        /* from here on the connection owns both */
        r = sd_bus_slot_set_destroy_callback(slot, free);
        if (r < 0) {
                free(copy);
                slot = sd_bus_slot_unref(slot); /* not called any more */
                return r;
        }

        r = sd_bus_slot_set_floating(slot, true);
        return r < 0 ? r : 0;
}
