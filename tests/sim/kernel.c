/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is true: disks, tables on them, the kernel's objects, and what filters are on those. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

const char *const sim_filters[3] = { "bftrack", "bfcount", "foreign" }; /* no policy wants the last */

static const char *const uuids[] = {
        "0fc63daf-8483-4772-8e79-3d69d8477de4", "b921b045-1df0-41c3-af44-4c6f280d3fae",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "1234abcd-01", "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "e6d6d379-f507-44c2-a23c-238f2a3df928",
};
static const char *const labels[] = { "data", "log", "swap", "root", "" };
static const char *const serials[] = { "S1", "S2", "S3", "S4" };

#define N_UUIDS (sizeof(uuids) / sizeof(uuids[0]))
#define N_LABELS (sizeof(labels) / sizeof(labels[0]))

/* The partition with that very object; NULL if it is gone. */
KPart *kernel_get_object(uint64_t object) {
        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++)
                        if (object && sim.slots[i].parts[n].exists && sim.slots[i].parts[n].object == object)
                                return &sim.slots[i].parts[n];

        return NULL;
}

unsigned kernel_slot_of(const char *disk) {
        return (unsigned) (disk[2] - 'a');
}

void kernel_device_name(unsigned slot, unsigned partno, char ret[static JOB_NODE_SIZE]) {
        if (partno)
                (void) snprintf(ret, JOB_NODE_SIZE, "sd%c%u", 'a' + slot, partno);
        else
                (void) snprintf(ret, JOB_NODE_SIZE, "sd%c", 'a' + slot);
}

/* Whether the kernel's partitions are those that the table has. */
bool kernel_fits_table(const Slot *s) {
        for (unsigned n = 1; n <= PARTS; n++) {
                const Entry *e = s->medium ? &s->medium->table[n] : NULL;
                const KPart *p = &s->parts[n];

                if (p->exists != (e && e->partno))
                        return false;
                if (p->exists && (p->start != e->start_sectors || p->size != e->size_sectors || p->renamed ||
                                  !str_equal(p->made_from.uuid, e->uuid) || !str_equal(p->made_from.label, e->label)))
                        return false;
        }

        return true;
}

/* Whether a filter tells one attach of it from another. */
bool kernel_has_generation(const char *filter) {
        return str_equal(filter, "bftrack");
}

/* What is true of a device: what it would be proven to be. */
void kernel_truth_facts(unsigned slot, unsigned partno, Facts *ret) {
        static char name[JOB_NODE_SIZE];
        const Slot *s = &sim.slots[slot];

        *ret = (Facts) { 0 };
        if (!s->medium)
                return;

        if (partno)
                facts_set_entry(ret, &s->medium->table[partno]);

        kernel_device_name(slot, partno, name);
        ret->values[MATCH_DISK_SERIAL] = s->medium->serial;
        ret->values[MATCH_PT_UUID] = s->medium->pt_uuid;
        ret->values[MATCH_KERNEL_NAME] = name;
}

/* Something that a policy may demand. */
Match *kernel_random_match(void) {
        static const char *const globs[] = { "d*", "l?g", "[ls]*" };
        unsigned how = sim_below(24);
        Term terms[4];
        size_t n = 0;
        Match *m;

        if (how < 14)
                terms[n++] = (Term) { .key = MATCH_PART_UUID, .value = uuids[sim_below(4)] };
        if (how == 13)
                terms[n++] = (Term) { .key = MATCH_PART_UUID, .value = uuids[sim_below(4)] };
        if (how >= 11 && how < 17)
                terms[n++] = (Term) { .key = MATCH_PART_LABEL, .value = labels[sim_below(3)] };
        if (how == 16)
                terms[n++] = (Term) { .key = MATCH_PART_LABEL, .value = labels[sim_below(3)] };
        if (how == 17)
                terms[n++] = (Term) { .key = MATCH_PART_LABEL, .glob = true, .value = globs[sim_below(3)] };
        if (how >= 18 && how < 21)
                terms[n++] = (Term) { .key = MATCH_DISK_SERIAL, .value = serials[sim_below(3)] };
        if (how == 20)
                terms[n++] = (Term) { .key = MATCH_PART_NUMBER, .value = "2" };
        if (how == 21)
                terms[n++] = (Term) { .key = MATCH_PT_UUID, .value = sim.media[sim_below(MEDIA)].pt_uuid };
        if (how == 22)
                terms[n++] = (Term) { .key = MATCH_KERNEL_NAME, .value = sim_chance(50) ? "sda1" : "sdb" };
        if (how == 23) {
                terms[n++] = (Term) { .key = MATCH_PART_UUID, .value = uuids[sim_below(4)] };
                terms[n++] = (Term) { .key = MATCH_PART_LABEL, .glob = true, .negated = true,
                                     .value = globs[sim_below(3)] };
        }

        if (match_new(terms, n, &m) < 0)
                abort();

        return m;
}

