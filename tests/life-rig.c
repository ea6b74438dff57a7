/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "life-rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/state-group.h"

static struct addr address(size_t i)
{
	struct addr a;

	assert_int_equal(addr_parse("10.0.0.1", &a), 0);
	a.bytes[3] = (uint8_t)(i + 1);
	return a;
}

void life_init(struct life *l, size_t n)
{
	*l = (struct life){ .now = LIFE_START, .registry = REGISTRY_INIT };
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
	for (size_t i = 0; i < LIFE_N; i++) {
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

void life_reload(struct life *l)
{
	struct registry fresh;

	assert_int_equal(registry_build(&l->conf, &l->registry, l->now, &fresh), 0);
	registry_deinit(&l->registry);
	l->registry = fresh;
}

void life_begin(struct life *l)
{
	const struct registry none = REGISTRY_INIT;

	assert_int_equal(registry_build(&l->conf, &none, l->now, &l->registry), 0);
}

void life_restart(struct life *l)
{
	struct state_group s = STATE_GROUP_INIT;
	struct registry old = REGISTRY_INIT;
	size_t len_bytes;
	char *text;

	if (state_group_hash(&l->registry.groups[0])) {
		assert_int_equal(
			state_group_format(&l->registry.groups[0], l->now, &text, &len_bytes), 0);
		assert_int_equal(state_group_add(&s, text, len_bytes), 0);
		assert_int_equal(state_group_settle(&s), 0);
		assert_int_equal(s.n_skipped, 0);
		free(text);
		old.groups = &s.group;
		old.n = 1;
	}
	registry_deinit(&l->registry);
	assert_int_equal(registry_build(&l->conf, &old, l->now, &l->registry), 0);
	state_group_deinit(&s);
}

struct target *life_find(const struct life *l, size_t i)
{
	const struct addr a = address(i);

	return registry_find_target(&l->registry.groups[0], &a, 80);
}

enum registry_effect life_result(struct life *l, size_t i, enum probe_outcome outcome)
{
	const struct registry_result r = { .report = { .outcome = outcome }, .weight_percent = -1 };
	struct target *t = life_find(l, i);

	/* As checks.c: results of targets that are out come too late. */
	return t && !target_is_out(t) ? registry_report(&l->registry.groups[0], t, &r, l->now)
				      : REGISTRY_NO_EFFECT;
}

/* As registration.c, for targets of the file and others. */
void life_deregister(struct life *l, size_t i)
{
	struct target *t = life_find(l, i);

	if (t)
		(void)registry_dismiss(&l->registry.groups[0], t, l->now);
}

void life_register(struct life *l, size_t i)
{
	struct target_group *g = &l->registry.groups[0];
	struct target *t = life_find(l, i), fresh;
	const struct addr a = address(i);

	target_init(&fresh, g, &a, 80, l->now);
	if (!t) {
		fresh.origin = TARGET_FROM_REGISTER;
		assert_int_equal(registry_append(&l->registry, g, &fresh), 0);
		return;
	}
	(void)registry_readmit(g, t, l->now);
}

void life_set_drained(struct life *l, size_t i, bool drained)
{
	struct target *t = life_find(l, i);

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

void life_compute(struct life *l)
{
	assert_true(registry_compute_weights(&l->registry, l->now) >= 0);
}

void life_pass(struct life *l, usec_t by)
{
	usec_t end = l->now + by, next;

	life_compute(l);
	while ((next = registry_next_change(&l->registry)) <= end) {
		l->now = MAX(l->now, next);
		life_compute(l);
		assert_true(registry_next_change(&l->registry) > l->now);
	}
	l->now = end;
	life_compute(l);
}

void life_deinit(struct life *l)
{
	registry_deinit(&l->registry);
}

void life_finish_drains(struct life *l, uint64_t connections)
{
	l->connections = connections;
	assert_true(registry_finish_drains(&l->registry, connections_of, l, l->now) >= 0);
}
