/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/sched-hash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/gcd.h"
#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/snapshot.h"

/* generate_hash_secret(): both halves of a key are the same word. */
static const uint64_t mh_key_place = 2654435761, mh_key_skip = 2654446892;

enum {
	MH_TURNS_BITS = 6, /* IP_VS_MH_TAB_BITS: an index of 12, halved */
};

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* lib/siphash.c: hsiphash() is SipHash-1-3 where a long has 64 bits; the last word has the length on top. */
uint32_t sched_mh_hash(uint64_t key, uint32_t word)
{
	uint64_t v[4] = { 0x736f6d6570736575 ^ key, 0x646f72616e646f6d ^ key,
			  0x6c7967656e657261 ^ key, 0x7465646279746573 ^ key };
	uint64_t last = (uint64_t)sizeof(word) << 56 | word;

	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		sip_round(v);
	return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* hash_32(x, 8) of linux/hash.h. */
static inline unsigned sh_hash(uint32_t word)
{
	return (word * 0x61C88647) >> 24;
}

/*
 * The four words of an IPv6 address folded, as the kernel's hash keys do. The service's family decides, also for a
 * destination of the other one.
 */
static inline uint32_t fold(uint8_t family, const uint8_t addr[16])
{
	uint32_t w[4];

	memcpy(w, addr, sizeof(w));
	return ntohl(family == AF_INET6 ? w[0] ^ w[1] ^ w[2] ^ w[3] : w[0]);
}

size_t sched_hash_size(enum sched_kind kind)
{
	switch (kind) {
	case SCHED_KIND_MH:
		return SCHED_MH_SIZE;
	case SCHED_KIND_SH:
	case SCHED_KIND_DH:
		return SCHED_SH_SIZE;
	default:
		return 0;
	}
}

/* One destination's way through the table. */
struct permutation {
	uint32_t place, skip;
	uint32_t turns; /* places it takes at a time */
};

/* ip_vs_mh_gcd_weight(), ip_vs_mh_shift_weight(), ip_vs_mh_permutate(). False: nobody has a weight. */
static bool mh_permutate(const struct service_view *s, struct permutation *ret)
{
	uint32_t divisor = 0, max = 0;
	unsigned bits, shift;

	for (size_t i = 0; i < s->n_dests; i++) {
		uint32_t w = s->dests[i]->last_weight;

		divisor = gcd(divisor, w);
		max = w > max ? w : max;
	}
	if (divisor == 0)
		return false;
	bits = 32 - (unsigned)__builtin_clz(max / divisor);
	shift = bits > MH_TURNS_BITS ? bits - MH_TURNS_BITS : 0;
	for (size_t i = 0; i < s->n_dests; i++) {
		const struct dest_view *d = s->dests[i];
		uint32_t word = fold(s->family, d->addr) + ntohs(d->port_be);
		uint32_t turns = (d->last_weight / divisor) >> shift;

		ret[i].place = sched_mh_hash(mh_key_place, word) % SCHED_MH_SIZE;
		ret[i].skip = sched_mh_hash(mh_key_skip, word) % (SCHED_MH_SIZE - 1) + 1;
		ret[i].turns = turns ? turns : d->last_weight != 0;
	}
	return true;
}

static void mh_take_place(uint16_t *table, struct permutation *p, uint16_t dest)
{
	while (table[p->place] != SCHED_HASH_NONE) {
		p->place += p->skip;
		if (p->place >= SCHED_MH_SIZE)
			p->place -= SCHED_MH_SIZE;
	}
	table[p->place] = dest;
}

/* ip_vs_mh_populate(): in turn, each takes the next free places of its permutation. */
static int mh_fill(const struct service_view *s, uint16_t *table)
{
	_cleanup_free_ struct permutation *permutations = NULL;
	size_t filled = 0;

	if (s->n_dests > SCHED_MH_SIZE)
		return -EINVAL;
	permutations = calloc(s->n_dests + 1, sizeof(*permutations));
	if (!permutations)
		return -ENOMEM;
	if (!mh_permutate(s, permutations))
		return 0;
	for (size_t i = 0; filled < SCHED_MH_SIZE; i = i + 1 < s->n_dests ? i + 1 : 0)
		for (uint32_t t = 0; t < permutations[i].turns && filled < SCHED_MH_SIZE; t++) {
			mh_take_place(table, &permutations[i], (uint16_t)i);
			filled++;
		}
	return 0;
}

/* ip_vs_sh_reassign(), ip_vs_dh_reassign(): round the list until all is filled; sh takes as many as the weight. */
static void sh_fill(const struct service_view *s, bool weighted, uint16_t *table)
{
	size_t i = 0;
	uint32_t taken = 0;

	if (s->n_dests == 0)
		return;
	for (size_t k = 0; k < SCHED_SH_SIZE; k++) {
		table[k] = (uint16_t)i;
		if (!weighted || ++taken >= s->dests[i]->weight) {
			i = i + 1 < s->n_dests ? i + 1 : 0;
			taken = 0;
		}
	}
}

int sched_hash_fill(enum sched_kind kind, const struct service_view *s, uint16_t *table)
{
	memset(table, 0xff, sched_hash_size(kind) * sizeof(*table));
	if (kind == SCHED_KIND_MH)
		return mh_fill(s, table);
	sh_fill(s, kind == SCHED_KIND_SH, table);
	return 0;
}

static inline bool is_available(const struct sched_input *in, const struct dest_view *d)
{
	return d->weight > 0 && !in->overloaded(in->context, d->id);
}

static bool any_available(const struct sched_input *in)
{
	for (size_t i = 0; i < in->service->n_dests; i++)
		if (is_available(in, in->service->dests[i]))
			return true;
	return false;
}

/* The place of a key in the table, `offset` steps on; mh adds the offset before it hashes, sh and dh after that. */
static inline unsigned place_of(enum sched_kind kind, uint32_t word, uint32_t offset)
{
	return kind == SCHED_KIND_MH ? sched_mh_hash(mh_key_place, word + offset) % SCHED_MH_SIZE
				     : (sh_hash(word) + offset) % SCHED_SH_SIZE;
}

/* ip_vs_mh_get_fallback(), ip_vs_sh_get_fallback(): on from the first place, the first that is available. */
static int fall_back(enum sched_kind kind, const uint16_t *table, const struct sched_input *in,
		     uint32_t word, unsigned first)
{
	unsigned size = (unsigned)sched_hash_size(kind);

	/* Without this, a flood to a service without a destination would cost a hash per place of the table. */
	if (!any_available(in))
		return -1;
	for (unsigned i = 0, offset = first; i < size; i++) {
		uint16_t at = table[place_of(kind, word, offset)];

		if (at == SCHED_HASH_NONE)
			return -1;
		if (is_available(in, in->service->dests[at]))
			return at;
		if (++offset == size)
			offset = 0;
	}
	return -1;
}

int sched_hash_choose(enum sched_kind kind, const uint16_t *table, const struct sched_input *in)
{
	const struct service_view *s = in->service;
	const struct flow_key *k = in->key;
	/* dh goes by the destination as it stands in the packet, also in one of the other direction. */
	bool by_dst = in->inverse || kind == SCHED_KIND_DH;
	uint32_t word = fold(s->family, by_dst ? k->dst : k->src);
	unsigned first;
	uint16_t at;

	if (kind != SCHED_KIND_DH && s->flags & IPVS_SVC_SCHED2)
		word += ntohs(in->inverse ? k->dst_port_be : k->src_port_be);
	first = place_of(kind, word, 0);
	at = table[first];
	if (at == SCHED_HASH_NONE)
		return -1;
	if (is_available(in, s->dests[at]))
		return at;
	if (kind == SCHED_KIND_DH || !(s->flags & IPVS_SVC_SCHED1))
		return -1;
	return fall_back(kind, table, in, word, first);
}
