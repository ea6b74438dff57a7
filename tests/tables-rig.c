/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tables-rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static void retire(void *context, void (*free_fn)(void *), void *object)
{
	struct tables_rig *g = context;

	assert_non_null(object);
	assert_true(g->n_retired < RIG_RETIRED_MAX);
	g->retired[g->n_retired++] = (struct rig_retired){ free_fn, object };
}

static uint16_t on_address(void *context, const struct addr *a)
{
	struct tables_rig *g = context;

	(void)a;
	g->n_addresses++;
	return g->nexthop;
}

static void on_address_gone(void *context, const struct addr *a)
{
	struct tables_rig *g = context;

	(void)a;
	g->n_addresses--;
}

void tables_rig_init(struct tables_rig *g, unsigned n_workers)
{
	struct tables_config c = { .n_workers = n_workers,
				   .tick_msec = RIG_TICK_MSEC,
				   .dest_counters = g->counters,
				   .retire = retire,
				   .on_address = on_address,
				   .on_address_gone = on_address_gone,
				   .context = g };

	*g = (struct tables_rig){ .n_workers = n_workers,
				  .random = { .state = 1 },
				  .now_usec = 1000 };
	for (unsigned w = 0; w < n_workers; w++) {
		g->counters[w] = calloc(SNAPSHOT_DESTS_MAX, sizeof(struct dest_counters));
		assert_non_null(g->counters[w]);
	}
	g->retired = calloc(RIG_RETIRED_MAX, sizeof(*g->retired));
	assert_non_null(g->retired);
	g->overloaded = calloc(SNAPSHOT_DESTS_MAX, sizeof(*g->overloaded));
	g->nexthops = calloc(SNAPSHOT_NEXTHOPS_MAX, sizeof(*g->nexthops));
	c.overloaded = g->overloaded;
	c.nexthops = g->nexthops;
	assert_int_equal(tables_new(&c, &g->tables), 0);
}

void tables_rig_deinit(struct tables_rig *g)
{
	tables_rig_quiesce(g);
	tables_free(g->tables);
	for (unsigned w = 0; w < g->n_workers; w++)
		free(g->counters[w]);
	free((void *)g->overloaded);
	free(g->nexthops);
	free(g->retired);
}

void tables_rig_quiesce(struct tables_rig *g)
{
	while (g->n_retired > 0) {
		size_t i = random_below(&g->random, (uint32_t)g->n_retired);
		struct rig_retired one = g->retired[i];

		g->retired[i] = g->retired[--g->n_retired];
		one.free_fn(one.object);
	}
}

void tables_rig_publish(struct tables_rig *g)
{
	assert_int_equal(tables_publish(g->tables), 0);
}

void tables_rig_sleep(struct tables_rig *g, unsigned sec)
{
	for (; sec > 0; sec--) {
		g->now_usec += 1000 * 1000;
		if (tables_tick(g->tables, g->now_usec))
			tables_rig_publish(g);
		assert_false(tables_tick(g->tables, g->now_usec));
		tables_rig_quiesce(g);
	}
}

struct ipvs_service_key rig_key(const char *address, uint8_t protocol, uint16_t port)
{
	struct ipvs_service_key k = { .protocol = protocol, .port = port };

	assert_int_equal(addr_parse(address, &k.addr), 0);
	k.family = k.addr.family;
	return k;
}

struct ipvs_service rig_service(const struct ipvs_service_key *k, const char *scheduler)
{
	struct ipvs_service s = { .key = *k };

	s.netmask = k->family == AF_INET6 ? 128 : UINT32_MAX;
	strcpy(s.scheduler, scheduler);
	return s;
}

struct ipvs_dest rig_dest(const char *address, uint16_t port)
{
	struct ipvs_dest d = { .port = port, .weight = 1 };

	assert_int_equal(addr_parse(address, &d.addr), 0);
	return d;
}

