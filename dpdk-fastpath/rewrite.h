/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Changes of packets in place. Pure. Checksums of IP, TCP, UDP and SCTP are updated from what changes (RFC 1624; the
 * CRC of SCTP is linear too): a checksum that was wrong stays wrong, no payload is read, and a UDP checksum of 0 (none)
 * stays 0. Of later fragments only addresses change.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dpdk-fastpath/packet.h"

/*
 * Writes addresses and ports of `to` (same family and protocol) over those of a PACKET_FLOW or PACKET_FRAGMENT, whatever
 * changed, and p->key. -EMSGSIZE, and nothing changed: other ports for a fragment of SCTP, whose CRC covers all
 * fragments.
 */
int rewrite_flow(struct packet *p, const struct flow_key *to);

/* TTL or hop limit minus one, with IPv4's checksum. The caller has seen that it is above 1. */
void rewrite_ttl(struct packet *p);

/* Addresses of a frame that neither has a tag nor gets one; dst is the first bytes of the word in memory. */
static inline void rewrite_macs(struct packet *p, const uint8_t src[PACKET_MAC_LEN], uint64_t dst)
{
	memcpy(p->data, &dst, PACKET_MAC_LEN);
	memcpy(p->data + PACKET_MAC_LEN, src, PACKET_MAC_LEN);
}

/* For rewrite_ethernet() alone: where there is, or was, a tag. */
int rewrite_ethernet_tag(struct packet *p, uint16_t vlan_tci);

/* Addresses of the frame; inserts, changes or removes the VLAN tag (0 = none): data moves by 4. -ENOBUFS: no headroom. */
static inline int rewrite_ethernet(struct packet *p, const uint8_t src[PACKET_MAC_LEN],
				   const uint8_t dst[PACKET_MAC_LEN], uint16_t vlan_tci)
{
	if (__builtin_expect(vlan_tci != 0 || p->l3_off > PACKET_ETHERNET_LEN, false)) {
		int r = rewrite_ethernet_tag(p, vlan_tci);

		if (r < 0)
			return r;
	}
	memcpy(p->data, dst, PACKET_MAC_LEN);
	memcpy(p->data + PACKET_MAC_LEN, src, PACKET_MAC_LEN);
	return 0;
}

/*
 * An ICMP error whose embedded packet (packet_parse_embedded(): a PACKET_FLOW) belongs to a connection: the outer packet
 * goes from/to `outer` (addresses only), the embedded one reads as `inner`. As ip_vs_nat_icmp() and
 * ip_vs_nat_icmp_v6() do it: the embedded transport checksum is left alone, the embedded IPv4 header's is made anew,
 * that of ICMP is kept right. Both keys are updated.
 */
void rewrite_icmp_error(struct packet *p, struct packet *embedded, const struct flow_key *outer,
			const struct flow_key *inner);

/* Outer headers of a tunnel. Outer addresses of one family, in the first four bytes or all 16. */
struct rewrite_tunnel {
	uint8_t kind;	/* enum ipvs_tunnel */
	uint8_t family; /* of the outer addresses */
	uint8_t src[16], dst[16];
	uint16_t port_be; /* GUE */
	uint16_t flags;	  /* TUN_FLAGS of linux/ip_vs.h: 1 = csum, 2 = remcsum */
	uint16_t ipv4_id; /* not used where DF is set: 0 then, as ip_select_ident() */
};

/* Bytes that rewrite_tunnel_push() puts in front of the IP header. */
unsigned rewrite_tunnel_overhead(const struct rewrite_tunnel *t);

/*
 * Puts the headers in front of the IP header as ip_vs_tunnel_xmit() and ip_vs_tunnel_xmit_v6() do: TTL, TOS (with CE
 * as ECT(0)) and DF are those of the inner packet, of IPv6 in IPv4 DF is clear; GUE's source port comes from a hash of
 * the inner flow, of the addresses alone for fragments. remcsum is csum, as in the kernel for packets that a port
 * received. p describes the outer packet afterwards. -ENOBUFS: no headroom. -EMSGSIZE: too long for IP, or a checksum
 * over segments. -EINVAL: no such tunnel.
 */
int rewrite_tunnel_push(struct packet *p, const struct rewrite_tunnel *t);

/*
 * Ones' complement sum over bytes, not folded, and its complement as it is stored: both in the machine's own order
 * (RFC 1071). All parts of one sum but the last are of even length.
 */
uint32_t rewrite_checksum_add(uint32_t sum, const void *bytes, uint32_t len_bytes);
uint16_t rewrite_checksum_fold(uint32_t sum);
