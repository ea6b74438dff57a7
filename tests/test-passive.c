/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/passive.h"

#define STEP_USEC (10 * USEC_PER_SEC)

/* Readings of one target, 10 s apart, and what each must say. */
struct reading {
	struct passive_counters counters;
	enum passive_finding finding;
	unsigned silent;
};

static void run(const struct passive_settings *s, const struct reading *readings, size_t n)
{
	struct passive_window w = { 0 };

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(passive_feed(&w, &readings[i].counters, s,
					      (usec_t)i * STEP_USEC + 1),
				 readings[i].finding);
		assert_int_equal(w.silent, readings[i].silent);
	}
}

static void test_two_way(void **state)
{
	static const struct passive_settings all = { .min_connections = 5, .percent = 100 };
	static const struct passive_settings half = { .min_connections = 5, .percent = 50 };
	static const struct reading silent[] = {
		{ { 1000, 9000, 8000 }, PASSIVE_NOTHING, 0 }, /* what was before says nothing */
		{ { 1005, 9015, 8000 }, PASSIVE_SILENT, 1 },
		{ { 1010, 9030, 8000 }, PASSIVE_SILENT, 2 },
		{ { 1015, 9045, 8005 }, PASSIVE_UNCLEAR, 0 },
		{ { 1020, 9060, 8005 }, PASSIVE_SILENT, 1 },
		{ { 3, 9, 0 }, PASSIVE_NOTHING, 0 }, /* a new destination */
		{ { 8, 24, 0 }, PASSIVE_SILENT, 1 },
	};
	static const struct reading few[] = {
		{ { 0, 0, 0 }, PASSIVE_NOTHING, 0 },
		{ { 2, 6, 0 }, PASSIVE_NOTHING, 0 },
		{ { 4, 12, 0 }, PASSIVE_NOTHING, 0 },
		{ { 5, 15, 0 },
		  PASSIVE_SILENT,
		  1 }, /* the window went on until there were enough */
	};
	static const struct reading slow[] = {
		{ { 0, 0, 0 }, PASSIVE_NOTHING, 0 },  { { 1, 3, 0 }, PASSIVE_NOTHING, 0 },
		{ { 1, 3, 0 }, PASSIVE_NOTHING, 0 },  { { 2, 6, 0 }, PASSIVE_NOTHING, 0 },
		{ { 3, 9, 0 }, PASSIVE_NOTHING, 0 },  { { 4, 9, 0 }, PASSIVE_NOTHING, 0 },
		{ { 4, 12, 0 }, PASSIVE_NOTHING, 0 }, /* 60 s: begins anew */
		{ { 8, 20, 0 }, PASSIVE_NOTHING, 0 },
	};
	static const struct reading some[] = {
		{ { 0, 0, 0 }, PASSIVE_NOTHING, 0 },
		{ { 10, 30, 5 }, PASSIVE_SILENT, 1 }, /* five of ten, at least */
		{ { 20, 60, 11 }, PASSIVE_UNCLEAR, 0 },
	};

	(void)state;
	run(&all, silent, ARRAY_SIZE(silent));
	run(&all, few, ARRAY_SIZE(few));
	run(&all, slow, ARRAY_SIZE(slow));
	run(&half, some, ARRAY_SIZE(some));
}

static void test_one_way_and_half_open(void **state)
{
	static const struct passive_settings s = { .min_connections = 4,
						   .percent = 75,
						   .one_way = true };
	static const struct reading readings[] = {
		{ { 0, 0, 0 }, PASSIVE_NOTHING, 0 },
		{ { 8, 24, 0 }, PASSIVE_UNCLEAR, 0 },
	};
	struct passive_window w = { .conns = 8 };

	(void)state;
	run(&s, readings, ARRAY_SIZE(readings));
	assert_false(passive_half_open(&w, &s, 0));
	assert_false(passive_half_open(&w, &s, 5));
	assert_true(passive_half_open(&w, &s, 6));
	w.conns = 2;
	assert_false(passive_half_open(&w, &s, 3)); /* fewer than counts */
}

/* 5 s, 10, 20, … 600; and anew when it was well for longer than it rested and a window. */
static void test_rests_grow(void **state)
{
	struct passive_window w = { 0 };
	usec_t now = 1000 * USEC_PER_SEC, rest = 5 * USEC_PER_SEC;

	(void)state;
	assert_false(passive_rests(&w, now));
	for (unsigned i = 0; i < 12; i++) {
		passive_mark(&w, now);
		assert_true(passive_rests(&w, now + rest - 1));
		now += rest;
		assert_false(passive_rests(&w, now));
		rest = MIN(2 * rest, 600 * USEC_PER_SEC);
	}
	now += 1260 * USEC_PER_SEC;
	passive_mark(&w, now);
	assert_true(passive_rests(&w, now + 5 * USEC_PER_SEC - 1));
	assert_false(passive_rests(&w, now + 5 * USEC_PER_SEC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_way),
		cmocka_unit_test(test_one_way_and_half_open),
		cmocka_unit_test(test_rests_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
