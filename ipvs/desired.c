/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/desired.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/gcd.h"
#include "conf/conf.h"

enum {
	/* ipvsadm's default, for the services to every port that the kernel accepts as persistent only. */
	PERSISTENCE_DEFAULT_SEC = 360,
	SHARE_TOTAL = 10000,
	SHARE_LEAST =
		100, /* average weight in each group: rounding moves no share by more than 0.5 % */
	WEIGHT_MAX = 65535, /* ipvsadm restores no greater one */
	SH_BUCKETS = 256, /* net/netfilter/ipvs/ip_vs_sh.c: IP_VS_SH_TAB_SIZE in Debian's kernels */
};

/* A destination and its place in the order of registration. */
struct candidate {
	struct ipvs_dest dest;
	size_t position;
};

static int candidate_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int r = ipvs_dest_key_cmp(&x->dest, &y->dest);

	return r ? r : (x->position > y->position) - (x->position < y->position);
}

/* The last registered first: the kernel's list after one NEW_DEST each. */
static int candidate_list_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->position < y->position) - (x->position > y->position);
}

static void dest_set_forwarding(struct ipvs_dest *d, const struct conf_group *g,
				enum desired_plane plane)
{
	switch (g->forwarding) {
	case CONF_FORWARDING_DIRECT:
		d->forward = IPVS_FORWARD_ROUTE;
		return;
	case CONF_FORWARDING_IPIP:
		d->forward = IPVS_FORWARD_TUNNEL;
		return;
	case CONF_FORWARDING_GUE:
		d->forward = IPVS_FORWARD_TUNNEL;
		d->tunnel = IPVS_TUNNEL_GUE;
		d->tunnel_port = g->tunnel_port;
		d->tunnel_flags = g->tunnel_flags;
		return;
	case CONF_FORWARDING_GRE:
		d->forward = IPVS_FORWARD_TUNNEL;
		d->tunnel = IPVS_TUNNEL_GRE;
		d->tunnel_flags = g->tunnel_flags;
		return;
	case CONF_FORWARDING_FULL_NAT:
		/* The kernel has only the half of it. */
		d->forward = plane == DESIRED_FASTPATH ? IPVS_FORWARD_FULL_NAT : IPVS_FORWARD_MASQ;
		return;
	case CONF_FORWARDING_NAT:
	case _CONF_FORWARDING_MAX:
		d->forward = IPVS_FORWARD_MASQ;
	}
}

/* Only a tunnel carries one family inside the other (ipvs.md §1.4). */
static bool target_fits(const struct desired_target *t, const struct conf_group *g, uint16_t family)
{
	return t->addr.family == family ||
	       (t->addr.family != AF_UNSPEC && conf_forwarding_is_tunnel(g->forwarding));
}

struct group_sums {
	uint64_t sum, most, n; /* of the weights above 0, of targets that the listener can use */
};

static struct group_sums group_sums(const struct conf *conf, const struct conf_listener *l,
				    const struct conf_forward *f,
				    const struct desired_group *groups)
{
	const struct desired_group *g = &groups[f->group];
	struct group_sums s = { 0 };

	for (size_t i = 0; i < g->n; i++) {
		if (!target_fits(&g->targets[i], &conf->groups[f->group], l->family))
			continue;
		s.sum += g->targets[i].weight;
		s.most = MAX(s.most, (uint64_t)g->targets[i].weight);
		s.n += g->targets[i].weight > 0;
	}
	return s;
}

/* A group's part of the listener's weight, over the group's own sum. */
struct share {
	bool whole; /* the listener's only group: weights stay as given */
	uint64_t numerator, denominator;
};

static uint32_t share_weight(const struct share *s, uint32_t weight)
{
	uint64_t w;

	if (s->whole)
		return weight;
	if (weight == 0 || s->numerator == 0)
		return 0;
	w = (weight * s->numerator + s->denominator / 2) / s->denominator;
	return w ? (uint32_t)w : 1;
}

static uint64_t forward_weights(const struct conf_listener *l)
{
	uint64_t weights = 0;

	for (size_t i = 0; i < l->n_forwards; i++)
		weights += l->forwards[i].weight;
	return weights;
}

/*
 * What the groups' shares are parts of: more for many targets, and by doubling, so that single targets that come and
 * go do not move it; not so much that a weight would pass the greatest.
 */
