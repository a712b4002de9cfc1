/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "daemon/identity.h"
#include "daemon/text.h"

#define IS_OF_PARTITION (1 << 0)
#define IS_OF_FS        (1 << 1)
#define IDENTIFIES      (1 << 2) /* a value of it stands for one device */
#define ALLOWS_GLOB     (1 << 3)
#define IGNORES_CASE    (1 << 4)

static const struct {
        const char *name;
        unsigned flags;
} keys[_MATCH_KEY_MAX] = {
        [MATCH_PART_UUID] = { "PartUUID", IS_OF_PARTITION | IDENTIFIES | IGNORES_CASE },
        [MATCH_PART_LABEL] = { "PartLabel", IS_OF_PARTITION | IDENTIFIES | ALLOWS_GLOB },
        [MATCH_PART_TYPE] = { "PartType", IS_OF_PARTITION | IGNORES_CASE },
        [MATCH_PART_NUMBER] = { "PartNumber", IS_OF_PARTITION },
        [MATCH_FS_UUID] = { "FSUUID", IS_OF_FS | IDENTIFIES | IGNORES_CASE },
        [MATCH_FS_LABEL] = { "FSLabel", IS_OF_FS | IDENTIFIES | ALLOWS_GLOB },
        [MATCH_FS_TYPE] = { "FSType", IS_OF_FS },
        [MATCH_PT_UUID] = { "PTUUID", IDENTIFIES | IGNORES_CASE },
        [MATCH_DISK_WWN] = { "DiskWWN", IDENTIFIES | IGNORES_CASE },
        [MATCH_DISK_SERIAL] = { "DiskSerial", IDENTIFIES | ALLOWS_GLOB },
        [MATCH_DM_NAME] = { "DMName", IDENTIFIES | ALLOWS_GLOB },
        [MATCH_DM_UUID] = { "DMUUID", IDENTIFIES | ALLOWS_GLOB },
        [MATCH_KERNEL_NAME] = { "KernelName", IDENTIFIES | ALLOWS_GLOB },
};

/**
 * match_key_to_string() - a key as policies, the bus and the manual name it
 * @key: a valid key
 *
 * Return: a static string.
 */
const char *match_key_to_string(MatchKey key) {
        return keys[key].name;
}

/**
 * match_key_is_of_partition() - whether only a partition has it
 * @key: a valid key
 */
bool match_key_is_of_partition(MatchKey key) {
        return keys[key].flags & IS_OF_PARTITION;
}

/**
 * match_key_is_of_fs() - whether it is read from a superblock
 * @key: a valid key
 */
bool match_key_is_of_fs(MatchKey key) {
        return keys[key].flags & IS_OF_FS;
}

/**
 * match_key_identifies() - whether a value of it is meant to belong to one device only
 * @key: a valid key
 */
bool match_key_identifies(MatchKey key) {
        return keys[key].flags & IDENTIFIES;
}

/**
 * match_key_allows_glob() - whether a policy may give a pattern for it
 * @key: a valid key
 */
bool match_key_allows_glob(MatchKey key) {
        return keys[key].flags & ALLOWS_GLOB;
}

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

static bool part_number_normalize(const char *s, char ret[static FACT_SIZE]) {
        size_t n = strlen(s);

        if (n == 0 || n > 4 || s[0] == '0' || strspn(s, "0123456789") != n)
                return false;

        return str_copy(ret, FACT_SIZE, s);
}

/**
 * fact_normalize() - bring a value to the form in which it is compared
 * @key: what it is a value of
 * @s: NUL-terminated, any content
 * @ret: written only on success: NUL-terminated, not empty
 *
 * Partition UUIDs are as of part_uuid_normalize(), numbers have no leading zero; what is written in
 * hexadecimal digits becomes lower case, everything else stays as it is.
 *
 * Return: whether it can be one: not empty, not longer than FACT_SIZE - 1 bytes.
 */
bool fact_normalize(MatchKey key, const char *s, char ret[static FACT_SIZE]) {
        if (key == MATCH_PART_UUID)
                return part_uuid_normalize(s, ret);

        if (key == MATCH_PART_NUMBER)
                return part_number_normalize(s, ret);

        if (!s[0] || strlen(s) >= FACT_SIZE)
                return false;

        (void) str_copy(ret, FACT_SIZE, s);
        for (char *p = ret; keys[key].flags & IGNORES_CASE && *p; p++)
                *p = ascii_tolower(*p);

        return true;
}

/**
 * facts_set_partition() - take over what a table's entry says
 * @f: the facts; become those of a partition
 * @partno: as in Entry, all of them
 * @uuid: borrowed for as long as @f is used, as the others
 * @label: "" if it has none
 * @type: "" if it is not known
 */
void facts_set_partition(Facts *f, unsigned partno, const char *uuid, const char *label, const char *type) {
        char digits[sizeof(f->part_number)];
        size_t n = 0;

        f->is_partition = true;
        f->values[MATCH_PART_UUID] = uuid;
        f->values[MATCH_PART_LABEL] = label;
        f->values[MATCH_PART_TYPE] = type;

        for (unsigned v = partno; n == 0 || v > 0; v /= 10)
                digits[n++] = (char) ('0' + v % 10);

        for (size_t i = 0; i < n; i++)
                f->part_number[i] = digits[n - 1 - i];

        f->part_number[n] = 0;
        f->values[MATCH_PART_NUMBER] = f->part_number;
}

/**
 * facts_set_entry() - take over what a table's entry says
 * @f: the facts; become those of a partition
 * @e: the entry; borrowed for as long as @f is used
 */
void facts_set_entry(Facts *f, const Entry *e) {
        facts_set_partition(f, e->partno, e->uuid, e->label, e->type);
}

/**
 * facts_find_pin() - what a device is best recognised by, if it has to be that one device again
 * @f: the facts
 * @ret: written only on success: a key whose value no other device should have
 *
 * Return: false if the device has nothing of the kind.
 */
bool facts_find_pin(const Facts *f, MatchKey *ret) {
        static const MatchKey of_whole[] = { MATCH_DM_UUID, MATCH_DISK_WWN, MATCH_DISK_SERIAL, MATCH_PT_UUID,
                                             MATCH_FS_UUID };

        if (f->is_partition) {
                if (!f->values[MATCH_PART_UUID] || !f->values[MATCH_PART_UUID][0])
                        return false;

                *ret = MATCH_PART_UUID;
                return true;
        }

        for (size_t i = 0; i < sizeof(of_whole) / sizeof(of_whole[0]); i++)
                if (f->values[of_whole[i]] && f->values[of_whole[i]][0]) {
                        *ret = of_whole[i];
                        return true;
                }

        return false;
}
