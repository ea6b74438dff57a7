/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which targets of a group fail more often than the others, although not often enough to be unhealthy:
 * load_balancing.algorithm.anomaly_mitigation. AWS publishes neither its window nor its thresholds; these are ours.
 *
 * The ratio of a target is the failures among its last ANOMALY_WINDOW results, of checks and of connections that the
 * data plane found unanswered. Healthy targets with at least ANOMALY_RESULTS_MIN results take part; the group's
 * yardstick is the median of their ratios. At each evaluation:
 *
 *   ratio >= median + 1/8 and >= 2 x median  anomalous: one step down (each halves the weight, at most three steps)
 *   ratio <  median + 1/16                   normal: one step up
 *   between the two, or too few results      stays where it is
 *
 * With fewer than ANOMALY_TARGETS_MIN participants there is no yardstick, and all step up. At most a third of the
 * participants are mitigated at a time, the worst first and of equals the first in the list; the others step up. A
 * target that does not take part keeps its step, so that one that flaps is mitigated when it is back.
 * Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum {
	ANOMALY_WINDOW = 32,
	ANOMALY_RESULTS_MIN = 8,
	ANOMALY_TARGETS_MIN = 3,
	ANOMALY_STEPS_MAX = 3,
};

/* Between two evaluations of a group, or its health-check-interval where that is longer. */
#define ANOMALY_INTERVAL_USEC (10 * USEC_PER_SEC)

struct anomaly {
	uint32_t failures; /* a bit a result, the newest lowest */
	uint8_t n;	   /* results, at most ANOMALY_WINDOW */
	uint8_t steps;	   /* down */
	bool anomalous;	   /* by the last evaluation */
};

void anomaly_note(struct anomaly *a, bool failed);

/* A target of the group; the caller's. */
struct anomaly_target {
	struct anomaly *anomaly; /* borrowed */
	bool takes_part;	 /* healthy, and might get traffic */
};

/* True when a step or a finding changed; -ENOMEM. */
int anomaly_evaluate(const struct anomaly_target *targets, size_t n);
