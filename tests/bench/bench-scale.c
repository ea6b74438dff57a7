/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * 100 services of 100 targets: from empty, a reload without change, one weight, drift; against `ipvsadm -R` and
 * keepalived, which take turns in every round. Needs a kernel with IPVS. Measures: a missed goal is printed and is no
 * failure; a program that does not do its work is one.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/scale-bench.h"

enum {
	SERVICES = 100,
	TARGETS = 100,
	ROUNDS = 5,
	CHANGES = 2, /* of each kind, in a round */
	STOP_TIMEOUT_SEC = 30,
	/* What a program does after its answer, a look at all of the table for one, is not the next one's. */
	SETTLE_MSEC = 2500,
};

/* All in milliseconds. */
static struct {
	struct stats_series floor, ipvsadm, keepalived, cold, ready, reload, reload_exit;
} empty = {
	.floor = { .name = "the kernel alone, requests made before", .unit = "ms" },
	.ipvsadm = { .name = "ipvsadm -R", .unit = "ms" },
	.keepalived = { .name = "keepalived, cold start", .unit = "ms" },
	.cold = { .name = "ipvsd, cold start", .unit = "ms" },
	.ready = { .name = "ipvsd, cold start -> READY=1", .unit = "ms" },
	.reload = { .name = "ipvsd reload, empty -> full", .unit = "ms" },
	.reload_exit = { .name = "ipvsd reload, empty -> full, its exit", .unit = "ms" },
};

static struct {
	struct stats_series version, cli, http;
} noop = {
	.version = { .name = "ipvsd version (the price of a program)", .unit = "ms" },
	.cli = { .name = "ipvsd reload", .unit = "ms" },
	.http = { .name = "POST /v1/reload", .unit = "ms" },
};

static struct {
	struct stats_series keepalived, hangup, http, cli;
} change = {
	.keepalived = { .name = "keepalived, SIGHUP -> weight", .unit = "ms" },
	.hangup = { .name = "ipvsd, SIGHUP -> weight", .unit = "ms" },
	.http = { .name = "ipvsd, POST /v1/reload -> answer", .unit = "ms" },
	.cli = { .name = "ipvsd reload -> exit", .unit = "ms" },
};

static void add_ms(struct stats_series *s, usec_t from, usec_t to)
{
	stats_add(s, (double)(to - from) / USEC_PER_MSEC);
}

int scale_post_reload(struct scale_bench *b)
{
	json_t *answer = NULL;
	int status = gateway_request(b->gateway, "POST", "/v1/reload", NULL, &answer);

	json_decref(answer);
	if (status == 200)
		return 0;
	gateway_print_log(b->gateway);
	return lab_fail(EIO, "POST /v1/reload: %d", status);
}

static int forget_state(struct scale_bench *b)
{
	static const char *const argv[] = { "rm", "-rf", LAB_STATE_DIRECTORY, NULL };
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	return lab_run(&b->lab->gateway, argv, &result);
}

static int start_cold(struct scale_bench *b, usec_t *ret_start, usec_t *ret_table)
{
	int r = forget_state(b);

	if (r == 0)
		r = scale_write_ipvsd(&b->scale, LAB_CONF_PATH);
	if (r < 0)
		return r;
	*ret_start = clock_monotonic_usec();
	r = gateway_launch(b->gateway, NULL);
	if (r == 0)
		r = rivals_wait_table(b->table, &b->scale, ret_table);
	if (r == 0)
		r = gateway_wait_ready(b->gateway, STOP_TIMEOUT_SEC * USEC_PER_SEC);
	if (r < 0)
		gateway_print_log(b->gateway);
	return r;
}

int scale_start(struct scale_bench *b)
{
	usec_t start, table = 0;

	return start_cold(b, &start, &table);
}

int scale_stop(struct scale_bench *b)
{
	int r = gateway_stop(b->gateway, SIGTERM);

	if (r != 0)
		return lab_fail(EIO, "the daemon ended with status %d", r);
	return kernel_table_flush(b->table);
}

/* `ipvsd reload` to its end. */
static int run_reload(struct scale_bench *b, struct stats_series *ret)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	int r = gateway_command(b->gateway, &result, "reload", "--socket", LAB_CONTROL_SOCKET,
				NULL);

	if (r < 0)
		return r;
	if (result.status != 0)
		return lab_fail(EIO, "ipvsd reload: status %d: %s", result.status, result.err);
	stats_add(ret, (double)result.duration_usec / USEC_PER_MSEC);
	return 0;
}

static int measure_noop(struct scale_bench *b)
{
	_cleanup_(lab_result_deinit) struct lab_result version = LAB_RESULT_INIT;
	usec_t start;
	int r = gateway_command(b->gateway, &version, "version", NULL);

	if (r < 0)
		return r;
	stats_add(&noop.version, (double)version.duration_usec / USEC_PER_MSEC);
	start = clock_monotonic_usec();
	r = scale_post_reload(b);
	if (r < 0)
		return r;
	add_ms(&noop.http, start, clock_monotonic_usec());
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);
	r = run_reload(b, &noop.cli);
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);
	return r;
}

