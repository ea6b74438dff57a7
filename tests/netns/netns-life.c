/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What people see of a target's life in the kernel: slow start, zones, what becomes of connections, fail-open. The
 * rules themselves are tests/test-life.c's, on a simulated clock.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"
#include "tests/netns/flap.h"

#define A1 "10.0.1.10"
#define B1 "10.0.2.10"
#define CHECKS                                                                                     \
	"health-check-protocol = http\nhealth-check-path = /healthz\nhealth-check-port = 8080\n"   \
	"health-check-interval = 400ms\nhealth-check-timeout = 200ms\nmatcher = 200-299\n"         \
	"healthy-threshold = 2\nunhealthy-threshold = 2\n"

enum {
	FLAPPING = 100,
	ECHO_CONNECTIONS = 4, /* two on each target, by round robin */
};

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	if (!f.lab)
		fixture_init(&f, 1, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

/* blue on port 80 and echo on port 7, checked alike. */
static void configure(const char *global, const char *group)
{
	assert_int_equal(gateway_configure(f.gateway,
					   LAB_CONF_GLOBAL
					   "%s" FIXTURE_LISTENERS "[target-group blue]\n"
					   "targets = " A1 ":8080 zone=a " B1 ":8080 zone=b\n"
					   "algorithm = round-robin\n" CHECKS "%s"
					   "[target-group echo]\n"
					   "targets = " A1 ":7 zone=a " B1 ":7 zone=b\n"
					   "algorithm = round-robin\n" CHECKS "%s",
					   global, group, group),
			 0);
}

static void reload(void)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	fixture_reload(&f, 0, &result);
}

/* All is well under this configuration. The lab and the daemon serve one test after the other. */
static void begin(const char *global, const char *group)
{
	configure(global, group);
	for (size_t i = 0; i < 2; i++)
		lab_server_order_health(&f.servers[i], 0);
	if (gateway_running(f.gateway))
		reload();
	else
		assert_int_equal(gateway_start(f.gateway), 0);
	fixture_wait_healthy(&f, "blue");
	fixture_wait_healthy(&f, "echo");
}

/* Healthy targets get their weight a moment later. */
static bool both_up(void *userdata)
{
	(void)userdata;
	for (unsigned i = 0; i < 2; i++)
		if (gateway_weight(f.gateway, LAB_VIP, i ? 7 : 80, A1) != 100 ||
		    gateway_weight(f.gateway, LAB_VIP, i ? 7 : 80, B1) != 100)
			return false;
	return true;
}

/* Founders begin with their whole weight; one that comes back grows in a line. */
static void test_slow_start(void **state)
{
	int64_t weight = 0, before = 0;
	unsigned steps = 0;
	usec_t from, half = 0, end;

	(void)state;
	begin("", "slow-start = 3s\nunhealthy-connection-termination = no\n");
	fixture_wait_weight(&f, A1, 100);
	fixture_wait_weight(&f, B1, 100);
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_weight(&f, A1, 0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 100);
	lab_server_order_health(&f.servers[0], 0);
	end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	while (weight == 0 && clock_monotonic_usec() < end)
		weight = gateway_weight(f.gateway, LAB_VIP, 80, A1);
	from = clock_monotonic_usec();
	assert_in_range(weight, 1, 20); /* the machine may have stood still for a moment */
	while (weight < 100 && clock_monotonic_usec() < end) {
		before = weight;
		weight = gateway_weight(f.gateway, LAB_VIP, 80, A1);
		assert_true(weight >= before);
		steps += weight > before;
		if (!half && weight >= 50)
			half = clock_monotonic_usec();
		assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 100);
		lab_sleep(10 * USEC_PER_MSEC);
	}
	print_message("# %u steps, half the weight after %lu ms, the whole after %lu ms\n", steps,
		      (unsigned long)((half - from) / USEC_PER_MSEC),
		      (unsigned long)((clock_monotonic_usec() - from) / USEC_PER_MSEC));
	assert_int_equal(weight, 100);
	assert_true(clock_monotonic_usec() - from >= 2300 * USEC_PER_MSEC);
	assert_true(steps >= 8);
	assert_true(gateway_log_has(f.gateway, "(slow start)"));
}

