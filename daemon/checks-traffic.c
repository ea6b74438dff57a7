/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Passive health (health/passive.h): after a dump of the plane, the counters of every healthy target that serves TCP. It
 * uses the dump that the reconcile takes anyway, or one of its own where passive-health-interval asks for more; the
 * planes' lists of connections are read at most once a scan, when counters alone do not tell, and only while short.
 * NLB has passive checks neither for UDP nor for sticky groups (elbv2.md §1.1); firewall marks do not say which protocol
 * they carry.
 */

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/checks-internal.h"
#include "daemon/connections.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"
#include "daemon/proc-conns.h"

enum {
	EVENTS_MAX = 5, /* of single targets, a group and scan */
	SILENT_MIN = 2, /* windows in a row before a target is marked */
};

struct scan {
	struct checks *checks;
	usec_t now;
	struct proc_conns conns;
	bool conns_read, conns_known;
	unsigned said; /* targets of the present group that got an event */
	unsigned found;
};

static uint64_t half_open(struct scan *s, const struct target *t)
{
	struct manager *m = s->checks->manager;

	if (!s->conns_read) {
		s->conns_read = true;
		s->conns_known = connections_are_few(&m->actual) && proc_conns_read(&s->conns) == 0;
		if (s->conns_known)
			fastpath_look_at_states(m->fastpath);
	}
	if (!s->conns_known)
		return 0;
	return proc_conns_half_open(&s->conns, &t->addr, t->port) +
	       fastpath_half_open(m->fastpath, &t->addr, t->port);
}

/* Not without probes: they are what brings a target back. */
static bool is_watched(const struct target_group *g)
{
	return g->conf->passive != CONF_PASSIVE_OFF && g->conf->in_use && !g->conf->stickiness &&
	       g->conf->check.protocol != CONF_CHECK_NONE && !registry_lacks_authorities(g);
}

static void say(struct scan *s, const struct target_group *g, const struct target *t,
		const struct record *r, bool counted)
{
	char name[ADDR_PORT_STR_MAX], object[CONF_NAME_MAX + 1 + ADDR_PORT_STR_MAX];

	s->found++;
	if (s->said >= EVENTS_MAX)
		return;
	s->said++;
	(void)snprintf(object, sizeof(object), "%s/%s", g->name,
		       addr_port_format(&t->addr, t->port, name));
	if (counted)
		manager_event(s->checks->manager, LOG_WARNING, "target", object,
			      "no answer to %" PRIu64 " of its last %" PRIu64
			      " new connections: probing it now",
			      r->passive.unanswered, r->passive.conns);
	else
		manager_event(s->checks->manager, LOG_WARNING, "target", object,
			      "most of its connections are half open: probing it now");
}

static void act(struct scan *s, struct target_group *g, struct target *t, struct record *r,
		enum passive_finding finding)
{
	bool counted = finding == PASSIVE_SILENT;

	if (r->passive_said < finding)
		say(s, g, t, r, counted);
	r->passive_said = MAX(r->passive_said, finding);
	/* Half-open connections may be a flood of SYNs: reason to ask, and not to judge. */
	if (g->conf->passive == CONF_PASSIVE_UNHEALTHY && counted &&
	    r->passive.silent >= SILENT_MIN) {
		checks_report_passive(s->checks, g, t, s->now);
		return;
	}
	if (g->conf->anomaly_mitigation)
		anomaly_note(&t->anomaly, true);
	manager_probe_now(s->checks->manager, t->id);
}

static void look_at(struct scan *s, struct target_group *g, struct target *t,
		    const struct connection_counts *c)
{
	const struct passive_settings settings = {
		.min_connections = g->conf->passive_min_connections,
		.percent = g->conf->passive_percent,
		.one_way = g->conf->forwarding != CONF_FORWARDING_NAT &&
			   g->conf->forwarding != CONF_FORWARDING_FULL_NAT,
	};
	const struct passive_counters counters = {
		.conns = c->stats.conns,
		.in_packets = c->stats.in_packets,
		.out_packets = c->stats.out_packets,
	};
	struct record *r = records_find(&s->checks->records, t->id);

	if (!r)
		return;
	switch (passive_feed(&r->passive, &counters, &settings, s->now)) {
	case PASSIVE_SILENT:
		act(s, g, t, r, PASSIVE_SILENT);
		break;
	case PASSIVE_UNCLEAR:
		if (passive_half_open(&r->passive, &settings, half_open(s, t)))
			act(s, g, t, r, PASSIVE_UNCLEAR);
		else
			r->passive_said = PASSIVE_NOTHING;
		break;
	case PASSIVE_NOTHING:
		break;
	}
}

/* Its next window begins when it is healthy again, and what that finds is said again. */
static void forget(struct scan *s, const struct target *t)
{
	struct record *r = records_find(&s->checks->records, t->id);

	if (!r)
		return;
	passive_forget(&r->passive);
	r->passive_said = PASSIVE_NOTHING;
}

static void look_at_group(struct scan *s, size_t index)
{
	_cleanup_(connection_table_deinit) struct connection_table table = { 0 };
	struct manager *m = s->checks->manager;
	struct target_group *g = &m->registry.groups[index];

	if (!is_watched(g) ||
	    connection_table_of_group(m->conf, &m->actual, index, IPPROTO_TCP, &table) < 0)
		return;
	s->said = s->found = 0;
	for (size_t j = 0; j < g->n; j++) {
		struct target *t = &g->targets[j];
		const struct connection_counts *c;

		if (t->health.state != TARGET_HEALTHY) {
			forget(s, t);
			continue;
		}
		c = connection_table_find(&table, &t->addr, t->port);
		if (c)
			look_at(s, g, t, c);
	}
	if (s->found > s->said)
		manager_event(m, LOG_WARNING, "group", g->name,
			      "%u more targets do not answer their connections: probing them now",
			      s->found - s->said);
}

void checks_watch_traffic(struct checks *c, usec_t now_usec)
{
	struct scan s = { .checks = c, .now = now_usec };

	for (size_t i = 0; i < c->manager->registry.n; i++)
		look_at_group(&s, i);
	proc_conns_deinit(&s.conns);
}
