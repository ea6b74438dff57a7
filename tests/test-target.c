/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/target.h"

static const struct target_thresholds three_two = { .healthy = 3, .unhealthy = 2 };
static const struct target_thresholds draining = { 3, 2, .unhealthy_draining_usec = 10 };

/* One letter an event, for golden stories. */
static bool event(struct target_health *t, const struct target_thresholds *thresholds, char c,
		  usec_t now)
{
	static const struct {
		char c;
		enum probe_outcome outcome;
		int32_t detail;
	} results[] = {
		{ '+', PROBE_OK, 200 },
		{ 't', PROBE_TIMEOUT, 0 },
		{ 'l', PROBE_TLS_TIMEOUT, 0 },
		{ 'h', PROBE_HEADER_TIMEOUT, 0 },
		{ 'y', PROBE_BODY_TIMEOUT, 0 },
		{ 'c', PROBE_CONNECT_TIMEOUT, 0 },
		{ 'r', PROBE_REFUSED, ECONNREFUSED },
		{ 'x', PROBE_RESET, ECONNRESET },
		{ 'b', PROBE_BAD_RESPONSE, 0 },
		{ 'u', PROBE_UNREACHABLE, ENETUNREACH },
		{ '4', PROBE_WRONG_STATUS, 404 },
		{ '5', PROBE_WRONG_STATUS, 503 },
		{ 'i', PROBE_INTERNAL_ERROR, EMFILE },
		{ 'w', PROBE_WRONG_BODY, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		if (results[i].c == c)
			return target_health_report(t, thresholds,
						    &(struct probe_report){ results[i].outcome,
									    results[i].detail, 1 },
						    now);
	switch (c) {
	case 'D':
		return target_health_drain(t, 60, now);
	case 'R':
		return target_health_undrain(t, now);
	case 'N':
		return target_health_set_use(t, TARGET_USE_NONE, now);
	case 'U':
		return target_health_set_use(t, TARGET_USE_UNCHECKED, now);
	case 'C':
		return target_health_set_use(t, TARGET_USE_CHECKED, now);
	case '.':
		return target_health_expire(t, now);
	}
	fail_msg("no event '%c'", c);
	return false;
}

/* After each event: the state's letter, in upper case where the call said "changed". */
static char state_letter(const struct target_health *t, bool changed)
{
	static const char letters[_TARGET_STATE_MAX] = {
		[TARGET_INITIAL] = 'i',
		[TARGET_HEALTHY] = 'h',
		[TARGET_UNHEALTHY] = 'u',
		[TARGET_UNUSED] = 'n',
		[TARGET_DRAINING] = 'd',
		[TARGET_UNAVAILABLE] = 'a',
		[TARGET_UNHEALTHY_DRAINING] = 'v',
	};
	char c = letters[t->state];

	return changed ? (char)(c - 'a' + 'A') : c;
}

static void test_stories(void **state)
{
	static const struct {
		enum target_use use;
		const char *events, *states, *description;
	} cases[] = {
		{ TARGET_USE_CHECKED, "", "", "Target registration is in progress" },
		{ TARGET_USE_CHECKED, "+", "H", "" },
		{ TARGET_USE_CHECKED, "r+", "IH", "" },
		{ TARGET_USE_CHECKED, "r", "I", "Initial health checks in progress" },
		{ TARGET_USE_CHECKED, "i", "i", "Target registration is in progress" },
		{ TARGET_USE_CHECKED, "rr", "IU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "+r+r+rr", "HhhhhhU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "+rir", "HhhU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "rr++r+++", "IUuuuuuH", "" },
		{ TARGET_USE_CHECKED, "rr++i+", "IUuuuH", "" },
		{ TARGET_USE_CHECKED, "rrtc", "IUUu", "Request timed out" },
		{ TARGET_USE_CHECKED, "rrlhy", "IUUuu", "Request timed out" },
		{ TARGET_USE_CHECKED, "44", "IU", "Health checks failed with these codes: [404]" },
		{ TARGET_USE_CHECKED, "445", "IUu",
		  "Health checks failed with these codes: [503]" },
		{ TARGET_USE_CHECKED, "44++", "IUuu",
		  "Health checks failed with these codes: [404]" },
		{ TARGET_USE_CHECKED, "xx", "IU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "bb", "IU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "uu", "IU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "ww", "IU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "+D", "HD", "Target deregistration is in progress" },
		{ TARGET_USE_CHECKED, "+DDR", "HDdH", "" },
		{ TARGET_USE_CHECKED, "+R", "Hh", "" },
		{ TARGET_USE_CHECKED, "+rDR", "HhDH", "" },
		{ TARGET_USE_CHECKED, "+rDRr", "HhDHU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "+rDrR", "HhDdU", "Health checks failed" },
		{ TARGET_USE_CHECKED, "44DR", "IUDU",
		  "Health checks failed with these codes: [404]" },
		{ TARGET_USE_CHECKED, "+N", "HN",
		  "Target group is not configured to receive traffic from the load balancer" },
		{ TARGET_USE_CHECKED, "+NrC", "HNnI", "Target registration is in progress" },
		{ TARGET_USE_CHECKED, "+rNCr", "HhNII", "Initial health checks in progress" },
		{ TARGET_USE_CHECKED, "+C", "Hh", "" },
		{ TARGET_USE_CHECKED, "+DNR", "HDdN",
		  "Target group is not configured to receive traffic from the load balancer" },
		{ TARGET_USE_UNCHECKED, "", "", "Health checks are disabled" },
		{ TARGET_USE_UNCHECKED, "rrU", "aaa", "Health checks are disabled" },
		{ TARGET_USE_UNCHECKED, "C+", "IH", "" },
		{ TARGET_USE_NONE, "rN", "nn",
		  "Target group is not configured to receive traffic from the load balancer" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct target_health t;
		char states[32] = { 0 }, description[TARGET_DESCRIPTION_MAX];

		target_health_init(&t, cases[i].use, 1);
		for (size_t j = 0; cases[i].events[j]; j++)
			states[j] =
				state_letter(&t, event(&t, &three_two, cases[i].events[j], 2 + j));
		if (strcmp(states, cases[i].states) != 0)
			fail_msg("%s: %s, not %s", cases[i].events, states, cases[i].states);
		assert_string_equal(target_health_describe(&t, description), cases[i].description);
	}
}

/*
 * elbv2.md §1.2, unhealthy.draining: no new flows and established ones kept for the interval (here 10 µs, an event a
 * µs; the deadline is the 10th after the failure); recovery flips back to healthy, else unhealthy.
 */
static void test_unhealthy_draining(void **state)
{
	static const struct {
		const char *events, *states;
		const char *reason;
	} cases[] = {
		{ "+rr", "HhV", "Target.FailedHealthChecks" },
		{ "+tt", "HhV", "Target.FailedHealthChecks" }, /* the only reason that it has */
		{ "+rrr+r", "HhVvvv", "Target.FailedHealthChecks" },
		{ "+rr+++", "HhVvvH", "" },
		{ "+rr.........", "HhVvvvvvvvvv", "Target.FailedHealthChecks" },
		{ "+rr..........", "HhVvvvvvvvvvU", "Target.FailedHealthChecks" },
		{ "+tt..........", "HhVvvvvvvvvvU", "Target.Timeout" },
		{ "+tt.........r.", "HhVvvvvvvvvvvU", "Target.FailedHealthChecks" },
		{ "+55..........", "HhVvvvvvvvvvU", "Target.ResponseCodeMismatch" },
		{ "+rr..........+++", "HhVvvvvvvvvvUuuH", "" },
		/* never healthy: nothing to keep */
		{ "rr", "IU", "Target.FailedHealthChecks" },
		{ "rr+++", "IUuuH", "" },
		/* it recovered before, and the next failure has an interval of its own */
		{ "+rr+++rr.........", "HhVvvHhVvvvvvvvvv", "Target.FailedHealthChecks" },
		/* deregistered meanwhile, and registered again */
		{ "+rrD..........R", "HhVDddddddddddU", "Target.FailedHealthChecks" },
		{ "+rrDR", "HhVDV", "Target.FailedHealthChecks" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct target_health t;
		char states[32] = { 0 };

		target_health_init(&t, TARGET_USE_CHECKED, 1);
		for (size_t j = 0; cases[i].events[j]; j++)
			states[j] =
				state_letter(&t, event(&t, &draining, cases[i].events[j], 2 + j));
		if (strcmp(states, cases[i].states) != 0)
			fail_msg("%s: %s, not %s", cases[i].events, states, cases[i].states);
		assert_string_equal(target_reason_to_string(t.reason), cases[i].reason);
	}
}

static void test_drain_ends(void **state)
{
	static const struct {
		usec_t delay, now;
		uint64_t connections;
		bool over;
	} cases[] = {
		{ 60, 1000, 1, false },
		{ 60, 1059, 1, false },
		{ 60, 1060, 1, true },
		{ 60, 1000, 0, true },
		{ 0, 1000, 5, true },
		{ USEC_NEVER, 5000, 1, false },
		{ USEC_NEVER, USEC_NEVER - 1, 1, false },
	};
	struct target_health t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		target_health_init(&t, TARGET_USE_CHECKED, 1);
		assert_false(target_health_drain_over(&t, 0, 1000));
		assert_true(target_health_drain(&t, cases[i].delay, 1000));
		assert_false(target_health_drain(&t, 1, 1001)); /* moves no deadline */
		assert_int_equal(target_health_drain_over(&t, cases[i].connections, cases[i].now),
				 cases[i].over);
	}
}

static void test_times_and_last_result(void **state)
{
	struct target_health t;

	(void)state;
	target_health_init(&t, TARGET_USE_CHECKED, 10);
	assert_int_equal(t.since_usec, 10);
	(void)event(&t, &three_two, 'r', 11);
	assert_int_equal(t.since_usec, 10); /* the reason changed, the state did not */
	assert_int_equal(t.checked_usec, 11);
	(void)event(&t, &three_two, '4', 12);
	assert_int_equal(t.since_usec, 12);
	assert_int_equal(t.outcome, PROBE_WRONG_STATUS);
	assert_int_equal(t.detail, 404);
	(void)event(&t, &three_two, 'i', 13);
	assert_int_equal(t.checked_usec, 12);
	assert_int_equal(t.detail, 404);
	(void)event(&t, &three_two, 'N', 14);
	assert_int_equal(t.since_usec, 14);
	assert_int_equal(t.checked_usec, 0); /* awaits a first result again */
}

static void test_names(void **state)
{
	static const char *const states[] = { "initial",    "healthy",
					      "unhealthy",  "unhealthy.draining",
					      "unused",	    "draining",
					      "unavailable" };
	static const char *const codes[] = {
		"",
		"Elb.RegistrationInProgress",
		"Elb.InitialHealthChecking",
		"Target.ResponseCodeMismatch",
		"Target.Timeout",
		"Target.FailedHealthChecks",
		"Elb.InternalError",
		"Target.NotRegistered",
		"Target.NotInUse",
		"Target.HealthCheckDisabled",
		"Target.DeregistrationInProgress",
	};
	enum target_state s;
	enum target_reason r;

	(void)state;
	assert_int_equal(ARRAY_SIZE(states), _TARGET_STATE_MAX);
	assert_int_equal(ARRAY_SIZE(codes), _TARGET_REASON_MAX);
	for (unsigned i = 0; i < _TARGET_STATE_MAX; i++) {
		assert_string_equal(target_state_to_string((enum target_state)i), states[i]);
		assert_int_equal(target_state_from_string(states[i], &s), 0);
		assert_int_equal(s, i);
	}
	for (unsigned i = 0; i < _TARGET_REASON_MAX; i++) {
		assert_string_equal(target_reason_to_string((enum target_reason)i), codes[i]);
		assert_int_equal(target_reason_from_string(codes[i], &r), 0);
		assert_int_equal(r, i);
		assert_int_equal(strlen(target_reason_describe((enum target_reason)i)) > 0, i > 0);
	}
	assert_int_equal(target_state_from_string("Healthy", &s), -EINVAL);
	assert_int_equal(target_state_from_string("", &s), -EINVAL);
	assert_int_equal(target_reason_from_string("Target.timeout", &r), -EINVAL);
}

/*
 * The slow reference keeps the whole history of results since checking began and judges it from its start each
 * time: a run of thresholds ends at the last result that differs.
 */
struct history {
	bool ok[400];
	size_t n;
	enum target_use use;
	bool draining;
};

static size_t run_length(const struct history *h, size_t end)
{
	size_t n = 0;

	while (n < end && h->ok[end - 1 - n] == h->ok[end - 1])
		n++;
	return n;
}

static enum target_state reference_verdict(const struct history *h,
					   const struct target_thresholds *thresholds)
{
	enum target_state s = TARGET_INITIAL;

	if (h->use != TARGET_USE_CHECKED)
		return h->use == TARGET_USE_NONE ? TARGET_UNUSED : TARGET_UNAVAILABLE;
	for (size_t end = 1; end <= h->n; end++) {
		size_t run = run_length(h, end);

		if (!h->ok[end - 1] && run >= thresholds->unhealthy)
			s = TARGET_UNHEALTHY;
		else if (h->ok[end - 1] && (s == TARGET_INITIAL || run >= thresholds->healthy))
			s = TARGET_HEALTHY;
	}
	return s;
}

static void random_step(struct target_health *t, struct history *h,
			const struct target_thresholds *thresholds, unsigned *seed)
{
	static const enum probe_outcome failures[] = { PROBE_REFUSED, PROBE_TIMEOUT,
						       PROBE_WRONG_STATUS };
	unsigned what = (unsigned)rand_r(seed) % 100;
	struct probe_report report = { .outcome = PROBE_OK };

	if (what < 3) {
		enum target_use use = (enum target_use)((unsigned)rand_r(seed) % 3);

		if (use != h->use)
			h->n = 0;
		h->use = use;
		(void)target_health_set_use(t, use, 5);
	} else if (what < 6) {
		assert_int_equal(target_health_drain(t, 1, 5), !h->draining);
		h->draining = true;
	} else if (what < 12) {
		assert_int_equal(target_health_undrain(t, 5), h->draining);
		h->draining = false;
	} else if (what < 15) {
		report.outcome = PROBE_INTERNAL_ERROR;
		assert_false(target_health_report(t, thresholds, &report, 5));
	} else {
		bool ok = rand_r(seed) % 2;

		if (!ok)
			report.outcome = failures[(unsigned)rand_r(seed) % ARRAY_SIZE(failures)];
		if (h->use == TARGET_USE_CHECKED)
			h->ok[h->n++] = ok;
		(void)target_health_report(t, thresholds, &report, 5);
	}
}

static void test_random_against_reference(void **state)
{
	unsigned seed = 20261122;

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		struct target_thresholds thresholds = { 1 + (unsigned)rand_r(&seed) % 5,
							1 + (unsigned)rand_r(&seed) % 5 };
		struct history h = { .use = TARGET_USE_CHECKED };
		struct target_health t;

		target_health_init(&t, TARGET_USE_CHECKED, 1);
		for (unsigned i = 0; i < ARRAY_SIZE(h.ok); i++) {
			enum target_state verdict;

			random_step(&t, &h, &thresholds, &seed);
			verdict = reference_verdict(&h, &thresholds);
			assert_int_equal(t.state, h.draining ? TARGET_DRAINING : verdict);
			if (h.draining)
				assert_int_equal(t.resume_state, verdict);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_drain_ends),
		cmocka_unit_test(test_unhealthy_draining),
		cmocka_unit_test(test_times_and_last_result),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_random_against_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
