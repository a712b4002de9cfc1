/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "daemon/reason.h"
#include "daemon/text.h"

static char *finish(Text *t) {
        char *s;

        return text_steal(t, &s) < 0 ? NULL : s;
}

static void add_holder(Text *t, const Holder *h) {
        if (h->partition || !h->entry) {
                text_add(t, "/dev/");
                text_add(t, device_name(holder_device(h)));
                return;
        }

        text_add(t, "entry ");
        text_add_u64(t, h->entry->partno);
        text_add(t, " of /dev/");
        text_add(t, h->disk->name);
}

static void add_holders(Text *t, const Holders *holders) {
        size_t n = holders->n_items < HOLDERS_MAX ? holders->n_items : HOLDERS_MAX;

        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        text_add(t, i + 1 == holders->n_items ? " and " : ", ");
                add_holder(t, &holders->items[i]);
        }

        if (n < holders->n_items) {
                text_add(t, " and ");
                text_add_u64(t, holders->n_items - n);
                text_add(t, " more");
        }
}

/**
 * reason_plain() - a sentence as it stands
 * @sentence: NUL-terminated; copied
 */
char *reason_plain(const char *sentence) {
        return strdup(sentence);
}

/**
 * reason_absent() - nothing present has the identity
 * @a: the attachment
 * @ignored: a device that has it but must be left alone; NULL if there is none
 */
char *reason_absent(const Attachment *a, const Holder *ignored) {
        Text t = TEXT_INIT;

        if (ignored) {
                add_holder(&t, ignored);
                text_add(&t, " has ");
                match_write(a->match, &t);
                text_add(&t, ", but is left alone: ");
                text_add(&t, ignored->partition && ignored->partition->ignored ? ignored->partition->ignored :
                         ignored->disk->ignored ? ignored->disk->ignored :
                         "udev does not call it ready; it may have no medium");
        } else {
                /* which one stands beside it wherever this is told, and thousands may be told at once */
                text_add(&t, "not present; attached when it comes");
        }

        return finish(&t);
}

static bool is_clone(const Attachment *a, const Holder *h) {
        return device_uid(holder_device(h)) != a->device_uid;
}

static bool has_clone(const Attachment *a, const Holders *holders) {
        for (size_t i = 0; i < holders->n_items && i < HOLDERS_MAX; i++)
                if (is_clone(a, &holders->items[i]))
                        return true;

        return false;
}

/**
 * reason_attached() - all is well, but say if a clone is there too
 * @a: the attachment, on its device
 * @holders: all that claim the identity; the device itself may be among them
 *
 * Return: NULL if there is no more to say than attachment_get_reason() does.
 */
char *reason_attached(const Attachment *a, const Holders *holders) {
        Text t = TEXT_INIT;
        bool clone = false;

        if (!a->foreign && !has_clone(a, holders))
                return NULL;

        text_add(&t, "filter ");
        text_add(&t, a->filter);
        text_add(&t, " is on /dev/");
        text_add(&t, a->device);

        if (a->foreign)
                text_add(&t, ", but was there already, and it is not known that blkfilterd put it there: it counts"
                             " from when it was found");

        for (size_t i = 0; i < holders->n_items && i < HOLDERS_MAX; i++) {
                if (!is_clone(a, &holders->items[i]))
                        continue;

                text_add(&t, clone ? ", " : "; a clone gets none: ");
                add_holder(&t, &holders->items[i]);
                clone = true;
        }

        return finish(&t);
}

/**
 * reason_ambiguous() - several have the identity, so none gets the filter
 * @a: the attachment
 * @holders: at least 2
 */
char *reason_ambiguous(const Attachment *a, const Holders *holders) {
        Text t = TEXT_INIT;

        add_holders(&t, holders);
        text_add(&t, " have ");
        match_write(a->match, &t);
        text_add(&t, "; none gets the filter until all but one are gone or have another identity"
                     " (sfdisk --part-uuid gives one), or an administrator chooses one");
        return finish(&t);
}

/**
 * reason_held() - another attachment of the same filter is held off the device
 * @held: that attachment
 */
char *reason_held(const Attachment *held) {
        Text t = TEXT_INIT;

        text_add(&t, "an administrator detached the filter from this device (");
        match_write(held->match, &t);
        text_add(&t, "); it stays so until it is attached by hand, or forgotten (blkfilterctl forget)");
        return finish(&t);
}

/**
 * reason_noted() - the filter may be on by an earlier word
 * @a: the attachment
 * @d: the device
 */
