/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control socket as the daemon meets it: our own channel, planner and apply code against the real tables behind a
 * real socket. What holds for the channel to the kernel (netns/netns-channel.c) holds here.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "control-rig.h"
#include "netns/channel-fixture.h"
#include "random-ruleset.h"

enum {
	RANDOM_STEPS = 300,
	LARGE_DESTS = 4000,
	CONNS = 3000,
};

static void test_random(void **state)
{
	static const char *const schedulers[] = { "rr",	 "wrr", "lc", "wlc", "sed",  "nq",   "fo",
						  "ovf", "sh",	"dh", "mh",  "twos", "none", NULL };
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset now = IPVS_RULESET_INIT;
	const char *seed_text = getenv("IPVSD_TEST_SEED");
	struct random random = { .state = (uint64_t)time(NULL),
				 .schedulers = schedulers,
				 .fastpath = true };
	uint64_t writes = 0;

	if (seed_text)
		random.state = strtoull(seed_text, NULL, 10);
	print_message("IPVSD_TEST_SEED=%llu\n", (unsigned long long)random.state);
	for (unsigned i = 0; i < RANDOM_STEPS; i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset expected = IPVS_RULESET_INIT;
		_cleanup_free_ struct ipvs_service_key *keys = NULL;
		struct plan_ownership owned = { .exclusive = random_below(&random, 3) == 0 };

		if (random_below(&random, 8) == 0)
			random_ruleset(&random, &desired);
		else
			random_mutation(&random, &now, &desired);
		keys = random_keys(&random, &now, &owned.n);
		owned.keys = keys;
		expected_ruleset(&now, &desired, &owned, &expected);
		writes += reconcile(rig->channel, &desired, &owned);
		ipvs_ruleset_deinit(&now);
		dump(rig->channel, &now);
		assert_same("the fast path\'s table", &now, &expected);
		assert_int_equal(reconcile(rig->channel, &desired, &owned), 0);
		assert_int_equal(channel_writes(rig->channel), writes);
	}
	assert_true(writes > RANDOM_STEPS);
}

/* More than one send and one dump's piece can carry, then as many errors. */
static void test_large(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	size_t failed = 0;

	add_dests(add_service(&r, "10.9.0.1", 80, "mh"), LARGE_DESTS);
	assert_int_equal(reconcile(rig->channel, &r, &(struct plan_ownership){ 0 }),
			 LARGE_DESTS + 2);
	dump(rig->channel, &after);
	assert_same("the fast path\'s table", &after, &r);

	assert_int_equal(plan_compute(&(struct ipvs_ruleset){ 0 }, &r,
				      &(struct plan_ownership){ 0 }, &p),
			 0);
	results = calloc(p.n, sizeof(*results));
	assert_non_null(results);
	assert_int_equal(channel_apply(rig->channel, &p, results, &failed), 0);
	assert_int_equal(failed, LARGE_DESTS + 1); /* all but the last SET_SERVICE */
	for (size_t i = 0; i + 1 < p.n; i++)
		assert_int_equal(results[i].error, -EEXIST);
}

/* The keepers, which have neither scheduler nor destination: the planner drives them here too. */
static void test_keepers(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;

	for (unsigned i = 0; i < 2; i++) {
		struct ipvs_service_key key = { .fwmark = IPVS_HOOK_KEEPER_MARK,
						.family = i ? AF_INET6 : AF_INET };
		struct ipvs_service *s = ipvs_ruleset_append(&r, &key);

		assert_non_null(s);
		strcpy(s->scheduler, "none");
		s->netmask = i ? 128 : UINT32_MAX;
	}
	ipvs_ruleset_sort(&r);
	assert_int_equal(reconcile(rig->channel, &r, &(struct plan_ownership){ 0 }), 2);
	dump(rig->channel, &actual);
	assert_same("the fast path\'s table", &actual, &r);
	assert_int_equal(reconcile(rig->channel, &r, &(struct plan_ownership){ .exclusive = true }),
			 0);
	assert_int_equal(reconcile(rig->channel, &(struct ipvs_ruleset){ 0 },
				   &(struct plan_ownership){ .exclusive = true }),
			 2);
}

static void test_timeouts_and_info(void **state)
{
	struct control_rig *rig = *state;
	struct ipvs_timeouts t = { .tcp_sec = 777, .udp_sec = 33 }, got = { 0 };
	struct ipvs_info info = { 0 };

	assert_int_equal(channel_set_timeouts(rig->channel, &t), 0);
	assert_int_equal(channel_get_timeouts(rig->channel, &got), 0);
	assert_int_equal(got.tcp_sec, 777);
	assert_int_equal(got.tcp_fin_sec, 120);
	assert_int_equal(got.udp_sec, 33);
	assert_int_equal(channel_get_info(rig->channel, &info), 0);
	assert_int_equal(info.version, 0x010201);
	assert_true(info.conn_table_size >= 256);
	t.tcp_sec = UINT32_MAX;
	assert_int_equal(channel_set_timeouts(rig->channel, &t), -EINVAL);
	assert_int_equal(channel_writes(rig->channel), 2);
}

