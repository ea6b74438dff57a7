/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/dns-check.h"

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_good(void **state)
{
	static const struct {
		const char *send, *expect, *name;
		uint16_t type;
		uint8_t code;
		const char *addr;
	} cases[] = {
		{ NULL, NULL, "", 6, 0, NULL },
		{ "", "", "", 6, 0, NULL },
		{ ".", NULL, "", 1, 0, NULL },
		{ ". SOA", NULL, "", 6, 0, NULL },
		{ "example.org", NULL, "example.org", 1, 0, NULL },
		{ "example.org.", NULL, "example.org", 1, 0, NULL },
		{ "  example.org   aaaa ", NULL, "example.org", 28, 0, NULL },
		{ "_sip._tcp.example.org SRV", NULL, "_sip._tcp.example.org", 33, 0, NULL },
		{ "example.org 65280", NULL, "example.org", 65280, 0, NULL },
		{ "gone.example A", "NXDOMAIN", "gone.example", 1, 3, NULL },
		{ "gone.example A", "refused", "gone.example", 1, 5, NULL },
		{ "gone.example A", "15", "gone.example", 1, 15, NULL },
		{ "example.org A", "10.0.0.1", "example.org", 1, 0, "10.0.0.1" },
		{ "example.org", "2001:db8::1", "example.org", 28, 0, "2001:db8::1" },
		{ "example.org A", "NOERROR 10.0.0.1", "example.org", 1, 0, "10.0.0.1" },
		{ "example.org A", "10.0.0.1 NOERROR", "example.org", 1, 0, "10.0.0.1" },
		{ LABEL_63 ".org A", NULL, LABEL_63 ".org", 1, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *problem = "";
		char text[ADDR_STR_MAX];
		struct dns_check c;

		if (dns_check_parse(cases[i].send, cases[i].expect, &c, &problem) < 0)
			fail_msg("%s: %s", cases[i].send, problem);
		assert_string_equal(c.name, cases[i].name);
		assert_int_equal(c.type, cases[i].type);
		assert_int_equal(c.code, cases[i].code);
		if (cases[i].addr)
			assert_string_equal(addr_format(&c.addr, text), cases[i].addr);
		else
			assert_int_equal(c.addr.family, AF_UNSPEC);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *send, *expect;
	} cases[] = {
		{ "example..org", NULL },
		{ ".example", NULL },
		{ "example.org..", NULL },
		{ LABEL_63 "a.org", NULL },
		{ "exam\x01ple", NULL },
		{ "ex\xc3\xa4mple", NULL },
		{ LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63, NULL },
		{ "example.org B", NULL },
		{ "example.org 0", NULL },
		{ "example.org 65536", NULL },
		{ "example.org A IN", NULL },
		{ "example.org A", "NOSUCH" },
		{ "example.org A", "16" },
		{ "example.org A", "NOERROR NXDOMAIN" },
		{ "example.org A", "10.0.0.1 10.0.0.2" },
		{ "example.org A", "10.0.0.1 NXDOMAIN" },
		{ "example.org A", "2001:db8::1" },
		{ "example.org MX", "10.0.0.1" },
		{ NULL, "10.0.0.1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *problem = NULL;
		struct dns_check c;

		if (dns_check_parse(cases[i].send, cases[i].expect, &c, &problem) != -EINVAL ||
		    !problem)
			fail_msg("%s, %s: accepted", cases[i].send, cases[i].expect);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
