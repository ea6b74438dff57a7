/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The health workers: one process for each kind of right that a probe needs (health/worker.h), started when the first
 * specification of its kind comes and ended after the last, but for the network worker, which always runs. What
 * programs do, or a process that they hold up, reaches no other probe.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/worker-link.h"

struct worker_pool;

/* Names of users, copied. */
struct worker_users {
	const char *health; /* of the network and the mark worker */
	const char *exec;
};

/* The network worker is started at once. Of heartbeats only its own are handed on. */
int worker_pool_new(sd_event *event, const struct worker_users *users,
		    const struct worker_handlers *handlers, struct worker_pool **ret);
void worker_pool_free(struct worker_pool *p);

/* As they were given at the start. Borrowed. */
struct worker_users worker_pool_users(const struct worker_pool *p);

/* As worker_link_sync(), for all kinds; changes their order. */
int worker_pool_sync(struct worker_pool *p, struct protocol_probe **probes, size_t n);

/* As worker_link_probe_now(), of the worker that has it. */
void worker_pool_probe_now(struct worker_pool *p, uint64_t id);

/* Are they, programs aside? */
bool worker_pool_on_time(const struct worker_pool *p, usec_t now_usec);

/* The network worker's process and heartbeat, with the counters of all. */
void worker_pool_status(const struct worker_pool *p, usec_t now_usec, struct worker_status *ret);
