/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/director-peers.h"

void peers_init(struct peers *p)
{
	memset(p, 0, sizeof(*p));
	for (uint16_t i = PEERS_MAX; i > 0; i--) {
		p->at[i].next = p->free;
		p->free = i;
	}
}

static uint16_t *bucket_of(struct peers *p, const struct peer *peer)
{
	uint64_t word;

	word = nexthop_mac(&peer->nexthop);
	word ^= (uint64_t)peer->nexthop.port_index << 48 ^ (uint64_t)peer->nexthop.vlan_tci << 36;
	word *= UINT64_C(0x9e3779b97f4a7c15);
	return &p->buckets[(word >> 32) % PEERS_BUCKETS];
}

uint16_t peers_get(struct peers *p, const struct director_frame *f)
{
	struct peer new = { .nexthop = { .mac = nexthop_of_mac(f->packet.data + PACKET_MAC_LEN),
					 .vlan_tci = f->packet.vlan_tci & PEERS_VLAN_ID,
					 .port_index = f->port } };
	uint16_t *bucket, i;

	bucket = bucket_of(p, &new);
	for (i = *bucket; i != PEERS_NONE; i = p->at[i].next) {
		if (peers_is(p, i, f)) {
			p->at[i].references++;
			return i;
		}
	}
	i = p->free;
	if (i == PEERS_NONE)
		return PEERS_NONE;
	p->free = p->at[i].next;
	new.next = *bucket;
	new.references = 1;
	p->at[i] = new;
	*bucket = i;
	return i;
}

void peers_put(struct peers *p, uint16_t peer)
{
	struct peer *at = &p->at[peer];
	uint16_t *link;

	if (peer == PEERS_NONE || --at->references > 0)
		return;
	link = bucket_of(p, at);
	while (*link != peer)
		link = &p->at[*link].next;
	*link = at->next;
	at->next = p->free;
	p->free = peer;
}
