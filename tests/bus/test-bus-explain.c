/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Explain as a caller meets it; what is explained is tests/test-explain.c's. */

#include <stdlib.h>

#include "tests/bus/fixture.h"

static sd_bus_message *explain(sd_bus *bus, const char *device) {
        sd_bus_message *m = client_call(bus, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Explain");

        assert(sd_bus_message_append(m, "s", device) >= 0);
        return m;
}

/* Two policies; what comes from a disk or a file may have any bytes. */
static void fill(Manager *m, Explanation *e) {
        static Policy policies[] = {
                { .path = "/etc/blkfilter.d/10.conf", .filter = "bftrack" },
                { .path = "/etc/blkfilter.d/2\xff.conf", .filter = "bfcount" },
        };

        e->facts.values[MATCH_PART_UUID] = UUID_A;
        e->facts.values[MATCH_PART_LABEL] = "bad\xff name";
        e->facts.values[MATCH_FS_TYPE] = "";
        e->attachment = m->attachments.n_items > 0 ? m->attachments.items[0] : NULL;
        e->summary = strdup("it has \xfe");
        e->n_policies = 2;
        e->policies = calloc(2, sizeof(*e->policies));
        assert(e->policies);

        e->policies[0] = (ExplainedPolicy) { .policy = &policies[0], .verdict = EXPLAIN_NO_MATCH, .n_keys = 2 };
        e->policies[0].keys = calloc(2, sizeof(*e->policies[0].keys));
        assert(e->policies[0].keys);
        e->policies[0].keys[0] = (ExplainedKey) {
                .path = "/etc/blkfilter.d/10.conf", .line = 2, .key = "PartUUID", .wanted = strdup(UUID_A),
                .found = UUID_A, .verdict = "it is this one", .matches = true,
        };
        e->policies[0].keys[1] = (ExplainedKey) {
                .path = "/run/blkfilter.d/10.conf.d/x\xff.conf", .line = 7, .key = "PartLabel",
                .wanted = strdup("lo\xffg"),
                .found = "bad\xff name", .verdict = "it is another one", .matches = false,
        };
        e->policies[1] = (ExplainedPolicy) { .policy = &policies[1], .verdict = EXPLAIN_LATER };
}

static void expect_key(sd_bus_message *m, const char *path, uint32_t line, const char *key, const char *wanted,
                       const char *found, const char *verdict, int matches) {
        const char *s[5];
        uint32_t u;
        int b;

        assert(sd_bus_message_read(m, "(sussssb)", &s[0], &u, &s[1], &s[2], &s[3], &s[4], &b) > 0);
        assert(strcmp(s[0], path) == 0 && u == line && strcmp(s[1], key) == 0 && strcmp(s[2], wanted) == 0);
        assert(strcmp(s[3], found) == 0 && strcmp(s[4], verdict) == 0 && b == matches);
}

static void begin_policy(sd_bus_message *m, const char *path, const char *filter, const char *verdict) {
        const char *s[3];

        assert(sd_bus_message_enter_container(m, 'r', "sssa(sussssb)") > 0);
        assert(sd_bus_message_read(m, "sss", &s[0], &s[1], &s[2]) > 0);
        assert(strcmp(s[0], path) == 0 && strcmp(s[1], filter) == 0 && strcmp(s[2], verdict) == 0);
        assert(sd_bus_message_enter_container(m, 'a', "(sussssb)") > 0);
}

static void end_policy(sd_bus_message *m) {
        assert(sd_bus_message_at_end(m, false) > 0);
        assert(sd_bus_message_exit_container(m) > 0 && sd_bus_message_exit_container(m) > 0);
}

static void explains(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_expect_reply(bus, explain(bus, "PARTLABEL=data"), "sa{ss}soa(sssa(sussssb))");
        const char *key, *value;

        assert(sd_bus_message_read(m, "s", &value) > 0 && strcmp(value, "/dev/sda1") == 0);
        assert(sd_bus_message_enter_container(m, 'a', "{ss}") > 0);
        assert(sd_bus_message_read(m, "{ss}", &key, &value) > 0);
        assert(strcmp(key, "PartUUID") == 0 && strcmp(value, UUID_A) == 0);
        assert(sd_bus_message_read(m, "{ss}", &key, &value) > 0);
        assert(strcmp(key, "PartLabel") == 0 && strcmp(value, "bad\\xff name") == 0);
        assert(sd_bus_message_at_end(m, false) > 0 && sd_bus_message_exit_container(m) > 0);

        assert(sd_bus_message_read(m, "so", &value, &key) > 0);
        assert(strcmp(value, "it has \\xfe") == 0 && strcmp(key, arg) == 0);

        assert(sd_bus_message_enter_container(m, 'a', "(sssa(sussssb))") > 0);
        begin_policy(m, "/etc/blkfilter.d/10.conf", "bftrack", "no-match");
        expect_key(m, "/etc/blkfilter.d/10.conf", 2, "PartUUID", UUID_A, UUID_A, "it is this one", 1);
        expect_key(m, "/run/blkfilter.d/10.conf.d/x\\xff.conf", 7, "PartLabel", "lo\\xffg", "bad\\xff name",
                   "it is another one", 0);
        end_policy(m);
        begin_policy(m, "/etc/blkfilter.d/2\\xff.conf", "bfcount", "later");
        end_policy(m);
        assert(sd_bus_message_at_end(m, false) > 0);
        sd_bus_message_unref(m);
}

/* Everybody may ask, and polkit is not. */
static void test_explain(void) {
        Fixture f;

        fixture_init(&f, 0);
        f.manager->explain = fill;
        fixture_client(&f, NOBODY, explains, (void *) "/");
        mock_manager_add(f.manager, "bftrack", UUID_A);
        fixture_client(&f, NOBODY, explains, (void *) PATH_A);
        assert(strcmp(f.manager->device, "PARTLABEL=data") == 0 && f.n_questions == 0);
        fixture_deinit(&f);
}

static void gets_error(sd_bus *bus, void *arg) {
        client_expect_error(bus, explain(bus, "/dev/none"), arg, "in so many words");
}

static void test_errors(void) {
        Fixture f;

        fixture_init(&f, 0);
        f.manager->message = "in so many words";
        f.manager->resolve_error = REQUEST_E_NO_SUCH_DEVICE;
        fixture_client(&f, NOBODY, gets_error, (void *) "org.blkfilter1.Error.NoSuchDevice");
        f.manager->resolve_error = REQUEST_E_AMBIGUOUS;
        fixture_client(&f, NOBODY, gets_error, (void *) "org.blkfilter1.Error.Ambiguous");
        f.manager->resolve_error = REQUEST_E_INVALID;
        fixture_client(&f, NOBODY, gets_error, (void *) SD_BUS_ERROR_INVALID_ARGS);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "explain", "errors" };
        static void (*const cases[])(void) = { test_explain, test_errors };

        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
