/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-nearest.h"
#include "daemon/policy-values.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

#define TIME_FORM "a whole number of seconds or with one of the units us, ms, s, min directly behind it, as in "

static const PolicyKey policy_keys[] = {
        { "Match", "PartUUID", policy_parse_match, MATCH_PART_UUID, NULL, NULL,
          "expected the partition's UUID, either of a GPT, as in 0fc63daf-8483-4772-8e79-3d69d8477de4, or of an MBR, "
          "as in 1234abcd-01, and not all zeros; \"lsblk -o NAME,PARTUUID\" shows them." },
        { "Match", "PartLabel", policy_parse_match, MATCH_PART_LABEL, policy_check_part_label, NULL,
          "expected the partition's name in the GPT, letter by letter, 1 to 127 bytes; "
          "\"lsblk -o NAME,PARTLABEL\" shows them." },
        { "Match", "PartType", policy_parse_match, MATCH_PART_TYPE, policy_check_part_type, NULL,
          "expected the partition's type, either the UUID that a GPT has for it, as in "
          "0fc63daf-8483-4772-8e79-3d69d8477de4, or the number in an MBR, as in 0x83; \"lsblk -o NAME,PARTTYPE\" shows "
          "them." },
        { "Match", "PartNumber", policy_parse_match, MATCH_PART_NUMBER, NULL, NULL,
          "expected the partition's number in its table, from 1 to 9999, without zeros in front." },
        { "Match", "FSUUID", policy_parse_match, MATCH_FS_UUID, policy_check_fs_uuid, NULL,
          "expected the file system's UUID or serial number, letters, digits and \"-\", and not all zeros; "
          "\"lsblk -o NAME,UUID\" shows them." },
        { "Match", "FSLabel", policy_parse_match, MATCH_FS_LABEL, NULL, NULL,
          "expected the file system's label, letter by letter, 1 to 255 bytes; \"lsblk -o NAME,LABEL\" shows them." },
        { "Match", "FSType", policy_parse_match, MATCH_FS_TYPE, policy_check_fs_type, NULL,
          "expected a type of file system as in ext4 or crypto_LUKS, letters, digits, \"_\" or \"-\"; "
          "\"lsblk -o NAME,FSTYPE\" shows them." },
        { "Match", "PTUUID", policy_parse_match, MATCH_PT_UUID, policy_check_pt_uuid, NULL,
          "expected the partition table's UUID, either of a GPT, as in 0fc63daf-8483-4772-8e79-3d69d8477de4, or of an "
          "MBR, as in 1234abcd, and not all zeros; \"lsblk -o NAME,PTUUID\" shows them." },
        { "Match", "DiskWWN", policy_parse_match, MATCH_DISK_WWN, policy_check_wwn, NULL,
          "expected the disk's World Wide Name, as in 0x5000c500a1b2c3d4 or eui.0025385b71b00e4a; "
          "\"lsblk -o NAME,WWN\" shows them." },
        { "Match", "DiskSerial", policy_parse_match, MATCH_DISK_SERIAL, NULL, NULL,
          "expected the disk's serial number, letter by letter, 1 to 255 bytes; \"lsblk -o NAME,SERIAL\" shows them." },
        { "Match", "DMName", policy_parse_match, MATCH_DM_NAME, NULL, NULL,
          "expected the name that the device-mapper has for the device, as in vg0-home, 1 to 255 bytes; "
          "\"dmsetup info -c -o name,uuid\" shows them." },
        { "Match", "DMUUID", policy_parse_match, MATCH_DM_UUID, NULL, NULL,
          "expected the UUID that the device-mapper has for the device, letter by letter, as in CRYPT-LUKS2-..., 1 to "
          "255 bytes; \"dmsetup info -c -o name,uuid\" shows them." },
        { "Match", "KernelName", policy_parse_match, MATCH_KERNEL_NAME, policy_check_kernel_name, NULL,
          "expected the kernel's name of the device without a folder, as in sda1; any device may have it after the "
          "next boot." },
        { "Filter", "Name", policy_parse_filter_name, 0, NULL, NULL,
          "expected the name under which the kernel knows the filter, 1 to 31 letters, digits, \"_\" or \"-\", as in "
          "blksnap." },
        { "Filter", "Options", policy_parse_options, 0, NULL, NULL,
          "expected hex: and two hexadecimal digits for each byte, base64: and digits of that kind, padded with \"=\", "
          "or the full path of a file, at most 4096 bytes in all." },
        { "Filter", "Module", policy_parse_module, 0, NULL, NULL,
          "expected the name of a kernel module, 1 to 55 letters, digits, \"_\" or \"-\", as in blksnap." },
        { "Attach", "On", policy_parse_on, 0, NULL, policy_words_on,
          "expected one or more of boot, rescan, hotplug, with blanks between." },
        { "Attach", "OnChange", policy_parse_on_change, 0, NULL, policy_words_on_change,
          "expected reattach or refuse." },
        { "Attach", "OnConflict", policy_parse_on_conflict, 0, NULL, policy_words_on_conflict,
          "expected wait or ignore." },
        { "Attach", "RetrySec", policy_parse_retry, 0, NULL, NULL,
          "expected a time from 100ms to 60min, " TIME_FORM "2, 500ms or 1min." },
        { "Attach", "TimeoutSec", policy_parse_timeout, 0, NULL, NULL,
          "expected a time from 1s to 10min, " TIME_FORM "30, 1500ms or 1min." },
};

