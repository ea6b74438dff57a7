/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is left behind after the packets: counters of services and destinations, and the connections. */

#include <stdbool.h>

struct rig;

/*
 * Waits until the kernel's estimator has caught up (every 2 s). False after the differences were printed: conns, packets
 * and bytes of each service and destination; active, inactive and persistent connections; every connection with
 * its destination and state.
 */
bool tallies_are_same(struct rig *rig);
