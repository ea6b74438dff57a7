/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Why a target has its weight, factor by factor, and what changes it next. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/checks.h"
#include "daemon/inspect.h"
#include "daemon/manager.h"
#include "health/schedule.h"

enum {
	TEXT_MAX = 160,
};

DEFINE_CLEANUP(json_t *, json_decref)

static double seconds(usec_t usec)
{
	return (double)usec / (double)USEC_PER_SEC;
}

static int add_factor(json_t *list, const char *name, double value, const char *text)
{
	return json_array_append_new(list, json_pack("{s:s,s:f,s:s}", "name", name, "value", value,
						     "text", text));
}

static double share(uint32_t factor)
{
	return (double)factor / WEIGHT_ONE;
}

/* Why a target gets nothing whatever its health. */
static const char *override_text(const struct target *t)
{
	if (t->weight.override_)
		return "takes part";
	switch (t->health.state) {
	case TARGET_DRAINING:
		return "is on its way out";
	case TARGET_UNUSED:
		return target_reason_describe(t->health.reason);
	default:
		break;
	}
	if (t->drained)
		return "ipvsd drain";
	return t->advice.out ? "its agent took it out" : "its configured weight is 0";
}

static void format_health(const struct target_group *g, const struct target *t,
			  char text[static TEXT_MAX])
{
	if (!t->weight.by_fail_open)
		(void)snprintf(text, TEXT_MAX, "%s", target_state_to_string(t->health.state));
	else if (g->cold)
		(void)snprintf(text, TEXT_MAX, "%s, but the group starts cold: no result yet",
			       target_state_to_string(t->health.state));
	else
		(void)snprintf(text, TEXT_MAX, "%s, but the group fails open: %u of %u are healthy",
			       target_state_to_string(t->health.state), g->summary.healthy,
			       g->summary.eligible);
}

static void format_zone(const struct target_group *g, const struct target *t,
			char text[static TEXT_MAX])
{
	if (!*t->zone || !*g->own_zone)
		(void)snprintf(text, TEXT_MAX, "zones play no part");
	else
		(void)snprintf(text, TEXT_MAX, "in zone %s, this gateway is in %s", t->zone,
			       g->own_zone);
}

static void format_slow_start(const struct target_group *g, const struct target *t,
			      char text[static TEXT_MAX])
{
	usec_t now = clock_wall_usec();

	if (!t->slow_start_usec)
		(void)snprintf(text, TEXT_MAX, "not in slow start");
	else
		(void)snprintf(text, TEXT_MAX, "since %.0f s of %.0f s",
			       now > t->slow_start_usec ? seconds(now - t->slow_start_usec) : 0.0,
			       seconds(g->settings.slow_start_usec));
}

static void format_anomaly(const struct target_group *g, const struct target *t,
			   char text[static TEXT_MAX])
{
	if (!g->conf->anomaly_mitigation)
		(void)snprintf(text, TEXT_MAX, "anomaly mitigation is off");
	else
		(void)snprintf(text, TEXT_MAX, "%s, %d of the last %u results failed",
			       t->anomaly.anomalous ? "anomalous" : "normal",
			       __builtin_popcount(t->anomaly.failures), t->anomaly.n);
}

static void format_advice(const struct target *t, char text[static TEXT_MAX])
{
	if (t->advice.has_percent)
		(void)snprintf(text, TEXT_MAX, "its check says %u %%", t->advice.percent);
	else
		(void)snprintf(text, TEXT_MAX, "no advice");
}

json_t *inspect_factors_to_json(const struct manager *m, const struct target_group *g,
				const struct target *t)
{
	_cleanup_(json_decref_p) json_t *list = json_array();
	const struct weight_output *w = &t->weight;
	char text[TEXT_MAX];
	int r = 0;

	(void)m;
	if (!list)
		return NULL;
	r |= add_factor(list, "configured", w->configured,
			t->origin == TARGET_FROM_REGISTER	 ? "by ipvsd register"
			: t->configured_weight != t->file_weight ? "changed by ipvsd register"
								 : "by the configuration");
	r |= add_factor(list, "scale", w->scale, "the same for the whole group, for fine steps");
	r |= add_factor(list, "override", share(w->override_), override_text(t));
	format_health(g, t, text);
	r |= add_factor(list, "health", share(w->health), text);
	format_zone(g, t, text);
	r |= add_factor(list, "zone", share(w->zone), text);
	format_slow_start(g, t, text);
	r |= add_factor(list, "slow start", share(w->slow_start), text);
	format_anomaly(g, t, text);
	r |= add_factor(list, "anomaly", share(w->anomaly), text);
	format_advice(t, text);
	r |= add_factor(list, "advice", share(w->advice), text);
	return r < 0 ? NULL : take_ptr(list);
}

