/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The JSON of `ipvsd status`: see manager.h and ipvsd(8). */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/checks.h"
#include "daemon/connections.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"
#include "daemon/names.h"
#include "daemon/reconcile.h"
#include "daemon/rfc3339.h"
#include "daemon/worker-pool.h"
#include "ipvs/channel.h"
#include "ipvs/desired.h"

/* Counters of a dump that is no older than this are shown as they are. */
#define FRESH_USEC (500 * USEC_PER_MSEC)

DEFINE_CLEANUP(json_t *, json_decref)

/* null for 0, "never". */
static json_t *time_to_json(usec_t wall_usec)
{
	char text[RFC3339_MAX];

	return wall_usec ? json_string(rfc3339_format(wall_usec, text)) : json_null();
}

static int add_rates(json_t *to, uint64_t active, uint64_t inactive, const struct ipvs_stats *s)
{
	_cleanup_(json_decref_p) json_t *j = json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "active", (json_int_t)active,
		"inactive", (json_int_t)inactive, "connections", (json_int_t)s->conns, "in_packets",
		(json_int_t)s->in_packets, "out_packets", (json_int_t)s->out_packets, "in_bytes",
		(json_int_t)s->in_bytes, "out_bytes", (json_int_t)s->out_bytes, "cps",
		(json_int_t)s->cps, "in_pps", (json_int_t)s->in_pps, "out_pps",
		(json_int_t)s->out_pps, "in_bps", (json_int_t)s->in_bps, "out_bps",
		(json_int_t)s->out_bps);

	return j && to ? json_object_update(to, j) : -1;
}

/* Destinations that a reload took out and that still have connections. */
static json_t *leaving_to_json(const struct manager *m, const struct conf_listener *l)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < m->linger.n; i++) {
		const struct linger_entry *e = &m->linger.items[i];
		char name[ADDR_PORT_STR_MAX];

		if (desired_service_is_of(l, &e->service))
			(void)json_array_append_new(
				list, json_pack("{s:s,s:o}", "target",
						addr_port_format(&e->addr, e->port, name),
						"drain_deadline",
						time_to_json(e->deadline_usec == LINGER_UNTIL_IDLE
								     ? 0
								     : e->deadline_usec)));
	}
	return list;
}

static json_t *listener_to_json(const struct manager *m, const struct conf_listener *l)
{
	_cleanup_(json_decref_p) json_t *forwards = json_array();
	char address[ADDR_STR_MAX], ports[16];
	struct ipvs_stats stats = { 0 };
	uint64_t active = 0, inactive = 0;
	const char *scheduler = "";
	json_t *j;

	for (size_t i = 0; i < l->n_forwards; i++)
		(void)json_array_append_new(forwards,
					    json_pack("{s:s,s:i}", "group", l->forwards[i].name,
						      "weight", (int)l->forwards[i].weight));
	for (size_t i = 0; i < m->actual.n; i++) {
		const struct ipvs_service *s = &m->actual.services[i];

		if (!desired_service_is_of(l, &s->key))
			continue;
		scheduler = s->scheduler;
		connection_stats_add(&stats, &s->stats);
		for (size_t k = 0; k < s->n_dests; k++) {
			active += s->dests[k].active_conns;
			inactive += s->dests[k].inactive_conns;
		}
	}
	(void)snprintf(ports, sizeof(ports), l->ports.low == l->ports.high ? "%u" : "%u-%u",
		       l->ports.low, l->ports.high);
	j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:O,s:o?}", "name", l->name, "address",
		      l->firewall_mark ? "" : addr_format(&l->address, address), "port", ports,
		      "protocol", conf_protocol_to_string(l->protocol), "scheduler", scheduler,
		      "firewall_mark", (json_int_t)l->firewall_mark, "family",
		      l->family == AF_INET6 ? "ipv6" : "ipv4", "forward", forwards, "leaving",
		      leaving_to_json(m, l));
	(void)add_rates(j, active, inactive, &stats);
	return j;
}

/* Where it is known from now; of one that leaves, where it was known from. */
static json_t *source_to_json(const struct manager *m, size_t group, size_t index)
{
	const struct target *t = &m->registry.groups[group].targets[index];
	json_t *j = names_target_source(m->names, group, &t->addr, t->port, index);

	return j ? j : json_string(t->origin == TARGET_FROM_CONFIG ? "none" : "register");
}

static json_t *target_to_json(const struct target_group *g, const struct target *t,
			      const struct connection_table *table)
{
	const struct connection_counts none = { 0 };
	const struct connection_counts *c = connection_table_find(table, &t->addr, t->port);
	const struct target_health *h = &t->health;
	char name[ADDR_PORT_STR_MAX], detail[PROBE_OUTCOME_TEXT_MAX] = "";
	char description[TARGET_DESCRIPTION_MAX];
	json_t *j;

	if (!c)
		c = &none;
	addr_port_format(&t->addr, t->port, name);
	if (h->checked_usec)
		(void)probe_outcome_describe(h->outcome, h->detail, detail);
	j = json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:b,s:o,s:"
		"o,s:b,s:i}",
		"target", t->port ? name : addr_format(&t->addr, name), "zone", t->zone, "origin",
		t->origin == TARGET_FROM_CONFIG ? "config" : "register", "state",
		target_state_to_string(h->state), "reason", target_reason_to_string(h->reason),
		"description", target_health_describe(h, description), "detail", detail, "since",
		time_to_json(h->since_usec), "checked", time_to_json(h->checked_usec),
		"duration_us", (json_int_t)h->duration_usec, "successes", (json_int_t)h->successes,
		"failures", (json_int_t)h->failures, "configured_weight",
		(json_int_t)t->configured_weight, "weight", (json_int_t)t->weight.weight,
		"fail_open", t->weight.by_fail_open && !g->cold, "cold_start",
		t->weight.by_fail_open && g->cold, "drained", t->drained, "drain_deadline",
		time_to_json(h->state == TARGET_DRAINING ? h->drain_deadline_usec : 0),
		"slow_start_end",
		time_to_json(t->slow_start_usec ? t->slow_start_usec + g->settings.slow_start_usec
						: 0),
		"anomalous", t->anomaly.anomalous, "mitigation_steps", t->anomaly.steps);
	(void)add_rates(j, c->active, c->inactive, &c->stats);
	return j;
}

