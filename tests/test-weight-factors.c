/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The factors of health/weight.h one by one, and together against a slow reference in floating point. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/weight.h"

enum {
	N_MAX = 40,
};

#define SEC USEC_PER_SEC

/* Letters: h healthy, u unhealthy; in upper case in another zone. */
static size_t inputs(const char *letters, struct weight_input *in)
{
	size_t n = strlen(letters);

	for (size_t i = 0; i < n; i++) {
		in[i] = (struct weight_input){ .configured = 100 };
		in[i].state = (letters[i] | 0x20) == 'h' ? TARGET_HEALTHY : TARGET_UNHEALTHY;
		in[i].verdict = in[i].state;
		in[i].zone = letters[i] < 'a' ? WEIGHT_ZONE_OTHER : WEIGHT_ZONE_OWN;
	}
	return n;
}

static const struct {
	const char *what, *targets;
	struct weight_settings settings;
	unsigned own, other; /* weight of those that get traffic; 0 = nobody does */
	const char *used;    /* 1, ! by fail-open, . not */
	bool fail_open, dns_healthy;
} zone_cases[] = {
	/* elbv2.md §1.4, the worked example: 10 + 10 targets, 50 % / 50 %, 6 fail in B. */
	{ "cross-zone off, the gateway in B: 4 of 10 fail DNS and open to all 10 of B",
	  "hhhhuuuuuuHHHHHHHHHH",
	  { .minimum = { 1, 50 }, .zone_minimum = { 1, 50 }, .own_zone_only = true },
	  100,
	  0,
	  "1111!!!!!!..........",
	  true,
	  false },
	{ "cross-zone off, the gateway in A: its 10",
	  "HHHHUUUUUUhhhhhhhhhh",
	  { .minimum = { 1, 50 }, .zone_minimum = { 1, 50 }, .own_zone_only = true },
	  100,
	  0,
	  "..........1111111111",
	  false,
	  true },
	{ "cross-zone on: 14 of 20 = 70 % is well, and the 14 are used",
	  "hhhhuuuuuuHHHHHHHHHH",
	  { .minimum = { 1, 50 }, .zone_minimum = { 1, 50 } },
	  100,
	  100,
	  "1111......1111111111",
	  false,
	  true },
	/* §1.4: an empty AZ counts as unhealthy. */
	{ "cross-zone off, nobody at home",
	  "HH",
	  { .minimum = { 1, 0 }, .zone_minimum = { 1, 0 }, .own_zone_only = true },
	  0,
	  0,
	  "..",
	  false,
	  false },
	/* §1.4: if all targets fail in all enabled AZs, all get traffic. */
	{ "all fail",
	  "uuUU",
	  { .minimum = { 1, 0 }, .zone_minimum = { 1, 0 } },
	  100,
	  100,
	  "!!!!",
	  true,
	  false },
	{ "all fail at home, cross-zone off",
	  "uuHH",
	  { .minimum = { 1, 0 }, .zone_minimum = { 1, 0 }, .own_zone_only = true },
	  100,
	  0,
	  "!!..",
	  true,
	  false },
	/* dns_record.client_routing_policy: 100 %, 85 %, 0 %. */
	{ "affinity",
	  "hhHH",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 100 },
	  100,
	  0,
	  "11..",
	  false,
	  true },
	{ "affinity, half of the zone away",
	  "huHH",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 100 },
	  100,
	  0,
	  "1...",
	  false,
	  true },
	{ "affinity, fewer than the zone's minimum",
	  "huHH",
	  { .zone_minimum = { 2, 0 }, .affinity_percent = 100 },
	  100,
	  100,
	  "1.11",
	  false,
	  true },
	{ "affinity, below the zone's percentage",
	  "huHH",
	  { .zone_minimum = { 1, 51 }, .affinity_percent = 100 },
	  100,
	  100,
	  "1.11",
	  false,
	  true },
	{ "affinity, nobody at home is well",
	  "uuHH",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 100 },
	  100,
	  100,
	  "..11",
	  false,
	  true },
	{ "affinity, nobody anywhere is well",
	  "uuUU",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 100 },
	  100,
	  100,
	  "!!!!",
	  true,
	  false },
	{ "any zone", "hhHH", { .zone_minimum = { 1, 0 } }, 100, 100, "1111", false, true },
	{ "no other zone",
	  "hhh",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 85 },
	  100,
	  0,
	  "111",
	  false,
	  true },
	/* Own share .85 + .15 / 2 = .925: 100 to 8.1. */
	{ "partial",
	  "hhHH",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 85 },
	  100,
	  8,
	  "1111",
	  false,
	  true },
	{ "partial, in tenths",
	  "hhHH",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 85, .resolution = 1000 },
	  1000,
	  81,
	  "1111",
	  false,
	  true },
	{ "partial where cross-zone is off",
	  "hhHH",
	  { .zone_minimum = { 1, 0 }, .affinity_percent = 85, .own_zone_only = true },
	  100,
	  0,
	  "11..",
	  false,
	  true },
};

