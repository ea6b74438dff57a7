/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/tables-internal.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static const uint64_t estimate_usec = 2 * 1000 * 1000; /* as ip_vs_est.c */
static const uint64_t sweep_usec = 1000 * 1000;
static const uint64_t trash_usec = 120ULL * 1000 * 1000; /* IP_VS_DEST_TRASH_PERIOD */

static void sum_workers(const struct tables *t, uint32_t dest_id, uint64_t ret[_TABLES_COUNTER_MAX])
{
	memset(ret, 0, _TABLES_COUNTER_MAX * sizeof(*ret));
	for (unsigned w = 0; w < t->config.n_workers; w++) {
		const struct dest_counters *c = &t->config.dest_counters[w][dest_id];

		ret[TABLES_CONNS] += atomic_load_explicit(&c->conns, memory_order_relaxed);
		ret[TABLES_IN_PACKETS] +=
			atomic_load_explicit(&c->traffic[DEST_IN].packets, memory_order_relaxed);
		ret[TABLES_OUT_PACKETS] +=
			atomic_load_explicit(&c->traffic[DEST_OUT].packets, memory_order_relaxed);
		ret[TABLES_IN_BYTES] +=
			atomic_load_explicit(&c->traffic[DEST_IN].bytes, memory_order_relaxed);
		ret[TABLES_OUT_BYTES] +=
			atomic_load_explicit(&c->traffic[DEST_OUT].bytes, memory_order_relaxed);
	}
}

/* ip_vs_zero_stats() */
static void zero_stats(struct tables_stats *s, const uint64_t now[_TABLES_COUNTER_MAX])
{
	memcpy(s->zero, now, sizeof(s->zero));
	memcpy(s->last, now, sizeof(s->last));
	memset(s->rate, 0, sizeof(s->rate));
}

/*
 * A destination comes to its service, new or from the trash. What its connections moved while it lay there counts
 * for nobody: ip_vs_in_stats() asks whether the destination is available.
 */
void tables_dest_arrives(struct tables *t, struct tables_dest *d, bool is_new)
{
	uint64_t now[_TABLES_COUNTER_MAX];

	sum_workers(t, d->id, now);
	if (is_new)
		zero_stats(&d->stats, now);
	else
		for (unsigned i = 0; i < _TABLES_COUNTER_MAX; i++) {
			d->stats.zero[i] += now[i] - d->at_deletion[i];
			d->stats.last[i] += now[i] - d->at_deletion[i];
		}
	memcpy(d->service_base, now, sizeof(now));
}

/* Its service keeps what it counted. */
void tables_dest_leaves(struct tables *t, struct tables_dest *d)
{
	sum_workers(t, d->id, d->at_deletion);
	for (unsigned i = 0; i < _TABLES_COUNTER_MAX; i++)
		d->service->past[i] += d->at_deletion[i] - d->service_base[i];
}

static void sum_service(const struct tables *t, const struct tables_service *s,
			uint64_t ret[_TABLES_COUNTER_MAX])
{
	memcpy(ret, s->past, sizeof(s->past));
	for (size_t k = 0; k < s->n_dests; k++) {
		uint64_t now[_TABLES_COUNTER_MAX];

		sum_workers(t, s->dests[k]->id, now);
		for (unsigned i = 0; i < _TABLES_COUNTER_MAX; i++)
			ret[i] += now[i] - s->dests[k]->service_base[i];
	}
}

static unsigned rate_shift(unsigned counter)
{
	return counter == TABLES_IN_BYTES || counter == TABLES_OUT_BYTES ? 5 : 10;
}

/* ip_vs_chain_estimation(), with the time as it was instead of 2 s. */
static void estimate(struct tables_stats *s, const uint64_t now[_TABLES_COUNTER_MAX],
		     uint64_t elapsed_usec)
{
	for (unsigned i = 0; i < _TABLES_COUNTER_MAX; i++) {
		double rate = (double)((now[i] - s->last[i]) << rate_shift(i)) * 1e6 /
			      (double)elapsed_usec;

		s->last[i] = now[i];
		s->rate[i] += (uint64_t)(((int64_t)rate - (int64_t)s->rate[i]) >> 2);
	}
}

/* ip_vs_read_estimator() */
static uint64_t rate_of(const struct tables_stats *s, unsigned counter)
{
	unsigned shift = rate_shift(counter);

	return (s->rate[counter] + (1u << (shift - 1)) - 1) >> shift;
}

static void format_stats(const struct tables_stats *s, const uint64_t now[_TABLES_COUNTER_MAX],
			 struct ipvs_stats *ret)
{
	*ret = (struct ipvs_stats){
		.conns = now[TABLES_CONNS] - s->zero[TABLES_CONNS],
		.in_packets = now[TABLES_IN_PACKETS] - s->zero[TABLES_IN_PACKETS],
		.out_packets = now[TABLES_OUT_PACKETS] - s->zero[TABLES_OUT_PACKETS],
		.in_bytes = now[TABLES_IN_BYTES] - s->zero[TABLES_IN_BYTES],
		.out_bytes = now[TABLES_OUT_BYTES] - s->zero[TABLES_OUT_BYTES],
		.cps = rate_of(s, TABLES_CONNS),
		.in_pps = rate_of(s, TABLES_IN_PACKETS),
		.out_pps = rate_of(s, TABLES_OUT_PACKETS),
		.in_bps = rate_of(s, TABLES_IN_BYTES),
		.out_bps = rate_of(s, TABLES_OUT_BYTES),
	};
}

