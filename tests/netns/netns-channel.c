/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Channel, codec and plan against the kernel's own IPVS, with ipvsadm as an independent reader. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "channel-fixture.h"
#include "ipvsadm.h"
#include "tests/random-ruleset.h"

enum {
	RANDOM_STEPS = 120,
	LARGE_DESTS = 2000,
	BENCH_SERVICES = 100,
	BENCH_DESTS = 100,
};

/* As ipvsadm prints it: of mh and sh it knows two flags only. */
static struct ipvs_service shown_by_ipvsadm(const struct ipvs_service *s)
{
	struct ipvs_service shown = *s;

	if (strcmp(s->scheduler, "mh") == 0 || strcmp(s->scheduler, "sh") == 0)
		shown.flags &= ~(uint32_t)IPVS_SVC_SCHED3;
	return shown;
}

/* ipvsadm prints neither thresholds nor the list's order. */
static void assert_ipvsadm_agrees(const struct ipvs_ruleset *expected)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset shown = IPVS_RULESET_INIT;
	int r = ipvsadm_read(&shown);

	assert_int_equal(r, 0);
	assert_int_equal(shown.n, expected->n);
	for (size_t i = 0; i < shown.n; i++) {
		const struct ipvs_service *e = &expected->services[i], *s = &shown.services[i];
		struct ipvs_service e_shown = shown_by_ipvsadm(e);
		bool same = ipvs_service_key_cmp(&s->key, &e->key) == 0 &&
			    ipvs_service_conf_eq(s, &e_shown) && s->n_dests == e->n_dests;

		for (size_t k = 0; same && k < e->n_dests; k++) {
			struct ipvs_dest d = e->dests[k];
			struct ipvs_dest *o = ipvs_service_find(s, &d.addr, d.port);

			d.upper_threshold = 0;
			d.lower_threshold = 0;
			same = o && ipvs_dest_conf_eq(&d, o);
		}
		if (!same) {
			print_ruleset("ipvsadm", &shown);
			print_ruleset("expected", expected);
			fail_msg("ipvsadm shows another table");
		}
	}
}

/* Which of the kernel's schedulers are there: 6.1 has no twos. */
static size_t available_schedulers(struct channel *c, const char **ret, size_t max)
{
	static const char *const names[] = { "rr", "wrr",  "lc",    "wlc",  "sed",
					     "nq", "fo",   "ovf",   "sh",   "dh",
					     "mh", "lblc", "lblcr", "twos", "none" };
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct channel_result results[ARRAY_SIZE(names)];
	size_t failed, n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		add_service(&r, "10.9.9.9", (uint16_t)(1 + i), names[i]);
	assert_int_equal(plan_compute(&(struct ipvs_ruleset){ 0 }, &r,
				      &(struct plan_ownership){ 0 }, &p),
			 0);
	assert_int_equal(p.n, ARRAY_SIZE(names));
	assert_int_equal(channel_apply(c, &p, results, &failed), 0);
	for (size_t i = 0; i < p.n; i++) {
		if (results[i].error == -ENOENT)
			continue;
		assert_int_equal(results[i].error, 0);
		assert_true(n + 1 < max);
		ret[n++] = names[i];
	}
	ret[n] = NULL;
	return n;
}

static void test_random(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset now = IPVS_RULESET_INIT;
	const char *schedulers[32], *seed_text = getenv("IPVSD_TEST_SEED");
	struct random random = { .state = (uint64_t)time(NULL), .schedulers = schedulers };
	struct plan_ownership all = { .exclusive = true };

	assert_true(available_schedulers(*state, schedulers, ARRAY_SIZE(schedulers)) >= 13);
	reconcile(*state, &now, &all);
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
		reconcile(*state, &desired, &owned);
		ipvs_ruleset_deinit(&now);
		dump(*state, &now);
		assert_same("the kernel's table", &now, &expected);
		assert_ipvsadm_agrees(&expected);
		assert_int_equal(reconcile(*state, &desired, &owned), 0);
	}
}

/* More than one send can carry, and more errors than a default receive buffer would hold. */
static void test_large(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	size_t failed = 0;

	add_dests(add_service(&r, "10.9.0.1", 80, "sh"), LARGE_DESTS);
	assert_int_equal(reconcile(*state, &r, &(struct plan_ownership){ 0 }), LARGE_DESTS + 2);
	dump(*state, &after);
	assert_same("the kernel's table", &after, &r);

	assert_int_equal(plan_compute(&(struct ipvs_ruleset){ 0 }, &r,
				      &(struct plan_ownership){ 0 }, &p),
			 0);
	results = calloc(p.n, sizeof(*results));
	assert_non_null(results);
	assert_int_equal(channel_apply(*state, &p, results, &failed), 0);
	assert_int_equal(failed, LARGE_DESTS + 1); /* all but the last SET_SERVICE */
	for (size_t i = 0; i + 1 < p.n; i++)
		assert_int_equal(results[i].error, -EEXIST);
}

