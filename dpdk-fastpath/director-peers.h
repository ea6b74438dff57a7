/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where clients' frames come from: port, VLAN and source MAC, under a number of 16 bits that fits into struct flow.
 * Behind a router all clients share one. Counted: a peer that no connection names is forgotten. Pure; one thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dpdk-fastpath/director.h"

enum {
	PEERS_NONE =
		0, /* also of connections that came from another plane, until their client speaks */
	PEERS_MAX = 16383,
	PEERS_BUCKETS = 4096,
	PEERS_VLAN_ID = 0x0fff, /* without the priority, which may differ from frame to frame */
};

/* The next hop of answers; its MTU is the port's, and not kept here. That of PEERS_NONE is not resolved. */
struct peer {
	struct nexthop nexthop;
	uint32_t references;
	uint16_t next; /* in the chain of its bucket, or of those that are free */
};

struct peers {
	struct peer at[PEERS_MAX + 1];
	uint16_t buckets[PEERS_BUCKETS];
	uint16_t free;
};

void peers_init(struct peers *p);

/* The number of the frame's sender, with one more reference; PEERS_NONE when there is no room. */
uint16_t peers_get(struct peers *p, const struct director_frame *f);
/* PEERS_NONE is allowed. */
void peers_put(struct peers *p, uint16_t peer);

/* PEERS_NONE is nobody. */
static inline bool peers_is(const struct peers *p, uint16_t peer, const struct director_frame *f)
{
	const struct nexthop *n = &p->at[peer].nexthop;

	return ((nexthop_mac(n) ^ nexthop_of_mac(f->packet.data + PACKET_MAC_LEN)) |
		(n->port_index ^ f->port) | (n->vlan_tci ^ (f->packet.vlan_tci & PEERS_VLAN_ID))) ==
	       0;
}