static void random_entry(Entry *e, unsigned partno) {
        *e = (Entry) { .partno = partno, .start_sectors = 2048 * (partno + PARTS * sim_below(2)),
                               .size_sectors = 2048 };
        (void) str_copy(e->uuid, sizeof(e->uuid), uuids[sim_below(N_UUIDS)]);
        (void) str_copy(e->label, sizeof(e->label), labels[sim_below(N_LABELS)]);
}

/* Whether filters are kept by the number of a device. */
bool kernel_keeps_numbers(void) {
        return kernel_interface_is_bdevfilter(sim.interface);
}

/* A device goes: its filter goes with it, or stays on its number. */
static void keep_filter(unsigned slot, unsigned partno) {
        KPart *p = &sim.slots[slot].parts[partno];

        if (!kernel_keeps_numbers() || !p->filter[0] || sim_chance(60))
                return;

        sim_trace("kernel: %s stays on the number of sd%c%u", p->filter, 'a' + slot, partno);
        sim.kept[slot][partno] = *p;
}

/* A device comes, and has what was on its number before. */
static void take_kept(unsigned slot, unsigned partno) {
        KPart *p = &sim.slots[slot].parts[partno], *kept = &sim.kept[slot][partno];

        if (!kept->filter[0])
                return;

        (void) str_copy(p->filter, sizeof(p->filter), kept->filter);
        p->filter_since = kept->filter_since;
        p->generation = kept->generation;
        p->ours = kept->ours;
        p->put = kept->put;
        p->carried = true;
        kept->filter[0] = 0;
        sim_trace("kernel: %s is on object %llu from before", p->filter, (unsigned long long) p->object);
}

/* The module goes, and all filters with it. */
static void module_remove(void) {
        sim_trace("kernel: the module goes");
        sim.module_gone = true;
        memset(sim.kept, 0, sizeof(sim.kept));

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++) {
                        KPart *p = &sim.slots[i].parts[n];

                        if (p->filter[0]) {
                                p->foreign_off = true; /* nobody knows before it is told */
                                p->off_usec = sim.now.realtime_usec;
                        }
                        p->filter[0] = 0;
                        p->ours = p->carried = false;
                }

        udev_tell_interface(true);
}

static void module_insert(void) {
        sim_trace("kernel: the module comes");
        sim.module_gone = false;
        udev_tell_interface(false);
}

static void part_make(unsigned slot, unsigned partno) {
        const Entry *e = &sim.slots[slot].medium->table[partno];

        sim.slots[slot].parts[partno] = (KPart) { .exists = true, .object = ++sim.last_object,
                                                       .start = e->start_sectors,
                                                  .size = e->size_sectors, .made_from = *e };
        take_kept(slot, partno);
        udev_emit(slot, partno, EVENT_ADD, false);
}

static void part_drop(unsigned slot, unsigned partno) {
        keep_filter(slot, partno);
        sim.slots[slot].parts[partno].exists = false;
        sim.slots[slot].parts[partno].filter[0] = 0;
        udev_emit(slot, partno, EVENT_REMOVE, false);
}

static bool has_openers(const Slot *s) {
        for (unsigned n = 1; n <= PARTS; n++)
                if (s->parts[n].exists && s->parts[n].openers)
                        return true;

        return false;
}

