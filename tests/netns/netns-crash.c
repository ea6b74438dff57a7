/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SIGKILL of the daemon at random moments, under load and during reloads: no established connection is lost, no
 * request fails, and after each start the kernel has what the configuration says. $IPVSD_TEST_SEED repeats a run.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

enum {
	KILLS = 50,
	ECHO_CONNECTIONS = 20,
	RATE = 100,
	MANY = 40,
	DELAY_MAX_USEC = 150000,
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

/* Weights are what the kills' reloads change; both stay above 0, so that no request may fail. */
static void configure(unsigned weight_a, unsigned weight_b)
{
	assert_int_equal(
		gateway_configure(f.gateway,
				  LAB_CONF_GLOBAL FIXTURE_LISTENERS
				  "[target-group blue]\ntargets = 10.0.1.10:8080 weight=%u\n"
				  " 10.0.2.10:8080 weight=%u\n" FIXTURE_CHECKS
				  "[target-group echo]\ntargets = 10.0.1.10:7 weight=1\n"
				  " 10.0.2.10:7 weight=1\nhealth-check-protocol = none\n",
				  weight_a, weight_b),
		0);
}

/* A POST of the reload whose answer nobody awaits: the kill comes in between. */
static int send_reload(void)
{
	static const struct sockaddr_un sun = { .sun_family = AF_UNIX,
						.sun_path = LAB_CONTROL_SOCKET };
	static const char request[] =
		"POST /v1/reload HTTP/1.1\r\nHost: ipvsd\r\nContent-Length: 0\r\n\r\n";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	return fd;
}

static void assert_table(int64_t weight_a, int64_t weight_b, int kill_number)
{
	int64_t a = gateway_weight(f.gateway, LAB_VIP, 80, "10.0.1.10");
	int64_t b = gateway_weight(f.gateway, LAB_VIP, 80, "10.0.2.10");

	if (a == weight_a && b == weight_b)
		return;
	gateway_print_log(f.gateway);
	fail_msg("after kill %d: weights %ld and %ld, not %ld and %ld", kill_number, (long)a,
		 (long)b, (long)weight_a, (long)weight_b);
}

static void test_kill(void **state)
{
	const char *text = getenv("IPVSD_TEST_SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : 20260101;
	struct lab_echo_result echoed;
	struct lab_echo *echo;
	struct lab_load *load;
	int during_reload = 0;

	(void)state;
	print_message("# seed %u\n", seed);
	configure(1, 1);
	fixture_start(&f, "blue");
	lab_sleep(500 *
		  USEC_PER_MSEC); /* test_verdict_survives is about a kill right after a verdict */
	echo = fixture_echo(&f, ECHO_CONNECTIONS);
	load = fixture_load(&f, LAB_VIP, RATE, FIXTURE_PATIENCE_SEC * USEC_PER_SEC);
	for (int i = 0; i < KILLS; i++) {
		unsigned weight_a = 1 + (unsigned)rand_r(&seed) % 100;
		unsigned weight_b = 1 + (unsigned)rand_r(&seed) % 100;
		int fd = -1;

		lab_sleep((usec_t)rand_r(&seed) % DELAY_MAX_USEC);
		configure(weight_a, weight_b);
		if (i % 2 == 0) {
			fd = send_reload();
			during_reload++;
			lab_sleep((usec_t)rand_r(&seed) % 20000);
		}
		assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
		cleanup_close(&fd);
		assert_int_equal(gateway_start(f.gateway), 0);
		assert_table(weight_a, weight_b, i);
	}
	lab_load_stop(load);
	echoed = lab_echo_stop(echo);
	print_message("# %d kills, %d of them during a reload: %zu requests, %lu echoes, longest "
		      "%lu ms\n",
		      KILLS, during_reload, lab_load_count(load), (unsigned long)echoed.messages,
		      (unsigned long)(echoed.longest_gap_usec / USEC_PER_MSEC));
	assert_int_equal(echoed.connected, ECHO_CONNECTIONS);
	assert_int_equal(echoed.broken, 0);
	assert_true(echoed.messages > ECHO_CONNECTIONS * 20);
	assert_int_equal(lab_load_failed_outside(load, USEC_NEVER, USEC_NEVER), 0);
	lab_load_free(load);
}

/* What the kernel had when the daemon died is what the next one begins with, however fresh. */
static void test_verdict_survives(void **state)
{
	char buf[FIXTURE_STATE_MAX];

	(void)state;
	configure(5, 6);
	fixture_start(&f, "blue");
	lab_server_order_health(&f.servers[0], 500);
	assert_true(gateway_wait_weight(f.gateway, LAB_VIP, "10.0.1.10", 0, 3 * USEC_PER_SEC) !=
		    USEC_NEVER);
	assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_table(0, 6, 0);
	assert_string_equal(fixture_state(&f, "blue", "10.0.1.10", buf), "unhealthy");
	assert_string_equal(fixture_state(&f, "blue", "10.0.2.10", buf), "healthy");
}

/* The same in a group so large that only what changed is written. */
static void test_verdict_among_many_survives(void **state)
{
	static const char journal[] = LAB_STATE_DIRECTORY "/group-blue.journal";
	char buf[FIXTURE_STATE_MAX], targets[MANY * 32], *p = targets;
	bool added = false;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) /* where nobody listens */
		p += sprintf(p, " 10.0.2.10:%u\n", 9000 + i);
	assert_int_equal(
		gateway_configure(f.gateway,
				  LAB_CONF_GLOBAL FIXTURE_LISTENERS
				  "[target-group blue]\ntargets = 10.0.1.10:8080 weight=5\n"
				  " 10.0.2.10:8080 weight=6\n%s" FIXTURE_CHECKS
				  "[target-group echo]\ntargets = 10.0.1.10:7 weight=1\n"
				  " 10.0.2.10:7 weight=1\nhealth-check-protocol = none\n",
				  targets),
		0);
	assert_int_equal(gateway_start(f.gateway), 0);
	/* Until the verdict is in the journal: while the others get theirs, the whole may be written. */
	for (unsigned i = 0; !added && i < 20; i++) {
		bool well = i % 2;

		lab_server_order_health(&f.servers[0], well ? 200 : 500);
		assert_true(gateway_wait_weight(f.gateway, LAB_VIP, "10.0.1.10", well ? 5 : 0,
						FIXTURE_SOON_USEC) != USEC_NEVER);
		added = !well && access(journal, F_OK) == 0;
	}
	assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
	assert_true(added);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, "10.0.1.10"), 0);
	assert_string_equal(fixture_state(&f, "blue", "10.0.1.10", buf), "unhealthy");
}

