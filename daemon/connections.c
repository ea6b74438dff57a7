/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/connections.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"
#include "daemon/proc-conns.h"
#include "ipvs/desired.h"

enum {
	PROC_CONNS_MAX = 20000, /* entries; reading more can take seconds on old kernels */
};

void connection_table_deinit(struct connection_table *t)
{
	free(t->items);
	*t = (struct connection_table){ 0 };
}

static int counts_cmp(const void *a, const void *b)
{
	const struct connection_counts *x = a, *y = b;
	int r = addr_cmp(&x->addr, &y->addr);

	return r ? r : x->port - y->port;
}

void connection_stats_add(struct ipvs_stats *to, const struct ipvs_stats *s)
{
	to->conns += s->conns;
	to->in_packets += s->in_packets;
	to->out_packets += s->out_packets;
	to->in_bytes += s->in_bytes;
	to->out_bytes += s->out_bytes;
	to->cps += s->cps;
	to->in_pps += s->in_pps;
	to->out_pps += s->out_pps;
	to->in_bps += s->in_bps;
	to->out_bps += s->out_bps;
}

static void counts_add(struct connection_counts *to, const struct connection_counts *c)
{
	to->active += c->active;
	to->inactive += c->inactive;
	connection_stats_add(&to->stats, &c->stats);
}

static void table_push(struct connection_table *t, const struct ipvs_dest *d, uint16_t port)
{
	t->items[t->n++] = (struct connection_counts){
		.addr = d->addr,
		.port = port,
		.active = d->active_conns,
		.inactive = d->inactive_conns,
		.stats = d->stats,
	};
}

/* protocol: 0 = any. */
static bool is_service_of(const struct conf_listener *l, const struct ipvs_service *s,
			  uint8_t protocol)
{
	return (!protocol || s->key.protocol == protocol) && desired_service_is_of(l, &s->key);
}

static size_t count_dests(const struct conf_listener *l, const struct ipvs_ruleset *actual,
			  uint8_t protocol)
{
	size_t n = 0;

	for (size_t i = 0; i < actual->n; i++)
		if (is_service_of(l, &actual->services[i], protocol))
			n += actual->services[i].n_dests;
	return n;
}

static void push_dests(struct connection_table *t, const struct conf_listener *l,
		       const struct ipvs_ruleset *actual, uint8_t protocol)
{
	for (size_t i = 0; i < actual->n; i++) {
		const struct ipvs_service *s = &actual->services[i];

		if (!is_service_of(l, s, protocol))
			continue;
		for (size_t j = 0; j < s->n_dests; j++) {
			table_push(t, &s->dests[j], s->dests[j].port);
			if (s->dests[j].port && s->dests[j].port == s->key.port)
				table_push(t, &s->dests[j], 0);
		}
	}
}

/* By listener, then service: to seek each service's listener would be cubic over all groups of a status. */
int connection_table_of_group(const struct conf *conf, const struct ipvs_ruleset *actual,
			      size_t group, uint8_t protocol, struct connection_table *ret)
{
	struct connection_table t = { 0 };
	size_t n_dests = 0, n = 0;

	for (size_t i = 0; i < conf->n_listeners; i++)
		if (conf_listener_forwards_to(&conf->listeners[i], group))
			n_dests += count_dests(&conf->listeners[i], actual, protocol);
	t.items = calloc(2 * n_dests + 1, sizeof(*t.items));
	if (!t.items)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_listeners; i++)
		if (conf_listener_forwards_to(&conf->listeners[i], group))
			push_dests(&t, &conf->listeners[i], actual, protocol);
	qsort(t.items, t.n, sizeof(*t.items), counts_cmp);
	for (size_t i = 0; i < t.n; i++) {
		if (n > 0 && counts_cmp(&t.items[n - 1], &t.items[i]) == 0)
			counts_add(&t.items[n - 1], &t.items[i]);
		else
			t.items[n++] = t.items[i];
	}
	t.n = n;
	*ret = t;
	return 0;
}

const struct connection_counts *connection_table_find(const struct connection_table *t,
						      const struct addr *addr, uint16_t port)
{
	const struct connection_counts key = { .addr = *addr, .port = port };

	return t->n ? bsearch(&key, t->items, t->n, sizeof(key), counts_cmp) : NULL;
}