/* BLKRRPART, first half. EBUSY if somebody has a partition open. */
void kernel_reread_begin(unsigned slot) {
        Slot *s = &sim.slots[slot];

        if (!s->present || s->rereading || has_openers(s))
                return;

        s->touched = true;
        for (unsigned n = 1; n <= PARTS; n++)
                if (s->parts[n].exists)
                        part_drop(slot, n);

        s->rereading = true;
}

void kernel_reread_end(unsigned slot) {
        Slot *s = &sim.slots[slot];

        if (!s->rereading)
                return;

        s->rereading = s->written = s->untold = false;
        udev_emit(slot, 0, EVENT_CHANGE, false);
        for (unsigned n = 1; s->medium && n <= PARTS; n++)
                if (s->medium->table[n].partno)
                        part_make(slot, n);
}

/* BLKPG: only what changed its place is made again. */
static void blkpg(unsigned slot) {
        Slot *s = &sim.slots[slot];

        for (unsigned n = 1; n <= PARTS; n++) {
                const Entry *e = &s->medium->table[n];
                KPart *p = &s->parts[n];

                if (p->exists && e->partno && p->start == e->start_sectors && p->size == e->size_sectors)
                        continue;

                if (p->exists && p->openers) /* EBUSY */
                        continue;

                if (p->exists)
                        part_drop(slot, n);
                if (e->partno)
                        part_make(slot, n);
        }
}

/* Somebody closed the disk after writing: udevd tells of it and all of its partitions. */
static void told_by_close(unsigned slot) {
        Slot *s = &sim.slots[slot];

        udev_emit(slot, 0, EVENT_CHANGE, true);
        for (unsigned n = 1; n <= PARTS; n++)
                if (s->parts[n].exists)
                        udev_emit(slot, n, EVENT_CHANGE, true);

        s->written = s->untold = false;
}

static void disk_insert(unsigned slot, Medium *medium) {
        Slot *s = &sim.slots[slot];

        *s = (Slot) { .present = true, .medium = medium, .diskseq = ++sim.last_diskseq, .touched = true };
        s->parts[0] = (KPart) { .exists = true, .object = ++sim.last_object };
        take_kept(slot, 0);
        sim_trace("kernel: medium %u comes as sd%c", (unsigned) (medium - sim.media), 'a' + slot);
        udev_emit(slot, 0, EVENT_ADD, false);
        for (unsigned n = 1; n <= PARTS; n++)
                if (medium->table[n].partno)
                        part_make(slot, n);
}

static void disk_remove(unsigned slot) {
        Slot *s = &sim.slots[slot];

        for (unsigned n = PARTS; n > 0; n--)
                if (s->parts[n].exists)
                        part_drop(slot, n);

        keep_filter(slot, 0);
        udev_emit(slot, 0, EVENT_REMOVE, false);
        *s = (Slot) { .touched = true };
}

/* As a loop device: the last event of the disk comes before its new sequence number. */
static void medium_eject(unsigned slot) {
        Slot *s = &sim.slots[slot];

        udev_emit(slot, 0, EVENT_CHANGE, false);
        for (unsigned n = PARTS; n > 0; n--)
                if (s->parts[n].exists)
                        part_drop(slot, n);

        s->diskseq = ++sim.last_diskseq;
        s->medium = NULL;
        s->rereading = s->written = s->untold = s->locked = false;
        s->touched = true;
        s->n_shared = 0;
}

static void medium_insert(unsigned slot, Medium *medium) {
        Slot *s = &sim.slots[slot];

        s->medium = medium;
        s->touched = true;
        s->diskseq = ++sim.last_diskseq;
        s->n_shared = 0;
        udev_emit(slot, 0, EVENT_CHANGE, false);
        for (unsigned n = 1; n <= PARTS; n++)
                if (medium->table[n].partno)
                        part_make(slot, n);
}

static Medium *random_free_medium(void) {
        Medium *m = &sim.media[sim_below(MEDIA)];

        for (unsigned i = 0; i < SLOTS; i++)
                if (sim.slots[i].medium == m)
                        return NULL;

        return m;
}

