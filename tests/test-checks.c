/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Results on their way to verdicts: a registry of two groups, the guard between, a simulated clock. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/checks-internal.h"
#include "daemon/fastpath-internal.h"
#include "daemon/manager.h"
#include "tests/checks-rig.h"

#define SEC(n) ((usec_t)(n)*USEC_PER_SEC)

static void pass(struct checks_rig *rig, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		rig->now += USEC_PER_SEC;
		checks_tick(rig->checks, rig->now);
	}
}

static void assert_event(struct checks_rig *rig, const char *object, const char *text)
{
	const struct event_ring *events = &rig->manager.events;

	for (uint64_t seq = 1; seq <= events->last; seq++) {
		const struct event *e = &events->items[seq % events->capacity];

		if (strcmp(e->object, object) == 0 && strstr(e->text, text))
			return;
	}
	fail_msg("no event about \"%s\": %s", object, text);
}

static void test_without_limits_all_is_at_once(void **state)
{
	struct checks_rig *rig = *state;

	checks_rig_all_healthy(rig);
	checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS, PROBE_REFUSED);
	checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS, PROBE_REFUSED);
	assert_int_equal(checks_rig_count(rig, 0, TARGET_UNHEALTHY), CHECKS_RIG_TARGETS);
	assert_int_equal(rig->manager.events.last, 0);
}

static void test_late_failures_do_not_count(void **state)
{
	struct checks_rig *rig = *state;
	struct record *r;

	checks_rig_all_healthy(rig);
	for (unsigned i = 0; i < 4; i++) {
		checks_rig_result(rig, 0, 0, PROBE_REFUSED, SEC(2));
		checks_rig_result(rig, 0, 1, PROBE_INTERNAL_ERROR, 0);
	}
	assert_int_equal(checks_rig_target(rig, 0, 0)->health.state, TARGET_HEALTHY);
	assert_int_equal(checks_rig_target(rig, 0, 0)->health.failures, 0);
	pass(rig, 1);
	assert_event(rig, "", "do not count, since it was us: 4 (the probe began late)");
	r = records_find(&rig->checks->records, checks_rig_target(rig, 0, 0)->id);
	assert_int_equal(r->history.n, CHECKS_RIG_HISTORY);
	assert_int_equal(history_get(&r->history, 0)->note, HISTORY_COUNTED);
	assert_int_equal(history_get(&r->history, 4)->note, HISTORY_NOT_COUNTED);
	assert_int_equal(history_get(&r->history, 4)->outcome, PROBE_REFUSED);

	/* 4 of 44 probes were 2 s late. */
	assert_true(rig->checks->late_alarm.raised);
	assert_event(rig, "", "health checks begin late");
	pass(rig, 120);
	assert_false(rig->checks->late_alarm.raised);

	rig->conf.global.lateness_limit_usec = 0;
	checks_rig_result(rig, 0, 0, PROBE_REFUSED, SEC(2));
	checks_rig_result(rig, 0, 0, PROBE_REFUSED, SEC(2));
	assert_int_equal(checks_rig_target(rig, 0, 0)->health.state, TARGET_UNHEALTHY);
}

static const char *alarm_of(struct checks_rig *rig, char buf[static 256])
{
	json_t *report = checks_to_json(rig->checks);
	const char *text = json_string_value(json_array_get(json_object_get(report, "alarms"), 0));

	(void)snprintf(buf, 256, "%s", text ? text : "");
	json_decref(report);
	return buf;
}

/* One of three is starved: 25 probes among 2500 are none of a hundred, but all of its own. */
static void test_starved_worker_is_named(void **state)
{
	struct checks_rig *rig = *state;
	char text[256];
	json_t *workers;

	for (unsigned i = 0; i < 2500; i++) {
		rig->worker = i % 100 == 0 ? 1 : i % 2 * 2;
		checks_rig_result(rig, 0, i % CHECKS_RIG_TARGETS, PROBE_OK,
				  rig->worker == 1 && i ? SEC(2) : 0);
	}
	pass(rig, 1);
	assert_true(rig->checks->late_alarm.raised);
	assert_event(rig, "",
		     "health checks of network worker 1 begin late: 1 of 100 by more than");
	assert_true(strncmp(alarm_of(rig, text),
			    "health checks of network worker 1 begin late:", 45) == 0);
	workers = json_pack("[{s:i},{s:i},{s:i}]", "number", 0, "number", 1, "number", 2);
	checks_add_lateness(rig->checks, workers);
	for (unsigned i = 0; i < 3; i++) {
		json_int_t late = json_integer_value(
			json_object_get(json_array_get(workers, i), "lateness_p99_us"));

		assert_int_equal(late >= (json_int_t)SEC(2), i == 1);
	}
	json_decref(workers);

	/* With the exec worker two are. */
	rig->worker = WORKER_POOL_EXEC;
	for (unsigned i = 0; i < 20; i++)
		checks_rig_result(rig, 0, i, PROBE_OK, SEC(4));
	assert_true(strncmp(alarm_of(rig, text),
			    "health checks of the exec worker and 1 more begin late:", 55) == 0);
	pass(rig, 120);
	assert_false(rig->checks->late_alarm.raised);
	assert_event(rig, "", "health checks begin on time again");
}

