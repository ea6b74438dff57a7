/* SPDX-License-Identifier: GPL-2.0-or-later */

/* More exec checks than programs may run: what the daemon makes of the heartbeats that tell so. A simulated clock. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/checks-internal.h"
#include "daemon/manager.h"
#include "tests/checks-rig.h"

/* A second passes; two heartbeats come. */
static void pass(struct checks_rig *rig, unsigned worker, uint64_t waiting, uint64_t left_out)
{
	for (unsigned i = 0; i < 2; i++) {
		struct protocol_heartbeat beat = {
			.probes = 100,
			.probes_waiting = waiting,
			.probes_left_out = left_out,
		};

		rig->now += PROTOCOL_HEARTBEAT_USEC;
		beat.now_usec = rig->now;
		checks_take_heartbeat(rig->checks, worker, &beat);
	}
	checks_tick(rig->checks, rig->now);
}

static unsigned n_alarms(struct checks_rig *rig)
{
	json_t *report = checks_to_json(rig->checks);
	const json_t *alarms = json_object_get(report, "alarms");
	const json_t *alarm;
	unsigned n = 0;
	size_t i;

	json_array_foreach (alarms, i, alarm)
		n += strstr(json_string_value(alarm),
			    "exec checks are left out: 64 programs run at once") != NULL;
	json_decref(report);
	return n;
}

static unsigned n_events(const struct checks_rig *rig)
{
	const struct event_ring *events = &rig->manager.events;
	unsigned n = 0;

	for (uint64_t seq = 1; seq <= events->last; seq++)
		n += strstr(events->items[seq % events->capacity].text, "exec checks are") != NULL;
	return n;
}

static void test_alarm(void **state)
{
	static const struct {
		const char *what;
		unsigned worker, seconds;
		uint64_t waiting, left_out; /* the latter grows by so many a second */
		bool alarm;		    /* at the end */
	} steps[] = {
		{ "none waits", WORKER_POOL_EXEC, 20, 0, 0, false },
		{ "some wait, and have their turn in time", WORKER_POOL_EXEC, 20, 30, 0, false },
		{ "one is left out", WORKER_POOL_EXEC, 1, 30, 1, true },
		{ "none more, but they wait still", WORKER_POOL_EXEC, 30, 30, 0, true },
		{ "they don't wait any more", WORKER_POOL_EXEC, 9, 0, 0, true },
		{ "and that for long", WORKER_POOL_EXEC, 2, 0, 0, false },
		{ "again", WORKER_POOL_EXEC, 1, 7, 7, true },
		{ "the worker is not heard of", 0, 14, 0, 0, false },
		{ "what others say is nothing to it", 0, 2, 9, 9, false },
	};
	struct checks_rig *rig = *state;
	uint64_t left_out = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (unsigned n = 0; n < steps[i].seconds; n++) {
			left_out += steps[i].left_out;
			pass(rig, steps[i].worker, steps[i].waiting, left_out);
		}
		if (n_alarms(rig) != steps[i].alarm)
			fail_msg("%s: %u alarms", steps[i].what, n_alarms(rig));
	}
	assert_int_equal(n_events(rig), 4);
}

/* It counts from 0. */
static void test_new_worker(void **state)
{
	struct checks_rig *rig = *state;

	pass(rig, WORKER_POOL_EXEC, 9, 100);
	assert_int_equal(n_alarms(rig), 1);
	for (unsigned i = 0; i < 15; i++)
		pass(rig, WORKER_POOL_EXEC, 0, 0);
	assert_int_equal(n_alarms(rig), 0);
	pass(rig, WORKER_POOL_EXEC, 9, 1);
	assert_int_equal(n_alarms(rig), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_alarm, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_new_worker, checks_rig_set_up,
						checks_rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
