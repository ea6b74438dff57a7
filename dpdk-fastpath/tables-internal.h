/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the files of tables.h share: the model. tables.c has the commands, tables-settings.c what is ours beside
 * the kernel's, tables-views.c makes and publishes views, tables-addresses.c knows addresses (next hops, owners, sources of full NAT), tables-stats.c counts and forgets.
 */

#include "dpdk-fastpath/sched.h"
#include "dpdk-fastpath/tables.h"

struct tables_service;

enum {
	TABLES_BUCKETS = 65536, /* of each hash of the model */
	TABLES_LOCALS_PER_FAMILY = SNAPSHOT_LOCALS_MAX / 2,
};

enum tables_counter {
	TABLES_CONNS,
	TABLES_IN_PACKETS,
	TABLES_OUT_PACKETS,
	TABLES_IN_BYTES,
	TABLES_OUT_BYTES,
	_TABLES_COUNTER_MAX,
};

/* struct ip_vs_stats: values that only grow are somebody else's. */
struct tables_stats {
	uint64_t zero[_TABLES_COUNTER_MAX]; /* what ZERO found */
	uint64_t last[_TABLES_COUNTER_MAX]; /* what the estimator found */
	uint64_t rate[_TABLES_COUNTER_MAX]; /* scaled as in ip_vs_est.c */
};

/* An address of services, destinations or full NAT. Freed when it is none of these. */
struct tables_address {
	struct addr addr;
	struct tables_address *bucket_next, *dirty_next;
	unsigned n_services;
	struct tables_dest *dests; /* borrowed: those in the trash too */
	uint16_t nexthop;
	bool is_local;	 /* for good, once it is */
	bool by_address; /* for good, while there are destinations */
	bool dirty;
	uint8_t owner_mask[16];
	struct place_view *view; /* owned; published */
};

/* A dest_view is held by its place in snapshot.dests, and by each service's view that lists it. */
struct tables_dest_view {
	struct dest_view view;
	struct tables *tables;	  /* borrowed */
	struct tables_dest *dest; /* borrowed */
	unsigned refs;
};

struct tables_dest {
	uint32_t id;
	struct tables_service *service; /* borrowed; it may be gone, while this is in the trash */
	struct tables_address *address; /* borrowed */
	struct tables_dest *address_next, *address_prev;
	struct tables_dest *trash_next, *trash_prev; /* of its bucket */
	struct tables_dest *dirty_next;
	struct ipvs_dest conf; /* no live values */
	uint32_t last_weight;
	bool deleted, dirty, condemned;
	uint64_t idle_since_usec;      /* in the trash without references; 0 = has some */
	struct tables_dest_view *view; /* the published one */
	unsigned n_views;	       /* not freed yet */
	struct tables_stats stats;
	uint64_t service_base[_TABLES_COUNTER_MAX]; /* counted before it was its service's */
	uint64_t at_deletion[_TABLES_COUNTER_MAX];
};

struct tables_service {
	struct ipvs_service conf; /* key and configuration; no destinations, no live values */
	enum sched_kind sched;
	uint32_t id, generation, born;
	int32_t round; /* of wrr, nothing chosen yet */
	struct sched_changes changes;
	size_t position; /* in tables.services */
	struct tables_service *bucket_next, *dirty_next, *queue_next;
	struct tables_dest *
		*dests; /* owned array; oldest first: the list's order is from the end */
	size_t n_dests, capacity;
	unsigned refs; /* destinations that name it */
	bool gone, dirty, list_changed, queued;
	bool by_address; /* for good */
	uint8_t owner_mask[16];
	struct tables_address *address; /* of the service itself; NULL for a mark */
	struct tables_service_view *view;
	struct sched_view *sched_view;
	struct rules_view *rules, *published_rules; /* owned */
	void (*free_rules)(void *), (*free_published_rules)(void *);
	struct tables_stats stats;
	uint64_t past[_TABLES_COUNTER_MAX]; /* of destinations that left */
};

