/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The fast path's decisions: scripts of events with what must be done, and random runs against a model of the process
 * and of what was moved, which is asked after every step whether anything could be lost.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/fastpath-machine.h"

#define E(...) ((struct fastpath_event){ __VA_ARGS__ })
#define DONE E(.kind = FASTPATH_DONE)
#define FAILED E(.kind = FASTPATH_FAILED, .reason = "it failed")
#define AGAIN E(.kind = FASTPATH_AGAIN)
#define ON E(.kind = FASTPATH_SWITCH_ON)
#define OFF E(.kind = FASTPATH_SWITCH_OFF)
#define BEAT E(.kind = FASTPATH_BEAT, .attached = true)
#define EMPTY_BEAT E(.kind = FASTPATH_BEAT)
#define CLOSED E(.kind = FASTPATH_CLOSED)
#define EXITED E(.kind = FASTPATH_EXITED, .reason = "it ended")
#define TROUBLE E(.kind = FASTPATH_TROUBLE, .reason = "it is in trouble")
#define TIME E(.kind = FASTPATH_TIME)
#define ADOPT E(.kind = FASTPATH_ADOPT)
#define ENABLE E(.kind = FASTPATH_CONFIGURED, .enabled = true)
#define DISABLE E(.kind = FASTPATH_CONFIGURED)
#define CHANGE E(.kind = FASTPATH_CONFIGURED, .enabled = true, .changed = true)

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

/*
 * Probes are in doubt from the last sign of life, or the first device that is taken, until shortly after everything is in
 * its place; not for a process that never had anything.
 */
