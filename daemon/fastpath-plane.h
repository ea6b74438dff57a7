/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The fast path's table: the second plane. The same three steps as for the kernel (daemon/reconcile.h), by the same
 * code; nobody else owns anything there.
 */

#include <stdbool.h>

#include "base/clock.h"
#include "daemon/fastpath-rules.h"
#include "ipvs/ruleset.h"

struct channel;
struct conf;
struct linger_set;
struct reconcile_report;
struct registry;

struct fastpath_plane {
	struct channel *channel;     /* owned; NULL = closed */
	struct ipvs_ruleset actual;  /* the last dump with what was applied since */
	struct fastpath_rules rules; /* what it was told; empty = anything may be in there */
};

#define FASTPATH_PLANE_INIT ((struct fastpath_plane){ 0 })

/* timeout: of each request; a process that has the traffic is not waited for. Negative errno. */
int fastpath_plane_open(struct fastpath_plane *p, const char *path, usec_t timeout_usec);
void fastpath_plane_close(struct fastpath_plane *p);

/*
 * What is not services and destinations: source addresses of full NAT, the kernel's connection timeouts and options
 * (net.ipv4.vs.*). `kernel` is the kernel's channel.
 */
int fastpath_plane_set_up(struct fastpath_plane *p, struct channel *kernel,
			  const struct conf *conf);

int fastpath_plane_dump(struct fastpath_plane *p);

/*
 * Services, destinations and who may come: a service with security groups has its rules before its first destination.
 * 0; -EIO: it refuses something, see report->error; other negative errno: it cannot be talked to.
 */
int fastpath_plane_apply(struct fastpath_plane *p, const struct conf *conf,
			 const struct registry *registry, const struct linger_set *linger,
			 struct reconcile_report *report);

/* Adds connections and counters to those of the same destinations. */
void fastpath_plane_add_live(const struct fastpath_plane *p, struct ipvs_ruleset *to);

/* Connections that are not established, of all services: they are not in the kernel's list. */
uint64_t fastpath_plane_inactive(const struct fastpath_plane *p, const struct addr *addr,
				 uint16_t port);
