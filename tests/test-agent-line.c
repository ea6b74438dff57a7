/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/agent-line.h"
#include "health/exec-output.h"

/* HAProxy's configuration manual, "agent-check", word by word. */
static void test_words(void **state)
{
	static const struct {
		const char *line;
		bool down;
		enum probe_advice advice;
		int32_t percent;
	} cases[] = {
		{ "up", false, PROBE_ADVICE_UP, -1 },
		{ "UP", false, PROBE_ADVICE_UP, -1 },
		{ "down", true, PROBE_ADVICE_DOWN, -1 },
		{ "fail", true, PROBE_ADVICE_DOWN, -1 },
		{ "failed", true, PROBE_ADVICE_DOWN, -1 },
		{ "stopped", true, PROBE_ADVICE_DOWN, -1 },
		{ "down#missing process", true, PROBE_ADVICE_DOWN, -1 },
		{ "stopped # up again at 5, ready", true, PROBE_ADVICE_DOWN, -1 },
		{ "drain", false, PROBE_ADVICE_DRAIN, -1 },
		{ "maint", false, PROBE_ADVICE_MAINT, -1 },
		{ "ready", false, PROBE_ADVICE_READY, -1 },
		{ "75%", false, PROBE_ADVICE_NONE, 75 },
		{ "0%", false, PROBE_ADVICE_NONE, 0 },
		{ "150%", false, PROBE_ADVICE_NONE, 150 },
		{ "99999999999999999999%", false, PROBE_ADVICE_NONE, PROBE_WEIGHT_PERCENT_MAX },
		{ "up 75%", false, PROBE_ADVICE_UP, 75 },
		{ "75%,up", false, PROBE_ADVICE_UP, 75 },
		{ "ready up 100%", false, PROBE_ADVICE_READY, 100 },
		{ "up\tdrain", false, PROBE_ADVICE_DRAIN, -1 },
		{ "down, maint", true, PROBE_ADVICE_MAINT, -1 },
		{ "up down", true, PROBE_ADVICE_DOWN, -1 },
		{ "down up", false, PROBE_ADVICE_UP, -1 },
		{ "  ,, up ,", false, PROBE_ADVICE_UP, -1 },
		{ "maxconn:30", false, PROBE_ADVICE_NONE, -1 },
		{ "maxconn:30 up 50%", false, PROBE_ADVICE_UP, 50 },
		{ "what is up", false, PROBE_ADVICE_UP, -1 },
		/* nothing that is known */
		{ "", false, PROBE_ADVICE_NONE, -2 },
		{ "  ", false, PROBE_ADVICE_NONE, -2 },
		{ "#up", false, PROBE_ADVICE_NONE, -2 },
		{ "upp", false, PROBE_ADVICE_NONE, -2 },
		{ "u", false, PROBE_ADVICE_NONE, -2 },
		{ "%", false, PROBE_ADVICE_NONE, -2 },
		{ "-5%", false, PROBE_ADVICE_NONE, -2 },
		{ "5.5%", false, PROBE_ADVICE_NONE, -2 },
		{ "75 %", false, PROBE_ADVICE_NONE, -2 },
		{ "HTTP/1.1 400 Bad Request", false, PROBE_ADVICE_NONE, -2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct agent_report r;
		int error = agent_line_parse(cases[i].line, strlen(cases[i].line), &r);

		if (cases[i].percent == -2) {
			assert_int_equal(error, -EINVAL);
			continue;
		}
		if (error || r.down != cases[i].down || r.advice != cases[i].advice ||
		    r.weight_percent != cases[i].percent)
			fail_msg("%s: %d, down %d, advice %d, %d %%", cases[i].line, error, r.down,
				 (int)r.advice, r.weight_percent);
	}
}

/* The length counts, not a terminator. */
static void test_length(void **state)
{
	struct agent_report r;

	(void)state;
	assert_int_equal(agent_line_parse("upp", 2, &r), 0);
	assert_int_equal(agent_line_parse("up\0down", 7, &r), -EINVAL);
	assert_int_equal(agent_line_parse("", 0, &r), -EINVAL);
}

static void test_exec_output(void **state)
{
	static const struct {
		const char *text;
		int32_t percent;
	} cases[] = {
		{ "", -1 },
		{ "weight 50%\n", 50 },
		{ "weight 50%", 50 },
		{ "weight 50%\r\n", 50 },
		{ "  weight\t 7% \n", 7 },
		{ "all is well\nweight 20%\nbye\n", 20 },
		{ "weight 20%\nweight 30%\n", 30 },
		{ "weight 20%\nweight x\n", 20 },
		{ "weight 0%\n", 0 },
		{ "weight 50\n", -1 },
		{ "weight50%\n", -1 },
		{ "the weight 50%\n", -1 },
		{ "weight 50% or so\n", -1 },
		{ "weight", -1 },
		{ "weight ", -1 },
		{ "\n\n\n", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (exec_output_weight(cases[i].text, strlen(cases[i].text)) != cases[i].percent)
			fail_msg("%s", cases[i].text);
	assert_int_equal(exec_output_weight("weight 50%", 9), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_exec_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
