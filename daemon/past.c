/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What was before the boot: the records that blkfilter-keep has put on a disk, which may be mounted after the start. */

#include <string.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"
#include "daemon/state.h"

/*
 * Between two attempts; once the boot should be over the pause doubles, up to that. That a disk was mounted is told by
 * no event, and until it is a policy with OnChange=refuse waits.
 */
#define PAUSE_USEC     UINT64_C(1000000)
#define PAUSE_MAX_USEC UINT64_C(600000000)
#define BOOT_USEC      UINT64_C(120000000) /* monotonic, which begins with the boot */

typedef struct LastBoot {
        Manager *manager;
        uint64_t boot_usec;
        bool late;
} LastBoot;

/*
 * What a policy kept on before the boot: it begins afresh, and until when it was intact is told. If what is wanted
 * was known before this could be read, as in an initramfs, it has begun already, and what nobody wants is not needed.
 * But which devices a pattern is about is not known before they come.
 */
static void on_last_boot(Attachment *a, void *userdata) {
        const LastBoot *l = userdata;
        const Now boot = { .realtime_usec = l->boot_usec }, now = manager_now(l->manager);
        Attachment *b = attachment_set_get(&l->manager->world.attachments, a->id);

        if (b && b->past_due && a->source == ATTACHMENT_SOURCE_POLICY)
                attachment_take_past(b, a, l->boot_usec, &now);

        if (a->source != ATTACHMENT_SOURCE_POLICY || b || (l->late && !a->is_instance) ||
            world_add_attachment(&l->manager->world, a) < 0) {
                attachment_free(a);
                return;
        }

        attachment_lost_unseen(a, "reboot", &boot);
}

static int load(Manager *m, bool late) {
        LastBoot last_boot = { .manager = m, .late = late };
        AttachmentSet *s = &m->world.attachments;
        Now now;
        int r;

        r = m->ops.load_last_boot(&last_boot.boot_usec, on_last_boot, &last_boot, m->ops.outside);
        if (r < 0)
                log_line(LOG_WARNING, "the records of the last boot cannot be read, going on without: %s",
                         strerror(-r));

        now = manager_now(m);
        for (size_t i = 0; r == 0 && i < s->n_items; i++)
                if (s->items[i]->past_due)
                        attachment_take_past(s->items[i], NULL, last_boot.boot_usec, &now);

        return r;
}

/**
 * past_load() - at the start: take in what was before the boot
 * @m: the manager; records are loaded, policies are not
 *
 * If the disk with it is not mounted yet what is wanted begins as due, and past_check() goes on.
 */
void past_load(Manager *m) {
        m->world.past_is_due = load(m, false) == STATE_E_NOT_THERE;
        if (!m->world.past_is_due)
                return;

        m->past_pause_usec = PAUSE_USEC;
        m->past_again_at_usec = manager_now(m).monotonic_usec + m->past_pause_usec;
}

/**
 * past_check() - take in what was before the boot, if it is due and can be read by now
 * @m: the manager
 * @now: the time
 */
void past_check(Manager *m, const Now *now) {
        if (!m->past_again_at_usec || now->monotonic_usec < m->past_again_at_usec)
                return;

        if (load(m, true) == STATE_E_NOT_THERE) {
                if (now->monotonic_usec >= BOOT_USEC && m->past_pause_usec < PAUSE_MAX_USEC)
                        m->past_pause_usec *= 2;
                m->past_again_at_usec = now->monotonic_usec + m->past_pause_usec;
                return;
        }

        /* which patterns what was taken in belongs to; what belongs to none goes */
        if (world_set_policies(&m->world, m->policies) < 0)
                log_line(LOG_ERR, "there is no memory to bring the records of the last boot in line with the policies;"
                                  " do it by: blkfilterctl reload");

        m->past_again_at_usec = 0;
        m->world.past_is_due = false;
        for (size_t i = 0; i < m->world.attachments.n_items; i++)
                m->world.attachments.items[i]->past_due = false;
        world_touch_all(&m->world);
}
