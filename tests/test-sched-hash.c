/* SPDX-License-Identifier: GPL-2.0-or-later */

/* mh, sh and dh against the kernel's code as it stands there (slow_*). netns-sched.c asks the kernel itself. */

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/sched-hash.h"
#include "sched-rig.h"

/* From live kernels: H1 of the word, and its place. */
static void test_mh_hash(void **state)
{
	static const struct {
		uint32_t word, hash, place;
	} vectors[] = {
		{ 0, 0x1d5a77c2, 2495 },
		{ 1, 0x16ec66b2, 979 },
		{ 0x0a000102, 0xeb09ef46, 2406 },
		{ 0x0a000102 + 20000, 0x0e33e84f, 650 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint32_t h = sched_mh_hash(2654435761, vectors[i].word);

		assert_int_equal(h, vectors[i].hash);
		assert_int_equal(h % SCHED_MH_SIZE, vectors[i].place);
	}
}

static int slow_gcd(int a, int b)
{
	return b == 0 ? a : slow_gcd(b, a % b);
}

static uint32_t slow_word(const struct sched_rig *g, const uint8_t addr[16], uint16_t port_be)
{
	uint32_t folded = 0;

	for (unsigned i = 0; i < (g->service->family == AF_INET6 ? 16 : 4); i++)
		folded ^= (uint32_t)addr[i] << (24 - 8 * (i % 4));
	return folded + ntohs(port_be);
}

/* ip_vs_mh_populate() with its counters as they are there. */
static void slow_mh_table(const struct sched_rig *g, int table[SCHED_MH_SIZE])
{
	int divisor = 0, max = 0, shift = 0, n = 0, taken = 0;
	static uint32_t perm[SCHED_RIG_DESTS_MAX], skip[SCHED_RIG_DESTS_MAX];
	static int turns[SCHED_RIG_DESTS_MAX];

	for (size_t i = 0; i < SCHED_MH_SIZE; i++)
		table[i] = -1;
	for (size_t i = 0; i < g->service->n_dests; i++) {
		divisor = slow_gcd(divisor, (int)g->service->dests[i]->last_weight);
		max = MAX(max, (int)g->service->dests[i]->last_weight);
	}
	if (divisor == 0)
		return;
	while (max / divisor >> shift >= 64)
		shift++;
	for (size_t i = 0; i < g->service->n_dests; i++) {
		const struct dest_view *d = g->service->dests[i];
		uint32_t word = slow_word(g, d->addr, d->port_be);

		perm[i] = sched_mh_hash(2654435761, word) % SCHED_MH_SIZE;
		skip[i] = sched_mh_hash(2654446892, word) % (SCHED_MH_SIZE - 1) + 1;
		turns[i] = (int)d->last_weight / divisor >> shift;
		if (turns[i] == 0)
			turns[i] = d->last_weight != 0;
	}
	for (size_t i = 0; n < SCHED_MH_SIZE; i = (i + 1) % g->service->n_dests)
		for (taken = 0; taken < turns[i] && n < SCHED_MH_SIZE; taken++, n++) {
			while (table[perm[i]] >= 0)
				perm[i] = (perm[i] + skip[i]) % SCHED_MH_SIZE;
			table[perm[i]] = (int)i;
		}
}

static void slow_sh_table(const struct sched_rig *g, bool weighted, int table[SCHED_SH_SIZE])
{
	size_t n = g->service->n_dests, k = 0;

	for (size_t i = 0; i < SCHED_SH_SIZE; i++)
		table[i] = -1;
	for (size_t i = 0; n > 0 && k < SCHED_SH_SIZE; i = (i + 1) % n) {
		uint32_t times = weighted ? MAX(g->service->dests[i]->weight, 1U) : 1;

		while (times-- > 0 && k < SCHED_SH_SIZE)
			table[k++] = (int)i;
	}
}

static int slow_hash_choose(const struct sched_rig *g, const int *table, const struct flow_key *k,
			    bool inverse)
{
	bool is_mh = g->kind == SCHED_KIND_MH;
	uint32_t size = is_mh ? SCHED_MH_SIZE : SCHED_SH_SIZE;
	uint32_t flags = g->kind == SCHED_KIND_DH ? 0 : g->service->flags;
	uint16_t port = 0;
	uint32_t word, first, offset;

	if (flags & IPVS_SVC_SCHED2)
		port = inverse ? k->dst_port_be : k->src_port_be;
	word = slow_word(g, inverse || g->kind == SCHED_KIND_DH ? k->dst : k->src, port);
	first = is_mh ? sched_mh_hash(2654435761, word) % size : word * 0x61C88647 >> 24;
	if (table[first] < 0)
		return -1;
	if (sched_rig_available(g, (size_t)table[first]))
		return table[first];
	for (uint32_t i = 0; (flags & IPVS_SVC_SCHED1) && i < size; i++) {
		uint32_t place;

		offset = (i + first) % size;
		place = is_mh ? sched_mh_hash(2654435761, word + offset) % size
			      : ((word * 0x61C88647 >> 24) + offset) & 255;
		if (table[place] < 0)
			return -1;
		if (sched_rig_available(g, (size_t)table[place]))
			return table[place];
	}
	return -1;
}

static void test_hash_schedulers(void **state)
{
	static const enum sched_kind kinds[] = { SCHED_KIND_MH, SCHED_KIND_SH, SCHED_KIND_DH };
	struct random r = { .state = 11 };
	struct sched_rig *g = *state;
	static int table[SCHED_MH_SIZE];

	for (unsigned i = 0; i < 300; i++) {
		g->service->family = random_below(&r, 2) ? AF_INET6 : AF_INET;
		g->service->flags = random_below(&r, 64);
		sched_rig_random_dests(g, &r);
		sched_rig_use(g, kinds[i % ARRAY_SIZE(kinds)]);
		if (g->kind == SCHED_KIND_MH)
			slow_mh_table(g, table);
		else
			slow_sh_table(g, g->kind == SCHED_KIND_SH, table);
		for (unsigned n = 0; n < 200; n++) {
			struct flow_key k = sched_rig_client(&r, g->service->family);
			bool inverse = random_below(&r, 4) == 0;

			assert_int_equal(sched_rig_choose_key(g, &k, inverse, 0),
					 slow_hash_choose(g, table, &k, inverse));
		}
	}
}

/* Maglev's promise: equal shares, and few clients move when a destination is drained for good. */
static void test_mh_shares(void **state)
{
	enum { N = 1000, FLOWS = 40000 };
	struct sched_rig *g = *state;
	struct random r = { .state = 5 };
	static unsigned shares[N];
	static int before[FLOWS];
	static struct flow_key keys[FLOWS];
	unsigned moved = 0;

	for (unsigned i = 0; i < N; i++)
		sched_rig_add(g, 1, 1);
	sched_rig_use(g, SCHED_KIND_MH);
	for (unsigned i = 0; i < FLOWS; i++) {
		keys[i] = sched_rig_client(&r, AF_INET);
		before[i] = sched_rig_choose_key(g, &keys[i], false, 0);
		assert_in_range(before[i], 0, N - 1);
		shares[before[i]]++;
	}
	for (unsigned i = 0; i < N; i++)
		assert_in_range(shares[i], 10, 90);
	g->dests[7].weight = 0;
	g->dests[7].last_weight = 0;
	sched_rig_use(g, SCHED_KIND_MH);
	for (unsigned i = 0; i < FLOWS; i++) {
		int now = sched_rig_choose_key(g, &keys[i], false, 0);

		assert_int_not_equal(now, 7);
		moved += now != before[i];
	}
	assert_in_range(moved, shares[7], FLOWS / 50);
}

static void test_mh_limit(void **state)
{
	struct sched_rig *g = *state;
	struct sched_view *v;

	for (unsigned i = 0; i < SCHED_MH_SIZE; i++)
		sched_rig_add(g, 1, 1);
	sched_rig_use(g, SCHED_KIND_MH);
	sched_rig_add(g, 1, 1);
	assert_int_equal(sched_view_new(g->service, SCHED_KIND_MH, &g->changes, &v), -EINVAL);
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, sched_rig_set_up, sched_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mh_hash),
		rig_test(test_hash_schedulers),
		rig_test(test_mh_shares),
		rig_test(test_mh_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
