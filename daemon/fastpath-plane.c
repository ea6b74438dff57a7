/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-plane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "conf/conf.h"
#include "daemon/connections.h"
#include "daemon/linger.h"
#include "daemon/reconcile.h"
#include "daemon/registry.h"
#include "ipvs/channel-unix.h"
#include "ipvs/channel.h"
#include "ipvs/plan.h"

enum {
	ATTEMPTS = 3,		   /* as reconcile.c */
	POOL_PREFIX_BITS_MAX = 12, /* 4,096 addresses: more than the fast path takes */
};

int fastpath_plane_open(struct fastpath_plane *p, const char *path, usec_t timeout_usec)
{
	struct channel *channel = NULL;
	int r = channel_open_unix(path, timeout_usec, &channel);

	if (r < 0)
		return r;
	channel_free(p->channel);
	p->channel = channel;
	return 0;
}

void fastpath_plane_close(struct fastpath_plane *p)
{
	channel_free(p->channel);
	ipvs_ruleset_deinit(&p->actual);
	fastpath_rules_deinit(&p->rules);
	*p = FASTPATH_PLANE_INIT;
}

int fastpath_plane_dump(struct fastpath_plane *p)
{
	struct ipvs_ruleset fresh = IPVS_RULESET_INIT;
	int r = channel_dump(p->channel, &fresh);

	if (r < 0)
		return r;
	ipvs_ruleset_deinit(&p->actual);
	p->actual = fresh;
	return 0;
}

/* 0 where the kernel has no such setting, as it behaves then. */
static unsigned read_sysctl(const char *name)
{
	char path[64], text[16];
	_cleanup_close_ int fd = -1;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/vs/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_all(fd, text, sizeof(text) - 1, &len) < 0)
		return 0;
	text[len] = '\0';
	return text[0] >= '0' && text[0] <= '9' ? (unsigned)(text[0] - '0') : 0;
}

/* The kernel plane is the standby: both must treat a packet alike. */
static int set_options(struct fastpath_plane *p)
{
	struct private_options o;
	int r = channel_get_options(p->channel, &o);

	if (r < 0)
		return r;
	o.expire_nodest_conn = read_sysctl("expire_nodest_conn");
	o.expire_quiescent_template = read_sysctl("expire_quiescent_template");
	o.sloppy_tcp = read_sysctl("sloppy_tcp");
	o.sloppy_sctp = read_sysctl("sloppy_sctp");
	o.nat_icmp_send = read_sysctl("nat_icmp_send");
	o.conn_reuse_mode = (uint8_t)MIN(read_sysctl("conn_reuse_mode"), 3U);
	return channel_set_options(p->channel, &o);
}

static void next_address(struct addr *a)
{
	for (size_t i = addr_len_bytes(a); i-- > 0;)
		if (++a->bytes[i] != 0)
			return;
}

static int set_locals(struct fastpath_plane *p, const struct conf_fastpath *f)
{
	_cleanup_free_ struct addr *addrs = calloc(PRIVATE_LOCALS_MAX, sizeof(*addrs));
	size_t n = 0;

	if (!addrs)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_nat_pools; i++) {
		struct addr a = f->nat_pools[i].addr;
		unsigned bits = (unsigned)addr_len_bytes(&a) * 8 - f->nat_pools[i].len;

		if (bits > POOL_PREFIX_BITS_MAX)
			return -E2BIG;
		for (size_t k = 0; k < (size_t)1 << bits; k++) {
			if (n == PRIVATE_LOCALS_MAX)
				return -E2BIG;
			addrs[n++] = a;
			next_address(&a);
		}
	}
	return channel_set_locals(p->channel, addrs, n);
}

int fastpath_plane_set_up(struct fastpath_plane *p, struct channel *kernel, const struct conf *conf)
{
	struct ipvs_timeouts timeouts;
	int r = channel_get_timeouts(kernel, &timeouts);

	if (r == 0)
		r = channel_set_timeouts(p->channel, &timeouts);
	if (r == 0)
		r = set_options(p);
	return r < 0 ? r : set_locals(p, &conf->fastpath);
}

static int compute(const struct fastpath_plane *p, const struct conf *conf,
		   const struct registry *registry, const struct linger_set *linger,
		   struct ipvs_ruleset *ret)
{
	_cleanup_free_ struct desired_group *groups = NULL;
	int r = registry_to_desired(registry, &groups);

	if (r == 0)
		r = desired_compute(conf, groups, DESIRED_FASTPATH, ret);
	return r < 0 ? r : linger_merge(linger, &p->actual, ret);
}

static int apply_once(struct fastpath_plane *p, const struct ipvs_ruleset *desired,
		      struct reconcile_report *report)
{
	static const struct plan_ownership all = { .exclusive = true };
	struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
	int r = plan_compute(&p->actual, desired, &all, &plan);

	if (r < 0 || plan.n == 0)
		return r;
	r = reconcile_apply_ops(p->channel, &plan, report);
	if (r != 0)
		return r;
	r = plan_result(&plan, &p->actual, desired, &after);
	if (r < 0)
		return r;
	ipvs_ruleset_deinit(&p->actual);
	p->actual = after;
	return 0;
}

static struct ipvs_service_key key_of(const struct fastpath_rules_entry *e, unsigned port)
{
	struct ipvs_service_key key = e->key;

	key.port = (uint16_t)port;
	return key;
}

