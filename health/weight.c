/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/weight.h"

#include "base/cleanup.h"

static bool is_registered(const struct weight_input *in)
{
	return in->state != TARGET_DRAINING && in->state != TARGET_UNUSED;
}

static bool is_eligible(const struct weight_input *in)
{
	return is_registered(in) && !in->drained_by_operator && in->configured > 0;
}

static bool below_minimum(const struct weight_summary *s, const struct weight_minimum *minimum)
{
	return s->healthy < MAX(minimum->count, 1U) ||
	       (uint64_t)s->healthy * 100 < (uint64_t)s->eligible * minimum->percent;
}

void weight_compute(const struct weight_input *in, size_t n, const struct weight_minimum *minimum,
		    struct weight_output *out, struct weight_summary *ret)
{
	struct weight_summary s = { 0 };
	unsigned awaiting = 0;

	for (size_t i = 0; i < n; i++) {
		s.registered += is_registered(&in[i]);
		if (!is_eligible(&in[i]))
			continue;
		s.eligible++;
		s.healthy += target_state_is_routable(in[i].state);
		awaiting += in[i].awaiting_first_result;
	}
	s.fail_open = s.healthy < s.eligible && below_minimum(&s, minimum);
	s.cold_start = s.fail_open && awaiting == s.eligible;
	for (size_t i = 0; i < n; i++) {
		bool routable = target_state_is_routable(in[i].state);
		bool used = is_eligible(&in[i]) && (routable || s.fail_open || in[i].cold);

		s.cold_start |= used && !routable && in[i].cold;
		out[i] = (struct weight_output){
			.weight = used ? in[i].configured : 0,
			.by_fail_open = used && !routable,
		};
	}
	*ret = s;
}
