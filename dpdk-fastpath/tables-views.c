/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/tables-internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* What is retired with a view. */
struct tables_service_view {
	struct tables_dest_view **dests; /* held; in the order of view.dests */
	struct service_view view;
};

enum {
	INDEX_MIN = 64,
};

/* Sparse, so that most searches end at the first slot. */
static bool index_is_crowded(const struct tables_index *x)
{
	return (x->used + 1) * 8 > x->index->mask + 1;
}

static uint64_t hash_of(const void *view)
{
	struct snapshot_key key;

	memcpy(&key, view, sizeof(key));
	return snapshot_key_hash(&key);
}

/* The slot that holds `view`; NULL: the first that is not taken, on the way of `like`. */
static const void *_Atomic *slot_of(const struct snapshot_index *x, const void *like,
				    const void *view)
{
	for (size_t i = hash_of(like);; i++) {
		const void *_Atomic *slot = &x->slots[i & x->mask];
		const void *there = atomic_load_explicit(slot, memory_order_relaxed);

		if (there == view || (!view && there == &snapshot_gone))
			return slot;
	}
}

/* A new header: what is not an array of its own. */
static int publish_draft(struct tables *t)
{
	struct snapshot *old = atomic_load_explicit(&t->published, memory_order_relaxed), *new;

	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	*new = t->draft;
	atomic_store_explicit(&t->published, new, memory_order_release);
	tables_retire(t, free, old);
	t->draft_dirty = false;
	return 0;
}

/* An array of its own, without what is gone, under a new header: workers of the old header keep the old array. */
static int index_grow(struct tables *t, struct tables_index *x)
{
	struct snapshot_index old = *x->index, new = { .mask = INDEX_MIN - 1 };
	int r;

	while (new.mask + 1 < 16 * (x->live + 1))
		new.mask = 2 * new.mask + 1;
	new.slots = calloc(new.mask + 1, sizeof(*new.slots));
	if (!new.slots)
		return -ENOMEM;
	for (size_t i = 0; old.slots && i <= old.mask; i++) {
		const void *view = atomic_load_explicit(&old.slots[i], memory_order_relaxed);

		if (view && view != &snapshot_gone)
			atomic_store_explicit(slot_of(&new, view, NULL), view,
					      memory_order_relaxed);
	}
	*x->index = new;
	r = publish_draft(t);
	if (r < 0) {
		*x->index = old;
		free((void *)new.slots);
		return r;
	}
	x->used = x->live;
	tables_retire(t, free, (void *)old.slots);
	return 0;
}

/* Puts `new` in the place of `old` of the same key; either may be NULL. */
static int index_replace(struct tables *t, struct tables_index *x, const void *old, const void *new)
{
	const void *_Atomic *slot;
	int r;

	if (!old && index_is_crowded(x)) {
		r = index_grow(t, x);
		if (r < 0)
			return r;
	}
	slot = slot_of(x->index, old ? old : new, old);
	if (!old)
		x->used += !atomic_load_explicit(slot, memory_order_relaxed);
	x->live += (size_t)!old - (size_t) !new;
	atomic_store_explicit(slot, new ? new : &snapshot_gone, memory_order_release);
	return 0;
}

const struct snapshot *tables_snapshot(const struct tables *t)
{
	return atomic_load_explicit(&t->published, memory_order_acquire);
}

static void unref_dest_view(void *p)
{
	struct tables_dest_view *v = p;
	struct tables_dest *d = v->dest;

	assert(v->refs > 0);
	if (--v->refs > 0)
		return;
	if (--d->n_views == 0 && d->condemned)
		tables_free_dest(v->tables, d);
	free(v);
}

static void fill_dest_view(const struct tables_dest *d, struct dest_view *v)
{
	const struct ipvs_dest *c = &d->conf;

	*v = (struct dest_view){
		.id = d->id,
		.service_id = d->service->id,
		.weight = c->weight,
		.last_weight = d->last_weight,
		.port_be = htons(c->port),
		.family = (uint8_t)c->addr.family,
		.protocol = d->service->conf.key.protocol,
		.forward = (uint8_t)c->forward,
		.tunnel = (uint8_t)c->tunnel,
		.tunnel_port_be = htons(c->tunnel_port),
		.tunnel_flags = c->tunnel_flags,
		.upper_threshold = c->upper_threshold,
		.lower_threshold = c->lower_threshold,
		.nexthop = d->address->nexthop,
		.deleted = d->deleted,
	};
	memcpy(v->addr, c->addr.bytes, sizeof(v->addr));
}

static void set_dest_view(struct tables *t, struct tables_dest *d, struct tables_dest_view *v)
{
	struct tables_dest_view *old = d->view;

	d->view = v;
	atomic_store_explicit(&t->dest_views[d->id], v ? &v->view : NULL, memory_order_release);
	atomic_store_explicit(&t->shortcuts[d->id], v && !v->view.deleted ? v->view.nexthop : 0,
			      memory_order_release);
	tables_retire(t, unref_dest_view, old);
}

