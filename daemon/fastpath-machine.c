/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-machine.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define STABLE_USEC (60 * USEC_PER_SEC) /* active for so long: what failed before is forgotten */
#define LATE_USEC (4 * FASTPATH_TICK_USEC)

const char *fastpath_state_to_string(enum fastpath_state s)
{
	static const char *const names[_FASTPATH_STATE_MAX] = {
		[FASTPATH_OFF] = "off",
		[FASTPATH_STARTING] = "starting",
		[FASTPATH_ATTACHING] = "attaching",
		[FASTPATH_ACTIVE] = "active",
		[FASTPATH_ADOPTING] = "adopting",
		[FASTPATH_STOPPING] = "stopping",
		[FASTPATH_RESTORING] = "restoring",
		[FASTPATH_WAITING] = "waiting",
	};

	assert(s < _FASTPATH_STATE_MAX);
	return names[s];
}

static void enter(struct fastpath_machine *m, enum fastpath_state state, usec_t deadline,
		  usec_t now)
{
	m->state = state;
	m->awaited = FASTPATH_NOTHING;
	m->deadline_usec = deadline;
	m->since_usec = now;
}

static enum fastpath_action ask(struct fastpath_machine *m, enum fastpath_action action)
{
	m->awaited = action;
	return action;
}

void fastpath_machine_init(struct fastpath_machine *m, bool enabled, usec_t now)
{
	*m = (struct fastpath_machine){
		.enabled = enabled,
		.backoff_usec = FASTPATH_BACKOFF_MIN_USEC,
		.tick_usec = now,
	};
	enter(m, FASTPATH_OFF, USEC_NEVER, now);
}

static void note_failure(struct fastpath_machine *m, const char *reason)
{
	m->failed = true;
	m->unexplained = false;
	m->failures++;
	(void)snprintf(m->reason, sizeof(m->reason), "%s", reason ? reason : "unknown reason");
}

/* Devices, addresses and routes are about to be moved, or the process that has them may have ended by then. */
static void begin_outage(struct fastpath_machine *m, usec_t from)
{
	if (m->outage.until_usec != USEC_NEVER)
		m->outage = (struct guard_outage){ from, USEC_NEVER };
}

static void end_outage(struct fastpath_machine *m, usec_t now)
{
	if (m->outage.until_usec == USEC_NEVER)
		m->outage.until_usec = now + FASTPATH_GRACE_USEC;
}

static enum fastpath_action start(struct fastpath_machine *m, usec_t now)
{
	enter(m, FASTPATH_STARTING, now + FASTPATH_START_USEC, now);
	m->failed = false;
	return ask(m, FASTPATH_CHECK);
}

/* There is no process any more and nothing of ours is left. */
static enum fastpath_action settle(struct fastpath_machine *m, usec_t now)
{
	end_outage(m, now);
	if (m->failed && m->enabled && m->wanted) {
		enter(m, FASTPATH_WAITING, now + m->backoff_usec, now);
		m->backoff_usec = MIN(m->backoff_usec * 2, FASTPATH_BACKOFF_MAX_USEC);
		return FASTPATH_NOTHING;
	}
	if (!m->failed && m->wanted)
		return start(m, now);
	m->wanted = false;
	enter(m, FASTPATH_OFF, USEC_NEVER, now);
	return FASTPATH_NOTHING;
}

static enum fastpath_action restore(struct fastpath_machine *m, usec_t now)
{
	enter(m, FASTPATH_RESTORING, USEC_NEVER, now);
	return ask(m, FASTPATH_RESTORE);
}

static enum fastpath_action stop(struct fastpath_machine *m, enum fastpath_action how, usec_t now)
{
	if (m->state == FASTPATH_ACTIVE && now - m->since_usec >= STABLE_USEC) {
		m->backoff_usec = FASTPATH_BACKOFF_MIN_USEC;
		m->failures = m->failed ? 1 : 0;
	}
	if (m->state == FASTPATH_ACTIVE || m->state == FASTPATH_ADOPTING)
		begin_outage(m, m->alive_usec);
	enter(m, FASTPATH_STOPPING, now + FASTPATH_TERMINATE_USEC, now);
	return how == FASTPATH_KILL ? ask(m, FASTPATH_KILL) : how;
}

