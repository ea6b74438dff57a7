/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What one worker does with a burst: the heart of the fast path, kernel IPVS's ip_vs_in() and ip_vs_out() in one. Owns
 * its connections (flow.h), schedulers' cursors, fragments that wait and counters. Pure: packets are descriptors of
 * frames that the caller owns, the snapshot is lent for one call, time is a tick; sends nothing, says what to do.
 *
 * Answers go back the way the requests came: the frame of a client's packet says where its next hop is (port, MAC, VLAN
 * tag: a "peer"), so that no route is looked up for a client. Next hops of destinations are the control side's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/counters.h"
#include "dpdk-fastpath/flow.h"
#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/snapshot.h"

struct director;
struct rss_slot;

enum director_verdict {
	DIRECTOR_SEND,	    /* out of .port as it is now: addresses of the frame are set */
	DIRECTOR_FRAGMENT,  /* the same, but as fragments of at most .mtu bytes */
	DIRECTOR_EXCEPTION, /* to the kernel, unchanged */
	DIRECTOR_HANDOVER,  /* to worker .worker, unchanged */
	DIRECTOR_HOLD,	    /* kept by the director: it comes back from director_released() */
	DIRECTOR_DROP,	    /* .reason */
};

struct director_action {
	uint8_t verdict; /* enum director_verdict */
	uint8_t reason;	 /* enum counter */
	uint16_t port;
	uint16_t worker;
	uint16_t mtu;
};

/* One frame of a burst. `handle` is the caller's (its mbuf); packet.data may have moved on return. */
struct director_frame {
	struct packet packet;
	uint16_t port; /* where it came in */
	void *handle;
	struct director_action action;
};

struct director_config {
	unsigned worker, n_workers;
	struct flow_table_config flows;
	size_t max_fragments; /* that wait, per worker */
	uint64_t seed;
	struct dest_counters *dest_counters; /* this worker's, by id; borrowed */
	struct dest_counters *const
		*all_counters;	     /* every worker's, for lc, wlc, ... and thresholds */
	_Atomic uint8_t *overloaded; /* by id, shared by all workers */
	const uint8_t (*port_macs)[PACKET_MAC_LEN]; /* our address on each port; borrowed */
	const uint16_t *port_mtus;	 /* of IP packets, for answers; borrowed; 0 = no limit */
	const struct rss_slot *port_rss; /* by port; borrowed; NULL = not known of any */
	size_t n_ports;
};

enum {
	DIRECTOR_BURST_MAX = 64,
};

int director_new(const struct director_config *c, struct director **ret);
void director_free(struct director *d);

/*
 * Decides for n <= DIRECTOR_BURST_MAX parsed frames (packet_parse() was called); fills their actions and changes their
 * bytes where they are to be sent. `owned`: they were handed over by another worker, and are not handed on, but for
 * those of a connection that began under other owners.
 */
void director_run(struct director *d, const struct snapshot *s, uint32_t now_tick, bool owned,
		  struct director_frame *frames, unsigned n);

/* Frames that were held and have their answer now (the first fragment came, or time is up). Up to n; returns how many. */
unsigned director_released(struct director *d, const struct snapshot *s, uint32_t now_tick,
			   struct director_frame *frames, unsigned n);

/* Expiry of connections and fragments, bounded work. Call it after each burst, and when idle. */
void director_tick(struct director *d, const struct snapshot *s, uint32_t now_tick);

/* Resets that expiry asks for (snapshot_options.reset_on_expiry): writes one frame to data (128 bytes); 0 = none left. */
unsigned director_emit(struct director *d, const struct snapshot *s, uint8_t *data,
		       uint16_t *ret_port);

const struct counters *director_counters(const struct director *d);
struct flow_table *director_flows(struct director *d);

/*
 * Connections in and out, for moving them between planes: on the worker's own thread. A record as in struct flow with
 * the addresses spelled out.
 */
struct director_conn {
	struct flow_key key; /* client -> virtual */
	uint8_t dest[16];
	uint8_t dest_family; /* of a tunnel it may be another than the client's; 0 = the same */
	uint16_t dest_port_be;
	uint8_t local[16]; /* full NAT */
	uint16_t local_port_be;
	uint16_t flags; /* FLOW_* */
	uint8_t state;
	uint32_t timeout_sec, remaining_sec;
};

/* Up to n from *cursor on (0 at first); returns how many, 0 at the end. */
unsigned director_export(struct director *d, const struct snapshot *s, uint32_t now_tick,
			 uint32_t *cursor, struct director_conn *ret, unsigned n);

/*
 * -ENOENT: no such destination; -EEXIST: it is there with another destination; 0 also when it is there already
 * (refreshed). -EADDRNOTAVAIL: full NAT, and its source address is none of ours; -ENOSPC. -EINVAL: a state that its
 * protocol does not have. Answers go to the kernel until the client's next packet shows the way.
 */
int director_import(struct director *d, const struct snapshot *s, uint32_t now_tick,
		    const struct director_conn *c);
