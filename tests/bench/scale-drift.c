/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Drift: repaired how soon, and the price of looking when there is none. */

#include <signal.h>
#include <stdio.h>

#include "tests/bench/scale-bench.h"
#include "tests/bench/writes.h"

#define INTERVAL_USEC USEC_PER_SEC
#define INTERVAL_TEXT "1s"
#define WINDOW_USEC (5 * USEC_PER_SEC)
#define TIMEOUT_USEC (30 * USEC_PER_SEC)

enum {
	REPAIRS = 10,
	WINDOWS = 5,
	FOREIGN_WEIGHT = 7,
};

/* A weight edited in the first service, and the second service removed. */
static int make_drift(struct scale_bench *b)
{
	const struct ipvs_service_key edited = scale_service(0), removed = scale_service(1);
	const struct ipvs_dest dest = {
		.addr = scale_target(0, 0),
		.port = 8080,
		.forward = IPVS_FORWARD_MASQ,
		.weight = FOREIGN_WEIGHT,
	};
	int r = kernel_table_set_dest(b->table, &edited, &dest);

	if (r == 0)
		r = kernel_table_delete_service(b->table, &removed);
	return r < 0 ? lab_fail(-r, "cannot make drift") : 0;
}

static bool is_repaired(struct scale_bench *b)
{
	const struct ipvs_service_key edited = scale_service(0), removed = scale_service(1);
	const struct addr target = scale_target(0, 0);

	return kernel_table_weight(b->table, &edited, &target) == SCALE_WEIGHT &&
	       kernel_table_count(b->table, &removed) == (int)b->scale.targets;
}

static int measure_repair(struct scale_bench *b, unsigned i, struct stats_series *ret)
{
	usec_t start, now;
	int r;

	/* Spread over the interval. */
	lab_sleep(200 * USEC_PER_MSEC + i * INTERVAL_USEC / REPAIRS);
	start = clock_monotonic_usec();
	r = make_drift(b);
	if (r < 0)
		return r;
	do {
		lab_sleep(2 * USEC_PER_MSEC);
		now = clock_monotonic_usec();
		if (now - start > TIMEOUT_USEC)
			return lab_fail(ETIMEDOUT, "the drift was not repaired");
	} while (!is_repaired(b));
	stats_add(ret, (double)(now - start) / USEC_PER_MSEC);
	return 0;
}

static int cpu_of_window(struct scale_bench *b, usec_t *ret)
{
	clockid_t clock;
	usec_t before;

	if (clock_getcpuclockid(gateway_pid(b->gateway), &clock) != 0)
		return lab_fail(ESRCH, "the daemon's clock");
	before = clock_read(clock);
	lab_sleep(WINDOW_USEC);
	*ret = clock_read(clock) - before;
	return 0;
}

/* A pass begins one interval after the end of the one before. */
static double cpu_of_pass_ms(usec_t window_cpu)
{
	double passes = (double)(WINDOW_USEC - window_cpu) / INTERVAL_USEC;

	return (double)window_cpu / USEC_PER_MSEC / passes;
}

static int measure_windows(struct scale_bench *b, const char *interval, struct stats_series *ret)
{
	int r;

	b->scale.reconcile = interval;
	r = scale_start(b);
	lab_sleep(USEC_PER_SEC);
	for (unsigned i = 0; r == 0 && i < WINDOWS; i++) {
		usec_t cpu = 0;

		r = cpu_of_window(b, &cpu);
		if (r == 0)
			stats_add(ret, cpu_of_pass_ms(cpu));
	}
	return r;
}

int scale_measure_drift(struct scale_bench *b)
{
	struct stats_series repair = { .name = "ipvsd, drift made -> repaired", .unit = "ms" };
	struct stats_series busy = { .name = "ipvsd, CPU of a pass that finds nothing",
				     .unit = "ms" };
	struct stats_series idle = { .name = "ipvsd, CPU in 1 s without a pass", .unit = "ms" };
	const struct stats_series *rows[] = { &repair, &busy, &idle };
	int r;

	r = measure_windows(b, INTERVAL_TEXT, &busy);
	for (unsigned i = 0; r == 0 && i < REPAIRS; i++)
		r = measure_repair(b, i, &repair);
	if (r == 0)
		r = scale_stop(b);
	if (r == 0)
		r = measure_windows(b, "1h", &idle);
	if (r == 0)
		r = scale_stop(b);
	if (r < 0)
		return r;
	stats_print_table(
		"drift: a weight edited and a service deleted; reconcile-interval " INTERVAL_TEXT,
		rows, ARRAY_SIZE(rows));
	return 0;
}

static int64_t status_writes(struct scale_bench *b)
{
	json_t *status = NULL;
	json_int_t writes = -1;

	(void)gateway_request(b->gateway, "GET", "/v1/status", NULL, &status);
	(void)json_unpack(status, "{s:I}", "netlink_writes", &writes);
	json_decref(status);
	return writes;
}

static int count_one(struct scale_bench *b, const char *name, uint64_t expected)
{
	struct writes w;
	int64_t before = status_writes(b), after;
	int r = writes_start(&w, gateway_pid(b->gateway), kernel_table_family(b->table));

	if (r < 0)
		return r;
	r = scale_post_reload(b);
	if (writes_stop(&w) < 0 || r < 0)
		return r < 0 ? r : w.error;
	after = status_writes(b);
	printf("  %-43s        %10llu %10lld  %10llu  %s\n", name, (unsigned long long)w.requests,
	       (long long)(after - before), (unsigned long long)w.queries,
	       w.requests == expected && after - before == (int64_t)expected ? "PASS" : "MISS");
	if (w.queries == 0)
		return lab_fail(ENODATA, "the tracer saw no request at all");
	return 0;
}

int scale_count_writes(struct scale_bench *b)
{
	int r = scale_start(b);

	if (r < 0)
		return r;
	printf("\n%-52s %10s %10s  %10s\n", "netlink requests of a reload", "writes", "own count",
	       "queries");
	r = count_one(b, "no change", 0);
	if (r < 0)
		return r;
	b->scale.changed_weight++;
	r = scale_write_ipvsd(&b->scale, LAB_CONF_PATH);
	if (r == 0)
		r = count_one(b, "one weight", 1);
	return r < 0 ? r : scale_stop(b);
}