static enum fastpath_action fail(struct fastpath_machine *m, enum fastpath_action how,
				 const char *reason, usec_t now)
{
	note_failure(m, reason);
	return stop(m, how, now);
}

static void presume_alive(struct fastpath_machine *m, usec_t now)
{
	m->beat_usec = m->turn_usec = m->alive_usec = now;
}

static void activate(struct fastpath_machine *m, usec_t now)
{
	end_outage(m, now);
	enter(m, FASTPATH_ACTIVE, USEC_NEVER, now);
	presume_alive(m, now);
	m->reason[0] = '\0';
}

static enum fastpath_action on_done(struct fastpath_machine *m, usec_t now)
{
	enum fastpath_action awaited = m->awaited;

	m->awaited = FASTPATH_NOTHING;
	switch (awaited) {
	case FASTPATH_CHECK:
		return ask(m, FASTPATH_START);
	case FASTPATH_PROGRAM:
		if (m->state == FASTPATH_STARTING) {
			begin_outage(m, now);
			return ask(m, FASTPATH_SEIZE);
		}
		activate(m, now);
		return FASTPATH_NOTHING;
	case FASTPATH_SEIZE:
		enter(m, FASTPATH_ATTACHING, now + FASTPATH_ATTACH_USEC, now);
		return ask(m, FASTPATH_ATTACH);
	case FASTPATH_ATTACH:
		return ask(m, FASTPATH_MOVE);
	case FASTPATH_MOVE:
		activate(m, now);
		return FASTPATH_NOTHING;
	case FASTPATH_KILL:
		return restore(m, now);
	case FASTPATH_RESTORE:
		return settle(m, now);
	default: /* START: the first beat is awaited; what was asked in a state that is over */
		return FASTPATH_NOTHING;
	}
}

static enum fastpath_action on_failed(struct fastpath_machine *m, const char *reason, usec_t now)
{
	enum fastpath_action awaited = m->awaited;

	m->awaited = FASTPATH_NOTHING;
	switch (awaited) {
	case FASTPATH_CHECK:
	case FASTPATH_START:
		note_failure(m, reason);
		return settle(m, now);
	case FASTPATH_PROGRAM:
	case FASTPATH_SEIZE:
	case FASTPATH_ATTACH:
	case FASTPATH_MOVE:
		return fail(m, FASTPATH_TERMINATE, reason, now);
	case FASTPATH_RESTORE: /* the kernel plane is not whole: until it is, nothing else counts */
		(void)snprintf(m->reason, sizeof(m->reason), "%s", reason ? reason : "");
		m->deadline_usec = now + FASTPATH_RESTORE_RETRY_USEC;
		return FASTPATH_NOTHING;
	default:
		return FASTPATH_NOTHING;
	}
}

static bool has_process(const struct fastpath_machine *m)
{
	return m->state == FASTPATH_ATTACHING || m->state == FASTPATH_ACTIVE ||
	       m->state == FASTPATH_ADOPTING ||
	       (m->state == FASTPATH_STARTING && m->awaited != FASTPATH_CHECK);
}

/*
 * By order. While a process ends by itself nobody forwards; one that is killed stops in the same moment, and the kernel
 * goes on.
 */
static enum fastpath_action stop_healthy(struct fastpath_machine *m, usec_t now)
{
	return stop(m, m->gentle ? FASTPATH_TERMINATE : FASTPATH_KILL, now);
}

static enum fastpath_action on_switch_off(struct fastpath_machine *m, usec_t now)
{
	m->wanted = false;
	if (m->state == FASTPATH_WAITING) {
		enter(m, FASTPATH_OFF, USEC_NEVER, now);
		return FASTPATH_NOTHING;
	}
	m->failed = m->failed && m->state != FASTPATH_ACTIVE;
	return has_process(m) ? stop_healthy(m, now) : FASTPATH_NOTHING;
}

static enum fastpath_action on_switch_on(struct fastpath_machine *m, usec_t now)
{
	m->wanted = true;
	if (m->state == FASTPATH_OFF || m->state == FASTPATH_WAITING)
		return start(m, now);
	if (m->state == FASTPATH_STOPPING || m->state == FASTPATH_RESTORING)
		m->failed = false; /* the operator has asked anew: no back-off */
	return FASTPATH_NOTHING;
}

