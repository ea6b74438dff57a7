/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ipvs/plan.h"
#include "random-ruleset.h"

enum {
	RANDOM_PAIRS = 3000,
};

static const char *const schedulers[] = { "rr", "wlc", "mh", "sh", "dh", "none", NULL };
static const struct plan_ownership nothing_owned = { 0 };

/* The service's destinations that `other` has too. */
static size_t count_common(const struct ipvs_service *s, const struct ipvs_service *other)
{
	size_t n = 0;

	for (size_t i = 0; s && other && i < s->n_dests; i++)
		n += ipvs_service_find(other, &s->dests[i].addr, s->dests[i].port) != NULL;
	return n;
}

/*
 * At every step, each service that has destinations before and after has some; and of those that are in both, none is
 * missing but inside of an adjacent pair of a move.
 */
static void check_step(const struct ipvs_ruleset *before, const struct ipvs_ruleset *now,
		       const struct ipvs_ruleset *after, bool inside_move)
{
	size_t missing = 0;

	for (size_t i = 0; i < after->n; i++) {
		const struct ipvs_service *then = &after->services[i];
		const struct ipvs_service *was = ipvs_ruleset_find(before, &then->key);
		const struct ipvs_service *is = ipvs_ruleset_find(now, &then->key);

		if (!was)
			continue;
		assert_non_null(is);
		if (was->n_dests > 0 && then->n_dests > 0)
			assert_true(is->n_dests > 0);
		for (size_t k = 0; k < was->n_dests; k++) {
			const struct ipvs_dest *d = &was->dests[k];

			if (ipvs_service_find(then, &d->addr, d->port) &&
			    !ipvs_service_find(is, &d->addr, d->port))
				missing++;
		}
	}
	assert_int_equal(missing, inside_move ? 1 : 0);
}

static void check_move(const struct plan *p, size_t i)
{
	const struct plan_op *op = &p->ops[i];

	assert_true(i + 1 < p->n);
	assert_int_equal(op[0].kind, PLAN_DEST_DEL);
	assert_int_equal(op[1].kind, PLAN_DEST_NEW);
	assert_true(op[1].reorder);
	assert_int_equal(ipvs_dest_key_cmp(op[0].dest, op[1].dest), 0);
	assert_int_equal(ipvs_service_key_cmp(&op[0].service->key, &op[1].service->key), 0);
}

/* The quick way must end where the ops one by one end. */
static void check_result(const struct plan *p, const struct ipvs_ruleset *before,
			 const struct ipvs_ruleset *desired, const struct ipvs_ruleset *stepped)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;

	assert_int_equal(plan_result(p, before, desired, &r), 0);
	assert_int_equal(r.n, stepped->n);
	for (size_t i = 0; i < r.n; i++) {
		const struct ipvs_service *a = &r.services[i], *b = &stepped->services[i];

		assert_int_equal(ipvs_service_key_cmp(&a->key, &b->key), 0);
		assert_true(ipvs_service_conf_eq(a, b));
		assert_int_equal(a->n_dests, b->n_dests);
		if (ipvs_scheduler_is_ordered(a->scheduler))
			assert_true(ipvs_service_same_list(a, b));
		for (size_t k = 0; k < a->n_dests; k++) {
			const struct ipvs_dest *d =
				ipvs_service_find(b, &a->dests[k].addr, a->dests[k].port);

			assert_non_null(d);
			assert_true(ipvs_dest_conf_eq(&a->dests[k], d));
			if (!ipvs_scheduler_is_ordered(a->scheduler)) /* a moved one counts anew */
				assert_int_equal(a->dests[k].active_conns, d->active_conns);
		}
	}
}