/* A restart in the middle of it goes on where it was. */
static void test_slow_start_survives(void **state)
{
	int64_t before = 0, after;
	usec_t end;

	(void)state;
	begin("", "slow-start = 20s\nunhealthy-connection-termination = no\n");
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_weight(&f, A1, 0);
	lab_server_order_health(&f.servers[0], 0);
	end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	while (before < 10 && clock_monotonic_usec() < end) /* it is not 10 for long */
		before = gateway_weight(f.gateway, LAB_VIP, 80, A1);
	assert_in_range(before, 10, 90);
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	before = gateway_weight(f.gateway, LAB_VIP, 80, A1);
	assert_int_equal(gateway_start(f.gateway), 0);
	after = gateway_weight(f.gateway, LAB_VIP, 80, A1);
	print_message("# weight %ld before, %ld after the restart\n", (long)before, (long)after);
	assert_true(after >= before && after < 100);
}

static void set_clock(time_t by_sec)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	now.tv_sec += by_sec;
	assert_int_equal(clock_settime(CLOCK_REALTIME, &now), 0);
}

static bool ramps(void *userdata)
{
	int64_t *weight = userdata;

	*weight = gateway_weight(f.gateway, LAB_VIP, 80, A1);
	return *weight >= 2;
}

/* Nor does a clock that is set change it, long before the daemon looks whether it was. */
static void test_slow_start_and_the_clock(void **state)
{
	static const time_t steps[] = { 3600, -3600 };
	char host[16] = { 0 };
	int64_t before, weight;

	(void)state;
	/* A clock that is nobody else's: tests/guest/stage2. */
	if (gethostname(host, sizeof(host) - 1) < 0 || strcmp(host, "guest") != 0)
		skip();
	begin("reconcile-interval = 1h\n",
	      "slow-start = 100s\nunhealthy-connection-termination = no\n");
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_weight(&f, A1, 0);
	lab_server_order_health(&f.servers[0], 0);
	assert_int_equal(lab_wait_until(ramps, &before, FIXTURE_SOON_USEC), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		set_clock(steps[i]);
		lab_sleep(2 * USEC_PER_SEC);
		weight = gateway_weight(f.gateway, LAB_VIP, 80, A1);
		set_clock(-steps[i]);
		print_message("# weight %ld before, %ld with the clock set\n", (long)before,
			      (long)weight);
		assert_in_range(weight, before, 90);
		before = weight;
	}
}

/* client-routing-policy and cross-zone on the gateway of zone a. */
static void test_zones(void **state)
{
	char name[LAB_TARGET_MAX];

	(void)state;
	begin("zone = a\nclient-routing-policy = availability-zone-affinity\n", "");
	fixture_wait_weight(&f, B1, 0);
	for (int i = 0; i < 4; i++)
		assert_string_equal(fixture_get(&f, "/", name), "a1");
	/* Nobody is well at home: the others serve. */
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_weight(&f, B1, 100);
	fixture_wait_weight(&f, A1, -ENOENT);
	assert_string_equal(fixture_get(&f, "/", name), "b1");
	lab_server_order_health(&f.servers[0], 0);
	fixture_wait_weight(&f, B1, 0);

	/* 85 % at home and 15 % by weight: 100 to 15 / (15 + 2 x 85). */
	configure("zone = a\nclient-routing-policy = partial-availability-zone-affinity\n", "");
	reload();
	fixture_wait_weight(&f, A1, 1000);
	fixture_wait_weight(&f, B1, 81);

	/* Without cross-zone the zone fails open by itself. */
	configure("zone = a\ncross-zone = no\n", "");
	reload();
	fixture_wait_weight(&f, A1, 100);
	fixture_wait_weight(&f, B1, 0);
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_state(&f, "blue", A1, "unhealthy");
	fixture_wait_weight(&f, A1, 100);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 0);
	assert_string_equal(fixture_get(&f, "/", name), "a1");
}