/* Writer's side of a struct snapshot_index. */
struct tables_index {
	struct snapshot_index *index; /* in the draft */
	size_t used;		      /* slots that are not NULL */
	size_t live;
};

struct tables {
	struct tables_config config;
	struct tables_service **services; /* in no order */
	size_t n_services, services_capacity;
	struct tables_service *service_buckets[TABLES_BUCKETS];
	struct tables_address *address_buckets[TABLES_BUCKETS];
	struct tables_dest *trash_buckets[TABLES_BUCKETS];
	struct tables_dest **dests; /* by id */
	uint32_t next_dest_id, *free_dest_ids;
	size_t n_free_dest_ids;
	uint32_t next_service_id, *free_service_ids;
	size_t n_free_service_ids, n_trash, n_any_port;
	uint32_t generation;
	struct tables_service *dirty_services;
	struct tables_dest *dirty_dests;
	struct tables_address *dirty_addresses;
	struct ipvs_timeouts timeouts;
	struct addr *locals; /* as they were set */
	size_t n_locals;
	uint16_t locals4_used, locals6_used; /* of each family's places */
	uint64_t estimated_usec, swept_usec;
	/* What the next struct snapshot will be; arrays are shared with the published one. */
	struct snapshot draft;
	bool draft_dirty;
	struct tables_index services_index, places_index;
	const struct dest_view *_Atomic *dest_views;
	struct flow_endpoint *endpoints;
	uint16_t _Atomic *shortcuts; /* owned; see struct snapshot */
	struct flow_local *local_array;
	struct snapshot *_Atomic published;
};

static inline void tables_retire(struct tables *t, void (*free_fn)(void *), void *object)
{
	if (object)
		t->config.retire(t->config.context, free_fn, object);
}

/* FNV-1a, for the model's hashes. */
size_t tables_bucket(const void *bytes, size_t len_bytes);

/* tables.c */
struct tables_service *tables_find_service(const struct tables *t,
					   const struct ipvs_service_key *k);
/* The place of the destination in s->dests, or n_dests. */
size_t tables_find_dest(const struct tables_service *s, const struct addr *a, uint16_t port);
void tables_touch_service(struct tables *t, struct tables_service *s, bool list_changed);
void tables_touch_dest(struct tables *t, struct tables_dest *d);
void tables_release_service(struct tables *t, struct tables_service *s);
void tables_leave_trash(struct tables *t, struct tables_dest *d);
void tables_free_dest(struct tables *t, struct tables_dest *d);

/* tables-views.c */
int tables_views_init(struct tables *t);
void tables_views_deinit(struct tables *t);
void tables_condemn(struct tables *t, struct tables_dest *d);

/* tables-addresses.c */
/* Made where there is none. NULL: no memory. */
struct tables_address *tables_get_address(struct tables *t, const struct addr *a);
/* To be published anew, or forgotten where it is nothing any more. */
void tables_touch_address(struct tables *t, struct tables_address *a);
void tables_link_dest(struct tables *t, struct tables_dest *d, struct tables_address *a);
void tables_unlink_dest(struct tables *t, struct tables_dest *d);
bool tables_address_is_used(const struct tables_address *a);
void tables_free_address(struct tables *t, struct tables_address *a);
/* What the service's persistence sees of a client's address. */
void tables_mask(const struct ipvs_service *s, uint8_t ret[16]);
/*
 * The service's owner goes by (masked) address, if it is persistent or shares an address with such. To be called when
 * the service's configuration, and when that of one of its destinations has changed.
 */
void tables_join_service(struct tables *t, struct tables_service *s);
void tables_join_dest(struct tables *t, const struct tables_dest *d);

/* tables-stats.c */
void tables_dest_arrives(struct tables *t, struct tables_dest *d, bool is_new);
void tables_dest_leaves(struct tables *t, struct tables_dest *d);
