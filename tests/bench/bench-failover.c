/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A target dies under load: how long until its weight is 0, and how many requests are lost; ipvsd and keepalived in
 * turns, with the same schedule: a probe a second, out after the second failure, which comes one second after the
 * first. The target refuses connections once it is dead, so that the time-out adds nothing.
 */

#include <signal.h>
#include <stdio.h>

#include "tests/bench/stats.h"
#include "tests/bench/kernel-table.h"
#include "tests/lab/gateway.h"
#include "tests/lab/lab.h"
#include "tests/lab/loadgen.h"
#include "tests/lab/realserver.h"

#define KEEPALIVED_CONF "/run/keepalived.conf"
#define INTERVAL_USEC USEC_PER_SEC
#define TIMEOUT_USEC (500 * USEC_PER_MSEC)
#define WAIT_USEC (20 * USEC_PER_SEC)

enum {
	BLOCKS = 4, /* of each program, in turns */
	SAMPLES = 5,
	UNHEALTHY = 2,
	RATE = 100,
	VIP_PORT = 80,
	MARGIN_MSEC = 100,
};

#define BOUND_USEC (INTERVAL_USEC * UNHEALTHY + TIMEOUT_USEC + MARGIN_MSEC * USEC_PER_MSEC)

static const char ipvsd_conf[] =
	"[ipvsd]\ncontrol-socket = " LAB_CONTROL_SOCKET "\nstate-directory = " LAB_STATE_DIRECTORY
	"\nhealth-user = nobody\n"
	"[listener web]\naddress = " LAB_VIP "\nport = 80\nforward = web\n"
	"[target-group web]\nalgorithm = round-robin\n"
	"targets = %s:8080 weight=1\n %s:8080 weight=1\n"
	"health-check-protocol = http\nhealth-check-path = /healthz\nmatcher = 200-299\n"
	"health-check-interval = 1s\nhealth-check-timeout = 500ms\n"
	"healthy-threshold = 2\nunhealthy-threshold = 2\n"
	"unhealthy-connection-termination = no\n";

static const char keepalived_service[] =
	"global_defs {\n\trouter_id bench\n}\n"
	"virtual_server " LAB_VIP " 80 {\n\tdelay_loop 1\n\tlvs_sched wrr\n\tlvs_method NAT\n"
	"\tprotocol TCP\n";

/* retry 1 after 1 s: out after two failures in a row. weight 0 instead of removal, as ipvsd does. */
static const char keepalived_server[] =
	"\treal_server %s 8080 {\n\t\tweight 1\n\t\tinhibit_on_failure\n\t\tHTTP_GET {\n"
	"\t\t\turl {\n\t\t\t\tpath /healthz\n\t\t\t\tstatus_code 200\n\t\t\t}\n"
	"\t\t\tconnect_timeout 1\n\t\t\tretry 1\n\t\t\tdelay_before_retry 1\n\t\t}\n\t}\n";

struct failover {
	struct lab *lab;
	struct gateway *gateway;
	struct lab_server servers[LAB_ZONES];
	struct lab_process keepalived;
	struct kernel_table *table;
	struct ipvs_service_key service;
	struct addr victim;
};

struct side {
	struct stats_series detection, lost, recovery;
	size_t late;
};

static int wait_weight(struct failover *f, int64_t weight, usec_t *ret)
{
	usec_t end = clock_monotonic_usec() + WAIT_USEC, now;

	do {
		int64_t w = kernel_table_weight(f->table, &f->service, &f->victim);

		now = clock_monotonic_usec();
		if (w == weight) {
			*ret = now;
			return 0;
		}
		lab_sleep(USEC_PER_MSEC);
	} while (now < end);
	return lab_fail(ETIMEDOUT, "the weight did not become %lld", (long long)weight);
}

static int measure_load(struct failover *f, struct side *side, unsigned i, struct lab_load *load)
{
	struct lab_load_summary lost;
	usec_t fault, down, back, up;
	int r;

	/* Spread over the interval. */
	lab_sleep(300 * USEC_PER_MSEC + i * INTERVAL_USEC / SAMPLES);
	fault = clock_monotonic_usec();
	lab_server_kill(&f->servers[0]);
	r = wait_weight(f, 0, &down);
	if (r < 0)
		return r;
	lab_sleep(MARGIN_MSEC * USEC_PER_MSEC);
	lost = lab_load_summarize(load, fault, USEC_NEVER);
	stats_add(&side->detection, (double)(down - fault) / USEC_PER_MSEC);
	stats_add(&side->lost, (double)lost.failed);
	side->late += down - fault > BOUND_USEC;
	back = clock_monotonic_usec();
	r = lab_server_restart(&f->servers[0]);
	if (r == 0)
		r = wait_weight(f, 1, &up);
	if (r == 0)
		stats_add(&side->recovery, (double)(up - back) / USEC_PER_MSEC);
	return r;
}

static int measure_block(struct failover *f, struct side *side)
{
	const struct lab_load_spec spec = {
		.from = &f->lab->internet,
		.url = { LAB_VIP, VIP_PORT, "/" },
		.rate = RATE,
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SAMPLES; i++) {
		struct lab_load *load;

		r = lab_load_start(&spec, &load);
		if (r < 0)
			return r;
		r = measure_load(f, side, i, load);
		lab_load_stop(load);
		lab_load_free(load);
	}
	return r;
}

