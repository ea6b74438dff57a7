/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The life of targets on a simulated clock: results, registrations, reloads, restarts and time through the registry.
 * Stories first, each with the paragraph of elbv2.md that it is about; then random ones against a slow reference.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "life-rig.h"

enum {
	N = 4, /* of the rig's targets that stories are about */
};

static char letter_of(const struct target *t)
{
	static const char letters[_TARGET_STATE_MAX] = {
		[TARGET_INITIAL] = 'i',	    [TARGET_HEALTHY] = 'h',
		[TARGET_UNHEALTHY] = 'u',   [TARGET_UNHEALTHY_DRAINING] = 'v',
		[TARGET_UNUSED] = 'n',	    [TARGET_DRAINING] = 'd',
		[TARGET_UNAVAILABLE] = 'a',
	};

	return t ? letters[t->health.state] : 'g'; /* gone */
}

static void check_states(const struct life *l, const char *story, const char *word)
{
	char states[N + 1] = { 0 };

	for (size_t i = 0; i + 1 < strlen(word); i++)
		states[i] = letter_of(life_find(l, i));
	if (strcmp(states, word + 1) != 0)
		fail_msg("%s\nat %s: %s", story, word, states);
}

/* "?100,!50,-": weights, ! where connections end, - for a target that is not there. */
static void check_weights(const struct life *l, const char *story, const char *word)
{
	char text[128];
	size_t at = 1;

	strcpy(text, "?");
	for (size_t i = 0; i < N && strlen(text) < strlen(word); i++) {
		const struct target *t = life_find(l, i);

		if (!t)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s-", i ? "," : "");
		else
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%u", i ? "," : "",
					       t->weight.ends ? "!" : "", t->weight.weight);
	}
	if (strcmp(text, word) != 0)
		fail_msg("%s\nat %s: %s", story, word, text);
}

/*
 * A word an event: a+ a- results of the first target, aD aR deregister and register, aX aO the operator's drain and
 * undrain, @15 fifteen seconds pass, C1 C0 connections of those that drain, L reload without change, L30 with another
 * slow-start, S restart. =hhu states and ?100,0 weights are checked.
 */
static void do_word(struct life *l, const char *story, const char *word)
{
	size_t i = (size_t)(*word - 'a');

	switch (*word) {
	case '@':
		life_pass(l, (usec_t)(atof(word + 1) * (double)SEC));
		return;
	case 'C':
		life_finish_drains(l, (uint64_t)atoi(word + 1));
		return;
	case 'L':
		if (word[1])
			l->group.slow_start_usec = (usec_t)atoi(word + 1) * SEC;
		life_reload(l);
		return;
	case 'S':
		life_compute(l);
		life_restart(l);
		return;
	case '=':
		life_compute(l);
		check_states(l, story, word);
		return;
	case '?':
		life_compute(l);
		check_weights(l, story, word);
		return;
	}
	switch (word[1]) {
	case '+':
		(void)life_result(l, i, PROBE_OK);
		break;
	case '-':
		(void)life_result(l, i, PROBE_TIMEOUT);
		break;
	case 'D':
		life_deregister(l, i);
		break;
	case 'R':
		life_register(l, i);
		break;
	case 'X':
		life_set_drained(l, i, true);
		break;
	case 'O':
		life_set_drained(l, i, false);
		break;
	default:
		fail_msg("%s: what is %s?", story, word);
	}
	/* A result at a time, as the manager may see them. */
	life_compute(l);
}

static void tell(struct life *l, const char *story)
{
	char text[512], *rest = NULL;

	assert_true(strlen(story) < sizeof(text));
	strcpy(text, story);
	life_begin(l);
	for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		do_word(l, story, w);
	life_deinit(l);
}