/* A change of the configuration is an order; one that stays as it is leaves the operator's in force. */
static enum fastpath_action on_configured(struct fastpath_machine *m,
					  const struct fastpath_event *e, usec_t now)
{
	bool was_enabled = m->enabled;

	m->enabled = e->enabled;
	if (e->enabled && !was_enabled)
		return on_switch_on(m, now);
	if (!e->enabled && was_enabled)
		return on_switch_off(m, now);
	if (!e->changed || !m->wanted)
		return FASTPATH_NOTHING;
	if (m->state == FASTPATH_WAITING)
		return start(m, now);
	m->failed = false;
	return has_process(m) ? stop_healthy(m, now) : FASTPATH_NOTHING;
}

static enum fastpath_action on_exited(struct fastpath_machine *m, const char *reason, usec_t now)
{
	if (m->state == FASTPATH_STOPPING)
		return restore(m, now);
	if (m->state == FASTPATH_RESTORING && m->unexplained)
		(void)snprintf(m->reason, sizeof(m->reason), "%s", reason);
	m->unexplained = false;
	if (m->state == FASTPATH_RESTORING && m->awaited == FASTPATH_NOTHING)
		return ask(m, FASTPATH_RESTORE);
	if (!has_process(m))
		return FASTPATH_NOTHING;
	(void)fail(m, FASTPATH_KILL, reason, now);
	return restore(m, now);
}

static enum fastpath_action on_closed(struct fastpath_machine *m, usec_t now)
{
	if (!has_process(m))
		return FASTPATH_NOTHING;
	(void)fail(m, FASTPATH_KILL, "the fast path is ending", now);
	m->unexplained = true;
	return restore(m, now);
}

/* Did it stand still and come back? Where it is we who came late, nothing is known. */
static bool has_hung(const struct fastpath_machine *m, const struct fastpath_event *e, usec_t now)
{
	if (e->late_usec > FASTPATH_HUNG_USEC)
		return true;
	return now - e->asked_usec > FASTPATH_HUNG_USEC && now - m->tick_usec <= LATE_USEC &&
	       m->late_usec < e->asked_usec;
}

static void note_hang(struct fastpath_machine *m, usec_t now)
{
	if (m->outage.until_usec < m->alive_usec)
		m->outage.from_usec = m->alive_usec;
	m->outage.from_usec = MIN(m->outage.from_usec, m->alive_usec);
	m->outage.until_usec = MAX(m->outage.until_usec, now);
}

/* The answer may have lain about while this process did not run: what it proves is as old as the question. */
static void take_signs_of_life(struct fastpath_machine *m, const struct fastpath_event *e,
			       usec_t now)
{
	/* Workers sleep for milliseconds. */
	usec_t still = e->late_usec < FASTPATH_TICK_USEC ? 0 : MIN(e->late_usec, e->asked_usec);

	if (m->state == FASTPATH_ACTIVE && e->asked_usec > m->alive_usec && has_hung(m, e, now))
		note_hang(m, now);
	m->beat_usec = now;
	m->turn_usec = MAX(m->turn_usec, now - MIN(still, now));
	m->alive_usec = MAX(m->alive_usec, e->asked_usec - still);
}

static enum fastpath_action on_beat(struct fastpath_machine *m, const struct fastpath_event *e,
				    usec_t now)
{
	bool attached = e->attached;

	take_signs_of_life(m, e, now);
	if (m->awaited != FASTPATH_NOTHING)
		return FASTPATH_NOTHING;
	if (m->state == FASTPATH_STARTING)
		return ask(m, FASTPATH_PROGRAM);
	if (m->state == FASTPATH_ADOPTING && attached)
		return ask(m, FASTPATH_PROGRAM);
	if (m->state == FASTPATH_ADOPTING || (m->state == FASTPATH_ACTIVE && !attached))
		return fail(m, FASTPATH_TERMINATE, "the fast path has lost its ports", now);
	return FASTPATH_NOTHING;
}

static enum fastpath_action on_time(struct fastpath_machine *m, usec_t now)
{
	usec_t gap = now - m->tick_usec;