static int block_ipvsd(struct failover *f, struct side *side)
{
	usec_t up;
	int r = gateway_configure(f->gateway, ipvsd_conf, f->lab->targets[0].address,
				  f->lab->targets[1].address);

	if (r == 0)
		r = gateway_start(f->gateway);
	if (r == 0)
		r = wait_weight(f, 1, &up);
	if (r == 0) {
		lab_sleep(INTERVAL_USEC * UNHEALTHY);
		r = measure_block(f, side);
	}
	if (r < 0)
		gateway_print_log(f->gateway);
	else
		r = gateway_stop(f->gateway, SIGTERM);
	return r == 0 ? kernel_table_flush(f->table) : lab_fail(EIO, "ipvsd: %d", r);
}

static int write_keepalived(const struct failover *f)
{
	FILE *conf = fopen(KEEPALIVED_CONF, "we");

	if (!conf)
		return lab_fail(errno, KEEPALIVED_CONF);
	(void)fputs(keepalived_service, conf);
	for (unsigned i = 0; i < LAB_ZONES; i++)
		(void)fprintf(conf, keepalived_server, f->lab->targets[i].address);
	(void)fputs("}\n", conf);
	return fclose(conf) == 0 ? 0 : lab_fail(errno, KEEPALIVED_CONF);
}

static int block_keepalived(struct failover *f, struct side *side)
{
	static const char *const argv[] = { "keepalived",	 "--dont-fork",
					    "--check",		 ("--use-file=" KEEPALIVED_CONF),
					    "--pid=/run/ka.pid", "--checkers_pid=/run/ka-check.pid",
					    "--no-syslog",	 NULL };
	usec_t up;
	int r = write_keepalived(f);

	if (r == 0)
		r = lab_spawn(&f->lab->gateway, argv, NULL, &f->keepalived);
	if (r == 0)
		r = wait_weight(f, 1, &up);
	if (r == 0) {
		lab_sleep(INTERVAL_USEC * UNHEALTHY);
		r = measure_block(f, side);
	}
	if (r == 0)
		r = lab_process_signal(&f->keepalived, SIGTERM);
	if (r == 0)
		r = lab_process_wait(&f->keepalived, WAIT_USEC);
	lab_process_deinit(&f->keepalived);
	return r == 0 ? kernel_table_flush(f->table) : r;
}

static void report(const struct side *ours, const struct side *theirs)
{
	const struct stats_series *rows[] = { &ours->detection, &theirs->detection,
					      &ours->lost,	&theirs->lost,
					      &ours->recovery,	&theirs->recovery };
	const double bound = (double)BOUND_USEC / USEC_PER_MSEC;

	stats_print_table("a target dies; a probe a second, out after 2 failures", rows,
			  ARRAY_SIZE(rows));
	(void)stats_print_ratio(&ours->detection, &theirs->detection, 0);
	(void)stats_print_ratio(&ours->lost, &theirs->lost, 0);
	printf("  later than interval x 2 + timeout + %d ms = %.0f ms: ipvsd %zu of %zu (%s), "
	       "keepalived %zu of %zu\n",
	       MARGIN_MSEC, bound, ours->late, ours->detection.n, ours->late ? "MISS" : "PASS",
	       theirs->late, theirs->detection.n);
}

static int measure(struct failover *f)
{
	static struct side ours = {
		.detection = { .name = "ipvsd, death -> weight 0", .unit = "ms" },
		.lost = { .name = "ipvsd, requests lost (100 a second)", .unit = "" },
		.recovery = { .name = "ipvsd, server back -> weight 1", .unit = "ms" },
	};
	static struct side theirs = {
		.detection = { .name = "keepalived, death -> weight 0", .unit = "ms" },
		.lost = { .name = "keepalived, requests lost (100 a second)", .unit = "" },
		.recovery = { .name = "keepalived, server back -> weight 1", .unit = "ms" },
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < BLOCKS; i++) {
		r = block_ipvsd(f, &ours);
		if (r == 0)
			r = block_keepalived(f, &theirs);
		(void)fprintf(stderr, "block %u of %u done\n", i + 1, BLOCKS);
	}
	if (r == 0)
		report(&ours, &theirs);
	return r;
}

static int set_up(struct failover *f)
{
	static const struct lab_spec spec = { .targets = { 1, 1 } };
	int r = lab_new(&spec, &f->lab);

	if (r == 0)
		r = gateway_new(f->lab, &f->gateway);
	if (r == 0)
		r = kernel_table_open(&f->lab->gateway, &f->table);
	/* Neither program owns the address. */
	if (r == 0)
		r = lab_address_add(&f->lab->gateway, "public", LAB_VIP "/32");
	for (unsigned i = 0; r == 0 && i < LAB_ZONES; i++)
		r = lab_server_start(&f->lab->targets[i], &f->servers[i]);
	if (r == 0)
		r = addr_parse(LAB_VIP, &f->service.addr);
	if (r == 0)
		r = addr_parse(f->lab->targets[0].address, &f->victim);
	return r;
}

int main(void)
{
	struct failover f = {
		.servers = { LAB_SERVER_INIT, LAB_SERVER_INIT },
		.keepalived = LAB_PROCESS_INIT,
		.service = { .family = AF_INET, .protocol = IPPROTO_TCP, .port = VIP_PORT },
	};
	int r = set_up(&f);

	if (r == 0)
		r = measure(&f);
	lab_process_deinit(&f.keepalived);
	for (unsigned i = 0; i < LAB_ZONES; i++)
		lab_server_deinit(&f.servers[i]);
	kernel_table_free(f.table);
	if (f.gateway)
		gateway_free(f.gateway);
	if (f.lab)
		lab_free(f.lab);
	return r == 0 ? 0 : 1;
}
