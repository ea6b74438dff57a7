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
#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/sctp-crc.h"
#include "frame.h"

enum {
	ROUNDS = 20000,
};

static const uint8_t mac_a[6] = { 2, 1, 1, 1, 1, 1 }, mac_b[6] = { 2, 2, 2, 2, 2, 2 };

static void parse(struct frame *f, struct packet *ret)
{
	ret->headroom_bytes = FRAME_HEADROOM;
	ret->tailroom_bytes = FRAME_TAILROOM;
	packet_parse(f->data, f->len, f->len, false, ret);
}

/* A key of the same family and protocol, with bits that make carries. */
static void random_key(uint64_t *seed, const struct flow_key *like, struct flow_key *ret)
{
	unsigned n = like->family == AF_INET ? 4 : 16;

	*ret = (struct flow_key){ .family = like->family, .protocol = like->protocol };
	for (unsigned i = 0; i < n; i++) {
		uint64_t r = frame_random(seed);

		ret->src[i] = r % 4 ? (uint8_t)(r >> 8) : r & 4 ? 0xff : 0;
		ret->dst[i] = r % 5 ? (uint8_t)(r >> 16) : r & 8 ? 0xff : 0;
	}
	ret->src[0] = ret->dst[0] = 10;
	ret->src_port_be = (uint16_t)frame_random(seed);
	ret->dst_port_be = (uint16_t)frame_random(seed);
}

static void assert_right(const struct packet *p)
{
	const char *why = frame_fault(p->data, p->len_bytes);

	if (why)
		fail_msg("%s", why);
}

static void test_flows_there_and_back(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct frame_spec s;
		struct frame f, before;
		struct flow_key to, from;
		struct packet p = { 0 }, again = { 0 };

		frame_random_spec(&seed, &s);
		frame_build(&f, &s);
		before = f;
		parse(&f, &p);
		from = p.key;
		random_key(&seed, &from, &to);
		if (i % 3 == 0)
			memcpy(&to.src_port_be, &from.src_port_be, 4);
		assert_int_equal(rewrite_flow(&p, &to), 0);
		assert_right(&p);
		assert_memory_equal(&p.key, &to, sizeof(to));
		parse(&f, &again);
		assert_memory_equal(&again.key, &to, sizeof(to));
		assert_int_equal(rewrite_flow(&p, &from), 0);
		assert_memory_equal(f.bytes + FRAME_HEADROOM, before.bytes + FRAME_HEADROOM, f.len);
	}
}

/* Every 16-bit checksum that UDP can have meets changes, also those that sum up to 0. */
static void test_udp_checksum_never_becomes_none(void **state)
{
	struct frame_spec s = {
		.family = AF_INET,
		.protocol = IPPROTO_UDP,
		.src = { 10, 0, 0, 1 },
		.dst = { 10, 0, 0, 2 },
		.ttl = 9,
		.payload_bytes = 2,
	};
	unsigned all_ones = 0;

	(void)state;
	for (unsigned word = 0; word <= 0xffff; word++) {
		uint8_t payload[2] = { (uint8_t)(word >> 8), (uint8_t)word };
		struct frame f;
		struct packet p = { 0 };
		struct flow_key to;
		uint8_t *checksum;

		s.payload = payload;
		frame_build(&f, &s);
		parse(&f, &p);
		to = p.key;
		to.dst[3] = 99;
		to.dst_port_be = htons(53);
		assert_int_equal(rewrite_flow(&p, &to), 0);
		checksum = p.data + p.l4_off + 6;
		assert_true(checksum[0] || checksum[1]);
		all_ones += checksum[0] == 0xff && checksum[1] == 0xff;
		assert_right(&p);
	}
	assert_int_equal(all_ones, 1); /* for one payload the sum is 0 */
}

