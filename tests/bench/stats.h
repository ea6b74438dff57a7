/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What every bench prints: series of samples of one quantity, and ratios of two series that were taken in turns. The
 * i-th samples of both belong to the same round, so a ratio is formed per round: what disturbs the machine for a
 * while disturbs both sides of it.
 */

#include <stddef.h>

enum {
	STATS_SAMPLES_MAX = 256,
};

struct stats_series {
	const char *name; /* borrowed */
	const char *unit; /* borrowed */
	double samples[STATS_SAMPLES_MAX];
	size_t n;
};

void stats_add(struct stats_series *s, double value);

struct stats_spread {
	double median, min, max;
};

/* n > 0; values is sorted in place. */
struct stats_spread stats_spread(double *values, size_t n);

/* Prints the heading, then one line a series: name, median, min, max, number. Empty series are left out. */
void stats_print_table(const char *heading, const struct stats_series *const *rows, size_t n);

/*
 * One line: ours / theirs per round, and PASS or MISS when the median is at most `goal` (0: no goal). Returns whether
 * there was something to compare.
 */
int stats_print_ratio(const struct stats_series *ours, const struct stats_series *theirs,
		      double goal);
