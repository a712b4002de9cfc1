/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The registry of devices: two streams of events of which one comes late, and enumeration. */

#undef NDEBUG

#include "tests/script-run.h"

/* sda and sda1 came, udev has told of both. */
static void begin(Script *s) {
        script_init(s);
        script_table_1(s, "sda", 1, UUID_X, "data");
        script_plug(s, "sda");
        script_udev(s);
}

static Disk *sda(const Script *s) {
        return device_set_get_disk(&s->world.devices, "sda");
}

static Partition *partition(const Script *s, const char *name) {
        return device_set_get(&s->world.devices, name).partition;
}

static Partition *sda1(const Script *s) {
        return partition(s, "sda1");
}

static void apply(Script *s, EventSource source, EventAction action, const char *name, uint64_t seqnum) {
        DeviceEvent e = script_event(s, source, action, name, seqnum);

        CHECK(device_set_apply(&s->world.devices, &e) == 0);
}

static void test_look_up(void) {
        static const char *const names[] = { "sdc", "sda", "sdd", "sdb" };
        DeviceSet *d;
        Script s;

        script_init(&s);
        d = &s.world.devices;
        for (size_t i = 0; i < 4; i++) {
                const Entry entries[] = { entry_of(1, UUID_X, ""), entry_of(3, UUID_Y, "") };

                script_table(&s, names[i], entries, 2);
                script_plug(&s, names[i]);
        }
        for (size_t i = 1; i < d->n_disks; i++)
                CHECK(strcmp(d->disks[i - 1]->name, d->disks[i]->name) < 0);

        CHECK(d->n_disks == 4 && device_set_get_disk(d, "sdb") == d->disks[1]);
        CHECK(!device_set_get_disk(d, "sdb1") && !device_set_get_disk(d, "sde") && !device_set_get_disk(d, ""));
        CHECK_STR(partition(&s, "sdc3")->disk->name, "sdc");
        CHECK(device_set_get(d, "sdc").disk == d->disks[2] && !partition(&s, "sdc") && !device_set_get(d, "sdc2").disk);
        CHECK(disk_get_partition(d->disks[0], 3)->partno == 3 && !disk_get_partition(d->disks[0], 2));

        for (size_t i = 0; i < 4; i++)
                for (size_t j = 0; j <= 2; j++) {
                        Device x = { d->disks[i], j ? d->disks[i]->partitions[j - 1] : NULL }, found;

                        found = device_set_get_by_uid(d, device_uid(x));
                        CHECK(found.disk == x.disk && found.partition == x.partition);
                        found = device_set_get_by_object(d, device_object(x));
                        CHECK(found.disk == x.disk && found.partition == x.partition);
                        found = device_set_get(d, device_name(x));
                        CHECK(found.disk == x.disk && found.partition == x.partition);
                }

        CHECK(!device_set_get_by_uid(d, 0).disk && !device_set_get_by_uid(d, 99).disk);
        CHECK(!device_set_get_by_object(d, 0).disk && !device_set_get_by_object(d, 99).disk);
        script_deinit(&s);
}

static void test_coming(void) {
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_plug(&s, "sda");
        CHECK(sda(&s) && sda1(&s) && !sda(&s)->known && sda(&s)->dirty && !sda1(&s)->settled);
        CHECK(!disk_get_entry(sda(&s), 1) && !disk_udev_caught_up(sda(&s)));
        script_udev_next(&s);
        CHECK(sda(&s)->known && !disk_udev_caught_up(sda(&s)));
        script_udev_next(&s);
        CHECK(disk_udev_caught_up(sda(&s)) && sda1(&s)->settled);
        CHECK_STR(disk_get_entry(sda(&s), 1)->uuid, UUID_X);
        script_deinit(&s);
}

/* A re-read makes new objects, and no uid is ever used again. */
static void test_uids(void) {
        uint64_t disk_uid, uid, seen = 0;
        Script s;

        begin(&s);
        disk_uid = sda(&s)->uid;
        for (int i = 0; i < 5; i++) {
                uid = sda1(&s)->uid;
                CHECK(uid > seen);
                seen = uid;
                script_reread(&s, "sda");
                CHECK(sda1(&s)->uid != uid && !device_set_get_by_uid(&s.world.devices, uid).disk);
                CHECK(sda(&s)->uid == disk_uid);
        }
        script_unplug(&s, "sda");
        script_plug(&s, "sda");
        CHECK(sda(&s)->uid > seen && sda(&s)->uid != disk_uid);
        script_deinit(&s);
}

