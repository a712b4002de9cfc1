/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How devices come to be known: events of the kernel and of udev, and looks. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/device-internal.h"
#include "daemon/shared.h"
#include "daemon/text.h"

/* Whether an event speaks of another object than the one that is registered under its name. */
static bool event_is_of_another(const DeviceEvent *e, uint32_t major, uint32_t minor, uint64_t diskseq,
                                uint64_t object) {
        if (e->source == EVENT_KERNEL && e->action == EVENT_ADD && !e->synthetic)
                /* a look may have found it before its event was read */
                return !(e->diskseq && e->diskseq == diskseq) && !(e->object && e->object == object);

        /* A whole re-read may have been lost. An event, though, can be older than what sysfs shows by
         * the time it is read: what makes the difference follows then. */
        if (e->source == EVENT_ENUMERATION && e->object && object && e->object != object)
                return true;

        return e->major != major || e->minor != minor || (e->diskseq && diskseq && e->diskseq != diskseq);
}

/*
 * Whether an event may do what it says. What comes, what goes, and what takes another's place, the kernel and
 * looks decide: an event of udev can be older than the look that found the device, and a removal that
 * somebody wrote to "uevent" removes nothing. But where udev knows more than the kernel has told, a look
 * has to.
 */
static bool event_decides(DeviceSet *s, const DeviceEvent *e, bool known, bool of_another) {
        if (e->source == EVENT_UDEV && e->seqnum > s->kernel_seq &&
            (e->action == EVENT_REMOVE ? known : !known || of_another)) {
                Missed *m = &s->missed[s->n_missed++ % MISSED_MAX];

                memcpy(m->name, e->name, sizeof(m->name));
                m->seqnum = e->seqnum;
                s->incomplete = true;
        }

        if (e->action == EVENT_REMOVE)
                return e->source == EVENT_KERNEL && !e->synthetic;

        return e->source != EVENT_UDEV || (known && !of_another);
}

/* An event of the kernel about a disk, or a medium, that a look has found another in the place of. */
static bool event_is_of_the_past(const DeviceEvent *e, const Disk *d) {
        return d && e->source == EVENT_KERNEL && e->diskseq && e->diskseq < d->diskseq;
}

/* Takes over a string that udev told; sets *changed if it is another one than before. */
static int take_string(const char **where, const char *value, bool *changed) {
        int r = 0;

        if (*where && value ? str_equal(*where, value) : *where == value)
                return 0;

        if (value)
                r = shared_copy(where, value);
        else
                shared_set(where, NULL);

        *changed |= r == 0;
        return r;
}

/* The newest event of udev that what is told now is not older than. */
static uint64_t udev_seq_of(const DeviceSet *s, const DeviceEvent *e, uint64_t known) {
        uint64_t seqnum = e->source == EVENT_UDEV ? e->seqnum : known;

        for (size_t i = 0; e->source == EVENT_ENUMERATION && i < MISSED_MAX; i++)
                if (s->missed[i].seqnum > seqnum && str_equal(s->missed[i].name, e->name))
                        seqnum = s->missed[i].seqnum;

        return seqnum;
}

/* What udev says of a whole device. */
static int disk_take_facts(DeviceSet *s, Disk *d, const DeviceEvent *e) {
        bool links_changed = false;
        int r;

        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++) {
                if (key == MATCH_PT_UUID)
                        continue;

                r = take_string(&d->values[key], e->values[key], &d->reclaim);
                if (r < 0)
                        return r;
        }

        r = take_string(&d->links, e->links, &links_changed);
        if (r < 0)
                return r;

        /* A scan is the better witness. */
        if (d->dirty && e->values[MATCH_PT_UUID]) {
                bool changed = false;

                r = take_string(&d->pt_uuid, e->values[MATCH_PT_UUID], &changed);
                if (r < 0)
                        return r;
                if (changed) {
                        d->table_job = 0;
                        d->reclaim = true;
                }
        }

        d->udev_seq = udev_seq_of(s, e, d->udev_seq);

        d->processed = e->processed;
        d->settled = e->settled;
        if (e->settled)
                d->known = true;
        if (e->early)
                d->doubted = false;

        d->ignored = e->ignored;
        device_set_touch(s, d);
        return 0;
}

/*
 * Whether a finding is worth nothing: udev was busy, so its database may speak of a device that was there
 * before. What is known already stays; what is new waits for udev, or for another look.
 */
static bool is_doubtful(DeviceSet *s, const DeviceEvent *e, bool processed, bool *doubted) {
        if (e->source != EVENT_ENUMERATION || !e->in_doubt || s->believing)
                return false;

        *doubted = !processed;
        s->in_doubt |= *doubted;
        return true;
}

/*
 * Whether an event of udev speaks of the past: the kernel has told more since. One that udev waits with does only if
 * the device has another one's name.
 */
