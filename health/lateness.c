/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/lateness.h"

#include <string.h>

#include "base/cleanup.h"

/* 0..3 have a bucket each; from 4 on the two bits below the highest one choose among four. */
static unsigned bucket_of(usec_t usec)
{
	unsigned exponent;

	if (usec < 4)
		return (unsigned)usec;
	exponent = 63 - (unsigned)__builtin_clzll(usec);
	if (exponent > LATENESS_EXPONENT_MAX)
		return LATENESS_BUCKETS - 1;
	return 4 * (exponent - 1) + (unsigned)(usec >> (exponent - 2) & 3);
}

usec_t lateness_bound(unsigned bucket)
{
	unsigned exponent = bucket / 4 + 1;

	if (bucket < 4)
		return bucket;
	return ((usec_t)(4 + bucket % 4 + 1) << (exponent - 2)) - 1;
}

void lateness_advance(struct lateness *l, usec_t now_usec)
{
	if (now_usec < l->period_usec + LATENESS_PERIOD_USEC)
		return;
	if (now_usec >= l->period_usec + 2 * LATENESS_PERIOD_USEC)
		memset(l->before, 0, sizeof(l->before));
	else
		memcpy(l->before, l->now, sizeof(l->before));
	memset(l->now, 0, sizeof(l->now));
	l->period_usec = now_usec - now_usec % LATENESS_PERIOD_USEC;
}

void lateness_add(struct lateness *l, usec_t late_usec, usec_t now_usec)
{
	lateness_advance(l, now_usec);
	l->now[bucket_of(late_usec)]++;
}

uint64_t lateness_in_bucket(const struct lateness *l, unsigned bucket)
{
	return (uint64_t)l->now[bucket] + l->before[bucket];
}

uint64_t lateness_count(const struct lateness *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENESS_BUCKETS; i++)
		n += lateness_in_bucket(l, i);
	return n;
}

usec_t lateness_percentile(const struct lateness *l, unsigned per_mille)
{
	uint64_t n = lateness_count(l), seen = 0;

	for (unsigned i = 0; i < LATENESS_BUCKETS; i++) {
		seen += lateness_in_bucket(l, i);
		if (seen && seen * 1000 >= n * per_mille)
			return lateness_bound(i);
	}
	return 0;
}
