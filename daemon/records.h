/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is remembered of each probed target beside its state: by probe id, so that it survives a reload. The history is
 * not persisted: verdicts are, and a ring fills again within as many intervals as it has entries. Pure but for memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/guard.h"
#include "health/history.h"
#include "health/passive.h"

struct record {
	uint64_t id;
	struct history history;
	usec_t begun_usec;    /* monotonic: when probing began, or went on after a pause */
	usec_t heard_usec;    /* monotonic: the last result that counted; 0 = none yet */
	enum guard_hold hold; /* the verdict that waits, if any */
	usec_t hold_usec;     /* monotonic: since when */
	usec_t down_usec;     /* monotonic: when it went from healthy to unhealthy; 0 = never */
	struct passive_window passive;
	enum passive_finding passive_said; /* the worst that was said of its connections since */
	bool seen;			   /* mark of records_sweep() */
};

/* Has the id beside the record, which is cold: looking for another one must not touch it. */
struct record_slot {
	uint64_t id;
	struct record *record; /* owned; NULL = empty */
};

struct records {
	struct record_slot
		*slots; /* owned; open addressing from the id's low bits, at least half empty */
	size_t n_slots, n;
	uint32_t history_capacity; /* of new ones */
};

#define RECORDS_INIT ((struct records){ 0 })

void records_deinit(struct records *r);

/* NULL when there is none. Borrowed. */
struct record *records_find(const struct records *r, uint64_t id);

/* A hint: records_find() with this id follows soon. What it will find, if anything, is fetched into the cache. */
void records_fetch_ahead(const struct records *r, uint64_t id);

/* The target's record, begun now in this state if there is none. NULL = no memory. Borrowed, stays where it is. */
struct record *records_get(struct records *r, uint64_t id, const struct target_health *health,
			   usec_t now_usec);

/* Forgets those that records_get() or records_find() did not return with .seen set since; clears .seen. */
void records_sweep(struct records *r);

/* Rings of another length, from now on and for all. -ENOMEM: some have changed. */
int records_set_capacity(struct records *r, uint32_t capacity);