static int publish_dests(struct tables *t)
{
	while (t->dirty_dests) {
		struct tables_dest *d = t->dirty_dests;
		struct tables_dest_view *v = malloc(sizeof(*v));

		if (!v)
			return -ENOMEM;
		fill_dest_view(d, &v->view);
		v->tables = t;
		v->dest = d;
		v->refs = 1;
		d->n_views++;
		set_dest_view(t, d, v);
		t->draft.deletions += d->deleted;
		t->draft.dest_ids_end = t->next_dest_id;
		t->draft_dirty = true;
		t->dirty_dests = d->dirty_next;
		d->dirty = false;
	}
	return 0;
}

static void free_service_view(void *p)
{
	struct tables_service_view *v = p;

	for (size_t i = 0; i < v->view.n_dests; i++)
		unref_dest_view(v->dests[i]);
	free(v->dests);
	free(v);
}

static void free_sched_view(void *p)
{
	sched_view_free(p);
}

static void fill_service_view(const struct tables *t, const struct tables_service *s,
			      struct service_view *v)
{
	const struct ipvs_service *c = &s->conf;

	memcpy(v->addr, c->key.addr.bytes, sizeof(v->addr));
	v->port_be = htons(c->key.port);
	v->protocol = c->key.protocol;
	v->family = (uint8_t)c->key.family;
	v->id = s->id;
	v->generation = s->generation;
	v->born = s->born;
	v->round = s->round;
	v->flags = c->flags;
	v->timeout_ticks = (uint32_t)MIN((uint64_t)c->timeout_sec * 1000 / t->config.tick_msec,
					 (uint64_t)INT32_MAX);
	tables_mask(c, v->netmask);
	v->by_address = s->by_address;
	memcpy(v->owner_mask, s->owner_mask, sizeof(v->owner_mask));
	v->rules = s->rules;
	v->sched = s->sched_view;
}

/* In the list's order; the views of its destinations are published already. */
static int make_service_view(const struct tables *t, const struct tables_service *s,
			     struct tables_service_view **ret)
{
	struct tables_service_view *v =
		calloc(1, sizeof(*v) + s->n_dests * sizeof(v->view.dests[0]));

	if (!v)
		return -ENOMEM;
	v->dests = calloc(s->n_dests + 1, sizeof(struct tables_dest_view *));
	if (!v->dests) {
		free(v);
		return -ENOMEM;
	}
	fill_service_view(t, s, &v->view);
	for (size_t i = 0; i < s->n_dests; i++) {
		struct tables_dest_view *d = s->dests[s->n_dests - 1 - i]->view;

		d->refs++;
		v->dests[i] = d;
		v->view.dests[i] = &d->view;
	}
	v->view.n_dests = s->n_dests;
	*ret = v;
	return 0;
}

static void retire_rules(struct tables *t, struct tables_service *s)
{
	if (s->published_rules && s->published_rules != s->rules)
		tables_retire(t, s->free_published_rules, s->published_rules);
	s->published_rules = s->rules;
	s->free_published_rules = s->free_rules;
}

static int publish_service(struct tables *t, struct tables_service *s)
{
	struct tables_service_view *v, *old = s->view;
	struct sched_view *sched = NULL;
	int r;

	r = make_service_view(t, s, &v);
	if (r < 0)
		return r;
	if (s->list_changed) {
		sched_changes_publish(&s->changes, t->generation + 1);
		r = sched_view_new(&v->view, s->sched, &s->changes, &sched);
		if (r < 0) {
			free_service_view(v);
			return r;
		}
		v->view.sched = sched;
		v->view.generation = t->generation + 1;
	}
	r = index_replace(t, &t->services_index, old ? &old->view : NULL, &v->view);
	if (r < 0) {
		sched_view_free(sched);
		free_service_view(v);
		return r;
	}
	s->view = v;
	tables_retire(t, free_service_view, old);
	retire_rules(t, s);
	if (sched) {
		tables_retire(t, free_sched_view, s->sched_view);
		s->sched_view = sched;
		s->generation = ++t->generation;
		s->list_changed = false;
	}
	return 0;
}

static void withdraw_service(struct tables *t, struct tables_service *s)
{
	if (s->rules && s->rules != s->published_rules)
		s->free_rules(s->rules);
	s->rules = NULL;
	if (s->view) {
		(void)index_replace(t, &t->services_index, &s->view->view, NULL);
		tables_retire(t, free_service_view, s->view);
	}
	tables_retire(t, free_sched_view, s->sched_view);
	retire_rules(t, s);
	s->view = NULL;
	s->sched_view = NULL;
	tables_release_service(t, s);
}

