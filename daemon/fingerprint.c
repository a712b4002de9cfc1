/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fingerprint.h"
#include "daemon/text.h"

const DiskPrint disk_print_none = { .name = shared_empty, .pt_uuid = shared_empty, .wwn = shared_empty,
                                    .serial = shared_empty };

static const DiskPrint *disk_print_ref(const DiskPrint *p) {
        if (p != &disk_print_none)
                ((DiskPrint *) p)->n_refs++;

        return p;
}

/**
 * disk_print_unref() - give up a share of what fingerprints say of a disk
 * @p: the disk's part, or NULL; consumed
 */
void disk_print_unref(const DiskPrint *p) {
        if (!p || p == &disk_print_none || --((DiskPrint *) p)->n_refs > 0)
                return;

        shared_unref(p->name);
        shared_unref(p->pt_uuid);
        shared_unref(p->wwn);
        shared_unref(p->serial);
        free((DiskPrint *) p);
}

static bool disk_print_equal(const DiskPrint *a, const DiskPrint *b) {
        return a == b ||
                (a->diskseq == b->diskseq && str_equal(a->name, b->name) && str_equal(a->pt_uuid, b->pt_uuid) &&
                 str_equal(a->wwn, b->wwn) && str_equal(a->serial, b->serial));
}

/* Keeps one in the place of another one, or of none yet. */
static void disk_print_set(const DiskPrint **where, const DiskPrint *p) {
        const DiskPrint *old = *where;

        *where = disk_print_ref(p);
        disk_print_unref(old);
}

/**
 * fingerprint_deinit() - release what a fingerprint shares
 * @f: FINGERPRINT_INIT afterwards
 */
void fingerprint_deinit(Fingerprint *f) {
        kept_entry_unref(f->entry);
        disk_print_unref(f->disk);
        *f = FINGERPRINT_INIT;
}

/**
 * fingerprint_set() - make a fingerprint what another one is
 * @f: FINGERPRINT_INIT, or what it was before
 * @other: shared
 */
void fingerprint_set(Fingerprint *f, const Fingerprint *other) {
        Fingerprint old = *f;

        *f = *other;
        kept_entry_ref(f->entry);
        disk_print_ref(f->disk);
        fingerprint_deinit(&old);
}

/**
 * fingerprint_set_disk() - what a fingerprint says of the disk
 * @f: the fingerprint
 * @p: that; copied. Its strings are any, NULL for "", and its n_refs does not count
 *
 * Return: 0, or -ENOMEM: @f says what it said.
 */
int fingerprint_set_disk(Fingerprint *f, const DiskPrint *p) {
        DiskPrint *copy = malloc(sizeof(*copy));

        if (!copy)
                return -ENOMEM;

        *copy = (DiskPrint) {
                .n_refs = 1,
                .diskseq = p->diskseq,
                .name = shared_new(p->name ?: ""),
                .pt_uuid = shared_new(p->pt_uuid ?: ""),
                .wwn = shared_new(p->wwn ?: ""),
                .serial = shared_new(p->serial ?: ""),
        };
        if (!copy->name || !copy->pt_uuid || !copy->wwn || !copy->serial) {
                disk_print_unref(copy);
                return -ENOMEM;
        }

        disk_print_unref(f->disk);
        f->disk = copy;
        return 0;
}

/**
 * fingerprint_share() - keep once what two fingerprints say of the disk, if it is the same
 * @f: the one; says the same afterwards
 * @other: the other, of something on the same disk as a rule
 */
void fingerprint_share(Fingerprint *f, const Fingerprint *other) {
        if (disk_print_equal(f->disk, other->disk))
                disk_print_set(&f->disk, other->disk);
}

/**
 * fingerprint_keep_id() - what is kept of a disk's WWN or serial number
 * @ret: the value, or of one that is too long the first part of it and a hash of all: enough to see that it is another
 *       one
 * @value: or NULL
 */
void fingerprint_keep_id(char ret[static DISK_ID_SIZE], const char *value) {
        if (str_copy(ret, DISK_ID_SIZE, value ? value : ""))
                return;

        memcpy(ret, value, DISK_ID_SIZE - 18);
        ret[DISK_ID_SIZE - 18] = '#';
        *hex_put(ret + DISK_ID_SIZE - 17, index_hash(0, value), 16) = 0;
}

/**
 * fingerprint_set_generation() - keep of which generation the filter is
 * @f: the fingerprint
 * @digits: as a worker tells it: 32 hexadecimal digits, in lower case; "" if the filter tells none
 *
 * Return: false if it is neither: the fingerprint has none then.
 */
