/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "daemon/resolve.h"
#include "daemon/text.h"

typedef struct Search {
        bool by_value;    /* by what is known of it */
        MatchKey key;
        char value[FACT_SIZE];
        const char *link; /* else by this link of udev's */
} Search;

static const char *after(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static bool fits(const Search *search, Device d) {
        Facts f;

        if (!search->by_value)
                return device_has_link(d, search->link);

        device_facts(d, &f);
        return f.values[search->key] && str_equal(f.values[search->key], search->value);
}

static RequestError tell(Text *t, char **ret_message, RequestError error) {
        if (text_steal(t, ret_message) < 0)
                *ret_message = NULL;

        return error;
}

static RequestError find_one(const DeviceSet *devices, const Search *search, const char *name, Device *ret,
                             char **ret_message) {
        Device found = { 0 };
        Text t = TEXT_INIT;

        for (size_t i = 0; i < devices->n_disks; i++)
                for (size_t j = 0; j <= devices->disks[i]->n_partitions; j++) {
                        Device d = { devices->disks[i], j > 0 ? devices->disks[i]->partitions[j - 1] : NULL };

                        if (!fits(search, d))
                                continue;

                        if (found.disk) {
                                text_add(&t, "/dev/");
                                text_add(&t, device_name(found));
                                text_add(&t, " and /dev/");
                                text_add(&t, device_name(d));
                                text_add(&t, " both answer to ");
                                text_add(&t, name);
                                text_add(&t, "; name the one that is meant by its path");
                                return tell(&t, ret_message, REQUEST_E_AMBIGUOUS);
                        }

                        found = d;
                }

        if (!found.disk) {
                text_add(&t, "no device that is present answers to ");
                text_add(&t, name);
                text_add(&t, "; lsblk -o PATH,PARTUUID,PARTLABEL shows what there is");
                return tell(&t, ret_message, REQUEST_E_NO_SUCH_DEVICE);
        }

        *ret = found;
        return REQUEST_OK;
}

/**
 * resolve_device() - the device that a caller means
 * @devices: what is there
 * @name: "/dev/NAME", a link below /dev/disk, "PARTUUID=", "PARTLABEL=", "UUID=" or "LABEL=" as in
 *        fstab; any content
 * @ret: borrowed until the next event; written only on success
 * @ret_message: on failure a sentence, owned by the caller; NULL if there is no memory for it
 *
 * Return: REQUEST_OK, REQUEST_E_INVALID (no such form), REQUEST_E_NO_SUCH_DEVICE or
 * REQUEST_E_AMBIGUOUS (several answer to it).
 */
RequestError resolve_device(const DeviceSet *devices, const char *name, Device *ret, char **ret_message) {
        static const struct {
                const char *prefix, *folder;
        } links[] = {
                { "UUID=", "/dev/disk/by-uuid/" },
                { "LABEL=", "/dev/disk/by-label/" },
        };
        Text t = TEXT_INIT;
        Search search = { 0 };
        const char *value;

        value = after(name, "PARTUUID=");
        if (value) {
                search.by_value = true;
                search.key = MATCH_PART_UUID;
                if (!fact_normalize(MATCH_PART_UUID, value, search.value)) {
                        text_add(&t, name);
                        text_add(&t, " is no partition UUID; one looks like"
                                     " PARTUUID=0fc63daf-8483-4772-8e79-3d69d8477de4 or PARTUUID=1234abcd-01");
                        return tell(&t, ret_message, REQUEST_E_INVALID);
                }
                return find_one(devices, &search, name, ret, ret_message);
        }

        value = after(name, "PARTLABEL=");
        if (value) {
                search.by_value = true;
                search.key = MATCH_PART_LABEL;
                if (!fact_normalize(MATCH_PART_LABEL, value, search.value)) {
                        text_add(&t, "a partition name has 1 to 36 characters");
                        return tell(&t, ret_message, REQUEST_E_INVALID);
                }
                return find_one(devices, &search, name, ret, ret_message);
        }

        for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
                RequestError error;
                char *link;

                value = after(name, links[i].prefix);
                if (!value)
                        continue;

                text_add(&t, links[i].folder);
                link_add_encoded(&t, value);
                if (text_steal(&t, &link) < 0) {
                        *ret_message = NULL;
                        return REQUEST_E_FAILED;
                }

                search.link = link;
                error = find_one(devices, &search, name, ret, ret_message);
                free(link);
                return error;
        }

        value = after(name, "/dev/");
        if (!value || !*value) {
                text_add(&t, "a device is named by its path below /dev, or by PARTUUID=, PARTLABEL=, UUID= or LABEL=");
                return tell(&t, ret_message, REQUEST_E_INVALID);
        }

        *ret = device_set_get(devices, value);
        if (ret->disk)
                return REQUEST_OK;

        search.link = name;
        return find_one(devices, &search, name, ret, ret_message);
}
