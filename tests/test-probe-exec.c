/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/probe-exec.h"
#include "tests/probe-rig.h"

#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define SHORT_USEC (200 * USEC_PER_MSEC)
#define SH(script) "/bin/sh -c '" script "'"

enum {
	LONELY_UID = 61184, /* and the next ones: no person's, and within what a container has */
	N_LONELY = 4000,
	BOMB_PROCESSES = 60,
};

static bool is_lonely;

/*
 * Root has no process limit, and programs are not run as root. Nobody else's user: RLIMIT_NPROC counts all processes of
 * a user, those of this test under way for a second time, and in other containers, among them.
 */
static int setup(void **state)
{
	uint16_t drawn;
	uid_t uid;

	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(getrandom(&drawn, sizeof(drawn), 0), sizeof(drawn));
		uid = LONELY_UID + drawn % N_LONELY;
		assert_return_code(setresgid(uid, uid, uid), errno);
		assert_return_code(setresuid(uid, uid, uid), errno);
		is_lonely = true;
	}
	return 0;
}

static void rig_init(struct probe_rig *rig)
{
	probe_rig_init(rig);
	assert_int_equal(probe_exec_engine_new(rig->engines.event, &rig->engines.exec), 0);
}

static bool has_children(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Until every process that a check has started is dead and reaped. */
static void wait_childless(struct probe_rig *rig)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_USEC;

	while (has_children()) {
		assert_true(sd_event_run(rig->engines.event, USEC_PER_MSEC) >= 0);
		assert_true(clock_monotonic_usec() < end);
	}
}

static void rig_deinit(struct probe_rig *rig)
{
	wait_childless(rig);
	probe_exec_engine_free(rig->engines.exec);
	probe_rig_deinit(rig);
}

static void run(struct probe_rig *rig, const char *command, usec_t timeout_usec)
{
	static const char more[] = "IPVSD_GROUP=web\0IPVSD_ZONE=a b";

	probe_rig_spec(rig, PROTOCOL_CHECK_EXEC, "127.0.0.1", 80);
	probe_rig_text(rig, PROTOCOL_TEXT_SEND, more, sizeof(more));
	probe_rig_text(rig, PROTOCOL_TEXT_COMMAND, command, strlen(command));
	probe_rig_run(rig, timeout_usec, NULL, NULL);
}

static void test_outcomes(void **state)
{
	static const struct {
		const char *command;
		enum probe_outcome outcome;
		int32_t detail, percent;
	} cases[] = {
		{ "/bin/true", PROBE_OK, 0, -1 },
		{ "/bin/false", PROBE_EXIT_STATUS, 1, -1 },
		{ SH("exit 127"), PROBE_EXIT_STATUS, 127, -1 },
		{ SH("kill -9 $$"), PROBE_KILLED, SIGKILL, -1 },
		{ SH("kill -TERM $$"), PROBE_KILLED, SIGTERM, -1 },
		{ SH("echo weight 40%"), PROBE_OK, 0, 40 },
		{ SH("echo hello; echo weight 40% >&2; exit 2"), PROBE_EXIT_STATUS, 2, 40 },
		{ SH("printf %5000s x; echo; echo weight 40%"), PROBE_OK, 0, -1 },
		{ SH("echo weight 7%; printf %5000s x"), PROBE_OK, 0, 7 },
		/* what it is told and what it inherits */
		{ SH("test $IPVSD_TARGET_ADDRESS:$IPVSD_TARGET_PORT = 127.0.0.1:80"), PROBE_OK, 0,
		  -1 },
		{ SH("test \"$IPVSD_GROUP $IPVSD_ZONE\" = \"web a b\""), PROBE_OK, 0, -1 },
		{ SH("test $(env | grep -vc \"^IPVSD_\\|^PATH=\\|^PWD=\\|^_=\") = 0"), PROBE_OK, 0,
		  -1 },
		{ SH("read line"), PROBE_EXIT_STATUS, 1, -1 },
		{ SH("test $(ls /proc/self/fd | wc -l) = 4"), PROBE_OK, 0, -1 },
		{ SH("test $(ulimit -c) = 0 && test $(ulimit -n) = 256"), PROBE_OK, 0, -1 },
		{ SH("test $(id -u) != 0"), PROBE_OK, 0, -1 },
		{ SH("yes | head -n 1"), PROBE_OK, 0, -1 }, /* SIGPIPE is not ignored */
		/* a limit of memory */
		{ "/bin/dd if=/dev/zero of=/dev/null bs=1G count=1", PROBE_EXIT_STATUS, 1, -1 },
		/* our configuration's fault */
		{ "/nonexistent/program", PROBE_INTERNAL_ERROR, ENOENT, -1 },
		{ "/etc/passwd", PROBE_INTERNAL_ERROR, EACCES, -1 },
		{ " ", PROBE_INTERNAL_ERROR, EINVAL, -1 },
		{ "/bin/sh -c \"", PROBE_INTERNAL_ERROR, EINVAL, -1 },
	};
	struct probe_rig rig;

	(void)state;
	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run(&rig, cases[i].command, PATIENCE_USEC);
		if (rig.outcome != cases[i].outcome || rig.detail != cases[i].detail ||
		    rig.weight_percent != cases[i].percent)
			fail_msg("%s: %s, detail %d, %d %%", cases[i].command,
				 probe_outcome_to_string(rig.outcome), rig.detail,
				 rig.weight_percent);
	}
	rig_deinit(&rig);
}

