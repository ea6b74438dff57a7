/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One question to a target and its answer, over a connected socket: what udp, dns, icmp and agent checks have in
 * common. Any error ends it, ICMP errors included.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "health/probe.h"

struct exchange_verdict {
	enum probe_outcome outcome;
	int32_t detail;
};

/*
 * A datagram; or all that a stream has brought until now, and whether it has ended. True: *ret is the outcome.
 * A stream that ends undecided is PROBE_RESET, one that brings more than answer_max is PROBE_TOO_LARGE.
 */
typedef bool (*exchange_judge_t)(void *context, const uint8_t *bytes, size_t n, bool end,
				 struct exchange_verdict *ret);

struct exchange_plan {
	const struct probe_spec *spec; /* borrowed */
	int type, protocol;	       /* of the socket */
	const void *question;	       /* borrowed */
	size_t question_size; /* 0: a stream sends nothing, other sockets an empty datagram */
	size_t answer_max;    /* of a stream */
	enum probe_outcome at_timeout; /* once connected */
	exchange_judge_t judge;
	void *context; /* of judge; borrowed */
	probe_done_t done;
	void *userdata; /* of done; borrowed */
};

/* Embedded by its owner; zero-initialised = not running. */
struct exchange {
	struct exchange_plan plan;
	sd_event *event;	 /* borrowed */
	int fd;			 /* owned while running */
	sd_event_source *source; /* owned */
	bool connected;
	size_t n_sent, n_answer;
	uint8_t *answer; /* owned; of a stream */
};

/* Calls plan->done once, perhaps before it returns; the exchange is over then, and its memory its owner's again. */
void exchange_start(struct exchange *x, sd_event *event, const struct exchange_plan *plan);

/* Without a call of done; over already is fine. What a deadline means now. */
enum probe_outcome exchange_cancel(struct exchange *x);
