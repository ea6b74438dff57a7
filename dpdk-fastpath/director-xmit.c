/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a packet leaves: the modes, TTL and MTU, addresses of the frame. What ip_vs_xmit.c does, and ip_forward() for
 * answers.
 */
#include "dpdk-fastpath/director-internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "dpdk-fastpath/rewrite-hop.h"
#include "dpdk-fastpath/rewrite.h"

enum {
	/* Below these __ip_vs_get_out_rt() and __ip_vs_get_out_rt_v6() send nothing through a tunnel. */
	TUNNEL_MTU_MIN_IPV4 = 68,
	TUNNEL_MTU_MIN_IPV6 = 1280,
};

bool director_nexthop_mac(const struct nexthop *n, uint8_t ret[PACKET_MAC_LEN])
{
	uint64_t mac = nexthop_mac(n);

	memcpy(ret, &mac, PACKET_MAC_LEN);
	return nexthop_is_resolved(mac);
}

bool director_source(const struct nexthop *n, uint8_t family, uint8_t ret[16])
{
	static const uint8_t none[16];

	memset(ret, 0, 16);
	if (family == AF_INET)
		memcpy(ret, n->source4, sizeof(n->source4));
	else
		memcpy(ret, n->source6, sizeof(n->source6));
	return memcmp(ret, none, sizeof(none)) != 0;
}

void director_error(const struct director_pass *pass, struct director_frame *f, enum icmp_error e,
		    uint32_t mtu, const uint8_t from[16])
{
	uint8_t address[16];
	int r = -ENOMSG;

	/* `from` may lie within what is changed */
	memcpy(address, from, sizeof(address));
	if (e == ICMP_ERROR_TOO_BIG ||
	    director_take(pass, &pass->d->errors, DIRECTOR_ERRORS_PER_SEC))
		r = icmp_make_error(&f->packet, e, mtu, address);
	if (r == 0)
		director_sent(pass, f, f->port, COUNTER_ICMP_SENT);
	else
		director_drop(pass, f, r == -ENOBUFS ? COUNTER_DROP_ROOM : COUNTER_DROP_UNREPORTED);
}

/* mtu 0: no fragments. */
static void leave(const struct director_pass *pass, struct director_frame *f, uint16_t port,
		  const uint8_t mac[PACKET_MAC_LEN], uint16_t vlan_tci, uint16_t mtu,
		  enum counter c)
{
	if (rewrite_ethernet(&f->packet, pass->d->config.port_macs[port], mac, vlan_tci) < 0) {
		director_drop(pass, f, COUNTER_DROP_ROOM);
		return;
	}
	director_sent(pass, f, port, c);
	if (mtu) {
		f->action.verdict = DIRECTOR_FRAGMENT;
		f->action.mtu = mtu;
	}
}

static void leave_to_peer(const struct director_pass *pass, struct director_frame *f, uint16_t peer,
			  uint16_t mtu, enum counter c)
{
	const struct nexthop *n = &pass->d->peers.at[peer].nexthop;
	uint8_t mac[PACKET_MAC_LEN];

	(void)director_nexthop_mac(n, mac);
	leave(pass, f, n->port_index, mac, n->vlan_tci, mtu, c);
}

void director_send_to_peer(const struct director_pass *pass, struct director_frame *f,
			   uint16_t peer, enum counter c)
{
	leave_to_peer(pass, f, peer, 0, c);
}

static bool tunnel_of(const struct director_pass *pass, const struct dest_view *dest,
		      const struct nexthop *n, struct rewrite_tunnel *ret)
{
	*ret = (struct rewrite_tunnel){
		.kind = dest->tunnel,
		.family = dest->family,
		.port_be = dest->tunnel_port_be,
		.flags = dest->tunnel_flags,
		.ipv4_id = pass->d->ipv4_id++,
	};
	memcpy(ret->dst, dest->addr, sizeof(ret->dst));
	return director_source(n, dest->family, ret->src);
}

/*
 * decrement_ttl() and ensure_mtu_is_adequate(). mtu is what the tunnel leaves; 0 = no limit. False: the frame has its
 * action. *ret_fragment: it must leave in fragments.
 */
static bool may_send_request(const struct director_pass *pass, struct director_frame *f,
			     uint32_t mtu, bool *ret_fragment)
{
	struct packet *p = &f->packet;
	bool is_error = p->kind == PACKET_ICMP_ERROR;

	*ret_fragment = false;
	if (p->ttl <= 1) {
		director_error(pass, f, ICMP_ERROR_TIME_EXCEEDED, 0, p->key.dst);
		return false;
	}
	if (mtu == 0 || director_ip_bytes(p) <= mtu)
		return true;
	if (p->dont_fragment && !(is_error && p->key.family == AF_INET)) {
		rewrite_ttl(p); /* the kernel counts the hop before it looks at the MTU */
		director_error(pass, f, ICMP_ERROR_TOO_BIG, mtu, p->key.dst);
		return false;
	}
	*ret_fragment = true;
	return true;
}

/* Of nat and full NAT: a packet that one direction's key finds leaves as the other's, reversed; and the hop. */
static int translate(const struct director_pass *pass, struct packet *p, const struct flow *flow,
		     bool is_answer)
{
	struct flow_side to = flow_side(pass->d->flows, flow, !is_answer);

	return rewrite_hop(p, to.dst, to.src, to.ports << 16 | to.ports >> 16);
}

