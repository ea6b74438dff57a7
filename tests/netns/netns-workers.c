/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What happens to the processes of the health checks, and to the daemon, does not happen to the traffic: killed,
 * stopped and gone for seconds, every weight in the kernel stays; the log and the alarms tell, and all recovers.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

enum {
	TARGETS = 8,
	WORKERS = 2,
	PATIENCE_SEC = 30,
};

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, TARGETS / 2, TARGETS / 2);
	assert_int_equal(
		gateway_configure(f.gateway, LAB_CONF_GLOBAL
				  "health-workers = 2\n"
				  "health-verdict-age-limit = 2s\n"
				  "[listener web]\naddress = " LAB_VIP
				  "\nport = 80\nforward = blue\n"
				  "[target-group blue]\ntargets = 10.0.1.10:8080 weight=3\n"
				  " 10.0.1.11:8080 weight=3\n 10.0.1.12:8080 weight=3\n"
				  " 10.0.1.13:8080 weight=3\n 10.0.2.10:8080 weight=3\n"
				  " 10.0.2.11:8080 weight=3\n 10.0.2.12:8080 weight=3\n"
				  " 10.0.2.13:8080 weight=3\n"
				  "health-check-protocol = http\nhealth-check-path = /healthz\n"
				  "health-check-interval = 500ms\nhealth-check-timeout = 500ms\n"
				  "healthy-threshold = 2\nunhealthy-threshold = 2\n"
				  "unhealthy-connection-termination = no\n"),
		0);
	fixture_start(&f, "blue");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

/* The member of a worker; -1 without such a worker. */
static json_int_t worker_number(unsigned worker, const char *member)
{
	json_t *status = NULL;
	json_int_t value = -1;
	const json_t *v;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	v = json_object_get(
		json_array_get(json_object_get(json_object_get(status, "health"), "workers"),
			       worker),
		member);
	if (v)
		value = json_is_integer(v) ? json_integer_value(v) : json_is_true(v);
	json_decref(status);
	return value;
}

static bool has_alarm(const char *text)
{
	json_t *status = NULL;
	const json_t *alarm;
	bool found = false;
	size_t i;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	json_array_foreach (json_object_get(json_object_get(status, "health"), "alarms"), i, alarm)
		found = found || strstr(json_string_value(alarm), text);
	json_decref(status);
	return found;
}

/* Looked at all the while: a weight that was away for a moment only would be missed otherwise. */
static void assert_weights(void)
{
	struct ipvs_ruleset table = IPVS_RULESET_INIT;
	unsigned n = 0;

	assert_int_equal(gateway_table(f.gateway, &table), 0);
	for (size_t i = 0; i < table.n; i++)
		for (size_t k = 0; k < table.services[i].n_dests; k++)
			n += table.services[i].dests[k].weight == 3;
	ipvs_ruleset_deinit(&table);
	if (n != TARGETS || gateway_log_has(f.gateway, "-> unhealthy")) {
		gateway_print_log(f.gateway);
		fail_msg("%u of %d targets have their weight", n, TARGETS);
	}
}

struct wanted {
	unsigned worker;
	pid_t not_this;
};

static bool is_replaced(void *userdata)
{
	const struct wanted *w = userdata;
	json_int_t pid = worker_number(w->worker, "worker_pid");

	assert_weights();
	return pid > 0 && pid != w->not_this && worker_number(w->worker, "probes") > 0 &&
	       !worker_number(w->worker, "frozen");
}

static void wait_replaced(unsigned worker, pid_t pid)
{
	struct wanted w = { worker, pid };

	if (lab_wait_until(is_replaced, &w, PATIENCE_SEC * USEC_PER_SEC) == 0)
		return;
	gateway_print_log(f.gateway);
	fail_msg("worker %u is not replaced", worker);
}

static bool is_calm(void *userdata)
{
	(void)userdata;
	assert_weights();
	return !has_alarm("");
}

static bool is_alarmed(void *userdata)
{
	assert_weights();
	return has_alarm(userdata);
}

static void test_killed(void **state)
{
	pid_t pid = (pid_t)worker_number(1, "worker_pid");

	(void)state;
	assert_int_equal(worker_number(WORKERS, "worker_pid"), -1);
	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_replaced(1, pid);
	assert_int_equal(worker_number(1, "restarts"), 1);
	assert_int_equal(worker_number(0, "restarts"), 0);
	assert_true(gateway_log_has(f.gateway, ": weights stay as they are"));
}

/* Its targets' verdicts grow old before it is given up: the alarm comes, and ends. */
static void test_stopped(void **state)
{
	char old[] = "verdicts are old";
	pid_t pid = (pid_t)worker_number(0, "worker_pid");

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	if (lab_wait_until(is_alarmed, old, PATIENCE_SEC * USEC_PER_SEC) < 0) {
		gateway_print_log(f.gateway);
		fail_msg("no alarm");
	}
	wait_replaced(0, pid);
	assert_true(gateway_log_has(f.gateway, "is late by more than 3 s"));
	assert_true(gateway_log_has(f.gateway, old));
	assert_int_equal(worker_number(1, "restarts"), 0);
	assert_int_equal(lab_wait_until(is_calm, NULL, PATIENCE_SEC * USEC_PER_SEC), 0);
}

static bool has_fresh_verdicts(void *userdata)
{
	(void)userdata;
	assert_weights();
	return worker_number(0, "last_heartbeat_ms") < 1500 &&
	       worker_number(1, "last_heartbeat_ms") < 1500;
}

static void test_stopped_daemon(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	for (unsigned w = 0; w < WORKERS; w++)
		pids[w] = (pid_t)worker_number(w, "worker_pid");
	assert_int_equal(kill(gateway_pid(f.gateway), SIGSTOP), 0);
	lab_sleep(5 * USEC_PER_SEC);
	assert_int_equal(kill(gateway_pid(f.gateway), SIGCONT), 0);
	assert_int_equal(lab_wait_until(has_fresh_verdicts, NULL, PATIENCE_SEC * USEC_PER_SEC), 0);
	/* It was not they who were late. */
	for (unsigned w = 0; w < WORKERS; w++)
		assert_int_equal(worker_number(w, "worker_pid"), pids[w]);
	assert_weights();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_daemon, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
