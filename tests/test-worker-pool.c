/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/guard.h"
#include "health/outcome.h"
#include "tests/pool-rig.h"
#include "tests/scripted-server.h"

/*
 * Real worker processes, which are this program, and what is done to them: killed, stopped, starved, without file
 * descriptors. Targets are well all the time but for one group that never answers, so every failure of another one is
 * a false one, unless the guard knows that it means nothing. Every wait is of the event loop and has a deadline.
 */

enum {
	N_PROBES = 60,
	N_WORKERS = 3,
	FEW_FILES =
		160, /* room for all of these at once, as after a stop of the machine, and for a worker's own */
	N_SILENT = 200,
	PATIENCE_SEC = 20,
};

#define FILES_VARIABLE "IPVSD_TEST_FEW_FILES"
#define SLOW_VARIABLE "IPVSD_TEST_SLOW_START"
#define INTERVAL_USEC (200 * USEC_PER_MSEC)
#define LATE_USEC (50 * USEC_PER_MSEC)

struct rig {
	struct pool_rig pool;
	struct scripted_server good, full;
	unsigned results[N_PROBES + N_SILENT];	     /* by id's number */
	struct guard_worker guards[WORKER_POOL_MAX]; /* as the daemon has them */
	unsigned false_alarms, internal_errors;
	usec_t last_usec[N_PROBES]; /* when the last result came */
	usec_t max_gap_usec[N_PROBES];
	usec_t max_late_usec; /* of the results */
	unsigned by_worker[N_WORKERS];
};

/* Ids are hashes: their upper half decides the worker. */
static uint64_t id_of(unsigned number)
{
	return number * UINT64_C(0x9e3779b97f4a7c15);
}

static unsigned share(unsigned number, unsigned n_workers)
{
	const struct protocol_probe p = { .id = id_of(number) };

	return worker_pool_share(&p, n_workers);
}

static unsigned number_of(uint64_t id)
{
	for (unsigned i = 0; i < N_PROBES + N_SILENT; i++)
		if (id_of(i) == id)
			return i;
	fail_msg("a result of an unknown probe");
	return 0;
}

static void on_result(unsigned worker, const struct protocol_result *result, void *userdata)
{
	struct rig *rig = userdata;
	unsigned i = number_of(result->id);
	usec_t now_usec = clock_monotonic_usec();
	const struct guard_probe probe = {
		.outcome = (enum probe_outcome)result->outcome,
		.due_usec = result->due_usec,
		.start_usec = result->start_usec,
		.duration_usec = result->duration_usec,
		.timeout_usec = INTERVAL_USEC,
	};

	assert_true(worker < worker_pool_count(rig->pool.pool));
	assert_int_equal(worker, share(i, worker_pool_count(rig->pool.pool)));
	rig->results[i]++;
	rig->by_worker[worker]++;
	rig->max_late_usec = MAX(rig->max_late_usec, result->start_usec - result->due_usec);
	if (result->outcome == PROBE_INTERNAL_ERROR)
		rig->internal_errors++;
	else if (i < N_PROBES &&
		 guard_judge(&rig->guards[worker], &probe, LATE_USEC, PROTOCOL_HEARTBEAT_USEC,
			     now_usec) == GUARD_NO_DOUBT &&
		 result->outcome != PROBE_OK)
		rig->false_alarms++;
	if (i >= N_PROBES)
		return;
	if (rig->last_usec[i])
		rig->max_gap_usec[i] = MAX(rig->max_gap_usec[i], now_usec - rig->last_usec[i]);
	rig->last_usec[i] = now_usec;
}

static void on_heartbeat(unsigned worker, const struct protocol_heartbeat *beat, void *userdata)
{
	struct rig *rig = userdata;

	guard_worker_beat(&rig->guards[worker], beat->now_usec, PROTOCOL_HEARTBEAT_USEC);
}

