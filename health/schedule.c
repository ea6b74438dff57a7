/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/schedule.h"

#include <assert.h>

#include "base/cleanup.h"

/* The output function of SplitMix64: neighbouring ids land far apart. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* A place in 0 .. size-1, without the bias of a remainder. */
static usec_t place(uint64_t hash, usec_t size_usec)
{
	return (usec_t)(((unsigned __int128)hash * size_usec) >> 64);
}

usec_t schedule_grid(usec_t interval_usec)
{
	if (interval_usec >= 10 * USEC_PER_SEC)
		return 100 * USEC_PER_MSEC;
	if (interval_usec >= 5 * USEC_PER_SEC)
		return 50 * USEC_PER_MSEC;
	if (interval_usec >= 2 * USEC_PER_SEC)
		return 20 * USEC_PER_MSEC;
	return MIN(10 * USEC_PER_MSEC, interval_usec);
}

usec_t schedule_phase(uint64_t id, usec_t interval_usec)
{
	usec_t grid_usec = schedule_grid(interval_usec);

	return place(mix(id), interval_usec / grid_usec) * grid_usec;
}

usec_t schedule_next(usec_t phase_usec, usec_t interval_usec, usec_t now_usec)
{
	usec_t n;

	assert(interval_usec > 0);
	if (now_usec <= phase_usec)
		return phase_usec;
	n = (now_usec - phase_usec - 1) / interval_usec + 1;
	return phase_usec + n * interval_usec;
}

usec_t schedule_first(uint64_t id, usec_t interval_usec, usec_t spread_usec, usec_t now_usec)
{
	return now_usec + place(mix(id), MIN(spread_usec, interval_usec));
}
