/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * From results of probes to verdicts: what the worker says goes through the guard (health/guard.h) to the target's
 * state machine and into its history; verdicts that have to wait are looked after, and the checks themselves are
 * watched. Every refusal to act is an event.
 */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "daemon/records.h"
#include "daemon/worker-pool.h"
#include "health/guard.h"
#include "health/lateness.h"
#include "health/protocol.h"

struct checks_waiting;
struct manager;
struct target;
struct target_group;

/* The guard's view of a group; by position in the registry. */
struct checks_group {
	char name[CONF_NAME_MAX + 1];
	struct guard_scope scope;
	struct guard_count count;
	unsigned waiting; /* verdicts that the capacity limit holds back */
	bool said_waiting;
};

/* Exec checks that wait for a place among the programs that run; by the last heartbeat of their worker. */
struct checks_crowd {
	uint64_t n_waiting;
	uint64_t n_left_out; /* since that worker began */
	bool grew;	     /* it is more than at the last look */
	struct guard_alarm alarm;
};

struct checks {
	struct manager *manager; /* borrowed */
	sd_event_source *timer;	 /* owned */
	struct records records;
	struct lateness lateness;		      /* of all probes */
	struct lateness lateness_of[WORKER_POOL_MAX]; /* of each worker's */
	struct guard_worker workers[WORKER_POOL_MAX];
	struct guard_scope all;
	struct guard_count all_count;
	struct checks_group *groups; /* owned */
	size_t n_groups;
	usec_t counted_usec; /* monotonic: age of the counts */
	size_t n_held;
	struct guard_alarm late_alarm, age_alarm;
	struct checks_crowd crowd;
	usec_t oldest_usec; /* age of the oldest verdict when last looked at, */
	uint64_t oldest_id; /* and whose it is; 0 = nobody's */
	uint64_t n_doubted; /* failures that did not count */
	uint64_t n_doubted_said;
	enum guard_doubt doubt; /* of the last of them */
	usec_t doubt_said_usec;
	struct checks_waiting *waiting; /* owned; results in order, see checks_settle() */
	size_t n_waiting, allocated_waiting;
	usec_t traffic_usec; /* when the counters were looked at for passive-health-interval */
};

/* -ENOMEM or the event loop's error. */
int checks_new(struct manager *m, struct checks **ret);
void checks_free(struct checks *c);

/* The configuration or the set of targets has changed. -ENOMEM: histories are incomplete. */
int checks_sync(struct checks *c, usec_t now_usec);

/* A hint: a result of this target follows soon. */
void checks_expect(const struct checks *c, uint64_t id);

void checks_take_result(struct checks *c, unsigned worker, const struct protocol_result *result,
			usec_t now_usec);

/*
 * A failure may be the fast path's, which hangs and is not known to hang yet: it waits for a sign of life, as do all
 * results after it. To be called whenever there may be one, or none will come any more.
 */
void checks_settle(struct checks *c);
void checks_take_heartbeat(struct checks *c, unsigned worker,
			   const struct protocol_heartbeat *beat);

/*
 * A report about a target that no worker made; it counts at once as if it had been the last of those that make the
 * target unhealthy.
 */
void checks_report_passive(struct checks *c, struct target_group *g, struct target *t,
			   usec_t now_usec);

/* The plane has just been dumped: what do its counters say of the targets? */
void checks_watch_traffic(struct checks *c, usec_t now_usec);

/* For status: {"lateness_us": {...}, "oldest_verdict": {...}, "alarms": [TEXT], ...}. NULL = no memory. */
json_t *checks_to_json(const struct checks *c);

/* Also for status: of each worker in the list, which has its "number". */
void checks_add_lateness(const struct checks *c, json_t *workers);

/* How old the verdict of a target may be. */
usec_t checks_age_limit(const struct conf *conf, const struct conf_health_check *check);

/* How old it is now; 0 when it is not probed. */
usec_t checks_age(const struct checks *c, const struct target *t, usec_t now_usec);