char *reason_noted(const Attachment *a, Device d) {
        Text t = TEXT_INIT;

        text_add(&t, a->recorded_since_usec ? "filter " : "whether filter ");
        text_add(&t, a->filter);
        text_add(&t, a->recorded_since_usec ? " was on /dev/" : " is on /dev/");
        text_add(&t, device_name(d));
        text_add(&t, a->recorded_since_usec ?
                 " when the daemon was there last; the kernel is asked whether it still is" :
                                              " is not known; the kernel is asked");
        if (d.disk->stuck)
                text_add(&t, ", but the disk does not answer; see the kernel's log");
        return finish(&t);
}

/**
 * reason_left() - the medium was changed under the filter
 * @a: the attachment
 * @d: the device, whose filter is to be taken off
 */
char *reason_left(const Attachment *a, Device d) {
        Text t = TEXT_INIT;

        text_add(&t, "filter ");
        text_add(&t, a->filter);
        text_add(&t, " is on /dev/");
        text_add(&t, device_name(d));
        text_add(&t, ", where it does not belong any more; it is taken off");
        return finish(&t);
}

/**
 * reason_stale() - the filter is on already, from a device that had the number before
 * @a: the attachment
 * @d: the device, which is to have the filter
 */
char *reason_stale(const Attachment *a, Device d) {
        Text t = TEXT_INIT;

        text_add(&t, "filter ");
        text_add(&t, a->filter);
        text_add(&t, " is on /dev/");
        text_add(&t, device_name(d));
        text_add(&t, " still, from before that went away; it is taken off and put on anew");
        return finish(&t);
}

/**
 * reason_interface() - by what it is known how the kernel takes filters, or why it is not; and what to do
 * @w: the world
 */
char *reason_interface(const World *w) {
        Text t = TEXT_INIT;

        if (kernel_interface_has_filters(w->interface))
                text_add(&t, w->interface_why[0] ? w->interface_why : "the kernel has said so");
        else if (w->interface == KERNEL_INTERFACE_NONE) {
                text_add(&t, REASON_NO_FILTERS);
                if (w->interface_why[0]) {
                        text_add(&t, ": ");
                        text_add(&t, w->interface_why);
                }
        } else if (w->interface_unclear) {
                text_add(&t, "the kernel's answers do not tell which filters it takes");
                if (w->interface_why[0]) {
                        text_add(&t, " (");
                        text_add(&t, w->interface_why);
                        text_add(&t, ")");
                }
                text_add(&t, "; it is asked again, on another disk too if one comes");
        } else
                text_add(&t, REASON_NOT_ASKED);

        return finish(&t);
}

/**
 * reason_not_followed() - On= does not name this kind of return
 * @on: one of POLICY_ON_*
 */
char *reason_not_followed(unsigned on) {
        Text t = TEXT_INIT;

        text_add(&t, "the device is there, but On= of the policy does not name ");
        text_add(&t, on == POLICY_ON_RESCAN ? "rescan" : on == POLICY_ON_HOTPLUG ? "hotplug" : "boot");
        text_add(&t, "; attach it by hand, or add the word and reload");
        return finish(&t);
}

/**
 * reason_changed() - the device is not quite what it was, and the policy says to refuse that
 * @a: the attachment
 * @what: the name of what changed
 * @before: its value in the fingerprint
 * @now: its value now; may be ""
 */
char *reason_changed(const Attachment *a, const char *what, const char *before, const char *now) {
        Text t = TEXT_INIT;

        match_write(a->match, &t);
        text_add(&t, " is back, but its ");
        text_add(&t, what);
        text_add(&t, " was ");
        text_add(&t, before);
        text_add(&t, " and is ");
        text_add(&t, now[0] ? now : "not known");
        text_add(&t, " now, and OnChange=refuse; attach it by hand if that is right");
        return finish(&t);
}

/**
 * reason_reading() - the table of the disk is not known at the moment
 * @d: the disk
 */
char *reason_reading(const Disk *d) {
        Text t = TEXT_INIT;

        if (!d->dirty && !d->stuck) {
                text_add(&t, "udev has not said yet what /dev/");
                text_add(&t, d->name);
                text_add(&t, " contains, or that it is ready");
                return finish(&t);
        }

        text_add(&t, "the partition table of /dev/");
        text_add(&t, d->name);

        if (d->stuck)
                text_add(&t, " cannot be read: the disk does not answer; see the kernel's log");
        else if (d->scan_error[0]) {
                text_add(&t, " cannot be read: ");
                text_add(&t, d->scan_error);
        } else
                text_add(&t, " is being read");

        return finish(&t);
}

