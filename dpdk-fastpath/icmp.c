/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/icmp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

#include "dpdk-fastpath/ip-header.h"
#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/unaligned.h"

enum {
	ICMP_LEN = 8,
	ICMP_CHECKSUM = 2, /* offset */
	TCP_LEN = 20,
	TCP_CHECKSUM = 16,

	/* All of the error at most: icmp_send(), icmp6_send(). */
	IPV4_ERROR_MAX = 576,
	IPV6_ERROR_MAX = 1280,

	/* icmp_send(): RT_TOS(tos) | IPTOS_PREC_INTERNETCONTROL. */
	TOS_MASK = 0x1e,
	TOS_INTERNETCONTROL = 0xc0,
};

struct message {
	uint8_t type, code;
};

static const struct message ipv4_messages[] = {
	[ICMP_ERROR_PORT_UNREACHABLE] = { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH },
	[ICMP_ERROR_HOST_UNREACHABLE] = { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH },
	[ICMP_ERROR_TOO_BIG] = { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED },
	[ICMP_ERROR_TIME_EXCEEDED] = { ICMP_TIME_EXCEEDED, ICMP_EXC_TTL },
};

static const struct message ipv6_messages[] = {
	[ICMP_ERROR_PORT_UNREACHABLE] = { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT },
	[ICMP_ERROR_HOST_UNREACHABLE] = { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR },
	[ICMP_ERROR_TOO_BIG] = { ICMP6_PACKET_TOO_BIG, 0 },
	[ICMP_ERROR_TIME_EXCEEDED] = { ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT },
};

static void exchange_macs(struct packet *p)
{
	uint8_t dst[PACKET_MAC_LEN];

	memcpy(dst, p->data, sizeof(dst));
	memcpy(p->data, p->data + PACKET_MAC_LEN, PACKET_MAC_LEN);
	memcpy(p->data + PACKET_MAC_LEN, dst, sizeof(dst));
}

/* The frame ends at `len_bytes`, in its first segment. */
static void cut(struct packet *p, uint32_t len_bytes)
{
	bool in_segments = p->len_bytes > p->linear_bytes;
	uint32_t room = p->tailroom_bytes + p->linear_bytes - len_bytes;

	/* 0 where segments followed: what is there is not known. */
	p->tailroom_bytes = (uint16_t)(in_segments	   ? p->linear_bytes - len_bytes
				       : room > UINT16_MAX ? UINT16_MAX
							   : room);
	p->linear_bytes = p->len_bytes = len_bytes;
}

static void write_checksum(struct packet *p, unsigned off)
{
	uint16_t checksum = ip_header_transport_checksum(p);

	memcpy(p->data + p->l4_off + off, &checksum, sizeof(checksum));
}

int icmp_make_error(struct packet *p, enum icmp_error e, uint32_t mtu, const uint8_t from[16])
{
	bool ipv4 = p->key.family == AF_INET;
	const struct message *m = ipv4 ? &ipv4_messages[e] : &ipv6_messages[e];
	unsigned overhead = ip_header_bytes(p->key.family) + ICMP_LEN;
	uint32_t max = p->l3_off + (ipv4 ? IPV4_ERROR_MAX : IPV6_ERROR_MAX);
	struct ip_header h = {
		.key.family = p->key.family,
		.key.protocol = ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
		.tos = ipv4 ? (p->tos & TOS_MASK) | TOS_INTERNETCONTROL : 0,
		.ttl = IP_HEADER_TTL,
		.ipv4_id = (uint16_t)p->frag_id,
	};
	uint8_t *icmp;
	int r;

	if (p->kind != PACKET_FLOW && p->kind != PACKET_ICMP_ECHO)
		return -ENOMSG;
	memcpy(h.key.src, from, ipv4 ? 4 : 16);
	memcpy(h.key.dst, p->key.src, sizeof(h.key.dst));
	r = packet_insert(p, p->l3_off, (int)overhead);
	if (r < 0)
		return r;
	p->l3_off = (uint16_t)(p->l3_off - overhead);
	cut(p, p->linear_bytes < max ? p->linear_bytes : max);
	exchange_macs(p);
	ip_header_write(p, &h, PACKET_ICMP_ERROR);
	icmp = p->data + p->l4_off;
	icmp[0] = p->icmp_type = m->type;
	icmp[1] = p->icmp_code = m->code;
	memset(icmp + ICMP_CHECKSUM, 0, 2);
	if (e != ICMP_ERROR_TOO_BIG)
		mtu = 0;
	unaligned_write_be32(icmp + 4, mtu);
	write_checksum(p, ICMP_CHECKSUM);
	return 0;
}

