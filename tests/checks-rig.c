/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/checks-rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"

#define SEC(n) ((usec_t)(n)*USEC_PER_SEC)

int checks_rig_set_up(void **state)
{
	struct checks_rig *rig = calloc(1, sizeof(*rig));
	struct registry none = REGISTRY_INIT;

	assert_non_null(rig);
	log_set_level(0);
	for (unsigned g = 0; g < 2; g++) {
		struct conf_group *group = &rig->groups[g];

		group->name[0] = (char)('a' + g);
		group->port = 80;
		group->in_use = true;
		group->check.protocol = CONF_CHECK_TCP;
		group->check.interval_usec = CHECKS_RIG_INTERVAL_USEC;
		group->check.timeout_usec = SEC(2);
		group->check.healthy_threshold = 2;
		group->check.unhealthy_threshold = 2;
		group->targets = rig->targets[g];
		group->n_targets = CHECKS_RIG_TARGETS;
		for (unsigned i = 0; i < CHECKS_RIG_TARGETS; i++) {
			char text[ADDR_STR_MAX];

			(void)snprintf(text, sizeof(text), "10.0.%u.%u", g, i + 1);
			assert_int_equal(addr_parse(text, &rig->targets[g][i].addr), 0);
			rig->targets[g][i].weight = 1;
		}
	}
	rig->conf.groups = rig->groups;
	rig->conf.n_groups = 2;
	rig->conf.global.health_history = CHECKS_RIG_HISTORY;
	rig->conf.global.lateness_limit_usec = SEC(1);
	rig->conf.global.correlated_failure_window_usec = SEC(10);
	rig->conf.global.correlated_failure_hold_usec = SEC(60);
	rig->manager.conf = &rig->conf;
	rig->now = CHECKS_RIG_START_USEC;
	assert_int_equal(event_ring_init(&rig->manager.events, 200), 0);
	assert_true(sd_event_new(&rig->manager.event) >= 0);
	assert_int_equal(registry_build(&rig->conf, &none, 1, &rig->manager.registry), 0);
	assert_int_equal(checks_new(&rig->manager, &rig->checks), 0);
	assert_int_equal(checks_sync(rig->checks, rig->now), 0);
	rig->manager.checks = rig->checks;
	*state = rig;
	return 0;
}

int checks_rig_tear_down(void **state)
{
	struct checks_rig *rig = *state;

	checks_free(rig->checks);
	registry_deinit(&rig->manager.registry);
	event_ring_deinit(&rig->manager.events);
	sd_event_unref(rig->manager.event);
	free(rig);
	return 0;
}

struct target *checks_rig_target(struct checks_rig *rig, unsigned group, unsigned i)
{
	return &rig->manager.registry.groups[group].targets[i];
}

void checks_rig_result(struct checks_rig *rig, unsigned group, unsigned i,
		       enum probe_outcome outcome, usec_t late_usec)
{
	const struct protocol_result r = {
		.id = checks_rig_target(rig, group, i)->id,
		.outcome = outcome,
		.duration_usec = 1000,
		.weight_percent = -1,
		.due_usec = rig->now - 1000 - late_usec,
		.start_usec = rig->now - 1000,
	};

	checks_take_result(rig->checks, rig->worker, &r, rig->now);
}

void checks_rig_results(struct checks_rig *rig, unsigned group, unsigned from, unsigned to,
			enum probe_outcome outcome)
{
	for (unsigned i = from; i < to; i++)
		checks_rig_result(rig, group, i, outcome, 0);
}

unsigned checks_rig_count(struct checks_rig *rig, unsigned group, enum target_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CHECKS_RIG_TARGETS; i++)
		n += checks_rig_target(rig, group, i)->health.state == state;
	return n;
}

void checks_rig_all_healthy(struct checks_rig *rig)
{
	for (unsigned g = 0; g < 2; g++)
		checks_rig_results(rig, g, 0, CHECKS_RIG_TARGETS, PROBE_OK);
	assert_int_equal(checks_rig_count(rig, 0, TARGET_HEALTHY), CHECKS_RIG_TARGETS);
	assert_int_equal(checks_rig_count(rig, 1, TARGET_HEALTHY), CHECKS_RIG_TARGETS);
}
