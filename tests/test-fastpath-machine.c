/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The fast path's decisions: scripts of events with what must be done. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/machine-events.h"

struct step {
	usec_t after; /* since the step before */
	struct fastpath_event event;
	enum fastpath_action action;
	enum fastpath_state state; /* afterwards */
};

static const struct step to_active[] = {
	{ 0, ON, FASTPATH_CHECK, FASTPATH_STARTING },
	{ 0, DONE, FASTPATH_START, FASTPATH_STARTING },
	{ 0, DONE, FASTPATH_NOTHING, FASTPATH_STARTING },
	{ 50000, TIME, FASTPATH_NOTHING, FASTPATH_STARTING },
	{ 1000, EMPTY_BEAT, FASTPATH_PROGRAM, FASTPATH_STARTING },
	{ 0, DONE, FASTPATH_SEIZE, FASTPATH_STARTING },
	{ 0, DONE, FASTPATH_ATTACH, FASTPATH_ATTACHING },
	{ 1000, EMPTY_BEAT, FASTPATH_NOTHING, FASTPATH_ATTACHING },
	{ 1000, DONE, FASTPATH_MOVE, FASTPATH_ATTACHING },
	{ 0, DONE, FASTPATH_NOTHING, FASTPATH_ACTIVE },
};

static usec_t run(struct fastpath_machine *m, const struct step *steps, size_t n, usec_t now)
{
	for (size_t i = 0; i < n; i++) {
		enum fastpath_action action;

		now += steps[i].after;
		action = fastpath_machine_handle(m, &steps[i].event, now);
		if (action != steps[i].action || m->state != steps[i].state)
			fail_msg("step %zu: action %d, state %s; expected %d, %s", i, action,
				 fastpath_state_to_string(m->state), steps[i].action,
				 fastpath_state_to_string(steps[i].state));
	}
	return now;
}

#define RUN(m, steps, now) run(m, steps, ARRAY_SIZE(steps), now)

