/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The schedulers against the kernel's code as it stands there, pointer by pointer (slow_*), and against what their
 * names promise. netns-sched.c asks the kernel itself.
 */

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
#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/sched-hash.h"
#include "dpdk-fastpath/snapshot.h"
#include "random-ruleset.h"

enum {
	DESTS_MAX = 5000,
};

/* A service whose destinations can be changed. */
struct rig {
	struct service_view *service;
	struct dest_view dests[DESTS_MAX];
	struct sched_load loads[DESTS_MAX + 1]; /* by id */
	bool overloaded[DESTS_MAX + 1];
	struct sched_cursor cursor;
	enum sched_kind kind;
};

static struct sched_load rig_load(const void *context, uint32_t id)
{
	return ((const struct rig *)context)->loads[id];
}

static bool rig_overloaded(const void *context, uint32_t id)
{
	return ((const struct rig *)context)->overloaded[id];
}

static int set_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	g->service = calloc(1, sizeof(*g->service) + DESTS_MAX * sizeof(g->service->dests[0]));
	g->service->family = AF_INET;
	g->service->protocol = IPPROTO_TCP;
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;

	sched_view_free((struct sched_view *)g->service->sched);
	free(g->service);
	free(g);
	return 0;
}

/* What a change of the list does. */
static void schedule_by(struct rig *g, enum sched_kind kind)
{
	struct sched_view *v;

	sched_view_free((struct sched_view *)g->service->sched);
	g->service->sched = NULL;
	assert_int_equal(sched_view_new(g->service, kind, &v), 0);
	assert_int_equal(sched_view_kind(v), kind);
	g->service->sched = v;
	g->service->generation++;
	g->kind = kind;
}

static void add_dest(struct rig *g, uint32_t weight, uint32_t last_weight)
{
	size_t i = g->service->n_dests++;
	uint32_t addr = htonl(0x0a010000 + (uint32_t)i);

	g->dests[i] = (struct dest_view){ .id = (uint32_t)i + 1,
					  .weight = weight,
					  .last_weight = last_weight,
					  .port_be = htons((uint16_t)(8000 + i % 3)),
					  .family = AF_INET };
	memcpy(g->dests[i].addr, &addr, sizeof(addr));
	g->service->dests[i] = &g->dests[i];
}

static struct flow_key client(struct random *r, uint8_t family)
{
	struct flow_key k = { .protocol = IPPROTO_TCP, .family = family };

	for (unsigned i = 0; i < (family == AF_INET ? 4 : 16); i++) {
		k.src[i] = (uint8_t)random_below(r, 256);
		k.dst[i] = (uint8_t)random_below(r, 256);
	}
	k.src_port_be = (uint16_t)random_below(r, 65536);
	k.dst_port_be = (uint16_t)random_below(r, 65536);
	return k;
}

static int choose_key(struct rig *g, const struct flow_key *k, bool inverse, uint64_t random)
{
	const struct sched_input in = { .service = g->service,
					.key = k,
					.inverse = inverse,
					.random = random,
					.cursor = &g->cursor,
					.load = rig_load,
					.overloaded = rig_overloaded,
					.context = g };

	return sched_choose(&in);
}

static int choose(struct rig *g)
{
	static const struct flow_key none;

	return choose_key(g, &none, false, 0);
}

static bool available(const struct rig *g, size_t i)
{
	return g->service->dests[i]->weight > 0 && !g->overloaded[g->service->dests[i]->id];
}

static void test_names(void **state)
{
	enum sched_kind k;

	(void)state;
	for (unsigned i = 0; i < _SCHED_KIND_MAX; i++) {
		assert_int_equal(sched_parse(sched_to_string((enum sched_kind)i), &k), 0);
		assert_int_equal(k, i);
	}
	assert_int_equal(sched_parse("lblc", &k), -ENOENT);
	assert_int_equal(sched_parse("", &k), -ENOENT);
}

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

static uint32_t slow_word(const struct rig *g, const uint8_t addr[16], uint16_t port_be)
{
	uint32_t folded = 0;

	for (unsigned i = 0; i < (g->service->family == AF_INET6 ? 16 : 4); i++)
		folded ^= (uint32_t)addr[i] << (24 - 8 * (i % 4));
	return folded + ntohs(port_be);
}

