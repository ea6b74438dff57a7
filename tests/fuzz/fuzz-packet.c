/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A frame to offsets: every one of them within the bytes that were given, the same when read again, and nothing
 * written. The buffer ends with the first segment.
 */

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/packet.h"
#include "frame-mutator.h"

static unsigned transport_min(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? 20 : protocol == IPPROTO_UDP ? 8 : 12;
}

static void check_key(const struct packet *p, bool with_ports)
{
	static const uint8_t zero[12];

	assert(p->key.family == AF_INET || p->key.family == AF_INET6);
	assert(!p->key.zero);
	if (p->key.family == AF_INET) {
		assert(memcmp(p->key.src + 4, zero, 12) == 0);
		assert(memcmp(p->key.dst + 4, zero, 12) == 0);
		assert(memcmp(p->key.src, p->data + p->l3_off + 12, 4) == 0);
		assert(memcmp(p->key.dst, p->data + p->l3_off + 16, 4) == 0);
	} else {
		assert(memcmp(p->key.src, p->data + p->l3_off + 8, 32) == 0);
	}
	if (with_ports)
		assert(memcmp(&p->key.src_port_be, p->data + p->l4_off, 4) == 0);
	else
		assert(!p->key.src_port_be && !p->key.dst_port_be);
}

static void check(const struct packet *p)
{
	bool flow = p->kind == PACKET_FLOW;

	assert(p->kind < _PACKET_KIND_MAX && p->bad < _PACKET_BAD_MAX);
	assert((p->kind == PACKET_BAD) == (p->bad != PACKET_BAD_NONE));
	assert(p->linear_bytes <= p->len_bytes);
	if (p->kind == PACKET_BAD || p->kind == PACKET_OTHER)
		return;
	assert(!(p->data[0] & 1));
	assert(p->l3_off == 14 || p->l3_off == 18);
	assert(p->l4_off >= p->l3_off + (p->key.family == AF_INET ? 20 : 40));
	assert(p->l4_off <= p->linear_bytes);
	assert(p->len_bytes - p->l3_off <= 65535 + 40);
	check_key(p, flow);
	if (flow)
		assert(p->l4_off + transport_min(p->key.protocol) <= p->linear_bytes);
	if (p->kind == PACKET_FRAGMENT)
		assert(p->is_fragment && p->frag_off_bytes && p->l4_off < p->len_bytes);
	if (p->kind == PACKET_ICMP_ERROR || p->kind == PACKET_ICMP_ECHO)
		assert(p->l4_off + 8u <= p->linear_bytes && !p->is_fragment);
	assert(p->is_fragment == (p->more_fragments || p->frag_off_bytes));
}

static void check_embedded(const struct packet *p)
{
	struct packet e;

	packet_parse_embedded(p, &e);
	assert(e.kind == PACKET_FLOW || (e.kind == PACKET_BAD && e.bad != PACKET_BAD_NONE));
	if (e.kind != PACKET_FLOW)
		return;
	assert(e.l3_off == p->l4_off + 8 && e.key.family == p->key.family);
	assert(e.l4_off + 4u <= p->linear_bytes && !e.frag_off_bytes);
	check_key(&e, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct packet p = { 0 }, again = { 0 };
	uint32_t len, linear;
	bool verified;

	if (size < MUTATOR_STEER_BYTES || size > MUTATOR_STEER_BYTES + MUTATOR_FRAME_MAX)
		return 0;
	len = (uint32_t)size - MUTATOR_STEER_BYTES;
	verified = data[0] & 1;
	linear = data[0] & 2 ? (data[1] | (uint32_t)data[2] << 8) % (len + 1) : len;
	bytes = malloc(linear);
	assert(bytes || !linear);
	if (linear)
		memcpy(bytes, data + MUTATOR_STEER_BYTES, linear);
	packet_parse(bytes, linear, len, verified, &p);
	assert(!linear || memcmp(bytes, data + MUTATOR_STEER_BYTES, linear) == 0);
	assert(p.data == bytes && p.len_bytes <= len && p.linear_bytes <= linear);
	check(&p);
	packet_parse(bytes, p.linear_bytes, p.len_bytes, verified, &again);
	assert(memcmp(&p, &again, sizeof(p)) == 0);
	if (p.kind == PACKET_ICMP_ERROR)
		check_embedded(&p);
	return 0;
}
