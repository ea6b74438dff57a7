/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What would have been: the recorded probe results of a target through the same state machine (health/target.c) with
 * other thresholds or a shorter timeout, compared with what was. Pure but for memory.
 *
 * A transition that was and one that would have been are the same one when both led to the same state and the times
 * for which that state lasted overlap; each has at most one partner, and of several the earliest. So of two flaps that
 * other thresholds would have made one, the first is kept and the second would not have happened.
 */

#include <stddef.h>

#include "health/history.h"

struct replay_settings {
	struct target_thresholds thresholds;
	usec_t timeout_usec; /* good answers that took longer count as failed; 0 = as they were */
};

enum replay_kind {
	REPLAY_SAME,	/* at the same result */
	REPLAY_EARLIER, /* it would have happened earlier */
	REPLAY_LATER,
	REPLAY_ABSENT, /* it happened, and would not have happened */
	REPLAY_NEW,    /* it would have happened, and did not */
	_REPLAY_KIND_MAX,
};

struct replay_transition {
	uint32_t entry; /* the result that caused it */
	usec_t wall_usec;
	enum target_state from, to;
};

struct replay_change {
	enum replay_kind kind;
	struct replay_transition was;	/* not of REPLAY_NEW */
	struct replay_transition would; /* not of REPLAY_ABSENT */
};

struct replay {
	struct replay_change *changes; /* owned; in the order of time */
	size_t n;
	size_t n_was, n_would; /* transitions of each */
	enum target_state last_was, last_would;
	/* Results that timed out before the new timeout: whether an answer would have come is not known. */
	size_t n_unknown;
};

#define REPLAY_INIT ((struct replay){ 0 })

void replay_deinit(struct replay *r);

/* -ENOMEM. */
int replay_run(const struct history *h, const struct replay_settings *settings, struct replay *ret);

const char *replay_kind_to_string(enum replay_kind k); /* "same", "earlier", … */
