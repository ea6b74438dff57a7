/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/prober.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "base/prefetch.h"
#include "health/attempt.h"
#include "health/connector.h"
#include "health/probe-curl.h"
#include "health/probe-exec.h"
#include "health/schedule.h"
#include "health/trust.h"
#include "health/wakeup.h"

/* New targets are first probed within this time, however long their interval. */
#define FIRST_SPREAD_USEC USEC_PER_SEC

/* What deadlines are kept to, and the time in which starts are counted. */
#define GRAIN_USEC (10 * USEC_PER_MSEC)

enum {
	WAKES_PER_DISPATCH = 256, /* answers are not to wait behind a crowd of starts */
	STARTS_PER_GRAIN = 64,	  /* or twice what the schedule asks for, where that is more */
	GRAINS_MADE_UP = 25,	  /* of those in which this process did not get to run */
	LOAD_ONE = 1 << 20,	  /* one start in a grain */
};

struct probe {
	struct probe_spec spec;
	struct prober *prober; /* borrowed */
	struct wakeup start;
	struct wakeup deadline; /* queued while it runs, unless the next start comes first */
	usec_t phase_usec, due_usec;
	bool good; /* the last result */
	bool running;
	bool waiting; /* in the line */
	bool waited;  /* the last attempt: before it began */
	usec_t attempt_due_usec, attempt_start_usec, deadline_usec;
	int32_t weight_percent; /* what the running attempt has said of it; -1 = nothing */
	enum probe_advice advice;
	struct attempt attempt;
	TAILQ_ENTRY(probe) line;
};

TAILQ_HEAD(probe_line, probe);

struct prober {
	sd_event *event;		/* owned reference */
	sd_event_source *timer;		/* owned */
	struct attempt_engines engines; /* owned, but for the loop */
	void *probes;			/* tsearch(3) tree by id; owned */
	struct trust trust;
	struct wakeup_queue starts;    /* of all probes */
	struct wakeup_queue deadlines; /* of those that run */
	struct probe_line line;	       /* of those that wait for a place */
	usec_t armed_usec;
	bool stood_back; /* at the last wake-up */
	uint64_t load;	 /* what the schedule asks for in a grain, in 1/LOAD_ONE */
	usec_t grain;	 /* the number of the present one */
	uint64_t starts_left;
	prober_result_t on_result;
	void *userdata; /* borrowed */
	struct prober_stats stats;
};

static int probe_cmp(const void *a, const void *b)
{
	const struct probe *x = a, *y = b;

	return x->spec.id < y->spec.id ? -1 : x->spec.id > y->spec.id;
}

static struct probe *probe_from_start(struct wakeup *w)
{
	return (struct probe *)((char *)w - offsetof(struct probe, start));
}

static struct probe *probe_from_deadline(struct wakeup *w)
{
	return (struct probe *)((char *)w - offsetof(struct probe, deadline));
}

static void arm_at(struct prober *pr, usec_t at_usec)
{
	/* An earlier time than needed is left armed: it costs one empty wake-up instead of a call per answer. */
	if (at_usec >= pr->armed_usec)
		return;
	pr->armed_usec = at_usec;
	(void)sd_event_source_set_time(pr->timer, pr->armed_usec);
	(void)sd_event_source_set_enabled(pr->timer, SD_EVENT_ONESHOT);
}

static void join_line(struct probe *p)
{
	p->waiting = true;
	p->prober->stats.waiting++;
	TAILQ_INSERT_TAIL(&p->prober->line, p, line);
}

static void leave_line(struct probe *p)
{
	if (!p->waiting)
		return;
	p->waiting = false;
	p->prober->stats.waiting--;
	TAILQ_REMOVE(&p->prober->line, p, line);
}

/* Of the running attempt. Its place is free as soon as the loop runs again. */
static void probe_ended(struct probe *p)
{
	struct prober *pr = p->prober;

	p->running = false;
	pr->stats.in_flight--;
	wakeup_remove(&pr->deadlines, &p->deadline);
	if (!TAILQ_EMPTY(&pr->line))
		arm_at(pr, clock_monotonic_usec());
}

static enum probe_outcome probe_cancel(struct probe *p)
{
	probe_ended(p);
	return attempt_cancel(&p->attempt, &p->spec);
}

static uint64_t probe_load(const struct probe *p)
{
	return GRAIN_USEC * LOAD_ONE / p->spec.interval_usec;
}

