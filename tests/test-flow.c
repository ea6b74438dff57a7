/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
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
#include "dpdk-fastpath/flow.h"
#include "ipvs/ruleset.h"

enum {
	N_ENDPOINTS = 256,
	N_LOCALS = 8,
};

static struct flow_endpoint endpoints[N_ENDPOINTS];
static struct flow_local locals[N_LOCALS];

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void init_addresses(void)
{
	uint64_t random = 11;

	for (unsigned i = 0; i < N_ENDPOINTS; i++)
		for (unsigned j = 0; j < 16; j++) {
			endpoints[i].dest[j] = (uint8_t)next_random(&random);
			endpoints[i].virtual[j] = (uint8_t)next_random(&random);
		}
	for (unsigned i = 0; i < N_LOCALS; i++)
		for (unsigned j = 0; j < 16; j++)
			locals[i].addr[j] = (uint8_t)next_random(&random);
}

static struct flow_table *new_table(size_t max_flows, size_t embryonic_max)
{
	struct flow_table_config c = {
		.max_flows = max_flows,
		.embryonic_max = embryonic_max,
		.seed = 4711,
		.tick_msec = 100,
		.endpoints = endpoints,
		.locals = locals,
	};
	struct flow_table *t;

	assert_int_equal(flow_table_new(&c, &t), 0);
	return t;
}

static struct flow_usage usage(const struct flow_table *t)
{
	struct flow_usage u;

	flow_table_usage(t, &u);
	return u;
}

/* The keys as packets have them, from the record's definition in flow.h and not by flow.c. */
static struct flow_key forward_key(const struct flow *f)
{
	struct flow_key k = {
		.src_port_be = f->client_port_be,
		.dst_port_be = f->virtual_port_be,
		.protocol = f->protocol,
		.family = f->flags & FLOW_FAMILY_6 ? AF_INET6 : AF_INET,
	};

	memcpy(k.src, f->client, 16);
	memcpy(k.dst, endpoints[f->endpoint].virtual, 16);
	return k;
}

static struct flow_key reverse_key(const struct flow *f)
{
	bool full_nat = (f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT;
	struct flow_key k = {
		.src_port_be = f->dest_port_be,
		.dst_port_be = full_nat ? f->local_port_be : f->client_port_be,
		.protocol = f->protocol,
		.family = f->flags & FLOW_FAMILY_6 ? AF_INET6 : AF_INET,
	};

	memcpy(k.src, endpoints[f->endpoint].dest, 16);
	memcpy(k.dst, full_nat ? locals[f->local].addr : f->client, 16);
	return k;
}

static uint32_t insert(struct flow_table *t, const struct flow *f, uint32_t now, uint32_t timeout)
{
	struct flow evicted;
	uint32_t index;

	assert_int_equal(flow_insert(t, f, now, timeout, &index, &evicted), 0);
	assert_int_equal(evicted.protocol, 0);
	return index;
}

static struct flow numbered_flow(uint32_t n, uint16_t flags)
{
	struct flow f = {
		.client_port_be = (uint16_t)(n * 7),
		.virtual_port_be = htons(80),
		.dest_port_be = htons(8080),
		.endpoint = n % N_ENDPOINTS,
		.protocol = IPPROTO_TCP,
		.flags = flags,
	};

	memcpy(f.client, &n, sizeof(n));
	return f;
}

static bool expire_all(void *context, uint32_t index, struct flow *f)
{
	(void)index;
	(void)f;
	++*(unsigned *)context;
	return true;
}

static void test_config(void **state)
{
	struct flow_table_config good = { .max_flows = 1,
					  .tick_msec = 100,
					  .endpoints = endpoints },
				 bad[4];
	struct flow_table *t = NULL;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].max_flows = 0;
	bad[1].max_flows = UINT32_C(1) << 30;
	bad[2].tick_msec = 0;
	bad[3].endpoints = NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(flow_table_new(&bad[i], &t), -EINVAL);
	assert_null(t);
	flow_table_free(NULL);
}

struct lent {
	unsigned allocations, releases;
	size_t bytes;
	bool refuse;
};

static void *lend(void *context, size_t bytes)
{
	struct lent *l = context;
	void *p;

	l->allocations++;
	l->bytes = bytes;
	if (l->refuse)
		return NULL;
	p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	assert_non_null(p);
	memset(p, 0, bytes);
	return p;
}