static int change_weight(struct scale_bench *b)
{
	b->scale.changed_weight++;
	return scale_write_ipvsd(&b->scale, LAB_CONF_PATH);
}

static int measure_changes(struct scale_bench *b)
{
	usec_t start, seen = 0;
	int r = change_weight(b);

	if (r < 0)
		return r;
	start = clock_monotonic_usec();
	if (kill(gateway_pid(b->gateway), SIGHUP) < 0)
		return lab_fail(errno, "SIGHUP");
	r = rivals_wait_weight(b->table, &b->scale, &seen);
	if (r < 0)
		return r;
	add_ms(&change.hangup, start, seen);
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);

	r = change_weight(b);
	start = clock_monotonic_usec();
	if (r == 0)
		r = scale_post_reload(b);
	if (r < 0)
		return r;
	add_ms(&change.http, start, clock_monotonic_usec());
	r = rivals_wait_weight(b->table, &b->scale, &seen);
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);

	if (r == 0)
		r = change_weight(b);
	if (r == 0)
		r = run_reload(b, &change.cli);
	if (r == 0)
		r = rivals_wait_weight(b->table, &b->scale, &seen);
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);
	return r;
}

/* A daemon that runs with nothing to do is given everything. */
static int round_reload(struct scale_bench *b)
{
	_cleanup_(lab_process_deinit) struct lab_process reload = LAB_PROCESS_INIT;
	const struct scale nothing = { .reconcile = b->scale.reconcile };
	char program[LAB_PATH_MAX];
	const char *argv[] = { lab_program("../daemon/ipvsd", program), "reload", "--socket",
			       LAB_CONTROL_SOCKET, NULL };
	usec_t start, seen = 0;
	int r = forget_state(b);

	if (r == 0)
		r = scale_write_ipvsd(&nothing, LAB_CONF_PATH);
	if (r == 0)
		r = gateway_launch(b->gateway, NULL);
	if (r == 0)
		r = gateway_wait_ready(b->gateway, STOP_TIMEOUT_SEC * USEC_PER_SEC);
	if (r == 0)
		r = scale_write_ipvsd(&b->scale, LAB_CONF_PATH);
	if (r < 0)
		return r;
	start = clock_monotonic_usec();
	r = lab_spawn(&b->lab->gateway, argv, NULL, &reload);
	if (r == 0)
		r = rivals_wait_table(b->table, &b->scale, &seen);
	if (r < 0)
		return r;
	add_ms(&empty.reload, start, seen);
	r = lab_process_wait(&reload, STOP_TIMEOUT_SEC * USEC_PER_SEC);
	if (r == 0 && reload.status == 0)
		add_ms(&empty.reload_exit, start, clock_monotonic_usec());
	if (r == 0 && reload.status != 0)
		r = lab_fail(EIO, "reload: %d", reload.status);
	return r < 0 ? r : scale_stop(b);
}

static int round_ipvsd(struct scale_bench *b)
{
	usec_t start, table = 0;
	int r = start_cold(b, &start, &table);

	if (r < 0)
		return r;
	add_ms(&empty.cold, start, table);
	add_ms(&empty.ready, start, clock_monotonic_usec());
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);
	r = measure_noop(b);
	for (unsigned i = 0; r == 0 && i < CHANGES; i++)
		r = measure_changes(b);
	return r < 0 ? r : scale_stop(b);
}

static int round_ipvsadm(struct scale_bench *b)
{
	usec_t start, seen = 0;
	pid_t pid;
	int r = scale_write_ipvsadm(&b->scale);

	if (r < 0)
		return r;
	start = clock_monotonic_usec();
	r = rivals_ipvsadm_start(b->lab, &pid);
	if (r == 0)
		r = rivals_wait_table(b->table, &b->scale, &seen);
	if (r < 0)
		return r;
	add_ms(&empty.ipvsadm, start, seen);
	r = rivals_ipvsadm_wait(pid);
	return r != 0 ? lab_fail(EIO, "ipvsadm -R: status %d", r) : kernel_table_flush(b->table);
}

static int round_floor(struct scale_bench *b)
{
	return scale_measure_floor(b, &empty.floor);
}

static int round_keepalived(struct scale_bench *b)
{
	usec_t start, seen = 0;
	int r = scale_write_keepalived(&b->scale);

	if (r < 0)
		return r;
	start = clock_monotonic_usec();
	r = rivals_keepalived_start(b->lab, &b->keepalived);
	if (r == 0)
		r = rivals_wait_table(b->table, &b->scale, &seen);
	if (r < 0)
		return r;
	add_ms(&empty.keepalived, start, seen);
	lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);
	for (unsigned i = 0; i < CHANGES; i++) {
		b->scale.changed_weight++;
		r = scale_write_keepalived(&b->scale);
		start = clock_monotonic_usec();
		if (r == 0)
			r = lab_process_signal(&b->keepalived, SIGHUP);
		if (r == 0)
			r = rivals_wait_weight(b->table, &b->scale, &seen);
		if (r < 0)
			return r;
		add_ms(&change.keepalived, start, seen);
		lab_sleep(SETTLE_MSEC * USEC_PER_MSEC);
	}
	r = rivals_keepalived_stop(&b->keepalived);
	return r < 0 ? r : kernel_table_flush(b->table);
}