static void test_on_and_off(void **state)
{
	static const struct step off[] = {
		{ 1000, OFF, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		{ 1000, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, AGAIN, FASTPATH_NOTHING, FASTPATH_RESTORING },
		{ 10000, TIME, FASTPATH_NOTHING, FASTPATH_RESTORING },
		{ 10000, TIME, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF },
	};
	static const struct step quickly[] = {
		{ 1000, OFF, FASTPATH_KILL, FASTPATH_STOPPING },
		{ 0, DONE, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, AGAIN, FASTPATH_NOTHING, FASTPATH_RESTORING },
		{ 1000, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF },
	};
	struct fastpath_machine m;
	usec_t now;

	(void)state;
	fastpath_machine_init(&m, false, 1000);
	m.gentle = true;
	assert_true(fastpath_machine_is_settled(&m));
	assert_int_equal(fastpath_machine_due(&m), USEC_NEVER);
	now = RUN(&m, to_active, 1000);
	assert_true(fastpath_machine_is_settled(&m));
	assert_true(fastpath_machine_is_programmed(&m));
	now = RUN(&m, off, now);
	assert_string_equal(m.reason, "");
	assert_false(m.wanted);
	m.gentle = false;
	now = RUN(&m, to_active, now);
	now = RUN(&m, quickly, now);
	assert_string_equal(m.reason, "");
	(void)RUN(&m, to_active, now);
}

/* Every way in which it can fail on its way to active leads back, and nothing is tried again unless it is enabled. */
static void test_failures_on_the_way(void **state)
{
	static const struct {
		size_t n; /* steps of to_active before */
		struct step steps[5];
		size_t n_steps;
	} cases[] = {
		{ 1, { { 0, FAILED, FASTPATH_NOTHING, FASTPATH_OFF } }, 1 },
		{ 2, { { 0, FAILED, FASTPATH_NOTHING, FASTPATH_OFF } }, 1 },
		{ 4,
		  { { 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  2 },
		{ 4,
		  { { FASTPATH_START_USEC, TIME, FASTPATH_KILL, FASTPATH_STOPPING },
		    { 0, DONE, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, AGAIN, FASTPATH_NOTHING, FASTPATH_RESTORING },
		    { 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  5 },
		{ 5,
		  { { 0, FAILED, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		    { 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  3 },
		{ 6,
		  { { 0, FAILED, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		    { FASTPATH_TERMINATE_USEC, TIME, FASTPATH_KILL, FASTPATH_STOPPING },
		    { 0, DONE, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  4 },
		{ 7,
		  { { FASTPATH_ATTACH_USEC, TIME, FASTPATH_KILL, FASTPATH_STOPPING },
		    { 0, DONE, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  3 },
		{ 9,
		  { { 0, FAILED, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		    { 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  3 },
		{ 10,
		  { { 0, EMPTY_BEAT, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		    { 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  3 },
		{ 10,
		  { { 0, TROUBLE, FASTPATH_KILL, FASTPATH_STOPPING },
		    { 0, DONE, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  3 },
		{ 10,
		  { { 0, CLOSED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, AGAIN, FASTPATH_NOTHING, FASTPATH_RESTORING },
		    { 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		    { 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF } },
		  4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fastpath_machine m;
		usec_t now;

		fastpath_machine_init(&m, false, 0);
		now = run(&m, to_active, cases[i].n, 0);
		now = run(&m, cases[i].steps, cases[i].n_steps, now);
		assert_true(*m.reason);
		if (cases[i].steps[0].event.kind == FASTPATH_CLOSED)
			assert_string_equal(m.reason, "it ended");
		assert_int_equal(m.failures, 1);
		assert_int_equal(fastpath_machine_handle(&m, &TIME, now + 100 * USEC_PER_SEC),
				 FASTPATH_NOTHING);
	}
}

static void test_back_off(void **state)
{
	static const struct step failure[] = {
		{ 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_NOTHING, FASTPATH_WAITING },
	};
	static const unsigned seconds[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	struct fastpath_machine m;
	usec_t now = 0;

	(void)state;
	fastpath_machine_init(&m, true, 0);
	now = RUN(&m, to_active, now);
	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		const usec_t wait = seconds[i] * USEC_PER_SEC;

		now = RUN(&m, failure, now);
		assert_int_equal(fastpath_machine_handle(&m, &TIME, now + wait - 1),
				 FASTPATH_NOTHING);
		now += wait;
		assert_int_equal(fastpath_machine_handle(&m, &TIME, now), FASTPATH_CHECK);
		now = run(&m, to_active + 1, ARRAY_SIZE(to_active) - 1, now);
	}
	/* What ran for long has the right to a quick second try. */
	for (int i = 0; i < 1201; i++) {
		now += FASTPATH_TICK_USEC;
		assert_int_equal(fastpath_machine_handle(&m, &BEAT, now), FASTPATH_NOTHING);
		assert_int_equal(fastpath_machine_handle(&m, &TIME, now), FASTPATH_NOTHING);
	}
	now = RUN(&m, failure, now);
	assert_int_equal(m.deadline_usec, now + USEC_PER_SEC);
	/* An order does not wait. */
	(void)RUN(&m, to_active, now);
}

/* A process that does not answer is killed in less than a second, and no sooner when this one was late itself. */
static void test_silence(void **state)
{
	struct fastpath_machine m;
	usec_t now, last;

	(void)state;
	fastpath_machine_init(&m, true, 0);
	now = last = RUN(&m, to_active, 0);
	(void)fastpath_machine_handle(&m, &TIME, now);
	while (fastpath_machine_handle(&m, &TIME, now) == FASTPATH_NOTHING)
		now += FASTPATH_TICK_USEC;
	assert_in_range(now - last, 400000, 500000);
	assert_int_equal(m.state, FASTPATH_STOPPING);
	assert_true(m.failed);

	fastpath_machine_init(&m, true, 0);
	now = RUN(&m, to_active, 0);
	(void)fastpath_machine_handle(&m, &TIME, now);
	now += 10 * USEC_PER_SEC;
	assert_int_equal(fastpath_machine_handle(&m, &TIME, now), FASTPATH_NOTHING);
	now += FASTPATH_TICK_USEC;
	assert_int_equal(fastpath_machine_handle(&m, &BEAT, now), FASTPATH_NOTHING);
	assert_int_equal(fastpath_machine_handle(&m, &TIME, now), FASTPATH_NOTHING);
}

static void test_configuration(void **state)
{
	static const struct step steps[] = {
		{ 0, DISABLE, FASTPATH_NOTHING, FASTPATH_ACTIVE }, /* by order, as before */
		{ 0, ENABLE, FASTPATH_NOTHING, FASTPATH_ACTIVE },
		{ 0, CHANGE, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		{ 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_CHECK, FASTPATH_STARTING },
		{ 0, DONE, FASTPATH_START, FASTPATH_STARTING },
		{ 0, DONE, FASTPATH_NOTHING, FASTPATH_STARTING },
		{ 0, DISABLE, FASTPATH_TERMINATE, FASTPATH_STOPPING },
		{ 0, ENABLE, FASTPATH_NOTHING, FASTPATH_STOPPING },
		{ 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_CHECK, FASTPATH_STARTING },
		{ 0, FAILED, FASTPATH_NOTHING, FASTPATH_WAITING },
		{ 0, ENABLE, FASTPATH_NOTHING, FASTPATH_WAITING },
		{ 0, CHANGE, FASTPATH_CHECK, FASTPATH_STARTING },
		{ 0, FAILED, FASTPATH_NOTHING, FASTPATH_WAITING },
		{ 0, OFF, FASTPATH_NOTHING, FASTPATH_OFF },
		{ 0, ENABLE, FASTPATH_NOTHING, FASTPATH_OFF }, /* the order stays in force */
	};
	struct fastpath_machine m;

	(void)state;
	fastpath_machine_init(&m, false, 0);
	m.gentle = true;
	(void)RUN(&m, steps, RUN(&m, to_active, 0));
}

static void test_what_a_daemon_left(void **state)
{
	static const struct step adopt[] = {
		{ 0, ADOPT, FASTPATH_NOTHING, FASTPATH_ADOPTING },
		{ 0, BEAT, FASTPATH_PROGRAM, FASTPATH_ADOPTING },
		{ 0, DONE, FASTPATH_NOTHING, FASTPATH_ACTIVE },
	};
	static const struct step hung[] = {
		{ 0, ADOPT, FASTPATH_NOTHING, FASTPATH_ADOPTING },
		{ FASTPATH_SILENCE_USEC, TIME, FASTPATH_KILL, FASTPATH_STOPPING },
		{ 0, DONE, FASTPATH_RESTORE, FASTPATH_RESTORING },
	};
	/* What cannot be put back is tried again, and nothing else is begun before. */
	static const struct step late[] = {
		{ 0, FAILED, FASTPATH_NOTHING, FASTPATH_RESTORING },
		{ FASTPATH_RESTORE_RETRY_USEC - 1, TIME, FASTPATH_NOTHING, FASTPATH_RESTORING },
		{ 0, ON, FASTPATH_NOTHING, FASTPATH_RESTORING },
		{ 1, TIME, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_CHECK, FASTPATH_STARTING },
	};
	struct fastpath_machine m;

	(void)state;
	fastpath_machine_init(&m, false, 0);
	(void)RUN(&m, adopt, 0);
	fastpath_machine_init(&m, false, 0);
	(void)RUN(&m, late, RUN(&m, hung, 0));
}

static usec_t beat_every(struct fastpath_machine *m, usec_t now, usec_t until, usec_t worker_at)
{
	for (; now < until; now += FASTPATH_TICK_USEC) {
		struct fastpath_event e = { .kind = FASTPATH_BEAT,
					    .attached = true,
					    .asked_usec = now - 1000,
					    .late_usec = worker_at ? now - worker_at : 2000 };

		if (fastpath_machine_handle(m, &TIME, now) != FASTPATH_NOTHING)
			break;
		assert_int_equal(fastpath_machine_handle(m, &e, now), FASTPATH_NOTHING);
	}
	return now;
}

/* The process answers, but one of its workers does not come round its loop. */
static void test_stuck_worker(void **state)
{
	const usec_t start = 10 * USEC_PER_SEC;
	struct fastpath_machine m;
	usec_t now, stuck;

	(void)state;
	fastpath_machine_init(&m, false, start);
	now = RUN(&m, to_active, start);
	now = beat_every(&m, now, now + 2 * USEC_PER_SEC, 0);
	assert_true(fastpath_machine_vouches(&m, now - 60000));
	assert_false(fastpath_machine_vouches(&m, now));
	stuck = now;
	/* It comes back: what it lost meanwhile does not count, and nothing is done. */
	now = beat_every(&m, now, now + 500000, stuck);
	assert_false(fastpath_machine_vouches(&m, stuck + 1));
	now = beat_every(&m, now, now + 500000, 0);
	assert_true(fastpath_machine_vouches(&m, stuck + 1));
	assert_in_range(m.outage.from_usec, stuck - 60000, stuck);
	assert_in_range(m.outage.until_usec, stuck + 400000, stuck + 500000);
	/* It does not. */
	stuck = now;
	now = beat_every(&m, now, now + 5 * USEC_PER_SEC, stuck);
	assert_in_range(now - stuck, FASTPATH_STUCK_USEC, FASTPATH_STUCK_USEC + 60000);
	assert_int_equal(m.state, FASTPATH_STOPPING);
	assert_string_equal(m.reason, "a worker of the fast path stands still");
	assert_in_range(m.outage.from_usec, stuck - 60000, stuck);
	assert_int_equal(m.outage.until_usec, USEC_NEVER);

	/* This process stood still as well: that is the machine. */
	fastpath_machine_init(&m, false, start);
	now = RUN(&m, to_active, start);
	now = beat_every(&m, now, now + USEC_PER_SEC, 0);
	stuck = now;
	now += 3 * USEC_PER_SEC;
	now = beat_every(&m, now, now + 1, stuck);
	now = beat_every(&m, now, now + USEC_PER_SEC, 0);
	assert_int_equal(m.state, FASTPATH_ACTIVE);
}

/* An answer that came late is no sign of life at the time that it came. */
static void test_hang_that_passes(void **state)
{
	const usec_t start = 10 * USEC_PER_SEC;
	struct fastpath_event e = { .kind = FASTPATH_BEAT, .attached = true };
	struct fastpath_machine m;
	usec_t now, asked;

	(void)state;
	fastpath_machine_init(&m, false, start);
	now = RUN(&m, to_active, start);
	now = beat_every(&m, now, now + 2 * USEC_PER_SEC, 0);
	e.asked_usec = asked = now;
	for (; now < asked + 350000; now += FASTPATH_TICK_USEC)
		assert_int_equal(fastpath_machine_handle(&m, &TIME, now), FASTPATH_NOTHING);
	(void)fastpath_machine_handle(&m, &e, now);
	assert_in_range(m.outage.from_usec, asked - 60000, asked);
	assert_int_equal(m.outage.until_usec, now);
	assert_false(fastpath_machine_vouches(&m, asked + 1));

	/* It was we who read it late: that says nothing of the other, whichever of the two comes first. */
	for (int timer_first = 0; timer_first < 2; timer_first++) {
		const struct guard_outage before = m.outage;

		now = beat_every(&m, now, now + 2 * USEC_PER_SEC, 0);
		e.asked_usec = now;
		now += 5 * USEC_PER_SEC;
		if (timer_first)
			(void)fastpath_machine_handle(&m, &TIME, now);
		(void)fastpath_machine_handle(&m, &e, now);
		if (!timer_first)
			(void)fastpath_machine_handle(&m, &TIME, now);
		assert_int_equal(m.state, FASTPATH_ACTIVE);
		assert_int_equal(m.outage.until_usec, before.until_usec);
		assert_false(fastpath_machine_vouches(&m, now));
	}
}

/*
 * Probes are in doubt from the last sign of life, or the first device that is taken, until shortly after everything is in
 * its place; not for a process that never had anything.
 */
static void test_outage(void **state)
{
	static const struct step killed[] = {
		{ 70000, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
	};
	static const struct step back[] = { { 500000, DONE, FASTPATH_NOTHING, FASTPATH_OFF } };
	static const struct step in_vain[] = {
		{ 0, EXITED, FASTPATH_RESTORE, FASTPATH_RESTORING },
		{ 0, DONE, FASTPATH_NOTHING, FASTPATH_OFF },
	};
	const usec_t start = 1000000;
	struct fastpath_machine m;
	usec_t now;

	(void)state;
	fastpath_machine_init(&m, false, start);
	now = RUN(&m, in_vain, run(&m, to_active, 5, start));
	assert_int_equal(m.outage.from_usec, 0);
	now = run(&m, to_active, 6, now);
	assert_int_equal(m.outage.from_usec, now);
	assert_int_equal(m.outage.until_usec, USEC_NEVER);
	now = run(&m, to_active + 6, ARRAY_SIZE(to_active) - 6, now);
	assert_int_equal(m.outage.from_usec, now - 2000);
	assert_int_equal(m.outage.until_usec, now + FASTPATH_GRACE_USEC);
	now += 100000;
	(void)fastpath_machine_handle(
		&m, &E(.kind = FASTPATH_BEAT, .attached = true, .asked_usec = now - 5000), now);
	now = RUN(&m, killed, now);
	assert_int_equal(m.outage.from_usec, now - 75000);
	assert_int_equal(m.outage.until_usec, USEC_NEVER);
	now = RUN(&m, back, now);
	assert_int_equal(m.outage.from_usec, now - 575000);
	assert_int_equal(m.outage.until_usec, now + FASTPATH_GRACE_USEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_and_off),    cmocka_unit_test(test_failures_on_the_way),
		cmocka_unit_test(test_back_off),      cmocka_unit_test(test_silence),
		cmocka_unit_test(test_configuration), cmocka_unit_test(test_what_a_daemon_left),
		cmocka_unit_test(test_stuck_worker),  cmocka_unit_test(test_hang_that_passes),
		cmocka_unit_test(test_outage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
