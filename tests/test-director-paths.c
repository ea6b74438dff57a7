/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TTL, MTU, ICMP errors and echo. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "director-sides.h"

static const enum ipvs_forward nats[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_FULL_NAT };

/* Opens the connection; who the destination sees as the client is written to `seen`. */
static void connect_through(struct rig *r, const struct side *side,
			    char seen[static ADDR_PORT_STR_MAX])
{
	struct frame_spec s = sides_request(side);
	struct rig_frame f;

	assert_int_equal(rig_send(r, &f, &s), DIRECTOR_SEND);
	(void)addr_port_format(&f.out.src, f.out.src_port, seen);
}

/* An error that was sent to `to` about what it sent, from `from`, and that embeds that. */
static void assert_error(const struct rig_frame *f, uint8_t type, const char *from, const char *to)
{
	unsigned at = f->out.l4_off + 8;
	struct frame_view inner;

	assert_int_equal(f->out.icmp_type, type);
	assert_true(frame_is_from(&f->out, from));
	assert_true(frame_is_to(&f->out, to));
	assert_true(f->out.checksums_right);
	assert_memory_equal(f->out.src_mac, frame_port_mac, 6);
	assert_true(frame_read_ip(f->f.packet.data + at, f->f.packet.len_bytes - at, &inner));
	assert_true(addr_eq(&inner.src, &f->out.dst));
	assert_true(addr_eq(&inner.dst, &f->out.src));
}

static void test_ttl(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct frame_spec s = sides_request(&sides[i]);
		struct rig_frame f;
		struct rig r;

		sides_make_udp_rig(&r, &sides[i], IPVS_FORWARD_MASQ);
		s.ttl = 1;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_error(&f, sides[i].time_exceeded, sides[i].service_host,
			     sides[i].client_host);
		assert_int_equal(rig_counter(&r, 0, COUNTER_ICMP_SENT), 1);
		s.ttl = 2;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_true(frame_is_to(&f.out, sides[i].dest));
		assert_int_equal(f.out.ttl, 1);
		rig_deinit(&r);
	}
}

/* Said by our address towards the destination; with full NAT the answer was sent to one of ours. */
static void test_ttl_of_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(nats); k++) {
			char seen[ADDR_PORT_STR_MAX];
			struct frame_spec s = {
				.src = sides[i].dest, .dst = seen, .protocol = IPPROTO_UDP, .ttl = 1
			};
			struct rig_frame f;
			struct rig r;

			sides_make_udp_rig(&r, &sides[i], nats[k]);
			connect_through(&r, &sides[i], seen);
			assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
			if (nats[k] == IPVS_FORWARD_FULL_NAT) {
				assert_error(&f, sides[i].time_exceeded, sides[i].local,
					     sides[i].dest_host);
			} else {
				assert_int_equal(f.out.icmp_type, sides[i].time_exceeded);
				assert_true(f.out.checksums_right);
				assert_true(frame_is_from(&f.out, i == 0 ? "192.0.2.254"
									 : "2001:db8:ffff::fe"));
				assert_true(frame_is_to(&f.out, sides[i].dest_host));
				memset(r.nexthops[1].source4, 0, 4);
				memset(r.nexthops[1].source6, 0, 16);
				assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
			}
			rig_deinit(&r);
		}
	}
}

/* Of a packet with `over` bytes more than the path takes. */
static void check_mtu(const struct side *side, const struct ipvs_dest *conf, unsigned overhead)
{
	uint16_t fits = (uint16_t)(RIG_MTU - overhead - side->ip_header - 8);
	struct frame_spec s = sides_request(side);
	struct rig_frame f;
	struct rig r;
	bool ipv6 = side->ip_header == 40;

	sides_make_rig(&r, side, IPPROTO_UDP, conf);
	s.dont_fragment = true;
	s.payload_bytes = fits;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_int_equal(f.out.ip_bytes, RIG_MTU);
	s.payload_bytes++;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_error(&f, side->too_big, side->service_host, side->client_host);
	assert_int_equal(f.out.icmp_code, ipv6 ? 0 : 4);
	assert_int_equal(f.out.icmp_rest, RIG_MTU - overhead);
	assert_int_equal(f.out.ip_bytes, ipv6 ? 1280 : 576);
	s.dont_fragment = false;
	if (!ipv6) {
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_FRAGMENT);
		assert_int_equal(f.f.action.mtu, RIG_MTU);
		assert_int_equal(f.out.ip_bytes, RIG_MTU + 1);
	}
	rig_deinit(&r);
}

