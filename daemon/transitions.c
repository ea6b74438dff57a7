/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/transitions.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/authorities.h"
#include "daemon/manager.h"
#include "daemon/persist.h"

enum {
	TEXT_MAX = 256,
};

/* " (connect timed out, 2001 ms, 3 of 3)", or the reason where no probe decided. */
static void format_cause(const struct target_group *g, const struct target *t,
			 char buf[static TEXT_MAX])
{
	const struct target_health *h = &t->health;
	unsigned count = h->failures ? h->failures : h->successes;
	unsigned of = h->failures ? g->conf->check.unhealthy_threshold
				  : g->conf->check.healthy_threshold;
	char outcome[PROBE_OUTCOME_TEXT_MAX];

	*buf = '\0';
	switch (h->state) {
	case TARGET_HEALTHY:
	case TARGET_UNHEALTHY:
		if (!h->checked_usec)
			break;
		if (t->logged_state == TARGET_INITIAL && h->state == TARGET_HEALTHY)
			of = 1;
		(void)snprintf(buf, TEXT_MAX, " (%s, %u ms, %u of %u)",
			       probe_outcome_describe(h->outcome, h->detail, outcome),
			       h->duration_usec / (unsigned)USEC_PER_MSEC, count, of);
		break;
	default:
		if (h->reason != TARGET_REASON_NONE)
			(void)snprintf(buf, TEXT_MAX, " (%s)", target_reason_to_string(h->reason));
	}
}

static void log_target(struct manager *m, const struct target_group *g, const struct target *t)
{
	char name[ADDR_PORT_STR_MAX], object[CONF_NAME_MAX + 1 + ADDR_PORT_STR_MAX];
	char cause[TEXT_MAX], weights[64], text[2 * TEXT_MAX], weight[16];
	const char *suffix = "";
	const struct log_field fields[] = {
		{ "IPVSD_GROUP", g->name },
		{ "IPVSD_TARGET", name },
		{ "IPVSD_STATE", target_state_to_string(t->health.state) },
		{ "IPVSD_REASON", target_reason_to_string(t->health.reason) },
		{ "IPVSD_WEIGHT", weight },
	};

	if (t->weight.by_fail_open)
		suffix = g->cold ? " (cold start)" : " (fail open)";
	else if (t->drained)
		suffix = " (drained)";
	else if (t->advice.out)
		suffix = " (by its agent)";
	else if (t->slow_start_usec)
		suffix = " (slow start)";
	else if (t->weight.weight && t->weight.anomaly < WEIGHT_ONE)
		suffix = " (anomaly mitigation)";
	else if (t->weight.ends && (t->logged_state != t->health.state || !t->logged_ends))
		suffix = ", its connections end";
	addr_port_format(&t->addr, t->port, name);
	(void)snprintf(object, sizeof(object), "%s/%s", g->name, name);
	(void)snprintf(weight, sizeof(weight), "%u", t->weight.weight);
	if (t->logged_weight != t->weight.weight)
		(void)snprintf(weights, sizeof(weights), "weight %u -> %u%s", t->logged_weight,
			       t->weight.weight, suffix);
	else
		(void)snprintf(weights, sizeof(weights), "weight %u%s", t->weight.weight, suffix);
	format_cause(g, t, cause);
	if (t->logged_state != t->health.state)
		(void)snprintf(text, sizeof(text), "%s -> %s%s, %s",
			       target_state_to_string(t->logged_state),
			       target_state_to_string(t->health.state), cause, weights);
	else
		(void)snprintf(text, sizeof(text), "%s, %s",
			       target_state_to_string(t->health.state), weights);
	log_full(LOG_NOTICE, fields, ARRAY_SIZE(fields), "%s: %s", object, text);
	event_ring_add(&m->events, clock_wall_usec(), "target", object, text);
}

/* A start without history is no failure. */
static bool fails_open(const struct target_group *g)
{
	return g->summary.fail_open && !g->summary.cold_start;
}

