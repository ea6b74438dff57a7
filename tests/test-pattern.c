/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/pattern.h"

static void test_match(void **state)
{
	static const struct {
		const char *pattern, *bytes;
		size_t size;
		int result;
	} cases[] = {
		{ "ok", "ok", 2, 1 },
		{ "ok", "it is ok so far", 15, 1 },
		{ "ok", "OK", 2, 0 },
		{ "ok", "o", 1, 0 },
		{ "ok", "", 0, 0 },
		{ "ok", "ok", 1, 0 }, /* what lies behind the end does not count */
		{ "ok", "\0\xffok", 4, 1 },
		{ "o.", "ok", 2, 0 }, /* a text, no expression */
		{ "regex", "a regex", 7, 1 },
		{ "regex:^o.$", "ok", 2, 1 },
		{ "regex:^o.$", "no\nok\r", 6, 0 },
		{ "regex:^o.$", "no\nok\nor", 8, 1 },
		{ "regex:a.b", "a\nb", 3, 0 },
		{ "regex:(up|ready) +[0-9]+", "ready  17", 9, 1 },
		{ "regex:(up|ready) +[0-9]+", "ready  17", 7, 0 },
		{ "regex:b", "a\0b", 3, 1 },
		{ "regex:^$", "", 0, 1 },
		{ "regex:", "anything", 8, 1 },
		{ "regex:(", "(", 1, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (pattern_match(cases[i].pattern, strlen(cases[i].pattern), cases[i].bytes,
				  cases[i].size) != cases[i].result)
			fail_msg("case %zu: %s", i, cases[i].pattern);
	assert_int_equal(pattern_match("\0b", 2, "a\0b", 3), 1);
	assert_int_equal(pattern_match("\0b", 2, "a\0c", 3), 0);
}

static void test_check(void **state)
{
	static const struct {
		const char *pattern, *error;
	} cases[] = {
		{ "", NULL },
		{ "(", NULL },
		{ "regex:a+", NULL },
		{ "regex:(", "Unmatched ( or \\(" },
		{ "regex:[a", "Unmatched [, [^, [:, [., or [=" },
		{ "regex:(a)\\1", "back-references are not understood" },
		{ "regex:a{9999}", "too many repetitions" },
		{ "regex:((((a){255}){255}){255}){255}", "too many repetitions" },
		{ "regex:((((){255}){255}){255}){255}", NULL },
		{ "regex:a{2,1}", "Invalid content of \\{\\}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char error[PATTERN_ERROR_MAX] = "";

		assert_int_equal(pattern_check(cases[i].pattern, error), !cases[i].error);
		assert_string_equal(error, cases[i].error ? cases[i].error : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
