/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/packet.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/unaligned.h"

enum {
	TCP_MIN = 20,
	UDP_LEN = 8,
	SCTP_LEN = 12,
	ICMP_LEN = 8,
	PORTS_LEN = 4,
	FRAGMENT_HEADER_LEN = 8,

	IPV4_WITHOUT_OPTIONS = 0x45, /* version and header length */
	IPV4_DF = 0x4000,
	IPV4_MF = 0x2000,
	IPV4_OFFSET = 0x1fff,
	FRAME_BYTES_MAX = 65535,
	NO_CHUNK = 0xff,
};

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Rare: kept out of the way of the packets that are as they should be. */
static __attribute__((noinline, cold)) void set_bad(struct packet *p, enum packet_bad why)
{
	p->kind = PACKET_BAD;
	p->bad = why;
}

/* Of the header that has the ports; 0 for a protocol without. */
static inline uint32_t transport_min(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return TCP_MIN;
	case IPPROTO_UDP:
		return UDP_LEN;
	case IPPROTO_SCTP:
		return SCTP_LEN;
	default:
		return 0;
	}
}

static bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_AH;
}

/*
 * Which messages are errors: those of ip_vs_in_icmp() and ip_vs_in_icmp_v6(). A fragment of a message, or one that
 * says that it could have been one, is left to the kernel, which reassembles.
 */
static __attribute__((noinline)) void parse_icmp(struct packet *p)
{
	const uint8_t *icmp = p->data + p->l4_off;

	if (p->is_fragment || p->ipv6_frag_off)
		return;
	if (p->linear_bytes - p->l4_off < ICMP_LEN) {
		set_bad(p, PACKET_BAD_TRUNCATED);
		return;
	}
	p->icmp_type = icmp[0];
	p->icmp_code = icmp[1];
	if (p->key.family == AF_INET) {
		if (p->icmp_type == ICMP_ECHO)
			p->kind = PACKET_ICMP_ECHO;
		else if (p->icmp_type == ICMP_DEST_UNREACH || p->icmp_type == ICMP_SOURCE_QUENCH ||
			 p->icmp_type == ICMP_TIME_EXCEEDED)
			p->kind = PACKET_ICMP_ERROR;
	} else {
		if (p->icmp_type == ICMP6_ECHO_REQUEST)
			p->kind = PACKET_ICMP_ECHO;
		else if (!(p->icmp_type & ICMP6_INFOMSG_MASK))
			p->kind = PACKET_ICMP_ERROR;
	}
}