/* Those that are gone come last: one of the same key may have come. */
static int publish_services(struct tables *t)
{
	struct tables_service *gone = NULL;
	int r = 0;

	while (t->dirty_services && r == 0) {
		struct tables_service *s = t->dirty_services;

		if (!s->gone && !s->conf.key.fwmark)
			r = publish_service(t, s);
		if (r < 0)
			break;
		t->dirty_services = s->dirty_next;
		s->dirty = false;
		if (!s->gone)
			continue;
		s->dirty = true;
		s->dirty_next = gone;
		gone = s;
	}
	while (gone) {
		struct tables_service *s = gone;

		gone = s->dirty_next;
		s->dirty = false;
		withdraw_service(t, s);
	}
	return r;
}

static int make_place(const struct tables_address *a, struct place_view **ret)
{
	struct place_view *v = NULL;

	if (a->n_services > 0 || a->is_local || a->by_address) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		memcpy(v->addr, a->addr.bytes, sizeof(v->addr));
		v->family = (uint8_t)a->addr.family;
		v->is_service = a->n_services > 0;
		v->is_local = a->is_local;
		v->by_address = a->by_address;
		memcpy(v->owner_mask, a->owner_mask, sizeof(v->owner_mask));
	}
	*ret = v;
	return 0;
}

static int publish_address(struct tables *t, struct tables_address *a)
{
	struct place_view *v = NULL;
	int r = make_place(a, &v);

	if (r == 0 && (v || a->view))
		r = index_replace(t, &t->places_index, a->view, v);
	if (r < 0) {
		free(v);
		return r;
	}
	tables_retire(t, free, a->view);
	a->view = v;
	return 0;
}

static int publish_addresses(struct tables *t)
{
	while (t->dirty_addresses) {
		struct tables_address *a = t->dirty_addresses;
		int r = publish_address(t, a);

		if (r < 0)
			return r;
		t->dirty_addresses = a->dirty_next;
		a->dirty = false;
		if (!tables_address_is_used(a))
			tables_free_address(t, a);
	}
	return 0;
}

int tables_publish(struct tables *t)
{
	int r = publish_addresses(t);

	if (r == 0)
		r = publish_dests(t);
	if (r == 0)
		r = publish_services(t);
	if (r == 0 && t->draft_dirty)
		r = publish_draft(t);
	return r;
}

/* Nobody knows the id any more: out of the snapshot; free again when its last view is. */
void tables_condemn(struct tables *t, struct tables_dest *d)
{
	d->condemned = true;
	set_dest_view(t, d, NULL);
}

int tables_views_init(struct tables *t)
{
	int r;

	t->dest_views = calloc(SNAPSHOT_DESTS_MAX, sizeof(*t->dest_views));
	t->endpoints = calloc(SNAPSHOT_DESTS_MAX, sizeof(*t->endpoints));
	t->shortcuts = calloc(SNAPSHOT_DESTS_MAX, sizeof(*t->shortcuts));
	t->local_array = calloc(SNAPSHOT_LOCALS_MAX, sizeof(*t->local_array));
	if (!t->dest_views || !t->endpoints || !t->shortcuts || !t->local_array)
		return -ENOMEM;
	t->draft = (struct snapshot){
		.options = { .conn_reuse_mode = 1 },
		.dests = t->dest_views,
		.endpoints = t->endpoints,
		.shortcuts = t->shortcuts,
		.nexthops = t->config.nexthops,
		.locals = t->local_array,
		.n_workers = t->config.n_workers,
	};
	conn_timeouts_init(&t->draft.timeouts, t->config.tick_msec);
	t->services_index.index = &t->draft.services;
	t->places_index.index = &t->draft.places;
	/* Each publishes a header; workers see none before the second. */
	r = index_grow(t, &t->services_index);
	return r < 0 ? r : index_grow(t, &t->places_index);
}

static void free_model(struct tables *t)
{
	while (t->dirty_services) {
		struct tables_service *s = t->dirty_services;

		t->dirty_services = s->dirty_next;
		s->dirty = false;
		withdraw_service(t, s);
	}
	for (uint32_t id = 1; id < t->next_dest_id; id++) {
		struct tables_dest *d = t->dests[id];

		if (!d)
			continue;
		if (d->view)
			set_dest_view(t, d, NULL);
		tables_free_dest(t, d);
	}
	for (unsigned i = 0; i < TABLES_BUCKETS; i++)
		while (t->address_buckets[i]) {
			struct tables_address *a = t->address_buckets[i];

			t->address_buckets[i] = a->bucket_next;
			free(a->view);
			free(a);
		}
}

void tables_views_deinit(struct tables *t)
{
	if (t->dests && t->free_dest_ids && t->free_service_ids)
		free_model(t);
	free(atomic_load_explicit(&t->published, memory_order_relaxed));
	free((void *)t->draft.services.slots);
	free((void *)t->draft.places.slots);
	free((void *)t->dest_views);
	free(t->endpoints);
	free((void *)t->shortcuts);
	free(t->local_array);
}