/* Services that are to have rules and are not there yet: made without a scheduler, so that nobody gets in before. */
static int make_restricted(struct fastpath_plane *p, struct fastpath_rules *rules,
			   struct reconcile_report *report)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset with = IPVS_RULESET_INIT;
	int r = ipvs_ruleset_copy(&p->actual, &with);

	for (size_t i = 0; r == 0 && i < rules->n; i++) {
		struct fastpath_rules_entry *e = &rules->entries[i];

		for (unsigned port = e->key.port; e->restricted && port <= e->port_high; port++) {
			const struct ipvs_service_key key = key_of(e, port);
			struct ipvs_service *s;

			if (ipvs_ruleset_find(&p->actual, &key))
				continue;
			s = ipvs_ruleset_append(&with, &key);
			if (!s)
				return -ENOMEM;
			strcpy(s->scheduler, PLAN_BARE_SCHEDULER);
			s->netmask = key.family == AF_INET6 ? 128 : UINT32_MAX;
			e->fresh = true;
		}
	}
	if (r < 0 || with.n == p->actual.n)
		return r;
	ipvs_ruleset_sort(&with);
	return apply_once(p, &with, report);
}

static int refuse_rules(const struct fastpath_rules_entry *e, struct reconcile_report *report)
{
	if (asprintf(&report->error,
		     "listener %s: %zu rules of its security groups, and the fast path takes %d of "
		     "a listener: join prefixes",
		     e->listener, e->n, PRIVATE_RULES_MAX) < 0)
		report->error = NULL;
	return -EIO;
}

static void describe_rules(const struct fastpath_rules_entry *e, struct reconcile_report *report)
{
	const char *protocol = e->key.protocol == IPPROTO_TCP	? "tcp"
			       : e->key.protocol == IPPROTO_UDP ? "udp"
								: "sctp";

	if (!report->changes || json_array_size(report->changes) >= RECONCILE_CHANGES_MAX)
		return;
	(void)json_array_append_new(report->changes,
				    e->restricted
					    ? json_sprintf("admit to %s of listener %s: %zu rules",
							   protocol, e->listener, e->n)
					    : json_sprintf("admit to %s of listener %s: everybody",
							   protocol, e->listener));
}

/* As apply_once(). A service that nobody restricts, and that is made by the plan, needs no word. */
static int set_rules(struct fastpath_plane *p, const struct fastpath_rules_entry *e)
{
	for (unsigned port = e->key.port; port <= e->port_high; port++) {
		const struct ipvs_service_key key = key_of(e, port);
		int r;

		if (!ipvs_ruleset_find(&p->actual, &key))
			continue;
		r = channel_set_rules(p->channel, &key, e->restricted ? e->rules : NULL, e->n);
		if (r < 0)
			return r == -ESRCH ? 1 : r;
	}
	return 0;
}

static int apply_rules(struct fastpath_plane *p, const struct conf *conf,
		       struct reconcile_report *report)
{
	_cleanup_(fastpath_rules_deinit) struct fastpath_rules rules = FASTPATH_RULES_INIT;
	bool first = p->rules.n == 0;
	int r = fastpath_rules_compute(conf, &rules);

	for (size_t i = 0; r == 0 && i < rules.n; i++)
		if (rules.entries[i].n > PRIVATE_RULES_MAX)
			return refuse_rules(&rules.entries[i], report);
	if (r == 0)
		r = make_restricted(p, &rules, report);
	for (size_t i = 0; r == 0 && i < rules.n; i++) {
		if (fastpath_rules_has(&p->rules, &rules.entries[i]))
			continue;
		r = set_rules(p, &rules.entries[i]);
		if (r == 0 && !first)
			describe_rules(&rules.entries[i], report);
	}
	if (r == 0)
		fastpath_rules_take(&p->rules, &rules);
	else
		fastpath_rules_deinit(&p->rules); /* some have been told */
	return r;
}

int fastpath_plane_apply(struct fastpath_plane *p, const struct conf *conf,
			 const struct registry *registry, const struct linger_set *linger,
			 struct reconcile_report *report)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
		int r = attempt > 0 ? fastpath_plane_dump(p) : 0;

		if (r == 0)
			r = apply_rules(p, conf, report);
		if (r == 0)
			r = compute(p, conf, registry, linger, &desired);
		if (r == 0)
			r = apply_once(p, &desired, report);
		if (r <= 0)
			return r;
	}
	return -EAGAIN;
}

/* Both lists come from one configuration: the places are mostly the same. */
static struct ipvs_dest *find_dest(struct ipvs_service *s, size_t place, const struct ipvs_dest *d)
{
	if (place < s->n_dests && ipvs_dest_key_cmp(&s->dests[place], d) == 0)
		return &s->dests[place];
	return ipvs_service_find(s, &d->addr, d->port);
}

void fastpath_plane_add_live(const struct fastpath_plane *p, struct ipvs_ruleset *to)
{
	for (size_t i = 0; i < p->actual.n; i++) {
		const struct ipvs_service *s = &p->actual.services[i];
		struct ipvs_service *other = ipvs_ruleset_find(to, &s->key);

		if (!other)
			continue;
		connection_stats_add(&other->stats, &s->stats);
		for (size_t k = 0; k < s->n_dests; k++) {
			const struct ipvs_dest *d = &s->dests[k];
			struct ipvs_dest *same = find_dest(other, k, d);

			if (!same)
				continue;
			same->active_conns += d->active_conns;
			same->inactive_conns += d->inactive_conns;
			same->persistent_conns += d->persistent_conns;
			connection_stats_add(&same->stats, &d->stats);
		}
	}
}

uint64_t fastpath_plane_inactive(const struct fastpath_plane *p, const struct addr *addr,
				 uint16_t port)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->actual.n; i++) {
		const struct ipvs_service *s = &p->actual.services[i];

		for (size_t k = 0; k < s->n_dests; k++)
			if ((!port || s->dests[k].port == port) && addr_eq(&s->dests[k].addr, addr))
				n += s->dests[k].inactive_conns;
	}
	return n;
}