/* The connections of the one that fails end; when all fail, nobody's do, and all are back. */
static void test_termination(void **state)
{
	struct lab_echo_result echoed;
	struct lab_echo *echo;

	(void)state;
	begin("", ""); /* the default, as with AWS */
	assert_int_equal(lab_wait_until(both_up, NULL, FIXTURE_SOON_USEC), 0);
	echo = fixture_echo(&f, ECHO_CONNECTIONS);
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_weight(&f, A1, -ENOENT);
	assert_true(gateway_log_has(f.gateway, "its connections end"));
	lab_sleep(USEC_PER_SEC);
	lab_server_order_health(&f.servers[1], 500);
	fixture_wait_weight(&f, A1, 100); /* fail open */
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 100);
	lab_sleep(500 * USEC_PER_MSEC);
	echoed = lab_echo_stop(echo);
	print_message("# %u of %u connections broken\n", echoed.broken, echoed.connected);
	assert_int_equal(echoed.connected, ECHO_CONNECTIONS);
	assert_int_equal(echoed.broken, ECHO_CONNECTIONS / 2);
}

static bool echo_has_nothing(void *userdata)
{
	(void)userdata;
	return gateway_weight(f.gateway, LAB_VIP, 7, A1) == 0;
}

static bool echo_is_gone(void *userdata)
{
	(void)userdata;
	return gateway_weight(f.gateway, LAB_VIP, 7, A1) == -ENOENT;
}

/* A reload that asks for it ends those of a target that is unhealthy already. */
static void test_termination_from_now_on(void **state)
{
	struct lab_echo_result echoed;
	struct lab_echo *echo;

	(void)state;
	begin("", "unhealthy-connection-termination = no\n");
	assert_int_equal(lab_wait_until(both_up, NULL, FIXTURE_SOON_USEC), 0);
	echo = fixture_echo(&f, ECHO_CONNECTIONS);
	lab_server_order_health(&f.servers[0], 500);
	assert_int_equal(lab_wait_until(echo_has_nothing, NULL, FIXTURE_SOON_USEC), 0);
	configure("", "");
	reload();
	assert_int_equal(lab_wait_until(echo_is_gone, NULL, FIXTURE_SOON_USEC), 0);
	lab_sleep(500 * USEC_PER_MSEC);
	echoed = lab_echo_stop(echo);
	assert_int_equal(echoed.broken, ECHO_CONNECTIONS / 2);
}

/* unhealthy.draining keeps them for its interval. */
static void test_unhealthy_draining(void **state)
{
	char buf[FIXTURE_STATE_MAX];
	struct lab_echo_result echoed;
	struct lab_echo *echo;
	usec_t at;

	(void)state;
	begin("", "unhealthy-connection-termination = no\nunhealthy-draining-interval = 2s\n");
	assert_int_equal(lab_wait_until(both_up, NULL, FIXTURE_SOON_USEC), 0);
	echo = fixture_echo(&f, ECHO_CONNECTIONS);
	lab_server_order_health(&f.servers[0], 500);
	fixture_wait_weight(&f, A1, 0);
	at = clock_monotonic_usec();
	assert_string_equal(fixture_state(&f, "blue", A1, buf), "unhealthy.draining");
	fixture_wait_weight(&f, A1, -ENOENT);
	assert_true(clock_monotonic_usec() - at >= 1800 * USEC_PER_MSEC);
	assert_string_equal(fixture_state(&f, "blue", A1, buf), "unhealthy");
	lab_sleep(USEC_PER_SEC);
	echoed = lab_echo_stop(echo);
	assert_int_equal(echoed.broken, ECHO_CONNECTIONS / 2);
}