static int report(void)
{
	const struct stats_series *from_empty[] = {
		&empty.floor, &empty.ipvsadm, &empty.keepalived,  &empty.cold,
		&empty.ready, &empty.reload,  &empty.reload_exit,
	};
	const struct stats_series *no_change[] = { &noop.version, &noop.http, &noop.cli };
	const struct stats_series *one[] = { &change.keepalived, &change.hangup, &change.http,
					     &change.cli };
	int r = 0;

	stats_print_table("from empty to the complete table", from_empty, ARRAY_SIZE(from_empty));
	r |= stats_print_ratio(&empty.floor, &empty.keepalived, 0);
	r |= stats_print_ratio(&empty.floor, &empty.ipvsadm, 0);
	r |= stats_print_ratio(&empty.cold, &empty.ipvsadm, 0.2);
	r |= stats_print_ratio(&empty.reload, &empty.ipvsadm, 0.2);
	r |= stats_print_ratio(&empty.cold, &empty.keepalived, 0.3);
	r |= stats_print_ratio(&empty.reload, &empty.keepalived, 0.3);
	stats_print_table("reload without change", no_change, ARRAY_SIZE(no_change));
	stats_print_table("reload that changes one weight", one, ARRAY_SIZE(one));
	r |= stats_print_ratio(&change.hangup, &change.keepalived, 0.25);
	r |= stats_print_ratio(&change.http, &change.keepalived, 0.25);
	r |= stats_print_ratio(&change.cli, &change.keepalived, 0.25);
	return r;
}

static int add_network(const struct scale_bench *b)
{
	static const char *const link[] = { "ip", "link", "add", "scale", "type", "dummy", NULL };
	static const char *const up[] = { "ip", "link", "set", "scale", "up", NULL };
	static const char *const route[] = { "ip",  "route", "add", "10.0.0.0/8",
					     "dev", "scale", NULL };
	static const char *const *const commands[] = { link, up, route };
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int r = lab_run(&b->lab->gateway, commands[i], &result);

		if (r < 0)
			return r;
		if (result.status != 0)
			return lab_fail(EIO, "ip: %s", result.err);
	}
	return lab_address_add(&b->lab->gateway, "scale", SCALE_VIP "/32");
}

static void close_lab(struct scale_bench *b)
{
	lab_process_deinit(&b->keepalived);
	kernel_table_free(b->table);
	b->table = NULL;
	if (b->gateway)
		gateway_free(b->gateway);
	b->gateway = NULL;
	if (b->lab)
		lab_free(b->lab);
	b->lab = NULL;
}

/*
 * New namespaces for each program: the kernel keeps removed destinations for two minutes in one list, which every new
 * one is compared with (ip_vs_trash_get_dest), so whoever came after a full table would pay for it.
 */
static int open_lab(struct scale_bench *b)
{
	static const struct lab_spec spec = { 0 };
	int r;

	close_lab(b);
	r = lab_new(&spec, &b->lab);
	if (r == 0)
		r = add_network(b);
	if (r == 0)
		r = gateway_new(b->lab, &b->gateway);
	return r < 0 ? r : kernel_table_open(&b->lab->gateway, &b->table);
}

static int measure(struct scale_bench *b)
{
	static int (*const rounds[])(struct scale_bench *) = {
		round_floor, round_ipvsadm, round_ipvsd, round_keepalived, round_reload,
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < b->rounds; i++) {
		for (size_t k = 0; r == 0 && k < ARRAY_SIZE(rounds); k++) {
			r = open_lab(b);
			if (r == 0)
				r = rounds[k](b);
		}
		(void)fprintf(stderr, "round %u of %u done\n", i + 1, b->rounds);
	}
	if (r == 0)
		r = report();
	if (r == 0)
		r = open_lab(b);
	if (r == 0)
		r = scale_count_writes(b);
	return r < 0 ? r : scale_measure_drift(b);
}

/* bench-scale [ROUNDS] */
int main(int argc, char **argv)
{
	struct scale_bench b = {
		.keepalived = LAB_PROCESS_INIT,
		.rounds = argc > 1 ? (unsigned)atoi(argv[1]) : ROUNDS,
		.scale = { SERVICES, TARGETS, SCALE_WEIGHT + 1, "10s" },
	};
	int r;

	printf("%d services of %d targets\n", SERVICES, TARGETS);
	r = measure(&b);
	close_lab(&b);
	return r < 0 ? 1 : 0;
}
