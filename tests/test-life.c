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
#include "daemon/state-group.h"

#define SEC USEC_PER_SEC
#define START (1000000 * SEC)

enum {
	N = 4,
};

struct life {
	struct conf conf;
	struct conf_group group;
	struct conf_listener listener;
	struct conf_forward forward;
	struct conf_target targets[N];
	struct registry registry;
	usec_t now;
	uint64_t connections; /* of every target that drains */
};

static struct addr address(size_t i)
{
	struct addr a;

	assert_int_equal(addr_parse("10.0.0.1", &a), 0);
	a.bytes[3] = (uint8_t)(i + 1);
	return a;
}

/* Thresholds 3 up and 2 down; the first `n` targets are in the file. */
static void life_init(struct life *l, size_t n)
{
	*l = (struct life){ .now = START, .registry = REGISTRY_INIT };
	strcpy(l->group.name, "g");
	l->group.port = 80;
	l->group.in_use = true;
	l->group.check.protocol = CONF_CHECK_TCP;
	l->group.check.interval_usec = 5 * SEC;
	l->group.check.timeout_usec = SEC;
	l->group.check.healthy_threshold = 3;
	l->group.check.unhealthy_threshold = 2;
	l->group.minimum_healthy_routing.count = 1;
	l->group.minimum_healthy_dns.count = 1;
	l->group.deregistration_delay_usec = 60 * SEC;
	l->group.targets = l->targets;
	l->group.n_targets = n;
	for (size_t i = 0; i < N; i++) {
		l->targets[i].addr = address(i);
		l->targets[i].weight = 100;
	}
	l->conf.groups = &l->group;
	l->conf.n_groups = 1;
	l->listener.ports = (struct conf_range){ 80, 80 };
	l->listener.forwards = &l->forward;
	l->listener.n_forwards = 1;
	l->conf.listeners = &l->listener;
	l->conf.n_listeners = 1;
	strcpy(l->conf.global.zone, "a");
	l->conf.global.cross_zone = true;
}

static void reload(struct life *l)
{
	struct registry fresh;

	assert_int_equal(registry_build(&l->conf, &l->registry, l->now, &fresh), 0);
	registry_deinit(&l->registry);
	l->registry = fresh;
}

static void life_begin(struct life *l)
{
	const struct registry none = REGISTRY_INIT;

	assert_int_equal(registry_build(&l->conf, &none, l->now, &l->registry), 0);
}

/* Through the text that would be in the state directory. */
static void restart(struct life *l)
{
	struct state_group s = STATE_GROUP_INIT;
	struct registry old = REGISTRY_INIT;
	size_t len_bytes;
	char *text;

	if (state_group_hash(&l->registry.groups[0])) {
		assert_int_equal(
			state_group_format(&l->registry.groups[0], l->now, &text, &len_bytes), 0);
		assert_int_equal(state_group_parse(text, len_bytes, &s), 0);
		assert_int_equal(s.n_skipped, 0);
		free(text);
		old.groups = &s.group;
		old.n = 1;
	}
	registry_deinit(&l->registry);
	assert_int_equal(registry_build(&l->conf, &old, l->now, &l->registry), 0);
	state_group_deinit(&s);
}

static struct target *find(const struct life *l, size_t i)
{
	const struct addr a = address(i);

	return registry_find_target(&l->registry.groups[0], &a, 80);
}

static enum registry_effect result(struct life *l, size_t i, enum probe_outcome outcome)
{
	const struct registry_result r = { .report = { .outcome = outcome }, .weight_percent = -1 };
	struct target *t = find(l, i);

	/* As manager.c: results of targets that are not registered come too late. */
	return t && target_is_registered(t) ? registry_report(&l->registry.groups[0], t, &r, l->now)
					    : REGISTRY_NO_EFFECT;
}

/* As registration.c, for targets of the file and others. */
static void deregister(struct life *l, size_t i)
{
	struct target *t = find(l, i);

	if (!t || !target_is_registered(t))
		return;
	t->deregistered = t->origin == TARGET_FROM_CONFIG;
	(void)target_health_drain(&t->health, l->group.deregistration_delay_usec, l->now);
	registry_touch(&l->registry.groups[0]);
}

static void enter(struct life *l, size_t i)
{
	struct target_group *g = &l->registry.groups[0];
	struct target *t = find(l, i), fresh;
	const struct addr a = address(i);

	target_init(&fresh, g, &a, 80, l->now);
	if (!t) {
		fresh.origin = TARGET_FROM_REGISTER;
		assert_int_equal(registry_append(&l->registry, g, &fresh), 0);
		return;
	}
	if (target_is_registered(t))
		return;
	t->deregistered = false;
	if (t->health.state != TARGET_DRAINING) {
		t->health = fresh.health;
		t->awaiting_first_result = true;
	}
	(void)target_health_undrain(&t->health, l->now);
	registry_touch(g);
}

