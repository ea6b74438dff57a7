/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/bench/bench-fastpath.h"

struct job {
	struct plane_rig *rig;
	unsigned lane; /* and processor */
	bool mixed;
	enum plane_rig_work work;
	pthread_barrier_t *begin;
	struct plane_rig_time time;
};

static void *do_job(void *arg)
{
	struct job *j = arg;

	(void)pthread_barrier_wait(j->begin);
	if (j->mixed)
		plane_rig_mixed(j->rig, j->lane, BENCH_PASSES, &j->time);
	else
		plane_rig_steady(j->rig, j->lane, j->work, BENCH_PASSES, &j->time);
	return NULL;
}

static bool start(struct job *j, pthread_t *ret)
{
	pthread_attr_t attributes;
	cpu_set_t set;
	int r;

	CPU_ZERO(&set);
	CPU_SET(j->lane, &set);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
	r = pthread_create(ret, &attributes, do_job, j);
	(void)pthread_attr_destroy(&attributes);
	return r == 0;
}

static double mpps(const struct plane_rig_time *t)
{
	return (double)t->frames / t->nsec * 1000;
}

/* Million packets per second of both: each lane's by its own CPU time. */
static double together(struct plane_rig *rig, bool mixed, enum plane_rig_work work)
{
	pthread_t threads[PLANE_RIG_LANES];
	struct job jobs[PLANE_RIG_LANES];
	pthread_barrier_t begin;
	double sum = 0;

	(void)pthread_barrier_init(&begin, NULL, PLANE_RIG_LANES);
	for (unsigned i = 0; i < PLANE_RIG_LANES; i++) {
		jobs[i] = (struct job){
			.rig = rig, .lane = i, .mixed = mixed, .work = work, .begin = &begin
		};
		if (!start(&jobs[i], &threads[i])) {
			(void)fprintf(stderr, "bench: no thread on processor %u\n", i);
			exit(1);
		}
	}
	for (unsigned i = 0; i < PLANE_RIG_LANES; i++) {
		(void)pthread_join(threads[i], NULL);
		sum += mpps(&jobs[i].time);
	}
	(void)pthread_barrier_destroy(&begin);
	return sum;
}

static double alone(struct plane_rig *rig, enum plane_rig_work work)
{
	struct plane_rig_time t = { 0 };

	plane_rig_steady(rig, 0, work, BENCH_PASSES, &t);
	return mpps(&t);
}

enum row {
	ALONE,
	BOTH,
	MIXED,
	LIMIT_ALONE,
	LIMIT_BOTH,
	TWICE,
	LIMIT_TWICE,
	_ROW_MAX,
};

static void rates(struct plane_rig *rig, unsigned rounds)
{
	struct stats_series s[_ROW_MAX] = {
		[ALONE] = { .name = "one worker alone", .unit = "Mpps" },
		[BOTH] = { .name = "two workers", .unit = "Mpps" },
		[MIXED] = { .name = "two workers, half of the packets handed over",
			    .unit = "Mpps" },
		[LIMIT_ALONE] = { .name = "limit (look-up and rewrite), one alone",
				  .unit = "Mpps" },
		[LIMIT_BOTH] = { .name = "limit, two", .unit = "Mpps" },
		[TWICE] = { .name = "twice one worker" },
		[LIMIT_TWICE] = { .name = "twice one limit" },
	};
	const struct stats_series *rows[] = { &s[ALONE], &s[BOTH], &s[MIXED], &s[LIMIT_ALONE],
					      &s[LIMIT_BOTH] };

	for (unsigned i = 0; i < rounds + 1; i++) {
		const double values[_ROW_MAX] = {
			[ALONE] = alone(rig, PLANE_RIG_DIRECTOR),
			[BOTH] = together(rig, false, PLANE_RIG_DIRECTOR),
			[MIXED] = together(rig, true, PLANE_RIG_DIRECTOR),
			[LIMIT_ALONE] = alone(rig, PLANE_RIG_LIMIT),
			[LIMIT_BOTH] = together(rig, false, PLANE_RIG_LIMIT),
		};

		for (int k = 0; i > 0 && k < TWICE; k++) /* the first warms up */
			stats_add(&s[k], values[k]);
		if (i > 0) {
			stats_add(&s[TWICE], 2 * values[ALONE]);
			stats_add(&s[LIMIT_TWICE], 2 * values[LIMIT_ALONE]);
		}
	}
	stats_print_table("workers on two processors, full-nat", rows, ARRAY_SIZE(rows));
	(void)stats_print_ratio(&s[BOTH], &s[TWICE], 0);
	(void)stats_print_ratio(&s[LIMIT_BOTH], &s[LIMIT_TWICE], 0);
	(void)stats_print_ratio(&s[MIXED], &s[BOTH], 0);
}

static void hand_over(struct plane_rig *rig, unsigned rounds)
{
	struct stats_series giver = { .name = "the worker that hands over", .unit = "ns" };
	struct stats_series owner = { .name = "the owner, from the hand-over ring", .unit = "ns" };
	struct stats_series home = { .name = "the owner, from its own queue", .unit = "ns" };
	struct stats_series cost = { .name = "a packet handed over costs more by", .unit = "ns" };
	const struct stats_series *rows[] = { &giver, &owner, &home, &cost };

	for (unsigned i = 0; i < rounds + 1; i++) {
		struct plane_rig_gift t = { 0 };

		plane_rig_give(rig, BENCH_PASSES, &t);
		if (i == 0)
			continue;
		stats_add(&giver, t.giver.nsec / (double)t.giver.frames);
		stats_add(&owner, t.owner.nsec / (double)t.owner.frames);
		stats_add(&home, t.home.nsec / (double)t.home.frames);
		stats_add(&cost, giver.samples[i - 1] + owner.samples[i - 1] - home.samples[i - 1]);
	}
	stats_print_table("hand-over, a packet, both sides in turns on one processor", rows,
			  ARRAY_SIZE(rows));
}

/* Two hyper-threads share what makes up most of a core. */
static void print_siblings(void)
{
	_cleanup_fclose_ FILE *f =
		fopen("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "re");
	char line[64];

	if (!f || !fgets(line, sizeof(line), f))
		return;
	line[strcspn(line, "\n")] = 0;
	printf("  processors that are threads of one core with processor 0: %s\n", line);
}

void bench_workers(unsigned rounds, size_t flows)
{
	const struct plane_rig_config config = { .forward = IPVS_FORWARD_FULL_NAT,
						 .scheduler = "wrr",
						 .n_dests = BENCH_DESTS,
						 .max_flows = flows,
						 .n_lanes = PLANE_RIG_LANES };
	struct plane_rig *rig = plane_rig_new(&config);

	plane_rig_open(rig, flows);
	rates(rig, rounds);
	print_siblings();
	hand_over(rig, rounds);
	plane_rig_free(rig);
}