static void test_locals(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_free_ struct addr *addrs = calloc(2000, sizeof(*addrs)), *got = NULL;
	size_t n = 9;

	assert_non_null(addrs);
	assert_int_equal(channel_get_locals(rig->channel, &got, &n), 0);
	assert_int_equal(n, 0);
	free(got);
	got = NULL;
	for (unsigned i = 0; i < 2000; i++) {
		addrs[i].family = i % 2 ? AF_INET6 : AF_INET;
		addrs[i].bytes[0] = i % 2 ? 0xfd : 10;
		addrs[i].bytes[2] = (uint8_t)(i >> 8);
		addrs[i].bytes[3] = (uint8_t)i;
		if (i % 2 == 0)
			addrs[i].bytes[1] = 7;
	}
	assert_int_equal(channel_set_locals(rig->channel, addrs, 2000), 0);
	assert_int_equal(channel_get_locals(rig->channel, &got, &n), 0);
	assert_int_equal(n, 2000);
	/* All of them, in whatever order. */
	for (unsigned i = 0; i < 2000; i++) {
		bool found = false;

		for (unsigned k = 0; k < 2000 && !found; k++)
			found = addr_eq(&got[k], &addrs[i]);
		assert_true(found);
	}
	addrs[1] = addrs[3];
	assert_int_equal(channel_set_locals(rig->channel, addrs, 2000), -EEXIST);
}

/* Options come back as they were set; rules and weights are taken, of what is there. */
static void test_settings(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "mh");
	struct private_options o = { .sloppy_tcp = true,
				     .reset_on_expiry = true,
				     .conn_reuse_mode = 2 };
	struct private_options got = { 0 };
	struct private_rule rule = { IPPROTO_TCP, 80, 80, { .len = 8 } };
	struct ipvs_service_key key = s->key;
	struct flow_key packet = { .protocol = IPPROTO_TCP, .family = AF_INET };
	struct ipvs_dest d;

	add_dests(s, 2);
	d = s->dests[0];
	reconcile(rig->channel, &r, &(struct plan_ownership){ 0 });
	assert_int_equal(channel_set_options(rig->channel, &o), 0);
	assert_int_equal(channel_get_options(rig->channel, &got), 0);
	assert_memory_equal(&got, &o, sizeof(o));

	assert_int_equal(addr_parse("10.0.0.0", &rule.peer.addr), 0);
	assert_int_equal(channel_set_rules(rig->channel, &key, &rule, 1), 0);
	assert_int_equal(channel_set_last_weight(rig->channel, &key, &d, 5), 0);
	d.port = 9999;
	assert_int_equal(channel_set_last_weight(rig->channel, &key, &d, 5), -ENOENT);
	key.port = 81;
	assert_int_equal(channel_set_rules(rig->channel, &key, &rule, 1), -ESRCH);
	assert_int_equal(channel_set_last_weight(rig->channel, &key, &d, 5), -ESRCH);

	/* What workers have of it: the thread has answered, and changes nothing meanwhile. */
	memcpy(packet.dst, s->key.addr.bytes, sizeof(packet.dst));
	packet.dst_port_be = htons(80);
	packet.src[0] = 10;
	for (unsigned i = 0; i < 2; i++) {
		const struct snapshot *snapshot = tables_snapshot(rig->tables);
		const struct service_view *v = snapshot_find_service(snapshot, &packet);

		assert_true(snapshot->options.sloppy_tcp);
		assert_non_null(v);
		assert_int_equal(v->rules == NULL, i);
		/* No rules at all are everybody's. */
		assert_int_equal(channel_set_rules(rig->channel, &s->key, NULL, 0), 0);
	}
}

struct seen {
	bool client[65536];
	size_t n;
};

static int on_conn(void *userdata, const struct private_conn *c)
{
	struct seen *seen = userdata;

	assert_false(seen->client[c->record.client_port]);
	seen->client[c->record.client_port] = true;
	seen->n++;
	assert_int_equal(c->record.protocol, IPPROTO_TCP);
	assert_int_equal(c->record.state, CONN_TCP_ESTABLISHED);
	assert_int_equal(c->record.flags & CONNREC_FWD_MASK, IPVS_FORWARD_ROUTE);
	assert_int_equal(c->record.dest_port, 8080);
	assert_int_equal(c->record.timeout_sec, 900);
	assert_true(c->remaining_sec >= 699 && c->remaining_sec <= 700);
	assert_int_equal(c->local.family, AF_UNSPEC);
	return 0;
}

