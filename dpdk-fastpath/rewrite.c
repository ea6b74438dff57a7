/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/rewrite.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/sctp-crc.h"
#include "dpdk-fastpath/unaligned.h"

enum {
	IPV4_TTL = 8, /* offsets in headers */
	IPV4_CHECKSUM = 10,
	IPV4_SRC = 12,
	IPV4_DST = 16,
	IPV6_HOP_LIMIT = 7,
	IPV6_SRC = 8,
	IPV6_DST = 24,
	TCP_CHECKSUM = 16,
	UDP_CHECKSUM = 6,
	SCTP_CHECKSUM = 8,
	ICMP_CHECKSUM = 2,
	PORTS_LEN = 4,
};

/* A sum of 32-bit words, not folded, in the machine's order: what a checksum changes by. */
typedef uint64_t checksum_change;

/* A half added to itself exchanged: the upper one has the sum with its carry. 0 comes from 0 alone. */
static inline uint16_t fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), summed over the words of 4 bytes that are replaced. */
static inline __attribute__((always_inline)) checksum_change replace(uint8_t *at, const void *with,
								     unsigned bytes)
{
	checksum_change change = 0;

	for (unsigned i = 0; i < bytes; i += 4) {
		uint32_t old, new;

		memcpy(&old, at + i, sizeof(old));
		memcpy(&new, (const uint8_t *)with + i, sizeof(new));
		memcpy(at + i, &new, sizeof(new));
		change += (uint64_t)~old + new;
	}
	return change;
}

static inline void change_checksum(uint8_t *at, checksum_change change)
{
	uint16_t checksum;

	memcpy(&checksum, at, sizeof(checksum));
	checksum = (uint16_t)~fold(change + (uint16_t)~checksum);
	memcpy(at, &checksum, sizeof(checksum));
}

/* 0 says that there is none, of both families; what sums up to 0 is written as 0xffff. */
static inline void change_udp_checksum(uint8_t *at, checksum_change change)
{
	uint16_t checksum;

	memcpy(&checksum, at, sizeof(checksum));
	if (!checksum)
		return;
	checksum = (uint16_t)~fold(change + (uint16_t)~checksum);
	if (!checksum)
		checksum = 0xffff;
	memcpy(at, &checksum, sizeof(checksum));
}

/*
 * The word of TTL and protocol with one hop less: ~m + m' is the same for every m, as the TTL is not 0.
 */
static inline checksum_change hop_change(void)
{
	return (uint16_t)~htobe16(0x100);
}

/* Addresses, and the hop. Returned is what the pseudo-header's sum changes by. */
static inline __attribute__((always_inline)) checksum_change
replace_addresses(uint8_t *ip, uint8_t family, const uint8_t *src, const uint8_t *dst, bool hop)
{
	checksum_change change;

	if (family != AF_INET) {
		ip[IPV6_HOP_LIMIT] -= hop;
		return replace(ip + IPV6_SRC, src, 16) + replace(ip + IPV6_DST, dst, 16);
	}
	change = replace(ip + IPV4_SRC, src, 4) + replace(ip + IPV4_DST, dst, 4);
	ip[IPV4_TTL] -= hop;
	change_checksum(ip + IPV4_CHECKSUM, hop ? change + hop_change() : change);
	return change;
}

/* Addresses are not part of SCTP's CRC. As sctp_dnat_handler(): the CRC is touched only where a port changes. */
static __attribute__((noinline)) void replace_sctp_ports(struct packet *p, uint32_t new)
{
	uint8_t *l4 = p->data + p->l4_off;
	uint32_t old, crc;

	memcpy(&old, l4, sizeof(old));
	if (old == new)
		return;
	memcpy(l4, &new, sizeof(new));
	memcpy(&crc, l4 + SCTP_CHECKSUM, sizeof(crc));
	crc ^= sctp_crc_of_change(old ^ new, p->len_bytes - p->l4_off);
	memcpy(l4 + SCTP_CHECKSUM, &crc, sizeof(crc));
}

/* What is behind the IP header: the ports, and the checksum for them and for `change`. */
static inline void replace_ports(struct packet *p, uint32_t ports, checksum_change change)
{
	uint8_t *l4 = p->data + p->l4_off;

	if (p->key.protocol == IPPROTO_TCP) {
		change += replace(l4, &ports, PORTS_LEN);
		change_checksum(l4 + TCP_CHECKSUM, change);
	} else if (p->key.protocol == IPPROTO_UDP) {
		change += replace(l4, &ports, PORTS_LEN);
		change_udp_checksum(l4 + UDP_CHECKSUM, change);
	} else {
		replace_sctp_ports(p, ports);
	}
}

/* The first fragment has the ports, and the checksum for them; not of SCTP, whose CRC covers all fragments. */
static __attribute__((noinline)) int rewrite_fragment(struct packet *p, const uint8_t *src,
						      const uint8_t *dst, uint32_t ports, bool hop)
{
	checksum_change change;

	if (p->kind == PACKET_FLOW && p->key.protocol == IPPROTO_SCTP &&
	    memcmp(&p->key.src_port_be, &ports, sizeof(ports)) != 0)
		return -EMSGSIZE;
	change = replace_addresses(p->data + p->l3_off, p->key.family, src, dst, hop);
	if (p->kind == PACKET_FLOW)
		replace_ports(p, ports, change);
	return 0;
}

