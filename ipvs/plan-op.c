/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ipvs/dest-finder.h"
#include "ipvs/plan.h"

enum {
	DESCRIPTION_MAX = 512,
};

static const char *const kind_names[_PLAN_OP_MAX] = {
	[PLAN_SERVICE_NEW] = "add-service",    [PLAN_SERVICE_SET] = "set-service",
	[PLAN_SERVICE_DEL] = "remove-service", [PLAN_DEST_NEW] = "add-destination",
	[PLAN_DEST_SET] = "set-destination",   [PLAN_DEST_DEL] = "remove-destination",
};

const char *plan_op_kind_to_string(enum plan_op_kind k)
{
	return k < _PLAN_OP_MAX ? kind_names[k] : "unknown";
}

static void service_set_conf(struct ipvs_service *s, const struct ipvs_service *from)
{
	memcpy(s->scheduler, from->scheduler, sizeof(s->scheduler));
	memcpy(s->pe, from->pe, sizeof(s->pe));
	s->flags = from->flags;
	s->timeout_sec = from->timeout_sec;
	s->netmask = from->netmask;
}

static int service_new(struct ipvs_ruleset *r, const struct ipvs_service *from, bool bare)
{
	struct ipvs_service *s;

	if (ipvs_ruleset_find(r, &from->key))
		return -EEXIST;
	s = ipvs_ruleset_append(r, &from->key);
	if (!s)
		return -ENOMEM;
	service_set_conf(s, from);
	if (bare)
		strcpy(s->scheduler, PLAN_BARE_SCHEDULER);
	ipvs_ruleset_sort(r);
	return 0;
}

static void service_del(struct ipvs_ruleset *r, struct ipvs_service *s)
{
	size_t after = r->n - (size_t)(s - r->services) - 1;

	free(s->dests);
	memmove(s, s + 1, after * sizeof(*s));
	r->n--;
}

/* At the head, as the kernel inserts it. */
static int dest_new(struct ipvs_service *s, const struct ipvs_dest *d)
{
	if (!ipvs_service_append(s, d))
		return -ENOMEM;
	memmove(&s->dests[1], &s->dests[0], (s->n_dests - 1) * sizeof(*d));
	s->dests[0] = *d;
	s->dests[0].active_conns = 0;
	s->dests[0].inactive_conns = 0;
	s->dests[0].persistent_conns = 0;
	s->dests[0].stats = (struct ipvs_stats){ 0 };
	return 0;
}

static void dest_set(struct ipvs_dest *d, const struct ipvs_dest *from)
{
	struct ipvs_dest live = *d;

	*d = *from;
	d->active_conns = live.active_conns;
	d->inactive_conns = live.inactive_conns;
	d->persistent_conns = live.persistent_conns;
	d->stats = live.stats;
}

static void dest_del(struct ipvs_service *s, struct ipvs_dest *d)
{
	size_t after = s->n_dests - (size_t)(d - s->dests) - 1;

	memmove(d, d + 1, after * sizeof(*d));
	s->n_dests--;
}

int plan_op_apply(const struct plan_op *op, struct ipvs_ruleset *r)
{
	struct ipvs_service *s;
	struct ipvs_dest *d;

	if (op->kind == PLAN_SERVICE_NEW)
		return service_new(r, op->service, op->bare);
	s = ipvs_ruleset_find(r, &op->service->key);
	if (!s)
		return -ESRCH;
	if (op->kind == PLAN_SERVICE_SET) {
		service_set_conf(s, op->service);
		return 0;
	}
	if (op->kind == PLAN_SERVICE_DEL) {
		service_del(r, s);
		return 0;
	}
	d = ipvs_service_find(s, &op->dest->addr, op->dest->port);
	if (op->kind == PLAN_DEST_NEW)
		return d ? -EEXIST : dest_new(s, op->dest);
	if (!d)
		return -ENOENT;
	if (op->kind == PLAN_DEST_SET)
		dest_set(d, op->dest);
	else
		dest_del(s, d);
	return 0;
}

static int keep_live_values(struct ipvs_service *s, const struct ipvs_service *was)
{
	_cleanup_(dest_finder_deinit) struct dest_finder finder = { .service = was };

	s->stats = was->stats;
	for (size_t i = 0; i < s->n_dests; i++) {
		struct ipvs_dest *d = &s->dests[i];
		const struct ipvs_dest *live;

		if (dest_finder_find(&finder, d, &live) < 0)
			return -ENOMEM;
		if (!live)
			continue;
		d->active_conns = live->active_conns;
		d->inactive_conns = live->inactive_conns;
		d->persistent_conns = live->persistent_conns;
		d->stats = live->stats;
	}
	return 0;
}

