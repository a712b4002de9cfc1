/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What was on partitions that are gone. A re-read removes a partition before it adds it again, and what is on
 * it udev says only after that. Until then what was there before is the best that is known: who forgot it would
 * take a clone for the only one that has it, or a member of an array for a partition like any other.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/device-internal.h"
#include "daemon/shared.h"

/**
 * disk_keep_fs() - before a partition is released: keep what udev has found on it
 * @d: its disk. Without memory for it, it is forgotten
 * @p: the partition, which has none of it afterwards
 */
void disk_keep_fs(Disk *d, Partition *p) {
        OldFs *old;

        disk_forget_fs(d, p->partno);
        if (!p->fs[0] && !p->fs[1] && !p->fs[2] && !p->ignored)
                return;

        old = realloc(d->old_fs, (d->n_old_fs + 1) * sizeof(*old));
        if (!old)
                return;

        d->old_fs = old;
        old = &d->old_fs[d->n_old_fs++];
        old->partno = p->partno;
        old->ignored = p->ignored;
        memcpy(old->fs, p->fs, sizeof(old->fs));
        memset(p->fs, 0, sizeof(p->fs));
}

/**
 * disk_take_fs() - a partition comes: what was on it last is on it for all that is known
 * @d: its disk, which has kept it, if there is anything
 * @p: the partition; its values are written if so
 */
void disk_take_fs(Disk *d, Partition *p) {
        for (size_t i = 0; i < d->n_old_fs; i++)
                if (d->old_fs[i].partno == p->partno) {
                        memcpy(p->fs, d->old_fs[i].fs, sizeof(p->fs));
                        p->ignored = d->old_fs[i].ignored;
                        d->old_fs[i] = d->old_fs[--d->n_old_fs];
                        return;
                }
}

/**
 * disk_forget_fs() - what was on a partition that is gone is not on it any more, or is not to be known
 * @d: its disk
 * @partno: from 1
 */
void disk_forget_fs(Disk *d, unsigned partno) {
        for (size_t i = 0; i < d->n_old_fs; i++)
                if (d->old_fs[i].partno == partno) {
                        d->reclaim |= d->old_fs[i].fs[0] || d->old_fs[i].fs[1];
                        for (size_t k = 0; k < 3; k++)
                                shared_unref(d->old_fs[i].fs[k]);
                        d->old_fs[i] = d->old_fs[--d->n_old_fs];
                        return;
                }
}
