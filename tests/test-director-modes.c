/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every forwarding method, both families, three protocols: what leaves, byte by byte, and what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "director-rig.h"

static const struct {
	const char *client, *other_client, *service, *dest, *tunnel_end, *local, *source;
} addresses[] = {
	{ "198.51.100.7:40000", "198.51.100.8:40000", "203.0.113.10:80", "10.0.1.2:8080",
	  "[2001:db8:1::2]:8080", "192.0.2.1", "192.0.2.254:0" },
	{ "[2001:db8:c::7]:40000", "[2001:db8:c::8]:40000", "[2001:db8::10]:80",
	  "[2001:db8:1::2]:8080", "10.0.1.2:8080", "2001:db8:ffff::1", "[2001:db8:ffff::fe]:0" },
};

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
static const uint8_t dest_mac[6] = { 0x02, 0, 0, 0, 0xd0, 1 };

static struct frame_spec first_packet(uint8_t protocol, const char *src, const char *dst)
{
	return (struct frame_spec){
		.src = src,
		.dst = dst,
		.protocol = protocol,
		.tcp_flags = FRAME_SYN,
		.sctp_chunk = 1,
		.payload_bytes = 37,
	};
}

static void make_rig(struct rig *r, unsigned family, uint8_t protocol, const char *dest,
		     const struct ipvs_dest *conf, struct ipvs_service_key *ret_key)
{
	rig_init(r, &(struct rig_config){ 0 });
	*ret_key = rig_key(protocol, addresses[family].service);
	rig_service(r, ret_key, "rr", 0, 0);
	rig_dest_conf(r, ret_key, dest, conf);
}

static void assert_addressed(const struct frame_view *v, const uint8_t *mac)
{
	assert_memory_equal(v->src_mac, frame_port_mac, 6);
	assert_memory_equal(v->dst_mac, mac, 6);
	assert_true(v->checksums_right);
}

/* The destination's own counters after one packet in, and `out` packets out, of `bytes` each. */
static void assert_counted(const struct rig *r, uint32_t id, uint64_t out, uint64_t bytes)
{
	const struct dest_counters *c = &r->counters[0][id];

	assert_int_equal(c->conns, 1);
	assert_int_equal(c->references, 1);
	assert_int_equal(c->traffic[DEST_IN].packets, 1);
	assert_int_equal(c->traffic[DEST_IN].bytes, bytes);
	assert_int_equal(c->traffic[DEST_OUT].packets, out);
	assert_int_equal(c->traffic[DEST_OUT].bytes, out * bytes);
}

static void check_translation(unsigned family, uint8_t protocol, bool full)
{
	const struct ipvs_dest conf = {
		.forward = full ? IPVS_FORWARD_FULL_NAT : IPVS_FORWARD_MASQ,
		.weight = 1,
	};
	struct frame_spec s =
		first_packet(protocol, addresses[family].client, addresses[family].service);
	char seen_by_dest[ADDR_PORT_STR_MAX];
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	make_rig(&r, family, protocol, addresses[family].dest, &conf, &k);
	if (full)
		rig_locals(&r, &addresses[family].local, 1);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_int_equal(f.f.action.port, 0);
	assert_addressed(&f.out, dest_mac);
	assert_true(frame_is_to(&f.out, addresses[family].dest));
	assert_int_equal(f.out.ttl, 63);
	(void)addr_port_format(&f.out.src, f.out.src_port, seen_by_dest);
	if (full) {
		struct addr local;

		assert_int_equal(addr_parse(addresses[family].local, &local), 0);
		assert_true(addr_eq(&f.out.src, &local));
		assert_in_range(f.out.src_port, 1024, 65535);
	} else {
		assert_string_equal(seen_by_dest, addresses[family].client);
	}

	s.src = addresses[family].dest;
	s.dst = seen_by_dest;
	s.tcp_flags = FRAME_SYN | FRAME_ACK;
	s.sctp_chunk = 2;
	s.src_mac = dest_mac;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_addressed(&f.out, frame_client_mac);
	assert_true(frame_is_from(&f.out, addresses[family].service));
	assert_true(frame_is_to(&f.out, addresses[family].client));
	assert_int_equal(f.out.ttl, 63);
	assert_counted(&r, rig_dest_id(&r, &k, addresses[family].dest), 1, f.out.ip_bytes);
	assert_int_equal(rig_counter(&r, 0, COUNTER_FORWARDED_IN), 1);
	assert_int_equal(rig_counter(&r, 0, COUNTER_FORWARDED_OUT), 1);
	rig_deinit(&r);
}

