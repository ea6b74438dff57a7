/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The control side's tables: the kernel's answers, what is published, ids, statistics. */

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/sched.h"
#include "tables-rig.h"

static const char *const schedulers[] = { "rr", "wrr", "wlc", "mh", "sh", "dh", "none", NULL };

static int set_up(void **state)
{
	struct tables_rig *g = malloc(sizeof(*g));

	tables_rig_init(g, 2);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	tables_rig_deinit(*state);
	free(*state);
	return 0;
}

static void test_service_errors(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80),
				k6 = rig_key("fd09::1", IPPROTO_TCP, 80), mark = { 0 };
	struct ipvs_service s = rig_service(&k, "rr"), s6 = rig_service(&k6, "rr"), other, got;

	assert_int_equal(tables_service_set(g->tables, &s), -ESRCH);
	assert_int_equal(tables_service_del(g->tables, &k), -ESRCH);
	assert_int_equal(tables_get_service(g->tables, &k, &got), -ESRCH);
	assert_int_equal(tables_zero(g->tables, &k), -ESRCH);
	assert_int_equal(tables_service_new(g->tables, &s), 0);
	assert_int_equal(tables_service_new(g->tables, &s), -EEXIST);
	other = rig_service(&k, "lblc");
	assert_int_equal(tables_service_set(g->tables, &other), -ENOENT);
	other = s;
	strcpy(other.pe, "sip");
	assert_int_equal(tables_service_set(g->tables, &other), -ENOENT);
	for (uint32_t bad = 0; bad <= 129; bad += 129) {
		s6.netmask = bad;
		assert_int_equal(tables_service_new(g->tables, &s6), -EINVAL);
	}
	s6.netmask = 1;
	assert_int_equal(tables_service_new(g->tables, &s6), 0);
	mark = (struct ipvs_service_key){ .fwmark = 7, .family = AF_INET };
	other = rig_service(&mark, "rr");
	assert_int_equal(tables_service_new(g->tables, &other), -EOPNOTSUPP);
	assert_int_equal(tables_get_service(g->tables, &k, &got), 0);
	assert_true(ipvs_service_conf_eq(&got, &s));
}

/* Kept and dumped, for the planner; packets do not know it. */
static void test_hook_keeper(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = { .fwmark = IPVS_HOOK_KEEPER_MARK, .family = AF_INET6 };
	struct ipvs_service s = rig_service(&k, "none"), got;
	struct ipvs_dest d = rig_dest("fd01::1", 80);

	assert_int_equal(tables_service_new(g->tables, &s), 0);
	assert_int_equal(tables_dest_new(g->tables, &k, &d), -EOPNOTSUPP);
	tables_rig_publish(g);
	assert_int_equal(tables_get_service(g->tables, &k, &got), 0);
	assert_true(ipvs_service_conf_eq(&got, &s));
	assert_int_equal(tables_service_del(g->tables, &k), 0);
	tables_rig_publish(g);
	assert_int_equal(tables_get_service(g->tables, &k, &got), -ESRCH);
}

