/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/flow-index.h"
#include "dpdk-fastpath/flow-wheel.h"
#include "ipvs/ruleset.h"

enum {
	KEY_TEMPLATE = 1, /* flow_key.zero of a template's key: no packet's key is equal to it */
	BULK_MAX = 64,
	AHEAD = 12,	   /* see flow_lookup_bulk() */
	EXPIRE_AHEAD = 16, /* records whose cache lines are asked for before they are looked at */
};

struct flow_table {
	struct flow_records records; /* first member, see flow.h */
	struct flow_index index;
	struct flow_wheel wheel;
	uint32_t max_flows, embryonic_max;
	uint32_t n_flows, n_embryonic, n_templates;
	uint32_t n_opened;  /* records 1 to this one have been in use */
	uint32_t free_last; /* of those, the one that was released last; chained by wheel_next */
	uint32_t embryonic_first, embryonic_last; /* oldest, newest */
	uint64_t evicted, full;
	struct flow_table_config config;
	size_t bytes;
};

static void *allocate_here(void *context, size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	(void)context;
	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

static void release_here(void *context, void *memory, size_t bytes)
{
	(void)context;
	(void)bytes;
	free(memory);
}

/* One piece: the table itself, records (one more, as indices begin at 1), buckets, slots of the wheel. */
int flow_table_new(const struct flow_table_config *c, struct flow_table **ret)
{
	static const struct flow_local no_locals[1];
	struct flow_table_config config = *c;
	size_t table_bytes = (sizeof(struct flow_table) + 63) & ~(size_t)63, records_bytes,
	       buckets_bytes, bytes;
	uint32_t n_slots;
	uint64_t n_buckets;
	struct flow_table *t;
	char *memory;

	if (c->max_flows == 0 || c->max_flows >= UINT32_C(1) << 30 || c->tick_msec == 0 ||
	    !c->endpoints || !c->allocate != !c->release)
		return -EINVAL;
	if (!config.allocate) {
		config.allocate = allocate_here;
		config.release = release_here;
	}
	n_buckets = flow_index_buckets_for((uint64_t)c->max_flows * 2);
	n_slots = flow_wheel_slots_for(c->max_flows, c->tick_msec);
	records_bytes = (c->max_flows + 1) * sizeof(struct flow);
	buckets_bytes = n_buckets * sizeof(struct flow_bucket);
	bytes = table_bytes + records_bytes + buckets_bytes + n_slots * sizeof(uint32_t);
	memory = config.allocate(config.context, bytes);
	if (!memory)
		return -ENOMEM;

	t = (struct flow_table *)memory;
	t->config = config;
	t->bytes = bytes;
	t->records.at = (struct flow *)(memory + table_bytes);
	flow_index_init(&t->index, (struct flow_bucket *)(memory + table_bytes + records_bytes),
			(uint32_t)n_buckets, c->seed);
	t->wheel.slots = (uint32_t *)(memory + table_bytes + records_bytes + buckets_bytes);
	t->wheel.records = t->records.at;
	t->wheel.n_slots = n_slots;
	t->records.endpoints = c->endpoints;
	t->records.locals = c->locals ? c->locals : no_locals;
	t->max_flows = (uint32_t)c->max_flows;
	t->embryonic_max =
		(uint32_t)(c->embryonic_max ? c->embryonic_max : c->max_flows - c->max_flows / 4);
	*ret = t;
	return 0;
}

void flow_table_free(struct flow_table *t)
{
	struct flow_table_config config;

	if (!t)
		return;
	config = t->config;
	config.release(config.context, t, t->bytes);
}

size_t flow_table_bytes(const struct flow_table *t)
{
	return t->bytes;
}

void flow_table_usage(const struct flow_table *t, struct flow_usage *ret)
{
	*ret = (struct flow_usage){
		.flows = t->n_flows,
		.embryonic = t->n_embryonic,
		.templates = t->n_templates,
		.max_flows = t->max_flows,
		.evicted = t->evicted,
		.full = t->full,
	};
}

/* Protocol, family and zero of its keys, as one number. */
static uint32_t kind_of(const struct flow *f)
{
	return f->protocol | (f->flags & FLOW_FAMILY_6 ? AF_INET6 : AF_INET) << 8 |
	       (f->flags & FLOW_TEMPLATE ? KEY_TEMPLATE : 0) << 16;
}

static inline struct flow_key_parts parts_of(const struct flow_table *t, const struct flow *f,
					     uint32_t kind, bool reverse)
{
	struct flow_side s = flow_side(t, f, reverse);

	return (struct flow_key_parts){ s.src, s.dst, s.ports | (uint64_t)kind << 32 };
}

static void key_of(const struct flow_table *t, const struct flow *f, bool reverse,
		   struct flow_key *ret)
{
	struct flow_key_parts k = parts_of(t, f, kind_of(f), reverse);

	memcpy(ret->src, k.src, sizeof(ret->src));
	memcpy(ret->dst, k.dst, sizeof(ret->dst));
	memcpy((uint8_t *)ret + FLOW_KEY_REST, &k.rest, sizeof(k.rest));
}

/* No early exit: as the tags are equal, a difference is as good as never found here. */
static inline bool has_key(const struct flow_table *t, uint32_t ref, const struct flow_key_parts *k)
{
	const struct flow *f = &t->records.at[FLOW_REF_INDEX(ref)];
	struct flow_key_parts own = parts_of(t, f, f->key_kind, FLOW_REF_REVERSE(ref));

	return ((flow_load64(own.src) ^ flow_load64(k->src)) |
		(flow_load64(own.src + 8) ^ flow_load64(k->src + 8)) |
		(flow_load64(own.dst) ^ flow_load64(k->dst)) |
		(flow_load64(own.dst + 8) ^ flow_load64(k->dst + 8)) | (own.rest ^ k->rest)) == 0;
}

static uint32_t find(const struct flow_table *t, const struct flow_key_parts *k, uint64_t hash)
{
	uint16_t tag = flow_index_tag(hash);
	uint32_t home = flow_index_home(&t->index, hash);
	const struct flow_bucket *b = &t->index.buckets[home], *end = b;

	if (b->n_away)
		end = &t->index.buckets[flow_index_other(&t->index, home, tag)];
	for (;; b = end) {
		for (uint64_t m = flow_bucket_match(b, tag); m; m = flow_match_next(m)) {
			uint32_t ref = b->refs[flow_match_first(m)];

			if (has_key(t, ref, k))
				return ref;
		}
		if (b == end)
			return FLOW_NONE;
	}
}

uint32_t flow_hash(const struct flow_table *t, const struct flow_key *k)
{
	return (uint32_t)(flow_index_hash(&t->index, k) >> 32);
}

flow_ref flow_lookup(struct flow_table *t, const struct flow_key *k)
{
	struct flow_key_parts parts = flow_key_parts(k);

	return find(t, &parts, flow_index_hash_parts(&t->index, &parts));
}

uint32_t flow_lookup_template(struct flow_table *t, const struct flow_key *k)
{
	struct flow_key template = *k;

	template.src_port_be = 0;
	template.zero = KEY_TEMPLATE;
	return FLOW_REF_INDEX(flow_lookup(t, &template));
}

/* One key on its way through flow_lookup_bulk(). */
struct probe {
	const struct flow_bucket *bucket;
	uint32_t candidate; /* the first reference with the tag, or 0 */
	uint16_t tag;
};

static inline void probe_start(const struct flow_index *ix, const struct flow_key *k,
			       struct probe *ret)
{
	uint64_t hash;

	if (__builtin_expect(!k, false)) {
		/* Free places have this tag, and refer to nothing. */
		*ret = (struct probe){ .bucket = ix->buckets };
		return;
	}
	hash = flow_index_hash(ix, k);
	ret->bucket = &ix->buckets[flow_index_home(ix, hash)];
	ret->tag = flow_index_tag(hash);
	__builtin_prefetch(ret->bucket);
}

static inline void probe_bucket(const struct flow_table *t, struct probe *p)
{
	uint64_t m = flow_bucket_match(p->bucket, p->tag);

	p->candidate = m ? p->bucket->refs[flow_match_first(m)] : 0;
	__builtin_prefetch(&t->records.at[FLOW_REF_INDEX(p->candidate)], 1);
}

/* The home bucket has no candidate, but sent some away: on to the other one. */
static void probe_other(const struct flow_index *ix, struct probe *p)
{
	uint32_t home = (uint32_t)(p->bucket - ix->buckets);

	p->bucket = &ix->buckets[flow_index_other(ix, home, p->tag)];
	__builtin_prefetch(p->bucket);
}

/* A candidate that has another key is one of 2^13 or so: begin again, and look at all that have the tag. */
static inline flow_ref probe_end(struct flow_table *t, const struct probe *p,
				 const struct flow_key *k)
{
	struct flow_key_parts parts;

	if (p->candidate == 0)
		return FLOW_NONE;
	parts = flow_key_parts(k);
	return has_key(t, p->candidate, &parts) ? p->candidate : flow_lookup(t, k);
}

/* Those whose bucket is the other one now. */
static __attribute__((noinline)) void end_others(struct flow_table *t, struct probe *probes,
						 const struct flow_key *const *keys,
						 const uint8_t *others, unsigned n, flow_ref *rets)
{
	for (unsigned i = 0; i < n; i++)
		probe_bucket(t, &probes[others[i]]);
	for (unsigned i = 0; i < n; i++)
		rets[others[i]] = probe_end(t, &probes[others[i]], keys[others[i]]);
}

/*
 * A key's steps are AHEAD keys apart from each other, so that few enough cache lines are asked for at a time, and
 * hashing and comparing fill the time until they come. All hashes first, then all buckets, was measured: a quarter
 * slower, as the processor has no more than two dozen lines under way and waits with all the rest.
 */
void flow_lookup_bulk(struct flow_table *t, const struct flow_key *const *keys, unsigned n,
		      flow_ref *rets)
{
	struct probe probes[BULK_MAX];
	uint8_t others[BULK_MAX];
	unsigned n_others = 0, started = 0, ended = 0;

	assert(n <= BULK_MAX);
	while (started < MIN(n, (unsigned)AHEAD)) {
		probe_start(&t->index, keys[started], &probes[started]);
		started++;
	}
	for (unsigned i = 0; i < n; i++) {
		if (started < n) {
			probe_start(&t->index, keys[started], &probes[started]);
			started++;
		}
		probe_bucket(t, &probes[i]);
		if (probes[i].candidate == 0 && probes[i].bucket->n_away) {
			probe_other(&t->index, &probes[i]);
			others[n_others++] = (uint8_t)i;
		}
		if (i >= AHEAD) {
			rets[ended] = probe_end(t, &probes[ended], keys[ended]);
			ended++;
		}
	}
	for (; ended < n; ended++)
		rets[ended] = probe_end(t, &probes[ended], keys[ended]);
	if (n_others > 0)
		end_others(t, probes, keys, others, n_others, rets);
}

void flow_forward_key(const struct flow_table *t, const struct flow *f, struct flow_key *ret)
{
	key_of(t, f, false, ret);
	ret->zero = 0;
}

void flow_reverse_key(const struct flow_table *t, const struct flow *f, struct flow_key *ret)
{
	key_of(t, f, true, ret);
	ret->zero = 0;
}

/* Nat and full NAT. */
static bool is_answered(const struct flow *f)
{
	unsigned forward = f->flags & FLOW_FWD_MASK;

	return (forward == IPVS_FORWARD_MASQ || forward == IPVS_FORWARD_FULL_NAT) &&
	       !(f->flags & FLOW_TEMPLATE);
}

static uint64_t hash_of(const struct flow_table *t, const struct flow *f, uint32_t kind,
			bool reverse)
{
	struct flow_key_parts k = parts_of(t, f, kind, reverse);

	return flow_index_hash_parts(&t->index, &k);
}

static void prefetch_home(const struct flow_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->index.buckets[flow_index_home(&t->index, hash)], 1);
}

