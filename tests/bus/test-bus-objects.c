/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What clients read and are told: lists, properties, signals, replies, errors by name; and a bus
 * that comes late or goes away.
 */

#include <errno.h>
#include <stdlib.h>

#include "dbus/bus-args.h"
#include "dbus/bus-error.h"
#include "tests/bus/fixture.h"

#define MANAGER BLKFILTER_INTERFACE_MANAGER
#define ROOT BLKFILTER_OBJECT_ROOT

static void set_attached(Attachment *a) {
        strcpy(a->device, "sda1");
        a->device_uid = 7;
        a->on_device = true;
        attachment_set_state(a, ATTACHMENT_ATTACHED, strdup("on /dev/sda1"));
        a->intact_since_usec = 1234567;
        a->n_attached = 3;
        a->has_fingerprint = true;
        strcpy(a->fingerprint.entry.uuid, UUID_A);
        strcpy(a->fingerprint.entry.label, "bad\xff name");
        a->fingerprint.entry.partno = 1;
        a->fingerprint.entry.start_sectors = 2048;
        a->fingerprint.entry.size_sectors = 4096;
        strcpy(a->fingerprint.disk, "sda");
        a->fingerprint.diskseq = 9;
        strcpy(a->fingerprint.wwn, "0x5000c500a1b2c3d4");
        strcpy(a->fingerprint.serial, "S\xffN");
        strcpy(a->fingerprint.generation, "0123456789abcdef0123456789abcdef");
        free(a->gaps);
        a->gaps = calloc(2, sizeof(*a->gaps));
        assert(a->gaps);
        a->gaps[0] = (Gap) { .begin_usec = 100, .latest_usec = 150, .end_usec = 200, .reason = "foreign-detach" };
        a->n_gaps_kept = 1;
        a->n_gaps = 17;
}

static void lists(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "ListAttachments"), *reply;
        const char *path, *filter, *identity, *device, *state, *reason;
        uint64_t since;

        (void) arg;
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        reply = client_expect_reply(bus, m, "a(ossssst)");
        assert(sd_bus_message_enter_container(reply, 'a', "(ossssst)") > 0);
        assert(sd_bus_message_read(reply, "(ossssst)", &path, &filter, &identity, &device, &state, &reason,
                                   &since) > 0);
        assert(strcmp(path, PATH_A) == 0 && strcmp(filter, "bftrack") == 0);
        assert(strcmp(identity, "PARTUUID=" UUID_A) == 0 && strcmp(device, "/dev/sda1") == 0);
        assert(strcmp(state, "attached") == 0 && strcmp(reason, "on /dev/sda1") == 0 && since == 1234567);
        assert(sd_bus_message_at_end(reply, false) > 0);
        sd_bus_message_unref(reply);

        m = client_call(bus, ROOT, MANAGER, "GetAttachment");
        assert(sd_bus_message_append(m, "s", "PARTUUID=x") >= 0);
        reply = client_expect_reply(bus, m, "o");
        assert(sd_bus_message_read(reply, "o", &path) > 0 && strcmp(path, PATH_A) == 0);
        sd_bus_message_unref(reply);
}

static void finds_none(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "GetAttachment");

        (void) arg;
        assert(sd_bus_message_append(m, "s", "/dev/sda1") >= 0);
        client_expect_error(bus, m, BLKFILTER_ERROR_PREFIX "NoAttachment", NULL);
        client_expect_error(bus,
                            client_call(bus, BLKFILTER_OBJECT_ATTACHMENT "/none", "org.freedesktop.DBus.Introspectable",
                                             "Introspect"), SD_BUS_ERROR_UNKNOWN_OBJECT, NULL);
}

static void test_lists(void) {
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, NOBODY, finds_none, NULL);
        set_attached(mock_manager_add(f.manager, "bftrack", UUID_A));
        fixture_client(&f, NOBODY, lists, NULL);
        assert(strcmp(f.manager->device, "PARTUUID=x") == 0);
        fixture_deinit(&f);
}

