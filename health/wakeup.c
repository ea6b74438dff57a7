/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/wakeup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* A row of them is a cache line, and the tree half as high as with two. */
enum {
	CHILDREN = 4,
};

void wakeup_queue_deinit(struct wakeup_queue *q)
{
	free(q->heap);
	*q = (struct wakeup_queue){ 0 };
}

int wakeup_reserve(struct wakeup_queue *q, size_t n)
{
	size_t n_new = MAX(q->n_allocated, (size_t)64);
	struct wakeup_entry *heap;

	if (n <= q->n_allocated)
		return 0;
	while (n_new < n)
		n_new *= 2;
	heap = reallocarray(q->heap, n_new, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	q->heap = heap;
	q->n_allocated = n_new;
	return 0;
}

static void put(struct wakeup_queue *q, size_t i, struct wakeup_entry e)
{
	q->heap[i] = e;
	e.member->place = i + 1;
}

static size_t sift_up(struct wakeup_queue *q, size_t i, usec_t at_usec)
{
	while (i > 0 && at_usec < q->heap[(i - 1) / CHILDREN].at_usec) {
		put(q, i, q->heap[(i - 1) / CHILDREN]);
		i = (i - 1) / CHILDREN;
	}
	return i;
}

static size_t sift_down(struct wakeup_queue *q, size_t i, usec_t at_usec)
{
	for (;;) {
		size_t child = CHILDREN * i + 1, end = MIN(child + CHILDREN, q->n), least = child;

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

static void place(struct wakeup_queue *q, size_t i, struct wakeup_entry e)
{
	i = sift_up(q, i, e.at_usec);
	put(q, sift_down(q, i, e.at_usec), e);
}

void wakeup_set(struct wakeup_queue *q, struct wakeup *w, usec_t at_usec)
{
	if (w->place == 0) {
		assert(q->n < q->n_allocated);
		w->place = ++q->n;
	}
	w->at_usec = at_usec;
	place(q, w->place - 1, (struct wakeup_entry){ at_usec, w });
}

void wakeup_remove(struct wakeup_queue *q, struct wakeup *w)
{
	size_t i = w->place - 1;
	struct wakeup_entry last;

	if (w->place == 0)
		return;
	w->place = 0;
	last = q->heap[--q->n];
	if (last.member != w)
		place(q, i, last);
}

struct wakeup *wakeup_first(const struct wakeup_queue *q)
{
	return q->n > 0 ? q->heap[0].member : NULL;
}
