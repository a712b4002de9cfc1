/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's own settings: /etc/blkfilterd.conf, in the form of a policy file.
 */

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_CHECK_USEC_DEFAULT UINT64_C(300000000)
#define CONFIG_WAIT_USEC_DEFAULT  UINT64_C(2000000)

typedef struct Config {
        uint64_t check_usec; /* CheckSec=: pause between two checks of all filters that are on, and of the tables
                              * of disks that were written to; 0: only after events */
        uint64_t wait_usec;  /* WaitSec=: for how long the rest of the system does not see a device that a filter
                              * belongs on; 0: not at all */
        bool raw_commands;   /* RawCommands=: commands that are not known may be sent to filters */
} Config;

int config_load(const char *path, Config *config);
