/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Lateness, doubt about results, correlated failures, the limit of capacity loss, alarms: on a simulated clock. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/guard.h"
#include "health/lateness.h"

enum {
	SAMPLES = 5000,
	SWARM = 200, /* targets of the simulated group */
};

#define MS(n) ((usec_t)(n)*USEC_PER_MSEC)
#define SEC(n) ((usec_t)(n)*USEC_PER_SEC)
#define PERIOD_USEC MS(500)
#define LATE_USEC SEC(1)

static int usec_cmp(const void *a, const void *b)
{
	const usec_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Against the sorted samples: never less, and at most a quarter more. */
static void test_percentiles(void **state)
{
	static const unsigned per_milles[] = { 1, 500, 900, 990, 999, 1000 };
	static struct lateness l;
	_cleanup_free_ usec_t *samples = calloc(SAMPLES, sizeof(*samples));
	unsigned seed = 7;

	(void)state;
	assert_int_equal(lateness_percentile(&l, 990), 0);
	for (size_t i = 0; i < SAMPLES; i++) {
		samples[i] = (usec_t)rand_r(&seed) >> (rand_r(&seed) % 31);
		lateness_add(&l, samples[i], SEC(30) + i);
	}
	qsort(samples, SAMPLES, sizeof(*samples), usec_cmp);
	for (size_t i = 0; i < ARRAY_SIZE(per_milles); i++) {
		size_t rank = ((size_t)SAMPLES * per_milles[i] + 999) / 1000;
		usec_t exact = samples[rank - 1], found = lateness_percentile(&l, per_milles[i]);

		assert_true(found >= exact);
		assert_true(found <= exact + exact / 4);
	}
	for (unsigned i = 1; i < LATENESS_BUCKETS; i++)
		assert_true(lateness_bound(i) > lateness_bound(i - 1));
	lateness_add(&l, UINT64_MAX, SEC(40)); /* has a bucket, too */
	assert_true(lateness_percentile(&l, 1000) == lateness_bound(LATENESS_BUCKETS - 1));
}

static void test_old_lateness_is_forgotten(void **state)
{
	static struct lateness l;

	(void)state;
	lateness_add(&l, SEC(2), SEC(90));
	lateness_add(&l, 1, SEC(125));
	assert_int_equal(lateness_count(&l), 2);
	assert_true(lateness_percentile(&l, 990) >= SEC(2));
	lateness_add(&l, 1, SEC(151));
	assert_int_equal(lateness_count(&l), 2);
	assert_int_equal(lateness_percentile(&l, 990), 1);
	lateness_advance(&l, SEC(300));
	assert_int_equal(lateness_count(&l), 0);
}

static void test_doubt(void **state)
{
	/* Beats at 10.0 and 10.5; a probe due at 10 s with a timeout of 2 s. Times in ms after that. */
	static const struct {
		enum probe_outcome outcome;
		unsigned start, duration, read; /* read: after its end */
		unsigned last_beat;
		enum guard_doubt doubt;
	} cases[] = {
		{ PROBE_CONNECT_TIMEOUT, 0, 2000, 0, 1500, GUARD_NO_DOUBT },
		{ PROBE_CONNECT_TIMEOUT, 1000, 2000, 0, 2500, GUARD_NO_DOUBT },
		{ PROBE_CONNECT_TIMEOUT, 1001, 2000, 0, 2500, GUARD_LATE },
		{ PROBE_REFUSED, 1001, 0, 0, 1000, GUARD_LATE },
		{ PROBE_OK, 1001, 0, 0, 1000, GUARD_NO_DOUBT }, /* good news is never doubted */
		{ PROBE_CONNECT_TIMEOUT, 0, 2200, 0, 2000, GUARD_NO_DOUBT },
		{ PROBE_CONNECT_TIMEOUT, 0, 2201, 0, 2000, GUARD_OVERRAN },
		{ PROBE_REFUSED, 0, 2201, 0, 2000, GUARD_NO_DOUBT },
		{ PROBE_TIMEOUT, 0, 2000, 0, 750, GUARD_NO_DOUBT },
		{ PROBE_TIMEOUT, 0, 2000, 0, 749, GUARD_STALLED }, /* no beat for 1.25 s */
		{ PROBE_RESET, 0, 2000, 0, 500, GUARD_NO_DOUBT },
		{ PROBE_REFUSED, 0, 10, 10000, 500, GUARD_NO_DOUBT },
		{ PROBE_REFUSED, 0, 10, 10001, 500, GUARD_STALE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guard_worker w = GUARD_WORKER_INIT;
		struct guard_probe p = {
			.outcome = cases[i].outcome,
			.due_usec = SEC(10),
			.start_usec = SEC(10) + MS(cases[i].start),
			.duration_usec = MS(cases[i].duration),
			.timeout_usec = SEC(2),
		};
		usec_t end = p.start_usec + p.duration_usec;
		enum guard_doubt doubt;

		for (unsigned beat = 0; beat <= cases[i].last_beat; beat += 250)
			guard_worker_beat(&w, SEC(10) + MS(beat), PERIOD_USEC);
		w.beat_usec = SEC(10) + MS(cases[i].last_beat);
		doubt = guard_judge(&w, &p, LATE_USEC, PERIOD_USEC, end + MS(cases[i].read));
		if (doubt != cases[i].doubt)
			fail_msg("case %zu: %s", i, guard_doubt_to_string(doubt));
	}
}

/* From 10 to 12 s; or from then on. Times in ms after 0. */
static void test_outage(void **state)
{
	static const struct {
		enum probe_outcome outcome;
		unsigned start, duration;
		enum guard_doubt in_past, going_on;
	} cases[] = {
		{ PROBE_CONNECT_TIMEOUT, 7999, 2000, GUARD_NO_DOUBT, GUARD_NO_DOUBT },
		{ PROBE_CONNECT_TIMEOUT, 8000, 2000, GUARD_OUTAGE, GUARD_OUTAGE },
		{ PROBE_UNREACHABLE, 10500, 0, GUARD_OUTAGE, GUARD_OUTAGE },
		{ PROBE_REFUSED, 10500, 0, GUARD_OUTAGE, GUARD_OUTAGE },
		{ PROBE_OK, 10500, 0, GUARD_NO_DOUBT, GUARD_NO_DOUBT },
		{ PROBE_TIMEOUT, 9000, 4000, GUARD_OUTAGE, GUARD_OUTAGE },
		{ PROBE_TIMEOUT, 11999, 2000, GUARD_OUTAGE, GUARD_OUTAGE },
		{ PROBE_TIMEOUT, 12000, 2000, GUARD_NO_DOUBT, GUARD_OUTAGE },
	};
	const struct guard_outage past = { SEC(10), SEC(12) }, going_on = { SEC(10), USEC_NEVER },
				  none = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct guard_probe p = {
			.outcome = cases[i].outcome,
			.start_usec = MS(cases[i].start),
			.duration_usec = MS(cases[i].duration),
		};

		if (guard_judge_outage(&past, &p) != cases[i].in_past ||
		    guard_judge_outage(&going_on, &p) != cases[i].going_on)
			fail_msg("case %zu", i);
		assert_int_equal(guard_judge_outage(&none, &p), GUARD_NO_DOUBT);
	}
}

/* The worker is stopped from 10.6 to 13 s and then goes on; the beat may come before the result. */
static void test_a_stopped_worker_is_doubted(void **state)
{
	struct guard_worker w = GUARD_WORKER_INIT;
	struct guard_probe p = {
		.outcome = PROBE_TIMEOUT,
		.due_usec = SEC(11),
		.start_usec = SEC(11),
		.duration_usec = SEC(2),
		.timeout_usec = SEC(2),
	};

	(void)state;
	assert_int_equal(guard_judge(&w, &p, LATE_USEC, PERIOD_USEC, SEC(13)), GUARD_NO_DOUBT);
	guard_worker_beat(&w, MS(10500), PERIOD_USEC);
	assert_int_equal(guard_judge(&w, &p, LATE_USEC, PERIOD_USEC, SEC(13)), GUARD_STALLED);
	guard_worker_beat(&w, SEC(13), PERIOD_USEC);
	assert_int_equal(guard_judge(&w, &p, LATE_USEC, PERIOD_USEC, SEC(13)), GUARD_STALLED);
	/* What began afterwards counts again. */
	guard_worker_beat(&w, MS(13500), PERIOD_USEC);
	p.start_usec = p.due_usec = SEC(13);
	p.duration_usec = MS(700);
	p.timeout_usec = MS(700);
	assert_int_equal(guard_judge(&w, &p, LATE_USEC, PERIOD_USEC, MS(13700)), GUARD_NO_DOUBT);
}

static void test_phases(void **state)
{
	static const struct {
		unsigned at_sec;
		struct guard_count count;
		enum guard_phase phase;
	} steps[] = {
		{ 0, { .healthy = 10, .failing = 4 }, GUARD_CALM },
		{ 1, { .healthy = 10, .failing = 5 }, GUARD_SUSPECT },
		{ 2, { .healthy = 10, .failing = 10 }, GUARD_SUSPECT },
		{ 3, { .healthy = 10, .failing = 4 }, GUARD_CALM }, /* it has passed */
		{ 4, { .healthy = 8, .failing = 4 }, GUARD_SUSPECT },
		{ 63, { .healthy = 8, .failing = 8 }, GUARD_SUSPECT },
		{ 64, { .healthy = 8, .failing = 8 }, GUARD_GAVE_WAY }, /* held for 60 s */
		{ 65, { .healthy = 2, .failing = 2, .window_downs = 6 }, GUARD_GAVE_WAY },
		{ 66, { .window_downs = 8 }, GUARD_GAVE_WAY },
		{ 80, { 0 }, GUARD_CALM },
		{ 81, { .healthy = 1, .failing = 1 }, GUARD_CALM }, /* one alone is no crowd */
		/* what is down since less than the window counts: a threshold of 1 leaves nobody failing */
		{ 82, { .healthy = 6, .failing = 1, .window_downs = 4 }, GUARD_SUSPECT },
	};
	static const struct guard_limits limits = { .correlated_percent = 50,
						    .hold_usec = SEC(60) };
	static const struct guard_limits off = { .hold_usec = SEC(60) };
	struct guard_scope s = GUARD_SCOPE_INIT, never = GUARD_SCOPE_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		enum guard_phase before = s.phase;
		bool changed = guard_scope_update(&s, &steps[i].count, &limits,
						  SEC(100 + steps[i].at_sec));

		if (s.phase != steps[i].phase)
			fail_msg("step %zu: %s", i, guard_phase_to_string(s.phase));
		assert_int_equal(changed, before != s.phase);
		assert_false(guard_scope_update(&never, &steps[i].count, &off, SEC(100)));
	}
}

