/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Look-ups in published snapshots: services, addresses, owners, next hops, sources of full NAT. */

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tables-rig.h"

enum {
	WORKERS = 4,
};

static int set_up(void **state)
{
	struct tables_rig *g = malloc(sizeof(*g));

	tables_rig_init(g, WORKERS);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	tables_rig_deinit(*state);
	free(*state);
	return 0;
}

static struct ipvs_service_key numbered_key(unsigned i)
{
	struct ipvs_service_key k = rig_key(i % 3 ? "10.9.0.0" : "fd09::", IPPROTO_TCP, 80);

	k.protocol = i % 2 ? IPPROTO_UDP : IPPROTO_TCP;
	k.port = (uint16_t)(1 + i % 7);
	k.addr.bytes[2] = (uint8_t)(i >> 8);
	k.addr.bytes[3] = (uint8_t)i;
	return k;
}

/* Services come and go; each that is there is found, and no other, whatever the index went through. */
static void test_find_service(void **state)
{
	enum { N = 3000 };
	struct tables_rig *g = *state;
	static bool there[N];

	memset(there, 0, sizeof(there));
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < N; i++) {
			struct ipvs_service_key k = numbered_key(i);

			if (random_below(&g->random, 3))
				continue;
			if (there[i])
				assert_int_equal(tables_service_del(g->tables, &k), 0);
			else
				rig_add_service(g, &k);
			there[i] = !there[i];
		}
		tables_rig_publish(g);
		for (unsigned i = 0; i < N; i++) {
			struct ipvs_service_key k = numbered_key(i);
			const struct service_view *v = rig_view(g, &k);

			assert_int_equal(v != NULL, there[i]);
			if (v)
				assert_memory_equal(v->addr, k.addr.bytes, 16);
			k.port = 99;
			assert_null(rig_view(g, &k));
		}
		tables_rig_quiesce(g);
	}
}

static void test_any_port(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key any = rig_key("10.9.0.1", IPPROTO_TCP, 0),
				one = rig_key("10.9.0.1", IPPROTO_TCP, 80),
				other = rig_key("10.9.0.1", IPPROTO_TCP, 81),
				udp = rig_key("10.9.0.1", IPPROTO_UDP, 81);

	rig_add_service(g, &any);
	rig_add_service(g, &one);
	tables_rig_publish(g);
	assert_int_equal(rig_view(g, &one)->port_be, htons(80));
	assert_int_equal(rig_view(g, &other)->port_be, 0);
	assert_null(rig_view(g, &udp));
	assert_int_equal(tables_service_del(g->tables, &any), 0);
	tables_rig_publish(g);
	assert_null(rig_view(g, &other));
}

static bool has_address(const struct tables_rig *g, const char *address)
{
	struct addr a;

	assert_int_equal(addr_parse(address, &a), 0);
	return snapshot_has_address(tables_snapshot(g->tables), (uint8_t)a.family, a.bytes);
}

/* Echo is answered for the addresses of services, not for those of destinations or sources. */
static void test_has_address(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key a = rig_key("10.9.0.1", IPPROTO_TCP, 80),
				b = rig_key("10.9.0.1", IPPROTO_UDP, 53);
	const struct addr local = rig_key("10.8.0.1", IPPROTO_TCP, 0).addr;

	rig_add_service(g, &a);
	rig_add_service(g, &b);
	rig_add_dest(g, &a, "10.1.0.1");
	assert_int_equal(tables_set_locals(g->tables, &local, 1), 0);
	tables_rig_publish(g);
	assert_true(has_address(g, "10.9.0.1"));
	assert_false(has_address(g, "10.9.0.2"));
	assert_false(has_address(g, "10.1.0.1"));
	assert_false(has_address(g, "10.8.0.1"));
	assert_int_equal(tables_service_del(g->tables, &a), 0);
	tables_rig_publish(g);
	assert_true(has_address(g, "10.9.0.1"));
	assert_int_equal(tables_service_del(g->tables, &b), 0);
	tables_rig_publish(g);
	assert_false(has_address(g, "10.9.0.1"));
}

