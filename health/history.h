/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The last probe results of one target, 16 bytes each, the oldest overwritten: what `ipvsd explain` shows and
 * `ipvsd replay` runs again. Each entry has the state that it led to, and the ring knows the state and the run of equal
 * results before its oldest entry, so that a replay begins where life was. Pure but for memory.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "health/target.h"

enum history_note {
	HISTORY_COUNTED,
	HISTORY_NOT_COUNTED, /* we were late or did not run: says nothing about the target */
	HISTORY_HELD,	     /* counted, but the verdict waits (health/guard.h) */
	_HISTORY_NOTE_MAX,
};

struct history_entry {
	uint64_t wall_msec : 48; /* when the result came */
	uint64_t outcome : 8;	 /* enum probe_outcome */
	uint64_t state : 4;	 /* enum target_state: the verdict after it */
	uint64_t note : 4;	 /* enum history_note */
	int32_t detail;
	uint32_t duration_usec;
};

_Static_assert(sizeof(struct history_entry) == 16, "ten thousand targets keep many of them");

struct history {
	struct history_entry *entries; /* owned */
	uint32_t capacity, n;
	uint32_t first; /* index of the oldest */
	/* Before the oldest entry. */
	enum target_state base_state;
	unsigned base_successes, base_failures; /* one of them is 0 */
};

#define HISTORY_INIT ((struct history){ 0 })

/* -ENOMEM. Capacity 0 keeps nothing. */
int history_init(struct history *h, uint32_t capacity, enum target_state state, unsigned successes,
		 unsigned failures);
void history_deinit(struct history *h);

void history_add(struct history *h, const struct history_entry *entry);

/* Oldest first; i < h->n. */
const struct history_entry *history_get(const struct history *h, uint32_t i);

/* Keeps the newest. -ENOMEM: nothing has changed. */
int history_resize(struct history *h, uint32_t capacity);

const char *history_note_to_string(enum history_note n); /* "counted", "not counted", "held" */