/* Between the planes: whatever came of it, and whether or not lateness is an excuse. */
static void test_outage_does_not_count(void **state)
{
	struct checks_rig *rig = *state;
	struct fastpath fastpath = { .machine.outage = { CHECKS_RIG_START_USEC, USEC_NEVER } };

	rig->manager.fastpath = &fastpath;
	rig->conf.global.lateness_limit_usec = 0;
	checks_rig_all_healthy(rig);
	pass(rig, 1);
	for (int i = 0; i < 2; i++) {
		checks_rig_result(rig, 0, 0, PROBE_UNREACHABLE, 0);
		checks_rig_result(rig, 0, 1, PROBE_CONNECT_TIMEOUT, 0);
		checks_rig_result(rig, 0, 2, PROBE_REFUSED, 0);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(checks_rig_target(rig, 0, i)->health.failures, 0);
	pass(rig, 1);
	assert_event(rig, "", "since it was us: 6 (the traffic went from plane to plane)");
	fastpath.machine.outage.until_usec = rig->now - 1000;
	checks_rig_result(rig, 0, 0, PROBE_UNREACHABLE, 0);
	checks_rig_result(rig, 0, 0, PROBE_UNREACHABLE, 0);
	assert_int_equal(checks_rig_target(rig, 0, 0)->health.state, TARGET_UNHEALTHY);
	rig->manager.fastpath = NULL;
}

static void beat(struct checks_rig *rig, struct fastpath *f)
{
	const struct fastpath_event e = { .kind = FASTPATH_BEAT,
					  .attached = true,
					  .asked_usec = rig->now };

	(void)fastpath_machine_handle(&f->machine, &e, rig->now);
	checks_settle(rig->checks);
}

static void assert_failures(struct checks_rig *rig, unsigned first, unsigned second)
{
	assert_int_equal(checks_rig_target(rig, 0, 0)->health.failures, first);
	assert_int_equal(checks_rig_target(rig, 0, 1)->health.failures, second);
}

/* A failure counts when the fast path was alive at its end, and not when it is found to have hung. */
static void test_hang_does_not_count(void **state)
{
	struct checks_rig *rig = *state;
	struct fastpath f = { .machine.state = FASTPATH_ACTIVE, .manager = &rig->manager };

	rig->manager.fastpath = &f;
	checks_rig_all_healthy(rig);
	beat(rig, &f);
	checks_rig_result(rig, 0, 0, PROBE_CONNECT_TIMEOUT, 0); /* before it */
	assert_failures(rig, 1, 0);
	rig->now += 100000;
	checks_rig_result(rig, 0, 0, PROBE_OK, 0);
	assert_failures(rig, 0, 0);
	checks_rig_result(rig, 0, 1, PROBE_OK, 0);
	checks_rig_result(rig, 0, 1, PROBE_CONNECT_TIMEOUT, 0);
	checks_rig_result(rig, 0, 0, PROBE_OK, 0);
	rig->now += 100;
	checks_rig_result(rig, 0, 0, PROBE_CONNECT_TIMEOUT, 0);
	assert_failures(rig, 0, 0);
	assert_true(f.is_awaited);
	beat(rig, &f); /* in the order in which they came */
	assert_failures(rig, 1, 1);
	assert_int_equal(rig->checks->n_waiting, 0);
	checks_rig_result(rig, 0, 0, PROBE_OK, 0);

	/* A sign of life from between them speaks for the first alone. */
	rig->now += 100000;
	checks_rig_result(rig, 0, 0, PROBE_CONNECT_TIMEOUT, 0);
	rig->now += 100;
	checks_rig_result(rig, 0, 1, PROBE_CONNECT_TIMEOUT, 0);
	rig->now -= 50;
	beat(rig, &f);
	assert_failures(rig, 1, 1);
	assert_int_equal(rig->checks->n_waiting, 1);

	/* It hangs: these and those of the next half a second were lost. */
	for (unsigned i = 0; i < 300; i++) {
		rig->now += 1000;
		checks_rig_result(rig, 0, i % 2, PROBE_CONNECT_TIMEOUT, 0);
	}
	(void)fastpath_machine_handle(
		&f.machine, &(struct fastpath_event){ .kind = FASTPATH_TROUBLE, .reason = "" },
		rig->now);
	checks_settle(rig->checks);
	assert_failures(rig, 1, 1);
	assert_int_equal(rig->checks->n_waiting, 0);
	assert_int_equal(checks_rig_count(rig, 0, TARGET_HEALTHY), CHECKS_RIG_TARGETS);
	rig->manager.fastpath = NULL;
}

static void test_correlated_failure_of_all(void **state)
{
	struct checks_rig *rig = *state;

	rig->conf.global.correlated_failure_percent = 60;
	checks_rig_all_healthy(rig);
	pass(rig, 5);
	for (unsigned round = 0; round < 10; round++) {
		checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS, PROBE_CONNECT_TIMEOUT);
		checks_rig_results(rig, 1, 0, CHECKS_RIG_TARGETS, PROBE_CONNECT_TIMEOUT);
		pass(rig, 5);
		assert_int_equal(checks_rig_count(rig, 0, TARGET_HEALTHY), CHECKS_RIG_TARGETS);
		assert_int_equal(checks_rig_count(rig, 1, TARGET_HEALTHY), CHECKS_RIG_TARGETS);
	}
	assert_event(rig, "", "correlated failure: 40 of 40 healthy targets fail");
	assert_int_equal(rig->checks->n_held, 2 * CHECKS_RIG_TARGETS);
	/* Half of them are back, and one of the others fails on: the suspicion is over, and it goes down. */
	checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS, PROBE_OK);
	checks_rig_results(rig, 1, 1, CHECKS_RIG_TARGETS, PROBE_OK);
	assert_int_equal(rig->checks->n_held, 1);
	pass(rig, 1);
	assert_event(rig, "", "correlated failure: over");
	assert_int_equal(checks_rig_target(rig, 1, 0)->health.state, TARGET_UNHEALTHY);
	assert_int_equal(checks_rig_target(rig, 1, 0)->health.reason, TARGET_REASON_TIMEOUT);
	assert_int_equal(checks_rig_count(rig, 1, TARGET_UNHEALTHY), 1);
	assert_int_equal(rig->checks->n_held, 0);
}

