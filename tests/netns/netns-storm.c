/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * 1,000 reloads with random changes: what the kernel has in the end is what the last file says; the probes of
 * targets that stay are neither lost nor started anew; memory does not grow. $IPVSD_TEST_SEED repeats a run.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/addr.h"
#include "tests/lab/fixture.h"

enum {
	RELOADS = 1000,
	WARM_UP = 200, /* allocators and lists have their size by then */
	LISTENERS = 6,
	TARGETS = 12, /* the first is always there and is probed */
	RSS_GROWTH_MAX_KIB = 1024,
};

/* What a random file says: weights by target, 0 = not in it. Group of the probed target: always listener 0. */
struct random_conf {
	unsigned weights[LISTENERS][TARGETS];
	bool present[LISTENERS];
};

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

/* One to four changes. */
static void mutate(struct random_conf *c, unsigned *seed)
{
	for (int n = 1 + rand_r(seed) % 4; n > 0; n--) {
		int l = rand_r(seed) % LISTENERS, t = 1 + rand_r(seed) % (TARGETS - 1);

		switch (rand_r(seed) % 4) {
		case 0:
			if (l > 0)
				c->present[l] = !c->present[l];
			break;
		case 1:
			c->weights[l][t] = 0;
			break;
		default:
			c->weights[l][t] = 1 + (unsigned)rand_r(seed) % 50;
		}
	}
}

static void write_conf(const struct random_conf *c)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	(void)fputs(LAB_CONF_GLOBAL "log-level = warning\n", stream);
	for (int l = 0; l < LISTENERS; l++) {
		if (!c->present[l])
			continue;
		(void)fprintf(stream,
			      "[listener l%d]\naddress = " LAB_VIP "\nport = %d\nforward = g%d\n"
			      "[target-group g%d]\nderegistration-delay = 0s\n"
			      "deregistration-delay-connection-termination = yes\n%s"
			      "targets = 10.0.1.10:8080 weight=5\n",
			      l, 80 + l, l, l,
			      l == 0 ? FIXTURE_CHECKS : "health-check-protocol = none\n");
		for (int t = 1; t < TARGETS && l > 0; t++)
			if (c->weights[l][t] > 0)
				(void)fprintf(stream, "  10.0.2.%d:8080 weight=%u\n", 100 + t,
					      c->weights[l][t]);
	}
	assert_int_equal(fclose(stream), 0);
	assert_int_equal(gateway_configure(f.gateway, "%s", text), 0);
}

/* Does the kernel have exactly this? */
static void assert_service(const struct ipvs_ruleset *table, const struct random_conf *c, int l)
{
	struct ipvs_service_key key = { .family = AF_INET,
					.protocol = IPPROTO_TCP,
					.port = (uint16_t)(80 + l) };
	const struct ipvs_service *service;
	size_t expected = 1;
	char text[32];
	struct addr addr;

	assert_int_equal(addr_parse(LAB_VIP, &key.addr), 0);
	service = ipvs_ruleset_find(table, &key);
	if (!c->present[l]) {
		assert_null(service);
		return;
	}
	assert_non_null(service);
	for (int t = 1; t < TARGETS && l > 0; t++) {
		const struct ipvs_dest *dest;

		(void)snprintf(text, sizeof(text), "10.0.2.%d", 100 + t);
		assert_int_equal(addr_parse(text, &addr), 0);
		dest = ipvs_service_find(service, &addr, 8080);
		if (c->weights[l][t] == 0) {
			assert_null(dest);
			continue;
		}
		assert_non_null(dest);
		assert_int_equal(dest->weight, c->weights[l][t]);
		expected++;
	}
	assert_int_equal(service->n_dests, expected);
}

static void assert_table(const struct random_conf *c)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset table = IPVS_RULESET_INIT;

	assert_int_equal(gateway_table(f.gateway, &table), 0);
	for (int l = 0; l < LISTENERS; l++)
		assert_service(&table, c, l);
}

/* The server answers 200 and 500 in turn; thresholds of 2 are never reached unless results are lost or made up. */
static void alternate_health(uint64_t *seen)
{
	uint64_t n = atomic_load(&f.servers[0].page->n_probes);

	if (n == *seen)
		return;
	*seen = n;
	lab_server_order_health(&f.servers[0], n % 2 == 0 ? 200 : 500);
}

static void test_storm(void **state)
{
	const char *text = getenv("IPVSD_TEST_SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : 20260102;
	struct random_conf c = { .present = { true, true } };
	uint64_t first, seen = 0, due, rss = 0, worst;
	usec_t start;

	(void)state;
	print_message("# seed %u\n", seed);
	write_conf(&c);
	fixture_start(&f, "g0");
	start = clock_monotonic_usec();
	first = atomic_load(&f.servers[0].page->n_probes);
	for (int i = 0; i < RELOADS; i++) {
		int status;

		mutate(&c, &seed);
		write_conf(&c);
		status = gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL);
		if (status != 200) {
			gateway_print_log(f.gateway);
			fail_msg("reload %d: status %d", i, status);
		}
		alternate_health(&seen);
		if (i % 50 == 0) {
			lab_sleep(1100 * USEC_PER_MSEC /
				  50); /* drains of 0 s end at the next look */
			print_message("# %d reloads, %lu KiB\n", i,
				      (unsigned long)gateway_rss_kib(f.gateway));
		}
		if (i == WARM_UP)
			rss = gateway_rss_kib(f.gateway);
	}
	due = (clock_monotonic_usec() - start) / FIXTURE_INTERVAL_USEC;
	seen = atomic_load(&f.servers[0].page->n_probes) - first;
	worst = gateway_rss_kib(f.gateway);
	print_message("# %d reloads in %lu ms; %lu probes, %lu due; %lu KiB, then %lu KiB\n",
		      RELOADS, (unsigned long)((clock_monotonic_usec() - start) / USEC_PER_MSEC),
		      (unsigned long)seen, (unsigned long)due, (unsigned long)rss,
		      (unsigned long)worst);
	lab_sleep(2500 * USEC_PER_MSEC);
	assert_table(&c);
	assert_in_range(seen, due > 3 ? due - 3 : 0, due + 2);
	assert_true(worst <= rss + RSS_GROWTH_MAX_KIB);
	/* No two failures came in a row, so nothing may have become unhealthy. */
	assert_false(gateway_log_has(f.gateway, "unhealthy"));
	/* With AddressSanitizer a leak makes another status of it. */
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
