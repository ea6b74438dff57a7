/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/registry-via.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum {
	VIA_V4,
	VIA_V6,
};

static size_t family_index(uint16_t family)
{
	return family == AF_INET6 ? VIA_V6 : VIA_V4;
}

static bool is_tunnel(enum conf_forwarding f)
{
	return f == CONF_FORWARDING_IPIP || f == CONF_FORWARDING_GUE || f == CONF_FORWARDING_GRE;
}

static bool goes_through(const struct conf_group *g)
{
	return g->check.via_vip && conf_check_has_port(g->check.protocol) &&
	       (g->forwarding == CONF_FORWARDING_DIRECT || is_tunnel(g->forwarding));
}

void registry_note_via(struct target_group *g, const struct conf_listener *l)
{
	const struct conf_listener **via = &g->via[family_index(l->family)];

	if (!*via && !l->firewall_mark && goes_through(g->conf))
		*via = l;
}

/* A tunnel carries the other family too, but then nothing tells the source that a probe is to have. */
const struct conf_listener *registry_via(const struct target_group *g, const struct target *t)
{
	const struct conf_listener *same = g->via[family_index(t->addr.family)];
	const struct conf_listener *other = g->via[!family_index(t->addr.family)];

	if (t->addr.family == AF_UNSPEC || same)
		return same;
	return other && is_tunnel(g->conf->forwarding) &&
			       g->conf->check.source.family == other->family
		       ? other
		       : NULL;
}

uint16_t registry_probe_family(const struct target_group *g, const struct target *t)
{
	const struct conf_listener *l = registry_via(g, t);

	return l ? l->family : AF_UNSPEC;
}

static int by_id(const void *a, const void *b)
{
	const struct target *x = *(struct target *const *)a, *y = *(struct target *const *)b;

	return (x->id > y->id) - (x->id < y->id);
}

/* In the order of the ids each takes the place that its id names, or the next free one. */
static int give_marks(struct target **sorted, size_t n)
{
	_cleanup_free_ uint8_t *taken = calloc(IPVS_PROBE_MARKS / 8, 1);

	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < n && i < IPVS_PROBE_MARKS; i++) {
		uint32_t place = (uint32_t)(sorted[i]->id % IPVS_PROBE_MARKS);

		while (taken[place / 8] & (1U << place % 8))
			place = (place + 1) % IPVS_PROBE_MARKS;
		taken[place / 8] |= (uint8_t)(1U << place % 8);
		sorted[i]->probe_mark = IPVS_PROBE_MARK + place;
	}
	return 0;
}

int registry_mark_probes(struct registry *r)
{
	_cleanup_free_ struct target **sorted = calloc(r->n_targets + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		for (size_t j = 0; j < r->groups[i].n; j++) {
			struct target *t = &r->groups[i].targets[j];

			t->probe_mark = 0; /* it was another configuration's */
			if (registry_via(&r->groups[i], t))
				sorted[n++] = t;
		}
	}
	if (n == 0)
		return 0;
	qsort(sorted, n, sizeof(struct target *), by_id);
	return give_marks(sorted, n);
}
