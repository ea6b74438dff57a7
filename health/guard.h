/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The health of the health checker, in three questions. Pure: counts and times are arguments.
 *
 * 1. Does a failure count? Not when we were late: the probe began late, its timeout ran out while the worker did not
 *    run, or the result lay about for long. (A refusal is a fact whoever was late; only a late begin doubts it.) Nor when
 *    this host's own addresses and routes were being moved: what we send then may be lost or come to nothing.
 *
 * 2. Is it us? When at least a given share of a scope's healthy targets (a group's, or all) fail at the same time, the
 *    fault is likelier ours than theirs. A target fails here from its first failed probe on, so that the suspicion is
 *    there before the first one has reached its threshold:
 *
 *      calm      share reached                    -> suspect    verdicts wait
 *      suspect   share no longer reached          -> calm       what still fails goes down
 *      suspect   for longer than the hold         -> gave way   everything goes down
 *      gave way  share no longer reached          -> calm
 *
 * 3. Is it too much? Within a minute at most a given percentage of a group's targets may go down, but always one.
 *
 * A verdict that waits is a target whose failures have reached the threshold and whose state is healthy nevertheless;
 * a good probe ends its wait, as it would have ended its failures.
 */

#include <stdbool.h>

#include "base/clock.h"
#include "health/outcome.h"

/* What is known of the worker that made a probe. Times are monotonic. */
struct guard_worker {
	usec_t beat_usec;			 /* the last heartbeat; 0 = none yet */
	usec_t stall_start_usec, stall_end_usec; /* the last time that it did not run */
};

#define GUARD_WORKER_INIT ((struct guard_worker){ 0 })

/* A heartbeat, as its sender timed it. period: how often it comes. */
void guard_worker_beat(struct guard_worker *w, usec_t beat_usec, usec_t period_usec);

struct guard_probe {
	enum probe_outcome outcome;
	usec_t due_usec, start_usec; /* monotonic */
	usec_t duration_usec, timeout_usec;
};

enum guard_doubt {
	GUARD_NO_DOUBT,
	GUARD_LATE,    /* it began late */
	GUARD_OVERRAN, /* its end was noticed late */
	GUARD_STALLED, /* the worker did not run meanwhile */
	GUARD_STALE,   /* we read it late */
	GUARD_OUTAGE,  /* our network was in the making meanwhile */
	_GUARD_DOUBT_MAX,
};

/* Results that were read later than this after their end are stale. */
#define GUARD_STALE_USEC (10 * USEC_PER_SEC)

/* Why a failure is not to count. late_usec: how late a probe may begin. */
enum guard_doubt guard_judge(const struct guard_worker *w, const struct guard_probe *p,
			     usec_t late_usec, usec_t period_usec, usec_t now_usec);

/* A time in which our own network did not carry what probes send. */
struct guard_outage {
	usec_t from_usec;  /* 0 = none yet */
	usec_t until_usec; /* USEC_NEVER while it lasts */
};

/* Likewise: did a failed probe run, if only for a part of its time, in an outage of ours? */
enum guard_doubt guard_judge_outage(const struct guard_outage *o, const struct guard_probe *p);

const char *guard_doubt_to_string(enum guard_doubt d); /* "began late", … */

/* Counts of a scope at this moment. */
struct guard_count {
	unsigned registered;   /* with a health check */
	unsigned healthy;      /* in that state, those whose verdict waits included */
	unsigned failing;      /* of the healthy: the last result was a failure */
	unsigned window_downs; /* unhealthy since less than the correlation window */
	unsigned minute_downs; /* unhealthy since less than a minute */
};

struct guard_limits {
	unsigned correlated_percent; /* 0 = off */
	usec_t hold_usec;
	unsigned loss_percent; /* a minute; 0 = off */
};

enum guard_phase {
	GUARD_CALM,
	GUARD_SUSPECT,
	GUARD_GAVE_WAY,
	_GUARD_PHASE_MAX,
};

struct guard_scope {
	enum guard_phase phase;
	usec_t until_usec; /* while suspect */
};

#define GUARD_SCOPE_INIT ((struct guard_scope){ GUARD_CALM, 0 })

/* To be asked before every verdict and while any waits. True when the phase changed. */
bool guard_scope_update(struct guard_scope *s, const struct guard_count *c,
			const struct guard_limits *limits, usec_t now_usec);

enum guard_hold {
	GUARD_ADMIT,
	GUARD_HOLD_CORRELATED,
	GUARD_HOLD_LOSS,
	_GUARD_HOLD_MAX,
};

/* May a healthy target of this group go down now? */
enum guard_hold guard_down(const struct guard_scope *all, const struct guard_scope *group,
			   const struct guard_count *count, const struct guard_limits *limits);

const char *guard_phase_to_string(enum guard_phase p); /* "calm", "suspect", "gave way" */
const char *
guard_hold_to_string(enum guard_hold h); /* "", "correlated failure", "capacity loss limit" */

/* An alarm rises at once and ends when its cause has been away for GUARD_ALARM_CALM_USEC. */
#define GUARD_ALARM_CALM_USEC (10 * USEC_PER_SEC)

struct guard_alarm {
	bool raised;
	usec_t bad_usec; /* when the cause was last there */
};

/* True when .raised changed. */
bool guard_alarm_update(struct guard_alarm *a, bool bad, usec_t now_usec);
