/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/target.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* The pair that a result acts on: the visible one, or while draining the one to resume. */
struct verdict {
	enum target_state state;
	enum target_reason reason;
};

static struct verdict verdict_initial(enum target_use use)
{
	switch (use) {
	case TARGET_USE_UNCHECKED:
		return (struct verdict){ TARGET_UNAVAILABLE, TARGET_REASON_HEALTH_CHECK_DISABLED };
	case TARGET_USE_NONE:
		return (struct verdict){ TARGET_UNUSED, TARGET_REASON_NOT_IN_USE };
	case TARGET_USE_CHECKED:
		break;
	}
	return (struct verdict){ TARGET_INITIAL, TARGET_REASON_REGISTRATION_IN_PROGRESS };
}

static bool state_is_checked(enum target_state s)
{
	switch (s) {
	case TARGET_INITIAL:
	case TARGET_HEALTHY:
	case TARGET_UNHEALTHY:
	case TARGET_UNHEALTHY_DRAINING:
		return true;
	default:
		return false;
	}
}

static struct verdict verdict_get(const struct target_health *t)
{
	if (t->state == TARGET_DRAINING)
		return (struct verdict){ t->resume_state, t->resume_reason };
	return (struct verdict){ t->state, t->reason };
}

/* True when what others see changed, in state or reason. */
static bool verdict_put(struct target_health *t, struct verdict v, usec_t now_wall_usec)
{
	if (t->state == TARGET_DRAINING) {
		t->resume_state = v.state;
		t->resume_reason = v.reason;
		return false;
	}
	if (t->state == v.state && t->reason == v.reason)
		return false;
	if (t->state != v.state)
		t->since_usec = now_wall_usec;
	t->state = v.state;
	t->reason = v.reason;
	return true;
}

static enum target_reason reason_from_outcome(enum probe_outcome o)
{
	if (probe_outcome_is_timeout(o))
		return TARGET_REASON_TIMEOUT;
	return o == PROBE_WRONG_STATUS ? TARGET_REASON_RESPONSE_CODE_MISMATCH
				       : TARGET_REASON_FAILED_HEALTH_CHECKS;
}

void target_health_init(struct target_health *t, enum target_use use, usec_t now_wall_usec)
{
	struct verdict v = verdict_initial(use);

	*t = (struct target_health){
		.state = v.state,
		.reason = v.reason,
		.since_usec = now_wall_usec,
	};
}

bool target_health_set_use(struct target_health *t, enum target_use use, usec_t now_wall_usec)
{
	struct verdict next = verdict_initial(use);
	struct verdict now = verdict_get(t);

	if (use == TARGET_USE_CHECKED ? state_is_checked(now.state) : now.state == next.state)
		return false;
	/* What an earlier period of checking found says nothing about the next. */
	t->successes = 0;
	t->failures = 0;
	t->checked_usec = 0;
	return verdict_put(t, next, now_wall_usec);
}

static struct verdict verdict_after_success(struct verdict v, unsigned successes,
					    const struct target_thresholds *thresholds)
{
	if (v.state == TARGET_INITIAL || successes >= MAX(thresholds->healthy, 1U))
		return (struct verdict){ TARGET_HEALTHY, TARGET_REASON_NONE };
	return v;
}

static struct verdict verdict_after_failure(struct verdict v, unsigned failures,
					    const struct target_thresholds *thresholds,
					    enum target_reason reason)
{
	if (v.state == TARGET_UNHEALTHY)
		return (struct verdict){ v.state, reason };
	if (v.state == TARGET_UNHEALTHY_DRAINING)
		return v;
	if (failures >= MAX(thresholds->unhealthy, 1U)) {
		/* A target that never was healthy has no connections to keep. */
		if (v.state == TARGET_HEALTHY && thresholds->unhealthy_draining_usec)
			return (struct verdict){ TARGET_UNHEALTHY_DRAINING,
						 TARGET_REASON_FAILED_HEALTH_CHECKS };
		return (struct verdict){ TARGET_UNHEALTHY, reason };
	}
	if (v.state == TARGET_INITIAL)
		return (struct verdict){ v.state, TARGET_REASON_INITIAL_HEALTH_CHECKING };
	return v;
}

static usec_t deadline_after(usec_t now_usec, usec_t delay_usec)
{
	return delay_usec > USEC_NEVER - now_usec ? USEC_NEVER : now_usec + delay_usec;
}

bool target_health_report(struct target_health *t, const struct target_thresholds *thresholds,
			  const struct probe_report *report, usec_t now_wall_usec)
{
	struct verdict v = verdict_get(t);

	if (report->outcome == PROBE_INTERNAL_ERROR || !state_is_checked(v.state))
		return false;
	t->checked_usec = now_wall_usec;
	t->outcome = report->outcome;
	t->detail = report->detail;
	t->duration_usec = report->duration_usec;
	if (report->outcome == PROBE_OK) {
		t->failures = 0;
		if (t->successes < UINT32_MAX)
			t->successes++;
		v = verdict_after_success(v, t->successes, thresholds);
	} else {
		enum target_reason reason = reason_from_outcome(report->outcome);

		t->successes = 0;
		if (t->failures < UINT32_MAX)
			t->failures++;
		if (reason == TARGET_REASON_RESPONSE_CODE_MISMATCH)
			t->reason_detail = report->detail;
		v = verdict_after_failure(v, t->failures, thresholds, reason);
	}
	if (v.state == TARGET_UNHEALTHY_DRAINING &&
	    target_health_verdict(t) != TARGET_UNHEALTHY_DRAINING)
		t->unhealthy_deadline_usec =
			deadline_after(now_wall_usec, thresholds->unhealthy_draining_usec);
	return verdict_put(t, v, now_wall_usec);
}