static void test_nat(void **state)
{
	(void)state;
	for (unsigned family = 0; family < 2; family++)
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
			check_translation(family, protocols[i], false);
}

static void test_full_nat(void **state)
{
	(void)state;
	for (unsigned family = 0; family < 2; family++)
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
			check_translation(family, protocols[i], true);
}

static void test_direct(void **state)
{
	(void)state;
	for (unsigned family = 0; family < 2; family++) {
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
			const struct ipvs_dest conf = { .forward = IPVS_FORWARD_ROUTE,
							.weight = 1 };
			struct frame_spec s = first_packet(protocols[i], addresses[family].client,
							   addresses[family].service);
			struct ipvs_service_key k;
			struct rig_frame f;
			struct rig r;

			make_rig(&r, family, protocols[i], addresses[family].dest, &conf, &k);
			assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
			assert_addressed(&f.out, dest_mac);
			assert_true(frame_is_from(&f.out, addresses[family].client));
			assert_true(frame_is_to(&f.out, addresses[family].service));
			assert_int_equal(f.out.ttl, 63);
			assert_counted(&r, rig_dest_id(&r, &k, addresses[family].dest), 0,
				       f.out.ip_bytes);
			rig_deinit(&r);
		}
	}
}

/* Offset of the inner packet behind the outer IP header. */
static unsigned inner_offset(const struct ipvs_dest *conf)
{
	switch (conf->tunnel) {
	case IPVS_TUNNEL_GUE:
		return 8 + 4 + (conf->tunnel_flags & 2 ? 8 : 0);
	case IPVS_TUNNEL_GRE:
		return 4 + (conf->tunnel_flags & 1 ? 4 : 0);
	default:
		return 0;
	}
}

static uint8_t outer_protocol(const struct ipvs_dest *conf, bool inner_v6)
{
	switch (conf->tunnel) {
	case IPVS_TUNNEL_GUE:
		return IPPROTO_UDP;
	case IPVS_TUNNEL_GRE:
		return IPPROTO_GRE;
	default:
		return inner_v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	}
}

static void check_tunnel(unsigned family, bool other_family, const struct ipvs_dest *conf)
{
	const char *dest = other_family ? addresses[family].tunnel_end : addresses[family].dest;
	unsigned outer_family = other_family ? !family : family;
	struct frame_spec s =
		first_packet(IPPROTO_TCP, addresses[family].client, addresses[family].service);
	struct frame_view inner;
	struct ipvs_service_key k;
	struct rig_frame f;
	unsigned at;
	struct rig r;
	struct addr a;
	uint16_t port;

	make_rig(&r, family, IPPROTO_TCP, dest, conf, &k);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	if (f.out.no_checksum)
		assert_int_equal(conf->tunnel_flags, 0);
	f.out.checksums_right |= f.out.no_checksum;
	assert_addressed(&f.out, dest_mac);
	assert_int_equal(f.out.protocol, outer_protocol(conf, family == 1));
	assert_int_equal(addr_port_parse(dest, &a, &port), 0);
	assert_true(addr_eq(&f.out.dst, &a));
	assert_int_equal(addr_port_parse(addresses[outer_family].source, &a, &port), 0);
	assert_true(addr_eq(&f.out.src, &a));
	assert_int_equal(f.out.ttl, 63);
	if (conf->tunnel == IPVS_TUNNEL_GUE)
		assert_int_equal(f.out.dst_port, conf->tunnel_port);
	at = f.out.l4_off + inner_offset(conf);
	assert_true(frame_read_ip(f.f.packet.data + at, f.f.packet.len_bytes - at, &inner));
	assert_true(inner.checksums_right);
	assert_true(frame_is_from(&inner, addresses[family].client));
	assert_true(frame_is_to(&inner, addresses[family].service));
	assert_int_equal(inner.ttl, 63);
	assert_counted(&r, rig_dest_id(&r, &k, dest), 0, inner.ip_bytes);
	rig_deinit(&r);
}

