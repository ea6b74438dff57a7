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

enum {
	GROUPS = 3,
	TARGETS = 400,
	FORWARDS = 3,
};

/* One listener over up to three groups, by default tcp 203.0.113.10:80 with nat and wlc. */
struct fixture {
	struct conf conf;
	struct conf_listener listeners[2];
	struct conf_forward forwards[FORWARDS];
	struct conf_group groups[GROUPS];
	struct desired_target targets[GROUPS][TARGETS];
	struct desired_group desired[GROUPS];
	struct ipvs_ruleset result;
};

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	f->conf.listeners = f->listeners;
	f->conf.n_listeners = 1;
	f->conf.groups = f->groups;
	f->conf.n_groups = GROUPS;
	f->listeners[0] = (struct conf_listener){
		.address = address("203.0.113.10"),
		.family = AF_INET,
		.ports = { 80, 80 },
		.forwards = f->forwards,
		.n_forwards = 1,
	};
	for (size_t i = 0; i < GROUPS; i++) {
		strcpy(f->groups[i].algorithm.scheduler, "wlc");
		f->forwards[i] = (struct conf_forward){ .group = i, .weight = 1 };
		f->desired[i].targets = f->targets[i];
	}
}

static void fixture_deinit(struct fixture *f)
{
	ipvs_ruleset_deinit(&f->result);
}

static void add_target(struct fixture *f, size_t group, const char *text, uint16_t port,
		       uint32_t weight)
{
	assert_true(f->desired[group].n < TARGETS);
	f->targets[group][f->desired[group].n++] =
		(struct desired_target){ .addr = address(text), .port = port, .weight = weight };
}

static void compute_for(struct fixture *f, enum desired_plane plane)
{
	ipvs_ruleset_deinit(&f->result);
	assert_int_equal(desired_compute(&f->conf, f->desired, plane, &f->result), 0);
}

static void compute(struct fixture *f)
{
	compute_for(f, DESIRED_KERNEL);
}

/* "tcp 203.0.113.10:80 wlc 10.0.0.2:8080=5 10.0.0.1:80=1 | …", services in their sorted order. */
static const char *spell(const struct ipvs_ruleset *r, char *ret, size_t size)
{
	FILE *f = fmemopen(ret, size, "w");
	char text[IPVS_KEY_STR_MAX];

	assert_non_null(f);
	for (size_t i = 0; i < r->n; i++) {
		const struct ipvs_service *s = &r->services[i];

		fprintf(f, "%s%s %s", i ? " | " : "", ipvs_service_key_format(&s->key, text),
			s->scheduler);
		for (size_t k = 0; k < s->n_dests; k++)
			fprintf(f, " %s=%u",
				addr_port_format(&s->dests[k].addr, s->dests[k].port, text),
				s->dests[k].weight);
	}
	assert_int_equal(fclose(f), 0);
	return ret;
}

static void assert_spelled(const struct fixture *f, const char *expected)
{
	char text[2048] = "";

	assert_string_equal(spell(&f->result, text, sizeof(text)), expected);
}

