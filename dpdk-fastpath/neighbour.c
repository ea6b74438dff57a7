/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/neighbour.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <search.h>
#include <stdatomic.h>
#include <string.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "dpdk-fastpath/options.h"
#include "dpdk-fastpath/reclaim.h"
#include "dpdk-fastpath/route-query.h"
#include "dpdk-fastpath/snapshot.h"

/* Route changes come in bunches: one look at all destinations for each. */
#define ROUTE_DELAY_USEC (20 * USEC_PER_MSEC)
#define HOLD_USEC (10 * USEC_PER_SEC)
#define MISSES_MAX 25 /* so many delays without a route, and it is believed */
#define REFRESH_USEC USEC_PER_SEC
/* Less than the kernel's base_reachable_time, so that what is in use is confirmed before it is forgotten. */
#define CONFIRM_EVERY 10

/* What makes next hops different. */
struct hop_key {
	struct addr gateway;
	struct addr source;
	int ifindex;
	uint16_t port, vlan, mtu;
};

struct hop {
	struct hop_key key;
	unsigned references; /* destinations; 0 = not in use */
	bool leaving;	     /* workers may still read it */
};

struct destination {
	struct addr addr; /* first: the key of the tree */
	uint16_t index;	  /* of its next hop, 0 = none */
	uint16_t old;	  /* while routes are looked at again: the one before */
	uint8_t misses;	  /* looks that found no way, one after the other */
};

struct neighbours {
	struct neighbours_config config;
	struct nl_sock *query;				       /* owned */
	struct nl_sock *notifications;			       /* owned */
	sd_event_source *source, *route_timer, *refresh_timer; /* owned */
	struct hop hops[SNAPSHOT_NEXTHOPS_MAX];		       /* [0] is never used */
	unsigned n_hops;		     /* one above the highest that was ever used */
	void *destinations;		     /* tree of owned struct destination, by tsearch() */
	int ifindices[OPTIONS_PORTS_MAX][2]; /* of the ports: exception, below; 0 = none */
	unsigned refreshes;
	bool told;   /* on_change was called in this walk */
	bool missed; /* a next hop was kept in this walk though no route leads there */
};

static bool hop_key_eq(const struct hop_key *a, const struct hop_key *b)
{
	return addr_eq(&a->gateway, &b->gateway) && addr_eq(&a->source, &b->source) &&
	       a->ifindex == b->ifindex && a->port == b->port && a->vlan == b->vlan &&
	       a->mtu == b->mtu;
}