static bool is_late(const DeviceEvent *e, uint64_t kernel_seq, uint64_t born_seq) {
        return e->source == EVENT_UDEV && e->seqnum && e->seqnum < (e->early ? born_seq : kernel_seq);
}

/*
 * A late event says nothing of how a disk is now. But if udev left it alone then, or called it not ready, it has more
 * to tell of it, and that is waited for.
 */
static void disk_take_late(DeviceSet *s, Disk *d, const DeviceEvent *e) {
        if (d->told || e->action == EVENT_REMOVE || e->seqnum < d->born_seq || (e->settled && !e->ignored))
                return;

        d->told = true;
        device_set_touch(s, d);
}

static int apply_disk(DeviceSet *s, const DeviceEvent *e) {
        Disk *d = device_set_get_disk(s, e->name);
        bool another;

        if (event_is_of_the_past(e, d))
                return 0;

        another = d && event_is_of_another(e, d->major, d->minor, d->diskseq, d->object);
        if (is_late(e, d ? d->kernel_seq : s->kernel_seq + 1, d ? d->born_seq : s->kernel_seq + 1)) {
                if (d && !another)
                        disk_take_late(s, d, e);
                return 0;
        }

        if (!event_decides(s, e, d != NULL, another))
                return 0;

        if (e->action == EVENT_REMOVE) {
                if (d)
                        device_set_remove_disk(s, d);
                return 0;
        }

        if (another) {
                s->found_gone |= e->source == EVENT_ENUMERATION;
                device_set_remove_disk(s, d);
                d = NULL;
        }

        if (!d) {
                d = device_set_add_disk(s, e);
                if (!d)
                        return -ENOMEM;
                d->born_seq = e->seqnum;
        }

        if (!d->diskseq)
                d->diskseq = e->diskseq;
        if (!d->object)
                d->object = e->object;

        d->seen = true;

        if (e->source == EVENT_KERNEL) {
                d->kernel_seq = e->seqnum;
                if (e->seqnum > d->udev_seq)
                        d->processed = d->settled = false;
                d->heard = true;
                d->unowned = false;
                disk_make_dirty(s, d);
                return 0;
        }

        d->told |= e->processed;
        return is_doubtful(s, e, d->processed, &d->doubted) ? 0 : disk_take_facts(s, d, e);
}

static int partition_take_links(Partition *p, const char *links) {
        bool changed = false;
        char *kept;
        int r;

        r = partition_pick_links(p, links, &kept);
        if (r < 0)
                return r;

        r = take_string(&p->links, kept, &changed);
        free(kept);
        return r;
}

static int partition_take_facts(DeviceSet *s, Partition *p, const DeviceEvent *e) {
        const KeptEntry *known;
        int r;

        for (size_t i = 0; i < 3; i++) {
                r = take_string(&p->fs[i], e->values[MATCH_FS_UUID + i], &p->disk->reclaim);
                if (r < 0)
                        return r;
        }

        p->udev_seq = udev_seq_of(s, e, p->udev_seq);

        p->processed = e->processed;
        p->settled = e->settled;
        if (e->early)
                p->doubted = false;
        p->ignored = e->ignored;
        device_set_touch(s, p->disk);

        if (!e->has_entry)
                return partition_take_links(p, e->links);

        /* udev's database may be older than what a worker has read: it is read again, and the known stays until then */
        known = disk_get_entry(p->disk, e->entry.partno);
        if (known && !p->disk->dirty && !kept_entry_equal(known, &e->entry)) {
                p->disk->overtaken = true;
                disk_make_dirty(s, p->disk);
        } else {
                r = disk_put_entry(s, p->disk, &e->entry);
                if (r < 0)
                        return r;
        }

        /* now that it is known what some of them follow from */
        return partition_take_links(p, e->links);
}

/* Place of a partition among its disk's. */
static size_t partition_place(const Partition *p) {
        size_t i = 0;

        while (p->disk->partitions[i] != p)
                i++;

        return i;
}

static int apply_partition(DeviceSet *s, const DeviceEvent *e) {
        Disk *d = device_set_get_disk(s, e->disk);
        Partition *p = d ? disk_get_partition(d, e->partno) : NULL;
        bool another;

        if (event_is_of_the_past(e, d))
                return 0;

        if (is_late(e, p ? p->kernel_seq : s->kernel_seq + 1, p ? p->born_seq : s->kernel_seq + 1))
                return 0;

        another = p && event_is_of_another(e, p->major, p->minor, 0, p->object);
        if (!event_decides(s, e, p != NULL, another))
                return 0;

        if (!d) {
                if (e->action != EVENT_REMOVE)
                        s->incomplete = true;
                return 0;
        }

        if (p && (e->action == EVENT_REMOVE || another)) {
                s->found_gone |= e->source == EVENT_ENUMERATION;
                disk_drop_partition(s, d, partition_place(p));
                p = NULL;
        }

        if (e->action == EVENT_REMOVE)
                return 0;

        if (!p) {
                p = disk_add_partition(s, d, e);
                if (!p)
                        return -ENOMEM;
                p->born_seq = e->seqnum;
        }

        p->seen = true;
        if (!p->object)
                p->object = e->object;

        if (e->source == EVENT_KERNEL) {
                p->kernel_seq = e->seqnum;
                if (e->seqnum > p->udev_seq)
                        p->processed = p->settled = false;
                d->heard = true;
                disk_make_dirty(s, d);
                return 0;
        }

        return is_doubtful(s, e, p->processed, &p->doubted) ? 0 : partition_take_facts(s, p, e);
}

