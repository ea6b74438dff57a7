/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Verdicts that wait, and the watch over the checks themselves. Counts are taken by looking through the registry, at most
 * ten times a second, and are kept up by what happens in between: targets come, go and drain in too many places for
 * counters that are always true.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/checks-internal.h"
#include "daemon/manager.h"
#include "daemon/reach.h"
#include "daemon/reconcile.h"

#define COUNTS_USEC (100 * USEC_PER_MSEC)
#define AGE_LIMIT_MIN_USEC (10 * USEC_PER_SEC)
#define MINUTE_USEC (60 * USEC_PER_SEC)
#define DOUBT_QUIET_USEC (10 * USEC_PER_SEC)

enum {
	REACH_TARGETS = 8, /* failing targets whose way is looked at */
};

static bool is_down(enum target_state s)
{
	return s == TARGET_UNHEALTHY || s == TARGET_UNHEALTHY_DRAINING;
}

static void count_target(const struct checks *c, const struct target *t, usec_t now,
			 struct guard_count *n)
{
	usec_t window = c->manager->conf->global.correlated_failure_window_usec;
	const struct record *r;

	if (!target_is_registered(t))
		return;
	n->registered++;
	if (t->health.state == TARGET_HEALTHY) {
		n->healthy++;
		n->failing += t->health.failures > 0;
	}
	if (!is_down(t->health.state))
		return;
	r = records_find(&c->records, t->id);
	if (!r || !r->down_usec)
		return;
	n->window_downs += now - r->down_usec < window;
	n->minute_downs += now - r->down_usec < MINUTE_USEC;
}

static void count(struct checks *c, usec_t now)
{
	const struct registry *registry = &c->manager->registry;

	if (c->counted_usec && now - c->counted_usec < COUNTS_USEC)
		return;
	c->counted_usec = now;
	c->all_count = (struct guard_count){ 0 };
	for (size_t i = 0; i < registry->n && i < c->n_groups; i++) {
		const struct target_group *g = &registry->groups[i];
		struct guard_count n = { 0 };

		for (size_t j = 0; j < g->n && g->conf->check.protocol != CONF_CHECK_NONE; j++)
			count_target(c, &g->targets[j], now, &n);
		c->groups[i].count = n;
		c->all_count.registered += n.registered;
		c->all_count.healthy += n.healthy;
		c->all_count.failing += n.failing;
		c->all_count.window_downs += n.window_downs;
		c->all_count.minute_downs += n.minute_downs;
	}
}

static struct guard_limits limits_of(const struct checks *c, const struct target_group *g)
{
	const struct conf_global *global = &c->manager->conf->global;

	return (struct guard_limits){
		.correlated_percent = g ? g->conf->correlated_failure_percent
					: global->correlated_failure_percent,
		.hold_usec = global->correlated_failure_hold_usec,
		.loss_percent = g ? g->conf->capacity_loss_percent : 0,
	};
}

/* Whether the fault is here: the first failing target whose way is broken names it. */
static void look_at_ourselves(const struct checks *c, const struct target_group *only,
			      char text[static REACH_TEXT_MAX])
{
	const struct registry *registry = &c->manager->registry;
	unsigned looked = 0;

	(void)snprintf(text, REACH_TEXT_MAX, "routes, interfaces and gateways here look well");
	for (size_t i = 0; i < registry->n; i++) {
		const struct target_group *g = &registry->groups[i];

		for (size_t j = 0; j < g->n && (!only || only == g); j++) {
			const struct target *t = &g->targets[j];

			if (!t->health.failures || !target_is_registered(t))
				continue;
			if (reach_is_ours(&t->addr, text) || ++looked == REACH_TARGETS)
				return;
		}
	}
}

static void say_phase(struct checks *c, const struct guard_scope *s, const struct guard_count *n,
		      const struct target_group *g)
{
	const char *object = g ? g->name : "";
	unsigned failing = n->failing + n->window_downs, of = n->healthy + n->window_downs;
	char fault[REACH_TEXT_MAX];

	switch (s->phase) {
	case GUARD_SUSPECT:
		look_at_ourselves(c, g, fault);
		manager_event(c->manager, LOG_ERR, "alarm", object,
			      "correlated failure: %u of %u healthy targets fail at the same time: "
			      "suspecting ourselves, verdicts are held for %g s (%s)",
			      failing, of, (double)limits_of(c, g).hold_usec / (double)USEC_PER_SEC,
			      fault);
		break;
	case GUARD_GAVE_WAY:
		look_at_ourselves(c, g, fault);
		manager_event(c->manager, LOG_ERR, "alarm", object,
			      "correlated failure: gives way: %u targets fail still, their "
			      "verdicts are in effect now (%s)",
			      failing, fault);
		break;
	default:
		manager_event(c->manager, LOG_NOTICE, "alarm", object,
			      "correlated failure: over, %u of %u targets fail", failing, of);
	}
}

