/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What OnChange=refuse looks at. */

#include <stdlib.h>

#include "daemon/plan-internal.h"
#include "daemon/reason.h"
#include "daemon/text.h"

static char *reason_number(const Attachment *a, const char *what, uint64_t before, uint64_t now) {
        char *b = NULL, *n = NULL, *reason = NULL;
        Text tb = TEXT_INIT, tn = TEXT_INIT;

        text_add_u64(&tb, before);
        text_add_u64(&tn, now);
        if (text_steal(&tb, &b) == 0 && text_steal(&tn, &n) == 0)
                reason = reason_changed(a, what, b, n);

        text_deinit(&tn);
        free(b);
        free(n);
        return reason;
}

/**
 * plan_find_change() - whether a device is not quite what it was when the filter was attached last
 * @a: the attachment
 * @h: a device with its identity
 * @ret_reason: what changed, in words; owned by the caller, NULL if there is no memory. Left alone if nothing did
 */
bool plan_find_change(const Attachment *a, const Holder *h, char **ret_reason) {
        const Fingerprint *f = &a->fingerprint;
        const KeptEntry *e = f->entry;
        char wwn[DISK_ID_SIZE], serial[DISK_ID_SIZE];
        const struct {
                const char *what, *before, *now;
        } texts[] = {
                { "PTUUID", f->disk->pt_uuid, h->disk->pt_uuid },
                { "PartUUID", e->uuid, h->entry ? h->entry->uuid : "" },
                { "PartLabel", e->label, h->entry ? h->entry->label : "" },
                { "PartType", e->type, h->entry ? h->entry->type : "" },
                { "DiskWWN", f->disk->wwn, wwn },
                { "DiskSerial", f->disk->serial, serial },
        };

        if (!a->has_fingerprint)
                return false;

        fingerprint_keep_id(wwn, h->disk->values[MATCH_DISK_WWN]);
        fingerprint_keep_id(serial, h->disk->values[MATCH_DISK_SERIAL]);

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (texts[i].before[0] && !str_equal(texts[i].before, texts[i].now)) {
                        *ret_reason = reason_changed(a, texts[i].what, texts[i].before, texts[i].now);
                        return true;
                }

        if (h->entry && e->start_sectors && e->start_sectors != h->entry->start_sectors) {
                *ret_reason = reason_number(a, "first sector", e->start_sectors, h->entry->start_sectors);
                return true;
        }

        if (h->entry && e->size_sectors && e->size_sectors != h->entry->size_sectors) {
                *ret_reason = reason_number(a, "size in sectors", e->size_sectors, h->entry->size_sectors);
                return true;
        }

        return false;
}

/**
 * plan_learn_disk() - what udev had not said of a disk when the filter was put on
 * @a: an attachment that is on a device
 * @d: its disk
 */
void plan_learn_disk(Attachment *a, Disk *d) {
        Fingerprint *f = &a->fingerprint;
        DiskPrint learnt = *f->disk;
        char wwn[DISK_ID_SIZE], serial[DISK_ID_SIZE];

        if (!a->has_fingerprint || !d->known)
                return;

        fingerprint_keep_id(wwn, d->values[MATCH_DISK_WWN]);
        fingerprint_keep_id(serial, d->values[MATCH_DISK_SERIAL]);
        if (!learnt.wwn[0])
                learnt.wwn = wwn;
        if (!learnt.serial[0])
                learnt.serial = serial;
        if ((str_equal(learnt.wwn, f->disk->wwn) && str_equal(learnt.serial, f->disk->serial)) ||
            fingerprint_set_disk(f, &learnt) < 0)
                return;

        fingerprint_share_known(f, (Device) { d, NULL });
        attachment_changed(a, ATTACHMENT_CHANGED_RECORD | ATTACHMENT_CHANGED_PRINT);
}