static sd_bus_message *get(sd_bus *bus, const char *path, const char *interface, const char *name, const char *type) {
        sd_bus_message *reply;

        assert(sd_bus_get_property(bus, BLKFILTER_BUS_NAME, path, interface, name, NULL, &reply, type) >= 0);
        return reply;
}

static void expect_text(sd_bus *bus, const char *path, const char *interface, const char *name, const char *expected) {
        sd_bus_message *m = get(bus, path, interface, name, "s");
        const char *s;

        assert(sd_bus_message_read(m, "s", &s) > 0);
        if (strcmp(s, expected) != 0) {
                (void) fprintf(stderr, "%s: expected \"%s\", got \"%s\"\n", name, expected, s);
                _Exit(EXIT_FAILURE);
        }
        sd_bus_message_unref(m);
}

static void expect_number(sd_bus *bus, const char *name, uint64_t expected) {
        uint64_t v;

        assert(sd_bus_get_property_trivial(bus, BLKFILTER_BUS_NAME, PATH_A, BLKFILTER_INTERFACE_ATTACHMENT, name, NULL,
                                           't', &v) >= 0);
        assert(v == expected);
}

static void reads_properties(sd_bus *bus, void *arg) {
        const char *interface = BLKFILTER_INTERFACE_ATTACHMENT, *key, *type, *s;
        uint64_t begin, latest, end, t;
        sd_bus_message *m;
        uint32_t u;
        size_t n = 0;

        (void) arg;

        expect_text(bus, PATH_A, interface, "Filter", "bftrack");
        expect_text(bus, PATH_A, interface, "Identity", "PARTUUID=" UUID_A);
        expect_text(bus, PATH_A, interface, "Source", "runtime");
        expect_text(bus, PATH_A, interface, "Policy", "");
        expect_text(bus, PATH_A, interface, "Device", "/dev/sda1");
        expect_text(bus, PATH_A, interface, "State", "attached");
        expect_text(bus, PATH_A, interface, "StateReason", "on /dev/sda1");
        expect_number(bus, "IntactSince", 1234567);
        expect_number(bus, "GapCount", 17);
        expect_number(bus, "AttachCount", 3);

        m = get(bus, PATH_A, interface, "Gaps", "a(ttts)");
        assert(sd_bus_message_enter_container(m, 'a', "(ttts)") > 0);
        assert(sd_bus_message_read(m, "(ttts)", &begin, &latest, &end, &s) > 0);
        assert(begin == 100 && latest == 150 && end == 200 && strcmp(s, "foreign-detach") == 0);
        sd_bus_message_unref(m);

        m = get(bus, PATH_A, interface, "Fingerprint", "a{sv}");
        assert(sd_bus_message_enter_container(m, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                assert(sd_bus_message_read(m, "s", &key) > 0);
                assert(sd_bus_message_peek_type(m, NULL, &type) > 0);
                if (strcmp(type, "s") == 0) {
                        assert(sd_bus_message_read(m, "v", "s", &s) > 0);
                        n += strcmp(key, "PartUUID") == 0 && strcmp(s, UUID_A) == 0;
                        n += strcmp(key, "PartLabel") == 0 && strcmp(s, "bad\\xff name") == 0;
                        n += strcmp(key, "PartType") == 0 || strcmp(key, "PTUUID") == 0;
                        n += strcmp(key, "DiskWWN") == 0 && strcmp(s, "0x5000c500a1b2c3d4") == 0;
                        n += strcmp(key, "DiskSerial") == 0 && strcmp(s, "S\\xffN") == 0;
                        n += strcmp(key, "Generation") == 0 && strcmp(s, "0123456789abcdef0123456789abcdef") == 0;
                        n += strcmp(key, "Disk") == 0 && strcmp(s, "sda") == 0;
                } else if (strcmp(type, "u") == 0) {
                        assert(sd_bus_message_read(m, "v", "u", &u) > 0);
                        n += strcmp(key, "PartNumber") == 0 && u == 1;
                } else {
                        assert(sd_bus_message_read(m, "v", "t", &t) > 0);
                        n += strcmp(key, "StartSectors") == 0 && t == 2048;
                        n += strcmp(key, "SizeSectors") == 0 && t == 4096;
                        n += strcmp(key, "DiskSeq") == 0 && t == 9;
                }
                assert(sd_bus_message_exit_container(m) >= 0);
        }
        assert(n == 12);
        sd_bus_message_unref(m);

        expect_text(bus, ROOT, MANAGER, "KernelInterface", "blkfilter-1");
        m = get(bus, ROOT, MANAGER, "Version", "s");
        assert(sd_bus_message_read(m, "s", &s) > 0 && s[0]);
        sd_bus_message_unref(m);

        m = get(bus, ROOT, MANAGER, "Counts", "a{su}");
        assert(sd_bus_message_enter_container(m, 'a', "{su}") > 0);
        n = 0;
        while (sd_bus_message_read(m, "{su}", &s, &u) > 0) {
                assert(u == (strcmp(s, "attached") == 0 ? 1 : 0));
                n++;
        }
        assert(n == _ATTACHMENT_STATE_MAX);
        sd_bus_message_unref(m);

        /* all at once, with the object manager's eyes */
        m = client_expect_reply(bus, client_call(bus, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
                                "a{oa{sa{sv}}}");
        assert(sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}") > 0);
        n = 0;
        while (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") > 0) {
                assert(sd_bus_message_read(m, "o", &s) > 0);
                n += strcmp(s, PATH_A) == 0;
                assert(sd_bus_message_skip(m, "a{sa{sv}}") >= 0);
                assert(sd_bus_message_exit_container(m) >= 0);
        }
        assert(n == 1);
        sd_bus_message_unref(m);
}

static void test_properties(void) {
        Fixture f;

        fixture_init(&f, 0);
        set_attached(mock_manager_add(f.manager, "bftrack", UUID_A));
        fixture_client(&f, NOBODY, reads_properties, NULL);
        fixture_deinit(&f);
}

static void tell(Fixture *f, const Attachment *a, uint32_t changed) {
        f->manager->listener.attachment_changed(a, changed, f->manager->listener.userdata);
        f->manager->listener.manager_changed(f->manager->listener.userdata);
}

static sd_bus_message *expect_signal(Fixture *f, size_t i, const char *path, const char *interface,
                                     const char *member) {
        sd_bus_message *m;

        UNTIL(f, f->n_signals > i);
        m = f->signals[i];
        if (!sd_bus_message_is_signal(m, interface, member) || strcmp(sd_bus_message_get_path(m), path) != 0) {
                (void) fprintf(stderr, "signal %zu: expected %s.%s, got %s.%s\n", i, interface, member,
                               sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
                abort();
        }
        return m;
}

#define PROPERTIES "org.freedesktop.DBus.Properties", "PropertiesChanged"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

static void test_signals(void) {
        const char *path, *device, *reason, *interface;
        uint64_t begin, latest, end;
        sd_bus_message *m;
        Attachment *a;
        size_t n = 0;
        Fixture f;

        fixture_init(&f, 0);

        a = mock_manager_add(f.manager, "bftrack", UUID_A);
        m = expect_signal(&f, n++, ROOT, OBJECT_MANAGER, "InterfacesAdded");
        assert(sd_bus_message_read(m, "o", &path) > 0 && strcmp(path, PATH_A) == 0);
        m = expect_signal(&f, n++, ROOT, PROPERTIES);
        assert(sd_bus_message_read(m, "s", &interface) > 0 && strcmp(interface, MANAGER) == 0);

        set_attached(a);
        tell(&f, a, ATTACHMENT_CHANGED_STATE);
        m = expect_signal(&f, n++, PATH_A, PROPERTIES);
        assert(sd_bus_message_has_signature(m, "sa{sv}as"));
        assert(sd_bus_message_read(m, "s", &interface) > 0 && strcmp(interface, BLKFILTER_INTERFACE_ATTACHMENT) == 0);
        (void) expect_signal(&f, n++, ROOT, PROPERTIES);

        /* properties first, then what happened; the device is the one that it was on */
        a->gaps[1] = (Gap) { .begin_usec = 300, .latest_usec = 350, .reason = "removed" };
        a->n_gaps_kept = 2;
        a->on_device = false;
        memcpy(a->lost_device, a->device, sizeof(a->lost_device));
        a->device[0] = 0;
        tell(&f, a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST);
        (void) expect_signal(&f, n++, PATH_A, PROPERTIES);
        m = expect_signal(&f, n++, ROOT, MANAGER, "FilterLost");
        assert(sd_bus_message_read(m, "osstt", &path, &device, &reason, &begin, &latest) > 0);
        assert(strcmp(path, PATH_A) == 0 && strcmp(device, "/dev/sda1") == 0);
        assert(strcmp(reason, "removed") == 0 && begin == 300 && latest == 350);

        strcpy(a->device, "sdb1");
        a->on_device = true;
        a->gaps[1].end_usec = 400;
        tell(&f, a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_BACK);
        (void) expect_signal(&f, n++, PATH_A, PROPERTIES);
        m = expect_signal(&f, n++, ROOT, MANAGER, "FilterRestored");
        assert(sd_bus_message_read(m, "ostt", &path, &device, &begin, &end) > 0);
        assert(strcmp(path, PATH_A) == 0 && strcmp(device, "/dev/sdb1") == 0 && begin == 300 && end == 400);

        f.manager->interface = KERNEL_INTERFACE_NONE;
        f.manager->listener.manager_changed(f.manager->listener.userdata);
        (void) expect_signal(&f, n++, ROOT, PROPERTIES);
        f.manager->listener.manager_changed(f.manager->listener.userdata); /* nothing new: nothing told */

        mock_manager_remove(f.manager, a);
        m = expect_signal(&f, n++, ROOT, OBJECT_MANAGER, "InterfacesRemoved");
        assert(sd_bus_message_read(m, "o", &path) > 0 && strcmp(path, PATH_A) == 0);
        (void) expect_signal(&f, n++, ROOT, PROPERTIES);
        assert(f.n_signals == n);
        fixture_deinit(&f);
}

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

        m = get(bus, ROOT, MANAGER, "ConfigErrors", "a(sus)");
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

        assert(strcmp(request_error_to_bus_name(_REQUEST_ERROR_MAX), "org.blkfilter1.Error.Failed") == 0);
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

static void is_denied(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Reload");

        (void) arg;
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_ACCESS_DENIED, NULL);
}

static void loses_bus(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "Reload");

        (void) arg;
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        assert(sd_bus_call(bus, m, 0, NULL, NULL) < 0);
        sd_bus_message_unref(m);
}

/* There is no bus, then there is one, it goes in the middle of a question, and comes again. */
static void test_late_bus(void) {
        Attachment *a;
        pid_t pid;
        Fixture f;

        fixture_init(&f, FIXTURE_WITHOUT_BUS);
        a = mock_manager_add(f.manager, "bftrack", UUID_A);
        fixture_turn(&f); /* the attempt that fails */
        assert(!f.bus->bus);

        fixture_start_bus(&f);
        fixture_watch(&f, true);
        set_attached(a);
        fixture_client(&f, NOBODY, lists, NULL);

        f.polkit = MOCK_POLKIT_HOLD;
        pid = fixture_spawn(&f, NOBODY, loses_bus, NULL);
        UNTIL(&f, f.n_questions == 1);
        fixture_unwatch(&f);
        fixture_stop_bus(&f);
        fixture_join(&f, pid);
        UNTIL(&f, !f.bus->bus);
        assert(f.bus->n_calls == 0);
        tell(&f, a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST); /* to nobody */

        fixture_start_bus(&f);
        fixture_watch(&f, true);
        f.polkit = MOCK_POLKIT_NO;
        fixture_client(&f, NOBODY, lists, NULL);
        fixture_client(&f, NOBODY, is_denied, NULL);
        assert(f.manager->n_reload == 0);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = {
                "lists", "properties", "signals", "ctl", "reload", "errors", "options", "late-bus",
        };
        static void (*const cases[])(void) = {
                test_lists, test_properties, test_signals, test_ctl, test_reload, test_errors, test_options,
                test_late_bus,
        };

        _Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(cases) / sizeof(cases[0]), "a name for each case");
        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