static void update_scopes(struct checks *c, size_t group, usec_t now)
{
	const struct target_group *g = &c->manager->registry.groups[group];
	struct checks_group *own = &c->groups[group];
	struct guard_limits limits = limits_of(c, g), all = limits_of(c, NULL);

	count(c, now);
	if (guard_scope_update(&c->all, &c->all_count, &all, now))
		say_phase(c, &c->all, &c->all_count, NULL);
	if (guard_scope_update(&own->scope, &own->count, &limits, now))
		say_phase(c, &own->scope, &own->count, g);
}

enum guard_hold checks_ask_guard(struct checks *c, const struct target_group *g, usec_t now_usec)
{
	size_t i = (size_t)(g - c->manager->registry.groups);
	struct guard_limits limits = limits_of(c, g);

	/* Before the first checks_sync(), or without any limit, there is nothing to ask. */
	if (i >= c->n_groups || (!limits.correlated_percent && !limits.loss_percent &&
				 !c->manager->conf->global.correlated_failure_percent))
		return GUARD_ADMIT;
	update_scopes(c, i, now_usec);
	return guard_down(&c->all, &c->groups[i].scope, &c->groups[i].count, &limits);
}

static void count_down(struct guard_count *n)
{
	n->healthy -= n->healthy > 0;
	n->failing -= n->failing > 0;
	n->window_downs++;
	n->minute_downs++;
}

void checks_note_down(struct checks *c, const struct target_group *g, struct record *r,
		      usec_t now_usec)
{
	size_t i = (size_t)(g - c->manager->registry.groups);

	if (r)
		r->down_usec = now_usec;
	if (i >= c->n_groups)
		return;
	count_down(&c->groups[i].count);
	count_down(&c->all_count);
}

void checks_hold(struct checks *c, struct record *r, enum guard_hold hold, usec_t now_usec)
{
	if (r->hold == GUARD_ADMIT) {
		r->hold_usec = now_usec;
		c->n_held++;
	}
	r->hold = hold;
}

void checks_unhold(struct checks *c, struct record *r)
{
	if (r->hold == GUARD_ADMIT)
		return;
	r->hold = GUARD_ADMIT;
	c->n_held -= c->n_held > 0;
}

struct waiting {
	struct target *target;
	struct record *record;
};

static int waiting_cmp(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;
	usec_t since_x = x->record->hold_usec, since_y = y->record->hold_usec;

	return (since_x > since_y) - (since_x < since_y);
}

static unsigned count_waiting(const struct checks *c, const struct target_group *g)
{
	unsigned n = 0;

	for (size_t j = 0; j < g->n; j++) {
		const struct record *r = records_find(&c->records, g->targets[j].id);

		n += r && r->hold == GUARD_HOLD_LOSS;
	}
	return n;
}

static void say_waiting(struct checks *c, struct checks_group *own, const struct target_group *g)
{
	own->waiting = count_waiting(c, g);
	if (own->waiting && !own->said_waiting)
		manager_event(c->manager, LOG_ERR, "alarm", g->name,
			      "capacity loss limit: %u of %u targets went down within a minute, "
			      "%u more wait (capacity-loss-limit = %u)",
			      own->count.minute_downs, own->count.registered, own->waiting,
			      g->conf->capacity_loss_percent);
	else if (!own->waiting && own->said_waiting)
		manager_event(c->manager, LOG_NOTICE, "alarm", g->name,
			      "capacity loss limit: no target waits any more");
	own->said_waiting = own->waiting > 0;
}

/* Those that may go now, the one that waits longest first. Without memory they wait for another second. */
static void release_held(struct checks *c, size_t group, usec_t now)
{
	struct target_group *g = &c->manager->registry.groups[group];
	_cleanup_free_ struct waiting *held = calloc(g->n + 1, sizeof(*held));
	struct guard_limits limits = limits_of(c, g);
	size_t n = 0;

	for (size_t j = 0; held && j < g->n; j++) {
		struct record *r = records_find(&c->records, g->targets[j].id);

		if (r && r->hold != GUARD_ADMIT)
			held[n++] = (struct waiting){ &g->targets[j], r };
	}
	if (n)
		qsort(held, n, sizeof(*held), waiting_cmp);
	for (size_t i = 0; i < n; i++) {
		if (guard_down(&c->all, &c->groups[group].scope, &c->groups[group].count,
			       &limits) != GUARD_ADMIT)
			break;
		checks_release(c, g, held[i].target, held[i].record, now);
	}
}