static void test_slow_start(void **state)
{
	static const struct {
		const char *text;
	} stories[] = {
		/* §1.4 "targets registered together into an empty group do not enter it" */
		{ "a+ b+ ?100,100" },
		{ "a+ @60 b+ ?100,100" },
		{ "a+ b- @5 b+ ?100,100" },
		/* "starts when a target becomes healthy; ends after duration", linear (§1.3) */
		{ "a+ b+ cR c- ?100,100,0 c+ ?100,100,1 @3 ?100,100,10 @12 ?100,100,50 @14.7 "
		  "?100,100,99 @0.3 ?100,100,100 @999 ?100,100,100" },
		/* "re-enters on recovery" */
		{ "a+ b+ b- b- ?100,0 b+ b+ b+ ?100,1 @15 ?100,50 @15 ?100,100" },
		/* "or when unhealthy"; and from the beginning */
		{ "a+ b+ b- b- b+ b+ b+ @15 ?100,50 b- ?100,50 b- ?100,0 @5 b+ b+ b+ ?100,1 @15 "
		  "?100,50" },
		/* "Enabling it on a group does not put already-healthy targets in it"; disabling ends it */
		{ "L0 a+ b+ L30 ?100,100 b- b- b+ b+ b+ ?100,1 @15 ?100,50 L0 ?100,100" },
		/* another duration: the time that has passed counts */
		{ "a+ b+ b- b- b+ b+ b+ @15 ?100,50 L60 ?100,25 L15 ?100,100" },
		/* "only when there is at least one healthy target not in slow start" */
		{ "a+ b+ a- a- b- b- a+ a+ a+ ?100,0 b+ b+ b+ ?100,1 @3 a- a- ?0,10 a+ a+ a+ "
		  "?100,10" },
		/* "Deregister ends it"; a new registration begins another */
		{ "a+ b+ b- b- b+ b+ b+ @15 ?100,50 C1 bD ?100,0 =hd @3 bR =hh ?100,1 @15 "
		  "?100,50" },
		{ "a+ b+ C0 bD C0 =hn bR =hi ?100,0 b+ ?100,1" },
		/* the first of an empty group is its founder, whoever is healthy before */
		{ "a+ b+ C0 aD bD C0 =nn aR bR b+ ?100,100 a+ ?100,100" },
		/* an operator's drain is a break, too */
		{ "a+ b+ bX ?100,0 @60 bO ?100,1 @30 ?100,100" },
		/* neither a reload nor a restart disturbs it */
		{ "a+ b+ b- b- b+ b+ b+ @15 ?100,50 L ?100,50 S ?100,50 @3 ?100,60 S ?100,60 @12 "
		  "?100,100 S ?100,100" },
		{ "a+ b+ S ?100,100 L ?100,100" },
		/* it does not begin anew in a restart, nor in one that forgot nothing */
		{ "a+ b+ b- b- S ?100,0 b+ b+ b+ ?100,1 S ?100,1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		struct life l;

		life_init(&l, 2);
		l.group.slow_start_usec = 30 * SEC;
		tell(&l, stories[i].text);
	}
}

static void test_states_and_drains(void **state)
{
	static const struct {
		const char *text;
	} stories[] = {
		/* §1.1: one good check for a new target, thresholds for the others */
		{ "=ii ?100,100 a+ =hi ?100,100 b+ =hh" },
		{ "a+ b+ b- =hh b- =hu ?100,0 b+ b+ =hu b+ =hh ?100,100" },
		/* §1.3 deregistration_delay: draining until the delay ends */
		{ "a+ b+ C1 bD =hd ?100,0 @59.999 C1 =hd @0.001 C1 =hn ?100,0" },
		/* early when nothing is in flight */
		{ "a+ b+ bD C0 =hn" },
		/* §1.2 unused, Target.NotRegistered; deregistering twice moves no deadline */
		{ "a+ b+ C1 bD @30 bD @30 C1 =hn bD =hn" },
		/* a drain outlives reload and restart */
		{ "a+ b+ C1 bD @30 L =hd S =hd @29 C1 =hd @1 C1 =hn S =hn L =hn bR =hi" },
		/* one that only `register` knew is gone */
		{ "a+ b+ cR c+ =hhh cD C0 =hhg" },
		/* §1.4 fail open */
		{ "a+ b+ a- a- ?0,100 b- b- ?100,100 b+ b+ ?100,100 b+ ?0,100" },
		/* what the operator took out stays out */
		{ "a+ b+ aX b- b- ?0,100 aO ?100,0" },
		{ "a+ b+ S =hh ?100,100" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		struct life l;

		life_init(&l, 2);
		tell(&l, stories[i].text);
	}
}

static void test_endings(void **state)
{
	static const struct {
		bool terminates, rebalances;
		usec_t draining;
		const char *story;
	} cases[] = {
		/* §1.3 target_health_state.unhealthy.connection_termination.enabled */
		{ true, false, 0, "a+ b+ b- b- =hu ?100,!0 b+ b+ b+ =hh ?100,100" },
		{ false, false, 0, "a+ b+ b- b- =hu ?100,0 b+ b+ b+ ?100,100" },
		/* §1.3 target_failover.on_unhealthy */
		{ false, true, 0, "a+ b+ b- b- ?100,!0" },
		/* §1.4 "RST is sent to flows of an unhealthy target unless failing open" */
		{ true, false, 0, "a+ b+ b- b- ?100,!0 a- a- ?100,100" },
		/* §1.2 unhealthy.draining: kept for the interval; recovery flips back, else they end */
		{ false, false, 60 * SEC,
		  "a+ b+ b- b- =hv ?100,0 @59 =hv b+ b+ b+ =hh ?100,100 b- b- =hv @59.9 =hv "
		  "?100,0 @0.1 =hu ?100,!0" },
		{ false, false, 60 * SEC, "a+ b+ b- b- @30 S =hv @29 L =hv @1 =hu ?100,!0" },
		/* §1.3: "only when the previous is false" */
		{ true, false, 60 * SEC, "a+ b+ b- b- =hu ?100,!0" },
		/* §1.3: while it drains its connections go on as long as it is healthy */
		{ true, false, 0,
		  "a+ b+ C1 bD b- =hd ?100,0 b- =hd ?100,!0 b+ b+ b+ ?100,0 b- b- bR =hu" },
		{ true, false, 0, "a+ b+ C1 bD b- b- a- a- ?100,0 a+ a+ a+ ?100,!0" },
		{ false, false, 20 * SEC, "a+ b+ C1 bD b- b- ?100,0 @20 =hd ?100,!0 bR =hu" },
		/* it failed before it was deregistered */
		{ true, false, 0, "a+ b+ C1 b- b- bD =hd ?100,!0 bR =hu ?100,!0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct life l;

		life_init(&l, 2);
		l.group.unhealthy_termination = cases[i].terminates;
		l.group.failover_on_unhealthy = cases[i].rebalances;
		l.group.unhealthy_draining_usec = cases[i].draining;
		tell(&l, cases[i].story);
	}
}

/* Weights of a group that goes out of use, or loses its check, and comes back. */
static void test_back_in_use(void **state)
{
	static const struct {
		bool in_use;
		enum conf_check protocol;
	} away[] = { { false, CONF_CHECK_TCP }, { true, CONF_CHECK_NONE } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(away); i++) {
		struct life l;

		life_init(&l, 3);
		life_begin(&l);
		for (size_t k = 0; k < 3; k++)
			(void)life_result(&l, k, PROBE_OK);
		life_compute(&l);
		l.group.in_use = away[i].in_use;
		l.group.check.protocol = away[i].protocol;
		life_reload(&l);
		l.group.in_use = true;
		l.group.check.protocol = CONF_CHECK_TCP;
		life_reload(&l);
		/* As at a start: the one that answers first does not get the load of all. */
		check_states(&l, "back in use", "=iii");
		(void)life_result(&l, 0, PROBE_OK);
		life_compute(&l);
		check_weights(&l, "back in use", "?100,100,100,-");
		(void)life_result(&l, 1, PROBE_TIMEOUT);
		life_compute(&l);
		check_weights(&l, "back in use", "?100,0,100,-");
		life_deinit(&l);
	}
}

/* §1.3: unhealthy.draining is only for groups that have an interval for it, and no longer than that. */
static void test_unhealthy_draining_follows_the_configuration(void **state)
{
	static const struct {
		usec_t interval;
		bool terminates;
		const char *at_once, *after_a_minute;
	} cases[] = {
		{ 3600 * SEC, false, "=hv", "=hv" }, { 7200 * SEC, false, "=hv", "=hv" },
		{ 60 * SEC, false, "=hv", "=hu" },   { 0, false, "=hu", "=hu" },
		{ 3600 * SEC, true, "=hu", "=hu" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct life l;

		life_init(&l, 2);
		l.group.unhealthy_draining_usec = 3600 * SEC;
		life_begin(&l);
		for (size_t k = 0; k < 2; k++)
			(void)life_result(&l, k, PROBE_OK);
		for (size_t k = 0; k < 2; k++)
			(void)life_result(&l, 1, PROBE_TIMEOUT);
		check_states(&l, "before", "=hv");
		life_pass(&l, 10 * SEC);
		l.group.unhealthy_draining_usec = cases[i].interval;
		l.group.unhealthy_termination = cases[i].terminates;
		life_reload(&l);
		check_states(&l, "at once", cases[i].at_once);
		life_pass(&l, 60 * SEC);
		check_states(&l, "after a minute", cases[i].after_a_minute);
		life_pass(&l, 3530 * SEC);
		check_states(&l, "after an hour", "=hu");
		life_deinit(&l);
	}
}

/* §1.4 fail open: a listener has targets of its family alone, whatever the others are. Tunnels reach both. */
static void test_two_families(void **state)
{
	static const struct {
		enum conf_forwarding forwarding;
		const char *word;
	} cases[] = {
		{ CONF_FORWARDING_NAT, "100 100 100 0" },
		{ CONF_FORWARDING_DIRECT, "100 100 100 0" },
		{ CONF_FORWARDING_GRE, "0 0 100 0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct registry_result good = { .report = { .outcome = PROBE_OK },
						      .weight_percent = -1 };
		const struct registry_result bad = { .report = { .outcome = PROBE_REFUSED },
						     .weight_percent = -1 };
		struct target_group *g;
		char text[64];
		struct life l;

		life_init(&l, 4);
		l.group.forwarding = cases[i].forwarding;
		assert_int_equal(addr_parse("2001:db8::1", &l.targets[2].addr), 0);
		assert_int_equal(addr_parse("2001:db8::2", &l.targets[3].addr), 0);
		life_begin(&l);
		g = &l.registry.groups[0];
		for (size_t k = 0; k < 4; k++)
			(void)registry_report(g, &g->targets[k], &good, l.now);
		life_compute(&l);
		for (size_t k = 0; k < 4; k++)
			for (int n = 0; n < 2 && k != 2; n++)
				(void)registry_report(g, &g->targets[k], &bad, l.now);
		life_compute(&l);
		(void)snprintf(text, sizeof(text), "%u %u %u %u", g->targets[0].weight.weight,
			       g->targets[1].weight.weight, g->targets[2].weight.weight,
			       g->targets[3].weight.weight);
		assert_string_equal(text, cases[i].word);
		assert_int_equal(g->summary.fail_open, cases[i].forwarding != CONF_FORWARDING_GRE);
		assert_int_equal(g->summary.healthy, 1);
		assert_int_equal(g->summary.registered, 4);
		life_deinit(&l);
	}
}

/* A target that was out is as new: nobody knows what stands at its address now. */
static void test_as_new(void **state)
{
	const struct registry_result drains = { .report = { .outcome = PROBE_OK },
						.advice = PROBE_ADVICE_DRAIN,
						.weight_percent = 10 };
	struct target *t;
	struct life l;

	(void)state;
	life_init(&l, 2);
	l.group.check.protocol = CONF_CHECK_AGENT;
	l.group.anomaly_mitigation = true;
	life_begin(&l);
	(void)life_result(&l, 0, PROBE_OK);
	t = life_find(&l, 1);
	(void)registry_report(&l.registry.groups[0], t, &drains, l.now);
	t->anomaly.steps = 2;
	life_compute(&l);
	check_weights(&l, "its agent takes it out", "?100,0,-,-");
	/* It only drains: the agent's word holds. */
	life_deregister(&l, 1);
	life_register(&l, 1);
	life_compute(&l);
	check_weights(&l, "taken back", "?100,0,-,-");
	life_deregister(&l, 1);
	life_finish_drains(&l, 0);
	check_states(&l, "out", "=hn");
	life_register(&l, 1);
	check_states(&l, "again", "=hi");
	(void)life_result(&l, 1, PROBE_OK);
	life_compute(&l);
	check_weights(&l, "again", "?100,100,-,-");
	life_deinit(&l);
}

/* What a target that drains meanwhile comes back to is what its group is by then. */
static void test_back_from_a_drain(void **state)
{
	struct life l;

	(void)state;
	life_init(&l, 2);
	l.group.in_use = false;
	life_begin(&l);
	life_deregister(&l, 1);
	l.group.in_use = true;
	life_reload(&l);
	check_states(&l, "in use", "=id");
	life_register(&l, 1);
	check_states(&l, "in use", "=ii");
	(void)life_result(&l, 1, PROBE_OK);
	check_states(&l, "in use", "=ih");

	for (int i = 0; i < 2; i++)
		(void)life_result(&l, 1, PROBE_TIMEOUT);
	check_states(&l, "fails", "=iu");
	life_deregister(&l, 1);
	l.group.check.protocol = CONF_CHECK_NONE;
	life_reload(&l);
	life_register(&l, 1);
	check_states(&l, "without a check", "=aa");
	life_compute(&l);
	check_weights(&l, "without a check", "?100,100,-,-");
	life_deinit(&l);
}

/* HAProxy's words: drain and maint hold until ready, a percentage until the next. */
static void test_advice(void **state)
{
	static const struct {
		enum probe_advice advice;
		int32_t percent;
		enum registry_effect effect;
		uint32_t weight;
	} steps[] = {
		{ PROBE_ADVICE_NONE, -1, REGISTRY_EFFECT_SOON, 100 }, /* healthy */
		{ PROBE_ADVICE_NONE, -1, REGISTRY_NO_EFFECT, 100 },
		{ PROBE_ADVICE_UP, 75, REGISTRY_EFFECT_NOW, 75 },
		{ PROBE_ADVICE_UP, 75, REGISTRY_NO_EFFECT, 75 },
		{ PROBE_ADVICE_NONE, -1, REGISTRY_NO_EFFECT, 75 },
		{ PROBE_ADVICE_DRAIN, -1, REGISTRY_EFFECT_NOW, 0 },
		{ PROBE_ADVICE_UP, -1, REGISTRY_NO_EFFECT, 0 },
		{ PROBE_ADVICE_READY, -1, REGISTRY_EFFECT_SOON, 75 },
		{ PROBE_ADVICE_MAINT, 50, REGISTRY_EFFECT_NOW, 0 },
		{ PROBE_ADVICE_READY, 100, REGISTRY_EFFECT_SOON, 100 },
		{ PROBE_ADVICE_NONE, 0, REGISTRY_EFFECT_NOW, 0 },
	};
	struct life l;

	(void)state;
	life_init(&l, 1);
	l.group.check.protocol = CONF_CHECK_AGENT;
	life_begin(&l);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct registry_result r = { .report = { .outcome = PROBE_OK },
						   .advice = steps[i].advice,
						   .weight_percent = steps[i].percent };

		assert_int_equal(registry_report(&l.registry.groups[0], life_find(&l, 0), &r,
						 l.now),
				 steps[i].effect);
		life_compute(&l);
		assert_int_equal(life_find(&l, 0)->weight.weight, steps[i].weight);
		life_restart(&l);
		assert_int_equal(life_find(&l, 0)->weight.weight, steps[i].weight);
	}
	/* Another kind of check knows nothing of it. */
	l.group.check.protocol = CONF_CHECK_TCP;
	life_reload(&l);
	assert_int_equal(life_find(&l, 0)->weight.weight, 100);
	life_deinit(&l);
}

/* Results that change nothing cost nothing, and a tick touches what ramps. */
static void test_costs(void **state)
{
	struct life l;

	(void)state;
	life_init(&l, 3);
	l.group.slow_start_usec = 30 * SEC;
	l.group.unhealthy_termination = true;
	life_begin(&l);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(life_result(&l, i, PROBE_OK), REGISTRY_EFFECT_SOON);
	life_compute(&l);
	assert_true(registry_next_change(&l.registry) == USEC_NEVER);
	assert_int_equal(life_result(&l, 0, PROBE_OK), REGISTRY_NO_EFFECT);
	assert_int_equal(life_result(&l, 0, PROBE_TIMEOUT), REGISTRY_NO_EFFECT);
	assert_int_equal(registry_compute_weights(&l.registry, l.now), REGISTRY_UNCHANGED);
	assert_int_equal(life_result(&l, 0, PROBE_TIMEOUT), REGISTRY_EFFECT_NOW);
	assert_int_equal(registry_compute_weights(&l.registry, l.now), REGISTRY_CHANGED);
	assert_int_equal(life_result(&l, 0, PROBE_REFUSED),
			 REGISTRY_NO_EFFECT); /* another reason */
	assert_int_equal(registry_compute_weights(&l.registry, l.now), REGISTRY_UNCHANGED);
	for (int i = 0; i < 3; i++)
		(void)life_result(&l, 0, PROBE_OK);
	life_compute(&l);
	assert_int_equal(l.registry.groups[0].n_timed, 1);
	/* A hundred steps in thirty seconds, and nothing in between. */
	assert_true(registry_next_change(&l.registry) - l.now <= 300 * USEC_PER_MSEC);
	l.now = registry_next_change(&l.registry);
	life_find(&l, 1)->weight.weight = 77; /* not looked at */
	assert_int_equal(registry_compute_weights(&l.registry, l.now + SEC), REGISTRY_RAMPED);
	assert_int_equal(life_find(&l, 1)->weight.weight, 77);
	assert_int_equal(registry_compute_weights(&l.registry, l.now + SEC), REGISTRY_UNCHANGED);
	life_deinit(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_states_and_drains),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_advice),
		cmocka_unit_test(test_unhealthy_draining_follows_the_configuration),
		cmocka_unit_test(test_two_families),
		cmocka_unit_test(test_as_new),
		cmocka_unit_test(test_back_in_use),
		cmocka_unit_test(test_back_from_a_drain),
		cmocka_unit_test(test_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