static uint64_t share_total(const struct conf *conf, const struct conf_listener *l,
			    const struct desired_group *groups)
{
	uint64_t weights = forward_weights(l), total = SHARE_TOTAL, least = 0, densest = 0;
	const uint64_t unit = UINT64_C(1) << 20;

	if (l->n_forwards == 1)
		return total;
	for (size_t i = 0; i < l->n_forwards; i++) {
		const struct conf_forward *f = &l->forwards[i];
		struct group_sums s = group_sums(conf, l, f, groups);

		if (!f->weight || !s.n)
			continue;
		least = MAX(least, SHARE_LEAST * s.n * weights / f->weight);
		densest += f->weight * s.most * unit / (weights * s.sum) + 1;
	}
	while (total < least && 2 * total * densest <= WEIGHT_MAX * unit)
		total *= 2;
	return total;
}

static struct share forward_share(const struct conf *conf, const struct conf_listener *l,
				  const struct conf_forward *f, const struct desired_group *groups,
				  uint64_t total)
{
	return (struct share){
		.whole = l->n_forwards == 1,
		.numerator = total * f->weight,
		.denominator = forward_weights(l) * group_sums(conf, l, f, groups).sum,
	};
}

/* What a listener's services are made of. */
struct sources {
	const struct conf *conf;
	const struct desired_group *groups;
	enum desired_plane plane;
	struct candidate *scratch; /* borrowed; room for the largest listener */
};

static size_t candidates_fill(const struct sources *from, const struct conf_listener *l,
			      uint16_t port, bool ordered)
{
	uint64_t total = share_total(from->conf, l, from->groups);
	size_t n = 0;

	for (size_t i = 0; i < l->n_forwards; i++) {
		const struct conf_forward *f = &l->forwards[i];
		const struct conf_group *g = &from->conf->groups[f->group];
		const struct desired_group *dg = &from->groups[f->group];
		struct share share = forward_share(from->conf, l, f, from->groups, total);
		struct ipvs_dest d = {
			.upper_threshold = g->max_connections,
			.lower_threshold = g->min_connections,
		};

		dest_set_forwarding(&d, g, from->plane);
		for (size_t k = 0; k < dg->n; k++) {
			const struct desired_target *t = &dg->targets[k];

			if (!target_fits(t, g, l->family) || (t->ends && !ordered))
				continue;
			d.addr = t->addr;
			d.port = t->port ? t->port : port;
			d.weight = share_weight(&share, t->weight);
			from->scratch[n] = (struct candidate){ .dest = d, .position = n };
			n++;
		}
	}
	return n;
}

/* Targets that were written down in ascending order, as most are, cannot coincide. */
static bool candidates_ascend(const struct candidate *c, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (ipvs_dest_key_cmp(&c[i - 1].dest, &c[i].dest) >= 0)
			return false;
	return true;
}

static void candidates_reverse(struct candidate *c, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct candidate swap = c[i];

		c[i] = c[n - 1 - i];
		c[n - 1 - i] = swap;
	}
}

/* Sums what two groups share; the first registration decides the rest. Leaves the list order. */
static size_t candidates_merge(struct candidate *c, size_t n)
{
	size_t out = 0;

	if (candidates_ascend(c, n)) {
		candidates_reverse(c, n);
		return n;
	}
	qsort(c, n, sizeof(*c), candidate_cmp);
	for (size_t i = 1; i < n; i++) {
		if (ipvs_dest_key_cmp(&c[out].dest, &c[i].dest) == 0)
			c[out].dest.weight += c[i].dest.weight;
		else
			c[++out] = c[i];
	}
	n = out + 1;
	qsort(c, n, sizeof(*c), candidate_list_cmp);
	return n;
}

/*
 * sh gives each destination as many of its 256 buckets as its weight says, and one to a weight of 0, from the head
 * of the list until they are used up: with a larger sum the tail would get nothing. Equal weights are reduced
 * exactly; others keep one bucket each and share the rest in proportion.
 */