/* registry_finish_drains() goes group by group: one table at a time serves all targets of a group. */
struct drain_counter {
	struct manager *m;
	usec_t now_usec; /* wall clock */
	const struct target_group *group;
	struct connection_table table;
	bool unknown;
	struct proc_conns live; /* read when the first target has none but closed connections */
	bool live_read, live_known;
};

static uint64_t table_length(const struct ipvs_ruleset *actual)
{
	uint64_t n = 0;

	for (size_t i = 0; i < actual->n; i++)
		for (size_t j = 0; j < actual->services[i].n_dests; j++)
			n += (uint64_t)actual->services[i].dests[j].active_conns +
			     actual->services[i].dests[j].inactive_conns;
	return n;
}

bool connections_are_few(const struct ipvs_ruleset *actual)
{
	return table_length(actual) <= PROC_CONNS_MAX;
}

/* Are the inactive connections of this target all closed, on both planes? */
static bool only_closed(struct drain_counter *counter, const struct addr *addr, uint16_t port)
{
	if (!counter->live_read) {
		counter->live_read = true;
		counter->live_known = connections_are_few(&counter->m->actual) &&
				      proc_conns_read(&counter->live) == 0;
		if (counter->live_known)
			fastpath_look_at_states(counter->m->fastpath);
	}
	return counter->live_known && !proc_conns_has(&counter->live, addr, port) &&
	       !fastpath_has_unclosed(counter->m->fastpath, addr, port);
}

/* The delay is over, and the target goes; its connections do not, unless the group says so. */
static void keep_connections(struct drain_counter *counter, const struct target_group *g,
			     const struct target *t)
{
	struct manager *m = counter->m;
	size_t group = (size_t)(g - m->registry.groups);

	if (counter->now_usec < t->health.drain_deadline_usec || t->weight.ends ||
	    g->conf->deregistration_termination || g->conf->failover_on_deregistration)
		return;
	for (size_t i = 0; i < m->conf->n_listeners; i++) {
		if (!conf_listener_forwards_to(&m->conf->listeners[i], group))
			continue;
		for (size_t j = 0; j < m->actual.n; j++)
			if (desired_service_is_of(&m->conf->listeners[i],
						  &m->actual.services[j].key) &&
			    linger_keep(&m->linger, &m->actual.services[j], &t->addr, t->port) < 0)
				log_err("%s: cannot keep the connections of a target: %s", g->name,
					strerror(ENOMEM));
	}
}

static uint64_t target_connections(const struct target_group *g, const struct target *t,
				   void *userdata)
{
	struct drain_counter *counter = userdata;
	const struct connection_counts *c;

	if (counter->group != g) {
		connection_table_deinit(&counter->table);
		counter->group = g;
		counter->unknown =
			connection_table_of_group(counter->m->conf, &counter->m->actual,
						  (size_t)(g - counter->m->registry.groups), 0,
						  &counter->table) < 0;
	}
	if (counter->unknown)
		return 1; /* only the deadline ends the drain */
	c = connection_table_find(&counter->table, &t->addr, t->port);
	if (!c)
		return 0;
	/* Without a port of its own it is reached on the ports of all listeners. */
	if (!c->active && c->inactive && only_closed(counter, &t->addr, t->port))
		return 0;
	if (c->active + c->inactive)
		keep_connections(counter, g, t);
	return c->active + c->inactive;
}

static bool lingering_is_idle(const struct ipvs_dest *d, void *userdata)
{
	return !d->active_conns && (!d->inactive_conns || only_closed(userdata, &d->addr, d->port));
}

int connections_finish_drains(struct manager *m)
{
	usec_t now = manager_wall_usec(m);
	struct drain_counter counter = { .m = m, .now_usec = now };
	int r = registry_finish_drains(&m->registry, target_connections, &counter, now);

	if (linger_finish(&m->linger, &m->actual, lingering_is_idle, &counter, now) && r >= 0)
		r++;
	connection_table_deinit(&counter.table);
	proc_conns_deinit(&counter.live);
	return r;
}
