/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/tables.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/sched-hash.h"
#include "dpdk-fastpath/tables-internal.h"

size_t tables_bucket(const void *bytes, size_t len_bytes)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len_bytes; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
	return (hash ^ hash >> 32) % TABLES_BUCKETS;
}

/* As a key has a hole in it, it is hashed by what tells keys apart best. */
static size_t service_bucket(const struct ipvs_service_key *k)
{
	struct addr mixed = k->addr;

	mixed.family = k->family;
	mixed.zero = (uint16_t)(k->port ^ k->protocol << 8 ^ k->fwmark);
	return tables_bucket(&mixed, sizeof(mixed));
}

struct tables_service *tables_find_service(const struct tables *t, const struct ipvs_service_key *k)
{
	struct tables_service *s = t->service_buckets[service_bucket(k)];

	while (s && ipvs_service_key_cmp(&s->conf.key, k) != 0)
		s = s->bucket_next;
	return s;
}

/* What the kernel does at once with each change, although views are made for many. */
static void follow_rounds(struct tables_service *s)
{
	struct sched_rounds rounds = { 0 };

	for (size_t i = 0; i < s->n_dests; i++)
		sched_rounds_add(&rounds, s->dests[i]->conf.weight);
	s->round = sched_rounds_restart(&rounds, s->round);
	sched_changes_add_rounds(&s->changes, &rounds);
}

void tables_touch_service(struct tables *t, struct tables_service *s, bool list_changed)
{
	s->list_changed |= list_changed;
	if (list_changed && s->sched == SCHED_KIND_WRR)
		follow_rounds(s);
	if (s->dirty)
		return;
	s->dirty = true;
	s->dirty_next = t->dirty_services;
	t->dirty_services = s;
}

void tables_touch_dest(struct tables *t, struct tables_dest *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	d->dirty_next = t->dirty_dests;
	t->dirty_dests = d;
}

/* Freed once it is gone, unpublished, and no destination in the trash names it. */
void tables_release_service(struct tables *t, struct tables_service *s)
{
	if (!s->gone || s->dirty || s->refs > 0)
		return;
	t->free_service_ids[t->n_free_service_ids++] = s->id;
	free(s->dests);
	free(s);
}

static int check_service(const struct ipvs_service *s, size_t n_dests, enum sched_kind *ret)
{
	int r;

	if (s->key.family != AF_INET && s->key.family != AF_INET6)
		return -EAFNOSUPPORT;
	r = sched_parse(s->scheduler, ret);
	if (r < 0)
		return r;
	if (s->pe[0] != '\0')
		return -ENOENT;
	if (s->key.family == AF_INET6 && (s->netmask < 1 || s->netmask > 128))
		return -EINVAL;
	/* ip_vs_mh_reassign() */
	if (*ret == SCHED_KIND_MH && n_dests > SCHED_MH_SIZE)
		return -EINVAL;
	return 0;
}

/* No packet bears a mark here. */
static bool mark_is_supported(const struct ipvs_service_key *k)
{
	return k->fwmark == 0 || k->fwmark == IPVS_HOOK_KEEPER_MARK;
}

static void configure_service(struct tables *t, struct tables_service *s,
			      const struct ipvs_service *conf, enum sched_kind sched)
{
	bool other_scheduler = s->sched != sched;

	s->conf = *conf;
	s->conf.flags &= ~(uint32_t)IPVS_SVC_HASHED;
	s->conf.stats = (struct ipvs_stats){ 0 };
	s->conf.dests = NULL;
	s->conf.n_dests = 0;
	s->sched = sched;
	if (other_scheduler) {
		s->born = t->generation + 1;
		s->round = 0;
		s->changes = (struct sched_changes){ 0 };
	}
	if (conf->key.fwmark)
		return;
	tables_touch_service(t, s, other_scheduler);
	tables_join_service(t, s);
}

static int reserve_service(struct tables *t)
{
	size_t capacity = t->services_capacity ? 2 * t->services_capacity : 16;
	struct tables_service **services;

	if (t->n_free_service_ids == 0 && t->next_service_id == SNAPSHOT_SERVICES_MAX)
		return -ENOSPC;
	if (t->n_services < t->services_capacity)
		return 0;
	services = reallocarray(t->services, capacity, sizeof(*services));
	if (!services)
		return -ENOMEM;
	t->services = services;
	t->services_capacity = capacity;
	return 0;
}