static void test_outage(void **state)
{
	static const struct step killed[] = {
		{ 100000, BEAT, FASTPATH_NOTHING, FASTPATH_ACTIVE },
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
	now = RUN(&m, killed, now);
	assert_int_equal(m.outage.from_usec, now - 70000);
	assert_int_equal(m.outage.until_usec, USEC_NEVER);
	now = RUN(&m, back, now);
	assert_int_equal(m.outage.from_usec, now - 570000);
	assert_int_equal(m.outage.until_usec, now + FASTPATH_GRACE_USEC);
}

/* What the actions do, as far as the decisions depend on it. */
struct model {
	struct fastpath_machine m;
	unsigned seed;
	usec_t now;
	bool alive, hung, attached, moved;
	bool stubborn;	/* does not end when it is told to */
	usec_t exit_at; /* USEC_NEVER = it runs on */
	usec_t fault_at; /* since when it has the traffic and does not forward; USEC_NEVER = it does */
	bool attach_pending;
	unsigned n_active;
};

static bool chance(struct model *x, unsigned percent)
{
	return (unsigned)rand_r(&x->seed) % 100 < percent;
}

static struct fastpath_event perform(struct model *x, enum fastpath_action action)
{
	switch (action) {
	case FASTPATH_CHECK:
		assert_false(x->alive);
		assert_false(x->moved);
		return chance(x, 90) ? DONE : FAILED;
	case FASTPATH_START:
		assert_false(x->alive);
		if (chance(x, 5))
			return FAILED;
		x->alive = true;
		x->hung = chance(x, 5);
		x->stubborn = chance(x, 10);
		x->attached = false;
		x->exit_at = USEC_NEVER;
		return DONE;
	case FASTPATH_PROGRAM:
		return chance(x, 95) ? DONE : FAILED;
	case FASTPATH_SEIZE:
		x->moved = true; /* in part, when it fails */
		return chance(x, 95) ? DONE : FAILED;
	case FASTPATH_MOVE:
		assert_true(x->attached);
		return chance(x, 95) ? DONE : FAILED;
	case FASTPATH_KILL:
		x->exit_at = MIN(x->exit_at, x->now + 1 + (usec_t)rand_r(&x->seed) % 500000);
		return DONE;
	case FASTPATH_RESTORE:
		if (chance(x, 10))
			return chance(x, 50) ? AGAIN : FAILED;
		x->moved = false;
		x->fault_at = USEC_NEVER;
		/* It ends by itself, or has been killed. */
		x->exit_at = MIN(x->exit_at, x->now + 300000);
		return x->alive ? AGAIN : DONE;
	default:
		fail();
		return DONE;
	}
}

static void step(struct model *x, struct fastpath_event e)
{
	for (;;) {
		bool was_active = x->m.state == FASTPATH_ACTIVE;
		enum fastpath_action action = fastpath_machine_handle(&x->m, &e, x->now);

		x->n_active += !was_active && x->m.state == FASTPATH_ACTIVE;
		if (x->m.state == FASTPATH_OFF || x->m.state == FASTPATH_WAITING) {
			assert_false(x->alive);
			assert_false(x->moved);
		}
		if (x->m.state == FASTPATH_ACTIVE)
			assert_true(x->moved);
		else if (x->moved)
			assert_int_equal(x->m.outage.until_usec, USEC_NEVER);
		if (x->moved && x->m.state != FASTPATH_ACTIVE && x->fault_at != USEC_NEVER)
			assert_true(x->m.outage.from_usec <= x->fault_at);
		switch (action) {
		case FASTPATH_NOTHING:
			return;
		case FASTPATH_ATTACH:
			x->attach_pending = true;
			return;
		case FASTPATH_TERMINATE:
			if (!x->stubborn && !x->hung)
				x->exit_at = MIN(x->exit_at, x->now + 50000);
			return;
		default:
			e = perform(x, action);
		}
	}
}

static void advance(struct model *x)
{
	x->now += 10000;
	if (x->alive && x->now >= x->exit_at) {
		if (chance(x, 50))
			step(x, CLOSED);
		x->alive = x->attached = x->attach_pending = false;
		step(x, EXITED);
	}
	if (x->alive && !x->hung && x->attach_pending && chance(x, 30)) {
		x->attach_pending = false;
		x->attached = chance(x, 95);
		step(x, x->attached ? DONE : FAILED);
	}
	if (x->alive && !x->hung && x->now % FASTPATH_BEAT_USEC == 0)
		step(x, E(.kind = FASTPATH_BEAT, .attached = x->attached));
	if (x->now % FASTPATH_TICK_USEC == 0)
		step(x, TIME);
	if (x->fault_at != USEC_NEVER && x->m.awaited != FASTPATH_RESTORE &&
	    x->m.state != FASTPATH_RESTORING)
		assert_true(x->now - x->fault_at < USEC_PER_SEC);
}

static void meddle(struct model *x)
{
	switch (rand_r(&x->seed) % 400) {
	case 0:
	case 1:
	case 2:
		step(x, ON);
		break;
	case 3:
		step(x, OFF);
		break;
	case 4:
	case 5:
		step(x, E(.kind = FASTPATH_CONFIGURED, .enabled = chance(x, 80),
			  .changed = chance(x, 20)));
		break;
	case 6:
		if (x->alive && x->m.state == FASTPATH_ACTIVE) {
			x->exit_at = x->now;
			x->fault_at = x->now;
		}
		break;
	case 7:
		if (x->alive && x->m.state == FASTPATH_ACTIVE && !x->hung) {
			x->hung = true;
			x->fault_at = x->now;
		}
		break;
	default:
		break;
	}
}

static void test_random(void **state)
{
	const char *text = getenv("IPVSD_TEST_SEED");
	unsigned first = text ? (unsigned)strtoul(text, NULL, 10) : 1, n_active = 0;

	(void)state;
	for (unsigned seed = first; seed < first + 300; seed++) {
		struct model x = { .seed = seed, .exit_at = USEC_NEVER, .fault_at = USEC_NEVER };

		fastpath_machine_init(&x.m, seed % 2, 0);
		x.m.gentle = seed % 4 >= 2;
		for (int i = 0; i < 10000; i++) {
			advance(&x);
			meddle(&x);
		}
		/* Whatever happened, an order to stop is obeyed in the end. */
		for (int i = 0; i < 2000 && (x.m.state != FASTPATH_OFF || i == 0); i++) {
			if (i == 0)
				step(&x, OFF);
			advance(&x);
		}
		assert_int_equal(x.m.state, FASTPATH_OFF);
		n_active += x.n_active;
	}
	print_message("# active %u times\n", n_active);
	assert_true(n_active > 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_and_off),    cmocka_unit_test(test_failures_on_the_way),
		cmocka_unit_test(test_back_off),      cmocka_unit_test(test_silence),
		cmocka_unit_test(test_configuration), cmocka_unit_test(test_what_a_daemon_left),
		cmocka_unit_test(test_outage),	      cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
