/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A target fails under load: requests fail only between the fault and weight 0, and weight 0 comes within interval x
 * unhealthy-threshold + timeout + 100 ms. IPv4 and IPv6 at the same time.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

enum {
	RATE = 200,
	RATE6 = 50,
};

static const char conf[] = LAB_CONF_GLOBAL
	"[listener web]\naddress = " LAB_VIP "\nport = 80\nforward = blue\n"
	"[listener web6]\naddress = " LAB_VIP6 "\nport = 80\nforward = blue6\n"
	"[target-group blue]\ntargets = 10.0.1.10:8080 zone=a weight=1\n 10.0.2.10:8080 zone=b "
	"weight=1\n" FIXTURE_CHECKS
	"[target-group blue6]\ntargets = [2001:db8:0:1::10]:8080 zone=a weight=1\n"
	" [2001:db8:0:2::10]:8080 zone=b weight=1\n" FIXTURE_CHECKS;

struct side {
	const char *group, *vip, *targets[2];
	struct lab_load *load;
	usec_t down_usec;
};

static struct fixture f;
static struct side sides[] = {
	{ .group = "blue", .vip = LAB_VIP, .targets = { "10.0.1.10", "10.0.2.10" } },
	{ .group = "blue6",
	  .vip = LAB_VIP6,
	  .targets = { "2001:db8:0:1::10", "2001:db8:0:2::10" } },
};

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	assert_int_equal(gateway_configure(f.gateway, "%s", conf), 0);
	fixture_start(&f, "blue");
	fixture_wait_healthy(&f, "blue6");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		lab_load_free(sides[i].load);
		sides[i].load = NULL;
	}
	fixture_deinit(&f);
	return 0;
}

/* Both sides to weight 0 for target 0; the times are when it was seen. */
static void wait_both_down(void)
{
	usec_t end = clock_monotonic_usec() + 5 * USEC_PER_SEC;

	sides[0].down_usec = sides[1].down_usec = 0;
	while (sides[0].down_usec == 0 || sides[1].down_usec == 0) {
		usec_t now = clock_monotonic_usec();

		for (size_t i = 0; i < 2; i++)
			if (sides[i].down_usec == 0 &&
			    gateway_weight(f.gateway, sides[i].vip, 80, sides[i].targets[0]) == 0)
				sides[i].down_usec = clock_monotonic_usec();
		if (now > end) {
			gateway_print_log(f.gateway);
			fail_msg("the weight did not become 0");
		}
		lab_sleep(2 * USEC_PER_MSEC);
	}
}

static void check_side(const struct side *s, usec_t start, usec_t fault)
{
	struct lab_load_summary sum = lab_load_summarize(s->load, start, fault);

	print_message("# %s: weight 0 after %lu ms (at most %lu)\n", s->vip,
		      (unsigned long)((s->down_usec - fault) / USEC_PER_MSEC),
		      (unsigned long)(FIXTURE_DETECTION_USEC / USEC_PER_MSEC));
	assert_true(sum.requests > 0);
	sum = lab_load_summarize(s->load, fault, s->down_usec);
	print_message("# %s: %zu of %zu requests failed until then\n", s->vip, sum.failed,
		      sum.requests);
	assert_true(sum.failed > 0);
	sum = lab_load_summarize(s->load, s->down_usec, USEC_NEVER);
	assert_true(sum.requests > 0);
	assert_int_equal(lab_load_failed_outside(s->load, fault, s->down_usec), 0);
	assert_true(s->down_usec - fault <= FIXTURE_DETECTION_USEC);
}

static void fail_and_recover(void (*fault)(void), void (*repair)(void))
{
	usec_t start = clock_monotonic_usec(), at;

	sides[0].load = fixture_load(&f, LAB_VIP, RATE, 2 * USEC_PER_SEC);
	sides[1].load = fixture_load(&f, LAB_VIP6, RATE6, 2 * USEC_PER_SEC);
	lab_sleep(500 * USEC_PER_MSEC);
	at = clock_monotonic_usec();
	fault();
	wait_both_down();
	lab_sleep(500 * USEC_PER_MSEC);
	for (size_t i = 0; i < 2; i++)
		lab_load_stop(sides[i].load);
	for (size_t i = 0; i < 2; i++)
		check_side(&sides[i], start, at);

	at = clock_monotonic_usec();
	repair();
	for (size_t i = 0; i < 2; i++) {
		usec_t up = gateway_wait_weight(f.gateway, sides[i].vip, sides[i].targets[0], 1,
						5 * USEC_PER_SEC);

		assert_true(up != USEC_NEVER);
		print_message("# %s: weight 1 after %lu ms\n", sides[i].vip,
			      (unsigned long)((up - at) / USEC_PER_MSEC));
		/* One interval until the first good probe, healthy-threshold 2, and the delay of ups. */
		assert_true(up - at < 2 * FIXTURE_INTERVAL_USEC + 700 * USEC_PER_MSEC);
	}
}

static void kill_server(void)
{
	lab_server_kill(&f.servers[0]);
}

static void restart_server(void)
{
	assert_int_equal(lab_server_restart(&f.servers[0]), 0);
}

static void hang_server(void)
{
	assert_int_equal(lab_server_order(&f.servers[0], SERVER_HANG, 0), 0);
}

static void break_server(void)
{
	assert_int_equal(lab_server_order(&f.servers[0], SERVER_ANSWER, 503), 0);
}

static void heal_server(void)
{
	assert_int_equal(lab_server_order(&f.servers[0], SERVER_ANSWER, 200), 0);
}

static void test_kill(void **state)
{
	char name[LAB_TARGET_MAX];

	(void)state;
	fail_and_recover(kill_server, restart_server);
	/* Traffic is back on it, too. */
	for (int i = 0; i < 4; i++)
		if (strcmp(fixture_get(&f, "/", name), "a1") == 0)
			return;
	fail_msg("a1 gets no traffic");
}

static void test_hang(void **state)
{
	(void)state;
	fail_and_recover(hang_server, heal_server);
}

static void test_503(void **state)
{
	(void)state;
	fail_and_recover(break_server, heal_server);
}

/* Nothing is healthy: everything gets traffic, since the checks may be what is wrong. */
static void test_fail_open(void **state)
{
	char name[LAB_TARGET_MAX];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		lab_server_order_health(&f.servers[i], 500);
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		for (size_t k = 0; k < 2; k++)
			fixture_wait_state(&f, sides[i].group, sides[i].targets[k], "unhealthy");
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		for (size_t k = 0; k < 2; k++)
			assert_true(gateway_wait_weight(f.gateway, sides[i].vip,
							sides[i].targets[k], 1,
							FIXTURE_SOON_USEC) != USEC_NEVER);
	assert_true(gateway_log_has(f.gateway, "fails open"));
	(void)fixture_get(&f, "/", name);

	/* One is healthy again: it gets all. */
	lab_server_order_health(&f.servers[1], 0);
	assert_true(gateway_wait_weight(f.gateway, LAB_VIP, "10.0.1.10", 0, FIXTURE_SOON_USEC) !=
		    USEC_NEVER);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, "10.0.2.10"), 1);
	for (int i = 0; i < 4; i++)
		assert_string_equal(fixture_get(&f, "/", name), "b1");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hang, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_503, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fail_open, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
