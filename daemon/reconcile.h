/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Actual, desired, difference: the one way in which the daemon changes a plane, at start, reload, health change and
 * drift alike. The last dump is kept in the manager with every applied operation added, so a change of health needs
 * no dump; a dump is taken at start, every reconcile-interval, and before a reload that finds other services than the
 * last dump had.
 */

#include <jansson.h>
#include <stddef.h>

struct channel;
struct conf;
struct ipvs_ruleset;
struct manager;
struct plan;
struct registry;

struct reconcile_report {
	json_t *changes; /* owned; array of texts, at most RECONCILE_CHANGES_MAX of them */
	size_t n_ops;
	char *error; /* owned; what failed and the remedy, one line; NULL = nothing failed */
};

enum {
	RECONCILE_CHANGES_MAX = 200,
};

#define RECONCILE_REPORT_INIT ((struct reconcile_report){ 0 })

void reconcile_report_deinit(struct reconcile_report *r);

/* Takes a new dump into m->actual. On error the old one stays. Negative errno. */
int reconcile_dump(struct manager *m);

/*
 * Takes a new dump if the services, without their destinations, are not those of the last one. What this quick look
 * cannot see, an edited destination, is found by the next reconcile, which a reload calls for at once.
 */
int reconcile_dump_if_stale(struct manager *m);

/*
 * At start, after the first dump: what our services have in the plane counts as applied last, so that what the
 * configuration has lost since then may linger, as after a reload. -ENOMEM.
 */
int reconcile_assume_applied(struct manager *m);

/*
 * Makes the plane what `conf` and `registry` say. Operations that failed because the plane had changed behind our
 * back are planned anew after a dump, a bounded number of times. -EIO: some operation failed for good (see
 * ret_report->error); the others have been done, but for a reload's removals. Other negative errno: the plane cannot be talked to.
 */
enum reconcile_cause {
	RECONCILE_WEIGHTS, /* health, drains, drift: the configuration is the same */
	RECONCILE_RELOAD, /* what a service loses while it has connections shall linger (daemon/linger.h) */
};

int reconcile_apply(struct manager *m, const struct conf *conf, const struct registry *registry,
		    enum reconcile_cause cause, struct reconcile_report *ret_report);

/*
 * Sends the operations to a plane. 0: all done; 1: what the plane has is not what it was, dump and plan again; -EIO: it
 * refuses some for good, see report->error; other negative errno: it cannot be talked to. The others are done when some
 * fail.
 */
int reconcile_apply_ops(struct channel *channel, const struct plan *ops,
			struct reconcile_report *report);

/* The services and destinations that a configuration and its registry ask for. -ENOMEM. */
int reconcile_desired(const struct conf *conf, const struct registry *registry,
		      struct ipvs_ruleset *ret);

/* The changes of an apply that nobody asked for, since the plane had been changed by others: logged one by one. */
void reconcile_log_drift(struct manager *m, const struct reconcile_report *report);

/* What reconcile_apply() would do, with live connections: [{"change", "active", "inactive"}]. */
int reconcile_preview(struct manager *m, const struct conf *conf, const struct registry *registry,
		      struct reconcile_report *ret_report, json_t **ret_impact);
