/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Time as a value: microseconds in a uint64_t, so that pure code takes it as an argument. Monotonic unless the
 * name says `wall`. Read once per wake-up of the loop and handed down.
 */

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_NEVER UINT64_MAX

static inline usec_t clock_read(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for the two clocks below */
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

static inline usec_t clock_monotonic_usec(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* Since the start of the machine, its sleep included. */
static inline usec_t clock_boottime_usec(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

static inline usec_t clock_wall_usec(void)
{
	return clock_read(CLOCK_REALTIME);
}
