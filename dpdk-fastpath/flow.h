/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The connections of one worker: records of 64 bytes for both address families, a table that finds them by either
 * direction's key, and a timer wheel. One thread. Pure: memory is lent once, time is an argument, nothing is allocated
 * afterwards.
 *
 * Memory: 64 bytes a record, 30 of table (two entries in buckets of eight that take a cache line, 53 % full at
 * max_flows) and at most 64 KiB of wheel. A record does not hold its destination's and its virtual service's
 * addresses: it names the endpoint, in an array that the control side owns and that outlives every record that names
 * an element (struct flow_endpoint).
 *
 * Embryonic connections (TCP before the handshake's end) may take no more than embryonic_max records, so that a flood
 * of SYNs leaves room for the established; beyond that, and when every record is in use, the oldest embryonic one gives
 * its place (*ret_evicted). When all are in use and none is embryonic, flow_insert() answers -ENOSPC: the caller drops
 * the new flow and counts it, or schedules it without a record.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dpdk-fastpath/packet.h"
#include "ipvs/ruleset.h"

struct flow_table;

enum {
	FLOW_NONE = 0, /* no record; indices begin at 1 */

	/* Flags: those of IP_VS_CONN_F_* in linux/ip_vs.h that a sync record carries have the kernel's values. */
	FLOW_FWD_MASK = 0x0007, /* enum ipvs_forward of the connection, 5 = full NAT */
	FLOW_NOOUTPUT = 0x0080, /* no packet of the destination was seen */
	FLOW_INACTIVE = 0x0100, /* counted as inactive at its destination */
	FLOW_TEMPLATE = 0x1000,
	FLOW_ONE_PACKET = 0x2000,
	FLOW_FAMILY_6 = 0x4000,	 /* ours */
	FLOW_EMBRYONIC = 0x8000, /* ours: on the list of embryonic connections */
};

/* What a connection shares with all others of its destination. */
struct flow_endpoint {
	uint8_t dest[16];    /* address of the destination */
	uint8_t virtual[16]; /* address of the virtual service */
};

struct flow_local {
	uint8_t addr[16]; /* source address of full NAT */
};

/* Ports are in network order. Times are ticks of the wheel. */
struct flow {
	uint8_t client[16];			  /* a template's is masked */
	uint16_t client_port_be, virtual_port_be; /* those of the forward key, */
	uint16_t dest_port_be;			  /* and of the reverse key */
	uint16_t local_port_be; /* of full NAT; else the client's, as flow_insert() sets it */
	uint32_t endpoint;	/* index of flow_endpoint, and of the destination */
	uint16_t local;		/* index of flow_local, full NAT */
	uint8_t protocol;
	uint8_t state; /* conn-state.h; a template's: bit 0 = assured */
	uint32_t expires;
	uint32_t wheel_next, wheel_prev; /* flow.c's */
	uint32_t control;		 /* the template that made it, or FLOW_NONE */
	uint16_t flags;
	uint16_t peer;	     /* director's: where the client's frames come from */
	uint32_t controlled; /* of a template: connections under it; flow.c's while embryonic */
	union {		     /* flow.c's */
		uint32_t embryonic_prev; /* while embryonic */
		uint32_t wheel_bound;	 /* else: the wheel looks at it no later */
	};
	uint32_t key_kind; /* flow.c's: what its keys have behind their ports */
};

_Static_assert(sizeof(struct flow) == 64, "one cache line");

struct flow_table_config {
	size_t max_flows;
	size_t embryonic_max;		       /* 0 = three quarters of max_flows */
	uint64_t seed;			       /* of the hash, secret */
	uint32_t tick_msec;		       /* of the wheel, e.g. 100 */
	const struct flow_endpoint *endpoints; /* borrowed; may grow in place */
	const struct flow_local *locals;       /* borrowed */
	/* Memory that is zero and aligned to 64; NULL = the C library's. Freed by `release` with the same size. */
	void *(*allocate)(void *context, size_t bytes);
	void (*release)(void *context, void *memory, size_t bytes);
	void *context;
};

/* -EINVAL, -ENOMEM. */
int flow_table_new(const struct flow_table_config *c, struct flow_table **ret);
void flow_table_free(struct flow_table *t);
size_t flow_table_bytes(const struct flow_table *t);

struct flow_usage {
	size_t flows, embryonic, templates, max_flows;
	uint64_t evicted; /* embryonic ones that gave their place */
	uint64_t full;	  /* insertions refused */
};
void flow_table_usage(const struct flow_table *t, struct flow_usage *ret);

static inline struct flow *flow_at(struct flow_table *t, uint32_t index);

/* A reference names a record and the direction whose key was found: FLOW_NONE, or index << 1 | is_reverse. */
typedef uint64_t flow_ref;
#define FLOW_REF_INDEX(r) ((uint32_t)((r) >> 1))
#define FLOW_REF_REVERSE(r) ((r)&1)

uint32_t flow_hash(const struct flow_table *t, const struct flow_key *k);

/*
 * Looks n keys up, n <= 64, so that cache lines come while others are worked on. rets[i] is 0 where there is none.
 * keys[i] may be NULL: 0.
 */
void flow_lookup_bulk(struct flow_table *t, const struct flow_key *const *keys, unsigned n,
		      flow_ref *rets);
flow_ref flow_lookup(struct flow_table *t, const struct flow_key *k);

/* The template of this (masked) client; its source port is not looked at. The other look-ups find no templates. */
uint32_t flow_lookup_template(struct flow_table *t, const struct flow_key *k);

/*
 * Copies *f into a new record (index in *ret), found by its forward key (client, virtual) and, with nat and full NAT
 * (FLOW_FWD_MASK 0 and 5), by its reverse key (dest → client, dest → local); runs out after timeout_ticks. A template
 * is found by (client → virtual) alone, whatever its client_port_be. -EEXIST where either key is taken, -ENOSPC where
 * the table is full. *ret_evicted: a copy of the embryonic record that gave its place, its protocol 0 where none did;
 * the caller uncounts it, whatever is returned.
 */
int flow_insert(struct flow_table *t, const struct flow *f, uint32_t now, uint32_t timeout_ticks,
		uint32_t *ret, struct flow *ret_evicted);

/* Where a flow's keys will lie. */
struct flow_plan {
	uint64_t forward, reverse; /* hashes */
	uint32_t kind;
	bool is_answered; /* `reverse` is valid */
};

/* Asks for the memory that flow_insert_new() needs. No effect: *f, with all its ports, may be a guess. */
void flow_plan(const struct flow_table *t, const struct flow *f, struct flow_plan *ret);
/* The same where f->local or f->local_port_be alone has changed. */
void flow_plan_answers(const struct flow_table *t, const struct flow *f, struct flow_plan *plan);

/* As flow_insert(), of no template, and when a look-up has just found nothing for the forward key. */
int flow_insert_new(struct flow_table *t, const struct flow *f, const struct flow_plan *p,
		    uint32_t now, uint32_t timeout_ticks, uint32_t *ret, struct flow *ret_evicted);

/* Lets it run out timeout_ticks (< 2^31) from now. Cheap when that is later than before: the wheel looks again then. */
static inline void flow_touch(struct flow_table *t, uint32_t index, uint32_t now,
			      uint32_t timeout_ticks);

/* The caller says when a handshake has ended; FLOW_EMBRYONIC is set by flow_insert() where f->flags has it. */
void flow_leave_embryonic(struct flow_table *t, uint32_t index);

/* Takes it out of the table and the wheel. */
void flow_remove(struct flow_table *t, uint32_t index);

/*
 * Turns the wheel to `now`, bounded: at most max_flows_per_call records looked at; the rest comes with the next call.
 * on_expire() is called for each record whose time is up; true = removed by flow.c on return, false = it has been
 * touched by the callee and stays. Returns the records looked at.
 */
typedef bool (*flow_on_expire)(void *context, uint32_t index, struct flow *f);
unsigned flow_expire(struct flow_table *t, uint32_t now, unsigned max_flows_per_call,
		     flow_on_expire on_expire, void *context);

/* Ticks until it runs out, 0 when that is over. */
uint32_t flow_remaining(const struct flow *f, uint32_t now);

/* All records, a piece at a time: *cursor begins at 0; returns the next index or FLOW_NONE at the end. */
uint32_t flow_next(struct flow_table *t, uint32_t *cursor);

/* The key by which packets of that direction find the record; reverse only for nat and full NAT. */
void flow_forward_key(const struct flow_table *t, const struct flow *f, struct flow_key *ret);
void flow_reverse_key(const struct flow_table *t, const struct flow *f, struct flow_key *ret);

/* First member of struct flow_table, for the functions below alone. */
struct flow_records {
	struct flow *at;
	const struct flow_endpoint *endpoints; /* borrowed */
	const struct flow_local *locals;       /* borrowed */
};

static inline struct flow *flow_at(struct flow_table *t, uint32_t index)
{
	return &((struct flow_records *)t)->at[index];
}

/* Addresses and ports of a key, the ports as they lie in a header: the source's first. */
struct flow_side {
	const uint8_t *src, *dst;
	uint32_t ports;
};

/*
 * What the forward key, or the reverse one, says, without a copy of it; borrowed from the record and the arrays of the
 * table.
 */
static inline struct flow_side flow_side(const struct flow_table *t, const struct flow *f,
					 bool reverse)
{
	const struct flow_records *r = (const struct flow_records *)t;
	const struct flow_endpoint *e = &r->endpoints[f->endpoint];
	bool full_nat = (f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT;
	const uint8_t *peer = full_nat ? r->locals[f->local].addr : f->client;
	uint64_t ports;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the forward ports are low");
	memcpy(&ports, &f->client_port_be, sizeof(ports));
	return (struct flow_side){
		.src = reverse ? e->dest : f->client,
		.dst = reverse ? peer : e->virtual,
		.ports = (uint32_t)(ports >> (reverse ? 32 : 0)),
	};
}

/* For flow_touch() alone: moves the record to the place in the wheel that its `expires` asks for. */
void flow_rearm(struct flow_table *t, uint32_t index);

static inline void flow_touch(struct flow_table *t, uint32_t index, uint32_t now,
			      uint32_t timeout_ticks)
{
	struct flow *f = flow_at(t, index);
	uint32_t bound = f->flags & FLOW_EMBRYONIC ? f->expires : f->wheel_bound;

	f->expires = now + timeout_ticks;
	if ((int32_t)(f->expires - bound) < 0)
		flow_rearm(t, index);
}
