/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * When to probe: at a fixed rate, due = phase + n x interval, whatever the answers take ("the time it takes to
 * respond does not affect the interval for the next", elbv2.md §1.1). The phase is spread evenly by a hash of the
 * probe's id, so that it is the same after a restart and targets are not probed in step. Pure.
 */

#include <stdint.h>

#include "base/clock.h"

/*
 * Dues lie on a grid, so that those of many targets fall together: about a hundredth of the interval, 10, 20, 50 or
 * 100 ms, and never more than the interval. An interval that is no multiple of it leaves the grid.
 */
usec_t schedule_grid(usec_t interval_usec);

/* 0 <= phase < interval; on the grid. */
usec_t schedule_phase(uint64_t id, usec_t interval_usec);

/* The first due time of this phase that is not before now. */
usec_t schedule_next(usec_t phase_usec, usec_t interval_usec, usec_t now_usec);

/*
 * The first probe of a new target does not wait a whole interval: it is due within `spread_usec`
 * (at most the interval) from now, at a place that the id decides.
 */
usec_t schedule_first(uint64_t id, usec_t interval_usec, usec_t spread_usec, usec_t now_usec);
