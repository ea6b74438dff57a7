/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/wakeup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

void wakeup_queue_deinit(struct wakeup_queue *q)
{
	free(q->heap);
	*q = (struct wakeup_queue){ 0 };
}

int wakeup_reserve(struct wakeup_queue *q, size_t n)
{
	size_t n_new = MAX(q->n_allocated, (size_t)64);
	struct wakeup **heap;

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

static void put(struct wakeup_queue *q, size_t i, struct wakeup *w)
{
	q->heap[i] = w;
	w->place = i + 1;
}

static size_t sift_up(struct wakeup_queue *q, size_t i, struct wakeup *w)
{
	while (i > 0 && w->at_usec < q->heap[(i - 1) / 2]->at_usec) {
		put(q, i, q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	return i;
}

static size_t sift_down(struct wakeup_queue *q, size_t i, struct wakeup *w)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= q->n)
			return i;
		if (child + 1 < q->n && q->heap[child + 1]->at_usec < q->heap[child]->at_usec)
			child++;
		if (w->at_usec <= q->heap[child]->at_usec)
			return i;
		put(q, i, q->heap[child]);
		i = child;
	}
}

void wakeup_set(struct wakeup_queue *q, struct wakeup *w, usec_t at_usec)
{
	size_t i;

	if (w->place == 0) {
		assert(q->n < q->n_allocated);
		i = q->n++;
	} else {
		i = w->place - 1;
	}
	w->at_usec = at_usec;
	i = sift_up(q, i, w);
	put(q, sift_down(q, i, w), w);
}

void wakeup_remove(struct wakeup_queue *q, struct wakeup *w)
{
	struct wakeup *last;
	size_t i = w->place - 1;

	if (w->place == 0)
		return;
	w->place = 0;
	last = q->heap[--q->n];
	if (last == w)
		return;
	i = sift_up(q, i, last);
	put(q, sift_down(q, i, last), last);
}

struct wakeup *wakeup_first(const struct wakeup_queue *q)
{
	return q->n > 0 ? q->heap[0] : NULL;
}
