/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The control side's own model of services and destinations: answers the commands of IPVS with the kernel's semantics
 * and errno (net/netfilter/ipvs/ip_vs_ctl.c), and makes of it the views that workers read (snapshot.h). Pure but for
 * atomics: one thread calls it (tables_snapshot() apart), time is an argument.
 *
 * Commands change the model at once and mark the service; tables_publish() makes the new views of all marked services
 * (cost: the destinations of those, never of all). Call it when the commands of one datagram are done, so that a
 * thousand new destinations cost one view.
 *
 * Old views are handed to `retire`, which calls free_fn(object) on the same thread once every worker has passed a
 * quiescent state. A deleted destination keeps its id, and its place in snapshot.dests, until the views that listed it
 * are freed and no worker's dest_counters.references counts it; the kernel's 120 s pass first, so that a destination
 * that comes back soon has its id, connections and statistics again (the kernel's trash).
 *
 * Owners of flows never move from one worker to another while a service lives: once by_address, always so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/counters.h"
#include "dpdk-fastpath/snapshot.h"
#include "ipvs/codec.h"
#include "ipvs/ruleset.h"

struct tables;

struct tables_config {
	unsigned n_workers;
	uint32_t tick_msec; /* of the workers' wheels */
	/* Per worker an array by id, SNAPSHOT_DESTS_MAX long (zero pages cost nothing); borrowed. */
	struct dest_counters *const *dest_counters;
	_Atomic uint8_t *overloaded; /* by id, shared with the workers; borrowed */
	struct nexthop
		*nexthops; /* SNAPSHOT_NEXTHOPS_MAX; borrowed; the control side writes them */
	void (*retire)(void *context, void (*free_fn)(void *), void *object);
	/*
	 * A destination at an address that had none came to be, or the last one at an address is gone for good
	 * (connections included). Answer to the first: the index of its next hop, 0 = not known yet. May be NULL.
	 */
	uint16_t (*on_address)(void *context, const struct addr *a);
	void (*on_address_gone)(void *context, const struct addr *a);
	void *context; /* of all three */
};

/* -EINVAL, -ENOMEM. The first snapshot is empty, with the kernel's timeouts and the options' defaults. */
int tables_new(const struct tables_config *c, struct tables **ret);
/* Workers have stopped, and all that was retired has been freed. */
void tables_free(struct tables *t);

/* What workers read: any thread; never NULL; load it once per burst. */
const struct snapshot *tables_snapshot(const struct tables *t);

/* New views of all that changed. -ENOMEM: what is not published yet will be tried again by the next call. */
int tables_publish(struct tables *t);

/*
 * Every second or so: the kernel's estimator of rates (all 2 s), ids of deleted destinations. Publish afterwards: ids
 * that are free again leave the snapshot. True when there is something to publish.
 */
bool tables_tick(struct tables *t, uint64_t now_usec);

/*
 * Commands. Live members of what is given are ignored. -ESRCH: no such service; -ENOENT: no such destination, scheduler
 * or persistence engine (none is built); -EEXIST; -ERANGE: weight, thresholds; -EINVAL; -ENOSPC: out of ids, or of
 * services; -ENOMEM; -EOPNOTSUPP: services by mark, but for the hook keeper, which is kept without effect; forwarding
 * method bypass.
 */
int tables_service_new(struct tables *t, const struct ipvs_service *s);
int tables_service_set(struct tables *t, const struct ipvs_service *s);
int tables_service_del(struct tables *t, const struct ipvs_service_key *k);
int tables_dest_new(struct tables *t, const struct ipvs_service_key *k, const struct ipvs_dest *d);
int tables_dest_set(struct tables *t, const struct ipvs_service_key *k, const struct ipvs_dest *d);
int tables_dest_del(struct tables *t, const struct ipvs_service_key *k, const struct addr *a,
		    uint16_t port);
void tables_flush(struct tables *t);
/* k NULL: all. -ESRCH. */
int tables_zero(struct tables *t, const struct ipvs_service_key *k);
/* As SET_CONFIG: 0 = as it is. -EINVAL: too long. */
int tables_set_timeouts(struct tables *t, const struct ipvs_timeouts *timeouts);
void tables_get_timeouts(const struct tables *t, struct ipvs_timeouts *ret);

/* Dumps: *cursor begins at 0; false at the end. *ret has live values and statistics, and no destinations. */
bool tables_next_service(const struct tables *t, size_t *cursor, struct ipvs_service *ret);
/* In the list's order. Of a service that does not exist: false. */
bool tables_next_dest(const struct tables *t, const struct ipvs_service_key *k, size_t *cursor,
		      struct ipvs_dest *ret);
/* -ESRCH. */
int tables_get_service(const struct tables *t, const struct ipvs_service_key *k,
		       struct ipvs_service *ret);

/* Ours, beside the kernel's commands. */

/* The next hop of all destinations at the address, for those to come as well. -ENOENT: there is none. */
int tables_set_nexthop(struct tables *t, const struct addr *a, uint16_t index);

/*
 * Source addresses of full NAT, both families. An address keeps its index in snapshot.locals as long as the program
 * runs, for connections name it: a set that only grows, or that was there before, stays where it is; any other takes
 * new places. -ENOSPC: no place left (2,047 a family in all). -EEXIST: one is given twice.
 */
int tables_set_locals(struct tables *t, const struct addr *addrs, size_t n);
size_t tables_n_locals(const struct tables *t);
struct addr tables_get_local(const struct tables *t, size_t i);

/* Takes the rules, which are retired with free_fn when others take their place. NULL: everybody. -ESRCH. */
int tables_set_rules(struct tables *t, const struct ipvs_service_key *k, struct rules_view *rules,
		     void (*free_fn)(void *));

int tables_set_options(struct tables *t, const struct snapshot_options *o);
const struct snapshot_options *tables_options(const struct tables *t);

/* The weight that mh goes by while the weight is 0: the last that was not. The kernel does not tell its own. */
int tables_set_last_weight(struct tables *t, const struct ipvs_service_key *k, const struct addr *a,
			   uint16_t port, uint32_t last_weight);
