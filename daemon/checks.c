/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/checks-internal.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"

#define UP_DELAY_USEC (100 * USEC_PER_MSEC) /* ups are coalesced, downs are not */
#define TICK_USEC USEC_PER_SEC

static bool is_down(enum target_state s)
{
	return s == TARGET_UNHEALTHY || s == TARGET_UNHEALTHY_DRAINING;
}

static void remember(struct record *r, const struct target_health *h,
		     const struct probe_report *report, enum history_note note)
{
	const struct history_entry e = {
		.wall_msec = clock_wall_usec() / USEC_PER_MSEC,
		.outcome = report->outcome,
		.state = target_health_verdict(h),
		.note = note,
		.detail = report->detail,
		.duration_usec = report->duration_usec,
	};

	if (r)
		history_add(&r->history, &e);
}

/*
 * A target that would go from healthy to unhealthy has to pass the guard. One that drains is no capacity any more, but it
 * has connections to lose when the fault is ours.
 */
static enum guard_hold ask_guard(struct checks *c, const struct target_group *g, struct target *t,
				 const struct registry_result *result, usec_t now)
{
	struct target_thresholds thresholds = registry_thresholds(g);
	struct target_health before = t->health, after = t->health;
	enum guard_hold hold;

	if (target_health_verdict(&before) != TARGET_HEALTHY)
		return GUARD_ADMIT;
	if (result->at_once)
		thresholds.unhealthy = 1;
	(void)target_health_report(&after, &thresholds, &result->report,
				   manager_wall_usec(c->manager));
	if (!is_down(target_health_verdict(&after)))
		return GUARD_ADMIT;
	target_health_learn(&t->health, &after); /* the guard counts it as one that fails */
	hold = checks_ask_guard(c, g, now);
	t->health = before;
	return before.state == TARGET_DRAINING && hold == GUARD_HOLD_LOSS ? GUARD_ADMIT : hold;
}

static void report(struct checks *c, struct target_group *g, struct target *t,
		   const struct registry_result *result, usec_t now)
{
	enum target_state before = t->health.state;
	enum registry_effect effect = registry_report(g, t, result, manager_wall_usec(c->manager));

	if (before == TARGET_HEALTHY && is_down(t->health.state))
		checks_note_down(c, g, records_find(&c->records, t->id), now);
	if (effect != REGISTRY_NO_EFFECT)
		manager_apply_within(c->manager, effect == REGISTRY_EFFECT_NOW ? 0 : UP_DELAY_USEC);
}

/*
 * To the state machine. While a verdict waits the target keeps its failures, so that the next one asks again. Without
 * memory for a record the target is judged all the same, and nothing waits.
 */
static void judge(struct checks *c, struct target_group *g, struct target *t, struct record *r,
		  struct registry_result *result, usec_t now)
{
	enum guard_hold hold = r ? ask_guard(c, g, t, result, now) : GUARD_ADMIT;

	result->hold = hold != GUARD_ADMIT;
	report(c, g, t, result, now);
	if (!r)
		return;
	if (result->hold)
		checks_hold(c, r, hold, now);
	else
		checks_unhold(c, r);
	remember(r, &t->health, &result->report, result->hold ? HISTORY_HELD : HISTORY_COUNTED);
}

void checks_release(struct checks *c, struct target_group *g, struct target *t, struct record *r,
		    usec_t now_usec)
{
	const struct registry_result last = {
		.report = { t->health.outcome, t->health.detail, t->health.duration_usec },
		.weight_percent = -1,
		.again = true,
	};
	usec_t checked = t->health.checked_usec;

	checks_unhold(c, r);
	if (target_health_verdict(&t->health) != TARGET_HEALTHY ||
	    t->health.failures < g->conf->check.unhealthy_threshold)
		return;
	t->health.failures--; /* the last report is made once more, and is still one */
	report(c, g, t, &last, now_usec);
	t->health.checked_usec = checked;
}

/* A failure that was ours and not the target's. */
static bool is_doubtful(struct checks *c, unsigned worker, const struct target_group *g,
			const struct protocol_result *result, usec_t now)
{
	const struct guard_probe probe = {
		.outcome = (enum probe_outcome)result->outcome,
		.due_usec = result->due_usec,
		.start_usec = result->start_usec,
		.duration_usec = result->duration_usec,
		.timeout_usec = g->conf->check.timeout_usec,
	};
	const struct guard_outage outage = fastpath_outage(c->manager->fastpath);
	usec_t late = c->manager->conf->global.lateness_limit_usec;
	enum guard_doubt doubt = guard_judge_outage(&outage, &probe);

	if (doubt == GUARD_NO_DOUBT && late)
		doubt = guard_judge(&c->workers[worker], &probe, late, PROTOCOL_HEARTBEAT_USEC,
				    now);
	if (doubt == GUARD_NO_DOUBT)
		return false;
	c->n_doubted++;
	c->doubt = doubt;
	return true;
}

