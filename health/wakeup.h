/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The next wake-up of many objects, so that one timer serves them all: borrowed, embedded members. Those of the near
 * future are in a heap, small enough for the caches; the others are in no order, and gone through when the heap is empty.
 * The earliest costs O(1); setting, moving and removing one O(log n) at most, but for that: O(n) once in WAKEUP_NEAR_USEC,
 * or for a wake-up that has so much time to itself. Pure.
 */

#include <stdint.h>

#include "base/clock.h"

/* Embedded in the object; zero-initialised = in no queue. */
struct wakeup {
	usec_t at_usec;
	uint32_t number; /* 1 + its index in the queue's tables, 0 = not queued */
};

#define WAKEUP_NEAR_USEC (250 * USEC_PER_MSEC)

struct wakeup_entry {
	usec_t at_usec; /* the member's, here because sorting must not touch the members: they are cold */
	uint32_t index;
};

struct wakeup_queue {
	/* All are owned. */
	struct wakeup_entry *heap; /* all before horizon_usec; empty only if `far` is, too */
	struct wakeup_entry *far;
	struct wakeup **members; /* borrowed ones */
	/* Of each member in the heap or, marked, in `far`; of a free index, the next free one. */
	uint32_t *places;
	uint32_t n, n_far, n_allocated;
	usec_t horizon_usec;
	uint32_t n_indexes, first_free;
};

void wakeup_queue_deinit(struct wakeup_queue *q);

/* Makes room for `n` members in all, so that wakeup_set() cannot fail up to there. 0 or -ENOMEM. */
int wakeup_reserve(struct wakeup_queue *q, uint32_t n);

/* Queues or moves w. Room must have been reserved. */
void wakeup_set(struct wakeup_queue *q, struct wakeup *w, usec_t at_usec);
void wakeup_remove(struct wakeup_queue *q, struct wakeup *w);

/* The earliest, or NULL. */
struct wakeup *wakeup_first(const struct wakeup_queue *q);

/* Those of which one is the next when the first has gone, so that a caller may fetch their memory ahead. */
enum {
	WAKEUP_CANDIDATES = 4,
};

/* i < WAKEUP_CANDIDATES; NULL = there are not so many. */
struct wakeup *wakeup_candidate(const struct wakeup_queue *q, unsigned i);
