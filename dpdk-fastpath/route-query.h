/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the fast path asks of rtnetlink: a route, a neighbour, and to keep it fresh. The kernel answers within the
 * request, so that nothing here waits. Negative errno.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct nl_sock;
struct nlmsghdr;

int route_query_open(struct nl_sock **ret);

/* The way to an address. */
struct route_answer {
	int ifindex;	     /* where frames leave */
	int parent;	     /* of a VLAN interface: the one below it, else the same */
	uint16_t vlan;	     /* 0 = untagged */
	uint16_t mtu;	     /* of the route, else of the interface */
	struct addr gateway; /* the address itself where it is on the link */
	struct addr source;  /* that the kernel would use; AF_UNSPEC = none */
};

/* -EHOSTUNREACH: no unicast route by an interface. */
int route_query(struct nl_sock *s, const struct addr *a, struct route_answer *ret);

struct neighbour_answer {
	int ifindex;
	struct addr addr;
	bool valid;  /* mac is its address */
	bool failed; /* it does not answer; else, where not valid, nothing is known */
	uint8_t mac[6];
};

/* -ENOENT: not known. */
int neighbour_query(struct nl_sock *s, int ifindex, const struct addr *a,
		    struct neighbour_answer *ret);

/* Tells the kernel that it is in use: it resolves or confirms it, and says so to who listens. */
int neighbour_use(struct nl_sock *s, int ifindex, const struct addr *a);

/* RTM_NEWNEIGH and RTM_DELNEIGH (not valid then). -EBADMSG, -ENOENT: none that we can use. */
int neighbour_parse(struct nlmsghdr *nlh, struct neighbour_answer *ret);
