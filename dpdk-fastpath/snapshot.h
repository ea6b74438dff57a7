/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the workers know of the configuration: immutable views, published by the control side, read without a lock.
 * Pure but for atomics; `tables.c` makes them, workers only read.
 *
 * Life: the control side builds a new view of what changed (one service at a time: its destinations and its scheduler's
 * table), publishes its pointer with release order, and frees the old one when every worker has passed a quiescent
 * state (RCU QSBR). A worker loads the snapshot's pointer once per burst and keeps no pointer into it beyond.
 *
 * Destinations have ids that live longer than views: connections name them. An id is given to a key (service, address,
 * port) and is used again for the same key (a deleted destination that comes back gets its connections back, as in the
 * kernel); it is freed when the destination is deleted and no connection of any worker names it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dpdk-fastpath/conn-state.h"
#include "dpdk-fastpath/flow.h"
#include "ipvs/ruleset.h"

enum {
	/* IPVS_FORWARD_FULL_NAT (5) is the only forwarding method that the kernel lacks. */
	SNAPSHOT_DESTS_MAX = 1 << 18, /* ids; 0 is never given */
	SNAPSHOT_SERVICES_MAX = 1 << 16,
	SNAPSHOT_NEXTHOPS_MAX = 4096,
	SNAPSHOT_LOCALS_MAX = 4096, /* source addresses of full NAT */
	SNAPSHOT_WORKERS_MAX = 64,
};

/* A destination as new and as running connections need it. Immutable, but for `overloaded`, which is shared. */
struct dest_view {
	uint32_t id;
	uint16_t nexthop; /* index; 0 = none known */
	bool deleted;	  /* in the trash: of running connections only */
	uint8_t forward;
	uint32_t service_id;
	uint32_t weight, last_weight; /* last_weight: the last that was not 0; mh uses it */
	uint8_t addr[16];
	uint16_t port_be;
	uint8_t family;	  /* of addr: a tunnel's may differ from the service's */
	uint8_t protocol; /* the service's */
	uint8_t tunnel;	  /* enum ipvs_tunnel */
	uint16_t tunnel_port_be, tunnel_flags;
	uint32_t upper_threshold, lower_threshold;
};

struct sched_view; /* sched.h: what a scheduler precomputed from the list */
struct rules_view; /* rules.h: security groups; NULL = everybody */

/* What services and places are found by: their views begin with it. No padding: hashed and compared as bytes. */
struct snapshot_key {
	uint8_t addr[16];
	uint16_t port_be;
	uint8_t protocol, family;
};

/* A service. Immutable. Begins as struct snapshot_key. */
struct service_view {
	uint8_t addr[16];
	uint16_t port_be; /* 0 = every port */
	uint8_t protocol, family;
	uint32_t id;
	uint32_t generation;	/* grows with each change of the list or the scheduler: rr, wrr */
	uint32_t born;		/* the generation in which it, or its scheduler, began */
	int32_t round;		/* wrr: where a worker begins that has chosen nothing yet */
	uint32_t flags;		/* IPVS_SVC_* */
	uint32_t timeout_ticks; /* persistence */
	uint8_t netmask[16];	/* of the client's address, as bytes to be and-ed */
	/*
	 * Owner by the client's address alone, masked, so that one worker has all of a persistent client. The mask may
	 * be shorter than the service's own: services that share a destination share it.
	 */
	bool by_address;
	uint8_t owner_mask[16];
	const struct rules_view *rules; /* owned by the control side */
	const struct sched_view *sched; /* the same */
	size_t n_dests;
	const struct dest_view *dests[]; /* list order: head (newest) first */
};

/*
 * An address that means something; port and protocol are 0. Of a service; a source of full NAT; of destinations whose
 * answers belong to the owner by the client's masked address. Immutable. Begins as struct snapshot_key.
 */
struct place_view {
	uint8_t addr[16];
	uint16_t port_be;
	uint8_t protocol, family;
	bool is_service, is_local, by_address;
	uint8_t owner_mask[16];
};

/*
 * Hash of views by key: open addressing, capacity a power of two, entries NULL, a view, or &snapshot_gone, whose key
 * nobody asks for. Changed in place; a new array is published with a new struct snapshot.
 */
struct snapshot_index {
	size_t mask;
	const void *_Atomic *slots;
};

extern const struct place_view snapshot_gone;

/* Where frames go. The control side updates the address of a neighbour in place: one 64-bit store. */
struct nexthop {
	_Atomic uint64_t mac; /* bytes 0..5 in memory order, byte 6: 1 = resolved; 0 = unresolved */
	uint16_t port_index;
	uint16_t vlan_tci; /* 0 = untagged */
	uint16_t mtu;
	/* Our own addresses towards it, as a tunnel's source; zero = none. Written before a destination names it. */
	uint8_t source4[4], source6[16];
};

