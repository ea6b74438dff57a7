/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The fast path's tables and schedulers against the kernel's: the same requests to both, the same answers; then the
 * same clients to both, the same destinations. Counters of connections are kept as the kernel keeps them.
 */

#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/sched.h"
#include "flow-sender.h"
#include "ipvs/channel.h"
#include "tests/tables-rig.h"

enum {
	HASH_RULESETS = 120,
	HASH_BATCHES = 3,
	HASH_FLOWS = 80,
	HASH_FLOWS_MIN = 10000, /* of mh and sh together */
	SEQUENCE_RULESETS = 4,
	SEQUENCE_CHANGES = 20,
	ADDRESSES = 12,
};

struct world {
	struct channel *kernel;
	struct tables_rig rig;
	struct flow_sender *sender;
	struct random random;
	struct ipvs_service service;
	struct sched_cursor cursor;
	unsigned n_services;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct ipvs_timeouts long_enough = { .udp_sec = 3600 };

	/* ip_vs first: a namespace that is older than the module gets its hooks late. */
	if (!w || system("modprobe ip_vs") != 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	tables_rig_init(&w->rig, 1);
	flow_sender_new(&w->sender);
	w->random = (struct random){ .state = 99 };
	if (channel_open_kernel(&w->kernel) < 0 ||
	    channel_set_timeouts(w->kernel, &long_enough) < 0)
		return -1;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	channel_free(w->kernel);
	flow_sender_free(w->sender);
	tables_rig_deinit(&w->rig);
	free(w);
	return 0;
}

/* Asks both planes; they must agree. */
static int request(struct world *w, enum plan_op_kind kind, const struct ipvs_dest *d)
{
	struct plan_op op = { .kind = kind, .service = &w->service, .dest = d };
	const struct plan p = { .ops = &op, .n = 1 };
	struct channel_result result;
	size_t failed;
	int ours;

	assert_int_equal(channel_apply(w->kernel, &p, &result, &failed), 0);
	ours = rig_apply(&w->rig, &op);
	if (ours != result.error) {
		_cleanup_free_ char *text = plan_op_describe(&op);

		print_error("%s\n", text);
	}
	assert_int_equal(ours, result.error);
	tables_rig_publish(&w->rig);
	tables_rig_quiesce(&w->rig);
	return ours;
}

/* Every service has an address of its own, so that one's trash is not another's. */
static void new_service(struct world *w, const char *scheduler, uint16_t family, uint8_t protocol,
			uint32_t flags)
{
	struct ipvs_service_key k =
		rig_key(family == AF_INET6 ? "fd09::" : "10.9.0.0", protocol, 53);

	w->n_services++;
	k.addr.bytes[family == AF_INET6 ? 14 : 2] = (uint8_t)(w->n_services >> 8);
	k.addr.bytes[family == AF_INET6 ? 15 : 3] = (uint8_t)w->n_services;
	w->service = rig_service(&k, scheduler);
	w->service.flags = flags;
	w->cursor = (struct sched_cursor){ 0 };
	assert_int_equal(request(w, PLAN_SERVICE_NEW, NULL), 0);
}

static struct ipvs_dest random_dest(struct world *w, uint32_t max_weight, bool thresholds)
{
	struct random *r = &w->random;
	struct ipvs_dest d = rig_dest(w->service.key.family == AF_INET6 ? "fd01::" : "10.1.0.0",
				      FLOW_SENDER_PORT);

	d.addr.bytes[w->service.key.family == AF_INET6 ? 15 : 3] =
		(uint8_t)(1 + random_below(r, ADDRESSES));
	d.port = (uint16_t)(d.port + random_below(r, FLOW_SENDER_PORTS));
	d.weight = random_below(r, 4) == 0 ? 0 : 1 + random_below(r, max_weight);
	if (thresholds && random_below(r, 3) == 0) {
		d.upper_threshold = 1 + random_below(r, 20);
		d.lower_threshold = random_below(r, d.upper_threshold + 2);
	}
	return d;
}

/* Requests at random, the impossible included. */
static void change(struct world *w, uint32_t max_weight, bool thresholds)
{
	static const enum plan_op_kind kinds[] = { PLAN_DEST_NEW, PLAN_DEST_NEW, PLAN_DEST_SET,
						   PLAN_DEST_SET, PLAN_DEST_DEL };
	struct ipvs_dest d = random_dest(w, max_weight, thresholds);

	(void)request(w, kinds[random_below(&w->random, ARRAY_SIZE(kinds))], &d);
}

static void fill(struct world *w, uint32_t max_weight, bool thresholds)
{
	for (uint32_t n = 1 + random_below(&w->random, ADDRESSES); n > 0; n--) {
		struct ipvs_dest d = random_dest(w, max_weight, thresholds);

		(void)request(w, PLAN_DEST_NEW, &d);
	}
}

static struct flow_key random_client(struct world *w)
{
	struct random *r = &w->random;
	struct flow_key k = { .family = (uint8_t)w->service.key.family,
			      .protocol = w->service.key.protocol,
			      .dst_port_be = htons(w->service.key.port) };