static int compare(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

/* A neighbour of which nothing is known any more (its entry was flushed) keeps the address that it had. */
static void set_mac(struct neighbours *n, unsigned index, const struct neighbour_answer *a)
{
	if (!a->valid && !a->failed)
		return;
	atomic_store_explicit(&n->config.nexthops[index].mac, a->valid ? nexthop_of_mac(a->mac) : 0,
			      memory_order_release);
}

static bool is_resolved(const struct neighbours *n, unsigned index)
{
	return atomic_load_explicit(&n->config.nexthops[index].mac, memory_order_relaxed) != 0;
}

static void forget_hop(void *object)
{
	struct hop *h = object;

	*h = (struct hop){ 0 };
}

static void release_hop(struct neighbours *n, uint16_t index)
{
	struct hop *h = &n->hops[index];

	if (index == 0 || --h->references > 0)
		return;
	h->leaving = true;
	reclaim_retire(n->config.reclaim, forget_hop, h);
}

/*
 * When routes move to the exception interface their next hops are new to the kernel there. Behind the same port and tag
 * they are what they were: until the kernel knows better, and its first question may get lost, the address stays.
 */
static void inherit_mac(struct neighbours *n, unsigned index)
{
	const struct hop_key *key = &n->hops[index].key;

	for (unsigned i = 1; i < n->n_hops; i++) {
		const struct hop *h = &n->hops[i];

		if (i == index || h->references == 0 || !is_resolved(n, i) ||
		    h->key.port != key->port || h->key.vlan != key->vlan ||
		    !addr_eq(&h->key.gateway, &key->gateway))
			continue;
		atomic_store_explicit(&n->config.nexthops[index].mac,
				      atomic_load_explicit(&n->config.nexthops[i].mac,
							   memory_order_relaxed),
				      memory_order_release);
		return;
	}
}

/* The place of a next hop like this, a new one if need be; 0 = no room. */
static uint16_t take_hop(struct neighbours *n, const struct hop_key *key)
{
	struct neighbour_answer answer = { 0 };
	struct nexthop *nexthop;
	unsigned index = 0;

	for (unsigned i = 1; i < n->n_hops; i++) {
		struct hop *h = &n->hops[i];

		if (h->references > 0 && hop_key_eq(&h->key, key)) {
			h->references++;
			return (uint16_t)i;
		}
		if (h->references == 0 && !h->leaving && index == 0)
			index = i;
	}
	if (index == 0)
		index = n->n_hops < SNAPSHOT_NEXTHOPS_MAX ? n->n_hops++ : 0;
	if (index == 0) {
		log_warning("more than %d next hops: no room for another",
			    SNAPSHOT_NEXTHOPS_MAX - 1);
		return 0;
	}
	n->hops[index] = (struct hop){ .key = *key, .references = 1 };
	nexthop = &n->config.nexthops[index];
	nexthop->port_index = key->port;
	nexthop->vlan_tci = key->vlan;
	nexthop->mtu = key->mtu;
	memset(nexthop->source4, 0, sizeof(nexthop->source4));
	memset(nexthop->source6, 0, sizeof(nexthop->source6));
	if (key->source.family == AF_INET)
		memcpy(nexthop->source4, key->source.bytes, sizeof(nexthop->source4));
	else if (key->source.family == AF_INET6)
		memcpy(nexthop->source6, key->source.bytes, sizeof(nexthop->source6));
	atomic_store_explicit(&nexthop->mac, 0, memory_order_release);
	if (neighbour_query(n->query, key->ifindex, &key->gateway, &answer) == 0)
		set_mac(n, index, &answer);
	if (!answer.valid && !answer.failed)
		inherit_mac(n, index);
	(void)neighbour_use(n->query, key->ifindex, &key->gateway); /* tried again by the timer */
	return (uint16_t)index;
}

static bool find_port(const struct neighbours *n, int ifindex, uint16_t *ret)
{
	for (unsigned i = 0; i < OPTIONS_PORTS_MAX; i++)
		if (ifindex != 0 &&
		    (n->ifindices[i][0] == ifindex || n->ifindices[i][1] == ifindex)) {
			*ret = (uint16_t)i;
			return true;
		}
	return false;
}

static uint16_t resolve(struct neighbours *n, const struct addr *a)
{
	struct route_answer route;
	struct hop_key key = { 0 };

	if (route_query(n->query, a, &route) < 0 || !find_port(n, route.parent, &key.port))
		return 0;
	key.gateway = route.gateway;
	key.source = route.source;
	key.ifindex = route.ifindex;
	key.vlan = route.vlan;
	key.mtu = route.mtu;
	return take_hop(n, &key);
}

static void resolve_again(const void *node, VISIT visit, void *context)
{
	struct destination *d = *(struct destination *const *)node;
	struct neighbours *n = context;

	if (visit != postorder && visit != leaf)
		return;
	d->old = d->index;
	d->index = resolve(n, &d->addr);
	if (d->index == 0 && d->old != 0 && d->misses++ < MISSES_MAX) {
		d->index = d->old;
		d->old = 0;
		n->missed = true;
		return;
	}
	d->misses = 0;
	if (d->index == d->old)
		return;
	n->config.on_change(n->config.context, &d->addr, d->index);
	n->told = true;
}

static void release_old(const void *node, VISIT visit, void *context)
{
	const struct destination *d = *(struct destination *const *)node;

	if (visit == postorder || visit == leaf)
		release_hop(context, d->old);
}

static void look_in(struct neighbours *n, usec_t delay_usec)
{
	if (sd_event_source_set_time_relative(n->route_timer, delay_usec) < 0 ||
	    sd_event_source_set_enabled(n->route_timer, SD_EVENT_ONESHOT) < 0)
		log_err("cannot set the timer for routes");
}

/* Starts the timer where it does not run: a storm of changes does not put it off, and ends no hold. */
static void schedule_routes(struct neighbours *n)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(n->route_timer, &enabled);
	if (enabled == SD_EVENT_OFF)
		look_in(n, ROUTE_DELAY_USEC);
}

/* The old next hops go after the new ones are published: until then workers find them. */
static void look_at_routes(struct neighbours *n)
{
	n->told = n->missed = false;
	twalk_r(n->destinations, resolve_again, n);
	if (n->told)
		n->config.on_changed(n->config.context);
	twalk_r(n->destinations, release_old, n);
	if (n->missed)
		schedule_routes(n);
}

void neighbours_hold(struct neighbours *n, bool hold)
{
	(void)sd_event_source_set_enabled(n->route_timer, SD_EVENT_OFF);
	if (hold)
		look_in(n, HOLD_USEC);
	else
		look_at_routes(n);
}

static int on_route_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	look_at_routes(userdata);
	return 0;
}

static void on_neighbour(struct neighbours *n, struct nlmsghdr *h)
{
	struct neighbour_answer a;

	if (neighbour_parse(h, &a) < 0)
		return;
	for (unsigned i = 1; i < n->n_hops; i++) {
		const struct hop *hop = &n->hops[i];

		if (hop->references == 0 || hop->key.ifindex != a.ifindex ||
		    !addr_eq(&hop->key.gateway, &a.addr))
			continue;
		set_mac(n, i, &a);
		if (h->nlmsg_type == RTM_DELNEIGH)
			(void)neighbour_use(n->query, a.ifindex, &a.addr);
	}
}

