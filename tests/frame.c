/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frame.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/byte-order.h"

enum {
	GUARDED_MAX = 8192,
};

/* RFC 1071 by the letter: 16-bit words in network order. */
static uint32_t sum16(uint32_t sum, const uint8_t *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 ? b[i] : (uint32_t)b[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

uint32_t frame_crc32c(const uint8_t *bytes, uint32_t len)
{
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

/* SplitMix64. */
uint64_t frame_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint32_t pseudo_sum(const uint8_t *src, const uint8_t *dst, unsigned address_bytes,
			   int protocol, uint32_t len)
{
	uint8_t tail[8] = { 0 };

	put_be32(tail, len);
	tail[7] = (uint8_t)protocol;
	return sum16(sum16(sum16(0, src, address_bytes), dst, address_bytes), tail, 8);
}

/* Where the checksum of 16 bits lies, or -1. */
static int checksum_off(int protocol)
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

static void write_transport_checksum(const struct frame_spec *s, uint8_t *l4, uint32_t len)
{
	int off = checksum_off(s->protocol);
	uint32_t sum = 0;

	if (s->protocol == IPPROTO_SCTP) {
		uint32_t crc;

		memset(l4 + 8, 0, 4);
		crc = frame_crc32c(l4, len);
		for (int i = 0; i < 4; i++)
			l4[8 + i] = (uint8_t)(crc >> 8 * i);
	}
	if (off < 0 || (s->protocol == IPPROTO_UDP && s->without_udp_checksum))
		return;
	if (s->protocol != IPPROTO_ICMP)
		sum = pseudo_sum(s->src, s->dst, s->family == AF_INET ? 4 : 16, s->protocol, len);
	sum = 0xffff - sum16(sum, l4, len);
	if (!sum && s->protocol == IPPROTO_UDP)
		sum = 0xffff;
	put_be16(l4 + off, sum);
}

static unsigned write_transport(const struct frame_spec *s, uint8_t *l4)
{
	unsigned header = s->protocol == IPPROTO_TCP ? 20 : s->protocol == IPPROTO_SCTP ? 12 : 8;

	memset(l4, 0, header);
	if (s->protocol == IPPROTO_ICMP || s->protocol == IPPROTO_ICMPV6) {
		l4[0] = s->icmp_type;
		l4[1] = s->icmp_code;
		put_be16(l4 + 4, s->src_port);
		put_be16(l4 + 6, s->dst_port);
		return header;
	}
	put_be16(l4, s->src_port);
	put_be16(l4 + 2, s->dst_port);
	if (s->protocol == IPPROTO_TCP) {
		put_be32(l4 + 4, 0x01020304);
		put_be32(l4 + 8, 0x0a0b0c0d);
		l4[12] = 5 << 4;
		l4[13] = s->tcp_flags;
		put_be16(l4 + 14, 0xfedc);
	} else if (s->protocol == IPPROTO_UDP) {
		put_be16(l4 + 4, header + s->payload_bytes);
	} else if (s->protocol == IPPROTO_SCTP) {
		put_be32(l4 + 4, 0xcafe1234);
	}
	return header;
}

static unsigned write_ipv4(const struct frame_spec *s, uint8_t *ip)
{
	unsigned header = 20u + s->option_bytes;

	memset(ip, 0, header);
	ip[0] = (uint8_t)(0x40 | header / 4);
	ip[1] = s->tos;
	put_be16(ip + 4, s->frag_id & 0xffff);
	put_be16(ip + 6, (s->dont_fragment ? 0x4000u : 0) | (s->more_fragments ? 0x2000u : 0) |
				 s->frag_off / 8u);
	ip[8] = s->ttl;
	ip[9] = (uint8_t)s->protocol;
	memcpy(ip + 12, s->src, 4);
	memcpy(ip + 16, s->dst, 4);
	memset(ip + 20, 1, s->option_bytes); /* "no operation" */
	return header;
}

static unsigned write_ipv6(const struct frame_spec *s, uint8_t *ip)
{
	unsigned off = 40;
	uint8_t *next = ip + 6;

	memset(ip, 0, off);
	put_be32(ip, 6u << 28 | (uint32_t)s->tos << 20 | 0x12345);
	ip[7] = s->ttl;
	memcpy(ip + 8, s->src, 16);
	memcpy(ip + 24, s->dst, 16);
	for (unsigned i = 0; i < s->n_extensions; i++) {
		unsigned bytes = s->extensions[i] == IPPROTO_AH ? 12 : 8 * (1 + i % 2);

		*next = s->extensions[i];
		next = ip + off;
		memset(next, 0, bytes);
		next[1] = (uint8_t)(s->extensions[i] == IPPROTO_AH ? 1 : i % 2);
		off += bytes;
	}
	if (s->fragment_header) {
		*next = IPPROTO_FRAGMENT;
		next = ip + off;
		memset(next, 0, 8);
		put_be16(next + 2, s->frag_off | (s->more_fragments ? 1u : 0));
		put_be32(next + 4, s->frag_id);
		off += 8;
	}
	*next = (uint8_t)s->protocol;
	return off;
}

/* Length and, of IPv4, header checksum. */
static void finish_ip(int family, uint8_t *ip, unsigned header, unsigned total)
{
	if (family == AF_INET) {
		put_be16(ip + 2, total);
		put_be16(ip + 10, 0);
		put_be16(ip + 10, 0xffff - sum16(0, ip, header));
	} else {
		put_be16(ip + 4, total - 40);
	}
}

void frame_build(struct frame *f, const struct frame_spec *s)
{
	unsigned header, off, l4;
	uint8_t *b;

	f->data = b = f->bytes + FRAME_HEADROOM;
	memcpy(b, (const uint8_t[12]){ 2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb }, 12);
	off = 12;
	if (s->tagged) {
		put_be16(b + off, 0x8100);
		put_be16(b + off + 2, s->vlan_tci);
		off += 4;
	}
	put_be16(b + off, s->family == AF_INET ? 0x0800 : 0x86dd);
	f->l3_off = off += 2;
	header = s->family == AF_INET ? write_ipv4(s, b + off) : write_ipv6(s, b + off);
	f->l4_off = l4 = off += header;
	if (!s->frag_off)
		off += write_transport(s, b + off);
	assert(off + s->payload_bytes + s->padding_bytes <= FRAME_BYTES_MAX);
	for (unsigned i = 0; i < s->payload_bytes; i++)
		b[off + i] = s->payload ? s->payload[i] : (uint8_t)(i * 7 + 3);
	off += s->payload_bytes;
	if (!s->frag_off)
		write_transport_checksum(s, b + l4, off - l4);
	finish_ip(s->family, b + f->l3_off, header, off - f->l3_off);
	memset(b + off, 0xee, s->padding_bytes);
	f->len = off + s->padding_bytes;
}

unsigned frame_cut(const struct frame_spec *s, unsigned bytes, struct frame *ret, unsigned max)
{
	struct frame_spec spec = *s;
	struct frame whole;
	unsigned n = 0, total, at = 0;

	assert(bytes % 8 == 0 && !s->frag_off && !s->more_fragments && !s->padding_bytes);
	spec.fragment_header = s->family == AF_INET6;
	frame_build(&whole, &spec);
	total = whole.len - whole.l4_off;
	while (at < total) {
		struct frame *f = &ret[n++];
		unsigned now = total - at < bytes ? total - at : bytes;

		assert(n <= max);
		spec.frag_off = (uint16_t)at;
		spec.more_fragments = at + now < total;
		f->data = f->bytes + FRAME_HEADROOM;
		f->l3_off = whole.l3_off;
		f->l4_off = whole.l4_off;
		f->len = f->l4_off + now;
		memcpy(f->data, whole.data, f->l3_off);
		if (s->family == AF_INET)
			write_ipv4(&spec, f->data + f->l3_off);
		else
			write_ipv6(&spec, f->data + f->l3_off);
		memcpy(f->data + f->l4_off, whole.data + whole.l4_off + at, now);
		finish_ip(s->family, f->data + f->l3_off, f->l4_off - f->l3_off,
			  f->len - f->l3_off);
		at += now;
	}
	return n;
}

static const char *transport_fault(int protocol, uint32_t pseudo, const uint8_t *l4, uint32_t len)
{
	static const uint8_t zero[4];

	if (protocol == IPPROTO_SCTP) {
		uint8_t copy[FRAME_BYTES_MAX];
		uint32_t crc = 0;

		if (len < 12 || len > sizeof(copy))
			return "length of SCTP";
		memcpy(copy, l4, len);
		memcpy(copy + 8, zero, 4);
		for (int i = 0; i < 4; i++)
			crc |= (uint32_t)l4[8 + i] << 8 * i;
		return crc == frame_crc32c(copy, len) ? NULL : "CRC of SCTP";
	}
	if (checksum_off(protocol) < 0)
		return NULL;
	if ((uint32_t)checksum_off(protocol) + 2 > len)
		return "length of the transport header";
	if (protocol == IPPROTO_UDP) {
		if (get_be16(l4 + 4) != len)
			return "length of UDP";
		if (!get_be16(l4 + 6))
			return NULL;
	}
	if (protocol == IPPROTO_ICMP)
		pseudo = 0;
	return sum16(pseudo, l4, len) == 0xffff ? NULL : "transport checksum";
}

/* Within GRE, or GUE, which the tests give port 6080. */
static const char *tunnel_fault(int protocol, const uint8_t *l4, uint32_t len)
{
	if (protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6)
		return frame_ip_fault(l4, len);
	if (protocol == IPPROTO_GRE) {
		uint32_t header = len >= 8 && l4[0] & 0x80 ? 8 : 4;

		if (len < header || (l4[0] & 0x7f) || l4[1])
			return "GRE header";
		if (header == 8 && sum16(0, l4, len) != 0xffff)
			return "checksum of GRE";
		if (get_be16(l4 + 2) != (l4[header] >> 4 == 4 ? 0x0800 : 0x86dd))
			return "protocol of GRE";
		return frame_ip_fault(l4 + header, len - header);
	}
	if (protocol == IPPROTO_UDP && get_be16(l4 + 2) == 6080) {
		if (len < 12 || l4[8] || l4[10] || l4[11])
			return "GUE header";
		if (l4[9] != (l4[12] >> 4 == 4 ? IPPROTO_IPIP : IPPROTO_IPV6))
			return "protocol of GUE";
		return frame_ip_fault(l4 + 12, len - 12);
	}
	return NULL;
}

/* Where the transport header lies, 0 where there is none to judge: a fragment; or the fault. */
static const char *ipv4_fault(const uint8_t *ip, uint32_t len, uint32_t *ret_off, int *ret_protocol)
{
	uint32_t off = (ip[0] & 0xf) * 4u;

	if (off < 20 || off > len || get_be16(ip + 2) != len)
		return "length of IPv4";
	if (sum16(0, ip, off) != 0xffff)
		return "checksum of IPv4";
	*ret_off = get_be16(ip + 6) & 0x3fff ? 0 : off;
	*ret_protocol = ip[9];
	return NULL;
}

static const char *ipv6_fault(const uint8_t *ip, uint32_t len, uint32_t *ret_off, int *ret_protocol)
{
	uint32_t off = 40;
	int next;

	if (len < 40 || get_be16(ip + 4) + 40U != len)
		return "length of IPv6";
	next = ip[6];
	*ret_off = 0;
	while (next == 0 || next == 43 || next == 44 || next == 51 || next == 60) {
		uint32_t bytes;

		if (off + 8 > len)
			return "extension header";
		if (next == 44 && get_be16(ip + off + 2) & ~6u)
			return NULL;
		bytes = next == 44   ? 8
			: next == 51 ? (ip[off + 1] + 2u) * 4
				     : (ip[off + 1] + 1u) * 8;
		next = ip[off];
		off += bytes;
		if (off > len)
			return "extension header";
	}
	*ret_off = off;
	*ret_protocol = next;
	return NULL;
}

const char *frame_ip_fault(const uint8_t *ip, uint32_t len)
{
	uint32_t off, pseudo;
	const char *why;
	int protocol;
	bool ipv4;

	if (len < 20)
		return "too short for IP";
	ipv4 = ip[0] >> 4 == 4;
	if (!ipv4 && ip[0] >> 4 != 6)
		return "version of IP";
	why = ipv4 ? ipv4_fault(ip, len, &off, &protocol) : ipv6_fault(ip, len, &off, &protocol);
	if (why || !off)
		return why;
	pseudo = ipv4 ? pseudo_sum(ip + 12, ip + 16, 4, protocol, len - off)
		      : pseudo_sum(ip + 8, ip + 24, 16, protocol, len - off);
	why = transport_fault(protocol, pseudo, ip + off, len - off);
	return why ? why : tunnel_fault(protocol, ip + off, len - off);
}

const char *frame_fault(const uint8_t *data, uint32_t len)
{
	uint32_t off = 14;
	unsigned type = get_be16(data + 12);

	if (type == 0x8100) {
		type = get_be16(data + 16);
		off = 18;
	}
	if (type != (data[off] >> 4 == 4 ? 0x0800 : 0x86dd))
		return "ethertype";
	return frame_ip_fault(data + off, len - off);
}

void frame_random_spec(uint64_t *state, struct frame_spec *ret)
{
	static const int protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	static const uint8_t extensions[] = { IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH };
	uint64_t r = frame_random(state);
	struct frame_spec s = {
		.tagged = r & 1,
		.vlan_tci = (uint16_t)(1 + (r >> 1) % 65535),
		.family = r >> 17 & 1 ? AF_INET : AF_INET6,
		.protocol = protocols[(r >> 18) % 3],
		.src_port = (uint16_t)(r >> 24),
		.dst_port = (uint16_t)(r >> 40),
		.ttl = (uint8_t)(2 + (r >> 56) % 254),
	};

	r = frame_random(state);
	s.tos = (uint8_t)r;
	s.tcp_flags = (uint8_t)(r >> 8);
	s.dont_fragment = r >> 16 & 1;
	s.without_udp_checksum = (r >> 17) % 8 == 0;
	s.option_bytes = (r >> 20) % 4 ? 0 : (uint8_t)((r >> 22) % 11 * 4);
	s.payload_bytes = (r >> 26) % 4 ? (unsigned)(r >> 28) % 64 : (unsigned)(r >> 28) % 300;
	s.padding_bytes = (r >> 40) % 20;
	s.frag_id = (uint32_t)(r >> 32) & 0xffff;
	for (unsigned i = 0; i < 16; i += 8) {
		uint64_t src = frame_random(state), dst = frame_random(state);

		memcpy(s.src + i, &src, 8);
		memcpy(s.dst + i, &dst, 8);
	}
	s.src[0] = (uint8_t)(1 + s.src[0] % 100);
	s.dst[0] = (uint8_t)(1 + s.dst[0] % 100);
	if (s.family == AF_INET) {
		memset(s.src + 4, 0, 12);
		memset(s.dst + 4, 0, 12);
	} else {
		s.option_bytes = 0;
		s.dont_fragment = true;
		s.n_extensions = (r >> 44) % 4 ? 0 : (unsigned)(r >> 46) % 5;
		for (unsigned i = 0; i < s.n_extensions; i++)
			s.extensions[i] = extensions[(r >> 50) % 3];
		if (s.n_extensions && r >> 63)
			s.extensions[0] = IPPROTO_HOPOPTS;
	}
	*ret = s;
}

uint8_t *frame_guarded(const uint8_t *bytes, uint32_t len)
{
	static uint8_t *end;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (GUARDED_MAX + page - 1) / page * page;

	assert(len <= GUARDED_MAX);
	if (!end) {
		uint8_t *pages = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (pages == MAP_FAILED || mprotect(pages + room, page, PROT_NONE) < 0)
			return NULL;
		end = pages + room;
	}
	return memcpy(end - len, bytes, len);
}
