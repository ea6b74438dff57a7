/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Later fragments have no ports: they follow what was decided about the first one of their datagram, known by
 * addresses, id and protocol. Those that come before it are held, bounded in number and time. Pure; one thread; memory
 * is taken once.
 *
 * Over several workers: a later fragment does not tell its flow's owner. So every fragment goes first to its "home",
 * a worker computed from the address pair, whatever RSS did with it; the home learns the owner from the first fragment
 * and hands all of them on, in order. The owner decides about the first and remembers it for the later ones.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/flow.h"

struct director_frame;
struct fragments;
struct packet;

enum {
	/* The kernel keeps incomplete datagrams for 30 s; a router that only passes them on may be shorter. */
	FRAGMENTS_TIMEOUT_MSEC = 5000,
	FRAGMENTS_HELD_PER_DATAGRAM = 64,
};

enum fragment_verdict {
	FRAGMENT_FLOW,	    /* looked up with the first one's ports */
	FRAGMENT_STATELESS, /* as .flow says, which no table has */
	FRAGMENT_EXCEPTION,
	FRAGMENT_HANDOVER, /* to .worker */
	FRAGMENT_DROP,	   /* for .reason */
};

struct fragment_decision {
	uint8_t verdict; /* enum fragment_verdict */
	uint8_t reason;	 /* enum counter */
	uint16_t worker;
	uint16_t src_port_be, dst_port_be;
	struct flow flow;
};

/* At most max_held frames wait. -EINVAL: 0, or above 2^20; -ENOMEM. */
int fragments_new(size_t max_held, uint32_t tick_msec, uint64_t seed, struct fragments **ret);
/* Frames that wait are the caller's: fragments_next_ready() after fragments_expire() gives them back. */
void fragments_free(struct fragments *f);

/* NULL: the first one was not seen. Valid until the next call. */
const struct fragment_decision *fragments_find(struct fragments *f, const struct packet *p,
					       uint32_t now);
/* The first one came; those that wait for it are ready. */
void fragments_decide(struct fragments *f, const struct packet *p, uint32_t now,
		      const struct fragment_decision *decision);
/* Keeps a copy of the frame until it is ready. False: no room. */
bool fragments_hold(struct fragments *f, const struct director_frame *frame, uint32_t now);
/* A frame whose first one came, or whose time is up (*ret_timed_out). False: none. */
bool fragments_next_ready(struct fragments *f, struct director_frame *ret, bool *ret_timed_out);
void fragments_expire(struct fragments *f, uint32_t now);

size_t fragments_held(const struct fragments *f);

/* The same on every worker and host. */
unsigned fragments_home(const struct flow_key *k, unsigned n_workers);
