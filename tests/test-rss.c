/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The Toeplitz hash against Microsoft's "Verifying the RSS Hash Calculation", the redirection table, and its limits. */

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
#include "dpdk-fastpath/rss.h"

static const uint8_t key[RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const uint16_t one[] = { 0 };

static void test_vectors(void **state)
{
	static const struct {
		const char *target, *source;
		uint32_t hash;
	} cases[] = {
		{ "161.142.100.80:1766", "66.9.149.187:2794", 0x51ccc178 },
		{ "65.69.140.83:4739", "199.92.111.2:14230", 0xc626b0ea },
		{ "12.22.207.184:38024", "24.19.198.95:12898", 0x5c2b394a },
		{ "209.142.163.6:2217", "38.27.205.30:48228", 0xafc7327f },
		{ "202.188.127.2:1303", "153.39.163.191:44251", 0x10e828a2 },
		{ "[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x40207d3d },
		{ "[ff02::1]:4739", "[3ffe:501:8::260:97ff:fe40:efab]:14230", 0xdde51bbf },
		{ "[fe80::200:f8ff:fe21:67cf]:38024", "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251",
		  0x02d1feef },
	};
	static struct rss r;

	(void)state;
	assert_int_equal(rss_init(&r, key, one, 1, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr source, target;
		uint16_t source_port, target_port;

		assert_int_equal(addr_port_parse(cases[i].source, &source, &source_port), 0);
		assert_int_equal(addr_port_parse(cases[i].target, &target, &target_port), 0);
		assert_int_equal(rss_hash_source(&r, (uint8_t)source.family, source.bytes,
						 htons(source_port)) ^
					 rss_hash_target(&r, (uint8_t)target.family, target.bytes,
							 htons(target_port)),
				 cases[i].hash);
	}
}

static void test_table(void **state)
{
	static struct rss r;
	uint16_t reta[RSS_RETA_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(reta); i++)
		reta[i] = (uint16_t)(1000 + i);
	assert_int_equal(rss_init(&r, key, reta, 128, 0), 0);
	assert_int_equal(rss_queue(&r, 0xffffff80), 1000);
	assert_int_equal(rss_queue(&r, 0x51ccc178), 1000 + 0x78);
	assert_int_equal(rss_init(&r, key, reta, RSS_RETA_MAX, 0), 0);
	assert_int_equal(rss_queue(&r, 0xffffffff), 1000 + RSS_RETA_MAX - 1);
	assert_int_equal(rss_init(&r, key, reta, 0, 0), -EINVAL);
	assert_int_equal(rss_init(&r, key, reta, 100, 0), -EINVAL);
	assert_int_equal(rss_init(&r, key, reta, 1024, 0), -EINVAL);
}

static void test_fields(void **state)
{
	static const struct {
		uint8_t family, protocol;
		uint32_t field;
	} cases[] = {
		{ AF_INET, IPPROTO_TCP, RSS_TCP4 },   { AF_INET, IPPROTO_UDP, RSS_UDP4 },
		{ AF_INET, IPPROTO_SCTP, RSS_SCTP4 }, { AF_INET6, IPPROTO_TCP, RSS_TCP6 },
		{ AF_INET6, IPPROTO_UDP, RSS_UDP6 },  { AF_INET6, IPPROTO_SCTP, RSS_SCTP6 },
		{ AF_INET, IPPROTO_ICMP, 0 },
	};
	static struct rss r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned fields = 0; fields < 64; fields++) {
			assert_int_equal(rss_init(&r, key, one, 1, fields), 0);
			assert_int_equal(rss_hashes_ports(&r, cases[i].family, cases[i].protocol),
					 (fields & cases[i].field) != 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
