/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The kernel's table changed by others: repaired within the reconcile interval and logged; services that are not
 * ours stay; a table that an operator made with ipvsadm is taken over without deleting anything.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

#define RECONCILE_SEC 1
#define SERVICE LAB_VIP ":80"

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	assert_int_equal(
		gateway_configure(f.gateway, LAB_CONF_GLOBAL
				  "reconcile-interval = 1s\n"
				  "[listener web]\naddress = " LAB_VIP
				  "\nport = 80\nforward = blue\n"
				  "[target-group blue]\ntargets = 10.0.1.10:8080 weight=3\n"
				  " 10.0.2.10:8080 weight=4\n" FIXTURE_CHECKS),
		0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

static void ipvsadm(const char *arguments)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	char command[256];
	const char *argv[] = { "sh", "-c", command, NULL };

	(void)snprintf(command, sizeof(command), "ipvsadm %s", arguments);
	assert_int_equal(lab_run(&f.lab->gateway, argv, &result), 0);
	if (result.status != 0)
		fail_msg("ipvsadm %s: %s", arguments, result.err);
}

static bool table_is(void *userdata)
{
	_cleanup_free_ char *now = gateway_ipvsadm(f.gateway);

	return now && strcmp(now, userdata) == 0;
}

static bool is_logged(void *userdata)
{
	return gateway_log_has(f.gateway, userdata);
}

static void test_repair(void **state)
{
	static const struct {
		const char *damage, *logged;
	} cases[] = {
		{ "-C", "add service tcp " SERVICE },
		{ "-D -t " SERVICE, "add service tcp " SERVICE },
		{ "-d -t " SERVICE " -r 10.0.1.10:8080", "add destination 10.0.1.10:8080" },
		{ "-e -t " SERVICE " -r 10.0.1.10:8080 -m -w 77", "weight 77 -> 3" },
		{ "-E -t " SERVICE " -s sh", "tcp " SERVICE },
		{ "-a -t " SERVICE " -r 10.0.2.99:8080 -m -w 9", "10.0.2.99:8080" },
	};
	_cleanup_free_ char *good = NULL;

	(void)state;
	fixture_start(&f, "blue");
	/* Ups are coalesced. */
	fixture_wait_weight(&f, "10.0.1.10", 3);
	fixture_wait_weight(&f, "10.0.2.10", 4);
	good = gateway_ipvsadm(f.gateway);
	assert_non_null(good);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		usec_t at = clock_monotonic_usec();

		/* Not looked at in between: the repair may come before a look does. The log tells of both. */
		ipvsadm(cases[i].damage);
		if (lab_wait_until(table_is, good, FIXTURE_SOON_USEC) < 0) {
			_cleanup_free_ char *now = gateway_ipvsadm(f.gateway);

			gateway_print_log(f.gateway);
			fail_msg("ipvsadm %s was not repaired: it is\n%snot\n%s", cases[i].damage,
				 now, good);
		}
		print_message("# ipvsadm %s: repaired after %lu ms\n", cases[i].damage,
			      (unsigned long)((clock_monotonic_usec() - at) / USEC_PER_MSEC));
		/* The interval, and two runs of ipvsadm on a busy machine. */
		assert_true(clock_monotonic_usec() - at < RECONCILE_SEC * USEC_PER_SEC * 3);
		if (lab_wait_until(is_logged, (void *)cases[i].logged, FIXTURE_SOON_USEC) < 0) {
			gateway_print_log(f.gateway);
			fail_msg("not logged: %s", cases[i].logged);
		}
	}
}

static void test_foreign(void **state)
{
	_cleanup_free_ char *table = NULL;

	(void)state;
	ipvsadm("-A -t 203.0.113.200:443 -s sed");
	ipvsadm("-a -t 203.0.113.200:443 -r 10.0.1.10:443 -m -w 42");
	fixture_start(&f, "blue");
	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL), 200);
	lab_sleep((RECONCILE_SEC * 1000 + 500) * USEC_PER_MSEC);
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	table = gateway_ipvsadm(f.gateway);
	assert_non_null(strstr(table, "-A -t 203.0.113.200:443 -s sed\n"));
	assert_non_null(strstr(table, "-a -t 203.0.113.200:443 -r 10.0.1.10:443 -m -w 42\n"));
}

static uint64_t packets(void)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset table = IPVS_RULESET_INIT;

	assert_int_equal(gateway_table(f.gateway, &table), 0);
	for (size_t i = 0; i < table.n; i++)
		if (table.services[i].key.port == 80)
			return table.services[i].stats.in_packets;
	return 0;
}

static bool five_requests_counted(void *userdata)
{
	(void)userdata;
	return packets() >= 5 * 4;
}

/* The counters show that the service was never deleted. */
static void test_adoption(void **state)
{
	char name[LAB_TARGET_MAX];
	uint64_t before;

	(void)state;
	assert_int_equal(lab_address_add(&f.lab->gateway, "public", LAB_VIP "/32"), 0);
	ipvsadm("-A -t " SERVICE " -s rr");
	ipvsadm("-a -t " SERVICE " -r 10.0.1.10:8080 -m -w 1");
	for (int i = 0; i < 5; i++)
		assert_string_equal(fixture_get(&f, "/", name), "a1");
	/* The kernel sums its counters up every two seconds. */
	assert_int_equal(lab_wait_until(five_requests_counted, NULL, FIXTURE_SOON_USEC), 0);
	before = packets();
	fixture_start(&f, "blue");
	fixture_wait_weight(&f, "10.0.2.10", 4);
	fixture_wait_weight(&f, "10.0.1.10", 3);
	assert_true(packets() >= before);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_repair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_adoption, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
