/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The weight of every target of a group, as a product of factors that `status` and `explain` can show:
 *
 *   weight = configured x health (0 or 1) x override (0 or 1)        [zone and slow start are further factors]
 *
 * Fail open (elbv2.md §1.4): when the healthy targets are fewer than the minimum, every registered target that is
 * not draining gets its configured weight, as if healthy. Cold start: while no target of the group has had a
 * first result, the group fails open too, so that a start without history does not refuse traffic.
 * Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/target.h"

struct weight_minimum {
	unsigned count;	  /* at least 1 in effect */
	unsigned percent; /* of the registered targets; 0 = off */
};

struct weight_input {
	uint32_t configured;
	enum target_state state;
	bool awaiting_first_result; /* initial, no probe answered yet */
	bool drained_by_operator;   /* `ipvsd drain` */
};

struct weight_output {
	uint32_t weight;
	bool by_fail_open; /* gets traffic only because the group fails open */
};

struct weight_summary {
	unsigned registered, healthy;
	bool fail_open;
};

/* out has room for n. */
void weight_compute(const struct weight_input *in, size_t n, const struct weight_minimum *minimum,
		    struct weight_output *out, struct weight_summary *ret);
