/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How the daemon hears of what happens: the kernel's events in order, udev's in order and later;
 * both may be lost. udev reads the table when it comes to an event, not when that happened.
 */

#include <string.h>

#include "daemon/text.h"
#include "tests/sim/sim.h"

static void push(RawEvent *queue, size_t *n, const RawEvent *e) {
        queue[(*n)++] = *e;
}

static void pop(RawEvent *queue, size_t *n) {
        memmove(queue, queue + 1, --*n * sizeof(*queue));
}

/* The kernel tells everybody that listens. */
void udev_emit(unsigned slot, unsigned partno, EventAction action, bool synthetic) {
        const RawEvent e = {
                .action = action,
                .synthetic = synthetic,
                .seqnum = ++sim.last_seqnum,
                .slot = slot,
                .partno = partno,
                .diskseq = sim.slots[slot].diskseq,
        };

        if (sim.mistake == MISTAKE_DROP_REMOVES && action == EVENT_REMOVE && partno)
                return;

        if (sim.manager) {
                if (sim.n_kernel < QUEUE)
                        push(sim.kernel_queue, &sim.n_kernel, &e);
                else
                        sim.lost = true;
        }

        while (sim.n_udevd == QUEUE)
                (void) udev_process();
        push(sim.udevd_queue, &sim.n_udevd, &e);
}

/* Somebody closed a disk after writing: udevd has the kernel tell of it and all of its partitions. */
void udev_tell_close(unsigned slot) {
        Slot *s = &sim.slots[slot];

        udev_emit(slot, 0, EVENT_CHANGE, true);
        for (unsigned n = 1; n <= PARTS; n++)
                if (s->parts[n].exists)
                        udev_emit(slot, n, EVENT_CHANGE, true);

        s->written = s->untold = false;
}

static void fill(const RawEvent *raw, EventSource source, DeviceEvent *ret);
static void fill_facts(const Message *m, DeviceEvent *e);

/* blkfilter-wait: the daemon is told before udevd tells anybody. What is in the daemon's sockets it reads first. */
static void tell_early(const RawEvent *raw) {
        const Slot *s = &sim.slots[raw->slot];
        DeviceEvent e;

        while (udev_deliver_kernel() || udev_deliver_udev())
                ;

        if (!s->parts[raw->partno].exists || s->diskseq != raw->diskseq)
                return;

        fill(raw, EVENT_UDEV, &e);
        fill_facts(&sim.db[raw->slot][raw->partno], &e);
        e.action = EVENT_CHANGE;
        e.early = true;
        sim_trace("daemon: early %llu %s %s", (unsigned long long) e.seqnum, e.name, e.has_entry ? e.entry.uuid : "-");
        manager_device(sim.manager, &e);
        manager_told(sim.manager);
}

/* udevd tells everybody of the event that it is at, and is done with it. */
static void finish(void) {
        const RawEvent *e = &sim.udevd_queue[0];

        if (sim.manager) {
                if (sim.n_udev < QUEUE)
                        sim.udev_queue[sim.n_udev++] = sim.db[e->slot][e->partno];
                else
                        sim.lost = true;
        }

        sim.udevd_waits = false;
        pop(sim.udevd_queue, &sim.n_udevd);
}

/* udevd works off one event, or half of it; false if it has none or has to wait for a lock. */
bool udev_process(void) {
        const RawEvent *e = &sim.udevd_queue[0];
        Message m = { 0 };
        const Slot *s;

        if (sim.n_udevd == 0)
                return false;

        s = &sim.slots[e->slot];
        if (sim.udevd_waits) {
                /* events of the kernel may have made the daemon forget what it was told */
                if (sim.manager && !sim.calm && sim_chance(20))
                        tell_early(e);
                else
                        finish();
                return true;
        }

        if ((s->locked || s->rereading) && sim.n_udevd < QUEUE)
                return false;

        m.raw = *e;
        m.exists = e->action != EVENT_REMOVE;
        if (m.exists && s->medium) {
                const KPart *p = &s->parts[e->partno];
                const Entry *entry = &s->medium->table[e->partno];

                m.ignored = s->medium->ignored;
                memcpy(m.serial, s->medium->serial, sizeof(m.serial));
                memcpy(m.pt_uuid, s->medium->pt_uuid, sizeof(m.pt_uuid));
                if (e->partno && p->exists && entry->partno && p->start == entry->start_sectors) {
                        m.has_entry = true;
                        m.entry = *entry;
                }
        }

        sim.db[e->slot][e->partno] = m;
        if (m.exists && sim.manager && sim.n_udevd < QUEUE && sim_chance(50)) {
                sim.udevd_waits = true;
                tell_early(e);
        } else
                finish();
        return true;
}

static void fill(const RawEvent *raw, EventSource source, DeviceEvent *ret) {
        const KPart *p = &sim.slots[raw->slot].parts[raw->partno];

        *ret = (DeviceEvent) {
                .source = source,
                .action = raw->action,
                .synthetic = raw->synthetic,
                .seqnum = raw->seqnum,
                .partno = raw->partno,
                .major = 8,
                .minor = raw->slot * 16 + raw->partno,
                .diskseq = raw->diskseq,
                /* read from sysfs now, whatever the event is about */
                .object = raw->action != EVENT_REMOVE && p->exists ? p->object : 0,
        };
        kernel_device_name(raw->slot, raw->partno, ret->name);
        kernel_device_name(raw->slot, 0, ret->disk);
}

