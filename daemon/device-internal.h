/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the registry share: device.c and device-*.c. Nobody else includes it. */

#include "daemon/device.h"

/* device.c */
Disk *device_set_add_disk(DeviceSet *s, const DeviceEvent *e);
void device_set_remove_disk(DeviceSet *s, Disk *d);
Partition *disk_add_partition(DeviceSet *s, Disk *d, const DeviceEvent *e);
void disk_drop_partition(DeviceSet *s, Disk *d, size_t i);
void disk_make_dirty(DeviceSet *s, Disk *d);

/* device-table.c */
void disk_free_entries(Disk *d);
int disk_put_entry(DeviceSet *s, Disk *d, const Entry *e);

/* device-link.c */
int partition_pick_links(const Partition *p, const char *links, char **ret);

/* device-fs.c */
void disk_keep_fs(Disk *d, Partition *p);
void disk_take_fs(Disk *d, Partition *p);
void disk_forget_fs(Disk *d, unsigned partno);

/* device-claim.c */
void disk_drop_claims(DeviceSet *s, Disk *d);
