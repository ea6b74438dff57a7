/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * From results and time to weights. A group is computed as a whole when one of its targets changed; what time alone
 * does to single targets touches these alone, on a grid, so that the ramps of a group are one change of the plane.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/registry.h"
#include "daemon/registry-via.h"

enum {
	RAMP_STEPS = 100,
	RESOLUTION_RAMP = 100,	/* a step of 1 % is at least 1 */
	RESOLUTION_ZONE = 1000, /* 15 % of a small zone, too */
};

#define TICK_MIN_USEC (100 * USEC_PER_MSEC)
#define TICK_MAX_USEC (5 * USEC_PER_SEC)

static bool is_cross_zone(const struct conf *conf, const struct conf_group *g)
{
	return g->cross_zone == CONF_TRI_INHERIT ? conf->global.cross_zone
						 : g->cross_zone == CONF_TRI_TRUE;
}

static unsigned affinity_percent(enum conf_routing_policy p)
{
	switch (p) {
	case CONF_ROUTING_PARTIAL_AFFINITY:
		return 85;
	case CONF_ROUTING_ZONE_AFFINITY:
		return 100;
	default:
		return 0;
	}
}

static bool checks_advise(const struct conf_group *g)
{
	return g->check.protocol == CONF_CHECK_AGENT || g->check.protocol == CONF_CHECK_EXEC;
}

bool registry_takes_advice(const struct target_group *g)
{
	return checks_advise(g->conf);
}

/* elbv2.md §1.2: connections of an unhealthy target end at once, or after unhealthy.draining, or not at all. */
struct weight_settings registry_settings(const struct conf *conf, const struct conf_group *g)
{
	bool has_zone = *conf->global.zone != '\0';
	struct weight_settings s = {
		.minimum = { g->minimum_healthy_routing.count, g->minimum_healthy_routing.percent },
		.zone_minimum = { g->minimum_healthy_dns.count, g->minimum_healthy_dns.percent },
		.own_zone_only = has_zone && !is_cross_zone(conf, g),
		.affinity_percent = has_zone ? affinity_percent(conf->global.routing_policy) : 0,
		.slow_start_usec = g->slow_start_usec,
		.terminates = g->unhealthy_termination || g->failover_on_unhealthy ||
			      g->unhealthy_draining_usec > 0,
	};

	if (s.slow_start_usec || g->anomaly_mitigation || checks_advise(g))
		s.resolution = RESOLUTION_RAMP;
	if (s.affinity_percent > 0 && s.affinity_percent < 100 && !s.own_zone_only)
		s.resolution = RESOLUTION_ZONE;
	return s;
}

void registry_touch(struct target_group *g)
{
	g->dirty = true;
}

struct target_thresholds registry_thresholds(const struct target_group *g)
{
	const struct conf_group *c = g->conf;
	bool ends_at_once = c->unhealthy_termination || c->failover_on_unhealthy;

	return (struct target_thresholds){
		.healthy = c->check.healthy_threshold,
		.unhealthy = c->check.unhealthy_threshold,
		.unhealthy_draining_usec = ends_at_once ? 0 : c->unhealthy_draining_usec,
	};
}

/* As HAProxy has it: drain and maint hold until ready; a percentage until the next one. */
static enum registry_effect take_advice(struct target *t, const struct registry_result *result)
{
	enum registry_effect effect = REGISTRY_NO_EFFECT;
	struct target_advice *a = &t->advice;
	bool out = a->out;

	if (result->advice == PROBE_ADVICE_DRAIN || result->advice == PROBE_ADVICE_MAINT)
		a->out = true;
	else if (result->advice == PROBE_ADVICE_READY)
		a->out = false;
	if (out != a->out)
		effect = a->out ? REGISTRY_EFFECT_NOW : REGISTRY_EFFECT_SOON;
	if (result->weight_percent >= 0) {
		uint32_t percent = (uint32_t)result->weight_percent;
		uint32_t before = a->has_percent ? a->percent : 100;

		a->has_percent = true;
		a->percent = percent;
		if (percent < before)
			effect = REGISTRY_EFFECT_NOW;
		else if (percent > before)
			effect = MAX(effect, REGISTRY_EFFECT_SOON);
	}
	return effect;
}