/* Its address as one word, of which the first PACKET_MAC_LEN bytes are the address. */
static inline uint64_t nexthop_mac(const struct nexthop *n)
{
	return atomic_load_explicit(&n->mac, memory_order_relaxed);
}

static inline bool nexthop_is_resolved(uint64_t mac)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");
	return mac >> (PACKET_MAC_LEN * 8) != 0;
}

static inline uint64_t nexthop_of_mac(const uint8_t mac[PACKET_MAC_LEN])
{
	uint32_t low;
	uint16_t high;

	memcpy(&low, mac, sizeof(low));
	memcpy(&high, mac + sizeof(low), sizeof(high));
	return low | (uint64_t)high << 32 | UINT64_C(1) << (PACKET_MAC_LEN * 8);
}

/* Options, most of them the kernel's sysctls of the same name under net.ipv4.vs. */
struct snapshot_options {
	bool expire_nodest_conn, expire_quiescent_template, sloppy_tcp, sloppy_sctp, nat_icmp_send;
	uint8_t conn_reuse_mode;
	/*
	 * RST to both sides of an established TCP connection whose destination is gone, when its next packet comes: a reset
	 * needs the sequence numbers of one.
	 */
	bool reset_on_expiry;
	bool stateless_when_full; /* mh and sh: forward without a record when the table is full (not nat, full NAT) */
};

struct snapshot {
	struct conn_timeouts timeouts;
	struct snapshot_options options;
	struct snapshot_index services; /* of struct service_view */
	struct snapshot_index places;	/* of struct place_view */
	bool any_port_services;		/* there may be services of port 0 */
	bool by_address;		/* there may be services with by_address */
	bool any_local;			/* there are or were sources of full NAT */
	/* By id; NULL = not in use. */
	const struct dest_view *_Atomic *dests;
	uint32_t dest_ids_end; /* ids are below it */
	/*
	 * By id: the next hop, where that is all that a packet of a running connection needs to know of its
	 * destination; 0 = ask `dests`. Small: it stays in the first-level cache.
	 */
	const uint16_t _Atomic *shortcuts;
	const struct flow_endpoint *endpoints; /* by destination id */
	struct nexthop *nexthops;
	/* Full NAT: locals[first..first+n) belong to this family. */
	const struct flow_local *locals;
	uint16_t local4_first, n_local4, local6_first, n_local6;
	unsigned n_workers;
	uint32_t
		deletions; /* grows when a destination is deleted: workers look for its connections */
};

/* The service of a packet to dst: exact port first, then port 0. NULL when there is none. */
const struct service_view *snapshot_find_service(const struct snapshot *s,
						 const struct flow_key *k);

/* Is this the address of any service, whatever protocol and port? (Echo is answered for these.) */
bool snapshot_has_address(const struct snapshot *s, uint8_t family, const uint8_t addr[16]);

static inline const struct dest_view *snapshot_dest(const struct snapshot *s, uint32_t id)
{
	return atomic_load_explicit(&s->dests[id], memory_order_acquire);
}

/* See struct snapshot. */
static inline uint16_t snapshot_shortcut(const struct snapshot *s, uint32_t dest_id)
{
	return atomic_load_explicit(&s->shortcuts[dest_id], memory_order_acquire);
}

/*
 * The worker that owns the packet's flow, from the packet alone; n_workers == 1: 0. To a virtual service: a hash over
 * the client's address and port (address alone, masked, where the service says so). To a source address of full NAT:
 * its port's range. Else it is an answer: the same hash over its destination.
 */
unsigned snapshot_owner(const struct snapshot *s, const struct flow_key *k);

/*
 * By address: the worker that owned the flow before its service was persistent, or shared a destination with one that
 * is; else the owner.
 */
unsigned snapshot_former_owner(const struct snapshot *s, const struct flow_key *k);

/* The same for every program and run: which array slot a key begins at. */
uint64_t snapshot_key_hash(const struct snapshot_key *k);

/*
 * The ports of each source address of full NAT that a worker gives out: first .. first + n - 1, in host order, from
 * 1024 up. snapshot_owner() goes by it.
 */
static inline void snapshot_local_ports(const struct snapshot *s, unsigned worker,
					uint16_t *ret_first, uint32_t *ret_n)
{
	uint32_t all = 65536 - 1024;
	/* The first x with x * n_workers / all == worker. */
	uint32_t first = (worker * all + s->n_workers - 1) / s->n_workers;
	uint32_t next = ((worker + 1) * all + s->n_workers - 1) / s->n_workers;

	*ret_first = (uint16_t)(1024 + first);
	*ret_n = next - first;
}
