/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/weight.h"

enum {
	N_MAX = 24,
};

/*
 * A target a letter: h healthy, u unhealthy, i initial with a result, ? initial without, c the same in a cold group, d draining, n unused,
 * a unavailable, v unhealthy.draining; in upper case drained by the operator; 0 healthy, configured weight 0.
 */
static struct weight_input input_from_letter(char c)
{
	struct weight_input in = { .configured = 100 };

	switch (c | 0x20) {
	case 'h':
	case '0':
		in.state = TARGET_HEALTHY;
		break;
	case 'u':
		in.state = TARGET_UNHEALTHY;
		break;
	case 'i':
		in.state = TARGET_INITIAL;
		break;
	case 'd':
		in.state = TARGET_DRAINING;
		break;
	case 'n':
		in.state = TARGET_UNUSED;
		break;
	case 'a':
		in.state = TARGET_UNAVAILABLE;
		break;
	case 'v':
		in.state = TARGET_UNHEALTHY_DRAINING;
		break;
	}
	if (c == '?')
		in = (struct weight_input){ 100, TARGET_INITIAL, true, false };
	if (c == 'c')
		in = (struct weight_input){ 100, TARGET_INITIAL, true, false, true };
	if (c == '0')
		in.configured = 0;
	in.drained_by_operator = c >= 'A' && c <= 'Z';
	return in;
}

/* '1' gets its weight, '!' gets it by fail-open only, '.' nothing. */
static char output_letter(const struct weight_output *out)
{
	if (out->weight == 0)
		return out->by_fail_open ? 'X' : '.';
	assert_int_equal(out->weight, 100);
	return out->by_fail_open ? '!' : '1';
}

