/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Every change of a frame, judged by checksums made from scratch: what was right stays right, what was wrong stays
 * wrong in the same way, what we make is right, and a rewrite is taken back to the byte.
 */

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/icmp.h"
#include "dpdk-fastpath/rewrite.h"
#include "frame-mutator.h"
#include "tests/frame.h"

enum {
	HEADROOM = 80,
	GUE_PORT = 6080, /* where frame_fault() looks for a tunnel */
};

enum operation {
	REWRITE_FLOW,
	REWRITE_TTL,
	REWRITE_ETHERNET,
	REWRITE_ICMP_ERROR,
	REWRITE_TUNNEL,
	MAKE_ERROR,
	MAKE_ECHO_REPLY,
	MAKE_RESET,
	_OPERATION_MAX,
};

/* What steers: the first byte is the operation. */
struct steer {
	uint8_t operation, flags, a, b;
	uint8_t src[16], dst[16];
	uint8_t ports[4];
	uint8_t rest[8];
};

_Static_assert(sizeof(struct steer) == MUTATOR_STEER_BYTES, "as the mutator has it");

static const char *fault(const struct packet *p)
{
	return frame_fault(p->data, p->len_bytes);
}

static struct flow_key steered_key(const struct steer *s, const struct flow_key *like)
{
	struct flow_key k = { .family = like->family, .protocol = like->protocol };
	size_t n = like->family == AF_INET ? 4 : 16;

	memcpy(k.src, s->src, n);
	memcpy(k.dst, s->dst, n);
	memcpy(&k.src_port_be, s->ports, 4);
	return k;
}

/* 0 and 0xffff are the same, and come back as one of them. */
static bool has_checksum_of_ones(const struct packet *p)
{
	const uint8_t *ip = p->data + p->l3_off, *l4 = p->data + p->l4_off;

	return (p->key.family == AF_INET && ip[10] == 0xff && ip[11] == 0xff) ||
	       (p->kind == PACKET_FLOW && p->key.protocol == IPPROTO_TCP && l4[16] == 0xff &&
		l4[17] == 0xff) ||
	       (p->kind == PACKET_ICMP_ERROR && l4[2] == 0xff && l4[3] == 0xff);
}

static void rewrite_and_take_back(struct packet *p, const struct steer *s, const uint8_t *frame)
{
	bool exact = !has_checksum_of_ones(p);
	const char *before = fault(p);
	struct flow_key from = p->key, to = steered_key(s, &p->key);
	struct packet again = { 0 };

	if (ntohs(from.dst_port_be) == GUE_PORT || ntohs(to.dst_port_be) == GUE_PORT)
		return;
	if (rewrite_flow(p, &to) < 0) {
		assert(p->key.protocol == IPPROTO_SCTP && p->is_fragment);
		assert(memcmp(p->data, frame, p->linear_bytes) == 0);
		return;
	}
	assert(fault(p) == before);
	packet_parse(p->data, p->linear_bytes, p->len_bytes, true, &again);
	if (again.kind == PACKET_FLOW)
		assert(memcmp(&again.key, &to, sizeof(to)) == 0);
	assert(rewrite_flow(p, &from) == 0);
	if (exact)
		assert(memcmp(p->data, frame, p->len_bytes) == 0);
	assert(fault(p) == before);
}

static void rewrite_error(struct packet *p, const struct steer *s)
{
	struct flow_key outer = steered_key(s, &p->key), inner;
	const char *before = fault(p);
	struct packet e, e_again, again = { 0 };

	packet_parse_embedded(p, &e);
	if (e.kind != PACKET_FLOW)
		return;
	inner = steered_key(s, &e.key);
	rewrite_icmp_error(p, &e, &outer, &inner);
	assert(fault(p) == before);
	packet_parse(p->data, p->linear_bytes, p->len_bytes, true, &again);
	if (again.kind != PACKET_ICMP_ERROR)
		return;
	packet_parse_embedded(&again, &e_again);
	assert(e_again.kind == PACKET_FLOW);
	assert(memcmp(&e_again.key, &inner, sizeof(inner)) == 0);
}

