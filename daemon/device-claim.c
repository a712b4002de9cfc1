/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Claims: who has a value that identifies, for all that is known. An index, so that the cost of looking
 * one identity up does not grow with the number of devices, nor that of an event with the number of
 * attachments.
 */

#include <errno.h>
#include <stdlib.h>

#include "daemon/device-internal.h"

/**
 * claim_hash() - under which hash a value stands in an index of claims
 * @key: a key that identifies
 * @value: normalized
 */
uint64_t claim_hash(MatchKey key, const char *value) {
        return index_key(key, value);
}

/**
 * disk_drop_claims() - take all claims of a disk back
 * @s: the set
 * @d: a disk of it
 */
void disk_drop_claims(DeviceSet *s, Disk *d) {
        for (size_t i = 0; i < d->n_claims; i++)
                index_remove(&s->claims, d->claims[i].hash, d, d->claims[i].partno);

        d->n_claims = 0;
}

/* Notes the values that a device has for some keys; *room: elements that d->claims has room for. */
static int claim(DeviceSet *s, Disk *d, unsigned partno, const Facts *f, const MatchKey *keys, size_t n_keys,
                 size_t *room) {
        for (size_t i = 0; i < n_keys; i++) {
                const char *value = f->values[keys[i]];
                uint64_t hash;

                if (!value || !value[0] || !(s->counted & 1U << keys[i]))
                        continue;

                if (d->n_claims == *room) {
                        size_t n = *room ? *room * 2 : 8;
                        Claim *claims = realloc(d->claims, n * sizeof(*claims));

                        if (!claims)
                                return -ENOMEM;

                        d->claims = claims;
                        *room = n;
                }

                hash = claim_hash(keys[i], value);
                if (index_add(&s->claims, hash, d, partno) < 0)
                        return -ENOMEM;

                d->claims[d->n_claims++] = (Claim) { .hash = (uint32_t) hash, .partno = partno };
        }

        return 0;
}

/**
 * device_set_reclaim() - bring the index in line with what is known of a disk
 * @s: the set
 * @d: a disk of it; its claims are made again
 *
 * A partition stands under its own values, those of the entry, the file system and the name; the disk
 * under its own and under those that its partitions share with it. Only the keys count that device_set_count() was
 * told of.
 *
 * Return: 0, or -ENOMEM: some claims are missing; reclaim stays set.
 */
int device_set_reclaim(DeviceSet *s, Disk *d) {
        static const MatchKey of_disk[] = { MATCH_FS_UUID, MATCH_FS_LABEL, MATCH_PT_UUID, MATCH_DISK_WWN,
                                            MATCH_DISK_SERIAL, MATCH_DM_NAME, MATCH_DM_UUID, MATCH_KERNEL_NAME };
        static const MatchKey of_entry[] = { MATCH_PART_UUID, MATCH_PART_LABEL, MATCH_FS_UUID, MATCH_FS_LABEL,
                                             MATCH_KERNEL_NAME };
        Claim *claims;
        size_t room;
        Facts f;
        int r;

        disk_drop_claims(s, d);
        free(d->claims);
        d->claims = NULL;
        d->reclaim = true;
        room = 0;

        device_facts((Device) { d, NULL }, &f);
        r = claim(s, d, 0, &f, of_disk, sizeof(of_disk) / sizeof(of_disk[0]), &room);
        if (r < 0)
                return r;

        for (size_t i = 0; i < d->n_entries; i++) {
                disk_entry_facts(d, d->entries[i], &f);
                r = claim(s, d, d->entries[i]->partno, &f, of_entry, sizeof(of_entry) / sizeof(of_entry[0]), &room);
                if (r < 0)
                        return r;
        }

        /* it has grown by doubling */
        claims = d->n_claims > 0 ? realloc(d->claims, d->n_claims * sizeof(*claims)) : NULL;
        d->claims = claims ?: d->claims;
        d->reclaim = false;
        return 0;
}
