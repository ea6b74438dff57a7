/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What takes long is done by a child, and the loop goes on: its end, its failure, its deadline, its death. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/fastpath-task.h"

static struct {
	sd_event *event;
	struct fastpath_task task;
	unsigned n_ends;
	int error;
	char reason[FASTPATH_TASK_REASON_MAX];
} rig;

static int set_up(void **state)
{
	(void)state;
	rig.task = FASTPATH_TASK_INIT;
	rig.n_ends = 0;
	return sd_event_new(&rig.event) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	fastpath_task_deinit(&rig.task, 0);
	sd_event_unref(rig.event);
	return 0;
}

static void on_end(int error, const char *reason, void *userdata)
{
	assert_ptr_equal(userdata, &rig);
	rig.n_ends++;
	rig.error = error;
	(void)snprintf(rig.reason, sizeof(rig.reason), "%s", reason);
}

static void start(fastpath_task_fn fn, const void *arg, usec_t timeout_usec)
{
	assert_int_equal(
		fastpath_task_start(&rig.task, rig.event, fn, arg, timeout_usec, on_end, &rig), 0);
	assert_true(fastpath_task_is_running(&rig.task));
}

static void run_until_gone(void)
{
	while (fastpath_task_is_running(&rig.task))
		assert_true(sd_event_run(rig.event, 10 * USEC_PER_SEC) > 0);
}

static int answer(const void *arg, char reason[static FASTPATH_TASK_REASON_MAX])
{
	(void)snprintf(reason, FASTPATH_TASK_REASON_MAX, "number %d", *(const int *)arg);
	return *(const int *)arg;
}

static void test_outcome(void **state)
{
	static const int errors[] = { 0, -EBUSY, -EAGAIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		char expected[32];

		start(answer, &errors[i], 10 * USEC_PER_SEC);
		run_until_gone();
		assert_int_equal(rig.n_ends, i + 1);
		assert_int_equal(rig.error, errors[i]);
		(void)snprintf(expected, sizeof(expected), "number %d", errors[i]);
		assert_string_equal(rig.reason, expected);
	}
}

static int hang(const void *arg, char reason[static FASTPATH_TASK_REASON_MAX])
{
	(void)arg;
	(void)reason;
	while (pause() < 0) /* always */
		;
	return 0;
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	(*(unsigned *)userdata)++;
	return 0;
}

/* The loop has time for others; there is no second task; the end is told once. */
static void test_deadline(void **state)
{
	unsigned n_times = 0;

	(void)state;
	assert_true(sd_event_add_time_relative(rig.event, NULL, CLOCK_MONOTONIC, 0, 0, on_time,
					       &n_times) >= 0);
	start(hang, NULL, 50 * USEC_PER_MSEC);
	assert_int_equal(fastpath_task_start(&rig.task, rig.event, hang, NULL, USEC_PER_SEC, on_end,
					     &rig),
			 -EBUSY);
	while (rig.n_ends == 0)
		assert_true(sd_event_run(rig.event, 10 * USEC_PER_SEC) > 0);
	assert_int_equal(n_times, 1);
	assert_int_equal(rig.error, -ETIMEDOUT);
	run_until_gone();
	assert_int_equal(rig.n_ends, 1);
}

static int die(const void *arg, char reason[static FASTPATH_TASK_REASON_MAX])
{
	(void)arg;
	(void)reason;
	(void)raise(SIGKILL);
	return 0;
}

static void test_death(void **state)
{
	(void)state;
	start(die, NULL, 10 * USEC_PER_SEC);
	run_until_gone();
	assert_int_equal(rig.n_ends, 1);
	assert_int_equal(rig.error, -ECHILD);
	assert_true(*rig.reason);
}

static void test_deinit(void **state)
{
	pid_t pid;

	(void)state;
	start(hang, NULL, 10 * USEC_PER_SEC);
	pid = rig.task.pid;
	fastpath_task_deinit(&rig.task, 0);
	assert_false(fastpath_task_is_running(&rig.task));
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(rig.n_ends, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outcome, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_death, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deinit, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
