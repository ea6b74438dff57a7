/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a worker counts. Each worker writes its own, with relaxed stores of its own values; the control side sums them
 * with relaxed loads. No counter is shared between two writers.
 */

#include <stdatomic.h>
#include <stdint.h>

/* Every packet ends in exactly one of these. */
enum counter {
	COUNTER_FORWARDED_IN,	/* from clients to destinations */
	COUNTER_FORWARDED_OUT,	/* answers to clients */
	COUNTER_ICMP_FORWARDED, /* errors translated */
	COUNTER_ICMP_REPLIED,	/* echo answered */
	COUNTER_ICMP_SENT,	/* errors that the packet was turned into */
	COUNTER_EXCEPTION,	/* to the kernel */
	COUNTER_HANDED_OVER,	/* to the worker that owns the flow */
	COUNTER_HELD, /* later fragments that wait for the first; counted again when they leave */
	COUNTER_DROP_BAD,      /* malformed */
	COUNTER_DROP_RULES,    /* a security group refused */
	COUNTER_DROP_FULL,     /* no room for a new connection */
	COUNTER_DROP_NO_DEST,  /* the connection's destination is gone */
	COUNTER_DROP_NEXTHOP,  /* no address of the next hop */
	COUNTER_DROP_PORTS,    /* full NAT: no source port free */
	COUNTER_DROP_FRAGMENT, /* without its first in time, or no room to wait */
	COUNTER_DROP_ROOM, /* no headroom, segments where they cannot be used, a tunnel in too small a link */
	COUNTER_DROP_UNREPORTED, /* an ICMP error is due, but may not be sent about it, or too many were */
	COUNTER_DROP_TX,	 /* the port did not take it */
	COUNTER_DROP_HANDOVER,	/* the other worker's ring was full */
	COUNTER_DROP_EXCEPTION, /* the exception port did not take it */
	_COUNTER_MAX,
};

const char *counter_to_string(enum counter c); /* "forwarded-in" */

struct counters {
	_Atomic uint64_t value[_COUNTER_MAX];
	_Atomic uint64_t connections_made, connections_expired, connections_evicted;
	_Atomic uint64_t bursts, idle_sleeps;
};

enum dest_direction {
	DEST_IN,  /* from clients */
	DEST_OUT, /* answers */
};

/* Of one destination (by id) on one worker. Bytes are of the IP packet, as the kernel counts. */
struct dest_counters {
	_Atomic uint32_t active, inactive, persistent,
		references; /* references: records that name the id */
	_Atomic uint64_t conns;
	struct dest_traffic {
		_Atomic uint64_t packets, bytes;
	} traffic[2]; /* by enum dest_direction */
	uint64_t unused;
};

_Static_assert(sizeof(struct dest_counters) == 64,
	       "one cache line, of an array that begins with one");

/* Only the owner writes: no read-modify-write is needed. */
#define COUNTER_ADD(counter, n)                                                                    \
	atomic_store_explicit(&(counter),                                                          \
			      atomic_load_explicit(&(counter), memory_order_relaxed) + (n),        \
			      memory_order_relaxed)