int rewrite_flow(struct packet *p, const struct flow_key *to)
{
	uint32_t ports;

	assert(p->key.family == to->family && p->key.protocol == to->protocol);
	memcpy(&ports, &to->src_port_be, sizeof(ports));
	if (p->is_fragment) {
		int r = rewrite_fragment(p, to->src, to->dst, ports, false);

		if (r < 0)
			return r;
	} else {
		assert(p->kind == PACKET_FLOW);
		replace_ports(p, ports,
			      replace_addresses(p->data + p->l3_off, p->key.family, to->src,
						to->dst, false));
	}
	p->key = *to;
	return 0;
}

int rewrite_hop(struct packet *p, const uint8_t src[16], const uint8_t dst[16], uint32_t ports)
{
	assert(p->ttl > 1);
	p->ttl--;
	if (__builtin_expect(p->is_fragment, false))
		return rewrite_fragment(p, src, dst, ports, true);
	assert(p->kind == PACKET_FLOW);
	replace_ports(p, ports,
		      replace_addresses(p->data + p->l3_off, p->key.family, src, dst, true));
	return 0;
}

void rewrite_ttl(struct packet *p)
{
	uint8_t *ip = p->data + p->l3_off;

	assert(p->ttl > 1);
	p->ttl--;
	if (p->key.family == AF_INET) {
		ip[IPV4_TTL]--;
		change_checksum(ip + IPV4_CHECKSUM, hop_change());
	} else {
		ip[IPV6_HOP_LIMIT]--;
	}
}

int rewrite_ethernet_tag(struct packet *p, uint16_t vlan_tci)
{
	bool was_tagged = p->l3_off > PACKET_ETHERNET_LEN, tagged = vlan_tci != 0;
	uint8_t *tag;

	if (was_tagged != tagged) {
		int r = packet_insert(p, 2 * PACKET_MAC_LEN,
				      tagged ? PACKET_VLAN_LEN : -PACKET_VLAN_LEN);

		if (r < 0)
			return r;
	}
	p->vlan_tci = vlan_tci;
	if (tagged) {
		tag = p->data + 2 * PACKET_MAC_LEN;
		unaligned_write_be16(tag, ETH_P_8021Q);
		unaligned_write_be16(tag + 2, vlan_tci);
	}
	return 0;
}

void rewrite_icmp_error(struct packet *p, struct packet *embedded, const struct flow_key *outer,
			const struct flow_key *inner)
{
	uint8_t *ip = p->data + p->l3_off;
	uint8_t *embedded_ip = p->data + embedded->l3_off;
	checksum_change outer_change, change;

	assert(p->kind == PACKET_ICMP_ERROR && embedded->kind == PACKET_FLOW);
	assert(outer->family == p->key.family && inner->family == p->key.family);
	outer_change = replace_addresses(ip, outer->family, outer->src, outer->dst, false);
	if (p->key.family == AF_INET) {
		uint32_t header_bytes = embedded->l4_off - embedded->l3_off;
		uint16_t checksum, old_checksum;

		change = replace(embedded_ip + IPV4_SRC, inner->src, 4) +
			 replace(embedded_ip + IPV4_DST, inner->dst, 4);
		memcpy(&old_checksum, embedded_ip + IPV4_CHECKSUM, sizeof(old_checksum));
		memset(embedded_ip + IPV4_CHECKSUM, 0, sizeof(checksum));
		checksum =
			rewrite_checksum_fold(rewrite_checksum_add(0, embedded_ip, header_bytes));
		memcpy(embedded_ip + IPV4_CHECKSUM, &checksum, sizeof(checksum));
		change += (uint64_t)(uint16_t)~old_checksum + checksum;
	} else {
		change = outer_change + replace(embedded_ip + IPV6_SRC, inner->src, 16) +
			 replace(embedded_ip + IPV6_DST, inner->dst, 16);
	}
	change += replace(p->data + embedded->l4_off, &inner->src_port_be, PORTS_LEN);
	change_checksum(p->data + p->l4_off + ICMP_CHECKSUM, change);
	memcpy(p->key.src, outer->src, sizeof(p->key.src));
	memcpy(p->key.dst, outer->dst, sizeof(p->key.dst));
	embedded->key = *inner;
}

uint32_t rewrite_checksum_add(uint32_t sum, const void *bytes, uint32_t len_bytes)
{
	const uint8_t *at = bytes;
	uint64_t total = sum;

	for (; len_bytes >= 4; at += 4, len_bytes -= 4) {
		uint32_t word;

		memcpy(&word, at, sizeof(word));
		total += word;
	}
	if (len_bytes) {
		uint8_t rest[4] = { 0 };
		uint32_t word;

		memcpy(rest, at, len_bytes);
		memcpy(&word, rest, sizeof(word));
		total += word;
	}
	total = (total & 0xffffffff) + (total >> 32);
	return (uint32_t)((total & 0xffffffff) + (total >> 32));
}

uint16_t rewrite_checksum_fold(uint32_t sum)
{
	return (uint16_t)~fold(sum);
}