/* The keeper, and the list in reverse order of registration; the listener's port where a target has none. */
static void test_order(void **state)
{
	_cleanup_(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	add_target(&f, 0, "10.0.0.1", 8080, 5);
	add_target(&f, 0, "10.0.0.2", 0, 0);
	add_target(&f, 0, "10.0.0.1", 8081, 7);
	compute(&f);
	assert_spelled(&f, "tcp 203.0.113.10:80 wlc 10.0.0.1:8081=7 10.0.0.2:80=0 10.0.0.1:8080=5"
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
		_cleanup_(fixture_deinit) struct fixture f;
		struct conf_listener *l = &f.listeners[0];

		fixture_init(&f);
		l->protocol = cases[i].protocol;
		l->ports = cases[i].ports;
		l->firewall_mark = cases[i].mark;
		l->family = cases[i].family;
		l->address = cases[i].mark ? (struct addr){ 0 }
					   : address(l->family == AF_INET6 ? "2001:db8::10"
									   : "203.0.113.10");
		/* The one of the other family is left out: nat does not translate between families. */
		add_target(&f, 0, "10.0.0.1", 0, 1);
		add_target(&f, 0, "fd00::1", 0, 1);
		compute(&f);
		assert_spelled(&f, cases[i].expected);
		for (size_t k = 0; k < f.result.n; k++) {
			const struct ipvs_service *s = &f.result.services[k];

			assert_int_equal(s->netmask, s->key.family == AF_INET6 ? 128 : UINT32_MAX);
			assert_int_equal(s->flags & IPVS_SVC_PERSISTENT,
					 !s->key.fwmark && s->key.port == 0);
		}
	}
}

static void test_shares(void **state)
{
	static const struct {
		unsigned forwards[2];
		const char *scheduler;
		uint32_t a[2], b[2];  /* weights of two targets in each group */
		uint32_t expected[4]; /* in order of registration */
	} cases[] = {
		{ { 9, 1 }, "wlc", { 1, 1 }, { 1, 1 }, { 4500, 4500, 500, 500 } },
		{ { 9, 1 }, "wlc", { 100, 300 }, { 5, 0 }, { 2250, 6750, 1000, 0 } },
		{ { 1, 0 }, "wlc", { 1, 1 }, { 1, 1 }, { 5000, 5000, 0, 0 } },
		{ { 0, 0 }, "wlc", { 1, 1 }, { 1, 1 }, { 0, 0, 0, 0 } },
		{ { 1, 1 }, "wlc", { 0, 0 }, { 1, 2 }, { 0, 0, 1667, 3333 } },
		{ { 999, 1 }, "wlc", { 1, 0 }, { 65535, 1 }, { 39960, 0, 40, 1 } },
		{ { 3, 1 }, "sh", { 1, 1 }, { 1, 1 }, { 3, 3, 1, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(fixture_deinit) struct fixture f;

		fixture_init(&f);
		f.listeners[0].n_forwards = 2;
		for (size_t k = 0; k < 2; k++) {
			f.forwards[k].weight = cases[i].forwards[k];
			strcpy(f.groups[k].algorithm.scheduler, cases[i].scheduler);
		}
		add_target(&f, 0, "10.0.0.1", 80, cases[i].a[0]);
		add_target(&f, 0, "10.0.0.2", 80, cases[i].a[1]);
		add_target(&f, 1, "10.0.0.3", 80, cases[i].b[0]);
		add_target(&f, 1, "10.0.0.4", 80, cases[i].b[1]);
		compute(&f);
		assert_int_equal(f.result.services[0].n_dests, 4);
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(f.result.services[0].dests[3 - k].weight,
					 cases[i].expected[k]);
	}
}

/*
 * elbv2.md §1.4, weighted target groups: whatever the number of targets and their weights, each group gets its share,
 * each target its part of it, within half a per cent, and a group of weight 0 nothing.
 */
static void test_shares_are_exact(void **state)
{
	static const struct {
		unsigned weights[GROUPS], n[GROUPS], most; /* a target's greatest weight */
	} cases[] = {
		{ { 9, 1, 0 }, { 10, 10, 10 }, 100 },	{ { 1, 1, 1 }, { 400, 400, 400 }, 1 },
		{ { 999, 1, 0 }, { 400, 3, 400 }, 1 },	{ { 20, 999, 500 }, { 4, 1, 50 }, 1 },
		{ { 3, 2, 1 }, { 400, 1, 200 }, 100 },	{ { 1, 1, 0 }, { 0, 400, 1 }, 65535 },
		{ { 1, 2, 3 }, { 400, 300, 200 }, 50 },
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct fixture f;
		uint64_t total = 0, of_group[GROUPS] = { 0 }, given = 0;

		fixture_init(&f);
		f.listeners[0].n_forwards = GROUPS;
		for (size_t g = 0; g < GROUPS; g++) {
			f.forwards[g].weight = cases[c].weights[g];
			for (unsigned i = 0; i < cases[c].n[g]; i++) {
				char text[32];

				snprintf(text, sizeof(text), "10.%zu.%u.%u", g, i / 250,
					 i % 250 + 1);
				add_target(&f, g, text, 80, 1 + i * 7 % cases[c].most);
			}
		}
		compute(&f);
		for (size_t k = 0; k < f.result.services[0].n_dests; k++) {
			const struct ipvs_dest *d = &f.result.services[0].dests[k];

			assert_true(d->weight <= 65535);
			total += d->weight;
			of_group[d->addr.bytes[1]] += d->weight;
		}
		for (size_t g = 0; g < GROUPS; g++)
			given += cases[c].n[g] ? cases[c].weights[g] : 0;
		for (size_t g = 0; g < GROUPS; g++) {
			double share = (double)cases[c].weights[g] / (double)given, got;

			if (!cases[c].n[g])
				continue;
			got = (double)of_group[g] / (double)total;
			if (got < share * 0.995 || got > share * 1.005)
				fail_msg("case %zu, group %zu: %f, not %f", c, g, got, share);
		}
		fixture_deinit(&f);
	}
}

/* What a listener cannot use is no part of what its groups share: targets of the other family. */
static void test_shares_of_two_families(void **state)
{
	static const struct {
		enum conf_forwarding forwarding;
		const char *expected;
	} cases[] = {
		{ CONF_FORWARDING_NAT,
		  "tcp 203.0.113.10:80 wlc 10.0.0.2:80=1000 10.0.0.1:80=9000" },
		{ CONF_FORWARDING_DIRECT,
		  "tcp 203.0.113.10:80 wlc 10.0.0.2:80=1000 10.0.0.1:80=9000" },
		{ CONF_FORWARDING_IPIP,
		  "tcp 203.0.113.10:80 wlc 10.0.0.2:80=1000 [2001:db8::2]:80=6000 "
		  "[2001:db8::1]:80=1500 10.0.0.1:80=1500" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(fixture_deinit) struct fixture f;
		char text[512];

		fixture_init(&f);
		f.listeners[0].n_forwards = 2;
		f.forwards[0].weight = 9;
		f.groups[0].forwarding = f.groups[1].forwarding = cases[i].forwarding;
		add_target(&f, 0, "10.0.0.1", 80, 1);
		add_target(&f, 0, "2001:db8::1", 80, 1);
		add_target(&f, 0, "2001:db8::2", 80, 4);
		add_target(&f, 1, "10.0.0.2", 80, 1);
		compute(&f);
		(void)snprintf(text, sizeof(text), "%s | fwmark 2147483647 ipv4 none",
			       cases[i].expected);
		assert_spelled(&f, text);
	}
}

/* Left out from lists without order, so that the planes let go of its connections; weight 0 where the place counts. */
static void test_ending_connections(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	add_target(&f, 0, "10.0.0.1", 80, 5);
	add_target(&f, 0, "10.0.0.2", 80, 0);
	add_target(&f, 0, "10.0.0.3", 80, 0);
	f.targets[0][1].ends = true;
	compute(&f);
	assert_spelled(&f, "tcp 203.0.113.10:80 wlc 10.0.0.3:80=0 10.0.0.1:80=5 | "
			   "fwmark 2147483647 ipv4 none");
	strcpy(f.groups[0].algorithm.scheduler, "mh");
	compute(&f);
	assert_spelled(&f, "tcp 203.0.113.10:80 mh 10.0.0.3:80=0 10.0.0.2:80=0 10.0.0.1:80=5 | "
			   "fwmark 2147483647 ipv4 none");
	fixture_deinit(&f);
}

static void test_shared_target(void **state)
{
	_cleanup_(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	f.listeners[0].n_forwards = 2;
	add_target(&f, 0, "10.0.0.2", 80, 1);
	add_target(&f, 0, "10.0.0.1", 80, 1);
	add_target(&f, 1, "10.0.0.2", 80, 4);
	f.groups[1].max_connections = 9; /* the first registration decides */
	compute(&f);
	assert_spelled(&f, "tcp 203.0.113.10:80 wlc 10.0.0.1:80=2500 10.0.0.2:80=7500"
			   " | fwmark 2147483647 ipv4 none");
	assert_int_equal(f.result.services[0].dests[1].upper_threshold, 0);
}

/* The service's scheduler is that of the first group that gets traffic. */
static void test_leading_group(void **state)
{
	static const struct {
		unsigned forwards[FORWARDS];
		const char *scheduler;
	} cases[] = { { { 1, 1, 1 }, "rr" }, { { 0, 1, 1 }, "nq" }, { { 0, 0, 0 }, "rr" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(fixture_deinit) struct fixture f;

		fixture_init(&f);
		f.listeners[0].n_forwards = FORWARDS;
		for (size_t k = 0; k < FORWARDS; k++)
			f.forwards[k].weight = cases[i].forwards[k];
		strcpy(f.groups[0].algorithm.scheduler, "rr");
		strcpy(f.groups[1].algorithm.scheduler, "nq");
		compute(&f);
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
		_cleanup_(fixture_deinit) struct fixture f;
		const struct ipvs_service *s;
		unsigned buckets = 0;

		fixture_init(&f);
		strcpy(f.groups[0].algorithm.scheduler, "sh");
		for (unsigned k = 0; k < cases[i].n; k++)
			add_target(&f, 0, "10.0.0.1", (uint16_t)(1 + k),
				   k ? cases[i].others : cases[i].first);
		compute(&f);
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
		_cleanup_(fixture_deinit) struct fixture f;
		const struct ipvs_dest *d;

		fixture_init(&f);
		f.groups[0].forwarding = cases[i].forwarding;
		f.groups[0].tunnel_port = 6080;
		f.groups[0].tunnel_flags = 1;
		f.groups[0].max_connections = 100;
		f.groups[0].min_connections = 50;
		add_target(&f, 0, "10.0.0.1", 80, 1);
		add_target(&f, 0, "fd00::1", 80, 1);
		f.targets[0][f.desired[0].n++] =
			(struct desired_target){ .weight = 1 }; /* unresolved */
		compute(&f);
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
		_cleanup_(fixture_deinit) struct fixture f;
		struct conf_group *g = &f.groups[0];
		const struct ipvs_service *s;

		fixture_init(&f);
		strcpy(g->algorithm.scheduler, cases[i].scheduler);
		g->algorithm.flags = cases[i].flags;
		g->stickiness = cases[i].sticky;
		g->stickiness_duration_usec = cases[i].duration_usec;
		g->stickiness_prefix_v4 = g->stickiness_prefix_v6 = cases[i].prefix;
		f.listeners[0].protocol = cases[i].protocol;
		f.listeners[0].address = address(cases[i].address);
		f.listeners[0].family = f.listeners[0].address.family;
		f.listeners[0].one_packet = cases[i].one_packet;
		compute(&f);
		s = &f.result.services[0];
		assert_string_equal(s->scheduler, cases[i].scheduler);
		assert_int_equal(s->flags, cases[i].expected_flags);
		assert_int_equal(s->timeout_sec, cases[i].timeout_sec);
		if (cases[i].netmask)
			assert_int_equal(s->netmask, address(cases[i].netmask).in.s_addr);
		else
			assert_int_equal(s->netmask, cases[i].prefix);
	}
}

/* Nothing to listen on: nothing at all, not even keepers. Two families: two keepers. */
static void test_keepers(void **state)
{
	_cleanup_(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	f.conf.n_listeners = 0;
	compute(&f);
	assert_int_equal(f.result.n, 0);
	f.conf.n_listeners = 2;
	f.listeners[1] = f.listeners[0];
	f.listeners[1].address = address("2001:db8::10");
	f.listeners[1].family = AF_INET6;
	compute(&f);
	assert_spelled(&f, "tcp 203.0.113.10:80 wlc | tcp [2001:db8::10]:80 wlc"
			   " | fwmark 2147483647 ipv4 none | fwmark 2147483647 ipv6 none");
}

/* A service by mark for each target that is probed so, however well it is; of the kernel alone. */
static void test_probe_services(void **state)
{
	_cleanup_(fixture_deinit) struct fixture f;
	const struct ipvs_service *s;

	(void)state;
	fixture_init(&f);
	f.groups[0].forwarding = CONF_FORWARDING_GUE;
	f.groups[0].tunnel_port = 6080;
	add_target(&f, 0, "10.0.0.1", 80, 0);
	add_target(&f, 0, "10.0.0.2", 0, 7);
	add_target(&f, 0, "10.0.0.3", 80, 7);
	f.targets[0][0].probe_mark = 0x7e000002;
	f.targets[0][0].probe_family = AF_INET;
	f.targets[0][1].probe_mark = 0x7e000001;
	f.targets[0][1].probe_family = AF_INET6;
	f.targets[0][1].probe_port = 81;
	compute(&f);
	assert_spelled(&f, "tcp 203.0.113.10:80 wlc 10.0.0.3:80=7 10.0.0.2:80=7 10.0.0.1:80=0"
			   " | fwmark 2113929217 ipv6 rr 10.0.0.2:81=1"
			   " | fwmark 2113929218 ipv4 rr 10.0.0.1:80=1"
			   " | fwmark 2147483647 ipv4 none");
	s = &f.result.services[2];
	assert_int_equal(s->dests[0].forward, IPVS_FORWARD_TUNNEL);
	assert_int_equal(s->dests[0].tunnel, IPVS_TUNNEL_GUE);
	assert_int_equal(s->dests[0].tunnel_port, 6080);
	compute_for(&f, DESIRED_FASTPATH);
	assert_spelled(&f, "tcp 203.0.113.10:80 wlc 10.0.0.3:80=7 10.0.0.2:80=7 10.0.0.1:80=0"
			   " | fwmark 2147483647 ipv4 none");
}

/* All that the planes differ in. */
static void test_planes(void **state)
{
	_cleanup_(fixture_deinit) struct fixture f;

	(void)state;
	fixture_init(&f);
	add_target(&f, 0, "10.0.0.1", 80, 1);
	for (int forwarding = 0; forwarding < _CONF_FORWARDING_MAX; forwarding++) {
		bool full = forwarding == CONF_FORWARDING_FULL_NAT;
		enum ipvs_forward kernel;

		f.groups[0].forwarding = (enum conf_forwarding)forwarding;
		compute_for(&f, DESIRED_KERNEL);
		kernel = f.result.services[0].dests[0].forward;
		assert_true(kernel < IPVS_FORWARD_FULL_NAT);
		compute_for(&f, DESIRED_FASTPATH);
		assert_int_equal(f.result.services[0].dests[0].forward,
				 full ? IPVS_FORWARD_FULL_NAT : kernel);
		if (full)
			assert_int_equal(kernel, IPVS_FORWARD_MASQ);
	}
	f.listeners[0].firewall_mark = 7;
	f.listeners[0].address = (struct addr){ 0 };
	compute_for(&f, DESIRED_KERNEL);
	assert_spelled(&f, "fwmark 7 ipv4 wlc 10.0.0.1:80=1 | fwmark 2147483647 ipv4 none");
	compute_for(&f, DESIRED_FASTPATH);
	assert_spelled(&f, "fwmark 2147483647 ipv4 none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_shares_are_exact),
		cmocka_unit_test(test_ending_connections),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_shares_of_two_families),
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
