/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* polkit's agent for terminals: it asks for the password that a call may need. */

#include "ctl/ctl.h"

void agent_open(const Ctl *c);
void agent_close(void);
