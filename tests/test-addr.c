/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"

static void test_addr_port(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *formatted; /* with its port */
		uint16_t port;
	} cases[] = {
		{ "10.0.0.1:80", 0, "10.0.0.1:80", 80 },
		{ "10.0.0.1", 0, "10.0.0.1:0", 0 },
		{ "[2001:db8::1]:65535", 0, "[2001:db8::1]:65535", 65535 },
		{ "[2001:db8::1]", 0, "[2001:db8::1]:0", 0 },
		{ "2001:db8::1", 0, "[2001:db8::1]:0", 0 },
		{ "::", 0, "[::]:0", 0 },
		{ "10.0.0.1:", -EINVAL, NULL, 0 },
		{ "10.0.0.1:65536", -EINVAL, NULL, 0 },
		{ "10.0.0.1:-1", -EINVAL, NULL, 0 },
		{ "10.0.0.1: 1", -EINVAL, NULL, 0 },
		{ "10.0.0.1:4294967377", -EINVAL, NULL, 0 },
		{ "10.0.0", -EINVAL, NULL, 0 },
		{ "[10.0.0.1]:80", -EINVAL, NULL, 0 },
		{ "[::1", -EINVAL, NULL, 0 },
		{ "[::1]x", -EINVAL, NULL, 0 },
		{ "", -EINVAL, NULL, 0 },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333]:80", -EINVAL, NULL,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[ADDR_PORT_STR_MAX];
		struct addr a = { 0 };
		uint16_t port = 0;

		assert_int_equal(addr_port_parse(cases[i].text, &a, &port), cases[i].r);
		if (cases[i].r < 0)
			continue;
		assert_int_equal(port, cases[i].port);
		assert_string_equal(addr_port_format(&a, port, buf), cases[i].formatted);
	}
}

/* What inet_pton(3) takes for IPv4, and no more: every text of the grammar with one or two bytes changed. */
static void test_ipv4_as_libc(void **state)
{
	static const char *const seeds[] = { "10.0.0.1", "255.255.255.255", "0.0.0.0",
					     "1.20.199.4" };
	static const char bytes[] = "0129.:x- ";
	size_t n_valid = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(seeds) * 20 * 20 * 81; i++) {
		char text[32];
		struct addr a = { 0 };
		struct in_addr expected;
		size_t len = strlen(strcpy(text, seeds[i % 4]));
		size_t at = i / 4 % 20, also = i / 80 % 20;
		int ours, theirs;

		if (at <= len)
			text[at] = bytes[i / 1600 % 9];
		if (also <= len)
			text[also] = bytes[i / 14400 % 9];
		theirs = inet_pton(AF_INET, text, &expected);
		ours = addr_parse(text, &a);
		assert_int_equal(ours == 0 && a.family == AF_INET, theirs == 1);
		if (theirs == 1)
			assert_memory_equal(&a.in, &expected, sizeof(expected));
		n_valid += theirs == 1;
	}
	assert_in_range(n_valid, 1000, SIZE_MAX);
}

static void test_prefix(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *inside, *outside;
	} cases[] = {
		{ "10.0.0.0/8", 0, "10.255.0.1", "11.0.0.0" },
		{ "10.1.2.3", 0, "10.1.2.3", "10.1.2.2" },
		{ "0.0.0.0/0", 0, "255.255.255.255", "::1" },
		{ "2001:db8::/33", 0, "2001:db8:7fff::1", "2001:db8:8000::" },
		{ "::/0", 0, "2001:db8::", "10.0.0.1" },
		{ "10.0.0.1/8", -ERANGE, NULL, NULL },
		{ "10.0.0.0/33", -EINVAL, NULL, NULL },
		{ "2001:db8::/129", -EINVAL, NULL, NULL },
		{ "10.0.0.0/", -EINVAL, NULL, NULL },
		{ "/8", -EINVAL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix p;
		struct addr a;

		assert_int_equal(prefix_parse(cases[i].text, &p), cases[i].r);
		if (cases[i].r < 0)
			continue;
		assert_int_equal(addr_parse(cases[i].inside, &a), 0);
		assert_true(prefix_contains(&p, &a));
		assert_int_equal(addr_parse(cases[i].outside, &a), 0);
		assert_false(prefix_contains(&p, &a));
	}
}

static void test_order_is_total(void **state)
{
	static const char *const ascending[] = { "0.0.0.0",	    "10.0.0.1", "10.0.0.2",
						 "255.255.255.255", "::",	"::1",
						 "2001:db8::" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ascending); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(ascending); j++) {
			struct addr a, b;
			int c;

			assert_int_equal(addr_parse(ascending[i], &a), 0);
			assert_int_equal(addr_parse(ascending[j], &b), 0);
			c = addr_cmp(&a, &b);
			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
		}
	}
}

static void test_host_addresses(void **state)
{
	static const struct {
		const char *text;
		bool host;
	} cases[] = {
		{ "10.0.0.1", true },	      { "0.0.0.0", false }, { "224.0.0.1", false },
		{ "255.255.255.255", false }, { "::", false },	    { "ff02::1", false },
		{ "2001:db8::1", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr a;

		assert_int_equal(addr_parse(cases[i].text, &a), 0);
		assert_int_equal(addr_is_host(&a), cases[i].host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_port),      cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_ipv4_as_libc),   cmocka_unit_test(test_order_is_total),
		cmocka_unit_test(test_host_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
