/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The line that an HAProxy agent says (HAProxy's configuration manual, "agent-check"): words parted by blanks or
 * commas, in any order and in any case:
 *
 *   up                    the target is well, as far as the agent knows
 *   down, fail, stopped   it is not
 *   drain, maint, ready   the administrator's wish: no new connections; none at all; as usual again
 *   75%                   of its configured weight
 *   maxconn:30            ignored: IPVS has no queue
 *
 * What stands behind a # is for people. Of words that contradict each other the last one counts. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/outcome.h"

struct agent_report {
	bool down;
	enum probe_advice
		advice; /* the administrator's wish where there is one, else UP or DOWN, else NONE */
	int32_t weight_percent; /* -1 = not a word about it */
};

/* -EINVAL where no word is known; unknown words beside known ones are passed over, as HAProxy does. */
int agent_line_parse(const char *line, size_t n, struct agent_report *ret);

/* "75%", digits alone, at most PROBE_WEIGHT_PERCENT_MAX in effect; -EINVAL otherwise. */
int agent_percent_parse(const char *word, size_t n, int32_t *ret);
