/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The kernel is the oracle: random scenarios run against kernel IPVS and against the fast path, packet by packet; what
 * comes out, the statistics and the connections must be the same, but for what differences.tsv lists.
 *
 * CONFORMANCE_SEED (fixed unless given, so that no change is blamed for what another one left; 0 = from the clock),
 * CONFORMANCE_SCENARIOS (2000 in ten batches) and CONFORMANCE_ONLY (one scenario's number) choose what is run;
 * CONFORMANCE_TWIN=1 compares the kernel with itself, which tests the suite.
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
#include "base/clock.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/rig.h"
#include "tests/conformance/scenario.h"
#include "tests/conformance/tallies.h"
#include "tests/lab/lab.h"
#include "tests/lab/process.h"

enum {
	BATCHES = 10,
	FAILURES_PRINTED = 8, /* of a batch, which then ends */
	PLACE_OF_REPEATS = 20000,
	SEED_DEFAULT = 1,
};

struct suite {
	struct rig *rig;
	struct compare *compare;
	uint64_t seed, steps;
	uint32_t per_batch, only, next_batch;
	struct ipvs_ruleset present; /* what both planes have */
};

static struct suite suite;

static unsigned long number_of(const char *variable, unsigned long fallback)
{
	const char *text = getenv(variable);

	return text ? strtoul(text, NULL, 0) : fallback;
}

static int set_up(void **state)
{
	struct rig_options options = { .directory = "/run" };
	char program[LAB_PATH_MAX];

	(void)state;
	if (!getenv("CONFORMANCE_TWIN"))
		options.program = lab_program("../../dpdk-fastpath/ipvsd-fastpath", program);
	suite.seed = number_of("CONFORMANCE_SEED", SEED_DEFAULT);
	if (suite.seed == 0)
		suite.seed = clock_wall_usec();
	suite.per_batch = (uint32_t)number_of("CONFORMANCE_SCENARIOS", 2000) / BATCHES;
	suite.per_batch = MIN(MAX(suite.per_batch, 1), (uint32_t)SCENARIO_BATCH_MAX);
	suite.only = (uint32_t)number_of("CONFORMANCE_ONLY", UINT32_MAX);
	(void)fprintf(stderr, "# seed %llu, %u scenarios\n", (unsigned long long)suite.seed,
		      suite.per_batch * BATCHES);
	if (compare_new(CONFORMANCE_TABLE, &suite.compare) < 0)
		return -1;
	return rig_new(&options, &suite.rig) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (suite.compare)
		compare_report(suite.compare, stderr);
	(void)fprintf(stderr, "# %llu steps\n", (unsigned long long)suite.steps);
	compare_free(suite.compare);
	ipvs_ruleset_deinit(&suite.present);
	rig_free(suite.rig);
	return 0;
}

static void append_service(struct ipvs_ruleset *r, const struct ipvs_service *from)
{
	struct ipvs_service *s = ipvs_ruleset_append(r, &from->key);

	assert_non_null(s);
	(void)snprintf(s->scheduler, sizeof(s->scheduler), "%s", from->scheduler);
	s->flags = from->flags;
	s->timeout_sec = from->timeout_sec;
	s->netmask = from->netmask;
	for (size_t i = 0; i < from->n_dests; i++)
		assert_non_null(ipvs_service_append(s, &from->dests[i]));
}

/* Both planes get exactly these services. */
static void program(const struct ipvs_ruleset *desired)
{
	for (int p = 0; p < _RIG_PLANE_MAX; p++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
		_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
		struct plan_ownership all = { .exclusive = true };
		_cleanup_free_ struct channel_result *results = NULL;
		struct channel *c = rig_channel(suite.rig, (enum rig_plane)p);
		size_t failed = 0;

		assert_int_equal(channel_dump(c, &actual), 0);
		assert_int_equal(plan_compute(&actual, desired, &all, &plan), 0);
		results = calloc(plan.n + 1, sizeof(*results));
		assert_non_null(results);
		assert_int_equal(channel_apply(c, &plan, results, &failed), 0);
		for (size_t i = 0; failed && i < plan.n; i++)
			if (results[i].error) {
				_cleanup_free_ char *what = plan_op_describe(&plan.ops[i]);

				(void)fprintf(stderr, "# plane %d: %s: %s\n", p, what,
					      strerror(-results[i].error));
			}
		assert_int_equal(failed, 0);
	}
}

/* Those of indices[0..n), each in a place of its own from `place` on; the numbers of those that differ stay in indices. */
static uint32_t run_scenarios(uint32_t *indices, uint32_t n, uint32_t place)
{
	static struct scenario scenarios[SCENARIO_BATCH_MAX];
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
	uint32_t failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		scenario_init(&scenarios[i], suite.seed, indices[i], place + i);
		append_service(&desired, scenario_service(&scenarios[i]));
	}
	ipvs_ruleset_sort(&desired);
	program(&desired);
	for (uint32_t i = 0; i < n && failed < FAILURES_PRINTED; i++)
		if (!scenario_run(&scenarios[i], suite.rig, suite.compare, &suite.steps))
			indices[failed++] = indices[i];
	for (uint32_t i = 0; i < n; i++)
		scenario_deinit(&scenarios[i]);
	return failed;
}

/*
 * What differs must differ again, with other addresses: the kernel ends a connection in whose place another one comes by
 * its timer, and on a busy machine a packet may come before.
 */
static void test_batch(void **state)
{
	uint32_t indices[SCENARIO_BATCH_MAX], n = suite.per_batch, failed;
	uint32_t first = suite.next_batch++ * suite.per_batch;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		indices[i] = first + i;
	if (suite.only != UINT32_MAX) {
		if (suite.only < first || suite.only >= first + n)
			return;
		indices[0] = suite.only;
		n = 1;
	}
	failed = run_scenarios(indices, n, first);
	if (failed > 0) {
		(void)fprintf(stderr, "# REPEAT: %u of %u scenarios\n", failed, n);
		failed = run_scenarios(indices, failed, PLACE_OF_REPEATS + first);
		assert_int_equal(failed, 0);
		return; /* counters of what went another way the first time are in between */
	}
	assert_true(tallies_are_same(suite.rig));
}

int main(void)
{
	struct CMUnitTest tests[BATCHES];

	for (int i = 0; i < BATCHES; i++)
		tests[i] = (struct CMUnitTest)cmocka_unit_test(test_batch);
	return cmocka_run_group_tests_name("conformance", tests, set_up, tear_down);
}
