/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/stats.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void stats_add(struct stats_series *s, double value)
{
	assert(s->n < STATS_SAMPLES_MAX);
	s->samples[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct stats_spread stats_spread(double *values, size_t n)
{
	assert(n > 0);
	qsort(values, n, sizeof(*values), compare);
	return (struct stats_spread){
		.median = (values[(n - 1) / 2] + values[n / 2]) / 2,
		.min = values[0],
		.max = values[n - 1],
	};
}

void stats_print_table(const char *heading, const struct stats_series *const *rows, size_t n)
{
	printf("\n%-52s %10s %10s %10s  %4s\n", heading, "median", "min", "max", "n");
	for (size_t i = 0; i < n; i++) {
		double values[STATS_SAMPLES_MAX];
		struct stats_spread spread;

		if (rows[i]->n == 0)
			continue;
		memcpy(values, rows[i]->samples, rows[i]->n * sizeof(*values));
		spread = stats_spread(values, rows[i]->n);
		printf("  %-43s %6s %10.1f %10.1f %10.1f  %4zu\n", rows[i]->name, rows[i]->unit,
		       spread.median, spread.min, spread.max, rows[i]->n);
	}
	(void)fflush(stdout);
}

int stats_print_ratio(const struct stats_series *ours, const struct stats_series *theirs,
		      double goal)
{
	size_t n = MIN(ours->n, theirs->n);
	double values[STATS_SAMPLES_MAX];
	struct stats_spread spread;

	if (n == 0)
		return -ENODATA;
	for (size_t i = 0; i < n; i++)
		values[i] = ours->samples[i] / theirs->samples[i];
	spread = stats_spread(values, n);
	printf("  ratio %s / %s: %.3f (%.3f to %.3f)", ours->name, theirs->name, spread.median,
	       spread.min, spread.max);
	if (goal > 0)
		printf("  goal %.2f: %s", goal, spread.median <= goal ? "PASS" : "MISS");
	printf("\n");
	(void)fflush(stdout);
	return 0;
}
