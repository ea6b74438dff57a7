/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a connection costs in the table of one worker: looking it up and touching it, making it, letting it run out.
 *
 *   bench-flow [-n SAMPLES] [FLOWS…]          default: 5 samples of 1000 100000 1000000 10000000
 *
 * Keys are uniformly random over all flows and both directions, all of full NAT: the worst case of the caches. All
 * times are of CLOCK_THREAD_CPUTIME_ID, so that a neighbour who takes the processor adds none, though he may take the
 * cache and the memory's time: for that, "two lines of memory" is measured in turns with the look-ups, which is what
 * this machine needs at that moment to read one random line and to change another that follows from it, in bulks of
 * the same size: a table with these two accesses cannot be faster. "processor" is the share of it that the samples had.
 */
#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/flow.h"
#include "tests/bench/stats.h"

enum {
	N_ENDPOINTS = 1000,
	N_LOOKUPS = 1 << 22, /* of a sample */
	N_HOT = 4096,	     /* keys that are in the cache, as those of packets just received */
	N_SINGLE = 1 << 20,
	N_CYCLES_MIN_FLOWS = 1000000,
	N_CYCLES = 1 << 20, /* connections made and expired in a sample */
	BULK = 32,
	HUGE_PAGE = 2 << 20,
	TICK_MSEC = 100,
	TIMEOUT_TICKS = 9000,
	TIMEOUT_SPREAD = 1024, /* power of two: what runs out together does not lie together */
	CLOSE_TICKS = 100,
	SYN_TICKS = 600,
	CYCLES_A_TICK = 1024, /* so that 100 K connections are closing at a time */
};

struct bench {
	struct flow_table *table;
	struct flow_key *keys; /* N_LOOKUPS */
	const struct flow_key *hot[N_HOT];
	uint32_t lines[N_HOT][2]; /* random records, for touch_lines() */
	uint64_t random;
	uint32_t n_records;
	uint32_t n_made; /* the next client: no two flows are alike */
	uint32_t now;
	const char *pages;
	double cpu_nsec, wall_nsec; /* of all samples */
};

static struct flow_endpoint endpoints[N_ENDPOINTS];
static struct flow_local locals[16];

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t huge_pages(size_t bytes)
{
	return (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
}

/* Not MAP_HUGETLB: those pages are somebody's. Touched here, so that no sample pays for it. */
static void *map_huge(void *context, size_t bytes)
{
	struct bench *b = context;
	size_t size = huge_pages(bytes) + HUGE_PAGE;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	     *aligned;

	if (p == MAP_FAILED)
		return NULL;
	aligned = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	if (aligned > p)
		(void)munmap(p, (size_t)(aligned - p));
	(void)munmap(aligned + huge_pages(bytes), size - huge_pages(bytes) - (size_t)(aligned - p));
	b->pages = madvise(aligned, huge_pages(bytes), MADV_HUGEPAGE) == 0 ? "huge pages"
									   : "small pages";
	memset(aligned, 0, bytes);
	return aligned;
}

static void unmap_huge(void *context, void *memory, size_t bytes)
{
	(void)context;
	(void)munmap(memory, huge_pages(bytes));
}

struct stopwatch {
	struct timespec cpu, wall;
};

static double nsec_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) * 1e9 + (double)(b->tv_nsec - a->tv_nsec);
}

static struct stopwatch start(void)
{
	struct stopwatch s;

	(void)clock_gettime(CLOCK_MONOTONIC, &s.wall);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &s.cpu);
	return s;
}

static void stop(struct bench *b, const struct stopwatch *from, unsigned n,
		 struct stats_series *ret)
{
	struct stopwatch now;
	double cpu_nsec;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now.cpu);
	(void)clock_gettime(CLOCK_MONOTONIC, &now.wall);
	cpu_nsec = nsec_between(&from->cpu, &now.cpu);
	b->cpu_nsec += cpu_nsec;
	b->wall_nsec += nsec_between(&from->wall, &now.wall);
	stats_add(ret, cpu_nsec / n);
}

