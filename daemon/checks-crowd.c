/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Exec checks that are too many for the programs that may run at once. None is left out for ever (health/prober.h), but
 * verdicts are older than the interval promises: an alarm, from the first check that is left out until none waits.
 */

#include <inttypes.h>

#include "base/log.h"
#include "daemon/checks-internal.h"
#include "daemon/manager.h"
#include "health/probe-exec.h"

/* A worker that was not heard of for so long is gone or stands still, and so is its line. */
#define SILENCE_USEC (4 * PROTOCOL_HEARTBEAT_USEC)

void checks_take_crowd(struct checks *c, const struct protocol_heartbeat *beat)
{
	struct checks_crowd *crowd = &c->crowd;

	/* Less than before is a new worker's. */
	if (beat->probes_left_out != crowd->n_left_out)
		crowd->grew = beat->probes_left_out > 0;
	crowd->n_left_out = beat->probes_left_out;
	crowd->n_waiting = beat->probes_waiting;
}

void checks_watch_crowd(struct checks *c, usec_t now_usec)
{
	struct checks_crowd *crowd = &c->crowd;
	usec_t beat_usec = c->workers[WORKER_POOL_EXEC].beat_usec;
	bool bad;

	if (now_usec > beat_usec + SILENCE_USEC)
		crowd->n_waiting = 0;
	bad = crowd->grew || (crowd->alarm.raised && crowd->n_waiting > 0);
	crowd->grew = false;
	if (!guard_alarm_update(&crowd->alarm, bad, now_usec))
		return;
	if (crowd->alarm.raised)
		manager_event(c->manager, LOG_ERR, "alarm", "",
			      "exec checks are left out: %d programs run at once, and %" PRIu64
			      " checks wait for that; each gets its turn, but later than its "
			      "interval says",
			      EXEC_IN_FLIGHT_MAX, crowd->n_waiting);
	else
		manager_event(c->manager, LOG_NOTICE, "alarm", "",
			      "exec checks are not left out any more");
}

json_t *checks_crowd_text(const struct checks *c)
{
	return json_sprintf("exec checks are left out: %d programs run at once, %" PRIu64
			    " checks wait, %" PRIu64 " were left out",
			    EXEC_IN_FLIGHT_MAX, c->crowd.n_waiting, c->crowd.n_left_out);
}