static void test_down(void **state)
{
	static const struct guard_scope calm = GUARD_SCOPE_INIT, suspect = { GUARD_SUSPECT, 0 },
					gave_way = { GUARD_GAVE_WAY, 0 };
	static const struct guard_limits none = { 0 }, tenth = { .loss_percent = 10 };
	struct guard_count c = { .registered = 30, .healthy = 30, .minute_downs = 2 };

	(void)state;
	assert_int_equal(guard_down(&calm, &calm, &c, &none), GUARD_ADMIT);
	assert_int_equal(guard_down(&suspect, &calm, &c, &none), GUARD_HOLD_CORRELATED);
	assert_int_equal(guard_down(&calm, &suspect, &c, &none), GUARD_HOLD_CORRELATED);
	assert_int_equal(guard_down(&gave_way, &gave_way, &c, &tenth), GUARD_ADMIT);
	c.minute_downs = 3;
	assert_int_equal(guard_down(&calm, &calm, &c, &none), GUARD_ADMIT);
	assert_int_equal(guard_down(&calm, &calm, &c, &tenth), GUARD_HOLD_LOSS);
	/* one may always go */
	c = (struct guard_count){ .registered = 3, .healthy = 3 };
	assert_int_equal(guard_down(&calm, &calm, &c, &tenth), GUARD_ADMIT);
	c.minute_downs = 1;
	assert_int_equal(guard_down(&calm, &calm, &c, &tenth), GUARD_HOLD_LOSS);
}

