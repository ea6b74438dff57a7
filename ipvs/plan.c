/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ipvs/dest-finder.h"

void plan_deinit(struct plan *p)
{
	free(p->ops);
	*p = PLAN_INIT;
}

/* Room for the next power of two, as in ruleset.c. */
static int op_append(struct plan *p, const struct plan_op *op)
{
	struct plan_op *grown;

	if ((p->n & (p->n - 1)) == 0) {
		grown = reallocarray(p->ops, p->n ? p->n * 2 : 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		p->ops = grown;
	}
	p->ops[p->n++] = *op;
	return 0;
}

static int append_service_set(struct plan *p, const struct ipvs_service *old,
			      const struct ipvs_service *new)
{
	return op_append(p, &(struct plan_op){
				    .kind = PLAN_SERVICE_SET, .service = new, .old_service = old });
}

static int append_dest(struct plan *p, enum plan_op_kind kind, bool reorder,
		       const struct ipvs_service *s, const struct ipvs_dest *d)
{
	return op_append(
		p, &(struct plan_op){ .kind = kind, .reorder = reorder, .service = s, .dest = d });
}

static int append_dest_set(struct plan *p, const struct ipvs_service *s,
			   const struct ipvs_dest *old, const struct ipvs_dest *new)
{
	return op_append(
		p, &(struct plan_op){
			   .kind = PLAN_DEST_SET, .service = s, .dest = new, .old_dest = old });
}

static int plan_new_service(struct plan *p, const struct ipvs_service *s)
{
	bool switched = s->n_dests > 1 && ipvs_scheduler_is_ordered(s->scheduler);
	int r = op_append(
		p, &(struct plan_op){ .kind = PLAN_SERVICE_NEW, .bare = switched, .service = s });

	for (size_t i = s->n_dests; r == 0 && i > 0; i--)
		r = append_dest(p, PLAN_DEST_NEW, false, s, &s->dests[i - 1]);
	if (r == 0 && switched)
		r = op_append(p, &(struct plan_op){ .kind = PLAN_SERVICE_SET,
						    .bare = true,
						    .service = s,
						    .old_service = s });
	return r;
}

/* A destination of one side, and its partner of the other side or NULL. */
struct match {
	const struct ipvs_dest *self, *other;
};

/* In list order, each with its partner in `other`. */
static struct match *dests_match(const struct ipvs_service *s, const struct ipvs_service *other)
{
	_cleanup_(dest_finder_deinit) struct dest_finder finder = { .service = other };
	_cleanup_free_ struct match *result = calloc(s->n_dests + 1, sizeof(*result));

	if (!result)
		return NULL;
	for (size_t i = 0; i < s->n_dests; i++) {
		result[i].self = &s->dests[i];
		if (dest_finder_find(&finder, &s->dests[i], &result[i].other) < 0)
			return NULL;
	}
	return take_ptr(result);
}

/*
 * How many destinations at the head of the desired list must be inserted anew, because new ones enter at the head
 * only: all but the longest tail of it which the actual list has in the same order.
 */
static size_t reordered_head(const struct match *desired, size_t n)
{
	const struct ipvs_dest *below = NULL;
	size_t i = n;

	for (; i > 0 && desired[i - 1].other; i--) {
		if (below && desired[i - 1].other > below)
			break;
		below = desired[i - 1].other;
	}
	return i;
}

/* New destinations and, in an ordered list, moved ones; the first `head` of `desired`, last first. */
static int plan_new_dests(struct plan *p, const struct ipvs_service *s, const struct match *desired,
			  size_t head, bool ordered)
{
	for (size_t i = head; i > 0; i--) {
		const struct match *m = &desired[i - 1];
		bool move = m->other && ordered;
		int r = 0;

		if (m->other && !ordered)
			continue;
		if (move)
			r = append_dest(p, PLAN_DEST_DEL, true, s, m->other);
		if (r == 0)
			r = append_dest(p, PLAN_DEST_NEW, move, s, m->self);
		if (r < 0)
			return r;
	}
	return 0;
}

static int plan_changed_dests(struct plan *p, const struct ipvs_service *s,
			      const struct match *desired, size_t first, bool lowered)
{
	for (size_t i = first; i < s->n_dests; i++) {
		const struct match *m = &desired[i];

		if (!m->other || ipvs_dest_conf_eq(m->self, m->other) ||
		    (m->self->weight < m->other->weight) != lowered)
			continue;
		if (append_dest_set(p, s, m->other, m->self) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int plan_removed_dests(struct plan *p, const struct ipvs_service *s,
			      const struct match *actual, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!actual[i].other && append_dest(p, PLAN_DEST_DEL, false, s, actual[i].self) < 0)
			return -ENOMEM;
	return 0;
}

static int plan_dests(struct plan *p, const struct ipvs_service *actual,
		      const struct ipvs_service *desired)
{
	bool same = ipvs_service_same_list(actual, desired);
	_cleanup_free_ struct match *now = same ? NULL : dests_match(actual, desired);
	_cleanup_free_ struct match *then = dests_match(desired, actual);
	bool ordered = ipvs_scheduler_is_ordered(desired->scheduler);
	size_t head = desired->n_dests;
	int r;

	if ((!now && !same) || !then)
		return -ENOMEM;
	if (ordered)
		head = reordered_head(then, desired->n_dests);
	r = plan_new_dests(p, desired, then, head, ordered);
	/* A moved destination is inserted with its new configuration. */
	if (r == 0)
		r = plan_changed_dests(p, desired, then, ordered ? head : 0, false);
	if (r == 0)
		r = plan_changed_dests(p, desired, then, ordered ? head : 0, true);
	if (r == 0 && !same)
		r = plan_removed_dests(p, desired, now, actual->n_dests);
	return r;
}

static int plan_service(struct plan *p, const struct ipvs_service *actual,
			const struct ipvs_service *desired)
{
	bool set = !ipvs_service_conf_eq(actual, desired);
	bool set_last = set && ipvs_scheduler_is_ordered(desired->scheduler) &&
			!ipvs_scheduler_is_ordered(actual->scheduler);
	int r = 0;

	if (set && !set_last)
		r = append_service_set(p, actual, desired);
	if (r == 0)
		r = plan_dests(p, actual, desired);
	if (r == 0 && set_last)
		r = append_service_set(p, actual, desired);
	return r;
}

static bool may_remove(const struct plan_ownership *owned, const struct ipvs_service_key *key)
{
	size_t low = 0, high = owned->n;

	if (owned->exclusive)
		return true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = ipvs_service_key_cmp(key, &owned->keys[mid]);

		if (c == 0)
			return true;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

/* The keepers go last: with the last service of a family its netfilter hooks go, and live connections break. */
static int plan_removed_services(struct plan *p, const struct ipvs_ruleset *actual,
				 const struct ipvs_ruleset *desired,
				 const struct plan_ownership *owned, bool keepers)
{
	for (size_t i = 0; i < actual->n; i++) {
		const struct ipvs_service *s = &actual->services[i];

		if ((s->key.fwmark == IPVS_HOOK_KEEPER_MARK) != keepers ||
		    !may_remove(owned, &s->key) || ipvs_ruleset_find(desired, &s->key))
			continue;
		if (op_append(p, &(struct plan_op){ .kind = PLAN_SERVICE_DEL, .service = s }) < 0)
			return -ENOMEM;
	}
	return 0;
}

int plan_compute(const struct ipvs_ruleset *actual, const struct ipvs_ruleset *desired,
		 const struct plan_ownership *owned, struct plan *ret)
{
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < desired->n; i++) {
		const struct ipvs_service *want = &desired->services[i];
		const struct ipvs_service *have = ipvs_ruleset_find(actual, &want->key);

		r = have ? plan_service(&p, have, want) : plan_new_service(&p, want);
	}
	if (r == 0)
		r = plan_removed_services(&p, actual, desired, owned, false);
	if (r == 0)
		r = plan_removed_services(&p, actual, desired, owned, true);
	if (r < 0)
		return r;
	*ret = p;
	p = PLAN_INIT;
	return 0;
}
