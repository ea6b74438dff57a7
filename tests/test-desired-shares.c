/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What groups and targets get of a listener. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/desired-rig.h"

static void test_shares(void **state)
{
	static const struct {
		unsigned forwards[2];
		const char *scheduler;
		uint32_t a[2], b[2];  /* weights of two targets in each group */
		uint32_t expected[4]; /* in order of registration */
	} cases[] = {
		{ { 9, 1 }, "wlc", { 1, 1 }, { 1, 1 }, { 4500, 4500, 500, 500 } },
		{ { 9, 1 }, "wlc", { 100, 300 }, { 5, 0 }, { 2250, 6750, 1000, 0 } },
		{ { 1, 0 }, "wlc", { 1, 1 }, { 1, 1 }, { 5000, 5000, 0, 0 } },
		{ { 0, 0 }, "wlc", { 1, 1 }, { 1, 1 }, { 0, 0, 0, 0 } },
		{ { 1, 1 }, "wlc", { 0, 0 }, { 1, 2 }, { 0, 0, 1667, 3333 } },
		{ { 999, 1 }, "wlc", { 1, 0 }, { 65535, 1 }, { 39960, 0, 40, 1 } },
		{ { 3, 1 }, "sh", { 1, 1 }, { 1, 1 }, { 3, 3, 1, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;

		desired_rig_init(&f);
		f.listeners[0].n_forwards = 2;
		for (size_t k = 0; k < 2; k++) {
			f.forwards[k].weight = cases[i].forwards[k];
			strcpy(f.groups[k].algorithm.scheduler, cases[i].scheduler);
		}
		desired_rig_add(&f, 0, "10.0.0.1", 80, cases[i].a[0]);
		desired_rig_add(&f, 0, "10.0.0.2", 80, cases[i].a[1]);
		desired_rig_add(&f, 1, "10.0.0.3", 80, cases[i].b[0]);
		desired_rig_add(&f, 1, "10.0.0.4", 80, cases[i].b[1]);
		desired_rig_compute(&f);
		assert_int_equal(f.result.services[0].n_dests, 4);
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(f.result.services[0].dests[3 - k].weight,
					 cases[i].expected[k]);
	}
}

/*
 * elbv2.md §1.4, weighted target groups: whatever the number of targets and their weights, each group gets its share,
 * each target its part of it, within half a per cent, and a group of weight 0 nothing.
 */
static void test_shares_are_exact(void **state)
{
	static const struct {
		unsigned weights[DESIRED_RIG_GROUPS], n[DESIRED_RIG_GROUPS],
			most; /* a target's greatest weight */
	} cases[] = {
		{ { 9, 1, 0 }, { 10, 10, 10 }, 100 },	{ { 1, 1, 1 }, { 400, 400, 400 }, 1 },
		{ { 999, 1, 0 }, { 400, 3, 400 }, 1 },	{ { 20, 999, 500 }, { 4, 1, 50 }, 1 },
		{ { 3, 2, 1 }, { 400, 1, 200 }, 100 },	{ { 1, 1, 0 }, { 0, 400, 1 }, 65535 },
		{ { 1, 2, 3 }, { 400, 300, 200 }, 50 },
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct desired_rig f;
		uint64_t total = 0, of_group[DESIRED_RIG_GROUPS] = { 0 }, given = 0;

		desired_rig_init(&f);
		f.listeners[0].n_forwards = DESIRED_RIG_GROUPS;
		for (size_t g = 0; g < DESIRED_RIG_GROUPS; g++) {
			f.forwards[g].weight = cases[c].weights[g];
			for (unsigned i = 0; i < cases[c].n[g]; i++) {
				char text[32];

				snprintf(text, sizeof(text), "10.%zu.%u.%u", g, i / 250,
					 i % 250 + 1);
				desired_rig_add(&f, g, text, 80, 1 + i * 7 % cases[c].most);
			}
		}
		desired_rig_compute(&f);
		for (size_t k = 0; k < f.result.services[0].n_dests; k++) {
			const struct ipvs_dest *d = &f.result.services[0].dests[k];

			assert_true(d->weight <= 65535);
			total += d->weight;
			of_group[d->addr.bytes[1]] += d->weight;
		}
		for (size_t g = 0; g < DESIRED_RIG_GROUPS; g++)
			given += cases[c].n[g] ? cases[c].weights[g] : 0;
		for (size_t g = 0; g < DESIRED_RIG_GROUPS; g++) {
			double share = (double)cases[c].weights[g] / (double)given, got;

			if (!cases[c].n[g])
				continue;
			got = (double)of_group[g] / (double)total;
			if (got < share * 0.995 || got > share * 1.005)
				fail_msg("case %zu, group %zu: %f, not %f", c, g, got, share);
		}
		desired_rig_deinit(&f);
	}
}

/* What a listener cannot use is no part of what its groups share: targets of the other family. */
static void test_shares_of_two_families(void **state)
{
	static const struct {
		enum conf_forwarding forwarding;
		const char *expected;
	} cases[] = {
		{ CONF_FORWARDING_NAT,
		  "tcp 203.0.113.10:80 wlc 10.0.0.2:80=1000 10.0.0.1:80=9000" },
		{ CONF_FORWARDING_DIRECT,
		  "tcp 203.0.113.10:80 wlc 10.0.0.2:80=1000 10.0.0.1:80=9000" },
		{ CONF_FORWARDING_IPIP,
		  "tcp 203.0.113.10:80 wlc 10.0.0.2:80=1000 [2001:db8::2]:80=6000 "
		  "[2001:db8::1]:80=1500 10.0.0.1:80=1500" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_rig_deinit) struct desired_rig f;
		char text[512];

		desired_rig_init(&f);
		f.listeners[0].n_forwards = 2;
		f.forwards[0].weight = 9;
		f.groups[0].forwarding = f.groups[1].forwarding = cases[i].forwarding;
		desired_rig_add(&f, 0, "10.0.0.1", 80, 1);
		desired_rig_add(&f, 0, "2001:db8::1", 80, 1);
		desired_rig_add(&f, 0, "2001:db8::2", 80, 4);
		desired_rig_add(&f, 1, "10.0.0.2", 80, 1);
		desired_rig_compute(&f);
		(void)snprintf(text, sizeof(text), "%s | fwmark 2147483647 ipv4 none",
			       cases[i].expected);
		desired_rig_assert(&f, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_shares_are_exact),
		cmocka_unit_test(test_shares_of_two_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
