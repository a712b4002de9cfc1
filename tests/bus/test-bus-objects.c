/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clients read and are told of what there is: lists, properties, signals; and a bus that comes late or goes. */

#include <stdlib.h>

#include "tests/bus/fixture.h"

#define MANAGER BLKFILTER_INTERFACE_MANAGER
#define ROOT BLKFILTER_OBJECT_ROOT

static void set_attached(Attachment *a) {
        const Entry e = { .partno = 1, .uuid = UUID_A, .label = "bad\xff name", .start_sectors = 2048,
                          .size_sectors = 4096 };

        assert(shared_copy(&a->device, "sda1") == 0);
        a->device_uid = 7;
        a->on_device = true;
        attachment_set_state(a, ATTACHMENT_ATTACHED, strdup("on /dev/sda1"));
        a->intact_since_usec = 1234567;
        a->n_attached = 3;
        a->has_fingerprint = true;
        assert(kept_entry_new(&e, NULL, &a->fingerprint.entry) == 0);
        assert(fingerprint_set_disk(&a->fingerprint, &(DiskPrint) { .diskseq = 9, .name = "sda",
                                                                    .wwn = "0x5000c500a1b2c3d4",
                                                                    .serial = "S\xffN" }) == 0);
        assert(fingerprint_set_generation(&a->fingerprint, "0123456789abcdef0123456789abcdef"));
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
        expect_text(bus, ROOT, MANAGER, "KernelInterfaceReason", "/dev/sda has said so");
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
        shared_set(&a->lost_device, a->device);
        shared_set(&a->device, shared_empty);
        tell(&f, a, ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_LOST);
        (void) expect_signal(&f, n++, PATH_A, PROPERTIES);
        m = expect_signal(&f, n++, ROOT, MANAGER, "FilterLost");
        assert(sd_bus_message_read(m, "osstt", &path, &device, &reason, &begin, &latest) > 0);
        assert(strcmp(path, PATH_A) == 0 && strcmp(device, "/dev/sda1") == 0);
        assert(strcmp(reason, "removed") == 0 && begin == 300 && latest == 350);

        assert(shared_copy(&a->device, "sdb1") == 0);
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
        static const char *const names[] = { "lists", "properties", "signals", "late-bus" };
        static void (*const cases[])(void) = { test_lists, test_properties, test_signals, test_late_bus };

        _Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(cases) / sizeof(cases[0]), "a name for each case");
        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
