/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Text to scalar values and back. Each parser takes the whole text, nothing before or after it; 0, -EINVAL for what
 * is not of the form, -ERANGE for what is of the form but too large. Outputs are written on success only. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "conf/conf.h"

enum {
	VALUE_DURATION_STR_MAX = 32,
};

/* yes, true, on, 1 and no, false, off, 0; also in capitals. */
int value_parse_bool(const char *text, bool *ret);

/* "500ms", "5s", "2m", "1h", "7d"; "1m30s" is a sum; a plain number is seconds. */
int value_parse_duration(const char *text, usec_t *ret);

/* The shortest text that value_parse_duration() reads back as the same value, where it is whole milliseconds. */
const char *value_format_duration(usec_t usec, char buf[static VALUE_DURATION_STR_MAX]);

/* "80" or "8000-8010", low <= high, both within min..max. */
int value_parse_range(const char *text, uint16_t min, uint16_t max, struct conf_range *ret);

/* "200", "200,202", "200-299,304". -E2BIG for more than CONF_MATCHER_RANGES parts. */
int value_parse_matcher(const char *text, struct conf_matcher *ret);

/*
 * A scheduler name of the kernel or one of ELBv2's words, then "fallback" and "port" in any order. mh and sh always
 * get the fallback flag: without it a target of weight 0 refuses its share of new clients (reference: kernel
 * net/netfilter/ipvs/ip_vs_mh.c, ip_vs_mh_get()). -EINVAL: no such name; -ENOTSUP: the words are for sh and mh only,
 * or not words at all.
 */
int value_parse_algorithm(const char *text, struct conf_algorithm *ret);

/* All names that value_parse_algorithm() takes, ended by NULL. */
const char *const *value_algorithm_names(void);

/* ELBv2's rule: 1 to 32 of [A-Za-z0-9-], no hyphen at either end. */
bool value_is_name(const char *text);

/* An interface name as the kernel takes it (dev_valid_name()). */
bool value_is_interface(const char *text);

/* A DNS host name by its form: letters, digits, hyphens, dots. */
bool value_is_host(const char *text);

/*
 * Takes the quotes off "text" in place and resolves \" \\ \n \r \t \xHH within them; text that does not begin with a
 * quote is left alone, and so is what is -EINVAL: no closing quote, text after it, an unknown escape, or \x00.
 */
int value_unquote(char *text);

/* Well-formed by RFC 3629: no overlong forms, surrogates or code points above U+10FFFF. */
bool value_is_utf8(const char *text);

/* The next word at *cursor, cut off in place; NULL at the end. Words are parted by blanks. */
char *value_next_word(char **cursor);

/* Insertions, deletions, substitutions and swaps of neighbours; looks at the first 63 characters. */
unsigned value_edit_distance(const char *a, const char *b);

/* Keeps in *best the candidate that is nearest to text, if it is near enough to be a slip. Start with NULL, 0. */
struct value_suggestion {
	const char *name; /* borrowed; NULL = nothing is near */
	unsigned distance;
};
void value_suggest(struct value_suggestion *best, const char *text, const char *candidate);
