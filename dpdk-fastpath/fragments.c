/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/fragments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/director.h"

enum {
	NONE = 0, /* no element: indices begin at 1 */
	DATAGRAMS_PER_HELD = 4,
	HELD_MAX = 1 << 20,
};

struct held {
	struct director_frame frame;
	uint32_t next;
	bool timed_out;
};

struct queue {
	uint32_t first, last; /* of held */
};

struct identity {
	uint8_t src[16], dst[16];
	uint32_t id;
	uint8_t protocol, family;
	uint16_t zero;
};

_Static_assert(sizeof(struct identity) == 40, "hashed as five words");

/* In a chain of its bucket, and in the list of all by age: the oldest gives its place. */
struct datagram {
	struct identity identity;
	struct fragment_decision decision;
	struct queue waiting;
	uint32_t n_waiting;
	uint32_t expires;
	uint32_t chain_next;
	uint32_t older, newer;
	bool decided;
};

struct fragments {
	uint64_t seed;
	uint32_t timeout_ticks;
	uint32_t bucket_mask;
	uint32_t *buckets;	    /* owned */
	struct datagram *datagrams; /* owned; 0 is not used */
	struct held *held;	    /* owned; 0 is not used */
	uint32_t free_datagram, free_held;
	uint32_t oldest, newest;
	size_t n_held;
	struct queue ready;
};

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

static uint64_t hash_words(uint64_t h, const void *bytes, size_t n_words)
{
	for (size_t i = 0; i < n_words; i++) {
		uint64_t word;

		memcpy(&word, (const uint8_t *)bytes + 8 * i, sizeof(word));
		h = mix(h, word);
	}
	return h;
}

unsigned fragments_home(const struct flow_key *k, unsigned n_workers)
{
	uint64_t h = hash_words(0, k->src, 4); /* dst follows src */

	return (unsigned)((h >> 32) * n_workers >> 32);
}

