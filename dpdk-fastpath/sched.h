/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The kernel's schedulers. mh, sh, dh and fo choose exactly what the kernel chooses for the same list (order, weights,
 * last weights, flags, overload); rr, wrr, lc, wlc, sed, nq, ovf and twos go by the kernel's rule, over counters that
 * are summed from all workers. Pure.
 *
 * Source: net/netfilter/ipvs/ip_vs_{mh,sh,dh,rr,wrr,lc,wlc,sed,nq,fo,ovf,twos}.c. mh hashes with SipHash-1-3 as
 * 64-bit kernels do, table size 4093 (CONFIG_IP_VS_MH_TAB_INDEX=12).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_key;
struct service_view;

enum sched_kind {
	SCHED_KIND_NONE, /* refuses */
	SCHED_KIND_RR,
	SCHED_KIND_WRR,
	SCHED_KIND_LC,
	SCHED_KIND_WLC,
	SCHED_KIND_SED,
	SCHED_KIND_NQ,
	SCHED_KIND_FO,
	SCHED_KIND_OVF,
	SCHED_KIND_DH,
	SCHED_KIND_SH,
	SCHED_KIND_MH,
	SCHED_KIND_TWOS,
	_SCHED_KIND_MAX,
};

enum {
	SCHED_CHANGES_KEPT = 16,
};

/* wrr: rounds go from the highest weight down by the greatest common divisor of all weights. Zero at first. */
struct sched_rounds {
	uint32_t divisor, highest;
};

void sched_rounds_add(struct sched_rounds *r, uint32_t weight);

/*
 * The round in which a change of the list leaves the scheduler that stood in round `current`, 0 = in none yet:
 * ip_vs_wrr_dest_changed(). So a list that grew from low weights begins with a low round.
 */
int32_t sched_rounds_restart(const struct sched_rounds *r, int32_t current);

/*
 * Views are made for many changes of a list at once; where rr and wrr stand depends on each of them in turn. So a view
 * has the last ones with it. A worker that missed more than those stands where the last list alone would put it.
 */
struct sched_change {
	uint32_t generation; /* of the view in which it is visible; 0 = of the next one */
	union {
		struct sched_rounds rounds; /* wrr: of all weights */
		struct {
			uint32_t id,
				id_before; /* rr: removed; the one before it, 0 = it was the first */
		} removed;
	};
};

struct sched_changes {
	uint32_t n; /* ever; entry i is at i % SCHED_CHANGES_KEPT */
	struct sched_change entries[SCHED_CHANGES_KEPT];
};

/* Visible in the next view. */
void sched_changes_add_rounds(struct sched_changes *c, const struct sched_rounds *r);
void sched_changes_add_removal(struct sched_changes *c, uint32_t id, uint32_t id_before);
/* The next view has this generation. */
void sched_changes_publish(struct sched_changes *c, uint32_t generation);

/* What depends on the list alone: tables of mh, sh and dh (indices into the list); gcd and maximum of wrr. */
struct sched_view;

/* -ENOENT: no such scheduler (lblc and lblcr are not built). */
int sched_parse(const char *name, enum sched_kind *ret);
const char *sched_to_string(enum sched_kind k);

/*
 * s->dests, flags and family are set; the changes are copied. -EINVAL: more destinations than the table of mh has
 * places; -ENOMEM.
 */
int sched_view_new(const struct service_view *s, enum sched_kind kind,
		   const struct sched_changes *changes, struct sched_view **ret);
void sched_view_free(struct sched_view *v);
enum sched_kind sched_view_kind(const struct sched_view *v);

/*
 * A worker's own place in the list of one service. Zero at first. When the generation is another, it does what the
 * kernel's schedulers do when a destination changes: rr stays at the destination it used last (or before the place of
 * one that is gone), wrr goes back to the head.
 */
struct sched_cursor {
	uint32_t generation;
	uint32_t position; /* place of the last used + 1; 0 = before the first */
	uint32_t last_id;  /* its id */
	int32_t current_weight;
	uint8_t kind; /* enum sched_kind that the rest belongs to */
};

/* Live load of destinations, by id, summed over workers by the callee of `load`. */
struct sched_load {
	uint32_t active, inactive;
};

struct sched_input {
	const struct service_view *service;
	const struct flow_key *key; /* as it came: src is the client */
	bool inverse;		    /* the client is dst: an ICMP error or an answer */
	uint64_t random;	    /* twos */
	struct sched_cursor *cursor;
	/* The load and overload of a destination now. */
	struct sched_load (*load)(const void *context, uint32_t dest_id);
	bool (*overloaded)(const void *context, uint32_t dest_id);
	const void *context;
};

/* The chosen place in service->dests, or -1: no destination. */
int sched_choose(const struct sched_input *in);

/* hsiphash() of one 32-bit word with key {k, k}, as ip_vs_mh.c uses it; for tests. */
uint32_t sched_mh_hash(uint64_t key, uint32_t word);
