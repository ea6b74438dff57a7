/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/anomaly.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum {
	RATIO_ONE = 65536,
	MITIGATED_PART = 3, /* one in so many */
};

_Static_assert(ANOMALY_WINDOW == 32, "the window is a word");

void anomaly_note(struct anomaly *a, bool failed)
{
	a->failures = a->failures << 1 | failed;
	if (a->n < ANOMALY_WINDOW)
		a->n++;
}

static uint32_t ratio(const struct anomaly *a)
{
	return (uint32_t)__builtin_popcount(a->failures) * RATIO_ONE / a->n;
}

static bool is_judged(const struct anomaly_target *t)
{
	return t->takes_part && t->anomaly->n >= ANOMALY_RESULTS_MIN;
}

static bool is_anomalous(uint32_t r, uint32_t median)
{
	return r >= median + RATIO_ONE / 8 && r >= 2 * median;
}

struct judged {
	struct anomaly *anomaly;
	uint32_t ratio;
	size_t position;
};

/* The worst first. */
static int judged_cmp(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	if (x->ratio != y->ratio)
		return x->ratio > y->ratio ? -1 : 1;
	return (x->position > y->position) - (x->position < y->position);
}

static bool step(struct anomaly *a, int by)
{
	if ((by < 0 && a->steps == 0) || (by > 0 && a->steps == ANOMALY_STEPS_MAX))
		return false;
	a->steps = (uint8_t)(a->steps + by);
	return by != 0;
}

static bool judge(const struct judged *j, uint32_t median, size_t *n_left)
{
	bool anomalous = is_anomalous(j->ratio, median);
	bool normal = j->ratio < median + RATIO_ONE / 16;
	bool changed = j->anomaly->anomalous != anomalous;
	bool has_place = *n_left > 0 && (anomalous || (!normal && j->anomaly->steps > 0));

	j->anomaly->anomalous = anomalous;
	*n_left -= has_place;
	if (!has_place)
		return step(j->anomaly, -1) || changed;
	return step(j->anomaly, anomalous ? 1 : 0) || changed;
}

static bool release(struct anomaly *a)
{
	bool changed = a->anomalous;

	a->anomalous = false;
	return step(a, -1) || changed;
}

int anomaly_evaluate(const struct anomaly_target *targets, size_t n)
{
	_cleanup_free_ struct judged *judged = calloc(n + 1, sizeof(*judged));
	size_t n_judged = 0, n_left;
	bool changed = false;

	if (!judged)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (is_judged(&targets[i]))
			judged[n_judged++] =
				(struct judged){ targets[i].anomaly, ratio(targets[i].anomaly), i };
	if (n_judged < ANOMALY_TARGETS_MIN) {
		for (size_t i = 0; i < n; i++)
			changed |= targets[i].takes_part && release(targets[i].anomaly);
		return changed;
	}
	qsort(judged, n_judged, sizeof(*judged), judged_cmp);
	n_left = n_judged / MITIGATED_PART;
	for (size_t i = 0; i < n_judged; i++)
		changed |= judge(&judged[i], judged[n_judged / 2].ratio, &n_left);
	return changed;
}
