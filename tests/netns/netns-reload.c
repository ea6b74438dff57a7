/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a reload does to running traffic: changes, a wrong file, no change at all, drains, runtime registrations. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

#define A1 "10.0.1.10"
#define B1 "10.0.2.10"

static struct fixture f;

/* targets: lines of the `targets` key; keys: more keys of the group. */
static void configure(const char *targets, const char *keys)
{
	assert_int_equal(gateway_configure(f.gateway,
					   LAB_CONF_GLOBAL
					   "[listener web]\naddress = " LAB_VIP
					   "\nport = 80\nforward = blue\n"
					   "[target-group blue]\ntargets = %s\n" FIXTURE_CHECKS
					   "%s",
					   targets, keys),
			 0);
}

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	configure(A1 ":8080 weight=1", "");
	fixture_start(&f, "blue");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

static void reload(int status)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	fixture_reload(&f, status, &result);
}

static void assert_weight_soon(const char *target, int64_t weight, usec_t timeout_usec)
{
	if (gateway_wait_weight(f.gateway, LAB_VIP, target, weight, timeout_usec) != USEC_NEVER)
		return;
	gateway_print_log(f.gateway);
	fail_msg("%s has weight %ld, not %ld", target,
		 (long)gateway_weight(f.gateway, LAB_VIP, 80, target), (long)weight);
}

static void test_change(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	struct lab_load *load = fixture_load(&f, LAB_VIP, 200, FIXTURE_PATIENCE_SEC * USEC_PER_SEC);
	int64_t left;

	(void)state;
	configure(A1 ":8080 weight=1\n " B1 ":8080 weight=1", "");
	fixture_reload(&f, 0, &result);
	assert_non_null(strstr(result.out, "add destination " B1 ":8080"));
	/* The first good check suffices. */
	assert_weight_soon(B1, 1, FIXTURE_INTERVAL_USEC + USEC_PER_SEC);
	configure(A1 ":8080 weight=7\n " B1 ":8080 weight=3", "");
	reload(0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, A1), 7);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 3);
	configure(B1 ":8080 weight=3", "");
	reload(0);
	/* Or gone: its drain ends as soon as no connection is open, which may be so when it is looked at. */
	left = gateway_weight(f.gateway, LAB_VIP, 80, A1);
	assert_true(left == 0 || left == -ENOENT);
	lab_load_stop(load);
	assert_int_equal(lab_load_failed_outside(load, USEC_NEVER, USEC_NEVER), 0);
	lab_load_free(load);
}

static void test_wrong_file(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	_cleanup_free_ char *before = gateway_ipvsadm(f.gateway), *after = NULL;
	struct lab_load *load = fixture_load(&f, LAB_VIP, 200, FIXTURE_PATIENCE_SEC * USEC_PER_SEC);
	char place[64];

	(void)state;
	lab_sleep(200 * USEC_PER_MSEC);
	configure(A1 ":8080 weight=70000", "healthy-treshold = 3\n");
	fixture_reload(&f, 1, &result);
	/* Both errors, with their places. */
	(void)snprintf(place, sizeof(place), "%s:", LAB_CONF_PATH);
	assert_non_null(strstr(result.err, place));
	assert_non_null(strstr(result.err, "70000"));
	assert_non_null(strstr(result.err, "did you mean \"healthy-threshold\""));
	assert_int_equal(gateway_notified(f.gateway, "RELOADING=1"), 1);
	assert_int_equal(gateway_notified(f.gateway, "READY=1"), 2);

	/* The signal has no exit status; the old state runs all the same. */
	assert_int_equal(kill(gateway_pid(f.gateway), SIGHUP), 0);
	lab_sleep(300 * USEC_PER_MSEC);
	after = gateway_ipvsadm(f.gateway);
	assert_string_equal(before, after);
	lab_load_stop(load);
	assert_true(lab_load_count(load) > 50);
	assert_int_equal(lab_load_failed_outside(load, USEC_NEVER, USEC_NEVER), 0);
	lab_load_free(load);
	configure(A1 ":8080 weight=2", "");
	reload(0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, A1), 2);
}

static int64_t netlink_writes(void)
{
	json_t *status;
	int64_t n;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	n = json_integer_value(json_object_get(status, "netlink_writes"));
	json_decref(status);
	assert_true(n > 0);
	return n;
}

/* A reload without change writes nothing, and the server sees its probes at the same rate. */
static void test_no_change(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	struct server_page *page = f.servers[0].page;
	int64_t before = netlink_writes();
	usec_t start = clock_monotonic_usec();
	uint64_t first = atomic_load(&page->n_probes), seen, due;

	(void)state;
	/* A schedule that began anew each time would make no probe at all, or one a reload. */
	for (int i = 0; i < 25; i++) {
		assert_int_equal(gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL), 200);
		lab_sleep(137 * USEC_PER_MSEC);
	}
	seen = atomic_load(&page->n_probes) - first;
	due = (clock_monotonic_usec() - start) / FIXTURE_INTERVAL_USEC;
	fixture_reload(&f, 0, &result);
	assert_non_null(strstr(result.out, "no change"));
	assert_int_equal(netlink_writes(), before);
	print_message("# %lu probes over 25 reloads, %lu due\n", (unsigned long)seen,
		      (unsigned long)due);
	assert_in_range(seen, due - 2, due + 2);
}

