/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The unit that loads a module; that systemd does it is seen in the test machine. */

#undef NDEBUG

#include <errno.h>

#include "daemon/module.h"
#include "daemon/text.h"
#include "tests/check.h"

static void test_names(void) {
        static const struct {
                const char *name, *unit; /* NULL: none */
        } cases[] = {
                { "blksnap", "modprobe@blksnap.service" },
                { "dm-mod", "modprobe@dm_mod.service" },
                { "-r", "modprobe@_r.service" },
                { "Foo_1", "modprobe@Foo_1.service" },
                { "", NULL },
                { "a b", NULL },
                { "a/b", NULL },
                { "a.ko", NULL },
                { "a@b", NULL },
                { "a\\x2db", NULL },
                { "a%i", NULL },
                { "a\n", NULL },
                { "\xc3\xa9", NULL },
                { "a123456789b123456789c123456789d123456789e123456789f1234", /* 55 */
                  "modprobe@a123456789b123456789c123456789d123456789e123456789f1234.service" },
                { "a123456789b123456789c123456789d123456789e123456789f12345", NULL },
        };
        char unit[MODULE_UNIT_SIZE];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                CHECK(module_unit_name(cases[i].name, unit) == (cases[i].unit != NULL));
                if (cases[i].unit)
                        CHECK_STR(unit, cases[i].unit);
        }
}

static void test_no_bus(void) {
        CHECK(module_load(NULL, "blksnap") == -ENOTCONN);
        CHECK(module_load(NULL, "") == -EINVAL);
}

int main(void) {
        test_names();
        test_no_bus();
        return EXIT_SUCCESS;
}
