/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Links, addresses and routes of the calling thread's network namespace through rtnetlink. Functions return 0 or
 * negative errno, silently.
 */

#include <stdbool.h>

struct nl_sock;

int topology_open(struct nl_sock **ret);

int topology_link_up(struct nl_sock *s, const char *interface);
int topology_bridge(struct nl_sock *s, const char *name);

/*
 * `name` here, up (a port of `bridge` unless NULL); `peer_name` in the namespace peer_ns, down: the kernel refuses to
 * bring it up (ENOTCONN) before `name` exists.
 */
int topology_veth(struct nl_sock *s, const char *name, const char *bridge, int peer_ns,
		  const char *peer_name);

/* "10.0.0.1/24"; without duplicate address detection. */
int topology_address(struct nl_sock *s, const char *interface, const char *address, bool add);
int topology_address_exists(struct nl_sock *s, const char *interface, const char *address);

/* prefix NULL: the default route, of via's family. */
int topology_route(struct nl_sock *s, const char *prefix, const char *via);