/* Client addresses and ports are a permutation of the counter: random to the caches, and never twice the same. */
static void make_flow(struct bench *b, struct flow *ret)
{
	uint32_t n = b->n_made++, client = n * UINT32_C(2654435761);

	*ret = (struct flow){
		.client_port_be = (uint16_t)(client >> 7 ^ n),
		.virtual_port_be = htons(443),
		.dest_port_be = htons(8443),
		.local_port_be = (uint16_t)n,
		.local = (uint16_t)(n >> 16) & 15,
		.endpoint = (uint32_t)(n % N_ENDPOINTS),
		.protocol = IPPROTO_TCP,
		.flags = 5 | FLOW_EMBRYONIC,
	};
	memcpy(ret->client, &client, sizeof(client));
}

static uint32_t make(struct bench *b)
{
	struct flow f, evicted;
	uint32_t index;
	int r;

	make_flow(b, &f);
	r = flow_insert(b->table, &f, b->now, SYN_TICKS, &index, &evicted);
	if (r < 0) {
		fprintf(stderr, "bench-flow: insertion: %s\n", strerror(-r));
		exit(1);
	}
	return index;
}

static void establish(struct bench *b, uint32_t index)
{
	flow_leave_embryonic(b->table, index);
	flow_touch(b->table, index, b->now,
		   TIMEOUT_TICKS + (next_random(&b->random) & (TIMEOUT_SPREAD - 1)));
}

static bool expire_all(void *context, uint32_t index, struct flow *f)
{
	(void)context;
	(void)index;
	(void)f;
	return true;
}

static uint32_t draw_record(struct bench *b)
{
	return 1 + (uint32_t)((next_random(&b->random) >> 32) * b->n_records >> 32);
}

static void draw_keys(struct bench *b, bool absent)
{
	for (unsigned i = 0; i < N_LOOKUPS; i++) {
		const struct flow *f;

		do
			f = flow_at(b->table, draw_record(b));
		while (f->protocol == 0);
		if (next_random(&b->random) >> 63)
			flow_reverse_key(b->table, f, &b->keys[i]);
		else
			flow_forward_key(b->table, f, &b->keys[i]);
		if (absent)
			b->keys[i].protocol = IPPROTO_UDP;
	}
}

static void draw_lines(struct bench *b)
{
	for (unsigned i = 0; i < N_HOT; i++)
		for (unsigned j = 0; j < 2; j++)
			b->lines[i][j] = draw_record(b);
}

static void touch(struct bench *b, flow_ref r)
{
	flow_touch(b->table, FLOW_REF_INDEX(r), b->now, TIMEOUT_TICKS + TIMEOUT_SPREAD);
	flow_at(b->table, FLOW_REF_INDEX(r))->peer++;
}

static void look_up_and_touch(struct bench *b)
{
	flow_ref refs[BULK];

	for (unsigned i = 0; i < N_HOT; i += BULK) {
		flow_lookup_bulk(b->table, b->hot + i, BULK, refs);
		for (unsigned j = 0; j < BULK; j++)
			touch(b, refs[j]);
	}
}

static void touch_lines(struct bench *b)
{
	uint32_t second[BULK];

	for (unsigned i = 0; i < N_HOT; i += BULK) {
		for (unsigned j = 0; j < BULK; j++)
			__builtin_prefetch(flow_at(b->table, b->lines[i + j][0]));
		for (unsigned j = 0; j < BULK; j++) {
			const struct flow *f = flow_at(b->table, b->lines[i + j][0]);

			second[j] = f->protocol == UINT8_MAX ? FLOW_NONE : b->lines[i + j][1];
			__builtin_prefetch(flow_at(b->table, second[j]), 1);
		}
		for (unsigned j = 0; j < BULK; j++)
			flow_at(b->table, second[j])->peer++;
	}
}

static void look_up_and_miss(struct bench *b)
{
	flow_ref refs[BULK];

	for (unsigned i = 0; i < N_HOT; i += BULK) {
		flow_lookup_bulk(b->table, b->hot + i, BULK, refs);
		for (unsigned j = 0; j < BULK; j++)
			assert(refs[j] == FLOW_NONE);
	}
}