/* A rewrite to what is there changes nothing, whatever the checksum: all that TCP and UDP can have. */
static void test_rewrite_to_the_same(void **state)
{
	static const struct frame_spec specs[] = {
		{ FRAME_V4(1, 2), .protocol = IPPROTO_TCP, .payload_bytes = 2 },
		{ FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .payload_bytes = 2 },
		{ FRAME_V6(1, 2), .protocol = IPPROTO_TCP, .payload_bytes = 2 },
		{ FRAME_V6(1, 2), .protocol = IPPROTO_UDP, .payload_bytes = 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		for (unsigned word = 0; word <= 0xffff; word++) {
			uint8_t payload[2] = { (uint8_t)(word >> 8), (uint8_t)word };
			struct frame_spec s = specs[i];
			struct frame f;
			struct packet p = { 0 };
			uint8_t before[128];

			s.payload = payload;
			frame_build(&f, &s);
			parse(&f, &p);
			memcpy(before, f.data, f.len);
			assert_int_equal(rewrite_flow(&p, &p.key), 0);
			assert_memory_equal(f.data, before, f.len);
		}
	}
}

static void test_udp_without_checksum_stays_so(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct frame_spec s = {
			.family = i ? AF_INET6 : AF_INET,
			.protocol = IPPROTO_UDP,
			.src = { 10, 0, 0, 1 },
			.dst = { 10, 0, 0, 2 },
			.without_udp_checksum = true,
		};
		struct frame f;
		struct packet p = { 0 };
		struct flow_key to;

		frame_build(&f, &s);
		parse(&f, &p);
		to = p.key;
		to.src_port_be = 77;
		assert_int_equal(rewrite_flow(&p, &to), 0);
		assert_int_equal(p.data[p.l4_off + 6] | p.data[p.l4_off + 7], 0);
	}
}

/* What was damaged before it came to us must not leave us as whole. */
static void test_wrong_checksums_stay_wrong(void **state)
{
	uint64_t seed = 12;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct frame_spec s;
		struct frame f;
		struct flow_key to;
		struct packet p = { 0 };

		frame_random_spec(&seed, &s);
		s.payload_bytes++;
		if (s.protocol == IPPROTO_UDP)
			s.without_udp_checksum = false;
		frame_build(&f, &s);
		f.data[f.len - s.padding_bytes - 1] ^= 0x40;
		parse(&f, &p);
		random_key(&seed, &p.key, &to);
		assert_int_equal(rewrite_flow(&p, &to), 0);
		assert_non_null(frame_fault(p.data, p.len_bytes));
		f.data[p.len_bytes - 1] ^= 0x40;
		assert_right(&p);
	}
}

/* The fragments of a packet, each on its own; then put together they are the packet, rewritten. */
static void test_fragments(void **state)
{
	uint64_t seed = 13;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct frame fragments[16], whole;
		struct frame_spec s;
		struct flow_key to;
		struct packet p = { 0 };
		unsigned n, at;

		frame_random_spec(&seed, &s);
		s.padding_bytes = 0;
		s.dont_fragment = false;
		s.fragment_header = false;
		s.payload_bytes += 100;
		n = frame_cut(&s, 32 + (unsigned)(seed % 4) * 8, fragments, 16);
		frame_build(&whole, &s);
		parse(&whole, &p);
		random_key(&seed, &p.key, &to);
		if (s.protocol == IPPROTO_SCTP)
			memcpy(&to.src_port_be, &p.key.src_port_be, 4);
		assert_int_equal(rewrite_flow(&p, &to), 0);
		at = p.l4_off;
		for (unsigned j = 0; j < n; j++) {
			struct packet q = { 0 };

			parse(&fragments[j], &q);
			assert_int_equal(q.kind, j ? PACKET_FRAGMENT : PACKET_FLOW);
			assert_int_equal(rewrite_flow(&q, &to), 0);
			assert_null(frame_fault(q.data, q.len_bytes));
			assert_memory_equal(q.data + q.l4_off, p.data + at, q.len_bytes - q.l4_off);
			at += q.len_bytes - q.l4_off;
		}
		assert_int_equal(at, p.len_bytes);
	}
}