void flow_plan(const struct flow_table *t, const struct flow *f, struct flow_plan *ret)
{
	ret->kind = kind_of(f);
	ret->forward = hash_of(t, f, ret->kind, false);
	prefetch_home(t, ret->forward);
	flow_plan_answers(t, f, ret);
}

void flow_plan_answers(const struct flow_table *t, const struct flow *f, struct flow_plan *plan)
{
	plan->is_answered = is_answered(f);
	if (!plan->is_answered)
		return;
	plan->reverse = hash_of(t, f, plan->kind, true);
	prefetch_home(t, plan->reverse);
}

static void embryonic_append(struct flow_table *t, uint32_t index)
{
	struct flow *f = flow_at(t, index);

	f->embryonic_prev = t->embryonic_last;
	f->controlled = FLOW_NONE; /* the next */
	if (t->embryonic_last != FLOW_NONE)
		flow_at(t, t->embryonic_last)->controlled = index;
	else
		t->embryonic_first = index;
	t->embryonic_last = index;
	t->n_embryonic++;
}

void flow_leave_embryonic(struct flow_table *t, uint32_t index)
{
	struct flow *f = flow_at(t, index);
	uint32_t prev = f->embryonic_prev, next = f->controlled;

	if (!(f->flags & FLOW_EMBRYONIC))
		return;
	if (prev != FLOW_NONE)
		flow_at(t, prev)->controlled = next;
	else
		t->embryonic_first = next;
	if (next != FLOW_NONE)
		flow_at(t, next)->embryonic_prev = prev;
	else
		t->embryonic_last = prev;
	t->n_embryonic--;
	f->flags &= (uint16_t)~FLOW_EMBRYONIC;
	f->controlled = 0;
	f->wheel_bound = f->expires;
}

