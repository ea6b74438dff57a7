/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Against the C library's regexec(3), which is right, if slow: expressions and texts by chance; and what it cannot do. */

#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/ere.h"

enum {
	ROUNDS = 60000,
	TEXTS = 6,
	LONG_BYTES = 64 * 1024,
	LONG_CPU_MSEC = 2000, /* with a sanitizer too; the C library's take minutes */
};

static int search(const char *expression, const char *bytes, size_t size)
{
	struct ere *e;
	int r = ere_compile(expression, &e);

	if (r < 0)
		return r;
	r = ere_search(e, bytes, size);
	ere_free(e);
	return r;
}

static int search_by_library(const regex_t *regex, const char *bytes, size_t size)
{
	regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)size };

	return regexec(regex, bytes, 1, &range, REG_STARTEND) == 0;
}

static unsigned pick(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

static void make_expression(unsigned *seed, char *to, size_t size)
{
	static const char *const parts[] = {
		"a",
		"b",
		"c",
		"ab",
		".",
		"|",
		"(",
		")",
		"(a|b)",
		"*",
		"+",
		"?",
		"{2}",
		"{1,2}",
		"{,2}",
		"{1,}",
		"{0}",
		"^",
		"$",
		"[ab]",
		"[^a]",
		"[a-c]",
		"[]a]",
		"[^]a]",
		"[[:alpha:]]",
		"[a[:digit:]-]",
		"[[.-.]a]",
		"[[=a=]]",
		"\\w",
		"\\W",
		"\\s",
		"\\S",
		"\\b",
		"\\<",
		"\\>",
		"\\`",
		"\\'",
		"\\.",
		"\\\\",
		"\n",
		" ",
		"1",
		"(a*)*",
		"()",
		"(^a|b)",
		"(a|b$)",
		"a{3,5}",
		"\xe9",
		"[^[:space:]]",
	};

	*to = '\0';
	for (unsigned n = 1 + pick(seed, 7); n > 0; n--)
		(void)strncat(to, parts[pick(seed, ARRAY_SIZE(parts))], size - strlen(to) - 1);
}

/* glibc 2.36 loses an assertion in what it repeats: it finds (a|b$){2}[ab] in "aba". */
static bool is_beyond_the_library(const char *expression)
{
	static const char *const assertions[] = { "^", "$", "\\b", "\\<", "\\>", "\\`", "\\'" };

	if (!strpbrk(expression, "*+?{"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(assertions); i++)
		if (strstr(expression, assertions[i]))
			return true;
	return false;
}

static size_t make_text(unsigned *seed, char *to, size_t size)
{
	static const char letters[] = "aaabbc \n1.-]\xe9\\";
	size_t n = pick(seed, (unsigned)size);

	for (size_t i = 0; i < n; i++) /* a NUL now and then */
		to[i] = letters[pick(seed, sizeof(letters))];
	return n;
}

static void test_against_the_library(void **state)
{
	unsigned seed = 20261123, n_compared = 0;
	char expression[128], text[17];

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		regex_t regex;

		make_expression(&seed, expression, sizeof(expression));
		if (is_beyond_the_library(expression) ||
		    regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0)
			continue;
		for (unsigned k = 0; k < TEXTS; k++) {
			size_t n = make_text(&seed, text, sizeof(text) - 1);
			int wanted, got;

			text[n] =
				0; /* the sanitizer's regexec() looks for it, whatever its flags */
			wanted = search_by_library(&regex, text, n);
			got = search(expression, text, n);

			if (got != wanted)
				fail_msg("\"%s\" in \"%.*s\" (%zu): %d, not %d", expression, (int)n,
					 text, n, got, wanted);
			n_compared++;
		}
		regfree(&regex);
	}
	assert_true(n_compared > ROUNDS);
}

/* What is left out above. */
static void test_assertions_in_repetitions(void **state)
{
	static const struct {
		const char *expression, *text;
		int result;
	} cases[] = {
		{ "(a|b$){2}[ab]", "aba", 0 }, { "(a|b$){2}", "ab", 1 },
		{ "(^a|b)+c", "bbac", 0 },     { "(^a|b)+c", "abbc", 1 },
		{ "(^a|b)*$", "xab", 1 },      { "^(a\n)*b$", "a", 0 },
		{ "(\\<a+ ?)+$", "aa a", 1 },  { "x(\\ba)*y", "xay", 0 },
		{ "(a$\n?)+b", "a\nb", 1 },    { "^[0-9]{2,3}$", "x\n123\ny", 1 },
		{ "^[0-9]{2,3}$", "1234", 0 }, { "\\`a{2}\\'", "aa", 1 },
		{ "\\`a{2}\\'", "aa\n", 0 },   { "\\Ba+", "aa", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (search(cases[i].expression, cases[i].text, strlen(cases[i].text)) !=
		    cases[i].result)
			fail_msg("%s in %s", cases[i].expression, cases[i].text);
}

/* Each took seconds, or for ever, in a body that a target chooses. */
static void test_long_answers(void **state)
{
	static const char *const expressions[] = {
		"a+b",	"(a|aa)+b", "[a-z]+=[0-9]+", "(a+)+b", "(a*)*b", "a*a*a*b",
		"^.*b", "a.{30}b",  "(a?){40}b",     ".*.*b",  "\\w+ ",
	};
	static char body[LONG_BYTES];

	(void)state;
	memset(body, 'a', sizeof(body));
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++) {
		clock_t begin = clock();

		assert_int_equal(search(expressions[i], body, sizeof(body)), 0);
		if ((clock() - begin) / (CLOCKS_PER_SEC / 1000) > LONG_CPU_MSEC)
			fail_msg("%s", expressions[i]);
	}
	body[LONG_BYTES - 1] = 'b';
	assert_int_equal(search("a+b$", body, sizeof(body)), 1);
	assert_int_equal(search("(a{500}){4}b", body, sizeof(body)), 1);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *expression;
		int result;
	} cases[] = {
		{ "(a)\\1", -EINVAL },
		{ "(", -EINVAL },
		{ "[a", -EINVAL },
		{ "a{2,1}", -EINVAL },
		{ "*a", -EINVAL },
		{ "\\", -EINVAL },
		{ "[[:alpha:", -EINVAL },
		{ "a{1", -EINVAL },
		{ "a{3000}", -E2BIG },
		{ "(a{255}){255}", -E2BIG },
		{ "((((a{99}){99}){99}){99}){99}", -E2BIG },
		{ "((((^{99}){99}){99}){99}){99}", -E2BIG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (search(cases[i].expression, "a", 1) != cases[i].result)
			fail_msg("%s", cases[i].expression);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_the_library),
		cmocka_unit_test(test_assertions_in_repetitions),
		cmocka_unit_test(test_long_answers),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