/* The outer addresses are those of hosts: what is made is read again as it is described. */
static void assert_described(const struct packet *p)
{
	struct packet again = { .headroom_bytes = p->headroom_bytes,
				.tailroom_bytes = p->tailroom_bytes };

	packet_parse(p->data, p->linear_bytes, p->len_bytes, false, &again);
	assert(memcmp(p, &again, sizeof(again)) == 0);
}

static void push_tunnel(struct packet *p, const struct steer *s)
{
	const char *before = frame_ip_fault(p->data + p->l3_off, p->len_bytes - p->l3_off);
	struct rewrite_tunnel t = {
		.kind = s->a % 3,
		.family = s->a & 0x80 ? AF_INET6 : AF_INET,
		.src = { 20, 1, 1, 1 },
		.dst = { 20, 2, 2, 2 },
		.port_be = htons(GUE_PORT),
		.flags = s->b & 3,
		.ipv4_id = (uint16_t)(s->a << 8 | s->b),
	};
	uint32_t len = p->len_bytes;

	assert(rewrite_tunnel_push(p, &t) == 0);
	assert(p->len_bytes == len + rewrite_tunnel_overhead(&t));
	assert(fault(p) == before);
	assert_described(p);
}

static void make(struct packet *p, const struct steer *s)
{
	static const uint8_t ours[16] = { 30, 1, 1, 1 };
	const char *before = fault(p);
	int r;

	if (s->operation % _OPERATION_MAX == MAKE_ERROR)
		r = icmp_make_error(p, (enum icmp_error)(s->a % 4), s->b * 1000u, ours);
	else if (s->operation % _OPERATION_MAX == MAKE_RESET)
		r = icmp_make_tcp_reset(p);
	else
		r = icmp_make_echo_reply(p);
	if (r < 0) {
		assert(fault(p) == before);
		return;
	}
	if (s->operation % _OPERATION_MAX == MAKE_ECHO_REPLY)
		assert(fault(p) == before);
	else
		assert(!fault(p));
	if (!(p->data[0] & 1)) /* it came from a group's address, which nobody has */
		assert_described(p);
}

static void operate(struct packet *p, const struct steer *s, const uint8_t *frame)
{
	const char *before = fault(p);
	bool flow = p->kind == PACKET_FLOW || p->kind == PACKET_FRAGMENT;

	switch ((enum operation)(s->operation % _OPERATION_MAX)) {
	case REWRITE_FLOW:
		if (flow)
			rewrite_and_take_back(p, s, frame);
		break;
	case REWRITE_TTL:
		if (p->ttl > 1 && p->kind != PACKET_OTHER)
			rewrite_ttl(p);
		assert(fault(p) == before);
		break;
	case REWRITE_ETHERNET:
		assert(rewrite_ethernet(p, s->src, s->dst, (uint16_t)(s->a << 8 | s->b)) == 0);
		assert(fault(p) == before);
		break;
	case REWRITE_ICMP_ERROR:
		if (p->kind == PACKET_ICMP_ERROR)
			rewrite_error(p, s);
		break;
	case REWRITE_TUNNEL:
		if (p->kind != PACKET_OTHER)
			push_tunnel(p, s);
		break;
	default:
		make(p, s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct packet p = { .headroom_bytes = HEADROOM };
	struct steer s;
	uint32_t len;

	if (size < sizeof(s) || size > sizeof(s) + MUTATOR_FRAME_MAX)
		return 0;
	memcpy(&s, data, sizeof(s));
	data += sizeof(s);
	len = (uint32_t)(size - sizeof(s));
	bytes = malloc(HEADROOM + len);
	assert(bytes);
	memcpy(bytes + HEADROOM, data, len);
	packet_parse(bytes + HEADROOM, len, len, false, &p);
	/* Only what was read to its end, and whose tag has an ethertype of IP. */
	if (p.kind == PACKET_BAD || !p.key.family)
		return 0;
	operate(&p, &s, data);
	return 0;
}
