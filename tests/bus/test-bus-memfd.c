/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CtlMemfd: buffers that come as a file. */

#undef NDEBUG
#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bus/fixture.h"

#define ROOT BLKFILTER_OBJECT_ROOT
#define MANAGER BLKFILTER_INTERFACE_MANAGER

static const uint32_t words[4] = { 0, 24, 0x11111111, 0x22222222 };

static sd_bus_message *ctl_memfd(sd_bus *bus, const char *filter, uint32_t command) {
        sd_bus_message *m = client_call(bus, ROOT, MANAGER, "CtlMemfd");

        assert(sd_bus_message_append(m, "ssu", "/dev/sda1", filter, command) >= 0);
        assert(sd_bus_message_append_array(m, 'y', words, sizeof(words)) >= 0);
        return m;
}

static void sends_map(sd_bus *bus, void *arg) {
        sd_bus_message *m = ctl_memfd(bus, "bftrack", 1), *reply;
        const uint64_t *offsets;
        const uint8_t *payload;
        uint8_t content[4096];
        int32_t result;
        struct stat st;
        size_t n;
        int fd;

        (void) arg;
        assert(sd_bus_message_append(m, "a(uu)a{sv}", 1, 8, 3000, 0) >= 0);
        reply = client_expect_reply(bus, m, "iayhat");
        assert(sd_bus_message_read(reply, "i", &result) > 0 && result == -5);
        assert(sd_bus_message_read_array(reply, 'y', (const void **) &payload, &n) > 0 && n == 16);
        assert(payload[0] == 0xff && memcmp(payload + 8, "\0\0\0\0\0\0\0\0", 8) == 0);
        assert(sd_bus_message_read(reply, "h", &fd) > 0 && fd >= 0);
        assert(sd_bus_message_read_array(reply, 't', (const void **) &offsets, &n) > 0 && n == sizeof(*offsets));
        assert(fstat(fd, &st) == 0 && (uint64_t) st.st_size >= offsets[0] + 3000);
        assert(pread(fd, content, 3000, (off_t) offsets[0]) == 3000);
        for (size_t i = 0; i < 3000; i++)
                assert(content[i] == 0xab);
        sd_bus_message_unref(reply);
}

static void sends_wrong(sd_bus *bus, void *arg) {
        sd_bus_message *m = ctl_memfd(bus, "bftrack", 1);

        (void) arg;
        assert(sd_bus_message_append(m, "a(uu)a{sv}", 0, 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "no buffer");

        m = ctl_memfd(bus, "bftrack", 1);
        assert(sd_bus_message_append(m, "a(uu)a{sv}", 1, 8, UINT32_MAX, 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "67108864");

        m = ctl_memfd(bus, "blksnap", 2);
        assert(sd_bus_message_append(m, "a(uu)a{sv}", 1, 8, 16, 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "use Ctl");

        m = ctl_memfd(bus, "other", 2);
        assert(sd_bus_message_open_container(m, 'a', "(uu)") >= 0);
        for (int i = 0; i < 17; i++)
                assert(sd_bus_message_append(m, "(uu)", 0, 1) >= 0);
        assert(sd_bus_message_close_container(m) >= 0);
        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "16 buffers");
}

static void is_refused(sd_bus *bus, void *arg) {
        sd_bus_message *m = ctl_memfd(bus, "bftrack", 1);

        (void) arg;
        assert(sd_bus_message_append(m, "a(uu)a{sv}", 1, 8, 3, 0) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_ACCESS_DENIED, NULL);
}

static void test_answer(void) {
        Fixture f;

        fixture_init(&f, 0);
        f.manager->ctl_result = -5;
        fixture_client(&f, 0, sends_map, NULL);
        assert(f.manager->as_memfd && f.manager->command == 1 && f.manager->n_buffers == 1);
        assert(f.manager->buffers[0].payload_offset == 8 && f.manager->buffers[0].size == 3000);
        assert(!f.manager->buffers[0].data);
        fixture_deinit(&f);
}

static void test_refused(void) {
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, 0, sends_wrong, NULL);
        f.polkit = MOCK_POLKIT_NO;
        fixture_client(&f, NOBODY, is_refused, NULL);
        assert(strcmp(f.action, "org.blkfilter1.ctl") == 0);
        assert(f.manager->n_ctl == 0);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "answer", "refused" };
        static void (*const cases[])(void) = { test_answer, test_refused };

        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
