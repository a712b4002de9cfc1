/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A scripted world for tests of the core.
 *
 * The script holds what is true (which partitions the tables of sda, sdb, ... have, what udev finds on
 * them, which filters are on) and tells the core of it as the kernel and udev do: each kernel event is
 * queued for udev, which tells it later, with the table's entry. What the plan makes of it, and workers'
 * replies, is script-run.h's.
 */

#include "tests/test.h"

#define SCRIPT_DISKS 4
#define SCRIPT_PARTITIONS 4
#define SCRIPT_QUEUE 64
#define SCRIPT_JOBS 16

typedef struct ScriptDevice {
        bool present;                       /* the kernel has it */
        uint64_t object;                    /* as in Partition, while present */
        const char *values[_MATCH_KEY_MAX]; /* of the file system; of the disk those of the whole device too */
        char filter[FILTER_NAME_SIZE];      /* that is on it; "" none */
        uint64_t generation;                /* of that filter; 0: it tells none */
} ScriptDevice;

typedef struct ScriptDisk {
        Entry entries[SCRIPT_PARTITIONS]; /* the table on the disk; sorted by partno */
        size_t n_entries;
        Entry told[SCRIPT_PARTITIONS];    /* the table that a worker has told last, */
        size_t n_told;
        uint64_t told_by;                 /* and the job that it was asked by; 0 none */
        uint64_t diskseq;
        bool is_virtual;                  /* as in DeviceEvent, */
        const char *ignored;              /* and what udev says of it, */
        bool unready;                     /* or that it is not ready */
        bool unowned;                     /* as in JobReply */
        bool is_unprobed;                 /* udev does not look at its partitions */
        ScriptDevice devices[SCRIPT_PARTITIONS + 1]; /* by number; [0]: the whole disk */
} ScriptDisk;

typedef struct ScriptEvent {
        EventAction action;
        char name[JOB_NODE_SIZE];
        uint64_t seqnum, diskseq;
} ScriptEvent;

typedef struct Script {
        World world;
        PolicySet *policies;
        Now now;
        uint64_t seqnum, last_diskseq, last_object, last_generation;
        uint64_t as_of;                 /* that workers tell with a table; 0: they do not know */
        bool tells_generation;          /* the filters that are attached from now on tell one */
        ScriptDisk disks[SCRIPT_DISKS]; /* sda, sdb, ... */
        ScriptEvent udev[SCRIPT_QUEUE]; /* what udev has not told yet, oldest first */
        size_t n_udev;
        JobRequest jobs[SCRIPT_JOBS];   /* begun and not answered, oldest first */
        size_t n_jobs;
        uint64_t wake_at_usec;          /* of the last plan */
} Script;

__attribute__((unused)) static void script_init(Script *s) {
        *s = (Script) {
                .world.interface = KERNEL_INTERFACE_BLKFILTER_1,
                .policies = policy_set_new(),
                .now = { .monotonic_usec = 1000 * SECOND, .realtime_usec = 1700000000 * SECOND },
                .seqnum = 1000,
        };
        CHECK(s->policies);
}

__attribute__((unused)) static void script_deinit(Script *s) {
        world_deinit(&s->world);
        policy_set_free(s->policies);
}

__attribute__((unused)) static void script_pass(Script *s, uint64_t usec) {
        s->now.monotonic_usec += usec;
        s->now.realtime_usec += usec;
}

/* Puts a policy in force, as policy_new_of(); returns its attachment, NULL if it is not for one device. */
__attribute__((unused)) static Attachment *script_policy_of(Script *s, const char *name, const char *filter, Match *m,
                                                            Settings *settings) {
        char id[ATTACHMENT_ID_SIZE];

        CHECK(policy_set_add(s->policies, policy_new_of(name, filter, m, settings)) == 0);
        CHECK(world_set_policies(&s->world, s->policies) == 0);
        return attachment_make_id(filter, m, id) == 0 ? attachment_set_get(&s->world.attachments, id) : NULL;
}

__attribute__((unused)) static Attachment *script_policy(Script *s, const char *name, const char *filter,
                                                         const char *uuid, const char *label) {
        return script_policy_of(s, name, filter, match_of(uuid, label), NULL);
}

