/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/guard.h"

#include <assert.h>
#include <stdint.h>

#include "base/cleanup.h"

enum {
	CORRELATED_MIN =
		2, /* one target that fails is no correlation, even where it is the only one */
};

#define OVERRUN_MIN_USEC (100 * USEC_PER_MSEC)

/* Two beats and a half: a busy machine may well delay one. */
static bool is_gap(usec_t from_usec, usec_t to_usec, usec_t period_usec)
{
	return to_usec > from_usec && to_usec - from_usec > period_usec * 5 / 2;
}

void guard_worker_beat(struct guard_worker *w, usec_t beat_usec, usec_t period_usec)
{
	if (w->beat_usec && is_gap(w->beat_usec, beat_usec, period_usec)) {
		w->stall_start_usec = w->beat_usec + period_usec;
		w->stall_end_usec = beat_usec;
	}
	w->beat_usec = beat_usec;
}

/* Did the worker stand still between start and end? The beat that would tell may come after the result. */
static bool stalled(const struct guard_worker *w, usec_t start_usec, usec_t end_usec,
		    usec_t period_usec)
{
	if (!w->beat_usec)
		return false;
	return is_gap(w->beat_usec, end_usec, period_usec) ||
	       (start_usec < w->stall_end_usec && end_usec > w->stall_start_usec);
}

enum guard_doubt guard_judge(const struct guard_worker *w, const struct guard_probe *p,
			     usec_t late_usec, usec_t period_usec, usec_t now_usec)
{
	usec_t end_usec = p->start_usec + p->duration_usec;

	if (p->outcome == PROBE_OK)
		return GUARD_NO_DOUBT;
	if (p->start_usec > p->due_usec && p->start_usec - p->due_usec > late_usec)
		return GUARD_LATE;
	if (now_usec > end_usec && now_usec - end_usec > GUARD_STALE_USEC)
		return GUARD_STALE;
	if (!probe_outcome_is_timeout(p->outcome))
		return GUARD_NO_DOUBT;
	if (p->duration_usec > p->timeout_usec + MAX(OVERRUN_MIN_USEC, p->timeout_usec / 10))
		return GUARD_OVERRAN;
	return stalled(w, p->start_usec, end_usec, period_usec) ? GUARD_STALLED : GUARD_NO_DOUBT;
}

enum guard_doubt guard_judge_outage(const struct guard_outage *o, const struct guard_probe *p)
{
	bool meets = o->from_usec && p->start_usec < o->until_usec &&
		     p->start_usec + p->duration_usec >= o->from_usec;

	return p->outcome != PROBE_OK && meets ? GUARD_OUTAGE : GUARD_NO_DOUBT;
}

static bool share_reached(const struct guard_count *c, const struct guard_limits *limits)
{
	uint64_t failing = (uint64_t)c->failing + c->window_downs;
	uint64_t healthy = (uint64_t)c->healthy + c->window_downs;

	return limits->correlated_percent && failing >= CORRELATED_MIN &&
	       failing * 100 >= healthy * limits->correlated_percent;
}

bool guard_scope_update(struct guard_scope *s, const struct guard_count *c,
			const struct guard_limits *limits, usec_t now_usec)
{
	enum guard_phase before = s->phase;

	if (!share_reached(c, limits)) {
		s->phase = GUARD_CALM;
	} else if (s->phase == GUARD_CALM) {
		s->phase = GUARD_SUSPECT;
		s->until_usec = now_usec + limits->hold_usec;
	} else if (s->phase == GUARD_SUSPECT && now_usec >= s->until_usec) {
		s->phase = GUARD_GAVE_WAY;
	}
	return s->phase != before;
}

enum guard_hold guard_down(const struct guard_scope *all, const struct guard_scope *group,
			   const struct guard_count *count, const struct guard_limits *limits)
{
	uint64_t allowed = (uint64_t)count->registered * limits->loss_percent / 100;

	if (all->phase == GUARD_SUSPECT || group->phase == GUARD_SUSPECT)
		return GUARD_HOLD_CORRELATED;
	if (limits->loss_percent && count->minute_downs >= MAX(allowed, (uint64_t)1))
		return GUARD_HOLD_LOSS;
	return GUARD_ADMIT;
}

bool guard_alarm_update(struct guard_alarm *a, bool bad, usec_t now_usec)
{
	bool before = a->raised;

	if (bad) {
		a->raised = true;
		a->bad_usec = now_usec;
	} else if (a->raised && now_usec - a->bad_usec >= GUARD_ALARM_CALM_USEC) {
		a->raised = false;
	}
	return a->raised != before;
}

const char *guard_doubt_to_string(enum guard_doubt d)
{
	static const char *const names[_GUARD_DOUBT_MAX] = {
		[GUARD_NO_DOUBT] = "",
		[GUARD_LATE] = "the probe began late",
		[GUARD_OVERRAN] = "its end was noticed late",
		[GUARD_STALLED] = "the health worker did not run meanwhile",
		[GUARD_STALE] = "the result was read late",
		[GUARD_OUTAGE] = "the traffic went from plane to plane",
	};

	assert(d < _GUARD_DOUBT_MAX);
	return names[d];
}

const char *guard_phase_to_string(enum guard_phase p)
{
	static const char *const names[_GUARD_PHASE_MAX] = {
		[GUARD_CALM] = "calm",
		[GUARD_SUSPECT] = "suspect",
		[GUARD_GAVE_WAY] = "gave way",
	};

	assert(p < _GUARD_PHASE_MAX);
	return names[p];
}

const char *guard_hold_to_string(enum guard_hold h)
{
	static const char *const names[_GUARD_HOLD_MAX] = {
		[GUARD_ADMIT] = "",
		[GUARD_HOLD_CORRELATED] = "correlated failure",
		[GUARD_HOLD_LOSS] = "capacity loss limit",
	};

	assert(h < _GUARD_HOLD_MAX);
	return names[h];
}
