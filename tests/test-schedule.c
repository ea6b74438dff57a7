/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/schedule.h"
#include "health/wakeup.h"

static void test_next(void **state)
{
	static const struct {
		usec_t phase, interval, now, next;
	} cases[] = {
		{ 3, 10, 0, 3 },
		{ 3, 10, 3, 3 },
		{ 3, 10, 4, 13 },
		{ 3, 10, 13, 13 },
		{ 3, 10, 14, 23 },
		{ 0, 10, 0, 0 },
		{ 0, 10, 1, 10 },
		{ 9, 10, 10, 19 },
		{ 0, 1, 7, 7 },
		{ 4999999, 5000000, UINT64_C(1000000000000000), UINT64_C(1000000004999999) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(schedule_next(cases[i].phase, cases[i].interval, cases[i].now),
				 cases[i].next);
}

/* Phases of neighbouring ids: each tenth of the interval gets its share of 10,000. */
static void test_phase_is_even(void **state)
{
	static const usec_t interval_usec = 5 * USEC_PER_SEC;
	unsigned counts[10] = { 0 };

	(void)state;
	for (uint64_t id = 0; id < 10000; id++) {
		usec_t phase = schedule_phase(id, interval_usec);

		assert_true(phase < interval_usec);
		assert_int_equal(phase % (50 * USEC_PER_MSEC), 0);
		assert_int_equal(phase, schedule_phase(id, interval_usec));
		counts[phase * 10 / interval_usec]++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		assert_in_range(counts[i], 880, 1120); /* 4 standard deviations */
}

/* About a hundredth, and at least one place in every interval. */
static void test_grid(void **state)
{
	static const struct {
		usec_t interval, grid;
	} cases[] = {
		{ 10000, 10000 },     { 15000, 10000 },	       { 1000000, 10000 },
		{ 1999999, 10000 },   { 2000000, 20000 },      { 4999999, 20000 },
		{ 5000000, 50000 },   { 9999999, 50000 },      { 10000000, 100000 },
		{ 30000000, 100000 }, { 86400000000, 100000 }, { 7, 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(schedule_grid(cases[i].interval), cases[i].grid);
		for (uint64_t id = 0; id < 100; id++) {
			assert_true(schedule_phase(id, cases[i].interval) < cases[i].interval);
			assert_int_equal(schedule_phase(id, cases[i].interval) % cases[i].grid, 0);
		}
	}
}

static void test_first(void **state)
{
	usec_t latest = 0;

	(void)state;
	for (uint64_t id = 0; id < 1000; id++) {
		usec_t first = schedule_first(id, 5000, 1000, 77);

		assert_in_range(first, 77, 1076);
		latest = MAX(latest, first);
		assert_in_range(schedule_first(id, 500, 1000, 77), 77, 576);
		assert_int_equal(schedule_first(id, 500, 0, 77), 77);
	}
	assert_true(latest > 1000);
}

/* The queue against a search through all members, with few and with many of them in the near future. */
static void check_wakeup_queue(usec_t range_usec)
{
	enum { N = 200 };
	static struct wakeup members[N];
	struct wakeup_queue queue = { 0 };
	unsigned seed = 20261122;
	size_t n_queued = 0;

	memset(members, 0, sizeof(members));
	assert_null(wakeup_first(&queue));
	assert_int_equal(wakeup_reserve(&queue, N), 0);
	for (unsigned step = 0; step < 20000; step++) {
		struct wakeup *w = &members[rand_r(&seed) % N];
		struct wakeup *first, *earliest = NULL;

		if (rand_r(&seed) % 3 == 0) {
			n_queued -= w->number > 0;
			wakeup_remove(&queue, w);
			assert_int_equal(w->number, 0);
		} else {
			n_queued += w->number == 0;
			wakeup_set(&queue, w, step * 100 + (usec_t)rand_r(&seed) % range_usec);
		}
		for (size_t i = 0; i < N; i++)
			if (members[i].number > 0 &&
			    (!earliest || members[i].at_usec < earliest->at_usec))
				earliest = &members[i];
		first = wakeup_first(&queue);
		assert_int_equal(queue.n + queue.n_far, n_queued);
		assert_int_equal(first != NULL, earliest != NULL);
		if (first)
			assert_int_equal(first->at_usec, earliest->at_usec);
		for (size_t i = 1; i < queue.n; i++)
			assert_true(queue.heap[(i - 1) / 4].at_usec <= queue.heap[i].at_usec);
	}
	wakeup_queue_deinit(&queue);
}

static void test_wakeup_queue(void **state)
{
	(void)state;
	check_wakeup_queue(1000);
	check_wakeup_queue(2 * WAKEUP_NEAR_USEC);
	check_wakeup_queue(1000 * WAKEUP_NEAR_USEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),	     cmocka_unit_test(test_phase_is_even),
		cmocka_unit_test(test_grid),	     cmocka_unit_test(test_first),
		cmocka_unit_test(test_wakeup_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
