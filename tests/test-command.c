/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/command.h"

static void test_command(void **state)
{
	static const struct {
		const char *text;
		int n;
		const char *words[5];
	} cases[] = {
		{ "", 0, { NULL } },
		{ " \t", 0, { NULL } },
		{ "/bin/true", 1, { "/bin/true" } },
		{ "  /bin/a  b\tc ", 3, { "/bin/a", "b", "c" } },
		{ "/bin/sh -c 'exit 1; echo \"x\" \\n'",
		  3,
		  { "/bin/sh", "-c", "exit 1; echo \"x\" \\n" } },
		{ "a \"b c\" d", 3, { "a", "b c", "d" } },
		{ "a b\\ c \\\\ \\'", 4, { "a", "b c", "\\", "'" } },
		{ "a \"\\\"\" ''", 3, { "a", "\"", "" } },
		{ "a'b'\"c\"d", 1, { "abcd" } },
		{ "a $HOME *", 3, { "a", "$HOME", "*" } },
		{ "a 'b", -EINVAL, { NULL } },
		{ "a \"b'", -EINVAL, { NULL } },
		{ "a \\", -EINVAL, { NULL } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text);
		char *argv[COMMAND_WORDS_MAX + 1];

		assert_int_equal(command_split(text, argv), cases[i].n);
		for (int k = 0; k < cases[i].n; k++)
			assert_string_equal(argv[k], cases[i].words[k]);
		if (cases[i].n >= 0)
			assert_null(argv[cases[i].n]);
	}
}

static void test_command_length(void **state)
{
	char text[2 * COMMAND_WORDS_MAX + 3], *argv[COMMAND_WORDS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? ' ' : 'x';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(command_split(text, argv), -E2BIG);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? ' ' : 'x';
	text[2 * COMMAND_WORDS_MAX - 1] = '\0';
	assert_int_equal(command_split(text, argv), COMMAND_WORDS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
