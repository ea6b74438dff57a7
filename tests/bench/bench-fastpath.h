/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The topics of bench-fastpath: each prints its table. `rounds` is how many samples a figure has. */

#include <stddef.h>

#include "tests/bench/plane-rig.h"
#include "tests/bench/stats.h"

enum {
	BENCH_DESTS = 1000,
	BENCH_PASSES = 24, /* of PLANE_RIG_FRAMES: 0.4 million packets a sample */
	BENCH_FLOWS = 1000000,
};

/* Leaves the samples in their order. */
struct stats_spread bench_spread(const struct stats_series *s);

/* Time of a worker's turn, with and without a thousand changes of the configuration a second. */
void bench_changes(unsigned rounds, size_t flows);

/* One worker and two, and what handing over costs. */
void bench_workers(unsigned rounds, size_t flows);

/* dpdk-testpmd's macswap beside ours, on net_ring both. */
void bench_testpmd(unsigned rounds, size_t flows);
