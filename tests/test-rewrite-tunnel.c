/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/ip_vs.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/rewrite.h"
#include "frame.h"
#include "ipvs/ruleset.h"

enum {
	GUE_PORT = 6080, /* where frame_fault() looks for GUE */
};

static const uint8_t mac_a[6] = { 2, 1, 1, 1, 1, 1 }, mac_b[6] = { 2, 2, 2, 2, 2, 2 };

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

static const struct tunnel_case {
	uint8_t kind;
	uint16_t flags;
	unsigned overhead; /* without the IP header */
	uint8_t protocol;  /* 0: of the inner family */
} tunnel_cases[] = {
	{ IPVS_TUNNEL_IPIP, 0, 0, 0 },
	{ IPVS_TUNNEL_IPIP, IP_VS_TUNNEL_ENCAP_FLAG_CSUM, 0, 0 },
	{ IPVS_TUNNEL_GUE, 0, 12, IPPROTO_UDP },
	{ IPVS_TUNNEL_GUE, IP_VS_TUNNEL_ENCAP_FLAG_CSUM, 12, IPPROTO_UDP },
	{ IPVS_TUNNEL_GUE, IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM, 12, IPPROTO_UDP },
	{ IPVS_TUNNEL_GRE, 0, 4, IPPROTO_GRE },
	{ IPVS_TUNNEL_GRE, IP_VS_TUNNEL_ENCAP_FLAG_CSUM, 8, IPPROTO_GRE },
};

static void check_outer_ipv4(const uint8_t *ip, const struct frame_spec *s, bool dont_fragment)
{
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(ip[8], s->ttl);
	assert_int_equal(ip[1], (s->tos & 3) == 3 ? (s->tos & 0xfc) | 2 : s->tos);
	assert_int_equal(ip[6] << 8 | ip[7], dont_fragment ? 0x4000 : 0);
	assert_int_equal(ip[4] << 8 | ip[5], dont_fragment ? 0 : 0x1234);
}

static void check_tunnel(const struct tunnel_case *c, int outer_family, const struct frame_spec *s)
{
	struct rewrite_tunnel t = {
		.kind = c->kind,
		.family = (uint8_t)outer_family,
		.src = { 20, 1, 2, 3 },
		.dst = { 20, 9, 8, 7 },
		.port_be = htons(GUE_PORT),
		.flags = c->flags,
		.ipv4_id = 0x1234,
	};
	unsigned ip_bytes = outer_family == AF_INET ? 20 : 40;
	unsigned inner_protocol = s->family == AF_INET ? IPPROTO_IPIP : IPPROTO_IPV6;
	struct frame f, inner;
	struct packet p = { 0 }, again = { 0 };
	unsigned inner_bytes;

	frame_build(&f, s);
	inner = f;
	parse(&f, &p);
	inner_bytes = p.len_bytes - p.l3_off;
	assert_int_equal(rewrite_tunnel_overhead(&t), ip_bytes + c->overhead);
	assert_int_equal(rewrite_tunnel_push(&p, &t), 0);
	assert_ptr_equal(p.data, f.data - ip_bytes - c->overhead);
	assert_int_equal(p.len_bytes, p.l3_off + ip_bytes + c->overhead + inner_bytes);
	assert_right(&p);
	assert_memory_equal(p.data + p.len_bytes - inner_bytes,
			    inner.bytes + FRAME_HEADROOM + inner.l3_off, inner_bytes);
	if (outer_family == AF_INET)
		check_outer_ipv4(p.data + p.l3_off, s, s->family == AF_INET && s->dont_fragment);
	else
		assert_int_equal(p.data[p.l3_off + 7], s->ttl);
	assert_int_equal(p.key.protocol, c->protocol ? c->protocol : inner_protocol);
	assert_int_equal(p.key.family, outer_family);
	again.headroom_bytes = p.headroom_bytes;
	again.tailroom_bytes = p.tailroom_bytes;
	packet_parse(p.data, p.len_bytes, p.len_bytes, false, &again);
	assert_memory_equal(&p, &again, sizeof(p));
	if (c->kind == IPVS_TUNNEL_GUE) {
		const uint8_t *udp = p.data + p.l4_off;

		assert_in_range(udp[0] << 8 | udp[1], 32768, 60999);
		assert_int_equal((udp[6] | udp[7]) != 0, c->flags != 0);
	}
	assert_int_equal(rewrite_ethernet(&p, mac_a, mac_b, 9), 0);
	assert_right(&p);
}

static void test_tunnels(void **state)
{
	uint64_t seed = 18;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct frame_spec s;

		frame_random_spec(&seed, &s);
		for (size_t j = 0; j < ARRAY_SIZE(tunnel_cases); j++) {
			check_tunnel(&tunnel_cases[j], AF_INET, &s);
			check_tunnel(&tunnel_cases[j], AF_INET6, &s);
		}
	}
}

