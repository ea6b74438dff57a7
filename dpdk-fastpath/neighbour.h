/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Next hops of destinations: by which port, under which VLAN tag, at which MAC. The kernel is asked, for it knows the
 * routes and keeps the neighbours by ARP and neighbour discovery, through the ports' exception interfaces; its
 * notifications keep struct nexthop up to date. Next hops that are in use are kept fresh: the kernel is told that they
 * are (NTF_USE), as its own traffic would.
 *
 * A destination that is routed by another interface, by none, or to the host itself has no next hop: index 0. Where it
 * had one, it keeps it for a moment longer: routes that move are gone in between.
 *
 * One thread, that of the event loop.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct addr;
struct neighbours;
struct nexthop;
struct reclaim;

struct neighbours_config {
	sd_event *event;	  /* borrowed */
	struct nexthop *nexthops; /* SNAPSHOT_NEXTHOPS_MAX; borrowed */
	struct reclaim *reclaim;  /* borrowed */
	/* The route of a destination has changed; index 0 = it has none. Never within neighbours_add(). */
	void (*on_change)(void *context, const struct addr *a, uint16_t index);
	/* Some were told of: publish. */
	void (*on_changed)(void *context);
	void *context;
};

int neighbours_new(const struct neighbours_config *c, struct neighbours **ret);
void neighbours_free(struct neighbours *n);

/*
 * Interfaces of a port: frames that the kernel would send there go out of the port. `below` is that which a virtual
 * device sits on, 0 = none: it has the routes until they are moved to the exception interface, so that next hops are
 * known before the first packet. Looks at all routes again.
 */
int neighbours_set_port(struct neighbours *n, uint16_t port_index, int exception, int below);

/*
 * hold: routes are not looked at again, for ten seconds at most. While addresses move from interface to interface, one
 * after the other, a destination whose route is gone would be sent by another, the default route for one.
 */
void neighbours_hold(struct neighbours *n, bool hold);

/* A destination, once. Its next hop, 0 = none (yet): on_change tells when it has one. */
uint16_t neighbours_add(struct neighbours *n, const struct addr *a);
void neighbours_remove(struct neighbours *n, const struct addr *a);