/* The table was written. By whom it was is not over before the kernel knows partitions by what they are now. */
static void written(Slot *s, const Entry before[static PARTS + 1]) {
        for (unsigned n = 1; n <= PARTS; n++) {
                KPart *p = &s->parts[n];

                p->renamed |= p->exists && (p->filter[0] || p->openers) &&
                        memcmp(&before[n], &s->medium->table[n], sizeof(before[n])) != 0;
        }

        s->written = s->touched = true;
        s->n_writes++;
}

static void rewrite(Slot *s) {
        Entry *t = s->medium->table;
        unsigned a = 1 + sim_below(PARTS), b = 1 + sim_below(PARTS);
        Entry other, before[PARTS + 1];

        memcpy(before, t, sizeof(before));
        switch (sim_below(8)) {
        case 0: /* two partitions change places */
                if (t[a].partno && t[b].partno) {
                        other = t[a];
                        t[a] = t[b];
                        t[b] = other;
                        t[a].partno = a;
                        t[b].partno = b;
                }
                break;
        case 1: /* a clone of another disk's */
                other = sim.media[sim_below(MEDIA)].table[b];
                if (t[a].partno && other.partno)
                        memcpy(t[a].uuid, other.uuid, sizeof(other.uuid));
                break;
        case 2:
                t[a].start_sectors = 2048 * (a + PARTS * sim_below(3));
                break;
        case 3:
                t[a].size_sectors = 1024 * (1 + sim_below(2));
                break;
        case 4:
                t[a].partno = 0;
                break;
        case 5: /* numbers change */
                if (t[a].partno && !t[b].partno) {
                        t[b] = t[a];
                        t[b].partno = b;
                        t[a].partno = 0;
                }
                break;
        default:
                random_entry(&t[a], a);
        }

        written(s, before);
}

/* Another disk gets a partition that is the same, and the kernel is told. */
void kernel_clone(unsigned slot, unsigned partno) {
        unsigned other = (slot + 1) % SLOTS, n = 1 + sim_below(PARTS);
        Slot *s = &sim.slots[other];
        Entry *e, before[PARTS + 1];

        if (!sim.slots[slot].medium || !partno || !s->medium || s->rereading || s->locked)
                return;

        sim_trace("kernel: sd%c%u becomes a clone of sd%c%u", 'a' + other, n, 'a' + slot, partno);
        memcpy(before, s->medium->table, sizeof(before));
        e = &s->medium->table[n];
        if (!e->partno)
                random_entry(e, n);
        memcpy(e->uuid, sim.slots[slot].medium->table[partno].uuid, sizeof(e->uuid));
        memcpy(e->label, sim.slots[slot].medium->table[partno].label, sizeof(e->label));
        written(s, before);
        kernel_reread_begin(other);
}

static void partitioner_ends(unsigned slot) {
        Slot *s = &sim.slots[slot];

        switch (sim_below(4)) {
        case 0:
                blkpg(slot);
                told_by_close(slot);
                break;
        case 1:
                /* udev does not watch the disk while it handles an event of it */
                if (s->written && sim_chance(60)) {
                        s->written = false;
                        s->untold = true;
                } else
                        told_by_close(slot);
                break;
        default:
                kernel_reread_begin(slot);
        }
        if (sim_chance(70))
                s->locked = false;
}

static void partitioner_step(unsigned slot) {
        Slot *s = &sim.slots[slot];

        sim_trace("kernel: a partitioner at sd%c", 'a' + slot);
        if (!s->locked && !s->n_shared && sim_chance(50))
                s->locked = true;

        /* one that keeps to no lock writes whenever it likes */
        if (s->locked || sim_chance(30))
                rewrite(s);

        if (sim_chance(60))
                partitioner_ends(slot);
}

static void meddle(Slot *s) {
        KPart *p = &s->parts[sim_below(PARTS + 1)];
        const char *filter = sim_filters[sim_below(3)];

        if (!p->exists || sim.module_gone)
                return;

        if (!p->filter[0]) {
                p->carried = p->put = false;
                (void) str_copy(p->filter, sizeof(p->filter), filter);
                p->filter_since = sim.now.realtime_usec;
                p->generation = ++sim.last_generation;
                p->swapped = !kernel_has_generation(filter);
                sim_trace("kernel: others put %s on object %llu", filter, (unsigned long long) p->object);
        } else if (sim.meddlers || str_equal(p->filter, "foreign")) {
                sim_trace("kernel: others take %s off object %llu", p->filter, (unsigned long long) p->object);
                p->foreign_off = true;
                p->off_usec = sim.now.realtime_usec;

                if (sim_chance(40)) { /* and put it on again */
                        p->filter_since = sim.now.realtime_usec;
                        p->generation = ++sim.last_generation;
                        p->swapped = !kernel_has_generation(p->filter);
                } else {
                        p->ours = false;
                        p->filter[0] = 0;
                }
        }
}

