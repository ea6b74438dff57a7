/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The weight of every target of a group, as a product of factors that `status` and `explain` can show:
 *
 *   weight = configured x health (0 or 1) x override (0 or 1)        [zone and slow start are further factors]
 *
 * Eligible is a target that may take new connections when it is well: registered (not draining, not unused), not
 * drained by the operator, configured weight above 0. Fail open (elbv2.md §1.4): when fewer than the minimum of the
 * eligible targets are healthy, every eligible target gets its configured weight, as if healthy. All others have
 * weight 0 always: what the operator took out stays out, and does not count as healthy either (a group of one
 * drained and one unhealthy target fails open to the latter).
 *
 * Cold start: a start without history neither refuses traffic nor heaps it on the target that answers first. The
 * targets of a group that was new as a whole (`cold`) get their weight until their own first result. It is told apart
 * so that it is not logged as a failure.
 * Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/target.h"

struct weight_minimum {
	unsigned count;	  /* at least 1 in effect */
	unsigned percent; /* of the eligible targets; 0 = off */
};

struct weight_input {
	uint32_t configured;
	enum target_state state;
	bool awaiting_first_result; /* initial, no probe answered yet */
	bool drained_by_operator;   /* `ipvsd drain` */
	bool cold; /* awaiting its first result in a group that was new as a whole */
};

struct weight_output {
	uint32_t weight;
	bool by_fail_open; /* gets traffic only because the group fails open or starts cold */
};

struct weight_summary {
	unsigned registered; /* not draining, not unused */
	unsigned eligible;
	unsigned healthy; /* of the eligible */
	bool fail_open;	  /* an unhealthy target gets traffic */
	bool cold_start;  /* a target without a result gets traffic */
};

/* out has room for n. */
void weight_compute(const struct weight_input *in, size_t n, const struct weight_minimum *minimum,
		    struct weight_output *out, struct weight_summary *ret);
