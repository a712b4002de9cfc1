/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Others than the daemon and its administrators: disks and media come and go, partitioners write tables and have them
 * read again, programs put filters on and take them off.
 */

#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

const char *const sim_filters[3] = { "bftrack", "bfcount", "foreign" }; /* no policy wants the last */

static Medium *random_free_medium(void) {
        Medium *m = &sim.media[sim_below(MEDIA)];

        for (unsigned i = 0; i < SLOTS; i++)
                if (sim.slots[i].medium == m)
                        return NULL;

        return m;
}

static void partitioner_ends(unsigned slot) {
        Slot *s = &sim.slots[slot];

        switch (sim_below(4)) {
        case 0:
                kernel_blkpg(slot);
                udev_tell_close(slot);
                break;
        case 1:
                /* udev does not watch the disk while it handles an event of it */
                if (s->written && sim_chance(60)) {
                        s->written = false;
                        s->untold = true;
                } else
                        udev_tell_close(slot);
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
                table_rewrite(s);

        if (sim_chance(60))
                partitioner_ends(slot);
}

/* A filter is put on, or taken off, by who does not ask the daemon. */
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
void others_random_step(void) {
        unsigned slot = sim_below(SLOTS), what = sim_below(100);
        Slot *s = &sim.slots[slot];
        Medium *m;

        if (kernel_keeps_numbers() && sim_chance(sim.module_gone ? 20 : sim.meddlers ? 2 : 0)) {
                if (sim.module_gone)
                        kernel_module_insert();
                else
                        kernel_module_remove();
                return;
        }

        if (s->rereading) {
                kernel_reread_end(slot);
                return;
        }

        if (!s->present) {
                m = random_free_medium();
                if (m)
                        kernel_disk_insert(slot, m);
                return;
        }

        if (!s->medium) {
                m = random_free_medium();
                if (m && sim_chance(70))
                        kernel_medium_insert(slot, m);
                else if (sim_chance(30))
                        kernel_disk_remove(slot);
                return;
        }

        if (what < 8) {
                sim_trace("kernel: sd%c goes", 'a' + slot);
                kernel_disk_remove(slot);
        } else if (what < 12) {
                sim_trace("kernel: the medium of sd%c goes", 'a' + slot);
                kernel_medium_eject(slot);
        } else if (what < 30) {
                sim_trace("kernel: re-read of sd%c", 'a' + slot);
                kernel_reread_begin(slot);
        } else if (what < 36)
                udev_tell_close(slot);
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
void others_calm(void) {
        if (sim.module_gone)
                kernel_module_insert();

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
                        udev_tell_close(i);
        }
}

/* What is plugged in when all begins. */
void others_init(void) {
        for (unsigned i = 0; i < SLOTS; i++)
                if (sim_chance(70))
                        kernel_disk_insert(i, &sim.media[i]);
}
