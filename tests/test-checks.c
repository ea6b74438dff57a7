/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Results on their way to verdicts: a registry of two groups, the guard between, a simulated clock. */

#include <errno.h>
#include <netinet/in.h>
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
#include "daemon/inspect.h"
#include "daemon/manager.h"
#include "daemon/reach.h"

enum {
	TARGETS = 20, /* of each group */
	HISTORY = 5,
};

#define SEC(n) ((usec_t)(n)*USEC_PER_SEC)
#define START_USEC SEC(1000)
#define INTERVAL_USEC SEC(5)

struct rig {
	struct conf conf;
	struct conf_group groups[2];
	struct conf_target targets[2][TARGETS];
	struct manager manager;
	struct checks *checks;
	usec_t now;
};

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct registry none = REGISTRY_INIT;

	assert_non_null(rig);
	log_set_level(0);
	for (unsigned g = 0; g < 2; g++) {
		struct conf_group *group = &rig->groups[g];

		group->name[0] = (char)('a' + g);
		group->port = 80;
		group->in_use = true;
		group->check.protocol = CONF_CHECK_TCP;
		group->check.interval_usec = INTERVAL_USEC;
		group->check.timeout_usec = SEC(2);
		group->check.healthy_threshold = 2;
		group->check.unhealthy_threshold = 2;
		group->targets = rig->targets[g];
		group->n_targets = TARGETS;
		for (unsigned i = 0; i < TARGETS; i++) {
			char text[ADDR_STR_MAX];

			(void)snprintf(text, sizeof(text), "10.0.%u.%u", g, i + 1);
			assert_int_equal(addr_parse(text, &rig->targets[g][i].addr), 0);
			rig->targets[g][i].weight = 1;
		}
	}
	rig->conf.groups = rig->groups;
	rig->conf.n_groups = 2;
	rig->conf.global.health_history = HISTORY;
	rig->conf.global.lateness_limit_usec = SEC(1);
	rig->conf.global.correlated_failure_window_usec = SEC(10);
	rig->conf.global.correlated_failure_hold_usec = SEC(60);
	rig->manager.conf = &rig->conf;
	rig->now = START_USEC;
	assert_int_equal(event_ring_init(&rig->manager.events, 200), 0);
	assert_true(sd_event_new(&rig->manager.event) >= 0);
	assert_int_equal(registry_build(&rig->conf, &none, 1, &rig->manager.registry), 0);
	assert_int_equal(checks_new(&rig->manager, &rig->checks), 0);
	assert_int_equal(checks_sync(rig->checks, rig->now), 0);
	rig->manager.checks = rig->checks;
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	checks_free(rig->checks);
	registry_deinit(&rig->manager.registry);
	event_ring_deinit(&rig->manager.events);
	sd_event_unref(rig->manager.event);
	free(rig);
	return 0;
}

static struct target *target(struct rig *rig, unsigned group, unsigned i)
{
	return &rig->manager.registry.groups[group].targets[i];
}

static void result(struct rig *rig, unsigned group, unsigned i, enum probe_outcome outcome,
		   usec_t late_usec)
{
	const struct protocol_result r = {
		.id = target(rig, group, i)->id,
		.outcome = outcome,
		.duration_usec = 1000,
		.weight_percent = -1,
		.due_usec = rig->now - 1000 - late_usec,
		.start_usec = rig->now - 1000,
	};

	checks_take_result(rig->checks, 0, &r, rig->now);
}

/* The targets [from, to) of a group all have this result; then it is the next second. */
static void results(struct rig *rig, unsigned group, unsigned from, unsigned to,
		    enum probe_outcome outcome)
{
	for (unsigned i = from; i < to; i++)
		result(rig, group, i, outcome, 0);
}

static void pass(struct rig *rig, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		rig->now += USEC_PER_SEC;
		checks_tick(rig->checks, rig->now);
	}
}

static unsigned count_state(struct rig *rig, unsigned group, enum target_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TARGETS; i++)
		n += target(rig, group, i)->health.state == state;
	return n;
}