static void test_golden(void **state)
{
	static const struct {
		const char *targets;
		struct weight_minimum minimum;
		const char *weights;
		bool fail_open, cold_start;
	} cases[] = {
		{ "", { 1, 0 }, "", false, false },
		{ "hhh", { 1, 0 }, "111", false, false },
		{ "hui", { 1, 0 }, "1..", false, false },
		{ "uuu", { 1, 0 }, "!!!", true, false },
		{ "uuu", { 0, 0 }, "!!!", true, false }, /* a minimum of 0 is 1 */
		{ "???", { 1, 0 }, "!!!", true, true },
		{ "??i", { 1, 0 }, "!!!", true, false },
		{ "??h", { 1, 0 }, "..1", false, false },
		{ "??D", { 1, 0 }, "!!.", true, true },
		{ "cc", { 1, 0 }, "!!", true, true },
		{ "cch", { 1, 0 }, "!!1", false, true },
		{ "chu", { 1, 0 }, "!1.", false, true },
		{ "ciu", { 1, 0 }, "!!!", true, true },
		{ "aa", { 1, 0 }, "11", false, false },
		{ "vv", { 1, 0 }, "!!", true, false },
		{ "hv", { 1, 0 }, "1.", false, false },
		/* draining and drained stay out, and do not count as healthy */
		{ "ddu", { 1, 0 }, "..!", true, false },
		{ "Hu", { 1, 0 }, ".!", true, false },
		{ "HUA", { 1, 0 }, "...", false, false },
		{ "Hd", { 1, 0 }, "..", false, false },
		{ "0u", { 1, 0 }, ".!", true, false },
		{ "0", { 1, 0 }, ".", false, false },
		{ "nu", { 1, 0 }, ".!", true, false },
		/* count */
		{ "hhu", { 2, 0 }, "11.", false, false },
		{ "hhu", { 3, 0 }, "11!", true, false },
		{ "hh", { 3, 0 }, "11", false, false }, /* nobody is left to open to */
		/* per cent: of what is eligible, exact at the border */
		{ "hu", { 1, 50 }, "1.", false, false },
		{ "hu", { 1, 51 }, "1!", true, false },
		{ "huu", { 1, 34 }, "1!!", true, false },
		{ "huu", { 1, 33 }, "1..", false, false },
		{ "huH", { 1, 50 }, "1..", false, false },
		{ "hud", { 1, 50 }, "1..", false, false },
		{ "hu", { 1, 100 }, "1!", true, false },
		/* elbv2.md §1.4: 14 of 20 at 50 % uses the 14; in the zone alone 4 of 10 opens to all 10 */
		{ "hhhhhhhhhhhhhhuuuuuu", { 1, 50 }, "11111111111111......", false, false },
		{ "hhhhuuuuuu", { 1, 50 }, "1111!!!!!!", true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct weight_input in[N_MAX] = { 0 };
		struct weight_output out[N_MAX];
		struct weight_summary summary;
		char weights[N_MAX + 1] = { 0 };
		size_t n = strlen(cases[i].targets);

		for (size_t j = 0; j < n; j++)
			in[j] = input_from_letter(cases[i].targets[j]);
		weight_compute(in, n, &(struct weight_settings){ .minimum = cases[i].minimum }, out,
			       &summary);
		for (size_t j = 0; j < n; j++)
			weights[j] = output_letter(&out[j]);
		if (strcmp(weights, cases[i].weights) != 0)
			fail_msg("%s: %s, not %s", cases[i].targets, weights, cases[i].weights);
		assert_int_equal(summary.fail_open, cases[i].fail_open);
		assert_int_equal(summary.cold_start, cases[i].cold_start);
	}
}

static void test_summary_counts(void **state)
{
	static const char targets[] = "hhuHd0n?a";
	static const struct weight_minimum minimum = { 1, 0 };
	struct weight_input in[N_MAX] = { 0 };
	struct weight_output out[N_MAX];
	struct weight_summary summary;

	(void)state;
	for (size_t i = 0; targets[i]; i++)
		in[i] = input_from_letter(targets[i]);
	weight_compute(in, strlen(targets), &(struct weight_settings){ .minimum = minimum }, out,
		       &summary);
	assert_int_equal(summary.registered, 7); /* all but d and n */
	assert_int_equal(summary.eligible, 5);	 /* nor H and 0 */
	assert_int_equal(summary.healthy, 3);	 /* h h a */
}

/*
 * The slow reference decides each target alone, by asking what the operator would: may it ever? is it well? and if
 * not, counting the others again by filtering letters.
 */
static bool reference_used(const char *targets, size_t i, const struct weight_minimum *minimum)
{
	double well = 0, able = 0;

	if (!strchr("hui?av", targets[i]))
		return false;
	if (strchr("ha", targets[i]))
		return true;
	for (size_t j = 0; targets[j]; j++) {
		well += strchr("ha", targets[j]) ? 1 : 0;
		able += strchr("hui?av", targets[j]) ? 1 : 0;
	}
	if (well == 0 || well < minimum->count)
		return true;
	return minimum->percent > 0 && 100 * well / able < minimum->percent;
}

static void assert_like_reference(const char *targets, const struct weight_minimum *minimum)
{
	struct weight_input in[N_MAX] = { 0 };
	struct weight_output out[N_MAX];
	struct weight_summary summary;
	size_t n = strlen(targets);
	bool opened = false;

	for (size_t i = 0; i < n; i++)
		in[i] = input_from_letter(targets[i]);
	weight_compute(in, n, &(struct weight_settings){ .minimum = *minimum }, out, &summary);
	for (size_t i = 0; i < n; i++) {
		bool used = reference_used(targets, i, minimum);

		if ((out[i].weight > 0) != used)
			fail_msg("%s, %zu: %u with a minimum of %u and %u %%", targets, i,
				 out[i].weight, minimum->count, minimum->percent);
		assert_int_equal(out[i].by_fail_open, used && !strchr("ha", targets[i]));
		opened |= out[i].by_fail_open;
	}
	assert_int_equal(summary.fail_open, opened);
}

static const char letters[] = "hui?dnavHUIDNAV0";

static void test_all_small_groups(void **state)
{
	size_t n_letters = strlen(letters);

	(void)state;
	for (size_t code = 0; code < n_letters * n_letters * n_letters; code++) {
		char targets[4] = { letters[code % n_letters],
				    letters[code / n_letters % n_letters],
				    letters[code / n_letters / n_letters], 0 };

		for (unsigned count = 0; count <= 4; count++)
			for (unsigned percent = 0; percent <= 100; percent += 10)
				for (size_t n = 0; n < 3; n++)
					assert_like_reference(targets + n,
							      &(struct weight_minimum){ count,
											percent });
	}
}

static void test_random_groups(void **state)
{
	unsigned seed = 20261122;

	(void)state;
	for (unsigned round = 0; round < 50000; round++) {
		struct weight_minimum minimum = { (unsigned)rand_r(&seed) % N_MAX,
						  (unsigned)rand_r(&seed) % 101 };
		char targets[N_MAX] = { 0 };
		size_t n = (size_t)rand_r(&seed) % N_MAX;
		/* Few kinds at a time, or no group would be healthy enough to stay closed. */
		size_t kinds = 2 + (size_t)rand_r(&seed) % (sizeof(letters) - 2);

		for (size_t i = 0; i < n; i++)
			targets[i] = letters[(size_t)rand_r(&seed) % kinds];
		assert_like_reference(targets, &minimum);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_summary_counts),
		cmocka_unit_test(test_all_small_groups),
		cmocka_unit_test(test_random_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