static void probe_free(struct probe *p)
{
	if (!p)
		return;
	if (p->running)
		(void)probe_cancel(p);
	leave_line(p);
	wakeup_remove(&p->prober->starts, &p->start);
	attempt_deinit(&p->attempt);
	probe_spec_deinit(&p->spec);
	free(p);
}

static struct wakeup *earliest(const struct prober *pr)
{
	struct wakeup *start = wakeup_first(&pr->starts), *deadline = wakeup_first(&pr->deadlines);

	return deadline && (!start || deadline->at_usec < start->at_usec) ? deadline : start;
}

static void arm(struct prober *pr)
{
	struct wakeup *first = earliest(pr);

	if (first)
		arm_at(pr, first->at_usec);
}

static void queue_start_at(struct probe *p, usec_t at_usec)
{
	wakeup_set(&p->prober->starts, &p->start, at_usec);
}

/* The next time of the grid, unless the timeout would be lengthened by more than a twentieth. */
static usec_t on_grid(const struct probe *p, usec_t at_usec, usec_t grid_usec)
{
	if (p->spec.timeout_usec < 20 * grid_usec)
		return at_usec;
	return (at_usec + grid_usec - 1) / grid_usec * grid_usec;
}

/*
 * Starts are put off to the schedule's grid, so that probes start by the dozen: most of what a probe alone would cost is
 * waking this process, the server and the kernel's tables in the caches.
 */
static void queue_start(struct probe *p)
{
	queue_start_at(p, on_grid(p, p->due_usec, schedule_grid(p->spec.interval_usec)));
}

/* Deadlines are rare, and news: to the grain. */
static void queue_deadline(struct probe *p)
{
	usec_t grid_usec = MIN(schedule_grid(p->spec.interval_usec), GRAIN_USEC);

	wakeup_set(&p->prober->deadlines, &p->deadline, on_grid(p, p->deadline_usec, grid_usec));
}

static void report(struct probe *p, enum probe_outcome outcome, int32_t detail)
{
	usec_t duration = clock_monotonic_usec() - p->attempt_start_usec;
	struct protocol_result result = {
		.id = p->spec.id,
		.generation = p->spec.generation,
		.outcome = outcome,
		.detail = detail,
		.duration_usec = (uint32_t)MIN(duration, (usec_t)UINT32_MAX),
		.weight_percent = p->weight_percent,
		.agent_state = p->advice,
		.due_usec = p->attempt_due_usec,
		.start_usec = p->attempt_start_usec,
	};

	protocol_init(&result.header, PROTOCOL_RESULT, sizeof(result));
	p->prober->on_result(p->prober->userdata, &p->spec, &result,
			     p->good && outcome == PROBE_OK);
	p->good = outcome == PROBE_OK;
}

static void on_advice(void *userdata, int32_t weight_percent, enum probe_advice advice)
{
	struct probe *p = userdata;

	p->weight_percent = weight_percent;
	p->advice = advice;
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	struct probe *p = userdata;

	probe_ended(p);
	report(p, outcome, detail);
}

/*
 * From the start, so that our own lateness is not the target's. But with timeout = interval the next probe is due
 * some microseconds before this deadline: then the deadline gives way, or every second probe would be skipped.
 */
static usec_t deadline(const struct probe *p)
{
	usec_t at = p->attempt_start_usec + p->spec.timeout_usec;
	bool whole_interval = p->due_usec - p->attempt_due_usec == p->spec.interval_usec;

	if (whole_interval && at > p->due_usec && at - p->due_usec <= p->spec.timeout_usec / 10)
		return p->due_usec;
	return at;
}

static void probe_start(struct probe *p, usec_t due_usec)
{
	struct prober *pr = p->prober;
	int r;

	p->attempt_due_usec = due_usec;
	p->attempt_start_usec = clock_monotonic_usec();
	p->deadline_usec = deadline(p);
	p->running = true;
	p->waited = false;
	p->weight_percent = -1;
	p->advice = PROBE_ADVICE_NONE;
	pr->stats.started++;
	pr->stats.in_flight++;
	pr->stats.max_lateness_usec =
		MAX(pr->stats.max_lateness_usec, p->attempt_start_usec - due_usec);
	r = attempt_start(&p->attempt, &pr->engines, &p->spec, on_advice, on_done, p);
	if (r < 0)
		on_done(p, PROBE_INTERNAL_ERROR, -r);
}