void checks_expect(const struct checks *c, uint64_t id)
{
	records_fetch_ahead(&c->records, id);
}

void checks_judge_result(struct checks *c, unsigned worker, const struct protocol_result *result,
			 usec_t now_usec)
{
	struct registry_result r = {
		.report = {
			.outcome = (enum probe_outcome)result->outcome,
			.detail = result->detail,
			.duration_usec = result->duration_usec,
		},
		.advice = (enum probe_advice)result->agent_state,
		.weight_percent = result->weight_percent,
	};
	struct target_group *g;
	struct record *record;
	struct target *t;
	usec_t late_usec;

	t = registry_find_id(&c->manager->registry, result->id, &g);
	if (!t || target_is_out(t))
		return;
	late_usec = result->start_usec > result->due_usec ? result->start_usec - result->due_usec
							  : 0;
	lateness_add(&c->lateness, late_usec, now_usec);
	lateness_add(&c->lateness_of[worker], late_usec, now_usec);
	record = records_get(&c->records, t->id, &t->health, now_usec);
	if (r.report.outcome == PROBE_INTERNAL_ERROR ||
	    is_doubtful(c, worker, g, result, now_usec)) {
		remember(record, &t->health, &r.report, HISTORY_NOT_COUNTED);
		return;
	}
	if (record)
		record->heard_usec = now_usec;
	/* A good check says little of a target whose connections got no answer. */
	if (record && r.report.outcome == PROBE_OK && is_down(target_health_verdict(&t->health)) &&
	    passive_rests(&record->passive, now_usec)) {
		remember(record, &t->health, &r.report, HISTORY_NOT_COUNTED);
		return;
	}
	judge(c, g, t, record, &r, now_usec);
}

void checks_take_heartbeat(struct checks *c, unsigned worker, const struct protocol_heartbeat *beat)
{
	guard_worker_beat(&c->workers[worker], beat->now_usec, PROTOCOL_HEARTBEAT_USEC);
	if (worker == WORKER_POOL_EXEC)
		checks_take_crowd(c, beat);
}

void checks_report_passive(struct checks *c, struct target_group *g, struct target *t,
			   usec_t now_usec)
{
	struct registry_result r = {
		.report.outcome = PROBE_PASSIVE,
		.weight_percent = -1,
		.at_once = true,
	};
	struct record *record = records_find(&c->records, t->id);

	judge(c, g, t, record, &r, now_usec);
	if (record && is_down(t->health.state))
		passive_mark(&record->passive, now_usec);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)usec;
	checks_tick(userdata, clock_monotonic_usec());
	(void)sd_event_source_set_time_relative(s, TICK_USEC);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

int checks_new(struct manager *m, struct checks **ret)
{
	struct checks *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->manager = m;
	r = sd_event_add_time_relative(m->event, &c->timer, CLOCK_MONOTONIC, TICK_USEC, 0, on_timer,
				       c);
	if (r < 0) {
		checks_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	sd_event_source_disable_unref(c->timer);
	records_deinit(&c->records);
	free(c->groups);
	free(c->waiting);
	free(c);
}

/* Suspicions stay with their groups. */
static int sync_groups(struct checks *c)
{
	const struct registry *registry = &c->manager->registry;
	struct checks_group *fresh = calloc(registry->n + 1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	for (size_t i = 0; i < registry->n; i++) {
		const char *name = registry->groups[i].name;
		const struct checks_group *old = NULL;

		/* Most stand where they stood. */
		if (i < c->n_groups && strcmp(c->groups[i].name, name) == 0)
			old = &c->groups[i];
		for (size_t k = 0; k < c->n_groups && !old; k++)
			if (strcmp(c->groups[k].name, name) == 0)
				old = &c->groups[k];
		if (old)
			fresh[i] = *old;
		memcpy(fresh[i].name, name, sizeof(fresh[i].name));
	}
	free(c->groups);
	c->groups = fresh;
	c->n_groups = registry->n;
	c->counted_usec = 0;
	return 0;
}

int checks_sync(struct checks *c, usec_t now_usec)
{
	const struct registry *registry = &c->manager->registry;
	uint32_t capacity = c->manager->conf->global.health_history;
	int r = sync_groups(c);

	if (r < 0)
		return r;
	if (capacity != c->records.history_capacity)
		r = records_set_capacity(&c->records, capacity);
	c->n_held = 0;
	for (size_t i = 0; i < registry->n; i++) {
		const struct target_group *g = &registry->groups[i];

		for (size_t j = 0; j < g->n; j++) {
			struct record *record;

			if (g->conf->check.protocol == CONF_CHECK_NONE || !g->conf->in_use)
				continue;
			record = records_get(&c->records, g->targets[j].id, &g->targets[j].health,
					     now_usec);
			if (!record) {
				r = -ENOMEM;
				continue;
			}
			record->seen = true;
			c->n_held += record->hold != GUARD_ADMIT;
		}
	}
	records_sweep(&c->records);
	return r;
}