static void test_mtu(void **state)
{
	static const struct {
		struct ipvs_dest conf;
		unsigned overhead; /* without the outer IP header */
	} cases[] = {
		{ { .forward = IPVS_FORWARD_TUNNEL }, 0 },
		{ { .forward = IPVS_FORWARD_TUNNEL,
		    .tunnel = IPVS_TUNNEL_GUE,
		    .tunnel_port = 6080 },
		  12 },
		{ { .forward = IPVS_FORWARD_TUNNEL, .tunnel = IPVS_TUNNEL_GRE, .tunnel_flags = 1 },
		  8 },
		{ { .forward = IPVS_FORWARD_MASQ }, 0 },
		{ { .forward = IPVS_FORWARD_ROUTE }, 0 },
		{ { .forward = IPVS_FORWARD_FULL_NAT }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
			struct ipvs_dest conf = cases[k].conf;
			bool tunnel = conf.forward == IPVS_FORWARD_TUNNEL;

			conf.weight = 1;
			check_mtu(&sides[i], &conf,
				  cases[k].overhead + (tunnel ? sides[i].ip_header : 0));
		}
	}
}

/* Answers: the port's MTU. A tunnel in a link that is too small takes nothing. */
static void test_mtu_of_answers(void **state)
{
	char seen[ADDR_PORT_STR_MAX];
	struct frame_spec s = { .src = sides[0].dest,
				.dst = seen,
				.protocol = IPPROTO_UDP,
				.payload_bytes = 1000,
				.dont_fragment = true };
	struct rig_frame f;
	struct rig r;

	(void)state;
	sides_make_udp_rig(&r, &sides[0], IPVS_FORWARD_FULL_NAT);
	connect_through(&r, &sides[0], seen);
	r.mtus[0] = 1027;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_error(&f, 3, sides[0].local, sides[0].dest_host);
	assert_int_equal(f.out.icmp_rest, 1027);
	s.dont_fragment = false;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_FRAGMENT);
	assert_int_equal(f.f.action.mtu, 1027);
	assert_true(frame_is_to(&f.out, sides[0].client));
	r.mtus[0] = 1028;
	s.dont_fragment = true;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	rig_deinit(&r);

	sides_make_rig(&r, &sides[0], IPPROTO_UDP,
		       &(struct ipvs_dest){ .forward = IPVS_FORWARD_TUNNEL, .weight = 1 });
	r.nexthops[1].mtu = 87; /* below 68 within */
	s = sides_request(&sides[0]);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_ROOM);
	rig_deinit(&r);
}

/* At most so many a second, but for "too big". */
static void test_error_limit(void **state)
{
	struct frame_spec expired = sides_request(&sides[0]), big = sides_request(&sides[0]);
	struct rig_frame f;
	struct rig r;

	(void)state;
	sides_make_udp_rig(&r, &sides[0], IPVS_FORWARD_MASQ);
	expired.ttl = 1;
	big.dont_fragment = true;
	big.payload_bytes = 1500;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(rig_send(&r, &f, &expired), DIRECTOR_SEND);
	assert_int_equal(rig_send(&r, &f, &expired), DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_UNREPORTED);
	assert_int_equal(rig_send(&r, &f, &big), DIRECTOR_SEND);
	rig_sleep(&r, 1);
	assert_int_equal(rig_send(&r, &f, &expired), DIRECTOR_SEND);
	rig_deinit(&r);
}

