/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The schedulers against the kernel's code as it stands there, pointer by pointer (slow_*), and against what their
 * names promise. netns-sched.c asks the kernel itself.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "sched-rig.h"

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

static int slow_gcd(int a, int b)
{
	return b == 0 ? a : slow_gcd(b, a % b);
}

/* struct ip_vs_wrr_mark and svc->sched_data: -1 is the list's head. */
struct slow_mark {
	int cl, cw, mw, di;
};

static void slow_wrr_change(const struct sched_rig *g, struct slow_mark *m)
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
static int slow_wrr(const struct sched_rig *g, struct slow_mark *m)
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

static void change_weights(struct sched_rig *g, struct random *r, uint32_t step, uint32_t scale)
{
	struct sched_rounds rounds = { 0 };

	for (size_t k = 0; k < g->service->n_dests; k++) {
		if (random_below(r, 3) == 0)
			g->dests[k].weight = step * random_below(r, scale);
		sched_rounds_add(&rounds, g->dests[k].weight);
	}
	sched_changes_add_rounds(&g->changes, &rounds);
}

/* Several changes may become visible at once; the kernel's mark follows each. */
static void test_wrr(void **state)
{
	struct random r = { .state = 3 };
	struct sched_rig *g = *state;

	for (unsigned i = 0; i < 400; i++) {
		struct slow_mark m = { 0 };
		uint32_t scale = random_below(&r, 5) == 0 ? 1000 : 6;
		uint32_t step = 1 + random_below(&r, 4);

		g->service->n_dests = 0;
		g->cursor = (struct sched_cursor){ 0 };
		g->changes = (struct sched_changes){ 0 };
		for (uint32_t n = random_below(&r, 6); n > 0; n--)
			sched_rig_add(g, step * random_below(&r, scale), 1);
		for (unsigned changes = 0; changes < 4; changes++) {
			for (uint32_t n = changes == 0 ? 1 : 1 + random_below(&r, 8); n > 0; n--) {
				change_weights(g, &r, step, scale);
				slow_wrr_change(g, &m);
			}
			sched_rig_use(g, SCHED_KIND_WRR);
			for (unsigned n = 0; n < 40; n++) {
				g->overloaded[1 + random_below(&r, 6)] = random_below(&r, 2);
				assert_int_equal(sched_rig_choose(g), slow_wrr(g, &m));
			}
		}
	}
}

/* Rounds are skipped, not walked: with the kernel's loop this would take hours. */
static void test_wrr_is_bounded(void **state)
{
	struct sched_rig *g = *state;

	sched_rig_add(g, INT32_MAX, 1);
	sched_rig_add(g, 1, 1);
	g->overloaded[1] = true;
	sched_rig_use(g, SCHED_KIND_WRR);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(sched_rig_choose(g), 1);
	g->overloaded[2] = true;
	assert_int_equal(sched_rig_choose(g), -1);
}

static void test_rr(void **state)
{
	static const int expected[] = { 0, 2, 3, 0, 2, 3 };
	struct sched_rig *g = *state;

	for (unsigned i = 0; i < 5; i++)
		sched_rig_add(g, i == 1 ? 0 : 1, 1);
	g->overloaded[5] = true;
	sched_rig_use(g, SCHED_KIND_RR);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(sched_rig_choose(g), expected[i]);
	/* One destination alone is used again and again. */
	for (unsigned id = 1; id < 5; id++)
		g->overloaded[id] = id != 3;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sched_rig_choose(g), 2);
	g->overloaded[3] = true;
	assert_int_equal(sched_rig_choose(g), -1);
	g->overloaded[4] = false;
	assert_int_equal(sched_rig_choose(g), 3);
}

static void remove_dest(struct sched_rig *g, size_t at)
{
	sched_changes_add_removal(&g->changes, g->service->dests[at]->id,
				  at > 0 ? g->service->dests[at - 1]->id : 0);
	g->service->n_dests--;
	memmove(&g->service->dests[at], &g->service->dests[at + 1],
		(g->service->n_dests - at) * sizeof(g->service->dests[0]));
}

