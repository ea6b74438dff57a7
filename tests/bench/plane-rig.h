/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Workers of the fast path on a port in memory (DPDK's net_ring), driven by the calling threads, so that their own code
 * and no driver is measured: receive burst → parse → director → transmit burst, as in ipvsd-fastpath. What that
 * leaves out: the driver, DMA, and frames that come cold from memory.
 *
 * IPv4, frames of 60 bytes (64 with the FCS). Header checksums of frames that come in count as verified, as ENA
 * and most ports do. Clients are made up from the number of the flow.
 *
 * A lane is a worker with its queue of the port and its frames. Different threads may use different lanes at the same
 * time; plane_rig_open(), plane_rig_lives() and plane_rig_give() use all of them. Functions abort the program after a
 * line on standard error, also when a frame does not come out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipvs/ruleset.h"

enum {
	PLANE_RIG_FRAMES = 16384, /* of a lane, in flight: beyond the second-level cache */
	PLANE_RIG_LANES = 2,
};

struct plane_rig_config {
	enum ipvs_forward forward;
	const char *scheduler;
	unsigned n_dests;
	size_t max_flows;
	unsigned n_lanes;
	bool udp; /* else TCP */
	bool requests_only;
};

struct plane_rig;

/* Once, before the first rig. Pins the calling thread to processor 0. */
void plane_rig_environment(const char *program);

/* Whether there are hugepages for buffers like ours. */
bool plane_rig_hugepages(void);

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
	/* Cycles of each of the worker's turns, while there is room. Borrowed, may be NULL. */
	uint32_t *turns;
	size_t n_turns, max_turns;
};

/*
 * Opens flows [0, n): by handshake (SYN, answer, ACK), or by one UDP packet. What answers must look like is learned
 * from the first that comes out. Each flow is opened at the worker that owns it.
 */
void plane_rig_open(struct plane_rig *r, size_t n);

/*
 * How many frames of a lane are in flight in plane_rig_steady(), at most PLANE_RIG_FRAMES: that many at first. Few of
 * them stay in the cache, as those of a port's receive ring may.
 */
void plane_rig_set_frames(struct plane_rig *r, unsigned n);

/*
 * `passes` times PLANE_RIG_FRAMES packets of random flows that are open and the lane's own, both directions where
 * answers pass here. Adds to *t.
 */
void plane_rig_steady(struct plane_rig *r, unsigned lane, enum plane_rig_work work, unsigned passes,
		      struct plane_rig_time *t);

/* Whole lives of flows [first, first + n), one lane: SYN, SYN+ACK, ACK, FIN, FIN+ACK, ACK. *t counts flows as frames. */
void plane_rig_lives(struct plane_rig *r, size_t first, size_t n, struct plane_rig_time *t);

/*
 * Two lanes, one thread: frames of lane 1's flows come in at lane 0, which hands them over.
 */
struct plane_rig_gift {
	struct plane_rig_time giver; /* lane 0 takes them in and hands them over */
	struct plane_rig_time owner; /* lane 1 takes them from the ring and forwards them */
	struct plane_rig_time home;  /* lane 1, where as many come in by its own queue */
};
void plane_rig_give(struct plane_rig *r, unsigned passes, struct plane_rig_gift *t);

/*
 * Two lanes, two threads that call this at the same time: frames of all open flows come in at either lane, so that half
 * of them are handed over. *t: until the last of both lanes' frames is out, but for
 * turns that find nothing to do.
 */
void plane_rig_mixed(struct plane_rig *r, unsigned lane, unsigned passes, struct plane_rig_time *t);

/* All memory of the flow table of lane 0. */
size_t plane_rig_flow_bytes(const struct plane_rig *r);

/*
 * Changes the weight of one destination and publishes, as the control thread does, also while lanes are busy in other
 * threads; what is retired is freed when they have moved on. Always from one thread.
 */
void plane_rig_change(struct plane_rig *r, unsigned number);
