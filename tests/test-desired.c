/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "ipvs/desired.h"
#include "tests/desired-rig.h"

/* The keeper, and the list in reverse order of registration; the listener's port where a target has none. */
static void test_order(void **state)
{
	_cleanup_(desired_rig_deinit) struct desired_rig f;

	(void)state;
	desired_rig_init(&f);
	desired_rig_add(&f, 0, "10.0.0.1", 8080, 5);
	desired_rig_add(&f, 0, "10.0.0.2", 0, 0);
	desired_rig_add(&f, 0, "10.0.0.1", 8081, 7);
	desired_rig_compute(&f);
	desired_rig_assert(&f,
			   "tcp 203.0.113.10:80 wlc 10.0.0.1:8081=7 10.0.0.2:80=0 10.0.0.1:8080=5"
			   " | fwmark 2147483647 ipv4 none");
	assert_int_equal(f.result.services[0].netmask, UINT32_MAX);
	assert_int_equal(f.result.services[0].flags, 0);
}

static void test_keys(void **state)
{
	static const struct {
		enum conf_protocol protocol;
		struct conf_range ports;
		uint32_t mark;
		uint16_t family;
		const char *expected;
	} cases[] = {
		{ CONF_PROTOCOL_UDP,
		  { 53, 53 },
		  0,
		  AF_INET,
		  "udp 203.0.113.10:53 wlc 10.0.0.1:53=1 | fwmark 2147483647 ipv4 none" },
		{ CONF_PROTOCOL_TCP_UDP,
		  { 53, 53 },
		  0,
		  AF_INET,
		  "tcp 203.0.113.10:53 wlc 10.0.0.1:53=1 | udp 203.0.113.10:53 wlc 10.0.0.1:53=1"
		  " | fwmark 2147483647 ipv4 none" },
		{ CONF_PROTOCOL_SCTP,
		  { 65534, 65535 },
		  0,
		  AF_INET,
		  "sctp 203.0.113.10:65534 wlc 10.0.0.1:65534=1"
		  " | sctp 203.0.113.10:65535 wlc 10.0.0.1:65535=1 | fwmark 2147483647 ipv4 none" },
		{ CONF_PROTOCOL_TCP,
		  { 0, 0 },
		  0,
		  AF_INET,
		  "tcp 203.0.113.10:0 wlc 10.0.0.1:0=1 | fwmark 2147483647 ipv4 none" },
		{ CONF_PROTOCOL_TCP,
		  { 0, 0 },
		  7,
		  AF_INET,
		  "fwmark 7 ipv4 wlc 10.0.0.1:0=1 | fwmark 2147483647 ipv4 none" },
		{ CONF_PROTOCOL_TCP,
		  { 0, 0 },
		  7,
		  AF_INET6,
		  "fwmark 7 ipv6 wlc [fd00::1]:0=1 | fwmark 2147483647 ipv6 none" },
		{ CONF_PROTOCOL_TCP,
		  { 80, 80 },
		  0,
		  AF_INET6,
		  "tcp [2001:db8::10]:80 wlc [fd00::1]:80=1 | fwmark 2147483647 ipv6 none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;
		struct conf_listener *l = &f.listeners[0];

		desired_rig_init(&f);
		l->protocol = cases[i].protocol;
		l->ports = cases[i].ports;
		l->firewall_mark = cases[i].mark;
		l->family = cases[i].family;
		l->address = cases[i].mark
				     ? (struct addr){ 0 }
				     : desired_rig_address(l->family == AF_INET6 ? "2001:db8::10"
										 : "203.0.113.10");
		/* The one of the other family is left out: nat does not translate between families. */
		desired_rig_add(&f, 0, "10.0.0.1", 0, 1);
		desired_rig_add(&f, 0, "fd00::1", 0, 1);
		desired_rig_compute(&f);
		desired_rig_assert(&f, cases[i].expected);
		for (size_t k = 0; k < f.result.n; k++) {
			const struct ipvs_service *s = &f.result.services[k];

			assert_int_equal(s->netmask, s->key.family == AF_INET6 ? 128 : UINT32_MAX);
			assert_int_equal(s->flags & IPVS_SVC_PERSISTENT,
					 !s->key.fwmark && s->key.port == 0);
		}
	}
}

/* Left out from lists without order, so that the planes let go of its connections; weight 0 where the place counts. */
static void test_ending_connections(void **state)
{
	struct desired_rig f;

	(void)state;
	desired_rig_init(&f);
	desired_rig_add(&f, 0, "10.0.0.1", 80, 5);
	desired_rig_add(&f, 0, "10.0.0.2", 80, 0);
	desired_rig_add(&f, 0, "10.0.0.3", 80, 0);
	f.targets[0][1].ends = true;
	desired_rig_compute(&f);
	desired_rig_assert(&f, "tcp 203.0.113.10:80 wlc 10.0.0.3:80=0 10.0.0.1:80=5 | "
			       "fwmark 2147483647 ipv4 none");
	strcpy(f.groups[0].algorithm.scheduler, "mh");
	desired_rig_compute(&f);
	desired_rig_assert(&f, "tcp 203.0.113.10:80 mh 10.0.0.3:80=0 10.0.0.2:80=0 10.0.0.1:80=5 | "
			       "fwmark 2147483647 ipv4 none");
	desired_rig_deinit(&f);
}

static void test_shared_target(void **state)
{
	_cleanup_(desired_rig_deinit) struct desired_rig f;

	(void)state;
	desired_rig_init(&f);
	f.listeners[0].n_forwards = 2;
	desired_rig_add(&f, 0, "10.0.0.2", 80, 1);
	desired_rig_add(&f, 0, "10.0.0.1", 80, 1);
	desired_rig_add(&f, 1, "10.0.0.2", 80, 4);
	f.groups[1].max_connections = 9; /* the first registration decides */
	desired_rig_compute(&f);
	desired_rig_assert(&f, "tcp 203.0.113.10:80 wlc 10.0.0.1:80=2500 10.0.0.2:80=7500"
			       " | fwmark 2147483647 ipv4 none");
	assert_int_equal(f.result.services[0].dests[1].upper_threshold, 0);
}

/* The service's scheduler is that of the first group that gets traffic. */
static void test_leading_group(void **state)
{
	static const struct {
		unsigned forwards[DESIRED_RIG_FORWARDS];
		const char *scheduler;
	} cases[] = { { { 1, 1, 1 }, "rr" }, { { 0, 1, 1 }, "nq" }, { { 0, 0, 0 }, "rr" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;

		desired_rig_init(&f);
		f.listeners[0].n_forwards = DESIRED_RIG_FORWARDS;
		for (size_t k = 0; k < DESIRED_RIG_FORWARDS; k++)
			f.forwards[k].weight = cases[i].forwards[k];
		strcpy(f.groups[0].algorithm.scheduler, "rr");
		strcpy(f.groups[1].algorithm.scheduler, "nq");
		desired_rig_compute(&f);
		assert_string_equal(f.result.services[0].scheduler, cases[i].scheduler);
	}
}

/* sh has 256 buckets: whoever has weight must get some, and those without weight keep one. */
static void test_sh_buckets(void **state)
{
	static const struct {
		unsigned n;
		uint32_t first, others, expected_first, expected_others;
	} cases[] = {
		{ 2, 100, 100, 100, 100 }, /* fits as it is */
		{ 3, 100, 100, 1, 1 },	   /* reduced exactly */
		{ 3, 0, 200, 0, 1 },	     { 200, 1000, 1, 1 + 1000 * 56 / 1199, 1 },
		{ 3, 65535, 1, 1 + 252, 1 }, { 256, 3, 7, 1, 1 },
		{ 300, 100, 100, 1, 1 }, /* more than buckets: nothing helps the tail */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;
		const struct ipvs_service *s;
		unsigned buckets = 0;

		desired_rig_init(&f);
		strcpy(f.groups[0].algorithm.scheduler, "sh");
		for (unsigned k = 0; k < cases[i].n; k++)
			desired_rig_add(&f, 0, "10.0.0.1", (uint16_t)(1 + k),
					k ? cases[i].others : cases[i].first);
		desired_rig_compute(&f);
		s = &f.result.services[0];
		for (size_t k = 0; k < s->n_dests; k++) {
			bool first = k == s->n_dests - 1;

			buckets += MAX(s->dests[k].weight, 1U);
			assert_int_equal(s->dests[k].weight, first ? cases[i].expected_first
								   : cases[i].expected_others);
		}
		assert_true(buckets <= MAX(256U, cases[i].n));
		assert_true(s->flags & IPVS_SVC_SCHED1);
	}
}

static void test_forwarding(void **state)
{
	static const struct {
		enum conf_forwarding forwarding;
		enum ipvs_forward forward;
		enum ipvs_tunnel tunnel;
		uint16_t port, flags;
		size_t n; /* of one IPv4 and one IPv6 target */
	} cases[] = {
		{ CONF_FORWARDING_NAT, IPVS_FORWARD_MASQ, 0, 0, 0, 1 },
		{ CONF_FORWARDING_FULL_NAT, IPVS_FORWARD_MASQ, 0, 0, 0, 1 },
		{ CONF_FORWARDING_DIRECT, IPVS_FORWARD_ROUTE, 0, 0, 0, 1 },
		{ CONF_FORWARDING_IPIP, IPVS_FORWARD_TUNNEL, IPVS_TUNNEL_IPIP, 0, 0, 2 },
		{ CONF_FORWARDING_GUE, IPVS_FORWARD_TUNNEL, IPVS_TUNNEL_GUE, 6080, 1, 2 },
		{ CONF_FORWARDING_GRE, IPVS_FORWARD_TUNNEL, IPVS_TUNNEL_GRE, 0, 1, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;
		const struct ipvs_dest *d;

		desired_rig_init(&f);
		f.groups[0].forwarding = cases[i].forwarding;
		f.groups[0].tunnel_port = 6080;
		f.groups[0].tunnel_flags = 1;
		f.groups[0].max_connections = 100;
		f.groups[0].min_connections = 50;
		desired_rig_add(&f, 0, "10.0.0.1", 80, 1);
		desired_rig_add(&f, 0, "fd00::1", 80, 1);
		f.targets[0][f.desired[0].n++] =
			(struct desired_target){ .weight = 1 }; /* unresolved */
		desired_rig_compute(&f);
		assert_int_equal(f.result.services[0].n_dests, cases[i].n);
		d = ipvs_service_find(&f.result.services[0], &f.targets[0][0].addr, 80);
		assert_non_null(d);
		assert_int_equal(d->forward, cases[i].forward);
		assert_int_equal(d->tunnel, cases[i].tunnel);
		assert_int_equal(d->tunnel_port, cases[i].port);
		assert_int_equal(d->tunnel_flags, cases[i].flags);
		assert_int_equal(d->upper_threshold, 100);
		assert_int_equal(d->lower_threshold, 50);
	}
}

static void test_service_conf(void **state)
{
	static const struct {
		const char *scheduler;
		uint32_t flags;
		enum conf_protocol protocol;
		const char *address;
		bool sticky, one_packet;
		usec_t duration_usec;
		uint8_t prefix;
		uint32_t expected_flags, timeout_sec;
		const char *netmask; /* NULL: IPv6, the prefix */
	} cases[] = {
		{ "rr", 0, CONF_PROTOCOL_TCP, "203.0.113.10", false, true, 0, 32, 0, 0,
		  "255.255.255.255" },
		{ "rr", 0, CONF_PROTOCOL_UDP, "203.0.113.10", false, true, 0, 32,
		  IPVS_SVC_ONEPACKET, 0, "255.255.255.255" },
		{ "mh", IPVS_SVC_SCHED2, CONF_PROTOCOL_TCP, "203.0.113.10", false, false, 0, 32,
		  IPVS_SVC_SCHED1 | IPVS_SVC_SCHED2, 0, "255.255.255.255" },
		{ "rr", 0, CONF_PROTOCOL_TCP, "203.0.113.10", true, false, 300 * USEC_PER_SEC, 24,
		  IPVS_SVC_PERSISTENT, 300, "255.255.255.0" },
		{ "rr", 0, CONF_PROTOCOL_TCP, "203.0.113.10", true, false, 1, 0,
		  IPVS_SVC_PERSISTENT, 1, "0.0.0.0" },
		{ "rr", 0, CONF_PROTOCOL_TCP, "2001:db8::10", true, false, USEC_PER_SEC + 1, 56,
		  IPVS_SVC_PERSISTENT, 2, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;
		struct conf_group *g = &f.groups[0];
		const struct ipvs_service *s;

		desired_rig_init(&f);
		strcpy(g->algorithm.scheduler, cases[i].scheduler);
		g->algorithm.flags = cases[i].flags;
		g->stickiness = cases[i].sticky;
		g->stickiness_duration_usec = cases[i].duration_usec;
		g->stickiness_prefix_v4 = g->stickiness_prefix_v6 = cases[i].prefix;
		f.listeners[0].protocol = cases[i].protocol;
		f.listeners[0].address = desired_rig_address(cases[i].address);
		f.listeners[0].family = f.listeners[0].address.family;
		f.listeners[0].one_packet = cases[i].one_packet;
		desired_rig_compute(&f);
		s = &f.result.services[0];
		assert_string_equal(s->scheduler, cases[i].scheduler);
		assert_int_equal(s->flags, cases[i].expected_flags);
		assert_int_equal(s->timeout_sec, cases[i].timeout_sec);
		if (cases[i].netmask)
			assert_int_equal(s->netmask,
					 desired_rig_address(cases[i].netmask).in.s_addr);
		else
			assert_int_equal(s->netmask, cases[i].prefix);
	}
}

/* Nothing to listen on: nothing at all, not even keepers. Two families: two keepers. */
static void test_keepers(void **state)
{
	_cleanup_(desired_rig_deinit) struct desired_rig f;

	(void)state;
	desired_rig_init(&f);
	f.conf.n_listeners = 0;
	desired_rig_compute(&f);
	assert_int_equal(f.result.n, 0);
	f.conf.n_listeners = 2;
	f.listeners[1] = f.listeners[0];
	f.listeners[1].address = desired_rig_address("2001:db8::10");
	f.listeners[1].family = AF_INET6;
	desired_rig_compute(&f);
	desired_rig_assert(&f, "tcp 203.0.113.10:80 wlc | tcp [2001:db8::10]:80 wlc"
			       " | fwmark 2147483647 ipv4 none | fwmark 2147483647 ipv6 none");
}

/* A service by mark for each target that is probed so, however well it is; of the kernel alone. */
static void test_probe_services(void **state)
{
	_cleanup_(desired_rig_deinit) struct desired_rig f;
	const struct ipvs_service *s;

	(void)state;
	desired_rig_init(&f);
	f.groups[0].forwarding = CONF_FORWARDING_GUE;
	f.groups[0].tunnel_port = 6080;
	desired_rig_add(&f, 0, "10.0.0.1", 80, 0);
	desired_rig_add(&f, 0, "10.0.0.2", 0, 7);
	desired_rig_add(&f, 0, "10.0.0.3", 80, 7);
	f.targets[0][0].probe_mark = 0x7e000002;
	f.targets[0][0].probe_family = AF_INET;
	f.targets[0][1].probe_mark = 0x7e000001;
	f.targets[0][1].probe_family = AF_INET6;
	f.targets[0][1].probe_port = 81;
	desired_rig_compute(&f);
	desired_rig_assert(&f, "tcp 203.0.113.10:80 wlc 10.0.0.3:80=7 10.0.0.2:80=7 10.0.0.1:80=0"
			       " | fwmark 2113929217 ipv6 rr 10.0.0.2:81=1"
			       " | fwmark 2113929218 ipv4 rr 10.0.0.1:80=1"
			       " | fwmark 2147483647 ipv4 none");
	s = &f.result.services[2];
	assert_int_equal(s->dests[0].forward, IPVS_FORWARD_TUNNEL);
	assert_int_equal(s->dests[0].tunnel, IPVS_TUNNEL_GUE);
	assert_int_equal(s->dests[0].tunnel_port, 6080);
	desired_rig_compute_for(&f, DESIRED_FASTPATH);
	desired_rig_assert(&f, "tcp 203.0.113.10:80 wlc 10.0.0.3:80=7 10.0.0.2:80=7 10.0.0.1:80=0"
			       " | fwmark 2147483647 ipv4 none");
}

/* All that the planes differ in. */
static void test_planes(void **state)
{
	_cleanup_(desired_rig_deinit) struct desired_rig f;

	(void)state;
	desired_rig_init(&f);
	desired_rig_add(&f, 0, "10.0.0.1", 80, 1);
	for (int forwarding = 0; forwarding < _CONF_FORWARDING_MAX; forwarding++) {
		bool full = forwarding == CONF_FORWARDING_FULL_NAT;
		enum ipvs_forward kernel;

		f.groups[0].forwarding = (enum conf_forwarding)forwarding;
		desired_rig_compute_for(&f, DESIRED_KERNEL);
		kernel = f.result.services[0].dests[0].forward;
		assert_true(kernel < IPVS_FORWARD_FULL_NAT);
		desired_rig_compute_for(&f, DESIRED_FASTPATH);
		assert_int_equal(f.result.services[0].dests[0].forward,
				 full ? IPVS_FORWARD_FULL_NAT : kernel);
		if (full)
			assert_int_equal(kernel, IPVS_FORWARD_MASQ);
	}
	f.listeners[0].firewall_mark = 7;
	f.listeners[0].address = (struct addr){ 0 };
	desired_rig_compute_for(&f, DESIRED_KERNEL);
	desired_rig_assert(&f, "fwmark 7 ipv4 wlc 10.0.0.1:80=1 | fwmark 2147483647 ipv4 none");
	desired_rig_compute_for(&f, DESIRED_FASTPATH);
	desired_rig_assert(&f, "fwmark 2147483647 ipv4 none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_ending_connections),
		cmocka_unit_test(test_shared_target),
		cmocka_unit_test(test_sh_buckets),
		cmocka_unit_test(test_forwarding),
		cmocka_unit_test(test_service_conf),
		cmocka_unit_test(test_keepers),
		cmocka_unit_test(test_probe_services),
		cmocka_unit_test(test_leading_group),
		cmocka_unit_test(test_planes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
