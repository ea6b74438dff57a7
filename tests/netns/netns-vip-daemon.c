/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Addresses of listeners on the interface: those that ipvsd added go when nobody wants them; others never. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

static void configure(const char *first, const char *second)
{
	assert_int_equal(
		gateway_configure(f.gateway,
				  LAB_CONF_GLOBAL
				  "[listener web]\naddress = %s\nport = 80\nforward = blue\n"
				  "[listener more]\naddress = %s\nport = 81\nforward = blue\n"
				  "[target-group blue]\ntargets = 10.0.1.10:8080\n"
				  " [2001:db8:0:1::10]:8080\n" FIXTURE_CHECKS,
				  first, second),
		0);
}

static bool has(const char *address)
{
	int r = lab_address_exists(&f.lab->gateway, "public", address);

	assert_true(r >= 0);
	return r == 1;
}

static void reload(void)
{
	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/reload", NULL, NULL), 200);
}

static void test_vip(void **state)
{
	(void)state;
	/* LAB_VIP2 is the operator's own. */
	assert_int_equal(lab_address_add(&f.lab->gateway, "public", LAB_VIP2 "/32"), 0);
	configure(LAB_VIP, LAB_VIP2);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_true(has(LAB_VIP "/32"));
	assert_true(has(LAB_VIP2 "/32"));

	configure(LAB_VIP6, LAB_VIP6);
	reload();
	assert_true(has(LAB_VIP6 "/128"));
	assert_false(has(LAB_VIP "/32"));
	assert_true(has(LAB_VIP2 "/32"));

	/* It is remembered over a crash what was ours. */
	assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
	assert_true(has(LAB_VIP6 "/128"));
	configure(LAB_VIP, LAB_VIP2);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_false(has(LAB_VIP6 "/128"));
	assert_true(has(LAB_VIP "/32"));

	/* The addresses of the gateway itself were never touched. */
	assert_true(has("10.0.0.10/24"));
	assert_true(has("2001:db8::a/64"));

	/* stop = keep: traffic needs the address. */
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	assert_true(has(LAB_VIP "/32"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vip, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