/* What ipvsadm made is adopted as it is: the same wishes give an empty plan. */
static void test_adopt(void **state)
{
	static const char lines[] =
		"-A -t 10.9.0.1:80 -s mh -p 300 -M 255.255.255.0 -b mh-fallback,mh-port\n"
		"-a -t 10.9.0.1:80 -r 10.1.0.1:80 -i -w 3 --tun-type gue --tun-port 6080 "
		"--tun-csum -x 20 -y 10\n"
		"-a -t 10.9.0.1:80 -r 10.1.0.2:80 -i -w 3 --tun-type gre --tun-csum\n"
		"-a -t 10.9.0.1:80 -r 10.1.0.3:80 -g -w 1\n"
		"-A -u [fd00::1]:53 -s wlc -o\n"
		"-a -u [fd00::1]:53 -r [fd01::2]:5353 -m -w 1\n"
		"-A -f 7 -6 -s rr\n"
		"-a -f 7 -6 -r [fd01::2]:0 -m -w 5\n";
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&desired, "10.9.0.1", 80, "mh");
	struct ipvs_service_key mark = { .fwmark = 7, .family = AF_INET6 };
	struct ipvs_dest d = { .weight = 1, .port = 80, .forward = IPVS_FORWARD_ROUTE };

	s->flags = IPVS_SVC_PERSISTENT | IPVS_SVC_SCHED1 | IPVS_SVC_SCHED2;
	s->timeout_sec = 300;
	s->netmask = htonl(0xffffff00);
	assert_int_equal(addr_parse("10.1.0.3", &d.addr), 0);
	assert_non_null(ipvs_service_append(s, &d));
	assert_int_equal(addr_parse("10.1.0.2", &d.addr), 0);
	d.weight = 3;
	d.forward = IPVS_FORWARD_TUNNEL;
	d.tunnel = IPVS_TUNNEL_GRE;
	d.tunnel_flags = 1;
	assert_non_null(ipvs_service_append(s, &d));
	assert_int_equal(addr_parse("10.1.0.1", &d.addr), 0);
	d.tunnel = IPVS_TUNNEL_GUE;
	d.tunnel_port = 6080;
	d.upper_threshold = 20;
	d.lower_threshold = 10;
	assert_non_null(ipvs_service_append(s, &d));

	s = add_service(&desired, "fd00::1", 53, "wlc");
	s->key.protocol = IPPROTO_UDP;
	s->flags = IPVS_SVC_ONEPACKET;
	d = (struct ipvs_dest){ .weight = 1, .port = 5353 };
	assert_int_equal(addr_parse("fd01::2", &d.addr), 0);
	assert_non_null(ipvs_service_append(s, &d));
	s = ipvs_ruleset_append(&desired, &mark);
	assert_non_null(s);
	strcpy(s->scheduler, "rr");
	d.port = 0;
	d.weight = 5;
	assert_non_null(ipvs_service_append(s, &d));
	ipvs_ruleset_sort(&desired);

	assert_int_equal(ipvsadm_restore(lines), 0);
	dump(*state, &actual);
	assert_same("the kernel's table", &actual, &desired);
	assert_int_equal(reconcile(*state, &desired, &(struct plan_ownership){ 0 }), 0);
	assert_int_equal(channel_writes(*state), 0);
}

/* SET_SERVICE without an engine removes it. */
static void test_persistence_engine(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 5060, "rr");

	s->key.protocol = IPPROTO_UDP;
	s->flags = IPVS_SVC_PERSISTENT;
	s->timeout_sec = 60;
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;

		strcpy(s->pe, i ? "" : "sip");
		assert_int_equal(reconcile(*state, &r, &(struct plan_ownership){ 0 }), 1);
		dump(*state, &actual);
		assert_same("the kernel's table", &actual, &r);
		assert_ipvsadm_agrees(&r);
	}
}

