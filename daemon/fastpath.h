/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The fast path as the daemon has it: one process (ipvsd-fastpath), supervised; its ports' devices and addresses; its
 * table. What is done when is decided in daemon/fastpath-machine.h. It outlives the daemon: fastpath_free() leaves it
 * as it is.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "health/guard.h"

struct conf;
struct fastpath;
struct ipvs_ruleset;
struct manager;
struct reconcile_report;
struct registry;

/*
 * Reads what a daemon before us left. What is half done is put back at once, waiting for it; a process that has the
 * traffic is adopted. Before the first look at addresses.
 */
int fastpath_new(struct manager *m, struct fastpath **ret);
void fastpath_free(struct fastpath *f);

/* The daemon is up: goes on with what was adopted, or starts what is wanted. */
void fastpath_begin(struct fastpath *f);

/* m->conf is another one. */
void fastpath_configure(struct fastpath *f);

/* The traffic back to the kernel, at once and waiting for it: the daemon ends and leaves nothing. */
void fastpath_end(struct fastpath *f);

/* The operator's order; goes on after the return, see "settled". -EBUSY, -EINVAL, with "error" in the report. */
int fastpath_order(struct fastpath *f, bool on, bool force, json_t **ret_report);

/* {"state", "settled", ...}, as in ipvsd(8). `counters`: with those of workers. -ENOMEM. */
int fastpath_report(struct fastpath *f, bool counters, json_t **ret_report);

/* When probes last were lost because addresses and routes went from plane to plane; f may be NULL. */
struct guard_outage fastpath_outage(const struct fastpath *f);

/*
 * False: whether probes that ended then were lost in it is not known yet. It is asked at once for a sign of life by
 * fastpath_await_life(); what comes of it is told by checks_settle().
 */
bool fastpath_vouches(const struct fastpath *f, usec_t at_usec);
void fastpath_await_life(struct fastpath *f);

/* "kernel" or "fast path". */
const char *fastpath_plane_name(const struct fastpath *f);

/*
 * Services and destinations to the fast path, when it has one or is about to. -EIO: it refuses something
 * (report->error). A process that does not answer is no error here: the traffic goes back to the kernel.
 */
int fastpath_apply(struct fastpath *f, const struct conf *conf, const struct registry *registry,
		   struct reconcile_report *report);

/* Takes a dump and adds its connections and counters to those of the kernel. */
void fastpath_add_live(struct fastpath *f, struct ipvs_ruleset *to);

/* Has a look at the states of connections; it costs in proportion to their number. After fastpath_add_live(). */
void fastpath_look_at_states(struct fastpath *f);

/*
 * Does the fast path have connections of this destination that are neither established nor, as of the last look,
 * closed? port 0: of any port.
 */
bool fastpath_has_unclosed(const struct fastpath *f, const struct addr *addr, uint16_t port);

/* Of which it had seen no more than a SYN at the last look. port 0: of any port. */
uint64_t fastpath_half_open(const struct fastpath *f, const struct addr *addr, uint16_t port);
