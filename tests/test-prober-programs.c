/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The prober with more exec checks than programs may run at once. Not in test-prober.c: what starts programs takes over
 * this process's children.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/probe-exec.h"
#include "health/prober.h"

enum {
	LONELY_UID = 61235,
	TARGETS = 200,	     /* three times the places, and more */
	RESULTS_BETWEEN = 5, /* see test_turns() */
	STARTS_MAX = 4096,
};

#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define INTERVAL_USEC (200 * USEC_PER_MSEC)

struct rig {
	sd_event *event;
	struct prober *prober;
	unsigned results[TARGETS];  /* by id */
	uint64_t ended[STARTS_MAX]; /* ids, in the order of their results */
	unsigned n_ended;
	uint32_t most_in_flight;
};

static int setup(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		assert_return_code(setresgid(LONELY_UID, LONELY_UID, LONELY_UID), errno);
		assert_return_code(setresuid(LONELY_UID, LONELY_UID, LONELY_UID), errno);
	}
	return 0;
}

static struct prober_stats stats(const struct rig *rig)
{
	struct prober_stats s;

	prober_read_stats(rig->prober, &s);
	return s;
}

static void on_result(void *userdata, const struct probe_spec *spec,
		      const struct protocol_result *result, bool again)
{
	struct rig *rig = userdata;

	(void)spec;
	(void)again;
	assert_true(result->id < TARGETS);
	assert_int_equal(result->outcome, PROBE_TIMEOUT);
	/* All of its timeout was the program's. */
	assert_true(result->duration_usec >= INTERVAL_USEC * 9 / 10);
	rig->results[result->id]++;
	if (rig->n_ended < STARTS_MAX)
		rig->ended[rig->n_ended++] = result->id;
	rig->most_in_flight = MAX(rig->most_in_flight, stats(rig).in_flight + 1);
}

static void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	assert_true(sd_event_new(&rig->event) >= 0);
	assert_int_equal(prober_new(rig->event, on_result, rig, &rig->prober), 0);
	assert_int_equal(prober_allow_programs(rig->prober), 0);
}

static void step(const struct rig *rig)
{
	assert_true(sd_event_run(rig->event, USEC_PER_MSEC) >= 0);
}

static bool has_children(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The engine, which reaps, goes with the prober: so all probes go first. */
static void rig_deinit(struct rig *rig)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_USEC;

	for (uint64_t id = 0; id < TARGETS; id++)
		prober_del(rig->prober, id);
	assert_int_equal(stats(rig).waiting, 0);
	assert_int_equal(stats(rig).in_flight, 0);
	while (has_children()) {
		step(rig);
		assert_true(clock_monotonic_usec() < end);
	}
	prober_free(rig->prober);
	sd_event_unref(rig->event);
}

static void set_probe(struct rig *rig, uint64_t id, const char *command)
{
	struct protocol_probe_record r = {
		.probe = {
			.id = id,
			.check = PROTOCOL_CHECK_EXEC,
			.port = 80,
			.interval_usec = INTERVAL_USEC,
			.timeout_usec = INTERVAL_USEC,
		},
	};

	assert_int_equal(addr_parse("127.0.0.1", &r.probe.addr), 0);
	protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
	assert_int_equal(protocol_probe_append(&r, PROTOCOL_TEXT_COMMAND, command, strlen(command)),
			 0);
	assert_int_equal(prober_set(rig->prober, &r.probe), 0);
}

static unsigned least(const struct rig *rig)
{
	unsigned n = rig->results[0];

	for (size_t i = 1; i < TARGETS; i++)
		n = MIN(n, rig->results[i]);
	return n;
}

/*
 * Programs that hang: every target has its turn. While one waits, each of the others begins once more at most; with those
 * that ran before the wait and run beside the program after it, none has more than five results between two of another.
 */
static void test_turns(void **state)
{
	static struct rig rig;
	usec_t end = clock_monotonic_usec() + PATIENCE_USEC;

	(void)state;
	rig_init(&rig);
	for (uint64_t id = 0; id < TARGETS; id++)
		set_probe(&rig, id, "/bin/sleep 1000");
	while (least(&rig) < 3) {
		step(&rig);
		assert_true(clock_monotonic_usec() < end);
	}
	assert_in_range(rig.most_in_flight, EXEC_IN_FLIGHT_MAX, EXEC_IN_FLIGHT_MAX);
	assert_true(stats(&rig).waiting > 0);
	/* One that begins late and takes the whole interval is still there when the next is due. */
	assert_true(stats(&rig).left_out > stats(&rig).started / 2);
	for (uint64_t id = 0; id < TARGETS; id++) {
		unsigned others[TARGETS] = { 0 };

		for (unsigned i = 0; i < rig.n_ended; i++) {
			if (rig.ended[i] == id)
				memset(others, 0, sizeof(others));
			else if (++others[rig.ended[i]] > RESULTS_BETWEEN)
				fail_msg("target %u had %u results, and target %u none",
					 (unsigned)rig.ended[i], others[rig.ended[i]],
					 (unsigned)id);
		}
	}
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
