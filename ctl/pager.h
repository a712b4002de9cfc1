/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A program between what is printed and the terminal. */

#include "ctl/ctl.h"

void pager_open(const Ctl *c);
void pager_close(void);
