/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The timer of what time alone does to targets, by the clock that runs on while the machine sleeps. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "daemon/deadlines.h"
#include "daemon/manager.h"
#include "tests/life-rig.h"

static void set_up(struct life *l, struct manager *m)
{
	life_init(l, 3);
	l->now = clock_wall_usec();
	l->group.unhealthy_draining_usec = 600 * SEC;
	life_begin(l);
	*m = (struct manager){ .registry = l->registry, .apply_at_usec = USEC_NEVER };
	m->wall_offset_usec = l->now - clock_boottime_usec();
	assert_true(sd_event_new(&m->event) >= 0);
	assert_int_equal(deadlines_init(m), 0);
}

static void tear_down(struct life *l, struct manager *m)
{
	sd_event_source_disable_unref(m->times_timer);
	sd_event_unref(m->event);
	life_deinit(l);
}

static bool is_armed(const struct manager *m)
{
	int enabled = SD_EVENT_OFF;

	assert_true(sd_event_source_get_enabled(m->times_timer, &enabled) >= 0);
	return enabled != SD_EVENT_OFF;
}

static void test_time_passes_asleep(void **state)
{
	struct manager m;
	struct life l;
	uint64_t due;
	clockid_t clock;

	(void)state;
	set_up(&l, &m);
	assert_true(sd_event_source_get_time_clock(m.times_timer, &clock) >= 0);
	assert_int_equal(clock, CLOCK_BOOTTIME);
	for (size_t i = 0; i < 3; i++)
		(void)life_result(&l, i, PROBE_OK);
	life_compute(&l);
	deadlines_watch(&m);
	assert_false(is_armed(&m));

	(void)life_result(&l, 0, PROBE_TIMEOUT);
	(void)life_result(&l, 0, PROBE_TIMEOUT);
	life_compute(&l);
	assert_int_equal(life_find(&l, 0)->health.state, TARGET_UNHEALTHY_DRAINING);
	deadlines_watch(&m);
	assert_true(is_armed(&m));
	assert_true(sd_event_source_get_time(m.times_timer, &due) >= 0);
	assert_int_equal(due + m.wall_offset_usec, l.now + 600 * SEC);
	assert_int_equal(sd_event_run(m.event, 0), 0);
	assert_int_equal(m.apply_at_usec, USEC_NEVER);

	/* Ten minutes later by that clock, however little of it the machine was awake. */
	m.wall_offset_usec += 600 * SEC;
	deadlines_watch(&m);
	assert_true(sd_event_run(m.event, USEC_PER_SEC) > 0);
	assert_int_not_equal(m.apply_at_usec, USEC_NEVER);
	assert_int_equal(registry_compute_weights(&l.registry, manager_wall_usec(&m)),
			 REGISTRY_CHANGED);
	assert_int_equal(life_find(&l, 0)->health.state, TARGET_UNHEALTHY);
	deadlines_watch(&m);
	assert_false(is_armed(&m));
	tear_down(&l, &m);
}

/* A clock that was behind, as on a machine without a battery: what was to be before its start is due. */
static void test_before_the_start(void **state)
{
	struct manager m;
	struct life l;
	uint64_t due;

	(void)state;
	set_up(&l, &m);
	l.registry.groups[0].next_usec = m.wall_offset_usec - 1;
	deadlines_watch(&m);
	assert_true(sd_event_source_get_time(m.times_timer, &due) >= 0);
	assert_int_equal(due, 0);
	assert_true(sd_event_run(m.event, USEC_PER_SEC) > 0);
	assert_int_not_equal(m.apply_at_usec, USEC_NEVER);
	tear_down(&l, &m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_passes_asleep),
		cmocka_unit_test(test_before_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
