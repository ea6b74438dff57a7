/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Starts DPDK's environment by our options: in memory alone (no file is left behind), workers as lcores 1 … n on their
 * CPUs, the calling thread as lcore 0 on the others. What the machine lacks is looked for first, for DPDK says it
 * badly: errors are logged with their remedy.
 */

#include "dpdk-fastpath/options.h"

/* Chooses a CPU when o->workers is empty. */
int eal_start(struct options *o);
void eal_stop(void);