_Static_assert(PART_LABEL_SIZE == 128 && FILTER_NAME_SIZE == 32 && FACT_SIZE == 256 && POLICY_MODULE_SIZE == 56,
               "the table's sentences name these limits");
_Static_assert(POLICY_RETRY_USEC_MIN == 100000 && POLICY_RETRY_USEC_MAX == 3600000000, "and these");
_Static_assert(POLICY_TIMEOUT_USEC_MIN == 1000000 && POLICY_TIMEOUT_USEC_MAX == 600000000, "and these");
_Static_assert(POLICY_OPTIONS_MAX == 4096 && MATCH_TERMS_MAX == 64, "and these");
_Static_assert(N_ELEMENTS(policy_keys) <= POLICY_KEYS_MAX, "so that a draft has room for each");

/**
 * policy_fault_finish() - make a fault of a sentence
 * @t: the sentence; consumed
 * @path: the file to blame, NULL: the one that is being read; copied
 * @line: the line to blame, from 1; 0 none
 * @ret: written on -EINVAL
 *
 * Return: -EINVAL, or -ENOMEM.
 */
int policy_fault_finish(Text *t, const char *path, unsigned line, PolicyFault *ret) {
        char *message, *copy = path ? strdup(path) : NULL;
        int r;

        r = text_steal(t, &message);
        if (r < 0 || (path && !copy)) {
                if (r == 0)
                        free(message);
                free(copy);
                return -ENOMEM;
        }

        *ret = (PolicyFault) { .path = copy, .line = line, .message = message };
        return -EINVAL;
}

/**
 * policy_key_count() - how many keys there are, at most POLICY_KEYS_MAX
 */
size_t policy_key_count(void) {
        return N_ELEMENTS(policy_keys);
}

/**
 * policy_key_section() - the section of a key
 * @key: below policy_key_count()
 *
 * Return: a static string, "Match".
 */
const char *policy_key_section(size_t key) {
        return policy_keys[key].section;
}

/**
 * policy_key_name() - the name of a key
 * @key: below policy_key_count()
 *
 * Return: a static string, "PartUUID".
 */
const char *policy_key_name(size_t key) {
        return policy_keys[key].key;
}

static bool section_is_new(size_t i) {
        return i == 0 || !str_equal(policy_keys[i].section, policy_keys[i - 1].section);
}

/* The table's name of a section, NULL if there is no such section. */
static const char *known_section(const PolicySection *s) {
        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++)
                if (ascii_casecmp_equal(policy_keys[i].section, s->name))
                        return policy_keys[i].section;

        return NULL;
}