/* An add of the kernel's is a new object even when its removal was not told. */
static void test_add_without_remove(void) {
        uint64_t uid, disk_uid;
        Script s;

        begin(&s);
        uid = sda1(&s)->uid;
        disk_uid = sda(&s)->uid;
        script_kernel(&s, EVENT_ADD, "sda1");
        CHECK(sda1(&s)->uid != uid && sda(&s)->n_partitions == 1);
        script_kernel(&s, EVENT_ADD, "sda");
        CHECK(sda(&s)->uid != disk_uid && sda(&s)->n_partitions == 0);
        script_deinit(&s);
}

/* "udevadm trigger --action=add" is no new object; nor is a change. */
static void test_synthetic(void) {
        uint64_t uid, disk_uid;
        DeviceEvent e;
        Script s;

        begin(&s);
        uid = sda1(&s)->uid;
        disk_uid = sda(&s)->uid;
        e = script_event(&s, EVENT_KERNEL, EVENT_ADD, "sda1", ++s.seqnum);
        e.synthetic = true;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        e = script_event(&s, EVENT_KERNEL, EVENT_ADD, "sda", ++s.seqnum);
        e.synthetic = true;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        script_kernel(&s, EVENT_CHANGE, "sda1");
        CHECK(sda1(&s)->uid == uid && sda(&s)->uid == disk_uid && !sda1(&s)->settled && !sda(&s)->settled);
        script_deinit(&s);
}

/* Another number or another diskseq under the same name is another object. */
static void test_another_one(const char *name, uint32_t minor, uint64_t diskseq, bool another) {
        uint64_t disk_uid, uid;
        DeviceEvent e;
        Script s;

        begin(&s);
        disk_uid = sda(&s)->uid;
        uid = sda1(&s)->uid;
        e = script_event(&s, EVENT_KERNEL, EVENT_CHANGE, name, ++s.seqnum);
        e.minor = minor;
        e.diskseq = diskseq;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        CHECK((sda(&s)->uid != disk_uid || sda1(&s)->uid != uid) == another);
        script_deinit(&s);
}

static void test_another(void) {
        test_another_one("sda", 0, 1, false);
        test_another_one("sda", 0, 0, false); /* an event that does not say */
        test_another_one("sda", 0, 2, true);
        test_another_one("sda", 16, 1, true);
        test_another_one("sda1", 1, 0, false);
        test_another_one("sda1", 2, 0, true);
}

/* What udev says of an older incarnation is dropped, between the two halves of a re-read too. */
static void test_late_udev(void) {
        uint64_t uid, removed, changed, added;
        Script s;

        begin(&s);
        removed = script_kernel(&s, EVENT_REMOVE, "sda1");
        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", removed - 1);
        CHECK(!sda1(&s));
        changed = script_kernel(&s, EVENT_CHANGE, "sda");
        added = script_kernel(&s, EVENT_ADD, "sda1");
        uid = sda1(&s)->uid;

        script_table_1(&s, "sda", 1, UUID_Y, "old");
        apply(&s, EVENT_UDEV, EVENT_ADD, "sda1", removed - 2);
        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", removed - 1);
        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda", changed - 1);
        CHECK(sda1(&s)->uid == uid && !sda1(&s)->settled && !sda(&s)->settled);
        CHECK_STR(disk_get_entry(sda(&s), 1)->uuid, UUID_X);

        apply(&s, EVENT_UDEV, EVENT_REMOVE, "sda1", removed);
        CHECK(sda1(&s) && sda1(&s)->uid == uid);

        /* its own words count */
        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda", changed);
        apply(&s, EVENT_UDEV, EVENT_ADD, "sda1", added);
        CHECK(sda1(&s)->uid == uid && disk_udev_caught_up(sda(&s)));
        CHECK_STR(disk_get_entry(sda(&s), 1)->uuid, UUID_Y);
        script_deinit(&s);
}