static void test_dest_errors(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	const struct ipvs_dest good = rig_dest("10.1.0.1", 8080);
	struct {
		struct ipvs_dest d;
		int error;
	} cases[] = {
		{ good, -EEXIST }, { good, -ERANGE },	  { good, -ERANGE }, { good, -EINVAL },
		{ good, -EINVAL }, { good, -EOPNOTSUPP }, { good, -EINVAL }, { good, -EINVAL },
		{ good, -EINVAL }, { good, -EINVAL },	  { good, 0 },
	};

	cases[1].d.weight = (uint32_t)INT_MAX + 1;
	cases[2].d.lower_threshold = 1;
	cases[3].d.upper_threshold = (uint32_t)INT_MAX + 1;
	cases[4].d.forward = IPVS_FORWARD_TUNNEL;
	cases[4].d.tunnel = IPVS_TUNNEL_GUE;
	cases[5].d.forward = IPVS_FORWARD_BYPASS;
	cases[6].d.addr = rig_dest("fd01::1", 1).addr;
	cases[7].d.addr = rig_dest("224.0.0.1", 1).addr;
	cases[8].d.addr = rig_dest("0.0.0.0", 1).addr;
	cases[9].d.addr = rig_dest("fe80::1", 1).addr;
	cases[9].d.forward = IPVS_FORWARD_TUNNEL;
	cases[10].d.addr = rig_dest("fd01::1", 1).addr;
	cases[10].d.forward = IPVS_FORWARD_TUNNEL;
	assert_int_equal(tables_dest_new(g->tables, &k, &good), -ESRCH);
	assert_int_equal(tables_dest_set(g->tables, &k, &good), -ESRCH);
	assert_int_equal(tables_dest_del(g->tables, &k, &good.addr, good.port), -ESRCH);
	rig_add_service(g, &k);
	assert_int_equal(tables_dest_set(g->tables, &k, &good), -ENOENT);
	assert_int_equal(tables_dest_del(g->tables, &k, &good.addr, good.port), -ENOENT);
	assert_int_equal(tables_dest_new(g->tables, &k, &good), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(tables_dest_new(g->tables, &k, &cases[i].d), cases[i].error);
	assert_int_equal(tables_dest_del(g->tables, &k, &good.addr, 8081), -ENOENT);
}

/* Where the kernel has the service switched to mh, it refuses; where one is added, we do. */
static void test_mh_limit(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	struct ipvs_service s = rig_service(&k, "mh");
	struct ipvs_dest d = rig_dest("10.1.0.1", 0);

	assert_int_equal(tables_service_new(g->tables, &s), 0);
	for (d.port = 1; d.port <= 4093; d.port++)
		assert_int_equal(tables_dest_new(g->tables, &k, &d), 0);
	assert_int_equal(tables_dest_new(g->tables, &k, &d), -EINVAL);
	tables_rig_publish(g);
	assert_int_equal(rig_view(g, &k)->n_dests, 4093);
	s = rig_service(&k, "rr");
	assert_int_equal(tables_service_set(g->tables, &s), 0);
	assert_int_equal(tables_dest_new(g->tables, &k, &d), 0);
	s = rig_service(&k, "mh");
	assert_int_equal(tables_service_set(g->tables, &s), -EINVAL);
	tables_rig_publish(g);
	assert_int_equal(sched_view_kind(rig_view(g, &k)->sched), SCHED_KIND_RR);
}

static void test_list_order(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	const struct service_view *v;
	uint32_t generation;

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	rig_add_dest(g, &k, "10.1.0.2");
	rig_add_dest(g, &k, "10.1.0.3");
	tables_rig_publish(g);
	v = rig_view(g, &k);
	assert_int_equal(v->n_dests, 3);
	assert_int_equal(rig_place(v, "10.1.0.3"), 0);
	assert_int_equal(rig_place(v, "10.1.0.1"), 2);
	generation = v->generation;
	rig_del_dest(g, &k, "10.1.0.2");
	rig_add_dest(g, &k, "10.1.0.2");
	tables_rig_publish(g);
	v = rig_view(g, &k);
	assert_int_equal(rig_place(v, "10.1.0.2"), 0);
	assert_int_equal(rig_place(v, "10.1.0.3"), 1);
	assert_true(v->generation > generation);
}

static struct dest_view only_dest(const struct tables_rig *g, const struct ipvs_service_key *k)
{
	const struct service_view *v = rig_view(g, k);

	assert_int_equal(v->n_dests, 1);
	assert_ptr_equal(snapshot_dest(tables_snapshot(g->tables), v->dests[0]->id), v->dests[0]);
	return *v->dests[0];
}

static const struct dest_view *by_id(const struct tables_rig *g, uint32_t id)
{
	return snapshot_dest(tables_snapshot(g->tables), id);
}

/* SET replaces everything; the last weight that was not 0 stays, unless the destination is added anew. */
static void test_dest_set(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	struct ipvs_dest d = rig_dest("10.1.0.1", 8080);
	struct dest_view v;

	rig_add_service(g, &k);
	d.weight = 7;
	d.forward = IPVS_FORWARD_TUNNEL;
	d.tunnel = IPVS_TUNNEL_GUE;
	d.tunnel_port = 6080;
	d.tunnel_flags = 1;
	d.upper_threshold = 20;
	d.lower_threshold = 10;
	assert_int_equal(tables_dest_new(g->tables, &k, &d), 0);
	tables_rig_publish(g);
	v = only_dest(g, &k);
	assert_int_equal(v.weight, 7);
	assert_int_equal(v.tunnel, IPVS_TUNNEL_GUE);
	assert_int_equal(v.tunnel_port_be, htons(6080));
	assert_int_equal(v.upper_threshold, 20);
	assert_int_equal(v.lower_threshold, 10);
	assert_int_equal(v.port_be, htons(8080));
	d = rig_dest("10.1.0.1", 8080);
	d.weight = 0;
	assert_int_equal(tables_dest_set(g->tables, &k, &d), 0);
	tables_rig_publish(g);
	v = only_dest(g, &k);
	assert_int_equal(v.weight, 0);
	assert_int_equal(v.last_weight, 7);
	assert_int_equal(v.tunnel, 0);
	assert_int_equal(v.forward, IPVS_FORWARD_MASQ);
	assert_int_equal(v.upper_threshold, 0);
	d.weight = 9;
	assert_int_equal(tables_dest_set(g->tables, &k, &d), 0);
	d.weight = 0;
	assert_int_equal(tables_dest_set(g->tables, &k, &d), 0);
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).last_weight, 9);
	assert_int_equal(tables_set_last_weight(g->tables, &k, &d.addr, 8080, 5), 0);
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).last_weight, 5);
	assert_int_equal(tables_dest_del(g->tables, &k, &d.addr, 8080), 0);
	assert_int_equal(tables_dest_new(g->tables, &k, &d), 0);
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).last_weight, 0);
}