enum registry_effect registry_report(struct target_group *g, struct target *t,
				     const struct registry_result *result, usec_t now_wall_usec)
{
	struct target_thresholds thresholds = registry_thresholds(g);
	struct target_health after = t->health;
	enum target_state before = target_health_verdict(&t->health), verdict;
	enum registry_effect effect = REGISTRY_NO_EFFECT;

	if (result->report.outcome == PROBE_INTERNAL_ERROR)
		return REGISTRY_NO_EFFECT;
	if (registry_takes_advice(g))
		effect = take_advice(t, result);
	if (g->conf->anomaly_mitigation && !result->again)
		anomaly_note(&t->anomaly, result->report.outcome != PROBE_OK);
	if (result->at_once)
		thresholds.unhealthy = 1;
	(void)target_health_report(&after, &thresholds, &result->report, now_wall_usec);
	if (result->hold)
		target_health_learn(&t->health, &after);
	else
		t->health = after;
	verdict = target_health_verdict(&t->health);
	/* A reason that changes changes no weight. */
	if (t->awaiting_first_result || verdict != before)
		effect = MAX(effect, target_state_is_routable(verdict) ? REGISTRY_EFFECT_SOON
								       : REGISTRY_EFFECT_NOW);
	t->awaiting_first_result = false;
	g->dirty |= effect != REGISTRY_NO_EFFECT;
	return effect;
}

static bool is_up(const struct target *t)
{
	return target_is_registered(t) && t->health.state == TARGET_HEALTHY && !t->drained &&
	       !t->advice.out;
}

/*
 * elbv2.md §1.4: it begins when a target becomes healthy while another one is healthy and not in slow start, and ends
 * with its time or when the target is no longer healthy or leaves. Founders of a group do not take part.
 */
static void follow_slow_starts(struct target_group *g, usec_t now_wall_usec)
{
	bool has_full = false;

	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];

		if (t->slow_start_usec &&
		    (!is_up(t) ||
		     now_wall_usec >= t->slow_start_usec + g->settings.slow_start_usec))
			t->slow_start_usec = 0;
		if (t->health.state == TARGET_UNHEALTHY)
			t->founder = false;
		t->up = t->up && is_up(t);
		has_full |= t->up && !t->slow_start_usec;
	}
	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];

		if (t->up || !is_up(t))
			continue;
		t->up = true;
		if (g->settings.slow_start_usec && has_full && !t->founder)
			t->slow_start_usec = now_wall_usec;
		t->founder = false;
	}
}

static enum weight_zone zone_of(const struct target_group *g, const struct target *t)
{
	if (!*g->own_zone || !*t->zone || strcmp(t->zone, "all") == 0)
		return WEIGHT_ZONE_OWN;
	return strcmp(t->zone, g->own_zone) == 0 ? WEIGHT_ZONE_OWN : WEIGHT_ZONE_OTHER;
}

static void fill_input(const struct target_group *g, const struct target *t, usec_t now_wall_usec,
		       struct weight_input *ret)
{
	*ret = (struct weight_input){
		.configured = t->configured_weight,
		.state = t->health.state,
		.awaiting_first_result = t->awaiting_first_result,
		.drained_by_operator = t->drained,
		.cold = g->cold && t->awaiting_first_result,
		.zone = zone_of(g, t),
		.verdict = target_health_verdict(&t->health),
		.in_slow_start = t->slow_start_usec != 0,
		.slow_start_elapsed_usec =
			now_wall_usec > t->slow_start_usec ? now_wall_usec - t->slow_start_usec : 0,
		.anomaly_steps = g->conf->anomaly_mitigation ? t->anomaly.steps : 0,
		.drained_by_agent = t->advice.out,
		.has_advice = t->advice.has_percent,
		.advice_percent = t->advice.percent,
	};
}

static usec_t anomaly_interval(const struct target_group *g)
{
	return MAX(ANOMALY_INTERVAL_USEC, g->conf->check.interval_usec);
}