static void log_group(struct manager *m, struct target_group *g)
{
	if (fails_open(g))
		manager_event(m, LOG_WARNING, "group", g->name,
			      "fails open: %u of %u targets are healthy, all get traffic",
			      g->summary.healthy, g->summary.registered);
	else
		manager_event(m, LOG_NOTICE, "group", g->name,
			      "no longer fails open: %u of %u targets are healthy",
			      g->summary.healthy, g->summary.registered);
	g->logged_fail_open = fails_open(g);
}

/* Targets that came together are one line: ten thousand would delay the start. Returns how many came. */
static unsigned announce(struct manager *m, struct target_group *g)
{
	unsigned n = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];

		if (t->announced)
			continue;
		t->announced = true;
		t->logged_state = t->health.state;
		t->logged_weight = t->weight.weight;
		t->logged_slow_start = t->slow_start_usec != 0;
		t->logged_ends = t->weight.ends;
		n++;
	}
	if (n)
		manager_event(m, LOG_NOTICE, "group", g->name,
			      "%u target%s registered, %u of %u healthy%s", n, n == 1 ? "" : "s",
			      g->summary.healthy, g->summary.registered,
			      g->cold ? ", cold start" : "");
	return n;
}

/* The steps of a ramp are none, its begin and its end are. */
static bool is_news(const struct target *t)
{
	bool ramps = t->slow_start_usec != 0;

	if (t->logged_state != t->health.state || t->logged_slow_start != ramps)
		return true;
	if (t->health.state == TARGET_DRAINING && t->weight.ends && !t->logged_ends)
		return true;
	return t->logged_weight != t->weight.weight && !ramps;
}

static bool log_changes(struct manager *m, struct target_group *g)
{
	bool any = false;

	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];
		bool news = is_news(t);

		if (news)
			log_target(m, g, t);
		t->logged_ends = t->weight.ends;
		if (!news)
			continue;
		t->logged_state = t->health.state;
		t->logged_weight = t->weight.weight;
		t->logged_slow_start = t->slow_start_usec != 0;
		any = true;
	}
	return any;
}

void transitions_log(struct manager *m)
{
	bool any = false;

	for (size_t i = 0; i < m->registry.n; i++) {
		struct target_group *g = &m->registry.groups[i];

		any |= announce(m, g) > 0;
		any |= log_changes(m, g);
		if (g->logged_fail_open != fails_open(g) && g->n && g->conf->in_use)
			log_group(m, g);
	}
	if (!any)
		return;
	persist_soon(m);
	transitions_notify_status(m);
	manager_wake_event_waiters(m);
}

void transitions_notify_status(const struct manager *m)
{
	size_t n_targets = 0, n_healthy = 0;

	for (size_t i = 0; i < m->registry.n; i++) {
		n_targets += m->registry.groups[i].summary.registered;
		n_healthy += m->registry.groups[i].summary.healthy;
	}
	(void)sd_notifyf(
		0, "STATUS=listeners: %zu, target groups: %zu, targets: %zu, healthy: %zu%s%s",
		m->conf->n_listeners, m->registry.n, n_targets, n_healthy,
		m->last_error ? "; the configuration on disk is not in use: " : "",
		m->last_error ? m->last_error : "");
}

/* Nothing in the plane changes, but targets may fail from now on: so that people know why. */
void transitions_tell_authorities(struct manager *m, const struct registry *fresh)
{
	for (size_t i = 0; i < fresh->n; i++) {
		const struct target_group *g = &fresh->groups[i];
		const struct target_group *old;

		if (!g->authorities && !fresh->last_authorities)
			continue;
		old = registry_find_group(&m->registry, g->name);
		if (!old || old->authorities == g->authorities)
			continue;
		if (g->authorities)
			manager_event(m, LOG_NOTICE, "group", g->name,
				      "verified by other authorities from now on: %s, "
				      "certificates: %zu",
				      g->conf->check.ca_file, g->trusted->n);
		else
			manager_event(m, LOG_NOTICE, "group", g->name,
				      "no authorities of its own any more");
	}
}
