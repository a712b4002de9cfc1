/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel: its objects for what the tables have, what filters are on those, and how it makes and drops them. */

#include <stdio.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

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
void kernel_module_remove(void) {
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

/* It comes, with no filter on anything. */
void kernel_module_insert(void) {
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

/* And the second: it has partitions again, as the table has them. */
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
void kernel_blkpg(unsigned slot) {
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

/* A disk is plugged in. */
void kernel_disk_insert(unsigned slot, Medium *medium) {
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

/* It is pulled out. */
void kernel_disk_remove(unsigned slot) {
        Slot *s = &sim.slots[slot];

        for (unsigned n = PARTS; n > 0; n--)
                if (s->parts[n].exists)
                        part_drop(slot, n);

        keep_filter(slot, 0);
        udev_emit(slot, 0, EVENT_REMOVE, false);
        *s = (Slot) { .touched = true };
}

/* As a loop device: the last event of the disk comes before its new sequence number. */
void kernel_medium_eject(unsigned slot) {
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

/* A drive that had none gets a medium. */
void kernel_medium_insert(unsigned slot, Medium *medium) {
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
