/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Ten thousand targets that flap at random for ten minutes of simulated time, from results to a table: registry,
 * weights, desired state, plan, and its operations one by one on a model of the kernel. Every second the states are
 * those that the whole history of each target's results gives, and the table is what follows from them.
 */

#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/registry.h"
#include "ipvs/plan.h"

enum {
	GROUPS = 10,
	GROUP_TARGETS = 1000,
	TARGETS = GROUPS * GROUP_TARGETS,
	SECONDS = 600,
	INTERVAL = 5, /* seconds */
	RESULTS_MAX = SECONDS / INTERVAL + 2,
	STICKS = 6, /* one in so many results is another than the last */
};

#define START (1000000 * USEC_PER_SEC)

struct flapper {
	char results[RESULTS_MAX]; /* + and -, all that there were */
	uint64_t id;
	bool well;
	char state;
};

struct storm {
	struct conf conf;
	struct conf_group groups[GROUPS];
	struct conf_listener listeners[GROUPS];
	struct conf_forward forwards[GROUPS];
	struct conf_target *targets;
	struct flapper *flappers;
	struct registry registry;
	struct ipvs_ruleset kernel;
	unsigned seed, transitions, operations;
};

static struct addr address(size_t group, size_t i)
{
	struct addr a;

	assert_int_equal(addr_parse("10.0.0.0", &a), 0);
	a.bytes[1] = (uint8_t)group;
	a.bytes[2] = (uint8_t)(i >> 8);
	a.bytes[3] = (uint8_t)i;
	return a;
}

/* Every other group ends connections, the later half starts slowly; one of them is hashed, and keeps its order. */
static void group_init(struct storm *s, size_t g)
{
	struct conf_group *c = &s->groups[g];

	(void)snprintf(c->name, sizeof(c->name), "g%zu", g);
	strcpy(c->algorithm.scheduler, g == 3 ? "mh" : "wrr");
	c->in_use = true;
	c->check.protocol = CONF_CHECK_TCP;
	c->check.healthy_threshold = 3;
	c->check.unhealthy_threshold = 2;
	c->minimum_healthy_routing.count = 1;
	c->minimum_healthy_routing.percent = g == 1 ? 50 : 0;
	c->unhealthy_termination = g % 2;
	c->slow_start_usec = g >= GROUPS / 2 ? 30 * USEC_PER_SEC : 0;
	c->targets = &s->targets[g * GROUP_TARGETS];
	c->n_targets = GROUP_TARGETS;
	for (size_t i = 0; i < GROUP_TARGETS; i++) {
		c->targets[i].addr = address(g, i);
		c->targets[i].port = 80;
		c->targets[i].weight = 100;
	}
	s->forwards[g] = (struct conf_forward){ .group = g, .weight = 1 };
	s->listeners[g] = (struct conf_listener){
		.ports = { 80, 80 },
		.family = AF_INET,
		.forwards = &s->forwards[g],
		.n_forwards = 1,
	};
	assert_int_equal(addr_parse("203.0.113.0", &s->listeners[g].address), 0);
	s->listeners[g].address.bytes[3] = (uint8_t)(g + 1);
}

static void storm_init(struct storm *s)
{
	const struct registry none = REGISTRY_INIT;

	*s = (struct storm){ .seed = 20261122, .kernel = IPVS_RULESET_INIT };
	s->targets = calloc(TARGETS, sizeof(*s->targets));
	s->flappers = calloc(TARGETS, sizeof(*s->flappers));
	assert_non_null(s->targets);
	assert_non_null(s->flappers);
	for (size_t g = 0; g < GROUPS; g++)
		group_init(s, g);
	s->conf.groups = s->groups;
	s->conf.n_groups = GROUPS;
	s->conf.listeners = s->listeners;
	s->conf.n_listeners = GROUPS;
	assert_int_equal(registry_build(&s->conf, &none, START, &s->registry), 0);
	for (size_t i = 0; i < TARGETS; i++) {
		s->flappers[i].well = true;
		s->flappers[i].id =
			s->registry.groups[i / GROUP_TARGETS].targets[i % GROUP_TARGETS].id;
	}
}

static void storm_deinit(struct storm *s)
{
	registry_deinit(&s->registry);
	ipvs_ruleset_deinit(&s->kernel);
	free(s->flappers);
	free(s->targets);
}

/* The results of this second, as manager.c takes them. */
static void flap(struct storm *s, unsigned second)
{
	for (size_t i = second % INTERVAL; i < TARGETS; i += INTERVAL) {
		struct flapper *f = &s->flappers[i];
		struct registry_result r = { .weight_percent = -1 };
		struct target_group *g;
		struct target *t = registry_find_id(&s->registry, f->id, &g);

		if ((unsigned)rand_r(&s->seed) % STICKS == 0)
			f->well = !f->well;
		f->results[strlen(f->results)] = f->well ? '+' : '-';
		r.report.outcome = f->well ? PROBE_OK : PROBE_REFUSED;
		assert_non_null(t);
		(void)registry_report(g, t, &r, START + second * USEC_PER_SEC);
	}
}

