/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What director-storm.c plays and checks, and director-storm-frames.c makes frames for. */

#include <stdbool.h>

#include "base/addr.h"
#include "director-rig.h"
#include "director-storm.h"

enum {
	STORM_WORKERS = 2,
	STORM_RECENT = 8,
	STORM_FRAMES_MAX = 64,
	STORM_FAMILIES = 2,
	STORM_SERVICES = 8,
};

struct storm_service {
	uint8_t protocol;
	const char *virtual[STORM_FAMILIES], *scheduler;
	uint32_t flags;
	const char *dests[STORM_FAMILIES][2];
	struct ipvs_dest conf;
};

extern const struct storm_service storm_services[STORM_SERVICES];

/* Who spoke, as the destination or the client sees it: to answer. */
struct recent {
	char src[ADDR_PORT_STR_MAX], dst[ADDR_PORT_STR_MAX];
	uint8_t protocol;
};

struct storm {
	struct rig rig;
	struct rig_frame frames[STORM_FRAMES_MAX];
	bool whole[STORM_FRAMES_MAX]; /* not damaged: its checksums were right */
	bool held[STORM_FRAMES_MAX];
	unsigned n_frames;
	const struct rig_frame *last_sent; /* of this script */
	struct recent recent[STORM_RECENT];
	unsigned n_recent;
	bool deleted[STORM_SERVICES][STORM_FAMILIES][2], changed[STORM_SERVICES][STORM_FAMILIES][2],
		options_changed;
	uint64_t counters[_COUNTER_MAX];
	const uint8_t *script, *end;
};

/* The script's next byte; 0 beyond its end. */
static inline unsigned storm_next(struct storm *s)
{
	return s->script < s->end ? *s->script++ : 0;
}

/* Both add a frame to s->frames, parsed. */
void storm_make_frame(struct storm *s, bool icmp, bool damaged);
void storm_make_raw(struct storm *s); /* whose bytes are the script's, but for our MAC */
