/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The plan that looks only at what was touched, against one that looks at everything: events, tables, media,
 * policies, administrators and workers in an order drawn at random. script_run() compares the two.
 */

#undef NDEBUG

#include <signal.h>

#include "tests/script-run.h"

#define SEEDS 1500
#define STEPS 120

static const char *const uuids[] = { UUID_X, UUID_Y, UUID_Z, "1234abcd-01", "" };
static const char *const labels[] = { "data", "disk", "log", "" };
static const char *const types[] = { "ext4", "swap", NULL };
static const char *const tables[] = { "aaaa0001", "aaaa0002", NULL };
static const char *const matches[] = {
        "PartUUID=" UUID_X, "PartUUID=" UUID_X "|PartUUID=" UUID_Y, "PartLabel=data", "PartLabel=d*", "FSType=ext4",
        "PartLabel=log|FSType=!swap", "PTUUID=aaaa0001", "DiskSerial=sda", "DiskSerial=sdb|PartNumber=2",
        "KernelName=sdc1", "FSUUID=1111-1111", "DiskSerial=*",
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static uint32_t draw(uint64_t *state, size_t n) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) ((*state >> 33) % n);
}

static void draw_table(Script *s, const char *disk, uint64_t *seed) {
        Entry entries[SCRIPT_PARTITIONS];
        size_t n = draw(seed, 4);
        char name[8];

        for (size_t i = 0; i < n; i++)
                entries[i] = entry_of((unsigned) i + 1, uuids[draw(seed, COUNT(uuids))],
                                      labels[draw(seed, COUNT(labels))]);
        script_table(s, disk, entries, n);

        for (size_t i = 0; i <= n; i++) {
                (void) snprintf(name, sizeof(name), i ? "%s%zu" : "%s", disk, i);
                script_device(s, name)->values[MATCH_FS_TYPE] = types[draw(seed, COUNT(types))];
                script_device(s, name)->values[MATCH_FS_UUID] = draw(seed, 4) ? NULL : "1111-1111";
        }
        script_device(s, disk)->values[MATCH_PT_UUID] = tables[draw(seed, COUNT(tables))];
}

static void draw_policies(Script *s, uint64_t *seed) {
        PolicySet *set = policy_set_new();
        Settings *settings;
        char name[16];

        CHECK(set);
        for (size_t i = 0; i < COUNT(matches); i++) {
                if (draw(seed, 3))
                        continue;

                CHECK(settings_new(&settings) == 0);
                settings->on = 1 + draw(seed, POLICY_ON_ALL);
                if (draw(seed, 3))
                        settings->on = POLICY_ON_ALL;
                settings->refuse_change = !draw(seed, 4);
                settings->ignore_conflict = !draw(seed, 4);
                (void) snprintf(name, sizeof(name), "%02u.conf", (unsigned) ((i * 7 + draw(seed, 3) * 20) % 100));
                if (policy_set_get(set, name))
                        settings_unref(settings);
                else
                        CHECK(policy_set_add(set, policy_new_of(name, draw(seed, 3) ? "bftrack" : "bfcount",
                                                                match_parse(matches[i]), settings)) == 0);
        }

        CHECK(world_set_policies(&s->world, set) == 0);
        policy_set_free(s->policies);
        s->policies = set;
}

/* What the kernel has on a disk comes, goes, is read again, or is another medium's. */
static void draw_event(Script *s, uint64_t *seed) {
        char disk[] = { 's', 'd', (char) ('a' + draw(seed, SCRIPT_DISKS)), 0 }, name[8];
        bool present = script_device(s, disk)->present;

        if (!draw(seed, 3))
                draw_table(s, disk, seed);

        if (s->n_udev > SCRIPT_QUEUE - 12)
                return;

        if (!present) {
                script_plug(s, disk);
                return;
        }

        switch (draw(seed, 6)) {
        case 0:
                script_unplug(s, disk);
                break;
        case 1:
                script_medium(s, disk);
                break;
        case 2:
                script_reread(s, disk);
                break;
        case 3:
                script_kernel(s, EVENT_CHANGE, disk);
                break;
        default:
                (void) snprintf(name, sizeof(name), "%s%u", disk, 1 + draw(seed, 3));
                if (script_device(s, name)->present)
                        script_kernel(s, draw(seed, 2) ? EVENT_REMOVE : EVENT_CHANGE, name);
                else if (script_entry(s, name))
                        script_kernel(s, EVENT_ADD, name);
        }
}

