/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate-rules.h"

/* A listener and one of the groups behind it, with the line that joins them. */
struct pair {
	struct parse *p;
	const struct conf_listener *listener;
	const struct conf_group *group;
	unsigned line;
};

#define pair_error(pair, ...)                                                                      \
	diag_add((pair)->p->diags, DIAG_ERROR, (pair)->listener->origin.path, (pair)->line,        \
		 __VA_ARGS__)

static uint16_t target_port(const struct conf_group *g, const struct conf_target *t)
{
	return t->port ? t->port : g->port;
}

static void check_agreement(const struct pair *pair)
{
	const struct conf_group *g = pair->group;
	const struct conf_group *first = &pair->p->conf->groups[pair->listener->forwards[0].group];
	const char *what = NULL;

	if (strcmp(g->algorithm.scheduler, first->algorithm.scheduler) != 0 ||
	    g->algorithm.flags != first->algorithm.flags)
		what = "algorithm";
	else if (g->stickiness != first->stickiness)
		what = "stickiness";
	else if (g->stickiness && g->stickiness_duration_usec != first->stickiness_duration_usec)
		what = "stickiness-duration";
	else if (g->stickiness && (g->stickiness_prefix_v4 != first->stickiness_prefix_v4 ||
				   g->stickiness_prefix_v6 != first->stickiness_prefix_v6))
		what = "stickiness-prefix";
	if (what)
		pair_error(pair,
			   "forward: target groups \"%s\" and \"%s\" differ in %s, but a listener "
			   "is one service of the kernel and has one",
			   first->name, g->name, what);
}

static void check_family(struct diag_list *diags, const struct conf_listener *l,
			 const struct conf_group *g, unsigned line)
{
	size_t fitting = 0;

	if (conf_forwarding_is_tunnel(g->forwarding) || g->n_targets == 0 || g->discovery)
		return;
	for (size_t i = 0; i < g->n_targets; i++)
		fitting += g->targets[i].host || g->targets[i].addr.family == l->family;
	if (fitting == 0)
		diag_add(diags, DIAG_ERROR, l->origin.path, line,
			 "forward: [listener %s] is %s, but target group \"%s\" has no such "
			 "target; only ipip, gue and gre cross address families",
			 l->name, l->family == AF_INET ? "IPv4" : "IPv6", g->name);
}

/* A probe of the traffic port needs to know one port. */
static bool needs_ports(const struct conf_listener *l, const struct conf_group *g)
{
	return conf_check_has_port(g->check.protocol) && !g->check.port &&
	       !conf_listener_single_port(l);
}

static void check_probe_port(struct diag_list *diags, const struct conf_listener *l,
			     const struct conf_group *g, unsigned line)
{
	if (!needs_ports(l, g))
		return;
	for (size_t i = 0; i < g->n_targets; i++) {
		if (target_port(g, &g->targets[i]))
			continue;
		diag_add(diags, DIAG_ERROR, l->origin.path, line,
			 "forward: targets of \"%s\" have no port, and [listener %s] has no single "
			 "one to probe; give health-check-port or health-check-protocol = none",
			 g->name, l->name);
		break;
	}
}

void validate_forwarded_targets(struct diag_list *diags, const struct conf_listener *l,
				const struct conf_group *g, unsigned line)
{
	check_family(diags, l, g, line);
	validate_target_ports(diags, l, g);
	check_probe_port(diags, l, g, line);
}

static void check_discovered_port(const struct pair *pair)
{
	const struct conf_group *g = pair->group;

	if (needs_ports(pair->listener, g) && g->discovery && !g->port &&
	    !conf_name_is_service(conf_group_dns_name(g)))
		pair_error(pair,
			   "forward: discovery in \"%s\" gives addresses without a port, and "
			   "[listener %s] has no single one to probe; give port or "
			   "health-check-port",
			   g->name, pair->listener->name);
}

static void check_probe_protocol(const struct pair *pair)
{
	const struct conf_listener *l = pair->listener;
	const struct conf_group *g = pair->group;
	bool by_udp = g->check.protocol == CONF_CHECK_UDP || g->check.protocol == CONF_CHECK_DNS;

	if (l->firewall_mark || g->check.port || !conf_check_has_port(g->check.protocol) ||
	    (by_udp && l->protocol != CONF_PROTOCOL_SCTP))
		return;
	if (l->protocol == CONF_PROTOCOL_SCTP)
		diag_add(pair->p->diags, DIAG_WARNING, l->origin.path, pair->line,
			 "forward: \"%s\" serves sctp, but its traffic port is probed by %s; give "
			 "health-check-port or health-check-protocol = none",
			 g->name, conf_check_to_string(g->check.protocol));
	else if (l->protocol == CONF_PROTOCOL_UDP)
		diag_add(pair->p->diags, DIAG_NOTE, l->origin.path, pair->line,
			 "forward: \"%s\" serves udp, and its traffic port is probed by %s; "
			 "health-check-port names another",
			 g->name, conf_check_to_string(g->check.protocol));
}

