/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/proc-conns.h"

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		int r;
		const char *dest;
		bool live, half_open;
	} cases[] = {
		{ "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName "
		  "PEData\n",
		  -EBADMSG, NULL, false },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F90 ESTABLISHED     899\n", 0,
		  "10.0.1.50:8080", true },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F90 FIN_WAIT        118\n", 0,
		  "10.0.1.50:8080", true },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F90 SYN_RECV        59\n", 0,
		  "10.0.1.50:8080", true, true },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F90 TIME_WAIT       118\n", 0,
		  "10.0.1.50:8080", false },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F90 CLOSE           9\n", 0,
		  "10.0.1.50:8080", false },
		{ "UDP C6336407 C350 CB00710A 0035 0A000132 0035 UDP             299\n", 0,
		  "10.0.1.50:53", true },
		{ "TCP C6336407 0000 CB00710A 0050 0A000132 1F90 NONE            299\n", 0,
		  "10.0.1.50:8080", false },
		{ "IP  C6336407 C350 00000007 0000 0A000132 0000 ASSURED         299\n", 0,
		  "10.0.1.50:0", false },
		{ "TCP 2001:0db8:0000:0000:0000:0000:0000:0007 C350 "
		  "2001:0db8:0000:0000:0000:0000:0000:000a 0050 "
		  "fd00:0000:0000:0000:0000:0000:0001:0032 1F90 ESTABLISHED     899\n",
		  0, "[fd00::1:32]:8080", true },
		{ "TCP C6336407 C350 CB00710A 0050 0A00013 1F90 ESTABLISHED 899\n", -EBADMSG, NULL,
		  false },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F9 ESTABLISHED 899\n", -EBADMSG, NULL,
		  false },
		{ "TCP C6336407 C350 CB00710A 0050 0A000132 1F90\n", -EBADMSG, NULL, false },
		{ "", -EBADMSG, NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[ADDR_PORT_STR_MAX];
		struct proc_conn c;

		assert_int_equal(proc_conn_parse(cases[i].line, &c), cases[i].r);
		if (cases[i].r < 0)
			continue;
		assert_string_equal(addr_port_format(&c.dest, c.dest_port, buf), cases[i].dest);
		assert_int_equal(c.live, cases[i].live);
		assert_int_equal(c.half_open, cases[i].half_open);
	}
}

static void test_has(void **state)
{
	struct proc_conn items[3] = { { .dest_port = 53 },
				      { .dest_port = 8080 },
				      { .dest_port = 80 } };
	const struct proc_conns c = { items, 3 };
	struct addr a, b, absent;

	(void)state;
	assert_int_equal(addr_parse("10.0.0.1", &a), 0);
	assert_int_equal(addr_parse("10.0.0.2", &b), 0);
	assert_int_equal(addr_parse("10.0.0.3", &absent), 0);
	items[0].dest = items[1].dest = a;
	items[2].dest = b;
	assert_true(proc_conns_has(&c, &a, 53));
	assert_true(proc_conns_has(&c, &a, 8080));
	assert_false(proc_conns_has(&c, &a, 80));
	assert_true(proc_conns_has(&c, &a, 0));
	assert_true(proc_conns_has(&c, &b, 0));
	assert_false(proc_conns_has(&c, &absent, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
