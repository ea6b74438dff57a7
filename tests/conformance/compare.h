/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Are the outputs of two planes the same? Byte by byte, but for what the table of wanted differences names: each of its
 * lines is the name of a rule of compare.c, a tab, and the reason. A rule that is not in the table is not applied; a
 * name in the table that is no rule is an error.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/conformance/rig.h"

struct compare;

/* -ENOENT, -EINVAL after a line on standard error. */
int compare_new(const char *table_path, struct compare **ret);
void compare_free(struct compare *c);

/* Fragments are put together first. False: *why says where (static text or the caller's buffer of `why_size`). */
bool compare_outputs(struct compare *c, const struct rig_output *oracle,
		     const struct rig_output *other, char *why, size_t why_size);

/* Is the rule in the table? */
bool compare_wants(const struct compare *c, const char *rule);

/* How often each rule was needed. */
void compare_report(const struct compare *c, FILE *to);

/* "10.0.0.1:1025 > 198.18.1.2:80 tcp S 40 bytes", for people. */
void compare_describe(const struct frame *f, FILE *to);
