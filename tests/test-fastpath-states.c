/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Closed and half open: the same as /proc/net/ip_vs_conn has as TIME_WAIT and CLOSE, and as SYN_RECV. */

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/fastpath-states.h"
#include "ipvs/connrec.h"

static void add(struct fastpath_states *c, const char *dest, uint8_t protocol, uint16_t state,
		uint32_t flags)
{
	struct connrec r = { .protocol = protocol, .state = state, .flags = flags };

	assert_int_equal(addr_port_parse(dest, &r.dest, &r.dest_port), 0);
	assert_int_equal(fastpath_states_add(c, &r), 0);
}

static uint64_t count(const struct fastpath_states *c, const char *dest)
{
	struct addr a;
	uint16_t port;

	assert_int_equal(addr_port_parse(dest, &a, &port), 0);
	return fastpath_states_closed(c, &a, port);
}

static uint64_t half_open(const struct fastpath_states *c, const char *dest)
{
	struct addr a;
	uint16_t port;

	assert_int_equal(addr_port_parse(dest, &a, &port), 0);
	return fastpath_states_half_open(c, &a, port);
}

static void test_count(void **state)
{
	_cleanup_(fastpath_states_deinit) struct fastpath_states c = FASTPATH_STATES_INIT;

	(void)state;
	assert_int_equal(count(&c, "10.0.1.1:80"), 0);
	for (unsigned i = 0; i < 100; i++)
		add(&c, "10.0.1.1:80", IPPROTO_TCP, 5, CONNREC_INACTIVE);
	add(&c, "[2001:db8::1]:80", IPPROTO_TCP, 6, CONNREC_INACTIVE);
	add(&c, "10.0.1.1:80", IPPROTO_TCP, 6, CONNREC_INACTIVE);
	add(&c, "10.0.1.1:81", IPPROTO_TCP, 5, CONNREC_INACTIVE);
	for (unsigned i = 0; i < 3; i++)
		add(&c, "10.0.1.3:80", IPPROTO_TCP, 3, CONNREC_INACTIVE);
	add(&c, "10.0.1.1:80", IPPROTO_TCP, 3, CONNREC_INACTIVE);
	/* neither: established, half closed, of another protocol, a template */
	for (uint16_t s = 0; s < 11; s++)
		if (s != 3 && s != 5 && s != 6)
			add(&c, "10.0.1.1:80", IPPROTO_TCP, s, 0);
	add(&c, "10.0.1.3:80", IPPROTO_UDP, 3, 0);
	add(&c, "10.0.1.1:80", IPPROTO_UDP, 5, 0);
	add(&c, "10.0.1.1:80", IPPROTO_SCTP, 6, CONNREC_INACTIVE);
	add(&c, "10.0.1.1:80", IPPROTO_TCP, 5, CONNREC_TEMPLATE);
	fastpath_states_finish(&c);
	assert_int_equal(c.n, 4);
	assert_int_equal(count(&c, "10.0.1.1:80"), 101);
	assert_int_equal(count(&c, "10.0.1.1:81"), 1);
	assert_int_equal(count(&c, "10.0.1.1"), 102);
	assert_int_equal(count(&c, "[2001:db8::1]:80"), 1);
	assert_int_equal(count(&c, "10.0.1.2:80"), 0);
	assert_int_equal(half_open(&c, "10.0.1.3:80"), 3);
	assert_int_equal(count(&c, "10.0.1.3:80"), 0);
	assert_int_equal(half_open(&c, "10.0.1.1:80"), 1);
	assert_int_equal(half_open(&c, "10.0.1.1:81"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_count) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
