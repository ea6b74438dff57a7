/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What health checks cost: real health workers against a server that listens on 127.0.0.0/8, and the daemon's half of
 * the work, from their results to verdicts and histories, without a data plane.
 *
 *   bench-worker tcp|http PORT TARGETS INTERVAL_MSEC SECONDS [TIMEOUT_MSEC:RISE:FALL]
 *
 * With the last argument, a line for each verdict that changes.
 * Prints, of SECONDS after each target was checked once: checks a second, CPU a check (user and system, of
 * /proc/PID/stat) of the workers and of the daemon's half, memory at its highest, and how late checks began.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/checks.h"
#include "daemon/manager.h"
#include "daemon/worker-pool.h"
#include "health/outcome.h"
#include "health/worker.h"

enum {
	GROUP_TARGETS = 250,
	HISTORY = 100, /* the default of health-history */
	PATH_SIZE = 64,
};

struct bench {
	struct conf conf;
	struct manager manager;
	usec_t timeout_usec;
	unsigned rise, fall;
	bool tells; /* of each verdict */
	uint64_t checks, outcomes[_PROBE_OUTCOME_MAX];
};

struct usage {
	double cpu_usec;
	unsigned long peak_kib;
};

static void on_expected(uint64_t id, void *userdata)
{
	const struct bench *b = userdata;

	checks_expect(b->manager.checks, id);
}

static void on_result(unsigned worker, const struct protocol_result *result, void *userdata)
{
	struct bench *b = userdata;
	struct target_group *g;
	const struct target *t = registry_find_id(&b->manager.registry, result->id, &g);
	enum target_state before = t->health.state;
	char address[ADDR_STR_MAX];

	b->checks++;
	b->outcomes[result->outcome]++;
	checks_take_result(b->manager.checks, worker, result, clock_monotonic_usec());
	if (b->tells && t->health.state != before)
		printf("%s %s\n", addr_format(&t->addr, address),
		       target_state_to_string(t->health.state));
}

static void on_heartbeat(unsigned worker, const struct protocol_heartbeat *beat, void *userdata)
{
	struct bench *b = userdata;

	checks_take_heartbeat(b->manager.checks, worker, beat);
}

static void on_trouble(const char *text, void *userdata)
{
	(void)userdata;
	(void)fprintf(stderr, "%s\n", text);
}

/* 127.1.0.1 and on, 250 to a group. */
static void make_group(const struct bench *b, struct conf_group *g, unsigned number, unsigned n,
		       uint16_t port, enum conf_check check, usec_t interval_usec)
{
	(void)snprintf(g->name, sizeof(g->name), "g%u", number);
	g->in_use = true;
	g->port = port;
	g->check.protocol = check;
	g->check.interval_usec = interval_usec;
	g->check.timeout_usec = MIN(interval_usec, b->timeout_usec);
	g->check.healthy_threshold = b->rise;
	g->check.unhealthy_threshold = b->fall;
	g->check.matcher.n = 1;
	g->check.matcher.ranges[0].low = g->check.matcher.ranges[0].high = 200;
	g->targets = calloc(n, sizeof(*g->targets));
	g->n_targets = n;
	for (unsigned i = 0; g->targets && i < n; i++) {
		g->targets[i].addr = (struct addr){
			.family = AF_INET,
			.bytes = { 127, 1, (uint8_t)number, (uint8_t)(1 + i) },
		};
		g->targets[i].weight = 1;
	}
}

static int start(struct bench *b, char **argv)
{
	const struct worker_handlers handlers = { on_expected, on_result, on_heartbeat, on_trouble,
						  b };
	const struct worker_users users = { "nobody", "nobody" };
	const struct registry none = REGISTRY_INIT;
	unsigned n = (unsigned)strtoul(argv[3], NULL, 10);
	sigset_t child;
	int r;

	b->conf.n_groups = (n + GROUP_TARGETS - 1) / GROUP_TARGETS;
	b->conf.groups = calloc(b->conf.n_groups, sizeof(*b->conf.groups));
	if (!b->conf.groups)
		return -ENOMEM;
	for (unsigned i = 0; i < b->conf.n_groups; i++)
		make_group(b, &b->conf.groups[i], i,
			   MIN(n - i * GROUP_TARGETS, (unsigned)GROUP_TARGETS),
			   (uint16_t)strtoul(argv[2], NULL, 10),
			   strcmp(argv[1], "tcp") == 0 ? CONF_CHECK_TCP : CONF_CHECK_HTTP,
			   strtoul(argv[4], NULL, 10) * USEC_PER_MSEC);
	b->conf.global.health_history = HISTORY;
	b->conf.global.lateness_limit_usec = USEC_PER_SEC;
	b->manager.conf = &b->conf;
	b->manager.apply_at_usec = 0; /* never: there is no plane */
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	r = event_ring_init(&b->manager.events, 1000);
	if (r >= 0)
		r = sd_event_new(&b->manager.event);
	if (r >= 0)
		r = registry_build(&b->conf, &none, 1, &b->manager.registry);
	if (r >= 0)
		r = checks_new(&b->manager, &b->manager.checks);
	if (r >= 0)
		r = worker_pool_new(b->manager.event, &users, &handlers, &b->manager.workers);
	return r < 0 ? r : manager_sync_probes(&b->manager);
}