/* Whatever hangs is dead soon after the deadline, with all that it has started, in whatever session. */
static void test_hanging(void **state)
{
	static const char *const commands[] = {
		"/bin/sleep 1000",
		SH("trap \"\" TERM INT HUP; while :; do sleep 1000; done"),
		SH("sleep 1000 & sleep 1000 & wait"),
		SH("setsid sleep 1000 & setsid sh -c \"sleep 1000 & sleep 1000\" & wait"),
		SH("yes"),
	};
	struct probe_rig rig;

	(void)state;
	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		run(&rig, commands[i], SHORT_USEC);
		assert_int_equal(rig.outcome, PROBE_TIMEOUT);
		assert_true(rig.duration_usec >= SHORT_USEC);
		wait_childless(&rig);
	}
	rig_deinit(&rig);
}

/* The program's end is the result, though others hold its output; they are ended too. */
static void test_left_behind(void **state)
{
	struct probe_rig rig;

	(void)state;
	rig_init(&rig);
	run(&rig, SH("sleep 1000 & setsid sleep 1000 & exit 0"), PATIENCE_USEC);
	assert_int_equal(rig.outcome, PROBE_OK);
	wait_childless(&rig);
	rig_deinit(&rig);
}

static void test_fork_bomb(void **state)
{
	const struct rlimit few = { BOMB_PROCESSES, BOMB_PROCESSES };
	struct probe_rig rig;

	(void)state;
	if (!is_lonely)
		skip();
	assert_return_code(setrlimit(RLIMIT_NPROC, &few), errno);
	rig_init(&rig);
	run(&rig, SH("b() { b & b & wait; }; b"), SHORT_USEC);
	assert_int_not_equal(rig.outcome, PROBE_INTERNAL_ERROR); /* else as the shell takes it */
	wait_childless(&rig);
	/* and the next one finds room */
	run(&rig, SH("true | true"), PATIENCE_USEC);
	assert_int_equal(rig.outcome, PROBE_OK);
	rig_deinit(&rig);
}

static void test_much_output(void **state)
{
	struct rusage before, after;
	struct probe_rig rig;

	(void)state;
	rig_init(&rig);
	assert_return_code(getrusage(RUSAGE_SELF, &before), errno);
	run(&rig, SH("echo weight 9%; head -c 1073741824 /dev/zero"), PATIENCE_USEC);
	assert_return_code(getrusage(RUSAGE_SELF, &after), errno);
	assert_int_equal(rig.outcome, PROBE_OK);
	assert_int_equal(rig.weight_percent, 9);
	assert_true(after.ru_maxrss - before.ru_maxrss < 4096);
	rig_deinit(&rig);
}

static void never_advise(void *userdata, int32_t weight_percent, enum probe_advice advice)
{
	(void)userdata;
	(void)weight_percent;
	(void)advice;
	fail();
}

static void never_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	(void)userdata;
	(void)outcome;
	(void)detail;
	fail();
}

static void test_in_flight(void **state)
{
	static struct probe_exec *running[EXEC_IN_FLIGHT_MAX], *one_more;
	struct probe_rig rig;
	struct probe_spec spec;

	(void)state;
	rig_init(&rig);
	probe_rig_spec(&rig, PROTOCOL_CHECK_EXEC, "127.0.0.1", 80);
	probe_rig_text(&rig, PROTOCOL_TEXT_COMMAND, "/bin/sleep 1000", 15);
	assert_int_equal(probe_spec_init(&spec, &rig.record.probe, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(running); i++)
		assert_int_equal(probe_exec_start(rig.engines.exec, &spec, never_advise, never_done,
						  NULL, &running[i]),
				 0);
	assert_int_equal(probe_exec_start(rig.engines.exec, &spec, never_advise, never_done, NULL,
					  &one_more),
			 -EAGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(running); i++)
		assert_int_equal(probe_exec_cancel(running[i]), PROBE_TIMEOUT);
	probe_spec_deinit(&spec);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),    cmocka_unit_test(test_hanging),
		cmocka_unit_test(test_left_behind), cmocka_unit_test(test_much_output),
		cmocka_unit_test(test_in_flight),   cmocka_unit_test(test_fork_bomb),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
