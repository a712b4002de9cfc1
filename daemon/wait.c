/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What those are told that hold a device back until it has its filters: see wait-socket.c. */

#include <stdio.h>

#include "daemon/log.h"
#include "daemon/manager-internal.h"

/* Whether something was told that has not been decided about. */
static bool is_behind(const Manager *m) {
        return m->look || m->world.devices.n_changed > 0 || m->world.attachments.n_touched > 0;
}

/**
 * manager_get_wait_usec() - for how long a device may be held back
 * @m: the manager
 *
 * Return: WaitSec= in microseconds; 0: not at all.
 */
uint64_t manager_get_wait_usec(const Manager *m) {
        return m->wait_usec;
}

/**
 * manager_check_device() - whether a device may be let go
 * @m: the manager
 * @name: its kernel name
 * @seqnum: of the kernel event that is about it; if the device of that name came later, that one is gone
 * @ret: why not: the attachment, borrowed until the event loop goes on; NULL if it is something else. Written if it
 *       may not
 *
 * Return: DEVICE_DECIDED; DEVICE_PENDING; DEVICE_UNTOLD if manager_device() should be told what udev knows of it.
 */
DeviceWait manager_check_device(const Manager *m, const char *name, uint64_t seqnum, const Attachment **ret) {
        const World *w = &m->world;
        Device d;

        if (w->attachments.n_items == 0 && w->n_patterns == 0)
                return DEVICE_DECIDED;

        *ret = NULL;
        if (is_behind(m))
                return DEVICE_PENDING;

        d = device_set_get(&w->devices, name);
        if (!d.disk || (d.partition ? d.partition->born_seq : d.disk->born_seq) > seqnum)
                return DEVICE_DECIDED;

        if (!(d.partition ? d.partition->processed : d.disk->processed))
                return DEVICE_UNTOLD;

        return world_is_pending(w, d, ret) ? DEVICE_PENDING : DEVICE_DECIDED;
}

/**
 * manager_check_all() - whether all that was told has been seen to, and nothing is about to be attached
 * @m: the manager
 */
bool manager_check_all(const Manager *m) {
        return !is_behind(m) && manager_is_settled(m) && !world_has_pending(&m->world);
}

/**
 * manager_tell_not_waited() - log that a device was let go before it was decided what belongs on it
 * @name: its kernel name
 * @a: what should have been on it; NULL: that is not known
 * @waited_usec: for how long it was waited for: WaitSec=, or what the event's rule asked for
 */
void manager_tell_not_waited(const char *name, const Attachment *a, uint64_t waited_usec) {
        char message[1024], reason[ATTACHMENT_REASON_SIZE];

        if (a)
                (void) snprintf(message, sizeof(message), "/dev/%s is let go after %g s without filter %s, which"
                                " belongs on it: %s. What is written before it is on is not seen by it", name,
                                (double) waited_usec / 1000000, a->filter, attachment_get_reason(a, reason));
        else
                (void) snprintf(message, sizeof(message), "/dev/%s is let go after %g s, before it was known which"
                                " filter belongs on it; if one does, what is written before it is on is not seen by it",
                                name, (double) waited_usec / 1000000);

        if (a)
                log_attachment(LOG_WARNING, LOG_ID_NOT_WAITED, a, message);
        else
                log_event(LOG_WARNING, LOG_ID_NOT_WAITED, message);
}