/* Not inlined: what it has on the stack would burden the other modes. */
static __attribute__((noinline)) void send_through_tunnel(const struct director_pass *pass,
							  struct director_frame *f,
							  const struct dest_view *dest,
							  const struct nexthop *n, enum counter c)
{
	struct packet *p = &f->packet;
	struct rewrite_tunnel t;
	uint8_t mac[PACKET_MAC_LEN];
	uint32_t mtu, overhead;
	bool fragment;

	if (!tunnel_of(pass, dest, n, &t)) {
		director_drop(pass, f, COUNTER_DROP_NEXTHOP);
		return;
	}
	overhead = rewrite_tunnel_overhead(&t);
	mtu = n->mtu > overhead ? n->mtu - overhead : 0;
	if (n->mtu != 0 &&
	    mtu < (dest->family == AF_INET ? TUNNEL_MTU_MIN_IPV4 : TUNNEL_MTU_MIN_IPV6)) {
		director_drop(pass, f, COUNTER_DROP_ROOM);
		return;
	}
	if (!may_send_request(pass, f, mtu, &fragment))
		return;
	if (!director_nexthop_mac(n, mac)) {
		director_drop(pass, f, COUNTER_DROP_NEXTHOP);
		return;
	}
	rewrite_ttl(p);
	/* Fragments are made of the outer packet, as ip_do_fragment() and ip6_fragment() do. */
	if (rewrite_tunnel_push(p, &t) < 0) {
		director_drop(pass, f, COUNTER_DROP_ROOM);
		return;
	}
	leave(pass, f, n->port_index, mac, n->vlan_tci, fragment ? n->mtu : 0, c);
}

static void send_natively(const struct director_pass *pass, struct director_frame *f,
			  const struct flow *flow, const struct nexthop *n, enum counter c)
{
	struct packet *p = &f->packet;
	uint8_t mac[PACKET_MAC_LEN];
	bool fragment;

	if (!may_send_request(pass, f, n->mtu, &fragment))
		return;
	if (!director_nexthop_mac(n, mac)) {
		director_drop(pass, f, COUNTER_DROP_NEXTHOP);
		return;
	}
	/* Of an ICMP error director-icmp.c has changed what it embeds: addresses of the outer packet are left. */
	if (!director_is_nat(flow->flags) || p->kind == PACKET_ICMP_ERROR) {
		rewrite_ttl(p);
	} else if (translate(pass, p, flow, false) < 0) {
		director_drop(pass, f, COUNTER_DROP_ROOM);
		return;
	}
	leave(pass, f, n->port_index, mac, n->vlan_tci, fragment ? n->mtu : 0, c);
}

void director_send_request(const struct director_pass *pass, struct director_frame *f,
			   const struct flow *flow, const struct dest_view *dest)
{
	const struct nexthop *n = &pass->s->nexthops[dest->nexthop];
	enum counter c = f->packet.kind == PACKET_ICMP_ERROR ? COUNTER_ICMP_FORWARDED
							     : COUNTER_FORWARDED_IN;

	switch (flow->flags & FLOW_FWD_MASK) {
	case IPVS_FORWARD_MASQ:
	case IPVS_FORWARD_FULL_NAT:
	case IPVS_FORWARD_ROUTE:
		if (dest->nexthop == 0)
			break;
		send_natively(pass, f, flow, n, c);
		return;
	case IPVS_FORWARD_TUNNEL:
		if (dest->nexthop == 0)
			break;
		send_through_tunnel(pass, f, dest, n, c);
		return;
	default:
		director_except(pass, f);
		return;
	}
	director_drop(pass, f, COUNTER_DROP_NEXTHOP);
}

static uint16_t mtu_of_peer(const struct director *d, uint16_t peer)
{
	return d->config.port_mtus[d->peers.at[peer].nexthop.port_index];
}

/*
 * Full NAT: the answer was sent to an address of ours. Else the kernel sends errors from its address towards the
 * destination; where we do not have it, the packet goes to the kernel.
 */
static __attribute__((noinline)) void answer_error(const struct director_pass *pass,
						   struct director_frame *f,
						   const struct flow *flow, enum icmp_error e,
						   uint32_t mtu)
{
	const struct dest_view *dest = snapshot_dest(pass->s, flow->endpoint);
	uint8_t from[16];

	if (f->packet.kind == PACKET_ICMP_ERROR)
		director_drop(pass, f, COUNTER_DROP_UNREPORTED);
	else if ((flow->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT)
		director_error(pass, f, e, mtu, f->packet.key.dst);
	else if (dest && director_source(&pass->s->nexthops[dest->nexthop], dest->family, from))
		director_error(pass, f, e, mtu, from);
	else
		director_except(pass, f);
}

bool director_may_send_answer(const struct director_pass *pass, struct director_frame *f,
			      const struct flow *flow)
{
	const struct packet *p = &f->packet;
	uint32_t mtu = mtu_of_peer(pass->d, flow->peer);

	if (p->ttl <= 1) {
		answer_error(pass, f, flow, ICMP_ERROR_TIME_EXCEEDED, 0);
		return false;
	}
	if (mtu != 0 && p->dont_fragment && director_ip_bytes(p) > mtu) {
		answer_error(pass, f, flow, ICMP_ERROR_TOO_BIG, mtu);
		return false;
	}
	return true;
}

void director_send_answer(const struct director_pass *pass, struct director_frame *f,
			  const struct flow *flow)
{
	struct packet *p = &f->packet;
	uint16_t mtu = mtu_of_peer(pass->d, flow->peer);
	bool fragment = mtu != 0 && director_ip_bytes(p) > mtu;

	if (p->kind == PACKET_ICMP_ERROR) {
		rewrite_ttl(p);
	} else if (translate(pass, p, flow, true) < 0) {
		director_drop(pass, f, COUNTER_DROP_ROOM);
		return;
	}
	leave_to_peer(pass, f, flow->peer, fragment ? mtu : 0,
		      p->kind == PACKET_ICMP_ERROR ? COUNTER_ICMP_FORWARDED
						   : COUNTER_FORWARDED_OUT);
}
