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
#include "dpdk-fastpath/icmp.h"
#include "frame.h"

static const uint8_t our_address[16] = { 30, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const uint8_t frame_dst[6] = { 2, 0, 0, 0, 0, 0xaa }, frame_src[6] = { 2, 0, 0, 0, 0, 0xbb };

static unsigned be16(const uint8_t *b)
{
	return (unsigned)b[0] << 8 | b[1];
}

static uint32_t be32(const uint8_t *b)
{
	return (uint32_t)be16(b) << 16 | be16(b + 2);
}

static void parse(struct frame *f, struct packet *ret)
{
	ret->headroom_bytes = FRAME_HEADROOM;
	ret->tailroom_bytes = FRAME_TAILROOM;
	packet_parse(f->data, f->len, f->len, false, ret);
}

static void assert_right(const struct packet *p)
{
	const char *why = frame_fault(p->data, p->len_bytes);

	if (why)
		fail_msg("%s", why);
}

/* It says of itself what a receiver reads. */
static void assert_described(const struct packet *p)
{
	struct packet again = { .headroom_bytes = p->headroom_bytes,
				.tailroom_bytes = p->tailroom_bytes };

	packet_parse(p->data, p->len_bytes, p->len_bytes, false, &again);
	assert_memory_equal(p, &again, sizeof(again));
}

static void assert_goes_back(const struct packet *p)
{
	assert_memory_equal(p->data, frame_src, 6);
	assert_memory_equal(p->data + 6, frame_dst, 6);
}

static const struct error_case {
	enum icmp_error error;
	uint8_t type4, code4, type6, code6;
	bool with_mtu;
} error_cases[] = {
	{ ICMP_ERROR_PORT_UNREACHABLE, 3, 3, 1, 4, false },
	{ ICMP_ERROR_HOST_UNREACHABLE, 3, 1, 1, 3, false },
	{ ICMP_ERROR_TOO_BIG, 3, 4, 2, 0, true },
	{ ICMP_ERROR_TIME_EXCEEDED, 11, 0, 3, 0, false },
};

static void check_error(const struct error_case *c, const struct frame_spec *s)
{
	bool ipv4 = s->family == AF_INET;
	unsigned header = ipv4 ? 20 : 40, max = ipv4 ? 576 : 1280;
	unsigned address_bytes = ipv4 ? 4 : 16, embedded_bytes;
	struct packet p = { 0 }, before, embedded;
	struct frame f, copy;
	const uint8_t *ip, *icmp;

	frame_build(&f, s);
	copy = f;
	parse(&f, &p);
	before = p;
	assert_int_equal(icmp_make_error(&p, c->error, 1400, our_address), 0);
	assert_right(&p);
	assert_described(&p);
	assert_goes_back(&p);
	assert_int_equal(p.l3_off, before.l3_off);
	ip = p.data + p.l3_off;
	icmp = ip + header;
	embedded_bytes = p.len_bytes - p.l3_off - header - 8;
	assert_memory_equal(ip + (ipv4 ? 12 : 8), our_address, address_bytes);
	assert_memory_equal(ip + (ipv4 ? 16 : 24), s->src, address_bytes);
	assert_int_equal(icmp[0], ipv4 ? c->type4 : c->type6);
	assert_int_equal(icmp[1], ipv4 ? c->code4 : c->code6);
	assert_int_equal(be32(icmp + 4), c->with_mtu ? 1400 : 0);
	assert_int_equal(p.ttl, 64);
	assert_int_equal(p.tos, ipv4 ? (s->tos & 0x1e) | 0xc0 : 0);
	assert_int_equal(p.len_bytes - p.l3_off,
			 before.len_bytes - before.l3_off + header + 8 > max
				 ? max
				 : before.len_bytes - before.l3_off + header + 8);
	assert_memory_equal(icmp + 8, copy.bytes + FRAME_HEADROOM + before.l3_off, embedded_bytes);
	packet_parse_embedded(&p, &embedded);
	assert_int_equal(embedded.kind, PACKET_FLOW);
	assert_memory_equal(&embedded.key, &before.key, sizeof(before.key));
	/* About an error, none. */
	assert_int_equal(icmp_make_error(&p, c->error, 0, our_address), -ENOMSG);
}

static void test_errors(void **state)
{
	uint64_t seed = 21;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		struct frame_spec s;

		frame_random_spec(&seed, &s);
		if (i % 2)
			s.payload_bytes += 400 + i % 1000;
		check_error(&error_cases[i / 2 % 4], &s);
	}
}

