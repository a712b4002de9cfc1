/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whether a device may be let go to the rest of the system: what waits for that is a mount, as a rule, and nobody is to
 * write before the filters are on that belong there. "Pending" is what will be done, or known, by itself and soon.
 */

#include "daemon/plan.h"
#include "daemon/text.h"

/* Whether a worker is about to say what is on a device; that udev has still to tell is seen before. */
static bool awaits_worker(Device d) {
        if (!d.disk->dirty || d.disk->scan_error[0] || d.disk->stuck)
                return false;

        /* what udev says of the entry differs from what is known, or it says nothing */
        return d.disk->overtaken || (d.partition && !device_entry(d) && d.disk->job);
}

static bool attachment_is_pending(const Attachment *a) {
        return a->job ? !a->job_is_stuck && !a->on_device : a->pending;
}

/**
 * world_is_pending() - whether something may yet be done for a device, by itself and soon
 * @w: the world; the plan has run since anything was told
 * @d: a device that is there
 * @ret_attachment: that it may be done for, borrowed until the next event; NULL if that is not known yet. Written if so
 *
 * Decided are: a filter that is on; an attachment that another one comes before, that an administrator holds, or that
 * waits for him; a device that nobody wants, may touch, or that does not answer.
 */
bool world_is_pending(const World *w, Device d, const Attachment **ret_attachment) {
        bool processed = d.partition ? d.partition->processed : d.disk->processed;
        const Attachment *a;
        Claimants c;
        Facts f;

        if (w->attachments.n_items == 0 && w->n_patterns == 0)
                return false;

        *ret_attachment = NULL;
        if (!w->devices.looked || !processed)
                return true;

        if (device_ignored(d))
                return false;

        if (awaits_worker(d))
                return true;

        device_facts(d, &f);
        claimants_init(&c, w, &f);
        while ((a = claimants_next(&c)))
                if (attachment_is_pending(a) && match_facts(a->match, &f)) {
                        *ret_attachment = a;
                        return true;
                }

        return false;
}

/**
 * world_has_pending() - whether something may yet be done for any device that is there, by itself and soon
 * @w: the world; the plan has run since anything was told
 *
 * An attempt that failed, and is made again, does not count: it may be for ever.
 */
bool world_has_pending(const World *w) {
        for (size_t i = 0; i < w->attachments.n_items; i++)
                if (attachment_is_pending(w->attachments.items[i]) &&
                    w->attachments.items[i]->state != ATTACHMENT_FAILED)
                        return true;

        return false;
}
