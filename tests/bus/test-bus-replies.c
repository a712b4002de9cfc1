/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a call is answered with: what becomes of a command's payload and buffers, errors by name, options refused. */

#include <errno.h>
#include <stdlib.h>

#include "dbus/bus-args.h"
#include "dbus/bus-error.h"
#include "tests/bus/fixture.h"

#define MANAGER BLKFILTER_INTERFACE_MANAGER
#define ROOT BLKFILTER_OBJECT_ROOT

static void sends_map(sd_bus *bus, void *arg) {
        static const uint32_t words[4] = { 0, 24, 0x11111111, 0x22222222 };
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Ctl"), *reply;
        const uint8_t *payload, *buffer;
        uint8_t expected[16];
        int32_t result;
        size_t n;

        (void) arg;
        assert(sd_bus_message_append(m, "ssu", "/dev/sda1", "bftrack", 1) >= 0);
        assert(sd_bus_message_append_array(m, 'y', words, sizeof(words)) >= 0);
        assert(sd_bus_message_append(m, "a(uay)a{sv}", 1, 8, 3, 1, 2, 3, 0) >= 0);
        reply = client_expect_reply(bus, m, "iayaay");
        assert(sd_bus_message_read(reply, "i", &result) > 0 && result == -5);
        assert(sd_bus_message_read_array(reply, 'y', (const void **) &payload, &n) > 0 && n == 16);

        /* as the kernel left it, but for the address, which is nobody's business */
        memcpy(expected, words, sizeof(expected));
        expected[0] ^= 0xff;
        memset(expected + 8, 0, 8);
        assert(memcmp(payload, expected, sizeof(expected)) == 0);

        assert(sd_bus_message_enter_container(reply, 'a', "ay") > 0);
        assert(sd_bus_message_read_array(reply, 'y', (const void **) &buffer, &n) > 0 && n == 3);
        assert(memcmp(buffer, "\xab\xab\xab", 3) == 0);
        assert(sd_bus_message_at_end(reply, false) > 0);
        sd_bus_message_unref(reply);
}

static void sends_read(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Ctl"), *reply;
        const void *payload;
        int32_t result;
        size_t n;

        (void) arg;
        assert(sd_bus_message_append(m, "ssuaya(uay)a{sv}", "/dev/sda1", "bfcount", 0, 0, 0, 0) >= 0);
        reply = client_expect_reply(bus, m, "iayaay");
        assert(sd_bus_message_read(reply, "i", &result) > 0);
        assert(sd_bus_message_read_array(reply, 'y', &payload, &n) > 0 && n == 48);
        sd_bus_message_unref(reply);
}

static void sends_wrong(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Ctl");

        (void) arg;
        assert(sd_bus_message_append(m, "ssuaya(uay)a{sv}", "/dev/sda1", "bftrack", 2, 1, 0, 0, 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "payload of 0 bytes");

        m = client_call(bus, ROOT, MANAGER, "Ctl");
        assert(sd_bus_message_append(m, "ssuaya(uay)a{sv}", "/dev/sda1", "no name", 2, 0, 0, 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "filter");

        m = client_call(bus, ROOT, MANAGER, "Ctl");
        assert(sd_bus_message_append(m, "ssu", "/dev/sda1", "other", 2) >= 0);
        assert(sd_bus_message_append_array(m, 'y', "12345678", 8) >= 0);
        assert(sd_bus_message_open_container(m, 'a', "(uay)") >= 0);
        for (int i = 0; i < 17; i++)
                assert(sd_bus_message_append(m, "(uay)", 0, 1, 0) >= 0);
        assert(sd_bus_message_close_container(m) >= 0);
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "16 buffers");
}

static void test_ctl(void) {
        static const uint8_t zeros[48];
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, 0, sends_wrong, NULL);
        assert(f.manager->n_ctl == 0 && f.manager->n_resolve == 0);

        f.manager->ctl_result = -5;
        fixture_client(&f, 0, sends_map, NULL);
        assert(f.manager->command == 1 && f.manager->n_buffers == 1);
        assert(f.manager->buffers[0].payload_offset == 8 && f.manager->buffers[0].size == 3);

        fixture_client(&f, 0, sends_read, NULL);
        assert(f.manager->payload_size == sizeof(zeros) && memcmp(f.manager->payload, zeros, sizeof(zeros)) == 0);
        fixture_deinit(&f);
}

static void reloads(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Reload");
        const char *path, *message;
        uint32_t line;

        (void) arg;
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        m = client_expect_reply(bus, m, "a(sus)");
        assert(sd_bus_message_enter_container(m, 'a', "(sus)") > 0);
        assert(sd_bus_message_read(m, "(sus)", &path, &line, &message) > 0);
        assert(strcmp(path, "/etc/blkfilter.d/1.conf") == 0 && line == 3 && strcmp(message, "\\xfe is no key") == 0);
        assert(sd_bus_message_at_end(m, false) > 0);
        sd_bus_message_unref(m);

        assert(sd_bus_get_property(bus, BLKFILTER_BUS_NAME, ROOT, MANAGER, "ConfigErrors", NULL, &m, "a(sus)") >= 0);
        assert(sd_bus_message_enter_container(m, 'a', "(sus)") > 0);
        assert(sd_bus_message_read(m, "(sus)", &path, &line, &message) > 0 && line == 3);
        sd_bus_message_unref(m);
}

static void fails_to_reload(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Reload");

        (void) arg;
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        client_expect_error(bus, m, BLKFILTER_ERROR_PREFIX "Failed", "stay");
}

