/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tables with workers that are only their counters: what is retired waits for tables_rig_quiesce(). */

#include "dpdk-fastpath/tables.h"
#include "random-ruleset.h"

enum {
	RIG_WORKERS_MAX = 4,
	RIG_TICK_MSEC = 100,
	RIG_RETIRED_MAX = 1 << 16,
};

struct rig_retired {
	void (*free_fn)(void *);
	void *object;
};

struct tables_rig {
	struct tables *tables;
	unsigned n_workers;
	struct dest_counters *counters[RIG_WORKERS_MAX];
	_Atomic uint8_t *overloaded;
	struct nexthop *nexthops;
	struct rig_retired *retired; /* in the order they came */
	size_t n_retired;
	struct random random;
	uint64_t now_usec;
	/* What on_address() answers, and how many addresses there are. */
	uint16_t nexthop;
	int n_addresses;
};

void tables_rig_init(struct tables_rig *g, unsigned n_workers);
void tables_rig_deinit(struct tables_rig *g);

/* Every worker has passed a quiescent state: what waits is freed, in any order. */
void tables_rig_quiesce(struct tables_rig *g);
/* tables_publish(), which must succeed. */
void tables_rig_publish(struct tables_rig *g);
/* Lets seconds pass, with a tick, a publication and a quiescent state each. */
void tables_rig_sleep(struct tables_rig *g, unsigned sec);

/* "10.9.0.1", "fd09::1"; weight 1, nat. */
struct ipvs_service_key rig_key(const char *address, uint8_t protocol, uint16_t port);
struct ipvs_service rig_service(const struct ipvs_service_key *k, const char *scheduler);
struct ipvs_dest rig_dest(const char *address, uint16_t port);

/* These must succeed. */
void rig_add_service(struct tables_rig *g, const struct ipvs_service_key *k);
void rig_add_dest(struct tables_rig *g, const struct ipvs_service_key *k, const char *address);
void rig_del_dest(struct tables_rig *g, const struct ipvs_service_key *k, const char *address);

/* The published view of the service, or NULL. */
const struct service_view *rig_view(const struct tables_rig *g, const struct ipvs_service_key *k);
/* The place of the destination in the view; -1: none. */
int rig_place(const struct service_view *v, const char *address);

/* Everything that the tables tell; sorted. */
void rig_dump(const struct tables_rig *g, struct ipvs_ruleset *ret);

/* What the plane answers to the request of that op. */
int rig_apply(struct tables_rig *g, const struct plan_op *op);

/* Plans the way to the ruleset and goes it. Services by mark are taken out of it. */
void rig_become(struct tables_rig *g, struct ipvs_ruleset *desired);