static void assert_event(struct rig *rig, const char *object, const char *text)
{
	const struct event_ring *events = &rig->manager.events;

	for (uint64_t seq = 1; seq <= events->last; seq++) {
		const struct event *e = &events->items[seq % events->capacity];

		if (strcmp(e->object, object) == 0 && strstr(e->text, text))
			return;
	}
	fail_msg("no event about \"%s\": %s", object, text);
}

static void all_healthy(struct rig *rig)
{
	for (unsigned g = 0; g < 2; g++)
		results(rig, g, 0, TARGETS, PROBE_OK);
	assert_int_equal(count_state(rig, 0, TARGET_HEALTHY), TARGETS);
	assert_int_equal(count_state(rig, 1, TARGET_HEALTHY), TARGETS);
}

static void test_without_limits_all_is_at_once(void **state)
{
	struct rig *rig = *state;

	all_healthy(rig);
	results(rig, 0, 0, TARGETS, PROBE_REFUSED);
	results(rig, 0, 0, TARGETS, PROBE_REFUSED);
	assert_int_equal(count_state(rig, 0, TARGET_UNHEALTHY), TARGETS);
	assert_int_equal(rig->manager.events.last, 0);
}

static void test_late_failures_do_not_count(void **state)
{
	struct rig *rig = *state;
	struct record *r;

	all_healthy(rig);
	for (unsigned i = 0; i < 4; i++) {
		result(rig, 0, 0, PROBE_REFUSED, SEC(2));
		result(rig, 0, 1, PROBE_INTERNAL_ERROR, 0);
	}
	assert_int_equal(target(rig, 0, 0)->health.state, TARGET_HEALTHY);
	assert_int_equal(target(rig, 0, 0)->health.failures, 0);
	pass(rig, 1);
	assert_event(rig, "", "do not count, since it was us: 4 (the probe began late)");
	r = records_find(&rig->checks->records, target(rig, 0, 0)->id);
	assert_int_equal(r->history.n, HISTORY);
	assert_int_equal(history_get(&r->history, 0)->note, HISTORY_COUNTED);
	assert_int_equal(history_get(&r->history, 4)->note, HISTORY_NOT_COUNTED);
	assert_int_equal(history_get(&r->history, 4)->outcome, PROBE_REFUSED);

	/* 4 of 44 probes were 2 s late. */
	assert_true(rig->checks->late_alarm.raised);
	assert_event(rig, "", "health checks begin late");
	pass(rig, 120);
	assert_false(rig->checks->late_alarm.raised);

	rig->conf.global.lateness_limit_usec = 0;
	result(rig, 0, 0, PROBE_REFUSED, SEC(2));
	result(rig, 0, 0, PROBE_REFUSED, SEC(2));
	assert_int_equal(target(rig, 0, 0)->health.state, TARGET_UNHEALTHY);
}

