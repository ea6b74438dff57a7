/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A worker of the fast path on a port in memory (DPDK's net_ring), driven by the calling thread, so that its own code
 * and no driver is measured: receive burst → parse → director → transmit burst, as in ipvsd-fastpath. What that
 * leaves out: the driver, DMA, and frames that come cold from memory.
 *
 * IPv4, TCP, frames of 60 bytes (64 with the FCS). Header checksums of frames that come in count as verified, as ENA
 * and most ports do. Clients are made up from the number of the flow.
 *
 * Functions abort the program after a line on standard error.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipvs/ruleset.h"

enum {
	PLANE_RIG_FRAMES = 16384, /* in flight: beyond the second-level cache */
};

struct plane_rig_config {
	enum ipvs_forward forward;
	const char *scheduler;
	unsigned n_dests;
	size_t max_flows;
};

struct plane_rig;

/* Once, before the first rig. */
void plane_rig_environment(const char *program);

struct plane_rig *plane_rig_new(const struct plane_rig_config *c);
void plane_rig_free(struct plane_rig *r);

/* What is done with the frames of a pass. */
enum plane_rig_work {
	PLANE_RIG_DIRECTOR, /* all of it: the worker's turns */
	PLANE_RIG_LIMIT, /* look up the flow by the same table and rewrite the headers, no more */
	PLANE_RIG_MACSWAP,
	PLANE_RIG_NOTHING,
};

/* CPU time of the calling thread, and cycles of the TSC. */
struct plane_rig_time {
	double nsec;
	double cycles;
	size_t frames;
};

/* Opens flows [0, n) by handshake: SYN, answer, ACK; what answers must look like is learned from the SYN that comes out. */
void plane_rig_open(struct plane_rig *r, size_t n);

/* `passes` times PLANE_RIG_FRAMES packets of random flows below n, both directions where answers pass here. Adds to *t. */
void plane_rig_steady(struct plane_rig *r, enum plane_rig_work work, size_t n, unsigned passes,
		      struct plane_rig_time *t);

/*
 * Whole lives of flows [first, first + n): SYN, SYN+ACK, ACK, FIN, FIN+ACK, ACK. *t counts flows as frames.
 */
void plane_rig_lives(struct plane_rig *r, size_t first, size_t n, struct plane_rig_time *t);

/* All memory of the flow table. */
size_t plane_rig_flow_bytes(const struct plane_rig *r);

/* Changes the weight of one destination and publishes, as the control thread does: from another thread. */
void plane_rig_change(struct plane_rig *r, unsigned number);