/* in_usec: USEC_NEVER = nobody knows when. */
static void add_next(json_t *list, usec_t in_usec, const char *text)
{
	json_t *in = in_usec == USEC_NEVER ? json_null()
					   : json_integer((json_int_t)(in_usec / USEC_PER_MSEC));

	(void)json_array_append_new(list, json_pack("{s:s,s:o}", "what", text, "in_ms", in));
}

static usec_t until(usec_t wall_usec)
{
	usec_t now = clock_wall_usec();

	return wall_usec > now ? wall_usec - now : 0;
}

/* The nth probe from now on: the schedule is a function of the target's id. */
static usec_t nth_probe(const struct target_group *g, const struct target *t, unsigned n)
{
	usec_t interval = g->conf->check.interval_usec, now = clock_monotonic_usec();
	usec_t next = schedule_next(schedule_phase(t->id, interval), interval, now);

	return next - now + (MAX(n, 1U) - 1) * interval;
}

static unsigned missing(unsigned threshold, unsigned have)
{
	return threshold > have ? threshold - have : 1;
}

static void next_of_checks(const struct target_group *g, const struct target *t, bool held,
			   json_t *list)
{
	const struct conf_health_check *c = &g->conf->check;
	const struct target_health *h = &t->health;
	unsigned bad = missing(c->unhealthy_threshold, h->failures);
	unsigned good = h->state == TARGET_INITIAL ? 1
						   : missing(c->healthy_threshold, h->successes);
	char text[TEXT_MAX];

	if (registry_lacks_authorities(g)) {
		add_next(list, USEC_NEVER,
			 "probed when the group's health-check-ca-file is good: it is an alarm");
		return;
	}
	if (held) {
		add_next(list, nth_probe(g, t, 1), "a good probe ends the wait");
	} else if (h->state == TARGET_HEALTHY || h->state == TARGET_INITIAL) {
		(void)snprintf(text, sizeof(text),
			       "unhealthy after %u more failed probe%s in a row", bad,
			       bad == 1 ? "" : "s");
		add_next(list, nth_probe(g, t, bad), text);
	}
	if (h->state != TARGET_HEALTHY) {
		(void)snprintf(text, sizeof(text), "healthy after %u more good probe%s in a row",
			       good, good == 1 ? "" : "s");
		add_next(list, nth_probe(g, t, good), text);
	}
}

static void next_of_hold(const struct manager *m, const struct target_group *g,
			 const struct record *r, json_t *list)
{
	const struct checks *c = m->checks;
	usec_t now = clock_monotonic_usec(), end = c->all.until_usec;
	size_t i = (size_t)(g - m->registry.groups);

	if (i < c->n_groups && c->groups[i].scope.phase == GUARD_SUSPECT)
		end = MAX(end, c->groups[i].scope.until_usec);
	if (r->hold == GUARD_HOLD_CORRELATED)
		add_next(list, end > now ? end - now : 0,
			 "unhealthy when the suspicion of ourselves ends: its verdict is held");
	else
		add_next(list, USEC_NEVER,
			 "unhealthy when capacity-loss-limit allows: its verdict is held");
}

static void next_of_state(const struct target_group *g, const struct target *t, bool held,
			  json_t *list)
{
	const struct target_health *h = &t->health;

	switch (h->state) {
	case TARGET_UNHEALTHY_DRAINING:
		add_next(list, until(h->unhealthy_deadline_usec), "its connections end");
		next_of_checks(g, t, held, list);
		break;
	case TARGET_INITIAL:
	case TARGET_HEALTHY:
	case TARGET_UNHEALTHY:
		next_of_checks(g, t, held, list);
		break;
	case TARGET_DRAINING:
		add_next(list, until(h->drain_deadline_usec),
			 "removed, or earlier when its last connection ends");
		break;
	case TARGET_UNUSED:
		add_next(list, USEC_NEVER,
			 h->reason == TARGET_REASON_NOT_IN_USE ? "a listener forwards to the group"
							       : "ipvsd register");
		break;
	default:
		break;
	}
}

json_t *inspect_next_to_json(const struct manager *m, const struct target_group *g,
			     const struct target *t)
{
	const struct record *r = records_find(&m->checks->records, t->id);
	bool held = r && r->hold != GUARD_ADMIT;
	json_t *list = json_array();

	if (!list)
		return NULL;
	if (held)
		next_of_hold(m, g, r, list);
	next_of_state(g, t, held, list);
	if (t->slow_start_usec)
		add_next(list, until(t->slow_start_usec + g->settings.slow_start_usec),
			 "full weight, at the end of slow start");
	if (t->drained)
		add_next(list, USEC_NEVER, "ipvsd undrain");
	if (g->conf->anomaly_mitigation && g->anomaly_due_usec && g->anomaly_due_usec != USEC_NEVER)
		add_next(list, until(g->anomaly_due_usec), "anomaly evaluation");
	return list;
}