static struct flow_key request(struct tables_rig *g, const struct ipvs_service_key *k)
{
	struct flow_key f = { .family = (uint8_t)k->family,
			      .protocol = k->protocol,
			      .src_port_be = (uint16_t)random_below(&g->random, 65536),
			      .dst_port_be = htons(k->port) };

	for (unsigned i = 0; i < (k->family == AF_INET ? 4 : 16); i++)
		f.src[i] = (uint8_t)random_below(&g->random, 256);
	memcpy(f.dst, k->addr.bytes, sizeof(f.dst));
	return f;
}

static struct flow_key answer(const struct flow_key *r, const char *dest, uint16_t port)
{
	struct flow_key f = *r;
	struct addr a;

	assert_int_equal(addr_parse(dest, &a), 0);
	memcpy(f.src, a.bytes, sizeof(f.src));
	memcpy(f.dst, r->src, sizeof(f.dst));
	f.src_port_be = htons(port);
	f.dst_port_be = r->src_port_be;
	return f;
}

static unsigned owner(const struct tables_rig *g, const struct flow_key *f)
{
	return snapshot_owner(tables_snapshot(g->tables), f);
}

/* The worker of a request is that of its answer; every worker has its share. */
static void test_owner(void **state)
{
	static const char *const pairs[][2] = { { "10.9.0.1", "10.1.0.1" },
						{ "fd09::1", "fd01::1" } };
	struct tables_rig *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct ipvs_service_key k = rig_key(pairs[i][0], IPPROTO_TCP, 80);
		unsigned shares[WORKERS] = { 0 };

		rig_add_service(g, &k);
		rig_add_dest(g, &k, pairs[i][1]);
		tables_rig_publish(g);
		for (unsigned n = 0; n < 4000; n++) {
			struct flow_key f = request(g, &k), a = answer(&f, pairs[i][1], 8080);

			assert_in_range(owner(g, &f), 0, WORKERS - 1);
			assert_int_equal(owner(g, &f), owner(g, &a));
			shares[owner(g, &f)]++;
		}
		for (unsigned w = 0; w < WORKERS; w++)
			assert_in_range(shares[w], 850, 1150);
	}
}

static void persist(struct tables_rig *g, const struct ipvs_service_key *k, uint32_t netmask)
{
	struct ipvs_service s = rig_service(k, "rr");

	s.flags = IPVS_SVC_PERSISTENT;
	s.timeout_sec = 60;
	s.netmask = netmask;
	assert_int_equal(tables_service_set(g->tables, &s), 0);
}

/* All of a client's /24 have one owner, answers included. */
static void assert_owned_by_address(struct tables_rig *g, const struct ipvs_service_key *k,
				    const char *dest)
{
	unsigned shares[WORKERS] = { 0 };

	for (unsigned n = 0; n < 1000; n++) {
		struct flow_key f = request(g, k), same = request(g, k), a;

		memcpy(same.src, f.src, 3);
		a = answer(&same, dest, 8080);
		assert_int_equal(owner(g, &f), owner(g, &same));
		assert_int_equal(owner(g, &f), owner(g, &a));
		shares[owner(g, &f)]++;
	}
	for (unsigned w = 0; w < WORKERS; w++)
		assert_in_range(shares[w], 150, 350);
}

/*
 * The answer of a destination does not tell its service: those that share one with a persistent service, over any
 * number of others, have its way to find the owner, as long as they live.
 */