static void take_back(void *context, void *memory, size_t bytes)
{
	struct lent *l = context;

	l->releases++;
	assert_int_equal(bytes, l->bytes);
	free(memory);
}

/* All memory is asked for once, and given back with its size. */
static void test_memory_is_lent(void **state)
{
	struct lent lent = { .refuse = true };
	struct flow_table_config c = {
		.max_flows = 1000,
		.tick_msec = 100,
		.endpoints = endpoints,
		.allocate = lend,
		.release = take_back,
		.context = &lent,
	};
	struct flow_table *t;

	(void)state;
	assert_int_equal(flow_table_new(&c, &t), -ENOMEM);
	lent = (struct lent){ 0 };
	assert_int_equal(flow_table_new(&c, &t), 0);
	for (uint32_t n = 0; n < 1000; n++)
		(void)insert(t,
			     &(struct flow){ .protocol = IPPROTO_UDP,
					     .client_port_be = (uint16_t)n,
					     .flags = IPVS_FORWARD_ROUTE },
			     5, 10);
	assert_int_equal(flow_table_bytes(t), lent.bytes);
	flow_table_free(t);
	assert_int_equal(lent.allocations, 1);
	assert_int_equal(lent.releases, 1);
}

static void assert_found(struct flow_table *t, const struct flow_key *k, flow_ref expected)
{
	const struct flow_key *keys[3] = { k, NULL, k };
	flow_ref refs[3] = { 1, 1, 1 };

	assert_int_equal(flow_lookup(t, k), expected);
	flow_lookup_bulk(t, keys, 3, refs);
	assert_int_equal(refs[0], expected);
	assert_int_equal(refs[1], FLOW_NONE);
	assert_int_equal(refs[2], expected);
}