	memcpy(k.dst, w->service.key.addr.bytes, sizeof(k.dst));
	k.src_port_be = htons((uint16_t)(1024 + random_below(r, 60000)));
	for (unsigned i = 0; i < (k.family == AF_INET6 ? 16 : 4); i++)
		k.src[i] = (uint8_t)random_below(r, 256);
	k.src[0] = k.family == AF_INET6 ? 0x20 : (uint8_t)(11 + random_below(r, 100));
	return k;
}

static struct sched_load load_of(const void *context, uint32_t id)
{
	const struct dest_counters *c = &((const struct world *)context)->rig.counters[0][id];

	return (struct sched_load){ c->active, c->inactive };
}

static bool is_overloaded(const void *context, uint32_t id)
{
	return ((const struct world *)context)->rig.overloaded[id];
}

/* Chooses, and counts as ip_vs_bind_dest() does: UDP is never active. */
static const struct dest_view *choose(struct world *w, const struct flow_key *k)
{
	const struct service_view *v = rig_view(&w->rig, &w->service.key);
	const struct sched_input in = { .service = v,
					.key = k,
					.cursor = &w->cursor,
					.load = load_of,
					.overloaded = is_overloaded,
					.context = w };
	int place = sched_choose(&in);
	struct dest_counters *c;
	const struct dest_view *d;

	if (place < 0)
		return NULL;
	d = v->dests[place];
	c = &w->rig.counters[0][d->id];
	c->references++;
	if (k->protocol == IPPROTO_TCP)
		c->active++;
	else
		c->inactive++;
	if (d->upper_threshold > 0 && c->active + c->inactive >= d->upper_threshold)
		w->rig.overloaded[d->id] = 1;
	return d;
}

/* Both lists, for the reader of a failure. */
static void print_lists(struct world *w)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset kernel = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset ours = IPVS_RULESET_INIT;

	assert_int_equal(channel_dump(w->kernel, &kernel), 0);
	rig_dump(&w->rig, &ours);
	for (unsigned i = 0; i < 2; i++) {
		const struct ipvs_service *s =
			ipvs_ruleset_find(i ? &kernel : &ours, &w->service.key);

		for (size_t k = 0; s && k < s->n_dests; k++)
			print_error("%s: .%u:%u weight %u, %u+%u connections, thresholds %u %u\n",
				    i ? "kernel" : "ours", s->dests[k].addr.bytes[3],
				    s->dests[k].port, s->dests[k].weight, s->dests[k].active_conns,
				    s->dests[k].inactive_conns, s->dests[k].lower_threshold,
				    s->dests[k].upper_threshold);
	}
}

/* The same clients to both planes. */
static void compare_flows(struct world *w, size_t n)
{
	static struct flow_key keys[FLOW_SENDER_BATCH_MAX];
	static struct flow_arrival arrivals[FLOW_SENDER_BATCH_MAX];

	for (size_t i = 0; i < n; i++)
		keys[i] = random_client(w);
	flow_sender_udp(w->sender, keys, n, arrivals);
	for (size_t i = 0; i < n; i++) {
		const struct dest_view *d = choose(w, &keys[i]);

		if (arrivals[i].arrived != (d != NULL) ||
		    (d && (memcmp(d->addr, arrivals[i].addr, sizeof(d->addr)) != 0 ||
			   d->port_be != arrivals[i].port_be))) {
			print_lists(w);
			fail_msg("%s, flags %#x, flow %zu of %zu: ours %u:%u, the kernel's %u:%u "
				 "(last byte of the address)",
				 w->service.scheduler, w->service.flags, i, n,
				 d ? d->addr[d->family == AF_INET6 ? 15 : 3] : 0,
				 d ? ntohs(d->port_be) : 0,
				 arrivals[i].addr[keys[i].family == AF_INET6 ? 15 : 3],
				 ntohs(arrivals[i].port_be));
		}
	}
}