/**
 * policy_section_check() - whether a policy has a section of that name
 * @s: the section; borrowed
 * @ret_fault: set on -EINVAL; owned by the caller, policy_fault_deinit()
 *
 * Return: 0, -EINVAL if it has none, or -ENOMEM.
 */
int policy_section_check(const PolicySection *s, PolicyFault *ret_fault) {
        Text t = TEXT_INIT;
        Nearest nearest;

        if (known_section(s))
                return 0;

        nearest_begin(&nearest, s->name, strlen(s->name));
        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++)
                nearest_try(&nearest, policy_keys[i].section);

        text_add(&t, "[");
        text_add(&t, s->name);
        text_add(&t, "] is not a section of a policy");

        if (nearest_get(&nearest)) {
                text_add(&t, ", did you mean [");
                text_add(&t, nearest_get(&nearest));
                text_add(&t, "]?");
        } else
                text_add(&t, ".");

        text_add(&t, " There are");

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                if (!section_is_new(i))
                        continue;

                text_add(&t, i == 0 ? " [" : ", [");
                text_add(&t, policy_keys[i].section);
                text_add(&t, "]");
        }

        text_add(&t, ".");
        return policy_fault_finish(&t, NULL, s->line, ret_fault);
}

static int fault_unknown_key(const PolicyItem *item, const char *section, PolicyFault *ret) {
        const PolicyKey *elsewhere = NULL;
        Text t = TEXT_INIT;
        Nearest nearest;
        size_t n = 0;

        nearest_begin(&nearest, item->key, strlen(item->key));

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                const PolicyKey *k = &policy_keys[i];

                if (str_equal(k->section, section))
                        nearest_try(&nearest, k->key);
                else if (ascii_casecmp_equal(k->key, item->key))
                        elsewhere = k;
        }

        text_add(&t, item->key);
        text_add(&t, "= is not a key of [");
        text_add(&t, section);
        text_add(&t, "]");

        if (elsewhere) {
                text_add(&t, ": it belongs to [");
                text_add(&t, elsewhere->section);
                text_add(&t, "], move it there.");
                return policy_fault_finish(&t, NULL, item->line, ret);
        }

        if (nearest_get(&nearest)) {
                text_add(&t, ", did you mean ");
                text_add(&t, nearest_get(&nearest));
                text_add(&t, "=?");
        } else
                text_add(&t, ".");

        text_add(&t, " It knows");

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                if (!str_equal(policy_keys[i].section, section))
                        continue;

                text_add(&t, n++ == 0 ? " " : ", ");
                text_add(&t, policy_keys[i].key);
                text_add(&t, "=");
        }

        text_add(&t, ".");
        return policy_fault_finish(&t, NULL, item->line, ret);
}

/**
 * policy_key_find() - which key an assignment is of
 * @item: the assignment; borrowed
 * @ret: set on success: the key
 * @ret_fault: set on -EINVAL; owned by the caller, policy_fault_deinit()
 *
 * Return: 0, -EINVAL for an unknown section or key, or -ENOMEM.
 */
int policy_key_find(const PolicyItem *item, size_t *ret, PolicyFault *ret_fault) {
        const char *section = known_section(item->section);

        if (!section)
                return policy_section_check(item->section, ret_fault);

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++)
                if (str_equal(policy_keys[i].section, section) && ascii_casecmp_equal(policy_keys[i].key, item->key)) {
                        *ret = i;
                        return 0;
                }

        return fault_unknown_key(item, section, ret_fault);
}

/**
 * policy_key_parse() - what an assignment means
 * @key: which it is of
 * @item: the assignment; borrowed
 * @v: what it means is added here; on failure some of it may have been
 * @ret_fault: set on -EINVAL; owned by the caller, policy_fault_deinit()
 *
 * Return: 0, -EINVAL if the value is not acceptable, or -ENOMEM.
 */
int policy_key_parse(size_t key, const PolicyItem *item, PolicyValues *v, PolicyFault *ret_fault) {
        return policy_keys[key].parse(&policy_keys[key], item, v, ret_fault);
}