static void format_service(const struct tables *t, const struct tables_service *s,
			   struct ipvs_service *ret)
{
	uint64_t now[_TABLES_COUNTER_MAX];

	sum_service(t, s, now);
	*ret = s->conf;
	format_stats(&s->stats, now, &ret->stats);
}

bool tables_next_service(const struct tables *t, size_t *cursor, struct ipvs_service *ret)
{
	if (*cursor >= t->n_services)
		return false;
	format_service(t, t->services[(*cursor)++], ret);
	return true;
}

int tables_get_service(const struct tables *t, const struct ipvs_service_key *k,
		       struct ipvs_service *ret)
{
	const struct tables_service *s = tables_find_service(t, k);

	if (!s)
		return -ESRCH;
	format_service(t, s, ret);
	return 0;
}

static void format_dest(const struct tables *t, const struct tables_dest *d, struct ipvs_dest *ret)
{
	uint64_t now[_TABLES_COUNTER_MAX];

	sum_workers(t, d->id, now);
	*ret = d->conf;
	format_stats(&d->stats, now, &ret->stats);
	for (unsigned w = 0; w < t->config.n_workers; w++) {
		const struct dest_counters *c = &t->config.dest_counters[w][d->id];

		ret->active_conns += atomic_load_explicit(&c->active, memory_order_relaxed);
		ret->inactive_conns += atomic_load_explicit(&c->inactive, memory_order_relaxed);
		ret->persistent_conns += atomic_load_explicit(&c->persistent, memory_order_relaxed);
	}
}

bool tables_next_dest(const struct tables *t, const struct ipvs_service_key *k, size_t *cursor,
		      struct ipvs_dest *ret)
{
	const struct tables_service *s = tables_find_service(t, k);

	if (!s || *cursor >= s->n_dests)
		return false;
	format_dest(t, s->dests[s->n_dests - 1 - (*cursor)++], ret);
	return true;
}

static void zero_service(struct tables *t, struct tables_service *s)
{
	uint64_t now[_TABLES_COUNTER_MAX];

	for (size_t i = 0; i < s->n_dests; i++) {
		sum_workers(t, s->dests[i]->id, now);
		zero_stats(&s->dests[i]->stats, now);
	}
	sum_service(t, s, now);
	zero_stats(&s->stats, now);
}

int tables_zero(struct tables *t, const struct ipvs_service_key *k)
{
	struct tables_service *s;

	if (!k) {
		for (size_t i = 0; i < t->n_services; i++)
			zero_service(t, t->services[i]);
		return 0;
	}
	s = tables_find_service(t, k);
	if (!s)
		return -ESRCH;
	zero_service(t, s);
	return 0;
}

static void estimate_all(struct tables *t, uint64_t elapsed_usec)
{
	uint64_t now[_TABLES_COUNTER_MAX];

	for (size_t i = 0; i < t->n_services; i++) {
		struct tables_service *s = t->services[i];

		for (size_t k = 0; k < s->n_dests; k++) {
			sum_workers(t, s->dests[k]->id, now);
			estimate(&s->dests[k]->stats, now, elapsed_usec);
		}
		sum_service(t, s, now);
		estimate(&s->stats, now, elapsed_usec);
	}
}

static bool has_references(const struct tables *t, const struct tables_dest *d)
{
	for (unsigned w = 0; w < t->config.n_workers; w++)
		if (atomic_load_explicit(&t->config.dest_counters[w][d->id].references,
					 memory_order_acquire) > 0)
			return true;
	return false;
}

/*
 * ip_vs_dest_trash_expire(). Its one view is the one in snapshot.dests, so that no worker can find it in a list: then a
 * count of references of 0 stays so. True: its address may be nothing any more.
 */
static bool sweep_dest(struct tables *t, struct tables_dest *d, uint64_t now_usec)
{
	if (d->dirty || d->n_views != 1 || d->view->refs != 1 || has_references(t, d)) {
		d->idle_since_usec = 0;
		return false;
	}
	if (d->idle_since_usec == 0)
		d->idle_since_usec = now_usec;
	if (now_usec - d->idle_since_usec < trash_usec)
		return false;
	tables_leave_trash(t, d);
	tables_unlink_dest(t, d);
	tables_condemn(t, d);
	return true;
}

static bool sweep(struct tables *t, uint64_t now_usec)
{
	bool changed = false;

	for (unsigned i = 0; t->n_trash > 0 && i < TABLES_BUCKETS; i++)
		for (struct tables_dest *d = t->trash_buckets[i], *next; d; d = next) {
			next = d->trash_next;
			changed |= sweep_dest(t, d, now_usec);
		}
	return changed;
}

bool tables_tick(struct tables *t, uint64_t now_usec)
{
	bool changed = false;

	if (t->estimated_usec == 0 || now_usec < t->estimated_usec)
		t->estimated_usec = now_usec;
	if (now_usec - t->estimated_usec >= estimate_usec) {
		estimate_all(t, now_usec - t->estimated_usec);
		t->estimated_usec = now_usec;
	}
	if (now_usec - t->swept_usec >= sweep_usec) {
		t->swept_usec = now_usec;
		changed = sweep(t, now_usec);
	}
	return changed || t->dirty_addresses || t->dirty_dests || t->dirty_services ||
	       t->draft_dirty;
}