static void run_plan(const struct plan *p, const struct ipvs_ruleset *before,
		     const struct ipvs_ruleset *after, struct ipvs_ruleset *ret)
{
	assert_int_equal(ipvs_ruleset_copy(before, ret), 0);
	for (size_t i = 0; i < p->n; i++) {
		bool move = p->ops[i].reorder && p->ops[i].kind == PLAN_DEST_DEL;

		if (move)
			check_move(p, i);
		assert_int_equal(plan_op_apply(&p->ops[i], ret), 0);
		check_step(before, ret, after, move);
	}
	check_result(p, before, after, ret);
}

/* Slow reference: of a list with n members, how many at its end can stay, tried by every length. */
static size_t stay_reference(const struct ipvs_service *was, const struct ipvs_service *then)
{
	for (size_t len = then->n_dests; len > 0; len--) {
		size_t next = then->n_dests - len;

		for (size_t i = 0; i < was->n_dests && next < then->n_dests; i++)
			if (ipvs_dest_key_cmp(&was->dests[i], &then->dests[next]) == 0)
				next++;
		if (next == then->n_dests)
			return len;
	}
	return 0;
}

static void check_moves_minimal(const struct plan *p, const struct ipvs_ruleset *before,
				const struct ipvs_ruleset *after)
{
	for (size_t i = 0; i < after->n; i++) {
		const struct ipvs_service *then = &after->services[i];
		const struct ipvs_service *was = ipvs_ruleset_find(before, &then->key);
		size_t moves = 0, expected = 0;

		if (was && ipvs_scheduler_is_ordered(then->scheduler))
			expected = count_common(then, was) - stay_reference(was, then);
		for (size_t k = 0; k < p->n; k++)
			moves += p->ops[k].reorder && p->ops[k].kind == PLAN_DEST_NEW &&
				 ipvs_service_key_cmp(&p->ops[k].service->key, &then->key) == 0;
		assert_int_equal(moves, expected);
	}
}

/* Nothing that is neither desired nor owned is named by any request. */
static void check_foreign_untouched(const struct plan *p, const struct ipvs_ruleset *desired,
				    const struct plan_ownership *owned)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct ipvs_service_key *key = &p->ops[i].service->key;
		bool ours = owned->exclusive || ipvs_ruleset_find(desired, key);

		for (size_t k = 0; k < owned->n; k++)
			ours = ours || ipvs_service_key_cmp(key, &owned->keys[k]) == 0;
		assert_true(ours);
	}
}

static void check_pair(struct random *random)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset expected = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset result = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT, again = PLAN_INIT, itself = PLAN_INIT;
	_cleanup_free_ struct ipvs_service_key *keys = NULL;
	struct plan_ownership owned = { .exclusive = random_below(random, 4) == 0 };

	random_ruleset(random, &a);
	if (random_below(random, 10) == 0)
		random_ruleset(random, &b);
	else
		random_mutation(random, &a, &b);
	keys = random_keys(random, &a, &owned.n);
	owned.keys = keys;

	assert_int_equal(plan_compute(&a, &a, &owned, &itself), 0);
	assert_int_equal(itself.n, 0);
	assert_int_equal(plan_compute(&a, &b, &owned, &p), 0);
	run_plan(&p, &a, &b, &result);
	expected_ruleset(&a, &b, &owned, &expected);
	if (!same_ruleset(&result, &expected)) {
		print_ruleset("actual", &a);
		print_ruleset("desired", &b);
		print_ruleset("result", &result);
		print_ruleset("expected", &expected);
		fail();
	}
	check_moves_minimal(&p, &a, &b);
	check_foreign_untouched(&p, &b, &owned);
	assert_int_equal(plan_compute(&result, &b, &owned, &again), 0);
	assert_int_equal(again.n, 0);
}

static void test_random(void **state)
{
	struct random random = { .state = 0x1d5a77c2, .schedulers = schedulers };
	usec_t start = clock_monotonic_usec();

	(void)state;
	for (unsigned i = 0; i < RANDOM_PAIRS; i++) {
		uint64_t seed = random.state;

		check_pair(&random);
		if (random.state == seed)
			fail_msg("the generator stands still");
	}
	print_message("%u pairs in %llu ms\n", RANDOM_PAIRS,
		      (unsigned long long)(clock_monotonic_usec() - start) / USEC_PER_MSEC);
}

