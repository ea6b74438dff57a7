/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ipvs/ruleset.h"
#include "random-ruleset.h"

static const char *const schedulers[] = { "rr", "mh", NULL };

static struct ipvs_service_key key(const char *address, uint8_t protocol, uint16_t port)
{
	struct ipvs_service_key k = { .protocol = protocol, .port = port };

	assert_int_equal(addr_parse(address, &k.addr), 0);
	k.family = k.addr.family;
	return k;
}

static void test_key_format(void **state)
{
	static const char *const expected[] = { "tcp 203.0.113.10:80",	  "udp [2001:db8::1]:53",
						"sctp 10.0.0.1:0",	  "protocol 50 10.0.0.1:1",
						"fwmark 2147483647 ipv6", "fwmark 7 ipv4" };
	const struct ipvs_service_key keys[] = {
		key("203.0.113.10", IPPROTO_TCP, 80),
		key("2001:db8::1", IPPROTO_UDP, 53),
		key("10.0.0.1", IPPROTO_SCTP, 0),
		key("10.0.0.1", 50, 1),
		{ .fwmark = IPVS_HOOK_KEEPER_MARK, .family = AF_INET6 },
		{ .fwmark = 7, .family = AF_INET },
	};
	char buf[IPVS_KEY_STR_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_string_equal(ipvs_service_key_format(&keys[i], buf), expected[i]);
}

/* Every member of the key counts, and only with a mark the family alone. */
static void test_key_cmp(void **state)
{
	const struct ipvs_service_key base = key("10.0.0.1", IPPROTO_TCP, 80);
	struct ipvs_service_key others[] = {
		key("10.0.0.2", IPPROTO_TCP, 80),   key("10.0.0.1", IPPROTO_UDP, 80),
		key("10.0.0.1", IPPROTO_TCP, 81),   key("::1", IPPROTO_TCP, 80),
		{ .fwmark = 1, .family = AF_INET },
	};

	(void)state;
	assert_int_equal(ipvs_service_key_cmp(&base, &base), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		int c = ipvs_service_key_cmp(&base, &others[i]);

		assert_int_not_equal(c, 0);
		assert_true((c < 0) == (ipvs_service_key_cmp(&others[i], &base) > 0));
	}
}

static void test_conf_eq(void **state)
{
	struct ipvs_service a = { .scheduler = "rr", .netmask = UINT32_MAX }, b = a;
	struct ipvs_dest d = { .weight = 1 }, e = d;

	(void)state;
	b.netmask = 0;
	b.timeout_sec = 5;
	assert_true(ipvs_service_conf_eq(&a, &b)); /* not persistent */
	a.flags = b.flags = IPVS_SVC_PERSISTENT;
	assert_false(ipvs_service_conf_eq(&a, &b));
	b.netmask = a.netmask;
	assert_false(ipvs_service_conf_eq(&a, &b));
	b.timeout_sec = 0;
	assert_true(ipvs_service_conf_eq(&a, &b));
	b.flags |= IPVS_SVC_ONEPACKET;
	assert_false(ipvs_service_conf_eq(&a, &b));
	b.flags = a.flags;
	strcpy(b.pe, "sip");
	assert_false(ipvs_service_conf_eq(&a, &b));

	e.tunnel = IPVS_TUNNEL_GUE;
	e.tunnel_port = 6080;
	assert_true(ipvs_dest_conf_eq(&d, &e)); /* no tunnel */
	d.forward = e.forward = IPVS_FORWARD_TUNNEL;
	assert_false(ipvs_dest_conf_eq(&d, &e));
	d.tunnel = IPVS_TUNNEL_GUE;
	assert_false(ipvs_dest_conf_eq(&d, &e));
	d.tunnel = e.tunnel = IPVS_TUNNEL_GRE;
	assert_true(ipvs_dest_conf_eq(&d, &e)); /* a port is for gue only */
	e.tunnel_flags = 1;
	assert_false(ipvs_dest_conf_eq(&d, &e));
	d.tunnel = e.tunnel = IPVS_TUNNEL_IPIP;
	assert_true(ipvs_dest_conf_eq(&d, &e));
	e.lower_threshold = 1;
	assert_false(ipvs_dest_conf_eq(&d, &e));
}

/* Appending after a copy and after removals: the arrays keep no capacity of their own. */
static void test_copy_and_grow(void **state)
{
	struct random random = { .state = 42, .schedulers = schedulers };

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset c = IPVS_RULESET_INIT;

		random_ruleset(&random, &a);
		assert_int_equal(ipvs_ruleset_copy(&a, &b), 0);
		assert_true(same_ruleset(&a, &b));
		random_mutation(&random, &b, &c); /* removes and appends */
		assert_true(same_ruleset(&a, &b));
		for (size_t k = 0; k < c.n; k++) {
			assert_ptr_equal(ipvs_ruleset_find(&c, &c.services[k].key), &c.services[k]);
			if (k > 0)
				assert_true(ipvs_service_key_cmp(&c.services[k - 1].key,
								 &c.services[k].key) < 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_format),
		cmocka_unit_test(test_key_cmp),
		cmocka_unit_test(test_conf_eq),
		cmocka_unit_test(test_copy_and_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