static void test_a_group_gives_way_after_the_hold(void **state)
{
	struct checks_rig *rig = *state;

	rig->groups[1].correlated_failure_percent = 50;
	checks_rig_all_healthy(rig);
	pass(rig, 5);
	checks_rig_results(rig, 1, 0, CHECKS_RIG_TARGETS, PROBE_REFUSED);
	pass(rig, 5);
	checks_rig_results(rig, 1, 0, CHECKS_RIG_TARGETS, PROBE_REFUSED);
	checks_rig_results(rig, 0, 0, 3, PROBE_REFUSED);
	checks_rig_results(rig, 0, 0, 3, PROBE_REFUSED);
	assert_int_equal(checks_rig_count(rig, 0, TARGET_UNHEALTHY),
			 3); /* the other group goes on */
	pass(rig, 59);
	assert_int_equal(checks_rig_count(rig, 1, TARGET_HEALTHY), CHECKS_RIG_TARGETS);
	pass(rig, 1);
	assert_event(rig, "b", "gives way: 20 targets");
	assert_int_equal(checks_rig_count(rig, 1, TARGET_UNHEALTHY), CHECKS_RIG_TARGETS);
	assert_int_equal(checks_rig_target(rig, 1, 7)->health.failures,
			 2); /* as many as there were */
	pass(rig, 20);
	assert_int_equal(rig->checks->groups[1].scope.phase, GUARD_CALM);
	assert_event(rig, "b", "correlated failure: over");
}

static void test_capacity_goes_slowly(void **state)
{
	struct checks_rig *rig = *state;

	rig->groups[0].capacity_loss_percent = 25; /* five a minute */
	checks_rig_all_healthy(rig);
	for (unsigned second = 0; second < 180; second++) {
		unsigned down = checks_rig_count(rig, 0, TARGET_UNHEALTHY);

		if (second % 5 == 0)
			checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS - 1, PROBE_REFUSED);
		if (second >= 6)
			assert_int_equal(down, 5 + (second - 5) / 60 * 5);
		pass(rig, 1);
	}
	assert_event(rig, "a", "capacity loss limit: 5 of 20 targets went down within a minute");
	checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS - 1, PROBE_OK);
	pass(rig, 1);
	assert_event(rig, "a", "no target waits any more");
	assert_int_equal(rig->checks->n_held, 0);
}