/* One thing happens to one disk. */
void kernel_random_step(void) {
        unsigned slot = sim_below(SLOTS), what = sim_below(100);
        Slot *s = &sim.slots[slot];
        Medium *m;

        if (kernel_keeps_numbers() && sim_chance(sim.module_gone ? 20 : sim.meddlers ? 2 : 0)) {
                if (sim.module_gone)
                        module_insert();
                else
                        module_remove();
                return;
        }

        if (s->rereading) {
                kernel_reread_end(slot);
                return;
        }

        if (!s->present) {
                m = random_free_medium();
                if (m)
                        disk_insert(slot, m);
                return;
        }

        if (!s->medium) {
                m = random_free_medium();
                if (m && sim_chance(70))
                        medium_insert(slot, m);
                else if (sim_chance(30))
                        disk_remove(slot);
                return;
        }

        if (what < 8) {
                sim_trace("kernel: sd%c goes", 'a' + slot);
                disk_remove(slot);
        } else if (what < 12) {
                sim_trace("kernel: the medium of sd%c goes", 'a' + slot);
                medium_eject(slot);
        } else if (what < 30) {
                sim_trace("kernel: re-read of sd%c", 'a' + slot);
                kernel_reread_begin(slot);
        } else if (what < 36)
                told_by_close(slot);
        else if (what < 38)
                udev_emit(slot, s->parts[1].exists ? sim_below(2) : 0, EVENT_ADD, true);
        else if (what < 46)
                meddle(s);
        else
                partitioner_step(slot);
}

/*
 * Whether it may be left at that: the kernel's partitions are where the table has them, and no filter is on one
 * that has become another. (The filter of such a one stays, as it belongs to the kernel's object.)
 */
static bool may_stay_untold(const Slot *s) {
        for (unsigned n = 1; n <= PARTS; n++) {
                const Entry *e = &s->medium->table[n];
                const KPart *p = &s->parts[n];

                if (p->exists != (e->partno > 0))
                        return false;
                if (p->exists && (p->start != e->start_sectors || p->size != e->size_sectors))
                        return false;
                if (p->exists && (p->renamed || memcmp(e, &p->made_from, sizeof(*e)) != 0) && p->filter[0])
                        return false;
        }

        return true;
}

/* Everybody ends what they have begun, and the kernel knows the tables. */
void kernel_calm(void) {
        if (sim.module_gone)
                module_insert();

        for (unsigned i = 0; i < SLOTS; i++) {
                Slot *s = &sim.slots[i];

                s->locked = false;
                kernel_reread_end(i);
                if (s->present && s->medium && s->untold && !s->written && may_stay_untold(s))
                        continue;
                if (s->present && s->medium && !kernel_fits_table(s)) {
                        kernel_reread_begin(i);
                        kernel_reread_end(i);
                } else if (s->present && s->medium && s->written)
                        told_by_close(i);
        }
}

void kernel_init(void) {
        for (unsigned i = 0; i < MEDIA; i++) {
                sim.media[i] = (Medium) { .ignored = sim_chance(4) };
                (void) str_copy(sim.media[i].serial, sizeof(sim.media[i].serial),
                                serials[sim_chance(90) ? i : sim_below(4)]);
                (void) snprintf(sim.media[i].pt_uuid, sizeof(sim.media[i].pt_uuid),
                                "0000000%u-1111-4222-8333-444444444444", i);
                for (unsigned n = 1; n <= PARTS; n++)
                        if (sim_chance(60))
                                random_entry(&sim.media[i].table[n], n);
        }

        for (unsigned i = 0; i < SLOTS; i++)
                if (sim_chance(70))
                        disk_insert(i, &sim.media[i]);
}
