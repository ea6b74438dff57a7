/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A pool of real workers, which are the test's own program (pool_rig_main), in an event loop: nothing sleeps. Failures are
 * cmocka's.
 */

#include <sys/types.h>

#include "daemon/worker-pool.h"

struct pool_rig {
	sd_event *event;	  /* owned */
	struct worker_pool *pool; /* owned */
	struct worker_handlers handlers;
	unsigned troubles;
	char trouble[256]; /* the last one */
};

/* handlers: those that are NULL need no test's attention; troubles are noted in any case. Without a worker. */
void pool_rig_init(struct pool_rig *rig, const struct worker_handlers *handlers);
void pool_rig_deinit(struct pool_rig *rig);

/* On the heap: a specification to 127.0.0.1. */
struct protocol_probe *pool_rig_probe(const struct protocol_probe *like);

/* worker_pool_sync(), after which the probes that were not taken are freed. */
void pool_rig_sync(struct pool_rig *rig, unsigned n_workers, const struct worker_task *task);

/* One round of the loop, of so many milliseconds at most. */
void pool_rig_step(struct pool_rig *rig, unsigned msec);

struct worker_status pool_rig_status(const struct pool_rig *rig, unsigned worker);

/* What main() has to do first: the exit status where this process is a worker, else -1. */
int pool_rig_main(int argc, char **argv);