static void test_old_verdicts_raise_an_alarm(void **state)
{
	struct checks_rig *rig = *state;

	checks_rig_all_healthy(rig);
	pass(rig, 17); /* three intervals and a timeout */
	assert_false(rig->checks->age_alarm.raised);
	checks_rig_results(rig, 0, 0, CHECKS_RIG_TARGETS, PROBE_OK);
	checks_rig_results(rig, 1, 1, CHECKS_RIG_TARGETS, PROBE_OK);
	pass(rig, 1);
	assert_true(rig->checks->age_alarm.raised);
	assert_event(rig, "b/10.0.1.1:80", "verdicts are old");
	checks_rig_results(rig, 1, 0, 1, PROBE_OK);
	pass(rig, 10);
	assert_false(rig->checks->age_alarm.raised);
	assert_event(rig, "", "verdicts are fresh again");
}

/* Marked down at once, and brought back by probes. */
static void test_passive(void **state)
{
	struct checks_rig *rig = *state;

	checks_rig_all_healthy(rig);
	checks_report_passive(rig->checks, &rig->manager.registry.groups[0],
			      checks_rig_target(rig, 0, 3), rig->now);
	assert_int_equal(checks_rig_target(rig, 0, 3)->health.state, TARGET_UNHEALTHY);
	assert_int_equal(checks_rig_target(rig, 0, 3)->health.reason,
			 TARGET_REASON_FAILED_HEALTH_CHECKS);
	for (unsigned i = 0; i < 10; i++)
		checks_rig_result(rig, 0, 3, PROBE_OK, 0); /* not yet */
	pass(rig, 5);
	checks_rig_result(rig, 0, 3, PROBE_OK, 0);
	assert_int_equal(checks_rig_target(rig, 0, 3)->health.state, TARGET_UNHEALTHY);
	checks_rig_result(rig, 0, 3, PROBE_OK, 0);
	assert_int_equal(checks_rig_target(rig, 0, 3)->health.state, TARGET_HEALTHY);
}

/* Nobody has noticed yet that the clock was set ahead by an hour; then everything that is timed will be moved. */
static void test_a_clock_that_was_set(void **state)
{
	struct checks_rig *rig = *state;
	const struct target_health *h = &checks_rig_target(rig, 0, 0)->health;
	usec_t wall;

	rig->manager.wall_offset_usec = clock_wall_usec() - clock_boottime_usec() - SEC(3600);
	rig->groups[0].unhealthy_draining_usec = SEC(60);
	checks_rig_all_healthy(rig);
	for (unsigned i = 0; i < 2; i++)
		checks_rig_results(rig, 0, 0, 1, PROBE_REFUSED);
	assert_int_equal(h->state, TARGET_UNHEALTHY_DRAINING);
	wall = clock_wall_usec() - SEC(3600);
	assert_in_range(h->unhealthy_deadline_usec, wall + SEC(50), wall + SEC(70));
}

static void deregister(struct checks_rig *rig, unsigned group, unsigned i)
{
	checks_rig_target(rig, group, i)->deregistered = true;
	(void)target_health_drain(&checks_rig_target(rig, group, i)->health, SEC(3600), 1);
	registry_touch(&rig->manager.registry.groups[group]);
}

/* elbv2.md §1.3: established connections go on while the target is healthy. */
static void test_a_target_that_drains_is_judged(void **state)
{
	struct checks_rig *rig = *state;
	struct target *t = checks_rig_target(rig, 0, 0);

	rig->manager.registry.groups[0].settings.terminates = true;
	checks_rig_all_healthy(rig);
	deregister(rig, 0, 0);
	checks_rig_results(rig, 0, 0, 1, PROBE_REFUSED);
	assert_true(registry_compute_weights(&rig->manager.registry, 1) >= 0);
	assert_false(t->weight.ends);
	checks_rig_results(rig, 0, 0, 1, PROBE_REFUSED);
	assert_int_equal(t->health.state, TARGET_DRAINING);
	assert_int_equal(registry_compute_weights(&rig->manager.registry, 1), REGISTRY_CHANGED);
	assert_true(t->weight.ends);
	/* It took nothing away from the group. */
	assert_int_equal(rig->checks->groups[0].count.minute_downs, 0);
	/* Who takes it back gets what it is, and not what it was. */
	t->deregistered = false;
	assert_true(target_health_undrain(&t->health, 1));
	assert_int_equal(t->health.state, TARGET_UNHEALTHY);
	/* Once it is out nothing counts. */
	deregister(rig, 0, 1);
	target_health_init(&checks_rig_target(rig, 0, 1)->health, TARGET_USE_NONE, 1);
	checks_rig_results(rig, 0, 1, 2, PROBE_REFUSED);
	assert_int_equal(checks_rig_target(rig, 0, 1)->health.checked_usec, 0);
}

