/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/pattern.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

static const char regex_prefix[] = "regex:";

enum {
	PREFIX_LEN = sizeof(regex_prefix) - 1,
};

static int compile(const char *expression, regex_t *ret)
{
	return regcomp(ret, expression, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);
}

bool pattern_check(const char *pattern, char ret_error[static PATTERN_ERROR_MAX])
{
	regex_t regex;
	int r;

	if (strncmp(pattern, regex_prefix, PREFIX_LEN) != 0)
		return true;
	r = compile(pattern + PREFIX_LEN, &regex);
	if (r == 0) {
		regfree(&regex);
		return true;
	}
	(void)regerror(r, &regex, ret_error, PATTERN_ERROR_MAX);
	return false;
}

static int match_regex(const char *expression, const char *bytes, size_t size)
{
	regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)size };
	regex_t regex;
	int r;

	r = compile(expression, &regex);
	if (r != 0)
		return r == REG_ESPACE ? -ENOMEM : -EINVAL;
	r = regexec(&regex, bytes, 1, &range, REG_STARTEND);
	regfree(&regex);
	if (r == REG_ESPACE)
		return -ENOMEM;
	return r == 0;
}

int pattern_match(const char *pattern, size_t pattern_size, const char *bytes, size_t size)
{
	if (pattern_size >= PREFIX_LEN && memcmp(pattern, regex_prefix, PREFIX_LEN) == 0)
		return match_regex(pattern + PREFIX_LEN, bytes, size);
	return memmem(bytes, size, pattern, pattern_size) != NULL;
}