static bool is_deleted(const struct plan *p, const struct ipvs_service *s)
{
	/* Removed services stand at the end of a plan. */
	for (size_t i = p->n; i > 0 && p->ops[i - 1].kind == PLAN_SERVICE_DEL; i--)
		if (p->ops[i - 1].service == s)
			return true;
	return false;
}

static int append_copy(struct ipvs_ruleset *r, const struct ipvs_service *s)
{
	struct ipvs_service *copy = ipvs_ruleset_append(r, &s->key);

	if (!copy)
		return -ENOMEM;
	service_set_conf(copy, s);
	copy->stats = s->stats;
	for (size_t i = 0; i < s->n_dests; i++)
		if (!ipvs_service_append(copy, &s->dests[i]))
			return -ENOMEM;
	return 0;
}

int plan_result(const struct plan *p, const struct ipvs_ruleset *actual,
		const struct ipvs_ruleset *desired, struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;

	if (ipvs_ruleset_copy(desired, &r) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < r.n; i++) {
		const struct ipvs_service *was = ipvs_ruleset_find(actual, &r.services[i].key);

		if (was && keep_live_values(&r.services[i], was) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < actual->n; i++) {
		const struct ipvs_service *s = &actual->services[i];

		if (!ipvs_ruleset_find(desired, &s->key) && !is_deleted(p, s) &&
		    append_copy(&r, s) < 0)
			return -ENOMEM;
	}
	ipvs_ruleset_sort(&r);
	*ret = r;
	r = IPVS_RULESET_INIT;
	return 0;
}

static const char *forward_name(const struct ipvs_dest *d)
{
	static const char *const tunnels[] = { "ipip", "gue", "gre" };

	switch (d->forward) {
	case IPVS_FORWARD_MASQ:
		return "nat";
	case IPVS_FORWARD_LOCAL:
		return "local";
	case IPVS_FORWARD_TUNNEL:
		return d->tunnel < ARRAY_SIZE(tunnels) ? tunnels[d->tunnel] : "tunnel";
	case IPVS_FORWARD_ROUTE:
		return "direct";
	case IPVS_FORWARD_FULL_NAT:
		return "full-nat";
	case IPVS_FORWARD_BYPASS:
		return "bypass";
	}
	return "unknown";
}

static const char *sched_flags_name(const char *scheduler, uint32_t flags)
{
	static const char *const names[] = { "none", "1", "2", "1,2", "3", "1,3", "2,3", "1,2,3" };
	static const char *const hash_names[] = { "none", "fallback", "port", "fallback,port" };
	unsigned bits = flags / IPVS_SVC_SCHED1 & 7;

	if (bits < ARRAY_SIZE(hash_names) &&
	    (strcmp(scheduler, "mh") == 0 || strcmp(scheduler, "sh") == 0))
		return hash_names[bits];
	return names[bits];
}

/* Two hundred are written before each large change is sent: a stream for each would cost more than the text. */
struct description {
	size_t len;
	char text[DESCRIPTION_MAX];
};

/* What is too long is cut. */
__attribute__((format(printf, 2, 3))) static void add(struct description *d, const char *format,
						      ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(d->text + d->len, sizeof(d->text) - d->len, format, ap);
	va_end(ap);
	if (n > 0)
		d->len = MIN(d->len + (size_t)n, sizeof(d->text) - 1);
}

static void describe_new_service(struct description *d, const struct ipvs_service *s, bool bare)
{
	add(d, ": scheduler %s", bare ? PLAN_BARE_SCHEDULER : s->scheduler);
	if (s->flags & (IPVS_SVC_SCHED1 | IPVS_SVC_SCHED2 | IPVS_SVC_SCHED3))
		add(d, " (%s)", sched_flags_name(s->scheduler, s->flags));
	if (s->flags & IPVS_SVC_PERSISTENT)
		add(d, ", persistent %u s", s->timeout_sec);
	if (s->flags & IPVS_SVC_ONEPACKET)
		add(d, ", one-packet");
}

static unsigned persistence_sec(const struct ipvs_service *s)
{
	return s->flags & IPVS_SVC_PERSISTENT ? s->timeout_sec : 0;
}

static void describe_changed_service(struct description *d, const struct ipvs_service *a,
				     const struct ipvs_service *b, bool bare)
{
	const char *old = bare ? PLAN_BARE_SCHEDULER : a->scheduler;
	const char *separator = ":";

	if (strcmp(old, b->scheduler) != 0) {
		add(d, "%s scheduler %s -> %s", separator, old, b->scheduler);
		separator = ",";
	}
	if ((a->flags ^ b->flags) & (IPVS_SVC_SCHED1 | IPVS_SVC_SCHED2 | IPVS_SVC_SCHED3)) {
		add(d, "%s scheduler flags %s -> %s", separator,
		    sched_flags_name(a->scheduler, a->flags),
		    sched_flags_name(b->scheduler, b->flags));
		separator = ",";
	}
	if (persistence_sec(a) != persistence_sec(b)) {
		add(d, "%s persistence %u -> %u s", separator, persistence_sec(a),
		    persistence_sec(b));
		separator = ",";
	}
	if ((b->flags & IPVS_SVC_PERSISTENT) && a->netmask != b->netmask) {
		add(d, "%s persistence netmask", separator);
		separator = ",";
	}
	if ((a->flags ^ b->flags) & IPVS_SVC_ONEPACKET) {
		add(d, "%s one-packet %s", separator, b->flags & IPVS_SVC_ONEPACKET ? "on" : "off");
		separator = ",";
	}
	if (strcmp(a->pe, b->pe) != 0)
		add(d, "%s persistence engine %s -> %s", separator, a->pe[0] ? a->pe : "none",
		    b->pe[0] ? b->pe : "none");
}

static void describe_changed_dest(struct description *d, const struct ipvs_dest *a,
				  const struct ipvs_dest *b)
{
	const char *separator = ":";

	if (a->weight != b->weight) {
		add(d, "%s weight %u -> %u", separator, a->weight, b->weight);
		separator = ",";
	}
	if (a->forward != b->forward || strcmp(forward_name(a), forward_name(b)) != 0) {
		add(d, "%s forwarding %s -> %s", separator, forward_name(a), forward_name(b));
		separator = ",";
	} else if (b->forward == IPVS_FORWARD_TUNNEL &&
		   (a->tunnel_port != b->tunnel_port || a->tunnel_flags != b->tunnel_flags)) {
		add(d, "%s tunnel port %u flags %u -> port %u flags %u", separator, a->tunnel_port,
		    a->tunnel_flags, b->tunnel_port, b->tunnel_flags);
		separator = ",";
	}
	if (a->upper_threshold != b->upper_threshold || a->lower_threshold != b->lower_threshold)
		add(d, "%s connection limits %u/%u -> %u/%u", separator, a->lower_threshold,
		    a->upper_threshold, b->lower_threshold, b->upper_threshold);
}

static void describe_connections(struct description *d, const struct ipvs_dest *dests, size_t n)
{
	uint64_t active = 0, inactive = 0;

	for (size_t i = 0; i < n; i++) {
		active += dests[i].active_conns;
		inactive += dests[i].inactive_conns;
	}
	if (active || inactive)
		add(d, " (%llu active, %llu inactive connections)", (unsigned long long)active,
		    (unsigned long long)inactive);
}

static void describe_dest(struct description *d, const struct plan_op *op, const char *service)
{
	char where[ADDR_PORT_STR_MAX];

	addr_port_format(&op->dest->addr, op->dest->port, where);
	if (op->kind == PLAN_DEST_NEW) {
		add(d, "%s destination %s %s %s: weight %u, %s", op->reorder ? "re-add" : "add",
		    where, op->reorder ? "of" : "to", service, op->dest->weight,
		    forward_name(op->dest));
	} else if (op->kind == PLAN_DEST_SET) {
		add(d, "set destination %s of %s", where, service);
		describe_changed_dest(d, op->old_dest, op->dest);
	} else if (op->reorder) {
		add(d, "take out destination %s of %s to move it in the list", where, service);
	} else {
		add(d, "remove destination %s of %s", where, service);
		describe_connections(d, op->dest, 1);
	}
}

char *plan_op_describe(const struct plan_op *op)
{
	struct description description = { .len = 0 }, *d = &description;
	char service[IPVS_KEY_STR_MAX];

	ipvs_service_key_format(&op->service->key, service);
	switch (op->kind) {
	case PLAN_SERVICE_NEW:
		add(d, "add service %s", service);
		describe_new_service(d, op->service, op->bare);
		break;
	case PLAN_SERVICE_SET:
		add(d, "set service %s", service);
		describe_changed_service(d, op->old_service, op->service, op->bare);
		break;
	case PLAN_SERVICE_DEL:
		add(d, "remove service %s", service);
		describe_connections(d, op->service->dests, op->service->n_dests);
		break;
	default:
		describe_dest(d, op, service);
	}
	return strdup(d->text);
}