/* ip_vs_mh_populate() with its counters as they are there. */
static void slow_mh_table(const struct rig *g, int table[SCHED_MH_SIZE])
{
	int divisor = 0, max = 0, shift = 0, n = 0, taken = 0;
	static uint32_t perm[DESTS_MAX], skip[DESTS_MAX];
	static int turns[DESTS_MAX];

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

static void slow_sh_table(const struct rig *g, bool weighted, int table[SCHED_SH_SIZE])
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

static int slow_hash_choose(const struct rig *g, const int *table, const struct flow_key *k,
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
	if (available(g, (size_t)table[first]))
		return table[first];
	for (uint32_t i = 0; (flags & IPVS_SVC_SCHED1) && i < size; i++) {
		uint32_t place;

		offset = (i + first) % size;
		place = is_mh ? sched_mh_hash(2654435761, word + offset) % size
			      : ((word * 0x61C88647 >> 24) + offset) & 255;
		if (table[place] < 0)
			return -1;
		if (available(g, (size_t)table[place]))
			return table[place];
	}
	return -1;
}

static void random_dests(struct rig *g, struct random *r)
{
	static const uint32_t scales[] = { 1, 2, 10, 100, 65535 };
	uint32_t n = random_below(r, 10) == 0 ? random_below(r, 300) : random_below(r, 12);
	uint32_t scale = scales[random_below(r, ARRAY_SIZE(scales))];

	g->service->n_dests = 0;
	memset(g->overloaded, 0, sizeof(g->overloaded));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t last = random_below(r, 8) == 0 ? 0 : random_below(r, scale) + 1;

		add_dest(g, random_below(r, 4) == 0 ? 0 : last, last);
		g->overloaded[i + 1] = random_below(r, 6) == 0;
	}
}

static void test_hash_schedulers(void **state)
{
	static const enum sched_kind kinds[] = { SCHED_KIND_MH, SCHED_KIND_SH, SCHED_KIND_DH };
	struct random r = { .state = 11 };
	struct rig *g = *state;
	static int table[SCHED_MH_SIZE];

	for (unsigned i = 0; i < 300; i++) {
		g->service->family = random_below(&r, 2) ? AF_INET6 : AF_INET;
		g->service->flags = random_below(&r, 64);
		random_dests(g, &r);
		schedule_by(g, kinds[i % ARRAY_SIZE(kinds)]);
		if (g->kind == SCHED_KIND_MH)
			slow_mh_table(g, table);
		else
			slow_sh_table(g, g->kind == SCHED_KIND_SH, table);
		for (unsigned n = 0; n < 200; n++) {
			struct flow_key k = client(&r, g->service->family);
			bool inverse = random_below(&r, 4) == 0;

			assert_int_equal(choose_key(g, &k, inverse, 0),
					 slow_hash_choose(g, table, &k, inverse));
		}
	}
}

/* Maglev's promise: equal shares, and few clients move when a destination is drained for good. */
static void test_mh_shares(void **state)
{
	enum { N = 1000, FLOWS = 40000 };
	struct rig *g = *state;
	struct random r = { .state = 5 };
	static unsigned shares[N];
	static int before[FLOWS];
	static struct flow_key keys[FLOWS];
	unsigned moved = 0;

	for (unsigned i = 0; i < N; i++)
		add_dest(g, 1, 1);
	schedule_by(g, SCHED_KIND_MH);
	for (unsigned i = 0; i < FLOWS; i++) {
		keys[i] = client(&r, AF_INET);
		before[i] = choose_key(g, &keys[i], false, 0);
		assert_in_range(before[i], 0, N - 1);
		shares[before[i]]++;
	}
	for (unsigned i = 0; i < N; i++)
		assert_in_range(shares[i], 10, 90);
	g->dests[7].weight = 0;
	g->dests[7].last_weight = 0;
	schedule_by(g, SCHED_KIND_MH);
	for (unsigned i = 0; i < FLOWS; i++) {
		int now = choose_key(g, &keys[i], false, 0);

		assert_int_not_equal(now, 7);
		moved += now != before[i];
	}
	assert_in_range(moved, shares[7], FLOWS / 50);
}

static void test_mh_limit(void **state)
{
	struct rig *g = *state;
	struct sched_view *v;

	for (unsigned i = 0; i < SCHED_MH_SIZE; i++)
		add_dest(g, 1, 1);
	schedule_by(g, SCHED_KIND_MH);
	add_dest(g, 1, 1);
	assert_int_equal(sched_view_new(g->service, SCHED_KIND_MH, &v), -EINVAL);
}

/* struct ip_vs_wrr_mark and svc->sched_data: -1 is the list's head. */
struct slow_mark {
	int cl, cw, mw, di;
};

static void slow_wrr_change(const struct rig *g, struct slow_mark *m)
{
	int divisor = 0, max = 0;

	for (size_t i = 0; i < g->service->n_dests; i++) {
		divisor = slow_gcd(divisor, (int)g->service->dests[i]->weight);
		max = MAX(max, (int)g->service->dests[i]->weight);
	}
	m->cl = -1;
	m->di = divisor ? divisor : 1;
	m->mw = max - (m->di - 1);
	if (m->cw > m->mw || !m->cw)
		m->cw = m->mw;
	else if (m->di > 1)
		m->cw = m->cw / m->di * m->di + 1;
}

