/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How late probes begin: a histogram with four buckets to each power of two (a percentile is at most a quarter too
 * high), of the last one to two periods, so that an alarm ends when the cause does. Pure.
 */

#include <stdint.h>

#include "base/clock.h"

#define LATENESS_PERIOD_USEC (30 * USEC_PER_SEC)

enum {
	LATENESS_EXPONENT_MAX = 36, /* 2^36 us are 19 hours; what is later counts as that */
	LATENESS_BUCKETS = 4 * LATENESS_EXPONENT_MAX,
};

struct lateness {
	uint32_t now[LATENESS_BUCKETS], before[LATENESS_BUCKETS];
	usec_t period_usec; /* monotonic: when `now` began */
};

/* now_usec never goes back. */
void lateness_add(struct lateness *l, usec_t late_usec, usec_t now_usec);

/* Forgets what is too old, when nothing was added for long. */
void lateness_advance(struct lateness *l, usec_t now_usec);

/* Of so many per mille of the probes: they were not later than this; 0 without any. 1000 = all. */
usec_t lateness_percentile(const struct lateness *l, unsigned per_mille);

uint64_t lateness_count(const struct lateness *l);

/* The bucket's upper bound, inclusive; for showing the histogram. */
usec_t lateness_bound(unsigned bucket);
uint64_t lateness_in_bucket(const struct lateness *l, unsigned bucket);