/* As daemon/reconcile.c does it, on the model. */
static void apply(struct storm *s)
{
	const struct plan_ownership all = { .exclusive = true };
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan plan = PLAN_INIT, again = PLAN_INIT;
	_cleanup_free_ struct desired_group *groups = NULL;

	assert_int_equal(registry_to_desired(&s->registry, &groups), 0);
	assert_int_equal(desired_compute(&s->conf, groups, DESIRED_KERNEL, &desired), 0);
	assert_int_equal(plan_compute(&s->kernel, &desired, &all, &plan), 0);
	s->operations += plan.n;
	/* What the operations name belongs to the rulesets of the plan: the model changes a copy. */
	{
		struct ipvs_ruleset after = IPVS_RULESET_INIT;

		assert_int_equal(ipvs_ruleset_copy(&s->kernel, &after), 0);
		for (size_t i = 0; i < plan.n; i++)
			assert_int_equal(plan_op_apply(&plan.ops[i], &after), 0);
		ipvs_ruleset_sort(&after);
		ipvs_ruleset_deinit(&s->kernel);
		s->kernel = after;
	}
	assert_int_equal(plan_compute(&s->kernel, &desired, &all, &again), 0);
	assert_int_equal(again.n, 0);
}

/* elbv2.md §1.1 over the whole history: the slow way. */
static char state_of(const char *results)
{
	char state = 'i';
	unsigned good = 0, bad = 0;

	for (; *results; results++) {
		good = *results == '+' ? good + 1 : 0;
		bad = *results == '-' ? bad + 1 : 0;
		if (bad == 2 && state != 'u')
			state = 'u';
		else if (good && (state == 'i' || (state == 'u' && good >= 3)))
			state = 'h';
	}
	return state;
}

static void check_states(struct storm *s)
{
	for (size_t i = 0; i < TARGETS; i++) {
		struct flapper *f = &s->flappers[i];
		const struct target *t =
			&s->registry.groups[i / GROUP_TARGETS].targets[i % GROUP_TARGETS];
		char state = state_of(f->results);

		s->transitions += state != f->state;
		f->state = state;
		if (target_state_to_string(t->health.state)[0] != state)
			fail_msg("target %zu: %s after %s", i,
				 target_state_to_string(t->health.state), f->results);
	}
}

static bool fails_open(const struct storm *s, size_t g)
{
	unsigned well = 0;

	for (size_t i = 0; i < GROUP_TARGETS; i++)
		well += s->flappers[g * GROUP_TARGETS + i].state == 'h';
	return well < GROUP_TARGETS &&
	       (well < 1 ||
		well * 100 < GROUP_TARGETS * s->groups[g].minimum_healthy_routing.percent);
}

/* Has the table exactly the destinations that it should, with their weights? */
static void check_group(const struct storm *s, size_t g, const struct ipvs_service *service)
{
	bool open = fails_open(s, g), ramps = s->groups[g].slow_start_usec > 0;
	bool leaves = s->groups[g].unhealthy_termination && g != 3 && !open;
	size_t n = 0, expected = 0;

	for (size_t i = 0; i < GROUP_TARGETS; i++)
		expected += !leaves || s->flappers[g * GROUP_TARGETS + i].state != 'u';
	for (size_t k = 0; k < service->n_dests; k++) {
		const struct ipvs_dest *d = &service->dests[k];
		size_t i = (size_t)d->addr.bytes[2] << 8 | d->addr.bytes[3];
		const struct flapper *f = &s->flappers[g * GROUP_TARGETS + i];
		/* Cold: until its first result it is taken for well. */
		bool used = f->state == 'h' || open || !*f->results;

		n++;
		if (f->state == 'u' && leaves)
			fail_msg("group %zu, target %zu is still there", g, i);
		if ((d->weight > 0) != used || (used && !ramps && d->weight != 100) ||
		    d->weight > 100)
			fail_msg("group %zu, target %zu: weight %u in state %c", g, i, d->weight,
				 f->state);
	}
	assert_int_equal(n, expected);
}

static void check_table(const struct storm *s)
{
	for (size_t g = 0; g < GROUPS; g++) {
		const struct ipvs_service_key key = { .family = AF_INET,
						      .protocol = IPPROTO_TCP,
						      .port = 80,
						      .addr = s->listeners[g].address };
		const struct ipvs_service *service = ipvs_ruleset_find(&s->kernel, &key);

		assert_non_null(service);
		check_group(s, g, service);
	}
}

static void test_ten_minutes(void **state)
{
	size_t bytes = 0;
	struct storm s;

	(void)state;
	storm_init(&s);
	for (unsigned second = 0; second < SECONDS; second++) {
		flap(&s, second);
		assert_true(registry_compute_weights(&s.registry, START + second * USEC_PER_SEC) >=
			    0);
		check_states(&s);
		if (second % 2 == 0) {
			apply(&s);
			check_table(&s);
		}
		if (second == SECONDS / 10)
			bytes = mallinfo2().uordblks;
	}
	print_message("# %u transitions, %u operations, memory %+ld bytes in nine minutes\n",
		      s.transitions, s.operations, (long)(mallinfo2().uordblks - bytes));
	assert_true(s.transitions > 10 * TARGETS);
	/* Destinations that are not in the table need no memory: it breathes by some hundred of them. */
	assert_true((long)(mallinfo2().uordblks - bytes) < 256 * 1024);
	storm_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