static uint32_t round_up(uint32_t n)
{
	uint32_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

DEFINE_CLEANUP(struct fragments *, fragments_free)

int fragments_new(size_t max_held, uint32_t tick_msec, uint64_t seed, struct fragments **ret)
{
	_cleanup_(fragments_free_p) struct fragments *f = NULL;
	uint32_t n_datagrams;

	if (max_held == 0 || max_held > HELD_MAX || tick_msec == 0)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	n_datagrams = (uint32_t)max_held * DATAGRAMS_PER_HELD;
	f->seed = seed;
	f->timeout_ticks = (FRAGMENTS_TIMEOUT_MSEC + tick_msec - 1) / tick_msec;
	f->bucket_mask = round_up(n_datagrams) - 1;
	f->buckets = calloc((size_t)f->bucket_mask + 1, sizeof(*f->buckets));
	f->datagrams = calloc((size_t)n_datagrams + 1, sizeof(*f->datagrams));
	f->held = calloc(max_held + 1, sizeof(*f->held));
	if (!f->buckets || !f->datagrams || !f->held)
		return -ENOMEM;
	for (uint32_t i = n_datagrams; i > 0; i--) {
		f->datagrams[i].chain_next = f->free_datagram;
		f->free_datagram = i;
	}
	for (uint32_t i = (uint32_t)max_held; i > 0; i--) {
		f->held[i].next = f->free_held;
		f->free_held = i;
	}
	*ret = take_ptr(f);
	return 0;
}

void fragments_free(struct fragments *f)
{
	if (!f)
		return;
	free(f->buckets);
	free(f->datagrams);
	free(f->held);
	free(f);
}

static struct identity identity_of(const struct packet *p)
{
	struct identity id = {
		.id = p->frag_id,
		.protocol = p->key.protocol,
		.family = p->key.family,
	};

	memcpy(id.src, p->key.src, sizeof(id.src));
	memcpy(id.dst, p->key.dst, sizeof(id.dst));
	return id;
}

static uint32_t *bucket_of(struct fragments *f, const struct identity *id)
{
	return &f->buckets[hash_words(f->seed, id, 5) & f->bucket_mask];
}

static void append(struct fragments *f, struct queue *q, uint32_t i)
{
	f->held[i].next = NONE;
	if (q->first == NONE)
		q->first = i;
	else
		f->held[q->last].next = i;
	q->last = i;
}

static void make_ready(struct fragments *f, struct datagram *d, bool timed_out)
{
	uint32_t next;

	for (uint32_t i = d->waiting.first; i != NONE; i = next) {
		next = f->held[i].next;
		f->held[i].timed_out = timed_out;
		append(f, &f->ready, i);
	}
	d->waiting = (struct queue){ NONE, NONE };
	d->n_waiting = 0;
}

static void leave_age(struct fragments *f, struct datagram *d)
{
	*(d->older != NONE ? &f->datagrams[d->older].newer : &f->oldest) = d->newer;
	*(d->newer != NONE ? &f->datagrams[d->newer].older : &f->newest) = d->older;
}

static void enter_age(struct fragments *f, uint32_t i, uint32_t now)
{
	struct datagram *d = &f->datagrams[i];

	d->expires = now + f->timeout_ticks;
	d->older = f->newest;
	d->newer = NONE;
	*(f->newest != NONE ? &f->datagrams[f->newest].newer : &f->oldest) = i;
	f->newest = i;
}

static void forget(struct fragments *f, uint32_t i)
{
	struct datagram *d = &f->datagrams[i];
	uint32_t *at = bucket_of(f, &d->identity);

	while (*at != i)
		at = &f->datagrams[*at].chain_next;
	*at = d->chain_next;
	leave_age(f, d);
	make_ready(f, d, true);
	d->chain_next = f->free_datagram;
	f->free_datagram = i;
}

void fragments_expire(struct fragments *f, uint32_t now)
{
	while (f->oldest != NONE && (int32_t)(now - f->datagrams[f->oldest].expires) >= 0)
		forget(f, f->oldest);
}

static uint32_t find(struct fragments *f, const struct identity *id, uint32_t now)
{
	uint32_t i = *bucket_of(f, id);

	while (i != NONE && memcmp(&f->datagrams[i].identity, id, sizeof(*id)) != 0)
		i = f->datagrams[i].chain_next;
	if (i != NONE && (int32_t)(now - f->datagrams[i].expires) >= 0) {
		forget(f, i);
		return NONE;
	}
	return i;
}

static struct datagram *make(struct fragments *f, const struct identity *id, uint32_t now)
{
	struct datagram *d;
	uint32_t *bucket, i;

	if (f->free_datagram == NONE)
		forget(f, f->oldest);
	i = f->free_datagram;
	d = &f->datagrams[i];
	f->free_datagram = d->chain_next;
	*d = (struct datagram){ .identity = *id };
	bucket = bucket_of(f, id);
	d->chain_next = *bucket;
	*bucket = i;
	enter_age(f, i, now);
	return d;
}

const struct fragment_decision *fragments_find(struct fragments *f, const struct packet *p,
					       uint32_t now)
{
	struct identity id = identity_of(p);
	uint32_t i = find(f, &id, now);

	return i != NONE && f->datagrams[i].decided ? &f->datagrams[i].decision : NULL;
}

void fragments_decide(struct fragments *f, const struct packet *p, uint32_t now,
		      const struct fragment_decision *decision)
{
	struct identity id = identity_of(p);
	uint32_t i = find(f, &id, now);
	struct datagram *d;

	if (i == NONE) {
		d = make(f, &id, now);
	} else {
		d = &f->datagrams[i];
		leave_age(f, d);
		enter_age(f, i, now);
	}
	d->decision = *decision;
	d->decided = true;
	make_ready(f, d, false);
}

bool fragments_hold(struct fragments *f, const struct director_frame *frame, uint32_t now)
{
	struct identity id = identity_of(&frame->packet);
	uint32_t i = find(f, &id, now), h = f->free_held;
	struct datagram *d;

	if (h == NONE)
		return false;
	d = i != NONE ? &f->datagrams[i] : make(f, &id, now);
	if (d->n_waiting == FRAGMENTS_HELD_PER_DATAGRAM)
		return false;
	f->free_held = f->held[h].next;
	f->held[h].frame = *frame;
	append(f, &d->waiting, h);
	d->n_waiting++;
	f->n_held++;
	return true;
}

bool fragments_next_ready(struct fragments *f, struct director_frame *ret, bool *ret_timed_out)
{
	uint32_t i = f->ready.first;

	if (i == NONE)
		return false;
	f->ready.first = f->held[i].next;
	*ret = f->held[i].frame;
	*ret_timed_out = f->held[i].timed_out;
	f->held[i].next = f->free_held;
	f->free_held = i;
	f->n_held--;
	return true;
}

size_t fragments_held(const struct fragments *f)
{
	return f->n_held;
}