static void candidates_fit_sh(struct candidate *c, size_t n)
{
	uint64_t sum = 0, buckets = 0, spare = n < SH_BUCKETS ? SH_BUCKETS - n : 0;
	uint32_t divisor = 0;

	for (size_t i = 0; i < n; i++) {
		sum += c[i].dest.weight;
		buckets += MAX(c[i].dest.weight, 1U);
		divisor = gcd(divisor, c[i].dest.weight);
	}
	if (buckets <= SH_BUCKETS)
		return;
	divisor = MAX(divisor, 1U);
	buckets = 0;
	for (size_t i = 0; i < n; i++)
		buckets += MAX(c[i].dest.weight / divisor, 1U);
	for (size_t i = 0; i < n; i++) {
		uint32_t weight = c[i].dest.weight;

		if (buckets <= SH_BUCKETS)
			c[i].dest.weight = weight / divisor;
		else if (weight > 0)
			c[i].dest.weight = (uint32_t)(1 + weight * spare / sum);
	}
}

/* A service has one scheduler and one persistence: those of the first group that gets traffic. */
static const struct conf_group *leading_group(const struct conf *conf,
					      const struct conf_listener *l)
{
	for (size_t i = 0; i < l->n_forwards; i++)
		if (l->forwards[i].weight > 0)
			return &conf->groups[l->forwards[i].group];
	return l->n_forwards ? &conf->groups[l->forwards[0].group] : NULL;
}

static uint32_t netmask(uint16_t family, unsigned prefix_len)
{
	if (family == AF_INET6)
		return prefix_len ? MIN(prefix_len, 128U) : 1; /* the kernel refuses 0 */
	if (prefix_len == 0)
		return 0;
	return htonl(UINT32_MAX << (32 - MIN(prefix_len, 32U)));
}

static void service_set_conf(struct ipvs_service *s, const struct conf_listener *l,
			     const struct conf_group *g)
{
	bool every_port = !s->key.fwmark && s->key.port == 0;

	s->netmask = netmask(s->key.family, 128);
	if (!g) {
		strcpy(s->scheduler, "none");
		return;
	}
	memcpy(s->scheduler, g->algorithm.scheduler, sizeof(s->scheduler));
	s->flags = g->algorithm.flags;
	if (strcmp(s->scheduler, "mh") == 0 || strcmp(s->scheduler, "sh") == 0)
		s->flags |= IPVS_SVC_SCHED1;
	if (l->one_packet && s->key.protocol != IPPROTO_TCP && s->key.protocol != IPPROTO_SCTP)
		s->flags |= IPVS_SVC_ONEPACKET;
	if (g->stickiness) {
		usec_t sec = (g->stickiness_duration_usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
		unsigned len = s->key.family == AF_INET6 ? g->stickiness_prefix_v6
							 : g->stickiness_prefix_v4;

		s->flags |= IPVS_SVC_PERSISTENT;
		s->timeout_sec = (uint32_t)MIN(MAX(sec, (usec_t)1), (usec_t)INT32_MAX);
		s->netmask = netmask(s->key.family, len);
	} else if (every_port) {
		s->flags |= IPVS_SVC_PERSISTENT;
		s->timeout_sec = PERSISTENCE_DEFAULT_SEC;
	}
}

static int add_service(const struct sources *from, const struct conf_listener *l,
		       const struct ipvs_service_key *key, struct ipvs_ruleset *r)
{
	struct ipvs_service *s = ipvs_ruleset_append(r, key);
	size_t n;

	if (!s)
		return -ENOMEM;
	service_set_conf(s, l, leading_group(from->conf, l));
	n = candidates_merge(from->scratch,
			     candidates_fill(from, l, key->port,
					     ipvs_scheduler_is_ordered(s->scheduler)));
	if (strcmp(s->scheduler, "sh") == 0)
		candidates_fit_sh(from->scratch, n);
	for (size_t i = 0; i < n; i++)
		if (!ipvs_service_append(s, &from->scratch[i].dest))
			return -ENOMEM;
	return 0;
}

static int add_listener(const struct sources *from, const struct conf_listener *l,
			struct ipvs_ruleset *r)
{
	static const uint8_t protocols[_CONF_PROTOCOL_MAX][2] = {
		[CONF_PROTOCOL_TCP] = { IPPROTO_TCP },
		[CONF_PROTOCOL_UDP] = { IPPROTO_UDP },
		[CONF_PROTOCOL_TCP_UDP] = { IPPROTO_TCP, IPPROTO_UDP },
		[CONF_PROTOCOL_SCTP] = { IPPROTO_SCTP },
	};
	struct ipvs_service_key key = { .fwmark = l->firewall_mark, .family = l->family };
	int e;

	/* Netfilter gives the marks: what the fast path takes from the port has none, and goes to the kernel. */
	if (key.fwmark)
		return from->plane == DESIRED_FASTPATH ? 0 : add_service(from, l, &key, r);
	key.addr = l->address;
	for (size_t i = 0; i < 2 && protocols[l->protocol][i]; i++) {
		key.protocol = protocols[l->protocol][i];
		for (unsigned port = l->ports.low; port <= l->ports.high; port++) {
			key.port = (uint16_t)port;
			e = add_service(from, l, &key, r);
			if (e < 0)
				return e;
		}
	}
	return 0;
}

static int add_probe_service(const struct conf_group *g, const struct desired_target *t,
			     struct ipvs_ruleset *r)
{
	struct ipvs_service_key key = { .fwmark = t->probe_mark, .family = t->probe_family };
	struct ipvs_dest d = { .addr = t->addr, .port = t->port, .weight = 1 };
	struct ipvs_service *s = ipvs_ruleset_append(r, &key);

	if (!s)
		return -ENOMEM;
	strcpy(s->scheduler, "rr");
	s->netmask = netmask(key.family, 128);
	if (!d.port)
		d.port = t->probe_port;
	dest_set_forwarding(&d, g, DESIRED_KERNEL);
	return ipvs_service_append(s, &d) ? 0 : -ENOMEM;
}

/* Marks are given to packets of this host alone, and those go through the kernel on either plane. */
static int add_probe_services(const struct sources *from, struct ipvs_ruleset *r)
{
	for (size_t i = 0; i < from->conf->n_groups && from->plane == DESIRED_KERNEL; i++) {
		for (size_t k = 0; k < from->groups[i].n; k++) {
			const struct desired_target *t = &from->groups[i].targets[k];
			int e = t->probe_mark ? add_probe_service(&from->conf->groups[i], t, r) : 0;

			if (e < 0)
				return e;
		}
	}
	return 0;
}

static int add_hook_keeper(const struct conf *conf, uint16_t family, struct ipvs_ruleset *r)
{
	struct ipvs_service_key key = { .fwmark = IPVS_HOOK_KEEPER_MARK, .family = family };
	struct ipvs_service *s;

	for (size_t i = 0; i < conf->n_listeners; i++) {
		if (conf->listeners[i].family != family)
			continue;
		s = ipvs_ruleset_append(r, &key);
		if (!s)
			return -ENOMEM;
		strcpy(s->scheduler, "none");
		s->netmask = netmask(family, 128);
		return 0;
	}
	return 0;
}

static size_t candidates_max(const struct conf *conf, const struct desired_group *groups)
{
	size_t max = 1;

	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];
		size_t n = 0;

		for (size_t k = 0; k < l->n_forwards; k++)
			n += groups[l->forwards[k].group].n;
		max = MAX(max, n);
	}
	return max;
}

