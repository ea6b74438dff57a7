/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_timer.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "dpdk-fastpath/port-watch.h"
#include "dpdk-fastpath/port.h"
#include "dpdk-fastpath/reclaim.h"

/*
 * The reset that a device asks for, as ENA does, on a port that has no hardware: the driver's part of the reset is ours,
 * the event comes on another thread, as it may.
 */

#define PATIENCE_USEC (20 * USEC_PER_SEC)

static struct rig {
	sd_event *event;
	struct reclaim *reclaim;
	struct port_watch *watch;
	struct port port;
	rte_eth_dev_cb_fn on_event; /* that was registered */
	void *on_event_arg;
	unsigned resets, timer_calls;
	int answers[4]; /* of the resets */
	usec_t times[4];
	struct rte_timer timer;
} rig;

/* In place of DPDK's, for a driver that has a reset. */
int __wrap_rte_eth_dev_reset(uint16_t port_id);
int __wrap_rte_eth_dev_reset(uint16_t port_id)
{
	assert_int_equal(port_id, rig.port.id);
	assert_false(atomic_load(&rig.port.enabled)); /* workers have let go of it */
	assert_true(rig.resets < ARRAY_SIZE(rig.answers));
	rig.times[rig.resets] = clock_monotonic_usec();
	return rig.answers[rig.resets++];
}

int __real_rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type event,
					 rte_eth_dev_cb_fn fn, void *arg);
int __wrap_rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type event,
					 rte_eth_dev_cb_fn fn, void *arg);
int __wrap_rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type event,
					 rte_eth_dev_cb_fn fn, void *arg)
{
	assert_int_equal(event, RTE_ETH_EVENT_INTR_RESET);
	rig.on_event = fn;
	rig.on_event_arg = arg;
	return __real_rte_eth_dev_callback_register(port_id, event, fn, arg);
}

static void *raise_event(void *userdata)
{
	(void)userdata;
	(void)rig.on_event(rig.port.id, RTE_ETH_EVENT_INTR_RESET, rig.on_event_arg, NULL);
	return NULL;
}

static void ask_for_reset(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, raise_event, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void run_until_enabled(void)
{
	const usec_t end = clock_monotonic_usec() + PATIENCE_USEC;
	unsigned resets = rig.resets;

	while (!atomic_load(&rig.port.enabled) || rig.resets == resets) {
		assert_true(clock_monotonic_usec() < end);
		assert_true(sd_event_run(rig.event, USEC_PER_SEC / 10) >= 0);
	}
}

static void test_reset(void **state)
{
	const uint32_t epoch = atomic_load(&rig.port.epoch);

	(void)state;
	rig.resets = 0;
	rig.answers[0] = 0;
	ask_for_reset();
	assert_true(atomic_load(&rig.port.enabled)); /* nothing happens on that thread */
	run_until_enabled();
	assert_int_equal(rig.resets, 1);
	assert_int_equal(atomic_load(&rig.port.epoch), epoch + 1);
}

/* A reset that fails is tried again after a second, and the port stays closed to workers until then. */
static void test_failed_reset(void **state)
{
	usec_t later = USEC_NEVER;

	(void)state;
	/* The best of three, where a busy machine may stop this process. */
	for (unsigned i = 0; i < 3 && later > 3 * USEC_PER_SEC; i++) {
		rig.resets = 0;
		rig.answers[0] = -EIO;
		rig.answers[1] = 0;
		ask_for_reset();
		run_until_enabled();
		assert_int_equal(rig.resets, 2);
		later = rig.times[1] - rig.times[0];
		assert_true(later >= USEC_PER_SEC);
	}
	assert_true(later <= 3 * USEC_PER_SEC);
}

static void on_timer(struct rte_timer *timer, void *arg)
{
	(void)timer;
	(*(unsigned *)arg)++;
}

/* ENA's watchdog is a timer like this one, on the lcore that started the port. */
static void test_timers_are_served(void **state)
{
	const usec_t end = clock_monotonic_usec() + PATIENCE_USEC;

	(void)state;
	rte_timer_init(&rig.timer);
	assert_int_equal(rte_timer_reset(&rig.timer, rte_get_timer_hz() / 10, PERIODICAL,
					 rte_lcore_id(), on_timer, &rig.timer_calls),
			 0);
	while (rig.timer_calls < 3) {
		assert_true(clock_monotonic_usec() < end);
		assert_true(sd_event_run(rig.event, USEC_PER_SEC / 10) >= 0);
	}
	(void)rte_timer_stop(&rig.timer);
}

static int setup(void **state)
{
	static char *argv[] = { (char *)(uintptr_t) "test",
				(char *)(uintptr_t) "--no-huge",
				(char *)(uintptr_t) "--no-shconf",
				(char *)(uintptr_t) "--no-telemetry",
				(char *)(uintptr_t) "--no-pci",
				(char *)(uintptr_t) "--lcores=0",
				(char *)(uintptr_t) "--log-level=*:error" };
	static const struct port_config config = { .spec = "net_null0",
						   .n_queues = 1,
						   .queue_size = 64 };
	struct rte_mempool *pool;

	(void)state;
	if (rte_eal_init(ARRAY_SIZE(argv), argv) < 0 || sd_event_new(&rig.event) < 0)
		return -1;
	(void)rte_timer_subsystem_init();
	assert_int_equal(port_attach(&rig.port, 0, &config), 0);
	pool = rte_pktmbuf_pool_create("packets", 512, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	assert_non_null(pool);
	assert_int_equal(port_start(&rig.port, pool), 0);
	atomic_store(&rig.port.enabled, true);
	assert_int_equal(reclaim_new(rig.event, 1, &rig.reclaim), 0);
	return port_watch_new(rig.event, rig.reclaim, &rig.port, 1, &rig.watch);
}

static int teardown(void **state)
{
	(void)state;
	port_watch_free(rig.watch);
	reclaim_free(rig.reclaim);
	port_close(&rig.port);
	sd_event_unref(rig.event);
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_failed_reset),
		cmocka_unit_test(test_timers_are_served),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
