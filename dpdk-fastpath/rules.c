/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/rules.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/packet.h"

/* An address of either family as a number; IPv4 in the upper 32 bits of `high`, as its bytes stand. */
struct number {
	uint64_t high, low;
};

struct range {
	struct number min, max;
};

struct group {
	uint8_t protocol, family;
	uint16_t port_min, port_max;
	uint32_t first, n; /* of ranges */
};

struct rules_view {
	size_t n_groups;
	struct group *groups; /* owned */
	struct range *ranges; /* owned */
};

static struct number number_of(const uint8_t bytes[16])
{
	struct number n;

	memcpy(&n, bytes, sizeof(n));
	return (struct number){ be64toh(n.high), be64toh(n.low) };
}

static int number_cmp(const struct number *a, const struct number *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return (a->low > b->low) - (a->low < b->low);
}

static struct number number_next(struct number n)
{
	n.low++;
	n.high += n.low == 0;
	return n;
}

static struct range range_of(const struct prefix *p)
{
	struct range r = { number_of(p->addr.bytes), number_of(p->addr.bytes) };

	r.max.high |= p->len >= 64 ? 0 : UINT64_MAX >> p->len;
	r.max.low |= p->len >= 128 ? 0 : UINT64_MAX >> (p->len > 64 ? p->len - 64 : 0);
	return r;
}

/* By what makes a group, then by the prefix's first address. */
static int compare_groups(const struct rule *a, const struct rule *b)
{
	if (a->source.addr.family != b->source.addr.family)
		return (int)a->source.addr.family - (int)b->source.addr.family;
	if (a->protocol != b->protocol)
		return (int)a->protocol - (int)b->protocol;
	if (a->port_min != b->port_min)
		return (int)a->port_min - (int)b->port_min;
	return (int)a->port_max - (int)b->port_max;
}

static int compare_rules(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int r = compare_groups(x, y);

	return r ? r : memcmp(x->source.addr.bytes, y->source.addr.bytes, 16);
}

static bool is_valid(const struct rule *r)
{
	size_t len = addr_len_bytes(&r->source.addr);

	return len > 0 && r->source.len <= len * 8 && r->port_min <= r->port_max;
}

/* `r` begins no sooner than the group's last range: joins it, or follows it. */
static void add_range(struct rules_view *v, struct group *g, const struct range *r)
{
	if (g->n > 0) {
		struct range *last = &v->ranges[g->first + g->n - 1];
		struct number after = number_next(last->max);

		/* 0: the last range reaches the end of all addresses */
		if ((after.high | after.low) == 0 || number_cmp(&r->min, &after) <= 0) {
			if (number_cmp(&r->max, &last->max) > 0)
				last->max = r->max;
			return;
		}
	}
	v->ranges[g->first + g->n++] = *r;
}

static void build(struct rules_view *v, const struct rule *sorted, size_t n)
{
	uint32_t n_ranges = 0;
	struct group *g = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct rule *rule = &sorted[i];
		struct range r = range_of(&rule->source);

		if (i == 0 || compare_groups(rule, &sorted[i - 1]) != 0) {
			if (g)
				n_ranges += g->n;
			g = &v->groups[v->n_groups++];
			*g = (struct group){ rule->protocol, (uint8_t)rule->source.addr.family,
					     rule->port_min, rule->port_max,
					     n_ranges,	     0 };
		}
		add_range(v, g, &r);
	}
}

DEFINE_CLEANUP(struct rules_view *, rules_free)

int rules_new(const struct rule *rules, size_t n, struct rules_view **ret)
{
	_cleanup_(rules_free_p) struct rules_view *v = NULL;
	_cleanup_free_ struct rule *sorted = NULL;

	if (n > RULES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!is_valid(&rules[i]))
			return -EINVAL;
	v = calloc(1, sizeof(*v));
	sorted = calloc(n + 1, sizeof(*sorted));
	if (!v || !sorted)
		return -ENOMEM;
	v->groups = calloc(n + 1, sizeof(*v->groups));
	v->ranges = calloc(n + 1, sizeof(*v->ranges));
	if (!v->groups || !v->ranges)
		return -ENOMEM;
	if (n > 0) {
		memcpy(sorted, rules, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), compare_rules);
	}
	build(v, sorted, n);
	*ret = take_ptr(v);
	return 0;
}

void rules_free(struct rules_view *v)
{
	if (!v)
		return;
	free(v->groups);
	free(v->ranges);
	free(v);
}

static bool has_address(const struct rules_view *v, const struct group *g, const struct number *a)
{
	uint32_t min = g->first, max = g->first + g->n; /* the range is within [min, max) */

	while (min < max) {
		uint32_t mid = min + (max - min) / 2;

		if (number_cmp(a, &v->ranges[mid].min) < 0)
			max = mid;
		else if (number_cmp(a, &v->ranges[mid].max) > 0)
			min = mid + 1;
		else
			return true;
	}
	return false;
}

bool rules_allow(const struct rules_view *v, const struct flow_key *k)
{
	uint16_t port = ntohs(k->dst_port_be);
	struct number source;

	if (!v)
		return true;
	source = number_of(k->src);
	for (size_t i = 0; i < v->n_groups; i++) {
		const struct group *g = &v->groups[i];

		if (g->family == k->family && (g->protocol == 0 || g->protocol == k->protocol) &&
		    port >= g->port_min && port <= g->port_max && has_address(v, g, &source))
			return true;
	}
	return false;
}
