/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/worker-pool.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct worker_pool {
	sd_event *event;	       /* owned reference */
	char *users[_WORKER_KIND_MAX]; /* owned */
	struct worker_handlers handlers;
	struct worker_link *links[WORKER_POOL_MAX]; /* owned; by number; NULL = not needed */
	unsigned n_network;
};

enum worker_kind worker_pool_kind(unsigned number)
{
	switch (number) {
	case WORKER_POOL_MARK:
		return WORKER_MARK;
	case WORKER_POOL_EXEC:
		return WORKER_EXEC;
	default:
		return WORKER_NETWORK;
	}
}

int worker_pool_new(sd_event *event, const struct worker_users *users,
		    const struct worker_handlers *handlers, struct worker_pool **ret)
{
	struct worker_pool *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->event = sd_event_ref(event);
	p->handlers = *handlers;
	for (enum worker_kind k = 0; k < _WORKER_KIND_MAX; k++) {
		p->users[k] = strdup(k == WORKER_EXEC ? users->exec : users->health);
		if (!p->users[k])
			r = -ENOMEM;
	}
	if (r < 0) {
		worker_pool_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void worker_pool_free(struct worker_pool *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < WORKER_POOL_MAX; i++)
		worker_link_free(p->links[i]);
	for (enum worker_kind k = 0; k < _WORKER_KIND_MAX; k++)
		free(p->users[k]);
	sd_event_unref(p->event);
	free(p);
}

struct worker_users worker_pool_users(const struct worker_pool *p)
{
	return (struct worker_users){ p->users[WORKER_NETWORK], p->users[WORKER_EXEC] };
}

/* Measured on one core of 2020, and rounded up: tests/bench/run health. */
static uint64_t cost_usec(const struct protocol_probe *p)
{
	switch (p->check) {
	case PROTOCOL_CHECK_TCP:
	case PROTOCOL_CHECK_HTTP:
		return p->flags & PROTOCOL_PROBE_HTTP2 ? 250 : 50;
	case PROTOCOL_CHECK_HTTPS:
	case PROTOCOL_CHECK_TLS:
	case PROTOCOL_CHECK_GRPC:
		return 1000;
	default:
		return 100;
	}
}

unsigned worker_pool_needed(struct protocol_probe *const *probes, size_t n, unsigned processors)
{
	/* In 2^-32 of a processor, so that what is probed once a day counts too. */
	uint64_t load = 0, needed;

	for (size_t i = 0; i < n; i++)
		if (worker_kind_of(probes[i]) == WORKER_NETWORK)
			load += (cost_usec(probes[i]) << 32) / probes[i]->interval_usec;
	needed = 1 + (load >> 31);
	return (unsigned)MIN(needed,
			     (uint64_t)MIN(MAX(processors, 1U), (unsigned)WORKER_POOL_NETWORK_MAX));
}

unsigned worker_pool_share(const struct protocol_probe *p, unsigned n_network)
{
	switch (worker_kind_of(p)) {
	case WORKER_MARK:
		return WORKER_POOL_MARK;
	case WORKER_EXEC:
		return WORKER_POOL_EXEC;
	default: /* an id is a hash: its upper half is as good as any */
		return (unsigned)((p->id >> 32) * n_network >> 32);
	}
}

static unsigned count_processors(void)
{
	cpu_set_t set;

	/* More than 1024 of them: as many workers as there can be. */
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return WORKER_POOL_NETWORK_MAX;
	return (unsigned)CPU_COUNT(&set);
}

static int start(struct worker_pool *p, unsigned number)
{
	enum worker_kind kind = worker_pool_kind(number);

	if (p->links[number])
		return 0;
	return worker_link_new(p->event, p->users[kind], kind, number, &p->handlers,
			       &p->links[number]);
}

static int set_network_count(struct worker_pool *p, unsigned n)
{
	int r = 0;

	while (p->n_network < n && r == 0) {
		r = start(p, p->n_network);
		p->n_network += r == 0;
	}
	while (p->n_network > n) {
		p->n_network--;
		worker_link_free(take_ptr(p->links[p->n_network]));
	}
	return p->n_network ? 0 : r; /* fewer than wanted do all the same */
}

/* By worker, in `ret_parts`; worker w's begin at ret_begin[w] and end where those of the next one begin. */
static void divide(struct protocol_probe *const *probes, size_t n, unsigned n_network,
		   struct protocol_probe **ret_parts, size_t ret_begin[WORKER_POOL_MAX + 1])
{
	size_t next[WORKER_POOL_MAX + 1] = { 0 };

	for (size_t i = 0; i < n; i++)
		next[worker_pool_share(probes[i], n_network) + 1]++;
	for (unsigned w = 1; w <= WORKER_POOL_MAX; w++)
		next[w] += next[w - 1];
	memcpy(ret_begin, next, sizeof(next));
	for (size_t i = 0; i < n; i++)
		ret_parts[next[worker_pool_share(probes[i], n_network)]++] = probes[i];
}

static int sync_one(struct worker_pool *p, unsigned number, const struct worker_task *task)
{
	int r = 0;

	if (worker_pool_kind(number) != WORKER_NETWORK) {
		if (task->n == 0)
			worker_link_free(take_ptr(p->links[number]));
		else
			r = start(p, number);
	}
	return r < 0 || !p->links[number] ? r : worker_link_sync(p->links[number], task);
}

int worker_pool_sync(struct worker_pool *p, unsigned n_network, const struct worker_task *task)
{
	size_t n = task->n;
	_cleanup_free_ struct protocol_probe **parts = calloc(n + 1, sizeof(*parts));
	size_t begin[WORKER_POOL_MAX + 1];
	int r;

	if (!parts)
		return -ENOMEM;
	if (n_network == 0)
		n_network = worker_pool_needed(task->probes, n, count_processors());
	r = set_network_count(p, MIN(n_network, (unsigned)WORKER_POOL_NETWORK_MAX));
	if (r < 0)
		return r;
	divide(task->probes, n, p->n_network, parts, begin);
	for (unsigned w = 0; w < WORKER_POOL_MAX; w++) {
		struct worker_task part = *task;
		int failed;

		part.probes = parts + begin[w];
		part.n = begin[w + 1] - begin[w];
		failed = sync_one(p, w, &part);
		if (failed < 0)
			r = failed;
	}
	memcpy(task->probes, parts,
	       n * sizeof(*parts)); /* those that were not taken are the caller's */
	return r;
}

void worker_pool_probe_now(struct worker_pool *p, uint64_t id)
{
	for (unsigned w = 0; w < WORKER_POOL_MAX; w++)
		if (p->links[w] && worker_link_probe_now(p->links[w], id))
			return;
}

bool worker_pool_on_time(const struct worker_pool *p, usec_t now_usec)
{
	for (unsigned w = 0; w < WORKER_POOL_EXEC; w++)
		if (p->links[w] && !worker_link_on_time(p->links[w], now_usec))
			return false;
	return true;
}

unsigned worker_pool_count(const struct worker_pool *p)
{
	return p->n_network;
}

bool worker_pool_status(const struct worker_pool *p, unsigned number, usec_t now_usec,
			struct worker_status *ret)
{
	if (number >= WORKER_POOL_MAX || !p->links[number])
		return false;
	worker_link_status(p->links[number], now_usec, ret);
	return true;
}

static json_t *status_to_json(const struct worker_status *s)
{
	return json_pack("{s:I,s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "worker_pid",
			 (json_int_t)s->pid, "alive", s->alive, "frozen", s->frozen, "restarts",
			 (json_int_t)s->restarts, "last_heartbeat_ms",
			 (json_int_t)(s->heartbeat_age_usec / USEC_PER_MSEC), "max_lateness_us",
			 (json_int_t)s->last.max_lateness_usec, "probes",
			 (json_int_t)s->last.probes, "probes_started",
			 (json_int_t)s->last.probes_started, "probes_skipped",
			 (json_int_t)s->last.probes_skipped, "results_dropped",
			 (json_int_t)s->last.results_dropped, "in_flight",
			 (json_int_t)s->last.in_flight, "probes_waiting",
			 (json_int_t)s->last.probes_waiting, "probes_left_out",
			 (json_int_t)s->last.probes_left_out);
}

/* The sum, or where that means nothing the worst. */
static void add_status(struct worker_status *sum, const struct worker_status *s,
		       enum worker_kind kind)
{
	sum->alive = sum->alive && s->alive;
	sum->frozen = sum->frozen || (s->frozen && kind != WORKER_EXEC);
	sum->restarts += s->restarts;
	sum->heartbeat_age_usec = MAX(sum->heartbeat_age_usec, s->heartbeat_age_usec);
	sum->last.max_lateness_usec = MAX(sum->last.max_lateness_usec, s->last.max_lateness_usec);
	sum->last.probes += s->last.probes;
	sum->last.probes_started += s->last.probes_started;
	sum->last.probes_skipped += s->last.probes_skipped;
	sum->last.results_dropped += s->last.results_dropped;
	sum->last.in_flight += s->last.in_flight;
	sum->last.probes_waiting += s->last.probes_waiting;
	sum->last.probes_left_out += s->last.probes_left_out;
}

json_t *worker_pool_to_json(const struct worker_pool *p, usec_t now_usec)
{
	struct worker_status sum = { .alive = true }, one;
	json_t *workers = json_array(), *j;

	for (unsigned w = 0; workers && w < WORKER_POOL_MAX; w++) {
		enum worker_kind kind = worker_pool_kind(w);

		if (!worker_pool_status(p, w, now_usec, &one))
			continue;
		if (w == 0)
			sum.pid = one.pid;
		add_status(&sum, &one, kind);
		j = status_to_json(&one);
		if (j) {
			(void)json_object_set_new(j, "kind",
						  json_string(worker_kind_to_string(kind)));
			(void)json_object_set_new(j, "number", json_integer((json_int_t)w));
		}
		(void)json_array_append_new(workers, j);
	}
	j = status_to_json(&sum);
	if (!j || json_object_set_new(j, "workers", workers) < 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}
