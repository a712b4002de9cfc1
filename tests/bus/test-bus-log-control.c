/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.freedesktop.LogControl1, as systemctl service-log-level speaks it: who may, and what there is. */

#include <stdlib.h>

#include "daemon/log.h"
#include "tests/bus/fixture.h"

#define PATH "/org/freedesktop/LogControl1"
#define INTERFACE "org.freedesktop.LogControl1"

static void expect(sd_bus *bus, const char *property, const char *wanted) {
        char *value;

        assert(sd_bus_get_property_string(bus, BLKFILTER_BUS_NAME, PATH, INTERFACE, property, NULL, &value) >= 0);
        if (strcmp(value, wanted) != 0) {
                (void) fprintf(stderr, "%s: expected \"%s\", got \"%s\"\n", property, wanted, value);
                _Exit(EXIT_FAILURE);
        }
        free(value);
}

static sd_bus_message *set(sd_bus *bus, const char *interface, const char *property, const char *value) {
        sd_bus_message *m = client_call(bus, PATH, "org.freedesktop.DBus.Properties", "Set");

        assert(sd_bus_message_append(m, "ssv", interface, property, "s", value) >= 0);
        return m;
}

static void sets(sd_bus *bus, void *arg) {
        (void) arg;
        expect(bus, "LogLevel", "info");
        expect(bus, "LogTarget", "auto");
        expect(bus, "SyslogIdentifier", "blkfilterd");

        sd_bus_message_unref(client_expect_reply(bus, set(bus, INTERFACE, "LogLevel", "debug"), ""));
        expect(bus, "LogLevel", "debug");
        expect(bus, "LogTarget", "auto");
        sd_bus_message_unref(client_expect_reply(bus, set(bus, INTERFACE, "LogTarget", "null"), ""));
        expect(bus, "LogTarget", "null");
        expect(bus, "LogLevel", "debug");
}

static void sets_wrong(sd_bus *bus, void *arg) {
        sd_bus_message *m;

        (void) arg;
        client_expect_error(bus, set(bus, INTERFACE, "LogLevel", "loud"), SD_BUS_ERROR_INVALID_ARGS, "\"loud\"");
        client_expect_error(bus, set(bus, INTERFACE, "LogTarget", "kmsg"), SD_BUS_ERROR_INVALID_ARGS, "\"kmsg\"");
        client_expect_error(bus, set(bus, INTERFACE, "SyslogIdentifier", "x"), SD_BUS_ERROR_PROPERTY_READ_ONLY, NULL);
        client_expect_error(bus, set(bus, INTERFACE, "LogColor", "x"), SD_BUS_ERROR_UNKNOWN_PROPERTY, NULL);
        client_expect_error(bus, set(bus, "a.b", "LogLevel", "err"), SD_BUS_ERROR_UNKNOWN_PROPERTY, NULL);

        m = client_call(bus, PATH, "org.freedesktop.DBus.Properties", "Set");
        assert(sd_bus_message_append(m, "ssv", INTERFACE, "LogLevel", "u", 7) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "\"s\"");

        m = client_call(bus, PATH, "org.freedesktop.DBus.Properties", "Set");
        assert(sd_bus_message_append(m, "sss", INTERFACE, "LogLevel", "err") >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, NULL);

        client_expect_error(bus, client_call(bus, PATH, "org.freedesktop.DBus.Properties", "Reset"),
                            SD_BUS_ERROR_UNKNOWN_METHOD, NULL);
}

static void may_not_set(sd_bus *bus, void *arg) {
        (void) arg;
        client_expect_error(bus, set(bus, INTERFACE, "LogLevel", "err"), SD_BUS_ERROR_ACCESS_DENIED,
                            "LogLevel is for root only");
        client_expect_error(bus, set(bus, INTERFACE, "LogTarget", "auto"), SD_BUS_ERROR_ACCESS_DENIED,
                            "LogTarget is for root only");
        expect(bus, "LogLevel", "debug");
        expect(bus, "LogTarget", "null");
}

/* Root sets, others read; polkit has no say in it. */
static void test_set(void) {
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, 0, sets, NULL);
        assert(strcmp(log_get_level(), "debug") == 0 && strcmp(log_get_target(), "null") == 0);

        fixture_client(&f, 0, sets_wrong, NULL);
        fixture_client(&f, NOBODY, may_not_set, NULL);
        assert(strcmp(log_get_level(), "debug") == 0 && strcmp(log_get_target(), "null") == 0);
        assert(f.n_questions == 0 && f.bus->n_calls == 0);

        log_set_level(LOG_INFO);
        log_set_target(LOG_TARGET_AUTO);
        fixture_deinit(&f);
}

static void reads_description(sd_bus *bus, void *arg) {
        static const char *const parts[] = {
                "<interface name=\"" INTERFACE "\">",
                "<property name=\"LogLevel\" type=\"s\" access=\"readwrite\">",
                "<property name=\"LogTarget\" type=\"s\" access=\"readwrite\">",
                "<property name=\"SyslogIdentifier\" type=\"s\" access=\"read\">",
                "<annotation name=\"org.freedesktop.systemd1.Privileged\" value=\"true\"/>",
        };
        sd_bus_message *reply;
        const char *xml;

        (void) arg;
        reply = client_expect_reply(bus, client_call(bus, PATH, "org.freedesktop.DBus.Introspectable", "Introspect"),
                                    "s");
        assert(sd_bus_message_read(reply, "s", &xml) > 0);
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
                assert(strstr(xml, parts[i]));
        sd_bus_message_unref(reply);
}

static void test_description(void) {
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, NOBODY, reads_description, NULL);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "set", "description" };
        static void (*const cases[])(void) = { test_set, test_description };

        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
