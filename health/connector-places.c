/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/connector-places.h"

static void free_place(struct place_table *t, struct place *p)
{
	p->next = t->free;
	t->free = p;
}

void places_init(struct place_table *t)
{
	t->free = NULL;
	for (unsigned i = PLACES; i-- > 0;) {
		t->all[i] = (struct place){ .fd = -1 };
		free_place(t, &t->all[i]);
	}
}

static void ask_for(const struct place_table *t, struct place *p, struct io_uring_sqe *sqe)
{
	io_uring_prep_files_update(sqe, &p->fd, 1, (int)(p - t->all));
}

struct place *place_enter(struct place_table *t, int fd, struct io_uring_sqe *sqe)
{
	struct place *p = t->free;

	t->free = p->next;
	p->fd = fd;
	ask_for(t, p, sqe);
	return p;
}

void place_entered(struct place *p, int result)
{
	/* It may have been left meanwhile. */
	p->ready = p->fd >= 0 && result == 1;
}

void place_leave(struct place_table *t, struct place *p, struct io_uring_sqe *sqe)
{
	p->fd = -1;
	p->ready = false;
	if (sqe)
		ask_for(t, p, sqe);
}

void place_left(struct place_table *t, struct place *p, int result)
{
	if (result == 1)
		free_place(t, p);
}