/* "A mh ab" is a service with scheduler mh and destinations a, b in list order. */
static void make(const char *scheduler, const char *dests, uint32_t weight,
		 struct ipvs_ruleset *ret)
{
	struct ipvs_service_key key = { .family = AF_INET, .protocol = IPPROTO_TCP, .port = 80 };
	struct ipvs_service *s;

	*ret = IPVS_RULESET_INIT;
	assert_int_equal(addr_parse("10.9.0.1", &key.addr), 0);
	s = ipvs_ruleset_append(ret, &key);
	assert_non_null(s);
	strcpy(s->scheduler, scheduler);
	for (; *dests; dests++) {
		struct ipvs_dest d = { .port = (uint16_t)*dests, .weight = weight };

		assert_int_equal(addr_parse("10.0.0.1", &d.addr), 0);
		assert_non_null(ipvs_service_append(s, &d));
	}
}

/* "S" set service, "N" new service, "D" delete service, "+a" new, "-a" delete, "=a" set, "<a" and ">a" move out, in. */
static void spell(const struct plan *p, char *ret)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_op *op = &p->ops[i];
		static const char kinds[] = "NSD+=-";

		*ret = kinds[op->kind];
		if (op->reorder)
			*ret = op->kind == PLAN_DEST_DEL ? '<' : '>';
		ret++;
		if (op->kind >= PLAN_DEST_NEW)
			*ret++ = (char)op->dest->port;
	}
	*ret = '\0';
}