static void test_reload(void) {
        Fixture f;

        fixture_init(&f, 0);
        assert(policy_set_add_error(f.manager->policies, "/etc/blkfilter.d/1.conf", 3, "\xfe is no key", true) >= 0);
        fixture_client(&f, 0, reloads, NULL);
        f.manager->reload_error = -ENOMEM;
        fixture_client(&f, 0, fails_to_reload, NULL);
        assert(f.manager->n_reload == 2);
        fixture_deinit(&f);
}

typedef struct Expected {
        const char *name, *part;
} Expected;

static void gets_error(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Detach");
        const Expected *e = arg;

        assert(sd_bus_message_append(m, "ssa{sv}", "/dev/sda1", "bftrack", 0) >= 0);
        client_expect_error(bus, m, e->name, e->part);
}

static void test_errors(void) {
        static const char *const names[_REQUEST_ERROR_MAX] = {
                [REQUEST_E_INVALID] = "org.freedesktop.DBus.Error.InvalidArgs",
                [REQUEST_E_NO_SUCH_DEVICE] = "org.blkfilter1.Error.NoSuchDevice",
                [REQUEST_E_NO_IDENTITY] = "org.blkfilter1.Error.NoIdentity",
                [REQUEST_E_AMBIGUOUS] = "org.blkfilter1.Error.Ambiguous",
                [REQUEST_E_NOT_REGISTERED] = "org.blkfilter1.Error.NotRegistered",
                [REQUEST_E_CONFLICT] = "org.blkfilter1.Error.Conflict",
                [REQUEST_E_NOT_ATTACHED] = "org.blkfilter1.Error.NotAttached",
                [REQUEST_E_ATTACHED] = "org.blkfilter1.Error.Attached",
                [REQUEST_E_WANTED] = "org.blkfilter1.Error.Wanted",
                [REQUEST_E_NO_ATTACHMENT] = "org.blkfilter1.Error.NoAttachment",
                [REQUEST_E_NO_COMMAND] = "org.blkfilter1.Error.NoCommand",
                [REQUEST_E_RAW_COMMAND] = "org.blkfilter1.Error.RawCommand",
                [REQUEST_E_UNSUPPORTED] = "org.blkfilter1.Error.Unsupported",
                [REQUEST_E_LOCKED] = "org.blkfilter1.Error.Locked",
                [REQUEST_E_STUCK] = "org.blkfilter1.Error.Stuck",
                [REQUEST_E_TIMED_OUT] = "org.blkfilter1.Error.TimedOut",
                [REQUEST_E_STALE] = "org.blkfilter1.Error.Stale",
                [REQUEST_E_LIMIT] = "org.freedesktop.DBus.Error.LimitsExceeded",
                [REQUEST_E_FAILED] = "org.blkfilter1.Error.Failed",
        };
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Fixture f;

        fixture_init(&f, 0);
        for (int i = REQUEST_OK + 1; i < _REQUEST_ERROR_MAX; i++) {
                assert(names[i]); /* a new error needs a name that is held to */

                f.manager->resolve_error = REQUEST_OK;
                f.manager->answer_error = (RequestError) i;
                f.manager->message = "in so many words";
                fixture_client(&f, 0, gets_error, &(Expected) { names[i], "in so many words" });

                /* without a message of the manager's there is one all the same */
                f.manager->message = NULL;
                fixture_client(&f, 0, gets_error, &(Expected) { names[i], " " });

                f.manager->resolve_error = (RequestError) i;
                fixture_client(&f, 0, gets_error, &(Expected) { names[i], " " });
        }

        assert(bus_error_set_request(&error, _REQUEST_ERROR_MAX, NULL) < 0);
        assert(strcmp(error.name, "org.blkfilter1.Error.Failed") == 0 && error.message[0]);
        sd_bus_error_free(&error);
        assert(f.bus->n_calls == 0);
        fixture_deinit(&f);
}

static int read_flag(sd_bus_message *m, void *userdata) {
        return sd_bus_message_read(m, "b", userdata);
}

static int read_options_of(Fixture *f, const char *types, const char *name, const char *type, int value, int *ret,
                           sd_bus_error *error) {
        static const BusOption table[] = { { "Other", "s", NULL }, { "Flag", "b", read_flag }, {} };
        sd_bus_message *m;
        int r;

        assert(sd_bus_message_new_method_call(f->watcher, &m, "a.b", "/", "a.b", "C") >= 0);
        assert(sd_bus_message_append(m, types, 1, name, type, value) >= 0);
        assert(sd_bus_message_seal(m, 1, 0) >= 0);
        r = bus_read_options(m, table, ret, error);
        sd_bus_message_unref(m);
        return r;
}

static void test_options(void) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int value = 0;
        Fixture f;

        fixture_init(&f, 0);
        assert(read_options_of(&f, "a{sv}", "Flag", "b", 1, &value, &error) == 0 && value == 1);
        assert(read_options_of(&f, "a{sv}", "Flag", "u", 1, &value, &error) < 0);
        assert(sd_bus_error_has_name(&error, SD_BUS_ERROR_INVALID_ARGS) && strstr(error.message, "\"b\""));
        sd_bus_error_free(&error);
        assert(read_options_of(&f, "a{sv}", "flag", "b", 1, &value, &error) < 0);
        assert(sd_bus_error_has_name(&error, SD_BUS_ERROR_INVALID_ARGS) && strstr(error.message, "\"flag\""));
        sd_bus_error_free(&error);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "ctl", "reload", "errors", "options" };
        static void (*const cases[])(void) = { test_ctl, test_reload, test_errors, test_options };

        _Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(cases) / sizeof(cases[0]), "a name for each case");
        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