/**
 * device_set_apply() - take in one event or one finding
 * @s: the set
 * @e: the event; borrowed
 *
 * The one door for the kernel's events, udev's and enumeration. Pointers to disks and partitions
 * taken before are invalid afterwards.
 *
 * Return: 0, or -ENOMEM: look at everything again.
 */
int device_set_apply(DeviceSet *s, const DeviceEvent *e) {
        const char *name = e->partno == 0 ? e->name : e->disk;
        uint64_t uid, n_events;
        Disk *d;
        int r;

        if (e->source != EVENT_KERNEL)
                return e->partno == 0 ? apply_disk(s, e) : apply_partition(s, e);

        if (e->seqnum > s->kernel_seq)
                s->kernel_seq = e->seqnum;

        d = device_set_get_disk(s, name);
        uid = d ? d->uid : 0;
        n_events = d ? d->n_events : 0;

        r = e->partno == 0 ? apply_disk(s, e) : apply_partition(s, e);

        /* the very disk: another one may have taken its place */
        d = device_set_get_disk(s, name);
        if (d && d->uid == uid) {
                d->n_told += d->n_events - n_events;
                if (e->seqnum > d->told_seq)
                        d->told_seq = e->seqnum;
        }

        return r;
}

/**
 * device_set_written() - how much has been written to a disk, ever
 * @s: the set
 * @d: a disk of it
 * @n_writes: as the kernel counts, its partitions' included
 *
 * If it is more than last time, the table may be another one, and not all that write one are noticed: udev
 * does not watch a disk while it handles an event of it. What is known stays in force until it has been read.
 */
void device_set_written(DeviceSet *s, Disk *d, uint64_t n_writes) {
        if (d->n_writes == n_writes)
                return;

        d->n_writes = n_writes;
        d->reread_due = true;
        device_set_touch(s, d);
}

static bool disk_is_doubted(const Disk *d) {
        for (size_t i = 0; i < d->n_partitions; i++)
                if (d->partitions[i]->doubted)
                        return true;

        return d->doubted;
}

/**
 * device_set_check_doubt() - whether what the last look found may still be of predecessors
 * @s: the set; in_doubt is brought up to date
 *
 * While udev waits for what is made of its events it is never idle. Doubt ends before, when it has told of each device
 * that was doubted, or that is gone.
 *
 * Return: in_doubt.
 */
bool device_set_check_doubt(DeviceSet *s) {
        bool found = false;

        for (size_t i = 0; s->in_doubt && !found && i < s->n_disks; i++)
                found = disk_is_doubted(s->disks[i]);

        s->in_doubt &= found;
        return s->in_doubt;
}

/**
 * device_set_look_begin() - before all devices are told again, one by one
 * @s: the set
 * @believe: also what udev says while it is busy: it has been for too long
 */
void device_set_look_begin(DeviceSet *s, bool believe) {
        s->incomplete = s->in_doubt = false;
        s->looking = true;
        s->believing = believe;

        for (size_t i = 0; i < s->n_disks; i++) {
                s->disks[i]->seen = s->disks[i]->doubted = false;

                for (size_t j = 0; j < s->disks[i]->n_partitions; j++)
                        s->disks[i]->partitions[j]->seen = s->disks[i]->partitions[j]->doubted = false;
        }
}

/**
 * device_set_look_end() - after all devices were told: what was not among them is gone
 * @s: the set
 *
 * At the first look what udev says is all there is to know, if it has looked itself. A later one may fall between the
 * two halves of a re-read, and what a table said must not be forgotten for it.
 */
void device_set_look_end(DeviceSet *s) {
        for (size_t i = s->n_disks; i-- > 0; ) {
                Disk *d = s->disks[i];

                if (!d->seen) {
                        s->found_gone = true;
                        device_set_remove_disk(s, d);
                        continue;
                }

                for (size_t j = d->n_partitions; j-- > 0; )
                        if (!d->partitions[j]->seen) {
                                s->found_gone = true;
                                disk_drop_partition(s, d, j);
                        }

                if (!s->looked && disk_udev_caught_up(d) && !disk_is_unprobed(d))
                        disk_settle_by_udev(d);
        }

        s->looked = true;
        s->looking = s->believing = false;
}
