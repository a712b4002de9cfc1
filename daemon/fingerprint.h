/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fingerprint: what a device and its disk were when the filter was put on, or found there. It is kept by each
 * attachment and in its record, and says later whether that is the same device, and the same filter.
 */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/device.h"
#include "daemon/job.h"
#include "daemon/kept-entry.h"
#include "daemon/shared.h"

#define GENERATION_BYTES 16 /* GENERATION_SIZE, not as digits */
#define DISK_ID_SIZE 64

/* What is the same for all that is on a disk. Immutable, and shared by counting. */
struct DiskPrint {
        unsigned n_refs;
        uint64_t diskseq;             /* 0: the driver has none */
        const char *name;             /* its kernel name at that time; shared, as those that follow */
        const char *pt_uuid;          /* of its table; "" if it has none */
        const char *wwn, *serial;     /* by fingerprint_keep_id(); "" if it has none */
};

/* That of no disk: all is empty. */
extern const DiskPrint disk_print_none;

/* What was proven when the filter was attached. Thousands may be kept. */
typedef struct Fingerprint {
        const KeptEntry *entry;       /* of the partition table; kept_entry_none: a whole device. Shared, with the
                                       * registry if that says the same */
        const DiskPrint *disk;        /* shared, by all on the disk that say the same */
        uint64_t object;              /* inode of the device's folder in sysfs; 0: not known */
        uint8_t generation[GENERATION_BYTES]; /* of the filter; all 0: it tells none */
} Fingerprint;

#define FINGERPRINT_INIT ((Fingerprint) { .entry = &kept_entry_none, .disk = &disk_print_none })

void disk_print_unref(const DiskPrint *p);

void fingerprint_deinit(Fingerprint *f);
void fingerprint_set(Fingerprint *f, const Fingerprint *other);
int fingerprint_set_disk(Fingerprint *f, const DiskPrint *p);
void fingerprint_share(Fingerprint *f, const Fingerprint *other);
void fingerprint_keep_id(char ret[static DISK_ID_SIZE], const char *value);

bool fingerprint_has_generation(const Fingerprint *f);
bool fingerprint_set_generation(Fingerprint *f, const char *digits);
void fingerprint_get_generation(const Fingerprint *f, char ret[static GENERATION_SIZE]);

bool fingerprint_prove(Fingerprint *f, const JobRequest *request, const JobReply *reply, const Disk *d);
void fingerprint_find(Fingerprint *f, const JobRequest *request, Device d);
void fingerprint_share_known(Fingerprint *f, Device d);