static struct protocol_probe *make_probe(const struct rig *rig, unsigned number)
{
	return pool_rig_probe(&(struct protocol_probe){
		.id = id_of(number),
		.generation = 1,
		.check = PROTOCOL_CHECK_TCP,
		.port = number < N_PROBES ? rig->good.port : rig->full.port,
		.interval_usec = number < N_PROBES ? INTERVAL_USEC : 2 * USEC_PER_SEC,
		.timeout_usec = number < N_PROBES ? INTERVAL_USEC : 2 * USEC_PER_SEC,
	});
}

static void sync_probes(struct rig *rig, unsigned n_workers, unsigned n)
{
	struct protocol_probe *probes[N_PROBES + N_SILENT];

	for (unsigned i = 0; i < n; i++)
		probes[i] = make_probe(rig, i);
	pool_rig_sync(&rig->pool, n_workers, &(struct worker_task){ probes, n, NULL, 0 });
}

static void rig_init(struct rig *rig, unsigned n_workers)
{
	memset(rig, 0, sizeof(*rig));
	scripted_server_init(&rig->good, AF_INET, SERVER_SILENT, NULL);
	scripted_server_init(&rig->full, AF_INET, SERVER_FULL_BACKLOG, NULL);
	pool_rig_init(&rig->pool, &(struct worker_handlers){ .on_result = on_result,
							     .on_heartbeat = on_heartbeat,
							     .userdata = rig });
	sync_probes(rig, n_workers, N_PROBES);
	assert_int_equal(worker_pool_count(rig->pool.pool), n_workers);
}

static void rig_deinit(struct rig *rig)
{
	pool_rig_deinit(&rig->pool);
	scripted_server_deinit(&rig->good);
	scripted_server_deinit(&rig->full);
}

static void step(struct rig *rig)
{
	pool_rig_step(&rig->pool, 10);
	scripted_server_step(&rig->good, 0);
}

static void run_for(struct rig *rig, usec_t usec)
{
	usec_t end = clock_monotonic_usec() + usec;

	while (clock_monotonic_usec() < end)
		step(rig);
}

/* Until each of these probes has had so many more results. */
static void wait_for_all(struct rig *rig, unsigned more)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;
	unsigned wanted[N_PROBES];

	for (unsigned i = 0; i < N_PROBES; i++)
		wanted[i] = rig->results[i] + more;
	for (unsigned i = 0; i < N_PROBES; i++)
		while (rig->results[i] < wanted[i]) {
			step(rig);
			if (clock_monotonic_usec() > end)
				fail_msg("no result of probe %u", i);
		}
}

static void wait_for_trouble(struct rig *rig, const char *text)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;
	unsigned n = rig->pool.troubles;

	while (rig->pool.troubles == n) {
		step(rig);
		assert_true(clock_monotonic_usec() < end);
	}
	if (!strstr(rig->pool.trouble, text))
		fail_msg("%s", rig->pool.trouble);
}

/* Until all that this worker said before it had so many probes has been heard. */
static void wait_for_probes(struct rig *rig, unsigned worker, unsigned n)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;

	while (pool_rig_status(&rig->pool, worker).last.probes != n) {
		step(rig);
		assert_true(clock_monotonic_usec() < end);
	}
}

static void reset_gaps(struct rig *rig)
{
	memset(rig->max_gap_usec, 0, sizeof(rig->max_gap_usec));
}

/* The longest time without a result of a probe of this worker, or of the others. */
static usec_t longest_gap(const struct rig *rig, unsigned worker, bool others)
{
	usec_t longest = 0;

	for (unsigned i = 0; i < N_PROBES; i++)
		if ((share(i, N_WORKERS) == worker) != others)
			longest = MAX(longest, rig->max_gap_usec[i]);
	return longest;
}

