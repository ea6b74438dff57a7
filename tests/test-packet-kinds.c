/* SPDX-License-Identifier: GPL-2.0-or-later */
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

/* Bytes that are put over the built frame: offset from the IP header (negative: Ethernet), value. */
struct patch {
	int at;
	uint8_t value;
};

static const struct kind_case {
	const char *name;
	struct frame_spec spec;
	struct patch patches[3];
	unsigned n_patches;
	enum packet_kind kind;
	enum packet_bad bad;
} kind_cases[] = {
	{ "echo",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 8 },
	  .kind = PACKET_ICMP_ECHO },
	{ "echo reply", { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP }, .kind = PACKET_OTHER },
	{ "redirect",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 5 },
	  .kind = PACKET_OTHER },
	{ "parameter problem",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 12 },
	  .kind = PACKET_OTHER },
	{ "unreachable",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3 },
	  .kind = PACKET_ICMP_ERROR },
	{ "source quench",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 4 },
	  .kind = PACKET_ICMP_ERROR },
	{ "time exceeded",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 11 },
	  .kind = PACKET_ICMP_ERROR },
	{ "fragment of an echo",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 8, .more_fragments = true },
	  .kind = PACKET_OTHER },
	{ "later fragment of an echo",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMP, .frag_off = 1480, .payload_bytes = 8 },
	  .kind = PACKET_OTHER },
	{ "echo, IPv6",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 128 },
	  .kind = PACKET_ICMP_ECHO },
	{ "neighbour solicitation",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 135 },
	  .kind = PACKET_OTHER },
	{ "too big",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 2 },
	  .kind = PACKET_ICMP_ERROR },
	{ "unknown error, IPv6",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 127 },
	  .kind = PACKET_ICMP_ERROR },
	{ "too big in a fragment of its own",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 2, .fragment_header = true },
	  .kind = PACKET_OTHER },
	{ "ICMP in IPv6",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_ICMP, .icmp_type = 8 },
	  .kind = PACKET_OTHER },
	{ "ICMPv6 in IPv4",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_ICMPV6, .icmp_type = 128 },
	  .kind = PACKET_OTHER },
	{ "GRE", { FRAME_V4(1, 2), .protocol = IPPROTO_GRE }, .kind = PACKET_OTHER },
	{ "no next header", { FRAME_V6(1, 2), .protocol = IPPROTO_NONE }, .kind = PACKET_OTHER },
	{ "to a group's MAC",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP },
	  { { -14, 3 } },
	  1,
	  PACKET_OTHER },
	{ "broadcast MAC",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP },
	  { { -14, 0xff } },
	  1,
	  PACKET_OTHER },
	{ "ARP", { FRAME_V4(1, 2), .protocol = IPPROTO_TCP }, { { -1, 6 } }, 1, PACKET_OTHER },
	{ "two tags",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP, .tagged = true, .vlan_tci = 5 },
	  { { -2, 0x81 }, { -1, 0 } },
	  2,
	  PACKET_OTHER },
	{ "tag of zero",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP, .tagged = true },
	  .kind = PACKET_FLOW },
	{ "from 0.0.0.0",
	  { .family = AF_INET, .dst = { 10 }, .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "to 255.255.255.255",
	  { .family = AF_INET,
	    .src = { 10 },
	    .dst = { 255, 255, 255, 255 },
	    .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "to 224.0.0.1",
	  { .family = AF_INET, .src = { 10 }, .dst = { 224, 0, 0, 1 }, .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "to 223.255.255.255",
	  { .family = AF_INET,
	    .src = { 1 },
	    .dst = { 223, 255, 255, 255 },
	    .protocol = IPPROTO_UDP },
	  .kind = PACKET_FLOW },
	{ "from 127.0.0.1",
	  { .family = AF_INET, .src = { 127, 0, 0, 1 }, .dst = { 10 }, .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "from ::",
	  { .family = AF_INET6, .dst = { 0x20 }, .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "to ::1",
	  { .family = AF_INET6, .src = { 0x20 }, .dst = { [15] = 1 }, .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "from ::ffff:10.0.0.1",
	  { .family = AF_INET6,
	    .src = { [10] = 255, 255, 10, 0, 0, 1 },
	    .dst = { 0x20 },
	    .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "to ff02::1",
	  { .family = AF_INET6,
	    .src = { 0x20 },
	    .dst = { 255, 2, [15] = 1 },
	    .protocol = IPPROTO_UDP },
	  .kind = PACKET_OTHER },
	{ "from 64:ff9b::1",
	  { .family = AF_INET6,
	    .src = { 0, 0x64, 0xff, 0x9b, [15] = 1 },
	    .dst = { 0x20 },
	    .protocol = IPPROTO_UDP },
	  .kind = PACKET_FLOW },
	{ "source route",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .n_extensions = 1,
	    .extensions = { IPPROTO_ROUTING } },
	  { { 43, 1 } },
	  1,
	  PACKET_OTHER },
	{ "IPv4 with version 5",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP },
	  { { 0, 0x55 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_VERSION },
	{ "IPv6 with version 4",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP },
	  { { 0, 0x40 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_VERSION },
	{ "header of 16 bytes",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP },
	  { { 0, 0x44 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_HEADER_LENGTH },
	{ "length below the header's",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP },
	  { { 3, 19 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_HEADER_LENGTH },
	{ "length beyond the frame",
	  { FRAME_V4(1, 2), .protocol = IPPROTO_TCP },
	  { { 3, 41 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_TRUNCATED },
	{ "payload beyond the frame",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP },
	  { { 5, 21 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_TRUNCATED },
	{ "hop-by-hop options in the second place",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .n_extensions = 2,
	    .extensions = { IPPROTO_DSTOPTS, IPPROTO_HOPOPTS } },
	  .kind = PACKET_BAD,
	  .bad = PACKET_BAD_EXTENSIONS },
	{ "eight extension headers",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .n_extensions = 8,
	    .extensions = { 60, 60, 60, 60, 60, 60, 60, 60 } },
	  .kind = PACKET_FLOW },
	{ "nine extension headers",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .n_extensions = 9,
	    .extensions = { 60, 60, 60, 60, 60, 60, 60, 60, 60 } },
	  .kind = PACKET_BAD,
	  .bad = PACKET_BAD_EXTENSIONS },
	{ "extension header beyond the packet",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .n_extensions = 1, .extensions = { 60 } },
	  { { 41, 3 } },
	  1,
	  PACKET_BAD,
	  PACKET_BAD_TRUNCATED },
	{ "fragment in a fragment",
	  { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .n_extensions = 1,
	    .extensions = { IPPROTO_FRAGMENT }, .fragment_header = true },
	  .kind = PACKET_BAD,
	  .bad = PACKET_BAD_EXTENSIONS },
};

static void test_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kind_cases); i++) {
		const struct kind_case *c = &kind_cases[i];
		struct frame f;
		struct packet p;

		frame_build(&f, &c->spec);
		for (unsigned j = 0; j < c->n_patches; j++)
			f.data[(int)f.l3_off + c->patches[j].at] = c->patches[j].value;
		packet_parse(frame_guarded(f.data, f.len), f.len, f.len, c->n_patches > 0, &p);
		if (p.kind != c->kind || p.bad != c->bad)
			fail_msg("%s: kind %d, bad %s", c->name, p.kind,
				 packet_bad_to_string(p.bad));
	}
}

static const struct fragment_case {
	const char *name;
	int protocol;
	uint16_t off;
	bool more;
	unsigned payload;
	enum packet_kind kind;
	bool is_fragment;
} fragment_cases[] = {
	{ "first", IPPROTO_TCP, 0, true, 28, PACKET_FLOW, true },
	{ "later", IPPROTO_TCP, 48, true, 16, PACKET_FRAGMENT, true },
	{ "last", IPPROTO_UDP, 1480, false, 3, PACKET_FRAGMENT, true },
	{ "later, SCTP", IPPROTO_SCTP, 16, false, 3, PACKET_FRAGMENT, true },
	{ "overwrites TCP flags", IPPROTO_TCP, 8, true, 24, PACKET_BAD, true },
	{ "overwrites the TCP header's end", IPPROTO_TCP, 16, false, 24, PACKET_BAD, true },
	{ "behind the TCP header", IPPROTO_TCP, 24, false, 24, PACKET_FRAGMENT, true },
	{ "behind the UDP header", IPPROTO_UDP, 8, false, 24, PACKET_FRAGMENT, true },
	{ "overwrites SCTP's CRC", IPPROTO_SCTP, 8, false, 24, PACKET_BAD, true },
	{ "nothing in it", IPPROTO_UDP, 8, false, 0, PACKET_BAD, true },
	{ "not a multiple of 8", IPPROTO_UDP, 8, true, 12, PACKET_BAD, true },
	{ "up to 65535", IPPROTO_UDP, 65528, false, 7, PACKET_FRAGMENT, true },
	{ "beyond 65535", IPPROTO_UDP, 65528, false, 8, PACKET_BAD, true },
	{ "of ESP", IPPROTO_ESP, 64, false, 8, PACKET_OTHER, true },
};

static void test_fragments(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(fragment_cases); i++) {
		const struct fragment_case *c = &fragment_cases[i / 2];
		struct frame_spec v4 = { FRAME_V4(1, 2) },
				  v6 = { FRAME_V6(1, 2), .fragment_header = true };
		struct frame_spec s = i % 2 ? v6 : v4;
		struct frame f;
		struct packet p;

		s.protocol = c->protocol;
		s.frag_off = c->off;
		s.more_fragments = c->more;
		s.payload_bytes = c->payload;
		s.frag_id = i % 2 ? 0xdeadbeef : 0xbeef;
		s.src_port = c->off ? 0 : 77;
		frame_build(&f, &s);
		packet_parse(frame_guarded(f.data, f.len), f.len, f.len, false, &p);
		if (p.kind != c->kind || p.is_fragment != c->is_fragment)
			fail_msg("%s, IPv%d: kind %d, bad %s", c->name, i % 2 ? 6 : 4, p.kind,
				 packet_bad_to_string(p.bad));
		if (p.kind == PACKET_BAD) {
			assert_int_equal(p.bad, PACKET_BAD_FRAGMENT);
			continue;
		}
		assert_int_equal(p.frag_off_bytes, c->off);
		assert_int_equal(p.more_fragments, c->more);
		assert_int_equal(p.frag_id, s.frag_id);
		assert_int_equal(p.l4_off, f.l4_off);
		assert_int_equal(p.ipv6_frag_off, i % 2 ? f.l4_off - 8 : 0);
		assert_key(&p.key, &s);
	}
}

/* A first fragment that ends within the transport header. */
static void test_tiny_first_fragment(void **state)
{
	struct frame_spec s = { FRAME_V4(1, 2), .protocol = IPPROTO_TCP, .payload_bytes = 40 };
	struct frame f[8];
	struct packet p;

	(void)state;
	assert_int_equal(frame_cut(&s, 16, f, 8), 4);
	packet_parse(f[0].data, f[0].len, f[0].len, false, &p);
	assert_int_equal(p.kind, PACKET_BAD);
	assert_int_equal(p.bad, PACKET_BAD_FRAGMENT);
}

/* RFC 6946: the only one of its packet. */
static void test_atomic_fragment(void **state)
{
	struct frame_spec s = { FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .fragment_header = true,
				.frag_id = 9 };
	struct frame f;
	struct packet p;

	(void)state;
	frame_build(&f, &s);
	packet_parse(f.data, f.len, f.len, false, &p);
	assert_int_equal(p.kind, PACKET_FLOW);
	assert_false(p.is_fragment);
	assert_int_equal(p.ipv6_frag_off, 14 + 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_tiny_first_fragment),
		cmocka_unit_test(test_atomic_fragment),
	};

	return cmocka_run_group_tests_name("packet-kinds", tests, NULL, NULL);
}