static uint32_t record_acquire(struct flow_table *t)
{
	uint32_t index = t->free_last;

	if (index == FLOW_NONE)
		return t->n_opened < t->max_flows ? ++t->n_opened : FLOW_NONE;
	t->free_last = flow_at(t, index)->wheel_next;
	__builtin_prefetch(flow_at(t, t->free_last), 1);
	return index;
}

static void record_release(struct flow_table *t, uint32_t index)
{
	struct flow *f = flow_at(t, index);

	f->protocol = 0; /* see flow_next() */
	f->wheel_next = t->free_last;
	t->free_last = index;
}

static void evict_oldest(struct flow_table *t, struct flow *ret)
{
	uint32_t index = t->embryonic_first;

	flow_leave_embryonic(t, index);
	*ret = *flow_at(t, index);
	flow_remove(t, index);
	t->evicted++;
}

static int index_record(struct flow_table *t, const struct flow_plan *p, uint32_t index)
{
	int r;

	r = flow_index_add(&t->index, p->forward, index << 1);
	if (r < 0 || !p->is_answered)
		return r;
	r = flow_index_add(&t->index, p->reverse, index << 1 | 1);
	if (r < 0)
		flow_index_remove(&t->index, p->forward, index << 1);
	return r;
}

static bool is_taken(const struct flow_table *t, const struct flow *f, const struct flow_plan *p,
		     bool reverse)
{
	struct flow_key_parts k = parts_of(t, f, p->kind, reverse);

	return find(t, &k, reverse ? p->reverse : p->forward) != FLOW_NONE;
}