/* 1: a step or a finding changed. */
static int find_anomalies(struct target_group *g, usec_t now_wall_usec)
{
	_cleanup_free_ struct anomaly_target *targets = NULL;

	if (!g->conf->anomaly_mitigation) {
		g->anomaly_due_usec = 0;
		return 0;
	}
	if (now_wall_usec < g->anomaly_due_usec)
		return 0;
	targets = calloc(g->n + 1, sizeof(*targets));
	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < g->n; i++)
		targets[i] =
			(struct anomaly_target){ &g->targets[i].anomaly, is_up(&g->targets[i]) };
	g->anomaly_due_usec = now_wall_usec + anomaly_interval(g);
	return anomaly_evaluate(targets, g->n);
}

/* 1: a state changed. */
static int expire_states(struct target_group *g, usec_t now_wall_usec)
{
	bool changed = false;

	for (size_t i = 0; i < g->n; i++)
		changed |= target_health_expire(&g->targets[i].health, now_wall_usec);
	return changed;
}

static usec_t tick_usec(const struct target_group *g)
{
	return MIN(MAX(g->settings.slow_start_usec / RAMP_STEPS, TICK_MIN_USEC), TICK_MAX_USEC);
}

static bool is_waiting(const struct target *t)
{
	return target_health_verdict(&t->health) == TARGET_UNHEALTHY_DRAINING;
}

/* The next point of the grid that ramps share, the next end of unhealthy.draining, the next evaluation. */
static void plan_next(struct target_group *g, usec_t now_wall_usec)
{
	usec_t tick = tick_usec(g);

	g->next_usec = g->anomaly_due_usec ? g->anomaly_due_usec : USEC_NEVER;
	for (size_t i = 0; i < g->n_timed; i++) {
		const struct target *t = &g->targets[g->timed[i]];

		if (t->slow_start_usec)
			g->next_usec = MIN(g->next_usec, (now_wall_usec / tick + 1) * tick);
		if (is_waiting(t))
			g->next_usec = MIN(g->next_usec, t->health.unhealthy_deadline_usec);
	}
}

static int list_timed(struct target_group *g)
{
	free(g->timed);
	g->n_timed = 0;
	g->timed = reallocarray(NULL, g->n + 1, sizeof(*g->timed));
	if (!g->timed)
		return -ENOMEM;
	for (size_t i = 0; i < g->n; i++)
		if (g->targets[i].slow_start_usec || is_waiting(&g->targets[i]))
			g->timed[g->n_timed++] = (uint32_t)i;
	return 0;
}

/* Of g->by_family. */
static unsigned family_of(const struct target_group *g, const struct target *t)
{
	return t->addr.family == AF_INET6 && !conf_forwarding_is_tunnel(g->conf->forwarding);
}

/* in: room for all. */
static void weigh(struct target_group *g, unsigned family, struct weight_input *in,
		  usec_t now_wall_usec)
{
	struct weight_summary *sum = &g->by_family[family];
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (!target_is_out(&g->targets[i]) && family_of(g, &g->targets[i]) == family)
			fill_input(g, &g->targets[i], now_wall_usec, &in[n++]);
	weight_summarize(in, n, &g->settings, sum);
	n = 0;
	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];

		if (target_is_out(t))
			t->weight = (struct weight_output){ 0 };
		else if (family_of(g, t) == family)
			weight_one(&in[n++], &g->settings, sum, &t->weight);
	}
}

static void sum_families(struct target_group *g)
{
	const struct weight_summary *first = &g->by_family[0], *other = &g->by_family[1];
	struct weight_summary *all = &g->summary;

	*all = first->registered ? *first : *other;
	if (!first->registered || !other->registered)
		return;
	all->registered += other->registered;
	all->eligible += other->eligible;
	all->healthy += other->healthy;
	all->own_eligible += other->own_eligible;
	all->own_healthy += other->own_healthy;
	all->fail_open = all->fail_open || other->fail_open;
	all->cold_start = all->cold_start || other->cold_start;
	all->dns_healthy = all->dns_healthy && other->dns_healthy;
	all->own_preferred = all->own_preferred || other->own_preferred;
}

