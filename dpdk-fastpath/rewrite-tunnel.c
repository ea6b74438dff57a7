/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/ip-header.h"
#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/unaligned.h"
#include "ipvs/ruleset.h"

enum {
	FLAG_CSUM = 1, /* IP_VS_TUNNEL_ENCAP_FLAG_* of linux/ip_vs.h */
	FLAG_REMCSUM = 2,

	UDP_LEN = 8,
	GUE_LEN = 4,
	GRE_LEN = 4,
	GRE_CHECKSUM_LEN = 4,
	GRE_FLAG_CHECKSUM = 0x8000,

	/* The kernel's default of net.ipv4.ip_local_port_range, where udp_flow_src_port() takes GUE's ports from. */
	PORT_FIRST = 32768,
	PORT_LAST = 60999,

	ECN_MASK = 3,
	ECN_ECT_0 = 2,
	ECN_CE = 3,
};

static bool with_checksum(const struct rewrite_tunnel *t)
{
	return t->flags & (t->kind == IPVS_TUNNEL_GUE	? FLAG_CSUM | FLAG_REMCSUM
			   : t->kind == IPVS_TUNNEL_GRE ? FLAG_CSUM
							: 0);
}

static unsigned inside_bytes(const struct rewrite_tunnel *t)
{
	switch (t->kind) {
	case IPVS_TUNNEL_GUE:
		return UDP_LEN + GUE_LEN;
	case IPVS_TUNNEL_GRE:
		return GRE_LEN + (with_checksum(t) ? GRE_CHECKSUM_LEN : 0);
	default:
		return 0;
	}
}

unsigned rewrite_tunnel_overhead(const struct rewrite_tunnel *t)
{
	return ip_header_bytes(t->family) + inside_bytes(t);
}

/* Only to spread flows: a receiver's RSS and the network's ECMP see the outer ports. */
static uint16_t source_port_be(const struct packet *p)
{
	uint64_t hash = 0, words[4];
	uint32_t ports = 0;

	memcpy(words, p->key.src, sizeof(words)); /* and dst */
	if (!p->is_fragment)
		memcpy(&ports, &p->key.src_port_be, sizeof(ports));
	for (unsigned i = 0; i < 4; i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u ^ hash >> 29;
	hash = (hash ^ ports) * 0x9e3779b97f4a7c15u;
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15u;
	return htobe16(
		(uint16_t)(PORT_FIRST + ((hash >> 32) * (PORT_LAST - PORT_FIRST + 1) >> 32)));
}

/* INET_ECN_encapsulate(tos, tos) of ip_vs_prepare_tunneled_skb(). */
static uint8_t outer_tos(uint8_t tos)
{
	return (tos & ECN_MASK) == ECN_CE ? (uint8_t)((tos & ~ECN_MASK) | ECN_ECT_0) : tos;
}

/* ipvs_gue_encap(): version 0, a data message of IPv4 or IPv6, no options. */
static void write_gue(struct packet *p, const struct rewrite_tunnel *t, uint8_t inner_protocol)
{
	uint8_t *udp = p->data + p->l4_off, *gue = udp + UDP_LEN;
	uint16_t checksum;

	memcpy(udp, &p->key.src_port_be, 2);
	memcpy(udp + 2, &p->key.dst_port_be, 2);
	unaligned_write_be16(udp + 4, (uint16_t)(p->len_bytes - p->l4_off));
	memset(udp + 6, 0, 2);
	gue[0] = 0;
	gue[1] = inner_protocol;
	unaligned_write_be16(gue + 2, 0);
	if (!with_checksum(t))
		return;
	checksum = ip_header_transport_checksum(p);
	if (!checksum)
		checksum = 0xffff;
	memcpy(udp + 6, &checksum, sizeof(checksum));
}

/* ipvs_gre_encap() and gre_build_header(): no key, no sequence number. */
static void write_gre(struct packet *p, const struct rewrite_tunnel *t, uint8_t inner_protocol)
{
	uint8_t *gre = p->data + p->l4_off;
	uint16_t checksum;

	unaligned_write_be16(gre, with_checksum(t) ? GRE_FLAG_CHECKSUM : 0);
	unaligned_write_be16(gre + 2, inner_protocol == IPPROTO_IPIP ? ETH_P_IP : ETH_P_IPV6);
	if (!with_checksum(t))
		return;
	memset(gre + GRE_LEN, 0, GRE_CHECKSUM_LEN);
	checksum = rewrite_checksum_fold(rewrite_checksum_add(0, gre, p->len_bytes - p->l4_off));
	memcpy(gre + GRE_LEN, &checksum, sizeof(checksum));
}

int rewrite_tunnel_push(struct packet *p, const struct rewrite_tunnel *t)
{
	uint8_t inner_protocol = p->key.family == AF_INET ? IPPROTO_IPIP : IPPROTO_IPV6;
	unsigned overhead = rewrite_tunnel_overhead(t);
	/* Without DF for IPv6 in IPv4, though IPv6 itself never lets routers fragment. */
	bool dont_fragment = p->key.family == AF_INET && p->dont_fragment;
	struct ip_header h = {
		.key.family = t->family,
		.tos = outer_tos(p->tos),
		.ttl = p->ttl,
		.dont_fragment = dont_fragment,
		.ipv4_id = dont_fragment ? 0 : t->ipv4_id,
	};
	int r;

	memcpy(h.key.src, t->src, t->family == AF_INET ? 4 : 16);
	memcpy(h.key.dst, t->dst, t->family == AF_INET ? 4 : 16);
	switch (t->kind) {
	case IPVS_TUNNEL_IPIP:
		h.key.protocol = inner_protocol;
		break;
	case IPVS_TUNNEL_GUE:
		h.key.protocol = IPPROTO_UDP;
		h.key.src_port_be = source_port_be(p);
		h.key.dst_port_be = t->port_be;
		break;
	case IPVS_TUNNEL_GRE:
		h.key.protocol = IPPROTO_GRE;
		break;
	default:
		return -EINVAL;
	}
	/* 65535 bytes are IPv4's limit with its header, IPv6's without, and then a UDP length's. */
	if (p->len_bytes - p->l3_off + overhead - (t->family == AF_INET6 ? PACKET_IPV6_LEN : 0) >
	    65535)
		return -EMSGSIZE;
	if (with_checksum(t) && p->linear_bytes != p->len_bytes)
		return -EMSGSIZE;
	r = packet_insert(p, p->l3_off, (int)overhead);
	if (r < 0)
		return r;
	p->l3_off = (uint16_t)(p->l3_off - overhead);
	ip_header_write(p, &h, t->kind == IPVS_TUNNEL_GUE ? PACKET_FLOW : PACKET_OTHER);
	if (t->kind == IPVS_TUNNEL_GUE)
		write_gue(p, t, inner_protocol);
	else if (t->kind == IPVS_TUNNEL_GRE)
		write_gre(p, t, inner_protocol);
	return 0;
}