/**
 * reason_unclear() - another disk may have the same identity
 * @d: that disk
 */
char *reason_unclear(const Disk *d) {
        Text t = TEXT_INIT;

        text_add(&t, "/dev/");
        text_add(&t, d->name);
        text_add(&t, " is new too, and may have the same identity: waiting until it is known what is on it");
        return finish(&t);
}

/**
 * reason_no_partition() - the table has it, the kernel does not
 * @h: the one holder, without a partition
 */
char *reason_no_partition(const Holder *h) {
        Text t = TEXT_INIT;

        add_holder(&t, h);
        text_add(&t, " has the identity, but the kernel has no such partition now; blockdev --rereadpt"
                     " makes it");
        return finish(&t);
}

/**
 * reason_no_options() - the policy has options, and no way to give them to the filter
 * @i: the kernel's interface
 */
char *reason_no_options(KernelInterface i) {
        Text t = TEXT_INIT;

        text_add(&t, "this kernel's interface, ");
        text_add(&t, kernel_interface_to_string(i));
        text_add(&t, kernel_interface_is_bdevfilter(i) ? " in its earlier form" : "");
        text_add(&t, ", takes no options for a filter; remove Options= from the policy");
        return finish(&t);
}

/**
 * reason_first_policy() - an earlier one wants the same device
 * @first: the attachment that wins
 */
char *reason_first_policy(const Attachment *first) {
        Text t = TEXT_INIT;

        if (first->policy_path) {
                text_add(&t, "policy ");
                text_add(&t, first->policy_path);
                text_add(&t, " comes first for this device");
        } else
                text_add(&t, "an attachment made at run time comes first for this device");

        text_add(&t, " and wants filter ");
        text_add(&t, first->filter);
        return finish(&t);
}

/**
 * reason_outcome() - why the last attach did not succeed
 * @a: the attachment; device says where it was tried
 * @reply: the worker's reply, an outcome other than JOB_OK and JOB_ALREADY
 */
char *reason_outcome(const Attachment *a, const JobReply *reply) {
        Text t = TEXT_INIT;

        text_add(&t, "/dev/");
        text_add(&t, a->device);

        switch (reply->outcome) {

        case JOB_CONFLICT:
                text_add(&t, " has another filter on it");
                if (reply->other_filter[0]) {
                        text_add(&t, " (");
                        text_add(&t, reply->other_filter);
                        text_add(&t, ")");
                }
                text_add(&t, a->settings->ignore_conflict ?
                         "; it is left there, and this one does not wait for it to go (OnConflict=ignore)" :
                         "; it is left there, and this one waits until it is gone");
                break;

        case JOB_NOT_REGISTERED:
                text_add(&t, ": the kernel has no filter ");
                text_add(&t, a->filter);
                text_add(&t, "; load its module (modprobe ");
                text_add(&t, a->filter);
                text_add(&t, "), it is attached then");
                break;

        case JOB_MISMATCH:
                text_add(&t, match_wants_partition(a->match) ?
                         " is not the partition that the table on the disk describes" :
                                                              " is not the device that was meant");
                if (reply->message[0]) {
                        text_add(&t, " (");
                        text_add(&t, reply->message);
                        text_add(&t, ")");
                }
                text_add(&t, "; blockdev --rereadpt brings the two together");
                break;

        case JOB_DUPLICATE:
                text_add(&t, " is not the only partition in its table with ");
                match_write(a->match, &t);
                text_add(&t, "; none gets the filter until the others have another identity");
                break;

        case JOB_LOCKED:
                text_add(&t, ": another program holds the lock of its disk; tried again soon");
                break;

        case JOB_GONE:
                text_add(&t, " went away before the filter was on");
                break;

        case JOB_UNSUPPORTED:
                text_add(&t, reply->message[0] ? ": " : " does not take filters");
                text_add(&t, reply->message);
                break;

        case JOB_TIMED_OUT:
                text_add(&t, " does not answer; the outcome is unknown, the other disks go on; see the"
                             " kernel's log");
                break;

        default:
                text_add(&t, ": attaching failed");
                if (reply->message[0]) {
                        text_add(&t, ": ");
                        text_add(&t, reply->message);
                }
                text_add(&t, "; tried again later");
        }

        return finish(&t);
}