static void test_zones(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(zone_cases); c++) {
		struct weight_input in[N_MAX];
		struct weight_output out[N_MAX];
		struct weight_summary sum;
		size_t n = inputs(zone_cases[c].targets, in);

		weight_compute(in, n, &zone_cases[c].settings, out, &sum);
		for (size_t i = 0; i < n; i++) {
			bool other = in[i].zone == WEIGHT_ZONE_OTHER;
			unsigned expected = zone_cases[c].used[i] == '.' ? 0
					    : other			 ? zone_cases[c].other
									 : zone_cases[c].own;

			if (out[i].weight != expected)
				fail_msg("%s, target %zu: %u, not %u", zone_cases[c].what, i,
					 out[i].weight, expected);
			assert_int_equal(out[i].by_fail_open, zone_cases[c].used[i] == '!');
		}
		if (sum.dns_healthy != zone_cases[c].dns_healthy ||
		    sum.fail_open != zone_cases[c].fail_open)
			fail_msg("%s: DNS %d, fail open %d", zone_cases[c].what, sum.dns_healthy,
				 sum.fail_open);
	}
}

/* §1.3: linear. */
static void test_slow_start(void **state)
{
	static const struct {
		usec_t elapsed, duration;
		unsigned configured, resolution, weight;
	} cases[] = {
		{ 0, 30 * SEC, 100, 100, 1 }, /* it may be seen to work */
		{ 3 * SEC, 30 * SEC, 100, 100, 10 },
		{ 15 * SEC, 30 * SEC, 100, 100, 50 },
		{ 29700 * USEC_PER_MSEC, 30 * SEC, 100, 100, 99 },
		{ 30 * SEC, 30 * SEC, 100, 100, 100 },
		{ 31 * SEC, 30 * SEC, 100, 100, 100 },
		{ 450 * SEC, 900 * SEC, 100, 100, 50 },
		{ 3 * SEC, 30 * SEC, 1, 100, 10 }, /* scaled: smooth with a weight of 1, too */
		{ 30 * SEC, 30 * SEC, 1, 100, 100 },
		{ 15 * SEC, 30 * SEC, 65535, 100, 32768 },
		{ 15 * SEC, 0, 100, 0, 100 }, /* switched off meanwhile */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct weight_settings s = { .slow_start_usec = cases[i].duration,
						   .resolution = cases[i].resolution };
		struct weight_input in[2] = { { .configured = cases[i].configured,
						.state = TARGET_HEALTHY,
						.in_slow_start = true,
						.slow_start_elapsed_usec = cases[i].elapsed },
					      { .configured = cases[i].configured,
						.state = TARGET_HEALTHY } };
		struct weight_output out[2];
		struct weight_summary sum;

		weight_compute(in, 2, &s, out, &sum);
		if (out[0].weight != cases[i].weight)
			fail_msg("case %zu: %u, not %u", i, out[0].weight, cases[i].weight);
		assert_int_equal(out[1].weight, cases[i].configured * sum.scale);
	}
}

