/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table against a slow reference: an array that says of each possible connection whether it is there. */
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
#include "dpdk-fastpath/flow.h"
#include "ipvs/ruleset.h"

enum {
	N_IDS = 12000,
	N_STEPS = 1000000, /* a look-up step is up to 64 look-ups */
	MAX_FLOWS = 4000,
	EMBRYONIC_MAX = 900,
	N_ENDPOINTS = 100,
	N_LOCALS = 4,
};

/*
 * One possible connection. Numbers 4 i and 4 i + 1 share their reverse key where both have one: the same client and
 * destination under two virtual ports.
 */
struct candidate {
	struct flow flow;
	struct flow_key forward, reverse;
	bool answered;
	uint32_t index; /* FLOW_NONE: not there */
	bool embryonic;
	uint32_t expires;
	uint64_t made; /* in the order of making */
};

struct model {
	struct flow_table *table;
	struct candidate ids[N_IDS];
	uint32_t owner[MAX_FLOWS + 1]; /* the candidate in each record */
	uint32_t now;
	size_t n_flows, n_embryonic, n_templates, n_evicted, n_full;
	uint64_t n_made, random;
	size_t n_expired, n_kept; /* by on_expire() */
};

static struct flow_endpoint endpoints[N_ENDPOINTS];
static struct flow_local locals[N_LOCALS];

static uint32_t draw(struct model *m, uint32_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (uint32_t)((m->random >> 32) * below >> 32);
}

static void init_addresses(struct model *m)
{
	for (unsigned i = 0; i < N_ENDPOINTS; i++)
		for (unsigned j = 0; j < 4; j++) {
			endpoints[i].dest[j] = (uint8_t)draw(m, 256);
			endpoints[i].virtual[j] = (uint8_t)draw(m, 256);
		}
	for (unsigned i = 0; i < N_LOCALS; i++)
		locals[i].addr[0] = (uint8_t)(i + 1);
}

