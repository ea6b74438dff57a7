/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/packet.h"
#include "frame.h"

enum {
	ROUNDS = 20000,
};

static void assert_key(const struct flow_key *k, const struct frame_spec *s)
{
	assert_memory_equal(k->src, s->src, 16);
	assert_memory_equal(k->dst, s->dst, 16);
	assert_int_equal(k->family, s->family);
	assert_int_equal(k->protocol, s->protocol);
	assert_int_equal(ntohs(k->src_port_be), s->src_port);
	assert_int_equal(ntohs(k->dst_port_be), s->dst_port);
	assert_int_equal(k->zero, 0);
}

static void test_random_frames_are_read_as_built(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct frame_spec s;
		struct frame f;
		struct packet p;

		memset(&p, 0xa5, sizeof(p)); /* of the frame before it */
		p.headroom_bytes = 77;
		p.tailroom_bytes = 88;
		frame_random_spec(&seed, &s);
		frame_build(&f, &s);
		assert_null(frame_fault(f.data, f.len - s.padding_bytes));
		packet_parse(frame_guarded(f.data, f.len), f.len, f.len, false, &p);
		assert_int_equal(p.kind, PACKET_FLOW);
		assert_int_equal(p.bad, PACKET_BAD_NONE);
		assert_key(&p.key, &s);
		assert_int_equal(p.l3_off, f.l3_off);
		assert_int_equal(p.l4_off, f.l4_off);
		assert_int_equal(p.len_bytes, f.len - s.padding_bytes);
		assert_int_equal(p.linear_bytes, p.len_bytes);
		assert_int_equal(p.vlan_tci, s.tagged ? s.vlan_tci : 0);
		assert_int_equal(p.ttl, s.ttl);
		assert_int_equal(p.tos, s.tos);
		assert_int_equal(p.tcp_flags, s.protocol == IPPROTO_TCP ? s.tcp_flags & 0x17 : 0);
		assert_int_equal(p.sctp_chunk,
				 s.protocol == IPPROTO_SCTP && s.payload_bytes ? 3 : 0xff);
		assert_int_equal(p.dont_fragment, s.dont_fragment);
		assert_false(p.is_fragment || p.more_fragments);
		assert_int_equal(p.frag_off_bytes | p.ipv6_frag_off, 0);
		assert_int_equal(p.icmp_type | p.icmp_code, 0);
		assert_int_equal(p.frag_id, s.family == AF_INET ? s.frag_id : 0);
		assert_int_equal(p.headroom_bytes, 77);
		assert_int_equal(p.tailroom_bytes, 88);
	}
}

static void test_cut_off_frames_are_bad_at_every_length(void **state)
{
	uint64_t seed = 2;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct frame_spec s;
		struct frame f;
		uint32_t whole, headers;

		frame_random_spec(&seed, &s);
		frame_build(&f, &s);
		whole = f.len - s.padding_bytes;
		headers = whole - s.payload_bytes;
		for (uint32_t n = 0; n < f.len; n++) {
			struct packet p;

			packet_parse(frame_guarded(f.data, n), n, n, false, &p);
			assert_int_equal(p.kind, n < whole ? PACKET_BAD : PACKET_FLOW);
			assert_int_equal(p.bad, n < whole ? PACKET_BAD_TRUNCATED : PACKET_BAD_NONE);
			/* The same bytes in a first segment: headers are enough. */
			packet_parse(frame_guarded(f.data, n), n, f.len, false, &p);
			assert_int_equal(p.kind, n < headers ? PACKET_BAD : PACKET_FLOW);
			if (n >= headers) {
				assert_int_equal(p.len_bytes, whole);
				assert_int_equal(p.linear_bytes, n < whole ? n : whole);
				assert_key(&p.key, &s);
			}
		}
	}
}