static void test_tunnels(void **state)
{
	static const struct ipvs_dest tunnels[] = {
		{ .tunnel = IPVS_TUNNEL_IPIP },
		{ .tunnel = IPVS_TUNNEL_GUE, .tunnel_port = 6080 },
		{ .tunnel = IPVS_TUNNEL_GUE, .tunnel_port = 6080, .tunnel_flags = 1 },
		{ .tunnel = IPVS_TUNNEL_GRE },
		{ .tunnel = IPVS_TUNNEL_GRE, .tunnel_flags = 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++) {
		struct ipvs_dest conf = tunnels[i];

		conf.forward = IPVS_FORWARD_TUNNEL;
		conf.weight = 1;
		for (unsigned family = 0; family < 2; family++) {
			check_tunnel(family, false, &conf);
			check_tunnel(family, true, &conf);
		}
	}
}

/* The kernel has the packet: unchanged, but counted at the destination, as ip_vs_null_xmit(). */
static void test_local(void **state)
{
	const struct ipvs_dest conf = { .forward = IPVS_FORWARD_LOCAL, .weight = 1 };
	struct frame_spec s = first_packet(IPPROTO_TCP, addresses[0].client, addresses[0].service);
	uint8_t before[FRAME_MAX];
	struct ipvs_service_key k;
	struct rig_frame f;
	uint32_t n;
	struct rig r;

	(void)state;
	make_rig(&r, 0, IPPROTO_TCP, addresses[0].dest, &conf, &k);
	n = frame_make(&s, before);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
	assert_int_equal(f.f.packet.len_bytes, n);
	assert_memory_equal(f.f.packet.data, before, n);
	assert_counted(&r, rig_dest_id(&r, &k, addresses[0].dest), 0, n - 14);
	rig_deinit(&r);
}

/* VLANs: to the next hop's, back to the client's. */
static void test_vlan(void **state)
{
	static const struct {
		uint16_t client, dest;
	} cases[] = { { 0, 0 }, { 7, 0 }, { 0, 9 }, { 7, 9 }, { 7, 7 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ipvs_dest conf = { .forward = IPVS_FORWARD_MASQ, .weight = 1 };
		struct frame_spec s =
			first_packet(IPPROTO_UDP, addresses[0].client, addresses[0].service);
		struct ipvs_service_key k;
		struct rig_frame f;
		struct rig r;

		make_rig(&r, 0, IPPROTO_UDP, addresses[0].dest, &conf, &k);
		r.nexthops[1].vlan_tci = cases[i].dest;
		s.vlan = cases[i].client;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_int_equal(f.out.vlan, cases[i].dest);
		assert_addressed(&f.out, dest_mac);
		s.src = addresses[0].dest;
		s.dst = addresses[0].client;
		s.vlan = cases[i].dest;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_int_equal(f.out.vlan, cases[i].client);
		assert_addressed(&f.out, frame_client_mac);
		rig_deinit(&r);
	}
}

/* The client's frames begin to come from another router, on another port: answers follow. */
static void test_client_moves(void **state)
{
	static const uint8_t other_mac[6] = { 0x02, 0, 0, 0, 0, 0x99 };
	static const uint8_t other_port_mac[6] = { 0x02, 0, 0, 0, 0xaa, 0x01 };
	const struct ipvs_dest conf = { .forward = IPVS_FORWARD_MASQ, .weight = 1 };
	struct frame_spec s = first_packet(IPPROTO_UDP, addresses[0].client, addresses[0].service);
	struct frame_spec answer = {
		.src = addresses[0].dest,
		.dst = addresses[0].client,
		.protocol = IPPROTO_UDP,
	};
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_rig(&r, 0, IPPROTO_UDP, addresses[0].dest, &conf, &k);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	/* the same router on the other port, then another router */
	s.dst_mac = other_port_mac;
	rig_make(&f, &s);
	f.f.port = 1;
	rig_run_frame(&r, 0, false, &f);
	assert_int_equal(rig_send(&r, &f, &answer), DIRECTOR_SEND);
	assert_int_equal(f.f.action.port, 1);
	s.src_mac = other_mac;
	rig_make(&f, &s);
	f.f.port = 1;
	rig_run_frame(&r, 0, false, &f);
	assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
	assert_int_equal(f.f.action.port, 0);
	assert_int_equal(rig_send(&r, &f, &answer), DIRECTOR_SEND);
	assert_int_equal(f.f.action.port, 1);
	assert_memory_equal(f.out.dst_mac, other_mac, 6);
	assert_memory_equal(f.out.src_mac, other_port_mac, 6);
	rig_deinit(&r);
}

static void test_not_ours(void **state)
{
	static const uint8_t other_mac[6] = { 0x02, 0, 0, 0, 0xaa, 0x77 };
	const struct ipvs_dest conf = { .forward = IPVS_FORWARD_MASQ, .weight = 1 };
	struct frame_spec s = first_packet(IPPROTO_TCP, addresses[0].client, addresses[0].service);
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_rig(&r, 0, IPPROTO_TCP, addresses[0].dest, &conf, &k);
	s.dst_mac = other_mac;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
	s.dst_mac = NULL;
	s.dst = "203.0.113.10:81";
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
	s.dst = addresses[0].service;
	s.tcp_flags = FRAME_ACK;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
	s.tcp_flags = FRAME_SYN | FRAME_RST;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
	s.tcp_flags = FRAME_SYN;
	s.src = "198.51.100.7:20"; /* FTP's data, as ip_vs_schedule() */
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_EXCEPTION);
	s.src = addresses[0].client;
	rig_make(&f, &s);
	f.f.packet.data[14 + 10] ^= 1; /* the IP header's checksum */
	rig_parse(&f, f.f.packet.len_bytes);
	rig_run_frame(&r, 0, false, &f);
	assert_int_equal(f.f.action.verdict, DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_BAD);
	assert_int_equal(rig_counter(&r, 0, COUNTER_EXCEPTION), 5);
	assert_int_equal(r.counters[0][rig_dest_id(&r, &k, addresses[0].dest)].references, 0);
	rig_deinit(&r);
}

static void test_no_next_hop(void **state)
{
	const struct ipvs_dest conf = { .forward = IPVS_FORWARD_MASQ, .weight = 1 };
	struct frame_spec s = first_packet(IPPROTO_TCP, addresses[0].client, addresses[0].service);
	struct ipvs_service_key k;
	struct rig_frame f;
	uint64_t mac;
	struct rig r;

	(void)state;
	make_rig(&r, 0, IPPROTO_TCP, addresses[0].dest, &conf, &k);
	mac = atomic_exchange(&r.nexthops[1].mac, 0);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_NEXTHOP);
	/* the connection is there, as the kernel's while it asks for the neighbour */
	atomic_store(&r.nexthops[1].mac, mac);
	s.tcp_flags = FRAME_SYN;
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_int_equal(r.counters[0][rig_dest_id(&r, &k, addresses[0].dest)].conns, 1);
	rig_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nat),	     cmocka_unit_test(test_full_nat),
		cmocka_unit_test(test_direct),	     cmocka_unit_test(test_tunnels),
		cmocka_unit_test(test_local),	     cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_client_moves), cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_no_next_hop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
