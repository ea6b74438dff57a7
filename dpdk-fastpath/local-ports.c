/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/local-ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "dpdk-fastpath/rss.h"
#include "dpdk-fastpath/snapshot.h"

/* Where the last walk for a destination ended. port 0: none yet. */
struct place {
	uint16_t local, port;
};

struct local_ports {
	uint16_t first;
	uint32_t n;
	uint64_t seed;
	unsigned worker;
	const struct rss_slot *slots; /* borrowed */
	size_t n_slots;
	struct place places[SNAPSHOT_DESTS_MAX]; /* zero pages until they are used */
};

int local_ports_new(unsigned worker, unsigned n_workers, uint64_t seed, struct local_ports **ret)
{
	const struct snapshot workers = { .n_workers = n_workers };
	struct local_ports *l;

	if (worker >= n_workers || n_workers > SNAPSHOT_WORKERS_MAX)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	snapshot_local_ports(&workers, worker, &l->first, &l->n);
	l->seed = seed;
	l->worker = worker;
	*ret = l;
	return 0;
}

void local_ports_free(struct local_ports *l)
{
	free(l);
}

void local_ports_set_rss(struct local_ports *l, const struct rss_slot *slots, size_t n)
{
	l->slots = slots;
	l->n_slots = n;
}

/* Multiply-and-fold of the secret and the id, scaled to the slice. */
static uint16_t first_port(const struct local_ports *l, uint32_t dest_id)
{
	uint64_t h = (l->seed ^ dest_id) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint16_t)(l->first + ((h >> 32) * l->n >> 32));
}

/* Answers come by the port that requests leave by. */
static void prefer(struct local_ports_walk *w)
{
	const struct local_ports *l = w->ports;
	const struct dest_view *d = snapshot_dest(w->snapshot, w->dest_id);
	const struct rss *rss;
	unsigned port;

	if (!d || d->nexthop == 0)
		return;
	port = w->snapshot->nexthops[d->nexthop].port_index;
	if (port >= l->n_slots)
		return;
	rss = atomic_load_explicit(&l->slots[port].rss, memory_order_acquire);
	if (!rss || !rss_hashes_ports(rss, w->family, d->protocol))
		return;
	w->rss = rss;
	w->source_hash = rss_hash_source(rss, w->family, d->addr, d->port_be);
}

static bool comes_here(const struct local_ports_walk *w)
{
	const struct flow_local *local = &w->snapshot->locals[w->first_local + w->local];
	uint32_t target = rss_hash_target(w->rss, w->family, local->addr, htons(w->port));

	return rss_queue(w->rss, w->source_hash ^ target) == w->ports->worker;
}

void local_ports_begin(struct local_ports *l, const struct snapshot *s, uint8_t family,
		       uint32_t dest_id, struct local_ports_walk *ret)
{
	bool v6 = family == AF_INET6;
	const struct place *p = &l->places[dest_id];

	*ret = (struct local_ports_walk){
		.ports = l,
		.dest_id = dest_id,
		.n_left = LOCAL_PORTS_TRIES,
		.first_local = v6 ? s->local6_first : s->local4_first,
		.n_locals = v6 ? s->n_local6 : s->n_local4,
		.local = p->local,
		.port = p->port,
		.snapshot = s,
		.family = family,
	};
	if (ret->port == 0)
		ret->port = first_port(l, dest_id);
	if (l->slots)
		prefer(ret);
}

static bool step_once(struct local_ports_walk *w)
{
	const struct local_ports *l = w->ports;

	if (w->n_locals == 0 || w->n_left == 0)
		return false;
	w->n_left--;
	/* addresses before ports: connections spread over all addresses at once */
	if (++w->local >= w->n_locals) {
		w->local = 0;
		w->port = (uint16_t)(w->port - l->first + 1U < l->n ? w->port + 1 : l->first);
	}
	return true;
}

static bool step(struct local_ports_walk *w)
{
	while (step_once(w))
		if (!w->rss || comes_here(w))
			return true;
	if (!w->rss)
		return false;
	/* Rather by another worker than not at all. */
	w->rss = NULL;
	w->n_left = LOCAL_PORTS_TRIES;
	return step_once(w);
}

bool local_ports_next(struct local_ports_walk *w, uint16_t *ret_local, uint16_t *ret_port_be)
{
	if (!step(w))
		return false;
	w->ports->places[w->dest_id] = (struct place){ w->local, w->port };
	*ret_local = (uint16_t)(w->first_local + w->local);
	*ret_port_be = htons(w->port);
	return true;
}

bool local_ports_guess(struct local_ports *l, const struct snapshot *s, uint8_t family,
		       uint32_t dest_id, uint16_t *ret_local, uint16_t *ret_port_be)
{
	struct local_ports_walk w;

	local_ports_begin(l, s, family, dest_id, &w);
	if (!step(&w))
		return false;
	*ret_local = (uint16_t)(w.first_local + w.local);
	*ret_port_be = htons(w.port);
	return true;
}