static void fill_facts(const Message *m, DeviceEvent *e) {
        if (!m->exists)
                return;

        e->processed = true;
        e->settled = m->raw.partno || m->serial[0]; /* an empty drive is not ready */
        if (m->ignored)
                e->ignored = "it is a path of a multipath device";
        e->has_entry = m->has_entry;
        e->entry = m->entry;
        if (!m->raw.partno && m->serial[0]) {
                e->values[MATCH_DISK_SERIAL] = m->serial;
                e->values[MATCH_PT_UUID] = m->pt_uuid;
        }
}

/* The daemon reads that events were lost, if they were. */
void udev_deliver_lost(void) {
        if (!sim.lost)
                return;

        sim.lost = false;
        sim.counts.n_lost++;
        sim_trace("daemon: events were lost");
        if (sim.mistake != MISTAKE_DROP_LOST)
                manager_lost(sim.manager);

        /* what is in the sockets still is read before anything else is done */
        while (udev_deliver_kernel() || udev_deliver_udev())
                ;
        manager_told(sim.manager);
}

/* The kernel tells that what brings its filters came, or went. */
void udev_tell_interface(bool gone) {
        if (!sim.manager)
                return;

        if (sim.n_interface_events < sizeof(sim.interface_events) / sizeof(sim.interface_events[0]))
                sim.interface_events[sim.n_interface_events++] = gone;
        else
                sim.lost = true;
}

/* The daemon reads one event of the kernel; false if there is none. */
bool udev_deliver_kernel(void) {
        DeviceEvent e;

        udev_deliver_lost();
        if (sim.n_interface_events > 0) {
                bool gone = sim.interface_events[0];

                memmove(sim.interface_events, sim.interface_events + 1, --sim.n_interface_events);
                sim_trace("daemon: the interface %s", gone ? "went" : "came");
                manager_interface(sim.manager, gone);
                manager_told(sim.manager);
                return true;
        }

        if (sim.n_kernel == 0)
                return false;

        fill(&sim.kernel_queue[0], EVENT_KERNEL, &e);
        pop(sim.kernel_queue, &sim.n_kernel);
        sim_trace("daemon: kernel %llu %s %s", (unsigned long long) e.seqnum,
                  e.action == EVENT_ADD ? "add" : e.action == EVENT_REMOVE ? "remove" : "change", e.name);
        manager_device(sim.manager, &e);
        manager_told(sim.manager);
        return true;
}

/* The daemon reads one event of udev; false if there is none. */
bool udev_deliver_udev(void) {
        Message m;
        DeviceEvent e;

        udev_deliver_lost();
        if (sim.n_udev == 0)
                return false;

        fill(&sim.udev_queue[0].raw, EVENT_UDEV, &e);
        m = sim.udev_queue[0];
        fill_facts(&m, &e);
        memmove(sim.udev_queue, sim.udev_queue + 1, --sim.n_udev * sizeof(sim.udev_queue[0]));
        sim_trace("daemon: udev %llu %s %s %s", (unsigned long long) e.seqnum,
                  e.action == EVENT_ADD ? "add" : e.action == EVENT_REMOVE ? "remove" : "change", e.name,
                  e.has_entry ? e.entry.uuid : "-");
        manager_device(sim.manager, &e);
        manager_told(sim.manager);
        return true;
}

/* A socket was full: the newest events of it are gone, and the daemon is told so. */
void udev_lose(void) {
        unsigned which = 1 + sim_below(3);

        sim_trace("kernel: events are lost (%u)", which);
        if (which & 1 && sim.n_interface_events > 0) {
                sim.n_interface_events = 0;
                sim.lost = true;
        }
        if (which & 1 && sim.n_kernel > 0) {
                sim.n_kernel -= 1 + sim_below((unsigned) sim.n_kernel);
                sim.lost = true;
        }
        if (which & 2 && sim.n_udev > 0) {
                sim.n_udev -= 1 + sim_below((unsigned) sim.n_udev);
                sim.lost = true;
        }
}

/* Tells of all that is there; things happen while that goes on. */
int udev_look(void) {
        bool listed[SLOTS][PARTS + 1] = { 0 };

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++)
                        listed[i][n] = n ? sim.slots[i].parts[n].exists : sim.slots[i].present;

        for (unsigned i = 0; i < SLOTS; i++)
                for (unsigned n = 0; n <= PARTS; n++) {
                        const Slot *s = &sim.slots[i];
                        RawEvent raw = { .action = EVENT_ADD, .slot = i, .partno = n };
                        DeviceEvent e;

                        if (!sim.calm && sim_chance(2))
                                others_random_step();
                        if (!sim.calm && sim_chance(1))
                                return -5;

                        if (!listed[i][n] || !(n ? s->parts[n].exists : s->present))
                                continue;

                        raw.diskseq = s->diskseq;
                        fill(&raw, EVENT_ENUMERATION, &e);

                        /* The database may speak of what was there before. */
                        if (n || sim.db[i][n].raw.diskseq == s->diskseq || sim.mistake == MISTAKE_BELIEVE_UDEV)
                                fill_facts(&sim.db[i][n], &e);
                        e.in_doubt = n && sim.n_udevd > 0 && sim.mistake != MISTAKE_BELIEVE_UDEV;
                        sim_trace("daemon: look %s diskseq %llu object %llu%s%s %s", e.name,
                                  (unsigned long long) e.diskseq,
                                  (unsigned long long) e.object, e.in_doubt ? " in doubt" : "",
                                  e.settled ? " settled" : "",
                                  e.values[MATCH_DISK_SERIAL] ?: e.entry.uuid);
                        manager_device(sim.manager, &e);
                }

        return 0;
}
