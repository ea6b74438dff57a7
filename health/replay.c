/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/replay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* One line of life: transitions in order; room for one a result. */
struct line {
	struct replay_transition *items; /* owned */
	size_t n;
};

static void line_deinit(struct line *l)
{
	free(l->items);
}

static void line_push(struct line *l, const struct history_entry *e, uint32_t entry,
		      enum target_state from, enum target_state to)
{
	if (from != to)
		l->items[l->n++] = (struct replay_transition){
			.entry = entry,
			.wall_usec = (usec_t)e->wall_msec * USEC_PER_MSEC,
			.from = from,
			.to = to,
		};
}

void replay_deinit(struct replay *r)
{
	free(r->changes);
	*r = REPLAY_INIT;
}

/* How long an unhealthy target keeps its connections is no matter of thresholds. */
static enum target_state verdict_of(enum target_state s)
{
	return s == TARGET_UNHEALTHY_DRAINING ? TARGET_UNHEALTHY : s;
}

static enum target_state follow_record(const struct history *h, struct line *l)
{
	enum target_state state = verdict_of(h->base_state);

	for (uint32_t i = 0; i < h->n; i++) {
		const struct history_entry *e = history_get(h, i);
		enum target_state next = verdict_of((enum target_state)e->state);

		line_push(l, e, i, state, next);
		state = next;
	}
	return state;
}

/* The outcome under another timeout. */
static enum probe_outcome judge(const struct history_entry *e, usec_t timeout_usec,
				size_t *n_unknown)
{
	enum probe_outcome outcome = (enum probe_outcome)e->outcome;

	if (!timeout_usec)
		return outcome;
	if (outcome == PROBE_OK)
		return e->duration_usec > timeout_usec ? PROBE_TIMEOUT : PROBE_OK;
	if (probe_outcome_is_timeout(outcome) && e->duration_usec < timeout_usec)
		++*n_unknown;
	return outcome;
}

static enum target_state live_again(const struct history *h, const struct replay_settings *s,
				    struct line *l, size_t *n_unknown)
{
	struct target_health t = {
		.state = verdict_of(h->base_state),
		.successes = h->base_successes,
		.failures = h->base_failures,
	};

	for (uint32_t i = 0; i < h->n; i++) {
		const struct history_entry *e = history_get(h, i);
		enum target_state from = t.state;
		struct target_thresholds thresholds = s->thresholds;
		struct probe_report report = {
			.outcome = judge(e, s->timeout_usec, n_unknown),
			.detail = e->detail,
			.duration_usec = e->duration_usec,
		};

		if (e->note == HISTORY_NOT_COUNTED)
			continue;
		/* What connections say marks a target at once, whatever the threshold of its checks. */
		if (report.outcome == PROBE_PASSIVE)
			thresholds.unhealthy = 1;
		(void)target_health_report(&t, &thresholds, &report,
					   (usec_t)e->wall_msec * USEC_PER_MSEC);
		line_push(l, e, i, from, t.state);
	}
	return t.state;
}

/* The result with which the state that transition i began was over. */
static uint32_t end_of(const struct line *l, size_t i)
{
	return i + 1 < l->n ? l->items[i + 1].entry : UINT32_MAX;
}

static bool overlap(const struct line *a, size_t i, const struct line *b, size_t j)
{
	return a->items[i].to == b->items[j].to && a->items[i].entry < end_of(b, j) &&
	       b->items[j].entry < end_of(a, i);
}

static void put(struct replay *r, enum replay_kind kind, const struct replay_transition *was,
		const struct replay_transition *would)
{
	struct replay_change *c = &r->changes[r->n++];

	*c = (struct replay_change){ .kind = kind };
	if (was)
		c->was = *was;
	if (would)
		c->would = *would;
}

static enum replay_kind compare(const struct replay_transition *was,
				const struct replay_transition *would)
{
	if (was->entry == would->entry)
		return REPLAY_SAME;
	return would->entry < was->entry ? REPLAY_EARLIER : REPLAY_LATER;
}

static uint32_t change_time(const struct replay_change *c)
{
	return c->kind == REPLAY_NEW ? c->would.entry : c->was.entry;
}

static int change_cmp(const void *a, const void *b)
{
	const struct replay_change *x = a, *y = b;

	if (change_time(x) != change_time(y))
		return change_time(x) < change_time(y) ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

/* Both lines are short (a ring of results), so looking through all of the other one costs nothing. */
static int pair_up(const struct line *was, const struct line *would, struct replay *r)
{
	_cleanup_free_ bool *taken = calloc(would->n + 1, sizeof(*taken));

	r->changes = calloc(was->n + would->n + 1, sizeof(*r->changes));
	if (!taken || !r->changes)
		return -ENOMEM;
	for (size_t i = 0; i < was->n; i++) {
		size_t j = 0;

		while (j < would->n && (taken[j] || !overlap(was, i, would, j)))
			j++;
		if (j == would->n) {
			put(r, REPLAY_ABSENT, &was->items[i], NULL);
			continue;
		}
		taken[j] = true;
		put(r, compare(&was->items[i], &would->items[j]), &was->items[i], &would->items[j]);
	}
	for (size_t j = 0; j < would->n; j++)
		if (!taken[j])
			put(r, REPLAY_NEW, NULL, &would->items[j]);
	qsort(r->changes, r->n, sizeof(*r->changes), change_cmp);
	return 0;
}

int replay_run(const struct history *h, const struct replay_settings *settings, struct replay *ret)
{
	_cleanup_(line_deinit) struct line was = { 0 }, would = { 0 };
	_cleanup_(replay_deinit) struct replay r = REPLAY_INIT;
	int error;

	was.items = calloc(h->n + 1, sizeof(*was.items));
	would.items = calloc(h->n + 1, sizeof(*would.items));
	if (!was.items || !would.items)
		return -ENOMEM;
	r.last_was = follow_record(h, &was);
	r.last_would = live_again(h, settings, &would, &r.n_unknown);
	r.n_was = was.n;
	r.n_would = would.n;
	error = pair_up(&was, &would, &r);
	if (error < 0)
		return error;
	*ret = r;
	r = REPLAY_INIT;
	return 0;
}

const char *replay_kind_to_string(enum replay_kind k)
{
	static const char *const names[_REPLAY_KIND_MAX] = {
		[REPLAY_SAME] = "same",	    [REPLAY_EARLIER] = "earlier", [REPLAY_LATER] = "later",
		[REPLAY_ABSENT] = "absent", [REPLAY_NEW] = "new",
	};

	assert(k < _REPLAY_KIND_MAX);
	return names[k];
}
