/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "daemon/identity.h"
#include "daemon/text.h"

/**
 * part_uuid_normalize() - check a partition UUID and bring it to lower case
 * @s: NUL-terminated, any content
 * @ret: written only on success: NUL-terminated
 *
 * Two forms are valid: the GPT's "8-4-4-4-12" hexadecimal digits, and the MBR's "8-2" (the
 * disk's id and the number, as the kernel and libblkid write it). All zeros is no identity:
 * unset tables have it.
 *
 * Return: whether @s is one.
 */
bool part_uuid_normalize(const char *s, char ret[static PART_UUID_SIZE]) {
        static const char gpt[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", mbr[] = "xxxxxxxx-xx";
        char buf[PART_UUID_SIZE] = "";
        size_t n = strlen(s);
        const char *form = n == sizeof(gpt) - 1 ? gpt : n == sizeof(mbr) - 1 ? mbr : NULL;
        bool any = false;

        if (!form)
                return false;

        for (size_t i = 0; i < n; i++) {
                if (form[i] == '-' ? s[i] != '-' : !ascii_is_hex(s[i]))
                        return false;

                buf[i] = ascii_tolower(s[i]);

                /* of an MBR UUID only the disk's part can be unset */
                if (form[i] == 'x' && s[i] != '0' && (form == gpt || i < 8))
                        any = true;
        }

        if (!any)
                return false;

        memcpy(ret, buf, sizeof(buf));
        return true;
}

/**
 * filter_name_is_valid() - whether a string can name a filter
 * @s: NUL-terminated, any content
 *
 * The kernel takes up to 31 bytes. It would take any of them; names of modules and filters in
 * the field are letters, digits, "_" and "-", and nothing else is let through to it.
 */
bool filter_name_is_valid(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n >= FILTER_NAME_SIZE)
                return false;

        for (size_t i = 0; i < n; i++) {
                char c = ascii_tolower(s[i]);

                if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
                        return false;
        }

        return true;
}

/**
 * match_is_empty() - whether a match demands nothing
 * @m: the match
 */
bool match_is_empty(const Match *m) {
        return !m->part_uuid[0] && !m->part_label[0];
}

/**
 * match_equal() - whether two matches demand the same
 * @a: a match
 * @b: a match
 */
bool match_equal(const Match *a, const Match *b) {
        return str_equal(a->part_uuid, b->part_uuid) && str_equal(a->part_label, b->part_label);
}

/**
 * match_entry() - whether an entry of a partition table is what a match demands
 * @m: the match; one that demands nothing matches nothing
 * @e: the entry; its UUID in lower case
 */
bool match_entry(const Match *m, const Entry *e) {
        if (match_is_empty(m))
                return false;

        if (m->part_uuid[0] && !str_equal(m->part_uuid, e->uuid))
                return false;

        return !m->part_label[0] || str_equal(m->part_label, e->label);
}

/**
 * match_to_string() - a match as fstab would write it
 * @m: the match
 * @ret: "PARTUUID=...", "PARTLABEL=..." or both with a space between; owned by the caller
 *
 * Control bytes of a label are written as "\xHH", so that no name on a disk can break a line of
 * a log.
 *
 * Return: 0, or -ENOMEM.
 */
int match_to_string(const Match *m, char **ret) {
        Text t = TEXT_INIT;

        if (m->part_uuid[0]) {
                text_add(&t, "PARTUUID=");
                text_add(&t, m->part_uuid);
        }

        if (m->part_label[0]) {
                text_add(&t, m->part_uuid[0] ? " PARTLABEL=" : "PARTLABEL=");

                for (const char *p = m->part_label; *p; p++) {
                        unsigned char c = (unsigned char) *p;

                        if (c < 0x20 || c == 0x7f || c == '\\') {
                                text_add(&t, "\\x");
                                text_add_hex(&t, c, 2);
                        } else
                                text_add_n(&t, p, 1);
                }
        }

        return text_steal(&t, ret);
}