static void test_owner_by_address(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k[4];

	for (unsigned i = 0; i < ARRAY_SIZE(k); i++) {
		k[i] = rig_key("10.9.0.1", IPPROTO_TCP, (uint16_t)(80 + i));
		rig_add_service(g, &k[i]);
	}
	rig_add_dest(g, &k[0], "10.1.0.1");
	rig_add_dest(g, &k[1], "10.1.0.1");
	rig_add_dest(g, &k[1], "10.1.0.2");
	rig_add_dest(g, &k[2], "10.1.0.2");
	rig_add_dest(g, &k[3], "10.1.0.3");
	tables_rig_publish(g);
	for (unsigned i = 0; i < ARRAY_SIZE(k); i++)
		assert_false(rig_view(g, &k[i])->by_address);
	persist(g, &k[0], htonl(0xffffff00));
	tables_rig_publish(g);
	assert_owned_by_address(g, &k[0], "10.1.0.1");
	assert_owned_by_address(g, &k[1], "10.1.0.1");
	assert_owned_by_address(g, &k[1], "10.1.0.2");
	assert_owned_by_address(g, &k[2], "10.1.0.2");
	assert_false(rig_view(g, &k[3])->by_address);
	/* A shorter mask on the way is everybody's; each keeps its own for persistence. */
	persist(g, &k[2], htonl(0xffff0000));
	persist(g, &k[3], htonl(0xffffffff));
	rig_add_dest(g, &k[3], "10.1.0.2");
	tables_rig_publish(g);
	for (unsigned i = 0; i < ARRAY_SIZE(k); i++) {
		const struct service_view *v = rig_view(g, &k[i]);

		assert_true(v->by_address);
		assert_int_equal(v->owner_mask[1], 0xff);
		assert_int_equal(v->owner_mask[2], 0);
	}
	assert_int_equal(rig_view(g, &k[0])->netmask[2], 0xff);
	assert_int_equal(rig_view(g, &k[3])->netmask[3], 0xff);
	assert_owned_by_address(g, &k[3], "10.1.0.3");
	assert_int_equal(tables_service_del(g->tables, &k[0]), 0);
	tables_rig_publish(g);
	assert_owned_by_address(g, &k[1], "10.1.0.1");
}

static void assert_answers_owned(struct tables_rig *g, const struct ipvs_service *s)
{
	for (size_t i = 0; i < s->n_dests; i++) {
		const struct ipvs_dest *d = &s->dests[i];

		for (unsigned n = 0; d->forward == IPVS_FORWARD_MASQ && n < 8; n++) {
			struct flow_key f = request(g, &s->key), a = f;

			memcpy(a.src, d->addr.bytes, sizeof(a.src));
			memcpy(a.dst, f.src, sizeof(a.dst));
			a.src_port_be = htons(d->port);
			a.dst_port_be = f.src_port_be;
			assert_int_equal(owner(g, &f), owner(g, &a));
		}
	}
}

/* The same for any rulesets, persistent or not, one after the other. */
static void test_owner_random(void **state)
{
	static const char *const schedulers[] = { "rr", NULL };
	struct tables_rig *g = *state;
	struct random r = { .state = 77, .schedulers = schedulers };
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset now = IPVS_RULESET_INIT;

	for (unsigned i = 0; i < 600; i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;

		if (i % 20)
			random_mutation(&r, &now, &desired);
		rig_become(g, &desired);
		tables_rig_publish(g);
		ipvs_ruleset_deinit(&now);
		rig_dump(g, &now);
		for (size_t k = 0; k < now.n; k++)
			assert_answers_owned(g, &now.services[k]);
		tables_rig_quiesce(g);
		if (i % 20 == 0)
			tables_rig_sleep(g, 125);
	}
}