static void test_order(void **state)
{
	static const struct {
		const char *scheduler, *dests; /* NULL: no such service */
		uint32_t weight;
		const char *then_scheduler, *then_dests;
		uint32_t then_weight;
		const char *ops;
	} cases[] = {
		{ NULL, "", 1, "rr", "ab", 1, "N+b+a" },
		{ NULL, "", 1, "mh", "ab", 1, "N+b+aS" },
		{ NULL, "", 1, "mh", "a", 1, "N+a" },
		{ NULL, "", 1, "sh", "abc", 1, "N+c+b+aS" },
		{ "rr", "ab", 1, NULL, "", 1, "D" },
		{ "rr", "ab", 1, "rr", "ba", 1, "" },
		{ "rr", "ab", 1, "rr", "cd", 1, "+d+c-a-b" },
		{ "rr", "ab", 1, "wlc", "ab", 2, "S=a=b" },
		{ "mh", "ab", 1, "mh", "cab", 1, "+c" },
		{ "mh", "ab", 1, "mh", "acb", 1, "+c<a>a" },
		{ "mh", "ab", 1, "mh", "abc", 1, "+c<b>b<a>a" },
		{ "mh", "abc", 1, "mh", "bca", 1, "<c>c<b>b" },
		{ "mh", "abc", 1, "mh", "cab", 1, "<c>c" },
		{ "mh", "abc", 1, "mh", "b", 1, "-a-c" },
		{ "mh", "a", 1, "mh", "b", 1, "+b-a" },
		{ "mh", "ab", 1, "mh", "ba", 2, "<b>b=a" },
		{ "mh", "ab", 1, "rr", "cab", 1, "S+c" },
		{ "rr", "ab", 1, "mh", "cba", 1, "<b>b+cS" },
		{ "none", "b", 1, "mh", "ab", 1, "+aS" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
		_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
		const struct plan_ownership all = { .exclusive = true };
		char ops[64];

		if (cases[i].scheduler)
			make(cases[i].scheduler, cases[i].dests, cases[i].weight, &a);
		if (cases[i].then_scheduler)
			make(cases[i].then_scheduler, cases[i].then_dests, cases[i].then_weight,
			     &b);
		assert_int_equal(plan_compute(&a, &b, &all, &p), 0);
		spell(&p, ops);
		assert_string_equal(ops, cases[i].ops);
	}
}

/* Raised weights before lowered ones, so that capacity does not dip. */
static void test_weights(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	char ops[64];

	(void)state;
	make("wlc", "abcd", 5, &a);
	make("wlc", "abcd", 5, &b);
	b.services[0].dests[0].weight = 0;
	b.services[0].dests[1].weight = 9;
	b.services[0].dests[2].upper_threshold = 1; /* goes with the raised ones */
	b.services[0].dests[3].weight = 6;
	a.services[0].dests[0].active_conns = 7;
	assert_int_equal(plan_compute(&a, &b, &nothing_owned, &p), 0);
	spell(&p, ops);
	assert_string_equal(ops, "=b=c=d=a");
	assert_int_equal(p.ops[3].old_dest->weight, 5);
	assert_int_equal(p.ops[3].old_dest->active_conns, 7);
	assert_int_equal(p.ops[3].dest->weight, 0);
}

static void test_ownership(void **state)
{
	static const struct {
		bool owns_first, owns_keeper, exclusive;
		size_t deleted;
	} cases[] = {
		{ false, false, false, 0 }, { true, false, false, 1 }, { true, true, false, 2 },
		{ false, true, false, 1 },  { false, false, true, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
		_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
		struct ipvs_service_key keeper = { .fwmark = IPVS_HOOK_KEEPER_MARK,
						   .family = AF_INET };
		struct ipvs_service_key foreign = { .fwmark = 5, .family = AF_INET }, keys[2];
		struct plan_ownership owned = { .keys = keys, .exclusive = cases[i].exclusive };

		make("rr", "ab", 1, &a);
		a.services[0].dests[0].active_conns = 3;
		a.services[0].dests[1].active_conns = 4;
		if (cases[i].owns_first)
			keys[owned.n++] = a.services[0].key;
		if (cases[i].owns_keeper)
			keys[owned.n++] = keeper;
		assert_non_null(ipvs_ruleset_append(&a, &keeper));
		assert_non_null(ipvs_ruleset_append(&a, &foreign));
		ipvs_ruleset_sort(&a);
		assert_int_equal(plan_compute(&a, &b, &owned, &p), 0);
		assert_int_equal(p.n, cases[i].deleted);
		for (size_t k = 0; k + 1 < p.n; k++)
			assert_true(p.ops[k].service->key.fwmark != IPVS_HOOK_KEEPER_MARK);
		if (cases[i].owns_first)
			assert_int_equal(p.ops[0].service->dests[0].active_conns +
						 p.ops[0].service->dests[1].active_conns,
					 7);
	}
}

static void test_describe(void **state)
{
	static const char *const expected[] = {
		"set service tcp 10.9.0.1:80: scheduler rr -> mh, scheduler flags none -> fallback",
		"re-add destination 10.0.0.1:98 of tcp 10.9.0.1:80: weight 5, nat",
		"add destination 10.0.0.1:99 to tcp 10.9.0.1:80: weight 5, gue",
		"set destination 10.0.0.1:97 of tcp 10.9.0.1:80: weight 5 -> 0, forwarding nat -> "
		"direct",
		"remove destination 10.0.0.1:100 of tcp 10.9.0.1:80 (2 active, 1 inactive "
		"connections)",
	};
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	size_t found = 0;

	(void)state;
	make("rr", "abd", 5, &a);
	a.services[0].dests[2].active_conns = 2;
	a.services[0].dests[2].inactive_conns = 1;
	make("mh", "cba", 5, &b);
	b.services[0].flags = IPVS_SVC_SCHED1;
	b.services[0].dests[0].forward = IPVS_FORWARD_TUNNEL;
	b.services[0].dests[0].tunnel = IPVS_TUNNEL_GUE;
	b.services[0].dests[2].weight = 0;
	b.services[0].dests[2].forward = IPVS_FORWARD_ROUTE;
	assert_int_equal(plan_compute(&a, &b, &nothing_owned, &p), 0);
	for (size_t i = 0; i < p.n; i++) {
		_cleanup_free_ char *text = plan_op_describe(&p.ops[i]);

		assert_non_null(text);
		for (size_t k = 0; k < ARRAY_SIZE(expected); k++)
			found += strcmp(text, expected[k]) == 0;
	}
	assert_int_equal(found, ARRAY_SIZE(expected));
}

/* Errors of the model are the kernel's (ipvs.md §1.7). */
static void test_apply_errors(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset empty = IPVS_RULESET_INIT;
	struct ipvs_service service;
	struct ipvs_dest dest;
	struct plan_op op = { .kind = PLAN_SERVICE_NEW, .service = &service, .dest = &dest };

	(void)state;
	make("rr", "a", 1, &r);
	service = r.services[0];
	dest = service.dests[0];
	assert_int_equal(plan_op_apply(&op, &r), -EEXIST);
	op.kind = PLAN_DEST_NEW;
	assert_int_equal(plan_op_apply(&op, &r), -EEXIST);
	assert_int_equal(plan_op_apply(&op, &empty), -ESRCH);
	dest.port = 'b';
	dest.active_conns = 3; /* as the kernel had it before it was taken out */
	assert_int_equal(plan_op_apply(&op, &r), 0);
	assert_int_equal(r.services[0].dests[0].port, 'b');
	assert_int_equal(r.services[0].dests[0].active_conns, 0);
	dest.port = 'x';
	op.kind = PLAN_DEST_SET;
	assert_int_equal(plan_op_apply(&op, &r), -ENOENT);
	op.kind = PLAN_DEST_DEL;
	assert_int_equal(plan_op_apply(&op, &r), -ENOENT);
	op.kind = PLAN_SERVICE_DEL;
	assert_int_equal(plan_op_apply(&op, &empty), -ESRCH);
}

/* Of this process: other ones on the machine do not count. */
static usec_t cpu_usec(void)
{
	struct timespec ts;

	assert_return_code(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), errno);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

/* A service with 60,000 destinations, all moved or changed: nothing may be quadratic. */
static void test_large(void **state)
{
	enum { N = 60000 };
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT, none = PLAN_INIT;
	usec_t start, spent;

	(void)state;
	make("wlc", "", 1, &a);
	make("wlc", "", 1, &b);
	for (unsigned i = 0; i < N; i++) {
		struct ipvs_dest d = { .port = (uint16_t)i, .weight = 1 };

		assert_int_equal(addr_parse("10.0.0.1", &d.addr), 0);
		assert_non_null(ipvs_service_append(&a.services[0], &d));
		d.port = (uint16_t)(N - 1 - i);
		d.weight = 2;
		assert_non_null(ipvs_service_append(&b.services[0], &d));
	}
	start = cpu_usec();
	assert_int_equal(plan_compute(&a, &b, &nothing_owned, &p), 0);
	spent = cpu_usec() - start;
	assert_int_equal(p.n, N);
	print_message("%u changed destinations: %llu us\n", N, (unsigned long long)spent);
	start = cpu_usec();
	assert_int_equal(plan_result(&p, &a, &b, &after), 0);
	assert_in_range(cpu_usec() - start, 0, 10 * spent + 200 * USEC_PER_MSEC);
	start = cpu_usec();
	assert_int_equal(plan_compute(&a, &a, &nothing_owned, &none), 0);
	print_message("%u unchanged destinations: %llu us\n", N,
		      (unsigned long long)(cpu_usec() - start));
	assert_int_equal(none.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_weights),
		cmocka_unit_test(test_ownership),    cmocka_unit_test(test_describe),
		cmocka_unit_test(test_apply_errors), cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
