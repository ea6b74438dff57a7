/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Taking devices, addresses and routes from the kernel for the fast path, and putting them back. In this order:
 * fastpath_move_prepare(), the record goes to disk, fastpath_move_seize(), the process takes its ports,
 * fastpath_move_addresses(). fastpath_move_restore() undoes what there is of it, as often as it is called.
 */

#include "daemon/fastpath-record.h"

enum {
	FASTPATH_MOVE_REASON_MAX = 256,
};

/*
 * Fills r->ports: what stands behind each port, and what it has now. `specs` are those of the configuration. Negative
 * errno and the reason.
 */
int fastpath_move_prepare(struct fastpath_record *r, const char *const *specs, size_t n,
			  const char *exception_interface,
			  char ret_reason[static FASTPATH_MOVE_REASON_MAX]);

/* Is there a device that its process must have let go of before it can be given back? */
bool fastpath_move_has_devices(const struct fastpath_record *r);

/* PCI devices to vfio-pci. */
int fastpath_move_seize(const struct fastpath_record *r,
			char ret_reason[static FASTPATH_MOVE_REASON_MAX]);

/* The exception interfaces are there: addresses and routes go to them; copies of frames are kept from the kernel. */
int fastpath_move_addresses(const struct fastpath_record *r,
			    char ret_reason[static FASTPATH_MOVE_REASON_MAX]);

/*
 * All back. 0; -EAGAIN: a device is not free yet, which it is when the process is `gone`, or its interface is not
 * there yet: call again soon (`patient`: wait for the name that it had, which udev gives; else give it that name here);
 * other negative errno and the reason: something is not as it was, the rest is.
 */
int fastpath_move_restore(const struct fastpath_record *r, bool gone, bool patient,
			  char ret_reason[static FASTPATH_MOVE_REASON_MAX]);
