/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Random lives of a small group against a slow reference, which knows the rules of elbv2.md §1.1 to 1.4 as sentences
 * and looks at all targets after each step. Restarts and reloads are steps like any other.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "life-rig.h"

enum {
	STORIES = 300,
	STEPS = 500,
};

struct ref {
	bool there, leaving, out, by_operator, of_file;
	char verdict; /* i h u v */
	bool probed, ever_probed;
	unsigned good, bad; /* in a row */
	usec_t draining_until, leaving_until, ramp_since;
	bool was_up, founder;
	unsigned weight;
	bool ends;
};

struct group {
	struct ref t[LIFE_N];
	bool cold;
};

static bool registered(const struct ref *t)
{
	return t->there && !t->leaving && !t->out;
}

static bool anybody_registered(const struct group *g)
{
	for (size_t i = 0; i < LIFE_N; i++)
		if (registered(&g->t[i]))
			return true;
	return false;
}

static void be_new(struct ref *t)
{
	t->verdict = 'i';
	t->probed = t->ever_probed = false;
	t->good = t->bad = 0;
	t->draining_until = 0;
}

static void ref_result(struct ref *t, const struct life *l, bool good)
{
	bool keeps = l->group.unhealthy_draining_usec && !l->group.unhealthy_termination;

	if (!t->there || t->out)
		return;
	t->probed = t->ever_probed = true;
	t->good = good ? t->good + 1 : 0;
	t->bad = good ? 0 : t->bad + 1;
	if (good && (t->verdict == 'i' || (strchr("uv", t->verdict) && t->good >= 3)))
		t->verdict = 'h';
	if (!good && t->verdict == 'h' && t->bad >= 2) {
		t->verdict = keeps ? 'v' : 'u';
		t->draining_until = l->now + l->group.unhealthy_draining_usec;
	}
	if (!good && t->verdict == 'i' && t->bad >= 2)
		t->verdict = 'u';
}

static void ref_register(struct group *g, size_t i)
{
	struct ref *t = &g->t[i];

	if (!t->there) {
		bool founder = !anybody_registered(g);

		*t = (struct ref){ .there = true, .founder = founder };
		be_new(t);
	} else if (t->out) {
		t->founder = !anybody_registered(g);
		t->out = false;
		be_new(t);
	}
	t->leaving = false;
}

static void ref_deregister(struct ref *t, const struct life *l)
{
	if (!registered(t))
		return;
	t->leaving = true;
	t->leaving_until = l->now + l->group.deregistration_delay_usec;
}

static void ref_finish(struct ref *t, const struct life *l, uint64_t connections)
{
	if (!t->there || !t->leaving || (connections && l->now < t->leaving_until))
		return;
	t->leaving = false;
	if (t->of_file)
		t->out = true;
	else
		t->there = false;
}

/*
 * Never probed and as the file has it: not written down, unless it stands before one that leaves. The next start
 * takes it for a founder where the group was cold, or has nobody else.
 */
static void ref_restart(struct group *g)
{
	bool forgotten[LIFE_N] = { 0 }, any = false, anybody = false, leaves = false;

	for (size_t i = LIFE_N; i-- > 0;) {
		const struct ref *t = &g->t[i];

		leaves |= t->there && t->leaving;
		forgotten[i] = registered(t) && t->of_file && !t->by_operator && !t->ever_probed &&
			       !leaves;
		any |= t->there && !forgotten[i];
		anybody |= registered(t) && !forgotten[i];
	}
	g->cold |= !any;
	for (size_t i = 0; i < LIFE_N; i++)
		if (forgotten[i])
			g->t[i].founder = g->cold || !anybody;
}

/* Who waits for the end of unhealthy.draining waits no longer than the new configuration would have it. */
static void ref_reload(struct group *g, const struct life *l)
{
	bool keeps = l->group.unhealthy_draining_usec && !l->group.unhealthy_termination;

	for (size_t i = 0; i < LIFE_N; i++) {
		usec_t most = l->now + (keeps ? l->group.unhealthy_draining_usec : 0);

		g->t[i].draining_until = MIN(g->t[i].draining_until, most);
	}
}

static bool is_up(const struct ref *t)
{
	return registered(t) && t->verdict == 'h' && !t->by_operator;
}

static void ref_ramps(struct group *g, const struct life *l)
{
	bool somebody = false;

	for (size_t i = 0; i < LIFE_N; i++) {
		struct ref *t = &g->t[i];

		if (!t->there)
			continue;
		if (t->verdict == 'v' && l->now >= t->draining_until)
			t->verdict = 'u';
		if (t->verdict == 'u' && registered(t))
			t->founder = false;
		if (!is_up(t))
			t->was_up = false;
		if (!t->was_up ||
		    (t->ramp_since && l->now - t->ramp_since >= l->group.slow_start_usec))
			t->ramp_since = 0;
		somebody |= t->was_up && !t->ramp_since;
	}
	for (size_t i = 0; i < LIFE_N; i++) {
		struct ref *t = &g->t[i];

		if (t->was_up || !is_up(t))
			continue;
		t->was_up = true;
		if (somebody && !t->founder && l->group.slow_start_usec)
			t->ramp_since = l->now;
		t->founder = false;
	}
}

