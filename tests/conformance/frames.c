/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/frames.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte-order.h"
#include "base/cleanup.h"

enum {
	ETHER = 14,
	OPTION_WORD = 4,
	EXTENSION = 8,
	FRAGMENT_HEADER = 8,
	TCP_HEADER = 20,
	UDP_HEADER = 8,
	SCTP_HEADER = 12,
	SCTP_CHUNK = 4,
	ICMP_HEADER = 8,
};

static uint32_t sum_bytes(uint32_t sum, const uint8_t *p, size_t len_bytes)
{
	for (size_t i = 0; i + 1 < len_bytes; i += 2)
		sum += get_be16(p + i);
	if (len_bytes % 2)
		sum += (uint32_t)p[len_bytes - 1] << 8;
	return sum;
}

uint16_t frame_checksum(uint32_t sum, const void *bytes, size_t len_bytes)
{
	sum = sum_bytes(sum, bytes, len_bytes);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* CRC32c, bit by bit: reflected polynomial 0x82f63b78 (RFC 9260, appendix A). */
static uint32_t crc32c(const uint8_t *p, size_t len_bytes)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len_bytes; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static uint32_t pseudo_header_sum(const struct addr *src, const struct addr *dst, uint8_t protocol,
				  size_t len_bytes)
{
	uint32_t sum = (uint32_t)len_bytes + protocol;

	sum = sum_bytes(sum, src->bytes, addr_len_bytes(src));
	return sum_bytes(sum, dst->bytes, addr_len_bytes(dst));
}

static uint8_t *put_ether(struct frame *f, const uint8_t src[6], const uint8_t dst[6], bool v6)
{
	memcpy(f->bytes, dst, 6);
	memcpy(f->bytes + 6, src, 6);
	put_be16(f->bytes + 12, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	return f->bytes + ETHER;
}

static uint8_t *put_ipv4(uint8_t *p, const struct frame_spec *s, uint8_t protocol, size_t payload)
{
	size_t header = sizeof(struct iphdr) + (s->options ? OPTION_WORD : 0);

	memset(p, 0, header);
	p[0] = (uint8_t)(0x40 | header / 4);
	p[1] = s->tos;
	put_be16(p + 2, (uint16_t)(header + payload));
	put_be16(p + 4, s->ip_id);
	put_be16(p + 6, s->dont_fragment ? IP_DF : 0);
	p[8] = s->ttl;
	p[9] = protocol;
	memcpy(p + 12, s->src.bytes, 4);
	memcpy(p + 16, s->dst.bytes, 4);
	if (s->options)
		memset(p + 20, IPOPT_NOP, OPTION_WORD);
	put_be16(p + 10, frame_checksum(0, p, header));
	return p + header;
}

static uint8_t *put_ipv6(uint8_t *p, const struct frame_spec *s, uint8_t protocol, size_t payload)
{
	size_t extension = s->options ? EXTENSION : 0;

	put_be32(p, 6U << 28 | (uint32_t)s->tos << 20);
	put_be16(p + 4, (uint16_t)(extension + payload));
	p[6] = s->options ? IPPROTO_DSTOPTS : protocol;
	p[7] = s->ttl;
	memcpy(p + 8, s->src.bytes, 16);
	memcpy(p + 24, s->dst.bytes, 16);
	p += sizeof(struct ip6_hdr);
	if (s->options) {
		memset(p, 0, EXTENSION);
		p[0] = protocol;
		p[2] = 1; /* PadN that fills the header */
		p[3] = 4;
	}
	return p + extension;
}

static size_t l4_header_bytes(const struct frame_spec *s)
{
	switch (s->protocol) {
	case IPPROTO_TCP:
		return TCP_HEADER;
	case IPPROTO_UDP:
		return UDP_HEADER;
	case IPPROTO_SCTP:
		return SCTP_HEADER + SCTP_CHUNK;
	default:
		abort();
	}
}

static void put_l4(uint8_t *p, const struct frame_spec *s, size_t total)
{
	size_t header = l4_header_bytes(s);
	uint32_t sum = pseudo_header_sum(&s->src, &s->dst, s->protocol, total);
	uint16_t checksum;
	uint32_t crc;

	memset(p, 0, header);
	for (size_t i = header; i < total; i++)
		p[i] = (uint8_t)(s->seq + i);
	put_be16(p, s->sport);
	put_be16(p + 2, s->dport);
	switch (s->protocol) {
	case IPPROTO_TCP:
		put_be32(p + 4, s->seq);
		put_be32(p + 8, s->tcp_flags & FRAME_TCP_ACK ? s->seq + 1000 : 0);
		p[12] = TCP_HEADER / 4 << 4;
		p[13] = s->tcp_flags;
		put_be16(p + 14, 65535);
		put_be16(p + 16, frame_checksum(sum, p, total));
		break;
	case IPPROTO_UDP:
		put_be16(p + 4, (uint16_t)total);
		checksum = frame_checksum(sum, p, total);
		if (!s->no_checksum)
			put_be16(p + 6, checksum ? checksum : 0xffff);
		break;
	case IPPROTO_SCTP:
		put_be32(p + 4, s->seq);
		p[SCTP_HEADER] = s->sctp_chunk;
		put_be16(p + SCTP_HEADER + 2, (uint16_t)(total - SCTP_HEADER));
		crc = crc32c(p, total);
		for (int i = 0; i < 4; i++) /* the CRC is stored little-endian */
			p[8 + i] = (uint8_t)(crc >> 8 * i);
		break;
	default:
		abort();
	}
}

void frame_build(const struct frame_spec *s, struct frame *ret)
{
	size_t total = l4_header_bytes(s) + s->payload_bytes;
	bool v6 = s->src.family == AF_INET6;
	uint8_t *p;

	if (total + ETHER + 60 > FRAME_BYTES_MAX)
		abort();
	p = put_ether(ret, s->src_mac, s->dst_mac, v6);
	p = v6 ? put_ipv6(p, s, s->protocol, total) : put_ipv4(p, s, s->protocol, total);
	put_l4(p, s, total);
	ret->len_bytes = (size_t)(p - ret->bytes) + total;
}

/* Offset of the IP payload in the frame: behind IPv4 options, before IPv6 extension headers. */
static size_t ip_payload_offset(const struct frame *f)
{
	if (f->bytes[ETHER] >> 4 == 6)
		return ETHER + sizeof(struct ip6_hdr);
	return ETHER + (size_t)(f->bytes[ETHER] & 0x0f) * 4;
}

uint16_t frame_ip_payload_bytes(const struct frame *f)
{
	return (uint16_t)(f->len_bytes - ip_payload_offset(f));
}

void frame_fragment(const struct frame *whole, uint16_t offset, uint16_t len, uint32_t id,
		    struct frame *ret)
{
	size_t start = ip_payload_offset(whole);
	bool more = start + offset + len < whole->len_bytes;
	uint8_t *ip = ret->bytes + ETHER;

	memcpy(ret->bytes, whole->bytes, start);
	if (whole->bytes[ETHER] >> 4 == 6) {
		uint8_t *h = ret->bytes + start;

		h[0] = ip[6];
		h[1] = 0;
		put_be16(h + 2, (uint16_t)(offset | more));
		put_be32(h + 4, id);
		ip[6] = IPPROTO_FRAGMENT;
		put_be16(ip + 4, (uint16_t)(FRAGMENT_HEADER + len));
		memcpy(h + FRAGMENT_HEADER, whole->bytes + start + offset, len);
		ret->len_bytes = start + FRAGMENT_HEADER + len;
		return;
	}
	put_be16(ip + 2, (uint16_t)(start - ETHER + len));
	put_be16(ip + 4, (uint16_t)id);
	put_be16(ip + 6, (uint16_t)((more ? IP_MF : 0) | offset / 8));
	put_be16(ip + 10, 0);
	put_be16(ip + 10, frame_checksum(0, ip, start - ETHER));
	memcpy(ret->bytes + start, whole->bytes + start + offset, len);
	ret->len_bytes = start + len;
}

void frame_build_error(const struct frame_error *e, const struct frame *about, struct frame *ret)
{
	size_t embedded = MIN(about->len_bytes - ETHER, (size_t)e->limit);
	bool v6 = e->src.family == AF_INET6;
	struct frame_spec s = { .src = e->src, .dst = e->dst, .ttl = 63, .ip_id = 7 };
	uint8_t protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint32_t sum = 0;
	uint8_t *p;

	p = put_ether(ret, e->src_mac, e->dst_mac, v6);
	p = v6 ? put_ipv6(p, &s, protocol, ICMP_HEADER + embedded)
	       : put_ipv4(p, &s, protocol, ICMP_HEADER + embedded);
	p[0] = e->type;
	p[1] = e->code;
	put_be16(p + 2, 0);
	put_be32(p + 4, e->rest);
	memcpy(p + ICMP_HEADER, about->bytes + ETHER, embedded);
	if (v6)
		sum = pseudo_header_sum(&e->src, &e->dst, protocol, ICMP_HEADER + embedded);
	put_be16(p + 2, frame_checksum(sum, p, ICMP_HEADER + embedded));
	ret->len_bytes = (size_t)(p - ret->bytes) + ICMP_HEADER + embedded;
}

void frame_build_echo(const struct frame_spec *s, uint16_t id, uint16_t seq, struct frame *ret)
{
	bool v6 = s->src.family == AF_INET6;
	uint8_t protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	size_t total = ICMP_HEADER + s->payload_bytes;
	uint32_t sum = 0;
	uint8_t *p;

	p = put_ether(ret, s->src_mac, s->dst_mac, v6);
	p = v6 ? put_ipv6(p, s, protocol, total) : put_ipv4(p, s, protocol, total);
	memset(p, 0x5a, total);
	p[0] = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	p[1] = 0;
	put_be16(p + 2, 0);
	put_be16(p + 4, id);
	put_be16(p + 6, seq);
	if (v6)
		sum = pseudo_header_sum(&s->src, &s->dst, protocol, total);
	put_be16(p + 2, frame_checksum(sum, p, total));
	ret->len_bytes = (size_t)(p - ret->bytes) + total;
}

bool frame_is_echo_reply(const struct frame *f, const struct addr *from, uint16_t id, uint16_t seq)
{
	size_t l4 = ip_payload_offset(f);
	bool v6 = from->family == AF_INET6;
	const uint8_t *ip = f->bytes + ETHER, *p = f->bytes + l4;

	if (get_be16(f->bytes + 12) != (v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP) ||
	    f->len_bytes < l4 + ICMP_HEADER)
		return false;
	if (memcmp(ip + (v6 ? 8 : 12), from->bytes, addr_len_bytes(from)) != 0)
		return false;
	return ip[v6 ? 6 : 9] == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
	       p[0] == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) && get_be16(p + 4) == id &&
	       get_be16(p + 6) == seq;
}

static bool l4_checksum_is_right(uint8_t protocol, const struct addr *src, const struct addr *dst,
				 const uint8_t *p, size_t total)
{
	uint8_t copy[FRAME_BYTES_MAX];
	uint32_t sum = pseudo_header_sum(src, dst, protocol, total), crc;

	switch (protocol) {
	case IPPROTO_UDP:
		if (src->family == AF_INET && get_be16(p + 6) == 0)
			return true;
		return frame_checksum(sum, p, total) == 0;
	case IPPROTO_ICMP:
		return frame_checksum(0, p, total) == 0;
	case IPPROTO_TCP:
	case IPPROTO_ICMPV6:
		return frame_checksum(sum, p, total) == 0;
	case IPPROTO_SCTP:
		memcpy(copy, p, total);
		memset(copy + 8, 0, 4);
		crc = crc32c(copy, total);
		return p[8] == (uint8_t)crc && p[9] == (uint8_t)(crc >> 8) &&
		       p[10] == (uint8_t)(crc >> 16) && p[11] == (uint8_t)(crc >> 24);
	default:
		return true;
	}
}

bool frame_checksums_are_right(const struct frame *f)
{
	const uint8_t *ip = f->bytes + ETHER;
	size_t l4 = ip_payload_offset(f), total;
	struct addr src = { .family = AF_INET }, dst = { .family = AF_INET };
	uint8_t protocol;

	if (ip[0] >> 4 == 6) {
		src.family = dst.family = AF_INET6;
		memcpy(src.bytes, ip + 8, 16);
		memcpy(dst.bytes, ip + 24, 16);
		protocol = ip[6];
		total = get_be16(ip + 4);
		if (protocol == IPPROTO_DSTOPTS) {
			protocol = f->bytes[l4];
			l4 += EXTENSION;
			total -= EXTENSION;
		}
	} else {
		memcpy(src.bytes, ip + 12, 4);
		memcpy(dst.bytes, ip + 16, 4);
		protocol = ip[9];
		total = get_be16(ip + 2) - (l4 - ETHER);
		if (frame_checksum(0, ip, l4 - ETHER) != 0)
			return false;
		if (get_be16(ip + 6) & (IP_MF | IP_OFFMASK))
			return true;
	}
	if (l4 + total > f->len_bytes)
		return false;
	return l4_checksum_is_right(protocol, &src, &dst, f->bytes + l4, total);
}