/* ip_vs_wrr_schedule(), line by line. */
static int slow_wrr(const struct rig *g, struct slow_mark *m)
{
	int dest = m->cl, last = dest, stop = -2, n = (int)g->service->n_dests;
	bool last_pass = false, restarted = false;

	if (m->mw == 0)
		return -1;
	for (;;) {
		for (dest++; dest < n; dest++) {
			const struct dest_view *d = g->service->dests[dest];

			if (!g->overloaded[d->id] && (int)d->weight >= m->cw) {
				m->cl = dest;
				return dest;
			}
			if (dest == stop) {
				m->cl = dest;
				return -1;
			}
		}
		dest = -1;
		m->cw -= m->di;
		if (m->cw <= 0) {
			m->cw = m->mw;
			if (last_pass || last == -1) {
				m->cl = -1;
				return -1;
			}
			restarted = true;
		}
		last_pass = m->cw <= m->di;
		if (last_pass && restarted && last != -1)
			stop = last;
	}
}

static void test_wrr(void **state)
{
	struct random r = { .state = 3 };
	struct rig *g = *state;

	for (unsigned i = 0; i < 400; i++) {
		struct slow_mark m = { 0 };
		uint32_t scale = random_below(&r, 5) == 0 ? 1000 : 6;
		uint32_t step = 1 + random_below(&r, 4);

		g->service->n_dests = 0;
		g->cursor = (struct sched_cursor){ 0 };
		for (uint32_t n = random_below(&r, 6); n > 0; n--)
			add_dest(g, step * random_below(&r, scale), 1);
		for (unsigned changes = 0; changes < 4; changes++) {
			for (size_t k = 0; k < g->service->n_dests; k++)
				if (random_below(&r, 3) == 0)
					g->dests[k].weight = step * random_below(&r, scale);
			schedule_by(g, SCHED_KIND_WRR);
			slow_wrr_change(g, &m);
			for (unsigned n = 0; n < 40; n++) {
				g->overloaded[1 + random_below(&r, 6)] = random_below(&r, 2);
				assert_int_equal(choose(g), slow_wrr(g, &m));
			}
		}
	}
}

/* Rounds are skipped, not walked: with the kernel's loop this would take hours. */
static void test_wrr_is_bounded(void **state)
{
	struct rig *g = *state;

	add_dest(g, INT32_MAX, 1);
	add_dest(g, 1, 1);
	g->overloaded[1] = true;
	schedule_by(g, SCHED_KIND_WRR);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(choose(g), 1);
	g->overloaded[2] = true;
	assert_int_equal(choose(g), -1);
}

static void test_rr(void **state)
{
	static const int expected[] = { 0, 2, 3, 0, 2, 3 };
	struct rig *g = *state;

	for (unsigned i = 0; i < 5; i++)
		add_dest(g, i == 1 ? 0 : 1, 1);
	g->overloaded[5] = true;
	schedule_by(g, SCHED_KIND_RR);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(choose(g), expected[i]);
	/* One destination alone is used again and again. */
	for (unsigned id = 1; id < 5; id++)
		g->overloaded[id] = id != 3;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(choose(g), 2);
	g->overloaded[3] = true;
	assert_int_equal(choose(g), -1);
	g->overloaded[4] = false;
	assert_int_equal(choose(g), 3);
}

static void remove_dest(struct rig *g, size_t at)
{
	g->service->n_dests--;
	memmove(&g->service->dests[at], &g->service->dests[at + 1],
		(g->service->n_dests - at) * sizeof(g->service->dests[0]));
	schedule_by(g, g->kind);
}

/* ip_vs_rr_del_dest(): the one behind the destination that is gone is next; others that go do not matter. */
static void test_rr_keeps_its_place(void **state)
{
	struct rig *g = *state;

	for (unsigned i = 0; i < 6; i++)
		add_dest(g, 1, 1);
	schedule_by(g, SCHED_KIND_RR);
	for (int i = 0; i < 4; i++)
		assert_int_equal(choose(g), i);
	remove_dest(g, 1);
	assert_int_equal(g->service->dests[choose(g)]->id, 5);
	remove_dest(g, 3); /* id 5, the one just used */
	assert_int_equal(g->service->dests[choose(g)]->id, 6);
	remove_dest(g, 3); /* id 6, the last of the list */
	assert_int_equal(g->service->dests[choose(g)]->id, 1);
	schedule_by(g, SCHED_KIND_WRR);
	(void)choose(g);
	schedule_by(g, SCHED_KIND_RR);
	assert_int_equal(g->service->dests[choose(g)]->id, 1);
}

/* Cost over weight, as a fraction: a/aw < b/bw. */
static bool is_cheaper(uint64_t a, uint64_t a_weight, uint64_t b, uint64_t b_weight)
{
	return (double)a / (double)a_weight < (double)b / (double)b_weight;
}

