/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_cycles.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "dpdk-fastpath/port.h"
#include "tests/bench/bench-fastpath.h"

enum {
	CHANGE_PASSES = 96,
	TURNS = CHANGE_PASSES * PLANE_RIG_FRAMES / PORT_BURST, /* full bursts */
	CHANGE_NSEC = 1000000,
	CHANGES_PROCESSOR = 1, /* the worker's is 0 */
};

static const struct rank {
	const char *name;
	size_t of_10000;
} ranks[] = { { "median", 5000 }, { "p99", 9900 }, { "p99.9", 9990 }, { "max", 10000 } };

struct changer {
	struct plane_rig *rig;
	_Atomic bool stop;
	unsigned number;
	double per_second, usec_each;
};

static void *change_all_the_time(void *arg)
{
	const usec_t begin = clock_monotonic_usec();
	struct changer *c = arg;
	struct timespec next;
	usec_t busy_usec = 0;
	unsigned n = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	while (!atomic_load(&c->stop)) {
		const usec_t at = clock_monotonic_usec();

		plane_rig_change(c->rig, c->number++);
		busy_usec += clock_monotonic_usec() - at;
		n++;
		next.tv_nsec += CHANGE_NSEC;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	c->per_second = n * 1e6 / (double)(clock_monotonic_usec() - begin);
	c->usec_each = n > 0 ? (double)busy_usec / n : 0;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void add_ranks(struct stats_series series[ARRAY_SIZE(ranks)], struct plane_rig_time *t)
{
	const double usec = 1e6 / (double)rte_get_tsc_hz();

	qsort(t->turns, t->n_turns, sizeof(*t->turns), compare);
	for (size_t i = 0; i < ARRAY_SIZE(ranks); i++) {
		size_t at = MIN(t->n_turns * ranks[i].of_10000 / 10000, t->n_turns - 1);

		stats_add(&series[i], t->turns[at] * usec);
	}
}

/* A turn is timed by the clock: what others took of the processor shows, and may be all that shows. */
static double share(const struct plane_rig_time *t)
{
	return 100 * t->nsec / (t->cycles * 1e9 / (double)rte_get_tsc_hz());
}

struct turns {
	struct stats_series quiet[ARRAY_SIZE(ranks)], changing[ARRAY_SIZE(ranks)];
	struct stats_series added, rate, each, share;
	size_t frames;
};

static void sample(struct plane_rig *rig, struct plane_rig_time *t)
{
	t->n_turns = 0;
	t->nsec = t->cycles = 0;
	plane_rig_steady(rig, 0, PLANE_RIG_DIRECTOR, CHANGE_PASSES, t);
}

static void sample_with_changes(struct changer *c, struct plane_rig_time *t)
{
	pthread_attr_t attributes;
	pthread_t thread;
	cpu_set_t set;
	int r;

	CPU_ZERO(&set);
	CPU_SET(CHANGES_PROCESSOR, &set);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
	atomic_store(&c->stop, false);
	r = pthread_create(&thread, &attributes, change_all_the_time, c);
	(void)pthread_attr_destroy(&attributes);
	if (r != 0) {
		(void)fprintf(stderr, "bench: thread on processor %d: %s\n", CHANGES_PROCESSOR,
			      strerror(r));
		exit(1);
	}
	sample(c->rig, t);
	atomic_store(&c->stop, true);
	(void)pthread_join(thread, NULL);
}

static void measure(unsigned rounds, size_t flows, const char *scheduler, struct turns *s)
{
	const struct plane_rig_config config = { .forward = IPVS_FORWARD_FULL_NAT,
						 .scheduler = scheduler,
						 .n_dests = BENCH_DESTS,
						 .max_flows = flows,
						 .n_lanes = 1 };
	struct changer changer = { .rig = plane_rig_new(&config) };
	struct plane_rig_time t = { .turns = calloc(TURNS, sizeof(uint32_t)), .max_turns = TURNS };
	const size_t last = ARRAY_SIZE(ranks) - 2;

	if (!t.turns)
		exit(1);
	plane_rig_open(changer.rig, flows);
	sample(changer.rig, &t); /* warms up */
	for (unsigned i = 0; i < rounds; i++) {
		sample(changer.rig, &t);
		add_ranks(s->quiet, &t);
		stats_add(&s->share, share(&t));
		sample_with_changes(&changer, &t);
		add_ranks(s->changing, &t);
		stats_add(&s->rate, changer.per_second);
		stats_add(&s->each, changer.usec_each);
		stats_add(&s->added, s->changing[last].samples[i] - s->quiet[last].samples[i]);
		s->frames += (size_t)CHANGE_PASSES * PLANE_RIG_FRAMES;
	}
	free(t.turns);
	plane_rig_free(changer.rig);
}

static void print(const char *scheduler, const struct turns *s)
{
	const struct stats_series *rows[2 * ARRAY_SIZE(ranks) + 4];
	struct stats_series named[2 * ARRAY_SIZE(ranks)];
	char names[2 * ARRAY_SIZE(ranks)][48], heading[64];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ranks); i++)
		for (int changing = 0; changing < 2; changing++, n++) {
			(void)snprintf(names[n], sizeof(names[n]), "%s, %s", ranks[i].name,
				       changing ? "with changes" : "without");
			named[n] = changing ? s->changing[i] : s->quiet[i];
			named[n].name = names[n];
			named[n].unit = "us";
			rows[n] = &named[n];
		}
	rows[n++] = &s->added;
	rows[n++] = &s->rate;
	rows[n++] = &s->each;
	rows[n++] = &s->share;
	(void)snprintf(heading, sizeof(heading), "a worker's turn, %d packets, full-nat, %s",
		       PORT_BURST, scheduler);
	stats_print_table(heading, rows, n);
	/* The rig ends the program otherwise. */
	printf("  packets lost of %zu that were forwarded meanwhile: 0\n", s->frames);
}

void bench_changes(unsigned rounds, size_t flows)
{
	static const char *const schedulers[] = { "wrr", "mh" };

	for (size_t i = 0; i < ARRAY_SIZE(schedulers); i++) {
		struct turns *s = calloc(1, sizeof(*s));

		if (!s)
			exit(1);
		s->added = (struct stats_series){ .name = "added at p99.9", .unit = "us" };
		s->rate = (struct stats_series){ .name = "changes (weights) that were made",
						 .unit = "1/s" };
		s->each = (struct stats_series){ .name = "a change, on the control thread",
						 .unit = "us" };
		s->share = (struct stats_series){ .name = "the worker's share of its processor",
						  .unit = "%" };
		measure(rounds, flows, schedulers[i], s);
		print(schedulers[i], s);
		free(s);
	}
}
