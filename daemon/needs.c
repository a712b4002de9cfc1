/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which filters are needed, and whether the kernel has them, as far as has been seen. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/needs.h"
#include "daemon/text.h"

/* What attachments say of one filter. */
typedef struct Seen {
        const char *filter, *module; /* borrowed; module "" none */
        size_t n_on, n_missing;
} Seen;

static const char *const words[_NEED_MAX] = {
        [NEED_UNKNOWN] = "unknown",
        [NEED_YES] = "yes",
        [NEED_NO] = "no",
};

/**
 * need_registered_to_string() - whether a filter is registered, as the bus names it
 * @r: a valid value
 *
 * Return: a static string.
 */
const char *need_registered_to_string(NeedRegistered r) {
        return words[r];
}

static Seen *find(Seen **list, size_t *n, const char *filter) {
        Seen *more;

        for (size_t i = 0; i < *n; i++)
                if (str_equal((*list)[i].filter, filter))
                        return &(*list)[i];

        more = realloc(*list, (*n + 1) * sizeof(*more));
        if (!more)
                return NULL;

        *list = more;
        more[*n] = (Seen) { .filter = filter, .module = "" };
        return &more[(*n)++];
}

static int look(const World *w, Seen **list, size_t *n) {
        for (size_t i = 0; i < w->attachments.n_items; i++) {
                const Attachment *a = w->attachments.items[i];
                Seen *s;

                if ((a->held || a->orphaned) && !a->on_device)
                        continue;

                s = find(list, n, a->filter);
                if (!s)
                        return -ENOMEM;

                s->n_on += a->on_device;
                if (a->state == ATTACHMENT_FAILED && a->last_outcome == JOB_NOT_REGISTERED)
                        s->n_missing++;
                if (a->settings->module[0])
                        s->module = a->settings->module;
        }

        /* one whose devices have not come yet has no attachment */
        for (size_t i = 0; i < w->n_patterns; i++)
                if (!find(list, n, w->patterns[i].policy->filter))
                        return -ENOMEM;

        return 0;
}

static int fill(const World *w, const Seen *s, Need *ret) {
        Text t = TEXT_INIT;

        (void) str_copy(ret->filter, sizeof(ret->filter), s->filter);
        ret->registered = s->n_on > 0 ? NEED_YES : s->n_missing > 0 ? NEED_NO : NEED_UNKNOWN;

        if (ret->registered == NEED_YES) {
                text_add(&t, "on ");
                text_add_u64(&t, s->n_on);
                text_add(&t, s->n_on == 1 ? " device" : " devices");
        } else if (ret->registered == NEED_NO && s->module[0]) {
                text_add(&t, "the kernel has none of that name though its module was asked for; see journalctl -u"
                             " modprobe@");
                text_add(&t, s->module);
                text_add(&t, ".service");
        } else if (ret->registered == NEED_NO) {
                text_add(&t, "the kernel has none of that name; load its module (modprobe ");
                text_add(&t, s->filter);
                text_add(&t, "), it is attached then");
        } else if (kernel_interface_has_filters(w->interface))
                text_add(&t, "not known before it has been attached to a device");
        else
                text_add(&t, "not known while the kernel has no interface for filters");

        return text_steal(&t, &ret->reason);
}

/**
 * world_list_needs() - the filters that are wanted on devices, or are on some
 * @w: the world
 * @ret: released by needs_free(); sorted by name. NULL if there is none
 * @ret_n: elements
 *
 * Nothing is asked for it: a filter that is on is registered, one that the kernel did not know when it was tried last
 * is not.
 *
 * Return: 0, or -ENOMEM.
 */
int world_list_needs(const World *w, Need **ret, size_t *ret_n) {
        Seen *list = NULL;
        Need *needs = NULL;
        size_t n = 0;
        int r;

        r = look(w, &list, &n);
        if (r >= 0 && n > 0) {
                needs = calloc(n, sizeof(*needs));
                r = needs ? 0 : -ENOMEM;
        }

        for (size_t i = 0; r >= 0 && i < n; i++) {
                size_t place = 0;

                for (size_t k = 0; k < n; k++)
                        place += strcmp(list[k].filter, list[i].filter) < 0;
                r = fill(w, &list[i], &needs[place]);
        }

        free(list);
        if (r < 0) {
                needs_free(needs, needs ? n : 0);
                return r;
        }

        *ret = needs;
        *ret_n = n;
        return 0;
}

/**
 * needs_free() - release a list
 * @needs: from world_list_needs(), or NULL
 * @n: elements
 */
void needs_free(Need *needs, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(needs[i].reason);
        free(needs);
}