/* After a stop, a reload or an outage of our own the crowd that is due is let go a few at a time. */
static bool may_start(struct prober *pr, usec_t now_usec)
{
	if (now_usec / GRAIN_USEC != pr->grain) {
		pr->starts_left = MIN(now_usec / GRAIN_USEC - pr->grain, (usec_t)GRAINS_MADE_UP) *
				  MAX((uint64_t)STARTS_PER_GRAIN, 2 * pr->load / LOAD_ONE);
		pr->grain = now_usec / GRAIN_USEC;
	}
	if (pr->starts_left == 0)
		return false;
	pr->starts_left--;
	return true;
}

static void end_late(struct probe *p, usec_t now_usec)
{
	if (p->running && now_usec >= p->deadline_usec)
		report(p, probe_cancel(p), 0);
}

/* The next start ends it otherwise. */
static void watch_deadline(struct probe *p)
{
	if (p->running && p->deadline_usec < p->due_usec)
		queue_deadline(p);
}

/* Those that are in the line are not overtaken, least by one that has just ended. */
static bool must_wait(const struct probe *p)
{
	const struct probe *first = TAILQ_FIRST(&p->prober->line);

	return (first && first->spec.check == p->spec.check) ||
	       !attempt_has_place(&p->prober->engines, &p->spec);
}

static void start_due(struct probe *p, usec_t now_usec)
{
	usec_t due = p->due_usec, next;

	end_late(p, now_usec);
	if (!p->running && !p->waiting && !may_start(p->prober, now_usec)) {
		queue_start_at(p, now_usec + GRAIN_USEC);
		return;
	}
	next = schedule_next(p->phase_usec, p->spec.interval_usec, due + 1);
	/* Due times that passed while this process did not run are not made up for. */
	p->due_usec = schedule_next(p->phase_usec, p->spec.interval_usec, MAX(next, now_usec + 1));
	p->prober->stats.skipped += (p->due_usec - next) / p->spec.interval_usec;
	if (p->waiting || (p->running && p->waited))
		p->prober->stats.left_out++;
	else if (p->running)
		p->prober->stats.skipped++;
	else if (must_wait(p))
		join_line(p);
	else
		probe_start(p, due);
	queue_start(p);
	watch_deadline(p);
}

/* The first of the line, if there is a place for it: true = it has left the line. */
static bool start_waiting(struct prober *pr, usec_t now_usec)
{
	struct probe *p = TAILQ_FIRST(&pr->line);

	if (!p || !attempt_has_place(&pr->engines, &p->spec))
		return false;
	leave_line(p);
	probe_start(p, now_usec);
	p->waited = true;
	watch_deadline(p);
	return true;
}

/* Probes by the thousand are colder than any cache: those that may start next are fetched while one starts. */
static void fetch_ahead(const struct prober *pr)
{
	for (unsigned i = 0; i < WAKEUP_CANDIDATES; i++) {
		struct wakeup *w = wakeup_candidate(&pr->starts, i);

		if (w)
			prefetch(probe_from_start(w), sizeof(struct probe));
	}
}

static void wake(struct prober *pr, struct wakeup *w, usec_t now_usec)
{
	if (w == wakeup_first(&pr->starts)) {
		fetch_ahead(pr);
		start_due(probe_from_start(w), now_usec);
	} else {
		end_late(probe_from_deadline(w), now_usec);
	}
}

/*
 * Late, this process did not run when answers came in: they are read before a deadline is judged. sd-event dispatches
 * what has been pending for longer first, so it is enough to stand in line again. Once: the others do not wait for ever.
 */
static bool stands_back(struct prober *pr, usec_t now_usec)
{
	pr->stood_back = !pr->stood_back && now_usec > pr->armed_usec + GRAIN_USEC;
	if (pr->stood_back)
		(void)sd_event_source_set_enabled(pr->timer, SD_EVENT_ONESHOT);
	return pr->stood_back;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct prober *pr = userdata;
	usec_t now_usec = clock_monotonic_usec();
	struct wakeup *w;

	(void)s;
	(void)usec;
	if (stands_back(pr, now_usec))
		return 0;
	pr->armed_usec = USEC_NEVER;
	for (unsigned n = 0; n < WAKES_PER_DISPATCH; n++) {
		if (start_waiting(pr, now_usec)) /* first, or others would overtake them */
			continue;
		w = earliest(pr);
		if (!w || w->at_usec > now_usec)
			break;
		wake(pr, w, now_usec);
	}
	arm(pr);
	return 0;
}

