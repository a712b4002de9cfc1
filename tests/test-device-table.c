/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is known of a disk's table: by udev, entry by entry, and by a scan, as a whole. */

#undef NDEBUG

#include "tests/script.h"

static Disk *sda(const Script *s) {
        return device_set_get_disk(&s->world.devices, "sda");
}

static void check_entries(const Disk *d, const char *partnos) {
        CHECK(d->n_entries == strlen(partnos));
        for (size_t i = 0; i < d->n_entries; i++)
                CHECK(d->entries[i]->partno == (unsigned) (partnos[i] - '0') &&
                      disk_get_entry(d, d->entries[i]->partno) == d->entries[i]);
}

static void test_table(void) {
        const Entry entries[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, ""), entry_of(5, UUID_Z, "") };
        Script s;
        Disk *d;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_plug(&s, "sda");
        script_udev(&s);
        d = sda(&s);
        check_entries(d, "1");
        d->n_scan_failures = 2;
        d->scan_retry_at_usec = 5;
        (void) str_copy(d->scan_error, sizeof(d->scan_error), "why");

        CHECK(disk_set_table(&s.world.devices, d, UUID_X, entries, 3, d->n_events) == 0);
        check_entries(d, "125");
        CHECK_STR(d->pt_uuid, UUID_X);
        CHECK(!d->dirty && d->n_scan_failures == 0 && d->scan_retry_at_usec == 0 && !d->scan_error[0]);
        CHECK(!disk_get_entry(d, 3));

        /* entries that the kernel has no partition for are udev's to forget, if it is asked */
        disk_settle_by_udev(d);
        check_entries(d, "1");

        /* something happened while it was being read */
        script_kernel(&s, EVENT_CHANGE, "sda");
        CHECK(d->dirty);
        CHECK(disk_set_table(&s.world.devices, d, "", entries, 2, d->n_events - 1) == 0);
        check_entries(d, "12");
        CHECK(d->dirty && !d->pt_uuid[0]);

        CHECK(disk_set_table(&s.world.devices, d, "", NULL, 0, d->n_events) == 0);
        check_entries(d, "");
        CHECK(!d->dirty);
        script_deinit(&s);
}

/* Entries that udev tells keep their order, whichever comes first. */
static void test_entries_by_udev(void) {
        const Entry entries[] = { entry_of(1, UUID_X, ""), entry_of(2, UUID_Y, ""), entry_of(4, UUID_Z, "") };
        Script s;

        script_init(&s);
        script_table(&s, "sda", entries, 3);
        script_kernel(&s, EVENT_ADD, "sda");
        script_kernel(&s, EVENT_ADD, "sda4");
        script_kernel(&s, EVENT_ADD, "sda1");
        script_kernel(&s, EVENT_ADD, "sda2");
        script_udev(&s);
        check_entries(sda(&s), "124");
        for (size_t i = 0; i < 3; i++)
                CHECK(sda(&s)->partitions[i]->partno == entries[i].partno);
        script_deinit(&s);
}

/* What was on a partition that is away is what is known of its entry, as long as that is where it was. */
static void test_old_fs(void) {
        Entry entry = entry_of(1, UUID_X, "data");
        Facts f;
        Script s;
        Disk *d;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_device(&s, "sda1")->values[MATCH_FS_UUID] = UUID_Z;
        script_plug(&s, "sda");
        script_udev(&s);
        script_kernel(&s, EVENT_REMOVE, "sda1");
        d = sda(&s);

        CHECK(disk_set_table(&s.world.devices, d, "", &entry, 1, d->n_events) == 0);
        disk_entry_facts(d, d->entries[0], &f);
        CHECK_STR(f.values[MATCH_FS_UUID], UUID_Z);

        entry.start_sectors++;
        CHECK(disk_set_table(&s.world.devices, d, "", &entry, 1, d->n_events) == 0);
        disk_entry_facts(d, d->entries[0], &f);
        CHECK(!f.values[MATCH_FS_UUID]);

        /* it comes back, and nobody has said yet what is on it */
        script_kernel(&s, EVENT_ADD, "sda1");
        CHECK(!disk_get_partition(d, 1)->fs[0]);
        script_deinit(&s);
}

/* A disk may be anybody until udev or a scan has said who it is, and so may a partition of it. */
static void test_unclear(void) {
        Entry entry = entry_of(1, UUID_X, "data");
        Script s;
        Disk *d;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_plug(&s, "sda");
        d = sda(&s);
        CHECK(disk_is_unclear(d));
        script_udev_next(&s);
        CHECK(d->known && disk_is_unclear(d)); /* the disk is known, its partition is not */
        script_udev_next(&s);
        CHECK(d->dirty && !disk_is_unclear(d));

        /* the entry of a partition that came back is the best that is known of it */
        script_kernel(&s, EVENT_REMOVE, "sda1");
        script_kernel(&s, EVENT_ADD, "sda1");
        CHECK(!disk_is_unclear(d));
        CHECK(disk_set_table(&s.world.devices, d, "", NULL, 0, d->n_events - 1) == 0);
        CHECK(disk_is_unclear(d));
        CHECK(disk_set_table(&s.world.devices, d, "", &entry, 1, d->n_events) == 0);
        CHECK(!disk_is_unclear(d));
        script_deinit(&s);
}

int main(void) {
        test_table();
        test_entries_by_udev();
        test_old_fs();
        test_unclear();
        return EXIT_SUCCESS;
}
