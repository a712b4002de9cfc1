/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The real outside of the manager: the event loop, device events, workers, settings, policy files,
 * records, systemd. It gives the manager its operations and tells it what happens.
 */

#include <systemd/sd-event.h>

#include "daemon/manager.h"
#include "dbus/bus.h"

typedef struct Outside Outside;

typedef struct OutsideConfig {
        const char *config_file;           /* the daemon's own settings; need not exist */
        const char *const *policy_folders; /* NULL-terminated, highest precedence first */
        const char *keep_folder;           /* for the last good versions of policies; its parent exists */
        const char *image_folder;          /* what was in that in the initramfs; need not exist */
        const char *state_folder;          /* for records; its parent exists */
        const char *last_boot_folder;      /* with the records of the last boot; need not exist */
        const char *wait_socket;           /* where udev's events wait; its parent exists */
        const char *worker;                /* full path of blkfilter-worker */
        bool in_initramfs;                 /* another daemon follows, when the root file system is mounted */
} OutsideConfig;

int outside_new(sd_event *event, const OutsideConfig *config, Outside **ret);
Outside *outside_free(Outside *o);
void outside_get_ops(Outside *o, ManagerOps *ret);
void outside_set_bus(Outside *o, Bus *bus);
int outside_start(Outside *o, Manager *m);