static void test_errors_that_are_not_made(void **state)
{
	static const struct {
		struct frame_spec spec;
		uint8_t group; /* over the first byte of the frame */
	} cases[] = {
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 3 }, 2 },
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 5 }, 2 },
		{ { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 1 }, 2 },
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .frag_off = 64, .payload_bytes = 8 },
		  2 },
		{ { FRAME_V6(1, 2), .protocol = IPPROTO_UDP, .frag_off = 64, .payload_bytes = 8,
		    .fragment_header = true },
		  2 },
		{ { FRAME_V4(1, 2), .protocol = IPPROTO_UDP }, 3 },
		{ { .family = AF_INET, .src = { 10 }, .dst = { 224 }, .protocol = IPPROTO_UDP },
		  2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct packet p = { 0 }, before;
		struct frame f, copy;

		frame_build(&f, &cases[i].spec);
		f.data[0] = cases[i].group;
		copy = f;
		parse(&f, &p);
		before = p;
		assert_int_equal(icmp_make_error(&p, ICMP_ERROR_HOST_UNREACHABLE, 0, our_address),
				 -ENOMSG);
		assert_memory_equal(&p, &before, sizeof(p));
		assert_memory_equal(f.data, copy.bytes + FRAME_HEADROOM, f.len);
	}
}

/* A first segment of 100 bytes, and what follows it is not embedded. */
static void test_error_about_segments(void **state)
{
	struct frame_spec s = { FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .payload_bytes = 400 };
	struct packet p = { .headroom_bytes = 28 };
	struct frame f;

	(void)state;
	frame_build(&f, &s);
	packet_parse(f.data, 100, f.len, false, &p);
	assert_int_equal(icmp_make_error(&p, ICMP_ERROR_TIME_EXCEEDED, 0, our_address), 0);
	assert_int_equal(p.len_bytes, 128);
	assert_right(&p);
	assert_described(&p);

	frame_build(&f, &s);
	p.headroom_bytes = 27;
	packet_parse(f.data, 100, f.len, false, &p);
	assert_int_equal(icmp_make_error(&p, ICMP_ERROR_TIME_EXCEEDED, 0, our_address), -ENOBUFS);
}

static void clear_flow_label(uint8_t *ip)
{
	ip[1] &= 0xf0;
	ip[2] = ip[3] = 0;
}

static void test_echo(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct frame_spec s = { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 8 };
		struct frame_spec s6 = { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6,
					 .icmp_type = 128 };
		struct frame_spec back;
		struct packet p = { 0 };
		struct frame f, expected;

		if (i % 2)
			s = s6;
		s.ttl = 3;
		s.tos = (uint8_t)i;
		s.tagged = i % 3 == 0;
		s.vlan_tci = 9;
		s.src_port = (uint16_t)(i * 7919);
		s.dst_port = (uint16_t)i;
		s.payload_bytes = i;
		s.frag_id = i % 2 ? 0 : 77;
		back = s;
		memcpy(back.src, s.dst, 16);
		memcpy(back.dst, s.src, 16);
		back.ttl = 64;
		back.icmp_type = i % 2 ? 129 : 0;
		frame_build(&f, &s);
		parse(&f, &p);
		assert_int_equal(icmp_make_echo_reply(&p), 0);
		assert_right(&p);
		assert_goes_back(&p);
		frame_build(&expected, &back);
		if (i % 2)
			clear_flow_label(expected.data + expected.l3_off);
		assert_int_equal(p.len_bytes, expected.len);
		assert_memory_equal(p.data + p.l3_off, expected.data + p.l3_off,
				    expected.len - p.l3_off);
		assert_int_equal(icmp_make_echo_reply(&p), -ENOMSG);
	}
}