enum target_state target_health_verdict(const struct target_health *t)
{
	return verdict_get(t).state;
}

void target_health_learn(struct target_health *t, const struct target_health *after)
{
	t->successes = after->successes;
	t->failures = after->failures;
	t->checked_usec = after->checked_usec;
	t->outcome = after->outcome;
	t->detail = after->detail;
	t->duration_usec = after->duration_usec;
}

bool target_health_expire(struct target_health *t, usec_t now_wall_usec)
{
	struct verdict v = verdict_get(t);

	if (v.state != TARGET_UNHEALTHY_DRAINING || now_wall_usec < t->unhealthy_deadline_usec)
		return false;
	v.state = TARGET_UNHEALTHY;
	if (t->outcome != PROBE_OK)
		v.reason = reason_from_outcome(t->outcome);
	return verdict_put(t, v, now_wall_usec);
}

bool target_health_drain(struct target_health *t, usec_t delay_usec, usec_t now_wall_usec)
{
	if (t->state == TARGET_DRAINING)
		return false;
	t->resume_state = t->state;
	t->resume_reason = t->reason;
	t->state = TARGET_DRAINING;
	t->reason = TARGET_REASON_DEREGISTRATION_IN_PROGRESS;
	t->since_usec = now_wall_usec;
	t->drain_deadline_usec = deadline_after(now_wall_usec, delay_usec);
	return true;
}

bool target_health_undrain(struct target_health *t, usec_t now_wall_usec)
{
	if (t->state != TARGET_DRAINING)
		return false;
	t->state = t->resume_state;
	t->reason = t->resume_reason;
	t->since_usec = now_wall_usec;
	t->drain_deadline_usec = 0;
	return true;
}

bool target_health_drain_over(const struct target_health *t, uint64_t connections,
			      usec_t now_wall_usec)
{
	return t->state == TARGET_DRAINING &&
	       (connections == 0 || now_wall_usec >= t->drain_deadline_usec);
}

static const char *const state_names[_TARGET_STATE_MAX] = {
	[TARGET_INITIAL] = "initial",	      [TARGET_HEALTHY] = "healthy",
	[TARGET_UNHEALTHY] = "unhealthy",     [TARGET_UNHEALTHY_DRAINING] = "unhealthy.draining",
	[TARGET_UNUSED] = "unused",	      [TARGET_DRAINING] = "draining",
	[TARGET_UNAVAILABLE] = "unavailable",
};

/* Codes and descriptions: "Health check reason codes" in the user guide of Application Load Balancers, 2023. */
static const struct {
	const char *code, *description;
} reasons[_TARGET_REASON_MAX] = {
	[TARGET_REASON_NONE] = { "", "" },
	[TARGET_REASON_REGISTRATION_IN_PROGRESS] = { "Elb.RegistrationInProgress",
						     "Target registration is in progress" },
	[TARGET_REASON_INITIAL_HEALTH_CHECKING] = { "Elb.InitialHealthChecking",
						    "Initial health checks in progress" },
	[TARGET_REASON_RESPONSE_CODE_MISMATCH] = { "Target.ResponseCodeMismatch",
						   "Health checks failed with these codes: "
						   "[code]" },
	[TARGET_REASON_TIMEOUT] = { "Target.Timeout", "Request timed out" },
	[TARGET_REASON_FAILED_HEALTH_CHECKS] = { "Target.FailedHealthChecks",
						 "Health checks failed" },
	[TARGET_REASON_INTERNAL_ERROR] = { "Elb.InternalError",
					   "Health checks failed due to an internal error" },
	[TARGET_REASON_NOT_REGISTERED] = { "Target.NotRegistered",
					   "Target is not registered to the target group" },
	[TARGET_REASON_NOT_IN_USE] = { "Target.NotInUse",
				       "Target group is not configured to receive traffic from the "
				       "load balancer" },
	[TARGET_REASON_HEALTH_CHECK_DISABLED] = { "Target.HealthCheckDisabled",
						  "Health checks are disabled" },
	[TARGET_REASON_DEREGISTRATION_IN_PROGRESS] = { "Target.DeregistrationInProgress",
						       "Target deregistration is in progress" },
};

const char *target_state_to_string(enum target_state s)
{
	assert(s < _TARGET_STATE_MAX);
	return state_names[s];
}

const char *target_reason_to_string(enum target_reason r)
{
	assert(r < _TARGET_REASON_MAX);
	return reasons[r].code;
}

const char *target_reason_describe(enum target_reason r)
{
	assert(r < _TARGET_REASON_MAX);
	return reasons[r].description;
}

const char *target_health_describe(const struct target_health *t,
				   char buf[static TARGET_DESCRIPTION_MAX])
{
	if (t->reason == TARGET_REASON_RESPONSE_CODE_MISMATCH)
		(void)snprintf(buf, TARGET_DESCRIPTION_MAX,
			       "Health checks failed with these codes: [%d]", t->reason_detail);
	else
		(void)snprintf(buf, TARGET_DESCRIPTION_MAX, "%s",
			       target_reason_describe(t->reason));
	return buf;
}

int target_state_from_string(const char *s, enum target_state *ret)
{
	for (unsigned i = 0; i < _TARGET_STATE_MAX; i++) {
		if (strcmp(s, state_names[i]) == 0) {
			*ret = (enum target_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

int target_reason_from_string(const char *s, enum target_reason *ret)
{
	for (unsigned i = 0; i < _TARGET_REASON_MAX; i++) {
		if (strcmp(s, reasons[i].code) == 0) {
			*ret = (enum target_reason)i;
			return 0;
		}
	}
	return -EINVAL;
}