static void look_up_singly(struct bench *b)
{
	for (unsigned i = 0; i < N_HOT; i++)
		touch(b, flow_lookup(b->table, b->hot[i]));
}

/* Keys are copied into the cache before each piece is timed: a worker has just parsed them. */
static void time_lookups(struct bench *b, void (*look_up)(struct bench *b), unsigned n,
			 struct stats_series *ret)
{
	static struct flow_key hot[N_HOT];
	struct stats_series pieces = { 0 };
	double sum = 0;

	for (unsigned i = 0; i < N_HOT; i++)
		b->hot[i] = &hot[i];
	for (unsigned i = 0; i < n; i += N_HOT) {
		struct stopwatch s;

		memcpy(hot, b->keys + i, sizeof(hot));
		draw_lines(b);
		s = start();
		look_up(b);
		pieces.n = 0;
		stop(b, &s, N_HOT, &pieces);
		sum += pieces.samples[0];
	}
	stats_add(ret, sum * N_HOT / n);
}

/*
 * A connection's whole life while the table stays as full as it is: a burst of look-ups that find nothing, insertion,
 * end of the handshake, end of the connection, removal by the wheel, which is turned after each burst.
 */
static void time_cycles(struct bench *b, struct stats_series *ret)
{
	static struct flow_key keys[BULK];
	const struct flow_key *refs[BULK];
	struct stopwatch s = start();

	for (unsigned i = 0; i < N_CYCLES; i += BULK) {
		uint32_t first = b->n_made;
		flow_ref found[BULK];
		struct flow f;

		for (unsigned j = 0; j < BULK; j++) {
			make_flow(b, &f);
			flow_forward_key(b->table, &f, &keys[j]);
			refs[j] = &keys[j];
		}
		flow_lookup_bulk(b->table, refs, BULK, found);
		b->n_made = first;
		for (unsigned j = 0; j < BULK; j++) {
			uint32_t index = make(b);

			establish(b, index);
			flow_touch(b->table, index, b->now, CLOSE_TICKS);
		}
		b->now += (i & (CYCLES_A_TICK - 1)) == 0;
		(void)flow_expire(b->table, b->now, 4 * BULK, expire_all, NULL);
	}
	stop(b, &s, N_CYCLES, ret);
}

static void time_inserts(struct bench *b, unsigned n, struct stats_series *ret)
{
	struct stopwatch s = start();

	for (unsigned i = 0; i < n; i++)
		establish(b, make(b));
	stop(b, &s, n, ret);
}

static void time_expiry(struct bench *b, struct stats_series *ret)
{
	struct flow_usage u;
	struct stopwatch s;
	size_t n;

	flow_table_usage(b->table, &u);
	n = u.flows;
	b->now += TIMEOUT_TICKS + TIMEOUT_SPREAD;
	s = start();
	while (flow_expire(b->table, b->now, 64, expire_all, NULL) > 0)
		;
	stop(b, &s, (unsigned)n, ret);
	flow_table_usage(b->table, &u);
	assert(u.flows == 0);
}

/* The wheel finds that the handshakes have ended, and puts the connections where they belong now. */
static void settle(struct bench *b)
{
	b->now += SYN_TICKS + 1;
	while (flow_expire(b->table, b->now, 64, expire_all, NULL) > 0)
		;
}

static void add_rate(const struct stats_series *nsec, struct stats_series *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < nsec->n; i++)
		stats_add(ret, 1000 / nsec->samples[i]);
}