static void test_echo_for_the_kernel(void **state)
{
	static const struct frame_spec specs[] = {
		{ FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 8, .option_bytes = 4 },
		{ FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 128, .n_extensions = 1,
		  .extensions = { IPPROTO_DSTOPTS } },
		{ FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 8,
		  .more_fragments = true },
		{ FRAME_V4(1, 2), .protocol = IPPROTO_UDP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct packet p = { 0 };
		struct frame f, copy;

		frame_build(&f, &specs[i]);
		copy = f;
		parse(&f, &p);
		assert_int_equal(icmp_make_echo_reply(&p), -ENOMSG);
		assert_memory_equal(f.data, copy.bytes + FRAME_HEADROOM, f.len);
	}
}

/* RFC 9293, 3.10.7.1. frame_build() has SEQ 0x01020304 and ACK 0x0a0b0c0d. */
static const struct reset_case {
	uint8_t flags;
	unsigned payload;
	int r;
	uint32_t seq, ack;
	uint8_t answer;
} reset_cases[] = {
	{ PACKET_TCP_ACK, 5, 0, 0x0a0b0c0d, 0, PACKET_TCP_RST },
	{ PACKET_TCP_ACK | PACKET_TCP_FIN, 0, 0, 0x0a0b0c0d, 0, PACKET_TCP_RST },
	{ PACKET_TCP_SYN | PACKET_TCP_ACK, 0, 0, 0x0a0b0c0d, 0, PACKET_TCP_RST },
	{ PACKET_TCP_SYN, 0, 0, 0, 0x01020305, PACKET_TCP_RST | PACKET_TCP_ACK },
	{ PACKET_TCP_SYN, 10, 0, 0, 0x0102030f, PACKET_TCP_RST | PACKET_TCP_ACK },
	{ PACKET_TCP_FIN, 1, 0, 0, 0x01020306, PACKET_TCP_RST | PACKET_TCP_ACK },
	{ 0, 3, 0, 0, 0x01020307, PACKET_TCP_RST | PACKET_TCP_ACK },
	{ PACKET_TCP_RST, 0, -ENOMSG, 0, 0, 0 },
	{ PACKET_TCP_RST | PACKET_TCP_ACK, 0, -ENOMSG, 0, 0, 0 },
};

static void check_reset(const struct reset_case *c, struct frame_spec s)
{
	struct packet p = { 0 }, before;
	struct flow_key back;
	struct frame f;
	const uint8_t *tcp;

	s.protocol = IPPROTO_TCP;
	s.tcp_flags = c->flags;
	s.payload_bytes = c->payload;
	frame_build(&f, &s);
	parse(&f, &p);
	before = p;
	flow_key_reverse(&p.key, &back);
	assert_int_equal(icmp_make_tcp_reset(&p), c->r);
	if (c->r < 0) {
		assert_memory_equal(&p, &before, sizeof(p));
		return;
	}
	assert_right(&p);
	assert_described(&p);
	assert_goes_back(&p);
	assert_memory_equal(&p.key, &back, sizeof(back));
	assert_int_equal(p.len_bytes - p.l3_off, s.family == AF_INET ? 40 : 60);
	assert_int_equal(p.tailroom_bytes, FRAME_TAILROOM + before.len_bytes - p.len_bytes);
	tcp = p.data + p.l4_off;
	assert_int_equal(be32(tcp + 4), c->seq);
	assert_int_equal(be32(tcp + 8), c->ack);
	assert_int_equal(tcp[13], c->answer);
	assert_int_equal(be16(tcp + 14), 0);
}

static void test_resets(void **state)
{
	uint64_t seed = 22;

	(void)state;
	for (unsigned i = 0; i < 900; i++) {
		struct frame_spec s;

		frame_random_spec(&seed, &s);
		check_reset(&reset_cases[i % 9], s);
	}
}

static void test_resets_that_are_not_made(void **state)
{
	struct frame_spec s = { FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .payload_bytes = 32 };
	struct packet p = { 0 };
	struct frame f;

	(void)state;
	frame_build(&f, &s);
	parse(&f, &p);
	assert_int_equal(icmp_make_tcp_reset(&p), -ENOMSG);
	s.protocol = IPPROTO_TCP;
	s.more_fragments = true;
	s.payload_bytes = 36;
	frame_build(&f, &s);
	parse(&f, &p);
	assert_int_equal(icmp_make_tcp_reset(&p), -ENOMSG);
	/* A header of 16 bytes, and one that is longer than the segment. */
	s.more_fragments = false;
	frame_build(&f, &s);
	parse(&f, &p);
	f.data[p.l4_off + 12] = 4 << 4;
	assert_int_equal(icmp_make_tcp_reset(&p), -ENOMSG);
	f.data[p.l4_off + 12] = 15 << 4;
	assert_int_equal(icmp_make_tcp_reset(&p), -ENOMSG);
}

static void test_resets_out_of_nothing(void **state)
{
	uint64_t seed = 23;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		uint8_t bytes[128];
		struct frame_spec s;
		struct frame f;
		struct packet p = { 0 }, q = { 0 };
		uint32_t len, seq = (uint32_t)frame_random(&seed),
			      ack = (uint32_t)frame_random(&seed);

		frame_random_spec(&seed, &s);
		s.protocol = IPPROTO_TCP;
		frame_build(&f, &s);
		parse(&f, &p);
		memset(bytes, 0xa5, sizeof(bytes));
		icmp_write_tcp_reset(bytes, frame_src, frame_dst, &p.key, seq, ack, &len);
		assert_null(frame_fault(bytes, len));
		packet_parse(bytes, len, len, false, &q);
		assert_int_equal(q.kind, PACKET_FLOW);
		assert_memory_equal(&q.key, &p.key, sizeof(q.key));
		assert_int_equal(q.tcp_flags, PACKET_TCP_RST | PACKET_TCP_ACK);
		assert_int_equal(be32(bytes + q.l4_off + 4), seq);
		assert_int_equal(be32(bytes + q.l4_off + 8), ack);
		assert_memory_equal(bytes, frame_dst, 6);
		assert_memory_equal(bytes + 6, frame_src, 6);
		assert_int_equal(bytes[len], 0xa5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_that_are_not_made),
		cmocka_unit_test(test_error_about_segments),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_echo_for_the_kernel),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_resets_that_are_not_made),
		cmocka_unit_test(test_resets_out_of_nothing),
	};

	return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}
