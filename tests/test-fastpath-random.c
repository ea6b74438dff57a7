/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The fast path's decisions in random runs against a model of the process and of what was moved, which is asked after
 * every step whether anything could be lost.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/machine-events.h"

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
		step(x, E(.kind = FASTPATH_BEAT, .attached = x->attached, .asked_usec = x->now));
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
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
