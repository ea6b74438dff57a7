/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/netns/plane-order.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

#define SETTLE_USEC (20 * USEC_PER_SEC)
#define BACK_USEC USEC_PER_SEC
#define STALL_USEC (30 * USEC_PER_MSEC) /* for a sleep of 5 ms */

DEFINE_CLEANUP(json_t *, json_decref)

void plane_order(struct fixture *f, const char *what, int status)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	assert_int_equal(gateway_command(f->gateway, &result, "fastpath", "--socket",
					 LAB_CONTROL_SOCKET, "--force", what, NULL),
			 0);
	print_message("# fastpath %s: %lu ms: %s%s", what,
		      (unsigned long)(result.duration_usec / USEC_PER_MSEC), result.out,
		      result.err);
	if (result.status == status)
		return;
	gateway_print_log(f->gateway);
	fail_msg("ipvsd fastpath %s: status %d: %s%s", what, result.status, result.out, result.err);
}

static json_t *report(struct fixture *f)
{
	json_t *j = NULL;

	assert_int_equal(gateway_request(f->gateway, "GET", "/v1/fastpath", NULL, &j), 200);
	return j;
}

int64_t plane_counter(struct fixture *f, const char *name)
{
	_cleanup_(json_decref_p) json_t *j = report(f);

	return json_integer_value(json_object_get(
		json_object_get(json_array_get(json_object_get(j, "workers"), 0), "counters"),
		name));
}

pid_t plane_process(struct fixture *f)
{
	_cleanup_(json_decref_p) json_t *j = report(f);

	return (pid_t)json_integer_value(json_object_get(j, "pid"));
}

/* The thread of a worker; -1 = none. */
static pid_t find_worker(pid_t process)
{
	char path[64];
	struct dirent *e;
	pid_t found = -1;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)process);
	d = opendir(path);
	while (d && found < 0 && (e = readdir(d))) {
		char name[128], text[32] = "";
		FILE *f;

		(void)snprintf(name, sizeof(name), "%s/%.20s/comm", path, e->d_name);
		f = fopen(name, "re");
		if (f && fgets(text, sizeof(text), f) && strstr(text, "worker"))
			(void)sscanf(e->d_name, "%d", &found);
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* A debugger stops one thread of a process, as no signal does; what is killed then is reaped by it. */
static _Noreturn void hold_thread(pid_t thread)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) < 0)
		_exit(EXIT_FAILURE);
	while (waitpid(thread, NULL, __WALL) == thread)
		;
	_exit(EXIT_SUCCESS);
}

pid_t plane_hold_worker(struct fixture *f)
{
	pid_t worker = find_worker(plane_process(f)), holder;

	assert_true(worker > 0);
	holder = fork();
	assert_true(holder >= 0);
	if (holder == 0)
		hold_thread(worker);
	return holder;
}

bool plane_has_state(struct fixture *f, const char *state)
{
	_cleanup_(json_decref_p) json_t *j = report(f);
	const char *now = json_string_value(json_object_get(j, "state"));

	return now && strcmp(now, state) == 0;
}

struct wanted {
	struct fixture *fixture;
	const char *what;
};

/* Who asks for the targets' counters meanwhile disturbs nothing. */
static bool is_wanted(void *userdata)
{
	const struct wanted *w = userdata;

	assert_int_equal(gateway_request(w->fixture->gateway, "GET", "/v1/status", NULL, NULL),
			 200);
	return plane_has_state(w->fixture, w->what);
}

void plane_wait_state(struct fixture *f, const char *state)
{
	if (lab_wait_until(is_wanted, &(struct wanted){ f, state }, SETTLE_USEC) == 0)
		return;
	gateway_print_log(f->gateway);
	fail_msg("the fast path is not %s", state);
}

bool plane_reason_has(struct fixture *f, const char *text)
{
	_cleanup_(json_decref_p) json_t *j = report(f);
	const char *reason = json_string_value(json_object_get(j, "reason"));

	return reason && strstr(reason, text);
}

void plane_assert_traffic(struct fixture *f, bool fastpath)
{
	int64_t before = fastpath ? plane_counter(f, "forwarded-in") : 0;
	char target[LAB_TARGET_MAX];

	for (int i = 0; i < 5; i++)
		(void)fixture_get(f, "/", target);
	if (fastpath)
		assert_true(plane_counter(f, "forwarded-in") >=
			    before + 20); /* 4 packets a request, at least */
}

static bool is_served_by(void *userdata)
{
	const struct wanted *w = userdata;
	char target[LAB_TARGET_MAX];

	for (int i = 0; i < 8; i++)
		if (strcmp(fixture_get(w->fixture, "/", target), w->what) != 0)
			return false;
	return true;
}

void plane_wait_served_by(struct fixture *f, const char *target)
{
	assert_int_equal(lab_wait_until(is_served_by, &(struct wanted){ f, target }, SETTLE_USEC),
			 0);
}

void plane_print_events(struct fixture *f)
{
	_cleanup_(json_decref_p) json_t *j = NULL;

	gateway_print_log(f->gateway);
	(void)gateway_request(f->gateway, "GET", "/v1/events", NULL, &j);
	(void)json_dumpf(j, stderr, JSON_INDENT(1));
}

/* How long this emulated machine stood still, or had no time for us, within the second after the fault. */
static usec_t measure_stalls(usec_t fault_usec)
{
	usec_t stalled = 0, now = clock_monotonic_usec();

	while (now < fault_usec + BACK_USEC + stalled) {
		usec_t before = now;

		lab_sleep(5 * USEC_PER_MSEC);
		now = clock_monotonic_usec();
		if (now - before > STALL_USEC)
			stalled += now - before;
	}
	return stalled;
}

void plane_assert_back(struct fixture *f, struct lab_load *load, usec_t fault_usec, unsigned rate)
{
	struct lab_load_summary gap, after;
	usec_t stalled = measure_stalls(fault_usec), back = fault_usec + BACK_USEC + stalled;

	lab_sleep(2 * USEC_PER_SEC);
	lab_load_stop(load);
	gap = lab_load_summarize(load, fault_usec, back);
	after = lab_load_summarize(load, back, USEC_NEVER);
	if (stalled)
		print_message("# the machine stood still for %lu ms\n",
			      (unsigned long)(stalled / USEC_PER_MSEC));
	print_message(
		"# %zu of %zu requests failed within the second, the last %ld ms after the "
		"fault; then %zu of %zu, longest %lu ms\n",
		gap.failed, gap.requests,
		gap.failed ? (long)((gap.last_failure_usec - fault_usec) / USEC_PER_MSEC) : 0L,
		after.failed, after.requests, (unsigned long)(after.longest_usec / USEC_PER_MSEC));
	if (after.failed || after.requests < rate) {
		lab_load_print(load);
		plane_print_events(f);
	}
	assert_int_equal(after.failed, 0);
	assert_true(after.requests >= rate);
	lab_load_free(load);
}
