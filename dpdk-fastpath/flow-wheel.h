/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Of flow.c alone: a timer wheel of one level, of lists through wheel_next and wheel_prev of the records. A record that
 * runs out beyond the wheel's turn lies in its last slot, and is put on when the wheel comes by; so is one that was
 * touched meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/flow.h"

enum {
	FLOW_WHEEL_SLOTS_MIN = 1024,
	FLOW_WHEEL_SLOTS_MAX = 16384,
};

struct flow_wheel {
	uint32_t *slots;      /* borrowed: the first of each list */
	struct flow *records; /* borrowed */
	uint32_t n_slots;     /* a power of two */
	uint32_t tick;	      /* the next to be looked at; what is due earlier lies there, too */
};

/* As many as records are worth, and no more than are needed for the longest usual timeout. */
uint32_t flow_wheel_slots_for(uint64_t n_records, uint32_t tick_msec);

void flow_wheel_link(struct flow_wheel *w, uint32_t index);
void flow_wheel_unlink(struct flow_wheel *w, uint32_t index);
bool flow_wheel_is_linked(const struct flow_wheel *w, uint32_t index);

/* The first record of the slot at w->tick, or FLOW_NONE. */
static inline uint32_t flow_wheel_first(const struct flow_wheel *w)
{
	return w->slots[w->tick & (w->n_slots - 1)];
}
