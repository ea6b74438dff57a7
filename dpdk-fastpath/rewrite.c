/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/rewrite.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/rewrite-hop.h"
#include "dpdk-fastpath/sctp-crc.h"
#include "dpdk-fastpath/unaligned.h"

enum {
	ICMP_CHECKSUM = 2, /* offsets in headers */
	SCTP_CHECKSUM = 8,
};

/* Addresses are not part of SCTP's CRC. As sctp_dnat_handler(): the CRC is touched only where a port changes. */
void rewrite_sctp_ports(struct packet *p, uint32_t new)
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

/* The first fragment has the ports, and the checksum for them; not of SCTP, whose CRC covers all fragments. */
int rewrite_fragment(struct packet *p, const uint8_t *src, const uint8_t *dst, uint32_t ports,
		     bool hop)
{
	rewrite_change change;

	if (p->kind == PACKET_FLOW && p->key.protocol == IPPROTO_SCTP &&
	    memcmp(&p->key.src_port_be, &ports, sizeof(ports)) != 0)
		return -EMSGSIZE;
	change = rewrite_addresses(p->data + p->l3_off, p->key.family, src, dst, hop);
	if (p->kind == PACKET_FLOW)
		rewrite_ports(p, ports, change);
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
		rewrite_ports(p, ports,
			      rewrite_addresses(p->data + p->l3_off, p->key.family, to->src,
						to->dst, false));
	}
	p->key = *to;
	return 0;
}

void rewrite_ttl(struct packet *p)
{
	uint8_t *ip = p->data + p->l3_off;

	assert(p->ttl > 1);
	p->ttl--;
	if (p->key.family == AF_INET) {
		ip[REWRITE_IPV4_TTL]--;
		rewrite_checksum(ip + REWRITE_IPV4_CHECKSUM, rewrite_hop_change());
	} else {
		ip[REWRITE_IPV6_HOP_LIMIT]--;
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
	rewrite_change outer_change, change;

	assert(p->kind == PACKET_ICMP_ERROR && embedded->kind == PACKET_FLOW);
	assert(outer->family == p->key.family && inner->family == p->key.family);
	outer_change = rewrite_addresses(ip, outer->family, outer->src, outer->dst, false);
	if (p->key.family == AF_INET) {
		uint32_t header_bytes = embedded->l4_off - embedded->l3_off;
		uint16_t checksum, old_checksum;

		change = rewrite_words(embedded_ip + REWRITE_IPV4_SRC, inner->src, 4) +
			 rewrite_words(embedded_ip + REWRITE_IPV4_DST, inner->dst, 4);
		memcpy(&old_checksum, embedded_ip + REWRITE_IPV4_CHECKSUM, sizeof(old_checksum));
		memset(embedded_ip + REWRITE_IPV4_CHECKSUM, 0, sizeof(checksum));
		checksum =
			rewrite_checksum_fold(rewrite_checksum_add(0, embedded_ip, header_bytes));
		memcpy(embedded_ip + REWRITE_IPV4_CHECKSUM, &checksum, sizeof(checksum));
		change += (uint64_t)(uint16_t)~old_checksum + checksum;
	} else {
		change = outer_change +
			 rewrite_words(embedded_ip + REWRITE_IPV6_SRC, inner->src, 16) +
			 rewrite_words(embedded_ip + REWRITE_IPV6_DST, inner->dst, 16);
	}
	change += rewrite_words(p->data + embedded->l4_off, &inner->src_port_be, REWRITE_PORTS_LEN);
	rewrite_checksum(p->data + p->l4_off + ICMP_CHECKSUM, change);
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
	return (uint16_t)~rewrite_fold(sum);
}
