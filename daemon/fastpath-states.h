/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Destinations of the fast path by the states of their TCP connections: the closed, which it keeps for a while after both
 * sides are done, as the kernel does, and which no drain needs to wait for; and the half open, which may say that a target
 * does not answer. As daemon/proc-conns.h for the kernel.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct channel;
struct connrec;

struct fastpath_states {
	struct fastpath_states_dest {
		struct addr addr;
		uint16_t port;
		uint64_t closed, half_open;
	} * items; /* owned */
	size_t n, room;
};

#define FASTPATH_STATES_INIT ((struct fastpath_states){ 0 })

void fastpath_states_deinit(struct fastpath_states *c);

/* Goes through all its connections: the caller asks only for short tables. Negative errno, and an empty list. */
int fastpath_states_read(struct channel *channel, struct fastpath_states *ret);

/* Counts the connection where it is one of these; afterwards fastpath_states_finish(). -ENOMEM. */
int fastpath_states_add(struct fastpath_states *c, const struct connrec *r);
void fastpath_states_finish(struct fastpath_states *c);

/* port 0 = any: of a destination that takes the client's port. */
uint64_t fastpath_states_half_open(const struct fastpath_states *c, const struct addr *addr,
				   uint16_t port);
uint64_t fastpath_states_closed(const struct fastpath_states *c, const struct addr *addr,
				uint16_t port);
