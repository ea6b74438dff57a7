/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The side of the rig that runs ipvsd-fastpath. */

#include "ipvs/channel.h"
#include "tests/lab/lab.h"
#include "tests/lab/process.h"

/*
 * Starts the program on eth0 of the host, by net_af_packet, with the exception interface RIG_EXCEPTION up and without
 * addresses; the kernel sees nothing of eth0 any more. Waits until it answers. Errors are printed, with its output.
 */
#define RIG_EXCEPTION "ipvsd0"
int rig_fastpath_start(const struct lab_host *h, const char *program, const char *directory,
		       struct lab_process *ret_process, struct channel **ret_channel);

/* Its connections as /proc/net/ip_vs_conn would have them; owned by the caller, NULL on failure. */
char *rig_fastpath_connections(struct channel *c);