/* Connections go on while the target that drains is healthy. */
static void test_a_drain_ends_with_health(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	char buf[FIXTURE_STATE_MAX];
	struct lab_echo_result echoed;
	struct lab_echo *echo;

	(void)state;
	begin("", "deregistration-delay = 1h\n");
	assert_int_equal(lab_wait_until(both_up, NULL, FIXTURE_SOON_USEC), 0);
	echo = fixture_echo(&f, ECHO_CONNECTIONS);
	assert_int_equal(gateway_command(f.gateway, &result, "deregister", "--socket",
					 LAB_CONTROL_SOCKET, "echo", A1 ":7", NULL),
			 0);
	assert_int_equal(result.status, 0);
	lab_sleep(USEC_PER_SEC + 500 * USEC_PER_MSEC);
	assert_string_equal(fixture_state(&f, "echo", A1, buf), "draining");
	lab_server_order_health(&f.servers[0], 500);
	if (lab_wait_until(echo_is_gone, NULL, FIXTURE_SOON_USEC) < 0) {
		gateway_print_log(f.gateway);
		fail_msg("it still has its connections");
	}
	assert_true(gateway_log_has(f.gateway, "draining, weight 0, its connections end"));
	lab_sleep(500 * USEC_PER_MSEC);
	echoed = lab_echo_stop(echo);
	assert_int_equal(echoed.broken, ECHO_CONNECTIONS / 2);
	lab_result_deinit(&result);
	assert_int_equal(gateway_command(f.gateway, &result, "register", "--socket",
					 LAB_CONTROL_SOCKET, "echo", A1 ":7", NULL),
			 0);
	assert_int_equal(result.status, 0);
}

/* deregistration_delay.connection_termination.enabled, off as with AWS: connections outlive the delay, then on. */
static void test_beyond_the_delay(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	struct lab_echo_result echoed;
	struct lab_echo *echo;

	(void)state;
	begin("", "deregistration-delay = 1s\n");
	assert_int_equal(lab_wait_until(both_up, NULL, FIXTURE_SOON_USEC), 0);
	echo = fixture_echo(&f, ECHO_CONNECTIONS);
	assert_int_equal(gateway_command(f.gateway, &result, "deregister", "--socket",
					 LAB_CONTROL_SOCKET, "echo", A1 ":7", NULL),
			 0);
	assert_int_equal(result.status, 0);
	lab_sleep(4 * USEC_PER_SEC);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 7, A1), 0);
	/* Nor does a restart end them. */
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 7, A1), 0);
	lab_sleep(500 * USEC_PER_MSEC);
	echoed = lab_echo_stop(echo);
	assert_int_equal(echoed.broken, 0);
}

/* The short form of bench-flap: after a storm the kernel's table is what the targets are. */
static void test_flapping(void **state)
{
	struct flap *x;
	usec_t settled;

	(void)state;
	x = flap_new(&f, FLAPPING, USEC_PER_SEC);
	flap_run(x, 3 * USEC_PER_SEC);
	settled = flap_settle(x, 2 * FIXTURE_SOON_USEC);
	if (settled == USEC_NEVER)
		gateway_print_log(f.gateway);
	print_message("# %u changes of %d targets, settled after %lu ms\n", flap_changes(x),
		      FLAPPING, (unsigned long)(settled / USEC_PER_MSEC));
	assert_true(settled != USEC_NEVER);
	flap_free(x);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_slow_start, set_up),
		cmocka_unit_test_setup(test_slow_start_survives, set_up),
		cmocka_unit_test_setup(test_slow_start_and_the_clock, set_up),
		cmocka_unit_test_setup(test_zones, set_up),
		cmocka_unit_test_setup(test_termination, set_up),
		cmocka_unit_test_setup(test_termination_from_now_on, set_up),
		cmocka_unit_test_setup(test_unhealthy_draining, set_up),
		cmocka_unit_test_setup(test_a_drain_ends_with_health, set_up),
		cmocka_unit_test_setup_teardown(test_beyond_the_delay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flapping, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