void rig_add_service(struct tables_rig *g, const struct ipvs_service_key *k)
{
	struct ipvs_service s = rig_service(k, "rr");

	assert_int_equal(tables_service_new(g->tables, &s), 0);
}

void rig_add_dest(struct tables_rig *g, const struct ipvs_service_key *k, const char *address)
{
	struct ipvs_dest d = rig_dest(address, 8080);

	assert_int_equal(tables_dest_new(g->tables, k, &d), 0);
}

void rig_del_dest(struct tables_rig *g, const struct ipvs_service_key *k, const char *address)
{
	struct ipvs_dest d = rig_dest(address, 8080);

	assert_int_equal(tables_dest_del(g->tables, k, &d.addr, d.port), 0);
}

const struct service_view *rig_view(const struct tables_rig *g, const struct ipvs_service_key *k)
{
	struct flow_key packet = { .protocol = k->protocol,
				   .family = (uint8_t)k->family,
				   .dst_port_be = htons(k->port) };

	memcpy(packet.dst, k->addr.bytes, sizeof(packet.dst));
	return snapshot_find_service(tables_snapshot(g->tables), &packet);
}

int rig_place(const struct service_view *v, const char *address)
{
	struct addr a;

	assert_int_equal(addr_parse(address, &a), 0);
	for (size_t i = 0; i < v->n_dests; i++)
		if (memcmp(v->dests[i]->addr, a.bytes, sizeof(a.bytes)) == 0)
			return (int)i;
	return -1;
}

void rig_dump(const struct tables_rig *g, struct ipvs_ruleset *ret)
{
	struct ipvs_service one;
	struct ipvs_dest d;
	size_t cursor = 0;

	*ret = IPVS_RULESET_INIT;
	while (tables_next_service(g->tables, &cursor, &one)) {
		struct ipvs_service *s = ipvs_ruleset_append(ret, &one.key);
		size_t dest_cursor = 0;

		assert_non_null(s);
		assert_int_equal(one.n_dests, 0);
		*s = one;
		while (tables_next_dest(g->tables, &one.key, &dest_cursor, &d))
			assert_non_null(ipvs_service_append(s, &d));
	}
	ipvs_ruleset_sort(ret);
}

int rig_apply(struct tables_rig *g, const struct plan_op *op)
{
	struct tables *t = g->tables;

	switch (op->kind) {
	case PLAN_SERVICE_NEW:
	case PLAN_SERVICE_SET: {
		struct ipvs_service s = *op->service;

		if (op->bare && op->kind == PLAN_SERVICE_NEW)
			strcpy(s.scheduler, PLAN_BARE_SCHEDULER);
		return op->kind == PLAN_SERVICE_NEW ? tables_service_new(t, &s)
						    : tables_service_set(t, &s);
	}
	case PLAN_SERVICE_DEL:
		return tables_service_del(t, &op->service->key);
	case PLAN_DEST_NEW:
		return tables_dest_new(t, &op->service->key, op->dest);
	case PLAN_DEST_SET:
		return tables_dest_set(t, &op->service->key, op->dest);
	case PLAN_DEST_DEL:
		return tables_dest_del(t, &op->service->key, &op->dest->addr, op->dest->port);
	case _PLAN_OP_MAX:
		break;
	}
	return -EINVAL;
}

static void drop_marks(struct ipvs_ruleset *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (r->services[i].key.fwmark == 0)
			r->services[n++] = r->services[i];
		else
			free(r->services[i].dests);
	}
	r->n = n;
}

void rig_become(struct tables_rig *g, struct ipvs_ruleset *desired)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	const struct plan_ownership all = { .exclusive = true };

	drop_marks(desired);
	rig_dump(g, &actual);
	assert_int_equal(plan_compute(&actual, desired, &all, &p), 0);
	for (size_t i = 0; i < p.n; i++)
		assert_int_equal(rig_apply(g, &p.ops[i]), 0);
}