int flow_insert_new(struct flow_table *t, const struct flow *f, const struct flow_plan *p,
		    uint32_t now, uint32_t timeout_ticks, uint32_t *ret, struct flow *ret_evicted)
{
	uint32_t index;
	struct flow *new;
	int r;

	assert(f->protocol != 0);
	ret_evicted->protocol = 0;
	if (p->is_answered && is_taken(t, f, p, true))
		return -EEXIST;
	if (t->n_embryonic > 0 &&
	    (t->n_flows == t->max_flows ||
	     (f->flags & FLOW_EMBRYONIC && t->n_embryonic >= t->embryonic_max)))
		evict_oldest(t, ret_evicted);

	index = record_acquire(t);
	r = index == FLOW_NONE ? -ENOSPC : index_record(t, p, index);
	if (r < 0) {
		if (index != FLOW_NONE)
			record_release(t, index);
		t->full++;
		return r;
	}
	new = flow_at(t, index);
	*new = *f;
	new->key_kind = p->kind;
	new->expires = now + timeout_ticks;
	if (t->n_flows++ == 0)
		t->wheel.tick = now;
	t->n_templates += (f->flags & FLOW_TEMPLATE) != 0;
	if (f->flags & FLOW_EMBRYONIC)
		embryonic_append(t, index);
	flow_wheel_link(&t->wheel, index);
	*ret = index;
	return 0;
}

