/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The ring of probe results, and what other thresholds would have made of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/replay.h"

enum {
	ROUNDS = 3000,
	LENGTH_MAX = 90,
};

static struct history_entry entry(enum probe_outcome outcome, enum target_state state)
{
	static uint64_t msec;

	return (struct history_entry){
		.wall_msec = ++msec,
		.outcome = outcome,
		.state = state,
		.duration_usec = 1000,
	};
}

static void test_the_oldest_is_folded_into_the_base(void **state)
{
	_cleanup_(history_deinit) struct history h = HISTORY_INIT;
	struct history_entry e = entry(PROBE_REFUSED, TARGET_HEALTHY);

	(void)state;
	assert_int_equal(history_init(&h, 3, TARGET_HEALTHY, 4, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		e.detail = (int32_t)i;
		history_add(&h, &e);
	}
	assert_int_equal(h.base_successes, 4);
	e.state = TARGET_UNHEALTHY;
	for (unsigned i = 3; i < 5; i++) {
		e.detail = (int32_t)i;
		history_add(&h, &e);
	}
	assert_int_equal(h.n, 3);
	assert_int_equal(h.base_failures, 2);
	assert_int_equal(h.base_successes, 0);
	for (uint32_t i = 0; i < h.n; i++)
		assert_int_equal(history_get(&h, i)->detail, i + 2);

	assert_int_equal(history_resize(&h, 1), 0);
	assert_int_equal(history_get(&h, 0)->detail, 4);
	assert_int_equal(h.base_failures, 4);
	assert_int_equal(h.base_state, TARGET_UNHEALTHY);
	assert_int_equal(history_resize(&h, 8), 0);
	history_add(&h, &e);
	assert_int_equal(h.n, 2);
	assert_int_equal(history_resize(&h, 0), 0);
	e.note = HISTORY_NOT_COUNTED;
	history_add(&h, &e); /* keeps nothing, counts nothing */
	assert_int_equal(h.n, 0);
	assert_int_equal(h.base_failures, 6);
}

/*
 * A record as the state machine itself would have left it. `text`: one letter a result, + good, - bad, ~ not counted,
 * ! marked down at once by what connections say, : the same as - after the interval of unhealthy.draining.
 */
static void record(struct history *h, const char *text, const struct target_thresholds *thresholds)
{
	const struct target_thresholds at_once = { thresholds->healthy, 1,
						   thresholds->unhealthy_draining_usec };
	struct target_health t;

	target_health_init(&t, TARGET_USE_CHECKED, 0);
	assert_int_equal(history_init(h, (uint32_t)strlen(text) + 1, t.state, 0, 0), 0);
	for (const char *c = text; *c; c++) {
		enum probe_outcome outcome = *c == '+'	 ? PROBE_OK
					     : *c == '!' ? PROBE_PASSIVE
							 : PROBE_REFUSED;
		struct history_entry e = entry(outcome, t.state);
		struct probe_report report = { .outcome = outcome };

		if (*c == ':')
			(void)target_health_expire(&t, USEC_NEVER);
		if (*c == '~')
			e.note = HISTORY_NOT_COUNTED;
		else
			(void)target_health_report(&t, *c == '!' ? &at_once : thresholds, &report,
						   0);
		e.state = t.state;
		history_add(h, &e);
	}
}

/* "=3" the same at result 3, "<5:3" earlier (was 5, would be 3), ">3:5", "-4" absent, "+7" new. */
static void describe(const struct replay *r, char *text, size_t size)
{
	size_t len = 0;

	*text = '\0';
	for (size_t i = 0; i < r->n && len < size; i++) {
		const struct replay_change *c = &r->changes[i];
		int n = 0;

		switch (c->kind) {
		case REPLAY_SAME:
			n = snprintf(text + len, size - len, "=%u ", c->was.entry);
			break;
		case REPLAY_EARLIER:
		case REPLAY_LATER:
			n = snprintf(text + len, size - len, "%c%u:%u ",
				     c->kind == REPLAY_EARLIER ? '<' : '>', c->was.entry,
				     c->would.entry);
			break;
		case REPLAY_ABSENT:
			n = snprintf(text + len, size - len, "-%u ", c->was.entry);
			break;
		default:
			n = snprintf(text + len, size - len, "+%u ", c->would.entry);
		}
		len += (size_t)n;
	}
}

static void test_examples(void **state)
{
	static const struct {
		const char *results;
		struct target_thresholds were, would;
		const char *changes;
	} cases[] = {
		/* nothing else: the same */
		{ "+--+++", { 3, 2 }, { 3, 2 }, "=0 =2 =5 " },
		/* a flap of two failures does not happen with a threshold of three */
		{ "+--+++---+++", { 3, 2 }, { 3, 3 }, "=0 -2 -5 >7:8 =11 " },
		/* it recovers sooner, and later */
		{ "+--+++", { 3, 2 }, { 1, 2 }, "=0 =2 <5:3 " },
		{ "+--+++++", { 2, 2 }, { 5, 2 }, "=0 =2 >4:7 " },
		/* two flaps become one outage: the second down and the first up are gone */
		{ "+--++--+++++", { 2, 2 }, { 4, 2 }, "=0 =2 -4 -6 >8:10 " },
		/* a single failure that was none becomes a flap */
		{ "++-+++", { 2, 2 }, { 2, 1 }, "=0 +2 +4 " },
		/* what we ourselves lost counts for neither */
		{ "+-~-++", { 1, 2 }, { 1, 1 }, "=0 <3:1 =4 " },
		/* no threshold is asked where connections get no answer, whatever it is */
		{ "++!+++", { 3, 2 }, { 3, 2 }, "=0 =2 =5 " },
		{ "++!+++", { 3, 2 }, { 2, 9 }, "=0 =2 <5:4 " },
		/* how long a target that fails keeps its connections is no other verdict */
		{ "+--:-+++", { 3, 2, 1 }, { 3, 2 }, "=0 =2 =7 " },
		{ "+--+:+++", { 9, 2, 1 }, { 3, 2 }, "=0 =2 +7 " },
		{ "", { 1, 1 }, { 2, 2 }, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(history_deinit) struct history h = HISTORY_INIT;
		_cleanup_(replay_deinit) struct replay r = REPLAY_INIT;
		struct replay_settings s = { .thresholds = cases[i].would };
		char text[256];

		record(&h, cases[i].results, &cases[i].were);
		assert_int_equal(replay_run(&h, &s, &r), 0);
		describe(&r, text, sizeof(text));
		if (strcmp(text, cases[i].changes) != 0)
			fail_msg("%s: \"%s\", not \"%s\"", cases[i].results, text,
				 cases[i].changes);
	}
}

static void test_a_timeout_makes_slow_answers_failures(void **state)
{
	_cleanup_(history_deinit) struct history h = HISTORY_INIT;
	_cleanup_(replay_deinit) struct replay r = REPLAY_INIT, longer = REPLAY_INIT;
	struct replay_settings s = { .thresholds = { 2, 2 }, .timeout_usec = 1000 };
	struct history_entry e = entry(PROBE_OK, TARGET_HEALTHY);

	(void)state;
	assert_int_equal(history_init(&h, 8, TARGET_HEALTHY, 1, 0), 0);
	for (uint32_t i = 0; i < 4; i++) {
		e.duration_usec = i < 2 ? 1001 : 1000;
		history_add(&h, &e);
	}
	assert_int_equal(replay_run(&h, &s, &r), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.changes[0].kind, REPLAY_NEW);
	assert_int_equal(r.changes[0].would.entry, 1);
	assert_int_equal(r.changes[1].would.entry, 3);
	assert_int_equal(r.n_unknown, 0);

	e.outcome = PROBE_CONNECT_TIMEOUT;
	history_add(&h, &e);
	s.timeout_usec = 2000;
	assert_int_equal(replay_run(&h, &s, &longer), 0);
	assert_int_equal(longer.n_unknown, 1);
}

/* The state after `n` results, by the definition: the last run that reached its threshold decides, from any state. */
static enum target_state state_by_definition(const struct history *h, uint32_t n,
					     const struct target_thresholds *t)
{
	bool initial = h->base_state == TARGET_INITIAL, down = h->base_state == TARGET_UNHEALTHY;
	unsigned run = 0, base_run = h->base_successes ? h->base_successes : h->base_failures;
	bool run_good = h->base_successes > 0;

	run = base_run;
	for (uint32_t i = 0; i < n; i++) {
		const struct history_entry *e = history_get(h, i);
		bool good = e->outcome == PROBE_OK;

		if (e->note == HISTORY_NOT_COUNTED || e->outcome == PROBE_INTERNAL_ERROR)
			continue;
		run = run && run_good == good ? run + 1 : 1;
		run_good = good;
		if (good && (initial || run >= t->healthy))
			initial = down = false;
		if (!good && run >= t->unhealthy) {
			initial = false;
			down = true;
		}
	}
	if (initial)
		return TARGET_INITIAL;
	return down ? TARGET_UNHEALTHY : TARGET_HEALTHY;
}

/* Every transition by definition is reported exactly once, as .would of some change, and no other. */
static void assert_would_is_complete(const struct history *h, const struct replay_settings *s,
				     const struct replay *r)
{
	enum target_state before = h->base_state, after;
	size_t n = 0;

	for (uint32_t i = 0; i < h->n; i++, before = after) {
		unsigned found = 0;

		after = state_by_definition(h, i + 1, &s->thresholds);
		for (size_t k = 0; k < r->n; k++)
			if (r->changes[k].kind != REPLAY_ABSENT && r->changes[k].would.entry == i) {
				assert_int_equal(r->changes[k].would.from, before);
				assert_int_equal(r->changes[k].would.to, after);
				found++;
			}
		assert_int_equal(found, before != after);
		n += before != after;
	}
	assert_int_equal(r->n_would, n);
	assert_int_equal(r->last_would, before);
}

static void assert_was_is_complete(const struct history *h, const struct replay *r)
{
	enum target_state before = h->base_state;
	size_t n = 0, found = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		n += history_get(h, i)->state != before;
		before = (enum target_state)history_get(h, i)->state;
	}
	for (size_t k = 0; k < r->n; k++) {
		const struct replay_change *c = &r->changes[k];

		found += c->kind != REPLAY_NEW;
		if (c->kind == REPLAY_NEW || c->kind == REPLAY_ABSENT)
			continue;
		assert_int_equal(c->was.to, c->would.to);
		assert_int_equal(c->kind == REPLAY_SAME, c->was.entry == c->would.entry);
		assert_int_equal(c->kind == REPLAY_LATER, c->was.entry < c->would.entry);
	}
	assert_int_equal(found, n);
	assert_int_equal(r->n_was, n);
}

static void test_random_histories_against_the_definition(void **state)
{
	unsigned seed = 20261122;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		_cleanup_(history_deinit) struct history h = HISTORY_INIT;
		_cleanup_(replay_deinit) struct replay r = REPLAY_INIT;
		struct replay_settings s;
		char text[LENGTH_MAX + 1] = "";
		unsigned n = (unsigned)rand_r(&seed) % LENGTH_MAX, sticky = 1 + round % 5;
		char c = '+';

		for (unsigned i = 0; i < n; i++) {
			if ((unsigned)rand_r(&seed) % sticky == 0)
				c = "++-~"[rand_r(&seed) & 3];
			text[i] = c;
		}
		record(&h, text,
		       &(struct target_thresholds){ 1 + (unsigned)rand_r(&seed) % 5,
						    1 + (unsigned)rand_r(&seed) % 5 });
		assert_int_equal(history_resize(&h, 1 + (unsigned)rand_r(&seed) % LENGTH_MAX), 0);
		s = (struct replay_settings){ .thresholds = { 1 + (unsigned)rand_r(&seed) % 6,
							      1 + (unsigned)rand_r(&seed) % 6 } };
		assert_int_equal(replay_run(&h, &s, &r), 0);
		assert_would_is_complete(&h, &s, &r);
		assert_was_is_complete(&h, &r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_oldest_is_folded_into_the_base),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_a_timeout_makes_slow_answers_failures),
		cmocka_unit_test(test_random_histories_against_the_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