static void stop(struct bench *b)
{
	worker_pool_free(b->manager.workers);
	checks_free(b->manager.checks);
	registry_deinit(&b->manager.registry);
	event_ring_deinit(&b->manager.events);
	sd_event_unref(b->manager.event);
	for (size_t i = 0; i < b->conf.n_groups; i++)
		free(b->conf.groups[i].targets);
	free(b->conf.groups);
}

static void run_for(struct bench *b, usec_t usec)
{
	usec_t end = clock_monotonic_usec() + usec;

	while (clock_monotonic_usec() < end)
		(void)sd_event_run(b->manager.event, 100 * USEC_PER_MSEC);
}

static void add_usage(struct usage *u, pid_t pid)
{
	_cleanup_fclose_ FILE *schedstat = NULL, *status = NULL;
	unsigned long long run_nsec = 0;
	unsigned long peak = 0;
	char path[PATH_SIZE], line[256];

	/* Of its one thread; the same sum as in stat, but not in ticks. */
	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	schedstat = fopen(path, "re");
	if (schedstat && fscanf(schedstat, "%llu", &run_nsec) == 1)
		u->cpu_usec += (double)run_nsec / 1e3;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %lu kB", &peak) == 1)
			u->peak_kib += peak;
}

static void measure(const struct bench *b, struct usage *ret_workers, struct usage *ret_daemon)
{
	struct worker_status s;

	*ret_workers = *ret_daemon = (struct usage){ 0 };
	for (unsigned w = 0; w < worker_pool_count(b->manager.workers); w++)
		if (worker_pool_status(b->manager.workers, w, clock_monotonic_usec(), &s))
			add_usage(ret_workers, s.pid);
	add_usage(ret_daemon, getpid());
}

static void print(const struct bench *b, const struct usage *before, const struct usage *after,
		  double seconds)
{
	const struct lateness *late = &b->manager.checks->lateness;
	double n = (double)b->checks;
	double workers = (after[0].cpu_usec - before[0].cpu_usec) / n;
	double daemon = (after[1].cpu_usec - before[1].cpu_usec) / n;

	printf("%.0f checks/s, %.2f us CPU a check (workers %.2f, daemon %.2f), peak %.1f MiB "
	       "(%lu + %lu KiB), late by %.1f ms (median) %.1f ms (p99), %u worker%s;",
	       n / seconds, workers + daemon, workers, daemon,
	       (double)(after[0].peak_kib + after[1].peak_kib) / 1024, after[0].peak_kib,
	       after[1].peak_kib, (double)lateness_percentile(late, 500) / 1e3,
	       (double)lateness_percentile(late, 990) / 1e3, worker_pool_count(b->manager.workers),
	       worker_pool_count(b->manager.workers) == 1 ? "" : "s");
	for (int o = 0; o < _PROBE_OUTCOME_MAX; o++)
		if (b->outcomes[o])
			printf(" %s %" PRIu64, probe_outcome_to_string((enum probe_outcome)o),
			       b->outcomes[o]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct usage before[2], after[2];
	struct bench b = { .timeout_usec = USEC_PER_SEC, .rise = 3, .fall = 2 };
	unsigned timeout_msec;
	usec_t length_usec;
	int r;

	log_init(LOG_INFO);
	if (argc == 4 && strcmp(argv[1], "health-worker") == 0)
		return worker_main(3, argv[2], WORKER_NETWORK);
	b.tells = argc == 7;
	if ((argc != 6 && argc != 7) ||
	    (b.tells && sscanf(argv[6], "%u:%u:%u", &timeout_msec, &b.rise, &b.fall) != 3)) {
		(void)fprintf(stderr,
			      "usage: %s tcp|http PORT TARGETS INTERVAL_MSEC SECONDS "
			      "[TIMEOUT_MSEC:RISE:FALL]\n",
			      argv[0]);
		return EXIT_FAILURE;
	}
	if (b.tells) {
		b.timeout_usec = timeout_msec * USEC_PER_MSEC;
		(void)setvbuf(stdout, NULL, _IOLBF, 0);
	}
	length_usec = strtoul(argv[5], NULL, 10) * USEC_PER_SEC;
	log_set_level(LOG_ERR);
	r = start(&b, argv);
	if (r < 0) {
		(void)fprintf(stderr, "cannot start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	run_for(&b, strtoul(argv[4], NULL, 10) * USEC_PER_MSEC + 2 * USEC_PER_SEC);
	measure(&b, &before[0], &before[1]);
	b.checks = 0;
	memset(b.outcomes, 0, sizeof(b.outcomes));
	memset(&b.manager.checks->lateness, 0, sizeof(b.manager.checks->lateness));
	run_for(&b, length_usec);
	measure(&b, &after[0], &after[1]);
	print(&b, before, after, (double)length_usec / 1e6);
	stop(&b);
	return EXIT_SUCCESS;
}
