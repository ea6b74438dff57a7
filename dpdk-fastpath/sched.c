/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/sched-hash.h"
#include "dpdk-fastpath/snapshot.h"

struct sched_view {
	enum sched_kind kind;
	struct sched_rounds rounds;
	/* wrr: `di` and `mw` of ip_vs_wrr.c. */
	int32_t step, max;
	struct sched_changes changes;
	uint16_t table[]; /* mh, sh, dh */
};

static const char *const names[] = {
	[SCHED_KIND_NONE] = "none", [SCHED_KIND_RR] = "rr",   [SCHED_KIND_WRR] = "wrr",
	[SCHED_KIND_LC] = "lc",	    [SCHED_KIND_WLC] = "wlc", [SCHED_KIND_SED] = "sed",
	[SCHED_KIND_NQ] = "nq",	    [SCHED_KIND_FO] = "fo",   [SCHED_KIND_OVF] = "ovf",
	[SCHED_KIND_DH] = "dh",	    [SCHED_KIND_SH] = "sh",   [SCHED_KIND_MH] = "mh",
	[SCHED_KIND_TWOS] = "twos",
};

int sched_parse(const char *name, enum sched_kind *ret)
{
	for (unsigned i = 0; i < _SCHED_KIND_MAX; i++)
		if (strcmp(names[i], name) == 0) {
			*ret = (enum sched_kind)i;
			return 0;
		}
	return -ENOENT;
}

const char *sched_to_string(enum sched_kind k)
{
	return names[k];
}

enum sched_kind sched_view_kind(const struct sched_view *v)
{
	return v->kind;
}

void sched_view_free(struct sched_view *v)
{
	free(v);
}

void sched_rounds_add(struct sched_rounds *r, uint32_t weight)
{
	uint32_t a = weight, b = r->divisor;

	r->highest = weight > r->highest ? weight : r->highest;
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	r->divisor = a;
}

/* Nobody has a weight: 1. */
static int32_t rounds_step(const struct sched_rounds *r)
{
	return r->divisor ? (int32_t)r->divisor : 1;
}

/* The highest weight is lowered, so that the last round is the one for a weight of 1. */
static int32_t rounds_max(const struct sched_rounds *r)
{
	return (int32_t)r->highest - (rounds_step(r) - 1);
}

int32_t sched_rounds_restart(const struct sched_rounds *r, int32_t current)
{
	const int32_t step = rounds_step(r), max = rounds_max(r);

	if (current > max || current == 0)
		return max;
	return step > 1 ? current / step * step + 1 : current;
}

static void wrr_measure(const struct service_view *s, struct sched_view *v)
{
	for (size_t i = 0; i < s->n_dests; i++)
		sched_rounds_add(&v->rounds, s->dests[i]->weight);
	v->step = rounds_step(&v->rounds);
	v->max = rounds_max(&v->rounds);
}

static void changes_add(struct sched_changes *c, struct sched_change change)
{
	c->entries[c->n++ % SCHED_CHANGES_KEPT] = change;
}

/* The same twice in a row is the same once. */
void sched_changes_add_rounds(struct sched_changes *c, const struct sched_rounds *r)
{
	const struct sched_rounds *last = &c->entries[(c->n - 1) % SCHED_CHANGES_KEPT].rounds;

	if (c->n == 0 || last->divisor != r->divisor || last->highest != r->highest)
		changes_add(c, (struct sched_change){ .rounds = *r });
}

void sched_changes_add_removal(struct sched_changes *c, uint32_t id, uint32_t id_before)
{
	changes_add(c, (struct sched_change){ .removed = { .id = id, .id_before = id_before } });
}

void sched_changes_publish(struct sched_changes *c, uint32_t generation)
{
	for (uint32_t i = 0; i < SCHED_CHANGES_KEPT && i < c->n; i++) {
		struct sched_change *e = &c->entries[(c->n - 1 - i) % SCHED_CHANGES_KEPT];

		if (e->generation > 0)
			break;
		e->generation = generation;
	}
}

/* The next one that a worker has not seen which saw this generation; NULL: none. *at is 0 at first. */
static const struct sched_change *changes_next(const struct sched_changes *c, uint32_t seen,
					       uint32_t *at)
{
	uint32_t kept = MIN(c->n, (uint32_t)SCHED_CHANGES_KEPT);

	while (*at < kept) {
		const struct sched_change *e =
			&c->entries[(c->n - kept + (*at)++) % SCHED_CHANGES_KEPT];

		if (e->generation > seen)
			return e;
	}
	return NULL;
}

