/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Of flow.c alone: the hash table that names records. It holds references (never 0) by 64-bit hashes; whose key it is,
 * the caller compares. Buckets of eight places, each one cache line. A reference lies in its home bucket, or, where
 * that was full, in one other that follows from home and tag; the home counts those that are away, so that a look-up
 * which finds nothing at home mostly ends there. Any number of buckets: places are found by multiplication.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dpdk-fastpath/packet.h"

enum {
	FLOW_BUCKET_PLACES = 8,
	FLOW_HASH_SEEDS = 6,
	FLOW_KEY_REST = offsetof(struct flow_key, src_port_be), /* ports, protocol, family, zero */
};

typedef uint16_t flow_tags __attribute__((vector_size(16)));

struct flow_bucket {
	flow_tags tags; /* 0: the place is free */
	uint32_t refs[FLOW_BUCKET_PLACES];
	uint16_t n_away; /* references of this home that are in their other bucket */
	uint8_t away;	 /* bit i: place i holds one whose home is elsewhere */
	uint8_t unused[13];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct flow_bucket) == 64, "one cache line");

struct flow_index {
	struct flow_bucket *buckets; /* borrowed */
	uint32_t n_buckets;
	uint64_t seeds[FLOW_HASH_SEEDS]; /* none is 0 */
};

/*
 * Buckets for so many references: 53 % full. Then one in a hundred is away from home; at two thirds, where it is one in
 * twenty, making and ending a connection took a tenth longer.
 */
static inline uint64_t flow_index_buckets_for(uint64_t n_refs)
{
	return (n_refs * 15 + 63) / 64 + 1;
}

/* buckets: n_buckets of zeros. */
void flow_index_init(struct flow_index *ix, struct flow_bucket *buckets, uint32_t n_buckets,
		     uint64_t seed);

/* -ENOSPC: neither bucket has a place, nor can one be made by moving one reference. */
int flow_index_add(struct flow_index *ix, uint64_t hash, uint32_t ref);
/* It is there. */
void flow_index_remove(struct flow_index *ix, uint64_t hash, uint32_t ref);

static inline uint64_t flow_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t flow_load64(const uint8_t *bytes)
{
	uint64_t ret;

	memcpy(&ret, bytes, sizeof(ret));
	return ret;
}

/* A key by its parts, wherever they lie: addresses, and the bytes behind them as one number. */
struct flow_key_parts {
	const uint8_t *src, *dst;
	uint64_t rest;
};

static inline struct flow_key_parts flow_key_parts(const struct flow_key *k)
{
	return (struct flow_key_parts){
		.src = k->src,
		.dst = k->dst,
		.rest = flow_load64((const uint8_t *)k + FLOW_KEY_REST),
	};
}

/* Folded multiplications with secret operands: who does not know the seed cannot choose keys that collide. */
static inline uint64_t flow_index_hash_parts(const struct flow_index *ix,
					     const struct flow_key_parts *k)
{
	uint64_t src = flow_fold(flow_load64(k->src) ^ ix->seeds[0],
				 flow_load64(k->src + 8) ^ ix->seeds[1]),
		 dst = flow_fold(flow_load64(k->dst) ^ ix->seeds[2],
				 flow_load64(k->dst + 8) ^ ix->seeds[3]);

	return flow_fold(src ^ dst ^ ix->seeds[4], k->rest ^ ix->seeds[5]);
}

static inline uint64_t flow_index_hash(const struct flow_index *ix, const struct flow_key *k)
{
	struct flow_key_parts parts = flow_key_parts(k);

	return flow_index_hash_parts(ix, &parts);
}

static inline uint32_t flow_index_scale(const struct flow_index *ix, uint32_t hash32)
{
	return (uint32_t)((uint64_t)hash32 * ix->n_buckets >> 32);
}

static inline uint16_t flow_index_tag(uint64_t hash)
{
	uint16_t tag = (uint16_t)hash;

	return tag ? tag : 1;
}

static inline uint32_t flow_index_home(const struct flow_index *ix, uint64_t hash)
{
	return flow_index_scale(ix, (uint32_t)(hash >> 32));
}

/* Its own inverse: from home to the other bucket, and back. May be the same one. */
static inline uint32_t flow_index_other(const struct flow_index *ix, uint32_t bucket, uint16_t tag)
{
	uint32_t sum = flow_index_scale(ix, tag * 0x9e3779b1U);

	return sum >= bucket ? sum - bucket : sum + ix->n_buckets - bucket;
}

/* A byte of 0xff for each place with this tag, the lowest for place 0. No branches; two or three instructions. */
static inline uint64_t flow_bucket_match(const struct flow_bucket *b, uint16_t tag)
{
	typedef int8_t bytes __attribute__((vector_size(8)));
	bytes equal = __builtin_convertvector(b->tags == tag, bytes);
	uint64_t ret;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "place 0 is the lowest byte");
	memcpy(&ret, &equal, sizeof(ret));
	return ret;
}

static inline unsigned flow_match_first(uint64_t match)
{
	return (unsigned)__builtin_ctzll(match) >> 3;
}

static inline uint64_t flow_match_next(uint64_t match)
{
	return match & ~(UINT64_C(0xff) << (flow_match_first(match) << 3));
}