/* Makes an attachment that an administrator asked for. */
__attribute__((unused)) static Attachment *script_wish(Script *s, const char *filter, const char *uuid) {
        Match *m = match_of(uuid, "");
        Attachment *a;

        CHECK(attachment_new(filter, m, ATTACHMENT_SOURCE_RUNTIME, &a) == 0);
        CHECK(world_add_attachment(&s->world, a) == 0);
        match_unref(m);
        return a;
}

__attribute__((unused)) static ScriptDisk *script_disk(Script *s, const char *name) {
        CHECK(strncmp(name, "sd", 2) == 0 && name[2] >= 'a' && name[2] < 'a' + SCRIPT_DISKS);
        return &s->disks[name[2] - 'a'];
}

__attribute__((unused)) static ScriptDevice *script_device(Script *s, const char *name) {
        unsigned partno = (unsigned) strtoul(name + 3, NULL, 10);

        CHECK(partno <= SCRIPT_PARTITIONS);
        return &script_disk(s, name)->devices[partno];
}

__attribute__((unused)) static const Entry *script_entry(Script *s, const char *name) {
        ScriptDisk *d = script_disk(s, name);

        for (size_t i = 0; i < d->n_entries; i++)
                if (d->entries[i].partno == strtoul(name + 3, NULL, 10))
                        return &d->entries[i];

        return NULL;
}

/* What is on the disk from now on; nobody is told. */
__attribute__((unused)) static void script_table(Script *s, const char *disk, const Entry *entries, size_t n_entries) {
        ScriptDisk *d = script_disk(s, disk);

        CHECK(n_entries <= SCRIPT_PARTITIONS);
        if (n_entries > 0)
                memcpy(d->entries, entries, n_entries * sizeof(*entries));
        d->n_entries = n_entries;
}

__attribute__((unused)) static void script_table_1(Script *s, const char *disk, unsigned partno, const char *uuid,
                                                   const char *label) {
        Entry e = entry_of(partno, uuid, label);

        script_table(s, disk, &e, 1);
}

/* One event, as the source tells it. */
__attribute__((unused)) static DeviceEvent script_event(Script *s, EventSource source, EventAction action,
                                                        const char *name,
                                                        uint64_t seqnum) {
        unsigned partno = (unsigned) strtoul(name + 3, NULL, 10);
        const ScriptDevice *device = script_device(s, name);
        const Entry *entry = script_entry(s, name);
        DeviceEvent e = {
                .source = source,
                .action = action,
                .seqnum = seqnum,
                .partno = partno,
                .major = 8,
                .minor = (uint32_t) (name[2] - 'a') * 16 + partno,
                .diskseq = partno == 0 ? script_disk(s, name)->diskseq : 0,
                .object = action == EVENT_REMOVE ? 0 : device->object,
                .is_virtual = script_disk(s, name)->is_virtual,
        };

        (void) str_copy(e.name, sizeof(e.name), name);
        memcpy(e.disk, name, 3);

        if (source != EVENT_KERNEL && action != EVENT_REMOVE) {
                e.processed = true;
                e.settled = !script_disk(s, name)->unready;
                e.ignored = script_disk(s, name)->ignored;
                memcpy(e.values, device->values, sizeof(e.values));
                e.has_entry = partno > 0 && entry && !script_disk(s, e.disk)->is_unprobed;
                if (e.has_entry)
                        e.entry = *entry;
        }

        return e;
}

/* A device comes: another object of the kernel, and nothing is on it. Nobody is told. */
__attribute__((unused)) static void script_silent_add(Script *s, const char *name) {
        ScriptDevice *d = script_device(s, name);

        d->present = true;
        d->object = ++s->last_object;
        d->filter[0] = 0;
}