/* Events are lost, and found out. */
static void lose(Script *s) {
        s->n_udev = 0;
        script_look(s);
}

static void draw_reply(Script *s, uint64_t *seed) {
        if (s->n_jobs == 0)
                return;

        if (draw(seed, 4))
                script_answer(s);
        else
                script_reply_outcome(s, 1 + draw(seed, _JOB_OUTCOME_MAX - 2));
}

/* As the manager does for Attach() and Detach(), in short. */
static void draw_word(Script *s, uint64_t *seed) {
        AttachmentSet *set = &s->world.attachments;
        Attachment *a = set->n_items > 0 ? set->items[draw(seed, set->n_items)] : NULL;

        if (!a || a->job)
                return;

        if (a->held) {
                a->held = false;
                a->asked_now = !a->on_device;
                a->retry_at_usec = 0;
        } else {
                a->held = true;
                attachment_lost(a, "detached", 0, &s->now);
                attachment_lost_unseen(a, "detached", &s->now);
                a->left_object = 0;
        }
        world_touch_rivals(&s->world, a);
}

static void sweep(Script *s) {
        AttachmentSet *set = &s->world.attachments;

        while (set->n_untold > 0) {
                Attachment *a = set->untold[--set->n_untold];

                a->untold = false;
                a->changed = 0;
                if (attachment_is_superfluous(a))
                        world_remove_attachment(&s->world, a);
        }
}

static void test_one(uint64_t seed) {
        Script s;

        script_init(&s);
        s.tells_generation = seed % 2;
        for (char name[] = "sda"; name[2] < 'a' + SCRIPT_DISKS; name[2]++) {
                static const char *const serials[] = { "sda", "sdb", "sdb", NULL };

                draw_table(&s, name, &seed);
                script_device(&s, name)->values[MATCH_DISK_SERIAL] = serials[name[2] - 'a'];
                if (draw(&seed, 2))
                        script_had(&s, name);
        }
        draw_policies(&s, &seed);
        script_look(&s);
        s.world.boot_diskseq = s.last_diskseq;

        /* udev is never called busy: that other disks are new is looked at now and then, not when it happens */
        for (int step = 0; step < STEPS; step++) {
                switch (draw(&seed, 16)) {
                case 0: case 1: case 2: case 3:
                        draw_event(&s, &seed);
                        break;
                case 4: case 5: case 6: case 7:
                        if (s.n_udev > 0)
                                script_udev_next(&s);
                        break;
                case 8: case 9: case 10: case 11:
                        draw_reply(&s, &seed);
                        break;
                case 12:
                        script_pass(&s, SECOND << draw(&seed, 4));
                        break;
                case 13:
                        draw_word(&s, &seed);
                        break;
                case 14:
                        if (!draw(&seed, 4))
                                lose(&s);
                        else if (!draw(&seed, 4))
                                world_check_all(&s.world);
                        break;
                default:
                        if (!draw(&seed, 4))
                                draw_policies(&s, &seed);
                }

                if (draw(&seed, 2)) {
                        (void) script_run(&s);
                        sweep(&s);
                }
        }
        script_deinit(&s);
}

static uint64_t current;

static void on_abort(int signal) {
        (void) signal;
        fprintf(stderr, "this was seed %llu: test-plan-full %llu shows it again\n", (unsigned long long) current,
                (unsigned long long) current);
}

int main(int argc, char *argv[]) {
        uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, n = argc > 1 ? 1 : SEEDS;

        if (argc > 2)
                n = strtoull(argv[2], NULL, 10);

        (void) signal(SIGABRT, on_abort);
        for (current = first; current < first + n; current++)
                test_one(current * UINT64_C(0x9e3779b97f4a7c15));
        return EXIT_SUCCESS;
}
