/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/settled.h"

struct Settled {
        const Manager *manager;  /* borrowed */
        char *file;
        sd_event_source *signal;
        sd_event_source *post;   /* after all else that was at hand */
        bool asked;
};

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Settled *o = userdata;

        (void) s;
        (void) si;

        o->asked = true;
        return 0;
}

static int on_post(sd_event_source *s, void *userdata) {
        Settled *o = userdata;
        int fd;

        (void) s;

        if (!o->asked || !manager_is_settled(o->manager))
                return 0;

        o->asked = false;
        fd = open(o->file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        if (fd < 0 || write(fd, "1\n", 2) < 0)
                log_line(LOG_WARNING, "%s cannot be written: %s; who waits for it waits in vain", o->file,
                         strerror(errno));
        if (fd >= 0)
                close(fd);

        return 0;
}

/**
 * settled_new() - answer SIGUSR1
 * @event: the loop; the signal is blocked already
 * @m: the manager; borrowed, started before the loop runs
 * @file: full path of the answer: "1" is written to it as soon as manager_is_settled(), be that at once. Who asks
 *        empties it before. Copied
 * @ret: owned by the caller
 *
 * An event of a device that was told before the signal was sent is taken in, and decided about, before the answer.
 *
 * Return: 0, -ENOMEM, or a negative errno of sd-event.
 */
int settled_new(sd_event *event, const Manager *m, const char *file, Settled **ret) {
        Settled *o;
        int r;

        o = calloc(1, sizeof(*o));
        if (!o)
                return -ENOMEM;

        o->manager = m;
        o->file = strdup(file);
        r = o->file ? 0 : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_signal(event, &o->signal, SIGUSR1, on_signal, o);
        /* behind the events of devices, and the run of the manager that follows them */
        if (r >= 0)
                r = sd_event_source_set_priority(o->signal, SD_EVENT_PRIORITY_NORMAL + 10);
        if (r >= 0)
                r = sd_event_add_post(event, &o->post, on_post, o);
        if (r >= 0)
                r = sd_event_source_set_priority(o->post, SD_EVENT_PRIORITY_NORMAL + 20);
        if (r < 0) {
                settled_free(o);
                return r;
        }

        *ret = o;
        return 0;
}

/**
 * settled_free() - answer no more
 * @s: or NULL; consumed
 *
 * Return: NULL.
 */
Settled *settled_free(Settled *s) {
        if (!s)
                return NULL;

        sd_event_source_disable_unref(s->signal);
        sd_event_source_disable_unref(s->post);
        free(s->file);
        free(s);
        return NULL;
}
