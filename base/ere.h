/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * POSIX extended regular expressions in time that is linear in what they are looked for in: all ways of matching are
 * followed at once (Thompson's construction, simulated). The C library's tries from each byte anew, so that 64 KiB of
 * the letter a and the expression a+b take it seconds, and with a back-reference for ever; and what is searched here
 * comes from targets. The language is glibc's with REG_EXTENDED and REG_NEWLINE, its \w \W \s \S \b \B \< \> \` \'
 * included, but for back-references. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

struct ere;

/*
 * -EINVAL: it is none of the language, or has a back-reference; -E2BIG: it would take too long; -ENOMEM. What regcomp(3)
 * takes, but for back-references, is taken.
 */
int ere_compile(const char *expression, struct ere **ret);
void ere_free(struct ere *e);

/* Is there a match anywhere? -ENOMEM. */
int ere_search(const struct ere *e, const char *bytes, size_t size);
