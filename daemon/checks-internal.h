/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What checks.c (results) and checks-guard.c (verdicts that wait, and the watch over the checks) share. */

#include "daemon/checks.h"

/* May the target go from healthy to unhealthy now? */
enum guard_hold checks_ask_guard(struct checks *c, const struct target_group *g, usec_t now_usec);

/* It went, or its verdict waits, or waits no more. */
void checks_note_down(struct checks *c, const struct target_group *g, struct record *r,
		      usec_t now_usec);
void checks_hold(struct checks *c, struct record *r, enum guard_hold hold, usec_t now_usec);
void checks_unhold(struct checks *c, struct record *r);

/* How late probes begin: daemon/checks-lateness.c. The text is of the alarm, without a final dot. */
enum {
	CHECKS_LATE_TEXT_MAX = 192,
};
void checks_watch_lateness(struct checks *c, usec_t now_usec);
const char *checks_late_text(const struct checks *c, char buf[static CHECKS_LATE_TEXT_MAX]);
json_t *checks_lateness_to_json(const struct checks *c);

/* Exec checks that are too many for the programs that may run: daemon/checks-crowd.c. */
void checks_take_crowd(struct checks *c, const struct protocol_heartbeat *beat);
void checks_watch_crowd(struct checks *c, usec_t now_usec);
json_t *checks_crowd_text(const struct checks *c);

/* What came of a probe, for certain. now_usec: when it was heard of. */
void checks_judge_result(struct checks *c, unsigned worker, const struct protocol_result *result,
			 usec_t now_usec);

/* Looks after what waits, and says what is wrong with the checks. Called once a second. */
void checks_tick(struct checks *c, usec_t now_usec);

/* A held target's failures become its verdict. */
void checks_release(struct checks *c, struct target_group *g, struct target *t, struct record *r,
		    usec_t now_usec);
