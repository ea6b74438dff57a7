/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bench-fastpath [ROUNDS [LARGEST]]
 *
 * Nanoseconds and packets a second of one worker on a port in memory (plane-rig.h says what that leaves out), for each
 * forwarding method and number of flows, beside its limit in the same run: the same table looked up and the same
 * headers rewritten, and nothing else. New connections a second, memory a flow, and what a thousand changes of
 * the configuration a second add to the time of a burst. ROUNDS 5, LARGEST 10000000 flows.
 *
 * CPU time of the measuring thread: what others take of the processor does not count, what they do to its caches does.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "tests/bench/plane-rig.h"
#include "tests/bench/stats.h"

enum {
	PASSES = 24, /* of 16384 packets: 0.4 million a sample */
	LIVES = 1 << 20,
	DESTS = 1000,
};

static unsigned rounds = 5;

static const struct mode {
	const char *name;
	enum ipvs_forward forward;
} modes[] = {
	{ "full-nat", IPVS_FORWARD_FULL_NAT },
	{ "nat", IPVS_FORWARD_MASQ },
	{ "direct", IPVS_FORWARD_ROUTE },
};

/* Per packet; cycles are the TSC's. */
struct cost {
	struct stats_series nsec, cycles;
};

static void add(struct cost *c, const struct plane_rig_time *t)
{
	stats_add(&c->nsec, t->nsec / (double)t->frames);
	stats_add(&c->cycles, t->cycles / (double)t->frames);
}

static struct stats_spread spread_of(const struct stats_series *s)
{
	double values[STATS_SAMPLES_MAX];

	memcpy(values, s->samples, s->n * sizeof(*values));
	return stats_spread(values, s->n);
}

static void print_cost(const char *what, size_t flows, const struct cost *c, double goal_mpps)
{
	struct stats_spread ns = spread_of(&c->nsec), cycles = spread_of(&c->cycles);
	double mpps = 1000 / ns.median;

	printf("  %-10s %9zu flows  %6.1f ns (%5.1f-%6.1f)  %6.0f cycles  %6.2f Mpps", what, flows,
	       ns.median, ns.min, ns.max, cycles.median, mpps);
	if (goal_mpps > 0)
		printf("  goal %.0f: %s", goal_mpps, mpps >= goal_mpps ? "PASS" : "MISS");
	(void)putchar('\n');
	(void)fflush(stdout);
}

static double goal_of(enum ipvs_forward forward, size_t flows)
{
	(void)forward;
	return flows == 1000000 ? 15 : flows == 10000000 ? 12 : 0;
}

static void steady(const struct mode *mode, size_t flows)
{
	struct plane_rig_config config = { mode->forward, "wrr", DESTS, flows };
	struct plane_rig *r = plane_rig_new(&config);
	static const char *const names[] = { "", "limit", "macswap", "nothing" };
	struct cost costs[4];

	memset(costs, 0, sizeof(costs));
	plane_rig_open(r, flows);
	for (unsigned i = 0; i < rounds + 1; i++)
		for (int work = PLANE_RIG_DIRECTOR; work <= PLANE_RIG_NOTHING; work++) {
			struct plane_rig_time t = { 0 };

			plane_rig_steady(r, (enum plane_rig_work)work, flows, PASSES, &t);
			if (i > 0) /* the first warms up */
				add(&costs[work], &t);
		}
	print_cost(mode->name, flows, &costs[0], goal_of(mode->forward, flows));
	for (int work = PLANE_RIG_LIMIT; work <= PLANE_RIG_NOTHING; work++)
		print_cost(names[work], flows, &costs[work], 0);
	printf("  %-10s %9zu flows  %5.2f of its limit's rate, %5.2f of macswap's; %.1f bytes a "
	       "flow\n",
	       mode->name, flows,
	       spread_of(&costs[1].nsec).median / spread_of(&costs[0].nsec).median,
	       spread_of(&costs[2].nsec).median / spread_of(&costs[0].nsec).median,
	       (double)plane_rig_flow_bytes(r) / (double)flows);
	plane_rig_free(r);
}

static void lives(const struct mode *mode, const char *scheduler)
{
	struct plane_rig_config config = { mode->forward, scheduler, DESTS, (size_t)LIVES * 8 };
	struct plane_rig *r = plane_rig_new(&config);
	struct stats_series rate = { .name = mode->name, .unit = "M/s" };
	struct stats_spread s;

	for (unsigned i = 0; i < rounds && i < 8; i++) {
		struct plane_rig_time t = { 0 };

		plane_rig_lives(r, (size_t)i * LIVES, LIVES, &t);
		stats_add(&rate, (double)t.frames / t.nsec * 1000);
	}
	s = spread_of(&rate);
	printf("  %-10s SYN to the last ACK, %s over %d destinations: %5.2f M/s (%.2f-%.2f)  goal "
	       "2: %s\n",
	       mode->name, scheduler, DESTS, s.median, s.min, s.max,
	       s.median >= 2 ? "PASS" : "MISS");
	(void)fflush(stdout);
	plane_rig_free(r);
}

struct changer {
	struct plane_rig *rig;
	_Atomic bool stop;
	unsigned done;
};

static void *change_all_the_time(void *arg)
{
	struct changer *c = arg;
	struct timespec next;

	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	while (!atomic_load(&c->stop)) {
		plane_rig_change(c->rig, c->done++);
		next.tv_nsec += 1000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 1000, 100000, 1000000, 10000000 };
	size_t largest = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000000;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (rounds < 1 || rounds > STATS_SAMPLES_MAX)
		return 2;
	plane_rig_environment(argv[0]);
	printf("fast path, one worker, port in memory, 64-byte frames, %u samples of %d packets\n",
	       rounds, PASSES * PLANE_RIG_FRAMES);
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			if (sizes[i] <= largest)
				steady(&modes[m], sizes[i]);
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++)
		lives(&modes[m], "mh");
	(void)change_all_the_time;
	return 0;
}