static void test_hash_schedulers(void **state)
{
	static const char *const names[] = { "mh", "sh", "mh", "sh", "dh" };
	static const uint32_t scales[] = { 1, 3, 100, 60000 };
	struct world *w = *state;
	size_t compared = 0;

	for (unsigned i = 0; i < HASH_RULESETS; i++) {
		const char *name = names[i % ARRAY_SIZE(names)];
		uint32_t scale = scales[random_below(&w->random, ARRAY_SIZE(scales))];
		bool thresholds = random_below(&w->random, 3) == 0;

		new_service(w, name, random_below(&w->random, 3) ? AF_INET : AF_INET6, IPPROTO_UDP,
			    random_below(&w->random, 4) * IPVS_SVC_SCHED1);
		fill(w, scale, thresholds);
		for (unsigned b = 0; b < HASH_BATCHES; b++) {
			compare_flows(w, HASH_FLOWS);
			compared += strcmp(name, "dh") == 0 ? 0 : HASH_FLOWS;
			w->service.flags = random_below(&w->random, 4) * IPVS_SVC_SCHED1;
			assert_int_equal(request(w, PLAN_SERVICE_SET, NULL), 0);
			for (uint32_t n = random_below(&w->random, 6); n > 0; n--)
				change(w, scale, thresholds);
		}
		compare_flows(w, HASH_FLOWS);
		compared += strcmp(name, "dh") == 0 ? 0 : HASH_FLOWS;
	}
	assert_true(compared >= HASH_FLOWS_MIN);
}

/* A service that is deleted and made anew has its destinations' connections again, and their last weights not. */
static void test_trash(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 10; i++) {
		new_service(w, i % 2 ? "mh" : "sh", AF_INET, IPPROTO_UDP, IPVS_SVC_SCHED1);
		fill(w, 5, true);
		compare_flows(w, 30);
		assert_int_equal(request(w, PLAN_SERVICE_DEL, NULL), 0);
		assert_int_not_equal(request(w, PLAN_SERVICE_SET, NULL), 0);
		assert_int_equal(request(w, PLAN_SERVICE_NEW, NULL), 0);
		fill(w, 5, true);
		compare_flows(w, 30);
	}
}

/* What a destination may not be, and what it may. */
static void test_dest_refusals(void **state)
{
	static const char *const addresses[] = {
		"10.1.0.1",	  "127.0.0.1",	     "169.254.1.1", "240.0.0.1", "0.0.0.0",
		"0.1.2.3",	  "224.0.0.1",	     "fd01::1",	    "::1",	 "::",
		"fe80::1",	  "ff02::1",	     "fec0::1",	    "2001::1",	 "64:ff9b::1",
		"::ffff:1.2.3.4", "255.255.255.255",
	};
	static const struct ipvs_dest others[] = {
		{ .weight = 1 },
		{ .weight = INT32_MAX },
		{ .weight = (uint32_t)INT32_MAX + 1 },
		{ .lower_threshold = 2, .upper_threshold = 1 },
		{ .upper_threshold = (uint32_t)INT32_MAX + 1 },
		{ .forward = IPVS_FORWARD_TUNNEL },
		{ .forward = IPVS_FORWARD_TUNNEL, .tunnel = IPVS_TUNNEL_GUE },
		{ .forward = IPVS_FORWARD_TUNNEL, .tunnel = IPVS_TUNNEL_GUE, .tunnel_port = 1 },
		{ .forward = IPVS_FORWARD_TUNNEL, .tunnel = IPVS_TUNNEL_GRE },
		{ .forward = IPVS_FORWARD_ROUTE },
		{ .forward = IPVS_FORWARD_LOCAL },
	};
	static const enum plan_op_kind kinds[] = { PLAN_DEST_SET, PLAN_DEST_DEL, PLAN_DEST_NEW,
						   PLAN_DEST_NEW, PLAN_DEST_SET, PLAN_DEST_DEL };
	struct world *w = *state;

	for (unsigned family = 0; family < 2; family++) {
		new_service(w, "rr", family ? AF_INET6 : AF_INET, IPPROTO_UDP, 0);
		for (size_t i = 0; i < ARRAY_SIZE(addresses) * ARRAY_SIZE(others); i++) {
			struct ipvs_dest d = others[i % ARRAY_SIZE(others)];

			d.addr = rig_dest(addresses[i / ARRAY_SIZE(others)], 1).addr;
			for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
				(void)request(w, kinds[k], &d);
		}
	}
}

