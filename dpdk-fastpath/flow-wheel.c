/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/flow-wheel.h"

/* wheel_prev of the first record of a list: this bit and the slot, so that it is unlinked without a search. */
#define PREV_IS_SLOT (UINT32_C(1) << 31)
#define PREV_UNLINKED UINT32_MAX

uint32_t flow_wheel_slots_for(uint64_t n_records, uint32_t tick_msec)
{
	uint64_t turn_msec = UINT64_C(15) * 60 * 1000; /* TCP established */
	uint32_t n = FLOW_WHEEL_SLOTS_MIN;

	while (n < FLOW_WHEEL_SLOTS_MAX && n < n_records && (uint64_t)n * tick_msec <= turn_msec)
		n *= 2;
	return n;
}

void flow_wheel_link(struct flow_wheel *w, uint32_t index)
{
	struct flow *f = &w->records[index];
	int32_t ahead = (int32_t)(f->expires - w->tick);
	uint32_t tick, slot, first;

	/* Not all slots ahead: flow_expire() links while the one before w->tick is not empty yet. */
	if (ahead < 0)
		tick = w->tick;
	else if ((uint32_t)ahead < w->n_slots - 1)
		tick = f->expires;
	else
		tick = w->tick + w->n_slots - 2;
	slot = tick & (w->n_slots - 1);
	first = w->slots[slot];
	f->wheel_next = first;
	f->wheel_prev = PREV_IS_SLOT | slot;
	if (first != FLOW_NONE)
		w->records[first].wheel_prev = index;
	w->slots[slot] = index;
	if (!(f->flags & FLOW_EMBRYONIC))
		f->wheel_bound = tick;
}

void flow_wheel_unlink(struct flow_wheel *w, uint32_t index)
{
	struct flow *f = &w->records[index];

	if (f->wheel_prev & PREV_IS_SLOT)
		w->slots[f->wheel_prev & ~PREV_IS_SLOT] = f->wheel_next;
	else
		w->records[f->wheel_prev].wheel_next = f->wheel_next;
	if (f->wheel_next != FLOW_NONE)
		w->records[f->wheel_next].wheel_prev = f->wheel_prev;
	f->wheel_prev = PREV_UNLINKED;
}

bool flow_wheel_is_linked(const struct flow_wheel *w, uint32_t index)
{
	return w->records[index].wheel_prev != PREV_UNLINKED;
}