int prober_new(sd_event *event, prober_result_t on_result, void *userdata, struct prober **ret)
{
	struct prober *pr = calloc(1, sizeof(*pr));
	int r;

	if (!pr)
		return -ENOMEM;
	pr->event = pr->engines.event = sd_event_ref(event);
	pr->on_result = on_result;
	pr->userdata = userdata;
	pr->armed_usec = USEC_NEVER;
	TAILQ_INIT(&pr->line);
	r = sd_event_add_time(event, &pr->timer, CLOCK_MONOTONIC, USEC_NEVER, 1, on_timer, pr);
	if (r >= 0)
		r = sd_event_source_set_enabled(pr->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = connector_new(event, CONNECTOR_ANY, &pr->engines.connector);
	if (r >= 0)
		r = connector_new(event, CONNECTOR_EPOLL, &pr->engines.handshakes);
	if (r >= 0)
		r = probe_curl_engine_new(event, &pr->engines.curl);
	if (r < 0) {
		prober_free(pr);
		return r;
	}
	*ret = pr;
	return 0;
}

int prober_allow_programs(struct prober *pr)
{
	return probe_exec_engine_new(pr->event, &pr->engines.exec);
}

static void free_node(void *node)
{
	probe_free(node);
}

void prober_free(struct prober *pr)
{
	if (!pr)
		return;
	tdestroy(pr->probes, free_node);
	probe_curl_engine_free(pr->engines.curl);
	connector_free(pr->engines.connector);
	connector_free(pr->engines.handshakes);
	probe_exec_engine_free(pr->engines.exec);
	trust_deinit(&pr->trust);
	wakeup_queue_deinit(&pr->starts);
	wakeup_queue_deinit(&pr->deadlines);
	sd_event_source_disable_unref(pr->timer);
	sd_event_unref(pr->event);
	free(pr);
}

int prober_set(struct prober *pr, const struct protocol_probe *probe)
{
	struct tls_store *authorities = trust_find(&pr->trust, probe->authorities);
	usec_t now_usec = clock_monotonic_usec();
	struct probe *p;
	int r;

	if (probe->authorities && !authorities)
		return -ENOKEY;
	prober_del(pr, probe->id);
	r = wakeup_reserve(&pr->starts, pr->stats.probes + 1);
	if (r >= 0)
		r = wakeup_reserve(&pr->deadlines, pr->stats.probes + 1);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->prober = pr;
	r = probe_spec_init(&p->spec, probe, authorities);
	if (r < 0 || !tsearch(p, &pr->probes, probe_cmp)) {
		probe_free(p);
		return -ENOMEM;
	}
	pr->stats.probes++;
	pr->load += probe_load(p);
	p->phase_usec = schedule_phase(probe->id, probe->interval_usec);
	p->due_usec = (probe->flags & PROTOCOL_PROBE_HISTORY)
			      ? schedule_next(p->phase_usec, probe->interval_usec, now_usec)
			      : schedule_first(probe->id, probe->interval_usec, FIRST_SPREAD_USEC,
					       now_usec);
	queue_start(p);
	arm(pr);
	return 0;
}

int prober_add_authority(struct prober *pr, uint64_t authorities, const void *certificate,
			 size_t size)
{
	return trust_add(&pr->trust, authorities, certificate, size);
}

void prober_del_authorities(struct prober *pr, uint64_t authorities)
{
	trust_del(&pr->trust, authorities);
}

static struct probe **find(struct prober *pr, uint64_t id)
{
	struct probe key = { .spec.id = id };

	return tfind(&key, &pr->probes, probe_cmp);
}

void prober_now(struct prober *pr, uint64_t id)
{
	struct probe **found = find(pr, id), *p;

	if (!found || (*found)->running || (*found)->waiting)
		return;
	p = *found;
	p->due_usec = MIN(p->due_usec, clock_monotonic_usec());
	queue_start_at(p, p->due_usec);
	arm(pr);
}

void prober_del(struct prober *pr, uint64_t id)
{
	struct probe **found = find(pr, id);
	struct probe *p;

	if (!found)
		return;
	p = *found;
	(void)tdelete(p, &pr->probes, probe_cmp);
	pr->stats.probes--;
	pr->load -= probe_load(p);
	probe_free(p);
}

void prober_rest(struct prober *pr, usec_t usec)
{
	if (pr->stats.in_flight > 0)
		connector_rest(pr->engines.connector, usec);
}

void prober_read_stats(struct prober *pr, struct prober_stats *ret)
{
	*ret = pr->stats;
}

void prober_reset_lateness(struct prober *pr)
{
	pr->stats.max_lateness_usec = 0;
}