static void test_shares(void **state)
{
	static struct rig rig;
	unsigned sum = 0;

	(void)state;
	rig_init(&rig, N_WORKERS);
	wait_for_all(&rig, 2);
	for (unsigned w = 0; w < N_WORKERS; w++) {
		assert_true(rig.by_worker[w] > 0);
		assert_true(pool_rig_status(&rig.pool, w).alive);
	}
	/* Fewer, more, and as many as are needed: probes move and go on. */
	sync_probes(&rig, 1, N_PROBES);
	wait_for_all(&rig, 2);
	assert_int_equal(worker_pool_count(rig.pool.pool), 1);
	sync_probes(&rig, 2, N_PROBES);
	wait_for_all(&rig, 2);
	sync_probes(&rig, 0, N_PROBES);
	assert_int_equal(worker_pool_count(rig.pool.pool), 1);
	wait_for_all(&rig, 2);
	assert_int_equal(rig.false_alarms, 0);
	assert_int_equal(rig.pool.troubles, 0);
	rig_deinit(&rig);
	for (unsigned w = 0; w < 7; w++)
		for (unsigned i = 0; i < N_PROBES; i++)
			sum += share(i, 7) == w;
	assert_int_equal(sum, N_PROBES);
}

/* Only its share pauses, and only for the back-off; nobody is called ill. */
static void test_killed(void **state)
{
	static struct rig rig;
	pid_t pid;

	(void)state;
	rig_init(&rig, N_WORKERS);
	wait_for_all(&rig, 1);
	pid = pool_rig_status(&rig.pool, 1).pid;
	reset_gaps(&rig);
	assert_return_code(kill(pid, SIGKILL), errno);
	wait_for_trouble(&rig, "weights stay as they are");
	assert_false(worker_pool_on_time(rig.pool.pool, clock_monotonic_usec()));
	wait_for_all(&rig, 2);
	assert_int_not_equal(pool_rig_status(&rig.pool, 1).pid, pid);
	assert_int_equal(pool_rig_status(&rig.pool, 1).restarts, 1);
	assert_int_equal(
		pool_rig_status(&rig.pool, 0).restarts + pool_rig_status(&rig.pool, 2).restarts, 0);
	assert_true(worker_pool_on_time(rig.pool.pool, clock_monotonic_usec()));
	assert_int_equal(rig.false_alarms, 0);
	assert_int_equal(rig.pool.troubles, 1);
	rig_deinit(&rig);
}

/* A worker that hangs is replaced; in the meantime the others go on, and after it nobody is called ill. */
static void test_stopped(void **state)
{
	static struct rig rig;
	pid_t pid;

	(void)state;
	rig_init(&rig, N_WORKERS);
	wait_for_all(&rig, 1);
	pid = pool_rig_status(&rig.pool, 2).pid;
	reset_gaps(&rig);
	assert_return_code(kill(pid, SIGSTOP), errno);
	wait_for_trouble(&rig, "is late by more than 3 s");
	wait_for_all(&rig, 2);
	assert_int_not_equal(pool_rig_status(&rig.pool, 2).pid, pid);
	assert_true(longest_gap(&rig, 2, false) > 2 * USEC_PER_SEC);
	assert_true(longest_gap(&rig, 2, true) < 2 * USEC_PER_SEC);
	assert_int_equal(rig.false_alarms, 0);
	rig_deinit(&rig);
}

/* On a host so busy that a worker needs longer to start than a heartbeat may take, there is one all the same. */
static void test_slow_start(void **state)
{
	static struct rig rig;

	(void)state;
	assert_return_code(setenv(SLOW_VARIABLE, "", 1), errno);
	rig_init(&rig, 1);
	wait_for_trouble(&rig, "is late by more than 3 s");
	wait_for_all(&rig, 1);
	assert_return_code(unsetenv(SLOW_VARIABLE), errno);
	rig_deinit(&rig);
}

/* What the workers did not start, since they were themselves stopped, or were due while one still ran. */
static unsigned n_skipped(const struct rig *rig)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < N_WORKERS; w++)
		sum += pool_rig_status(&rig->pool, w).last.probes_skipped;
	return (unsigned)sum;
}

