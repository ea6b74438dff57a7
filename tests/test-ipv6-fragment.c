/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Fragments of a tunnel's IPv6 packet, put together again by a plain reading of RFC 8200, 4.5. */

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/ipv6-fragment.h"

enum {
	L3 = 18, /* Ethernet with a VLAN tag */
	HEADERS = L3 + 40,
	ID = 0x12345678, /* any */
	MAX = 24,
};

static struct rte_mempool *pool;

static int setup(void **state)
{
	static char *argv[] = { (char *)(uintptr_t) "test",
				(char *)(uintptr_t) "--no-huge",
				(char *)(uintptr_t) "--no-shconf",
				(char *)(uintptr_t) "--no-telemetry",
				(char *)(uintptr_t) "--no-pci",
				(char *)(uintptr_t) "--lcores=0",
				(char *)(uintptr_t) "--log-level=*:error" };

	(void)state;
	if (rte_eal_init(ARRAY_SIZE(argv), argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("packets", 64, 0, 0, 10000, 0);
	return pool ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

static struct rte_mbuf *make(uint16_t payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(HEADERS + payload));

	for (unsigned i = 0; i < (unsigned)HEADERS + payload; i++)
		p[i] = (uint8_t)(i * 7 + i / 256);
	p[L3] = 0x60;
	p[L3 + 4] = (uint8_t)(payload >> 8);
	p[L3 + 5] = (uint8_t)payload;
	p[L3 + 6] = IPPROTO_IPIP;
	return m;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void check(uint16_t payload, uint16_t mtu, unsigned expected)
{
	struct rte_mbuf *m = make(payload), *out[MAX];
	const uint8_t *whole = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned at = 0;
	int n = ipv6_fragment(m, L3, mtu, ID, pool, out, MAX);

	assert_int_equal(n, expected);
	for (int i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(out[i], const uint8_t *), *h = p + HEADERS;
		unsigned len = out[i]->data_len - HEADERS - 8U;

		assert_int_equal(out[i]->pkt_len, out[i]->data_len);
		assert_true(out[i]->data_len - L3 <= mtu);
		assert_memory_equal(p, whole, L3 + 4);
		assert_int_equal(get16(p + L3 + 4), 8 + len);
		assert_int_equal(p[L3 + 6], IPPROTO_FRAGMENT);
		assert_memory_equal(p + L3 + 7, whole + L3 + 7, 33);
		assert_int_equal(h[0], IPPROTO_IPIP);
		assert_int_equal(h[1], 0);
		assert_int_equal(get16(h + 2), at | (i + 1 < n));
		assert_int_equal(get16(h + 4) << 16 | get16(h + 6), ID);
		assert_memory_equal(h + 8, whole + HEADERS + at, len);
		at += len;
	}
	assert_int_equal(at, payload);
	rte_pktmbuf_free_bulk(out, (unsigned)n);
	rte_pktmbuf_free(m);
}

static void test_pieces(void **state)
{
	(void)state;
	check(1461, 1500, 2);
	check(1448, 1500, 1);
	check(1449, 1500, 2);
	check(2896, 1500, 2);
	check(2897, 1500, 3);
	check(9000, 1280, 8);
	check(17, 56, 3);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void test_refused(void **state)
{
	struct rte_mbuf *out[MAX], *m = make(1000), *all[64];
	unsigned n = 0;

	(void)state;
	assert_int_equal(ipv6_fragment(m, L3, 55, ID, pool, out, MAX), -EINVAL);
	assert_int_equal(ipv6_fragment(m, L3, 56, ID, pool, out, MAX), -ENOBUFS);
	while ((all[n] = rte_pktmbuf_alloc(pool)))
		n++;
	assert_int_equal(ipv6_fragment(m, L3, 576, ID, pool, out, MAX), -ENOMEM);
	rte_pktmbuf_free_bulk(all, n);
	rte_pktmbuf_free(m);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