	m->tick_usec = now;
	/* This process was late, so its late questions are no fault of the other's. */
	if (gap > LATE_USEC) {
		m->late_usec = now;
		m->beat_usec = MIN(now, m->beat_usec + gap - FASTPATH_TICK_USEC);
		m->turn_usec = MIN(now, m->turn_usec + gap - FASTPATH_TICK_USEC);
	}
	if (m->state == FASTPATH_ACTIVE && now >= m->beat_usec + FASTPATH_SILENCE_USEC)
		return fail(m, FASTPATH_KILL, "the fast path does not answer", now);
	if (m->state == FASTPATH_ACTIVE && now >= m->turn_usec + FASTPATH_STUCK_USEC)
		return fail(m, FASTPATH_KILL, "a worker of the fast path stands still", now);
	if (now < m->deadline_usec)
		return FASTPATH_NOTHING;
	m->deadline_usec = USEC_NEVER;
	switch (m->state) {
	case FASTPATH_STARTING:
		return fail(m, FASTPATH_KILL, "the fast path was not ready in time", now);
	case FASTPATH_ATTACHING:
		return fail(m, FASTPATH_KILL, "the fast path did not take its ports in time", now);
	case FASTPATH_ADOPTING:
		return fail(m, FASTPATH_KILL, "the fast path does not answer", now);
	case FASTPATH_STOPPING:
		return stop(m, FASTPATH_KILL, now);
	case FASTPATH_RESTORING:
		return ask(m, FASTPATH_RESTORE);
	case FASTPATH_WAITING:
		return start(m, now);
	default:
		return FASTPATH_NOTHING;
	}
}

static enum fastpath_action on_adopt(struct fastpath_machine *m, usec_t now)
{
	if (m->state != FASTPATH_OFF)
		return FASTPATH_NOTHING;
	m->wanted = true;
	presume_alive(m, now);
	enter(m, FASTPATH_ADOPTING, now + FASTPATH_SILENCE_USEC, now);
	return FASTPATH_NOTHING;
}

enum fastpath_action fastpath_machine_handle(struct fastpath_machine *m,
					     const struct fastpath_event *e, usec_t now)
{
	switch (e->kind) {
	case FASTPATH_SWITCH_ON:
		return on_switch_on(m, now);
	case FASTPATH_SWITCH_OFF:
		return on_switch_off(m, now);
	case FASTPATH_CONFIGURED:
		return on_configured(m, e, now);
	case FASTPATH_ADOPT:
		return on_adopt(m, now);
	case FASTPATH_DONE:
		return on_done(m, now);
	case FASTPATH_FAILED:
		return on_failed(m, e->reason, now);
	case FASTPATH_AGAIN:
		m->awaited = FASTPATH_NOTHING;
		m->deadline_usec = now + FASTPATH_AGAIN_USEC;
		return FASTPATH_NOTHING;
	case FASTPATH_BEAT:
		return on_beat(m, e, now);
	case FASTPATH_CLOSED:
		return on_closed(m, now);
	case FASTPATH_EXITED:
		return on_exited(m, e->reason, now);
	case FASTPATH_TROUBLE:
		return has_process(m) ? fail(m, FASTPATH_KILL, e->reason, now) : FASTPATH_NOTHING;
	case FASTPATH_TIME:
		return on_time(m, now);
	case _FASTPATH_EVENT_MAX:
		break;
	}
	return FASTPATH_NOTHING;
}

usec_t fastpath_machine_due(const struct fastpath_machine *m)
{
	if (m->state == FASTPATH_OFF)
		return USEC_NEVER;
	return MIN(m->deadline_usec, m->tick_usec + FASTPATH_TICK_USEC);
}

bool fastpath_machine_is_settled(const struct fastpath_machine *m)
{
	return m->state == FASTPATH_OFF || m->state == FASTPATH_ACTIVE ||
	       m->state == FASTPATH_WAITING;
}

bool fastpath_machine_is_programmed(const struct fastpath_machine *m)
{
	return m->state == FASTPATH_ATTACHING || m->state == FASTPATH_ACTIVE;
}

bool fastpath_machine_vouches(const struct fastpath_machine *m, usec_t at_usec)
{
	return (m->state != FASTPATH_ACTIVE && m->state != FASTPATH_ADOPTING) ||
	       m->alive_usec >= at_usec;
}
