/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ICMP error about a packet in one of our tunnels goes on to the client, as about the client's own packet: the
 * "special case" of ip_vs_in_icmp(), which knows IPv4 in IPv4 alone. The smaller MTU is not kept: each packet that is
 * too big has its own error.
 */
#include "dpdk-fastpath/director-internal.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/unaligned.h"

enum {
	IPV4_MTU_MIN = 68,
	ICMP_CODE = 1, /* offsets */
	ICMP_CHECKSUM = 2,
	ICMP_MTU = 6,
};

static bool is_through(const struct flow *f, const struct dest_view *dest,
		       const struct packet_tunnel *t)
{
	return (f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_TUNNEL && dest &&
	       dest->family == AF_INET && dest->tunnel == t->kind &&
	       memcmp(dest->addr, t->dst, sizeof(t->dst)) == 0 &&
	       (t->kind != IPVS_TUNNEL_GUE || dest->tunnel_port_be == t->dst_port_be);
}

static enum icmp_error error_of(const struct packet *p)
{
	if (p->icmp_type == ICMP_TIME_EXCEEDED)
		return ICMP_ERROR_TIME_EXCEEDED;
	return p->icmp_code == ICMP_FRAG_NEEDED ? ICMP_ERROR_TOO_BIG : ICMP_ERROR_HOST_UNREACHABLE;
}

/* icmp_make_error() knows few codes: RFC 1624 for the rest. */
static void set_code(struct packet *p, uint8_t code)
{
	uint8_t *icmp = p->data + p->l4_off;
	uint16_t old, new, checksum;

	memcpy(&old, icmp, sizeof(old));
	icmp[ICMP_CODE] = p->icmp_code = code;
	memcpy(&new, icmp, sizeof(new));
	memcpy(&checksum, icmp + ICMP_CHECKSUM, sizeof(checksum));
	checksum = rewrite_checksum_fold((uint32_t)(uint16_t)~checksum + (uint16_t)~old + new);
	memcpy(icmp + ICMP_CHECKSUM, &checksum, sizeof(checksum));
}

/* What the tunnel leaves of the MTU that the error tells. */
static uint32_t inner_mtu(const struct packet *p, uint32_t overhead)
{
	uint32_t mtu = unaligned_read_be16(p->data + p->l4_off + ICMP_MTU);

	return mtu > IPV4_MTU_MIN + overhead ? mtu - overhead : mtu;
}

static void relay(const struct director_pass *pass, struct director_frame *frame,
		  const struct packet *embedded, const struct flow *f)
{
	const struct packet error = frame->packet;
	struct packet inner = *embedded;
	uint32_t strip = (uint32_t)(embedded->l3_off - error.l3_off);
	uint32_t overhead = (uint32_t)(embedded->l3_off - error.l4_off) - ICMP_MINLEN;
	uint32_t mtu = inner_mtu(&error, overhead);
	uint8_t from[16];

	if (error_of(&error) == ICMP_ERROR_TOO_BIG && !inner.dont_fragment) {
		director_drop(pass, frame, COUNTER_DROP_UNREPORTED);
		return;
	}
	memcpy(from, inner.key.dst, sizeof(from));
	inner.headroom_bytes = error.headroom_bytes;
	inner.tailroom_bytes = error.tailroom_bytes;
	if (packet_insert(&inner, error.l3_off, -(int)strip) < 0 ||
	    icmp_make_error(&inner, error_of(&error), mtu, from) < 0) {
		director_drop(pass, frame, COUNTER_DROP_ROOM);
		return;
	}
	set_code(&inner, error.icmp_code);
	director_count_out(pass, snapshot_dest(pass->s, f->endpoint), &error);
	frame->packet = inner;
	director_send_to_peer(pass, frame, f->peer, COUNTER_ICMP_FORWARDED);
}

bool director_on_tunnel_error(const struct director_pass *pass, struct director_frame *frame)
{
	struct director *d = pass->d;
	struct packet_tunnel tunnel;
	struct packet inner;
	const struct flow *f;
	flow_ref ref;

	packet_parse_embedded_tunnel(&frame->packet, &inner, &tunnel);
	if (inner.kind != PACKET_FLOW || !snapshot_find_service(pass->s, &inner.key))
		return false;
	ref = flow_lookup(d->flows, &inner.key);
	if (ref == 0 && !pass->owned) {
		unsigned owner = snapshot_owner(pass->s, &inner.key);

		if (owner != d->config.worker) {
			director_hand_over(pass, frame, owner);
			return true;
		}
	}
	if (ref == 0 || FLOW_REF_REVERSE(ref))
		return false;
	f = flow_at(d->flows, FLOW_REF_INDEX(ref));
	if (!is_through(f, snapshot_dest(pass->s, f->endpoint), &tunnel) || f->peer == PEERS_NONE)
		return false;
	if (director_has_bad_checksum(&frame->packet))
		director_drop(pass, frame, COUNTER_DROP_BAD);
	else
		relay(pass, frame, &inner, f);
	return true;
}