/* Of 10 connections. Between the thresholds it stays as it was. */
static void test_overload_on_edit(void **state)
{
	static const struct {
		uint32_t upper, lower;
		bool before, after;
	} cases[] = {
		{ 10, 0, false, true },	 { 11, 0, true, true },	 { 11, 0, false, false },
		{ 14, 0, true, false },	 { 13, 0, true, true },	 { 0, 0, true, false },
		{ 20, 11, true, false }, { 20, 10, true, true }, { 20, 10, false, false },
		{ 5, 5, false, true },
	};
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	struct ipvs_dest d = rig_dest("10.1.0.1", 8080);
	uint32_t id;

	rig_add_service(g, &k);
	assert_int_equal(tables_dest_new(g->tables, &k, &d), 0);
	tables_rig_publish(g);
	id = only_dest(g, &k).id;
	g->counters[0][id].active = 4;
	g->counters[1][id].inactive = 6;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		g->overloaded[id] = cases[i].before;
		d.upper_threshold = cases[i].upper;
		d.lower_threshold = cases[i].lower;
		assert_int_equal(tables_dest_set(g->tables, &k, &d), 0);
		assert_int_equal(g->overloaded[id], cases[i].after);
	}
}

/* A deleted destination keeps its id, comes back to its connections, and is forgotten when nobody names it. */
static void test_trash(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	uint32_t id;

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	id = only_dest(g, &k).id;
	g->counters[1][id].references = 1;
	rig_del_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	assert_true(by_id(g, id)->deleted);
	assert_int_equal(rig_view(g, &k)->n_dests, 0);
	tables_rig_sleep(g, 300);
	assert_non_null(by_id(g, id));
	assert_int_equal(tables_snapshot(g->tables)->endpoints[id].dest[3], 1);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).id, id);
	assert_false(only_dest(g, &k).deleted);

	/* With the service, too: one of the same key has it again. */
	assert_int_equal(tables_service_del(g->tables, &k), 0);
	tables_rig_publish(g);
	assert_null(rig_view(g, &k));
	assert_true(by_id(g, id)->deleted);
	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).id, id);
	assert_int_equal(only_dest(g, &k).service_id, rig_view(g, &k)->id);

	rig_del_dest(g, &k, "10.1.0.1");
	g->counters[1][id].references = 0;
	tables_rig_publish(g);
	tables_rig_sleep(g, 100);
	assert_non_null(by_id(g, id));
	assert_int_equal(g->n_addresses, 1);
	tables_rig_sleep(g, 30);
	assert_null(by_id(g, id));
	assert_int_equal(g->n_addresses, 0);
	rig_add_dest(g, &k, "10.1.0.2");
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).id, id);
}

