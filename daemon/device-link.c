/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The links that udev makes to devices. Those of a partition follow, as a rule, from what is known anyway: they end in
 * its UUID or its name, or are its disk's by what that is, and not by what is on it, with "-partN" behind. They would
 * be most of what is kept of a partition, and there may be thousands: only the others are.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/device-internal.h"
#include "daemon/text.h"

/* One of several with spaces between, and so without a NUL behind. */
typedef struct Link {
        const char *s;
        size_t n;
} Link;

/* The first one; *links is what comes behind it. False if there is none. */
static bool next_link(const char **links, Link *ret) {
        if (!*links)
                return false;

        *links += strspn(*links, " ");
        *ret = (Link) { *links, strcspn(*links, " ") };
        *links += ret->n;
        return ret->n > 0;
}

static bool has_link(const char *links, Link link) {
        Link l;

        while (next_link(&links, &l))
                if (l.n == link.n && memcmp(l.s, link.s, l.n) == 0)
                        return true;

        return false;
}

/**
 * link_add_encoded() - append a value as udev writes it in the name of a link
 * @t: the text
 * @s: NUL-terminated; each byte becomes "\xHH" but for letters, digits, "#+-.:=@_" and what is not ASCII
 */
void link_add_encoded(Text *t, const char *s) {
        for (; *s; s++) {
                unsigned char c = (unsigned char) *s;
                char lower = ascii_tolower(*s);

                if (c >= 0x80 || (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || strchr("#+-.:=@_", c))
                        text_add_n(t, s, 1);
                else {
                        text_add(t, "\\x");
                        text_add_hex(t, c, 2);
                }
        }
}

/* Whether a link is that of a value in one of udev's folders. */
static bool is_by_value(Link link, const char *folder, const char *value) {
        size_t n = strlen(folder);
        char *encoded;
        Text t = TEXT_INIT;
        bool equal;

        if (!value[0] || link.n <= n || memcmp(link.s, folder, n) != 0)
                return false;

        link_add_encoded(&t, value);
        if (text_steal(&t, &encoded) < 0)
                return false;

        equal = strlen(encoded) == link.n - n && memcmp(link.s + n, encoded, link.n - n) == 0;
        free(encoded);
        return equal;
}

/* Whether a link is named by what is on the device: udev makes none of these with a partition's number behind. */
static bool is_by_content(Link link) {
        static const char *const folders[] = { "/dev/disk/by-uuid/", "/dev/disk/by-label/", "/dev/disk/by-partuuid/",
                                               "/dev/disk/by-partlabel/" };

        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
                if (link.n > strlen(folders[i]) && memcmp(link.s, folders[i], strlen(folders[i])) == 0)
                        return true;

        return false;
}

/* Whether a link is one of the disk's, with the partition's number behind. */
static bool is_by_number(Link link, const Partition *p) {
        Text end = TEXT_INIT;
        bool is_one;

        if (is_by_content(link))
                return false;

        text_add(&end, "-part");
        text_add_u64(&end, p->partno);
        is_one = !end.failed && link.n > end.length &&
                memcmp(link.s + link.n - end.length, end.data, end.length) == 0 &&
                has_link(p->disk->links, (Link) { link.s, link.n - end.length });

        text_deinit(&end);
        return is_one;
}

/* Whether a link to a partition follows from what else is known. */
static bool follows(Link link, const Partition *p) {
        const KeptEntry *e = disk_get_entry(p->disk, p->partno);

        return is_by_number(link, p) || (e && (is_by_value(link, "/dev/disk/by-partuuid/", e->uuid) ||
                                               is_by_value(link, "/dev/disk/by-partlabel/", e->label)));
}

/**
 * device_has_link() - whether a link is one that udev makes to a device
 * @d: a device that is there
 * @link: full path
 *
 * What follows is not waited for: udev may be about to make it.
 */
bool device_has_link(Device d, const char *link) {
        const Link l = { link, strlen(link) };

        if (strchr(link, ' '))
                return false;

        return d.partition ? has_link(d.partition->links, l) || follows(l, d.partition) : has_link(d.disk->links, l);
}

/**
 * partition_pick_links() - those of the links to a partition that have to be kept
 * @p: the partition
 * @links: full paths of all that udev has made, with spaces between
 * @ret: as @links, without those that follow from what else is known; owned by the caller; NULL if none is left
 *
 * Return: 0, or -ENOMEM.
 */
int partition_pick_links(const Partition *p, const char *links, char **ret) {
        Text t = TEXT_INIT;
        Link l;

        while (next_link(&links, &l)) {
                if (follows(l, p))
                        continue;

                if (t.length > 0)
                        text_add(&t, " ");
                text_add_n(&t, l.s, l.n);
        }

        *ret = NULL;
        return t.length > 0 || t.failed ? text_steal(&t, ret) : 0;
}