/* Between the planes: whatever came of it, and whether or not lateness is an excuse. */
static void test_outage_does_not_count(void **state)
{
	struct rig *rig = *state;
	struct fastpath fastpath = { .machine.outage = { START_USEC, USEC_NEVER } };

	rig->manager.fastpath = &fastpath;
	rig->conf.global.lateness_limit_usec = 0;
	all_healthy(rig);
	pass(rig, 1);
	for (int i = 0; i < 2; i++) {
		result(rig, 0, 0, PROBE_UNREACHABLE, 0);
		result(rig, 0, 1, PROBE_CONNECT_TIMEOUT, 0);
		result(rig, 0, 2, PROBE_REFUSED, 0);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(target(rig, 0, i)->health.failures, 0);
	pass(rig, 1);
	assert_event(rig, "", "since it was us: 6 (the traffic went from plane to plane)");
	fastpath.machine.outage.until_usec = rig->now - 1000;
	result(rig, 0, 0, PROBE_UNREACHABLE, 0);
	result(rig, 0, 0, PROBE_UNREACHABLE, 0);
	assert_int_equal(target(rig, 0, 0)->health.state, TARGET_UNHEALTHY);
	rig->manager.fastpath = NULL;
}

static void test_correlated_failure_of_all(void **state)
{
	struct rig *rig = *state;

	rig->conf.global.correlated_failure_percent = 60;
	all_healthy(rig);
	pass(rig, 5);
	for (unsigned round = 0; round < 10; round++) {
		results(rig, 0, 0, TARGETS, PROBE_CONNECT_TIMEOUT);
		results(rig, 1, 0, TARGETS, PROBE_CONNECT_TIMEOUT);
		pass(rig, 5);
		assert_int_equal(count_state(rig, 0, TARGET_HEALTHY), TARGETS);
		assert_int_equal(count_state(rig, 1, TARGET_HEALTHY), TARGETS);
	}
	assert_event(rig, "", "correlated failure: 40 of 40 healthy targets fail");
	assert_int_equal(rig->checks->n_held, 2 * TARGETS);
	/* Half of them are back, and one of the others fails on: the suspicion is over, and it goes down. */
	results(rig, 0, 0, TARGETS, PROBE_OK);
	results(rig, 1, 1, TARGETS, PROBE_OK);
	assert_int_equal(rig->checks->n_held, 1);
	pass(rig, 1);
	assert_event(rig, "", "correlated failure: over");
	assert_int_equal(target(rig, 1, 0)->health.state, TARGET_UNHEALTHY);
	assert_int_equal(target(rig, 1, 0)->health.reason, TARGET_REASON_TIMEOUT);
	assert_int_equal(count_state(rig, 1, TARGET_UNHEALTHY), 1);
	assert_int_equal(rig->checks->n_held, 0);
}

static void test_a_group_gives_way_after_the_hold(void **state)
{
	struct rig *rig = *state;

	rig->groups[1].correlated_failure_percent = 50;
	all_healthy(rig);
	pass(rig, 5);
	results(rig, 1, 0, TARGETS, PROBE_REFUSED);
	pass(rig, 5);
	results(rig, 1, 0, TARGETS, PROBE_REFUSED);
	results(rig, 0, 0, 3, PROBE_REFUSED);
	results(rig, 0, 0, 3, PROBE_REFUSED);
	assert_int_equal(count_state(rig, 0, TARGET_UNHEALTHY), 3); /* the other group goes on */
	pass(rig, 59);
	assert_int_equal(count_state(rig, 1, TARGET_HEALTHY), TARGETS);
	pass(rig, 1);
	assert_event(rig, "b", "gives way: 20 targets");
	assert_int_equal(count_state(rig, 1, TARGET_UNHEALTHY), TARGETS);
	assert_int_equal(target(rig, 1, 7)->health.failures, 2); /* as many as there were */
	pass(rig, 20);
	assert_int_equal(rig->checks->groups[1].scope.phase, GUARD_CALM);
	assert_event(rig, "b", "correlated failure: over");
}

static void test_capacity_goes_slowly(void **state)
{
	struct rig *rig = *state;

	rig->groups[0].capacity_loss_percent = 25; /* five a minute */
	all_healthy(rig);
	for (unsigned second = 0; second < 180; second++) {
		unsigned down = count_state(rig, 0, TARGET_UNHEALTHY);

		if (second % 5 == 0)
			results(rig, 0, 0, TARGETS - 1, PROBE_REFUSED);
		if (second >= 6)
			assert_int_equal(down, 5 + (second - 5) / 60 * 5);
		pass(rig, 1);
	}
	assert_event(rig, "a", "capacity loss limit: 5 of 20 targets went down within a minute");
	results(rig, 0, 0, TARGETS - 1, PROBE_OK);
	pass(rig, 1);
	assert_event(rig, "a", "no target waits any more");
	assert_int_equal(rig->checks->n_held, 0);
}

static void test_old_verdicts_raise_an_alarm(void **state)
{
	struct rig *rig = *state;

	all_healthy(rig);
	pass(rig, 17); /* three intervals and a timeout */
	assert_false(rig->checks->age_alarm.raised);
	results(rig, 0, 0, TARGETS, PROBE_OK);
	results(rig, 1, 1, TARGETS, PROBE_OK);
	pass(rig, 1);
	assert_true(rig->checks->age_alarm.raised);
	assert_event(rig, "b/10.0.1.1:80", "verdicts are old");
	results(rig, 1, 0, 1, PROBE_OK);
	pass(rig, 10);
	assert_false(rig->checks->age_alarm.raised);
	assert_event(rig, "", "verdicts are fresh again");
}

/* Marked down at once, and brought back by probes. */
static void test_passive(void **state)
{
	struct rig *rig = *state;

	all_healthy(rig);
	checks_report_passive(rig->checks, &rig->manager.registry.groups[0], target(rig, 0, 3),
			      rig->now);
	assert_int_equal(target(rig, 0, 3)->health.state, TARGET_UNHEALTHY);
	assert_int_equal(target(rig, 0, 3)->health.reason, TARGET_REASON_FAILED_HEALTH_CHECKS);
	for (unsigned i = 0; i < 10; i++)
		result(rig, 0, 3, PROBE_OK, 0); /* not yet */
	pass(rig, 5);
	result(rig, 0, 3, PROBE_OK, 0);
	assert_int_equal(target(rig, 0, 3)->health.state, TARGET_UNHEALTHY);
	result(rig, 0, 3, PROBE_OK, 0);
	assert_int_equal(target(rig, 0, 3)->health.state, TARGET_HEALTHY);
}

/* Nobody has noticed yet that the clock was set ahead by an hour; then everything that is timed will be moved. */
static void test_a_clock_that_was_set(void **state)
{
	struct rig *rig = *state;
	const struct target_health *h = &target(rig, 0, 0)->health;
	usec_t wall;

	rig->manager.wall_offset_usec = clock_wall_usec() - clock_boottime_usec() - SEC(3600);
	rig->groups[0].unhealthy_draining_usec = SEC(60);
	all_healthy(rig);
	for (unsigned i = 0; i < 2; i++)
		results(rig, 0, 0, 1, PROBE_REFUSED);
	assert_int_equal(h->state, TARGET_UNHEALTHY_DRAINING);
	wall = clock_wall_usec() - SEC(3600);
	assert_in_range(h->unhealthy_deadline_usec, wall + SEC(50), wall + SEC(60));
}

static void deregister(struct rig *rig, unsigned group, unsigned i)
{
	target(rig, group, i)->deregistered = true;
	(void)target_health_drain(&target(rig, group, i)->health, SEC(3600), 1);
	registry_touch(&rig->manager.registry.groups[group]);
}

/* elbv2.md §1.3: established connections go on while the target is healthy. */
static void test_a_target_that_drains_is_judged(void **state)
{
	struct rig *rig = *state;
	struct target *t = target(rig, 0, 0);

	rig->manager.registry.groups[0].settings.terminates = true;
	all_healthy(rig);
	deregister(rig, 0, 0);
	results(rig, 0, 0, 1, PROBE_REFUSED);
	assert_true(registry_compute_weights(&rig->manager.registry, 1) >= 0);
	assert_false(t->weight.ends);
	results(rig, 0, 0, 1, PROBE_REFUSED);
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
	target_health_init(&target(rig, 0, 1)->health, TARGET_USE_NONE, 1);
	results(rig, 0, 1, 2, PROBE_REFUSED);
	assert_int_equal(target(rig, 0, 1)->health.checked_usec, 0);
}

/* While all fail at the same time it is likelier us: that goes for those that drain, too. */
static void test_correlated_failure_spares_those_that_drain(void **state)
{
	struct rig *rig = *state;
	struct target *t = target(rig, 0, 0);

	rig->conf.global.correlated_failure_percent = 60;
	rig->groups[0].capacity_loss_percent = 5;
	all_healthy(rig);
	pass(rig, 5);
	deregister(rig, 0, 0);
	for (unsigned round = 0; round < 2; round++) {
		results(rig, 1, 0, TARGETS, PROBE_CONNECT_TIMEOUT);
		results(rig, 0, 1, TARGETS, PROBE_CONNECT_TIMEOUT);
		results(rig, 0, 0, 1, PROBE_CONNECT_TIMEOUT);
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
	struct rig *rig = *state;
	const struct anomaly *second;

	rig->groups[0].anomaly_mitigation = true;
	rig->groups[0].capacity_loss_percent = 5; /* one a minute */
	all_healthy(rig);
	for (unsigned round = 0; round < 2; round++)
		results(rig, 0, 0, 2, PROBE_REFUSED);
	assert_int_equal(count_state(rig, 0, TARGET_UNHEALTHY), 1);
	pass(rig, 61);
	assert_int_equal(count_state(rig, 0, TARGET_UNHEALTHY), 2);
	second = &target(rig, 0, 1)->anomaly;
	assert_int_equal(second->n, 3);
	assert_int_equal(second->failures, 3); /* one that was good, then two */
}

/* The plane's counters of the first target of group a, as a dump has them. */
static void look_at_traffic(struct rig *rig, uint64_t conns)
{
	struct ipvs_dest *d = &rig->manager.actual.services[0].dests[0];

	d->stats.conns = conns;
	d->stats.in_packets = 3 * conns;
	rig->now += USEC_PER_SEC;
	checks_watch_traffic(rig->checks, rig->now);
}

static void test_unanswered_connections_are_one_failure(void **state)
{
	struct conf_forward forward = { .group = 0, .weight = 1 };
	struct conf_listener listener = {
		.family = AF_INET, .ports = { 80, 80 }, .forwards = &forward, .n_forwards = 1
	};
	struct ipvs_service_key key = { .family = AF_INET, .protocol = IPPROTO_TCP, .port = 80 };
	struct rig *rig = *state;
	struct ipvs_dest dest = { .addr = target(rig, 0, 0)->addr, .port = 80 };
	struct ipvs_service *s;

	assert_int_equal(addr_parse("203.0.113.10", &listener.address), 0);
	key.addr = listener.address;
	s = ipvs_ruleset_append(&rig->manager.actual, &key);
	assert_non_null(s);
	assert_non_null(ipvs_service_append(s, &dest));
	rig->conf.listeners = &listener;
	rig->conf.n_listeners = 1;
	rig->groups[0].anomaly_mitigation = true;
	rig->groups[0].passive = CONF_PASSIVE_UNHEALTHY;
	rig->groups[0].passive_min_connections = 5;
	rig->groups[0].passive_percent = 50;
	all_healthy(rig);
	look_at_traffic(rig, 0);
	look_at_traffic(rig, 10);
	assert_int_equal(target(rig, 0, 0)->health.state, TARGET_HEALTHY);
	assert_int_equal(target(rig, 0, 0)->anomaly.failures, 1);
	look_at_traffic(rig, 20);
	assert_int_equal(target(rig, 0, 0)->health.state, TARGET_UNHEALTHY);
	assert_int_equal(target(rig, 0, 0)->anomaly.n, 3);
	assert_int_equal(target(rig, 0, 0)->anomaly.failures, 3);
	ipvs_ruleset_deinit(&rig->manager.actual);
}

static void test_reload_keeps_histories(void **state)
{
	struct rig *rig = *state;
	uint64_t gone, stays;
	struct registry next;

	all_healthy(rig);
	gone = target(rig, 1, TARGETS - 1)->id;
	stays = target(rig, 1, 0)->id;
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
	assert_int_equal(rig->checks->records.n, 2 * TARGETS - 1);
}

/* The shape of DescribeTargetHealth's answer (elbv2 API 2015-12-01), with our member left out. */
static void assert_described(struct rig *rig, const char *targets, const char *expected)
{
	json_t *report = NULL, *d, *wanted = json_loads(expected, 0, NULL);
	size_t i;

	assert_non_null(wanted);
	assert_int_equal(inspect_describe(&rig->manager, "a", targets, &report), 0);
	json_array_foreach (json_object_get(report, "TargetHealthDescriptions"), i, d)
		(void)json_object_del(d, "Ipvsd");
	if (!json_equal(report, wanted)) {
		char *text = json_dumps(report, JSON_INDENT(1));

		print_message("%s\n", text);
		free(text);
		fail_msg("not %s", expected);
	}
	json_decref(report);
	json_decref(wanted);
}

static void test_describe_is_awss_shape(void **state)
{
	struct rig *rig = *state;
	json_t *report = NULL;

	strcpy(target(rig, 0, 0)->zone, "eu-1a");
	result(rig, 0, 0, PROBE_OK, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct protocol_result r = { .id = target(rig, 0, 1)->id,
					     .outcome = PROBE_WRONG_STATUS,
					     .detail = 503,
					     .weight_percent = -1,
					     .due_usec = rig->now,
					     .start_usec = rig->now };

		checks_take_result(rig->checks, 0, &r, rig->now);
	}
	assert_described(rig, "Id=10.0.0.1,Port=80 Id=10.0.0.2",
			 "{\"TargetHealthDescriptions\":[{\"Target\":{\"Id\":\"10.0.0.1\","
			 "\"Port\":80,\"AvailabilityZone\":\"eu-1a\"},\"HealthCheckPort\":\"80\","
			 "\"TargetHealth\":{\"State\":\"healthy\"},\"AnomalyDetection\":"
			 "{\"MitigationInEffect\":\"no\",\"Result\":\"normal\"}},"
			 "{\"Target\":{\"Id\":\"10.0.0.2\",\"Port\":80},"
			 "\"HealthCheckPort\":\"80\",\"TargetHealth\":{\"State\":\"unhealthy\","
			 "\"Reason\":\"Target.ResponseCodeMismatch\",\"Description\":"
			 "\"Health checks failed with these codes: [503]\"},\"AnomalyDetection\":"
			 "{\"MitigationInEffect\":\"no\",\"Result\":\"normal\"}}]}");
	assert_described(rig, "Port=81,Id=10.0.0.1",
			 "{\"TargetHealthDescriptions\":[{\"Target\":{\"Id\":\"10.0.0.1\","
			 "\"Port\":81},\"HealthCheckPort\":\"81\",\"TargetHealth\":"
			 "{\"State\":\"unused\",\"Reason\":\"Target.NotRegistered\","
			 "\"Description\":\"Target is not registered to the target group\"}}]}");
	assert_int_equal(inspect_describe(&rig->manager, "a", "Id=x", &report), -EINVAL);
	json_decref(report);
	assert_int_equal(inspect_describe(&rig->manager, "z", NULL, &report), -ENOENT);
	json_decref(report);
	assert_int_equal(inspect_describe(&rig->manager, "a", NULL, &report), 0);
	assert_int_equal(json_array_size(json_object_get(report, "TargetHealthDescriptions")),
			 TARGETS);
	json_decref(report);
}

static void test_explain_and_history(void **state)
{
	struct rig *rig = *state;
	json_t *report = NULL, *t;
	double product = 1;
	size_t i;
	json_t *factor;

	rig->manager.conf->global.correlated_failure_percent = 0;
	all_healthy(rig);
	assert_true(registry_compute_weights(&rig->manager.registry, clock_wall_usec()) >= 0);
	result(rig, 0, 0, PROBE_REFUSED, 0);
	assert_int_equal(inspect_explain(&rig->manager, NULL, "a/10.0.0.1:80", &report), 0);
	t = json_array_get(json_object_get(report, "targets"), 0);
	json_array_foreach (json_object_get(t, "factors"), i, factor)
		product *= json_number_value(json_object_get(factor, "value"));
	assert_true(product == (double)json_integer_value(json_object_get(t, "weight")));
	assert_int_equal(json_array_size(json_object_get(t, "results")), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(t, "next"), 0), "what")),
			    "unhealthy after 1 more failed probe in a row");
	json_decref(report);

	assert_int_equal(inspect_history(&rig->manager, "b", NULL, &report), 0);
	assert_int_equal(json_array_size(json_object_get(report, "targets")), TARGETS);
	json_decref(report);
	assert_int_equal(inspect_explain(&rig->manager, "b", "10.0.0.1", &report), -ENOENT);
	json_decref(report);
	assert_int_equal(inspect_explain(&rig->manager, "b", "a/10.0.0.1", &report), -EINVAL);
	json_decref(report);
}

static void test_loopback_is_reached(void **state)
{
	char text[REACH_TEXT_MAX];
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", &a), 0);
	assert_false(reach_is_ours(&a, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_limits_all_is_at_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_late_failures_do_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_outage_does_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_correlated_failure_of_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_group_gives_way_after_the_hold, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_capacity_goes_slowly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_old_verdicts_raise_an_alarm, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_passive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_clock_that_was_set, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_target_that_drains_is_judged, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_correlated_failure_spares_those_that_drain,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_failure_is_one_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unanswered_connections_are_one_failure, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_reload_keeps_histories, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_describe_is_awss_shape, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_explain_and_history, set_up, tear_down),
		cmocka_unit_test(test_loopback_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