/* Few addresses and many ports, as behind a NAT: keys that are alike in most bits. */
static void init_candidate(struct model *m, uint32_t id)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	static const uint16_t forwards[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_ROUTE,
					     IPVS_FORWARD_TUNNEL, IPVS_FORWARD_FULL_NAT };
	uint32_t pair = id % 4 == 1 ? id - 1 : id;
	struct candidate *c = &m->ids[id];
	struct flow *f = &c->flow;

	f->client[0] = 10;
	f->client[3] = (uint8_t)(pair / 4096);
	f->client_port_be = (uint16_t)(pair % 4096);
	f->virtual_port_be = (uint16_t)(80 + (id != pair));
	f->dest_port_be = htons(8080);
	f->local_port_be = f->client_port_be;
	f->endpoint = pair % N_ENDPOINTS;
	f->protocol = protocols[pair / 4 % 3];
	f->flags = forwards[pair / 12 % 4] | (pair / 48 % 2 ? FLOW_FAMILY_6 : 0);
	if ((f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT) {
		f->local = (uint16_t)(pair / 48 % N_LOCALS);
		f->local_port_be = (uint16_t)pair;
	}
	if (id % 4 == 2)
		f->flags |= FLOW_TEMPLATE;
	c->answered = id % 4 != 2 && ((f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_MASQ ||
				      (f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT);
	if (id % 4 == 2) /* of its client, whatever the port: as many addresses as templates */
		memcpy(f->client + 1, &id, 2);
	flow_forward_key(m->table, f, &c->forward);
	flow_reverse_key(m->table, f, &c->reverse);
}

static void forget(struct model *m, uint32_t id)
{
	struct candidate *c = &m->ids[id];

	m->n_flows--;
	m->n_embryonic -= c->embryonic;
	m->n_templates -= (c->flow.flags & FLOW_TEMPLATE) != 0;
	c->index = FLOW_NONE;
}

static uint32_t oldest_embryonic(const struct model *m)
{
	uint32_t found = N_IDS;

	for (uint32_t i = 0; i < N_IDS; i++)
		if (m->ids[i].index != FLOW_NONE && m->ids[i].embryonic &&
		    (found == N_IDS || m->ids[i].made < m->ids[found].made))
			found = i;
	return found;
}

static int expected_insertion(const struct model *m, uint32_t id)
{
	const struct candidate *c = &m->ids[id], *partner = id % 4 < 2 ? &m->ids[id ^ 1] : NULL;

	if (c->index != FLOW_NONE || (partner && partner->index != FLOW_NONE && c->answered))
		return -EEXIST;
	return m->n_flows == MAX_FLOWS && m->n_embryonic == 0 ? -ENOSPC : 0;
}

static void step_insert(struct model *m, uint32_t id)
{
	struct candidate *c = &m->ids[id];
	struct flow f = c->flow, evicted;
	uint32_t timeout = draw(m, 30) == 0 ? draw(m, 100000) : draw(m, 600), index;
	int expected = expected_insertion(m, id);
	bool embryonic = !(f.flags & FLOW_TEMPLATE) && draw(m, 4) == 0, evicts;

	if (embryonic)
		f.flags |= FLOW_EMBRYONIC;
	evicts = expected != -EEXIST && m->n_embryonic > 0 &&
		 (m->n_flows == MAX_FLOWS || (embryonic && m->n_embryonic == EMBRYONIC_MAX));
	assert_int_equal(flow_insert(m->table, &f, m->now, timeout, &index, &evicted), expected);
	assert_int_equal(evicted.protocol != 0, evicts);
	m->n_full += expected == -ENOSPC;
	if (evicts) {
		uint32_t oldest = oldest_embryonic(m);

		assert_memory_equal(&evicted, &m->ids[oldest].flow, offsetof(struct flow, state));
		forget(m, oldest);
		m->n_evicted++;
	}
	if (expected < 0)
		return;
	assert_in_range(index, 1, MAX_FLOWS);
	c->index = index;
	c->embryonic = embryonic;
	c->expires = m->now + timeout;
	c->made = m->n_made++;
	m->owner[index] = id;
	m->n_flows++;
	m->n_embryonic += embryonic;
	m->n_templates += (f.flags & FLOW_TEMPLATE) != 0;
}

static void step_lookup(struct model *m)
{
	const struct flow_key *keys[64] = { NULL };
	flow_ref expected[64], got[64];
	unsigned n = draw(m, 65);

	for (unsigned i = 0; i < n; i++) {
		const struct candidate *c = &m->ids[draw(m, N_IDS)];
		bool reverse = draw(m, 2);

		keys[i] = reverse ? &c->reverse : &c->forward;
		expected[i] = c->index == FLOW_NONE ? 0 : (flow_ref)c->index << 1 | reverse;
		if (reverse && !c->answered)
			expected[i] = FLOW_NONE;
		/* A reverse key that is shared may find the partner. */
		if (reverse && c->answered && (c - m->ids) % 4 < 2) {
			const struct candidate *partner = &m->ids[(c - m->ids) ^ 1];

			if (partner->index != FLOW_NONE)
				expected[i] = (flow_ref)partner->index << 1 | 1;
		}
		if (c->flow.flags & FLOW_TEMPLATE) {
			assert_int_equal(flow_lookup_template(m->table, &c->forward), c->index);
			expected[i] = FLOW_NONE;
		}
		if (draw(m, 20) == 0) {
			keys[i] = NULL;
			expected[i] = FLOW_NONE;
		}
	}
	flow_lookup_bulk(m->table, keys, n, got);
	assert_memory_equal(got, expected, n * sizeof(*got));
	for (unsigned i = 0; i < n; i++)
		if (keys[i])
			assert_int_equal(flow_lookup(m->table, keys[i]), expected[i]);
}

static void step_touch(struct model *m, uint32_t id)
{
	struct candidate *c = &m->ids[id];
	uint32_t timeout = draw(m, 20) == 0 ? draw(m, 40000) : draw(m, 900);

	if (c->index == FLOW_NONE)
		return;
	flow_touch(m->table, c->index, m->now, timeout);
	c->expires = m->now + timeout;
	assert_int_equal(flow_remaining(flow_at(m->table, c->index), m->now), timeout);
	if (draw(m, 3) == 0) {
		flow_leave_embryonic(m->table, c->index);
		m->n_embryonic -= c->embryonic;
		c->embryonic = false;
	}
}

/* Every third is kept for a while, as a template with connections under it is. */
static bool on_expire(void *context, uint32_t index, struct flow *f)
{
	struct model *m = context;
	uint32_t id = m->owner[index];
	struct candidate *c = &m->ids[id];

	assert_int_equal(c->index, index);
	assert_int_equal(f->expires, c->expires);
	assert_true((int32_t)(c->expires - m->now) <= 0);
	if (draw(m, 3) == 0) {
		uint32_t timeout = 1 + draw(m, 600);

		flow_touch(m->table, index, m->now, timeout);
		c->expires = m->now + timeout;
		m->n_kept++;
		return false;
	}
	forget(m, id);
	m->n_expired++;
	return true;
}

static void step_expire(struct model *m)
{
	const unsigned at_a_time = 1 + draw(m, 50);
	unsigned looked;

	m->now += draw(m, 200) == 0 ? draw(m, 30000) : 1 + draw(m, 5);
	do {
		looked = flow_expire(m->table, m->now, at_a_time, on_expire, m);
		assert_true(looked <= at_a_time);
	} while (looked == at_a_time);
	for (uint32_t i = 0; i < N_IDS; i++)
		if (m->ids[i].index != FLOW_NONE)
			assert_true((int32_t)(m->ids[i].expires - m->now) > 0);
}

static void check_usage(const struct model *m)
{
	struct flow_usage u;

	flow_table_usage(m->table, &u);
	assert_int_equal(u.flows, m->n_flows);
	assert_int_equal(u.embryonic, m->n_embryonic);
	assert_int_equal(u.templates, m->n_templates);
	assert_int_equal(u.evicted, m->n_evicted);
	assert_int_equal(u.full, m->n_full);
	assert_int_equal(u.max_flows, MAX_FLOWS);
}

/* Time begins shortly before its 32 bits run over. */
static void test_random(void **state)
{
	struct flow_table_config c = {
		.max_flows = MAX_FLOWS,
		.embryonic_max = EMBRYONIC_MAX,
		.seed = 99,
		.tick_msec = 100,
		.endpoints = endpoints,
		.locals = locals,
	};
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	m->random = 20261122;
	m->now = UINT32_MAX - 20000;
	init_addresses(m);
	assert_int_equal(flow_table_new(&c, &m->table), 0);
	for (uint32_t i = 0; i < N_IDS; i++)
		init_candidate(m, i);
	for (unsigned step = 0; step < N_STEPS; step++) {
		uint32_t id = draw(m, N_IDS), kind = draw(m, 100);

		if (kind < 60) {
			step_insert(m, id);
		} else if (kind < 75) {
			step_touch(m, id);
		} else if (kind < 78) {
			if (m->ids[id].index != FLOW_NONE) {
				flow_remove(m->table, m->ids[id].index);
				forget(m, id);
			}
		} else if (kind < 99) {
			step_lookup(m);
		} else {
			step_expire(m);
		}
		check_usage(m);
	}
	/* Every path was taken. */
	assert_true(m->n_full > 100);
	assert_true(m->n_evicted > 100);
	assert_true(m->n_expired > 1000);
	assert_true(m->n_kept > 1000);
	assert_true(m->now < UINT32_MAX / 2);
	flow_table_free(m->table);
	free(m);
}

enum {
	N_TIMERS = 100000,
};

struct timer {
	uint32_t expires, id;
};

struct timers {
	struct timer sorted[N_TIMERS];
	size_t n_due; /* of sorted, at the time of the call */
	bool gone[N_TIMERS + 1];
	size_t n_gone;
};

static int by_expiry(const void *a, const void *b)
{
	const struct timer *x = a, *y = b;

	return (x->expires > y->expires) - (x->expires < y->expires);
}

static bool on_timer(void *context, uint32_t index, struct flow *f)
{
	struct timers *t = context;

	(void)f;
	assert_false(t->gone[index]);
	t->gone[index] = true;
	t->n_gone++;
	return true;
}

/*
 * The wheel against a sorted list: nothing before its time, and everything due is gone as soon as a call has room to
 * spare. Timeouts are up to three turns of the wheel; time goes on by one tick, many, or more than a turn.
 */
static void test_wheel(void **state)
{
	static const struct {
		unsigned at_a_time;
		uint32_t max_step, max_timeout;
	} table[] = {
		{ 64, 2, 4000 },    { 1, 2, 1000 },	      { 7, 300, 50000 },
		{ 1000, 1, 20000 }, { 100000, 40000, 50000 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct flow_table_config c = { .max_flows = N_TIMERS,
					       .tick_msec = 100,
					       .endpoints = endpoints };
		struct timers *t = calloc(1, sizeof(*t));
		struct model m = { .random = 77 + i, .now = 1000 };
		struct flow_table *flows;
		unsigned looked;

		assert_non_null(t);
		assert_int_equal(flow_table_new(&c, &flows), 0);
		for (uint32_t n = 0; n < N_TIMERS; n++) {
			struct flow f = { .protocol = IPPROTO_UDP, .flags = IPVS_FORWARD_ROUTE },
				    evicted;
			uint32_t timeout = draw(&m, table[i].max_timeout), index;

			memcpy(f.client, &n, sizeof(n));
			assert_int_equal(flow_insert(flows, &f, m.now, timeout, &index, &evicted),
					 0);
			timeout = draw(&m, table[i].max_timeout);
			flow_touch(flows, index, m.now, timeout);
			t->sorted[n] = (struct timer){ m.now + timeout, index };
		}
		qsort(t->sorted, N_TIMERS, sizeof(t->sorted[0]), by_expiry);
		while (t->n_gone < N_TIMERS) {
			size_t was_due = t->n_due;

			m.now += 1 + draw(&m, table[i].max_step);
			while (t->n_due < N_TIMERS && t->sorted[t->n_due].expires <= m.now)
				t->n_due++;
			do {
				looked = flow_expire(flows, m.now, table[i].at_a_time, on_timer, t);
				assert_true(looked <= table[i].at_a_time);
				assert_true(t->n_gone <= t->n_due);
			} while (looked == table[i].at_a_time);
			assert_int_equal(t->n_gone, t->n_due);
			for (size_t n = was_due; n < t->n_due; n++)
				assert_true(t->gone[t->sorted[n].id]);
		}
		flow_table_free(flows);
		free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_wheel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