static void test_fragment_of_sctp_keeps_its_ports(void **state)
{
	struct frame_spec s = {
		.family = AF_INET,
		.protocol = IPPROTO_SCTP,
		.src = { 10, 0, 0, 1 },
		.dst = { 10, 0, 0, 2 },
		.more_fragments = true,
		.payload_bytes = 36,
	};
	struct frame f, before;
	struct flow_key to;
	struct packet p = { 0 };

	(void)state;
	frame_build(&f, &s);
	before = f;
	parse(&f, &p);
	to = p.key;
	to.src_port_be = 5;
	assert_int_equal(rewrite_flow(&p, &to), -EMSGSIZE);
	assert_memory_equal(f.data, before.bytes + FRAME_HEADROOM, f.len);
	to = p.key;
	to.dst[3] = 9;
	assert_int_equal(rewrite_flow(&p, &to), 0);
}

/* Of each power of two on its own, and all of them together. */
static void test_sctp_crc(void **state)
{
	static uint8_t bytes[131071];
	uint64_t seed = 14;

	(void)state;
	for (unsigned bit = 2; bit <= 17; bit++) {
		uint32_t len = bit < 17 ? 1u << bit : sizeof(bytes);
		uint32_t old = frame_crc32c(bytes, len), change = (uint32_t)frame_random(&seed);
		uint32_t was, stored;

		memcpy(&was, bytes, 4);
		was ^= change;
		memcpy(bytes, &was, 4);
		stored = htole32(old) ^ sctp_crc_of_change(change, len);
		assert_int_equal(le32toh(stored), frame_crc32c(bytes, len));
	}
}

static void test_ttl(void **state)
{
	uint64_t seed = 15;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct frame_spec s;
		struct frame f, expected;
		struct packet p = { 0 };

		frame_random_spec(&seed, &s);
		s.padding_bytes = 0;
		frame_build(&f, &s);
		s.ttl--;
		frame_build(&expected, &s);
		parse(&f, &p);
		rewrite_ttl(&p);
		assert_int_equal(p.ttl, s.ttl);
		assert_memory_equal(p.data, expected.data, expected.len);
	}
}

static void test_ethernet_and_tags(void **state)
{
	static const uint16_t tags[] = { 0, 1, 0xefff };
	uint64_t seed = 16;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct frame_spec s;
		struct frame f, expected;
		struct packet p = { 0 }, again = { 0 };

		frame_random_spec(&seed, &s);
		s.padding_bytes = 0;
		frame_build(&f, &s);
		parse(&f, &p);
		s.vlan_tci = tags[i % 3];
		s.tagged = s.vlan_tci != 0;
		frame_build(&expected, &s);
		memcpy(expected.data, mac_b, 6);
		memcpy(expected.data + 6, mac_a, 6);
		assert_int_equal(rewrite_ethernet(&p, mac_a, mac_b, s.vlan_tci), 0);
		assert_int_equal(p.len_bytes, expected.len);
		assert_memory_equal(p.data, expected.data, expected.len);
		again.headroom_bytes = p.headroom_bytes;
		again.tailroom_bytes = p.tailroom_bytes;
		packet_parse(p.data, p.len_bytes, p.len_bytes, false, &again);
		assert_memory_equal(&p, &again, sizeof(p));
	}
}

static void test_tag_needs_headroom(void **state)
{
	struct frame_spec s = {
		.family = AF_INET, .protocol = IPPROTO_TCP, .src = { 10 }, .dst = { 10 }
	};
	struct frame f;
	struct packet p = { .headroom_bytes = 3 };

	(void)state;
	frame_build(&f, &s);
	packet_parse(f.data, f.len, f.len, false, &p);
	assert_int_equal(rewrite_ethernet(&p, mac_a, mac_b, 7), -ENOBUFS);
	assert_ptr_equal(p.data, f.data);
	assert_int_equal(rewrite_ethernet(&p, mac_a, mac_b, 0), 0);
}