/* An error from the destination's side about a request, and one from the client's side about an answer. */
static void check_error_translation(const struct side *side, enum ipvs_forward forward)
{
	char seen[ADDR_PORT_STR_MAX];
	struct frame_spec to_dest = {
		.src = seen, .dst = side->dest, .protocol = IPPROTO_UDP, .payload_bytes = 8
	};
	struct frame_spec to_client = { .src = side->service,
					.dst = side->client,
					.protocol = IPPROTO_UDP,
					.payload_bytes = 8 };
	struct frame_spec error = { .src = side->router,
				    .protocol = IPPROTO_ICMP,
				    .icmp_type = side->too_big,
				    .icmp_code = side->too_big == 3 ? 4 : 0,
				    .icmp_rest = 1400 };
	char host[ADDR_STR_MAX];
	struct frame_view inner;
	struct rig_frame f;
	struct rig r;
	unsigned at;
	struct addr a;
	uint16_t port;

	sides_make_udp_rig(&r, side, forward);
	connect_through(&r, side, seen);
	assert_int_equal(addr_port_parse(seen, &a, &port), 0);

	error.dst = addr_format(&a, host);
	error.embedded = &to_dest;
	assert_int_equal(rig_send(&r, &f, &error), DIRECTOR_SEND);
	assert_error(&f, side->too_big, side->service_host, side->client_host);
	assert_int_equal(f.out.icmp_rest, 1400);
	at = f.out.l4_off + 8;
	assert_true(frame_read_ip(f.f.packet.data + at, f.f.packet.len_bytes - at, &inner));
	assert_true(frame_is_from(&inner, side->client));
	assert_true(frame_is_to(&inner, side->service));
	assert_memory_equal(f.out.dst_mac, frame_client_mac, 6);

	error.dst = side->service_host;
	error.embedded = &to_client;
	assert_int_equal(rig_send(&r, &f, &error), DIRECTOR_SEND);
	at = f.out.l4_off + 8;
	assert_true(f.out.checksums_right);
	assert_true(frame_is_to(&f.out, side->dest_host));
	assert_true(frame_is_from(&f.out,
				  forward == IPVS_FORWARD_FULL_NAT ? side->local : side->router));
	assert_true(frame_read_ip(f.f.packet.data + at, f.f.packet.len_bytes - at, &inner));
	assert_true(frame_is_from(&inner, side->dest));
	assert_true(frame_is_to(&inner, seen));
	assert_int_equal(rig_counter(&r, 0, COUNTER_ICMP_FORWARDED), 2);

	/* no connection, TTL, and what is damaged */
	to_client.dst = side->ip_header == 20 ? "198.51.100.9:1" : "[2001:db8:c::9]:1";
	assert_int_equal(rig_send(&r, &f, &error), DIRECTOR_EXCEPTION);
	to_client.dst = side->client;
	error.ttl = 1;
	assert_int_equal(rig_send(&r, &f, &error), DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_UNREPORTED);
	error.ttl = 0;
	rig_make(&f, &error);
	f.f.packet.data[f.f.packet.l4_off + 5] ^= 1;
	rig_run_frame(&r, 0, false, &f);
	if (side->ip_header == 20)
		assert_int_equal(f.f.action.reason, COUNTER_DROP_BAD);
	else
		assert_false(f.out.checksums_right);
	rig_deinit(&r);
}

static void test_error_translation(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		for (size_t k = 0; k < ARRAY_SIZE(nats); k++)
			check_error_translation(&sides[i], nats[k]);
}

/* The other methods send an error on as they send a request: it is the destination that has the service's address. */
static void test_error_direct(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct frame_spec to_client = { .src = sides[i].service,
						.dst = sides[i].client,
						.protocol = IPPROTO_UDP };
		struct frame_spec error = { .src = sides[i].router,
					    .dst = sides[i].service_host,
					    .protocol = IPPROTO_ICMP,
					    .icmp_type = sides[i].unreachable,
					    .embedded = &to_client };
		char seen[ADDR_PORT_STR_MAX];
		struct rig_frame f;
		struct rig r;

		sides_make_udp_rig(&r, &sides[i], IPVS_FORWARD_ROUTE);
		connect_through(&r, &sides[i], seen);
		assert_int_equal(rig_send(&r, &f, &error), DIRECTOR_SEND);
		assert_true(f.out.checksums_right);
		assert_true(frame_is_to(&f.out, sides[i].service_host));
		assert_int_equal(f.out.dst_mac[4], 0xd0);
		assert_int_equal(f.out.ttl, 63);
		rig_deinit(&r);
	}
}

/* A router between us and the tunnel's end: the client hears of it as about its own packet. */
static void check_tunnel_error(const struct ipvs_dest *conf, unsigned overhead)
{
	static const struct {
		uint8_t type, code;
		bool dont_fragment, told;
		uint32_t rest, mtu; /* mtu: 0 = not that of the path */
	} cases[] = {
		{ 3, 4, true, true, 1400, 1400 }, { 3, 4, false, false, 1400, 0 },
		{ 3, 1, false, true, 0, 0 },	  { 3, 2, true, true, 0, 0 },
		{ 11, 0, false, true, 0, 0 },
	};
	const struct side *side = &sides[0];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct frame_spec s = sides_request(side);
		struct frame_spec error = { .src = side->router,
					    .dst = "192.0.2.254",
					    .protocol = IPPROTO_ICMP,
					    .icmp_type = cases[i].type,
					    .icmp_code = cases[i].code,
					    .icmp_rest = cases[i].rest,
					    .src_mac = (const uint8_t[]){ 2, 0, 0, 0, 0xd0, 1 } };
		struct rig_frame f, told;
		struct rig r;

		sides_make_rig(&r, side, IPPROTO_UDP, conf);
		s.dont_fragment = cases[i].dont_fragment;
		s.payload_bytes = 100;
		s.vlan = 7;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		error.raw = f.f.packet.data + f.f.packet.l3_off;
		error.raw_bytes = overhead + 28 + (i & 1 ? 0 : 72); /* to the ports, or more */
		rig_make(&told, &error);
		rig_run_frame(&r, 0, false, &told);
		if (!cases[i].told) {
			assert_int_equal(told.f.action.verdict, DIRECTOR_DROP);
			rig_deinit(&r);
			continue;
		}
		assert_int_equal(told.f.action.verdict, DIRECTOR_SEND);
		assert_error(&told, cases[i].type, side->service_host, side->client_host);
		assert_int_equal(told.out.icmp_code, cases[i].code);
		assert_int_equal(told.out.icmp_rest, cases[i].mtu ? cases[i].mtu - overhead : 0);
		assert_memory_equal(told.out.dst_mac, frame_client_mac, 6);
		assert_int_equal(told.out.vlan, 7);
		/* the tunnel's end is another: not ours */
		((uint8_t *)(uintptr_t)error.raw)[19] ^= 1;
		rig_make(&told, &error);
		rig_run_frame(&r, 0, false, &told);
		assert_int_equal(told.f.action.verdict, DIRECTOR_EXCEPTION);
		rig_deinit(&r);
	}
}

