/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of the daemon: the connection, what goes wrong with it, and how answers with properties are read. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/agent.h"
#include "ctl/client.h"
#include "ctl/terminal.h"

/* An administrator may have to type a password, and a device may be slow: the daemon itself sets the limits. */
#define CALL_USEC UINT64_C(600000000)

/**
 * client_fault() - say that a message could not be made or read
 * @r: a negative errno
 *
 * Return: the exit status.
 */
int client_fault(int r) {
        if (r == -ENOMEM)
                return complain(STATUS_FAILED, "there is no memory");

        return complain(STATUS_FAILED,
                        "the daemon's answer is not understood (%s); is blkfilterctl of the same version?",
                        strerror(-r));
}

/* The bus itself is not to be had: what is in the way, and what shows it. */
static int complain_no_bus(const Ctl *c, int r) {
        if (c->host)
                return complain(STATUS_NO_DAEMON,
                                "the bus of %s cannot be reached (%s); it takes ssh, and systemd-stdio-bridge there:"
                                " try \"ssh %s systemd-stdio-bridge\"",
                                c->host, strerror(-r), c->host);
        if (c->machine)
                return complain(STATUS_NO_DAEMON,
                                "the bus of machine %s cannot be reached (%s); machinectl shows the machines that run,"
                                " and only root may enter one",
                                c->machine, strerror(-r));

        return complain(STATUS_NO_DAEMON, "the system bus cannot be reached: %s; is dbus.service running?",
                        strerror(-r));
}

/**
 * client_open() - connect to the bus that the daemon is on, once
 * @c: host and machine are set
 *
 * Return: STATUS_OK, or STATUS_NO_DAEMON after a sentence.
 */
int client_open(Ctl *c) {
        int r;

        if (c->bus)
                return STATUS_OK;

        if (c->host)
                r = sd_bus_open_system_remote(&c->bus, c->host);
        else if (c->machine)
                r = sd_bus_open_system_machine(&c->bus, c->machine);
        else
                r = sd_bus_open_system(&c->bus);
        return r < 0 ? complain_no_bus(c, r) : STATUS_OK;
}

/**
 * client_new_call() - begin a call of the daemon
 * @c: connects if need be
 * @path: object
 * @interface: of the method
 * @method: its name
 * @ret: owned by the caller; arguments are to be appended
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_new_call(Ctl *c, const char *path, const char *interface, const char *method, sd_bus_message **ret) {
        int r, status;

        status = client_open(c);
        if (status != STATUS_OK)
                return status;

        r = sd_bus_message_new_method_call(c->bus, ret, BLKFILTER_BUS_NAME, path, interface, method);
        return r < 0 ? client_fault(r) : STATUS_OK;
}

static bool is_no_daemon(const char *name) {
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                SD_BUS_ERROR_DISCONNECTED,
                SD_BUS_ERROR_NO_REPLY,
                "org.freedesktop.DBus.Error.Spawn.Failed",
                "org.freedesktop.DBus.Error.Spawn.ChildExited",
                "org.freedesktop.systemd1.NoSuchUnit",
                "org.freedesktop.systemd1.LoadFailed",
                "org.freedesktop.systemd1.UnitMasked",
                "org.freedesktop.systemd1.JobFailed",
        };

        for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;

        return false;
}

/* Who only reads needs no agent, which takes its time to start. */
static bool may_need_password(sd_bus_message *call) {
        static const char *const names[] = { "Attach", "Detach", "Forget", "Ctl", "Reload" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(sd_bus_message_get_member(call), names[i]) == 0)
                        return true;

        return false;
}

/* The daemon's sentence, and whom to be for it, unless that is how it ends. */
static int complain_access(const sd_bus_error *error) {
        const char *message = error->message ?: "access denied", *last = strrchr(message, ' ');

        return complain(STATUS_FAILED, last && strcmp(last, " root") == 0 ? "%s (sudo)" : "%s; root may do this (sudo)",
                        message);
}

/**
 * client_send() - make a call and wait for the answer
 * @c: as of client_new_call()
 * @call: the call; borrowed
 * @ret: the answer, owned by the caller; NULL if it is not wanted
 *
 * On a terminal a password is asked for where polkit wants one.
 *
 * Return: STATUS_OK; else a sentence was said: STATUS_FAILED with the daemon's own, or STATUS_NO_DAEMON.
 */