/* While all fail at the same time it is likelier us: that goes for those that drain, too. */
static void test_correlated_failure_spares_those_that_drain(void **state)
{
	struct checks_rig *rig = *state;
	struct target *t = checks_rig_target(rig, 0, 0);

	rig->conf.global.correlated_failure_percent = 60;
	rig->groups[0].capacity_loss_percent = 5;
	checks_rig_all_healthy(rig);
	pass(rig, 5);
	deregister(rig, 0, 0);
	for (unsigned round = 0; round < 2; round++) {
		checks_rig_results(rig, 1, 0, CHECKS_RIG_TARGETS, PROBE_CONNECT_TIMEOUT);
		checks_rig_results(rig, 0, 1, CHECKS_RIG_TARGETS, PROBE_CONNECT_TIMEOUT);
		checks_rig_results(rig, 0, 0, 1, PROBE_CONNECT_TIMEOUT);
		pass(rig, 5);
	}
	assert_int_equal(target_health_verdict(&t->health), TARGET_HEALTHY);
	pass(rig, 56); /* the suspicion gives way; what drains is no capacity that could be lost */
	assert_int_equal(target_health_verdict(&t->health), TARGET_UNHEALTHY);
	assert_int_equal(t->health.state, TARGET_DRAINING);
}

/* health/anomaly.h: a window of results, each of which is one. */
static void test_a_failure_is_one_failure(void **state)
{
	struct checks_rig *rig = *state;
	const struct anomaly *second;

	rig->groups[0].anomaly_mitigation = true;
	rig->groups[0].capacity_loss_percent = 5; /* one a minute */
	checks_rig_all_healthy(rig);
	for (unsigned round = 0; round < 2; round++)
		checks_rig_results(rig, 0, 0, 2, PROBE_REFUSED);
	assert_int_equal(checks_rig_count(rig, 0, TARGET_UNHEALTHY), 1);
	pass(rig, 61);
	assert_int_equal(checks_rig_count(rig, 0, TARGET_UNHEALTHY), 2);
	second = &checks_rig_target(rig, 0, 1)->anomaly;
	assert_int_equal(second->n, 3);
	assert_int_equal(second->failures, 3); /* one that was good, then two */
}

static void test_reload_keeps_histories(void **state)
{
	struct checks_rig *rig = *state;
	uint64_t gone, stays;
	struct registry next;

	checks_rig_all_healthy(rig);
	gone = checks_rig_target(rig, 1, CHECKS_RIG_TARGETS - 1)->id;
	stays = checks_rig_target(rig, 1, 0)->id;
	rig->groups[1].n_targets--;
	assert_int_equal(registry_build(&rig->conf, &rig->manager.registry, 2, &next), 0);
	registry_deinit(&rig->manager.registry);
	rig->manager.registry = next;
	rig->conf.global.health_history = 2;
	assert_int_equal(checks_sync(rig->checks, rig->now), 0);
	assert_non_null(records_find(&rig->checks->records, gone)); /* it drains */
	rig->manager.registry.groups[1].n--;
	assert_int_equal(checks_sync(rig->checks, rig->now), 0);
	rig->manager.registry.groups[1].n++;
	assert_null(records_find(&rig->checks->records, gone));
	assert_int_equal(records_find(&rig->checks->records, stays)->history.n, 1);
	assert_int_equal(records_find(&rig->checks->records, stays)->history.capacity, 2);
	assert_int_equal(rig->checks->records.n, 2 * CHECKS_RIG_TARGETS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_limits_all_is_at_once,
						checks_rig_set_up, checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_late_failures_do_not_count, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_starved_worker_is_named, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_outage_does_not_count, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_hang_does_not_count, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_correlated_failure_of_all, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_a_group_gives_way_after_the_hold,
						checks_rig_set_up, checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_capacity_goes_slowly, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_old_verdicts_raise_an_alarm, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_passive, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_a_clock_that_was_set, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_a_target_that_drains_is_judged,
						checks_rig_set_up, checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_correlated_failure_spares_those_that_drain,
						checks_rig_set_up, checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_a_failure_is_one_failure, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_reload_keeps_histories, checks_rig_set_up,
						checks_rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