/* Over IPv6 a sum of 0 would say that there is none. */
static void test_gue_checksum_never_becomes_none(void **state)
{
	struct frame_spec s = { FRAME_V4(1, 2), .protocol = IPPROTO_UDP, .payload_bytes = 2,
				.without_udp_checksum = true };
	struct rewrite_tunnel t = { .kind = IPVS_TUNNEL_GUE,
				    .family = AF_INET6,
				    .src = { 20 },
				    .dst = { 20, 1 },
				    .port_be = htons(GUE_PORT),
				    .flags = IP_VS_TUNNEL_ENCAP_FLAG_CSUM };
	unsigned all_ones = 0;

	(void)state;
	for (unsigned word = 0; word <= 0xffff; word++) {
		uint8_t payload[2] = { (uint8_t)(word >> 8), (uint8_t)word };
		struct frame f;
		struct packet p = { 0 };
		const uint8_t *checksum;

		s.payload = payload;
		frame_build(&f, &s);
		parse(&f, &p);
		assert_int_equal(rewrite_tunnel_push(&p, &t), 0);
		checksum = p.data + p.l4_off + 6;
		assert_true(checksum[0] || checksum[1]);
		all_ones += checksum[0] == 0xff && checksum[1] == 0xff;
		assert_right(&p);
	}
	assert_int_equal(all_ones, 1);
}

static void test_tunnels_that_cannot_be(void **state)
{
	static const struct {
		unsigned headroom, missing; /* missing: bytes in a later segment */
		uint8_t kind;
		uint16_t flags;
		int r;
	} cases[] = {
		{ 20, 0, IPVS_TUNNEL_IPIP, 0, 0 },	  { 19, 0, IPVS_TUNNEL_IPIP, 0, -ENOBUFS },
		{ 64, 8, IPVS_TUNNEL_GUE, 0, 0 },	  { 64, 8, IPVS_TUNNEL_GUE, 1, -EMSGSIZE },
		{ 64, 8, IPVS_TUNNEL_GRE, 1, -EMSGSIZE }, { 64, 0, 3, 0, -EINVAL },
	};
	struct frame_spec s = { .family = AF_INET,
				.protocol = IPPROTO_UDP,
				.src = { 10 },
				.dst = { 10 },
				.payload_bytes = 64 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rewrite_tunnel t = { .kind = cases[i].kind,
					    .family = AF_INET,
					    .flags = cases[i].flags };
		struct frame f, before;
		struct packet p = { .headroom_bytes = (uint16_t)cases[i].headroom };

		frame_build(&f, &s);
		before = f;
		packet_parse(f.data, f.len - cases[i].missing, f.len, false, &p);
		assert_int_equal(rewrite_tunnel_push(&p, &t), cases[i].r);
		if (cases[i].r < 0) {
			assert_ptr_equal(p.data, f.data);
			assert_memory_equal(f.bytes + FRAME_HEADROOM, before.bytes + FRAME_HEADROOM,
					    f.len);
		}
	}
}

/* One flow, one source port, also of its fragments among themselves; other flows, other ports. */
static void test_gue_source_ports(void **state)
{
	struct rewrite_tunnel t = { .kind = IPVS_TUNNEL_GUE, .family = AF_INET };
	unsigned seen[60999 - 32768 + 1] = { 0 }, different = 0;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		struct frame_spec s = { .family = AF_INET,
					.protocol = IPPROTO_UDP,
					.src = { 10, 0, 0, 1 },
					.dst = { 10, 0, 0, 2 },
					.src_port = (uint16_t)i,
					.dst_port = 80 };
		uint16_t ports[2];

		for (int j = 0; j < 2; j++) {
			struct frame f;
			struct packet p = { 0 };

			s.payload_bytes = (unsigned)j;
			frame_build(&f, &s);
			parse(&f, &p);
			assert_int_equal(rewrite_tunnel_push(&p, &t), 0);
			ports[j] = ntohs(p.key.src_port_be);
		}
		assert_int_equal(ports[0], ports[1]);
		assert_in_range(ports[0], 32768, 60999);
		different += !seen[ports[0] - 32768]++;
	}
	assert_true(different > 3500); /* 3730 are expected of 4000 at random */

	for (unsigned i = 0; i < 2; i++) {
		struct frame_spec s = { .family = AF_INET,
					.protocol = IPPROTO_UDP,
					.src = { 10, 0, 0, 1 },
					.dst = { 10, 0, 0, 2 },
					.src_port = 9,
					.dst_port = 80,
					.payload_bytes = 100 };
		struct frame f[4];
		uint16_t first = 0;

		for (unsigned j = 0, n = frame_cut(&s, 48, f, 4); j < n; j++) {
			struct packet p = { 0 };

			parse(&f[j], &p);
			assert_int_equal(rewrite_tunnel_push(&p, &t), 0);
			if (j == 0)
				first = p.key.src_port_be;
			assert_int_equal(p.key.src_port_be, first);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tunnels),
		cmocka_unit_test(test_gue_checksum_never_becomes_none),
		cmocka_unit_test(test_tunnels_that_cannot_be),
		cmocka_unit_test(test_gue_source_ports),
	};

	return cmocka_run_group_tests_name("rewrite-tunnel", tests, NULL, NULL);
}
