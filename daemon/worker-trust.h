/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The sets of authorities that one worker has or is to have: those that its specifications name, and no others. Each
 * reaches it ahead of them, and is taken back after the last of them; see health/protocol.h. Zero-initialised.
 */

#include <stddef.h>
#include <stdint.h>

#include "health/protocol.h"

struct authorities;

/* The registry's numbers, any order; a number may be there more than once, for the same certificates. */
struct worker_authorities {
	uint64_t number;
	struct authorities *certificates; /* borrowed */
};

struct worker_trust_set;

struct worker_trust {
	struct worker_trust_set *sets; /* owned */
	size_t n;
};

/* From now on these specifications are the worker's; `all` has whatever they name. -ENOMEM: nothing has changed. */
int worker_trust_want(struct worker_trust *t, struct protocol_probe *const *probes, size_t n,
		      const struct worker_authorities *all, size_t n_all);

/*
 * Before specifications: sends what is wanted and not there yet. After them: takes back what is not wanted any more.
 * 0 when all is done, or a negative errno, -EAGAIN when the socket is full; to be called again then.
 */
int worker_trust_send(struct worker_trust *t, int fd);
int worker_trust_take_back(struct worker_trust *t, int fd);

/* A new worker has none of them. */
void worker_trust_restart(struct worker_trust *t);

void worker_trust_deinit(struct worker_trust *t);