/* What is behind the IP headers, of a whole packet or of a first fragment. */
static inline __attribute__((always_inline)) void parse_transport(struct packet *p, bool embedded)
{
	const uint8_t *l4 = p->data + p->l4_off;
	uint32_t in_reach = p->linear_bytes - p->l4_off;
	uint32_t need = likely(p->key.protocol == IPPROTO_TCP) ? TCP_MIN
							       : transport_min(p->key.protocol);

	if (unlikely(!need)) {
		if (embedded)
			set_bad(p, PACKET_BAD_PROTOCOL);
		else if (p->key.protocol ==
			 (p->key.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			parse_icmp(p);
		return;
	}
	if (embedded)
		need = PORTS_LEN;
	if (unlikely(in_reach < need)) {
		set_bad(p, p->is_fragment ? PACKET_BAD_FRAGMENT : PACKET_BAD_TRUNCATED);
		return;
	}
	p->kind = PACKET_FLOW;
	memcpy(&p->key.src_port_be, l4, PORTS_LEN);
	if (embedded)
		return;
	if (likely(p->key.protocol == IPPROTO_TCP))
		p->tcp_flags = l4[13] &
			       (PACKET_TCP_FIN | PACKET_TCP_SYN | PACKET_TCP_RST | PACKET_TCP_ACK);
	else if (p->key.protocol == IPPROTO_SCTP && in_reach > SCTP_LEN)
		p->sctp_chunk = l4[SCTP_LEN];
}

/*
 * frag_off_bytes and more_fragments are set, `bytes` is what the fragment carries. True: it is the first one, with the
 * transport header. A later one that would overwrite that header of the first is an attack (RFC 1858, RFC 3128).
 */
static __attribute__((noinline)) bool parse_fragment(struct packet *p, uint32_t bytes,
						     bool embedded)
{
	p->is_fragment = true;
	if (embedded) {
		if (p->frag_off_bytes)
			set_bad(p, PACKET_BAD_FRAGMENT);
		return !p->frag_off_bytes;
	}
	if (!bytes || (p->more_fragments && bytes % 8) ||
	    p->frag_off_bytes + bytes > FRAME_BYTES_MAX) {
		set_bad(p, PACKET_BAD_FRAGMENT);
		return false;
	}
	if (!p->frag_off_bytes)
		return true;
	if (p->frag_off_bytes < transport_min(p->key.protocol))
		set_bad(p, PACKET_BAD_FRAGMENT);
	else if (transport_min(p->key.protocol) || is_extension(p->key.protocol))
		p->kind = PACKET_FRAGMENT;
	return false;
}

static inline bool ipv4_header_sums_up(const uint8_t *ip, uint32_t header_bytes)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < PACKET_IPV4_MIN; i += 4) {
		uint32_t word;

		memcpy(&word, ip + i, sizeof(word));
		sum += word;
	}
	for (uint32_t i = PACKET_IPV4_MIN; unlikely(i < header_bytes); i += 4) {
		uint32_t word;

		memcpy(&word, ip + i, sizeof(word));
		sum += word;
	}
	/* As 0xffff, and never as 0: the first byte is not. */
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

/* By the first byte: "this network"; loopback; multicast, broadcast and class E. */
static const bool ipv4_is_special[256] = { [0] = true, [127] = true, [224 ... 255] = true };

static inline __attribute__((always_inline)) void parse_ipv4(struct packet *p, bool verified,
							     bool embedded)
{
	const uint8_t *ip = p->data + p->l3_off;
	uint32_t in_reach = p->linear_bytes - p->l3_off;
	uint32_t header_bytes, total_bytes;
	uint16_t fragment;

	if (unlikely(in_reach < PACKET_IPV4_MIN)) {
		set_bad(p, PACKET_BAD_TRUNCATED);
		return;
	}
	header_bytes = PACKET_IPV4_MIN;
	total_bytes = unaligned_read_be16(ip + 2);
	if (unlikely(ip[0] != IPV4_WITHOUT_OPTIONS)) {
		header_bytes = (ip[0] & 0xf) * 4;
		if (ip[0] >> 4 != 4) {
			set_bad(p, PACKET_BAD_VERSION);
			return;
		}
		if (header_bytes < PACKET_IPV4_MIN) {
			set_bad(p, PACKET_BAD_HEADER_LENGTH);
			return;
		}
	}
	if (unlikely(!embedded && total_bytes < header_bytes)) {
		set_bad(p, PACKET_BAD_HEADER_LENGTH);
		return;
	}
	if (unlikely(header_bytes > in_reach ||
		     (!embedded && total_bytes > p->len_bytes - p->l3_off))) {
		set_bad(p, PACKET_BAD_TRUNCATED);
		return;
	}
	if (!embedded) {
		if (!verified && unlikely(!ipv4_header_sums_up(ip, header_bytes))) {
			set_bad(p, PACKET_BAD_CHECKSUM);
			return;
		}
		p->len_bytes = p->l3_off + total_bytes;
		if (p->linear_bytes > p->len_bytes)
			p->linear_bytes = p->len_bytes;
	}

	fragment = unaligned_read_be16(ip + 6);
	p->l4_off = (uint16_t)(p->l3_off + header_bytes);
	p->tos = ip[1];
	p->ttl = ip[8];
	p->frag_id = unaligned_read_be16(ip + 4);
	p->dont_fragment = fragment & IPV4_DF;
	p->key.family = AF_INET;
	p->key.protocol = ip[9];
	memcpy(p->key.src, ip + 12, 4);
	memcpy(p->key.dst, ip + 16, 4);
	if (!embedded && unlikely(ipv4_is_special[ip[12]] | ipv4_is_special[ip[16]]))
		return;
	if (unlikely(fragment & (IPV4_MF | IPV4_OFFSET))) {
		p->more_fragments = fragment & IPV4_MF;
		p->frag_off_bytes = (uint16_t)((fragment & IPV4_OFFSET) * 8);
		if (!parse_fragment(p, total_bytes - header_bytes, embedded))
			return;
	}
	parse_transport(p, embedded);
}

/* The fragment header at `off`. True: go on behind it. One that is alone (RFC 6946) is no fragment. */
static bool parse_fragment_header(struct packet *p, uint32_t off, bool embedded)
{
	const uint8_t *h = p->data + off;
	uint16_t field = unaligned_read_be16(h + 2);

	if (p->ipv6_frag_off) {
		set_bad(p, PACKET_BAD_EXTENSIONS);
		return false;
	}
	p->ipv6_frag_off = (uint16_t)off;
	p->frag_id = unaligned_read_be32(h + 4);
	p->frag_off_bytes = field & ~7;
	p->more_fragments = field & 1;
	if (!p->frag_off_bytes && !p->more_fragments)
		return true;
	p->key.protocol = h[0];
	p->l4_off = (uint16_t)(off + FRAGMENT_HEADER_LEN);
	return parse_fragment(p, p->len_bytes - p->l4_off, embedded);
}

/* Steps over extension headers. True: l4_off and key.protocol are those of what is behind them. */
static __attribute__((noinline)) bool parse_extensions(struct packet *p, bool embedded)
{
	uint8_t next = p->key.protocol;
	uint32_t off = p->l4_off;

	for (unsigned n = 0; is_extension(next); n++) {
		const uint8_t *h = p->data + off;
		uint32_t bytes;

		if (n == PACKET_EXTENSIONS_MAX || (next == IPPROTO_HOPOPTS && n > 0)) {
			set_bad(p, PACKET_BAD_EXTENSIONS);
			return false;
		}
		if (p->linear_bytes - off < 8) {
			set_bad(p, PACKET_BAD_TRUNCATED);
			return false;
		}
		bytes = next == IPPROTO_AH	   ? (h[1] + 2u) * 4
			: next == IPPROTO_FRAGMENT ? FRAGMENT_HEADER_LEN
						   : (h[1] + 1u) * 8;
		if (p->linear_bytes - off < bytes) {
			set_bad(p, PACKET_BAD_TRUNCATED);
			return false;
		}
		/* Segments left: this destination is not the last one. */
		if (next == IPPROTO_ROUTING && h[3] && !embedded)
			return false;
		if (next == IPPROTO_FRAGMENT && !parse_fragment_header(p, off, embedded))
			return false;
		next = h[0];
		off += bytes;
	}
	p->l4_off = (uint16_t)off;
	p->key.protocol = next;
	return true;
}

/* Multicast; unspecified, loopback, IPv4-mapped and -compatible. */
static inline bool ipv6_is_special(const uint8_t *addr)
{
	uint64_t prefix;

	memcpy(&prefix, addr, sizeof(prefix));
	return addr[0] == 0xff || !prefix;
}

static inline __attribute__((always_inline)) void parse_ipv6(struct packet *p, bool embedded)
{
	const uint8_t *ip = p->data + p->l3_off;
	uint32_t payload_bytes;

	if (unlikely(p->linear_bytes - p->l3_off < PACKET_IPV6_LEN)) {
		set_bad(p, PACKET_BAD_TRUNCATED);
		return;
	}
	if (unlikely(ip[0] >> 4 != 6)) {
		set_bad(p, PACKET_BAD_VERSION);
		return;
	}
	payload_bytes = unaligned_read_be16(ip + 4);
	if (!embedded) {
		if (unlikely(payload_bytes > p->len_bytes - p->l3_off - PACKET_IPV6_LEN)) {
			set_bad(p, PACKET_BAD_TRUNCATED);
			return;
		}
		p->len_bytes = p->l3_off + PACKET_IPV6_LEN + payload_bytes;
		if (p->linear_bytes > p->len_bytes)
			p->linear_bytes = p->len_bytes;
	}
	p->l4_off = (uint16_t)(p->l3_off + PACKET_IPV6_LEN);
	p->tos = (uint8_t)(unaligned_read_be16(ip) >> 4);
	p->ttl = ip[7];
	p->dont_fragment = true;
	p->key.family = AF_INET6;
	p->key.protocol = ip[6];
	memcpy(p->key.src, ip + 8, 32);
	if (!embedded && unlikely(ipv6_is_special(ip + 8) || ipv6_is_special(ip + 24)))
		return;
	if (unlikely(is_extension(p->key.protocol)) && !parse_extensions(p, embedded))
		return;
	parse_transport(p, embedded);
}

/* Member by member: as a whole, compilers clear it with a string instruction, at the price of half the parsing. */
static inline void begin(struct packet *p, uint8_t *data, uint32_t linear_bytes, uint32_t len_bytes,
			 uint16_t l3_off)
{
	p->data = data;
	p->linear_bytes = linear_bytes;
	p->len_bytes = len_bytes;
	p->l3_off = l3_off;
	p->l4_off = 0;
	p->vlan_tci = 0;
	p->kind = PACKET_OTHER;
	p->bad = PACKET_BAD_NONE;
	p->ttl = p->tos = 0;
	p->tcp_flags = 0;
	p->sctp_chunk = NO_CHUNK;
	p->icmp_type = p->icmp_code = 0;
	p->dont_fragment = p->more_fragments = false;
	memset(&p->is_fragment, 0, sizeof(p->is_fragment) + sizeof(p->zero));
	p->frag_off_bytes = 0;
	p->ipv6_frag_off = 0;
	p->frag_id = 0;
	p->key = (struct flow_key){ 0 };
}

void packet_parse(uint8_t *data, uint32_t linear_bytes, uint32_t len_bytes, bool checksum_verified,
		  struct packet *ret)
{
	uint16_t type;

	assert(linear_bytes <= len_bytes);
	begin(ret, data, linear_bytes, len_bytes, PACKET_ETHERNET_LEN);
	if (unlikely(linear_bytes < PACKET_ETHERNET_LEN)) {
		set_bad(ret, PACKET_BAD_TRUNCATED);
		return;
	}
	type = unaligned_read_be16(data + 12);
	if (unlikely(type == ETH_P_8021Q)) {
		if (linear_bytes < PACKET_ETHERNET_LEN + PACKET_VLAN_LEN) {
			set_bad(ret, PACKET_BAD_TRUNCATED);
			return;
		}
		ret->vlan_tci = unaligned_read_be16(data + 14);
		ret->l3_off = PACKET_ETHERNET_LEN + PACKET_VLAN_LEN;
		type = unaligned_read_be16(data + 16);
	}
	if (unlikely(data[0] & 1)) /* multicast, broadcast */
		return;
	if (likely(type == ETH_P_IP))
		parse_ipv4(ret, checksum_verified, false);
	else if (type == ETH_P_IPV6)
		parse_ipv6(ret, false);
}

void packet_parse_embedded(const struct packet *outer, struct packet *ret)
{
	assert(outer->kind == PACKET_ICMP_ERROR);
	begin(ret, outer->data, outer->linear_bytes, outer->len_bytes,
	      (uint16_t)(outer->l4_off + ICMP_LEN));
	ret->headroom_bytes = ret->tailroom_bytes = 0;
	ret->vlan_tci = outer->vlan_tci;
	if (outer->key.family == AF_INET)
		parse_ipv4(ret, true, true);
	else
		parse_ipv6(ret, true);
}

int packet_insert(struct packet *p, unsigned at, int bytes)
{
	uint8_t *to = p->data - bytes;

	assert(at <= p->linear_bytes && (bytes >= 0 || at + (unsigned)-bytes <= p->linear_bytes));
	if (bytes > p->headroom_bytes)
		return -ENOBUFS;
	memmove(to, p->data, at);
	p->data = to;
	p->headroom_bytes = (uint16_t)(p->headroom_bytes - bytes);
	p->linear_bytes += (uint32_t)bytes;
	p->len_bytes += (uint32_t)bytes;
	if (p->l3_off >= at)
		p->l3_off = (uint16_t)(p->l3_off + bytes);
	if (p->l4_off >= at)
		p->l4_off = (uint16_t)(p->l4_off + bytes);
	if (p->ipv6_frag_off && p->ipv6_frag_off >= at)
		p->ipv6_frag_off = (uint16_t)(p->ipv6_frag_off + bytes);
	return 0;
}

void flow_key_reverse(const struct flow_key *k, struct flow_key *ret)
{
	struct flow_key r = {
		.src_port_be = k->dst_port_be,
		.dst_port_be = k->src_port_be,
		.protocol = k->protocol,
		.family = k->family,
	};

	memcpy(r.src, k->dst, sizeof(r.src));
	memcpy(r.dst, k->src, sizeof(r.dst));
	*ret = r;
}

const char *packet_bad_to_string(enum packet_bad b)
{
	static const char *const names[_PACKET_BAD_MAX] = {
		[PACKET_BAD_NONE] = "none",	    [PACKET_BAD_TRUNCATED] = "truncated",
		[PACKET_BAD_VERSION] = "version",   [PACKET_BAD_HEADER_LENGTH] = "header-length",
		[PACKET_BAD_CHECKSUM] = "checksum", [PACKET_BAD_EXTENSIONS] = "extensions",
		[PACKET_BAD_FRAGMENT] = "fragment", [PACKET_BAD_PROTOCOL] = "protocol",
	};

	return b < _PACKET_BAD_MAX ? names[b] : NULL;
}