static void configure_echo(const char *group)
{
	assert_int_equal(gateway_configure(f.gateway,
					   LAB_CONF_GLOBAL
					   "[listener echo]\naddress = " LAB_VIP
					   "\nport = 7\nforward = %s\n"
					   "[target-group echo]\ntargets = 10.0.1.10:7\n"
					   "health-check-protocol = none\n"
					   "[target-group other]\ntargets = 10.0.2.10:7\n"
					   "health-check-protocol = none\n",
					   group),
			 0);
}

/*
 * The listener forwards to another group when the next daemon starts, or the reload that did it was the last thing
 * that the dead one did: connections of the old group's targets stay, as they do after a reload.
 */
static void test_farewell(void **state)
{
	static const char *const steps[] = { "echo", "other" };
	struct lab_echo_result echoed;
	struct lab_echo *echo;

	(void)state;
	for (size_t by_reload = 0; by_reload < 2; by_reload++) {
		configure_echo(steps[by_reload]);
		assert_int_equal(gateway_start(f.gateway), 0);
		echo = fixture_echo(&f, 4);
		lab_sleep(500 * USEC_PER_MSEC);
		configure_echo(steps[!by_reload]);
		if (by_reload)
			assert_int_equal(
				gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL), 200);
		assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
		assert_int_equal(gateway_start(f.gateway), 0);
		lab_sleep(USEC_PER_SEC);
		echoed = lab_echo_stop(echo);
		assert_int_equal(echoed.connected, 4);
		assert_int_equal(echoed.broken, 0);
		assert_true(gateway_weight(f.gateway, LAB_VIP, 7,
					   by_reload ? "10.0.1.10" : "10.0.2.10") > 0);
		assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
	}
}

/*
 * The new configuration lacks the listener, and has a target that the kernel refuses, a subnet's broadcast address: nothing may be
 * cut before.
 */
static void test_refused_reload(void **state)
{
	struct lab_echo_result echoed;
	struct lab_echo *echo;

	(void)state;
	configure_echo("echo");
	assert_int_equal(gateway_start(f.gateway), 0);
	echo = fixture_echo(&f, 4);
	lab_sleep(500 * USEC_PER_MSEC);
	configure_echo("other"); /* from here on the four linger */
	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL), 200);
	assert_int_equal(gateway_configure(f.gateway, LAB_CONF_GLOBAL
					   "[listener new]\naddress = " LAB_VIP
					   "\nport = 81\nforward = new\n"
					   "[target-group new]\ntargets = 10.0.1.255:80\n"
					   "health-check-protocol = none\n"),
			 0);
	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL), 500);
	lab_sleep(USEC_PER_SEC);
	echoed = lab_echo_stop(echo);
	assert_int_equal(echoed.connected, 4);
	assert_int_equal(echoed.broken, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verdict_survives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verdict_among_many_survives, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_farewell, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_reload, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