static json_t *check_to_json(const struct conf_health_check *c)
{
	bool has_path = c->protocol == CONF_CHECK_HTTP && c->path;

	if (c->protocol == CONF_CHECK_NONE)
		return json_string("none");
	return json_sprintf("%s%s%s every %g s, timeout %g s, up after %u, down after %u",
			    conf_check_to_string(c->protocol), has_path ? " " : "",
			    has_path ? c->path : "",
			    (double)c->interval_usec / (double)USEC_PER_SEC,
			    (double)c->timeout_usec / (double)USEC_PER_SEC, c->healthy_threshold,
			    c->unhealthy_threshold);
}

static json_t *group_to_json(const struct manager *m, size_t index)
{
	_cleanup_(connection_table_deinit) struct connection_table table = { 0 };
	const struct target_group *g = &m->registry.groups[index];
	_cleanup_(json_decref_p) json_t *targets = json_array();

	if (!targets || connection_table_of_group(m->conf, &m->actual, index, 0, &table) < 0)
		return NULL;
	for (size_t i = 0; i < g->n; i++) {
		json_t *j = target_to_json(g, &g->targets[i], &table);

		if (json_object_set_new(j, "source", source_to_json(m, index, i)) < 0 ||
		    json_array_append_new(targets, j) < 0)
			return NULL;
	}
	return json_pack("{s:s,s:I,s:I,s:b,s:b,s:b,s:b,s:o,s:o?,s:O}", "name", g->name,
			 "registered", (json_int_t)g->summary.registered, "healthy",
			 (json_int_t)g->summary.healthy, "fail_open", g->summary.fail_open,
			 "cold_start", g->summary.cold_start, "dns_healthy", g->summary.dns_healthy,
			 "in_use", g->conf->in_use, "check", check_to_json(&g->conf->check),
			 "sources", names_group_sources(m->names, index), "targets", targets);
}

static json_t *health_to_json(const struct manager *m)
{
	_cleanup_(json_decref_p) json_t *checks = checks_to_json(m->checks);
	json_t *j = worker_pool_to_json(m->workers, clock_monotonic_usec());

	if (j && checks)
		(void)json_object_update(j, checks);
	if (j)
		names_add_alarms(m->names, json_object_get(j, "alarms"));
	return j;
}

int manager_status(struct manager *m, json_t **ret_report)
{
	_cleanup_(json_decref_p) json_t *listeners = json_array();
	_cleanup_(json_decref_p) json_t *groups = json_array();
	json_t *fastpath = NULL;

	if (fastpath_report(m->fastpath, false, &fastpath) < 0)
		return -ENOMEM;
	if (clock_monotonic_usec() - m->actual_usec > FRESH_USEC)
		(void)reconcile_dump(m); /* else the older counters are shown */
	for (size_t i = 0; i < m->conf->n_listeners; i++)
		(void)json_array_append_new(listeners, listener_to_json(m, &m->conf->listeners[i]));
	for (size_t i = 0; i < m->registry.n; i++)
		(void)json_array_append_new(groups, group_to_json(m, i));
	*ret_report = json_pack(
		"{s:s,s:i,s:f,s:s,s:o,s:s?,s:s,s:I,s:I,s:I,s:I,s:O?,s:o,s:o,s:O,s:O}", "version",
		IPVSD_VERSION, "pid", (int)getpid(), "uptime_seconds",
		(double)(clock_monotonic_usec() - m->started_usec) / (double)USEC_PER_SEC, "config",
		m->options.config_path, "loaded", time_to_json(m->loaded_usec), "last_error",
		m->last_error, "plane", fastpath_plane_name(m->fastpath), "reloads",
		(json_int_t)m->reloads, "reloads_failed", (json_int_t)m->reloads_failed,
		"drift_repairs", (json_int_t)m->drift_repairs, "netlink_writes",
		(json_int_t)channel_writes(m->channel), "warnings", m->warnings, "health",
		health_to_json(m), "fastpath", fastpath, "listeners", listeners, "groups", groups);
	return *ret_report ? 0 : -ENOMEM;
}

int manager_events(struct manager *m, const struct event_filter *f, json_t **ret_report)
{
	json_t *events = event_ring_to_json(&m->events, f);

	*ret_report = json_pack("{s:o?,s:I}", "events", events, "last", (json_int_t)m->events.last);
	return *ret_report ? 0 : -ENOMEM;
}

int manager_fastpath_status(struct manager *m, json_t **ret_report)
{
	return fastpath_report(m->fastpath, true, ret_report);
}

int manager_fastpath_order(struct manager *m, bool on, bool force, json_t **ret_report)
{
	if (m->stopping) {
		*ret_report = json_pack("{s:s}", "error", "ipvsd is stopping");
		return -EBUSY;
	}
	return fastpath_order(m->fastpath, on, force, ret_report);
}
