/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The document of one target group. Targets that a start would make the same without it are left out, and so are
 * members that have their usual value: an absent member is that value. A later document of the same group may hold
 * the changed targets alone (daemon/state-journal.h): a target is known by its position in the group, which is named
 * where it is not that in the document. Pure but for memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "daemon/registry.h"

struct state_group {
	struct target_group group; /* no conf pointer */
	uint32_t *at;		   /* owned; of each target: its position when it was saved */
	usec_t saved_usec;	   /* wall clock */
	size_t n_skipped;	   /* entries that made no sense and were left out */
};

#define STATE_GROUP_INIT ((struct state_group){ 0 })

void state_group_deinit(struct state_group *s);

/*
 * Of everything that a restart needs; 0 when there is nothing to keep, and then no document is needed. What changes
 * with every probe (time, duration, outcome and counters of the last results) is not in it: it is written when
 * something else is.
 */
uint64_t state_group_hash(const struct target_group *g);

/* The same of a single target. */
struct state_group_mark {
	uint64_t who;  /* address and port */
	uint64_t what; /* all that state_group_hash() sees; 0 = nothing to keep */
};

/* Returns the group's hash; ret: room for g->n marks, by position. */
uint64_t state_group_mark(const struct target_group *g, struct state_group_mark *ret);

/* -ENOMEM. */
int state_group_format(const struct target_group *g, usec_t now_wall_usec, char **ret_text,
		       size_t *ret_len_bytes);

/* The targets at these positions alone, in one line without its end. -ENOMEM. */
int state_group_format_some(const struct target_group *g, const uint32_t *positions, size_t n,
			    usec_t now_wall_usec, char **ret_text, size_t *ret_len_bytes);

/*
 * Reads a document, or a later one of the same group, whose targets are added at the end. Entries that make no sense are
 * skipped and counted. -EBADMSG: not our document; -EPROTONOSUPPORT: another version; -ENOMEM: *s is what it was.
 */
int state_group_add(struct state_group *s, const char *text, size_t len_bytes);

/* Makes a group of what was added: each position once, as it was last said. -ENOMEM. */
int state_group_settle(struct state_group *s);

/* For verdicts that are too old to be believed: the targets start as initial. Drains and registrations stay. */
void state_group_forget_verdicts(struct target_group *g, usec_t now_wall_usec);

/*
 * After a crash the counters are those of the last save: failures of an hour ago must not count with the next one.
 * Resets the counters that speak against the verdict.
 */
void state_group_forget_counters(struct target_group *g);

/* [A-Za-z0-9-]{1,32}: what may be part of a file's name. */
bool state_group_name_is_valid(const char *name);