static void tend_group(struct checks *c, size_t group, usec_t now)
{
	struct target_group *g = &c->manager->registry.groups[group];
	struct checks_group *own = &c->groups[group];

	if (!c->n_held && own->scope.phase == GUARD_CALM && c->all.phase == GUARD_CALM &&
	    !own->said_waiting)
		return;
	update_scopes(c, group, now);
	if (c->n_held)
		release_held(c, group, now);
	say_waiting(c, own, g);
}

usec_t checks_age_limit(const struct conf *conf, const struct conf_health_check *check)
{
	if (conf->global.verdict_age_limit_usec)
		return conf->global.verdict_age_limit_usec;
	return MAX(3 * check->interval_usec + check->timeout_usec, AGE_LIMIT_MIN_USEC);
}

usec_t checks_age(const struct checks *c, const struct target *t, usec_t now_usec)
{
	const struct record *r = records_find(&c->records, t->id);
	usec_t from = r ? MAX(r->heard_usec, r->begun_usec) : 0;

	return from && now_usec > from ? now_usec - from : 0;
}

/* False when none is over its limit; the oldest is found in any case. */
static bool find_oldest(struct checks *c, usec_t now)
{
	const struct registry *registry = &c->manager->registry;
	bool over = false;

	c->oldest_usec = 0;
	c->oldest_id = 0;
	for (size_t i = 0; i < registry->n; i++) {
		const struct target_group *g = &registry->groups[i];
		usec_t limit = checks_age_limit(c->manager->conf, &g->conf->check);

		if (g->conf->check.protocol == CONF_CHECK_NONE || !g->conf->in_use)
			continue;
		for (size_t j = 0; j < g->n; j++) {
			usec_t age = target_is_registered(&g->targets[j])
					     ? checks_age(c, &g->targets[j], now)
					     : 0;

			over |= age > limit;
			if (age <= c->oldest_usec)
				continue;
			c->oldest_usec = age;
			c->oldest_id = g->targets[j].id;
		}
	}
	return over;
}

static const char *name_of(const struct checks *c, uint64_t id, char *buf, size_t size)
{
	char addr[ADDR_PORT_STR_MAX];
	struct target_group *g;
	const struct target *t = registry_find_id(&c->manager->registry, id, &g);

	if (t)
		(void)snprintf(buf, size, "%s/%s", g->name,
			       addr_port_format(&t->addr, t->port, addr));
	else
		*buf = '\0';
	return buf;
}

static void watch_age(struct checks *c, usec_t now)
{
	char name[CONF_NAME_MAX + ADDR_PORT_STR_MAX + 2];
	bool over = find_oldest(c, now);

	if (!guard_alarm_update(&c->age_alarm, over, now))
		return;
	if (c->age_alarm.raised)
		manager_event(c->manager, LOG_ERR, "alarm",
			      name_of(c, c->oldest_id, name, sizeof(name)),
			      "verdicts are old: no result that counts for %.1f s",
			      (double)c->oldest_usec / (double)USEC_PER_SEC);
	else
		manager_event(c->manager, LOG_NOTICE, "alarm", "", "verdicts are fresh again");
}

static void say_doubt(struct checks *c, usec_t now)
{
	if (c->n_doubted == c->n_doubted_said ||
	    (c->doubt_said_usec && now - c->doubt_said_usec < DOUBT_QUIET_USEC))
		return;
	manager_event(c->manager, LOG_WARNING, "worker", "",
		      "failed probes that do not count, since it was us: %" PRIu64 " (%s)",
		      c->n_doubted - c->n_doubted_said, guard_doubt_to_string(c->doubt));
	c->n_doubted_said = c->n_doubted;
	c->doubt_said_usec = now;
}

/* At an interval of its own; the others are looked at with each reconcile. */
static void tend_traffic(struct checks *c, usec_t now)
{
	usec_t interval = c->manager->conf->global.passive_interval_usec;

	if (!interval || now - c->traffic_usec < interval)
		return;
	c->traffic_usec = now;
	if (reconcile_dump(c->manager) == 0)
		checks_watch_traffic(c, now);
}

void checks_tick(struct checks *c, usec_t now_usec)
{
	tend_traffic(c, now_usec);
	for (size_t i = 0; i < c->manager->registry.n && i < c->n_groups; i++)
		tend_group(c, i, now_usec);
	checks_watch_lateness(c, now_usec);
	checks_watch_crowd(c, now_usec);
	watch_age(c, now_usec);
	say_doubt(c, now_usec);
}
