/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Results that wait. The fast path is asked for signs of life ten times a second and found to hang after four times
 * that: failures of probes that it lost meanwhile would be counted before. So a failure waits until the process is known
 * to have been alive when the probe ended, which a question tells within a millisecond, or until its outage is known,
 * and does not count (fastpath_outage()). Results after it wait behind it, so that each target sees its own in order.
 */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/checks-internal.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"

enum {
	WAITING_MIN = 64,
	WAITING_MAX = 65536, /* a second of the busiest daemon; what is beyond does not wait */
};

struct checks_waiting {
	unsigned worker;
	usec_t heard_usec;
	struct protocol_result result;
};

static bool is_certain(const struct checks *c, const struct protocol_result *r)
{
	return r->outcome == PROBE_OK ||
	       fastpath_vouches(c->manager->fastpath, r->start_usec + r->duration_usec);
}

static bool grow(struct checks *c)
{
	size_t n = MAX(2 * c->allocated_waiting, (size_t)WAITING_MIN);
	struct checks_waiting *more;

	if (c->n_waiting < c->allocated_waiting)
		return true;
	if (n > WAITING_MAX)
		return false;
	more = reallocarray(c->waiting, n, sizeof(*more));
	if (!more)
		return false;
	c->waiting = more;
	c->allocated_waiting = n;
	return true;
}

void checks_take_result(struct checks *c, unsigned worker, const struct protocol_result *result,
			usec_t now_usec)
{
	if ((c->n_waiting == 0 && is_certain(c, result)) || !grow(c))
		return checks_judge_result(c, worker, result, now_usec);
	c->waiting[c->n_waiting++] = (struct checks_waiting){ worker, now_usec, *result };
	fastpath_await_life(c->manager->fastpath);
}

void checks_settle(struct checks *c)
{
	size_t n = 0;

	for (; n < c->n_waiting && is_certain(c, &c->waiting[n].result); n++)
		checks_judge_result(c, c->waiting[n].worker, &c->waiting[n].result,
				    c->waiting[n].heard_usec);
	c->n_waiting -= n;
	if (c->n_waiting > 0) {
		memmove(c->waiting, c->waiting + n, c->n_waiting * sizeof(*c->waiting));
		fastpath_await_life(c->manager->fastpath);
	}
}