static void set_drained(struct life *l, size_t i, bool drained)
{
	struct target *t = find(l, i);

	if (!t)
		return;
	t->drained = drained;
	registry_touch(&l->registry.groups[0]);
}

static uint64_t connections_of(const struct target_group *g, const struct target *t, void *userdata)
{
	const struct life *l = userdata;

	(void)g;
	(void)t;
	return l->connections;
}

static void compute(struct life *l)
{
	assert_true(registry_compute_weights(&l->registry, l->now) >= 0);
}

/* Time passes as the manager lets it: it wakes when the registry says so. */
static void pass(struct life *l, usec_t by)
{
	usec_t end = l->now + by, next;

	compute(l);
	while ((next = registry_next_change(&l->registry)) <= end) {
		l->now = MAX(l->now, next);
		compute(l);
		assert_true(registry_next_change(&l->registry) > l->now);
	}
	l->now = end;
	compute(l);
}

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
		states[i] = letter_of(find(l, i));
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
		const struct target *t = find(l, i);

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
		pass(l, (usec_t)(atof(word + 1) * (double)SEC));
		return;
	case 'C':
		l->connections = (uint64_t)atoi(word + 1);
		assert_true(registry_finish_drains(&l->registry, connections_of, l, l->now) >= 0);
		return;
	case 'L':
		if (word[1])
			l->group.slow_start_usec = (usec_t)atoi(word + 1) * SEC;
		reload(l);
		return;
	case 'S':
		compute(l);
		restart(l);
		return;
	case '=':
		compute(l);
		check_states(l, story, word);
		return;
	case '?':
		compute(l);
		check_weights(l, story, word);
		return;
	}
	switch (word[1]) {
	case '+':
		(void)result(l, i, PROBE_OK);
		break;
	case '-':
		(void)result(l, i, PROBE_TIMEOUT);
		break;
	case 'D':
		deregister(l, i);
		break;
	case 'R':
		enter(l, i);
		break;
	case 'X':
		set_drained(l, i, true);
		break;
	case 'O':
		set_drained(l, i, false);
		break;
	default:
		fail_msg("%s: what is %s?", story, word);
	}
	/* A result at a time, as the manager may see them. */
	compute(l);
}

static void tell(struct life *l, const char *story)
{
	char text[512], *rest = NULL;

	assert_true(strlen(story) < sizeof(text));
	strcpy(text, story);
	life_begin(l);
	for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		do_word(l, story, w);
	registry_deinit(&l->registry);
}

static void test_slow_start(void **state)
{
	static const char *const stories[] = {
		/* §1.4 "targets registered together into an empty group do not enter it" */
		"a+ b+ ?100,100",
		"a+ @60 b+ ?100,100",
		"a+ b- @5 b+ ?100,100",
		/* "starts when a target becomes healthy; ends after duration", linear (§1.3) */
		"a+ b+ cR c- ?100,100,0 c+ ?100,100,1 @3 ?100,100,10 @12 ?100,100,50 @14.7 "
		"?100,100,99 @0.3 ?100,100,100 @999 ?100,100,100",
		/* "re-enters on recovery" */
		"a+ b+ b- b- ?100,0 b+ b+ b+ ?100,1 @15 ?100,50 @15 ?100,100",
		/* "or when unhealthy"; and from the beginning */
		"a+ b+ b- b- b+ b+ b+ @15 ?100,50 b- ?100,50 b- ?100,0 @5 b+ b+ b+ ?100,1 @15 "
		"?100,50",
		/* "Enabling it on a group does not put already-healthy targets in it"; disabling ends it */
		"L0 a+ b+ L30 ?100,100 b- b- b+ b+ b+ ?100,1 @15 ?100,50 L0 ?100,100",
		/* another duration: the time that has passed counts */
		"a+ b+ b- b- b+ b+ b+ @15 ?100,50 L60 ?100,25 L15 ?100,100",
		/* "only when there is at least one healthy target not in slow start" */
		"a+ b+ a- a- b- b- a+ a+ a+ ?100,0 b+ b+ b+ ?100,1 @3 a- a- ?0,10 a+ a+ a+ ?100,10",
		/* "Deregister ends it"; a new registration begins another */
		"a+ b+ b- b- b+ b+ b+ @15 ?100,50 C1 bD ?100,0 =hd @3 bR =hh ?100,1 @15 ?100,50",
		"a+ b+ C0 bD C0 =hn bR =hi ?100,0 b+ ?100,1",
		/* an operator's drain is a break, too */
		"a+ b+ bX ?100,0 @60 bO ?100,1 @30 ?100,100",
		/* neither a reload nor a restart disturbs it */
		"a+ b+ b- b- b+ b+ b+ @15 ?100,50 L ?100,50 S ?100,50 @3 ?100,60 S ?100,60 @12 "
		"?100,100 S ?100,100",
		"a+ b+ S ?100,100 L ?100,100",
		/* it does not begin anew in a restart, nor in one that forgot nothing */
		"a+ b+ b- b- S ?100,0 b+ b+ b+ ?100,1 S ?100,1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		struct life l;

		life_init(&l, 2);
		l.group.slow_start_usec = 30 * SEC;
		tell(&l, stories[i]);
	}
}

