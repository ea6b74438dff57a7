/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/reclaim.h"

#include <errno.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* How often the control thread looks whether the workers have moved on. */
#define POLL_USEC (5 * USEC_PER_MSEC)

struct retired {
	struct retired *next; /* owned */
	void (*free_fn)(void *);
	void *object; /* owned */
	uint64_t token;
};

struct reclaim {
	struct rte_rcu_qsbr *qsbr;    /* owned */
	struct retired *first, *last; /* first is owned; in the order of their tokens */
	sd_event_source *timer;	      /* owned; on while something waits */
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct reclaim *r = userdata;

	(void)usec;
	while (r->first && rte_rcu_qsbr_check(r->qsbr, r->first->token, false) == 1) {
		struct retired *old = r->first;

		r->first = old->next;
		old->free_fn(old->object);
		free(old);
	}
	if (!r->first)
		return 0;
	if (sd_event_source_set_time_relative(source, POLL_USEC) < 0 ||
	    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
		log_err("cannot set the timer of memory that is to be freed");
	return 0;
}

void reclaim_free(struct reclaim *r)
{
	if (!r)
		return;
	while (r->first) {
		struct retired *old = r->first;

		r->first = old->next;
		old->free_fn(old->object);
		free(old);
	}
	sd_event_source_unref(r->timer);
	rte_free(r->qsbr);
	free(r);
}

DEFINE_CLEANUP(struct reclaim *, reclaim_free)

int reclaim_new(sd_event *event, unsigned n_workers, struct reclaim **ret)
{
	_cleanup_(reclaim_free_p) struct reclaim *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	r->qsbr = rte_zmalloc("reclaim", rte_rcu_qsbr_get_memsize(n_workers), RTE_CACHE_LINE_SIZE);
	if (!r->qsbr)
		return -ENOMEM;
	if (rte_rcu_qsbr_init(r->qsbr, n_workers) != 0)
		return -EINVAL;
	error = sd_event_add_time_relative(event, &r->timer, CLOCK_MONOTONIC, 0, 0, on_timer, r);
	if (error < 0)
		return error;
	error = sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	if (error < 0)
		return error;
	*ret = take_ptr(r);
	return 0;
}

struct rte_rcu_qsbr *reclaim_qsbr(struct reclaim *r)
{
	return r->qsbr;
}

void reclaim_synchronize(struct reclaim *r)
{
	rte_rcu_qsbr_synchronize(r->qsbr, RTE_QSBR_THRID_INVALID);
}

void reclaim_retire(void *context, void (*free_fn)(void *), void *object)
{
	struct reclaim *r = context;
	struct retired *new = malloc(sizeof(*new));

	if (!new) {
		reclaim_synchronize(r);
		free_fn(object);
		return;
	}
	*new = (struct retired){ .free_fn = free_fn,
				 .object = object,
				 .token = rte_rcu_qsbr_start(r->qsbr) };
	if (r->first) {
		r->last->next = new;
		r->last = new;
		return;
	}
	r->first = r->last = new;
	if (sd_event_source_set_time_relative(r->timer, POLL_USEC) < 0 ||
	    sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT) < 0)
		log_err("cannot set the timer of memory that is to be freed");
}
