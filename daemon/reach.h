/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Is it this host that cannot reach a target? Asks the kernel alone, and sends nothing to anybody: the route, the
 * interface that it leads to, and whether the gateway on the way answered when it was last asked for its address.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

enum {
	REACH_TEXT_MAX = 160,
};

/* False and a text such as "interface eth1 towards 10.0.1.10 is down" where the fault is here; true otherwise. */
bool reach_is_ours(const struct addr *to, char text[static REACH_TEXT_MAX]);