/* A download goes on to its end on a target that has left; new connections go elsewhere. */
static void test_drain(void **state)
{
	const struct lab_url url = { LAB_VIP, 80, "/slow?bytes=1000000&rate=100000" };
	char name[LAB_TARGET_MAX], buf[FIXTURE_STATE_MAX];
	struct lab_download download;

	(void)state;
	assert_int_equal(lab_download_start(&download, &f.lab->internet, &url, 30 * USEC_PER_SEC),
			 0);
	while (atomic_load(&download.received_bytes) == 0)
		lab_sleep(5 * USEC_PER_MSEC);
	configure(A1 ":8080 weight=1\n " B1 ":8080 weight=1", "");
	reload(0);
	assert_weight_soon(B1, 1, FIXTURE_SOON_USEC);
	configure(B1 ":8080 weight=1", "deregistration-delay = 60s\n");
	reload(0);
	assert_string_equal(fixture_state(&f, "blue", A1, buf), "draining");
	for (int i = 0; i < 10; i++)
		assert_string_equal(fixture_get(&f, "/", name), "b1");
	/* No reload or restart ends a drain. */
	reload(0);
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_string_equal(fixture_state(&f, "blue", A1, buf), "draining");
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, A1), 0);
	lab_download_wait(&download);
	assert_string_equal(lab_outcome_to_string(download.reply.outcome), "answered");
	assert_string_equal(download.reply.target, "a1");
	assert_int_equal(download.reply.body_bytes, 1000000);
}

/* Nothing to wait for: the destination goes within the next look at it. */
static void test_drain_idle(void **state)
{
	(void)state;
	configure(A1 ":8080 weight=1\n " B1 ":8080 weight=1", "deregistration-delay = 60s\n");
	reload(0);
	assert_weight_soon(B1, 1, FIXTURE_SOON_USEC);
	configure(A1 ":8080 weight=1", "deregistration-delay = 60s\n");
	reload(0);
	assert_weight_soon(B1, -ENOENT, 2500 * USEC_PER_MSEC);
}

/* A connection that does not end is waited for until the deadline, not longer. */
static void test_drain_deadline(void **state)
{
	const struct lab_url url = { LAB_VIP, 80, "/slow?bytes=10000000&rate=10000" };
	struct lab_download download;
	usec_t at, gone;

	(void)state;
	assert_int_equal(lab_download_start(&download, &f.lab->internet, &url, 10 * USEC_PER_SEC),
			 0);
	while (atomic_load(&download.received_bytes) == 0)
		lab_sleep(5 * USEC_PER_MSEC);
	configure(A1 ":8080 weight=1\n " B1 ":8080 weight=1",
		  "deregistration-delay = 3s\nderegistration-delay-connection-termination = yes\n");
	reload(0);
	at = clock_monotonic_usec();
	configure(B1 ":8080 weight=1",
		  "deregistration-delay = 3s\nderegistration-delay-connection-termination = yes\n");
	reload(0);
	gone = gateway_wait_weight(f.gateway, LAB_VIP, A1, -ENOENT, 10 * USEC_PER_SEC);
	assert_true(gone != USEC_NEVER);
	print_message("# removed %lu ms after the reload (deregistration-delay 3 s)\n",
		      (unsigned long)((gone - at) / USEC_PER_MSEC));
	assert_true(gone - at >= 3 * USEC_PER_SEC);
	/* One look a second, and a busy machine. */
	assert_true(gone - at <= 7 * USEC_PER_SEC);
	lab_download_wait(&download);
}

/* Twice the same command: exit status 0 twice; the second one changes nothing. */
static void command_twice(const char *verb, const char *target)
{
	for (int i = 0; i < 2; i++) {
		_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

		assert_int_equal(gateway_command(f.gateway, &result, verb, "--socket",
						 LAB_CONTROL_SOCKET, "blue", target, NULL),
				 0);
		if (result.status != 0 || !strstr(result.out, "nothing to do") != (i == 0))
			fail_msg("ipvsd %s, time %d: status %d\n%s%s", verb, i + 1, result.status,
				 result.out, result.err);
	}
}

static void restart(void)
{
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
}

static bool has_weight(void *userdata)
{
	int64_t *weight = userdata;

	*weight = gateway_weight(f.gateway, LAB_VIP, 80, B1);
	return *weight > 0;
}

static void test_register(void **state)
{
	char buf[FIXTURE_STATE_MAX];
	int64_t weight;

	(void)state;
	command_twice("register", B1 ":8080");
	fixture_wait_healthy(&f, "blue");
	/* Ups are coalesced. */
	assert_int_equal(lab_wait_until(has_weight, &weight, FIXTURE_SOON_USEC), 0);
	reload(0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), weight);
	restart();
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), weight);
	assert_string_equal(fixture_state(&f, "blue", B1, buf), "healthy");

	command_twice("drain", B1 ":8080");
	assert_weight_soon(B1, 0, FIXTURE_SOON_USEC);
	reload(0);
	restart();
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 0);
	command_twice("undrain", B1 ":8080");
	assert_weight_soon(B1, weight, FIXTURE_SOON_USEC);

	command_twice("deregister", B1 ":8080");
	assert_weight_soon(B1, -ENOENT, FIXTURE_SOON_USEC);
	reload(0);
	restart();
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), -ENOENT);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, A1), 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wrong_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drain_idle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drain_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_register, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