int client_send(Ctl *c, sd_bus_message *call, sd_bus_message **ret) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r, status = STATUS_OK;

        if (!c->without_password && may_need_password(call)) {
                (void) sd_bus_message_set_allow_interactive_authorization(call, true);
                agent_open(c);
        }

        (void) sd_bus_message_set_auto_start(call, !c->without_start);
        r = sd_bus_call(c->bus, call, CALL_USEC, &error, ret);
        if (r < 0) {
                if (c->without_start && is_no_daemon(error.name))
                        status = STATUS_NO_DAEMON; /* it has been said that it ended */
                else if ((c->host || c->machine) && (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE))
                        status = complain_no_bus(c, r);
                else if (is_no_daemon(error.name) || r == -ECONNRESET || r == -ENOTCONN)
                        status = complain(STATUS_NO_DAEMON,
                                          "blkfilterd does not answer (%s); systemctl status blkfilterd says why",
                                          error.message ?: strerror(-r));
                else if (sd_bus_error_has_name(&error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                        status = complain(STATUS_FAILED, "this needs an administrator's password, and with"
                                          " --no-ask-password nobody is asked for it; root may do this (sudo)");
                else if (sd_bus_error_has_name(&error, SD_BUS_ERROR_ACCESS_DENIED))
                        status = complain_access(&error);
                else
                        status = complain(STATUS_FAILED, "%s", error.message ?: strerror(-r));
        }

        sd_bus_error_free(&error);
        return status;
}

/**
 * client_get_path() - the object of the attachment of a device
 * @c: as of client_new_call()
 * @device: as a user names it
 * @ret: owned by the caller
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_get_path(Ctl *c, const char *device, char **ret) {
        sd_bus_message *call = NULL, *reply = NULL;
        const char *path;
        int r, status;

        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "GetAttachment", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "s", device);
                status = r < 0 ? client_fault(r) : client_send(c, call, &reply);
        }
        if (status == STATUS_OK) {
                r = sd_bus_message_read(reply, "o", &path);
                if (r >= 0) {
                        *ret = strdup(path);
                        r = *ret ? 0 : -ENOMEM;
                }
                status = r < 0 ? client_fault(r) : STATUS_OK;
        }

        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        return status;
}

/**
 * client_read_string() - read a property of type "s"
 * @m: read up to it
 * @value: a char *, owned by the caller; what it was before is released
 *
 * Return: 0 or positive, or a negative errno.
 */
int client_read_string(sd_bus_message *m, void *value) {
        char **text = value;
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;

        free(*text);
        *text = strdup(s);
        return *text ? 0 : -ENOMEM;
}

/**
 * client_read_u64() - read a property of type "t"
 * @m: read up to it
 * @value: a uint64_t
 *
 * Return: 0 or positive, or a negative errno.
 */
int client_read_u64(sd_bus_message *m, void *value) {
        return sd_bus_message_read(m, "t", (uint64_t *) value);
}

/* One property; those that nobody wants, of a later version too, are passed over. */
static int read_property(sd_bus_message *m, const ClientProperty *wanted, size_t n_wanted) {
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        for (size_t i = 0; r >= 0 && i < n_wanted; i++) {
                if (strcmp(wanted[i].name, name) != 0)
                        continue;

                r = sd_bus_message_enter_container(m, 'v', wanted[i].type);
                if (r >= 0)
                        r = wanted[i].read(m, wanted[i].value);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_skip(m, "v");
}

/**
 * client_read_properties() - read the properties of one interface of an object, a{sv}
 * @m: read up to them
 * @wanted: @n_wanted elements; one that is not told is left as it is
 * @n_wanted: how many
 *
 * Return: 0 or positive; a negative errno of sd-bus, or of a read() of @wanted.
 */
int client_read_properties(sd_bus_message *m, const ClientProperty *wanted, size_t n_wanted) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_property(m, wanted, n_wanted);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/**
 * client_get_all() - ask for the properties of one interface of an object
 * @c: as of client_new_call()
 * @path: the object
 * @interface: the interface
 * @ret: the answer, to be read by client_read_properties(); owned by the caller
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int client_get_all(Ctl *c, const char *path, const char *interface, sd_bus_message **ret) {
        sd_bus_message *call = NULL;
        int r, status;

        status = client_new_call(c, path, "org.freedesktop.DBus.Properties", "GetAll", &call);
        if (status == STATUS_OK) {
                r = sd_bus_message_append(call, "s", interface);
                status = r < 0 ? client_fault(r) : client_send(c, call, ret);
        }

        sd_bus_message_unref(call);
        return status;
}
