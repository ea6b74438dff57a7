/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon's end of one health worker: starts the process, holds the specifications that it must have, hands its
 * results on, and starts another one when it dies, says nonsense or goes silent. While no worker reports, no result
 * arrives, so weights stay as they are (fail static).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "daemon/worker-trust.h"
#include "health/protocol.h"
#include "health/worker.h"

struct worker_link;

/* A heartbeat older than this means that the worker is late; the first one has longer after starts that took longer. */
#define WORKER_LATE_USEC (3 * USEC_PER_SEC)

struct worker_handlers {
	/* A hint: a result of this probe follows soon. NULL = none is wanted. */
	void (*on_expected)(uint64_t id, void *userdata);
	/* worker: the number that worker_link_new() was given. */
	void (*on_result)(unsigned worker, const struct protocol_result *result, void *userdata);
	void (*on_heartbeat)(unsigned worker, const struct protocol_heartbeat *beat,
			     void *userdata);
	/* The worker went away or was put away; text is borrowed, one line. */
	void (*on_trouble)(const char *text, void *userdata);
	void *userdata; /* borrowed */
};

struct worker_status {
	pid_t pid; /* 0 = none runs now */
	bool alive, frozen;
	uint64_t restarts;
	usec_t heartbeat_age_usec;
	struct protocol_heartbeat last;
};

/* What is to run: specifications, and the authorities that they name. */
struct worker_task {
	struct protocol_probe **probes; /* each a whole record, texts included, on the heap */
	size_t n;
	const struct worker_authorities *authorities; /* borrowed */
	size_t n_authorities;
};

/* The first process is started at once, or as soon as there is what it takes. */
int worker_link_new(sd_event *event, const char *user, enum worker_kind kind, unsigned number,
		    const struct worker_handlers *handlers, struct worker_link **ret);

/* NULL is fine. */
void worker_link_free(struct worker_link *l);

/*
 * The probes that shall run, any order, ids unique; what is equal to what the worker has already is left alone. Those
 * that are taken over are NULL afterwards, the others stay the caller's. -ENOMEM: nothing has changed.
 */
int worker_link_sync(struct worker_link *l, const struct worker_task *task);

/*
 * The probe with this id is made at once, if this worker has it; lost when its socket is full. False: it has not.
 */
bool worker_link_probe_now(struct worker_link *l, uint64_t id);

/* Has it reported, or been started, so lately that it is not late? */
bool worker_link_on_time(const struct worker_link *l, usec_t now_usec);

void worker_link_status(const struct worker_link *l, usec_t now_usec, struct worker_status *ret);
