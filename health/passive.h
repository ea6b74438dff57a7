/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Passive health: does a target answer the connections that the plane gives it? From the plane's own counters between
 * two readings. A connection that is answered has at least one packet back, so with `conns` new connections and `out`
 * packets back at least conns - out of them got none. Open connections of before have packets back, too, and hide it:
 * then, and where answers do not come by the gateway, the number of half-open connections (SYN_RECV) decides.
 * A SYN flood makes half-open connections everywhere, so this is reason for a probe, and never for a verdict. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct passive_counters {
	uint64_t conns, in_packets, out_packets;
};

struct passive_settings {
	unsigned min_connections; /* new ones; with fewer the window goes on */
	unsigned percent;	  /* of them that got no answer */
	bool one_way;		  /* answers do not come by the gateway: direct, tunnels */
};

/* With few connections a window is longer than one reading, but not longer than this. */
#define PASSIVE_WINDOW_MAX_USEC (60 * USEC_PER_SEC)

enum passive_finding {
	PASSIVE_NOTHING, /* too few connections to tell, or answers */
	PASSIVE_UNCLEAR, /* enough connections; the half-open ones decide */
	PASSIVE_SILENT,	 /* no answers */
};

struct passive_window {
	bool begun;
	usec_t start_usec; /* monotonic */
	struct passive_counters start;
	unsigned silent;     /* windows in a row, this one included */
	uint64_t conns;	     /* new ones of the last whole window */
	uint64_t unanswered; /* of them, at least */
	usec_t rest_usec,
		rest_until_usec; /* how long its good probes do not bring it back, until when */
};

/* What has been read says nothing about what comes: the target was down. The rest below goes on. */
void passive_forget(struct passive_window *w);

/* A reading. Counters that went back (the destination is a new one) begin a new window. */
enum passive_finding passive_feed(struct passive_window *w, const struct passive_counters *c,
				  const struct passive_settings *s, usec_t now_usec);

/*
 * The target was marked unhealthy by what its connections say. Its health checks are likely to be good, and would bring
 * it back at once: for a while they do not. Each time that it is marked soon after it came back the rest is twice as
 * long.
 */
#define PASSIVE_REST_MIN_USEC (5 * USEC_PER_SEC)
#define PASSIVE_REST_MAX_USEC (600 * USEC_PER_SEC)
void passive_mark(struct passive_window *w, usec_t now_usec);
bool passive_rests(const struct passive_window *w, usec_t now_usec);

/* After PASSIVE_UNCLEAR, with the number of half-open connections: true = reason for a probe. */
bool passive_half_open(const struct passive_window *w, const struct passive_settings *s,
		       uint64_t half_open);