/* A key that differs in one bit is another flow's: each bit is looked at, for both directions and families. */
static void test_every_bit_of_the_key_counts(void **state)
{
	static const uint16_t flags[] = {
		IPVS_FORWARD_MASQ,
		IPVS_FORWARD_FULL_NAT,
		IPVS_FORWARD_MASQ | FLOW_FAMILY_6,
		IPVS_FORWARD_FULL_NAT | FLOW_FAMILY_6,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct flow_table *t = new_table(1, 0);
		struct flow f = numbered_flow(77, flags[i]);
		uint32_t index;

		f.local = 3;
		f.local_port_be = htons(50000);
		index = insert(t, &f, 0, 10);
		for (unsigned reverse = 0; reverse < 2; reverse++) {
			struct flow_key k = reverse ? reverse_key(&f) : forward_key(&f), got;

			assert_found(t, &k, (flow_ref)index << 1 | reverse);
			if (reverse)
				flow_reverse_key(t, flow_at(t, index), &got);
			else
				flow_forward_key(t, flow_at(t, index), &got);
			assert_memory_equal(&k, &got, sizeof(k));
			for (unsigned bit = 0; bit < 8 * sizeof(k); bit++) {
				((uint8_t *)&k)[bit / 8] ^= (uint8_t)(1 << bit % 8);
				assert_found(t, &k, FLOW_NONE);
				((uint8_t *)&k)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
		}
		flow_remove(t, index);
		assert_int_equal(usage(t).flows, 0);
		flow_table_free(t);
	}
}

/* A template and a connection of port 0 with the same addresses are two. */
static void test_template(void **state)
{
	struct flow_table *t = new_table(4, 0);
	struct flow f = numbered_flow(5, IPVS_FORWARD_MASQ), template = f;
	struct flow_key k;
	uint32_t flow_index, template_index;
	struct flow evicted;

	(void)state;
	f.client_port_be = 0;
	template.flags |= FLOW_TEMPLATE;
	template.client_port_be = htons(1234);
	k = forward_key(&f);
	template_index = insert(t, &template, 0, 10);
	assert_int_equal(flow_at(t, template_index)->client_port_be, 0);
	assert_found(t, &k, FLOW_NONE);
	flow_index = insert(t, &f, 0, 10);
	assert_found(t, &k, (flow_ref)flow_index << 1);
	k.src_port_be = htons(999);
	assert_int_equal(flow_lookup_template(t, &k), template_index);
	assert_int_equal(usage(t).templates, 1);
	/* It has no reverse key: the connection's stays free for it, and found. */
	k = reverse_key(&f);
	assert_found(t, &k, (flow_ref)flow_index << 1 | 1);
	assert_int_equal(flow_insert(t, &template, 0, 10, &template_index, &evicted), -EEXIST);
	flow_remove(t, template_index);
	k = forward_key(&f);
	assert_int_equal(flow_lookup_template(t, &k), FLOW_NONE);
	assert_found(t, &k, (flow_ref)flow_index << 1);
	assert_int_equal(usage(t).templates, 0);
	flow_table_free(t);
}

/* Either key alone is reason enough, and nothing is left behind. */
static void test_exists(void **state)
{
	struct flow_table *t = new_table(8, 0);
	struct flow f = numbered_flow(1, IPVS_FORWARD_MASQ), same_forward = f, same_reverse = f,
		    evicted;
	struct flow_key k;
	uint32_t index = insert(t, &f, 0, 10), other;

	(void)state;
	same_forward.dest_port_be = htons(9);
	same_reverse.virtual_port_be = htons(9);
	assert_int_equal(flow_insert(t, &same_forward, 0, 10, &other, &evicted), -EEXIST);
	assert_int_equal(flow_insert(t, &same_reverse, 0, 10, &other, &evicted), -EEXIST);
	k = reverse_key(&same_forward);
	assert_found(t, &k, FLOW_NONE);
	k = forward_key(&same_reverse);
	assert_found(t, &k, FLOW_NONE);
	assert_int_equal(usage(t).flows, 1);
	/* Without answers, what they would look like is nobody's. */
	same_reverse.flags = IPVS_FORWARD_ROUTE;
	(void)insert(t, &same_reverse, 0, 10);
	flow_remove(t, index);
	(void)insert(t, &same_forward, 0, 10);
	flow_table_free(t);
}

static void test_eviction(void **state)
{
	struct flow_table *t = new_table(6, 3);
	uint32_t index[8];
	struct flow f, evicted;
	unsigned expired = 0;

	(void)state;
	for (uint32_t n = 0; n < 3; n++) {
		f = numbered_flow(n, FLOW_EMBRYONIC);
		index[n] = insert(t, &f, 0, 10);
	}
	/* The first has become established, so that the second is the oldest. */
	flow_leave_embryonic(t, index[0]);
	flow_leave_embryonic(t, index[0]);
	assert_int_equal(usage(t).embryonic, 2);
	f = numbered_flow(3, FLOW_EMBRYONIC);
	(void)insert(t, &f, 0, 10);
	f = numbered_flow(4, FLOW_EMBRYONIC);
	assert_int_equal(flow_insert(t, &f, 0, 10, &index[4], &evicted), 0);
	assert_int_equal(evicted.protocol, IPPROTO_TCP);
	assert_int_equal(evicted.client[0], 1);
	assert_int_equal(evicted.controlled, 0);
	assert_int_equal(usage(t).evicted, 1);
	assert_int_equal(usage(t).flows, 4);
	/* What exists already evicts nobody. */
	f = numbered_flow(4, FLOW_EMBRYONIC);
	assert_int_equal(flow_insert(t, &f, 0, 10, &index[5], &evicted), -EEXIST);
	assert_int_equal(evicted.protocol, 0);
	/* Others take the rest, then the place of the oldest, until none is left to give it. */
	for (uint32_t n = 10; n < 12; n++) {
		f = numbered_flow(n, 0);
		(void)insert(t, &f, 0, 10);
	}
	for (uint32_t n = 12; n < 15; n++) {
		f = numbered_flow(n, 0);
		assert_int_equal(flow_insert(t, &f, 0, 10, &index[6], &evicted), 0);
		assert_int_equal(evicted.client[0], n - 10);
	}
	f = numbered_flow(15, FLOW_EMBRYONIC);
	assert_int_equal(flow_insert(t, &f, 0, 10, &index[6], &evicted), -ENOSPC);
	assert_int_equal(evicted.protocol, 0);
	assert_int_equal(usage(t).full, 1);
	assert_int_equal(usage(t).embryonic, 0);
	/* The list is as good after it was empty, and expiry takes from it, too. */
	flow_remove(t, index[0]);
	(void)insert(t, &f, 0, 5);
	assert_int_equal(usage(t).embryonic, 1);
	assert_int_equal(flow_expire(t, 5, 64, expire_all, &expired), 1);
	assert_int_equal(expired, 1);
	assert_int_equal(usage(t).embryonic, 0);
	flow_table_free(t);
}

/*
 * At max_flows each has two entries, and all of a million find room, as they still do when some leave and others come;
 * for at most 96 bytes each.
 */
static void test_full(void **state)
{
	const uint32_t max = 1000000, churn = 300000;
	struct flow_table *t = new_table(max, 0);
	struct flow f, evicted;
	uint32_t index, cursor = 0, n_seen = 0;
	uint64_t random = 5;

	(void)state;
	assert_true(flow_table_bytes(t) <= (size_t)max * 96);
	for (uint32_t n = 0; n < max; n++) {
		f = numbered_flow(n, 0);
		(void)insert(t, &f, 0, 100);
	}
	f = numbered_flow(max, 0);
	assert_int_equal(flow_insert(t, &f, 0, 100, &index, &evicted), -ENOSPC);
	for (uint32_t n = 0; n < churn; n++) {
		flow_remove(t, 1 + (uint32_t)(next_random(&random) % max));
		f = numbered_flow(max + n, 0);
		(void)insert(t, &f, 0, 100);
	}
	assert_int_equal(usage(t).flows, max);
	assert_int_equal(usage(t).full, 1);
	while ((index = flow_next(t, &cursor)) != FLOW_NONE) {
		struct flow_key k = forward_key(flow_at(t, index));

		assert_int_equal(flow_lookup(t, &k), (flow_ref)index << 1);
		k = reverse_key(flow_at(t, index));
		assert_int_equal(flow_lookup(t, &k), (flow_ref)index << 1 | 1);
		n_seen++;
	}
	assert_int_equal(n_seen, max);
	flow_table_free(t);
}

/* Flows whose keys have one tag and one home bucket are told apart by their keys alone. */
static void test_equal_tags(void **state)
{
	enum {
		N_TRIED = 1 << 24,
		N_WANTED = 10, /* more than one bucket has places */
		MAX_FLOWS = 32,
	};
	struct flow_table *t = new_table(MAX_FLOWS, 0);
	uint32_t same[N_WANTED], indices[N_WANTED], n_same = 0;
	struct flow_index ix;
	uint64_t first = 0;

	(void)state;
	flow_index_init(&ix, NULL, (uint32_t)flow_index_buckets_for(2 * MAX_FLOWS), 4711);
	for (uint32_t n = 0; n < N_TRIED && n_same < N_WANTED; n++) {
		struct flow f = numbered_flow(n, IPVS_FORWARD_ROUTE);
		struct flow_key k = forward_key(&f);
		uint64_t hash = flow_index_hash(&ix, &k);

		assert_int_equal(flow_hash(t, &k), hash >> 32);
		if (n_same > 0 && (flow_index_tag(hash) != flow_index_tag(first) ||
				   flow_index_home(&ix, hash) != flow_index_home(&ix, first)))
			continue;
		first = hash;
		indices[n_same] = insert(t, &f, 0, 10);
		same[n_same++] = n;
	}
	assert_int_equal(n_same, N_WANTED);
	for (uint32_t removed = 0; removed <= N_WANTED; removed++) {
		for (uint32_t i = 0; i < N_WANTED; i++) {
			struct flow f = numbered_flow(same[i], 0);
			struct flow_key k = forward_key(&f);

			assert_found(t, &k, i < removed ? FLOW_NONE : (flow_ref)indices[i] << 1);
		}
		if (removed < N_WANTED)
			flow_remove(t, indices[removed]);
	}
	flow_table_free(t);
}

static void test_next(void **state)
{
	struct flow_table *t = new_table(10, 0);
	uint32_t cursor = 0;
	struct flow f;

	(void)state;
	assert_int_equal(flow_next(t, &cursor), FLOW_NONE);
	for (uint32_t n = 0; n < 5; n++) {
		f = numbered_flow(n, 0);
		assert_int_equal(insert(t, &f, 0, 10), n + 1);
	}
	flow_remove(t, 2);
	flow_remove(t, 5);
	assert_int_equal(flow_next(t, &cursor), 1);
	assert_int_equal(flow_next(t, &cursor), 3);
	assert_int_equal(flow_next(t, &cursor), 4);
	assert_int_equal(flow_next(t, &cursor), FLOW_NONE);
	assert_int_equal(insert(t, &f, 0, 10), 5);
	flow_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_memory_is_lent),
		cmocka_unit_test(test_every_bit_of_the_key_counts),
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_exists),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_equal_tags),
		cmocka_unit_test(test_next),
	};

	init_addresses();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