int tables_service_new(struct tables *t, const struct ipvs_service *conf)
{
	_cleanup_free_ struct tables_service *s = NULL;
	struct tables_service **bucket = &t->service_buckets[service_bucket(&conf->key)];
	enum sched_kind sched;
	int r;

	if (tables_find_service(t, &conf->key))
		return -EEXIST;
	if (!mark_is_supported(&conf->key))
		return -EOPNOTSUPP;
	r = check_service(conf, 0, &sched);
	if (r < 0)
		return r;
	r = reserve_service(t);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (!conf->key.fwmark) {
		s->address = tables_get_address(t, &conf->key.addr);
		if (!s->address)
			return -ENOMEM;
		s->address->n_services++;
		tables_touch_address(t, s->address);
		if (conf->key.port == 0) {
			t->n_any_port++;
			t->draft.any_port_services = true;
			t->draft_dirty = true;
		}
	}
	s->id = t->n_free_service_ids > 0 ? t->free_service_ids[--t->n_free_service_ids]
					  : t->next_service_id++;
	s->list_changed = true;
	s->bucket_next = *bucket;
	*bucket = s;
	s->position = t->n_services;
	t->services[t->n_services++] = s;
	configure_service(t, s, conf, sched);
	(void)take_ptr(s);
	return 0;
}

int tables_service_set(struct tables *t, const struct ipvs_service *conf)
{
	struct tables_service *s = tables_find_service(t, &conf->key);
	enum sched_kind sched;
	int r;

	if (!s)
		return -ESRCH;
	r = check_service(conf, s->n_dests, &sched);
	if (r < 0)
		return r;
	configure_service(t, s, conf, sched);
	return 0;
}

/* Into the trash, where connections still find it. */
static void delete_dest(struct tables *t, struct tables_dest *d)
{
	struct tables_dest **bucket =
		&t->trash_buckets[tables_bucket(&d->conf.addr, sizeof(d->conf.addr))];

	tables_dest_leaves(t, d);
	d->deleted = true;
	d->idle_since_usec = 0;
	d->trash_prev = NULL;
	d->trash_next = *bucket;
	if (*bucket)
		(*bucket)->trash_prev = d;
	*bucket = d;
	t->n_trash++;
	tables_touch_dest(t, d);
}

void tables_leave_trash(struct tables *t, struct tables_dest *d)
{
	if (d->trash_prev)
		d->trash_prev->trash_next = d->trash_next;
	else
		t->trash_buckets[tables_bucket(&d->conf.addr, sizeof(d->conf.addr))] =
			d->trash_next;
	if (d->trash_next)
		d->trash_next->trash_prev = d->trash_prev;
	t->n_trash--;
}

static void delete_service(struct tables *t, struct tables_service *s)
{
	struct tables_service **at = &t->service_buckets[service_bucket(&s->conf.key)];

	while (*at != s)
		at = &(*at)->bucket_next;
	*at = s->bucket_next;
	t->services[s->position] = t->services[--t->n_services];
	t->services[s->position]->position = s->position;
	for (size_t i = s->n_dests; i > 0; i--)
		delete_dest(t, s->dests[i - 1]);
	s->n_dests = 0;
	s->gone = true;
	if (s->address) {
		s->address->n_services--;
		tables_touch_address(t, s->address);
		if (s->conf.key.port == 0 && --t->n_any_port == 0) {
			t->draft.any_port_services = false;
			t->draft_dirty = true;
		}
	}
	tables_touch_service(t, s, true);
}

int tables_service_del(struct tables *t, const struct ipvs_service_key *k)
{
	struct tables_service *s = tables_find_service(t, k);

	if (!s)
		return -ESRCH;
	delete_service(t, s);
	return 0;
}

void tables_flush(struct tables *t)
{
	while (t->n_services > 0)
		delete_service(t, t->services[t->n_services - 1]);
}

size_t tables_find_dest(const struct tables_service *s, const struct addr *a, uint16_t port)
{
	size_t i = 0;

	while (i < s->n_dests &&
	       !(s->dests[i]->conf.port == port && addr_eq(&s->dests[i]->conf.addr, a)))
		i++;
	return i;
}

/* ip_vs_trash_get_dest(): also one of a service of the same key that was deleted. */
static struct tables_dest *find_trash(const struct tables *t, const struct tables_service *s,
				      const struct ipvs_dest *conf)
{
	struct tables_dest *d = t->trash_buckets[tables_bucket(&conf->addr, sizeof(conf->addr))];

	while (d && (d->conf.port != conf->port || !addr_eq(&d->conf.addr, &conf->addr) ||
		     ipvs_service_key_cmp(&d->service->conf.key, &s->conf.key) != 0))
		d = d->trash_next;
	return d;
}