static int run(struct bench *b, uint32_t n_flows, unsigned n_samples)
{
	struct stats_series hit = { .name = "look-up and touch, bulk of 32", .unit = "ns" },
			    lines = { .name = "two lines of memory, bulk of 32", .unit = "ns" },
			    rate = { .name = "look-ups and touches a CPU second", .unit = "M" },
			    miss = { .name = "look-up that finds nothing, bulk of 32",
				     .unit = "ns" },
			    single = { .name = "look-up and touch, one by one", .unit = "ns" },
			    insert = { .name = "insertion into the filling table", .unit = "ns" },
			    expiry = { .name = "expiry", .unit = "ns" },
			    cycle = { .name = "life of a connection, table full", .unit = "ns" },
			    cycles = { .name = "lives a CPU second", .unit = "M" };
	const struct stats_series *rows[] = { &lines,  &hit,	&rate,	&miss,	&single,
					      &insert, &expiry, &cycle, &cycles };
	bool full_cycles = n_flows >= N_CYCLES_MIN_FLOWS;
	struct flow_table_config c = {
		.max_flows = n_flows + (full_cycles ? (CLOSE_TICKS + 2) * CYCLES_A_TICK : 0),
		.embryonic_max = n_flows,
		.seed = next_random(&b->random),
		.tick_msec = TICK_MSEC,
		.endpoints = endpoints,
		.locals = locals,
		.allocate = map_huge,
		.release = unmap_huge,
		.context = b,
	};
	char heading[96];
	int r;

	r = flow_table_new(&c, &b->table);
	if (r < 0)
		return r;
	b->cpu_nsec = b->wall_nsec = 0;
	b->n_records = (uint32_t)c.max_flows;
	for (unsigned i = 0; i < n_samples; i++) {
		time_inserts(b, n_flows, &insert);
		settle(b);
		draw_keys(b, false);
		time_lookups(b, touch_lines, N_LOOKUPS, &lines);
		time_lookups(b, look_up_and_touch, N_LOOKUPS, &hit);
		time_lookups(b, look_up_singly, N_SINGLE, &single);
		draw_keys(b, true);
		time_lookups(b, look_up_and_miss, N_LOOKUPS, &miss);
		if (full_cycles)
			time_cycles(b, &cycle);
		time_expiry(b, &expiry);
	}
	add_rate(&hit, &rate);
	add_rate(&cycle, &cycles);
	(void)snprintf(heading, sizeof(heading),
		       "%" PRIu32 " flows, %.1f B each, %s, processor %.0f %%", n_flows,
		       (double)flow_table_bytes(b->table) / (double)c.max_flows, b->pages,
		       b->cpu_nsec / b->wall_nsec * 100);
	stats_print_table(heading, rows, ARRAY_SIZE(rows));
	flow_table_free(b->table);
	return 0;
}

static void init_addresses(void)
{
	for (uint32_t i = 0; i < N_ENDPOINTS; i++) {
		uint32_t dest = htonl(0x0a000000 | i), virtual = htonl(0xcb007100 | i % 100);

		memcpy(endpoints[i].dest, &dest, sizeof(dest));
		memcpy(endpoints[i].virtual, &virtual, sizeof(virtual));
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(locals); i++) {
		uint32_t local = htonl(0xac100000 | i);

		memcpy(locals[i].addr, &local, sizeof(local));
	}
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 1000, 100000, 1000000, 10000000 };
	struct bench b = { .random = UINT64_C(0x9e3779b97f4a7c15) };
	unsigned n_samples = 5;
	int r = 0, option;

	while ((option = getopt(argc, argv, "n:")) == 'n')
		n_samples = (unsigned)strtoul(optarg, NULL, 10);
	if (option != -1 || n_samples == 0 || n_samples > STATS_SAMPLES_MAX) {
		fprintf(stderr, "usage: bench-flow [-n SAMPLES] [FLOWS...]\n");
		return 2;
	}
	init_addresses();
	b.keys = calloc(N_LOOKUPS, sizeof(*b.keys));
	if (!b.keys)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && optind == argc && r == 0; i++)
		r = run(&b, sizes[i], n_samples);
	for (; optind < argc && r == 0; optind++)
		r = run(&b, (uint32_t)strtoul(argv[optind], NULL, 10), n_samples);
	free(b.keys);
	if (r < 0)
		fprintf(stderr, "bench-flow: %s\n", strerror(-r));
	return r < 0;
}