static void ref_weights(struct group *g, const struct life *l)
{
	unsigned able = 0, well = 0, waiting = 0,
		 percent = l->group.minimum_healthy_routing.percent;
	bool open, cold = false;

	ref_ramps(g, l);
	for (size_t i = 0; i < LIFE_N; i++) {
		const struct ref *t = &g->t[i];
		bool can = registered(t) && !t->by_operator;

		able += can;
		well += can && t->verdict == 'h';
		waiting += can && !t->probed;
		cold |= can && !t->probed && g->cold;
	}
	open = well < able && (well < 1 || well * 100 < able * percent);
	for (size_t i = 0; i < LIFE_N; i++) {
		struct ref *t = &g->t[i];
		bool can = registered(t) && !t->by_operator;
		bool used = can && (t->verdict == 'h' || open || (g->cold && !t->probed));
		double share = 1;

		if (!open && t->ramp_since)
			share = (double)(l->now - t->ramp_since) / (double)l->group.slow_start_usec;
		t->weight = used ? MAX((unsigned)(100 * share + 0.5), 1U) : 0;
		t->ends = t->there && !t->out && !used && !open && t->verdict == 'u' &&
			  (l->group.unhealthy_termination || l->group.unhealthy_draining_usec);
	}
	g->cold = cold || (open && waiting == able);
}

static char ref_letter(const struct ref *t)
{
	if (!t->there)
		return 'g';
	if (t->out)
		return 'n';
	return t->leaving ? 'd' : t->verdict;
}

static char letter(const struct target *t)
{
	static const char letters[_TARGET_STATE_MAX] = "ihuvnda";

	return t ? letters[t->health.state] : 'g';
}

static void compare(const struct life *l, const struct group *g, const char *past)
{
	for (size_t i = 0; i < LIFE_N; i++) {
		const struct target *t = life_find(l, i);
		const struct ref *r = &g->t[i];
		long weight = t ? t->weight.weight : 0;

		/* Between two points of the ramp's grid it stands where the last one put it. */
		if (letter(t) != ref_letter(r) || labs(weight - (long)r->weight) > 1 ||
		    (weight == 0) != (r->weight == 0) || (t && t->weight.ends != r->ends))
			fail_msg("%s\ntarget %zu: %c %ld%s, not %c %u%s", past, i, letter(t),
				 weight, t && t->weight.ends ? " ends" : "", ref_letter(r),
				 r->weight, r->ends ? " ends" : "");
	}
}

static void change_conf(struct life *l, unsigned r)
{
	static const usec_t slow[] = { 0, 30 * SEC, 60 * SEC };

	l->group.slow_start_usec = slow[r % 3];
	l->group.unhealthy_termination = r >> 4 & 1;
	l->group.unhealthy_draining_usec = r >> 5 & 1 ? 20 * SEC : 0;
	l->group.minimum_healthy_routing.percent = r >> 6 & 1 ? 40 : 0;
}

static void one_step(struct life *l, struct group *g, unsigned *seed, char *word)
{
	unsigned what = (unsigned)rand_r(seed) % 100, r = (unsigned)rand_r(seed);
	size_t i = r % LIFE_N;

	if (what < 60) {
		bool good = r >> 8 & 1;

		sprintf(word, "%zu%c ", i, good ? '+' : '-');
		(void)life_result(l, i, good ? PROBE_OK : PROBE_TIMEOUT);
		ref_result(&g->t[i], l, good);
	} else if (what < 72) {
		sprintf(word, "@%u ", r % 15000);
		life_pass(l, r % 15000 * USEC_PER_MSEC);
	} else if (what < 77) {
		sprintf(word, "%zuD ", i);
		life_deregister(l, i);
		ref_deregister(&g->t[i], l);
	} else if (what < 84) {
		sprintf(word, "%zuR ", i);
		life_register(l, i);
		ref_register(g, i);
	} else if (what < 88) {
		bool drained = r >> 8 & 1;

		sprintf(word, "%zu%c ", i, drained ? 'X' : 'O');
		life_set_drained(l, i, drained);
		g->t[i].by_operator = g->t[i].there && drained;
	} else if (what < 94) {
		uint64_t connections = r >> 8 & 1;

		sprintf(word, "C%u ", (unsigned)connections);
		life_finish_drains(l, connections);
		for (size_t k = 0; k < LIFE_N; k++)
			ref_finish(&g->t[k], l, connections);
	} else if (what < 97) {
		sprintf(word, "L%x ", r & 0x7f);
		change_conf(l, r);
		life_reload(l);
		ref_reload(g, l);
	} else {
		strcpy(word, "S ");
		life_restart(l);
		ref_restart(g);
	}
}

static void tell(unsigned seed)
{
	static char past[STEPS * 8 + 64];
	size_t len;
	struct group g = { .cold = true };
	struct life l;

	life_init(&l, 4);
	change_conf(&l, (unsigned)rand_r(&seed));
	life_begin(&l);
	for (size_t i = 0; i < 4; i++) {
		g.t[i] = (struct ref){ .there = true, .of_file = true, .founder = true };
		be_new(&g.t[i]);
	}
	ref_weights(&g, &l);
	len = (size_t)sprintf(past, "seed %u, ", seed);
	for (unsigned step = 0; step < STEPS; step++) {
		one_step(&l, &g, &seed, past + len);
		len += strlen(past + len);
		life_compute(&l);
		ref_weights(&g, &l);
		compare(&l, &g, past);
	}
	life_deinit(&l);
}

static void test_random_lives(void **state)
{
	const char *text = getenv("IPVSD_TEST_SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : 20261122;

	(void)state;
	for (unsigned i = 0; i < STORIES; i++)
		tell(seed + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