/* Udev's removal comes before the kernel's next add, or after it. */
static void test_udev_removes_first(void) {
        uint64_t removed;
        Script s;

        begin(&s);
        removed = script_kernel(&s, EVENT_REMOVE, "sda1");
        apply(&s, EVENT_UDEV, EVENT_REMOVE, "sda1", removed);
        CHECK(!sda1(&s));
        script_kernel(&s, EVENT_ADD, "sda1");
        CHECK(sda1(&s) && !sda1(&s)->settled);
        script_deinit(&s);
}

/* The kernel's events were lost, udev's not: what they tell has to be looked at. */
static void test_udev_alone(void) {
        Script s;

        begin(&s);
        CHECK(!s.world.devices.incomplete);
        apply(&s, EVENT_UDEV, EVENT_REMOVE, "sda1", s.seqnum + 1);
        CHECK(sda1(&s) && s.world.devices.incomplete);
        s.world.devices.incomplete = false;
        apply(&s, EVENT_UDEV, EVENT_REMOVE, "sda", s.seqnum + 2);
        CHECK(sda(&s) && s.world.devices.incomplete);
        apply(&s, EVENT_UDEV, EVENT_ADD, "sda2", s.seqnum + 3);
        CHECK(!partition(&s, "sda2") && s.world.devices.incomplete);
        script_deinit(&s);
}

/* The ghost of a disk that has gone does not come back by a late word of udev's. */
static void test_ghost(void) {
        Script s;

        begin(&s);
        script_unplug(&s, "sda");
        CHECK(s.world.devices.n_disks == 0);
        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda", s.seqnum - 2);
        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", s.seqnum - 2);
        CHECK(s.world.devices.n_disks == 0);
        script_udev(&s);
        CHECK(s.world.devices.n_disks == 0 && !s.world.devices.incomplete);
        script_deinit(&s);
}

/* A partition without its disk: something was missed, so everything is looked at again. */
static void test_incomplete(void) {
        Script s;

        script_init(&s);
        apply(&s, EVENT_KERNEL, EVENT_REMOVE, "sda1", 1);
        CHECK(!s.world.devices.incomplete);
        apply(&s, EVENT_KERNEL, EVENT_ADD, "sda1", 2);
        CHECK(s.world.devices.incomplete && s.world.devices.n_disks == 0);
        device_set_look_begin(&s.world.devices, false);
        CHECK(!s.world.devices.incomplete);
        device_set_look_end(&s.world.devices);
        script_deinit(&s);
}

/* What goes and what takes another's place the kernel and looks decide, not udev and nobody's "uevent". */
static void test_not_decisive(void) {
        DeviceEvent e;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        script_look(&s);

        apply(&s, EVENT_UDEV, EVENT_REMOVE, "sda1", 50);
        apply(&s, EVENT_UDEV, EVENT_REMOVE, "sda", 51);
        CHECK(sda(&s) && sda(&s)->n_partitions == 1);

        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda", 52);
        e.diskseq = 99;
        CHECK(device_set_apply(&s.world.devices, &e) == 0 && sda(&s)->n_partitions == 1);

        e = script_event(&s, EVENT_KERNEL, EVENT_REMOVE, "sda1", 53);
        e.synthetic = true;
        CHECK(device_set_apply(&s.world.devices, &e) == 0 && sda(&s)->n_partitions == 1);

        apply(&s, EVENT_KERNEL, EVENT_REMOVE, "sda1", 54);
        CHECK(sda(&s)->n_partitions == 0);
        script_deinit(&s);
}

static void test_look(void) {
        Script s;

        begin(&s);
        script_table_1(&s, "sdb", 1, UUID_Y, "");
        script_had(&s, "sdb");
        script_device(&s, "sda1")->present = false;
        s.world.devices.looked = true;
        sda(&s)->dirty = false;
        script_look(&s);
        CHECK(s.world.devices.n_disks == 2 && sda(&s)->n_partitions == 0 && sda(&s)->dirty);
        CHECK(disk_get_entry(sda(&s), 1)); /* not forgotten: the look may fall into a re-read */
        CHECK(partition(&s, "sdb1")->settled);

        script_device(&s, "sda")->present = false;
        script_look(&s);
        CHECK(!sda(&s) && s.world.devices.n_disks == 1);
        script_deinit(&s);
}

