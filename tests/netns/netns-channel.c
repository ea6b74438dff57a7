/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Channel, codec and plan against the kernel's own IPVS, with ipvsadm as an independent reader. */

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ipvs/channel.h"
#include "ipvsadm.h"
#include "tests/random-ruleset.h"

enum {
	RANDOM_STEPS = 120,
	LARGE_DESTS = 2000,
	BENCH_SERVICES = 100,
	BENCH_DESTS = 100,
};

/* Before its first address a namespace has no local routing table, and the kernel refuses every destination. */
static int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
}

/* Each test has a network namespace of its own: an empty table. */
static int set_up(void **state)
{
	struct channel *c;

	if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0 || channel_open_kernel(&c) < 0)
		return -1;
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	channel_free(*state);
	return 0;
}

static void dump(struct channel *c, struct ipvs_ruleset *ret)
{
	*ret = IPVS_RULESET_INIT;
	assert_int_equal(channel_dump(c, ret), 0);
}

/* Applies the difference between the kernel's table and `desired`; everything must succeed. Returns the ops. */
static size_t reconcile(struct channel *c, const struct ipvs_ruleset *desired,
			const struct plan_ownership *owned)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	size_t failed = SIZE_MAX;

	dump(c, &actual);
	assert_int_equal(plan_compute(&actual, desired, owned, &p), 0);
	results = calloc(p.n + 1, sizeof(*results));
	assert_non_null(results);
	assert_int_equal(channel_apply(c, &p, results, &failed), 0);
	for (size_t i = 0, shown = 0; failed && i < p.n && shown < 10; i++) {
		_cleanup_free_ char *text = plan_op_describe(&p.ops[i]);

		if (results[i].error && ++shown)
			print_error("%s: %s\n", text, strerror(-results[i].error));
	}
	assert_int_equal(failed, 0);
	return p.n;
}

static void assert_same(const char *what, const struct ipvs_ruleset *got,
			const struct ipvs_ruleset *expected)
{
	if (same_ruleset(got, expected))
		return;
	print_ruleset(what, got);
	print_ruleset("expected", expected);
	fail_msg("%s differs", what);
}

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

static struct ipvs_service *add_service(struct ipvs_ruleset *r, const char *address, uint16_t port,
					const char *scheduler)
{
	struct ipvs_service_key key = { .protocol = IPPROTO_TCP, .port = port };
	struct ipvs_service *s;

	assert_int_equal(addr_parse(address, &key.addr), 0);
	key.family = key.addr.family;
	s = ipvs_ruleset_append(r, &key);
	assert_non_null(s);
	strcpy(s->scheduler, scheduler);
	s->netmask = key.family == AF_INET6 ? 128 : UINT32_MAX;
	return s;
}

