/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A worker: one lcore that runs to completion. It receives bursts from its queue of each port and from the ring by
 * which other workers hand over what is its own, has the director decide, and carries the decisions out. The only code
 * that receives from and transmits to ports. No system call but to sleep when idle.
 *
 * All workers are made first, then started: they hand over to each other.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/counters.h"
#include "dpdk-fastpath/director.h"

struct exception;
struct port;
struct rte_mempool;
struct rte_rcu_qsbr;
struct rte_ring;
struct tables;
struct worker;

enum {
	WORKER_TICK_MSEC = 100, /* of flows' timeouts */
	WORKER_PORT_IDS = 256,	/* no less than RTE_MAX_ETHPORTS */
};

/*
 * What all workers share; borrowed, and alive as long as they run. Ports may be attached while they do: what stands
 * below `ports` is written before a port is enabled.
 */
struct worker_shared {
	const struct tables *tables;
	struct worker *const *workers; /* by index */
	unsigned n_workers;
	struct rte_rcu_qsbr *qsbr;
	bool idle_sleep;
	struct port *ports; /* by index */
	unsigned n_ports;
	uint8_t port_index[WORKER_PORT_IDS]; /* by DPDK's id */
	struct exception *exception;	     /* NULL = none */
	_Atomic(struct rte_mempool *) pool;
};

/* Of `director`, worker and memory of the flows are filled in: hugepages where some are free. */
int worker_new(const struct worker_shared *shared, unsigned index,
	       const struct director_config *director, struct worker **ret);
void worker_free(struct worker *w);

/* One turn of its loop, by the calling thread: how benchmarks drive a worker that was not started. Returns the frames. */
unsigned worker_turn(struct worker *w);

/* Runs it on that lcore, until worker_stop(), which waits for its end. */
int worker_start(struct worker *w, unsigned lcore);
void worker_stop(struct worker *w);

/*
 * Calls fn on the worker's own thread, between two bursts, and returns when it has: within some milliseconds.
 * -ESRCH: it does not run.
 */
typedef void (*worker_function)(void *arg, struct director *d, const struct snapshot *s,
				uint32_t now_tick);
int worker_call(struct worker *w, worker_function fn, void *arg);

/* For the thread of the exception port: frames that go out of their port (mbuf->port) unchanged. */
struct rte_ring *worker_inject_ring(struct worker *w);

/* Any thread. Sums what the director and the worker itself counted. */
struct worker_counters {
	uint64_t value[_COUNTER_MAX];
	uint64_t connections_made, connections_expired, connections_evicted;
	uint64_t bursts, idle_sleeps;
};
void worker_counters(const struct worker *w, struct worker_counters *ret);
struct director *worker_director(struct worker *w);

/* Since it last came round its loop: beyond some milliseconds it is stuck, or has lost its CPU. */
uint64_t worker_late_usec(const struct worker *w);
unsigned worker_lcore(const struct worker *w);
