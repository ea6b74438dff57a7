/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Destinations that a reload takes out of a service while they have connections: a listener that forwards to another
 * group now, a group that is gone. (A target that leaves its group drains in the registry.) "Existing connections are
 * untouched" (elbv2.md §1.4): they stay with weight 0 until their last connection ends or the deregistration delay of
 * their group is over. And those of targets whose deregistration delay is over while they have connections, in groups
 * without deregistration_delay.connection_termination: until the last one ends. Pure; times are wall clock.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "ipvs/ruleset.h"

struct conf;

/* A deadline: none. */
#define LINGER_UNTIL_IDLE ((usec_t)INT64_MAX)

struct linger_entry {
	struct ipvs_service_key service;
	struct addr addr;
	uint16_t port;
	usec_t deadline_usec;
};

struct linger_set {
	struct linger_entry *items; /* owned */
	size_t n;
};

#define LINGER_SET_INIT ((struct linger_set){ 0 })

void linger_set_deinit(struct linger_set *s);

/* -ENOMEM. */
int linger_set_add(struct linger_set *s, const struct linger_entry *e);
int linger_set_copy(const struct linger_set *from, struct linger_set *ret);

/* Does a service of `before` lose a destination in `after`? */
bool linger_any_leaves(const struct ipvs_ruleset *before, const struct ipvs_ruleset *after);

/*
 * Notes what has connections in `actual` and is in a service of `before` but not in the same service of `after`; the
 * delays are those of `conf`, to which `before` belongs. Forgets what `after` has again, and services that it lacks.
 */
int linger_note(struct linger_set *s, const struct conf *conf, const struct ipvs_ruleset *actual,
		const struct ipvs_ruleset *before, const struct ipvs_ruleset *after,
		usec_t now_usec);

/*
 * Adds to `desired` what lingers and is in `actual`, with weight 0, at the place that it has in the list, so that no
 * ordered service is rearranged for it. -ENOMEM.
 */
int linger_merge(const struct linger_set *s, const struct ipvs_ruleset *actual,
		 struct ipvs_ruleset *desired);

/* Notes the destinations of a target with connections in this service of `actual`, with LINGER_UNTIL_IDLE. -ENOMEM. */
int linger_keep(struct linger_set *s, const struct ipvs_service *actual, const struct addr *addr,
		uint16_t port);

/* Forgets what `desired` has by itself: a target that came back. */
void linger_forget(struct linger_set *s, const struct ipvs_ruleset *desired);

/* The wall clock was set. */
void linger_shift(struct linger_set *s, int64_t by_usec);

/* Is this connection count over? By destination, since the answer may need the connection table. */
typedef bool (*linger_idle_fn)(const struct ipvs_dest *d, void *userdata);

/* Forgets what is idle, gone or past its deadline. Returns whether anything was forgotten. */
bool linger_finish(struct linger_set *s, const struct ipvs_ruleset *actual, linger_idle_fn idle,
		   void *userdata, usec_t now_usec);
