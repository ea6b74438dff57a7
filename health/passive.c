/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/passive.h"

#include "base/cleanup.h"

static void begin(struct passive_window *w, const struct passive_counters *c, usec_t now_usec)
{
	w->begun = true;
	w->start_usec = now_usec;
	w->start = *c;
}

static bool went_back(const struct passive_counters *before, const struct passive_counters *c)
{
	return c->conns < before->conns || c->in_packets < before->in_packets ||
	       c->out_packets < before->out_packets;
}

void passive_forget(struct passive_window *w)
{
	w->begun = false;
	w->silent = 0;
}

enum passive_finding passive_feed(struct passive_window *w, const struct passive_counters *c,
				  const struct passive_settings *s, usec_t now_usec)
{
	uint64_t conns, out;

	if (!w->begun || went_back(&w->start, c)) {
		w->silent = 0;
		begin(w, c, now_usec);
		return PASSIVE_NOTHING;
	}
	conns = c->conns - w->start.conns;
	out = c->out_packets - w->start.out_packets;
	if (conns == 0 || conns < s->min_connections) {
		if (now_usec - w->start_usec >= PASSIVE_WINDOW_MAX_USEC) {
			w->silent = 0;
			begin(w, c, now_usec);
		}
		return PASSIVE_NOTHING;
	}
	w->conns = conns;
	w->unanswered = !s->one_way && conns > out ? conns - out : 0;
	begin(w, c, now_usec);
	if (w->unanswered && w->unanswered * 100 >= conns * s->percent) {
		w->silent++;
		return PASSIVE_SILENT;
	}
	w->silent = 0;
	return PASSIVE_UNCLEAR;
}

bool passive_half_open(const struct passive_window *w, const struct passive_settings *s,
		       uint64_t half_open)
{
	return half_open && half_open >= s->min_connections &&
	       half_open * 100 >= w->conns * s->percent;
}

void passive_mark(struct passive_window *w, usec_t now_usec)
{
	bool again = w->rest_usec &&
		     now_usec < w->rest_until_usec + 2 * w->rest_usec + PASSIVE_WINDOW_MAX_USEC;

	w->rest_usec = again ? MIN(2 * w->rest_usec, PASSIVE_REST_MAX_USEC) : PASSIVE_REST_MIN_USEC;
	w->rest_until_usec = now_usec + w->rest_usec;
	passive_forget(w);
}

bool passive_rests(const struct passive_window *w, usec_t now_usec)
{
	return now_usec < w->rest_until_usec;
}
