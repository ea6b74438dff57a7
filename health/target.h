/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The life of one registered target, with ELBv2's states and reasons (elbv2.md §1.2). Pure: probe results and times
 * are arguments; the caller reads .state and .reason after each call and acts on the difference.
 *
 * Truth table (results while registered; thresholds strictly consecutive, a result of the other kind resets):
 *
 *   initial    ok                            -> healthy   (one good check suffices)
 *   initial    unhealthy_threshold failures  -> unhealthy
 *   healthy    unhealthy_threshold failures  -> unhealthy, or unhealthy.draining where the group has an interval for it
 *   unhealthy, unhealthy.draining  healthy_threshold successes -> healthy
 *   unhealthy.draining  its interval is over -> unhealthy (target_health_expire())
 *   draining   any                           -> draining  (until finished or re-registered)
 *   unused, unavailable  any                 -> no change (a late answer to a check that is over)
 *
 * PROBE_INTERNAL_ERROR is not a result: it changes nothing. Before its first result an initial target's reason is
 * Elb.RegistrationInProgress, then Elb.InitialHealthChecking. Results that come in while a target drains go on
 * judging it: its verdict, and its counters, are current when it is registered again. unhealthy.draining has the one
 * reason that AWS gives it, Target.FailedHealthChecks.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "health/outcome.h"

enum target_state {
	TARGET_INITIAL,
	TARGET_HEALTHY,
	TARGET_UNHEALTHY,
	TARGET_UNHEALTHY_DRAINING,
	TARGET_UNUSED,
	TARGET_DRAINING,
	TARGET_UNAVAILABLE, /* health check is off */
	_TARGET_STATE_MAX,
};

enum target_reason {
	TARGET_REASON_NONE,
	TARGET_REASON_REGISTRATION_IN_PROGRESS,
	TARGET_REASON_INITIAL_HEALTH_CHECKING,
	TARGET_REASON_RESPONSE_CODE_MISMATCH,
	TARGET_REASON_TIMEOUT,
	TARGET_REASON_FAILED_HEALTH_CHECKS,
	TARGET_REASON_INTERNAL_ERROR,
	TARGET_REASON_NOT_REGISTERED,
	TARGET_REASON_NOT_IN_USE,
	TARGET_REASON_HEALTH_CHECK_DISABLED,
	TARGET_REASON_DEREGISTRATION_IN_PROGRESS,
	_TARGET_REASON_MAX,
};

struct target_thresholds {
	unsigned healthy, unhealthy;
	usec_t unhealthy_draining_usec; /* how long a target that fails keeps its connections; 0 = off */
};

struct target_health {
	enum target_state state;
	enum target_reason reason;
	unsigned successes, failures; /* consecutive, of the last results */
	usec_t since_usec;	      /* wall clock of the last change of state */
	usec_t checked_usec;	      /* wall clock of the last result; 0 = none yet */
	enum probe_outcome outcome;   /* of the last result */
	int32_t detail;		      /* status code or errno, as the outcome says */
	uint32_t duration_usec;	      /* of the last probe */
	usec_t drain_deadline_usec;   /* wall clock; while draining */
	/* While draining: what registration returns to. */
	enum target_state resume_state;
	enum target_reason resume_reason;
	int32_t reason_detail;		/* the status code behind Target.ResponseCodeMismatch */
	usec_t unhealthy_deadline_usec; /* wall clock; end of unhealthy.draining */
};

enum {
	TARGET_DESCRIPTION_MAX = 96,
};

struct probe_report {
	enum probe_outcome outcome;
	int32_t detail;
	uint32_t duration_usec;
};

/* How a target is to be probed at all. */
enum target_use {
	TARGET_USE_CHECKED,   /* in a group that a listener uses, with a health check */
	TARGET_USE_UNCHECKED, /* health-check-protocol = none: counts as healthy */
	TARGET_USE_NONE,      /* no listener uses the group */
};

void target_health_init(struct target_health *t, enum target_use use, usec_t now_wall_usec);

/* The group came into use or went out of it, or its check was switched on or off. True when the state changed. */
bool target_health_set_use(struct target_health *t, enum target_use use, usec_t now_wall_usec);

/* True when the state or the reason changed. Thresholds of 0 count as 1. */
bool target_health_report(struct target_health *t, const struct target_thresholds *thresholds,
			  const struct probe_report *report, usec_t now_wall_usec);

/* Takes the result over that led from *t to *after, but not what follows from it: state and reason stay. */
void target_health_learn(struct target_health *t, const struct target_health *after);

/* Does what time does: unhealthy.draining ends. True when the state changed. */
bool target_health_expire(struct target_health *t, usec_t now_wall_usec);

/* What the checks say of it, also while it drains. */
enum target_state target_health_verdict(const struct target_health *t);

/*
 * Deregistration; the caller removes the target when the drain is over. True when it began: a second call moves
 * no deadline. Undrain is true when the target was draining.
 */
bool target_health_drain(struct target_health *t, usec_t delay_usec, usec_t now_wall_usec);
bool target_health_undrain(struct target_health *t, usec_t now_wall_usec);

/* May the drain end? At the deadline, or as soon as the target has no connection. */
bool target_health_drain_over(const struct target_health *t, uint64_t connections,
			      usec_t now_wall_usec);

/* Counts as healthy for routing: healthy, or not health-checked. */
static inline bool target_state_is_routable(enum target_state s)
{
	return s == TARGET_HEALTHY || s == TARGET_UNAVAILABLE;
}

const char *target_state_to_string(enum target_state s);   /* "healthy", "unhealthy.draining" */
const char *target_reason_to_string(enum target_reason r); /* "Target.Timeout"; "" for none */
const char *target_reason_describe(enum target_reason r);  /* AWS's description, "" for none */

/* AWS's description of the present reason, with the status code in its place. Returns buf. */
const char *target_health_describe(const struct target_health *t,
				   char buf[static TARGET_DESCRIPTION_MAX]);

/* -EINVAL for an unknown name. */
int target_state_from_string(const char *s, enum target_state *ret);
int target_reason_from_string(const char *s, enum target_reason *ret);