/* The kernel tells of one event; udev will, later. Returns its sequence number. */
__attribute__((unused)) static uint64_t script_kernel(Script *s, EventAction action, const char *name) {
        DeviceEvent e;

        if (action == EVENT_ADD && !name[3])
                script_disk(s, name)->diskseq = ++s->last_diskseq;
        if (action == EVENT_ADD)
                script_silent_add(s, name);
        if (action == EVENT_REMOVE)
                script_device(s, name)->present = false;

        e = script_event(s, EVENT_KERNEL, action, name, ++s->seqnum);
        CHECK(device_set_apply(&s->world.devices, &e) == 0);

        CHECK(s->n_udev < SCRIPT_QUEUE);
        s->udev[s->n_udev] = (ScriptEvent) { .action = action, .seqnum = e.seqnum, .diskseq = e.diskseq };
        (void) str_copy(s->udev[s->n_udev++].name, JOB_NODE_SIZE, name);
        return e.seqnum;
}

/* Udev tells the oldest event that it has not told. */
__attribute__((unused)) static void script_udev_next(Script *s) {
        DeviceEvent e;

        CHECK(s->n_udev > 0);
        e = script_event(s, EVENT_UDEV, s->udev[0].action, s->udev[0].name, s->udev[0].seqnum);
        e.diskseq = s->udev[0].diskseq;
        memmove(s->udev, s->udev + 1, --s->n_udev * sizeof(s->udev[0]));
        CHECK(device_set_apply(&s->world.devices, &e) == 0);
}

__attribute__((unused)) static void script_udev(Script *s) {
        while (s->n_udev > 0)
                script_udev_next(s);
}

/* Events of one kind for all partitions of a disk: those the kernel has, or those of the table. */
__attribute__((unused)) static void script_kernel_partitions(Script *s, EventAction action, const char *disk) {
        char name[8];

        for (unsigned partno = 1; partno <= SCRIPT_PARTITIONS; partno++) {
                (void) snprintf(name, sizeof(name), "%s%u", disk, partno);
                if (action == EVENT_REMOVE ? script_device(s, name)->present : script_entry(s, name) != NULL)
                        script_kernel(s, action, name);
        }
}

__attribute__((unused)) static void script_reread(Script *s, const char *disk) {
        script_kernel_partitions(s, EVENT_REMOVE, disk);
        script_kernel(s, EVENT_CHANGE, disk);
        script_kernel_partitions(s, EVENT_ADD, disk);
}

__attribute__((unused)) static void script_plug(Script *s, const char *disk) {
        script_kernel(s, EVENT_ADD, disk);
        script_kernel_partitions(s, EVENT_ADD, disk);
}

__attribute__((unused)) static void script_unplug(Script *s, const char *disk) {
        script_kernel_partitions(s, EVENT_REMOVE, disk);
        script_kernel(s, EVENT_REMOVE, disk);
}

/* Another medium, whose table and values are set already, is put into the same device: what is on that stays. */
__attribute__((unused)) static void script_medium(Script *s, const char *disk) {
        script_kernel_partitions(s, EVENT_REMOVE, disk);
        script_disk(s, disk)->diskseq = ++s->last_diskseq;
        script_kernel(s, EVENT_CHANGE, disk);
        script_kernel_partitions(s, EVENT_ADD, disk);
}

/* Looks at all that is there, as at the start and after lost events. */
__attribute__((unused)) static void script_look(Script *s) {
        device_set_look_begin(&s->world.devices, false);

        for (size_t i = 0; i < SCRIPT_DISKS; i++)
                for (unsigned partno = 0; partno <= SCRIPT_PARTITIONS; partno++) {
                        char name[8] = { 's', 'd', (char) ('a' + i) };
                        DeviceEvent e;

                        if (partno > 0)
                                name[3] = (char) ('0' + partno);
                        if (!script_device(s, name)->present)
                                continue;

                        e = script_event(s, EVENT_ENUMERATION, EVENT_ADD, name, 0);
                        CHECK(device_set_apply(&s->world.devices, &e) == 0);
                }

        device_set_look_end(&s->world.devices);
        world_touch_all(&s->world);
}

/* The disk is there since before the daemon: only a look will find it. */
__attribute__((unused)) static void script_had(Script *s, const char *disk) {
        ScriptDisk *d = script_disk(s, disk);
        char name[8];

        d->diskseq = ++s->last_diskseq;
        script_silent_add(s, disk);
        for (size_t i = 0; i < d->n_entries; i++) {
                (void) snprintf(name, sizeof(name), "%s%u", disk, d->entries[i].partno);
                script_silent_add(s, name);
        }
}
