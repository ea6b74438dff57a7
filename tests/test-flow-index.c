/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/flow-index.h"

static void init(struct flow_index *ix, uint32_t n_buckets, uint64_t seed)
{
	struct flow_bucket *buckets = aligned_alloc(64, n_buckets * sizeof(*buckets));

	assert_non_null(buckets);
	memset(buckets, 0, n_buckets * sizeof(*buckets));
	flow_index_init(ix, buckets, n_buckets, seed);
}

/* In which bucket the reference lies, by looking at all places of both: -1 where it does not. */
static int64_t where(const struct flow_index *ix, uint64_t hash, uint32_t ref, bool *ret_away)
{
	uint32_t home = flow_index_home(ix, hash),
		 other = flow_index_other(ix, home, flow_index_tag(hash)), found = 0;
	int64_t at = -1;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t bucket = i ? other : home;
		const struct flow_bucket *b = &ix->buckets[bucket];

		for (unsigned j = 0; j < FLOW_BUCKET_PLACES; j++)
			if (b->refs[j] == ref && (i == 0 || other != home)) {
				assert_int_equal(b->tags[j], flow_index_tag(hash));
				*ret_away = b->away >> j & 1;
				assert_int_equal(*ret_away, i);
				found++;
				at = bucket;
			}
	}
	assert_true(found <= 1);
	return at;
}

/* n_away of each home is what the places say; free places are empty; returns how many references there are. */
static unsigned check_counts(const struct flow_index *ix)
{
	uint32_t *n_away = calloc(ix->n_buckets, sizeof(*n_away));
	unsigned n = 0;

	assert_non_null(n_away);
	for (uint32_t i = 0; i < ix->n_buckets; i++)
		for (unsigned j = 0; j < FLOW_BUCKET_PLACES; j++) {
			const struct flow_bucket *b = &ix->buckets[i];

			assert_int_equal(b->tags[j] == 0, b->refs[j] == 0);
			n += b->refs[j] != 0;
			if (b->away >> j & 1) {
				assert_int_not_equal(b->refs[j], 0);
				n_away[flow_index_other(ix, i, b->tags[j])]++;
			}
		}
	for (uint32_t i = 0; i < ix->n_buckets; i++)
		assert_int_equal(ix->buckets[i].n_away, n_away[i]);
	free(n_away);
	return n;
}

