/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of records: each names a destination and is counted there, may have a template that controls it, and has a
 * peer. What the kernel does in ip_vs_bind_dest(), ip_vs_unbind_dest(), set_tcp_state() and ip_vs_conn_expire().
 */
#include "dpdk-fastpath/director-internal.h"

#include <netinet/in.h>

static struct dest_counters *counters_of(const struct director_pass *pass, uint32_t dest_id)
{
	return &pass->d->config.dest_counters[dest_id];
}

struct sched_load director_load(const void *context, uint32_t dest_id)
{
	const struct director *d = context;
	struct sched_load load = { 0 };

	for (unsigned i = 0; i < d->config.n_workers; i++) {
		const struct dest_counters *c = &d->config.all_counters[i][dest_id];

		load.active += atomic_load_explicit(&c->active, memory_order_relaxed);
		load.inactive += atomic_load_explicit(&c->inactive, memory_order_relaxed);
	}
	return load;
}

bool director_overloaded(const void *context, uint32_t dest_id)
{
	const struct director *d = context;

	return atomic_load_explicit(&d->config.overloaded[dest_id], memory_order_relaxed);
}

static void set_overloaded(const struct director_pass *pass, uint32_t dest_id, bool overloaded)
{
	if (director_overloaded(pass->d, dest_id) == overloaded)
		return;
	atomic_store_explicit(&pass->d->config.overloaded[dest_id], overloaded,
			      memory_order_relaxed);
	pass->d->overloads++;
}

static uint64_t total_conns(const struct director_pass *pass, uint32_t dest_id)
{
	struct sched_load load = director_load(pass->d, dest_id);

	return (uint64_t)load.active + load.inactive;
}

/* `change` is 1 or -1 as a 32-bit number. */
static void count_record(const struct director_pass *pass, const struct flow *f, uint32_t change)
{
	struct dest_counters *c = counters_of(pass, f->endpoint);

	COUNTER_ADD(c->references, change);
	if (f->flags & FLOW_TEMPLATE)
		COUNTER_ADD(c->persistent, change);
	else if (f->flags & FLOW_INACTIVE)
		COUNTER_ADD(c->inactive, change);
	else
		COUNTER_ADD(c->active, change);
}

/* ip_vs_bind_dest() */
static void bind_dest(const struct director_pass *pass, const struct flow *f)
{
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);

	count_record(pass, f, 1);
	if (dest && dest->upper_threshold != 0 &&
	    total_conns(pass, f->endpoint) >= dest->upper_threshold)
		set_overloaded(pass, f->endpoint, true);
}

/* ip_vs_unbind_dest() */
static void unbind_dest(const struct director_pass *pass, const struct flow *f)
{
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);

	count_record(pass, f, (uint32_t)-1);
	if (!dest || !director_overloaded(pass->d, f->endpoint))
		return;
	if (dest->lower_threshold != 0) {
		if (total_conns(pass, f->endpoint) < dest->lower_threshold)
			set_overloaded(pass, f->endpoint, false);
	} else if (dest->upper_threshold != 0) {
		if (total_conns(pass, f->endpoint) * 4 < (uint64_t)dest->upper_threshold * 3)
			set_overloaded(pass, f->endpoint, false);
	} else {
		set_overloaded(pass, f->endpoint, false);
	}
}

/* Before the record leaves the table, or of a copy when it has left. */
static void release(const struct director_pass *pass, const struct flow *f)
{
	struct director *d = pass->d;

	if (f->control != FLOW_NONE)
		flow_at(d->flows, f->control)->controlled--;
	peers_put(&d->peers, f->peer);
	unbind_dest(pass, f);
	d->removed = true;
}

/* The table's answer r, and who gave its place for it. */
static int inserted(const struct director_pass *pass, const struct flow *f, int r,
		    const struct flow *evicted)
{
	struct director *d = pass->d;

	if (evicted->protocol != 0) {
		release(pass, evicted);
		COUNTER_ADD(d->counters.connections_evicted, 1);
	}
	if (r < 0)
		return r;
	if (f->control != FLOW_NONE)
		flow_at(d->flows, f->control)->controlled++;
	bind_dest(pass, f);
	d->inserted = true;
	COUNTER_ADD(d->counters.connections_made, 1);
	return 0;
}

int director_insert(const struct director_pass *pass, const struct flow *f, uint32_t timeout_ticks,
		    uint32_t *ret)
{
	struct flow evicted;
	int r = flow_insert(pass->d->flows, f, pass->now, timeout_ticks, ret, &evicted);

	return inserted(pass, f, r, &evicted);
}

