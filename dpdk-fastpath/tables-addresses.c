/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/tables-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static size_t bucket_of(const struct addr *a)
{
	return tables_bucket(a, sizeof(*a));
}

static struct tables_address *find_address(const struct tables *t, const struct addr *a)
{
	struct tables_address *node = t->address_buckets[bucket_of(a)];

	while (node && !addr_eq(&node->addr, a))
		node = node->bucket_next;
	return node;
}

struct tables_address *tables_get_address(struct tables *t, const struct addr *a)
{
	struct tables_address *node = find_address(t, a), **bucket;

	if (node)
		return node;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	bucket = &t->address_buckets[bucket_of(a)];
	node->addr = *a;
	node->bucket_next = *bucket;
	*bucket = node;
	return node;
}

void tables_touch_address(struct tables *t, struct tables_address *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	a->dirty_next = t->dirty_addresses;
	t->dirty_addresses = a;
}

bool tables_address_is_used(const struct tables_address *a)
{
	return a->n_services > 0 || a->is_local || a->dests;
}

void tables_free_address(struct tables *t, struct tables_address *a)
{
	struct tables_address **at = &t->address_buckets[bucket_of(&a->addr)];

	while (*at != a)
		at = &(*at)->bucket_next;
	*at = a->bucket_next;
	free(a);
}

void tables_link_dest(struct tables *t, struct tables_dest *d, struct tables_address *a)
{
	if (!a->dests)
		a->nexthop = t->config.on_address
				     ? t->config.on_address(t->config.context, &a->addr)
				     : 0;
	d->address = a;
	d->address_prev = NULL;
	d->address_next = a->dests;
	if (a->dests)
		a->dests->address_prev = d;
	a->dests = d;
}

void tables_unlink_dest(struct tables *t, struct tables_dest *d)
{
	struct tables_address *a = d->address;

	if (d->address_prev)
		d->address_prev->address_next = d->address_next;
	else
		a->dests = d->address_next;
	if (d->address_next)
		d->address_next->address_prev = d->address_prev;
	d->address = NULL;
	if (a->dests)
		return;
	a->by_address = false;
	if (t->config.on_address_gone)
		t->config.on_address_gone(t->config.context, &a->addr);
	tables_touch_address(t, a);
}

int tables_set_nexthop(struct tables *t, const struct addr *a, uint16_t index)
{
	struct tables_address *node = find_address(t, a);

	if (!node || !node->dests)
		return -ENOENT;
	if (node->nexthop == index)
		return 0;
	node->nexthop = index;
	for (struct tables_dest *d = node->dests; d; d = d->address_next) {
		tables_touch_dest(t, d);
		if (!d->deleted)
			tables_touch_service(t, d->service, false);
	}
	return 0;
}