/* While a worker may still read a list with the destination in it, references of 0 mean nothing. */
static void test_trash_waits_for_workers(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	uint32_t id;

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	tables_rig_quiesce(g);
	id = only_dest(g, &k).id;
	rig_del_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	for (unsigned i = 0; i < 300; i++)
		(void)tables_tick(g->tables, g->now_usec += 1000 * 1000);
	assert_non_null(by_id(g, id));
	tables_rig_quiesce(g);
	tables_rig_sleep(g, 125);
	assert_null(by_id(g, id));
}

/* New destinations, unpublished ones and deleted ones in one step; and none of it is published without being asked. */
static void test_publish_is_one_step(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80),
				gone = rig_key("10.9.0.1", IPPROTO_TCP, 81);

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	rig_del_dest(g, &k, "10.1.0.1");
	rig_add_dest(g, &k, "10.1.0.2");
	rig_add_service(g, &gone);
	rig_add_dest(g, &gone, "10.1.0.1");
	assert_int_equal(tables_service_del(g->tables, &gone), 0);
	assert_null(rig_view(g, &k));
	tables_rig_publish(g);
	assert_int_equal(only_dest(g, &k).addr[3], 2);
	assert_null(rig_view(g, &gone));
	assert_int_equal(tables_service_del(g->tables, &k), 0);
	rig_add_service(g, &k);
	assert_int_equal(rig_view(g, &k)->n_dests, 1);
	tables_rig_publish(g);
	assert_int_equal(rig_view(g, &k)->n_dests, 0);
	tables_rig_sleep(g, 130);
}

static void test_timeouts(void **state)
{
	struct tables_rig *g = *state;
	const struct ipvs_timeouts kernel = { 900, 120, 300 }, change = { .udp_sec = 30 };
	const struct ipvs_timeouts too_long = { .tcp_sec = INT_MAX };
	struct ipvs_timeouts t;

	tables_get_timeouts(g->tables, &t);
	assert_memory_equal(&t, &kernel, sizeof(t));
	assert_int_equal(tables_set_timeouts(g->tables, &change), 0);
	assert_int_equal(tables_set_timeouts(g->tables, &too_long), -EINVAL);
	tables_get_timeouts(g->tables, &t);
	assert_int_equal(t.tcp_sec, 900);
	assert_int_equal(t.udp_sec, 30);
	tables_rig_publish(g);
	assert_int_equal(tables_snapshot(g->tables)->timeouts.udp, 30 * 1000 / RIG_TICK_MSEC);
	assert_int_equal(tables_snapshot(g->tables)->timeouts.tcp[CONN_TCP_ESTABLISHED],
			 900 * 1000 / RIG_TICK_MSEC);
}

static unsigned n_freed;

static void count_free(void *p)
{
	n_freed++;
	free(p);
}

