/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Changes of packets in place. Pure. Checksums of IP, TCP and UDP are updated incrementally (RFC 1624): a checksum that
 * was wrong stays wrong, and a UDP checksum of 0 (IPv4: none) stays 0. SCTP's CRC is made anew and needs the whole
 * packet to be contiguous.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/packet.h"

/* Writes addresses and ports of `to` (same family) over those of the packet, whatever changed, and p->key. -EMSGSIZE: SCTP in segments. */
int rewrite_flow(struct packet *p, const struct flow_key *to);

/* TTL or hop limit minus one, with IPv4's checksum. The caller has seen that it is above 1. */
void rewrite_ttl(struct packet *p);

/* Addresses of the frame; inserts, changes or removes the VLAN tag (0 = none): data moves by 4. -ENOBUFS: no headroom. */
int rewrite_ethernet(struct packet *p, const uint8_t src[PACKET_MAC_LEN],
		     const uint8_t dst[PACKET_MAC_LEN], uint16_t vlan_tci);

/*
 * An ICMP error whose embedded packet belongs to a connection: the outer packet goes from/to `outer` (addresses only;
 * ports ignored), the embedded one reads as `inner`. ICMP checksum kept right; inner TCP/UDP checksum, where it is
 * there, is updated as the kernel does.
 */
int rewrite_icmp_error(struct packet *p, struct packet *embedded, const struct flow_key *outer,
		       const struct flow_key *inner);

/* Outer headers of a tunnel. Outer addresses of one family, in the first four bytes or all 16. */
struct rewrite_tunnel {
	uint8_t kind;	/* enum ipvs_tunnel */
	uint8_t family; /* of the outer addresses */
	uint8_t src[16], dst[16];
	uint16_t port_be; /* GUE */
	uint16_t flags;	  /* bit 0: checksum (TUN_FLAGS of linux/ip_vs.h: 1 = csum, 2 = remcsum) */
	uint16_t ipv4_id;
};

/* Bytes that rewrite_tunnel_push() puts in front of the IP header. */
unsigned rewrite_tunnel_overhead(const struct rewrite_tunnel *t);

/*
 * Puts the headers in front of the IP header; TTL of 64, TOS copied (ECN by RFC 6040 as ip_tunnel does), DF copied from
 * the inner IPv4 packet; GUE's source port from the inner flow's hash. p describes the outer packet afterwards.
 * -ENOBUFS: no headroom. -EOPNOTSUPP: remcsum.
 */
int rewrite_tunnel_push(struct packet *p, const struct rewrite_tunnel *t);

/* Ones' complement sum over contiguous bytes, not folded; for tests and ICMP. */
uint32_t rewrite_checksum_add(uint32_t sum, const void *bytes, uint32_t len_bytes);
uint16_t rewrite_checksum_fold(uint32_t sum);