static void test_service_refusals(void **state)
{
	static const char *const schedulers[] = { "rr", "none", "nonsense", "" };
	static const char *const engines[] = { "", "nonsense" };
	static const uint32_t netmasks[] = { 0, 1, 128, 129, UINT32_MAX };
	static const enum plan_op_kind kinds[] = { PLAN_SERVICE_SET, PLAN_SERVICE_DEL,
						   PLAN_SERVICE_NEW, PLAN_SERVICE_NEW,
						   PLAN_SERVICE_SET, PLAN_SERVICE_DEL };
	struct world *w = *state;

	for (unsigned i = 0;
	     i < 2 * ARRAY_SIZE(schedulers) * ARRAY_SIZE(engines) * ARRAY_SIZE(netmasks); i++) {
		unsigned n = i / 2;
		struct ipvs_service_key k =
			rig_key(i % 2 ? "fd09::1" : "10.9.0.1", IPPROTO_UDP, 53);

		w->service = rig_service(&k, schedulers[n % ARRAY_SIZE(schedulers)]);
		n /= ARRAY_SIZE(schedulers);
		strcpy(w->service.pe, engines[n % ARRAY_SIZE(engines)]);
		w->service.netmask = netmasks[n / ARRAY_SIZE(engines)];
		for (size_t o = 0; o < ARRAY_SIZE(kinds); o++)
			(void)request(w, kinds[o], NULL);
	}
}

/* One change, some clients, and so on: where the kernel's pointers and counters stand decides. */
static void test_sequences(void **state)
{
	static const char *const names[] = { "rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf" };
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(names) * SEQUENCE_RULESETS; i++) {
		bool thresholds = random_below(&w->random, 2);

		new_service(w, names[i % ARRAY_SIZE(names)],
			    random_below(&w->random, 3) ? AF_INET : AF_INET6, IPPROTO_UDP, 0);
		for (unsigned n = 0; n < SEQUENCE_CHANGES; n++) {
			change(w, n % 3 ? 4 : 40, thresholds);
			compare_flows(w, 1 + random_below(&w->random, 20));
		}
	}
}

static void compare_counters(struct world *w)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset kernel = IPVS_RULESET_INIT;
	const struct ipvs_service *s;
	struct ipvs_dest ours;
	size_t cursor = 0;

	assert_int_equal(channel_dump(w->kernel, &kernel), 0);
	s = ipvs_ruleset_find(&kernel, &w->service.key);
	assert_non_null(s);
	for (size_t i = 0; i < s->n_dests; i++) {
		assert_true(tables_next_dest(w->rig.tables, &w->service.key, &cursor, &ours));
		assert_true(addr_eq(&ours.addr, &s->dests[i].addr));
		if (ours.active_conns != s->dests[i].active_conns ||
		    ours.inactive_conns != s->dests[i].inactive_conns)
			fail_msg("%s: %u, %u connections, the kernel has %u, %u",
				 w->service.scheduler, ours.active_conns, ours.inactive_conns,
				 s->dests[i].active_conns, s->dests[i].inactive_conns);
	}
	assert_false(tables_next_dest(w->rig.tables, &w->service.key, &cursor, &ours));
}

/* The destinations of TCP are nowhere: nobody answers. A FIN ends the handshake, and the connection is inactive. */
static void tcp_flow(struct world *w, bool ends)
{
	struct flow_key k = random_client(w);
	const struct dest_view *d = choose(w, &k);
	struct dest_counters *c;

	flow_sender_tcp(w->sender, &k, PACKET_TCP_SYN);
	if (!d || !ends)
		return;
	flow_sender_tcp(w->sender, &k, PACKET_TCP_FIN);
	c = &w->rig.counters[0][d->id];
	c->active--;
	c->inactive++;
}

static void test_active_connections(void **state)
{
	static const char *const names[] = { "lc", "wlc", "sed", "nq", "ovf" };
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(names) * 2; i++) {
		new_service(w, names[i % ARRAY_SIZE(names)], AF_INET, IPPROTO_TCP, 0);
		for (unsigned n = 0; n < 6; n++) {
			struct ipvs_dest d = random_dest(w, 5, false);

			d.addr.bytes[1] = 2; /* no route */
			d.weight++;
			(void)request(w, PLAN_DEST_NEW, &d);
			for (unsigned flows = 0; flows < 8; flows++)
				tcp_flow(w, random_below(&w->random, 2));
			compare_counters(w);
		}
	}
}

/* An active connection weighs as much as 257 others (256 before the stable kernels of 2026). */
static void test_overhead(void **state)
{
	struct world *w = *state;
	struct ipvs_dest busy = rig_dest("10.2.0.1", 80), idle = rig_dest("10.2.0.2", 80);

	new_service(w, "lc", AF_INET, IPPROTO_TCP, 0);
	assert_int_equal(request(w, PLAN_DEST_NEW, &busy), 0);
	tcp_flow(w, false);
	assert_int_equal(request(w, PLAN_DEST_NEW, &idle), 0);
	for (unsigned n = 0; n < 300; n++)
		tcp_flow(w, true);
	compare_counters(w);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_hash_schedulers), world_test(test_trash),
		world_test(test_dest_refusals),	  world_test(test_service_refusals),
		world_test(test_sequences),	  world_test(test_active_connections),
		world_test(test_overhead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
