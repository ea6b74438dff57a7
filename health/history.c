/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/history.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int history_init(struct history *h, uint32_t capacity, enum target_state state, unsigned successes,
		 unsigned failures)
{
	struct history fresh = {
		.capacity = capacity,
		.base_state = state,
		.base_successes = successes,
		.base_failures = failures,
	};

	if (capacity) {
		fresh.entries = calloc(capacity, sizeof(*fresh.entries));
		if (!fresh.entries)
			return -ENOMEM;
	}
	*h = fresh;
	return 0;
}

void history_deinit(struct history *h)
{
	free(h->entries);
	*h = HISTORY_INIT;
}

const struct history_entry *history_get(const struct history *h, uint32_t i)
{
	assert(i < h->n);
	return &h->entries[((uint64_t)h->first + i) % h->capacity];
}

/* Moves an entry into what the ring knows of the time before it. */
static void fold(struct history *h, const struct history_entry *e)
{
	h->base_state = (enum target_state)e->state;
	if (e->note == HISTORY_NOT_COUNTED || e->outcome == PROBE_INTERNAL_ERROR)
		return;
	if (e->outcome == PROBE_OK) {
		h->base_successes += h->base_successes < UINT32_MAX;
		h->base_failures = 0;
	} else {
		h->base_failures += h->base_failures < UINT32_MAX;
		h->base_successes = 0;
	}
}

void history_add(struct history *h, const struct history_entry *entry)
{
	if (!h->capacity) {
		fold(h, entry);
		return;
	}
	if (h->n < h->capacity) {
		h->entries[((uint64_t)h->first + h->n++) % h->capacity] = *entry;
		return;
	}
	fold(h, &h->entries[h->first]);
	h->entries[h->first] = *entry;
	h->first = (h->first + 1) % h->capacity;
}

int history_resize(struct history *h, uint32_t capacity)
{
	struct history fresh;
	int r;

	if (capacity == h->capacity)
		return 0;
	r = history_init(&fresh, capacity, h->base_state, h->base_successes, h->base_failures);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < h->n; i++)
		history_add(&fresh, history_get(h, i));
	history_deinit(h);
	*h = fresh;
	return 0;
}

const char *history_note_to_string(enum history_note n)
{
	static const char *const names[_HISTORY_NOTE_MAX] = {
		[HISTORY_COUNTED] = "counted",
		[HISTORY_NOT_COUNTED] = "not counted",
		[HISTORY_HELD] = "held",
	};

	assert(n < _HISTORY_NOTE_MAX);
	return names[n];
}