/* ip_vs_rr_del_dest(): the one behind the destination that is gone is next; others that go do not matter. */
static void test_rr_keeps_its_place(void **state)
{
	struct sched_rig *g = *state;

	for (unsigned i = 0; i < 6; i++)
		sched_rig_add(g, 1, 1);
	sched_rig_use(g, SCHED_KIND_RR);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sched_rig_choose(g), i);
	remove_dest(g, 1);
	sched_rig_use(g, SCHED_KIND_RR);
	assert_int_equal(g->service->dests[sched_rig_choose(g)]->id, 5);
	remove_dest(g, 3); /* id 5, the one just used */
	sched_rig_use(g, SCHED_KIND_RR);
	assert_int_equal(g->service->dests[sched_rig_choose(g)]->id, 6);
	/* At once: id 6, the last of the list, and 4 and 3 before it. */
	for (size_t at = 4; at > 1; at--)
		remove_dest(g, at - 1);
	sched_rig_use(g, SCHED_KIND_RR);
	assert_int_equal(g->service->n_dests, 1);
	assert_int_equal(g->service->dests[sched_rig_choose(g)]->id, 1);
	sched_rig_use(g, SCHED_KIND_WRR);
	(void)sched_rig_choose(g);
	sched_rig_use(g, SCHED_KIND_RR);
	assert_int_equal(g->service->dests[sched_rig_choose(g)]->id, 1);
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

static int slow_least(const struct sched_rig *g)
{
	int least = -1;

	for (size_t i = 0; g->kind == SCHED_KIND_NQ && i < g->service->n_dests; i++)
		if (sched_rig_available(g, i) && g->loads[g->service->dests[i]->id].active == 0)
			return (int)i;
	for (size_t i = 0; i < g->service->n_dests; i++) {
		const struct dest_view *d = g->service->dests[i];
		bool weighted = g->kind != SCHED_KIND_LC;

		if (sched_rig_available(g, i) &&
		    (least < 0 ||
		     is_cheaper(slow_cost(g->kind, g->loads[d->id]), weighted ? d->weight : 1,
				slow_cost(g->kind, g->loads[g->service->dests[least]->id]),
				weighted ? g->service->dests[least]->weight : 1)))
			least = (int)i;
	}
	return least;
}

static int slow_heaviest(const struct sched_rig *g)
{
	int heaviest = -1;

	for (size_t i = 0; i < g->service->n_dests; i++) {
		const struct dest_view *d = g->service->dests[i];

		if (!sched_rig_available(g, i) ||
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
	struct sched_rig *g = *state;

	for (unsigned i = 0; i < 6000; i++) {
		sched_rig_random_dests(g, &r);
		sched_rig_use(g, kinds[i % ARRAY_SIZE(kinds)]);
		for (size_t k = 0; k < g->service->n_dests; k++)
			g->loads[k + 1] = (struct sched_load){
				random_below(&r, 4), 256 * random_below(&r, 3) + random_below(&r, 4)
			};
		assert_int_equal(sched_rig_choose(g),
				 g->kind == SCHED_KIND_FO || g->kind == SCHED_KIND_OVF
					 ? slow_heaviest(g)
					 : slow_least(g));
	}
}

/* Both picks fall by weight, and the one with the lower cost for its weight is taken. */
static void test_twos(void **state)
{
	struct sched_rig *g = *state;

	sched_rig_add(g, 0, 1);
	sched_rig_add(g, 3, 3);
	sched_rig_add(g, 1, 1);
	sched_rig_add(g, 4, 4);
	g->overloaded[4] = true;
	g->loads[2] = (struct sched_load){ 2, 0 };
	g->loads[3] = (struct sched_load){ 1, 0 };
	sched_rig_use(g, SCHED_KIND_TWOS);
	/* 0..3 is the second destination, 4 the third: 2/3 is less than 1/1. */
	for (uint64_t a = 0; a < 5; a++)
		for (uint64_t b = 0; b < 5; b++)
			assert_int_equal(sched_rig_choose_key(g, &(struct flow_key){ 0 }, false,
							      a | b << 32),
					 a == 4 && b == 4 ? 2 : 1);
	g->overloaded[2] = true;
	assert_int_equal(sched_rig_choose_key(g, &(struct flow_key){ 0 }, false, 77), 2);
	g->overloaded[3] = true;
	assert_int_equal(sched_rig_choose_key(g, &(struct flow_key){ 0 }, false, 77), -1);
}

static void test_empty_lists(void **state)
{
	struct sched_rig *g = *state;

	for (unsigned kind = 0; kind < _SCHED_KIND_MAX; kind++) {
		g->service->n_dests = 0;
		g->service->flags = IPVS_SVC_SCHED1;
		sched_rig_use(g, (enum sched_kind)kind);
		assert_int_equal(sched_rig_choose(g), -1);
		sched_rig_add(g, 0, 5);
		sched_rig_use(g, (enum sched_kind)kind);
		assert_int_equal(sched_rig_choose(g), -1);
		g->dests[0].weight = 5;
		sched_rig_use(g, (enum sched_kind)kind);
		assert_int_equal(sched_rig_choose(g), kind == SCHED_KIND_NONE ? -1 : 0);
	}
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, sched_rig_set_up, sched_rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
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