static void test_rules(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	struct rules_view *rules[3] = { malloc(1), malloc(1), malloc(1) };
	uint32_t generation;

	n_freed = 0;
	assert_int_equal(tables_set_rules(g->tables, &k, NULL, count_free), -ESRCH);
	rig_add_service(g, &k);
	assert_int_equal(tables_set_rules(g->tables, &k, rules[0], count_free), 0);
	assert_int_equal(tables_set_rules(g->tables, &k, rules[1], count_free), 0);
	assert_int_equal(n_freed, 1); /* no worker has seen it */
	tables_rig_publish(g);
	assert_ptr_equal(rig_view(g, &k)->rules, rules[1]);
	generation = rig_view(g, &k)->generation;
	assert_int_equal(tables_set_rules(g->tables, &k, rules[2], count_free), 0);
	tables_rig_publish(g);
	assert_int_equal(n_freed, 1);
	assert_int_equal(rig_view(g, &k)->generation, generation); /* rr goes on */
	tables_rig_quiesce(g);
	assert_int_equal(n_freed, 2);
	assert_int_equal(tables_service_del(g->tables, &k), 0);
	tables_rig_publish(g);
	tables_rig_quiesce(g);
	assert_int_equal(n_freed, 3);
}

/* What workers see is what is dumped. */
static void assert_published(const struct tables_rig *g, const struct ipvs_ruleset *r)
{
	const struct snapshot *s = tables_snapshot(g->tables);

	for (size_t i = 0; i < r->n; i++) {
		const struct ipvs_service *e = &r->services[i];
		const struct service_view *v = rig_view(g, &e->key);

		assert_non_null(v);
		assert_int_equal(v->port_be, htons(e->key.port));
		assert_int_equal(v->flags, e->flags);
		assert_string_equal(sched_to_string(sched_view_kind(v->sched)), e->scheduler);
		assert_true(snapshot_has_address(s, (uint8_t)e->key.family, e->key.addr.bytes));
		assert_int_equal(v->n_dests, e->n_dests);
		for (size_t k = 0; k < e->n_dests; k++) {
			const struct dest_view *d = v->dests[k];

			assert_ptr_equal(snapshot_dest(s, d->id), d);
			assert_memory_equal(d->addr, e->dests[k].addr.bytes, sizeof(d->addr));
			assert_int_equal(d->port_be, htons(e->dests[k].port));
			assert_int_equal(d->weight, e->dests[k].weight);
			assert_int_equal(d->forward, e->dests[k].forward);
			assert_int_equal(d->service_id, v->id);
			assert_false(d->deleted);
			assert_memory_equal(s->endpoints[d->id].dest, d->addr, 16);
			assert_memory_equal(s->endpoints[d->id].virtual, v->addr, 16);
		}
	}
}

/* The planner's plans, applied here and to its own model of the kernel. */
static void test_random_plans(void **state)
{
	struct tables_rig *g = *state;
	struct random r = { .state = 23, .schedulers = schedulers };
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset now = IPVS_RULESET_INIT;

	for (unsigned i = 0; i < 1500; i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;

		random_mutation(&r, &now, &desired);
		rig_become(g, &desired);
		tables_rig_publish(g);
		ipvs_ruleset_deinit(&now);
		rig_dump(g, &now);
		assert_true(same_ruleset(&now, &desired));
		assert_published(g, &now);
		if (i % 3 == 0)
			tables_rig_quiesce(g);
		if (i % 50 == 0)
			tables_rig_sleep(g, 61);
	}
	tables_flush(g->tables);
	tables_rig_publish(g);
	tables_rig_sleep(g, 130);
	assert_int_equal(g->n_addresses, 0);
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_service_errors),
		rig_test(test_hook_keeper),
		rig_test(test_dest_errors),
		rig_test(test_mh_limit),
		rig_test(test_list_order),
		rig_test(test_dest_set),
		rig_test(test_overload_on_edit),
		rig_test(test_trash),
		rig_test(test_trash_waits_for_workers),
		rig_test(test_publish_is_one_step),
		rig_test(test_timeouts),
		rig_test(test_rules),
		rig_test(test_random_plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
