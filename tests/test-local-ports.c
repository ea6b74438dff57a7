/* SPDX-License-Identifier: GPL-2.0-or-later */
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
#include "dpdk-fastpath/local-ports.h"
#include "dpdk-fastpath/rss.h"
#include "dpdk-fastpath/snapshot.h"

static struct local_ports *make(unsigned worker, unsigned n_workers, uint64_t seed)
{
	struct local_ports *l;

	assert_int_equal(local_ports_new(worker, n_workers, seed, &l), 0);
	return l;
}

static void test_refused(void **state)
{
	struct local_ports *l;

	(void)state;
	assert_int_equal(local_ports_new(1, 1, 0, &l), -EINVAL);
	assert_int_equal(local_ports_new(0, SNAPSHOT_WORKERS_MAX + 1, 0, &l), -EINVAL);
	local_ports_free(NULL);
}

/* Each worker walks through exactly its slice, over as many walks as it takes, before anything comes again. */
static void test_slices(void **state)
{
	static const unsigned workers[] = { 1, 2, 3, 7, 64 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		struct snapshot s = { .n_workers = workers[i], .local4_first = 5, .n_local4 = 2 };
		static uint8_t seen[2][65536];

		(void)memset(seen, 0, sizeof(seen));
		for (unsigned w = 0; w < workers[i]; w++) {
			struct local_ports *l = make(w, workers[i], 1);
			uint32_t n, n_seen = 0;
			uint16_t first;

			snapshot_local_ports(&s, w, &first, &n);
			while (n_seen < 2 * n) {
				struct local_ports_walk walk;
				uint16_t local, port_be;

				local_ports_begin(l, &s, AF_INET, 9, &walk);
				while (n_seen < 2 * n &&
				       local_ports_next(&walk, &local, &port_be)) {
					assert_in_range(local, 5, 6);
					assert_in_range(ntohs(port_be), first, first + n - 1);
					assert_int_equal(seen[local - 5][ntohs(port_be)]++, 0);
					n_seen++;
				}
			}
			local_ports_free(l);
		}
		for (unsigned port = 1024; port < 65536; port++)
			assert_true(seen[0][port] && seen[1][port]);
	}
}

static void test_walk_ends(void **state)
{
	struct snapshot s = { .n_workers = 1, .local6_first = 9, .n_local6 = 1 };
	struct local_ports *l = make(0, 1, 1);
	struct local_ports_walk walk;
	uint16_t local, port_be;
	unsigned n = 0;

	(void)state;
	local_ports_begin(l, &s, AF_INET, 1, &walk);
	assert_false(local_ports_next(&walk, &local, &port_be));
	local_ports_begin(l, &s, AF_INET6, 1, &walk);
	while (local_ports_next(&walk, &local, &port_be)) {
		assert_int_equal(local, 9);
		n++;
	}
	assert_int_equal(n, LOCAL_PORTS_TRIES);
	local_ports_free(l);
}

/* The pool shrinks between two walks. */
static void test_pool_shrinks(void **state)
{
	struct snapshot s = { .n_workers = 1, .local4_first = 3, .n_local4 = 4 };
	struct local_ports *l = make(0, 1, 1);
	struct local_ports_walk walk;
	uint16_t local, port_be;

	(void)state;
	local_ports_begin(l, &s, AF_INET, 1, &walk);
	for (unsigned i = 0; i < 3; i++)
		assert_true(local_ports_next(&walk, &local, &port_be));
	assert_int_equal(local, 6);
	s.n_local4 = 2;
	for (unsigned i = 0; i < 10; i++) {
		local_ports_begin(l, &s, AF_INET, 1, &walk);
		assert_true(local_ports_next(&walk, &local, &port_be));
		assert_in_range(local, 3, 4);
	}
	local_ports_free(l);
}

/* Where a destination begins cannot be told without the secret: spread over the slice. */
static void test_first_ports(void **state)
{
	struct snapshot s = { .n_workers = 1, .local4_first = 1, .n_local4 = 1 };
	struct local_ports *a = make(0, 1, 1), *b = make(0, 1, 2);
	unsigned n_same = 0, eighths[8] = { 0 };

	(void)state;
	for (uint32_t id = 1; id <= 8000; id++) {
		struct local_ports_walk walk;
		uint16_t local, port_a, port_b;

		local_ports_begin(a, &s, AF_INET, id, &walk);
		assert_true(local_ports_next(&walk, &local, &port_a));
		local_ports_begin(b, &s, AF_INET, id, &walk);
		assert_true(local_ports_next(&walk, &local, &port_b));
		n_same += port_a == port_b;
		eighths[(ntohs(port_a) - 1024) / 8064]++;
	}
	assert_true(n_same < 10);
	for (unsigned i = 0; i < 8; i++)
		assert_in_range(eighths[i], 850, 1150);
	local_ports_free(a);
	local_ports_free(b);
}

/* First those whose answers come here, then the others, so that none is lost; never one twice in a walk. */
static void test_rss(void **state)
{
	static const uint8_t key[RSS_KEY_BYTES] = "a key is any forty bytes, such as these.";
	static const uint16_t reta[] = { 0, 1, 2, 3 };
	static const struct flow_local locals[2] = { { { 192, 0, 2, 1 } }, { { 192, 0, 2, 2 } } };
	static const struct dest_view dest = { .id = 9,
					       .nexthop = 1,
					       .addr = { 10, 0, 1, 1 },
					       .port_be = 80,
					       .family = AF_INET,
					       .protocol = IPPROTO_TCP };
	static struct nexthop nexthops[2] = { { .port_index = 7 }, { .port_index = 1 } };
	static struct rss rss;
	const struct dest_view *_Atomic dests[10] = { [9] = &dest };
	struct snapshot s = { .n_workers = 4,
			      .n_local4 = 2,
			      .locals = locals,
			      .dests = dests,
			      .nexthops = nexthops };
	struct rss_slot slots[2] = { { NULL }, { &rss } };
	struct local_ports *l = make(2, 4, 1);
	struct local_ports_walk walk;
	static uint8_t seen[2][65536];
	unsigned n = 0, n_here = 0, n_guessed = 0;
	uint16_t local, port_be, guessed, guessed_port_be;

	(void)state;
	assert_int_equal(rss_init(&rss, key, reta, 4, RSS_TCP4), 0);
	local_ports_set_rss(l, slots, 2);
	local_ports_begin(l, &s, AF_INET, 9, &walk);
	while (local_ports_guess(l, &s, AF_INET, 9, &guessed, &guessed_port_be) &&
	       local_ports_next(&walk, &local, &port_be)) {
		uint32_t hash = rss_hash_source(&rss, AF_INET, dest.addr, dest.port_be) ^
				rss_hash_target(&rss, AF_INET, locals[local].addr, port_be);
		bool here = rss_queue(&rss, hash) == 2;

		assert_int_equal(seen[local][ntohs(port_be)]++, 0);
		assert_true(here || n >= 10);
		n_here += here && n == n_here;
		n_guessed += here && guessed == local && guessed_port_be == port_be;
		n++;
	}
	/* a quarter of the tries, more or less; then as many tries as without */
	assert_in_range(n_here, LOCAL_PORTS_TRIES / 8, LOCAL_PORTS_TRIES / 2);
	assert_in_range(n, n_here + LOCAL_PORTS_TRIES, n_here + LOCAL_PORTS_TRIES);
	assert_true(n_guessed >= n_here);
	local_ports_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_slices),
		cmocka_unit_test(test_walk_ends),   cmocka_unit_test(test_pool_shrinks),
		cmocka_unit_test(test_first_ports), cmocka_unit_test(test_rss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
