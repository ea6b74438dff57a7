/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Source addresses and ports of full NAT. The ports of every local address are cut into one slice a worker
 * (snapshot_local_ports()), so that an answer's owner is known from its destination port alone. For each destination the worker walks its slice in a circle,
 * from a place that a secret chooses: a port is used again as late as can be (RFC 6056, 3.3.4). Whether a candidate is
 * free, the caller's flow table says. Where it is known how the port that answers come by spreads them (rss.h), ports
 * whose answers come to this worker are candidates first, the others when all of those are taken. Pure; one thread; no
 * division.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct local_ports;
struct rss;
struct rss_slot;
struct snapshot;

enum {
	/* A walk gives up after so many: bounds the cost of a new connection when nearly all ports are in use. */
	LOCAL_PORTS_TRIES = 128,
};

/* -EINVAL: no such worker; -ENOMEM. */
int local_ports_new(unsigned worker, unsigned n_workers, uint64_t seed, struct local_ports **ret);
void local_ports_free(struct local_ports *l);

/* By port index; borrowed. Without, no port is preferred. */
void local_ports_set_rss(struct local_ports *l, const struct rss_slot *slots, size_t n);

/* Candidates for one new connection; on the stack. */
struct local_ports_walk {
	struct local_ports *ports;
	uint32_t dest_id;
	uint32_t n_left;
	uint16_t first_local, n_locals;
	uint16_t local, port;
	/* While only ports are taken whose answers come here; NULL otherwise. */
	const struct rss *rss;
	const struct snapshot *snapshot;
	uint32_t source_hash;
	uint8_t family;
};

void local_ports_begin(struct local_ports *l, const struct snapshot *s, uint8_t family,
		       uint32_t dest_id, struct local_ports_walk *ret);

/* The next candidate: *ret_local is an index of snapshot.locals. False: no local address, or no try left. */
bool local_ports_next(struct local_ports_walk *w, uint16_t *ret_local, uint16_t *ret_port_be);

/* What local_ports_next() will answer first, without going there. False: no local address. */
bool local_ports_guess(struct local_ports *l, const struct snapshot *s, uint8_t family,
		       uint32_t dest_id, uint16_t *ret_local, uint16_t *ret_port_be);