/* Answers that do not come back this way bind nobody. */
static void test_owner_without_nat(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key a = rig_key("10.9.0.1", IPPROTO_TCP, 80),
				b = rig_key("10.9.0.1", IPPROTO_TCP, 81);
	struct ipvs_dest d = rig_dest("10.1.0.1", 8080);

	rig_add_service(g, &a);
	rig_add_service(g, &b);
	rig_add_dest(g, &a, "10.1.0.1");
	d.forward = IPVS_FORWARD_ROUTE;
	assert_int_equal(tables_dest_new(g->tables, &b, &d), 0);
	persist(g, &b, UINT32_MAX);
	tables_rig_publish(g);
	assert_true(rig_view(g, &b)->by_address);
	assert_false(rig_view(g, &a)->by_address);
	d.forward = IPVS_FORWARD_MASQ;
	assert_int_equal(tables_dest_set(g->tables, &b, &d), 0);
	tables_rig_publish(g);
	assert_true(rig_view(g, &a)->by_address);
}

static void test_netmask_ipv6(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("fd09::1", IPPROTO_TCP, 80);
	static const uint8_t expected[16] = { 255, 255, 255, 255, 255, 255, 0xfe };

	rig_add_service(g, &k);
	persist(g, &k, 55);
	tables_rig_publish(g);
	assert_memory_equal(rig_view(g, &k)->netmask, expected, 16);
	assert_int_equal(rig_view(g, &k)->timeout_ticks, 60 * 1000 / RIG_TICK_MSEC);
}

/* Each port of a source belongs to one worker, which has the answers that come to it. */
static void test_local_ports(void **state)
{
	static const char *const sources[] = { "10.8.0.1", "fd08::1" };
	struct tables_rig *g = *state;
	struct addr locals[2];
	uint32_t next = 1024;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(addr_parse(sources[i], &locals[i]), 0);
	assert_int_equal(tables_set_locals(g->tables, locals, 2), 0);
	tables_rig_publish(g);
	for (unsigned w = 0; w < WORKERS; w++) {
		uint16_t first;
		uint32_t n;

		snapshot_local_ports(tables_snapshot(g->tables), w, &first, &n);
		assert_int_equal(first, next);
		for (uint32_t port = first; port < first + n; port++)
			for (unsigned i = 0; i < 2; i++) {
				struct flow_key f = { .family = (uint8_t)locals[i].family,
						      .protocol = IPPROTO_TCP,
						      .src_port_be = htons(8080),
						      .dst_port_be = htons((uint16_t)port) };

				memcpy(f.dst, locals[i].bytes, sizeof(f.dst));
				assert_int_equal(owner(g, &f), w);
			}
		next = first + n;
	}
	assert_int_equal(next, 65536);
	/* Connections from an address that is no longer given out go on. */
	assert_int_equal(tables_set_locals(g->tables, NULL, 0), 0);
	tables_rig_publish(g);
	for (unsigned w = 0; w < WORKERS; w++) {
		struct flow_key f = { .family = AF_INET, .protocol = IPPROTO_TCP };
		uint16_t first;
		uint32_t n;

		snapshot_local_ports(tables_snapshot(g->tables), w, &first, &n);
		f.dst_port_be = htons(first);
		memcpy(f.dst, locals[0].bytes, sizeof(f.dst));
		assert_int_equal(owner(g, &f), w);
	}
}

static struct addr source(unsigned i)
{
	struct addr a = { .family = AF_INET, .bytes = { 10, 8 } };

	a.bytes[2] = (uint8_t)(i >> 8);
	a.bytes[3] = (uint8_t)i;
	return a;
}

static uint16_t set_sources(struct tables_rig *g, unsigned first, unsigned n)
{
	_cleanup_free_ struct addr *addrs = calloc(n + 1, sizeof(*addrs));
	const struct snapshot *s;

	for (unsigned i = 0; i < n; i++)
		addrs[i] = source(first + i);
	assert_int_equal(tables_set_locals(g->tables, addrs, n), 0);
	tables_rig_publish(g);
	s = tables_snapshot(g->tables);
	assert_int_equal(s->n_local4, n);
	for (unsigned i = 0; i < n; i++) {
		struct addr got = tables_get_local(g->tables, i);

		assert_memory_equal(s->locals[s->local4_first + i].addr, addrs[i].bytes, 16);
		assert_true(addr_eq(&got, &addrs[i]));
	}
	assert_int_equal(tables_n_locals(g->tables), n);
	return s->local4_first;
}

