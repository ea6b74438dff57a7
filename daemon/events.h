/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The ring of state changes that `ipvsd events` shows. Sequence numbers start at 1, rise by one and never repeat in
 * the life of a daemon; the oldest entries are overwritten. Pure but for memory.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct event {
	uint64_t seq;
	usec_t wall_usec;
	char *kind; /* owned; "target", "group", "alarm", "reload", "drift", "worker", "vip", "daemon" */
	char *object; /* owned; "blue/10.0.1.10:8080", "tcp 203.0.113.10:80", or "" */
	char *text;   /* owned; one line */
};

struct event_ring {
	struct event *items; /* owned */
	size_t capacity;
	uint64_t last; /* sequence number of the newest; 0 = none yet */
};

int event_ring_init(struct event_ring *r, size_t capacity);
void event_ring_deinit(struct event_ring *r);

/* Loses the event on lack of memory. */
void event_ring_add(struct event_ring *r, usec_t wall_usec, const char *kind, const char *object,
		    const char *text);

/* Which events are meant: all of these hold. NULL, 0 = any. Borrowed. */
struct event_filter {
	uint64_t after;
	usec_t since_wall_usec;
	const char *group;  /* of the group itself, too */
	const char *target; /* ADDRESS, ADDRESS:PORT, or GROUP/ and that */
};

bool event_matches(const struct event *e, const struct event_filter *f);

/* [{"seq", "time" (RFC 3339, UTC), "kind", "object", "text"}], oldest first. NULL = no memory. */
json_t *event_ring_to_json(const struct event_ring *r, const struct event_filter *f);
