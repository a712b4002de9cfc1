/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is on the disks: few identities, so that they meet again, in tables that are changed at random. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

static const char *const uuids[] = {
        "0fc63daf-8483-4772-8e79-3d69d8477de4", "b921b045-1df0-41c3-af44-4c6f280d3fae",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "1234abcd-01", "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "e6d6d379-f507-44c2-a23c-238f2a3df928",
};
static const char *const labels[] = { "data", "log", "swap", "root", "" };
static const char *const serials[] = { "S1", "S2", "S3", "S4" };

#define N_UUIDS (sizeof(uuids) / sizeof(uuids[0]))
#define N_LABELS (sizeof(labels) / sizeof(labels[0]))

/* Something that a policy may demand. */
Match *table_random_match(void) {
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

/* Somebody changes something in a table. */
void table_rewrite(Slot *s) {
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
void table_clone(unsigned slot, unsigned partno) {
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

/* The disks that there are, plugged in or not. */
void tables_init(void) {
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
}
