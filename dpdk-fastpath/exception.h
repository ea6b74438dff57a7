/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The exception port: what is not load-balanced goes to the kernel through a TAP interface with the port's MAC and MTU,
 * and what the kernel sends there goes out of the port unchanged. One interface for each port, all served by one
 * thread, so that workers make no system call for them but the one that wakes this thread.
 */

#include <stddef.h>
#include <stdint.h>

struct exception;
struct port;
struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

struct exception_config {
	const char
		*name; /* of the first port's interface; the others by options_exception_name() */
	const struct port *ports; /* borrowed; attached */
	size_t n_ports;
	struct rte_mempool *pool; /* borrowed */
	struct rte_ring *inject;  /* borrowed: frames from the kernel, mbuf->port is DPDK's id */
};

/*
 * Makes the interfaces and starts the thread. What fails is logged with its remedy. The interfaces go when the process
 * ends.
 */
int exception_new(const struct exception_config *c, struct exception **ret);
void exception_free(struct exception *e);

/*
 * Any worker. Gives n frames of ports (mbuf->port) to the kernel; returns how many were taken, from the first on. The
 * others stay the caller's. e NULL: none.
 */
unsigned exception_put(struct exception *e, struct rte_mbuf **mbufs, unsigned n);

/* Index of the kernel's interface of a port; 0 = none. */
int exception_interface(const struct exception *e, unsigned port_index);

struct exception_counters {
	uint64_t to_kernel, from_kernel; /* frames */
	uint64_t refused_by_kernel, refused_by_worker;
};
void exception_counters(const struct exception *e, struct exception_counters *ret);