/* The daemon stands still for longer than a heartbeat may take: it was not the workers that were late. */
static void test_stopped_daemon(void **state)
{
	static struct rig rig;
	struct timespec pause = { .tv_sec = 4 };
	unsigned skipped;

	(void)state;
	rig_init(&rig, N_WORKERS);
	wait_for_all(&rig, 1);
	memset(rig.results, 0, sizeof(rig.results));
	skipped = n_skipped(&rig);
	assert_return_code(nanosleep(&pause, NULL), errno); /* what is tested */
	run_for(&rig, USEC_PER_SEC);
	skipped = n_skipped(&rig) - skipped;
	for (unsigned i = 0; i < N_PROBES; i++)
		assert_true(rig.results[i] + skipped >= 4 * USEC_PER_SEC / INTERVAL_USEC - 2);
	for (unsigned w = 0; w < N_WORKERS; w++)
		assert_int_equal(pool_rig_status(&rig.pool, w).last.results_dropped, 0);
	assert_int_equal(rig.pool.troubles, 0);
	assert_int_equal(rig.false_alarms, 0);
	assert_true(worker_pool_on_time(rig.pool.pool, clock_monotonic_usec()));
	rig_deinit(&rig);
}

/* In the worker: so few that it cannot take more, whoever it is. */
static void limit_files(void)
{
	const struct rlimit few = { FEW_FILES, FEW_FILES };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	if (setrlimit(RLIMIT_NOFILE, &few) < 0 || syscall(SYS_capget, &header, caps) < 0)
		_exit(EXIT_FAILURE);
	caps[0].effective &= ~(1U << CAP_SYS_RESOURCE);
	caps[0].permitted &= ~(1U << CAP_SYS_RESOURCE);
	if (syscall(SYS_capset, &header, caps) < 0)
		_exit(EXIT_FAILURE);
}

/* In the worker: longer than a heartbeat may take. */
static void start_slowly(void)
{
	struct timespec pause = { .tv_sec = 4 };

	(void)nanosleep(&pause, NULL);
}

/* Targets that hang take all descriptors: what cannot be probed is not ill, and is probed again when it can be. */
static void test_no_descriptors(void **state)
{
	static struct rig rig;
	usec_t end;

	(void)state;
	assert_return_code(setenv(FILES_VARIABLE, "", 1), errno);
	rig_init(&rig, 1);
	assert_return_code(unsetenv(FILES_VARIABLE), errno);
	wait_for_all(&rig, 1);
	sync_probes(&rig, 1, N_PROBES + N_SILENT);
	end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;
	while (rig.internal_errors < N_PROBES) {
		step(&rig);
		assert_true(clock_monotonic_usec() < end);
	}
	wait_for_probes(&rig, 0, N_PROBES + N_SILENT);
	sync_probes(&rig, 1, N_PROBES);
	wait_for_probes(&rig, 0, N_PROBES);
	wait_for_all(&rig, 2);
	rig.internal_errors = 0;
	wait_for_all(&rig, 3);
	assert_int_equal(rig.internal_errors, 0);
	assert_int_equal(rig.false_alarms, 0);
	assert_int_equal(rig.pool.troubles, 0);
	rig_deinit(&rig);
}

/* The daemon has no descriptor left when a worker is needed for the first time: it comes when there is one. */
static void test_no_descriptors_at_a_start(void **state)
{
	struct protocol_probe *probes[2];
	struct rlimit limit, none;
	static struct rig rig;
	int fd;

	(void)state;
	rig_init(&rig, 1);
	wait_for_all(&rig, 1);
	probes[0] = make_probe(&rig, 0);
	probes[1] = make_probe(&rig, 1);
	probes[1]->firewall_mark = 7;
	probes[1]->interval_usec =
		PROTOCOL_INTERVAL_MAX_USEC; /* whether it is probed is not asked */
	probes[1]->flags = PROTOCOL_PROBE_HISTORY;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	fd = dup(STDIN_FILENO);
	assert_return_code(fd, errno);
	none = (struct rlimit){ (rlim_t)fd, limit.rlim_max };
	assert_return_code(close(fd), errno);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	pool_rig_sync(&rig.pool, 1, &(struct worker_task){ probes, 2, NULL, 0 });
	assert_false(pool_rig_status(&rig.pool, WORKER_POOL_MARK).alive);
	assert_false(worker_pool_on_time(rig.pool.pool, clock_monotonic_usec()));
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	wait_for_probes(&rig, WORKER_POOL_MARK, 1);
	assert_int_equal(pool_rig_status(&rig.pool, WORKER_POOL_MARK).restarts, 0);
	assert_true(worker_pool_on_time(rig.pool.pool, clock_monotonic_usec()));
	rig_deinit(&rig);
}

