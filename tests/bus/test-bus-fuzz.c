/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls at random, of all that the objects' introspection offers, by root and by a user: each is answered exactly once,
 * and the daemon goes on. BUS_FUZZ_SEC=600 before it: for so long; BUS_FUZZ_SEED=N: that one again.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bus/fixture.h"

#define METHODS_MAX 64
#define PENDING_MAX 12 /* fewer than a user may have */
#define SEC_DEFAULT 3

static const char *const objects[] = { BLKFILTER_OBJECT_ROOT, PATH_A, BLKFILTER_OBJECT_ATTACHMENT "/none",
                                       BLKFILTER_OBJECT_ATTACHMENT, "/org/freedesktop/LogControl1", "/" };

typedef struct Method {
        const char *path;
        char interface[96], name[64], signature[64];
} Method;

typedef struct Fuzz {
        uint64_t random;
        Method methods[METHODS_MAX];
        size_t n_methods;
        size_t n_sent, n_answered, n_pending;
} Fuzz;

static unsigned seconds(void) {
        return getenv("BUS_FUZZ_SEC") ? (unsigned) strtoul(getenv("BUS_FUZZ_SEC"), NULL, 10) : SEC_DEFAULT;
}

static uint64_t next(Fuzz *f) {
        uint64_t z = f->random += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static unsigned below(Fuzz *f, unsigned n) {
        return (unsigned) (next(f) % n);
}

/* The value of an attribute of the tag at @tag; "" if it has none. */
static void get_attribute(const char *tag, const char *name, char *ret, size_t size) {
        const char *end = strchr(tag, '>'), *p = strstr(tag, name);

        ret[0] = 0;
        if (!p || p > end)
                return;
        p += strlen(name);
        assert(strcspn(p, "\"") < size);
        (void) snprintf(ret, size, "%.*s", (int) strcspn(p, "\""), p);
}

static void introspect(Fuzz *f, sd_bus *bus, const char *path) {
        sd_bus_message *reply;
        char interface[96] = "", type[64], direction[16];
        const char *xml;

        if (sd_bus_call_method(bus, BLKFILTER_BUS_NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL,
                               &reply, NULL) < 0)
                return;

        assert(sd_bus_message_read(reply, "s", &xml) > 0);
        for (const char *p = strchr(xml, '<'); p; p = strchr(p + 1, '<')) {
                Method *m = f->n_methods > 0 ? &f->methods[f->n_methods - 1] : NULL;

                if (strncmp(p, "<interface ", 11) == 0)
                        get_attribute(p, "name=\"", interface, sizeof(interface));
                else if (strncmp(p, "<method ", 8) == 0) {
                        assert(f->n_methods < METHODS_MAX);
                        m = &f->methods[f->n_methods++];
                        m->path = path;
                        strcpy(m->interface, interface);
                        get_attribute(p, "name=\"", m->name, sizeof(m->name));
                } else if (strncmp(p, "<signal ", 8) == 0 || strncmp(p, "<property ", 10) == 0)
                        continue;
                else if (strncmp(p, "<arg ", 5) == 0 && m) {
                        get_attribute(p, "direction=\"", direction, sizeof(direction));
                        get_attribute(p, "type=\"", type, sizeof(type));
                        if (strcmp(direction, "in") == 0) {
                                assert(strlen(m->signature) + strlen(type) < sizeof(m->signature));
                                strcat(m->signature, type);
                        }
                }
        }
        sd_bus_message_unref(reply);
}

static const char *random_text(Fuzz *f) {
        static const char *const texts[] = {
                "", "/dev/sda1", ("PARTUUID=" UUID_A), "PARTLABEL=data", "UUID=x", "LABEL=", "bftrack", "bfcount",
                "blksnap", "x",
                "/", "/dev/../etc/passwd", "org.blkfilter1.Manager", "org.blkfilter1.Attachment", "LogLevel", "debug",
                "info",
                "State", "%s%n%s", "\xf0\x9f\x92\xa9", "0123456789012345678901234567890123456789", "choose",
                "persistent", "force",
        };
        static char longer[3000];

        if (below(f, 40) == 0) {
                memset(longer, 'a', sizeof(longer) - 1);
                return longer;
        }
        return texts[below(f, sizeof(texts) / sizeof(texts[0]))];
}

/* Appends one complete type at *s, moved behind it. */
static void append_random(Fuzz *f, sd_bus_message *m, const char **s) {
        static const uint8_t bytes[128];
        char type = *(*s)++;

        switch (type) {
        case 's':
                assert(sd_bus_message_append(m, "s", random_text(f)) >= 0);
                return;
        case 'u':
                assert(sd_bus_message_append(m, "u", below(f, 3) ? below(f, 8) : (uint32_t) next(f)) >= 0);
                return;
        case 'v':
                if (below(f, 2))
                        assert(sd_bus_message_append(m, "v", "b", (int) below(f, 2)) >= 0);
                else
                        assert(sd_bus_message_append(m, "v", "s", random_text(f)) >= 0);
                return;
        case 'a':
                break;
        default:
                assert(!"a type that this test does not know");
        }

        if (strncmp(*s, "{sv}", 4) == 0) {
                *s += 4;
                assert(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
                for (unsigned n = below(f, 4) ? 0 : below(f, 4); n > 0; n--)
                        assert(sd_bus_message_append(m, "{sv}", random_text(f), "b", (int) below(f, 2)) >= 0);
                assert(sd_bus_message_close_container(m) >= 0);
        } else if (**s == 'y') {
                (*s)++;
                assert(sd_bus_message_append_array(m, 'y', bytes,
                                                   below(f, 2) ? below(f, sizeof(bytes)) : 16 * below(f, 4)) >= 0);
        } else if (strncmp(*s, "(uu)", 4) == 0) {
                *s += 4;
                assert(sd_bus_message_open_container(m, 'a', "(uu)") >= 0);
                for (unsigned n = below(f, 5) ? below(f, 3) : below(f, 20); n > 0; n--)
                        assert(sd_bus_message_append(m, "(uu)", below(f, 3) ? 8 * below(f, 3) : below(f, 200),
                                                     below(f, 3) ? below(f, 100) : (uint32_t) next(f)) >= 0);
                assert(sd_bus_message_close_container(m) >= 0);
        } else if (strncmp(*s, "(uay)", 5) == 0) {
                *s += 5;
                assert(sd_bus_message_open_container(m, 'a', "(uay)") >= 0);
                for (unsigned n = below(f, 2) ? below(f, 3) : 0; n > 0; n--) {
                        assert(sd_bus_message_open_container(m, 'r', "uay") >= 0);
                        assert(sd_bus_message_append(m, "u", below(f, 2) ? 8 : (uint32_t) next(f)) >= 0);
                        assert(sd_bus_message_append_array(m, 'y', bytes, below(f, sizeof(bytes))) >= 0);
                        assert(sd_bus_message_close_container(m) >= 0);
                }
                assert(sd_bus_message_close_container(m) >= 0);
        } else
                assert(!"an array that this test does not know");
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fuzz *f = userdata;

        (void) error;

        /* made up by the library: nobody has answered */
        assert(!sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY) &&
               !sd_bus_message_is_method_error(m, SD_BUS_ERROR_TIMEOUT));
        f->n_answered++;
        f->n_pending--;
        return 0;
}

static void send_random(Fuzz *f, sd_bus *bus) {
        const Method *method = &f->methods[below(f, (unsigned) f->n_methods)];
        const char *s = method->signature;
        /* now and then on an object that has no such method */
        const char *path = below(f, 20) ? method->path : objects[below(f, sizeof(objects) / sizeof(objects[0]))];
        sd_bus_message *m;

        assert(sd_bus_message_new_method_call(bus, &m, BLKFILTER_BUS_NAME, path, method->interface, method->name) >= 0);
        /* and with too few arguments */
        while (*s && below(f, 60))
                append_random(f, m, &s);
        assert(sd_bus_call_async(bus, NULL, m, on_answer, f, UINT64_C(60000000)) >= 0);
        f->n_sent++;
        f->n_pending++;
        sd_bus_message_unref(m);
}

static void calls(sd_bus *bus, void *arg) {
        Fuzz *f = arg;
        time_t until = time(NULL) + seconds();

        (void) alarm(seconds() + 120);
        for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
                introspect(f, bus, objects[i]);
        assert(f->n_methods >= 20);

        while (time(NULL) < until || f->n_pending > 0) {
                if (f->n_pending < PENDING_MAX && time(NULL) < until) {
                        send_random(f, bus);
                        continue;
                }
                if (sd_bus_process(bus, NULL) == 0)
                        assert(sd_bus_wait(bus, UINT64_C(1000000)) >= 0);
        }

        assert(f->n_sent == f->n_answered && f->n_sent > 0);
        (void) printf("%zu calls of %zu methods, each answered once\n", f->n_sent, f->n_methods);
}

static void fuzz(uid_t uid) {
        const char *given = getenv("BUS_FUZZ_SEED");
        Fuzz f = { .random = given ? strtoull(given, NULL, 10) : (uint64_t) time(NULL) * 2 + (uid != 0) };
        Fixture fixture;

        (void) printf("seed %" PRIu64 "\n", f.random);
        (void) fflush(stdout);
        (void) alarm(seconds() + 120);
        fixture_init(&fixture, 0);
        (void) mock_manager_add(fixture.manager, "bftrack", UUID_A);
        fixture.manager->raw_commands = true;
        fixture_client(&fixture, uid, calls, &f);
        fixture_deinit(&fixture);
}

static void test_root(void) {
        fuzz(0);
}

static void test_user(void) {
        fuzz(NOBODY);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "root", "user" };
        static void (*const cases[])(void) = { test_root, test_user };

        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
