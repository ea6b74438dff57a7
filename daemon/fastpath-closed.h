/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which destinations of the fast path have closed connections: those that it keeps for a while after both sides are
 * done, as the kernel does, and that no drain needs to wait for. As daemon/proc-conns.h for the kernel.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct channel;
struct connrec;

struct fastpath_closed {
	struct fastpath_closed_dest {
		struct addr addr;
		uint16_t port;
		uint64_t n;
	} * items; /* owned */
	size_t n, room;
};

#define FASTPATH_CLOSED_INIT ((struct fastpath_closed){ 0 })

void fastpath_closed_deinit(struct fastpath_closed *c);

/* Goes through all its connections: the caller asks only for short tables. Negative errno, and an empty list. */
int fastpath_closed_read(struct channel *channel, struct fastpath_closed *ret);

/* Counts the connection where it is closed; afterwards fastpath_closed_finish(). -ENOMEM. */
int fastpath_closed_add(struct fastpath_closed *c, const struct connrec *r);
void fastpath_closed_finish(struct fastpath_closed *c);

/* port 0 = any: of a destination that takes the client's port. */
uint64_t fastpath_closed_count(const struct fastpath_closed *c, const struct addr *addr,
			       uint16_t port);