static void test_match(void **state)
{
	struct flow_bucket b = { .tags = { 5, 0, 7, 5, 0x8000, 0xffff, 0x7fff, 5 } };
	static const struct {
		uint16_t tag;
		uint64_t match;
	} table[] = {
		{ 5, 0xff000000ff0000ff },	{ 0, 0x000000000000ff00 },
		{ 0x8000, 0x000000ff00000000 }, { 0xffff, 0x0000ff0000000000 },
		{ 0x7fff, 0x00ff000000000000 }, { 0x00ff, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		assert_true(flow_bucket_match(&b, table[i].tag) == table[i].match);
	assert_int_equal(flow_match_first(0xff000000ff000000), 3);
	assert_true(flow_match_next(0xff000000ff000000) == 0xff00000000000000);
	assert_true(flow_match_next(0xff00000000000000) == 0);
}

/* From home to the other bucket and back, whatever the number of buckets; the tag is never that of a free place. */
static void test_other_is_its_own_inverse(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 7, 64, 1000, 375001 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct flow_index ix = { .n_buckets = sizes[i] };

		for (uint64_t n = 0; n < 100000; n++) {
			uint64_t hash = n * UINT64_C(0x9e3779b97f4a7c15);
			uint16_t tag = flow_index_tag(hash);
			uint32_t home = flow_index_home(&ix, hash),
				 other = flow_index_other(&ix, home, tag);

			assert_int_not_equal(tag, 0);
			assert_true(home < sizes[i] && other < sizes[i]);
			assert_int_equal(flow_index_other(&ix, other, tag), home);
		}
	}
	assert_int_equal(flow_index_tag(0x10000), 1);
}

/* Keys as clients make them: few addresses, ports that count up. */
static void plain_key(uint32_t n, struct flow_key *ret)
{
	*ret = (struct flow_key){
		.src = { 10, 0, (uint8_t)(n >> 20), (uint8_t)(n >> 12) },
		.dst = { 192, 0, 2, 1 },
		.src_port_be = htons((uint16_t)(1024 + (n & 0xfff))),
		.dst_port_be = htons(443),
		.protocol = IPPROTO_TCP,
		.family = AF_INET,
	};
}

/*
 * How many references have their home in each bucket is as chance has it (Poisson, mean 64/15), for plain keys: no
 * bucket is left out, none is preferred. Then all find a place, few of them away from home.
 */
static void test_occupancy(void **state)
{
	enum {
		N_REFS = 1 << 20,
		MOST = 24,
	};
	struct flow_index ix;
	uint32_t n_buckets = (uint32_t)flow_index_buckets_for(N_REFS), *homes;
	double mean = (double)N_REFS / n_buckets, expected = n_buckets * exp(-mean), away = 0;
	uint32_t n_with[MOST + 1] = { 0 };

	(void)state;
	assert_true((double)n_buckets * sizeof(struct flow_bucket) / N_REFS < 15.01);
	init(&ix, n_buckets, 1);
	homes = calloc(n_buckets, sizeof(*homes));
	assert_non_null(homes);
	for (uint32_t n = 0; n < N_REFS; n++) {
		struct flow_key k;
		uint64_t hash;

		plain_key(n, &k);
		hash = flow_index_hash(&ix, &k);
		homes[flow_index_home(&ix, hash)]++;
		assert_int_equal(flow_index_add(&ix, hash, n + 1), 0);
	}
	assert_int_equal(check_counts(&ix), N_REFS);
	for (uint32_t i = 0; i < n_buckets; i++) {
		assert_true(homes[i] < MOST);
		n_with[homes[i]]++;
		away += ix.buckets[i].n_away;
	}
	/* Five standard deviations, for each count that is expected often enough to have a distribution. */
	for (uint32_t k = 0; k < MOST; expected *= mean / ++k)
		if (expected > 50)
			assert_true(fabs(n_with[k] - expected) < 5 * sqrt(expected));
	assert_true(away / N_REFS < 0.02);
	free(homes);
	free(ix.buckets);
}

/* Each bit of the key changes each bit of the hash in some half of the cases; another seed makes another hash. */
static void test_hash(void **state)
{
	enum {
		N_KEYS = 2000,
	};
	struct flow_index ix, other;
	uint64_t differences = 0;

	(void)state;
	flow_index_init(&ix, NULL, 1, 1);
	flow_index_init(&other, NULL, 1, 2);
	for (unsigned bit = 0; bit < 8 * sizeof(struct flow_key); bit++) {
		unsigned changed[64] = { 0 };

		for (uint32_t n = 0; n < N_KEYS; n++) {
			struct flow_key k;
			uint64_t before, after;

			plain_key(n * 523, &k);
			before = flow_index_hash(&ix, &k);
			((uint8_t *)&k)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			after = flow_index_hash(&ix, &k) ^ before;
			for (unsigned i = 0; i < 64; i++)
				changed[i] += after >> i & 1;
			differences += (uint64_t)__builtin_popcountll(flow_index_hash(&other, &k) ^
								      flow_index_hash(&ix, &k));
		}
		for (unsigned i = 0; i < 64; i++)
			assert_in_range(changed[i], N_KEYS * 30 / 100, N_KEYS * 70 / 100);
	}
	assert_in_range(differences / (8 * sizeof(struct flow_key)), N_KEYS * 31, N_KEYS * 33);
}

/* Sixteen equal hashes fill both buckets. Then there is no room, as none of them can be moved. */
static void test_no_room(void **state)
{
	const uint64_t hash = UINT64_C(0x2000000000001234);
	struct flow_index ix;
	bool away;

	(void)state;
	init(&ix, 16, 1);
	assert_int_not_equal(flow_index_other(&ix, 2, 0x1234), 2);
	for (uint32_t ref = 1; ref <= 16; ref++)
		assert_int_equal(flow_index_add(&ix, hash, ref), 0);
	assert_int_equal(flow_index_add(&ix, hash, 17), -ENOSPC);
	assert_int_equal(ix.buckets[2].n_away, 8);
	assert_int_equal(check_counts(&ix), 16);
	for (uint32_t ref = 3; ref <= 16; ref += 2)
		flow_index_remove(&ix, hash, ref);
	assert_int_equal(check_counts(&ix), 9);
	assert_int_equal(where(&ix, hash, 3, &away), -1);
	assert_int_equal(where(&ix, hash, 4, &away), 2);
	assert_false(away);
	assert_int_equal(where(&ix, hash, 16, &away), flow_index_other(&ix, 2, 0x1234));
	assert_true(away);
	free(ix.buckets);
}

/* One that has another bucket to go to makes room, home or away; it is found there. */
static void test_makes_room(void **state)
{
	struct flow_index ix;
	uint64_t hashes[401], random = 9;
	uint32_t n_there = 0;
	bool there[401] = { false }, away;

	(void)state;
	/* 400 places: far beyond two thirds, so that every way to make room is gone. */
	init(&ix, 50, 3);
	for (uint32_t ref = 1; ref <= 400; ref++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
		hashes[ref] = random ^ random >> 29;
		there[ref] = flow_index_add(&ix, hashes[ref], ref) == 0;
		n_there += there[ref];
		assert_int_equal(check_counts(&ix), n_there);
		for (uint32_t i = 1; i <= ref; i++)
			assert_int_equal(where(&ix, hashes[i], i, &away) >= 0, there[i]);
		/* One that leaves, now and then. */
		if (ref % 7 == 0 && there[ref / 2]) {
			flow_index_remove(&ix, hashes[ref / 2], ref / 2);
			there[ref / 2] = false;
			n_there--;
		}
	}
	assert_true(n_there > 320);
	for (uint32_t ref = 1; ref <= 400; ref++)
		if (there[ref])
			flow_index_remove(&ix, hashes[ref], ref);
	assert_int_equal(check_counts(&ix), 0);
	free(ix.buckets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),	  cmocka_unit_test(test_other_is_its_own_inverse),
		cmocka_unit_test(test_occupancy), cmocka_unit_test(test_hash),
		cmocka_unit_test(test_no_room),	  cmocka_unit_test(test_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
