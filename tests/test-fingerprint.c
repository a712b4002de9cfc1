/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fingerprints: what is kept once for all on a disk, and the generation of a filter. */

#undef NDEBUG

#include "tests/script-run.h"

static void test_generation(void) {
        static const char *const bad[] = {
                "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
                "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdeg", "4567",
        };
        Fingerprint f = FINGERPRINT_INIT;
        char digits[GENERATION_SIZE] = "x";

        fingerprint_get_generation(&f, digits);
        CHECK_STR(digits, "");

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                CHECK(fingerprint_set_generation(&f, "00000000000000000000000000000001"));
                CHECK(fingerprint_has_generation(&f));
                CHECK(!fingerprint_set_generation(&f, bad[i]) && !fingerprint_has_generation(&f));
        }

        CHECK(fingerprint_set_generation(&f, "0123456789abcdeffedcba9876543210"));
        CHECK(f.generation[0] == 0x01 && f.generation[1] == 0x23 && f.generation[15] == 0x10);
        fingerprint_get_generation(&f, digits);
        CHECK_STR(digits, "0123456789abcdeffedcba9876543210");
        CHECK(fingerprint_set_generation(&f, "") && !fingerprint_has_generation(&f));
}

static void test_disk(void) {
        const DiskPrint sda = { .diskseq = 3, .name = "sda", .pt_uuid = "1234abcd", .wwn = "0x5000", .serial = "S1" };
        DiskPrint other[] = { sda, sda, sda, sda, sda };
        Fingerprint a = FINGERPRINT_INIT, b = FINGERPRINT_INIT;

        CHECK(fingerprint_set_disk(&a, &sda) == 0 && fingerprint_set_disk(&b, &sda) == 0 && a.disk != b.disk);
        fingerprint_share(&b, &a);
        CHECK(a.disk == b.disk);
        fingerprint_share(&b, &a);
        fingerprint_set(&b, &b);
        fingerprint_deinit(&a);
        CHECK_STR(b.disk->name, "sda");
        CHECK_STR(b.disk->serial, "S1");
        CHECK(a.disk == &disk_print_none && a.disk->name[0] == 0);

        /* what is other in anything is no share of it */
        other[0].diskseq = 4;
        other[1].name = "sdb";
        other[2].pt_uuid = NULL;
        other[3].wwn = "0x5001";
        other[4].serial = "S2";
        for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
                CHECK(fingerprint_set_disk(&a, &other[i]) == 0);
                fingerprint_share(&a, &b);
                CHECK(a.disk != b.disk && a.disk->diskseq == other[i].diskseq);
                CHECK_STR(a.disk->pt_uuid, i == 2 ? "" : "1234abcd");
        }

        fingerprint_deinit(&a);
        fingerprint_deinit(&b);
}

/* All that is on a disk says the same of it, and that is kept once; also when udev has told more of it later. */
static void test_shared(void) {
        const Entry entries[] = { entry_of(1, UUID_Y, ""), entry_of(2, UUID_X, "data") };
        const Attachment *a, *b;
        const Disk *d;
        Script s;

        script_init(&s);
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        b = script_policy(&s, "30-more.conf", "bftrack", UUID_Y, "");
        script_table(&s, "sda", entries, 2);
        script_had(&s, "sda");
        script_look(&s);
        script_settle(&s);
        CHECK(a->on_device && b->on_device && a->fingerprint.disk == b->fingerprint.disk);
        CHECK_STR(a->fingerprint.disk->name, "sda");
        CHECK(!a->fingerprint.disk->wwn[0]);

        script_device(&s, "sda")->values[MATCH_DISK_WWN] = "0x5000";
        script_kernel(&s, EVENT_CHANGE, "sda");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && b->on_device && a->fingerprint.disk == b->fingerprint.disk);
        CHECK_STR(a->fingerprint.disk->wwn, "0x5000");

        d = device_set_get_disk(&s.world.devices, "sda");
        CHECK(d && d->print == a->fingerprint.disk);
        CHECK(a->fingerprint.entry == disk_get_entry(d, 2) && b->fingerprint.entry == disk_get_entry(d, 1));
        script_deinit(&s);
}

int main(void) {
        test_generation();
        test_disk();
        test_shared();
        return 0;
}