static int compute_group(struct target_group *g, usec_t now_wall_usec)
{
	_cleanup_free_ struct weight_input *in = reallocarray(NULL, g->n + 1, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	g->dirty = true; /* until it is through */
	(void)expire_states(g, now_wall_usec);
	follow_slow_starts(g, now_wall_usec);
	r = find_anomalies(g, now_wall_usec);
	if (r >= 0)
		r = list_timed(g);
	if (r < 0)
		return r;
	for (unsigned family = 0; family < ARRAY_SIZE(g->by_family); family++)
		weigh(g, family, in, now_wall_usec);
	sum_families(g);
	g->cold = g->summary.cold_start;
	plan_next(g, now_wall_usec);
	g->dirty = false;
	return REGISTRY_CHANGED;
}

/* Nothing but time has passed. */
static int advance_group(struct target_group *g, usec_t now_wall_usec)
{
	int change = REGISTRY_UNCHANGED, r;

	r = find_anomalies(g, now_wall_usec);
	if (r < 0)
		return r;
	if (r > 0)
		return compute_group(g, now_wall_usec);
	for (size_t i = 0; i < g->n_timed; i++) {
		struct target *t = &g->targets[g->timed[i]];
		struct weight_input in;
		uint32_t before = t->weight.weight;

		/* Both ends may concern others: fail open, and who may begin a slow start. */
		if ((is_waiting(t) && now_wall_usec >= t->health.unhealthy_deadline_usec) ||
		    (t->slow_start_usec &&
		     now_wall_usec >= t->slow_start_usec + g->settings.slow_start_usec))
			return compute_group(g, now_wall_usec);
		fill_input(g, t, now_wall_usec, &in);
		weight_one(&in, &g->settings, &g->by_family[family_of(g, t)], &t->weight);
		if (t->weight.weight != before)
			change = REGISTRY_RAMPED;
	}
	plan_next(g, now_wall_usec);
	return change;
}

int registry_compute_weights(struct registry *r, usec_t now_wall_usec)
{
	int change = REGISTRY_UNCHANGED;

	for (size_t i = 0; i < r->n; i++) {
		struct target_group *g = &r->groups[i];
		int e = 0;

		if (g->dirty)
			e = compute_group(g, now_wall_usec);
		else if (now_wall_usec >= g->next_usec)
			e = advance_group(g, now_wall_usec);
		if (e < 0)
			return e;
		change = MAX(change, e);
	}
	return change;
}

usec_t registry_next_change(const struct registry *r)
{
	usec_t next = USEC_NEVER;

	for (size_t i = 0; i < r->n; i++)
		next = MIN(next, r->groups[i].next_usec);
	return next;
}

static int list_targets(const struct registry *r, bool with_ends, struct desired_group **ret_groups)
{
	struct desired_target *targets;
	struct desired_group *groups;
	size_t n_targets = 0;

	for (size_t i = 0; i < r->n; i++)
		n_targets += r->groups[i].n;
	groups = malloc((r->n + 1) * sizeof(*groups) + n_targets * sizeof(*targets));
	if (!groups)
		return -ENOMEM;
	targets = (struct desired_target *)(groups + r->n + 1);
	for (size_t i = 0; i < r->n; i++) {
		const struct target_group *g = &r->groups[i];
		size_t n = 0;

		for (size_t j = 0; j < g->n; j++) {
			const struct target *t = &g->targets[j];

			if (!target_is_out(t))
				targets[n++] = (struct desired_target){
					.addr = t->addr,
					.port = t->port,
					.weight = t->weight.weight,
					.ends = with_ends && t->weight.ends,
					.probe_mark = t->probe_mark,
					.probe_family = registry_probe_family(g, t),
					.probe_port = g->listener_port,
				};
		}
		groups[i] = (struct desired_group){ targets, n };
		targets += n;
	}
	*ret_groups = groups;
	return 0;
}

int registry_to_desired(const struct registry *r, struct desired_group **ret_groups)
{
	return list_targets(r, true, ret_groups);
}

int registry_to_members(const struct registry *r, struct desired_group **ret_groups)
{
	return list_targets(r, false, ret_groups);
}