/* Of any embedded length; the embedded transport checksum is as it came (ip_vs_nat_icmp()). */
static void test_icmp_errors(void **state)
{
	uint64_t seed = 17;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct frame_spec is, s = { .ttl = 60, .src = { 10, 9 }, .dst = { 11, 9 } };
		struct frame inner, f, before;
		struct flow_key outer_to, inner_to, outer_was, inner_was;
		struct packet p = { 0 }, e, again = { 0 }, e_again;
		unsigned headers;

		frame_random_spec(&seed, &is);
		frame_build(&inner, &is);
		headers = inner.l4_off - inner.l3_off + 4;
		s.family = is.family;
		s.protocol = s.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		s.icmp_type = s.family == AF_INET ? 3 : 1;
		s.option_bytes = s.family == AF_INET ? i % 3 * 4 : 0;
		s.payload = inner.data + inner.l3_off;
		s.payload_bytes =
			headers + (unsigned)(frame_random(&seed) % (inner.len - is.padding_bytes -
								    inner.l3_off - headers + 1));
		frame_build(&f, &s);
		before = f;
		parse(&f, &p);
		packet_parse_embedded(&p, &e);
		assert_int_equal(e.kind, PACKET_FLOW);
		outer_was = p.key;
		inner_was = e.key;
		random_key(&seed, &p.key, &outer_to);
		random_key(&seed, &e.key, &inner_to);
		rewrite_icmp_error(&p, &e, &outer_to, &inner_to);
		assert_right(&p);
		parse(&f, &again);
		packet_parse_embedded(&again, &e_again);
		assert_memory_equal(again.key.src, outer_to.src, 16);
		assert_memory_equal(again.key.dst, outer_to.dst, 16);
		assert_memory_equal(&e_again.key, &inner_to, sizeof(inner_to));
		assert_memory_equal(&e.key, &inner_to, sizeof(inner_to));
		assert_memory_equal(&p.key, &again.key, sizeof(p.key));
		if (f.len > e.l4_off + 4u)
			assert_memory_equal(f.data + e.l4_off + 4,
					    before.bytes + FRAME_HEADROOM + e.l4_off + 4,
					    f.len - e.l4_off - 4);
		rewrite_icmp_error(&p, &e, &outer_was, &inner_was);
		assert_memory_equal(f.data, before.bytes + FRAME_HEADROOM, f.len);
	}
}

/* A router on the way changed the embedded header without its checksum: it is right again, and ICMP's stays right. */
static void test_embedded_header_checksum_is_made_anew(void **state)
{
	struct frame_spec is = {
		.family = AF_INET,
		.protocol = IPPROTO_UDP,
		.src = { 10, 0, 0, 1 },
		.dst = { 10, 0, 0, 2 },
		.ttl = 9,
	};
	struct frame_spec s = is;
	struct frame inner, f;
	struct packet p = { 0 }, e;

	(void)state;
	frame_build(&inner, &is);
	inner.data[inner.l3_off + 8] = 1; /* TTL */
	s.protocol = IPPROTO_ICMP;
	s.icmp_type = 11;
	s.payload = inner.data + inner.l3_off;
	s.payload_bytes = inner.len - inner.l3_off;
	frame_build(&f, &s);
	parse(&f, &p);
	packet_parse_embedded(&p, &e);
	rewrite_icmp_error(&p, &e, &p.key, &e.key);
	assert_right(&p);
	assert_null(frame_ip_fault(p.data + e.l3_off, p.len_bytes - e.l3_off));
}

static void test_checksum_of_any_length(void **state)
{
	uint8_t bytes[70];
	uint64_t seed = 19;

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)frame_random(&seed);
	for (unsigned len = 0; len <= sizeof(bytes); len++) {
		uint32_t sum = 0;

		for (unsigned i = 0; i < len; i++)
			sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
		assert_int_equal(rewrite_checksum_fold(rewrite_checksum_add(0, bytes, len)),
				 htons((uint16_t)~sum));
	}
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(rewrite_checksum_fold(rewrite_checksum_add(0xffffffff, bytes, 64)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flows_there_and_back),
		cmocka_unit_test(test_udp_checksum_never_becomes_none),
		cmocka_unit_test(test_rewrite_to_the_same),
		cmocka_unit_test(test_udp_without_checksum_stays_so),
		cmocka_unit_test(test_wrong_checksums_stay_wrong),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragment_of_sctp_keeps_its_ports),
		cmocka_unit_test(test_sctp_crc),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_ethernet_and_tags),
		cmocka_unit_test(test_tag_needs_headroom),
		cmocka_unit_test(test_icmp_errors),
		cmocka_unit_test(test_embedded_header_checksum_is_made_anew),
		cmocka_unit_test(test_checksum_of_any_length),
	};

	return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