/* Neither slow start nor mitigation holds back what a group that fails open has left. */
static void test_fail_open_holds_nothing_back(void **state)
{
	const struct weight_settings s = { .minimum = { 2, 0 },
					   .slow_start_usec = 30 * SEC,
					   .resolution = 100 };
	struct weight_input in[3] = {
		{ .configured = 100, .state = TARGET_HEALTHY, .in_slow_start = true },
		{ .configured = 100, .state = TARGET_UNHEALTHY, .anomaly_steps = 3 },
		{ .configured = 100, .state = TARGET_UNHEALTHY, .drained_by_agent = true },
	};
	struct weight_output out[3];
	struct weight_summary sum;

	(void)state;
	weight_compute(in, 3, &s, out, &sum);
	assert_true(sum.fail_open);
	assert_int_equal(out[0].weight, 100);
	assert_int_equal(out[1].weight, 100);
	assert_int_equal(out[2].weight, 0);
}

static void test_advice_and_mitigation(void **state)
{
	static const struct {
		struct weight_input in;
		unsigned weight;
	} cases[] = {
		{ { .configured = 100, .has_advice = true, .advice_percent = 75 }, 75 },
		{ { .configured = 100, .has_advice = true, .advice_percent = 0 }, 0 },
		{ { .configured = 100, .has_advice = true, .advice_percent = 200 }, 200 },
		{ { .configured = 65535, .has_advice = true, .advice_percent = 200 }, 65535 },
		{ { .configured = 100, .drained_by_agent = true }, 0 },
		{ { .configured = 100, .drained_by_operator = true }, 0 },
		{ { .configured = 100, .anomaly_steps = 1 }, 50 },
		{ { .configured = 100, .anomaly_steps = 2 }, 25 },
		{ { .configured = 100, .anomaly_steps = 3 }, 13 },
		{ { .configured = 1, .anomaly_steps = 3 }, 1 },
		{ { .configured = 100,
		    .anomaly_steps = 1,
		    .has_advice = true,
		    .advice_percent = 50 },
		  25 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct weight_input in = cases[i].in;
		struct weight_output out;
		struct weight_summary sum;

		in.state = TARGET_HEALTHY;
		weight_compute(&in, 1, &(struct weight_settings){ .resolution = 0 }, &out, &sum);
		if (out.weight != cases[i].weight)
			fail_msg("case %zu: %u, not %u", i, out.weight, cases[i].weight);
	}
}

/* §1.3, §1.4: connections of an unhealthy target end, unless the group fails open; others' do not. */
static void test_ends(void **state)
{
	static const struct {
		enum target_state state, verdict;
		bool terminates, others_healthy, ends;
	} cases[] = {
		{ TARGET_UNHEALTHY, TARGET_UNHEALTHY, true, true, true },
		{ TARGET_UNHEALTHY, TARGET_UNHEALTHY, false, true, false },
		{ TARGET_UNHEALTHY, TARGET_UNHEALTHY, true, false, false },
		{ TARGET_UNHEALTHY_DRAINING, TARGET_UNHEALTHY_DRAINING, true, true, false },
		{ TARGET_HEALTHY, TARGET_HEALTHY, true, true, false },
		{ TARGET_INITIAL, TARGET_INITIAL, true, true, false },
		{ TARGET_DRAINING, TARGET_HEALTHY, true, true, false },
		{ TARGET_DRAINING, TARGET_UNHEALTHY, true, true, true },
		{ TARGET_DRAINING, TARGET_UNHEALTHY, true, false, false },
		{ TARGET_UNUSED, TARGET_UNUSED, true, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct weight_input in[2] = {
			{ .configured = 1, .state = cases[i].state, .verdict = cases[i].verdict },
			{ .configured = 1,
			  .state = cases[i].others_healthy ? TARGET_HEALTHY : TARGET_UNHEALTHY },
		};
		struct weight_output out[2];
		struct weight_summary sum;

		weight_compute(in, 2,
			       &(struct weight_settings){ .terminates = cases[i].terminates }, out,
			       &sum);
		if (out[0].ends != cases[i].ends)
			fail_msg("case %zu: %d", i, out[0].ends);
	}
}

/* A target in words, and its weight by the sentences of health/weight.h, in floating point. */
static bool may_serve(const struct weight_input *t, const struct weight_settings *s)
{
	if (t->state == TARGET_DRAINING || t->state == TARGET_UNUSED)
		return false;
	if (t->drained_by_operator || t->drained_by_agent || !t->configured)
		return false;
	if (t->has_advice && !t->advice_percent)
		return false;
	return t->zone == WEIGHT_ZONE_OWN || !s->own_zone_only;
}

static bool too_few(double healthy, double of, const struct weight_minimum *m)
{
	return healthy < 1 || healthy < m->count || healthy < of * m->percent / 100 - 1e-9;
}

struct census {
	double able, well, able_here, well_here, least, most;
};

static bool is_well(const struct weight_input *t)
{
	return t->state == TARGET_HEALTHY || t->state == TARGET_UNAVAILABLE;
}

static struct census take_census(const struct weight_input *in, size_t n,
				 const struct weight_settings *s)
{
	struct census c = { .least = 1e9 };

	for (size_t i = 0; i < n; i++) {
		bool here = in[i].zone == WEIGHT_ZONE_OWN;

		if (in[i].configured) {
			c.least = fmin(c.least, in[i].configured);
			c.most = fmax(c.most, in[i].configured);
		}
		if (!may_serve(&in[i], s))
			continue;
		c.able++;
		c.well += is_well(&in[i]);
		c.able_here += here;
		c.well_here += here && is_well(&in[i]);
	}
	return c;
}

/* What a target of another zone gets for one part of a target here. */
static double other_zones(const struct weight_input *in, size_t n, const struct weight_settings *s,
			  const struct census *c, const double *weights)
{
	double own = 0, all = 0, p = s->affinity_percent / 100.0, share;

	for (size_t i = 0; i < n; i++) {
		all += weights[i];
		own += in[i].zone == WEIGHT_ZONE_OWN ? weights[i] : 0;
	}
	if (!s->affinity_percent || s->own_zone_only || c->able_here >= c->able ||
	    too_few(c->well_here, c->able_here, &s->zone_minimum) || own <= 0)
		return 1;
	share = p + (1 - p) * own / all;
	/* others x rest / (own + others x rest) = 1 - share */
	return all > own ? (1 - share) / share * own / (all - own) : 1 - p;
}

static void reference(const struct weight_input *in, size_t n, const struct weight_settings *s,
		      double *weights)
{
	struct census c = take_census(in, n, s);
	bool open = c.well < c.able && too_few(c.well, c.able, &s->minimum);
	double scale = 1, others;

	if (c.most > 0 && c.least < s->resolution)
		scale = fmax(1, fmin(ceil(s->resolution / c.least), floor(65535 / c.most)));
	for (size_t i = 0; i < n; i++) {
		bool serves = may_serve(&in[i], s) && (open || is_well(&in[i]));

		weights[i] = serves ? in[i].configured *
					      (in[i].has_advice ? in[i].advice_percent / 100.0 : 1)
				    : 0;
	}
	others = other_zones(in, n, s, &c, weights);
	for (size_t i = 0; i < n; i++) {
		weights[i] *= scale * (in[i].zone == WEIGHT_ZONE_OTHER ? others : 1);
		if (!open && in[i].in_slow_start &&
		    in[i].slow_start_elapsed_usec < s->slow_start_usec)
			weights[i] *=
				(double)in[i].slow_start_elapsed_usec / (double)s->slow_start_usec;
		if (!open)
			weights[i] /= 1 << in[i].anomaly_steps;
		weights[i] = fmin(weights[i], 65535);
	}
}

static struct weight_input random_target(unsigned *seed, bool zones)
{
	static const enum target_state states[] = {
		TARGET_HEALTHY,	  TARGET_HEALTHY,   TARGET_HEALTHY,
		TARGET_UNHEALTHY, TARGET_UNHEALTHY, TARGET_UNHEALTHY_DRAINING,
		TARGET_DRAINING,  TARGET_UNUSED,    TARGET_UNAVAILABLE,
	};
	unsigned r = (unsigned)rand_r(seed);

	return (struct weight_input){
		.configured = r % 7 == 0 ? (unsigned)rand_r(seed) % 65536 : r % 301,
		.state = states[(unsigned)rand_r(seed) % ARRAY_SIZE(states)],
		.drained_by_operator = r % 23 == 0,
		.drained_by_agent = r % 29 == 0,
		.zone = zones && (r >> 8) % 2 ? WEIGHT_ZONE_OTHER : WEIGHT_ZONE_OWN,
		.in_slow_start = (r >> 9) % 5 == 0,
		.slow_start_elapsed_usec = (usec_t)rand_r(seed) % (60 * SEC),
		.anomaly_steps = (r >> 12) % 9 == 0 ? (r >> 16) % 4 : 0,
		.has_advice = (r >> 10) % 7 == 0,
		.advice_percent = (unsigned)rand_r(seed) % 150,
	};
}

/* dns_record.client_routing_policy = availability_zone_affinity: small weights of which little is left are some. */
static void test_advice_does_not_end_affinity(void **state)
{
	/* 85 %: 0.85 + 0.15 x 1/3 = 0.9 stays, so that the other two share a ninth of 1000. */
	static const struct {
		unsigned affinity, other;
	} cases[] = { { 100, 0 }, { 85, 56 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct weight_settings s = { .minimum = { 1, 0 },
						   .zone_minimum = { 1, 0 },
						   .affinity_percent = cases[i].affinity,
						   .resolution = 1000 };
		struct weight_input in[4];
		struct weight_output out[4];
		struct weight_summary sum;
		size_t n = inputs("hhHH", in);

		for (size_t k = 0; k < n; k++) {
			in[k].configured = 1;
			in[k].has_advice = in[k].zone == WEIGHT_ZONE_OWN;
			in[k].advice_percent = 50;
		}
		weight_compute(in, n, &s, out, &sum);
		assert_true(sum.own_preferred);
		assert_int_equal(out[0].weight, 500);
		assert_int_equal(out[2].weight, cases[i].other);
	}
}

static void test_random_against_reference(void **state)
{
	unsigned seed = 20261122;

	(void)state;
	for (unsigned round = 0; round < 100000; round++) {
		static const unsigned affinities[] = { 0, 85, 100 };
		struct weight_input in[N_MAX];
		struct weight_output out[N_MAX];
		struct weight_summary sum;
		double weights[N_MAX];
		size_t n = (size_t)rand_r(&seed) % N_MAX;
		bool zones = rand_r(&seed) % 2;
		const struct weight_settings s = {
			.minimum = { (unsigned)rand_r(&seed) % 4, (unsigned)rand_r(&seed) % 60 },
			.zone_minimum = { (unsigned)rand_r(&seed) % 4,
					  (unsigned)rand_r(&seed) % 60 },
			.own_zone_only = rand_r(&seed) % 4 == 0,
			.affinity_percent = affinities[rand_r(&seed) % 3],
			.slow_start_usec = (usec_t)(rand_r(&seed) % 2) * 30 * SEC,
			.resolution = rand_r(&seed) % 2 ? 100 : 0,
		};

		for (size_t i = 0; i < n; i++)
			in[i] = random_target(&seed, zones);
		weight_compute(in, n, &s, out, &sum);
		reference(in, n, &s, weights);
		for (size_t i = 0; i < n; i++) {
			/* Two for rounding, and what the factors' 1/65536 make of the whole. */
			double whole = in[i].configured * sum.scale *
				       (in[i].has_advice ? in[i].advice_percent / 100.0 : 1);
			double slack = 2 + 4 * whole / WEIGHT_ONE;

			if (fabs(out[i].weight - weights[i]) > slack ||
			    (weights[i] ==
			     0) != (out[i].weight == 0 ||
				    (out[i].weight == 1 && weights[i] == 0 && in[i].in_slow_start)))
				fail_msg("round %u, target %zu of %zu: %u, not %f", round, i, n,
					 out[i].weight, weights[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_fail_open_holds_nothing_back),
		cmocka_unit_test(test_advice_and_mitigation),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_advice_does_not_end_affinity),
		cmocka_unit_test(test_random_against_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
