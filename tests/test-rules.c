/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/rules.h"

static struct rule rule(uint8_t protocol, uint16_t port_min, uint16_t port_max, const char *prefix)
{
	struct rule r = { .protocol = protocol, .port_min = port_min, .port_max = port_max };

	assert_int_equal(prefix_parse(prefix, &r.source), 0);
	return r;
}

static struct flow_key key(uint8_t protocol, const char *src, uint16_t port)
{
	struct flow_key k = { .protocol = protocol, .dst_port_be = htons(port) };
	struct addr a;

	assert_int_equal(addr_parse(src, &a), 0);
	k.family = (uint8_t)a.family;
	memcpy(k.src, a.bytes, sizeof(k.src));
	return k;
}

static void test_table(void **state)
{
	const struct rule rules[] = {
		rule(IPPROTO_TCP, 80, 80, "10.0.0.0/8"),
		rule(IPPROTO_TCP, 443, 445, "0.0.0.0/0"),
		rule(IPPROTO_UDP, 0, 65535, "192.0.2.7/32"),
		rule(0, 53, 53, "2001:db8::/32"),
		rule(IPPROTO_TCP, 22, 22, "2001:db8::/65"),
		rule(IPPROTO_TCP, 25, 25, "::/0"),
	};
	static const struct {
		uint8_t protocol;
		const char *src;
		uint16_t port;
		bool allowed;
	} cases[] = {
		{ IPPROTO_TCP, "10.0.0.0", 80, true },
		{ IPPROTO_TCP, "10.255.255.255", 80, true },
		{ IPPROTO_TCP, "9.255.255.255", 80, false },
		{ IPPROTO_TCP, "11.0.0.0", 80, false },
		{ IPPROTO_TCP, "10.1.1.1", 81, false },
		{ IPPROTO_UDP, "10.1.1.1", 80, false },
		{ IPPROTO_TCP, "255.255.255.255", 443, true },
		{ IPPROTO_TCP, "0.0.0.1", 445, true },
		{ IPPROTO_TCP, "1.2.3.4", 442, false },
		{ IPPROTO_TCP, "1.2.3.4", 446, false },
		{ IPPROTO_TCP, "2001:db8::1", 443, false },
		{ IPPROTO_UDP, "192.0.2.7", 65535, true },
		{ IPPROTO_UDP, "192.0.2.7", 0, true },
		{ IPPROTO_UDP, "192.0.2.6", 1, false },
		{ IPPROTO_UDP, "192.0.2.8", 1, false },
		{ IPPROTO_SCTP, "2001:db8:ffff:ffff::", 53, true },
		{ IPPROTO_UDP, "2001:db9::", 53, false },
		{ IPPROTO_TCP, "2001:db8::7fff:ffff:ffff:ffff", 22, true },
		{ IPPROTO_TCP, "2001:db8::8000:0:0:0", 22, false },
		{ IPPROTO_TCP, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 25, true },
		{ IPPROTO_TCP, "1.2.3.4", 25, false },
	};
	struct rules_view *v;

	(void)state;
	assert_int_equal(rules_new(rules, ARRAY_SIZE(rules), &v), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flow_key k = key(cases[i].protocol, cases[i].src, cases[i].port);

		assert_int_equal(rules_allow(v, &k), cases[i].allowed);
		assert_true(rules_allow(NULL, &k));
	}
	rules_free(v);
	assert_int_equal(rules_new(NULL, 0, &v), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flow_key k = key(cases[i].protocol, cases[i].src, cases[i].port);

		assert_false(rules_allow(v, &k));
	}
	rules_free(v);
	rules_free(NULL);
}

static void test_refused(void **state)
{
	struct rule r = rule(IPPROTO_TCP, 80, 80, "10.0.0.0/8");
	struct rules_view *v;

	(void)state;
	r.port_min = 81;
	assert_int_equal(rules_new(&r, 1, &v), -EINVAL);
	r.port_min = 80;
	r.source.len = 33;
	assert_int_equal(rules_new(&r, 1, &v), -EINVAL);
	r.source.len = 8;
	r.source.addr.family = AF_UNSPEC;
	assert_int_equal(rules_new(&r, 1, &v), -EINVAL);
	assert_int_equal(rules_new(&r, RULES_MAX + 1, &v), -EINVAL);
}

static struct rule random_rule(unsigned *seed)
{
	static const uint8_t protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP };
	bool v6 = rand_r(seed) % 2;
	struct rule r = { .protocol = protocols[rand_r(seed) % 3] };

	r.port_min = (uint16_t)(rand_r(seed) % 4);
	r.port_max = (uint16_t)(r.port_min + rand_r(seed) % 3);
	r.source.addr.family = v6 ? AF_INET6 : AF_INET;
	r.source.len = (uint8_t)(rand_r(seed) % (v6 ? 129 : 33));
	/* few bits differ, so that prefixes touch and overlap */
	for (unsigned bit = 0; bit < r.source.len; bit++)
		if (bit % 13 == 0 && rand_r(seed) % 2)
			r.source.addr.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return r;
}

static bool slow_allow(const struct rule *rules, size_t n, const struct flow_key *k,
		       const struct addr *src)
{
	for (size_t i = 0; i < n; i++)
		if ((rules[i].protocol == 0 || rules[i].protocol == k->protocol) &&
		    ntohs(k->dst_port_be) >= rules[i].port_min &&
		    ntohs(k->dst_port_be) <= rules[i].port_max &&
		    prefix_contains(&rules[i].source, src))
			return true;
	return false;
}

/* Against a search through all rules; addresses at the edges of their prefixes. */
static void test_random(void **state)
{
	unsigned seed = 20261122, n_allowed = 0, n_denied = 0;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		struct rule rules[12]; /* n of them count, of the others come strangers */
		size_t n = (size_t)rand_r(&seed) % ARRAY_SIZE(rules) + 1;
		struct rules_view *v;

		for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
			rules[i] = random_rule(&seed);
		assert_int_equal(rules_new(rules, n, &v), 0);
		for (unsigned i = 0; i < 40; i++) {
			struct addr a =
				rules[(size_t)rand_r(&seed) % ARRAY_SIZE(rules)].source.addr;
			unsigned bit = (unsigned)rand_r(&seed) % (a.family == AF_INET6 ? 128 : 32);
			struct flow_key k = {
				.protocol = rand_r(&seed) % 2 ? IPPROTO_TCP : IPPROTO_UDP,
				.dst_port_be = htons((uint16_t)(rand_r(&seed) % 7)),
				.family = (uint8_t)a.family,
			};

			a.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			memcpy(k.src, a.bytes, sizeof(k.src));
			assert_int_equal(rules_allow(v, &k), slow_allow(rules, n, &k, &a));
			n_allowed += rules_allow(v, &k);
			n_denied += !rules_allow(v, &k);
		}
		rules_free(v);
	}
	assert_true(n_allowed > 10000 && n_denied > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
