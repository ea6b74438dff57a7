/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/flow-index.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void flow_index_init(struct flow_index *ix, struct flow_bucket *buckets, uint32_t n_buckets,
		     uint64_t seed)
{
	ix->buckets = buckets;
	ix->n_buckets = n_buckets;
	for (unsigned i = 0; i < FLOW_HASH_SEEDS; i++) {
		do
			ix->seeds[i] = next_random(&seed);
		while (ix->seeds[i] == 0);
	}
}

static bool put(struct flow_bucket *b, uint16_t tag, uint32_t ref, bool away)
{
	uint64_t free_places = flow_bucket_match(b, 0);
	unsigned place;

	if (free_places == 0)
		return false;
	place = flow_match_first(free_places);
	b->tags[place] = tag;
	b->refs[place] = ref;
	b->away |= (uint8_t)(away << place);
	return true;
}

static void clear(struct flow_bucket *b, unsigned place)
{
	b->tags[place] = 0;
	b->refs[place] = 0;
	b->away &= (uint8_t) ~(1U << place);
}

/* Moves one reference of a full bucket to the other bucket that it may be in. */
static bool make_room(struct flow_index *ix, uint32_t at)
{
	struct flow_bucket *b = &ix->buckets[at];

	for (unsigned i = 0; i < FLOW_BUCKET_PLACES; i++) {
		uint32_t to = flow_index_other(ix, at, b->tags[i]);
		bool was_away = b->away >> i & 1;

		if (to == at || !put(&ix->buckets[to], b->tags[i], b->refs[i], !was_away))
			continue;
		if (was_away)
			ix->buckets[to].n_away--;
		else
			b->n_away++;
		clear(b, i);
		return true;
	}
	return false;
}

int flow_index_add(struct flow_index *ix, uint64_t hash, uint32_t ref)
{
	uint16_t tag = flow_index_tag(hash);
	uint32_t home = flow_index_home(ix, hash), other = flow_index_other(ix, home, tag);
	struct flow_bucket *b = &ix->buckets[home];

	if (put(b, tag, ref, false))
		return 0;
	if (other != home && put(&ix->buckets[other], tag, ref, true)) {
		b->n_away++;
		return 0;
	}
	if (make_room(ix, home)) {
		(void)put(b, tag, ref, false);
		return 0;
	}
	if (other != home && make_room(ix, other)) {
		(void)put(&ix->buckets[other], tag, ref, true);
		b->n_away++;
		return 0;
	}
	return -ENOSPC;
}

static int find_place(const struct flow_bucket *b, uint16_t tag, uint32_t ref)
{
	for (uint64_t m = flow_bucket_match(b, tag); m; m = flow_match_next(m))
		if (b->refs[flow_match_first(m)] == ref)
			return (int)flow_match_first(m);
	return -1;
}

void flow_index_remove(struct flow_index *ix, uint64_t hash, uint32_t ref)
{
	uint16_t tag = flow_index_tag(hash);
	uint32_t home = flow_index_home(ix, hash);
	struct flow_bucket *b = &ix->buckets[home];
	int place = find_place(b, tag, ref);

	if (place < 0) {
		b->n_away--;
		b = &ix->buckets[flow_index_other(ix, home, tag)];
		place = find_place(b, tag, ref);
		assert(place >= 0);
	}
	clear(b, (unsigned)place);
}