int flow_insert(struct flow_table *t, const struct flow *f, uint32_t now, uint32_t timeout_ticks,
		uint32_t *ret, struct flow *ret_evicted)
{
	struct flow new = *f;
	struct flow_plan plan;

	ret_evicted->protocol = 0;
	if (new.flags & FLOW_TEMPLATE)
		new.client_port_be = 0;
	if ((new.flags &FLOW_FWD_MASK) != IPVS_FORWARD_FULL_NAT)
		new.local_port_be = new.client_port_be;
	flow_plan(t, &new, &plan);
	if (is_taken(t, &new, &plan, false))
		return -EEXIST;
	return flow_insert_new(t, &new, &plan, now, timeout_ticks, ret, ret_evicted);
}

void flow_remove(struct flow_table *t, uint32_t index)
{
	struct flow *f = flow_at(t, index);
	struct flow_plan plan;

	flow_plan(t, f, &plan);
	if (flow_wheel_is_linked(&t->wheel, index))
		flow_wheel_unlink(&t->wheel, index);
	flow_leave_embryonic(t, index);
	flow_index_remove(&t->index, plan.forward, index << 1);
	if (plan.is_answered)
		flow_index_remove(&t->index, plan.reverse, index << 1 | 1);
	t->n_templates -= (f->flags & FLOW_TEMPLATE) != 0;
	t->n_flows--;
	record_release(t, index);
}

/* A record that is not linked is in its on_expire(): flow_expire() links it afterwards. */
void flow_rearm(struct flow_table *t, uint32_t index)
{
	if (!flow_wheel_is_linked(&t->wheel, index))
		return;
	flow_wheel_unlink(&t->wheel, index);
	flow_wheel_link(&t->wheel, index);
}

/* Asks for what the removal of the next records in the slot needs, as far as they are due. */
static void prefetch_due(struct flow_table *t, uint32_t index, uint32_t now)
{
	struct flow_plan plan;

	for (unsigned i = 0; i < EXPIRE_AHEAD && index != FLOW_NONE; i++) {
		const struct flow *f = flow_at(t, index);

		__builtin_prefetch(flow_at(t, f->wheel_next), 1);
		if (flow_remaining(f, now) == 0)
			flow_plan(t, f, &plan);
		index = f->wheel_next;
	}
}

unsigned flow_expire(struct flow_table *t, uint32_t now, unsigned max_flows_per_call,
		     flow_on_expire on_expire, void *context)
{
	struct flow_wheel *w = &t->wheel;
	unsigned n = 0;

	if (t->n_flows == 0)
		w->tick = now;
	if ((int32_t)(now - w->tick) >= (int32_t)w->n_slots)
		w->tick = now - w->n_slots + 1; /* one turn passes by every slot */
	while ((int32_t)(now - w->tick) >= 0 && n < max_flows_per_call) {
		uint32_t index = flow_wheel_first(w);
		struct flow *f = flow_at(t, index);

		if (index == FLOW_NONE) {
			w->tick++;
			continue;
		}
		if (n++ % EXPIRE_AHEAD == 0)
			prefetch_due(t, index, now);
		flow_wheel_unlink(w, index);
		if (flow_remaining(f, now) == 0 && on_expire(context, index, f)) {
			flow_remove(t, index);
			continue;
		}
		/* Into a later slot whatever it asks for: this one must become empty. */
		w->tick++;
		flow_wheel_link(w, index);
		w->tick--;
	}
	return n;
}

uint32_t flow_remaining(const struct flow *f, uint32_t now)
{
	return (int32_t)(f->expires - now) > 0 ? f->expires - now : 0;
}

uint32_t flow_next(struct flow_table *t, uint32_t *cursor)
{
	while (*cursor < t->n_opened)
		if (flow_at(t, ++*cursor)->protocol != 0)
			return *cursor;
	return FLOW_NONE;
}
