/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bench-fastpath [ROUNDS [LARGEST]]
 *
 * Nanoseconds and packets a second of one worker on a port in memory (plane-rig.h says what that leaves out), for each
 * forwarding method and number of flows, beside its limit in the same run: the same table looked up and the same
 * headers rewritten, and nothing else. New connections a second, memory a flow, the time of a burst while a thousand
 * changes of the configuration a second arrive, two workers, and dpdk-testpmd. ROUNDS 5, LARGEST 10000000 flows.
 *
 * CPU time of the measuring thread: what others take of the processor does not count, what they do to its caches does.
 */

#include "tests/bench/bench-fastpath.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	LIVES = 1 << 20,
};

static unsigned rounds = 5;
static cpu_set_t allowed;

static const struct mode {
	const char *name;
	enum ipvs_forward forward;
} modes[] = {
	{ "full-nat", IPVS_FORWARD_FULL_NAT },
	{ "nat", IPVS_FORWARD_MASQ },
	{ "direct", IPVS_FORWARD_ROUTE },
};

struct stats_spread bench_spread(const struct stats_series *s)
{
	double values[STATS_SAMPLES_MAX];

	memcpy(values, s->samples, s->n * sizeof(*values));
	return stats_spread(values, s->n);
}

/* Per packet; cycles are the TSC's. */
struct cost {
	struct stats_series nsec, cycles;
};

static void add(struct cost *c, const struct plane_rig_time *t)
{
	stats_add(&c->nsec, t->nsec / (double)t->frames);
	stats_add(&c->cycles, t->cycles / (double)t->frames);
}

static double goal_of(size_t flows)
{
	return flows == 1000000 ? 15 : flows == 10000000 ? 12 : 0;
}

static void print_steady_heading(void)
{
	printf("\none worker, 64-byte packets, both directions where they pass; %u samples of %d "
	       "packets\n"
	       "  method      flows      ns (min-max)  cycles   Mpps | limit: ns   Mpps  share | "
	       "macswap ns   share  nothing ns | bytes/flow | goal\n",
	       rounds, BENCH_PASSES * PLANE_RIG_FRAMES);
}

static void print_steady(const char *name, size_t flows, const struct cost costs[4], double bytes)
{
	const struct stats_spread all = bench_spread(&costs[PLANE_RIG_DIRECTOR].nsec);
	const double limit = bench_spread(&costs[PLANE_RIG_LIMIT].nsec).median;
	const double swap = bench_spread(&costs[PLANE_RIG_MACSWAP].nsec).median;
	const double goal = goal_of(flows), mpps = 1000 / all.median;

	printf("  %-8s %8zu %5.1f (%5.1f-%5.1f)  %6.0f %6.2f | %9.1f %6.2f  %5.2f | "
	       "%10.1f  %6.3f  %10.1f | %10.1f |",
	       name, flows, all.median, all.min, all.max,
	       bench_spread(&costs[PLANE_RIG_DIRECTOR].cycles).median, mpps, limit, 1000 / limit,
	       limit / all.median, swap, swap / all.median,
	       bench_spread(&costs[PLANE_RIG_NOTHING].nsec).median, bytes);
	if (goal > 0)
		printf(" %.0f Mpps: %s", goal, mpps >= goal ? "PASS" : "MISS");
	(void)putchar('\n');
	(void)fflush(stdout);
}

static void steady(const struct mode *mode, size_t flows)
{
	const struct plane_rig_config config = { .forward = mode->forward,
						 .scheduler = "wrr",
						 .n_dests = BENCH_DESTS,
						 .max_flows = flows,
						 .n_lanes = 1 };
	struct plane_rig *r = plane_rig_new(&config);
	struct cost costs[4];

	memset(costs, 0, sizeof(costs));
	plane_rig_open(r, flows);
	for (unsigned i = 0; i < rounds + 1; i++)
		for (int work = PLANE_RIG_DIRECTOR; work <= PLANE_RIG_NOTHING; work++) {
			struct plane_rig_time t = { 0 };

			plane_rig_steady(r, 0, (enum plane_rig_work)work, BENCH_PASSES, &t);
			if (i > 0) /* the first warms up */
				add(&costs[work], &t);
		}
	print_steady(mode->name, flows, costs, (double)plane_rig_flow_bytes(r) / (double)flows);
	plane_rig_free(r);
}

static void lives(const struct mode *mode, const char *scheduler)
{
	const struct plane_rig_config config = { .forward = mode->forward,
						 .scheduler = scheduler,
						 .n_dests = BENCH_DESTS,
						 .max_flows = (size_t)LIVES * 8,
						 .n_lanes = 1 };
	struct plane_rig *r = plane_rig_new(&config);
	struct stats_series rate = { 0 };
	struct stats_spread s;

	for (unsigned i = 0; i < rounds && i < 8; i++) {
		struct plane_rig_time t = { 0 };

		plane_rig_lives(r, (size_t)i * LIVES, LIVES, &t);
		stats_add(&rate, (double)t.frames / t.nsec * 1000);
	}
	s = bench_spread(&rate);
	printf("  %-8s %6.2f (%5.2f-%5.2f)  2 M/s: %s\n", mode->name, s.median, s.min, s.max,
	       s.median >= 2 ? "PASS" : "MISS");
	(void)fflush(stdout);
	plane_rig_free(r);
}

static void second_processor(size_t flows)
{
	if (!CPU_ISSET(1, &allowed)) {
		printf("\nprocessor 1 is not ours: changes from another thread, two workers and "
		       "dpdk-testpmd are left out\n");
		return;
	}
	bench_changes(rounds, flows);
	bench_workers(rounds, flows);
	bench_testpmd(rounds, flows);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 1000, 100000, 1000000, 10000000 };
	size_t largest = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000000;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (rounds < 1 || rounds > STATS_SAMPLES_MAX || largest < sizes[0])
		return 2;
	(void)sched_getaffinity(0, sizeof(allowed), &allowed);
	plane_rig_environment(argv[0]);
	print_steady_heading();
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			if (sizes[i] <= largest)
				steady(&modes[m], sizes[i]);
	printf("\nnew connections, SYN to the last ACK, mh over %d destinations\n"
	       "  method      M/s (min-max)    goal\n",
	       BENCH_DESTS);
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++)
		lives(&modes[m], "mh");
	second_processor(MIN(largest, (size_t)BENCH_FLOWS));
	return 0;
}
