/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The kernel's connection table, /proc/net/ip_vs_conn: which destinations have connections that still carry data. The
 * destination counters cannot tell: a closed TCP connection stays in InActConn for 120 s (TIME_WAIT), and a drain
 * need not wait for that. Reading is quadratic in the table's length before Linux 6.14, so the caller asks only for
 * short tables.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct proc_conn {
	struct addr dest;
	uint16_t dest_port;
	bool live;	/* not closed, not waiting for its end, not a persistence template */
	bool half_open; /* a SYN, and nothing after it */
};

/* One line of the file, without or with its newline. Pure. -EBADMSG: not an entry (e.g. the heading). */
int proc_conn_parse(const char *line, struct proc_conn *ret);

/* Destinations with live connections, sorted, one entry a connection. */
struct proc_conns {
	struct proc_conn *items; /* owned */
	size_t n;
};

void proc_conns_deinit(struct proc_conns *c);

/* Of the calling thread's network namespace. Negative errno. */
int proc_conns_read(struct proc_conns *ret);

/* Half-open ones of this destination; port as below. */
size_t proc_conns_half_open(const struct proc_conns *c, const struct addr *dest, uint16_t port);

/* port 0 = any: of a destination that takes the client's port. */
bool proc_conns_has(const struct proc_conns *c, const struct addr *dest, uint16_t port);
