/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "director-storm.h"
#include "dpdk-fastpath/counters.h"

enum {
	ROUNDS = 3000,
	SCRIPT_BYTES = 400,
};

/* Those that the worker's loop counts, not the director. */
static bool is_of_worker(unsigned c)
{
	return c == COUNTER_DROP_TX || c == COUNTER_DROP_HANDOVER || c == COUNTER_DROP_EXCEPTION;
}

/* Whatever the frames, each ends in one counter and no record is lost; and every counter is met. */
static void test_storm(void **state)
{
	struct storm *s = storm_new();
	unsigned seed = 20261122;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t script[SCRIPT_BYTES];

		for (size_t i = 0; i < sizeof(script); i++)
			script[i] = (uint8_t)(rand_r(&seed) >> 8);
		storm_play(s, script, sizeof(script));
	}
	for (unsigned c = 0; c < _COUNTER_MAX; c++) {
		uint64_t n = storm_counter(s, c);

		if (is_of_worker(c) || c == COUNTER_DROP_RULES || c == COUNTER_DROP_PORTS ||
		    c == COUNTER_DROP_NEXTHOP)
			continue;
		if (n == 0)
			print_message("no frame ended in %s\n", counter_to_string(c));
		assert_true(n > 0);
	}
	storm_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
