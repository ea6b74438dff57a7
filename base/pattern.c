/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/pattern.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/ere.h"

static const char regex_prefix[] = "regex:";

enum {
	PREFIX_LEN = sizeof(regex_prefix) - 1,
};

/* The C library's words for what is wrong, and ours for what is right there and not here. */
static const char *find_fault(const char *expression, char buf[static PATTERN_ERROR_MAX])
{
	struct ere *ere;
	regex_t regex;
	int r = ere_compile(expression, &ere);

	/* Only for the words: repetitions in repetitions would keep regcomp() for minutes. */
	switch (r) {
	case 0:
		ere_free(ere);
		return NULL;
	case -E2BIG:
		return "too many repetitions";
	case -ENOMEM:
		return "out of memory";
	default:
		r = regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);
		if (r == 0) {
			regfree(&regex);
			return "back-references are not understood";
		}
		(void)regerror(r, &regex, buf, PATTERN_ERROR_MAX);
		return buf;
	}
}

bool pattern_check(const char *pattern, char ret_error[static PATTERN_ERROR_MAX])
{
	char buf[PATTERN_ERROR_MAX];
	const char *fault;

	if (strncmp(pattern, regex_prefix, PREFIX_LEN) != 0)
		return true;
	fault = find_fault(pattern + PREFIX_LEN, buf);
	if (fault)
		(void)snprintf(ret_error, PATTERN_ERROR_MAX, "%s", fault);
	return !fault;
}

static int match_expression(const char *expression, const char *bytes, size_t size)
{
	struct ere *ere;
	int r = ere_compile(expression, &ere);

	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	r = ere_search(ere, bytes, size);
	ere_free(ere);
	return r;
}

int pattern_match(const char *pattern, size_t pattern_size, const char *bytes, size_t size)
{
	if (pattern_size >= PREFIX_LEN && memcmp(pattern, regex_prefix, PREFIX_LEN) == 0)
		return match_expression(pattern + PREFIX_LEN, bytes, size);
	return memmem(bytes, size, pattern, pattern_size) != NULL;
}
