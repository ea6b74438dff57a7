/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Decimal digits to a number, and nothing else: strtoul would take signs, blanks and overflow silently. Pure. */

#include <stdint.h>

/* The digits at *cursor, at least one (-EINVAL); all are consumed, also of a value beyond max (-ERANGE). */
int number_take(const char **cursor, uint64_t max, uint64_t *ret);

/* The whole text; *ret is written on success only. */
int number_parse(const char *text, uint64_t max, uint64_t *ret);
