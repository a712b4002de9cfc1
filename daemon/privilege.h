/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Gives up what is not needed any more. */

int privilege_drop(void);
