/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dbus/org.blkfilter1.xml is the contract: the objects offer exactly what it says; and each method
 * that it names is, for a caller without rights, either one that reads or refused.
 */

#include <errno.h>
#include <stdlib.h>

#include "tests/bus/fixture.h"

#define LINES_MAX 256

/* What a description offers, a line each, sorted: neither comments nor spaces nor order count. */
typedef struct Contract {
        char *lines[LINES_MAX];
        size_t n_lines;
} Contract;

static void get_attribute(const char *tag, const char *end, const char *name, char *ret, size_t size) {
        char key[32];
        const char *p, *q;

        ret[0] = 0;
        (void) snprintf(key, sizeof(key), " %s=\"", name);
        p = strstr(tag, key);
        if (!p || p > end)
                return;

        p += strlen(key);
        q = strchr(p, '"');
        assert(q && q < end && (size_t) (q - p) < size);
        memcpy(ret, p, (size_t) (q - p));
        ret[q - p] = 0;
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void contract_add(Contract *c, const char *xml) {
        char interface[128] = "", member[128] = "", name[128], type[64], direction[16], value[128], access[16];
        unsigned n_args = 0;

        for (const char *p = strchr(xml, '<'); p; p = strchr(p, '<')) {
                const char *end = strncmp(p, "<!--", 4) == 0 ? strstr(p, "-->") : strchr(p, '>');
                char line[640] = "";

                assert(end);
                get_attribute(p, end, "name", name, sizeof(name));
                get_attribute(p, end, "type", type, sizeof(type));
                get_attribute(p, end, "direction", direction, sizeof(direction));
                get_attribute(p, end, "value", value, sizeof(value));
                get_attribute(p, end, "access", access, sizeof(access));

                if (strncmp(p, "<interface ", 11) == 0)
                        strcpy(interface, name);
                else if (strncmp(interface, "org.blkfilter1.", 15) != 0)
                        ;
                else if (strncmp(p, "<method ", 8) == 0 || strncmp(p, "<signal ", 8) == 0) {
                        n_args = 0;
                        strcpy(member, name);
                        (void) snprintf(line, sizeof(line), "%.6s %s %s", p + 1, interface, name);
                } else if (strncmp(p, "<property ", 10) == 0) {
                        strcpy(member, name);
                        (void) snprintf(line, sizeof(line), "property %s %s %s %s", interface, name, type, access);
                } else if (strncmp(p, "<arg ", 5) == 0)
                        (void) snprintf(line, sizeof(line), "arg %s %s %u %s %s %s", interface, member, n_args++, type,
                                        name, direction);
                else if (strncmp(p, "<annotation ", 12) == 0)
                        (void) snprintf(line, sizeof(line), "annotation %s %s %s %s", interface, member, name, value);

                if (line[0]) {
                        assert(c->n_lines < LINES_MAX);
                        c->lines[c->n_lines] = strdup(line);
                        assert(c->lines[c->n_lines++]);
                }

                p = end;
        }

        qsort(c->lines, c->n_lines, sizeof(*c->lines), compare_lines);
}

static void contract_deinit(Contract *c) {
        for (size_t i = 0; i < c->n_lines; i++)
                free(c->lines[i]);
}

static void contract_read_file(Contract *c) {
        static char xml[64 * 1024];
        FILE *file = fopen(SOURCE_ROOT "/dbus/org.blkfilter1.xml", "re");
        size_t n;

        assert(file);
        n = fread(xml, 1, sizeof(xml) - 1, file);
        assert(n > 0 && n < sizeof(xml) - 1);
        xml[n] = 0;
        (void) fclose(file);
        contract_add(c, xml);
}

static void contract_read_object(Contract *c, sd_bus *bus, const char *path) {
        sd_bus_message *reply;
        const char *xml;

        reply = client_expect_reply(bus, client_call(bus, path, "org.freedesktop.DBus.Introspectable", "Introspect"),
                                    "s");
        assert(sd_bus_message_read(reply, "s", &xml) > 0);
        contract_add(c, xml);
        sd_bus_message_unref(reply);
}

static void compares(sd_bus *bus, void *arg) {
        const Contract *file = arg;
        Contract objects = { 0 };
        size_t n_different = 0;

        contract_read_object(&objects, bus, BLKFILTER_OBJECT_ROOT);
        contract_read_object(&objects, bus, PATH_A);
        assert(file->n_lines > 50);

        for (size_t i = 0, j = 0; i < file->n_lines || j < objects.n_lines;) {
                int d = i == file->n_lines ? 1 : j == objects.n_lines ? -1 : strcmp(file->lines[i], objects.lines[j]);

                if (d < 0)
                        (void) fprintf(stderr, "only in org.blkfilter1.xml: %s\n", file->lines[i]);
                if (d > 0)
                        (void) fprintf(stderr, "not in org.blkfilter1.xml: %s\n", objects.lines[j]);
                n_different += d != 0;
                i += d <= 0;
                j += d >= 0;
        }

        assert(n_different == 0);
        contract_deinit(&objects);
}

static void fixture_with_attachment(Fixture *f) {
        Attachment *a;

        fixture_init(f, 0);
        a = mock_manager_add(f->manager, "bftrack", UUID_A);
        assert(shared_copy(&a->device, "sda1") == 0);
        a->device_uid = f->manager->subject.uid;
        a->on_device = true;
}

static void test_description(void) {
        Contract file = { 0 };
        Fixture f;

        /* the client is nobody, who may not look into the home folder that a checkout can be in */
        contract_read_file(&file);
        fixture_with_attachment(&f);
        fixture_client(&f, NOBODY, compares, &file);
        fixture_deinit(&f);
        contract_deinit(&file);
}

static void append_device_filter(sd_bus_message *m) {
        assert(sd_bus_message_append(m, "ss", "/dev/sda1", "bftrack") >= 0);
}

static void append_device_command(sd_bus_message *m) {
        assert(sd_bus_message_append(m, "ssuaya(uay)", "/dev/sda1", "bftrack", 0, 0, 0) >= 0);
}

static void append_device_memfd(sd_bus_message *m) {
        static const uint8_t payload[16] = { [4] = 8 };

        assert(sd_bus_message_append(m, "ssu", "/dev/sda1", "bftrack", 1) >= 0);
        assert(sd_bus_message_append_array(m, 'y', payload, sizeof(payload)) >= 0);
        assert(sd_bus_message_append(m, "a(uu)", 1, 8, 1) >= 0);
}

static void append_memfd(sd_bus_message *m) {
        static const uint8_t payload[16] = { [4] = 8 };

        assert(sd_bus_message_append(m, "u", 1) >= 0);
        assert(sd_bus_message_append_array(m, 'y', payload, sizeof(payload)) >= 0);
        assert(sd_bus_message_append(m, "a(uu)", 1, 8, 1) >= 0);
}

static void append_device(sd_bus_message *m) {
        assert(sd_bus_message_append(m, "s", "/dev/sda1") >= 0);
}

static void append_command(sd_bus_message *m) {
        assert(sd_bus_message_append(m, "uaya(uay)", 0, 0, 0) >= 0);
}

static const struct Method {
        const char *name; /* as in a contract's line */
        const char *path;
        void (*append)(sd_bus_message *m); /* valid arguments but options; NULL none */
        bool has_options;
        const char *action; /* NULL: it reads */
} methods[] = {
        { "org.blkfilter1.Manager Attach", BLKFILTER_OBJECT_ROOT, append_device_filter, true, "org.blkfilter1.attach" },
        { "org.blkfilter1.Manager Detach", BLKFILTER_OBJECT_ROOT, append_device_filter, true, "org.blkfilter1.detach" },
        { "org.blkfilter1.Manager Ctl", BLKFILTER_OBJECT_ROOT, append_device_command, true, "org.blkfilter1.ctl" },
        { "org.blkfilter1.Manager CtlMemfd", BLKFILTER_OBJECT_ROOT, append_device_memfd, true, "org.blkfilter1.ctl" },
        { "org.blkfilter1.Manager Reload", BLKFILTER_OBJECT_ROOT, NULL, true, "org.blkfilter1.reload" },
        { "org.blkfilter1.Manager GetAttachment", BLKFILTER_OBJECT_ROOT, append_device, false, NULL },
        { "org.blkfilter1.Manager Explain", BLKFILTER_OBJECT_ROOT, append_device, false, NULL },
        { "org.blkfilter1.Manager ListAttachments", BLKFILTER_OBJECT_ROOT, NULL, true, NULL },
        { "org.blkfilter1.Attachment Detach", PATH_A, NULL, true, "org.blkfilter1.detach" },
        { "org.blkfilter1.Attachment Forget", PATH_A, NULL, true, "org.blkfilter1.detach" },
        { "org.blkfilter1.Attachment Ctl", PATH_A, append_command, true, "org.blkfilter1.ctl" },
        { "org.blkfilter1.Attachment CtlMemfd", PATH_A, append_memfd, true, "org.blkfilter1.ctl" },
};

static sd_bus_message *call_method(sd_bus *bus, const struct Method *method) {
        char interface[128];
        const char *member = strchr(method->name, ' ');
        sd_bus_message *m;

        (void) snprintf(interface, sizeof(interface), "%.*s", (int) (member - method->name), method->name);
        m = client_call(bus, method->path, interface, member + 1);
        if (method->append)
                method->append(m);
        return m;
}

static void expect_unknown_option(sd_bus *bus, const struct Method *method) {
        sd_bus_message *m = call_method(bus, method);

        assert(sd_bus_message_append(m, "a{sv}", 1, "NoSuchOption", "b", 1) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "NoSuchOption");
}

static void walks(sd_bus *bus, void *arg) {
        Contract c = { 0 };
        size_t n_methods = 0;

        (void) arg;

        contract_read_object(&c, bus, BLKFILTER_OBJECT_ROOT);
        contract_read_object(&c, bus, PATH_A);

        for (size_t i = 0; i < c.n_lines; i++) {
                const struct Method *method = NULL;
                sd_bus_message *m;

                /* a property that could be written would need an action */
                if (strncmp(c.lines[i], "property ", 9) == 0)
                        assert(strcmp(strrchr(c.lines[i], ' '), " read") == 0);

                if (strncmp(c.lines[i], "method ", 7) != 0)
                        continue;

                for (size_t j = 0; j < sizeof(methods) / sizeof(methods[0]); j++)
                        if (strcmp(methods[j].name, c.lines[i] + 7) == 0)
                                method = &methods[j];

                if (!method) {
                        (void) fprintf(stderr, "%s: this test does not know it; does it change something?\n",
                                       c.lines[i]);
                        _Exit(EXIT_FAILURE);
                }

                n_methods++;

                m = call_method(bus, method);
                if (method->has_options)
                        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
                if (method->action)
                        client_expect_error(bus, m, SD_BUS_ERROR_ACCESS_DENIED, method->action);
                else {
                        sd_bus_message *reply;

                        assert(sd_bus_call(bus, m, 0, NULL, &reply) >= 0);
                        sd_bus_message_unref(reply);
                        sd_bus_message_unref(m);
                }

                if (method->has_options)
                        expect_unknown_option(bus, method);
        }

        assert(n_methods == sizeof(methods) / sizeof(methods[0]));
        contract_deinit(&c);
}

static void test_methods(void) {
        Fixture f;

        fixture_with_attachment(&f);
        f.polkit = MOCK_POLKIT_NO;
        fixture_client(&f, NOBODY, walks, NULL);
        assert(mock_manager_n_changes(f.manager) == 0);
        assert(f.n_questions == 9); /* one for each that changes something */
        fixture_deinit(&f);
}

static void takes_name(sd_bus *bus, void *arg) {
        (void) arg;
        assert(sd_bus_request_name(bus, BLKFILTER_BUS_NAME,
                                   SD_BUS_NAME_REPLACE_EXISTING | SD_BUS_NAME_QUEUE) == -EACCES);
}

static void test_name_is_roots(void) {
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, NOBODY, takes_name, NULL);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "description", "methods", "name-is-roots" };
        static void (*const cases[])(void) = { test_description, test_methods, test_name_is_roots };

        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