int director_insert_new(const struct director_pass *pass, const struct flow *f,
			const struct flow_plan *plan, uint32_t timeout_ticks, uint32_t *ret)
{
	struct flow evicted;
	int r = flow_insert_new(pass->d->flows, f, plan, pass->now, timeout_ticks, ret, &evicted);

	return inserted(pass, f, r, &evicted);
}

void director_remove(const struct director_pass *pass, uint32_t index)
{
	release(pass, flow_at(pass->d->flows, index));
	flow_remove(pass->d->flows, index);
	COUNTER_ADD(pass->d->counters.connections_expired, 1);
}

void director_remove_leaving(const struct director_pass *pass)
{
	uint32_t index = pass->d->leaving;

	pass->d->leaving = FLOW_NONE;
	if (index != FLOW_NONE)
		director_remove(pass, index);
}

void director_set_state(const struct director_pass *pass, uint32_t index, uint8_t state)
{
	struct flow *f = flow_at(pass->d->flows, index);
	bool is_active = conn_state_is_active(f->protocol, state);

	f->state = state;
	if (is_active == !!(f->flags & FLOW_INACTIVE)) {
		struct dest_counters *c = counters_of(pass, f->endpoint);

		f->flags ^= FLOW_INACTIVE;
		COUNTER_ADD(c->active, is_active ? 1U : (uint32_t)-1);
		COUNTER_ADD(c->inactive, is_active ? (uint32_t)-1 : 1U);
	}
	if ((f->flags & FLOW_EMBRYONIC) && !conn_state_is_embryonic(f->protocol, state))
		flow_leave_embryonic(pass->d->flows, index);
	if (f->control != FLOW_NONE &&
	    ((f->protocol == IPPROTO_TCP && state == CONN_TCP_ESTABLISHED) ||
	     (f->protocol == IPPROTO_SCTP && state == CONN_SCTP_ESTABLISHED)))
		director_assure_template(pass->d->flows, f);
}

/*
 * ip_vs_check_template() hides such a template under another key, where it counts as persistent until its time is up,
 * and makes a new one. Here it is the same record, for connections name it.
 */
void director_bind_template(const struct director_pass *pass, uint32_t index,
			    const struct dest_view *dest, uint16_t dest_port_be)
{
	struct flow *f = flow_at(pass->d->flows, index);

	unbind_dest(pass, f);
	f->endpoint = dest->id;
	f->dest_port_be = dest_port_be;
	f->state = 0;
	f->flags = (uint16_t)((f->flags & ~(FLOW_FWD_MASK | FLOW_NOOUTPUT)) | dest->forward |
			      (director_is_nat(dest->forward) ? 0 : FLOW_NOOUTPUT));
	bind_dest(pass, f);
}

/* ip_vs_conn_expire() */
static bool on_expire(void *context, uint32_t index, struct flow *f)
{
	const struct director_pass *pass = context;

	if ((f->flags & FLOW_TEMPLATE) && f->controlled > 0) {
		f->state |= DIRECTOR_TEMPLATE_RETAINED;
		flow_touch(pass->d->flows, index, pass->now,
			   DIRECTOR_RETAIN_SEC * 1000 / pass->d->tick_msec);
		return false;
	}
	release(pass, f);
	COUNTER_ADD(pass->d->counters.connections_expired, 1);
	return true;
}

/* Established connections that are to be reset wait for a packet. */
static bool is_to_be_swept(const struct director_pass *pass, const struct flow *f)
{
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);

	if (dest && !dest->deleted)
		return false;
	if (f->flags & FLOW_TEMPLATE)
		return f->controlled == 0;
	return !pass->s->options.reset_on_expiry || f->protocol != IPPROTO_TCP ||
	       f->state != CONN_TCP_ESTABLISHED;
}

/* ip_vs_expire_nodest_conn_flush(), a piece at a time. */
static void sweep(const struct director_pass *pass)
{
	struct director *d = pass->d;

	for (unsigned i = 0; i < DIRECTOR_SWEEP_MAX; i++) {
		uint32_t index = flow_next(d->flows, &d->sweep_cursor);

		if (index == FLOW_NONE) {
			d->is_sweeping = false;
			return;
		}
		if (is_to_be_swept(pass, flow_at(d->flows, index)))
			director_remove(pass, index);
	}
}

void director_expire(const struct director_pass *pass)
{
	struct director *d = pass->d;

	(void)flow_expire(d->flows, pass->now, DIRECTOR_EXPIRE_MAX, on_expire, (void *)pass);
	if (d->deletions != pass->s->deletions) {
		d->deletions = pass->s->deletions;
		d->is_sweeping = pass->s->options.expire_nodest_conn;
		d->sweep_cursor = 0;
	}
	if (d->is_sweeping)
		sweep(pass);
}
