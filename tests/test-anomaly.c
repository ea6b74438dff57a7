/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/anomaly.h"

enum {
	N_MAX = 12,
};

static struct anomaly with_failures(unsigned failures, unsigned results)
{
	struct anomaly a = { 0 };

	for (unsigned i = 0; i < results; i++)
		anomaly_note(&a, i < failures);
	return a;
}

static void test_window(void **state)
{
	struct anomaly a = with_failures(3, 10);

	(void)state;
	assert_int_equal(a.n, 10);
	assert_int_equal(__builtin_popcount(a.failures), 3);
	for (int i = 0; i < 24; i++)
		anomaly_note(&a, false);
	assert_int_equal(a.n, ANOMALY_WINDOW);
	assert_int_equal(__builtin_popcount(a.failures), 1); /* two have left the window */
	for (int i = 0; i < 24; i++)
		anomaly_note(&a, false);
	assert_int_equal(a.failures, 0);
}

/*
 * The rules at the head of health/anomaly.h. A target a digit: its failures of the last 32 results, in hexadecimal
 * pairs; '-' in front: it does not take part. After it, and before, the steps.
 */
struct one {
	unsigned failures;
	unsigned results;
	uint8_t steps;
	bool away;
	uint8_t then;
	bool anomalous;
};

static const struct {
	const char *what;
	struct one targets[N_MAX];
	unsigned n;
} evaluations[] = {
	{ "all well", { { 0, 32 }, { 0, 32 }, { 0, 32 } }, 3 },
	{ "an eighth more than a median of 0",
	  { { 4, 32, .then = 1, .anomalous = true }, { 0, 32 }, { 0, 32 } },
	  3 },
	{ "less than that", { { 3, 32 }, { 0, 32 }, { 0, 32 } }, 3 },
	{ "twice the median, too",
	  { { 12, 32, .then = 1, .anomalous = true }, { 6, 32 }, { 6, 32 } },
	  3 },
	{ "an eighth more, but not twice", { { 11, 32 }, { 6, 32 }, { 6, 32 } }, 3 },
	{ "two are no group", { { 32, 32 }, { 0, 32 } }, 2 },
	{ "nor with one that is away",
	  { { 16, 32, 2, .then = 1 }, { 0, 32 }, { 0, 32, .away = true } },
	  3 },
	{ "nor with one that is new", { { 16, 32 }, { 0, 32 }, { 0, 7 } }, 3 },
	{ "eight results suffice",
	  { { 1, 8, .then = 1, .anomalous = true }, { 0, 8 }, { 0, 8 } },
	  3 },
	{ "step by step down",
	  { { 16, 32, 2, .then = 3, .anomalous = true }, { 0, 32 }, { 0, 32 } },
	  3 },
	{ "to the floor",
	  { { 16, 32, 3, .then = 3, .anomalous = true }, { 0, 32 }, { 0, 32 } },
	  3 },
	{ "step by step up", { { 1, 32, 3, .then = 2 }, { 0, 32 }, { 0, 32 } }, 3 },
	{ "in between it stays", { { 2, 32, 3, .then = 3 }, { 0, 32 }, { 0, 32 } }, 3 },
	{ "in between it does not begin", { { 2, 32 }, { 0, 32 }, { 0, 32 } }, 3 },
	{ "away it keeps its step",
	  { { 0, 32, 3, .away = true, .then = 3 }, { 0, 32 }, { 0, 32 }, { 0, 32 } },
	  4 },
	{ "with few results it keeps its step",
	  { { 0, 4, 3, .then = 3 }, { 0, 32 }, { 0, 32 }, { 0, 32 } },
	  4 },
	{ "at most a third, the worst first",
	  { { 8, 32, 1, .then = 0, .anomalous = true },
	    { 16, 32, .then = 1, .anomalous = true },
	    { 0, 32 },
	    { 0, 32 },
	    { 0, 32 } },
	  5 },
	{ "of equals the first",
	  { { 0, 32 },
	    { 8, 32, .then = 1, .anomalous = true },
	    { 8, 32, .anomalous = true },
	    { 0, 32 },
	    { 0, 32 } },
	  5 },
	{ "two of six",
	  { { 8, 32, .then = 1, .anomalous = true },
	    { 0, 32 },
	    { 8, 32, .then = 1, .anomalous = true },
	    { 0, 32 },
	    { 0, 32 },
	    { 0, 32 } },
	  6 },
	{ "when most fail, they are what is usual",
	  { { 16, 32 }, { 16, 32 }, { 16, 32 }, { 0, 32 }, { 0, 32 } },
	  5 },
};

static void test_evaluation(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(evaluations); c++) {
		struct anomaly anomalies[N_MAX] = { 0 };
		struct anomaly_target targets[N_MAX] = { 0 };
		bool changes = false;

		for (size_t i = 0; i < evaluations[c].n; i++) {
			const struct one *o = &evaluations[c].targets[i];

			anomalies[i] = with_failures(o->failures, o->results);
			anomalies[i].steps = o->steps;
			targets[i] = (struct anomaly_target){ &anomalies[i], !o->away };
			changes |= o->steps != o->then || o->anomalous;
		}
		assert_int_equal(anomaly_evaluate(targets, evaluations[c].n), changes);
		for (size_t i = 0; i < evaluations[c].n; i++) {
			const struct one *o = &evaluations[c].targets[i];

			if (anomalies[i].steps != o->then || anomalies[i].anomalous != o->anomalous)
				fail_msg("%s, target %zu: %u steps%s", evaluations[c].what, i,
					 anomalies[i].steps,
					 anomalies[i].anomalous ? ", anomalous" : "");
		}
	}
}

/* Down in three evaluations and, when the failures have left the window, back in three. */
static void test_gradual(void **state)
{
	static const uint8_t story[] = { 1, 2, 3, 3, 3, 2, 1, 0, 0 };
	struct anomaly a[3] = { with_failures(8, 32), with_failures(0, 32), with_failures(0, 32) };
	struct anomaly_target targets[3] = { { &a[0], true }, { &a[1], true }, { &a[2], true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(story); i++) {
		if (i == 5)
			a[0] = (struct anomaly){ .n = 32, .steps = a[0].steps, .anomalous = true };
		assert_true(anomaly_evaluate(targets, 3) >= 0);
		assert_int_equal(a[0].steps, story[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_evaluation),
		cmocka_unit_test(test_gradual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