/* All that is in use, or a tenth of what is known and all else. */
static void refresh(struct neighbours *n, bool all)
{
	for (unsigned i = 1; i < n->n_hops; i++) {
		const struct hop *h = &n->hops[i];
		struct neighbour_answer a;

		if (h->references == 0 || (!all && is_resolved(n, i) &&
					   i % CONFIRM_EVERY != n->refreshes % CONFIRM_EVERY))
			continue;
		if (all && neighbour_query(n->query, h->key.ifindex, &h->key.gateway, &a) == 0)
			set_mac(n, i, &a);
		(void)neighbour_use(n->query, h->key.ifindex, &h->key.gateway);
	}
}

static int on_refresh_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct neighbours *n = userdata;

	n->refreshes++;
	refresh(n, false);
	if (sd_event_source_set_time(source, usec + REFRESH_USEC) < 0)
		log_err("cannot set the timer for neighbours");
	return 0;
}

static int on_notification(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct neighbours *n = userdata;
	int len = 1;

	(void)source;
	(void)fd;
	(void)events;
	while (len > 0) {
		_cleanup_free_ unsigned char *buf = NULL;
		struct sockaddr_nl from;

		len = nl_recv(n->notifications, &from, &buf, NULL);
		/* The kernel had more to say than the socket holds. */
		if (len == -NLE_NOMEM) {
			schedule_routes(n);
			refresh(n, true);
		}
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; len > 0 && nlmsg_ok(h, len);
		     h = nlmsg_next(h, &len)) {
			if (h->nlmsg_type == RTM_NEWNEIGH || h->nlmsg_type == RTM_DELNEIGH)
				on_neighbour(n, h);
			else
				schedule_routes(n);
		}
		len = buf ? 1 : 0;
	}
	return 0;
}

void neighbours_free(struct neighbours *n)
{
	if (!n)
		return;
	sd_event_source_disable_unref(n->source);
	sd_event_source_disable_unref(n->route_timer);
	sd_event_source_disable_unref(n->refresh_timer);
	if (n->query)
		nl_socket_free(n->query);
	if (n->notifications)
		nl_socket_free(n->notifications);
	tdestroy(n->destinations, free);
	free(n);
}

DEFINE_CLEANUP(struct neighbours *, neighbours_free)

static int listen_to_kernel(struct neighbours *n)
{
	static const int groups[] = { RTNLGRP_NEIGH,	  RTNLGRP_LINK,	       RTNLGRP_IPV4_ROUTE,
				      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_RULE,  RTNLGRP_IPV6_RULE };
	int r = route_query_open(&n->notifications);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(groups); i++)
		if (nl_socket_add_membership(n->notifications, groups[i]) < 0)
			r = -EIO;
	if (r < 0)
		return r;
	(void)nl_socket_set_buffer_size(n->notifications, 1 << 20,
					0); /* else it asks anew more often */
	return 0;
}

int neighbours_new(const struct neighbours_config *c, struct neighbours **ret)
{
	_cleanup_(neighbours_free_p) struct neighbours *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->config = *c;
	n->n_hops = 1;
	r = route_query_open(&n->query);
	if (r == 0)
		r = listen_to_kernel(n);
	if (r == 0)
		r = sd_event_add_io(c->event, &n->source, nl_socket_get_fd(n->notifications),
				    EPOLLIN, on_notification, n);
	if (r >= 0)
		r = sd_event_add_time_relative(c->event, &n->route_timer, CLOCK_MONOTONIC, 0, 0,
					       on_route_timer, n);
	if (r >= 0)
		r = sd_event_source_set_enabled(n->route_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(c->event, &n->refresh_timer, CLOCK_MONOTONIC,
					       REFRESH_USEC, 0, on_refresh_timer, n);
	if (r >= 0)
		r = sd_event_source_set_enabled(n->refresh_timer, SD_EVENT_ON);
	if (r < 0)
		return r;
	*ret = take_ptr(n);
	return 0;
}

int neighbours_set_port(struct neighbours *n, uint16_t port_index, int exception, int below)
{
	if (port_index >= OPTIONS_PORTS_MAX)
		return -EINVAL;
	n->ifindices[port_index][0] = exception;
	n->ifindices[port_index][1] = below;
	look_at_routes(n);
	return 0;
}

uint16_t neighbours_add(struct neighbours *n, const struct addr *a)
{
	struct destination *d = calloc(1, sizeof(*d));
	struct destination **place;

	if (!d)
		return 0;
	d->addr = *a;
	place = tsearch(d, &n->destinations, compare);
	if (!place || *place != d) {
		free(d);
		return place ? (*place)->index : 0;
	}
	d->index = resolve(n, a);
	return d->index;
}

void neighbours_remove(struct neighbours *n, const struct addr *a)
{
	struct destination **place = tfind(a, &n->destinations, compare);
	struct destination *d;

	if (!place)
		return;
	d = *place;
	(void)tdelete(a, &n->destinations, compare);
	release_hop(n, d->index);
	free(d);
}
