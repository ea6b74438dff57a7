/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frame-maker.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/byte-order.h"

const uint8_t frame_client_mac[6] = { 0x02, 0, 0, 0, 0, 0x01 };
const uint8_t frame_port_mac[6] = { 0x02, 0, 0, 0, 0xaa, 0x00 };

static uint32_t sum16(uint32_t sum, const uint8_t *at, uint32_t n)
{
	for (uint32_t i = 0; i + 1 < n; i += 2)
		sum += get_be16(at + i);
	if (n & 1)
		sum += (uint32_t)at[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Castagnoli's polynomial, bit by bit; the result goes into SCTP's header as little endian. */
static uint32_t crc32c(const uint8_t *at, uint32_t n)
{
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; i < n; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static uint32_t pseudo_sum(const struct addr *src, const struct addr *dst, uint8_t protocol,
			   uint32_t n)
{
	uint32_t sum = protocol + (n >> 16) + (n & 0xffff);

	sum = sum16(sum, src->bytes, (uint32_t)addr_len_bytes(src));
	return sum16(sum, dst->bytes, (uint32_t)addr_len_bytes(dst));
}

static int checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 2;
	default:
		return -1;
	}
}

static void set_checksum(uint8_t *l4, uint32_t n, uint8_t protocol, const struct addr *src,
			 const struct addr *dst)
{
	int at = checksum_offset(protocol);
	uint32_t sum = protocol == IPPROTO_ICMP ? 0 : pseudo_sum(src, dst, protocol, n);

	if (protocol == IPPROTO_SCTP) {
		uint32_t crc = htole32(crc32c(l4, n));

		memcpy(l4 + 8, &crc, 4);
		return;
	}
	sum = sum16(sum, l4, n);
	put_be16(l4 + at, ~sum & 0xffff);
	if (protocol == IPPROTO_UDP && get_be16(l4 + 6) == 0)
		put_be16(l4 + 6, 0xffff);
}

static uint32_t make_ip(const struct frame_spec *s, uint8_t *ip);

static uint32_t make_icmp(const struct frame_spec *s, bool v6, uint8_t *l4)
{
	l4[0] = s->icmp_type;
	l4[1] = s->icmp_code;
	put_be16(l4 + 2, 0);
	put_be32(l4 + 4, s->icmp_rest);
	if (s->raw) {
		memcpy(l4 + 8, s->raw, s->raw_bytes);
		return 8 + s->raw_bytes;
	}
	if (!s->embedded) {
		l4[0] = v6 ? 128 : 8;
		memset(l4 + 8, 0x5a, s->payload_bytes);
		return 8U + s->payload_bytes;
	}
	return 8 + make_ip(s->embedded, l4 + 8);
}

static uint32_t make_l4(const struct frame_spec *s, bool v6, uint8_t protocol, uint16_t src_port,
			uint16_t dst_port, uint8_t *l4)
{
	uint32_t header;

	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return make_icmp(s, v6, l4);
	header = protocol == IPPROTO_TCP ? 20 : protocol == IPPROTO_UDP ? 8 : 16;
	memset(l4, 0, header);
	put_be16(l4, src_port);
	put_be16(l4 + 2, dst_port);
	if (protocol == IPPROTO_TCP) {
		put_be32(l4 + 4, s->seq);
		put_be32(l4 + 8, s->ack);
		l4[12] = 5 << 4;
		l4[13] = s->tcp_flags ? s->tcp_flags : FRAME_ACK;
		put_be16(l4 + 14, 8192);
	} else if (protocol == IPPROTO_UDP) {
		put_be16(l4 + 4, 8U + s->payload_bytes);
	} else {
		l4[12] = s->sctp_chunk;
		put_be16(l4 + 14, 4U + s->payload_bytes);
	}
	for (unsigned i = 0; i < s->payload_bytes; i++)
		l4[header + i] = (uint8_t)(i * 7);
	return header + s->payload_bytes;
}

static uint32_t make_ipv4(const struct frame_spec *s, const struct addr *src,
			  const struct addr *dst, uint8_t protocol, uint32_t l4_bytes, uint8_t *ip)
{
	uint32_t off = s->frag_off_bytes / 8;

	off |= s->dont_fragment ? 0x4000 : 0;
	off |= s->more_fragments ? 0x2000 : 0;
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put_be16(ip + 2, 20 + l4_bytes);
	put_be16(ip + 4, s->frag_id);
	put_be16(ip + 6, off);
	ip[8] = s->ttl ? s->ttl : 64;
	ip[9] = protocol;
	memcpy(ip + 12, src->bytes, 4);
	memcpy(ip + 16, dst->bytes, 4);
	put_be16(ip + 10, ~sum16(0, ip, 20) & 0xffff);
	return 20 + l4_bytes;
}

static uint32_t make_ipv6(const struct frame_spec *s, const struct addr *src,
			  const struct addr *dst, uint8_t protocol, uint32_t l4_bytes, uint8_t *ip)
{
	uint32_t fragment = s->is_fragment ? 8 : 0;

	memset(ip, 0, 40 + fragment);
	ip[0] = 0x60;
	put_be16(ip + 4, fragment + l4_bytes);
	ip[6] = s->is_fragment ? IPPROTO_FRAGMENT : protocol;
	ip[7] = s->ttl ? s->ttl : 64;
	memcpy(ip + 8, src->bytes, 16);
	memcpy(ip + 24, dst->bytes, 16);
	if (s->is_fragment) {
		ip[40] = protocol;
		put_be16(ip + 42, s->frag_off_bytes | (s->more_fragments ? 1U : 0));
		put_be32(ip + 44, s->frag_id);
	}
	return 40 + fragment + l4_bytes;
}

static uint32_t make_ip(const struct frame_spec *s, uint8_t *ip)
{
	uint16_t src_port, dst_port;
	struct addr src, dst;
	uint8_t protocol = s->protocol ? s->protocol : IPPROTO_TCP;
	uint32_t header, l4_bytes;
	bool v6;
	int r;

	r = addr_port_parse(s->src, &src, &src_port);
	assert(r == 0);
	r = addr_port_parse(s->dst, &dst, &dst_port);
	assert(r == 0);
	v6 = src.family == AF_INET6;
	if (v6 && protocol == IPPROTO_ICMP)
		protocol = IPPROTO_ICMPV6;
	header = v6 ? 40U + (s->is_fragment ? 8U : 0) : 20;
	if (s->frag_off_bytes > 0) {
		l4_bytes = s->payload_bytes;
		memset(ip + header, 0x77, l4_bytes);
	} else {
		l4_bytes = make_l4(s, v6, protocol, src_port, dst_port, ip + header);
		set_checksum(ip + header, l4_bytes, protocol, &src, &dst);
	}
	return v6 ? make_ipv6(s, &src, &dst, protocol, l4_bytes, ip)
		  : make_ipv4(s, &src, &dst, protocol, l4_bytes, ip);
}

uint32_t frame_make(const struct frame_spec *s, uint8_t *data)
{
	uint32_t l3 = 14, n;

	memcpy(data, s->dst_mac ? s->dst_mac : frame_port_mac, 6);
	memcpy(data + 6, s->src_mac ? s->src_mac : frame_client_mac, 6);
	if (s->vlan) {
		put_be16(data + 12, 0x8100);
		put_be16(data + 14, s->vlan);
		l3 = 18;
	}
	n = make_ip(s, data + l3);
	put_be16(data + l3 - 2, data[l3] >> 4 == 6 ? 0x86dd : 0x0800);
	return l3 + n;
}

static bool l4_checksum_is_right(const struct frame_view *v, const uint8_t *l4, uint32_t n)
{
	uint32_t crc, sum;
	uint8_t copy[FRAME_MAX];

	if (v->protocol == IPPROTO_SCTP) {
		memcpy(copy, l4, n);
		memset(copy + 8, 0, 4);
		memcpy(&crc, l4 + 8, 4);
		return le32toh(crc) == crc32c(copy, n);
	}
	if (checksum_offset(v->protocol) < 0)
		return true;
	sum = v->protocol == IPPROTO_ICMP ? 0 : pseudo_sum(&v->src, &v->dst, v->protocol, n);
	return sum16(sum, l4, n) == 0xffff;
}

static void read_l4(struct frame_view *v, const uint8_t *l4)
{
	if (v->protocol == IPPROTO_ICMP || v->protocol == IPPROTO_ICMPV6) {
		v->icmp_type = l4[0];
		v->icmp_code = l4[1];
		v->icmp_rest = get_be32(l4 + 4);
		return;
	}
	v->src_port = (uint16_t)get_be16(l4);
	v->dst_port = (uint16_t)get_be16(l4 + 2);
	v->no_checksum = v->protocol == IPPROTO_UDP && get_be16(l4 + 6) == 0;
	if (v->protocol != IPPROTO_TCP)
		return;
	v->seq = get_be32(l4 + 4);
	v->ack = get_be32(l4 + 8);
	v->tcp_flags = l4[13];
}

static uint32_t read_ipv4(struct frame_view *v, const uint8_t *ip)
{
	uint32_t off = get_be16(ip + 6);

	v->family = v->src.family = v->dst.family = AF_INET;
	memcpy(v->src.bytes, ip + 12, 4);
	memcpy(v->dst.bytes, ip + 16, 4);
	v->protocol = ip[9];
	v->ttl = ip[8];
	v->ip_bytes = get_be16(ip + 2);
	v->frag_off_bytes = (uint16_t)((off & 0x1fff) * 8);
	v->more_fragments = off & 0x2000;
	v->dont_fragment = off & 0x4000;
	v->checksums_right = sum16(0, ip, 20) == 0xffff;
	return 20;
}

static uint32_t read_ipv6(struct frame_view *v, const uint8_t *ip)
{
	v->family = v->src.family = v->dst.family = AF_INET6;
	memcpy(v->src.bytes, ip + 8, 16);
	memcpy(v->dst.bytes, ip + 24, 16);
	v->protocol = ip[6];
	v->ttl = ip[7];
	v->ip_bytes = 40 + get_be16(ip + 4);
	v->dont_fragment = v->checksums_right = true;
	if (v->protocol != IPPROTO_FRAGMENT)
		return 40;
	v->protocol = ip[40];
	v->frag_off_bytes = (uint16_t)(get_be16(ip + 42) & 0xfff8);
	v->more_fragments = ip[43] & 1;
	return 48;
}

bool frame_read_ip(const uint8_t *ip, uint32_t len_bytes, struct frame_view *ret)
{
	struct frame_view v = { 0 };
	uint32_t header;

	if (len_bytes < 20 || (ip[0] >> 4 != 4 && (ip[0] >> 4 != 6 || len_bytes < 48)))
		return false;
	header = ip[0] >> 4 == 4 ? read_ipv4(&v, ip) : read_ipv6(&v, ip);
	v.l4_off = header;
	if (v.frag_off_bytes == 0 && len_bytes >= header + 8) {
		read_l4(&v, ip + header);
		if (!v.more_fragments && v.ip_bytes == len_bytes)
			v.checksums_right &=
				l4_checksum_is_right(&v, ip + header, len_bytes - header);
	}
	*ret = v;
	return true;
}

bool frame_read(const uint8_t *data, uint32_t len_bytes, struct frame_view *ret)
{
	uint32_t l3 = get_be16(data + 12) == 0x8100 ? 18 : 14;

	if (len_bytes < l3 || !frame_read_ip(data + l3, len_bytes - l3, ret))
		return false;
	ret->l3_off = l3;
	ret->l4_off += l3;
	memcpy(ret->dst_mac, data, 6);
	memcpy(ret->src_mac, data + 6, 6);
	ret->vlan = l3 == 18 ? (uint16_t)get_be16(data + 14) : 0;
	return get_be16(data + l3 - 2) == (ret->family == AF_INET6 ? 0x86ddU : 0x0800U);
}

static bool is(const struct addr *a, uint16_t port, const char *text)
{
	uint16_t expected_port;
	struct addr expected;
	int r = addr_port_parse(text, &expected, &expected_port);

	assert(r == 0);
	return addr_eq(a, &expected) && port == expected_port;
}

bool frame_is_from(const struct frame_view *v, const char *src)
{
	return is(&v->src, v->src_port, src);
}

bool frame_is_to(const struct frame_view *v, const char *dst)
{
	return is(&v->dst, v->dst_port, dst);
}
