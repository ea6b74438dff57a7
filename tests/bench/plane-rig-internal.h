/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What plane-rig.c sets up and plane-rig-traffic.c drives. */

#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <systemd/sd-event.h>

#include "dpdk-fastpath/packet-worker.h"
#include "dpdk-fastpath/port.h"
#include "dpdk-fastpath/reclaim.h"
#include "dpdk-fastpath/tables.h"
#include "tests/bench/plane-rig.h"

enum {
	PLANE_RIG_VIRTUAL_ADDRESS = 0xcb007101, /* 203.0.113.1 */
	PLANE_RIG_VIRTUAL_PORT = 80,
};

extern const uint8_t plane_rig_our_mac[PACKET_MAC_LEN], plane_rig_client_mac[PACKET_MAC_LEN],
	plane_rig_dest_mac[PACKET_MAC_LEN];

/* What the answer to a flow looks like. */
struct plane_rig_answer {
	uint32_t src_be, dst_be;
	uint16_t sport_be, dport_be;
};

struct plane_rig_lane {
	struct rte_ring *rx, *tx;	     /* owned */
	struct worker *worker;		     /* owned */
	struct dest_counters *dest_counters; /* owned */
	struct rte_mbuf *mbufs[PLANE_RIG_FRAMES];
	uint32_t *flows; /* owned; those open that the worker owns */
	size_t n_flows;
	uint64_t random;
};

struct plane_rig {
	struct plane_rig_config config;
	struct plane_rig_lane lanes[PLANE_RIG_LANES];
	struct rte_mempool *pool; /* owned */
	struct port port;
	struct worker_shared shared;
	struct worker *workers[PLANE_RIG_LANES];	      /* borrowed */
	struct dest_counters *dest_counters[PLANE_RIG_LANES]; /* borrowed */
	struct tables *tables;				      /* owned */
	sd_event *event;				      /* owned; of `reclaim` */
	struct reclaim *reclaim;			      /* owned */
	_Atomic uint8_t *overloaded;			      /* owned */
	struct nexthop *nexthops;			      /* owned */
	struct plane_rig_answer *answers;		      /* owned */
	struct ipvs_service service;
	unsigned n_frames;	   /* of a steady pass */
	pthread_barrier_t barrier; /* of plane_rig_mixed() */
	uint16_t mtu;
};

void plane_rig_die(const char *what, int error) __attribute__((noreturn));
