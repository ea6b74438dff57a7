/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What changes in the headers of a packet that is passed on, inline: a third of what the fast path does with most. Of
 * rewrite.c and of who passes packets on; others use rewrite.h.
 */

#include <assert.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/packet.h"

enum {
	REWRITE_IPV4_TTL = 8, /* offsets in headers */
	REWRITE_IPV4_CHECKSUM = 10,
	REWRITE_IPV4_SRC = 12,
	REWRITE_IPV4_DST = 16,
	REWRITE_IPV6_HOP_LIMIT = 7,
	REWRITE_IPV6_SRC = 8,
	REWRITE_IPV6_DST = 24,
	REWRITE_TCP_CHECKSUM = 16,
	REWRITE_UDP_CHECKSUM = 6,
	REWRITE_PORTS_LEN = 4,
};

/* A sum of 32-bit words, not folded, in the machine's order: what a checksum changes by. */
typedef uint64_t rewrite_change;

/* A half added to itself exchanged: the upper one has the sum with its carry. 0 comes from 0 alone. */
static inline uint16_t rewrite_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), summed over the words of 4 bytes that are replaced. */
static inline __attribute__((always_inline)) rewrite_change
rewrite_words(uint8_t *at, const void *with, unsigned bytes)
{
	rewrite_change change = 0;

	for (unsigned i = 0; i < bytes; i += 4) {
		uint32_t old, new;

		memcpy(&old, at + i, sizeof(old));
		memcpy(&new, (const uint8_t *)with + i, sizeof(new));
		memcpy(at + i, &new, sizeof(new));
		change += (uint64_t)~old + new;
	}
	return change;
}

static inline void rewrite_checksum(uint8_t *at, rewrite_change change)
{
	uint16_t checksum;

	memcpy(&checksum, at, sizeof(checksum));
	checksum = (uint16_t)~rewrite_fold(change + (uint16_t)~checksum);
	memcpy(at, &checksum, sizeof(checksum));
}

/* 0 says that there is none, of both families; what sums up to 0 is written as 0xffff. */
static inline void rewrite_udp_checksum(uint8_t *at, rewrite_change change)
{
	uint16_t checksum;

	memcpy(&checksum, at, sizeof(checksum));
	if (!checksum)
		return;
	checksum = (uint16_t)~rewrite_fold(change + (uint16_t)~checksum);
	if (!checksum)
		checksum = 0xffff;
	memcpy(at, &checksum, sizeof(checksum));
}

/*
 * The word of TTL and protocol with one hop less: ~m + m' is the same for every m, as the TTL is not 0.
 */
static inline rewrite_change rewrite_hop_change(void)
{
	return (uint16_t)~htobe16(0x100);
}

/* Addresses, and the hop. Returned is what the pseudo-header's sum changes by. */
static inline __attribute__((always_inline)) rewrite_change
rewrite_addresses(uint8_t *ip, uint8_t family, const uint8_t *src, const uint8_t *dst, bool hop)
{
	rewrite_change change;

	if (family != AF_INET) {
		ip[REWRITE_IPV6_HOP_LIMIT] -= hop;
		return rewrite_words(ip + REWRITE_IPV6_SRC, src, 16) +
		       rewrite_words(ip + REWRITE_IPV6_DST, dst, 16);
	}
	change = rewrite_words(ip + REWRITE_IPV4_SRC, src, 4) +
		 rewrite_words(ip + REWRITE_IPV4_DST, dst, 4);
	ip[REWRITE_IPV4_TTL] -= hop;
	rewrite_checksum(ip + REWRITE_IPV4_CHECKSUM, hop ? change + rewrite_hop_change() : change);
	return change;
}

/* rewrite.c: ports of SCTP, whose CRC is far away; first and later fragments. */
void rewrite_sctp_ports(struct packet *p, uint32_t ports);
int rewrite_fragment(struct packet *p, const uint8_t *src, const uint8_t *dst, uint32_t ports,
		     bool hop);

/* What is behind the IP header: the ports, and the checksum for them and for `change`. */
static inline void rewrite_ports(struct packet *p, uint32_t ports, rewrite_change change)
{
	uint8_t *l4 = p->data + p->l4_off;

	if (p->key.protocol == IPPROTO_TCP) {
		change += rewrite_words(l4, &ports, REWRITE_PORTS_LEN);
		rewrite_checksum(l4 + REWRITE_TCP_CHECKSUM, change);
	} else if (p->key.protocol == IPPROTO_UDP) {
		change += rewrite_words(l4, &ports, REWRITE_PORTS_LEN);
		rewrite_udp_checksum(l4 + REWRITE_UDP_CHECKSUM, change);
	} else {
		rewrite_sctp_ports(p, ports);
	}
}

/*
 * rewrite_flow() and rewrite_ttl() in one, with one change of IPv4's checksum. Addresses are those of a flow_key, ports
 * as they lie in the header. p->key is left as it was: the packet is on its way out.
 */
static inline int rewrite_hop(struct packet *p, const uint8_t src[16], const uint8_t dst[16],
			      uint32_t ports)
{
	assert(p->ttl > 1);
	p->ttl--;
	if (__builtin_expect(p->is_fragment, false))
		return rewrite_fragment(p, src, dst, ports, true);
	assert(p->kind == PACKET_FLOW);
	rewrite_ports(p, ports,
		      rewrite_addresses(p->data + p->l3_off, p->key.family, src, dst, true));
	return 0;
}