static uint64_t slow_cost(enum sched_kind kind, struct sched_load l)
{
	if (kind == SCHED_KIND_SED || kind == SCHED_KIND_NQ)
		return l.active + 1;
	return 256 * l.active + l.active + l.inactive;
}

static int slow_least(const struct rig *g)
{
	int least = -1;

	for (size_t i = 0; g->kind == SCHED_KIND_NQ && i < g->service->n_dests; i++)
		if (available(g, i) && g->loads[g->service->dests[i]->id].active == 0)
			return (int)i;
	for (size_t i = 0; i < g->service->n_dests; i++) {
		const struct dest_view *d = g->service->dests[i];
		bool weighted = g->kind != SCHED_KIND_LC;

		if (available(g, i) &&
		    (least < 0 ||
		     is_cheaper(slow_cost(g->kind, g->loads[d->id]), weighted ? d->weight : 1,
				slow_cost(g->kind, g->loads[g->service->dests[least]->id]),
				weighted ? g->service->dests[least]->weight : 1)))
			least = (int)i;
	}
	return least;
}

static int slow_heaviest(const struct rig *g)
{
	int heaviest = -1;

	for (size_t i = 0; i < g->service->n_dests; i++) {
		const struct dest_view *d = g->service->dests[i];

		if (!available(g, i) ||
		    (g->kind == SCHED_KIND_OVF && g->loads[d->id].active > d->weight))
			continue;
		if (heaviest < 0 || d->weight > g->service->dests[heaviest]->weight)
			heaviest = (int)i;
	}
	return heaviest;
}

static void test_load_schedulers(void **state)
{
	static const enum sched_kind kinds[] = { SCHED_KIND_LC, SCHED_KIND_WLC, SCHED_KIND_SED,
						 SCHED_KIND_NQ, SCHED_KIND_FO,	SCHED_KIND_OVF };
	struct random r = { .state = 17 };
	struct rig *g = *state;

	for (unsigned i = 0; i < 6000; i++) {
		random_dests(g, &r);
		schedule_by(g, kinds[i % ARRAY_SIZE(kinds)]);
		for (size_t k = 0; k < g->service->n_dests; k++)
			g->loads[k + 1] =
				(struct sched_load){ random_below(&r, 4), random_below(&r, 600) };
		assert_int_equal(choose(g), g->kind == SCHED_KIND_FO || g->kind == SCHED_KIND_OVF
						    ? slow_heaviest(g)
						    : slow_least(g));
	}
}

/* Both picks fall by weight, and the one with the lower cost for its weight is taken. */
static void test_twos(void **state)
{
	struct rig *g = *state;

	add_dest(g, 0, 1);
	add_dest(g, 3, 3);
	add_dest(g, 1, 1);
	add_dest(g, 4, 4);
	g->overloaded[4] = true;
	g->loads[2] = (struct sched_load){ 2, 0 };
	g->loads[3] = (struct sched_load){ 1, 0 };
	schedule_by(g, SCHED_KIND_TWOS);
	/* 0..3 is the second destination, 4 the third: 2/3 is less than 1/1. */
	for (uint64_t a = 0; a < 5; a++)
		for (uint64_t b = 0; b < 5; b++)
			assert_int_equal(choose_key(g, &(struct flow_key){ 0 }, false, a | b << 32),
					 a == 4 && b == 4 ? 2 : 1);
	g->overloaded[2] = true;
	assert_int_equal(choose_key(g, &(struct flow_key){ 0 }, false, 77), 2);
	g->overloaded[3] = true;
	assert_int_equal(choose_key(g, &(struct flow_key){ 0 }, false, 77), -1);
}

static void test_empty_lists(void **state)
{
	struct rig *g = *state;

	for (unsigned kind = 0; kind < _SCHED_KIND_MAX; kind++) {
		g->service->n_dests = 0;
		g->service->flags = IPVS_SVC_SCHED1;
		schedule_by(g, (enum sched_kind)kind);
		assert_int_equal(choose(g), -1);
		add_dest(g, 0, 5);
		schedule_by(g, (enum sched_kind)kind);
		assert_int_equal(choose(g), -1);
		g->dests[0].weight = 5;
		schedule_by(g, (enum sched_kind)kind);
		assert_int_equal(choose(g), kind == SCHED_KIND_NONE ? -1 : 0);
	}
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_mh_hash),
		rig_test(test_hash_schedulers),
		rig_test(test_mh_shares),
		rig_test(test_mh_limit),
		rig_test(test_wrr),
		rig_test(test_wrr_is_bounded),
		rig_test(test_rr),
		rig_test(test_rr_keeps_its_place),
		rig_test(test_load_schedulers),
		rig_test(test_twos),
		rig_test(test_empty_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