int sched_view_new(const struct service_view *s, enum sched_kind kind,
		   const struct sched_changes *changes, struct sched_view **ret)
{
	_cleanup_free_ struct sched_view *v = NULL;
	size_t size = sched_hash_size(kind);
	int r;

	v = calloc(1, sizeof(*v) + size * sizeof(v->table[0]));
	if (!v)
		return -ENOMEM;
	v->kind = kind;
	v->changes = *changes;
	if (kind == SCHED_KIND_WRR)
		wrr_measure(s, v);
	if (size > 0) {
		r = sched_hash_fill(kind, s, v->table);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(v);
	return 0;
}

static inline bool is_available(const struct sched_input *in, size_t i)
{
	const struct dest_view *d = in->service->dests[i];

	return d->weight > 0 && !in->overloaded(in->context, d->id);
}

static int use(const struct sched_input *in, size_t i)
{
	in->cursor->position = (uint32_t)i + 1;
	in->cursor->last_id = in->service->dests[i]->id;
	return (int)i;
}

/* Where the list has changed. A destination that is gone leaves its place to the one behind it. */
static void rr_settle(const struct sched_input *in, const struct sched_view *v)
{
	struct sched_cursor *c = in->cursor;
	const struct service_view *s = in->service;
	const struct sched_change *change;
	uint32_t at = 0;

	while ((change = changes_next(&v->changes, c->generation, &at)))
		if (c->last_id != 0 && change->removed.id == c->last_id) {
			c->last_id = change->removed.id_before;
			if (c->last_id == 0)
				c->position = 0;
		}
	if (c->position == 0)
		return;
	for (size_t i = 0; i < s->n_dests; i++)
		if (s->dests[i]->id == c->last_id) {
			c->position = (uint32_t)i + 1;
			return;
		}
	c->position--;
	c->last_id = 0;
}

/* ip_vs_rr_schedule(): the next one that is available, at last the one used last. */
static int choose_rr(const struct sched_input *in)
{
	size_t n = in->service->n_dests, at = in->cursor->position;

	for (size_t i = 0; i < n; i++, at++) {
		if (at >= n)
			at = 0;
		if (is_available(in, at))
			return use(in, at);
	}
	return -1;
}

static void wrr_settle(const struct service_view *s, const struct sched_view *v,
		       struct sched_cursor *c)
{
	const struct sched_change *change;
	uint32_t at = 0;

	c->position = 0;
	if (c->generation == 0)
		c->current_weight = s->round;
	else
		while ((change = changes_next(&v->changes, c->generation, &at)))
			c->current_weight =
				sched_rounds_restart(&change->rounds, c->current_weight);
	c->current_weight = sched_rounds_restart(&v->rounds, c->current_weight);
}

/* Where ip_vs_wrr_schedule() stands when it has looked at all in vain: at the head, or after its last round. */
static int wrr_fail(const struct sched_view *v, struct sched_cursor *c)
{
	if (v->max == 0)
		return -1;
	if (c->position == 0 || c->current_weight > v->step) {
		c->position = 0;
		c->current_weight = v->max;
	} else {
		c->current_weight = 1;
	}
	return -1;
}

/* In this round, from a place on; -1: none. */
static int wrr_next(const struct sched_input *in, size_t at)
{
	for (; at < in->service->n_dests; at++)
		if ((int32_t)in->service->dests[at]->weight >= in->cursor->current_weight &&
		    is_available(in, at))
			return (int)at;
	return -1;
}

/*
 * ip_vs_wrr_schedule(): round by round, each for a lower weight. Rounds in which nobody can be chosen are skipped; the
 * kernel walks the list for each of them.
 */
static int choose_wrr(const struct sched_input *in, const struct sched_view *v)
{
	struct sched_cursor *c = in->cursor;
	size_t n = in->service->n_dests;
	int32_t best = 0;
	int at = wrr_next(in, c->position);

	if (at >= 0)
		return use(in, (size_t)at);
	for (size_t i = 0; i < n; i++)
		if ((int32_t)in->service->dests[i]->weight > best && is_available(in, i))
			best = (int32_t)in->service->dests[i]->weight;
	if (best == 0)
		return wrr_fail(v, c);
	/* The first round has one to choose, unless other workers have just overloaded it. */
	for (size_t i = 0; i < n; i++) {
		c->current_weight -= v->step;
		if (c->current_weight <= 0)
			c->current_weight = v->max;
		if (c->current_weight > best)
			c->current_weight -=
				(c->current_weight - best + v->step - 1) / v->step * v->step;
		at = wrr_next(in, 0);
		if (at >= 0)
			return use(in, (size_t)at);
	}
	return wrr_fail(v, c);
}

/*
 * lc, wlc, sed and nq: the lowest cost by weight, the first of equals. ip_vs_dest_conn_overhead() counts an active
 * connection 256 times beside once among all; sed and nq count the one to come.
 */
static uint64_t cost(enum sched_kind kind, struct sched_load l)
{
	return kind == SCHED_KIND_SED || kind == SCHED_KIND_NQ
		       ? (uint64_t)l.active + 1
		       : ((uint64_t)l.active << 8) + l.active + l.inactive;
}

static int choose_least(const struct sched_input *in, enum sched_kind kind)
{
	const struct service_view *s = in->service;
	uint64_t least_cost = 0;
	int least = -1;

	for (size_t i = 0; i < s->n_dests; i++) {
		struct sched_load l;
		uint64_t c;

		if (!is_available(in, i))
			continue;
		l = in->load(in->context, s->dests[i]->id);
		if (kind == SCHED_KIND_NQ && l.active == 0)
			return (int)i;
		c = cost(kind, l);
		if (least < 0 || (kind == SCHED_KIND_LC ? least_cost > c
							: least_cost * s->dests[i]->weight >
								  c * s->dests[least]->weight)) {
			least = (int)i;
			least_cost = c;
		}
	}
	return least;
}

/* ip_vs_fo_schedule(), ip_vs_ovf_schedule(): the highest weight, with ovf only while its connections do not exceed it. */
static int choose_heaviest(const struct sched_input *in, enum sched_kind kind)
{
	const struct service_view *s = in->service;
	int heaviest = -1;

	for (size_t i = 0; i < s->n_dests; i++) {
		const struct dest_view *d = s->dests[i];

		if ((heaviest < 0 || d->weight > s->dests[heaviest]->weight) &&
		    is_available(in, i) &&
		    (kind == SCHED_KIND_FO || in->load(in->context, d->id).active <= d->weight))
			heaviest = (int)i;
	}
	return heaviest;
}

/* The destination in which the weight-th unit of weight lies; the kernel's 0 belongs to the first. */
static int twos_pick(const struct sched_input *in, uint64_t weight)
{
	const struct service_view *s = in->service;

	for (size_t i = 0; i < s->n_dests; i++) {
		if (!is_available(in, i))
			continue;
		if (weight <= s->dests[i]->weight)
			return (int)i;
		weight -= s->dests[i]->weight;
	}
	return -1;
}

/* ip_vs_twos_schedule(): of two at random, by weight, the one with the lower cost. */
static int choose_twos(const struct sched_input *in)
{
	const struct service_view *s = in->service;
	uint64_t total = 0, first_cost, second_cost;
	int first, second;

	for (size_t i = 0; i < s->n_dests; i++)
		if (is_available(in, i))
			total += s->dests[i]->weight;
	if (total == 0)
		return -1;
	first = twos_pick(in, (in->random & UINT32_MAX) % (total + 1));
	second = twos_pick(in, (in->random >> 32) % (total + 1));
	/* Another worker may have marked one as overloaded meanwhile. */
	if (first < 0 || second < 0)
		return first < 0 ? second : first;
	first_cost = cost(SCHED_KIND_TWOS, in->load(in->context, s->dests[first]->id));
	second_cost = cost(SCHED_KIND_TWOS, in->load(in->context, s->dests[second]->id));
	return s->dests[second]->weight * first_cost > s->dests[first]->weight * second_cost
		       ? second
		       : first;
}

static void settle(const struct sched_input *in, const struct sched_view *v)
{
	struct sched_cursor *c = in->cursor;

	if (c->kind != v->kind || c->generation < in->service->born)
		*c = (struct sched_cursor){ .kind = (uint8_t)v->kind };
	if (v->kind == SCHED_KIND_RR)
		rr_settle(in, v);
	if (v->kind == SCHED_KIND_WRR)
		wrr_settle(in->service, v, c);
	c->generation = in->service->generation;
}

int sched_choose(const struct sched_input *in)
{
	const struct sched_view *v = in->service->sched;

	switch (v->kind) {
	case SCHED_KIND_MH:
	case SCHED_KIND_SH:
	case SCHED_KIND_DH:
		return sched_hash_choose(v->kind, v->table, in);
	case SCHED_KIND_LC:
	case SCHED_KIND_WLC:
	case SCHED_KIND_SED:
	case SCHED_KIND_NQ:
		return choose_least(in, v->kind);
	case SCHED_KIND_FO:
	case SCHED_KIND_OVF:
		return choose_heaviest(in, v->kind);
	case SCHED_KIND_TWOS:
		return choose_twos(in);
	case SCHED_KIND_RR:
	case SCHED_KIND_WRR:
		if (in->cursor->generation != in->service->generation ||
		    in->cursor->kind != v->kind)
			settle(in, v);
		return v->kind == SCHED_KIND_RR ? choose_rr(in) : choose_wrr(in, v);
	case SCHED_KIND_NONE:
	case _SCHED_KIND_MAX:
		break;
	}
	return -1;
}
