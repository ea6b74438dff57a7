/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What an answer must contain: a text, or after "regex:" a POSIX extended regular expression. Letter case counts. In
 * an expression ^ and $ also stand for the begin and the end of a line, and . is any byte but a line break; it has no
 * back-references, so that no answer takes longer than its length (base/ere.h). Pure.
 */

#include <stdbool.h>
#include <stddef.h>

enum {
	PATTERN_ERROR_MAX = 96,
};

/* Can it be used? False, and why in words, for an expression that does not compile. */
bool pattern_check(const char *pattern, char ret_error[static PATTERN_ERROR_MAX]);

/*
 * The pattern is terminated, and a text may also hold NULs; bytes need no terminator and may hold anything. 1 = contains it, 0 = does not, -ENOMEM, -EINVAL: pattern_check() had said no.
 */
int pattern_match(const char *pattern, size_t pattern_size, const char *bytes, size_t size);
