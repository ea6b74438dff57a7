/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/records.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/prefetch.h"

static void record_free(struct record *r)
{
	if (!r)
		return;
	history_deinit(&r->history);
	free(r);
}

DEFINE_CLEANUP(struct record *, record_free)

void records_deinit(struct records *r)
{
	for (size_t i = 0; i < r->n_slots; i++)
		record_free(r->slots[i].record);
	free(r->slots);
	*r = RECORDS_INIT;
}

static struct record_slot *slot_of(struct record_slot *slots, size_t n_slots, uint64_t id)
{
	size_t i = id & (n_slots - 1);

	while (slots[i].record && slots[i].id != id)
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

struct record *records_find(const struct records *r, uint64_t id)
{
	return r->n_slots ? slot_of(r->slots, r->n_slots, id)->record : NULL;
}

void records_fetch_ahead(const struct records *r, uint64_t id)
{
	const struct record *record = records_find(r, id);

	if (record)
		prefetch(record, sizeof(*record));
}

static void fill(struct record_slot *slot, struct record *record)
{
	*slot = (struct record_slot){ record->id, record };
}

static int resize(struct records *r, size_t n_slots)
{
	struct record_slot *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_slots; i++)
		if (r->slots[i].record)
			fill(slot_of(slots, n_slots, r->slots[i].id), r->slots[i].record);
	free(r->slots);
	r->slots = slots;
	r->n_slots = n_slots;
	return 0;
}

struct record *records_get(struct records *r, uint64_t id, const struct target_health *health,
			   usec_t now_usec)
{
	_cleanup_(record_free_p) struct record *fresh = NULL;
	struct record *known = records_find(r, id);

	if (known)
		return known;
	if (2 * (r->n + 1) > r->n_slots && resize(r, r->n_slots ? 2 * r->n_slots : 64) < 0)
		return NULL;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh ||
	    history_init(&fresh->history, r->history_capacity,
			 health->state == TARGET_DRAINING ? health->resume_state : health->state,
			 health->successes, health->failures) < 0)
		return NULL;
	fresh->id = id;
	fresh->begun_usec = now_usec;
	known = take_ptr(fresh);
	fill(slot_of(r->slots, r->n_slots, id), known);
	r->n++;
	return known;
}

/* All slots are filled anew: a gap in open addressing would hide what stands behind it. */
void records_sweep(struct records *r)
{
	struct record_slot *slots;

	if (!r->n_slots)
		return;
	slots = calloc(r->n_slots, sizeof(*slots));
	if (!slots) /* they are forgotten next time */
		return;
	for (size_t i = 0; i < r->n_slots; i++) {
		struct record *record = r->slots[i].record;

		if (!record)
			continue;
		if (record->seen) {
			record->seen = false;
			fill(slot_of(slots, r->n_slots, record->id), record);
		} else {
			record_free(record);
			r->n--;
		}
	}
	free(r->slots);
	r->slots = slots;
}

int records_set_capacity(struct records *r, uint32_t capacity)
{
	r->history_capacity = capacity;
	for (size_t i = 0; i < r->n_slots; i++)
		if (r->slots[i].record &&
		    history_resize(&r->slots[i].record->history, capacity) < 0)
			return -ENOMEM;
	return 0;
}
