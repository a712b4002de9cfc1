/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the plan share: plan*.c. Nobody else includes it. */

#include "daemon/plan.h"

/* What has to be known of a new disk before somebody is attached for the first time: it may be a clone. */
typedef enum Await {
        AWAIT_ITSELF, /* what udev says of the whole device, whatever its partitions are */
        AWAIT_TABLE,  /* what its table says */
        AWAIT_ALL,    /* what udev says of it and its partitions */
        _AWAIT_MAX,
} Await;

/* A plan while it is made. */
typedef struct Run {
        World *world;
        const Now *now;
        Plan *plan;
        Disk **disks;        /* to be looked at; n_disks elements, room for more */
        size_t n_disks, room;
        const Disk *awaited[_AWAIT_MAX]; /* see plan_find_unclear(); of value if known */
        bool awaited_is_known[_AWAIT_MAX];
        bool overdue_is_read; /* plan_read_overdue() has done what there is to do */
        bool early_is_added;  /* and so plan_add_early() */
        bool asks_of_disks;   /* see plan_asks_of_disks(); of value if asks_are_known */
        bool asks_are_known;
        uint64_t first_by_fs; /* see plan_may_come_second(); of value if first_by_fs_is_known */
        bool first_by_fs_is_known;
} Run;

/* plan.c */
int run_add(Run *run, const JobRequest *request, Disk *d);
int run_add_disk(Run *run, Disk *d);

/* plan-attachment.c */
int plan_attachment(Run *run, Attachment *a);
bool plan_is_on(const World *w, Device d, const char *filter);

/* plan-clone.c */
void plan_touch_waiting(Run *run);
const Disk *plan_find_unclear(Run *run, const Attachment *a, bool was_there);
int plan_read_overdue(Run *run, const Attachment *a);
int plan_scan(Run *run, Disk *d);
bool plan_asks_of_disks(Run *run);
bool plan_may_come_second(Run *run, const Attachment *a, const Holder *h);
int plan_add_early(Run *run, const Attachment *a);
int plan_read_early(Run *run, Disk *d);
void plan_take_delayed_early(Run *run);

/* plan-change.c */
bool plan_find_change(const Attachment *a, const Holder *h, char **ret_reason);
void plan_learn_disk(Attachment *a, Disk *d);

/* plan-stale.c */
int plan_stale(Run *run, Disk *d);
void plan_take_delayed_stale(Run *run);