static int stop_at_ten(void *userdata, const struct private_conn *c)
{
	unsigned *n = userdata;

	(void)c;
	return ++*n == 10 ? -ECANCELED : 0;
}

/* In, in more than one message, and out again. */
static void test_conns(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_free_ struct private_conn *conns = calloc(CONNS, sizeof(*conns));
	_cleanup_free_ struct seen *seen = calloc(1, sizeof(*seen));
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "wlc");
	struct private_result result;
	unsigned n = 0;

	assert_true(conns && seen);
	add_dests(s, 1);
	s->dests[0].forward = IPVS_FORWARD_ROUTE;
	reconcile(rig->channel, &r, &(struct plan_ownership){ 0 });
	for (unsigned i = 0; i < CONNS; i++) {
		conns[i] = (struct private_conn){
			.record = { .protocol = IPPROTO_TCP,
				    .state = CONN_TCP_ESTABLISHED,
				    .flags = IPVS_FORWARD_ROUTE,
				    .client_port = (uint16_t)(1000 + i),
				    .virtual_port = 80,
				    .dest_port = 8080,
				    .timeout_sec = 900,
				    .virtual = s->key.addr,
				    .dest = s->dests[0].addr },
			.remaining_sec = 700,
		};
		assert_int_equal(addr_parse("192.0.2.1", &conns[i].record.client), 0);
	}
	conns[7].record.dest_port = 2; /* a destination that is not there */
	assert_int_equal(channel_insert_conns(rig->channel, conns, CONNS, &result), 0);
	assert_int_equal(result.counts[PRIVATE_CONN_DONE], CONNS - 1);
	assert_int_equal(result.counts[PRIVATE_CONN_NO_DEST], 1);
	assert_int_equal(channel_dump_conns(rig->channel, on_conn, seen), 0);
	assert_int_equal(seen->n, CONNS - 1);

	dump(rig->channel, &after);
	assert_int_equal(after.services[0].dests[0].active_conns, CONNS - 1);

	/* An error of the caller's ends the dump, and leaves the channel usable. */
	assert_int_equal(channel_dump_conns(rig->channel, stop_at_ten, &n), -ECANCELED);
	assert_int_equal(n, 10);
	assert_int_equal(channel_insert_conns(rig->channel, conns, 0, &result), 0);
}

static int on_worker(void *userdata, const struct private_worker *w,
		     const struct private_counters *c)
{
	unsigned *n = userdata;

	assert_int_equal(w->index, *n);
	assert_int_equal(w->lcore, 10 + *n);
	assert_int_equal(c->n, 20);
	assert_string_equal(c->at[19].name, "counter-19");
	assert_true(c->at[19].value == ((uint64_t)*n << 32 | 19));
	++*n;
	return 0;
}

static int on_port(void *userdata, const struct private_port *p, const struct private_counters *c)
{
	unsigned *n = userdata;

	assert_int_equal(p->index, *n);
	assert_string_equal(p->driver, "net_null");
	assert_int_equal(p->link_up, *n == 0);
	assert_int_equal(c->n, PRIVATE_COUNTERS_MAX);
	++*n;
	return 0;
}

static void test_statistics(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_free_ struct private_status *s = calloc(1, sizeof(*s));
	unsigned n = 0;

	assert_non_null(s);
	assert_int_equal(channel_dump_workers(rig->channel, on_worker, &n), 0);
	assert_int_equal(n, CONTROL_RIG_WORKERS);
	n = 0;
	assert_int_equal(channel_dump_ports(rig->channel, on_port, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(channel_get_status(rig->channel, s), 0);
	assert_int_equal(s->pid, getpid());
	assert_int_equal(s->n_workers, CONTROL_RIG_WORKERS);
	assert_int_equal(s->n_ports, 2);
	assert_true(s->ports[0].link_up && !s->ports[1].link_up);
	assert_int_equal(channel_attach_ports(rig->channel, CONTROL_RIG_TIMEOUT), 0);
	assert_int_equal(channel_hold_routes(rig->channel, true), 0);
	assert_true(rig->holds_routes);
	assert_int_equal(channel_hold_routes(rig->channel, false), 0);
	assert_false(rig->holds_routes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		control_test(test_random),  control_test(test_large),
		control_test(test_keepers), control_test(test_timeouts_and_info),
		control_test(test_locals),  control_test(test_settings),
		control_test(test_conns),   control_test(test_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