/* The first look believes udev, of what it is done with; that spares a scan of every disk. */
static void test_first_look(void) {
        DeviceEvent e;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        script_had(&s, "sda");
        script_look(&s);
        CHECK(!sda(&s)->dirty && disk_get_entry(sda(&s), 1));
        script_deinit(&s);

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "");
        device_set_look_begin(&s.world.devices, false);
        apply(&s, EVENT_ENUMERATION, EVENT_ADD, "sda", 0);
        e = script_event(&s, EVENT_ENUMERATION, EVENT_ADD, "sda1", 0);
        e.settled = e.has_entry = false;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        device_set_look_end(&s.world.devices);
        CHECK(sda(&s)->dirty && !disk_get_entry(sda(&s), 1));
        script_deinit(&s);
}

/* Values of a key are claims when somebody asks for it, those of what is there already too. */
static void test_counted(void) {
        const Index *claims;
        Script s;

        begin(&s);
        claims = &s.world.devices.claims;
        CHECK(script_run(&s) == 0 && claims->n_items == 0);

        script_wish(&s, "bftrack", UUID_Y);
        CHECK(script_run(&s) == 0 && claims->n_items == 1);
        CHECK(index_first(claims, claim_hash(MATCH_PART_UUID, UUID_X))->owner == sda(&s));

        script_policy(&s, "10.conf", "bftrack", "", "other");
        CHECK(script_run(&s) == 0 && claims->n_items == 2);
        CHECK(index_first(claims, claim_hash(MATCH_PART_LABEL, "data"))->detail == 1);
        script_deinit(&s);
}

/* What is told about a device besides its table: replaced as a whole each time. */
static void test_facts(void) {
        DeviceEvent e;
        Script s;

        begin(&s);
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", ++s.seqnum);
        e.links = "/dev/disk/by-id/one";
        e.ignored = "why";
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        CHECK(sda1(&s)->links != e.links);
        CHECK_STR(sda1(&s)->links, "/dev/disk/by-id/one");
        CHECK_STR(sda1(&s)->ignored, "why");

        /* what follows from the disk's links and from the entry is not kept, and answers all the same */
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda", ++s.seqnum);
        e.links = "/dev/disk/by-id/x /dev/disk/by-path/y";
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", ++s.seqnum);
        e.links = "/dev/disk/by-id/x-part1 /dev/disk/by-id/x-part2  /dev/disk/by-path/y-part1"
                  " /dev/disk/by-path/y-part01 /dev/disk/by-partuuid/" UUID_X " /dev/disk/by-partuuid/" UUID_Y
                  " /dev/disk/by-partlabel/data"
                  " /dev/disk/by-partlabel/dat /dev/disk/by-id/z-part1 /dev/disk/by-id/x-party1 -part1 ";
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        CHECK_STR(sda1(&s)->links, "/dev/disk/by-id/x-part2 /dev/disk/by-path/y-part01 /dev/disk/by-partuuid/" UUID_Y
                                   " /dev/disk/by-partlabel/dat /dev/disk/by-id/z-part1 /dev/disk/by-id/x-party1"
                                   " -part1");
        CHECK(device_has_link(device_set_get(&s.world.devices, "sda1"), "/dev/disk/by-id/x-part1"));
        CHECK(device_has_link(device_set_get(&s.world.devices, "sda1"), "/dev/disk/by-partlabel/data"));
        CHECK(!device_has_link(device_set_get(&s.world.devices, "sda1"), "/dev/disk/by-path/y-part3"));
        CHECK(!device_has_link(device_set_get(&s.world.devices, "sda"), "/dev/disk/by-id/x-part1"));

        /* of udev's words only: the disk's are another one now */
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda", ++s.seqnum);
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        CHECK(!device_has_link(device_set_get(&s.world.devices, "sda1"), "/dev/disk/by-id/x-part1"));

        apply(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", ++s.seqnum);
        CHECK(!sda1(&s)->links);
        CHECK(!sda1(&s)->ignored);
        script_deinit(&s);
}

int main(void) {
        test_look_up();
        test_coming();
        test_uids();
        test_add_without_remove();
        test_synthetic();
        test_another();
        test_late_udev();
        test_udev_removes_first();
        test_udev_alone();
        test_ghost();
        test_incomplete();
        test_not_decisive();
        test_look();
        test_first_look();
        test_counted();
        test_facts();
        return EXIT_SUCCESS;
}
