/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/ip-header.h"

#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/unaligned.h"

unsigned ip_header_bytes(uint8_t family)
{
	return family == AF_INET ? PACKET_IPV4_MIN : PACKET_IPV6_LEN;
}

static void write_ipv4(uint8_t *ip, const struct ip_header *h, uint32_t total_bytes)
{
	uint16_t checksum;

	ip[0] = 0x45;
	ip[1] = h->tos;
	unaligned_write_be16(ip + 2, (uint16_t)total_bytes);
	unaligned_write_be16(ip + 4, h->ipv4_id);
	unaligned_write_be16(ip + 6, h->dont_fragment ? 0x4000 : 0);
	ip[8] = h->ttl;
	ip[9] = h->key.protocol;
	memset(ip + 10, 0, 2);
	memcpy(ip + 12, h->key.src, 4);
	memcpy(ip + 16, h->key.dst, 4);
	checksum = rewrite_checksum_fold(rewrite_checksum_add(0, ip, PACKET_IPV4_MIN));
	memcpy(ip + 10, &checksum, sizeof(checksum));
}

static void write_ipv6(uint8_t *ip, const struct ip_header *h, uint32_t total_bytes)
{
	unaligned_write_be32(ip, 6u << 28 | (uint32_t)h->tos << 20);
	unaligned_write_be16(ip + 4, (uint16_t)(total_bytes - PACKET_IPV6_LEN));
	ip[6] = h->key.protocol;
	ip[7] = h->ttl;
	memcpy(ip + 8, h->key.src, 16);
	memcpy(ip + 24, h->key.dst, 16);
}

void ip_header_write(struct packet *p, const struct ip_header *h, enum packet_kind kind)
{
	uint8_t *ip = p->data + p->l3_off;
	uint32_t total_bytes = p->len_bytes - p->l3_off;
	bool ipv4 = h->key.family == AF_INET;

	assert(total_bytes <= 65535 + (ipv4 ? 0u : PACKET_IPV6_LEN));
	if (ipv4)
		write_ipv4(ip, h, total_bytes);
	else
		write_ipv6(ip, h, total_bytes);
	unaligned_write_be16(ip - 2, ipv4 ? ETH_P_IP : ETH_P_IPV6);

	p->key = h->key;
	p->l4_off = (uint16_t)(p->l3_off + ip_header_bytes(h->key.family));
	p->kind = (uint8_t)kind;
	p->ttl = h->ttl;
	p->tos = h->tos;
	p->tcp_flags = 0;
	p->sctp_chunk = 0xff;
	p->icmp_type = p->icmp_code = 0;
	p->dont_fragment = h->dont_fragment || !ipv4;
	p->more_fragments = p->is_fragment = false;
	p->frag_off_bytes = p->ipv6_frag_off = 0;
	p->frag_id = ipv4 ? h->ipv4_id : 0;
}

uint16_t ip_header_transport_checksum(const struct packet *p)
{
	uint32_t bytes = p->len_bytes - p->l4_off, sum = 0;

	assert(p->linear_bytes == p->len_bytes);
	if (p->key.protocol != IPPROTO_ICMP) {
		uint32_t tail[2] = { htobe32(bytes), htobe32(p->key.protocol) };
		uint32_t address_bytes = p->key.family == AF_INET ? 4 : 16;

		sum = rewrite_checksum_add(sum, p->key.src, address_bytes);
		sum = rewrite_checksum_add(sum, p->key.dst, address_bytes);
		sum = rewrite_checksum_add(sum, tail, sizeof(tail));
	}
	return rewrite_checksum_fold(rewrite_checksum_add(sum, p->data + p->l4_off, bytes));
}