static void test_states_and_drains(void **state)
{
	static const char *const stories[] = {
		/* §1.1: one good check for a new target, thresholds for the others */
		"=ii ?100,100 a+ =hi ?100,100 b+ =hh",
		"a+ b+ b- =hh b- =hu ?100,0 b+ b+ =hu b+ =hh ?100,100",
		/* §1.3 deregistration_delay: draining until the delay ends */
		"a+ b+ C1 bD =hd ?100,0 @59.999 C1 =hd @0.001 C1 =hn ?100,0",
		/* early when nothing is in flight */
		"a+ b+ bD C0 =hn",
		/* §1.2 unused, Target.NotRegistered; deregistering twice moves no deadline */
		"a+ b+ C1 bD @30 bD @30 C1 =hn bD =hn",
		/* a drain outlives reload and restart */
		"a+ b+ C1 bD @30 L =hd S =hd @29 C1 =hd @1 C1 =hn S =hn L =hn bR =hi",
		/* one that only `register` knew is gone */
		"a+ b+ cR c+ =hhh cD C0 =hhg",
		/* §1.4 fail open */
		"a+ b+ a- a- ?0,100 b- b- ?100,100 b+ b+ ?100,100 b+ ?0,100",
		/* what the operator took out stays out */
		"a+ b+ aX b- b- ?0,100 aO ?100,0",
		"a+ b+ S =hh ?100,100",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		struct life l;

		life_init(&l, 2);
		tell(&l, stories[i]);
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

		assert_int_equal(registry_report(&l.registry.groups[0], find(&l, 0), &r, l.now),
				 steps[i].effect);
		compute(&l);
		assert_int_equal(find(&l, 0)->weight.weight, steps[i].weight);
		restart(&l);
		assert_int_equal(find(&l, 0)->weight.weight, steps[i].weight);
	}
	/* Another kind of check knows nothing of it. */
	l.group.check.protocol = CONF_CHECK_TCP;
	reload(&l);
	assert_int_equal(find(&l, 0)->weight.weight, 100);
	registry_deinit(&l.registry);
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
		assert_int_equal(result(&l, i, PROBE_OK), REGISTRY_EFFECT_SOON);
	compute(&l);
	assert_true(registry_next_change(&l.registry) == USEC_NEVER);
	assert_int_equal(result(&l, 0, PROBE_OK), REGISTRY_NO_EFFECT);
	assert_int_equal(result(&l, 0, PROBE_TIMEOUT), REGISTRY_NO_EFFECT);
	assert_int_equal(registry_compute_weights(&l.registry, l.now), REGISTRY_UNCHANGED);
	assert_int_equal(result(&l, 0, PROBE_TIMEOUT), REGISTRY_EFFECT_NOW);
	assert_int_equal(registry_compute_weights(&l.registry, l.now), REGISTRY_CHANGED);
	assert_int_equal(result(&l, 0, PROBE_REFUSED), REGISTRY_NO_EFFECT); /* another reason */
	assert_int_equal(registry_compute_weights(&l.registry, l.now), REGISTRY_UNCHANGED);
	for (int i = 0; i < 3; i++)
		(void)result(&l, 0, PROBE_OK);
	compute(&l);
	assert_int_equal(l.registry.groups[0].n_timed, 1);
	/* A hundred steps in thirty seconds, and nothing in between. */
	assert_true(registry_next_change(&l.registry) - l.now <= 300 * USEC_PER_MSEC);
	l.now = registry_next_change(&l.registry);
	find(&l, 1)->weight.weight = 77; /* not looked at */
	assert_int_equal(registry_compute_weights(&l.registry, l.now + SEC), REGISTRY_RAMPED);
	assert_int_equal(find(&l, 1)->weight.weight, 77);
	assert_int_equal(registry_compute_weights(&l.registry, l.now + SEC), REGISTRY_UNCHANGED);
	registry_deinit(&l.registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_start), cmocka_unit_test(test_states_and_drains),
		cmocka_unit_test(test_endings),	   cmocka_unit_test(test_advice),
		cmocka_unit_test(test_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
