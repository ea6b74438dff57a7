/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a port tells of its receive-side scaling, read back over ethdev, against DPDK's own Toeplitz hash. */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_thash.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/port.h"

enum {
	QUEUES = 3,
};

static struct port port;
static struct rss_slot slot;

/* net_null has a redirection table and a key that it makes up; its hash is of no packet, since it has none. */
static int setup(void **state)
{
	static char *arguments[] = { (char *)(uintptr_t) "test",
				     (char *)(uintptr_t) "--no-huge",
				     (char *)(uintptr_t) "--no-shconf",
				     (char *)(uintptr_t) "--no-telemetry",
				     (char *)(uintptr_t) "--no-pci",
				     (char *)(uintptr_t) "--lcores=0",
				     (char *)(uintptr_t) "--log-level=*:error" };
	const struct port_config config = {
		.spec = "net_null0", .n_queues = QUEUES, .queue_size = 64, .rss_slot = &slot
	};
	struct rte_mempool *pool;

	(void)state;
	if (rte_eal_init(ARRAY_SIZE(arguments), arguments) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("packets", 512, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	assert_non_null(pool);
	assert_int_equal(port_attach(&port, 0, &config), 0);
	return port_start(&port, pool);
}

static int teardown(void **state)
{
	(void)state;
	port_close(&port);
	return rte_eal_cleanup();
}

static uint32_t random32(unsigned *seed)
{
	return (uint32_t)rand_r(seed) << 16 ^ (uint32_t)rand_r(seed);
}

/* Source, destination, ports, as rte_thash wants them: words in host order. */
static void check(const uint8_t *key, uint8_t family, unsigned *seed)
{
	const unsigned n = family == AF_INET6 ? 4 : 1;
	const struct rss *rss = atomic_load(&slot.rss);
	uint32_t tuple[9], bytes[9];
	uint16_t source_port_be, target_port_be;

	for (unsigned i = 0; i < 2 * n + 1; i++) {
		tuple[i] = random32(seed);
		bytes[i] = htonl(tuple[i]);
	}
	source_port_be = htons((uint16_t)(tuple[2 * n] >> 16));
	target_port_be = htons((uint16_t)tuple[2 * n]);
	assert_int_equal(rss_hash_source(rss, family, (uint8_t *)bytes, source_port_be) ^
				 rss_hash_target(rss, family, (uint8_t *)&bytes[n], target_port_be),
			 rte_softrss(tuple, 2 * n + 1, key));
}

static void test_hash(void **state)
{
	uint8_t key[RSS_KEY_BYTES];
	struct rte_eth_rss_conf conf = { .rss_key = key, .rss_key_len = sizeof(key) };
	unsigned seed = 1;

	(void)state;
	assert_non_null(atomic_load(&slot.rss));
	assert_int_equal(rte_eth_dev_rss_hash_conf_get(port.id, &conf), 0);
	for (unsigned i = 0; i < 10000; i++)
		check(key, i & 1 ? AF_INET6 : AF_INET, &seed);
}

/* Evenly over the queues, as we asked for. */
static void test_table(void **state)
{
	const struct rss *rss = atomic_load(&slot.rss);
	struct rte_eth_dev_info info;

	(void)state;
	assert_int_equal(rte_eth_dev_info_get(port.id, &info), 0);
	assert_int_equal(rss->reta_mask, info.reta_size - 1);
	for (unsigned i = 0; i < info.reta_size; i++)
		assert_int_equal(rss->reta[i], i % QUEUES);
}

/* Workers must not see it change. */
static void test_disabled(void **state)
{
	(void)state;
	port_disable(&port);
	assert_null(atomic_load(&slot.rss));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_disabled),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
