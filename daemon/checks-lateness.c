/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How late probes begin: watched for all workers together, and for each alone, since one that is starved among many would
 * not be seen in the sum.
 */

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "daemon/checks-internal.h"
#include "daemon/manager.h"

enum {
	LATE_PROBES_MIN = 20, /* before this many a percentile says nothing */
};

static usec_t p99_of(const struct lateness *l)
{
	return lateness_percentile(l, 990);
}

struct latest {
	usec_t p99_usec; /* of the latest worker, or of all where that is more */
	unsigned worker; /* the latest one that has enough probes; WORKER_POOL_MAX = none */
	unsigned n_workers, n_late;
};

static struct latest find_latest(const struct checks *c)
{
	usec_t limit = c->manager->conf->global.lateness_limit_usec;
	struct latest found = { .worker = WORKER_POOL_MAX };

	for (unsigned w = 0; w < WORKER_POOL_MAX; w++) {
		uint64_t n = lateness_count(&c->lateness_of[w]);
		usec_t p99 = n >= LATE_PROBES_MIN ? p99_of(&c->lateness_of[w]) : 0;

		found.n_workers += n > 0;
		found.n_late += p99 > limit;
		if (p99 <= found.p99_usec)
			continue;
		found.p99_usec = p99;
		found.worker = w;
	}
	if (lateness_count(&c->lateness) >= LATE_PROBES_MIN &&
	    p99_of(&c->lateness) > found.p99_usec) {
		found.p99_usec = p99_of(&c->lateness);
		found.worker = WORKER_POOL_MAX;
	}
	return found;
}

const char *checks_late_text(const struct checks *c, char buf[static CHECKS_LATE_TEXT_MAX])
{
	struct latest latest = find_latest(c);
	char who[64] = "", more[32] = "";

	if (latest.n_late > 1)
		(void)snprintf(more, sizeof(more), " and %u more", latest.n_late - 1);
	if (latest.worker < WORKER_POOL_NETWORK_MAX && latest.n_workers > 1)
		(void)snprintf(who, sizeof(who), " of network worker %u%s", latest.worker, more);
	else if (latest.worker < WORKER_POOL_MAX && latest.n_workers > 1)
		(void)snprintf(who, sizeof(who), " of the %s worker%s",
			       worker_kind_to_string(worker_pool_kind(latest.worker)), more);
	(void)snprintf(buf, CHECKS_LATE_TEXT_MAX,
		       "health checks%s begin late: 1 of 100 by more than %" PRIu64 " ms", who,
		       latest.p99_usec / USEC_PER_MSEC);
	return buf;
}

void checks_watch_lateness(struct checks *c, usec_t now_usec)
{
	usec_t limit = c->manager->conf->global.lateness_limit_usec;
	char text[CHECKS_LATE_TEXT_MAX];

	lateness_advance(&c->lateness, now_usec);
	for (unsigned w = 0; w < WORKER_POOL_MAX; w++)
		lateness_advance(&c->lateness_of[w], now_usec);
	if (!guard_alarm_update(&c->late_alarm, limit && find_latest(c).p99_usec > limit, now_usec))
		return;
	if (c->late_alarm.raised)
		manager_event(c->manager, LOG_ERR, "alarm", "",
			      "%s (limit %" PRIu64 " ms); failures of late ones do not count",
			      checks_late_text(c, text), limit / USEC_PER_MSEC);
	else
		manager_event(c->manager, LOG_NOTICE, "alarm", "",
			      "health checks begin on time again");
}

/* The buckets that have any: the largest number of microseconds in it, and how many probes. */
static json_t *histogram_to_json(const struct lateness *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < LATENESS_BUCKETS; i++)
		if (lateness_in_bucket(l, i))
			(void)json_array_append_new(
				list,
				json_pack("{s:I,s:I}", "up_to_us", (json_int_t)lateness_bound(i),
					  "probes", (json_int_t)lateness_in_bucket(l, i)));
	return list;
}

json_t *checks_lateness_to_json(const struct checks *c)
{
	const struct lateness *l = &c->lateness;

	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o?}", "probes", (json_int_t)lateness_count(l),
			 "p50", (json_int_t)lateness_percentile(l, 500), "p90",
			 (json_int_t)lateness_percentile(l, 900), "p99",
			 (json_int_t)lateness_percentile(l, 990), "max",
			 (json_int_t)lateness_percentile(l, 1000), "histogram",
			 histogram_to_json(l));
}

void checks_add_lateness(const struct checks *c, json_t *workers)
{
	json_t *worker;
	size_t i;

	json_array_foreach (workers, i, worker) {
		json_int_t number = json_integer_value(json_object_get(worker, "number"));

		if (number >= 0 && number < WORKER_POOL_MAX)
			(void)json_object_set_new(
				worker, "lateness_p99_us",
				json_integer((json_int_t)p99_of(&c->lateness_of[number])));
	}
}