bool fingerprint_set_generation(Fingerprint *f, const char *digits) {
        static const char table[] = "0123456789abcdef";
        uint8_t generation[GENERATION_BYTES] = { 0 };
        size_t n = strlen(digits);

        memset(f->generation, 0, sizeof(f->generation));
        if (n != 0 && n != 2 * sizeof(generation))
                return false;

        for (size_t i = 0; i < n; i++) {
                const char *digit = strchr(table, digits[i]);

                if (!digit)
                        return false;
                generation[i / 2] = (uint8_t) (generation[i / 2] << 4 | (digit - table));
        }

        memcpy(f->generation, generation, sizeof(generation));
        return true;
}

/**
 * fingerprint_get_generation() - of which generation the filter is, as a text
 * @f: the fingerprint
 * @ret: 32 hexadecimal digits in lower case; "" if it tells none
 */
void fingerprint_get_generation(const Fingerprint *f, char ret[static GENERATION_SIZE]) {
        char *end = ret;

        for (size_t i = 0; i < sizeof(f->generation) && fingerprint_has_generation(f); i++)
                end = hex_put(end, f->generation[i], 2);

        *end = 0;
}

/**
 * fingerprint_has_generation() - whether the filter tells a generation
 * @f: the fingerprint
 */
bool fingerprint_has_generation(const Fingerprint *f) {
        static const uint8_t none[GENERATION_BYTES];

        return memcmp(f->generation, none, sizeof(none)) != 0;
}

/* What a job and udev say of its disk, and the object that it was about. Without memory nothing is said of the disk. */
static void fill_disk(Fingerprint *f, const JobRequest *request, const Disk *d, const char *pt_uuid) {
        char wwn[DISK_ID_SIZE], serial[DISK_ID_SIZE];

        fingerprint_keep_id(wwn, d->values[MATCH_DISK_WWN]);
        fingerprint_keep_id(serial, d->values[MATCH_DISK_SERIAL]);
        (void) fingerprint_set_disk(f, &(DiskPrint) { .diskseq = request->disk.diskseq, .name = request->disk.name,
                                                      .pt_uuid = pt_uuid, .wwn = wwn, .serial = serial });
        f->object = request->partno ? request->partition.object : request->disk.object;
}

/**
 * fingerprint_share_known() - keep once what a fingerprint says as the registry does, or as others do of the disk
 * @f: the fingerprint; says the same afterwards
 * @d: the device that it is of, which is there
 */
void fingerprint_share_known(Fingerprint *f, Device d) {
        const KeptEntry *known = device_entry(d);
        Entry e;

        if (d.disk->print && disk_print_equal(d.disk->print, f->disk))
                disk_print_set(&f->disk, d.disk->print);
        else
                disk_print_set(&d.disk->print, f->disk);

        kept_entry_get(f->entry, &e);
        if (known && kept_entry_equal(known, &e)) {
                kept_entry_unref(f->entry);
                f->entry = kept_entry_ref(known);
        }
}

/**
 * fingerprint_prove() - what a job has proven of a device
 * @f: FINGERPRINT_INIT; to be released in any case
 * @request: the job, which has put the filter on, or found it there
 * @reply: its reply
 * @d: the disk
 *
 * Return: false if the reply does not show the entry that was to be proven.
 */
bool fingerprint_prove(Fingerprint *f, const JobRequest *request, const JobReply *reply, const Disk *d) {
        Facts facts = { 0 };
        MatchKey key;

        fill_disk(f, request, d, reply->pt_uuid);
        (void) fingerprint_set_generation(f, reply->generation);

        if (!request->partno)
                return true;

        for (uint32_t i = 0; i < reply->n_entries; i++)
                if (reply->entries[i].partno == request->partno) {
                        Expect of_entry = request->expect;

                        (void) kept_entry_new(&reply->entries[i], NULL, &f->entry);
                        facts_set_entry(&facts, &reply->entries[i]);

                        /* the rest only the worker has seen */
                        of_entry.keys &= 1U << MATCH_PART_UUID | 1U << MATCH_PART_LABEL | 1U << MATCH_PART_TYPE |
                                1U << MATCH_PART_NUMBER;
                        return expect_facts(&of_entry, &facts, &key);
                }

        return false;
}

/**
 * fingerprint_find() - what is known of a device on which a filter was found
 * @f: FINGERPRINT_INIT
 * @request: the job that found it
 * @d: the device, which is there
 */
void fingerprint_find(Fingerprint *f, const JobRequest *request, Device d) {
        const KeptEntry *e = device_entry(d);

        fill_disk(f, request, d.disk, d.disk->pt_uuid);
        if (e)
                f->entry = kept_entry_ref(e);
        else if (request->partno)
                (void) kept_entry_new(&(Entry) { .partno = request->partno }, NULL, &f->entry);
}