int desired_compute(const struct conf *conf, const struct desired_group *groups,
		    enum desired_plane plane, struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_free_ struct candidate *scratch =
		calloc(candidates_max(conf, groups), sizeof(*scratch));
	struct sources from = {
		.conf = conf, .groups = groups, .plane = plane, .scratch = scratch
	};
	int e = scratch ? 0 : -ENOMEM;

	for (size_t i = 0; e == 0 && i < conf->n_listeners; i++)
		e = add_listener(&from, &conf->listeners[i], &r);
	if (e == 0)
		e = add_probe_services(&from, &r);
	if (e == 0)
		e = add_hook_keeper(conf, AF_INET, &r);
	if (e == 0)
		e = add_hook_keeper(conf, AF_INET6, &r);
	if (e < 0)
		return e;
	ipvs_ruleset_sort(&r);
	*ret = r;
	r = IPVS_RULESET_INIT;
	return 0;
}

bool desired_service_is_of(const struct conf_listener *l, const struct ipvs_service_key *k)
{
	if (k->family != l->family || k->fwmark != l->firewall_mark)
		return false;
	if (l->firewall_mark)
		return true;
	if (!addr_eq(&k->addr, &l->address) || k->port < l->ports.low || k->port > l->ports.high)
		return false;
	switch (l->protocol) {
	case CONF_PROTOCOL_TCP:
		return k->protocol == IPPROTO_TCP;
	case CONF_PROTOCOL_UDP:
		return k->protocol == IPPROTO_UDP;
	case CONF_PROTOCOL_SCTP:
		return k->protocol == IPPROTO_SCTP;
	default:
		return k->protocol == IPPROTO_TCP || k->protocol == IPPROTO_UDP;
	}
}