/* Connections name a place: what stood there goes on standing there. */
static void test_locals_keep_their_places(void **state)
{
	struct tables_rig *g = *state;
	struct addr twice[2] = { source(1), source(1) }, many[2047];
	uint16_t first = set_sources(g, 1, 2);

	assert_int_equal(tables_set_locals(g->tables, twice, 2), -EEXIST);
	assert_int_equal(set_sources(g, 1, 5), first);
	assert_int_equal(set_sources(g, 2, 3), first + 1);
	assert_int_equal(set_sources(g, 0, 0), first);
	assert_int_equal(set_sources(g, 4, 3), first + 3);
	assert_int_equal(set_sources(g, 1, 6), first);
	assert_int_equal(set_sources(g, 9, 2), first + 6);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = source(100 + i);
	assert_int_equal(tables_set_locals(g->tables, many, ARRAY_SIZE(many)), -ENOSPC);
	assert_int_equal(set_sources(g, 100, 2047 - 8), first + 8);
	assert_int_equal(tables_set_locals(g->tables, &(struct addr){ 0 }, 1), -EINVAL);
	assert_int_equal(set_sources(g, 9, 2), first + 6);
}

static void test_nexthop(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key a = rig_key("10.9.0.1", IPPROTO_TCP, 80),
				b = rig_key("10.9.0.1", IPPROTO_TCP, 81);
	struct addr addr = rig_dest("10.1.0.1", 1).addr, none = rig_dest("10.1.0.9", 1).addr;
	uint32_t generation;

	rig_add_service(g, &a);
	rig_add_service(g, &b);
	g->nexthop = 7;
	rig_add_dest(g, &a, "10.1.0.1");
	g->nexthop = 8; /* is not asked again */
	rig_add_dest(g, &b, "10.1.0.1");
	tables_rig_publish(g);
	assert_int_equal(g->n_addresses, 1);
	assert_int_equal(rig_view(g, &b)->dests[0]->nexthop, 7);
	generation = rig_view(g, &a)->generation;
	assert_int_equal(tables_set_nexthop(g->tables, &none, 3), -ENOENT);
	assert_int_equal(tables_set_nexthop(g->tables, &addr, 3), 0);
	tables_rig_publish(g);
	assert_int_equal(rig_view(g, &a)->dests[0]->nexthop, 3);
	assert_int_equal(rig_view(g, &b)->dests[0]->nexthop, 3);
	assert_int_equal(rig_view(g, &a)->generation, generation); /* rr and wrr go on */
	/* Connections of a deleted destination are sent to where it is now. */
	rig_del_dest(g, &b, "10.1.0.1");
	assert_int_equal(tables_set_nexthop(g->tables, &addr, 4), 0);
	tables_rig_publish(g);
	for (uint32_t id = 1; id <= 2; id++)
		assert_int_equal(snapshot_dest(tables_snapshot(g->tables), id)->nexthop, 4);
	/* What waits for publication is not forgotten before. */
	tables_rig_quiesce(g);
	(void)tables_tick(g->tables, 1000 * 1000);
	assert_int_equal(tables_set_nexthop(g->tables, &addr, 5), 0);
	(void)tables_tick(g->tables, 1000ULL * 1000 * 1000);
	tables_rig_publish(g);
	assert_int_equal(snapshot_dest(tables_snapshot(g->tables), 2)->nexthop, 5);
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_find_service),	  rig_test(test_any_port),
		rig_test(test_has_address),	  rig_test(test_owner),
		rig_test(test_owner_by_address),  rig_test(test_owner_random),
		rig_test(test_owner_without_nat), rig_test(test_netmask_ipv6),
		rig_test(test_local_ports),	  rig_test(test_locals_keep_their_places),
		rig_test(test_nexthop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
