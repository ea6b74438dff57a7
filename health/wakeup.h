/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The next wake-up of many objects, so that one timer serves them all: a heap of borrowed, embedded members.
 * Setting, moving and removing one costs O(log n), the earliest O(1). Pure.
 */

#include <stddef.h>

#include "base/clock.h"

/* Embedded in the object; zero-initialised = in no queue. */
struct wakeup {
	usec_t at_usec;
	size_t place; /* 1 + index in the heap, 0 = not queued */
};

struct wakeup_entry {
	usec_t at_usec;	       /* the member's, here because comparing must not touch the members */
	struct wakeup *member; /* borrowed */
};

struct wakeup_queue {
	struct wakeup_entry *heap; /* owned */
	size_t n, n_allocated;
};

void wakeup_queue_deinit(struct wakeup_queue *q);

/* Makes room for `n` members in all, so that wakeup_set() cannot fail up to there. 0 or -ENOMEM. */
int wakeup_reserve(struct wakeup_queue *q, size_t n);

/* Queues or moves w. Room must have been reserved. */
void wakeup_set(struct wakeup_queue *q, struct wakeup *w, usec_t at_usec);
void wakeup_remove(struct wakeup_queue *q, struct wakeup *w);

/* The earliest, or NULL. */
struct wakeup *wakeup_first(const struct wakeup_queue *q);