static void test_tunnel_errors(void **state)
{
	(void)state;
	check_tunnel_error(&(struct ipvs_dest){ .forward = IPVS_FORWARD_TUNNEL, .weight = 1 }, 20);
	check_tunnel_error(&(struct ipvs_dest){ .forward = IPVS_FORWARD_TUNNEL,
						.weight = 1,
						.tunnel = IPVS_TUNNEL_GUE,
						.tunnel_port = 6080 },
			   32);
	check_tunnel_error(&(struct ipvs_dest){ .forward = IPVS_FORWARD_TUNNEL,
						.weight = 1,
						.tunnel = IPVS_TUNNEL_GRE },
			   24);
	check_tunnel_error(&(struct ipvs_dest){ .forward = IPVS_FORWARD_TUNNEL,
						.weight = 1,
						.tunnel = IPVS_TUNNEL_GRE,
						.tunnel_flags = 1 },
			   28);
}

/* nat_icmp_send: a destination's packet of a connection that is not known. */
static void test_unknown_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct frame_spec s = { .src = sides[i].dest,
					.dst = sides[i].client,
					.protocol = IPPROTO_UDP };
		struct rig_frame f;
		struct rig r;

		sides_make_udp_rig(&r, &sides[i], IPVS_FORWARD_MASQ);
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
		rig_options(&r, &(struct snapshot_options){ .nat_icmp_send = true });
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_int_equal(f.out.icmp_type, sides[i].unreachable);
		assert_int_equal(f.out.icmp_code, i == 0 ? 3 : 4);
		assert_true(f.out.checksums_right);
		assert_true(frame_is_to(&f.out, sides[i].dest_host));
		assert_memory_equal(f.out.dst_mac, frame_client_mac, 6);
		/* another port, another protocol, another host */
		s.src = i == 0 ? "10.0.1.2:8081" : "[2001:db8:1::2]:8081";
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
		s.src = sides[i].client;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
		s.src = sides[i].dest;
		s.protocol = IPPROTO_TCP;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
		rig_deinit(&r);
	}
}

static void test_echo(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		struct frame_spec echo = { .src = sides[i].client_host,
					   .dst = sides[i].service_host,
					   .protocol = IPPROTO_ICMP,
					   .icmp_rest = 0x12340001,
					   .payload_bytes = 56 };
		struct rig_frame f;
		struct rig r;

		sides_make_udp_rig(&r, &sides[i], IPVS_FORWARD_ROUTE);
		assert_int_equal(rig_send(&r, &f, &echo), DIRECTOR_SEND);
		assert_int_equal(f.out.icmp_type, i == 0 ? 0 : 129);
		assert_int_equal(f.out.icmp_rest, 0x12340001);
		assert_true(f.out.checksums_right);
		assert_true(frame_is_from(&f.out, sides[i].service_host));
		assert_true(frame_is_to(&f.out, sides[i].client_host));
		assert_memory_equal(f.out.dst_mac, frame_client_mac, 6);
		assert_int_equal(rig_counter(&r, 0, COUNTER_ICMP_REPLIED), 1);
		echo.dst = sides[i].dest_host;
		assert_int_equal(rig_send(&r, &f, &echo), DIRECTOR_EXCEPTION);
		rig_deinit(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_ttl_of_answers),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_mtu_of_answers),
		cmocka_unit_test(test_error_limit),
		cmocka_unit_test(test_error_translation),
		cmocka_unit_test(test_error_direct),
		cmocka_unit_test(test_tunnel_errors),
		cmocka_unit_test(test_unknown_answers),
		cmocka_unit_test(test_echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