/* Any one bit of the header; in the first byte it is another fault. */
static void test_ipv4_header_checksum(void **state)
{
	struct frame_spec s = {
		.family = AF_INET,
		.protocol = IPPROTO_UDP,
		.src = { 10, 0, 0, 1 },
		.dst = { 10, 0, 0, 2 },
		.ttl = 64,
		.option_bytes = 8,
		.payload_bytes = 600,
	};
	struct frame f;

	(void)state;
	frame_build(&f, &s);
	for (unsigned bit = 8; bit < 28 * 8; bit++) {
		struct packet p;

		f.data[f.l3_off + bit / 8] ^= (uint8_t)(1 << bit % 8);
		packet_parse(f.data, f.len, f.len, false, &p);
		assert_int_equal(p.kind, PACKET_BAD);
		if (bit / 8 != 2 && bit / 8 != 3) /* the length */
			assert_int_equal(p.bad, PACKET_BAD_CHECKSUM);
		packet_parse(f.data, f.len, f.len, true, &p);
		assert_int_not_equal(p.bad, PACKET_BAD_CHECKSUM);
		f.data[f.l3_off + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* An ICMP error about a random packet, of which `n` bytes are embedded. */
static void build_error(uint64_t *seed, struct frame_spec *inner, struct frame *inner_frame,
			unsigned n, struct frame *ret)
{
	struct frame_spec s = { FRAME_V4(3, 4), .protocol = IPPROTO_ICMP, .icmp_type = 3 };
	struct frame_spec s6 = { FRAME_V6(3, 4), .protocol = IPPROTO_ICMPV6, .icmp_type = 1 };

	frame_random_spec(seed, inner);
	frame_build(inner_frame, inner);
	if (inner->family == AF_INET6)
		s = s6;
	s.payload = inner_frame->data + inner_frame->l3_off;
	s.payload_bytes = n;
	frame_build(ret, &s);
}

static void test_embedded_packets(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct frame_spec inner;
		struct frame frame, error;
		struct packet p, e;

		for (unsigned n = 0; n < 150; n++) {
			uint64_t same = seed;
			unsigned headers;

			build_error(&same, &inner, &frame, n, &error);
			if (n == 149)
				seed = same;
			headers = frame.l4_off - frame.l3_off;
			packet_parse(frame_guarded(error.data, error.len), error.len, error.len,
				     false, &p);
			assert_int_equal(p.kind, PACKET_ICMP_ERROR);
			packet_parse_embedded(&p, &e);
			if (n < headers + 4) {
				assert_int_equal(e.kind, PACKET_BAD);
				assert_int_equal(e.bad, PACKET_BAD_TRUNCATED);
				continue;
			}
			assert_int_equal(e.kind, PACKET_FLOW);
			assert_key(&e.key, &inner);
			assert_ptr_equal(e.data, p.data);
			assert_int_equal(e.l3_off, p.l4_off + 8);
			assert_int_equal(e.l4_off, p.l4_off + 8 + headers);
		}
	}
}

static void test_embedded_packets_that_have_no_ports(void **state)
{
	static const struct {
		struct frame_spec inner;
		enum packet_bad bad;
	} cases[] = {
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP }, PACKET_BAD_PROTOCOL },
		{ { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6 }, PACKET_BAD_PROTOCOL },
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .frag_off = 64, .payload_bytes = 8 },
		  PACKET_BAD_FRAGMENT },
		{ { FRAME_V6(1, 2), .protocol = IPPROTO_UDP, .fragment_header = true,
		    .frag_off = 64, .payload_bytes = 8 },
		  PACKET_BAD_FRAGMENT },
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .more_fragments = true,
		    .payload_bytes = 8 },
		  PACKET_BAD_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct frame_spec s = { FRAME_V4(3, 4), .protocol = IPPROTO_ICMP, .icmp_type = 11 };
		struct frame_spec s6 = { FRAME_V6(3, 4), .protocol = IPPROTO_ICMPV6,
					 .icmp_type = 3 };
		struct frame inner, f;
		struct packet p, e;

		frame_build(&inner, &cases[i].inner);
		if (cases[i].inner.family == AF_INET6)
			s = s6;
		s.payload = inner.data + inner.l3_off;
		s.payload_bytes = inner.len - inner.l3_off;
		frame_build(&f, &s);
		packet_parse(f.data, f.len, f.len, false, &p);
		packet_parse_embedded(&p, &e);
		assert_int_equal(e.bad, cases[i].bad);
		assert_int_equal(e.kind, cases[i].bad ? PACKET_BAD : PACKET_FLOW);
	}
}

static void test_gap_in_front(void **state)
{
	struct frame_spec s = { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .fragment_header = true,
				.payload_bytes = 9 };
	struct packet p = { .headroom_bytes = 10 }, before;
	struct frame f;
	uint8_t copy[128];

	(void)state;
	frame_build(&f, &s);
	packet_parse(f.data, f.len, f.len, false, &p);
	memcpy(copy, f.data, f.len);
	before = p;
	assert_int_equal(packet_insert(&p, 12, 11), -ENOBUFS);
	assert_memory_equal(&p, &before, sizeof(p));
	assert_int_equal(packet_insert(&p, 12, 10), 0);
	assert_ptr_equal(p.data, f.data - 10);
	assert_int_equal(p.headroom_bytes, 0);
	assert_int_equal(p.len_bytes, f.len + 10);
	assert_int_equal(p.linear_bytes, f.len + 10);
	assert_int_equal(p.l3_off, before.l3_off + 10);
	assert_int_equal(p.l4_off, before.l4_off + 10);
	assert_int_equal(p.ipv6_frag_off, before.ipv6_frag_off + 10);
	assert_memory_equal(p.data, copy, 12);
	assert_memory_equal(p.data + 22, copy + 12, f.len - 12);
	assert_int_equal(packet_insert(&p, 12, -10), 0);
	assert_memory_equal(&p, &before, sizeof(p));
	assert_memory_equal(p.data, copy, f.len);
}

static void test_reverse(void **state)
{
	struct frame_spec s = { FRAME_V4(1, 2), .protocol = IPPROTO_TCP, .src_port = 1,
				.dst_port = 2 };
	struct frame_spec back = { FRAME_V4(2, 1), .protocol = IPPROTO_TCP, .src_port = 2,
				   .dst_port = 1 };
	struct frame f;
	struct packet p;

	(void)state;
	frame_build(&f, &s);
	packet_parse(f.data, f.len, f.len, false, &p);
	flow_key_reverse(&p.key, &p.key);
	assert_key(&p.key, &back);
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < _PACKET_BAD_MAX; i++)
		assert_non_null(packet_bad_to_string((enum packet_bad)i));
	assert_null(packet_bad_to_string(_PACKET_BAD_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_frames_are_read_as_built),
		cmocka_unit_test(test_cut_off_frames_are_bad_at_every_length),
		cmocka_unit_test(test_ipv4_header_checksum),
		cmocka_unit_test(test_embedded_packets),
		cmocka_unit_test(test_embedded_packets_that_have_no_ports),
		cmocka_unit_test(test_gap_in_front),
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