/* A group of 200 dies for good; of the waiting the longest goes first. Never more than 10 % in any minute. */
static void test_capacity_goes_at_the_limit(void **state)
{
	static const struct guard_limits limits = { .loss_percent = 10 };
	const struct guard_scope calm = GUARD_SCOPE_INIT;
	usec_t down[SWARM] = { 0 };
	unsigned n_down = 0;

	(void)state;
	for (unsigned now = 100; now < 100 + 600; now++) {
		struct guard_count c = { .registered = SWARM, .healthy = SWARM - n_down };

		for (unsigned i = 0; i < n_down; i++)
			c.minute_downs += SEC(now) < down[i] + SEC(60);
		while (n_down < SWARM && guard_down(&calm, &calm, &c, &limits) == GUARD_ADMIT) {
			down[n_down++] = SEC(now);
			c.minute_downs++;
		}
		assert_true(c.minute_downs <= SWARM / 10);
		assert_int_equal(n_down, MIN((now - 100) / 60 * 20 + 20, SWARM));
	}
}

static void test_alarm(void **state)
{
	struct guard_alarm a = { 0 };

	(void)state;
	assert_false(guard_alarm_update(&a, false, SEC(1)));
	assert_true(guard_alarm_update(&a, true, SEC(2)));
	assert_true(a.raised);
	assert_false(guard_alarm_update(&a, true, SEC(5)));
	assert_false(guard_alarm_update(&a, false, SEC(14)));
	assert_true(a.raised);
	assert_true(guard_alarm_update(&a, false, SEC(15)));
	assert_false(a.raised);
	assert_true(guard_alarm_update(&a, true, SEC(15)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_old_lateness_is_forgotten),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_outage),
		cmocka_unit_test(test_a_stopped_worker_is_doubted),
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_capacity_goes_at_the_limit),
		cmocka_unit_test(test_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
