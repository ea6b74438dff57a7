/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a name stands for, over time: from answers of name servers to a set of targets, and when to ask again. One
 * object is one name in one address family. Pure: time and randomness are arguments.
 *
 *   answer        the set                                          asked again
 *   addresses     new ones join at once; one that is lacking       at the end of its time to live, between
 *                 leaves after `absent_answers` of them            min_ttl and max_ttl, and up to a tenth later
 *   none          stays; leaves after `drain_after` of them only   after min_ttl, later by twos, at most 60 s
 *   a failure     stays, for ever                                  after a second, later by twos, at most 60 s
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"

enum {
	DISCOVERY_NAME_MAX = 254,   /* with its NUL */
	DISCOVERY_ITEMS_MAX = 1000, /* conf: dns-max-targets */
};

enum discovery_status {
	DISCOVERY_WAITING, /* for the first answer */
	DISCOVERY_OK,
	DISCOVERY_NO_NAME,    /* it does not exist */
	DISCOVERY_NO_ADDRESS, /* it exists, but has none of this family */
	/* failures, from here on */
	DISCOVERY_TIMEOUT,
	DISCOVERY_SERVER_FAILURE,
	DISCOVERY_REFUSED,
	DISCOVERY_UNREACHABLE, /* or all of several name servers refuse or fail */
	DISCOVERY_MALFORMED,
	DISCOVERY_NO_RESOLVER, /* the process that asks is not there */
	_DISCOVERY_STATUS_MAX,
};

struct discovery_item {
	struct addr addr;
	uint16_t port;	 /* 0 = not said */
	uint16_t weight; /* as the configuration's */
	uint32_t absent; /* answers in a row that lacked it */
};

struct discovery_answer {
	enum discovery_status status; /* not WAITING */
	uint32_t ttl_sec;	      /* of OK and the two after it */
	const struct discovery_item
		*items; /* borrowed; any order, any number; .absent is not read */
	size_t n;
};

struct discovery_settings {
	usec_t min_ttl_usec, max_ttl_usec;
	unsigned absent_answers;
	usec_t drain_after_usec; /* 0 = never */
	size_t max_targets;
};

struct discovery {
	char name[DISCOVERY_NAME_MAX];
	uint16_t family;
	bool service; /* of SRV records */
	enum discovery_status status;
	struct discovery_item *items; /* owned; sorted by address and port */
	size_t n;
	size_t n_left_out;	   /* of the last answer, for max_targets */
	uint32_t ttl_sec;	   /* of the last answer with addresses, as it came */
	usec_t answered_wall_usec; /* when that was; 0 = never */
	usec_t empty_usec;   /* monotonic: since when answers have no addresses; 0 = they have */
	unsigned n_failures; /* in a row, answers without addresses included */
	usec_t due_usec;     /* monotonic; 0 = at once */
	bool asked;	     /* an answer is to come */
};

void discovery_deinit(struct discovery *d);

/* Same name, family and kind? */
bool discovery_is_for(const struct discovery *d, const char *name, uint16_t family);

/* An order that discovery_is_for() agrees with. */
int discovery_cmp(const struct discovery *a, const struct discovery *b);

/*
 * An answer came. random: any number, which spreads the next question. *ret_changed: are there other items, ports or
 * weights than before? -ENOMEM: nothing has changed, but when to ask again.
 */
int discovery_take(struct discovery *d, const struct discovery_settings *s,
		   const struct discovery_answer *a, usec_t now_usec, usec_t now_wall_usec,
		   uint32_t random, bool *ret_changed);

/* What an earlier daemon knew, before the first answer. Bad items are left out. -ENOMEM. */
int discovery_restore(struct discovery *d, const struct discovery_item *items, size_t n,
		      uint32_t ttl_sec, usec_t answered_wall_usec);

bool discovery_status_is_failure(enum discovery_status s);

/* "no answer in time", … for people; "timeout", … for programs. */
const char *discovery_status_describe(enum discovery_status s);
const char *discovery_status_to_string(enum discovery_status s);
