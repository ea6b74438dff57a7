/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What must be so before the fast path is started: found out before anything is touched, and said with the remedy.
 */

#include <stdbool.h>

struct conf;

enum {
	FASTPATH_CHECK_REASON_MAX = 256,
};

/*
 * 0, or negative errno and the reason. `force`: also interfaces with the default route. Loads vfio-pci where the
 * configuration lets modules be loaded.
 */
int fastpath_check(const struct conf *conf, bool force,
		   char ret_reason[static FASTPATH_CHECK_REASON_MAX]);
