/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A ring's own table of files, for connector-ring.c: a request finds a socket that has a place in it without the
 * process's table and its counters.
 *
 * To put a socket there, or to take it out, is a request of its own, whose memory is the place. The caller names the
 * place in the request, and brings what came of it; both are answered in the order in which they were asked for.
 */

#include <liburing.h>
#include <stdbool.h>

enum { PLACES = 1024 };

struct place {
	int fd;		    /* what the kernel is asked to put there; -1 = nothing */
	bool ready;	    /* it has done so */
	struct place *next; /* free one; borrowed */
};

struct place_table {
	struct place *free; /* borrowed, from all[]; NULL = every place is taken */
	struct place all[PLACES];
};

void places_init(struct place_table *t);

/* One must be free. */
struct place *place_enter(struct place_table *t, int fd, struct io_uring_sqe *sqe);
void place_entered(struct place *p, int result);

/* From now on no request finds the socket here. sqe: NULL = the place stays as it is, of no use any more. */
void place_leave(struct place_table *t, struct place *p, struct io_uring_sqe *sqe);
void place_left(struct place_table *t, struct place *p, int result);

/* What sqe asks of a socket is asked of its place, once it is there. p may be NULL. */
static inline void place_use(const struct place_table *t, const struct place *p,
			     struct io_uring_sqe *sqe)
{
	if (p && p->ready) {
		sqe->fd = (int)(p - t->all);
		sqe->flags |= IOSQE_FIXED_FILE;
	}
}