/* A target that is an address of this host, and the keeper that has neither scheduler nor destination. */
static void test_local_and_keeper(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "wlc");
	struct ipvs_dest d = { .weight = 1, .port = 8080 };

	assert_int_equal(addr_parse("127.0.0.1", &d.addr), 0);
	assert_non_null(ipvs_service_append(s, &d));
	for (unsigned i = 0; i < 2; i++) {
		struct ipvs_service_key key = { .fwmark = IPVS_HOOK_KEEPER_MARK,
						.family = i ? AF_INET6 : AF_INET };

		s = ipvs_ruleset_append(&r, &key);
		assert_non_null(s);
		strcpy(s->scheduler, "none");
		s->netmask = i ? 128 : UINT32_MAX;
	}
	ipvs_ruleset_sort(&r);
	reconcile(*state, &r, &(struct plan_ownership){ 0 });
	dump(*state, &actual);
	assert_same("the kernel's table", &actual, &r);
	assert_ipvsadm_agrees(&r);
	assert_int_equal(reconcile(*state, &r, &(struct plan_ownership){ .exclusive = true }), 0);
	assert_int_equal(reconcile(*state, &(struct ipvs_ruleset){ 0 },
				   &(struct plan_ownership){ .exclusive = true }),
			 3);
}

static void test_timeouts_and_info(void **state)
{
	struct ipvs_timeouts t = { .tcp_sec = 777, .udp_sec = 33 }, got = { 0 };
	struct ipvs_info info = { 0 };

	assert_int_equal(channel_set_timeouts(*state, &t), 0);
	assert_int_equal(channel_get_timeouts(*state, &got), 0);
	assert_int_equal(got.tcp_sec, 777);
	assert_int_equal(got.tcp_fin_sec, 120); /* the kernel's default, left alone */
	assert_int_equal(got.udp_sec, 33);
	assert_int_equal(channel_get_info(*state, &info), 0);
	assert_int_equal(info.version, 0x010201);
	assert_true(info.conn_table_size >= 256);
	t.tcp_sec = UINT32_MAX;
	assert_int_equal(channel_set_timeouts(*state, &t), -EINVAL);
}

static char *bench_lines(const struct ipvs_ruleset *r)
{
	char *lines = NULL, key[ADDR_PORT_STR_MAX], dest[ADDR_PORT_STR_MAX];
	size_t len;
	FILE *f = open_memstream(&lines, &len);

	assert_non_null(f);
	for (size_t i = 0; i < r->n; i++) {
		const struct ipvs_service *s = &r->services[i];

		addr_port_format(&s->key.addr, s->key.port, key);
		fprintf(f, "-A -t %s -s %s\n", key, s->scheduler);
		for (size_t k = s->n_dests; k > 0; k--)
			fprintf(f, "-a -t %s -r %s -m -w %u\n", key,
				addr_port_format(&s->dests[k - 1].addr, s->dests[k - 1].port, dest),
				s->dests[k - 1].weight);
	}
	assert_int_equal(fclose(f), 0);
	return lines;
}

static void test_bench(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset nothing = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_free_ char *lines = NULL;
	struct plan_ownership all = { .exclusive = true };
	usec_t t[5];

	for (unsigned i = 0; i < BENCH_SERVICES; i++)
		add_dests(add_service(&r, "10.9.0.1", (uint16_t)(1000 + i), "wlc"), BENCH_DESTS);
	ipvs_ruleset_sort(&r);
	lines = bench_lines(&r);
	t[0] = clock_monotonic_usec();
	reconcile(*state, &r, &all);
	t[1] = clock_monotonic_usec();
	assert_int_equal(reconcile(*state, &r, &all), 0);
	t[2] = clock_monotonic_usec();
	dump(*state, &after);
	assert_same("the kernel's table", &after, &r);
	reconcile(*state, &nothing, &all);
	t[3] = clock_monotonic_usec();
	assert_int_equal(ipvsadm_restore(lines), 0);
	t[4] = clock_monotonic_usec();
	assert_int_equal(reconcile(*state, &r, &all), 0);
	print_message(
		"%u x %u: from empty %llu ms, no-op %llu ms, ipvsadm -R %llu ms, ratio %.3f\n",
		BENCH_SERVICES, BENCH_DESTS, (unsigned long long)(t[1] - t[0]) / 1000,
		(unsigned long long)(t[2] - t[1]) / 1000, (unsigned long long)(t[4] - t[3]) / 1000,
		(double)(t[1] - t[0]) / (double)(t[4] - t[3]));
	/* Far from the goal of 0.2, so that a busy machine does not fail it; one request per send would. */
	assert_true(t[1] - t[0] < (t[4] - t[3]) / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		channel_test(test_large),
		channel_test(test_adopt),
		channel_test(test_persistence_engine),
		channel_test(test_local_and_keeper),
		channel_test(test_timeouts_and_info),
		channel_test(test_random),
		channel_test(test_bench),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