static void check_pair(const struct pair *pair)
{
	const struct conf_listener *l = pair->listener;
	const struct conf_group *g = pair->group;

	if (!l->firewall_mark && l->ports.low == 0 && !g->stickiness)
		pair_error(
			pair,
			"forward: [listener %s] is on all ports, which the kernel takes only with "
			"persistence; give stickiness = yes in [target-group %s]",
			l->name, g->name);
	if (l->one_packet && g->stickiness)
		pair_error(
			pair,
			"forward: one-packet in [listener %s] and stickiness in [target-group %s] "
			"exclude each other",
			l->name, g->name);
	check_agreement(pair);
	check_discovered_port(pair);
	validate_forwarded_targets(pair->p->diags, l, g, pair->line);
	check_probe_protocol(pair);
}

static unsigned family_bit(uint16_t family)
{
	return family == AF_INET ? 1 : 2;
}

/*
 * Targets that no listener can use, because the others of their group are of the listeners' family, but they are not.
 * Where none fits, check_family() has said so.
 */
static void check_stranded(const struct parse *p, const struct conf_group *g, unsigned families)
{
	char text[ADDR_STR_MAX];
	bool some_fit = false;

	for (size_t i = 0; i < g->n_targets; i++)
		some_fit = some_fit || g->targets[i].host ||
			   families & family_bit(g->targets[i].addr.family);
	if (conf_forwarding_is_tunnel(g->forwarding) || !some_fit)
		return;
	for (size_t i = 0; i < g->n_targets; i++) {
		const struct conf_target *t = &g->targets[i];

		if (!t->host && !(families & family_bit(t->addr.family)))
			diag_add(p->diags, DIAG_WARNING, t->origin.path, t->origin.line,
				 "targets: %s gets no traffic: no listener of [target-group %s] is "
				 "%s",
				 addr_format(&t->addr, text), g->name,
				 t->addr.family == AF_INET ? "IPv4" : "IPv6");
	}
}

/* What the listeners of a group have in common. */
struct usage {
	unsigned families; /* family_bit()s */
	uint16_t port;	   /* of the first listener that has a single one */
};

/* The daemon probes a target without a port at the port of the first listener: right for one of them only. */
static void check_one_port(const struct pair *pair, struct usage *u)
{
	const struct conf_group *g = pair->group;
	uint16_t port = conf_listener_single_port(pair->listener);
	bool differs = u->port && port && port != u->port;

	if (!u->port)
		u->port = port;
	if (!differs || !conf_check_has_port(g->check.protocol) || g->check.port)
		return;
	for (size_t i = 0; i < g->n_targets; i++) {
		if (target_port(g, &g->targets[i]))
			continue;
		diag_add(pair->p->diags, DIAG_WARNING, pair->listener->origin.path, pair->line,
			 "forward: targets of \"%s\" have no port, and are probed at port %u of an "
			 "earlier listener, not at %u; give health-check-port",
			 g->name, u->port, port);
		break;
	}
}

int validate_forwards(struct parse *p)
{
	struct conf *c = p->conf;
	_cleanup_free_ struct usage *usage = calloc(c->n_groups + 1, sizeof(*usage));

	if (!usage)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_references; i++) {
		const struct parse_reference *ref = &p->references[i];
		struct conf_listener *l = &c->listeners[ref->listener];
		const struct conf_forward *f = &l->forwards[ref->item];
		struct pair pair;

		if (ref->kind != KEY_SECTION_GROUP)
			continue;
		pair = (struct pair){ p, l, &c->groups[f->group], ref->line };
		check_pair(&pair);
		check_one_port(&pair, &usage[f->group]);
		usage[f->group].families |= family_bit(l->family);
		if (f->weight)
			c->groups[f->group].in_use = true;
	}
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct conf_group *g = &c->groups[i];

		if (!g->in_use)
			diag_add(p->diags, DIAG_NOTE, g->origin.path, g->origin.line,
				 "[target-group %s] is not used: no listener forwards to it with a "
				 "weight",
				 g->name);
		check_stranded(p, g, usage[i].families);
		if (validate_listener_ports(p->diags, c, i, g) < 0)
			return -ENOMEM;
	}
	return 0;
}
