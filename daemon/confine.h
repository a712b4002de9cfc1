/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Takes from a process what it does not need: all of them, and one that sends a command to a filter. */

int confine_to_reading(void);
int confine_to_command(int fd, unsigned long request, int memfd, int attribute_fd);