/* ip_vs_genl_set_cmd(), ip_vs_add_dest(), ip_vs_edit_dest(), in their order. */
static int check_dest(const struct tables_service *s, const struct ipvs_dest *d)
{
	if (s->conf.key.fwmark || d->forward == IPVS_FORWARD_BYPASS)
		return -EOPNOTSUPP;
	if (d->addr.family != AF_INET && d->addr.family != AF_INET6)
		return -EAFNOSUPPORT;
	if (d->addr.family != s->conf.key.family && d->forward != IPVS_FORWARD_TUNNEL)
		return -EINVAL;
	if (d->weight > INT_MAX || d->lower_threshold > d->upper_threshold)
		return -ERANGE;
	if (d->upper_threshold > INT_MAX)
		return -EINVAL;
	if (d->forward == IPVS_FORWARD_TUNNEL && d->tunnel == IPVS_TUNNEL_GUE &&
	    d->tunnel_port == 0)
		return -EINVAL;
	return 0;
}

/*
 * ip_vs_new_dest() by way of inet_addr_type() and ipv6_addr_type(): what no routing table makes unicast. A broadcast
 * address of one of its links, which the kernel knows, is not told from others here.
 */
static bool address_is_usable(const struct addr *a)
{
	static const uint8_t zero[16], mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *b = a->bytes;

	if (a->family == AF_INET)
		return memcmp(b, zero, 4) != 0 && (b[0] & 0xf0) != 0xe0 &&
		       memcmp(b, "\xff\xff\xff\xff", 4) != 0;
	return memcmp(b, zero, 16) != 0 && memcmp(b, mapped, 12) != 0 && b[0] != 0xff &&
	       !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

/*
 * Connections may be there already. The stable kernels of 2026 go by their number on an edit, with the same hysteresis
 * as when one ends (ip_vs_unbind_dest()); before, any higher threshold cleared the mark.
 */
static void update_overload(struct tables *t, const struct tables_dest *d)
{
	uint64_t upper = d->conf.upper_threshold, lower = d->conf.lower_threshold, conns = 0;

	for (unsigned w = 0; w < t->config.n_workers; w++) {
		const struct dest_counters *c = &t->config.dest_counters[w][d->id];

		conns += (uint64_t)atomic_load_explicit(&c->active, memory_order_relaxed) +
			 atomic_load_explicit(&c->inactive, memory_order_relaxed);
	}
	if (upper > 0 && conns >= upper)
		atomic_store_explicit(&t->config.overloaded[d->id], 1, memory_order_relaxed);
	else if (upper == 0 || (lower > 0 ? conns < lower : conns * 4 < upper * 3))
		atomic_store_explicit(&t->config.overloaded[d->id], 0, memory_order_relaxed);
}

/* __ip_vs_update_dest(): all of it is replaced. */
static void configure_dest(struct tables *t, struct tables_dest *d, const struct ipvs_dest *conf,
			   bool is_added)
{
	d->conf = *conf;
	d->conf.active_conns = 0;
	d->conf.inactive_conns = 0;
	d->conf.persistent_conns = 0;
	d->conf.stats = (struct ipvs_stats){ 0 };
	if (is_added || conf->weight != 0)
		d->last_weight = conf->weight;
	update_overload(t, d);
	tables_touch_dest(t, d);
	tables_touch_service(t, d->service, true);
	tables_join_dest(t, d);
}

static int reserve_dest(struct tables_service *s)
{
	size_t capacity = s->capacity ? 2 * s->capacity : 4;
	struct tables_dest **dests;

	if (s->sched == SCHED_KIND_MH && s->n_dests == SCHED_MH_SIZE)
		return -EINVAL; /* the kernel takes it, and keeps the table without it */
	if (s->n_dests < s->capacity)
		return 0;
	dests = reallocarray(s->dests, capacity, sizeof(struct tables_dest *));
	if (!dests)
		return -ENOMEM;
	s->dests = dests;
	s->capacity = capacity;
	return 0;
}

static int make_dest(struct tables *t, struct tables_service *s, const struct ipvs_dest *conf,
		     struct tables_dest **ret)
{
	_cleanup_free_ struct tables_dest *d = NULL;
	struct tables_address *a;
	struct flow_endpoint *e;

	if (!address_is_usable(&conf->addr))
		return -EINVAL;
	if (t->n_free_dest_ids == 0 && t->next_dest_id == SNAPSHOT_DESTS_MAX)
		return -ENOSPC;
	d = calloc(1, sizeof(*d));
	a = d ? tables_get_address(t, &conf->addr) : NULL;
	if (!a)
		return -ENOMEM;
	d->id = t->n_free_dest_ids > 0 ? t->free_dest_ids[--t->n_free_dest_ids] : t->next_dest_id++;
	t->dests[d->id] = d;
	tables_link_dest(t, d, a);
	atomic_store_explicit(&t->config.overloaded[d->id], 0, memory_order_relaxed);
	/* Nothing names the id: its last records, and all who could have made one, are gone. */
	e = &t->endpoints[d->id];
	memcpy(e->dest, conf->addr.bytes, sizeof(e->dest));
	memcpy(e->virtual, s->conf.key.addr.bytes, sizeof(e->virtual));
	*ret = take_ptr(d);
	return 0;
}

/* A service of the same key may have come in the place of the one that the destination was deleted from. */
static void bind_service(struct tables *t, struct tables_dest *d, struct tables_service *s)
{
	struct tables_service *old = d->service;

	if (old == s)
		return;
	d->service = s;
	s->refs++;
	if (!old)
		return;
	old->refs--;
	tables_release_service(t, old);
}

int tables_dest_new(struct tables *t, const struct ipvs_service_key *k,
		    const struct ipvs_dest *conf)
{
	struct tables_service *s = tables_find_service(t, k);
	struct tables_dest *d;
	bool is_same_service;
	int r;

	if (!s)
		return -ESRCH;
	r = check_dest(s, conf);
	if (r < 0)
		return r;
	if (tables_find_dest(s, &conf->addr, conf->port) < s->n_dests)
		return -EEXIST;
	r = reserve_dest(s);
	if (r < 0)
		return r;
	d = find_trash(t, s, conf);
	if (d) {
		tables_leave_trash(t, d);
		d->deleted = false;
	} else {
		r = make_dest(t, s, conf, &d);
		if (r < 0)
			return r;
	}
	is_same_service = d->service == s;
	bind_service(t, d, s);
	tables_dest_arrives(t, d, !is_same_service);
	s->dests[s->n_dests++] = d;
	configure_dest(t, d, conf, true);
	return 0;
}

int tables_dest_set(struct tables *t, const struct ipvs_service_key *k,
		    const struct ipvs_dest *conf)
{
	struct tables_service *s = tables_find_service(t, k);
	size_t i;
	int r;

	if (!s)
		return -ESRCH;
	r = check_dest(s, conf);
	if (r < 0)
		return r;
	i = tables_find_dest(s, &conf->addr, conf->port);
	if (i == s->n_dests)
		return -ENOENT;
	configure_dest(t, s->dests[i], conf, false);
	return 0;
}

int tables_dest_del(struct tables *t, const struct ipvs_service_key *k, const struct addr *a,
		    uint16_t port)
{
	struct tables_service *s = tables_find_service(t, k);
	size_t i;

	if (!s)
		return -ESRCH;
	i = tables_find_dest(s, a, port);
	if (i == s->n_dests)
		return -ENOENT;
	/* The list's order is from the end of the array. */
	if (s->sched == SCHED_KIND_RR)
		sched_changes_add_removal(&s->changes, s->dests[i]->id,
					  i + 1 < s->n_dests ? s->dests[i + 1]->id : 0);
	delete_dest(t, s->dests[i]);
	s->n_dests--;
	memmove(&s->dests[i], &s->dests[i + 1], (s->n_dests - i) * sizeof(struct tables_dest *));
	tables_touch_service(t, s, true);
	return 0;
}

/* Forgets it for good; its views are freed. */
void tables_free_dest(struct tables *t, struct tables_dest *d)
{
	d->service->refs--;
	tables_release_service(t, d->service);
	t->dests[d->id] = NULL;
	t->free_dest_ids[t->n_free_dest_ids++] = d->id;
	free(d);
}

int tables_new(const struct tables_config *c, struct tables **ret)
{
	struct tables *t;
	int r;

	if (c->n_workers == 0 || c->n_workers > SNAPSHOT_WORKERS_MAX || c->tick_msec == 0 ||
	    !c->retire)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->config = *c;
	t->next_dest_id = 1;
	t->next_service_id = 1;
	t->timeouts = (struct ipvs_timeouts){ .tcp_sec = 900, .tcp_fin_sec = 120, .udp_sec = 300 };
	t->dests = calloc(SNAPSHOT_DESTS_MAX, sizeof(struct tables_dest *));
	t->free_dest_ids = calloc(SNAPSHOT_DESTS_MAX, sizeof(*t->free_dest_ids));
	t->free_service_ids = calloc(SNAPSHOT_SERVICES_MAX, sizeof(*t->free_service_ids));
	r = t->dests && t->free_dest_ids && t->free_service_ids ? tables_views_init(t) : -ENOMEM;
	if (r < 0) {
		tables_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

static void free_now(void *context, void (*free_fn)(void *), void *object)
{
	(void)context;
	free_fn(object);
}

/* All is deleted, as it would be for the workers, but there are none. */
void tables_free(struct tables *t)
{
	if (!t)
		return;
	t->config.retire = free_now;
	t->config.on_address_gone = NULL;
	tables_flush(t);
	tables_views_deinit(t);
	free(t->locals);
	free(t->services);
	free(t->dests);
	free(t->free_dest_ids);
	free(t->free_service_ids);
	free(t);
}