void tables_mask(const struct ipvs_service *s, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (s->key.family == AF_INET) {
		memcpy(ret, &s->netmask, sizeof(s->netmask));
		return;
	}
	for (unsigned bit = 0; bit < s->netmask && bit < 128; bit++)
		ret[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

/* One of two that share connections goes by address: so does the other, and both by what their masks have in common. */
static bool adopt(bool *by_address, uint8_t mask[16], const uint8_t other[16])
{
	bool changed = !*by_address;

	if (changed)
		memcpy(mask, other, 16);
	*by_address = true;
	for (unsigned i = 0; i < 16; i++) {
		changed |= (mask[i] & other[i]) != mask[i];
		mask[i] &= other[i];
	}
	return changed;
}

static void enqueue(struct tables *t, struct tables_service *s, struct tables_service **queue)
{
	tables_touch_service(t, s, false);
	if (s->queued)
		return;
	s->queued = true;
	s->queue_next = *queue;
	*queue = s;
}

/* The answers of full NAT come to a port of the owner's, those of the other methods do not come here. */
static bool answers_pass(const struct tables_dest *d)
{
	return d->conf.forward == IPVS_FORWARD_MASQ;
}

static void tell_addresses(struct tables *t, const struct tables_service *s,
			   struct tables_service **queue)
{
	for (size_t i = 0; i < s->n_dests; i++) {
		struct tables_address *a = s->dests[i]->address;

		if (!answers_pass(s->dests[i]) ||
		    !adopt(&a->by_address, a->owner_mask, s->owner_mask))
			continue;
		tables_touch_address(t, a);
		for (struct tables_dest *d = a->dests; d; d = d->address_next)
			if (!d->deleted && answers_pass(d) &&
			    adopt(&d->service->by_address, d->service->owner_mask, a->owner_mask))
				enqueue(t, d->service, queue);
	}
}

static void spread_owner(struct tables *t, struct tables_service *s)
{
	struct tables_service *queue = NULL;

	if (!t->draft.by_address) {
		t->draft.by_address = true;
		t->draft_dirty = true;
	}
	enqueue(t, s, &queue);
	while (queue) {
		struct tables_service *next = queue;

		queue = next->queue_next;
		next->queued = false;
		tell_addresses(t, next, &queue);
	}
}

void tables_join_service(struct tables *t, struct tables_service *s)
{
	uint8_t mask[16];

	if (!(s->conf.flags & IPVS_SVC_PERSISTENT))
		return;
	tables_mask(&s->conf, mask);
	if (adopt(&s->by_address, s->owner_mask, mask))
		spread_owner(t, s);
}

void tables_join_dest(struct tables *t, const struct tables_dest *d)
{
	const struct tables_address *a = d->address;
	struct tables_service *s = d->service;
	bool changed = false;

	if (!answers_pass(d))
		return;
	if (a->by_address)
		changed = adopt(&s->by_address, s->owner_mask, a->owner_mask);
	if (!s->by_address)
		return;
	if (changed || !a->by_address ||
	    memcmp(a->owner_mask, s->owner_mask, sizeof(a->owner_mask)) != 0)
		spread_owner(t, s);
}

/* Where a family's sources are: [first, end) of the array; place 0 is nobody's. */
static uint16_t region_first(uint16_t family)
{
	return family == AF_INET ? 1 : TABLES_LOCALS_PER_FAMILY;
}

static uint16_t region_end(uint16_t family)
{
	return family == AF_INET ? TABLES_LOCALS_PER_FAMILY : SNAPSHOT_LOCALS_MAX;
}

static bool local_is(const struct tables *t, size_t at, const struct addr *a)
{
	return memcmp(t->local_array[at].addr, a->bytes, sizeof(a->bytes)) == 0;
}

/*
 * The first place at which the n addresses stand one behind the other, or could: the tail of those in use may be their
 * beginning. 0: there is none.
 */
static uint16_t place_locals(const struct tables *t, uint16_t family, uint16_t used,
			     const struct addr *const *addrs, size_t n)
{
	size_t first = region_first(family), end = first + used;

	for (size_t at = first; at <= end; at++) {
		size_t same = 0;

		while (same < n && at + same < end && local_is(t, at + same, addrs[same]))
			same++;
		if (same == n || at + same == end)
			return at + n <= region_end(family) ? (uint16_t)at : 0;
	}
	return 0;
}

static void write_locals(struct tables *t, uint16_t family, uint16_t *used, uint16_t at,
			 const struct addr *const *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memcpy(t->local_array[at + i].addr, addrs[i]->bytes, sizeof(addrs[i]->bytes));
	*used = (uint16_t)MAX(*used, at + n - region_first(family));
}

static int check_locals(const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!addr_is_host(&addrs[i]))
			return -EINVAL;
		for (size_t k = 0; k < i; k++)
			if (addr_eq(&addrs[i], &addrs[k]))
				return -EEXIST;
	}
	return 0;
}

static size_t select_family(const struct addr *addrs, size_t n, uint16_t family,
			    const struct addr **ret)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (addrs[i].family == family)
			ret[found++] = &addrs[i];
	return found;
}

/* Every address is known as a local one, or none is. */
static int mark_locals(struct tables *t, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tables_address *a = tables_get_address(t, &addrs[i]);

		if (!a)
			return -ENOMEM;
		tables_touch_address(t, a);
	}
	for (size_t i = 0; i < n; i++)
		find_address(t, &addrs[i])->is_local = true;
	return 0;
}

int tables_set_locals(struct tables *t, const struct addr *addrs, size_t n)
{
	_cleanup_free_ struct addr *copy = calloc(n + 1, sizeof(*copy));
	_cleanup_free_ const struct addr **of4 = calloc(n + 1, sizeof(*of4));
	_cleanup_free_ const struct addr **of6 = calloc(n + 1, sizeof(*of6));
	uint16_t at4, at6;
	size_t n4, n6;
	int r = n < SNAPSHOT_LOCALS_MAX ? check_locals(addrs, n) : -ENOSPC;

	if (r < 0)
		return r;
	if (!copy || !of4 || !of6)
		return -ENOMEM;
	n4 = select_family(addrs, n, AF_INET, of4);
	n6 = select_family(addrs, n, AF_INET6, of6);
	at4 = place_locals(t, AF_INET, t->locals4_used, of4, n4);
	at6 = place_locals(t, AF_INET6, t->locals6_used, of6, n6);
	if (at4 == 0 || at6 == 0)
		return -ENOSPC;
	r = mark_locals(t, addrs, n);
	if (r < 0)
		return r;
	write_locals(t, AF_INET, &t->locals4_used, at4, of4, n4);
	write_locals(t, AF_INET6, &t->locals6_used, at6, of6, n6);
	if (n > 0)
		memcpy(copy, addrs, n * sizeof(*addrs));
	free(t->locals);
	t->locals = take_ptr(copy);
	t->n_locals = n;
	t->draft.any_local |= n > 0;
	t->draft.local4_first = at4;
	t->draft.n_local4 = (uint16_t)n4;
	t->draft.local6_first = at6;
	t->draft.n_local6 = (uint16_t)n6;
	t->draft_dirty = true;
	return 0;
}

size_t tables_n_locals(const struct tables *t)
{
	return t->n_locals;
}

struct addr tables_get_local(const struct tables *t, size_t i)
{
	return t->locals[i];
}