static void add_dests(struct ipvs_service *s, unsigned n)
{
	for (unsigned i = n; i > 0; i--) {
		struct ipvs_dest d = { .port = 8080, .weight = i };

		d.addr.family = AF_INET;
		d.addr.bytes[0] = 10;
		d.addr.bytes[1] = 1;
		d.addr.bytes[2] = (uint8_t)(i >> 8);
		d.addr.bytes[3] = (uint8_t)i;
		assert_non_null(ipvs_service_append(s, &d));
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

/* Bad requests among good ones, in one batch: each error belongs to its own request, the others are done. */
static void test_errors(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "rr");
	struct plan_op ops[10] = { 0 };
	struct plan p = { .ops = ops, .n = ARRAY_SIZE(ops) };
	struct channel_result results[ARRAY_SIZE(ops)];
	const int expected[] = { 0,	 0,	  -EEXIST, -ENOENT, -ENOENT,
				 -ESRCH, -ERANGE, -EINVAL, -EEXIST, 0 };
	size_t failed = 0;

	add_dests(s, 2);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		ops[i] = (struct plan_op){ .kind = PLAN_DEST_NEW,
					   .service = *s,
					   .dest = s->dests[0] };
	ops[0].kind = PLAN_SERVICE_NEW;
	ops[3].kind = PLAN_DEST_SET;
	ops[3].dest.port = 1;
	ops[4].kind = PLAN_DEST_DEL;
	ops[4].dest.port = 1;
	ops[5].service.key.port = 81;
	ops[6].dest.port = 2;
	ops[6].dest.upper_threshold = 1;
	ops[6].dest.lower_threshold = 2;
	ops[7].dest.port = 3;
	ops[7].dest.forward = IPVS_FORWARD_TUNNEL;
	ops[7].dest.tunnel = IPVS_TUNNEL_GUE;
	ops[8].kind = PLAN_SERVICE_NEW;
	ops[9].dest = s->dests[1];
	assert_int_equal(channel_apply(*state, &p, results, &failed), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		assert_int_equal(results[i].error, expected[i]);
	assert_int_equal(failed, 7);
	dump(*state, &after);
	assert_int_equal(after.n, 1);
	assert_int_equal(after.services[0].n_dests, 2);
	assert_int_equal(channel_writes(*state), ARRAY_SIZE(ops));
}

static void test_missing_scheduler(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	struct channel_result results[3];
	size_t failed = 0;

	add_service(&r, "10.9.0.1", 80, "rr");
	add_service(&r, "10.9.0.1", 81, "nosuch");
	add_service(&r, "10.9.0.1", 82, "rr");
	assert_int_equal(plan_compute(&(struct ipvs_ruleset){ 0 }, &r,
				      &(struct plan_ownership){ 0 }, &p),
			 0);
	assert_int_equal(p.n, 3);
	assert_int_equal(channel_apply(*state, &p, results, &failed), 0);
	assert_int_equal(failed, 1);
	assert_int_equal(results[0].error, 0);
	assert_int_equal(results[1].error, -ENOENT);
	assert_int_equal(results[2].error, 0);
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

/* Root without CAP_NET_ADMIN is nobody here; so is any other user. */
static int unprivileged(void)
{
	struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_info info;
	struct channel *c;

	if (setresuid(65534, 65534, 65534) < 0)
		return 1;
	if (channel_open_kernel(&c) != 0)
		return 2;
	if (channel_dump(c, &r) != -EPERM || channel_get_info(c, &info) != -EPERM)
		return 3;
	channel_free(c);
	return 0;
}

static void test_unprivileged(void **state)
{
	pid_t pid = fork();
	int status = -1;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(unprivileged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Somebody else changes the table during our dumps: a dump is whole or refused, and never has a key twice. */
static void test_concurrent_writer(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	unsigned whole = 0;
	int status;
	pid_t pid;

	add_dests(add_service(&r, "10.9.0.1", 80, "rr"), 300);
	add_service(&r, "10.9.0.1", 81, "rr");
	reconcile(*state, &r, &(struct plan_ownership){ 0 });
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct ipvs_service *s = &r.services[0];
		struct plan_op ops[2] = {
			{ .kind = PLAN_DEST_DEL, .service = *s, .dest = s->dests[0] },
			{ .kind = PLAN_DEST_NEW, .service = *s, .dest = s->dests[0] },
		};
		struct plan p = { .ops = ops, .n = 2 };
		struct channel_result results[2];
		struct channel *mine;
		size_t failed = 0;

		if (channel_open_kernel(&mine) < 0)
			_exit(1);
		for (unsigned i = 0; i < 2000 && failed == 0; i++)
			if (channel_apply(mine, &p, results, &failed) < 0)
				_exit(2);
		_exit(failed != 0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset seen = IPVS_RULESET_INIT;
		int e = channel_dump(*state, &seen);

		if (e == -EAGAIN)
			continue;
		assert_int_equal(e, 0);
		assert_int_equal(seen.n, 2);
		for (size_t i = 1; i < seen.services[0].n_dests; i++)
			for (size_t k = 0; k < i; k++)
				assert_int_not_equal(ipvs_dest_key_cmp(&seen.services[0].dests[i],
								       &seen.services[0].dests[k]),
						     0);
		whole++;
	}
	assert_int_equal(status, 0);
	assert_true(whole > 0);
	assert_int_equal(reconcile(*state, &r, &(struct plan_ownership){ 0 }), 0);
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

/* ip_vs unloaded and loaded again: the family has another number, and the channel finds it. */
static void test_module_reload(void **state)
{
	struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_info info;

	if (system("modprobe -qr $(lsmod | sed -n 's/^\\(ip_vs_[a-z]*\\) .*/\\1/p') ip_vs") != 0) {
		print_message("ip_vs is in use or built in\n");
		skip();
	}
	assert_int_equal(channel_get_info(*state, &info), -ENOENT);
	dump(*state, &r);
	assert_int_equal(r.n, 0);
	assert_int_equal(channel_get_info(*state, &info), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_scheduler, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_adopt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_local_and_keeper, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_timeouts_and_info, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unprivileged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_concurrent_writer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bench, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_module_reload, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
