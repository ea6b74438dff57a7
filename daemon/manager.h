/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon's one object: it owns the configuration, the target registry, the plane's channel, the health worker,
 * the events and the control socket, and runs them on one sd-event loop. The operations below are what the control
 * socket and the signals ask for; they run to their end before they return, inside the loop's thread.
 *
 * Operations return 0 or a negative errno and always set *ret_report (owned by the caller) to a JSON object; on
 * failure it has "error": TEXT and perhaps "diagnostics": [{file, line, severity, message}].
 */

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "daemon/events.h"
#include "daemon/linger.h"
#include "daemon/registry.h"
#include "ipvs/ruleset.h"

struct channel;
struct checks;
struct control;
struct fastpath;
struct names;
struct persist;
struct vip_set;
struct worker_pool;

struct manager_options {
	const char *config_path;     /* borrowed, absolute */
	const char *control_socket;  /* borrowed; NULL = the configuration's */
	const char *state_directory; /* borrowed; NULL = the configuration's */
};

struct manager {
	struct manager_options options;
	sd_event *event; /* owned, as all below */
	struct conf *conf;
	struct registry registry;
	struct channel *channel;
	struct ipvs_ruleset
		actual; /* the kernel's last dump, with what was applied since and the fast path's counters */
	struct ipvs_ruleset desired; /* what was applied last, without those that linger */
	usec_t actual_usec;	     /* monotonic time of that dump */
	struct ipvs_service_key *owned_services; /* sorted; persisted before they are created */
	size_t n_owned_services;
	struct linger_set linger; /* destinations that left their service with connections */
	struct worker_pool *workers;
	struct checks *checks;
	struct control *control;
	struct vip_set *vips;
	struct fastpath *fastpath;
	struct persist *persist;
	struct names *names;
	struct event_ring events;
	sd_event_source *reconcile_timer, *apply_timer, *drain_timer, *save_timer, *watchdog_timer;
	sd_event_source *times_timer; /* see daemon/deadlines.h */
	usec_t apply_at_usec;	      /* monotonic; USEC_NEVER = nothing is waiting to be applied */
	usec_t apply_rest_usec;	      /* monotonic; nothing is applied before, unless asked for */
	json_t *warnings; /* texts for `status`: kernel settings, addresses that no interface has */
	usec_t started_usec;	 /* monotonic */
	usec_t loaded_usec;	 /* wall clock */
	usec_t wall_offset_usec; /* wall clock less boot time, when last looked at */
	uint64_t reloads, reloads_failed, drift_repairs;
	char *last_error; /* why the configuration on disk is not the one that runs; NULL = it is */
	bool apply_failed; /* the last one: what a reconcile then does is no drift */
	bool save_failed;  /* the last save; so that a full disk is one line */
	bool vips_failed;  /* likewise, of the last reconcile's look at the addresses */
	bool stopping;
	usec_t stop_deadline_usec; /* monotonic; stop = drain */
};

/*
 * What everything in the registry is timed by: the wall clock, but when that is set, still as it was until what is
 * timed has been moved (manager.c). So a step that nobody has noticed yet ends nothing.
 */
static inline usec_t manager_wall_usec(const struct manager *m)
{
	return clock_boottime_usec() + m->wall_offset_usec;
}

/* Reads configuration and state, opens the channel, starts the worker, applies. Logs its own errors. */
int manager_new(const struct manager_options *options, struct manager **ret);
/* Leaves the planes as they are, unless `stop` in the configuration says otherwise. */
void manager_free(struct manager *m);
int manager_run(struct manager *m);

/*
 * Weights and drains have changed: apply within delay_usec. Several calls before that are one apply: downs ask for
 * 0, ups can wait.
 */
void manager_apply_within(struct manager *m, usec_t delay_usec);

/* What is waiting, at once: a reload compares with what is applied. */
void manager_apply_pending(struct manager *m);

/* Answers those who wait for new events. */
void manager_wake_event_waiters(struct manager *m);

/* Looks after drains from now on, once a second, until there are none; and after what else time does to targets. */
void manager_watch_drains(struct manager *m);

/* Does any target drain, or any destination linger? */
bool manager_has_drains(const struct manager *m);

/* The next reconcile is due in a moment; from then on at the configuration's interval. */
void manager_reconcile_soon(struct manager *m);

/* The probes that the registry asks for, to the worker. */
int manager_sync_probes(struct manager *m);

/* This target's next probe is due now. */
void manager_probe_now(struct manager *m, uint64_t id);

/* Logs, keeps for `ipvsd events`, and wakes those who wait for events. */
void manager_event(struct manager *m, int level, const char *kind, const char *object,
		   const char *format, ...) __attribute__((format(printf, 5, 6)));

int manager_reload(struct manager *m, json_t **ret_report);

/* What a reload of `path` (NULL = the running configuration's file) would do. */
int manager_plan(struct manager *m, const char *path, json_t **ret_report);

/* The tables of `ipvsd status --json`, which the caller owns; documented in ipvsd(8). -ENOMEM. */
int manager_status(struct manager *m, char **ret_text, size_t *ret_len_bytes);

/* The fast path's state, with the counters of its workers. */
int manager_fastpath_status(struct manager *m, json_t **ret_report);

/* An order to it; it is carried out after the return. force: an interface with the default route may be taken. */
int manager_fastpath_order(struct manager *m, bool on, bool force, json_t **ret_report);

/* {"events": [...], "last": N}; last is the newest of all, not of those that the filter lets through. */
int manager_events(struct manager *m, const struct event_filter *f, json_t **ret_report);

enum manager_target_verb {
	MANAGER_REGISTER,
	MANAGER_DEREGISTER,
	MANAGER_DRAIN,
	MANAGER_UNDRAIN,
};

struct manager_target_request {
	const char *group;  /* borrowed */
	const char *target; /* borrowed: ADDR[:PORT] */
	const char *zone;   /* borrowed; NULL = "" */
	int64_t weight;	    /* register only; -1 = as it is, or the default */
};

/* Idempotent; persisted before it returns. -ENOENT unknown group or target, -EINVAL bad request. */
int manager_target(struct manager *m, enum manager_target_verb verb,
		   const struct manager_target_request *request, json_t **ret_report);
