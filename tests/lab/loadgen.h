/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Continuous traffic from a host of the lab, each kind in a thread of its own:
 *
 * lab_load: a fixed rate of requests, each a new connection, started on schedule whether or not earlier ones were
 * answered; one record a request, in order of completion. Records below lab_load_count() may be read while it runs.
 *
 * lab_echo: connections that stay, each sending a numbered message every interval and expecting it back.
 */

#include <stddef.h>
#include <stdint.h>

#include "tests/lab/httpget.h"

struct lab_load_spec {
	const struct lab_host *from; /* borrowed */
	struct lab_url url;	     /* strings borrowed */
	unsigned rate;		     /* requests a second */
	usec_t timeout_usec;	     /* of each; 0 = 2 s */
};

struct lab_load;

int lab_load_start(const struct lab_load_spec *spec, struct lab_load **ret);
/* Waits for the requests under way. Records stay. */
void lab_load_stop(struct lab_load *l);
void lab_load_free(struct lab_load *l);

size_t lab_load_count(const struct lab_load *l);
const struct lab_reply *lab_load_at(const struct lab_load *l, size_t i);

/* Requests that were started in [from, to): how many, and how many of them failed (no 200). */
struct lab_load_summary {
	size_t requests, failed;
	size_t outcomes[_LAB_OUTCOME_MAX]; /* of the failed ones; LAB_ANSWERED = wrong status */
	usec_t first_failure_usec, last_failure_usec; /* their start */
	usec_t longest_usec;
};
struct lab_load_summary lab_load_summarize(const struct lab_load *l, usec_t from_usec,
					   usec_t to_usec);

/* Failed requests that ended before from or began at or after to; the first ones are printed. */
size_t lab_load_failed_outside(const struct lab_load *l, usec_t from_usec, usec_t to_usec);

/* What ended in each second, for a test that fails. */
void lab_load_print(const struct lab_load *l);

/* Answered by `target`, started in [from, to). */
size_t lab_load_answered_by(const struct lab_load *l, const char *target, usec_t from_usec,
			    usec_t to_usec);

struct lab_echo_spec {
	const struct lab_host *from; /* borrowed */
	const char *address;	     /* borrowed */
	uint16_t port;
	unsigned connections;
	usec_t interval_usec;
};

struct lab_echo_result {
	unsigned connected;	 /* at the start */
	unsigned broken;	 /* reset, closed or wrong bytes */
	uint64_t messages;	 /* that came back */
	usec_t longest_gap_usec; /* between a message and its echo */
};

struct lab_echo;

/* Returns when all connections stand; -ECONNREFUSED when one cannot be made. */
int lab_echo_start(const struct lab_echo_spec *spec, struct lab_echo **ret);
/* Lets messages under way return, then ends. */
struct lab_echo_result lab_echo_stop(struct lab_echo *e);
