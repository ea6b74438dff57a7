/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/weight.h"

#include "base/cleanup.h"

static bool is_registered(const struct weight_input *in)
{
	return in->state != TARGET_DRAINING && in->state != TARGET_UNUSED;
}

static bool is_eligible(const struct weight_input *in, const struct weight_settings *s)
{
	return is_registered(in) && !in->drained_by_operator && !in->drained_by_agent &&
	       in->configured > 0 && !(in->has_advice && in->advice_percent == 0) &&
	       !(s->own_zone_only && in->zone == WEIGHT_ZONE_OTHER);
}

static bool below(unsigned healthy, unsigned eligible, const struct weight_minimum *minimum)
{
	return healthy < MAX(minimum->count, 1U) ||
	       (uint64_t)healthy * 100 < (uint64_t)eligible * minimum->percent;
}

/* Of an eligible one. */
static bool gets_traffic(const struct weight_input *in, const struct weight_summary *sum)
{
	return target_state_is_routable(in->state) || sum->fail_open || in->cold;
}

/* In hundredths: half of the weight 1 is not nothing. */
static uint64_t advised(const struct weight_input *in)
{
	uint32_t percent = in->has_advice ? MIN(in->advice_percent, PROBE_WEIGHT_PERCENT_MAX) : 100;

	return (uint64_t)in->configured * percent;
}

/*
 * Slow start and mitigation are no part of the sums: a ramp in one zone must not move the weights of the others, and
 * it is the zone's capacity that the share is for.
 */
static void prefer_own_zone(const struct weight_input *in, size_t n,
			    const struct weight_settings *s, struct weight_summary *sum)
{
	uint64_t own = 0, all = 0, rest = 100 - MIN(s->affinity_percent, 100U);

	sum->other_zones = WEIGHT_ONE;
	if (s->own_zone_only) {
		sum->other_zones = 0;
		return;
	}
	sum->own_preferred = s->affinity_percent && sum->own_eligible < sum->eligible &&
			     !below(sum->own_healthy, sum->own_eligible, &s->zone_minimum);
	if (!sum->own_preferred)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!is_eligible(&in[i], s) || !gets_traffic(&in[i], sum))
			continue;
		all += advised(&in[i]);
		if (in[i].zone == WEIGHT_ZONE_OWN)
			own += advised(&in[i]);
	}
	sum->other_zones = (uint32_t)(WEIGHT_ONE * rest * own / (rest * own + (100 - rest) * all));
	if (rest)
		sum->other_zones = MAX(sum->other_zones, 1U); /* a small part, but a part */
}

static uint32_t scale_of(const struct weight_input *in, size_t n, const struct weight_settings *s)
{
	uint32_t least = UINT32_MAX, most = 1;

	for (size_t i = 0; i < n; i++) {
		if (!in[i].configured)
			continue;
		least = MIN(least, in[i].configured);
		most = MAX(most, in[i].configured);
	}
	if (least >= s->resolution)
		return 1;
	return MAX(MIN((s->resolution + least - 1) / least, WEIGHT_MAX / most), 1U);
}

void weight_summarize(const struct weight_input *in, size_t n, const struct weight_settings *s,
		      struct weight_summary *ret)
{
	struct weight_summary sum = { 0 };
	unsigned awaiting = 0;

	for (size_t i = 0; i < n; i++) {
		bool own = in[i].zone == WEIGHT_ZONE_OWN;
		bool routable = target_state_is_routable(in[i].state);

		sum.registered += is_registered(&in[i]);
		if (!is_eligible(&in[i], s))
			continue;
		sum.eligible++;
		sum.healthy += routable;
		sum.own_eligible += own;
		sum.own_healthy += own && routable;
		awaiting += in[i].awaiting_first_result;
		sum.cold_start |= in[i].cold && !routable;
	}
	sum.fail_open = sum.healthy < sum.eligible && below(sum.healthy, sum.eligible, &s->minimum);
	sum.cold_start |= sum.fail_open && awaiting == sum.eligible;
	sum.dns_healthy = !below(sum.healthy, sum.eligible, &s->zone_minimum);
	sum.scale = scale_of(in, n, s);
	prefer_own_zone(in, n, s, &sum);
	*ret = sum;
}

static uint32_t slow_start_share(const struct weight_input *in, const struct weight_settings *s)
{
	if (!in->in_slow_start || in->slow_start_elapsed_usec >= s->slow_start_usec)
		return WEIGHT_ONE;
	return (uint32_t)(in->slow_start_elapsed_usec * WEIGHT_ONE / s->slow_start_usec);
}

static uint32_t product(const struct weight_output *o)
{
	uint64_t base = (uint64_t)o->configured * o->scale, part = o->zone, w;

	if (!o->override_ || !o->health || !o->zone || !o->advice)
		return 0;
	part = part * o->slow_start / WEIGHT_ONE * o->anomaly / WEIGHT_ONE;
	/* At most 2^16 x 2^24 x 2^16. */
	w = (base * o->advice * part / WEIGHT_ONE + WEIGHT_ONE / 2) / WEIGHT_ONE;
	return (uint32_t)MIN(MAX(w, (uint64_t)1), (uint64_t)WEIGHT_MAX);
}

void weight_one(const struct weight_input *in, const struct weight_settings *s,
		const struct weight_summary *sum, struct weight_output *ret)
{
	bool eligible = is_eligible(in, s), routable = target_state_is_routable(in->state);
	bool used = eligible && gets_traffic(in, sum);
	bool served = !(s->own_zone_only && in->zone == WEIGHT_ZONE_OTHER);

	*ret = (struct weight_output){
		.by_fail_open = used && !routable,
		.ends = s->terminates && !used && !sum->fail_open &&
			(in->verdict == TARGET_UNHEALTHY || in->state == TARGET_UNHEALTHY),
		.configured = in->configured,
		.scale = sum->scale,
		.override_ = eligible || !served ? WEIGHT_ONE : 0,
		.health = used || routable ? WEIGHT_ONE : 0,
		.zone = in->zone == WEIGHT_ZONE_OTHER ? sum->other_zones : WEIGHT_ONE,
		.slow_start = sum->fail_open ? WEIGHT_ONE : slow_start_share(in, s),
		.anomaly = sum->fail_open ? WEIGHT_ONE : WEIGHT_ONE >> in->anomaly_steps,
		.advice = WEIGHT_ONE,
	};

	if (in->has_advice)
		ret->advice =
			(uint32_t)((uint64_t)MIN(in->advice_percent, PROBE_WEIGHT_PERCENT_MAX) *
				   WEIGHT_ONE / 100);
	ret->weight = product(ret);
}

void weight_compute(const struct weight_input *in, size_t n, const struct weight_settings *s,
		    struct weight_output *out, struct weight_summary *ret)
{
	weight_summarize(in, n, s, ret);
	for (size_t i = 0; i < n; i++)
		weight_one(&in[i], s, ret, &out[i]);
}
