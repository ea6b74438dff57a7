/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/worker-pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

struct worker_pool {
	sd_event *event;	       /* owned reference */
	char *users[_WORKER_KIND_MAX]; /* owned */
	struct worker_handlers handlers;
	struct worker_link *links[_WORKER_KIND_MAX]; /* owned; NULL = not needed */
};

static int start(struct worker_pool *p, enum worker_kind kind)
{
	struct worker_handlers handlers = p->handlers;

	if (p->links[kind])
		return 0;
	if (kind != WORKER_NETWORK)
		handlers.on_heartbeat = NULL;
	return worker_link_new(p->event, p->users[kind], kind, &handlers, &p->links[kind]);
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
	if (r == 0)
		r = start(p, WORKER_NETWORK);
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
	for (enum worker_kind k = 0; k < _WORKER_KIND_MAX; k++) {
		worker_link_free(p->links[k]);
		free(p->users[k]);
	}
	sd_event_unref(p->event);
	free(p);
}

struct worker_users worker_pool_users(const struct worker_pool *p)
{
	return (struct worker_users){ p->users[WORKER_NETWORK], p->users[WORKER_EXEC] };
}

/* Moves those of this kind to the front; how many they are. */
static size_t gather(struct protocol_probe **probes, size_t n, enum worker_kind kind)
{
	size_t n_kind = 0;

	for (size_t i = 0; i < n; i++) {
		struct protocol_probe *swap = probes[i];

		if (worker_kind_of(swap) != kind)
			continue;
		probes[i] = probes[n_kind];
		probes[n_kind++] = swap;
	}
	return n_kind;
}

static int sync_kind(struct worker_pool *p, enum worker_kind kind, struct protocol_probe **probes,
		     size_t n)
{
	int r;

	if (n == 0 && kind != WORKER_NETWORK) {
		worker_link_free(take_ptr(p->links[kind]));
		return 0;
	}
	r = start(p, kind);
	return r < 0 ? r : worker_link_sync(p->links[kind], probes, n);
}

int worker_pool_sync(struct worker_pool *p, struct protocol_probe **probes, size_t n)
{
	for (enum worker_kind k = 0; k < _WORKER_KIND_MAX; k++) {
		size_t n_kind = gather(probes, n, k);
		int r = sync_kind(p, k, probes, n_kind);

		if (r < 0)
			return r;
		probes += n_kind;
		n -= n_kind;
	}
	return 0;
}

void worker_pool_probe_now(struct worker_pool *p, uint64_t id)
{
	for (enum worker_kind k = 0; k < _WORKER_KIND_MAX; k++)
		if (p->links[k] && worker_link_probe_now(p->links[k], id))
			return;
}

bool worker_pool_on_time(const struct worker_pool *p, usec_t now_usec)
{
	for (enum worker_kind k = 0; k < WORKER_EXEC; k++)
		if (p->links[k] && !worker_link_on_time(p->links[k], now_usec))
			return false;
	return true;
}

void worker_pool_status(const struct worker_pool *p, usec_t now_usec, struct worker_status *ret)
{
	struct worker_status sum, one;

	worker_link_status(p->links[WORKER_NETWORK], now_usec, &sum);
	for (enum worker_kind k = WORKER_NETWORK + 1; k < _WORKER_KIND_MAX; k++) {
		if (!p->links[k])
			continue;
		worker_link_status(p->links[k], now_usec, &one);
		sum.alive = sum.alive && one.alive;
		sum.frozen = sum.frozen || (one.frozen && k != WORKER_EXEC);
		sum.restarts += one.restarts;
		sum.last.probes += one.last.probes;
		sum.last.probes_started += one.last.probes_started;
		sum.last.in_flight += one.last.in_flight;
	}
	*ret = sum;
}