int icmp_make_echo_reply(struct packet *p)
{
	bool ipv4 = p->key.family == AF_INET;
	uint8_t *icmp = p->data + p->l4_off;
	struct ip_header h = {
		.tos = p->tos,
		.ttl = IP_HEADER_TTL,
		.ipv4_id = (uint16_t)p->frag_id,
	};
	uint8_t type = ipv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	uint16_t old, new, checksum;

	/* Options and extension headers are the kernel's to answer. */
	if (p->kind != PACKET_ICMP_ECHO ||
	    p->l4_off - p->l3_off != (int)ip_header_bytes(p->key.family))
		return -ENOMSG;
	flow_key_reverse(&p->key, &h.key);
	exchange_macs(p);
	ip_header_write(p, &h, PACKET_OTHER);
	p->icmp_type = type;
	p->icmp_code = icmp[1];
	/* Not made anew: what was damaged on its way here must not come back as whole. */
	memcpy(&old, icmp, sizeof(old));
	icmp[0] = type;
	memcpy(&new, icmp, sizeof(new));
	memcpy(&checksum, icmp + ICMP_CHECKSUM, sizeof(checksum));
	checksum = rewrite_checksum_fold((uint32_t)(uint16_t)~checksum + (uint16_t)~old + new);
	/* Both are 0, but of an answer that is all zeros only 0xffff is right, and it is never wrong. */
	if (!checksum)
		checksum = 0xffff;
	memcpy(icmp + ICMP_CHECKSUM, &checksum, sizeof(checksum));
	return 0;
}

/* IP and TCP header at l3_off: the frame is cut behind them. */
static void write_reset(struct packet *p, const struct ip_header *h, uint32_t seq, uint32_t ack,
			uint8_t flags)
{
	uint8_t *tcp;

	ip_header_write(p, h, PACKET_FLOW);
	p->tcp_flags = flags;
	tcp = p->data + p->l4_off;
	memcpy(tcp, &h->key.src_port_be, 2);
	memcpy(tcp + 2, &h->key.dst_port_be, 2);
	unaligned_write_be32(tcp + 4, seq);
	unaligned_write_be32(tcp + 8, ack);
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = flags;
	memset(tcp + 14, 0, 6); /* window, checksum, urgent pointer */
	write_checksum(p, TCP_CHECKSUM);
}

int icmp_make_tcp_reset(struct packet *p)
{
	const uint8_t *tcp = p->data + p->l4_off;
	struct ip_header h = {
		.tos = p->tos,
		.ttl = IP_HEADER_TTL,
		.dont_fragment = true,
	};
	uint32_t header_bytes, segment_bytes = p->len_bytes - p->l4_off, seq = 0, ack = 0;
	uint8_t flags = PACKET_TCP_RST;

	if (p->kind != PACKET_FLOW || p->key.protocol != IPPROTO_TCP || p->is_fragment ||
	    (p->tcp_flags & PACKET_TCP_RST))
		return -ENOMSG;
	header_bytes = (tcp[12] >> 4) * 4;
	if (header_bytes < TCP_LEN || header_bytes > segment_bytes)
		return -ENOMSG;
	if (p->tcp_flags & PACKET_TCP_ACK) {
		seq = unaligned_read_be32(tcp + 8);
	} else {
		ack = unaligned_read_be32(tcp + 4) + segment_bytes - header_bytes +
		      !!(p->tcp_flags & PACKET_TCP_SYN) + !!(p->tcp_flags & PACKET_TCP_FIN);
		flags |= PACKET_TCP_ACK;
	}
	flow_key_reverse(&p->key, &h.key);
	exchange_macs(p);
	cut(p, p->l3_off + ip_header_bytes(p->key.family) + TCP_LEN);
	write_reset(p, &h, seq, ack, flags);
	return 0;
}

void icmp_write_tcp_reset(uint8_t *data, const uint8_t src_mac[PACKET_MAC_LEN],
			  const uint8_t dst_mac[PACKET_MAC_LEN], const struct flow_key *k,
			  uint32_t seq, uint32_t ack, uint32_t *ret_len_bytes)
{
	uint32_t bytes = PACKET_ETHERNET_LEN + ip_header_bytes(k->family) + TCP_LEN;
	struct packet p = {
		.data = data,
		.linear_bytes = bytes,
		.len_bytes = bytes,
		.l3_off = PACKET_ETHERNET_LEN,
	};
	struct ip_header h = { .key = *k, .ttl = IP_HEADER_TTL, .dont_fragment = true };

	memcpy(data, dst_mac, PACKET_MAC_LEN);
	memcpy(data + PACKET_MAC_LEN, src_mac, PACKET_MAC_LEN);
	write_reset(&p, &h, seq, ack, PACKET_TCP_RST | PACKET_TCP_ACK);
	*ret_len_bytes = bytes;
}
