/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The specifications that a worker holds and their schedule: starts each probe when it is due, ends it at its
 * deadline, reports each result once. One timer serves all probes.
 *
 * A probe that is still running when its next one is due is not doubled: the next is skipped and counted. The timeout
 * being at most the interval, that happens only when this process was late, or after a target's early first probe.
 *
 * Programs of exec checks have a limited number of places. A probe that finds none waits in a line; due times that
 * pass until it has ended are left out and counted, but it keeps its turn: so none is left out for ever, and while one
 * waits no other starts twice. The wait is no lateness, and its timeout begins with the program.
 *
 * Probes begin on the schedule's grid, because starting a dozen at once costs half; and, whatever is due, no more than
 * twice as many begin as the schedule asks for: no crowd of connections after a start or a stop.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"
#include "health/protocol.h"

struct prober;

struct prober_stats {
	uint64_t started, skipped;
	uint64_t left_out; /* due times of probes that waited for a place, or ran late for that */
	usec_t max_lateness_usec; /* since the last call that asked for a reset */
	uint32_t probes, in_flight, waiting;
};

/*
 * result->header is filled. again: good, as the one before it was.
 * Must not call back into the prober.
 */
typedef void (*prober_result_t)(void *userdata, const struct probe_spec *spec,
				const struct protocol_result *result, bool again);

int prober_new(sd_event *event, prober_result_t on_result, void *userdata, struct prober **ret);
void prober_free(struct prober *p);

/* Once: exec checks are run from now on (health/probe-exec.h); without, each is PROBE_INTERNAL_ERROR. */
int prober_allow_programs(struct prober *p);

/*
 * Adds, or replaces what has this id; a running probe of the old specification is dropped. p passed protocol_check().
 * -ENOKEY: it names authorities that are not known.
 */
int prober_set(struct prober *p, const struct protocol_probe *probe);

/* The authorities that specifications name: health/trust.h. */
int prober_add_authority(struct prober *p, uint64_t authorities, const void *certificate,
			 size_t size);
void prober_del_authorities(struct prober *p, uint64_t authorities);

/* An unknown id is fine. */
void prober_del(struct prober *p, uint64_t id);

/* Its next probe is due now, unless one runs or waits; those after it are on schedule. An unknown id is fine. */
void prober_now(struct prober *p, uint64_t id);

/* To be called before the loop waits: see connector_rest() in health/connector.h. */
void prober_rest(struct prober *p, usec_t usec);

void prober_read_stats(struct prober *p, struct prober_stats *ret);
void prober_reset_lateness(struct prober *p);
