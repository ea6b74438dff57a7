/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/wakeup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* A row of them is a cache line, and the tree half as high as with two. */
enum {
	CHILDREN = WAKEUP_CANDIDATES,
};

#define FAR_MARK (UINT32_C(1) << 31)

void wakeup_queue_deinit(struct wakeup_queue *q)
{
	free(q->heap);
	free(q->far);
	free(q->members);
	free(q->places);
	*q = (struct wakeup_queue){ 0 };
}

int wakeup_reserve(struct wakeup_queue *q, uint32_t n)
{
	uint32_t n_new = MAX(q->n_allocated, (uint32_t)64);
	struct wakeup_entry *heap, *far;
	struct wakeup **members;
	uint32_t *places;

	if (n <= q->n_allocated)
		return 0;
	while (n_new < n)
		n_new *= 2;
	heap = reallocarray(q->heap, n_new, sizeof(*heap));
	if (heap)
		q->heap = heap;
	far = reallocarray(q->far, n_new, sizeof(*far));
	if (far)
		q->far = far;
	members = reallocarray(q->members, n_new, sizeof(*members));
	if (members)
		q->members = members;
	places = reallocarray(q->places, n_new, sizeof(*places));
	if (places)
		q->places = places;
	if (!heap || !far || !members || !places)
		return -ENOMEM;
	q->n_allocated = n_new;
	return 0;
}

static void put(struct wakeup_queue *q, uint32_t i, struct wakeup_entry e)
{
	q->heap[i] = e;
	q->places[e.index] = i;
}

static uint32_t sift_up(struct wakeup_queue *q, uint32_t i, usec_t at_usec)
{
	while (i > 0 && at_usec < q->heap[(i - 1) / CHILDREN].at_usec) {
		put(q, i, q->heap[(i - 1) / CHILDREN]);
		i = (i - 1) / CHILDREN;
	}
	return i;
}

static uint32_t sift_down(struct wakeup_queue *q, uint32_t i, usec_t at_usec)
{
	for (;;) {
		uint32_t child = CHILDREN * i + 1, end = MIN(child + CHILDREN, q->n), least = child;

		if (child >= q->n)
			return i;
		while (++child < end)
			if (q->heap[child].at_usec < q->heap[least].at_usec)
				least = child;
		if (at_usec <= q->heap[least].at_usec)
			return i;
		put(q, i, q->heap[least]);
		i = least;
	}
}

static void place(struct wakeup_queue *q, uint32_t i, struct wakeup_entry e)
{
	i = sift_up(q, i, e.at_usec);
	put(q, sift_down(q, i, e.at_usec), e);
}

static void insert(struct wakeup_queue *q, struct wakeup_entry e)
{
	if (e.at_usec < q->horizon_usec) {
		place(q, q->n++, e);
	} else {
		q->far[q->n_far] = e;
		q->places[e.index] = q->n_far++ | FAR_MARK;
	}
}

static void extract(struct wakeup_queue *q, uint32_t index)
{
	uint32_t i = q->places[index];
	struct wakeup_entry last;

	if (i & FAR_MARK) {
		last = q->far[--q->n_far];
		q->far[i & ~FAR_MARK] = last;
		q->places[last.index] = i;
	} else {
		last = q->heap[--q->n];
		if (last.index != index)
			place(q, i, last);
	}
}

/* What has come near. */
static void refill(struct wakeup_queue *q)
{
	uint32_t n = q->n_far;
	usec_t first_usec = USEC_NEVER;

	if (q->n > 0 || n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		first_usec = MIN(first_usec, q->far[i].at_usec);
	q->horizon_usec = MAX(first_usec, first_usec + WAKEUP_NEAR_USEC);
	q->n_far = 0;
	for (uint32_t i = 0; i < n; i++)
		insert(q, q->far[i]);
}

/* The indexes in use are not more than the members: one that is free is taken first. */
static uint32_t take_index(struct wakeup_queue *q)
{
	uint32_t index = q->n_indexes;

	if (q->n + q->n_far == q->n_indexes) {
		assert(q->n_indexes < q->n_allocated);
		q->n_indexes++;
		return index;
	}
	index = q->first_free;
	q->first_free = q->places[index];
	return index;
}

void wakeup_set(struct wakeup_queue *q, struct wakeup *w, usec_t at_usec)
{
	uint32_t index = w->number - 1;

	w->at_usec = at_usec;
	if (w->number == 0) {
		index = take_index(q);
		w->number = index + 1;
		q->members[index] = w;
	} else if (!(q->places[index] & FAR_MARK) && at_usec < q->horizon_usec) {
		place(q, q->places[index], (struct wakeup_entry){ at_usec, index });
		return;
	} else {
		extract(q, index);
	}
	insert(q, (struct wakeup_entry){ at_usec, index });
	refill(q);
}

void wakeup_remove(struct wakeup_queue *q, struct wakeup *w)
{
	uint32_t index = w->number - 1;

	if (w->number == 0)
		return;
	w->number = 0;
	extract(q, index);
	q->places[index] = q->first_free;
	q->first_free = index;
	refill(q);
}

struct wakeup *wakeup_first(const struct wakeup_queue *q)
{
	return q->n > 0 ? q->members[q->heap[0].index] : NULL;
}

struct wakeup *wakeup_candidate(const struct wakeup_queue *q, unsigned i)
{
	return i + 1 < q->n ? q->members[q->heap[i + 1].index] : NULL;
}
