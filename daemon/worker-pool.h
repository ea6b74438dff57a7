/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The health workers: processes for each kind of right that a probe needs (health/worker.h). There are as many network
 * workers as the configuration says, at least one, and each probe belongs to one of them by its id, so that a worker
 * that dies or hangs is missed for its share only. One mark worker and one exec worker run while there are
 * specifications of their kind: what programs do, or a process that they hold up, reaches no other probe. Each is
 * watched and replaced on its own (daemon/worker-link.h).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/worker-link.h"

/* Numbers of workers: network workers from 0 on, then: */
enum {
	WORKER_POOL_NETWORK_MAX = 64,
	WORKER_POOL_MARK = WORKER_POOL_NETWORK_MAX,
	WORKER_POOL_EXEC,
	WORKER_POOL_MAX,
};

enum worker_kind worker_pool_kind(unsigned number);

struct worker_pool;

/* Names of users, copied. */
struct worker_users {
	const char *health; /* of the network and the mark workers */
	const char *exec;
};

/* Without workers: worker_pool_sync() starts them. */
int worker_pool_new(sd_event *event, const struct worker_users *users,
		    const struct worker_handlers *handlers, struct worker_pool **ret);
void worker_pool_free(struct worker_pool *p);

/* As they were given at the start. Borrowed. */
struct worker_users worker_pool_users(const struct worker_pool *p);

/* How many the probes need, at half of a processor each, but not more than there are processors. Pure. */
unsigned worker_pool_needed(struct protocol_probe *const *probes, size_t n, unsigned processors);

/* The number of the worker that has this probe, of so many network workers. Pure. */
unsigned worker_pool_share(const struct protocol_probe *p, unsigned n_network);

/*
 * As worker_link_sync(), for all, on n_network processes (0 = as many as needed); changes the probes' order. Where that
 * number changes, probes move to another worker and keep their phase. Negative errno: some may be as before.
 */
int worker_pool_sync(struct worker_pool *p, unsigned n_network, const struct worker_task *task);

/* As worker_link_probe_now(), of the worker that has it. */
void worker_pool_probe_now(struct worker_pool *p, uint64_t id);

/* Are they, programs aside? */
bool worker_pool_on_time(const struct worker_pool *p, usec_t now_usec);

/* Of network workers. */
unsigned worker_pool_count(const struct worker_pool *p);

/* False when there is none of this number. */
bool worker_pool_status(const struct worker_pool *p, unsigned number, usec_t now_usec,
			struct worker_status *ret);

/* For status: sums and the worst of all, and "workers": each one's. NULL = no memory. */
json_t *worker_pool_to_json(const struct worker_pool *p, usec_t now_usec);
