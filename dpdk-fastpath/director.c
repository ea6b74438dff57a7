/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/director.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/director-internal.h"

DEFINE_CLEANUP(struct director *, director_free)

int director_new(const struct director_config *c, struct director **ret)
{
	_cleanup_(director_free_p) struct director *d = NULL;
	int r;

	if (c->n_workers == 0 || c->n_workers > SNAPSHOT_WORKERS_MAX || c->worker >= c->n_workers ||
	    c->flows.tick_msec == 0 || c->flows.tick_msec > 1000)
		return -EINVAL;
	d = aligned_alloc(_Alignof(struct director), sizeof(*d));
	if (!d)
		return -ENOMEM;
	memset(d, 0, sizeof(*d));
	d->config = *c;
	d->tick_msec = c->flows.tick_msec;
	d->random = c->seed;
	d->errors.n_left = DIRECTOR_ERRORS_PER_SEC;
	d->strangers.n_left = DIRECTOR_STRANGERS_PER_SEC;
	peers_init(&d->peers);
	d->cursors = calloc(SNAPSHOT_SERVICES_MAX, sizeof(*d->cursors));
	if (!d->cursors)
		return -ENOMEM;
	r = flow_table_new(&c->flows, &d->flows);
	if (r < 0)
		return r;
	r = fragments_new(c->max_fragments, d->tick_msec, c->seed, &d->fragments);
	if (r < 0)
		return r;
	r = local_ports_new(c->worker, c->n_workers, c->seed, &d->ports);
	if (r < 0)
		return r;
	if (c->n_workers > 1)
		local_ports_set_rss(d->ports, c->port_rss, c->port_rss ? c->n_ports : 0);
	*ret = take_ptr(d);
	return 0;
}

void director_free(struct director *d)
{
	if (!d)
		return;
	if (d->flows)
		flow_table_free(d->flows);
	fragments_free(d->fragments);
	local_ports_free(d->ports);
	free(d->cursors);
	free(d);
}

/* Is the frame addressed to the port it came in by? */
static bool is_ours(const struct director *d, const struct director_frame *f)
{
	return memcmp(f->packet.data, d->config.port_macs[f->port], PACKET_MAC_LEN) == 0;
}

/* Whole packets with ports, which are looked up by the burst. */
static bool is_plain(const struct packet *p)
{
	return p->kind == PACKET_FLOW && !p->is_fragment;
}

void director_on_other(const struct director_pass *pass, struct director_frame *f)
{
	const struct packet *p = &f->packet;

	if (p->kind == PACKET_BAD) {
		director_drop(pass, f, COUNTER_DROP_BAD);
		return;
	}
	if (p->kind == PACKET_OTHER || !is_ours(pass->d, f)) {
		director_except(pass, f);
		return;
	}
	switch (p->kind) {
	case PACKET_FLOW:
	case PACKET_FRAGMENT:
		director_on_fragment(pass, f, true);
		return;
	case PACKET_ICMP_ERROR:
		director_on_icmp_error(pass, f);
		return;
	case PACKET_ICMP_ECHO:
		director_on_echo(pass, f);
		return;
	default:
		director_except(pass, f);
	}
}

/* What packets of the connections found are counted in. */
static inline void prefetch_counters(const struct director *d, flow_ref ref)
{
	uint32_t id = flow_at(d->flows, FLOW_REF_INDEX(ref))->endpoint;

	__builtin_prefetch(&d->config.dest_counters[id], 1);
}

void director_run(struct director *d, const struct snapshot *s, uint32_t now_tick, bool owned,
		  struct director_frame *frames, unsigned n)
{
	const struct director_pass pass = { d, s, now_tick, owned };
	const struct flow_key *keys[DIRECTOR_BURST_MAX];
	flow_ref refs[DIRECTOR_BURST_MAX];

	assert(n <= DIRECTOR_BURST_MAX);
	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		const struct packet *p = &frames[i].packet;

		keys[i] = is_plain(p) && is_ours(d, &frames[i]) ? &p->key : NULL;
	}
	flow_lookup_bulk(d->flows, keys, n, refs);
	d->inserted = d->removed = false;
	for (unsigned i = 0; i < n; i++)
		if (__builtin_expect(refs[i] != 0, true))
			prefetch_counters(d, refs[i]);
		else if (keys[i])
			director_expect(&pass, &frames[i].packet, &d->attempts[i]);
	director_on_flows(&pass, frames, keys, refs, n);
	COUNTER_ADD(d->counters.bursts, 1);
}

unsigned director_released(struct director *d, const struct snapshot *s, uint32_t now_tick,
			   struct director_frame *frames, unsigned n)
{
	const struct director_pass pass = { d, s, now_tick, true };
	unsigned n_released = 0;
	bool timed_out;

	while (n_released < n &&
	       fragments_next_ready(d->fragments, &frames[n_released], &timed_out)) {
		if (timed_out)
			director_drop(&pass, &frames[n_released], COUNTER_DROP_FRAGMENT);
		else
			director_on_fragment(&pass, &frames[n_released], false);
		n_released++;
	}
	return n_released;
}

void director_tick(struct director *d, const struct snapshot *s, uint32_t now_tick)
{
	const struct director_pass pass = { d, s, now_tick, true };

	director_expire(&pass);
	fragments_expire(d->fragments, now_tick);
}

const struct counters *director_counters(const struct director *d)
{
	return &d->counters;
}

struct flow_table *director_flows(struct director *d)
{
	return d->flows;
}