static pid_t start_spinner(const cpu_set_t *cpu)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	(void)sched_setaffinity(0, sizeof(*cpu), cpu);
	(void)alarm(PATIENCE_SEC);
	for (;;)
		__asm__ volatile("" ::: "memory");
}

/* Hardly any processor time: results are late and say so, but not wrong. */
static void test_starved(void **state)
{
	const struct sched_param zero = { 0 };
	static struct rig rig;
	pid_t pid, spinners[2];
	cpu_set_t cpu;

	(void)state;
	rig_init(&rig, 1);
	wait_for_all(&rig, 1);
	pid = pool_rig_status(&rig.pool, 0).pid;
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	assert_return_code(sched_setaffinity(pid, sizeof(cpu), &cpu), errno);
	assert_return_code(sched_setscheduler(pid, SCHED_IDLE, &zero), errno);
	for (unsigned i = 0; i < ARRAY_SIZE(spinners); i++)
		spinners[i] = start_spinner(&cpu);
	rig.max_late_usec = 0;
	run_for(&rig, 1500 * USEC_PER_MSEC);
	for (unsigned i = 0; i < ARRAY_SIZE(spinners); i++) {
		assert_return_code(kill(spinners[i], SIGKILL), errno);
		assert_int_equal(waitpid(spinners[i], NULL, 0), spinners[i]);
	}
	wait_for_all(&rig, 3);
	assert_true(rig.max_late_usec > 12 * USEC_PER_MSEC);
	assert_int_equal(rig.false_alarms, 0);
	rig_deinit(&rig);
}

static void test_needed(void **state)
{
	static const struct {
		unsigned n, check, flags, processors, needed;
		usec_t interval_usec;
	} cases[] = {
		{ 0, PROTOCOL_CHECK_TCP, 0, 8, 1, USEC_PER_SEC },
		{ 10000, PROTOCOL_CHECK_HTTP, 0, 8, 1, 5 * USEC_PER_SEC },
		{ 10000, PROTOCOL_CHECK_HTTP, 0, 8, 2, 800 * USEC_PER_MSEC },
		{ 11000, PROTOCOL_CHECK_HTTPS, 0, 8, 5, 5 * USEC_PER_SEC },
		{ 10000, PROTOCOL_CHECK_HTTPS, 0, 2, 2, 5 * USEC_PER_SEC },
		{ 10000, PROTOCOL_CHECK_HTTPS, 0, 1000, WORKER_POOL_NETWORK_MAX,
		  10 * USEC_PER_MSEC },
		{ 10000, PROTOCOL_CHECK_HTTPS, 0, 0, 1, 5 * USEC_PER_SEC },
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct protocol_probe p = {
			.check = (uint8_t)cases[c].check,
			.flags = cases[c].flags,
			.interval_usec = cases[c].interval_usec,
		};
		struct protocol_probe **probes =
			calloc(cases[c].n + 1, sizeof(struct protocol_probe *));

		assert_non_null(probes);
		for (unsigned i = 0; i < cases[c].n; i++)
			probes[i] = &p;
		assert_int_equal(worker_pool_needed(probes, cases[c].n, cases[c].processors),
				 cases[c].needed);
		free(probes);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stopped_daemon),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_no_descriptors_at_a_start),
		cmocka_unit_test(test_starved),
	};
	int r;

	if (argc == 4 && getenv(FILES_VARIABLE)) /* a worker */
		limit_files();
	if (argc == 4 && getenv(SLOW_VARIABLE))
		start_slowly();
	r = pool_rig_main(argc, argv);
	if (r >= 0)
		return r;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
